"""isoinfo, xorriso, 7zz and Linux read what the bridge makes of trees that are hard on
readers: each sees every name, byte, attribute and time, as far as it can tell at all."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import machine
from support.iso_image import Tree, write
from support.iso_kernel import ISO_WAYS, Mount, as_isofs, kernel_views
from support.iso_strangers import as_isoinfo, as_xorriso, isoinfo, seven_zip, xorriso
from support.iso_views import (
    Seen,
    View,
    compare,
    compare_mapped,
    seen,
    with_same,
    without_posix,
)

from udffs.commit.bridge.tree import Item

pytestmark = [pytest.mark.strangers]
BLOCK = 2048


def kinds() -> Tree:
    """All kinds of things, and targets of all kinds."""
    tree = Tree()
    below = tree.directory(None, "a directory")
    first = tree.file(below, "first name", b"one file\n", mode=0o604)
    tree.link(None, "second name", first)
    tree.link(below, "third name", first)
    tree.file(None, "empty")
    tree.directory(None, "no files")
    tree.add(None, "fifo", stat.S_IFIFO | 0o620)
    tree.add(None, "tty", stat.S_IFCHR | 0o600, device=os.makedev(4, 64))
    tree.add(None, "disk", stat.S_IFBLK | 0o600, device=os.makedev(8, 255))
    targets = (
        "/",
        "..",
        "../..",
        "/usr/x",
        "a/../b",
        "ü" * 200,
        "/" + "y" * 255 + "/z",
        "x" * 1023,
    )
    for number, target in enumerate((*targets, "ab/" * 300 + "c")):
        tree.symlink(below, f"link {number}", target)
    return tree


def deep() -> Tree:
    tree = Tree()
    at = tree.root
    for level in range(12):
        at = tree.directory(at, f"level {level}")
        tree.file(at, f"content {level}", b"%d" % level * 3000)
    return tree


def long_names() -> Tree:
    tree = Tree()
    at = tree.root
    for number, letter in enumerate(("n", "ü", "中", "\U0001f600")):
        size = len(letter.encode())
        for length in (100, 180, 253 // size * size):
            tree.file(at, letter * (length // size - 1) + "x" * (size - 1) + "E", b"%d" % length)
        at = tree.directory(at, f"{number}" + "d" * 200)
    return tree


def longest_names() -> Tree:
    """Names of 254 and 255 bytes, which Linux cuts off."""
    tree = Tree()
    tree.file(None, "n" * 255, b"1")
    tree.file(None, "ü" * 127, b"2")
    tree.file(tree.directory(None, "中" * 85), "m" * 254 + "M", b"3")
    return tree


def sections() -> Tree:
    tree = Tree()
    tree.file(None, "many", *(bytes([number]) * BLOCK * (1 + number % 3) for number in range(90)))
    tree.file(None, "two", b"1" * BLOCK, b"2")
    tree.file(None, "long " * 40, *(b"%d" % number * BLOCK for number in range(9)))
    tree.file(tree.directory(None, "below"), "one", b"3" * BLOCK * 20)
    return tree


def crowd(count: int = 5000) -> Tree:
    tree = Tree()
    for number in range(count):
        tree.file(None, f"a name of some length with the number {number}.data", b"%d" % number)
    return tree


def look_alikes() -> Tree:
    """Names that differ in case only, in their normalization, behind 64 characters."""
    tree = Tree()
    for name in (
        "makefile",
        "Makefile",
        "MAKEFILE",
        "é.txt",
        "a_b",
        "a b",
        "A.b",
        "ß",
        "ss",
        "a.b.",
        "x...",
    ):
        tree.file(None, name, name.encode())
        other = unicodedata.normalize("NFD", name)
        if other != name:
            tree.file(None, other, other.encode())
    for end in "abc":
        tree.file(None, "p" * 90 + end + ".jpeg", end.encode())
        tree.file(None, f"what{ {'a': ':', 'b': '?', 'c': '*'}[end] }.txt", end.encode())
    return tree


TREES = [kinds, deep, long_names, longest_names, sections, crowd, look_alikes]


@pytest.fixture(params=TREES, ids=[make.__name__ for make in TREES])
def tree(request: pytest.FixtureRequest) -> Tree:
    made: Tree = request.param()
    return made


def wanted(tree: Tree) -> View:
    view: View = {}
    serials: dict[str, int] = {}
    for path, item in below(tree.root):
        view[path] = seen(
            item.mode,
            uid=item.uid,
            gid=item.gid,
            mtime=item.mtime,
            links=item.links,
            content=tree.bytes_of(item),
            target=item.target,
            device=(os.major(item.device), os.minor(item.device)),
        )
        serials[path] = item.serial
    return with_same(view, serials)


def below(directory: Item, prefix: str = "") -> Iterator[tuple[str, Item]]:
    for item in directory.children:
        yield prefix + item.name, item
        yield from below(item, f"{prefix}{item.name}/")


def joliet(tree: Tree) -> View:
    return without_posix(wanted(tree), links_as_files=False)


def in_joliet(wanted: View) -> Callable[[str], bool]:
    """What keeps its name: not what Joliet does not allow, or what Windows takes for the
    name beside it."""
    same = Counter(folded(path) for path in wanted)
    alike = {path.rpartition("/")[2] for path in wanted if same[folded(path)] > 1}
    odd = re.compile("[*/:;?\\\\\U00010000-\U0010ffff]|[. ]$")
    return lambda name: len(name) <= 64 and not odd.search(name) and name not in alike


def folded(path: str) -> tuple[str, str]:
    folder, _, name = path.rpartition("/")
    return folder, name.upper()


def test_isoinfo(tree: Tree, tmp_path: Path, program: Callable[[str], Path]) -> None:
    program("isoinfo")
    image = write(tree, tmp_path / "tree.iso")
    should = as_isoinfo(wanted(tree))
    # Each is read by a call of its own.
    some = [path for path, one in should.items() if one.kind == "file"][:25]
    view = isoinfo(image, read=some)
    compare(view, should, "isoinfo")
    assert any(one.sha256 for one in view.values())


def test_xorriso(tree: Tree, tmp_path: Path, program: Callable[[str], Path]) -> None:
    program("osirrox")
    if why := machine.why_not_root():
        pytest.skip(why)
    image = write(tree, tmp_path / "tree.iso")
    # It gives links no owner.
    should = {
        path: one._replace(uid=None, gid=None) if one.kind == "link" else one
        for path, one in as_xorriso(wanted(tree)).items()
    }
    compare(xorriso(image, tmp_path), should, "osirrox")


def test_seven_zip_reads_joliet(tree: Tree, tmp_path: Path, program: Callable[[str], Path]) -> None:
    program("7zz")
    image = write(tree, tmp_path / "tree.iso")
    should = joliet(tree)
    holds = in_joliet(should)
    compare_mapped(seven_zip(image, tmp_path), should, "7zz", holds)


@pytest.mark.vm
def test_linux(tmp_path: Path, kernel_vm: Callable[..., object]) -> None:
    """All trees under one root, so that one boot is enough; by Rock Ridge, Joliet, neither."""
    tree = Tree()
    for make in TREES:
        grafted = make() if make is not crowd else crowd(1200)  # the guest is slow
        for item in grafted.root.walk():
            item.serial += tree.serial + 1
        content = {number + tree.serial + 1: parts for number, parts in grafted.content.items()}
        grafted.root.name = make.__name__
        tree.root.children.append(grafted.root)
        tree.content |= content
        tree.serial += grafted.serial + 1
    image = write(tree, tmp_path / "tree.iso")
    mounts = [Mount("vda", "iso9660", options) for options in ISO_WAYS.values()]
    views = kernel_views(kernel_vm, mounts, tmp_path, disks=[image])  # type: ignore[arg-type]
    for view in views:
        assert isinstance(view, dict), view
    by_rock_ridge, by_joliet, plain = views
    assert isinstance(by_rock_ridge, dict) and isinstance(by_joliet, dict)
    assert isinstance(plain, dict)
    compare(by_rock_ridge, as_isofs(each_alone(wanted(tree))), "isofs")
    should = as_isofs(joliet(tree))
    compare_mapped(by_joliet, should, "isofs, Joliet", in_joliet(should))
    should = as_isofs(without_posix(wanted(tree), links_as_files=True))
    compare_mapped(plain, should, "isofs without both", lambda name: False)


def each_alone(view: View) -> dict[str, Seen]:
    """To isofs every name is a file of its own."""
    return {path: one._replace(same=None) for path, one in view.items()}
