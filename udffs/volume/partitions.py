"""Partitions as address spaces: logical blocks to blocks of the disc (3/10.7, UDF 2.2.8 - 2.2.10).

Every space answers `spans(block, count)` with (absolute block, count) pieces in
order, or raises DamagedError for blocks that are not in it.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import Protocol

from udffs.errors import DamagedError
from udffs.ondisc.osta import UNUSED_ENTRY
from udffs.volume.model import BLOCK, Run

__all__ = [
    "AddressSpace",
    "FilePartition",
    "PhysicalPartition",
    "VirtualPartition",
    "locate",
]

Span = tuple[int, int]


class AddressSpace(Protocol):
    """A partition, as a partition reference number names it."""

    def spans(self, block: int, count: int) -> Iterator[Span]:
        """Where `count` logical blocks from `block` on lie: (absolute block, count)."""
        ...


def locate(space: AddressSpace, block: int) -> int:
    """The absolute block of one logical block."""
    return next(iter(space.spans(block, 1)))[0]


def _outside(block: int, count: int) -> DamagedError:
    last = block + count - 1
    return DamagedError(what=f"blocks {block} to {last} are not in their partition")


class PhysicalPartition:
    """A partition as it is (type 1, 3/10.7.2), or a sparable one in home addresses
    (UDF 2.2.9; view.py finds the packets that lie elsewhere); start and length in blocks."""

    def __init__(self, start: int, length: int) -> None:
        self.start = start
        self.length = length

    def spans(self, block: int, count: int) -> Iterator[Span]:
        if block < 0 or block + count > self.length:
            raise _outside(block, count)
        yield self.start + block, count


class VirtualPartition:
    """Blocks are looked up in the VAT (UDF 2.2.8, 2.2.11)."""

    def __init__(self, entries: array[int], below: PhysicalPartition) -> None:
        self.entries = entries
        self.below = below

    def spans(self, block: int, count: int) -> Iterator[Span]:
        if block < 0 or block + count > len(self.entries):
            raise _outside(block, count)
        for number in self.entries[block : block + count]:
            if number == UNUSED_ENTRY:
                raise DamagedError(what="a virtual block that is not in use is referred to")
            yield from self.below.spans(number, 1)


class FilePartition:
    """Blocks lie in a file: the metadata partition (UDF 2.50, 2.2.10)."""

    def __init__(self, runs: tuple[Run, ...]) -> None:
        self.runs = runs
        self.offsets = [run.offset for run in runs]

    def spans(self, block: int, count: int) -> Iterator[Span]:
        offset, left = block * BLOCK, count
        index = bisect_right(self.offsets, offset) - 1
        while left:
            if not 0 <= index < len(self.runs):
                raise _outside(block, count)
            run = self.runs[index]
            ahead = (offset - run.offset) // BLOCK
            there = min(left, run.length // BLOCK - ahead)
            if run.block < 0 or there <= 0:
                raise _outside(block, count)
            yield run.block + ahead, there
            offset += there * BLOCK
            left -= there
            index += 1
