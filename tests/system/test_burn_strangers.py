"""Discs that `udffs burn` has written, read by other people's programs: the first
session, and one behind it that shows the files of both."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import pytest
from support.iso_kernel import Mount, as_isofs, kernel_views
from support.iso_strangers import (
    as_isoinfo,
    as_xorriso,
    isoinfo,
    pycdlib_view,
    seven_zip,
    xorriso,
)
from support.iso_views import View, compare, expected, without_posix
from support.machine import why_not_root
from vm.iscsi import serve

from media import discovery, virtual
from udffs.cli.app import run

pytestmark = [pytest.mark.strangers]

SOME = 1_794_571_200 * 10**9
MODES = ("tao", "sao")


class Burnt(NamedTuple):
    """A disc of two sessions; the views are what each has to show."""

    image: Path
    second_start: int
    first: View
    both: View


def tree(root: Path) -> Path:
    """What every reader can hold, but for what is only in Rock Ridge and UDF."""
    deep = root / "/".join(f"level{number}" for number in range(9))
    deep.mkdir(parents=True)
    (deep / "bottom").write_bytes(b"the bottom")
    (root / "empty").mkdir()
    (root / "nothing").touch()
    (root / ".hidden").write_bytes(b"hidden")
    (root / "large.bin").write_bytes(bytes(range(256)) * 20_000 + b"end")
    (root / "naïve ü.txt").write_bytes(b"names")
    (root / "second name").hardlink_to(root / ".hidden")
    (root / "link").symlink_to("level0/level1")
    (root / "large.bin").chmod(0o750)
    stamp(root)
    return root


def stamp(root: Path) -> None:
    for number, path in enumerate(sorted(root.rglob("*"), key=lambda path: -len(path.parts))):
        os.utime(path, ns=(SOME, SOME + number * 10**9), follow_symlinks=False)


@pytest.fixture(scope="module", params=MODES)
def burnt(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Burnt:
    folder = tmp_path_factory.mktemp(request.param)
    with user(folder):
        image = folder / "disc.img"
        one, two = tree(folder / "one"), folder / "two"
        (two / "level0").mkdir(parents=True)
        (two / "level0" / "added").write_bytes(b"added" * 1000)
        (two / "large.bin").write_bytes(b"new")
        (two / "nothing more").write_bytes(b"x" * 2048)
        stamp(two)
        udffs("new", image)
        udffs("stage", "add", *one.iterdir())
        udffs("burn", image, "--label", "First", f"--{request.param}")
        udffs("stage", "add", *two.iterdir(), "--copy")
        udffs("burn", image, "--label", "Second")
        store = discovery.open_block_store(str(image), writable=False)
        start = store.sessions[-1].start
        store.close()
    return Burnt(image, start, expected(one), {**expected(one), **expected(two)})


class user:  # noqa: N801 (a context manager)
    """Settings of somebody who has none."""

    def __init__(self, folder: Path) -> None:
        self._patch = pytest.MonkeyPatch()
        (folder / "settings.toml").write_text('stash = "stash"\n')
        self._patch.setenv("UDFFS_SETTINGS", str(folder / "settings.toml"))
        self._patch.setenv("XDG_STATE_HOME", str(folder / "state"))

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self._patch.undo()


def udffs(*words: object) -> None:
    assert run([str(word) for word in words]) == 0


FILES = [".hidden", "large.bin", "nothing", "/".join(f"level{n}" for n in range(9)) + "/bottom"]


def test_isoinfo(program: Callable[[str], Path], burnt: Burnt) -> None:
    program("isoinfo")
    view = isoinfo(burnt.image, read=FILES)
    assert view["large.bin"].sha256 == burnt.first["large.bin"].sha256
    compare(view, as_isoinfo(burnt.first), "isoinfo, first session")
    view = isoinfo(burnt.image, read=[*FILES, "level0/added"], start=burnt.second_start)
    assert view["large.bin"].size == 3 and view["level0/added"].sha256
    compare(view, as_isoinfo(burnt.both), "isoinfo, second session")


def test_xorriso(program: Callable[[str], Path], burnt: Burnt, tmp_path: Path) -> None:
    if (why := why_not_root()) is not None:
        pytest.skip(why)
    program("xorriso")
    compare(xorriso(burnt.image, tmp_path), as_xorriso(burnt.first), "xorriso, first session")
    view = xorriso(burnt.image, tmp_path, start=burnt.second_start)
    compare(view, as_xorriso(burnt.both), "xorriso, second session")


def test_pycdlib(burnt: Burnt) -> None:
    compare(pycdlib_view(burnt.image, "rr"), burnt.first, "pycdlib, first session")
    view = pycdlib_view(burnt.image, "rr", start=burnt.second_start)
    compare(view, burnt.both, "pycdlib, second session")


def test_7zz(program: Callable[[str], Path], burnt: Burnt, tmp_path: Path) -> None:
    program("7zz")
    plain = without_posix(burnt.first, links_as_files=False)
    wanted = {path: one for path, one in plain.items() if one.kind in ("file", "directory")}
    compare(seven_zip(burnt.image, tmp_path), wanted, "7zz")


def test_udfinfo(program: Callable[[str], Path], burnt: Burnt) -> None:
    done = subprocess.run(
        [program("udfinfo"), burnt.image], capture_output=True, text=True, check=True
    )
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert told["label"] == "First" and told["integrity"] == "closed"


@pytest.mark.vm
def test_the_kernel(burnt: Burnt, tmp_path: Path, kernel_vm: Callable[..., object]) -> None:
    mounts = [
        Mount("vda", "iso9660"),
        Mount("vda", "udf"),
        Mount("vda", "iso9660", f"sbsector={burnt.second_start}"),
        Mount("sr0", "iso9660"),
        Mount("sr0", "udf"),
    ]
    with closing(virtual.open_burner(burnt.image, writable=False)) as burner, ExitStack() as stack:
        views = kernel_views(
            kernel_vm,  # type: ignore[arg-type]
            mounts,
            tmp_path,
            disks=[burnt.image],
            burners=[stack.enter_context(serve(burner.execute))],
        )
    iso, udf, second, drive, drive_udf = views
    assert isinstance(iso, dict) and isinstance(udf, dict) and isinstance(second, dict)
    assert isinstance(drive, dict), drive
    # The second session is none of UDF's: its driver says so, and the other one is taken.
    assert "No anchor found" in str(drive_udf)
    compare(iso, as_isofs(burnt.first), "isofs, first session")
    compare(udf, burnt.first, "udf, first session")
    compare(second, as_isofs(burnt.both), "isofs, second session")
    compare(drive, as_isofs(burnt.both), "isofs of the drive, last session")
