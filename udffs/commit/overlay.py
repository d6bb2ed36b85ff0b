"""What was written to a file and is not on the disc yet.

An :class:`Overlay` maps byte ranges of one file to places in the spool. It
lies over the file's blocks on the disc: a read takes what the overlay covers
from there and the rest from below. Ranges never overlap; writing over a range
replaces it, so that rewrites of the same bytes cost nothing on the disc.

All offsets and lengths are in bytes; blocks are 2,048 bytes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from udffs.commit.spool import Segment
from udffs.volume.model import BLOCK


class Piece(NamedTuple):
    """One range of a file: ``segment`` is None where it reads as zeros."""

    start: int
    end: int
    segment: Segment | None
    position: int


def blocks_touched(start: int, end: int) -> int:
    """How many blocks the bytes ``start`` to ``end`` (exclusive) lie in."""
    return (end - 1) // BLOCK - start // BLOCK + 1 if end > start else 0


def _gaps(pieces: list[Piece]) -> int:
    """How often a block that no piece touches lies between one and the next."""
    return sum(
        after.start // BLOCK > (before.end - 1) // BLOCK + 1 for before, after in pairwise(pieces)
    )


class Overlay:
    """Ranges of a file that are in the spool, in order of their start."""

    __slots__ = ("_starts", "blocks", "pieces", "ranges")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self.pieces: list[Piece] = []
        self.blocks = 0
        self.ranges = 0  # how many block_ranges() there are

    def __bool__(self) -> bool:
        return bool(self.pieces)

    def copy(self) -> Overlay:
        """An independent overlay of the same pieces."""
        twin = Overlay()
        twin._starts = self._starts.copy()
        twin.pieces = self.pieces.copy()
        twin.blocks = self.blocks
        twin.ranges = self.ranges
        return twin

    def part(self, start: int, end: int) -> Overlay:
        """An independent overlay of what lies between ``start`` and ``end``."""
        twin = Overlay()
        twin.pieces = list(self.slices(start, end))
        twin._starts = [piece.start for piece in twin.pieces]
        return twin

    def put(self, start: int, end: int, segment: Segment | None, position: int) -> int:
        """Let ``start`` to ``end`` come from ``segment`` at ``position``.

        Returns how many more blocks of the file are covered than before.
        """
        if end <= start:
            return 0
        if not self.pieces or start >= self.pieces[-1].end:
            return self._append(start, end, segment, position)
        before = self.covered_blocks(start, end)
        first, last = self._cut_out(start, end)
        low = max(0, first - 1)
        gaps = _gaps(self.pieces[low : last + 1])
        self._starts[first:last] = [start]
        self.pieces[first:last] = [Piece(start, end, segment, position)]
        self.ranges += _gaps(self.pieces[low : first + 2]) - gaps
        grown = blocks_touched(start, end) - before
        self.blocks += grown
        return grown

    def _append(self, start: int, end: int, segment: Segment | None, position: int) -> int:
        grown = blocks_touched(start, end)
        if self.pieces:
            last = self.pieces[-1]
            apart = start // BLOCK - (last.end - 1) // BLOCK
            if apart == 0:
                grown -= 1
            elif apart > 1:
                self.ranges += 1
            follows = segment is None or last.position + last.end - last.start == position
            if last.end == start and last.segment is segment and follows:
                self.pieces[-1] = Piece(last.start, end, segment, last.position)
                self.blocks += grown
                return grown
        else:
            self.ranges = 1
        self._starts.append(start)
        self.pieces.append(Piece(start, end, segment, position))
        self.blocks += grown
        return grown

    def covered_blocks(self, start: int, end: int, frozen: int | None = None) -> int:
        """How many blocks of the range some piece touches already; with
        ``frozen``, a piece that a segment of a later epoch than that holds."""
        low, high = start // BLOCK * BLOCK, -(-end // BLOCK) * BLOCK
        total, reached = 0, low // BLOCK
        for piece in self.slices(low, high):
            if frozen is not None and (piece.segment is None or piece.segment.epoch <= frozen):
                continue
            first = max(piece.start // BLOCK, reached)
            after = (piece.end - 1) // BLOCK + 1
            if after > first:
                total += after - first
                reached = after
        return total

    def _cut_out(self, start: int, end: int) -> tuple[int, int]:
        """Free ``start`` to ``end``; the index range that a new piece replaces."""
        first = bisect_right(self._starts, start) - 1
        if first >= 0 and self.pieces[first].end > start:
            if self.pieces[first].start < start:
                self._split(first, start)
                first += 1
        else:
            first += 1
        last = bisect_left(self._starts, end)
        if last > first and self.pieces[last - 1].end > end:
            self._split(last - 1, end)
        return first, last

    def _split(self, index: int, at: int) -> None:
        piece = self.pieces[index]
        self.pieces[index] = Piece(piece.start, at, piece.segment, piece.position)
        rest = Piece(at, piece.end, piece.segment, piece.position + at - piece.start)
        self.pieces.insert(index + 1, rest)
        self._starts.insert(index + 1, at)

    def truncate(self, size: int) -> None:
        """Forget everything from ``size`` on."""
        if not self.pieces or self.pieces[-1].end <= size:
            return
        first, _ = self._cut_out(size, self.pieces[-1].end)
        del self.pieces[first:], self._starts[first:]
        self._recount()

    def drop_until(self, epoch: int) -> None:
        """Forget the pieces that segments of ``epoch`` and earlier hold."""
        kept = [p for p in self.pieces if p.segment is None or p.segment.epoch > epoch]
        if len(kept) != len(self.pieces):
            self.pieces = kept
            self._starts = [p.start for p in kept]
            self._recount()

    def _recount(self) -> None:
        ranges = self.block_ranges()
        self.ranges = len(ranges)
        self.blocks = sum(count for _, count in ranges)

    def slices(self, start: int, end: int) -> Iterator[Piece]:
        """The pieces within ``start`` to ``end``, cut to it, in order."""
        index = bisect_right(self._starts, start) - 1
        if index < 0 or self.pieces[index].end <= start:
            index += 1
        while index < len(self.pieces):
            piece = self.pieces[index]
            if piece.start >= end:
                return
            low, high = max(piece.start, start), min(piece.end, end)
            yield Piece(low, high, piece.segment, piece.position + low - piece.start)
            index += 1

    def block_ranges(self) -> list[tuple[int, int]]:
        """The blocks touched, as (first block of the file, number of blocks)."""
        ranges: list[tuple[int, int]] = []
        for piece in self.pieces:
            first, after = piece.start // BLOCK, (piece.end - 1) // BLOCK + 1
            if ranges and ranges[-1][0] + ranges[-1][1] >= first:
                begin = ranges[-1][0]
                ranges[-1] = (begin, max(after, begin + ranges[-1][1]) - begin)
            else:
                ranges.append((first, after - first))
        return ranges
