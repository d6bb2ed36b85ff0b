"""What a reader sees of a disc, and whether that is what should be there.

A view is a dict of what a reader tells about each path; names are relative to
the root, with slashes. What a reader cannot tell is None, in both directions:
such fields are not compared.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from udffs.volume import Volume
from udffs.volume.model import Inode

SECOND = 10**9

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
}


class Seen(NamedTuple):
    """What a reader says of one path.

    ``mode`` is without the type, ``mtime`` in ns since 1970 as fine as the reader
    has it, ``sha256`` of a file in hex, ``target`` of a symbolic link, ``device``
    is (major, minor). ``size`` in bytes is None for all but files and links. ``same``
    is the first name, in order, of the file that this is a name of.
    """

    kind: str
    size: int | None = None
    sha256: str | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    mtime: int | None = None
    links: int | None = None
    target: str | None = None
    device: tuple[int, int] | None = None
    same: str | None = None


View = dict[str, Seen]


# -- what should be there ----------------------------------------------------------


def seen(
    mode: int,
    *,
    uid: int,
    gid: int,
    mtime: int,
    links: int,
    content: bytes | str = b"",
    size: int = 0,
    target: str = "",
    device: tuple[int, int] = (0, 0),
) -> Seen:
    """From the fields of stat(2); ``content`` are a file's bytes, or their SHA-256 and
    ``size``. A directory's links are left out: readers disagree on what they are."""
    kind = KINDS[stat.S_IFMT(mode)]
    if isinstance(content, bytes):
        size, content = len(content), hashlib.sha256(content).hexdigest()
    return Seen(
        kind,
        size=size if kind == "file" else len(target.encode()) if kind == "link" else None,
        sha256=content if kind == "file" else None,
        mode=stat.S_IMODE(mode),
        uid=uid,
        gid=gid,
        mtime=mtime,
        links=None if kind == "directory" else links,
        target=target if kind == "link" else None,
        device=device if kind.endswith("device") else None,
    )


def expected(tree: Path | Volume) -> View:
    """All below a directory of this machine, or on a volume as we read it ourselves."""
    view: View = {}
    inodes: dict[str, object] = {}
    if isinstance(tree, Path):
        for path in tree.rglob("*"):
            name = str(path.relative_to(tree))
            view[name], inodes[name] = _on_host(path), path.lstat().st_ino
        return with_same(view, inodes)
    waiting = [("", tree.inode(tree.root_key))]
    while waiting:
        prefix, folder = waiting.pop()
        for entry in tree.entries(folder):
            inode = tree.inode(entry.key)
            view[prefix + entry.name] = _on_volume(tree, inode)
            inodes[prefix + entry.name] = entry.key
            if stat.S_ISDIR(inode.mode):
                waiting.append((f"{prefix}{entry.name}/", inode))
    return with_same(view, inodes)


def with_same(view: View, inodes: Mapping[str, object]) -> View:
    """The view with ``same`` filled in; ``inodes`` are the same for names of one file."""
    first: dict[object, str] = {}
    for path in sorted(view):
        first.setdefault(inodes[path], path)
    return {
        path: one if one.kind == "directory" else one._replace(same=first[inodes[path]])
        for path, one in view.items()
    }


def _on_host(path: Path) -> Seen:
    found = path.lstat()
    return seen(
        found.st_mode,
        uid=found.st_uid,
        gid=found.st_gid,
        mtime=found.st_mtime_ns,
        links=found.st_nlink,
        content=path.read_bytes() if stat.S_ISREG(found.st_mode) else b"",
        target=str(path.readlink()) if stat.S_ISLNK(found.st_mode) else "",
        device=(os.major(found.st_rdev), os.minor(found.st_rdev)),
    )


def _on_volume(volume: Volume, inode: Inode) -> Seen:
    link = stat.S_ISLNK(inode.mode)
    return seen(
        inode.mode,
        uid=inode.uid,
        gid=inode.gid,
        mtime=inode.mtime,
        links=inode.links,
        content=volume.read(inode, 0, inode.size) if stat.S_ISREG(inode.mode) else b"",
        target=volume.readlink(inode) if link else "",
        device=(os.major(inode.device), os.minor(inode.device)),
    )


# -- comparing ----------------------------------------------------------------------


def differences(view: View, wanted: View, *, tick: int = SECOND) -> list[str]:
    """In words, what is not as it should be. Times are compared in units of ``tick`` ns."""
    told = [f"{path!r} is missing" for path in sorted(wanted.keys() - view.keys())]
    told += [f"{path!r} should not be there" for path in sorted(view.keys() - wanted.keys())]
    for path in sorted(view.keys() & wanted.keys()):
        told += _fields(repr(path), view[path], wanted[path], tick)
    return told


def _fields(where: str, found: Seen, wanted: Seen, tick: int) -> list[str]:
    told = []
    for name, is_, should in zip(Seen._fields, found, wanted, strict=True):
        if is_ is None or should is None:
            continue
        if name == "mtime":
            is_, should = _floor(is_, tick), _floor(should, tick)
        if is_ != should:
            told.append(f"{where}: {name} is {_shown(name, is_)}, not {_shown(name, should)}")
    return told


def _shown(name: str, value: object) -> str:
    if name == "mode":
        return f"{value:o}"
    if name == "mtime":
        assert isinstance(value, int)
        return f"{value // SECOND}" + (f" s {value % SECOND} ns" if value % SECOND else " s")
    text = repr(value)
    return text if len(text) < 80 else f"{text[:60]}... ({len(text)} letters)"


def complain(told: list[str], what: str) -> None:
    """Fails if there is anything to tell, with the first of it."""
    more = f"\n(and {len(told) - 25} more)" if len(told) > 25 else ""
    lines = [line if len(line) < 300 else f"{line[:140]}...{line[-140:]}" for line in told[:25]]
    assert not told, f"{what}, {len(told)} differences:\n" + "\n".join(lines) + more


def compare(view: View, wanted: View, what: str, *, tick: int = SECOND) -> None:
    """Fails with what ``what`` (a reader, a disc) sees wrong."""
    complain(differences(view, wanted, tick=tick), what)


# -- comparing where names are not what they were --------------------------------------


class _Folder:
    """A directory of a view, with what is in it."""

    def __init__(self, seen: Seen | None) -> None:
        self.seen = seen
        self.inside: dict[str, _Folder] = {}

    def print(self, blind: frozenset[str]) -> tuple[object, ...]:
        """The same for two that cannot be told apart but by their names."""
        fields = self.seen._asdict() if self.seen else {}
        own = tuple(value for name, value in fields.items() if name not in blind)
        inside = Counter(child.print(blind) for child in self.inside.values())
        return own, frozenset(inside.items())


def _tree(view: View) -> _Folder:
    root = _Folder(None)
    folders = {"": root}
    for path in sorted(view, key=lambda path: path.count("/")):
        folder, _, name = path.rpartition("/")
        folders[path] = folders[folder].inside[name] = _Folder(view[path])
    return root


def compare_mapped(
    view: View,
    wanted: View,
    what: str,
    holds: Callable[[str], bool],
    *,
    fold: Callable[[str], str] = lambda name: name,
    tick: int = SECOND,
) -> None:
    """As :func:`compare`, where only names that the format ``holds`` are to be
    found as they are, after ``fold``. The others must be there under some
    other name in the same directory, each once."""
    told: list[str] = []
    # What one of the two does not tell cannot be used to recognize anything.
    blind = frozenset(
        name
        for side in (view, wanted)
        for name in Seen._fields
        if any(getattr(one, name) is None and _ever(name, one.kind) for one in side.values())
    )
    rounded = {path: one._replace(mtime=_floor(one.mtime, tick)) for path, one in wanted.items()}
    pairs = [("", _tree(view), _tree(rounded))]
    while pairs:
        where, found, should = pairs.pop()
        pairs += _match(where, found, should, holds, fold, blind, tick, told)
    complain(told, what)


def _ever(name: str, kind: str) -> bool:
    """Whether anything of that kind has such a field at all."""
    return {
        "size": kind in ("file", "link"),
        "sha256": kind == "file",
        "target": kind == "link",
        "device": kind.endswith("device"),
        "links": kind != "directory",
        "same": kind != "directory",
    }.get(name, True)


def _floor(moment: int | None, tick: int) -> int | None:
    return None if moment is None else moment // tick * tick


def _match(
    where: str,
    found: _Folder,
    should: _Folder,
    holds: Callable[[str], bool],
    fold: Callable[[str], str],
    blind: frozenset[str],
    tick: int,
    told: list[str],
) -> Iterable[tuple[str, _Folder, _Folder]]:
    """Compares one directory; yields the directories in it, in pairs."""
    left = dict(found.inside)
    others: list[tuple[str, _Folder]] = []
    for name, child in should.inside.items():
        kept = left.pop(fold(name), None) if holds(name) else None
        if kept is not None and kept.seen and child.seen:
            told += _fields(repr(where + name), kept.seen, child.seen, tick)
            yield f"{where}{name}/", kept, child
        elif holds(name):
            told.append(f"{where + name!r} is missing")
        else:
            others.append((name, child))
    prints: dict[object, list[tuple[str, _Folder]]] = {}
    for name, child in left.items():
        prints.setdefault(child.print(blind), []).append((name, child))
    for name, child in others:
        same = prints.get(child.print(blind))
        if same:
            new, twin = same.pop()
            yield f"{where}{new}/", twin, child
        else:
            told.append(f"{where + name!r} is missing under any name")
    for rest in prints.values():
        told += [f"{where + name!r} should not be there" for name, _ in rest]


def without_posix(wanted: Mapping[str, Seen], *, links_as_files: bool) -> View:
    """What is left of a tree without Rock Ridge: no modes, owners, links, and
    whatever is neither file nor directory either as an empty file or not at all."""
    view: View = {}
    for path, one in wanted.items():
        if one.kind in ("file", "directory"):
            view[path] = Seen(one.kind, one.size, one.sha256, mtime=one.mtime)
        elif links_as_files:
            empty = hashlib.sha256(b"").hexdigest()
            view[path] = Seen("file", 0, empty, mtime=one.mtime)
    return view


def joliet_holds(shown: View) -> Callable[[str], bool]:
    """What is the same in Joliet: its characters and length, no dot or blank at the end, and
    no two names in a directory that differ in capital letters alone."""
    names = Counter((path.rpartition("/")[0], path.rpartition("/")[2].upper()) for path in shown)
    alike = {name for (_, name), count in names.items() if count > 1}

    def holds(name: str) -> bool:
        return (
            len(name) <= 64
            and all(" " <= letter <= "\uffff" and letter not in "*/:;?\\\x7f" for letter in name)
            and not name.endswith((".", " "))
            and name.upper() not in alike
        )

    return holds
