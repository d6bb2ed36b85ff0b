"""Other people's programs read mastered images: every name, byte, link, mode and time."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.discs import DISC_NAMES, Disc
from support.iso_strangers import (
    as_isoinfo,
    as_xorriso,
    isoinfo,
    pycdlib_view,
    seven_zip,
    seven_zip_type,
    xorriso,
)
from support.iso_views import View, compare, compare_mapped, expected, joliet_holds
from support.machine import why_not_root
from support.trees import LABEL, awkward, files_only, mastered

from media.store import ImageStore
from udffs.cli.app import run
from udffs.volume import open_volume

pytestmark = [pytest.mark.strangers]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return awkward(tmp_path_factory.mktemp("host") / "tree")


@pytest.fixture(scope="module")
def image(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mastered(tree, tmp_path_factory.mktemp("image") / "tree.iso")


@pytest.fixture(scope="module")
def wanted(tree: Path) -> View:
    return expected(tree)


def test_isoinfo(program: Callable[[str], Path], image: Path, wanted: View) -> None:
    program("isoinfo")
    read = ["large", "sub/third name", "日本語.txt", ".hidden", "/".join(deep(13)) + "/here"]
    view = isoinfo(image, read=read)
    assert all(view[path].sha256 for path in read)
    compare(view, as_isoinfo(wanted), "isoinfo, by Rock Ridge")


def deep(levels: int) -> list[str]:
    return [f"level {level}" for level in range(1, levels + 1)]


def test_isoinfo_by_joliet(program: Callable[[str], Path], image: Path, wanted: View) -> None:
    program("isoinfo")
    plain = {
        path: one._replace(sha256=None, mtime=None) for path, one in files_only(wanted).items()
    }
    holds = joliet_holds(plain)
    compare_mapped(
        isoinfo(image, joliet=True),
        plain,
        "isoinfo, by Joliet",
        lambda name: name.isascii() and holds(name),
    )


def test_xorriso(program: Callable[[str], Path], image: Path, wanted: View, tmp_path: Path) -> None:
    if (why := why_not_root()) is not None:
        pytest.skip(why)
    program("xorriso")
    compare(xorriso(image, tmp_path), no_owners_of_links(as_xorriso(wanted)), "xorriso")


def no_owners_of_links(view: View) -> View:
    """osirrox gives links no owner."""
    return {
        path: one._replace(uid=None, gid=None) if one.kind == "link" else one
        for path, one in view.items()
    }


def test_7zz(program: Callable[[str], Path], image: Path, wanted: View, tmp_path: Path) -> None:
    program("7zz")
    # It takes no UDF volume that has symbolic links.
    assert seven_zip_type(image) == "Iso"
    plain = files_only(wanted)
    compare_mapped(seven_zip(image, tmp_path), plain, "7zz", joliet_holds(plain))


def test_7zz_by_udf(program: Callable[[str], Path], tmp_path: Path) -> None:
    program("7zz")
    tree = awkward(tmp_path / "tree")
    for path in tree.rglob("*"):
        if path.is_symlink():
            path.unlink()
    image = mastered(tree, tmp_path / "tree.iso")
    assert seven_zip_type(image) == "Udf"
    compare(seven_zip(image, tmp_path), files_only(expected(tree)), "7zz")


def test_udfinfo_has_nothing_to_say_against_it(
    program: Callable[[str], Path], image: Path, wanted: View
) -> None:
    done = subprocess.run([program("udfinfo"), image], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if line[:5] != "start")
    assert told["label"] == LABEL
    assert told["integrity"] == "closed"
    files = {one.same for one in wanted.values() if one.kind != "directory"}
    assert int(told["numfiles"]) == len(files)
    directories = sum(one.kind == "directory" for one in wanted.values())
    assert int(told["numdirs"]) == 1 + directories
    assert re.search(r"^start=257, blocks=(\d+), type=PSPACE$", done.stdout, re.MULTILINE)


LEFT_OUT = ("socket", "character device", "block device")


@pytest.mark.parametrize("name", DISC_NAMES)
def test_an_exported_disc_is_the_disc(
    program: Callable[[str], Path], written: dict[str, Disc], name: str, tmp_path: Path
) -> None:
    program("isoinfo")
    disc = written[name]
    file = tmp_path / "disc.iso"
    assert run(["export", str(disc.image), str(file)]) == 0
    volume = open_volume(ImageStore(disc.image))
    on_disc = expected(volume)
    wanted = {path: one for path, one in on_disc.items() if one.kind not in LEFT_OUT}
    assert wanted
    exported = open_volume(ImageStore(file))
    assert exported.label == volume.label
    compare(expected(exported), wanted, "our reader", tick=1000)
    compare(pycdlib_view(file, "rr"), wanted, "pycdlib, by Rock Ridge")
    compare(isoinfo(file), as_isoinfo(wanted), "isoinfo")


@pytest.mark.parametrize("name", ["small-201-open", "many-150-closed"])
def test_strangers_read_an_exported_disc(
    program: Callable[[str], Path], written: dict[str, Disc], name: str, tmp_path: Path
) -> None:
    if (why := why_not_root()) is not None:
        pytest.skip(why)
    program("xorriso")
    program("7zz")
    disc = written[name]
    file = tmp_path / "disc.iso"
    assert run(["export", str(disc.image), str(file)]) == 0
    on_disc = expected(open_volume(ImageStore(disc.image)))
    wanted = {path: one for path, one in on_disc.items() if one.kind not in LEFT_OUT}
    compare(xorriso(file, tmp_path), as_xorriso(wanted), "xorriso")
    plain = files_only(wanted)
    compare_mapped(seven_zip(file, tmp_path), plain, "7zz", joliet_holds(plain))


def test_an_iso_without_udf_is_exported_too(
    program: Callable[[str], Path], tree: Path, wanted: View, tmp_path: Path
) -> None:
    disc, file = tmp_path / "disc.img", tmp_path / "disc.iso"
    made = [
        program("xorriso"),
        "-as",
        "mkisofs",
        "-quiet",
        "-R",
        "-J",
        "--hardlinks",
        "-V",
        "OF_OTHERS",
    ]
    subprocess.run([*made, "-o", disc, tree], check=True, capture_output=True)
    assert run(["export", str(disc), str(file)]) == 0
    exported = open_volume(ImageStore(file))
    assert exported.label == "OF_OTHERS"
    compare(expected(exported), wanted, "our reader")
