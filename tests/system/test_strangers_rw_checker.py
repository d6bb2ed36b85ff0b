"""The judge is judged: the allocation checker finds nothing on discs that
mkudffs and the Linux kernel wrote, and finds whatever is spoilt on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import vm
from support.allocation import check, examine
from support.damage import DAMAGE, SPOILT_FIELDS
from support.rewritable import KERNEL_FILES, mkudffs, write_in_kernel
from support.spoiling import Spoilt
from support.volume_structures import ImageBlocks

pytestmark = [pytest.mark.strangers, pytest.mark.vm]
BLOCKS = 16_384


@pytest.fixture(scope="module")
def images(
    kernel_vm: Callable[..., vm.Result],
    program: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """CD-RW images of mkudffs, as they are and after the kernel wrote to them."""
    folder = tmp_path_factory.mktemp("images")
    made = {}
    for revision in ("1.50", "2.01"):
        for name in ("empty", "kernel"):
            made[f"{name} {revision}"] = mkudffs(
                program("mkudffs"), folder / f"{name}{revision}.img", revision, BLOCKS
            )
    written = [path for name, path in made.items() if name.startswith("kernel")]
    write_in_kernel(kernel_vm, written, KERNEL_FILES)
    return made


@pytest.mark.parametrize("revision", ["1.50", "2.01"])
@pytest.mark.parametrize("name", ["empty", "kernel"])
def test_nothing_is_wrong(name: str, revision: str, images: dict[str, Path]) -> None:
    image = ImageBlocks(images[f"{name} {revision}"])
    report = examine(image)
    assert report.complaints == []
    hidden = revision == "1.50"  # in 2.01 non-allocatable space is a stream
    assert report.files == (105 if name == "kernel" else 0) + hidden
    assert report.directories == (4 if name == "kernel" else 1)
    assert len(report.spare_packets) == 32


@pytest.fixture(scope="module", params=["1.50", "2.01"])
def written(request: pytest.FixtureRequest, images: dict[str, Path]) -> Iterator[ImageBlocks]:
    image = ImageBlocks(images[f"kernel {request.param}"])
    yield image
    image.close()


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda one: one.__name__)
def test_what_is_spoilt_is_found(damage: Callable[[Spoilt], None], written: ImageBlocks) -> None:
    disc = Spoilt(written)
    damage(disc)
    found = check(disc)
    assert any(DAMAGE[damage] in complaint for complaint in found), found


@pytest.mark.parametrize("name", [name for name in SPOILT_FIELDS if SPOILT_FIELDS[name][1]])
def test_fields_that_are_spoilt_are_found(name: str, written: ImageBlocks) -> None:
    disc = Spoilt(written)
    damage, phrase = SPOILT_FIELDS[name]
    damage(disc)
    found = check(disc)
    assert any(phrase in complaint for complaint in found), found


def test_extents_of_ours_end_with_their_file(written: ImageBlocks) -> None:
    """The kernel rounds them up to whole blocks where it overwrites; we do not."""
    disc = Spoilt(written)
    SPOILT_FIELDS["a byte less"][0](disc)
    assert check(disc) == []
    assert any("its length is 4999" in text for text in examine(disc, exact=True).complaints)
