"""From a volume to what its ISO 9660 view is made of.

Data stays where it is, as far as readers of ISO 9660 can get at it. What
they cannot is written once more (:class:`Copy`): content that is embedded in its
ICB, files in so many pieces that readers give up, and holes, which all
share one run of zeros.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from media.errors import MediaError
from udffs.commit.bridge.cost import MOST_HOLES, MOST_SECTIONS
from udffs.commit.bridge.notes import Notes
from udffs.commit.bridge.tree import Item, Section
from udffs.errors import DiscError
from udffs.volume import Inode, Volume
from udffs.volume.model import BLOCK, HOLE, blocks_of

_UNPLACED = 0xF0000000
"""Copies are counted down from here until they have an address, no two adjacent."""


class Copy:
    """Content that is written once more; ``places`` are where, once that is known:
    (absolute block, blocks), in the order of the content.

    ``render(first, count)`` gives ``count`` blocks of it; if it is ``read`` from
    the disc for that, no packet may be open.
    """

    __slots__ = ("blocks", "places", "read", "render")

    def __init__(
        self, blocks: int, render: Callable[[int, int], bytes], *, read: bool = False
    ) -> None:
        self.blocks = blocks
        self.render = render
        self.read = read
        self.places: list[tuple[int, int]] = []

    def sections(self, length: int) -> Iterator[Section]:
        """Where its first ``length`` bytes are."""
        for address, blocks in self.places:
            if length > 0:
                yield address, min(length, blocks * BLOCK)
            length -= blocks * BLOCK


class _Part(NamedTuple):
    """A part of a file: the beginning of a ``copy``, or else at ``block``."""

    copy: Copy | None
    block: int
    length: int

    def sections(self) -> Iterator[Section]:
        if self.copy is None:
            yield self.block, self.length
        else:
            yield from self.copy.sections(self.length)


class _Waiting(NamedTuple):
    """A file that some copies have to find their place for."""

    directory: Item
    item: Item
    path: str
    parts: list[_Part]


class View:
    """The tree of a volume as readers of ISO 9660 shall see it.

    ``root`` has it; ``copies`` are to be written, then :meth:`place` tells the
    items where (an IsoPlan that is made before is good if each has one place);
    ``notes`` are sentences about what is left out.
    """

    def __init__(self, volume: Volume, progress: Callable[[float], None] | None = None) -> None:
        """Reads all directories and ICBs of ``volume``. ``progress`` is told from 0 to 1."""
        self._volume = volume
        self._progress = progress
        self._small: dict[bytes, Copy] = {}
        self._parts: dict[int, list[_Part] | None] = {}
        self._waiting: list[_Waiting] = []
        self._zeros = Copy(0, lambda _first, count: bytes(count * BLOCK))
        self._left_out = Notes()
        self._large: list[Copy] = []
        self.root = self._directory("", volume.inode(volume.root_key))
        self._walk()
        zeros = [self._zeros] if self._zeros.blocks else []
        self.copies: list[Copy] = [*self._small.values(), *self._large, *zeros]
        at = _UNPLACED
        for copy in self.copies:
            at -= copy.blocks + 1
            copy.places = [(at, copy.blocks)]
        self.place()

    @property
    def notes(self) -> list[str]:
        return self._left_out.sentences()

    def place(self) -> None:
        """The copies have their places: so have the items now. Those whose copies had
        to be written in too many pieces are left out."""
        kept = []
        for waiting in self._waiting:
            sections = tuple(s for part in waiting.parts for s in part.sections())
            if len(sections) > MOST_SECTIONS:
                waiting.directory.children.remove(waiting.item)
                self._leave_out("the drive has written it in too many pieces", waiting.path)
                continue
            waiting.item.sections = sections
            kept.append(waiting)
        self._waiting = kept

    # -- the tree ----------------------------------------------------------------

    def _walk(self) -> None:
        volume = self._volume
        total = max(1, volume.files + volume.directories)
        seen = {volume.root_key}
        waiting: list[tuple[str, Item, int]] = [("", self.root, volume.root_key)]
        done = 0
        while waiting:
            path, directory, key = waiting.pop()
            for entry in self._entries(path, key):
                where = f"{path}/{entry.name}"
                done += 1
                if self._progress is not None and done % 64 == 0:
                    self._progress(min(1.0, done / total))
                if entry.is_directory and entry.key in seen:
                    self._leave_out("its directory is linked twice", where)
                    continue
                item = self._item(directory, where, entry)
                if item is None:
                    continue
                directory.children.append(item)
                if item.is_directory:
                    directory.links += 1
                    seen.add(entry.key)
                    waiting.append((where, item, entry.key))

    def _entries(self, path: str, key: int) -> Iterator[_Entry]:
        try:
            for entry in self._volume.entries(self._volume.inode(key)):
                yield _Entry(entry.name, entry.key, entry.is_directory)
        except (DiscError, MediaError):
            self._leave_out("the directory cannot be read", f"{path}/")

    def _item(self, directory: Item, path: str, entry: _Entry) -> Item | None:
        try:
            inode = self._volume.inode(entry.key)
            if stat.S_ISDIR(inode.mode):
                return self._directory(entry.name, inode)
            item = _describe(entry.name, inode)
            if stat.S_ISLNK(inode.mode):
                item.target, item.size = self._volume.readlink(inode), 0
            elif stat.S_ISREG(inode.mode):
                parts = self._parts_of(inode, path)
                if parts is None:
                    return None
                if any(part.copy is not None for part in parts):
                    self._waiting.append(_Waiting(directory, item, path, parts))
                item.sections = tuple(s for part in parts for s in part.sections())
            else:
                item.size = 0
        except (DiscError, MediaError):
            self._leave_out("it cannot be read", path)
            return None
        return item

    def _directory(self, name: str, inode: Inode) -> Item:
        item = _describe(name, inode)
        item.size, item.links = 0, 2
        return item

    def _leave_out(self, why: str, path: str) -> None:
        self._left_out.add(f"Left out of the ISO 9660 view ({why})", path.lstrip("/"))

    # -- the data of a file ----------------------------------------------------------

    def _parts_of(self, inode: Inode, path: str) -> list[_Part] | None:
        """Where a file's content is, or will be; None if it is left out."""
        if inode.key not in self._parts:
            self._parts[inode.key] = self._find_parts(inode)
        parts = self._parts[inode.key]
        if parts is None:
            megabytes = MOST_HOLES * BLOCK >> 20
            self._leave_out(f"holes of more than {megabytes} MiB", path)
        return parts

    def _find_parts(self, inode: Inode) -> list[_Part] | None:
        if inode.size == 0:
            return []
        if inode.data is not None:
            return [_Part(self._embedded(inode.data), 0, inode.size)]
        parts = _pieces(inode)
        holes = [part.length for part in parts if part.block == HOLE]
        if blocks_of(sum(holes)) > MOST_HOLES:
            return None
        if len(parts) > MOST_SECTIONS:
            copy = Copy(
                blocks_of(inode.size),
                lambda first, count: self._read(inode, first, count),
                read=True,
            )
            self._large.append(copy)
            return [_Part(copy, 0, inode.size)]
        if not holes:
            return parts
        self._zeros.blocks = max(self._zeros.blocks, *map(blocks_of, holes))
        return [
            part if part.block != HOLE else _Part(self._zeros, 0, part.length) for part in parts
        ]

    def _embedded(self, data: bytes) -> Copy:
        if data not in self._small:
            block = data.ljust(BLOCK, b"\0")
            self._small[data] = Copy(1, lambda _first, _count: block)
        return self._small[data]

    def _read(self, inode: Inode, first: int, count: int) -> bytes:
        data = self._volume.read(inode, first * BLOCK, count * BLOCK)
        return data.ljust(count * BLOCK, b"\0")


class _Entry(NamedTuple):
    name: str
    key: int
    is_directory: bool


def _describe(name: str, inode: Inode) -> Item:
    return Item(
        name,
        inode.mode,
        uid=inode.uid,
        gid=inode.gid,
        links=max(1, inode.links),
        serial=inode.key & 0xFFFFFFFF,
        atime=inode.atime,
        mtime=inode.mtime,
        ctime=inode.ctime,
        size=inode.size,
        device=inode.device,
    )


def _pieces(inode: Inode) -> list[_Part]:
    """The runs of a file with its holes between them, adjacent ones joined."""
    parts: list[_Part] = []
    at = 0
    for run in inode.runs:
        if run.offset > at:
            _join(parts, HOLE, run.offset - at)
        _join(parts, run.block, run.length)
        at = run.offset + run.length
    if at < inode.size:
        _join(parts, HOLE, inode.size - at)
    return parts


def _join(parts: list[_Part], block: int, length: int) -> None:
    if parts:
        _copy, last, before = parts[-1]
        behind = HOLE if last == HOLE else last + before // BLOCK
        if block == behind and before % BLOCK == 0:
            parts[-1] = _Part(None, last, before + length)
            return
    parts.append(_Part(None, block, length))
