"""The strangers' views and their comparison, proved on images that other programs
make: what is right is found right, and every kind of damage is seen."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support import machine
from support.iso_kernel import ISO_WAYS, Mount, as_isofs, kernel_views
from support.iso_strangers import (
    as_isoinfo,
    isoinfo,
    pycdlib_view,
    seven_zip,
    seven_zip_type,
    xorriso,
)
from support.iso_views import (
    SECOND,
    Seen,
    View,
    compare,
    compare_mapped,
    differences,
    expected,
    without_posix,
)

pytestmark = [
    pytest.mark.strangers,
    pytest.mark.skipif(bool(machine.why_not_root()), reason="only root makes devices and owners"),
]

SOME = 1_794_571_200  # seconds since 1970


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every kind of thing that an ISO image can hold."""
    root = tmp_path_factory.mktemp("made") / "tree"
    deep = root / "/".join(f"level {number}" for number in range(7))
    deep.mkdir(parents=True)
    (root / "empty").mkdir()
    (deep / "bottom").write_bytes(b"the bottom")
    (root / "plain.txt").write_bytes(b"hello\n")
    (root / "large").write_bytes(bytes(range(256)) * 4000 + b"end")
    (root / "nothing").touch()
    (root / "naïve ü 日本.txt").write_bytes(b"names")
    (root / ("n" * 90 + ".txt")).write_bytes(b"a name that Joliet cannot hold")
    (root / "second").hardlink_to(root / "plain.txt")
    (root / "relative").symlink_to("../rel/x")
    (root / "absolute").symlink_to("/abs/olute")
    # (Of a longer one genisoimage makes records that nobody can read.)
    (root / "long").symlink_to("/".join(f"component {number}" for number in range(7)))
    os.mkfifo(root / "fifo")
    os.mknod(root / "null", 0o020666, os.makedev(1, 3))
    os.chown(root / "large", 1000, 2000)
    (root / "large").chmod(0o4750)
    for number, path in enumerate(sorted(root.rglob("*"), key=lambda path: -len(path.parts))):
        os.utime(path, (SOME + number, SOME + number), follow_symlinks=False)
    return root


def make(program: str, tree: Path, image: Path) -> Path:
    words = {
        # (Its device numbers are others than xorriso's.)
        "genisoimage": [
            "genisoimage",
            "-input-charset",
            "utf-8",
            "-D",
            "-cache-inodes",
            "-m",
            "null",
        ],
        "xorriso": ["xorriso", "-as", "mkisofs", "--hardlinks"],
    }[program]
    subprocess.run(
        [*words, "-quiet", "-J", "-R", "-o", str(image), str(tree)],
        check=True,
        capture_output=True,
    )
    return image


@pytest.fixture(scope="module", params=["genisoimage", "xorriso"])
def image(
    request: pytest.FixtureRequest,
    tree: Path,
    program: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    for name in ("genisoimage", "xorriso", "osirrox", "isoinfo", "7zz"):
        program(name)
    return make(request.param, tree, tmp_path_factory.mktemp("image") / f"{request.param}.iso")


def wanted_of(image: Path, tree: Path) -> View:
    """What is on such an image."""
    view = expected(tree)
    if image.stem == "genisoimage":  # which knows no serial numbers: who shares is not told
        del view["null"]
        linked = ("plain.txt", "second")
        return {
            p: o._replace(same=None, links=None if p in linked else 1)
            if o.kind != "directory"
            else o
            for p, o in view.items()
        }
    return view


def holds(name: str) -> bool:
    """What both programs leave alone in Joliet."""
    return len(name) <= 64


def joliet(tree: Path) -> View:
    """The tree without Rock Ridge; both programs leave out what is no file."""
    return without_posix(expected(tree), links_as_files=False)


def files_and_directories(view: View) -> View:
    """Without the empty files that genisoimage makes of links and devices."""
    odd = ("relative", "absolute", "long", "fifo", "null")
    return {path: one for path, one in view.items() if path not in odd}


def test_isoinfo(image: Path, tree: Path) -> None:
    files = [path for path, one in wanted_of(image, tree).items() if one.kind == "file"]
    view = isoinfo(image, read=files)
    assert sum(one.sha256 is not None for one in view.values()) == len(files)
    compare(view, as_isoinfo(wanted_of(image, tree)), f"isoinfo of {image.name}")


def test_isoinfo_joliet(image: Path, tree: Path) -> None:
    view = files_and_directories(isoinfo(image, joliet=True))
    latin = lambda name: name.encode("latin-1", "replace").decode("latin-1").replace("?", "_")  # noqa: E731
    compare_mapped(view, joliet(tree), f"isoinfo -J of {image.name}", holds, fold=latin)


def test_xorriso(image: Path, tree: Path, tmp_path: Path) -> None:
    compare(xorriso(image, tmp_path), wanted_of(image, tree), f"osirrox of {image.name}")


def test_seven_zip(image: Path, tree: Path, tmp_path: Path) -> None:
    assert seven_zip_type(image) == "Iso"
    view = files_and_directories(seven_zip(image, tmp_path))
    compare_mapped(view, joliet(tree), f"7zz of {image.name}", holds)


def test_pycdlib(image: Path, tree: Path) -> None:
    compare(pycdlib_view(image, "rr"), wanted_of(image, tree), f"pycdlib of {image.name}")
    view = files_and_directories(pycdlib_view(image, "joliet"))
    compare_mapped(view, joliet(tree), f"pycdlib, Joliet of {image.name}", holds)


@pytest.mark.vm
def test_the_kernel(
    image: Path, tree: Path, tmp_path: Path, kernel_vm: Callable[..., object]
) -> None:
    mounts = [Mount("vda", "iso9660", options) for options in ISO_WAYS.values()]
    by_rock_ridge, by_joliet, plain = kernel_views(
        kernel_vm,
        mounts,
        tmp_path,
        disks=[image],  # type: ignore[arg-type]
    )
    assert isinstance(by_rock_ridge, dict), by_rock_ridge
    compare(by_rock_ridge, as_isofs(wanted_of(image, tree)), f"isofs of {image.name}")
    assert isinstance(by_joliet, dict), by_joliet
    view = files_and_directories(by_joliet)
    compare_mapped(view, as_isofs(joliet(tree)), f"isofs, Joliet of {image.name}", holds)
    assert isinstance(plain, dict), plain
    wanted = as_isofs(without_posix(wanted_of(image, tree), links_as_files=True))
    if image.stem == "genisoimage":  # where links have the time of making the image
        plain, wanted = timeless(plain), timeless(wanted)
    compare_mapped(plain, wanted, f"isofs without both of {image.name}", lambda name: False)


def timeless(view: View) -> View:
    return {path: one._replace(mtime=None) for path, one in view.items()}


# -- damage ---------------------------------------------------------------------------


def spoiled(image: Path, to: Path, old: bytes, new: bytes, *, count: int | None = None) -> Path:
    """A copy in which some bytes are others."""
    data = image.read_bytes()
    assert old in data and len(old) == len(new)
    to.write_bytes(data.replace(old, new) if count is None else data.replace(old, new, count))
    return to


def recorded(seconds: int) -> bytes:
    """A time as it stands in a directory record (ECMA-119 9.1.5)."""
    year, month, day, hour, minute, second = (
        int(part)
        for part in subprocess.run(
            ["date", "-u", "-d", f"@{seconds}", "+%Y %m %d %H %M %S"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
    )
    return bytes([year - 1900, month, day, hour, minute, second])


DAMAGE: dict[str, tuple[bytes, bytes]] = {
    "a byte of a file": (b"the bottom", b"the bot_om"),
    "a name": (b"nothing", b"no-hing"),
    "a target of a link": (b"olute", b"olUte"),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_every_reader_sees(what: str, image: Path, tree: Path, tmp_path: Path) -> None:
    bad = spoiled(image, tmp_path / "bad.iso", *DAMAGE[what])
    wanted = wanted_of(image, tree)
    for reader in (
        lambda: isoinfo(bad, read=[path for path in wanted if path.endswith("bottom")]),
        lambda: xorriso(bad, tmp_path),
        lambda: pycdlib_view(bad, "rr"),
    ):
        told = differences(as_isoinfo(reader()), as_isoinfo(wanted))
        assert 1 <= len(told) <= 2, told


def test_a_wrong_time_is_seen(image: Path, tree: Path, tmp_path: Path) -> None:
    moment = int((tree / "large").stat().st_mtime)
    bad = spoiled(image, tmp_path / "bad.iso", recorded(moment), recorded(moment + 1))
    for view in (xorriso(bad, tmp_path), pycdlib_view(bad, "rr")):
        told = differences(view, wanted_of(image, tree))
        assert told == [f"'large': mtime is {moment + 1} s, not {moment} s"]
    with pytest.raises(AssertionError, match="'large': mtime is"):
        view = files_and_directories(seven_zip(bad, tmp_path))
        compare_mapped(view, joliet(tree), "7zz", holds)


def test_a_lost_name_is_seen(image: Path, tree: Path, tmp_path: Path) -> None:
    """An image of a tree that has a file less, and one more."""
    other = tmp_path / "other"
    shutil.copytree(tree, other, symlinks=True, ignore=lambda *_: ["fifo", "null", "large"])
    (other / "empty" / "new").write_bytes(b"new")
    short = make(image.stem, other, tmp_path / "short.iso")
    told = differences(pycdlib_view(short, "rr"), wanted_of(image, tree))
    assert {"'large' is missing", "'empty/new' should not be there"} <= set(told)
    with pytest.raises(AssertionError) as caught:
        view = files_and_directories(pycdlib_view(short, "joliet"))
        compare_mapped(view, joliet(tree), "pycdlib", holds)
    assert "'large' is missing" in str(caught.value)
    assert "'empty/new' should not be there" in str(caught.value)


# -- the comparison itself, on views made by hand ---------------------------------------


def a_file(content: str, **more: int) -> Seen:
    return Seen("file", len(content), content, **more)  # type: ignore[arg-type]


def test_names_that_were_mapped_are_recognized_by_what_is_there() -> None:
    wanted = {"a:b": a_file("one"), "c:d": a_file("two"), "x:": Seen("directory")}
    wanted["x:/y"] = a_file("three")
    view = {"a_b": a_file("one"), "c_d": a_file("two"), "x_": Seen("directory")}
    view["x_/y"] = a_file("three")

    def without_colon(name: str) -> bool:
        return ":" not in name

    compare_mapped(view, wanted, "by hand", without_colon)
    for path, wrong in {"a_b": a_file("two"), "x_/y": a_file("four"), "z": a_file("")}.items():
        with pytest.raises(AssertionError, match="differences"):
            compare_mapped({**view, path: wrong}, wanted, "by hand", without_colon)
    for path in view:
        if path != "x_":
            less = {name: one for name, one in view.items() if name != path}
            with pytest.raises(AssertionError, match="missing"):
                compare_mapped(less, wanted, "by hand", without_colon)


def test_what_a_reader_cannot_tell_is_not_held_against_it() -> None:
    wanted = {"a": Seen("file", 3, "x", 0o644, 0, 0, 5 * SECOND + 7, 1)}
    assert differences({"a": Seen("file", 3, mtime=5 * SECOND)}, wanted) == []
    assert differences({"a": Seen("file", 3, mtime=5 * SECOND)}, wanted, tick=1) != []
    assert differences({"a": Seen("directory")}, wanted) == ["'a': kind is 'directory', not 'file'"]
    assert differences({"a": wanted["a"]._replace(mode=0o600)}, wanted) == [
        "'a': mode is 600, not 644"
    ]
