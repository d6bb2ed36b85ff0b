"""The Linux kernel writes to the rewritable discs that we format, and we read
what it wrote; nothing of the disc is lost or used twice by that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import vm
from support.allocation import examine_image
from support.memory_disc import MemoryDisc
from support.rewritable import KERNEL_FILES, write_in_kernel

from media.store import ImageStore
from udffs.commit.format import FormatOptions
from udffs.commit.rewritable.format import format_rewritable
from udffs.volume import open_volume

pytestmark = [pytest.mark.vm, pytest.mark.strangers]
BLOCKS = 16_384
KINDS = [(revision, spares) for revision in (0x0150, 0x0201) for spares in (False, True)]


@pytest.fixture(scope="module")
def images(
    kernel_vm: Callable[..., vm.Result], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[int, bool], Path]:
    """Discs of ours that the kernel wrote to; where the drive does not spare, some
    packets are bad from the start."""
    folder = tmp_path_factory.mktemp("images")
    made = {}
    for revision, spares in KINDS:
        disc = MemoryDisc(BLOCKS, spares_by_itself=spares)
        format_rewritable(
            disc.store,
            FormatOptions("Ours", revision),
            now=1_700_000_000 * 10**9,
            random=Random(revision).randbytes,
            bad_packets=() if spares else (5120, 6400, 8192),
        )
        made[revision, spares] = disc.save(folder / f"{revision}-{spares}.img")
    write_in_kernel(kernel_vm, list(made.values()), KERNEL_FILES)
    return made


@pytest.mark.parametrize(("revision", "spares"), KINDS)
@pytest.mark.timeout(900, func_only=False)
def test_the_kernel_writes_to_our_discs(
    revision: int, spares: bool, images: dict[tuple[int, bool], Path]
) -> None:
    path = images[revision, spares]
    report = examine_image(path)
    assert report.complaints == []
    assert report.files > 100
    volume = open_volume(ImageStore(path))
    assert volume.notes == [] and volume.write_protected is None
    root = volume.inode(volume.root_key)
    names = {entry.name: entry for entry in volume.entries(root)}
    assert names.keys() >= {"one", "holes"}
    inside = volume.entries(volume.inode(names["one"].key))
    files = {entry.name: volume.inode(entry.key) for entry in inside}
    assert volume.read(files["file1"], 0, 100) == b"content 1\n"
    assert files["large"].size == 12345
    assert volume.intent_log is not None and volume.intent_log.state == "clean"
