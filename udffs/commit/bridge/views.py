"""One view of a tree: its directories with their records, and its path tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from udffs.commit.bridge.sections import Piece, located, pieces
from udffs.commit.bridge.system_use import RockRidge, SystemUse
from udffs.commit.bridge.tree import Item
from udffs.errors import InternalError
from udffs.ondisc.basic import BLOCK_SIZE
from udffs.ondisc.iso9660 import (
    FLAG_DIRECTORY,
    FLAG_MULTI_EXTENT,
    MAX_DIRECTORY_RECORD,
    PARENT,
    SELF,
    build_directory_record,
    build_path_table_records,
    directory_record_size,
    path_table_record_size,
    record_time,
)

__all__ = ["Directory", "Naming", "View"]

MOST_PARENTS = 0xFFFF
"""Directories whose number fits into a path table record's 16 bits (ECMA-119 9.4.4)."""

_NO_SYSTEM_USE = SystemUse(b"")


@dataclass(slots=True)
class Entry:
    """A name of a directory: one record for each of a file's `pieces`."""

    identifier: bytes
    item: Item
    system_use: SystemUse
    pieces: tuple[Piece, ...] = ()
    directory: Directory | None = None

    @property
    def record_size(self) -> int:
        return directory_record_size(self.identifier, self.system_use.size)


@dataclass(slots=True)
class Directory:
    """A directory of a view; `extent` is the number of its extent, `blocks` the size."""

    item: Item
    number: int
    parent: Directory | None = None
    identifier: bytes = SELF
    own: SystemUse = _NO_SYSTEM_USE
    above: SystemUse = _NO_SYSTEM_USE
    entries: list[Entry] = field(default_factory=list)
    extent: int = 0
    blocks: int = 0

    def path(self) -> str:
        """From the root on, with a slash behind each name."""
        names = []
        at: Directory = self
        while at.parent is not None:
            names.append(at.item.name)
            at = at.parent
        return "".join(f"{name}/" for name in reversed(names))

    def record_sizes(self) -> Iterator[int]:
        yield directory_record_size(SELF, self.own.size)
        yield directory_record_size(PARENT, self.above.size)
        for entry in self.entries:
            size = entry.record_size
            for _ in entry.pieces or (None,):
                yield size


Naming = Callable[[Directory], Iterable[tuple[bytes, bytes, Item]]]
"""What is in a directory of a view: what to sort by, the identifier, the item."""


class View:
    """The directories of a tree in the order of the path table (ECMA-119 6.9.1).

    ``extents`` are sizes in blocks: each directory, and after some of them the
    continuation areas of their records.
    """

    def __init__(self, root: Item, naming: Naming, rock_ridge: RockRidge | None = None) -> None:
        self._naming = naming
        self._rock_ridge = rock_ridge
        self._areas_at: list[int] = []  # numbers of the extents of areas
        self._order: list[Directory | None] = []  # of the extents; None: of areas
        self.extents: list[int] = []
        self.directories = [Directory(root, 1)]
        for directory in self.directories:  # it grows meanwhile
            self._plan(directory)
            self._add_areas(open_ones=1)
        self._add_areas(open_ones=0)
        self.listed = [d for d in self.directories if (d.parent or d).number <= MOST_PARENTS]
        """Directories that are in the path tables."""
        self.path_table_size = sum(path_table_record_size(d.identifier) for d in self.listed)

    def _plan(self, directory: Directory) -> None:
        for _, identifier, item in sorted(self._naming(directory), key=itemgetter(0)):
            if item.is_directory:
                below = Directory(item, len(self.directories) + 1, directory, identifier)
                self.directories.append(below)
                directory.entries.append(Entry(identifier, item, _NO_SYSTEM_USE, (), below))
            else:
                entry = Entry(identifier, item, _NO_SYSTEM_USE, pieces(item))
                directory.entries.append(entry)
        if self._rock_ridge is not None:
            self._add_system_use(directory, self._rock_ridge)
        directory.blocks = _blocks_of(directory.record_sizes())
        directory.extent = len(self.extents)
        self.extents.append(directory.blocks)
        self._order.append(directory)

    def _add_system_use(self, directory: Directory, rock_ridge: RockRidge) -> None:
        if directory.parent is None:
            directory.own = rock_ridge.of_root(directory.item)
            directory.above = rock_ridge.of_directory(directory.item)
        else:
            directory.own = rock_ridge.of_directory(directory.item)
            directory.above = rock_ridge.of_directory(directory.parent.item)
        for entry in directory.entries:
            room = MAX_DIRECTORY_RECORD - directory_record_size(entry.identifier)
            entry.system_use = rock_ridge.of_name(entry.item, room)

    def _add_areas(self, *, open_ones: int) -> None:
        """The extents of continuation areas that nothing is added to any more."""
        begun = [] if self._rock_ridge is None else self._rock_ridge.blocks.extents
        while len(self._areas_at) < len(begun) - open_ones:
            self.extents.append(begun[len(self._areas_at)])
            self._areas_at.append(len(self._order))
            self._order.append(None)

    # -- rendering -----------------------------------------------------------------

    def render(self, addresses: Sequence[int]) -> Iterator[bytes]:
        """Each extent's blocks; ``addresses`` are absolute."""
        areas: dict[int, bytearray] = {}
        for number, directory in enumerate(self._order):
            if directory is None:
                yield bytes(areas.pop(number))
            else:
                yield self._render_directory(directory, addresses)
                self._render_areas(directory, addresses, areas)

    def _areas_addresses(self, addresses: Sequence[int]) -> list[int]:
        return [addresses[number] for number in self._areas_at]

    def _render_areas(
        self, directory: Directory, addresses: Sequence[int], areas: dict[int, bytearray]
    ) -> None:
        """Put the continuation areas of a directory's records where they belong."""
        uses = [directory.own, directory.above, *(entry.system_use for entry in directory.entries)]
        linked = [use for use in uses if use.areas]
        at = self._areas_addresses(addresses) if linked else []
        for use in linked:
            for area, data in use.render_areas(at):
                number = self._areas_at[area.extent]
                if number not in areas:
                    areas[number] = bytearray(self.extents[number] * BLOCK_SIZE)
                start = area.block * BLOCK_SIZE + area.offset
                areas[number][start : start + len(data)] = data

    def _render_directory(self, directory: Directory, addresses: Sequence[int]) -> bytes:
        data = bytearray()
        for record in self._records(directory, addresses):
            room = -len(data) % BLOCK_SIZE
            if 0 < room < len(record):
                data += bytes(room)
            data += record
        data += bytes(-len(data) % BLOCK_SIZE)
        if len(data) != directory.blocks * BLOCK_SIZE:
            raise InternalError(what="a directory of the bridge is not as long as was planned")
        return bytes(data)

    def _records(self, directory: Directory, addresses: Sequence[int]) -> Iterator[bytes]:
        at = self._areas_addresses(addresses)
        above = directory.parent or directory
        yield _directory_record(SELF, directory, addresses, directory.own.render(at))
        yield _directory_record(PARENT, above, addresses, directory.above.render(at))
        for entry in directory.entries:
            system_use = entry.system_use.render(at)
            if entry.directory is None:
                yield from _file_records(entry, system_use)
            else:
                yield _directory_record(entry.identifier, entry.directory, addresses, system_use)

    def path_tables(self, addresses: Sequence[int]) -> tuple[bytes, bytes]:
        """The L and the M path table, in whole blocks (ECMA-119 9.4)."""
        little, big = bytearray(), bytearray()
        for directory in self.listed:
            parent = (directory.parent or directory).number
            both = build_path_table_records(
                directory.identifier, addresses[directory.extent], parent
            )
            little += both[0]
            big += both[1]
        padding = bytes(-len(little) % BLOCK_SIZE)
        return bytes(little + padding), bytes(big + padding)

    def root_record(self, addresses: Sequence[int]) -> bytes:
        """The root directory's record in the volume descriptor."""
        return _directory_record(SELF, self.directories[0], addresses)


def _blocks_of(sizes: Iterable[int]) -> int:
    """Blocks of a directory with records of these sizes; none crosses a block's end."""
    used = 0
    for size in sizes:
        if used % BLOCK_SIZE + size > BLOCK_SIZE:
            used += -used % BLOCK_SIZE
        used += size
    return -(-used // BLOCK_SIZE)


def _directory_record(
    identifier: bytes, to: Directory, addresses: Sequence[int], system_use: bytes = b""
) -> bytes:
    return build_directory_record(
        identifier,
        addresses[to.extent],
        to.blocks * BLOCK_SIZE,
        flags=FLAG_DIRECTORY,
        time=record_time(to.item.mtime),
        system_use=system_use,
    )


def _file_records(entry: Entry, system_use: bytes) -> Iterator[bytes]:
    item = entry.item
    time = record_time(item.mtime)
    last = len(entry.pieces) - 1
    for number, piece in enumerate(entry.pieces):
        yield build_directory_record(
            entry.identifier,
            located(item, piece),
            piece.size,
            flags=0 if number == last else FLAG_MULTI_EXTENT,
            time=time,
            system_use=system_use,
        )
