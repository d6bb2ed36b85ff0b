"""pycdlib sees every tree as it is: by Rock Ridge, in Joliet, in plain ISO 9660."""

from __future__ import annotations

import datetime
import io
import os
import stat
from collections.abc import Iterator
from typing import Any, NamedTuple

import pycdlib
from hypothesis import given, settings
from hypothesis import strategies as st
from support.iso_image import SECOND, Tree

from udffs.commit.bridge.names import iso_names, joliet_names
from udffs.commit.bridge.tree import Item

DEVICES = [os.makedev(*both) for both in ((4, 64), (0, 0), (8, 255), (259, 300), (5000, 1))]

NAMES = st.one_of(
    st.text(st.sampled_from("aAbB._-; "), min_size=1, max_size=10),
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=40
    ),
    st.text(st.sampled_from("nNß中\U0001f600."), min_size=60, max_size=255),
).filter(lambda name: name not in (".", "..") and len(name.encode()) <= 255)

PARTS = st.lists(st.sampled_from([1, 2, 4]), max_size=4)
TARGETS = st.one_of(
    st.text(st.sampled_from("a./"), min_size=1, max_size=30),
    st.text(st.sampled_from("ab./中"), min_size=200, max_size=340),
    st.sampled_from(["/", "//", ".", "..", "../..", "/.", "a//b/", "x" * 1023, "a/" * 511]),
)

# (which directory, name, kind, what is in it)
STEP = st.tuples(
    st.integers(0, 12),
    NAMES,
    st.one_of(
        st.just(("directory", None)),
        st.tuples(st.just("file"), PARTS),
        st.tuples(st.just("symlink"), TARGETS),
        st.tuples(st.just("device"), st.sampled_from(DEVICES)),
        st.tuples(st.just("link"), st.integers(0, 20)),
        st.tuples(st.just("special"), st.sampled_from([stat.S_IFIFO, stat.S_IFSOCK])),
    ),
)


class Seen(NamedTuple):
    mode: int
    content: bytes = b""
    target: str = ""
    mtime: int = 0
    atime: int = 0
    ctime: int = 0
    uid: int = 0
    gid: int = 0
    links: int = 0
    serial: int = 0
    device: tuple[int, int] = (0, 0)


def grown(steps: list[Any]) -> Tree:
    """A tree; names that are there already are passed over."""
    tree = Tree()
    directories, files = [tree.root], []
    for number, name, (kind, what) in steps:
        # Mostly the newest directories, so that it gets deep.
        parent = directories[-1 - number % min(len(directories), 4)]
        if any(child.name == name for child in parent.children):
            continue
        if kind == "directory" and depth(tree.root, parent) < 12:
            directories.append(tree.directory(parent, name))
        elif kind == "file":
            parts = [bytes([65 + n]) * 2048 * size for n, size in enumerate(what)]
            files.append(tree.file(parent, name, *parts, *([b"end"] if number % 2 else [])))
        elif kind == "symlink":
            tree.symlink(parent, name, what)
        elif kind == "device":
            tree.add(parent, name, (stat.S_IFCHR, stat.S_IFBLK)[number % 2] | 0o600, device=what)
        elif kind == "special":
            tree.add(parent, name, what | 0o644)
        elif kind == "link" and files:
            tree.link(parent, name, files[what % len(files)])
    return tree


def depth(root: Item, item: Item) -> int:
    if root is item:
        return 1
    below = (depth(child, item) for child in root.children if child.is_directory)
    return max((1 + found for found in below if found), default=0)


# -- what should be there ----------------------------------------------------------


def paths(root: Item, prefix: str = "/") -> Iterator[tuple[str, Item]]:
    for child in root.children:
        yield prefix + child.name, child
        yield from paths(child, f"{prefix}{child.name}/")


def floor(ns: int) -> int:
    return ns // SECOND


def wanted(tree: Tree) -> dict[str, Seen]:
    found = {}
    for path, item in paths(tree.root):
        links = item.links
        if item.is_directory:
            links = 2 + sum(child.is_directory for child in item.children)
        found[path] = Seen(
            item.mode,
            tree.bytes_of(item),
            item.target,
            floor(item.mtime),
            floor(item.atime),
            floor(item.ctime),
            item.uid,
            item.gid,
            links,
            item.serial,
            (os.major(item.device), os.minor(item.device)),
        )
    return found


def mapped(tree: Tree, how: str) -> dict[str, tuple[bool, bytes, int]]:
    """The tree by names as one of the other two views has them."""
    found = {}
    waiting = [("/", tree.root)]
    while waiting:
        prefix, directory = waiting.pop()
        items = directory.children
        if how == "joliet":
            items = [i for i in items if i.is_directory or stat.S_ISREG(i.mode)]
        make = {"iso": iso_names, "joliet": joliet_names}[how]
        kinds = [item.is_directory for item in items]
        for item, name in zip(items, make([i.name for i in items], kinds), strict=True):
            found[prefix + name] = (item.is_directory, tree.bytes_of(item), floor(item.mtime))
            waiting.append((f"{prefix}{name}/", item))
        waiting = [pair for pair in waiting if pair[1].is_directory]
    return found


# -- what pycdlib sees ---------------------------------------------------------------


def opened(image: bytes) -> pycdlib.PyCdlib:
    iso = pycdlib.PyCdlib()
    iso.open_fp(io.BytesIO(image))
    return iso


def records(iso: pycdlib.PyCdlib, how: str) -> Iterator[tuple[str, str, Any]]:
    """(path by identifiers, path by Rock Ridge, record), once for each name."""
    option = {"rr": "iso_path", "iso": "iso_path", "joliet": "joliet_path"}[how]
    waiting = [("/", "/")]
    while waiting:
        path, named = waiting.pop()
        seen = set()
        for record in iso.list_children(**{option: path}):
            if record.is_dot() or record.is_dotdot():
                continue
            identifier = record.file_identifier().decode(
                "utf-16-be" if how == "joliet" else "ascii"
            )
            if identifier in seen:
                continue  # one more section
            seen.add(identifier)
            name = record.rock_ridge.name().decode() if how == "rr" else identifier
            yield path + identifier, named + name, record
            if record.is_dir():
                waiting.append((f"{path}{identifier}/", f"{named}{name}/"))


def content(iso: pycdlib.PyCdlib, record: Any, **path: str) -> bytes:
    if not record.is_file() or (record.rock_ridge and record.rock_ridge.is_symlink()):
        return b""
    data = io.BytesIO()
    iso.get_file_from_iso_fp(data, **path)
    return data.getvalue()


def seconds(date: Any) -> int:
    at = datetime.datetime(
        1900 + date.years_since_1900,
        date.month,
        date.day_of_month,
        date.hour,
        date.minute,
        date.second,
        tzinfo=datetime.timezone(datetime.timedelta(minutes=15 * date.gmtoffset)),
    )
    return int(at.timestamp())


def by_rock_ridge(iso: pycdlib.PyCdlib) -> dict[str, Seen]:
    view = {}
    for path, named, record in records(iso, "rr"):
        rock_ridge = record.rock_ridge
        entries = rock_ridge.dr_entries
        px, tf, pn = entries.px_record, entries.tf_record, entries.pn_record
        mode = px.posix_file_mode
        device = (0, 0)
        if pn is not None:
            device = linux_device(pn.dev_t_high, pn.dev_t_low)
        link = stat.S_ISLNK(mode)
        # pycdlib has the bits of modify and access the other way round (RRIP 4.1.6).
        modify, access = tf.access_time, tf.modification_time
        assert seconds(record.date) == seconds(modify)
        view[named] = Seen(
            mode,
            content(iso, record, iso_path=path) if stat.S_ISREG(mode) else b"",
            # pycdlib shows nothing of a root component that stands alone.
            rock_ridge.symlink_path().decode() or "/" if link else "",
            seconds(modify),
            seconds(access),
            seconds(tf.attribute_change_time),
            px.posix_user_id,
            px.posix_group_id,
            px.posix_file_links,
            px.posix_serial_number,
            device,
        )
    return view


def linux_device(high: int, low: int) -> tuple[int, int]:
    """As Linux' isofs takes it (fs/isofs/rock.c)."""
    if low & ~0xFF and high == 0:
        return low >> 8, low & 0xFF
    return high, low


def by_identifiers(iso: pycdlib.PyCdlib, how: str) -> dict[str, tuple[bool, bytes, int]]:
    option = "joliet_path" if how == "joliet" else "iso_path"
    view = {}
    for path, _, record in records(iso, how):
        data = content(iso, record, **{option: path})
        view[path.removesuffix(";1")] = (record.is_dir(), data, seconds(record.date))
    return view


# -- the tests -----------------------------------------------------------------------


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.lists(STEP, max_size=30))
def test_pycdlib_sees_what_is_there(steps: list[Any]) -> None:
    tree = grown(steps)
    iso = opened(tree.image())
    assert by_rock_ridge(iso) == wanted(tree)
    assert by_identifiers(iso, "iso") == mapped(tree, "iso")
    assert by_identifiers(iso, "joliet") == mapped(tree, "joliet")
    iso.close()


def test_deep_directories_and_long_names() -> None:
    tree = Tree()
    at = tree.root
    for level in range(14):
        at = tree.directory(at, f"level {level} " + "ж" * 120)
        tree.file(at, "ü" * 127 + "x", b"content of %d" % level)
    iso = opened(tree.image())
    assert by_rock_ridge(iso) == wanted(tree)
    assert by_identifiers(iso, "joliet") == mapped(tree, "joliet")


def test_a_directory_of_5000() -> None:
    tree = Tree()
    for number in range(5000):
        tree.file(None, f"a name of some length, number {number}.data", b"%d" % number)
    iso = opened(tree.image())
    assert by_rock_ridge(iso) == wanted(tree)
    assert by_identifiers(iso, "joliet") == mapped(tree, "joliet")


def test_an_image_that_begins_behind_others() -> None:
    """All addresses count from the start of the disc."""
    tree = Tree()
    tree.file(tree.directory(None, "d"), "f" * 240, b"one", b"")
    tree.file(None, "g", b"2" * 2048, b"3")
    image = tree.image(first=5000)
    iso = opened(image[: 19 * 2048] + bytes(5000 * 2048) + image[19 * 2048 :])
    assert by_rock_ridge(iso) == wanted(tree)
