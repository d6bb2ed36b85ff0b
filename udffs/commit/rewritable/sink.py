"""Where the blocks of one commit go: straight home, into its record, or home
under the protection of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from zlib import crc32

from udffs.commit.plan import Job
from udffs.commit.rewritable.log import Packets
from udffs.commit.rewritable.space import SpaceMap
from udffs.ondisc.intentlog import PACKET, Extent, packet_of
from udffs.volume import Run
from udffs.volume.model import BLOCK

__all__ = ["SMALL", "Sink", "blocks_of", "segments", "subtract"]

SMALL = PACKET  # blocks of a range from which on it gets a new place
PROTECTED_AT = 512  # images of new blocks in memory from which on they go home

Rewrite = Callable[[dict[int, bytes]], None]
Segment = tuple[int, int, int]
"""First block of the file, number of blocks, and the home of the first: -1 for a new one."""


def segments(job: Job, in_place: Callable[[int], bool]) -> list[Segment]:
    """The ranges of a job, cut where their places on the disc change.
    ``in_place(blocks)`` tells whether a range of that length may stay where it is."""
    lengths: dict[int, int] = {}
    whole: list[int] = []  # ranges that follow each other count as one
    for first, count in job.ranges:
        if not whole or whole[-1] + lengths[whole[-1]] != first:
            whole.append(first)
            lengths[first] = 0
        lengths[whole[-1]] += count
    result: list[Segment] = []
    at = -1
    for first, count in job.ranges:
        if at + 1 < len(whole) and whole[at + 1] == first:
            at += 1
        if job.runs and in_place(lengths[whole[at]]):
            result += _mapped(job.runs, first, count)
        else:
            result.append((first, count, -1))
    return result


def _mapped(runs: Sequence[Run], first: int, count: int) -> list[Segment]:
    result: list[Segment] = []
    low, high = 0, len(runs)
    while low < high:  # the first run that ends behind the range's start
        middle = (low + high) // 2
        if runs[middle].offset + runs[middle].length <= first * BLOCK:
            low = middle + 1
        else:
            high = middle
    end = first + count
    for run in runs[low:]:
        start = run.offset // BLOCK
        after = start + -(-run.length // BLOCK)
        if start >= end:
            break
        if run.block < 0 or after <= first:
            continue
        if start > first:
            result.append((first, start - first, -1))
            first = start
        number = min(after, end) - first
        result.append((first, number, run.block + first - start))
        first += number
    if first < end:
        result.append((first, end - first, -1))
    return result


def blocks_of(runs: Iterable[Run]) -> list[Extent]:
    """The blocks that runs lie in."""
    return [(run.block, -(-run.length // BLOCK)) for run in runs if run.block >= 0]


def subtract(old: Iterable[Extent], new: Iterable[Extent]) -> list[Extent]:
    """The blocks of ``old`` that are not in ``new``."""
    left: list[Extent] = []
    cuts = sorted(new)
    at = 0
    for block, count in sorted(old):
        end = block + count
        while at < len(cuts) and sum(cuts[at]) <= block:
            at += 1
        index = at
        while index < len(cuts) and cuts[index][0] < end:
            start, number = cuts[index]
            if start > block:
                left.append((block, start - block))
            block = max(block, start + number)
            index += 1
        if block < end:
            left.append((block, end - block))
    return left


class Sink:
    """Takes the blocks of one commit, in any order.

    Blocks in fresh packets go home at once, in whole packets (``direct``);
    with ``logged`` they do not: the whole commit is one record. ``images`` is
    what goes into the record. Of these, blocks that hold nothing durable yet
    can go home as well, under protection (``rewrite``): that is done when they
    are many.
    """

    def __init__(
        self, packets: Packets, space: SpaceMap, rewrite: Rewrite, *, logged: bool
    ) -> None:
        self._packets = packets
        self._space = space
        self._rewrite = rewrite
        self._logged = logged
        self._open: dict[int, tuple[bytearray, int]] = {}  # packet: content, mask
        self._new: set[int] = set()
        self._imaged: set[int] = set()  # packets some blocks of which are not direct
        self.images: dict[int, bytes] = {}
        self.direct: list[tuple[int, int, int]] = []
        self.blocks = 0

    def put(self, home: int, data: bytes, *, live: bool = False) -> None:
        """Blocks from ``home`` on; ``live`` if they hold something durable now."""
        view = memoryview(data)
        self.blocks += len(data) // BLOCK
        while view:
            number = min(PACKET - home % PACKET, len(view) // BLOCK)
            part, view = view[: number * BLOCK], view[number * BLOCK :]
            if live or self._logged or not self._may_be_direct(home):
                self._put_images(home, number, part, live)
            else:
                self._put_direct(home, number, part)
            home += number

    def _may_be_direct(self, home: int) -> bool:
        return packet_of(home) not in self._imaged and self._space.is_fresh(home)

    def _put_images(self, home: int, number: int, part: memoryview, live: bool) -> None:
        self._imaged.add(packet_of(home))
        for index in range(number):
            self.images[home + index] = bytes(part[index * BLOCK : (index + 1) * BLOCK])
            if not live:
                self._new.add(home + index)
        if len(self._new) >= PROTECTED_AT:
            self.bring_home()

    def _put_direct(self, home: int, number: int, part: memoryview) -> None:
        low = home % PACKET
        packet = home - low
        if number == PACKET:
            self._packets.write(packet, bytes(part))
        else:
            content, mask = self._open.pop(packet, (bytearray(PACKET * BLOCK), 0))
            content[low * BLOCK : (low + number) * BLOCK] = part
            mask |= ((1 << number) - 1) << low
            if mask == (1 << PACKET) - 1:
                self._packets.write(packet, bytes(content))
            else:
                self._open[packet] = content, mask
        last = self.direct[-1] if self.direct else (0, 0, 0)
        if last[1] and last[0] + last[1] == home:
            self.direct[-1] = (last[0], last[1] + number, crc32(part, last[2]))
        else:
            self.direct.append((home, number, crc32(part)))

    def drop(self, extents: Iterable[Extent]) -> None:
        """These blocks will not be part of the commit after all."""
        for block, count in extents:
            for home in range(block, block + count):
                self.images.pop(home, None)
                self._new.discard(home)

    def bring_home(self) -> None:
        """Write those images home that hold nothing durable yet."""
        new = {home: self.images.pop(home) for home in sorted(self._new)}
        self._new.clear()
        if new:
            self._rewrite(new)

    def flush(self) -> None:
        """When this returns, all but the images is on the disc."""
        for packet in sorted(self._open):
            self._packets.write(packet, bytes(self._open[packet][0]))
        self._open.clear()
        if self.direct:
            self._packets.flush()
