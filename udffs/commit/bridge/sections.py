"""A file's sections as the directory records that it gets (ECMA-119 6.5.1, 9.1.6)."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import NamedTuple

from udffs.commit.bridge.tree import Item
from udffs.errors import InternalError
from udffs.ondisc.basic import BLOCK_SIZE
from udffs.ondisc.iso9660 import MAX_SECTION

__all__ = ["Piece", "Pieces", "located"]


class Piece(NamedTuple):
    """What one record holds: `size` bytes from `ahead` blocks behind the start of the
    item's section number `first` on, to within section number `last`. Those are
    adjacent, so that they can be recorded as one."""

    first: int
    last: int
    ahead: int
    size: int


_EMPTY = (Piece(-1, -1, 0, 0),)


class Pieces:
    """The pieces of all files of a tree: which sections are adjacent is told once, by
    where they are when a file is asked for first."""

    def __init__(self) -> None:
        self._several: dict[int, tuple[Piece, ...]] = {}  # by the item's identity

    def of(self, item: Item) -> tuple[Piece, ...]:
        """The records of a file, in its order. What has no content has one, of no bytes.

        Raises InternalError where the sections are not as they must be.
        """
        if len(item.sections) < 2:
            return _pieces(item)
        known = self._several.get(id(item))
        if known is None:
            known = self._several[id(item)] = _pieces(item)
        return known


def _pieces(item: Item) -> tuple[Piece, ...]:
    sections, size = item.sections, item.size
    if not stat.S_ISREG(item.mode) or (not size and not sections):
        return _EMPTY
    if len(sections) == 1 and sections[0][1] == size <= MAX_SECTION and size:
        return (Piece(0, 0, 0, size),)  # as nearly all have it
    _check(item)
    return tuple(part for first, last in _runs(item) for part in _cut(item, first, last))


def _check(item: Item) -> None:
    if sum(length for _, length in item.sections) != item.size:
        raise InternalError(what=f"the sections of {item.name} are not as long as the file")
    for _, length in item.sections[:-1]:
        if length % BLOCK_SIZE:
            raise InternalError(what=f"a section of {item.name} ends within a block")
    if any(length <= 0 for _, length in item.sections):
        raise InternalError(what=f"a section of {item.name} is empty")


def _runs(item: Item) -> Iterator[tuple[int, int]]:
    """First and last number of sections that lie one behind the other."""
    first = 0
    for number in range(1, len(item.sections)):
        if not _adjacent(item, number - 1):
            yield first, number - 1
            first = number
    yield first, len(item.sections) - 1


def _adjacent(item: Item, number: int) -> bool:
    """Whether the next section begins where this one ends."""
    block, length = item.sections[number]
    return block + length // BLOCK_SIZE == item.sections[number + 1][0]


def _cut(item: Item, first: int, last: int) -> Iterator[Piece]:
    """A run of sections in pieces that are not too long."""
    left = sum(length for _, length in item.sections[first : last + 1])
    ahead = 0
    while left:
        size = min(left, MAX_SECTION)
        yield Piece(first, last, ahead, size)
        ahead += size // BLOCK_SIZE
        left -= size


def located(item: Item, piece: Piece) -> int:
    """The absolute block where a piece begins, by the item's sections as they are now.

    Raises InternalError where sections that were adjacent are no longer.
    """
    if piece.first < 0:
        return 0
    for number in range(piece.first, piece.last):
        if not _adjacent(item, number):
            raise InternalError(what=f"the sections of {item.name} were moved apart")
    return item.sections[piece.first][0] + piece.ahead
