"""One view of a tree: its directories with their records, and its path tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from udffs.commit.bridge.sections import Piece, Pieces, located
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

__all__ = ["Directory", "Naming", "Row", "View"]

MOST_PARENTS = 0xFFFF
"""Directories whose number fits into a path table record's 16 bits (ECMA-119 9.4.4)."""

NO_SYSTEM_USE = SystemUse(b"")


@dataclass(slots=True)
class Directory:
    """A directory of a view; `extent` is the number of its extent, `blocks` the size.
    `below` is the index of the first directory in it; the others follow, sorted."""

    item: Item
    number: int
    parent: Directory | None = None
    identifier: bytes = SELF
    below: int = 0
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


Row = tuple[bytes, bytes, Item]
"""A name of a directory: what to sort by, the identifier, the item."""

Naming = Callable[[Directory], Iterable[Row]]
"""What is in a directory of a view. It is asked when the view is planned and again when
it is rendered (to remember it all would take much memory), and must say the same."""


class View:
    """The directories of a tree in the order of the path table (ECMA-119 6.9.1).

    ``extents`` are sizes in blocks: each directory, and after some of them the
    continuation areas of their records.
    """

    def __init__(
        self, root: Item, naming: Naming, pieces: Pieces, rock_ridge: RockRidge | None = None
    ) -> None:
        self._naming = naming
        self._pieces = pieces
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

    def _rows(self, directory: Directory) -> list[Row]:
        return sorted(self._naming(directory), key=itemgetter(0))

    # -- planning ------------------------------------------------------------------

    def _plan(self, directory: Directory) -> None:
        directory.below = len(self.directories)
        directory.blocks = _blocks_of(self._record_sizes(directory))
        directory.extent = len(self.extents)
        self.extents.append(directory.blocks)
        self._order.append(directory)

    def _record_sizes(self, directory: Directory) -> Iterator[int]:
        """Bytes of each record; the directories among them are begun."""
        rock_ridge = self._rock_ridge
        for identifier, use in self._own_system_use(directory, rock_ridge):
            yield directory_record_size(identifier, use.size)
        for _, identifier, item in self._rows(directory):
            size = directory_record_size(identifier)
            if rock_ridge is not None:
                use_size = rock_ridge.measure(item, MAX_DIRECTORY_RECORD - size)
                size = directory_record_size(identifier, use_size)
            if item.is_directory:
                number = len(self.directories) + 1
                self.directories.append(Directory(item, number, directory, identifier))
                yield size
            else:
                for _ in self._pieces.of(item):
                    yield size

    def _own_system_use(
        self, directory: Directory, rock_ridge: RockRidge | None
    ) -> Iterator[tuple[bytes, SystemUse]]:
        """Of the records "." and ".."."""
        if rock_ridge is None:
            yield SELF, NO_SYSTEM_USE
            yield PARENT, NO_SYSTEM_USE
        elif directory.parent is None:
            yield SELF, rock_ridge.of_root(directory.item)
            yield PARENT, rock_ridge.of_directory(directory.item)
        else:
            yield SELF, rock_ridge.of_directory(directory.item)
            yield PARENT, rock_ridge.of_parent(directory.parent.item)

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
        # Places of continuation areas are given anew, and come out the same.
        rock_ridge = self._rock_ridge and self._rock_ridge.afresh()
        areas = _Areas(self.extents, self._areas_at, addresses)
        for number, directory in enumerate(self._order):
            if directory is None:
                yield areas.take(number)
            else:
                yield self._render_directory(directory, addresses, rock_ridge, areas)

    def _render_directory(
        self,
        directory: Directory,
        addresses: Sequence[int],
        rock_ridge: RockRidge | None,
        areas: _Areas,
    ) -> bytes:
        data = bytearray()
        for record in self._records(directory, addresses, rock_ridge, areas):
            room = -len(data) % BLOCK_SIZE
            if 0 < room < len(record):
                data += bytes(room)
            data += record
        data += bytes(-len(data) % BLOCK_SIZE)
        if len(data) != directory.blocks * BLOCK_SIZE:
            raise InternalError(what="a directory of the bridge is not as long as was planned")
        return bytes(data)

    def _records(
        self,
        directory: Directory,
        addresses: Sequence[int],
        rock_ridge: RockRidge | None,
        areas: _Areas,
    ) -> Iterator[bytes]:
        means = iter((directory, directory.parent or directory))
        for identifier, use in self._own_system_use(directory, rock_ridge):
            yield _directory_record(identifier, next(means), addresses, areas.render(use))
        below = directory.below
        use = NO_SYSTEM_USE
        for _, identifier, item in self._rows(directory):
            if rock_ridge is not None:
                room = MAX_DIRECTORY_RECORD - directory_record_size(identifier)
                use = rock_ridge.of_name(item, room)
            if item.is_directory:
                to = self.directories[below]
                yield _directory_record(identifier, to, addresses, areas.render(use))
                below += 1
            else:
                parts = self._pieces.of(item)
                yield from _file_records(identifier, item, parts, areas.render(use))

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


def _file_records(
    identifier: bytes, item: Item, parts: tuple[Piece, ...], system_use: bytes
) -> Iterator[bytes]:
    time = record_time(item.mtime)
    last = len(parts) - 1
    for number, piece in enumerate(parts):
        yield build_directory_record(
            identifier,
            located(item, piece),
            piece.size,
            flags=0 if number == last else FLAG_MULTI_EXTENT,
            time=time,
            system_use=system_use,
        )


class _Areas:
    """Continuation areas on their way to the blocks that hold them.

    ``at`` are the numbers of their extents among ``extents``.
    """

    def __init__(self, extents: Sequence[int], at: Sequence[int], addresses: Sequence[int]) -> None:
        self._extents = extents
        self._at = at
        self._addresses = [addresses[number] for number in at]
        self._blocks: dict[int, bytearray] = {}

    def render(self, use: SystemUse) -> bytes:
        """The bytes in the record; what belongs to areas is kept for :meth:`take`."""
        for area, data in use.render_areas(self._addresses):
            number = self._at[area.extent]
            if number not in self._blocks:
                self._blocks[number] = bytearray(self._extents[number] * BLOCK_SIZE)
            start = area.block * BLOCK_SIZE + area.offset
            self._blocks[number][start : start + len(data)] = data
        return use.render(self._addresses)

    def take(self, number: int) -> bytes:
        """The blocks of an extent, which nothing is added to any more."""
        return bytes(self._blocks.pop(number))
