"""What an image is made of: a tree of names, and where their content comes from.

The tree is built before anything is written; content is read later, piece by
piece, when its blocks are due.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from udffs.commit.bridge.tree import Section
from udffs.errors import (
    EntryExistsError,
    ImageTooLargeError,
    NoSuchEntryError,
    SourceChangedError,
    UnreadableSourcesError,
)
from udffs.mastering.notes import Notes, name_list

__all__ = [
    "LEFT_OUT",
    "Content",
    "Source",
    "SourceTree",
    "check_size",
    "count_links",
    "from_paths",
    "new_blocks",
    "usable_text",
]


BLOCK = 2048

MOST_BLOCKS = 0xF0000000
"""Blocks of all content in an image; what describes it takes numbers as well."""

LEFT_OUT = "left out (sockets and device nodes)"


class Content(Protocol):
    """The bytes of a file, wherever they are."""

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes.

        Raises SourceChangedError if there are fewer, OSError, and what a volume raises.
        """
        ...

    def close(self) -> None:
        """Give back what reading needed; it may be read again."""
        ...


class Nothing:
    """The content of a file without any."""

    def read(self, offset: int, count: int) -> bytes:
        if count:
            raise SourceChangedError(name="a file", why="it has no content")
        return b""

    def close(self) -> None:
        pass


@dataclass(slots=True, eq=False)
class Source:
    """One name, as `udffs.commit.bridge.tree.Item`; what it holds is read from `content`.

    Names of one file have the same `serial`, `content` and `links`. With
    `sections` the content is on the disc that is being written already, and
    is not written again.
    """

    name: str
    mode: int
    uid: int = 0
    gid: int = 0
    links: int = 1
    serial: int = 0
    atime: int = 0
    mtime: int = 0
    ctime: int = 0
    size: int = 0
    target: str = ""
    device: int = 0
    children: list[Source] = field(default_factory=list)
    content: Content = field(default_factory=Nothing, repr=False)
    sections: tuple[Section, ...] = ()

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    def read(self, offset: int, count: int) -> bytes:
        """Exactly `count` bytes of a file from `offset` on; raises as Content.read."""
        return self.content.read(offset, count)

    def close(self) -> None:
        """Give back what reading needed."""
        self.content.close()

    def walk(self) -> Iterator[tuple[str, Source]]:
        """(path, source) of this one and all below it, each directory before what is
        in it. Paths are relative, "" is this one's."""
        waiting = [("", self)]
        while waiting:
            path, source = waiting.pop()
            yield path, source
            prefix = f"{path}/" if path else ""
            waiting.extend((prefix + child.name, child) for child in reversed(source.children))

    def find(self, path: str) -> Source | None:
        """What is at a relative path below this directory, None if nothing is."""
        found: Source = self
        for name in filter(None, path.split("/")):
            for child in found.children:
                if child.name == name:
                    found = child
                    break
            else:
                return None
        return found

    def directory(self, name: str) -> Source | None:
        """The directory of that name in this one."""
        return next((one for one in self.children if one.name == name and one.is_directory), None)


def usable_text(raw: str) -> str:
    """A name or target of the host as text that a disc can hold: bytes that are
    no UTF-8 (lone surrogates) become "%" and two digits."""
    try:
        raw.encode()
    except UnicodeEncodeError:
        data = raw.encode("utf-8", "surrogateescape" if _escaped(raw) else "surrogatepass")
        return "".join(_spelt(data))
    return raw


def _escaped(text: str) -> bool:
    """Whether all lone surrogates stand for bytes, as os.fsdecode makes them."""
    return all(
        not 0xD800 <= ord(character) <= 0xDFFF or 0xDC80 <= ord(character) <= 0xDCFF
        for character in text
    )


def _spelt(data: bytes) -> Iterator[str]:
    while data:
        try:
            yield data.decode()
            return
        except UnicodeDecodeError as error:
            yield data[: error.start].decode()
            yield f"%{data[error.start]:02X}"
            data = data[error.start + 1 :]


# -- files of the host ---------------------------------------------------------

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)


class HostContent:
    """A file of the host; opened at the first read."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.size = size
        self._file = -1

    def read(self, offset: int, count: int) -> bytes:
        if self._file < 0:
            self._open()
        os.lseek(self._file, offset, os.SEEK_SET)
        pieces = []
        left = count
        while left:
            piece = os.read(self._file, left)
            if not piece:
                raise SourceChangedError(name=self.path, why="it is shorter now")
            pieces.append(piece)
            left -= len(piece)
        if offset + count >= self.size:
            self._check()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _open(self) -> None:
        try:
            self._file = os.open(self.path, _FLAGS)
        except FileNotFoundError:
            raise SourceChangedError(name=self.path, why="it is gone") from None
        self._check()

    def _check(self) -> None:
        found = os.fstat(self._file)
        if not stat.S_ISREG(found.st_mode):
            raise SourceChangedError(name=self.path, why="it is another kind of file now")
        if found.st_size != self.size:
            why = f"it had {self.size} bytes and has {found.st_size} now"
            raise SourceChangedError(name=self.path, why=why)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


class SourceTree:
    """A tree in the making: paths of the host are added, then `finish` gives the root.

    Hidden files are taken along, symbolic links stay links, and names of one
    file stay names of one file. What no disc can hold (sockets, device nodes)
    is left out with a note. What cannot be read is collected; `finish` raises
    UnreadableSourcesError for all of it, unless it is to be skipped.
    """

    def __init__(self, *, skip_unreadable: bool = False, now: int = 0) -> None:
        self.root = Source("", stat.S_IFDIR | 0o755, atime=now, mtime=now, ctime=now)
        self.unreadable: list[str] = []
        self._skip = skip_unreadable
        self._notes = Notes()
        self._files: dict[tuple[int, int], Source] = {}
        self._names: dict[int, dict[str, Source]] = {}

    @property
    def notes(self) -> list[str]:
        """Sentences about what was left out or has another name."""
        return self._notes.sentences()

    def add(self, path: Path, *, name: str | None = None, into: Source | None = None) -> None:
        """Add a file, or a directory with all that is in it.

        `name` is what it will be called, by default as it is; a directory that
        is there already is merged with. Raises NoSuchEntryError, and
        EntryExistsError if there is another thing of that name.
        """
        where = self.root if into is None else into
        try:
            found = path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            raise NoSuchEntryError(name=path) from None
        except OSError as error:
            self._cannot(path, error)
            return
        wanted = path.absolute().name if name is None else name
        if stat.S_ISDIR(found.st_mode) and not wanted:
            self._fill(where, path)
            return
        self._add(where, path, wanted, found)

    def directory(self, path: str) -> Source:
        """The directory at a path below the root; made, like the root, where it is
        missing. Raises EntryExistsError if there is another thing of that name."""
        where = self.root
        for name in filter(None, path.split("/")):
            name = usable_text(name)
            there = self._names_in(where).get(name)
            if there is None:
                up = self.root
                there = Source(name, up.mode, atime=up.atime, mtime=up.mtime, ctime=up.ctime)
                where.children.append(there)
                self._names_in(where)[name] = there
            if not there.is_directory:
                raise EntryExistsError(name=path)
            where = there
        return where

    def finish(self) -> Source:
        """The root, with links counted; raises UnreadableSourcesError."""
        if self.unreadable and not self._skip:
            raise UnreadableSourcesError(names=name_list(self.unreadable))
        if self.unreadable:
            self._notes.group("left out because they cannot be read", self.unreadable)
            self.unreadable = []
        count_links(self.root)
        return self.root

    def _cannot(self, path: Path, error: OSError) -> None:
        self.unreadable.append(f"{usable_text(str(path))} ({error.strerror})")

    def _add(self, where: Source, path: Path, raw: str, found: os.stat_result) -> None:
        """Add one path and, if it is a directory, what is in it."""
        waiting = [(where, path, raw, found)]
        while waiting:
            where, path, raw, found = waiting.pop()
            source = self._make(where, path, raw, found)
            if source is None or not source.is_directory:
                continue
            waiting += [(source, *one) for one in reversed(self._listed(path))]

    def _fill(self, where: Source, path: Path) -> None:
        for inner, raw, found in self._listed(path):
            self._add(where, inner, raw, found)

    def _listed(self, path: Path) -> list[tuple[Path, str, os.stat_result]]:
        listed = []
        try:
            with os.scandir(path) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    try:
                        listed.append((path / entry.name, entry.name, os.lstat(entry.path)))
                    except OSError as error:
                        self._cannot(path / entry.name, error)
        except OSError as error:
            self._cannot(path, error)
        return listed

    def _make(self, where: Source, path: Path, raw: str, found: os.stat_result) -> Source | None:
        kind = stat.S_IFMT(found.st_mode)
        if kind == stat.S_IFSOCK or kind in (stat.S_IFBLK, stat.S_IFCHR):
            self._notes.add(LEFT_OUT, usable_text(str(path)))
            return None
        name = usable_text(raw)
        if name != raw:
            name = self._free_name(where, name)
            self._notes.add("with bytes that are no UTF-8, spelt as %XX", name)
        there = self._names_in(where).get(name)
        if there is not None:
            if there.is_directory and kind == stat.S_IFDIR:
                return there
            raise EntryExistsError(name=name)
        source = self._source(path, name, found)
        if source is not None:
            where.children.append(source)
            self._names_in(where)[name] = source
        return source

    def _names_in(self, where: Source) -> dict[str, Source]:
        return self._names.setdefault(id(where), {})

    def _free_name(self, where: Source, name: str) -> str:
        taken = self._names_in(where)
        candidate, number = name, 1
        while candidate in taken:
            candidate, number = f"{name}~{number}", number + 1
        return candidate

    def _source(self, path: Path, name: str, found: os.stat_result) -> Source | None:
        first = self._files.get((found.st_dev, found.st_ino))
        source = Source(
            name,
            found.st_mode,
            found.st_uid,
            found.st_gid,
            atime=found.st_atime_ns,
            mtime=found.st_mtime_ns,
            ctime=found.st_ctime_ns,
        )
        if first is not None and first.mode == source.mode:
            source.size, source.target = first.size, first.target
            source.content, source.serial = first.content, first.serial
            return source
        try:
            if source.is_file:
                source.size = found.st_size
                source.content = HostContent(path, found.st_size)
                os.close(os.open(path, _FLAGS))
            elif stat.S_ISLNK(found.st_mode):
                # Path.readlink would change the text ("./a" to "a").
                source.target = usable_text(os.readlink(path))  # noqa: PTH115
        except OSError as error:
            self._cannot(path, error)
            return None
        if found.st_nlink > 1 and found.st_ino and not source.is_directory:
            source.serial = len(self._files) + 1
            self._files[found.st_dev, found.st_ino] = source
        return source


def from_paths(
    paths: Sequence[Path],
    *,
    skip_unreadable: bool = False,
    now: int = 0,
    notes: Notes | None = None,
) -> Source:
    """The root of a tree that holds files and directories of the host, each under
    its own name ("." and "/": what is in them).

    `now` is the root's time, epoch nanoseconds. Raises NoSuchEntryError,
    EntryExistsError for two of one name, and UnreadableSourcesError that names
    all that cannot be read, unless it is to be skipped.
    """
    tree = SourceTree(skip_unreadable=skip_unreadable, now=now)
    for path in paths:
        tree.add(path)
    root = tree.finish()
    if notes is not None:
        notes.extend(tree.notes)
    return root


def new_blocks(root: Source) -> int:
    """Blocks of the files that have no sections yet, each once; holes count in full. The
    files are numbered (:func:`count_links`)."""
    sizes = {one.serial: one.size for _, one in root.walk() if one.is_file and not one.sections}
    return sum(-(-size // BLOCK) for size in sizes.values())


def check_size(root: Source) -> None:
    """Raises ImageTooLargeError where block numbers of 32 bits do not do for its files."""
    if new_blocks(root) > MOST_BLOCKS:
        raise ImageTooLargeError(most=f"{MOST_BLOCKS * BLOCK / 1e12:.1f}")


def count_links(root: Source) -> None:
    """Number all files, and count how many names each has."""
    sources = [source for _, source in root.walk()]
    names = Counter(source.serial for source in sources if source.serial)
    renumbered: dict[int, int] = {}
    for number, source in enumerate(sources, 1):
        links = names.get(source.serial, 1) if source.serial else 1
        if source.serial:
            source.serial = renumbered.setdefault(source.serial, number)
        else:
            source.serial = number
        source.links = links
