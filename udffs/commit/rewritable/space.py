"""Which blocks of a rewritable partition are in use, and where new things go.

Of every packet three masks are kept, a bit for each of its blocks:

- *used*: the last durable commit uses it (the bitmap and what the log adds);
- *kept*: it was used at the last checkpoint or at any time since, so that the
  structures in place or a record of the log may speak of it. A block that was
  freed stays kept until the next checkpoint;
- *reserved*: only memory knows of it: a number for an ICB that is not on the
  disc yet, blocks of the commit under way, blocks of a file that has no name
  any more but is open.

Only a block in none of them is given away. A packet without any bit is
*fresh*: nothing durable is in it, so that a torn write takes nothing along.

All addresses are absolute home blocks but for ICB numbers, which are logical
blocks of the partition. Finding a place never looks at every packet in Python:
a byte for each packet tells its class, and ``bytes.find`` is quick.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from threading import RLock

from udffs.errors import NoSpaceError
from udffs.ondisc.intentlog import PACKET, Extent
from udffs.volume.bitmap import SpaceTable

__all__ = ["SpaceMap", "joined"]

WHOLE = (1 << PACKET) - 1
FULL, FRESH, PARTIAL, ICBS = range(4)
"""Classes of packets: nothing to give away, fresh, some blocks free, ICBs with
some blocks free."""

ICB_RUN = 4  # fresh packets taken for ICBs at once
PLENTY = 64  # fresh packets from which on small things begin one
LARGE = 8 * PACKET  # blocks of a file from which on it gets whole packets


def joined(extents: Iterable[Extent]) -> list[Extent]:
    """The same blocks in order, neighbours as one extent; none may overlap."""
    result: list[Extent] = []
    for block, count in sorted(extents):
        if result and result[-1][0] + result[-1][1] == block:
            result[-1] = (result[-1][0], result[-1][1] + count)
        else:
            result.append((block, count))
    return result


def _pieces(extents: Iterable[Extent]) -> Iterable[tuple[int, int]]:
    """(packet index, mask) of the blocks of extents, packet by packet."""
    for block, count in extents:
        end = block + count
        while block < end:
            low = block % PACKET
            number = min(PACKET - low, end - block)
            yield block // PACKET, ((1 << number) - 1) << low
            block += number


class SpaceMap:
    """The space of one partition. Numbers are asked for under the file system's
    lock while a commit goes on in another thread: a lock inside serves both."""

    def __init__(
        self,
        table: SpaceTable,
        *,
        changes: Sequence[tuple[Sequence[Extent], Sequence[Extent]]] = (),
        hints: tuple[int, int] = (0, 0),
    ) -> None:
        """``table`` is the bitmap, ``changes`` what the log says was allocated
        and freed since; ``hints`` (home blocks, 0 for none) where ICBs and small
        files went last."""
        self._lock = RLock()
        self._table = table
        self._start = table.start
        self._end = table.start + table.count
        self._first = table.start // PACKET  # index of the first packet
        self._used = self._from_table(table)
        self._kept = self._used[:]
        self._reserved = array("I", bytes(4 * len(self._used)))
        self._icb_packets: set[int] = set()
        self._changed: set[int] = set()  # packets whose masks used and kept differ
        self._dirty: set[int] = set()  # blocks of the bitmap's extent
        self._held: dict[int, list[Extent]] = {}
        self._pinned: dict[int, int] = {}  # packet: mask of its blocks that are held
        self._spare_icbs: set[int] = set()
        self._reserved_count = 0
        self._free = table.free
        self._class = bytearray(self._classify(i) for i in range(len(self._used)))
        self._fresh = self._class.count(FRESH)
        self._icb = self._small = -1
        self._bulk = len(self._class) // 8  # leaves room for small things to stay together
        for allocated, freed in changes:
            self.commit(self._inside(allocated), self._inside(freed))
        self._use_hints(*hints)

    def _from_table(self, table: SpaceTable) -> array[int]:
        inside = table.start % PACKET
        packets = -(-(inside + table.count) // PACKET)
        mask = (1 << table.count) - 1
        free = (int.from_bytes(table.bits, "little") & mask) << inside
        words = array("I")
        assert words.itemsize == 4
        words.frombytes(free.to_bytes(packets * 4, "little"))
        return array("I", (~word & WHOLE for word in words))

    def _inside(self, extents: Iterable[Extent]) -> list[Extent]:
        """Without what is not in the partition: a log may say anything."""
        return [(b, n) for b, n in extents if self._start <= b and b + n <= self._end]

    def _use_hints(self, icb: int, data: int) -> None:
        if self._start <= icb < self._end:
            self._icb = icb // PACKET - self._first
            self._mark_icbs([self._icb])
        if self._start <= data < self._end:
            self._small = data

    # -- classes of packets --------------------------------------------------------

    def _available(self, index: int) -> int:
        """Mask of the blocks of a packet that can be given away."""
        return ~(self._used[index] | self._kept[index] | self._reserved[index]) & WHOLE

    def _classify(self, index: int) -> int:
        available = self._available(index)
        if not available:
            return FULL
        if index in self._icb_packets:
            return ICBS
        return FRESH if available == WHOLE else PARTIAL

    def _update(self, index: int) -> None:
        before, now = self._class[index], self._classify(index)
        if before != now:
            self._class[index] = now
            self._fresh += (now == FRESH) - (before == FRESH)

    def _mark_icbs(self, indices: Iterable[int]) -> None:
        for index in indices:
            self._icb_packets.add(index)
            self._update(index)

    # -- what there is ---------------------------------------------------------------

    @property
    def free_on_disc(self) -> int:
        """Blocks that the last durable commit does not use."""
        return self._free

    @property
    def free_blocks(self) -> int:
        """Blocks that can be given away now or after the next checkpoint."""
        with self._lock:
            return self._free - self._reserved_count

    @property
    def available_blocks(self) -> int:
        """Blocks that can be given away now."""
        with self._lock:
            waiting = sum(
                (self._kept[i] & ~(self._used[i] | self._reserved[i])).bit_count()
                for i in self._changed
            )
            return self._free - self._reserved_count - waiting

    @property
    def fresh_packets(self) -> int:
        """Packets in which nothing is."""
        return self._fresh

    @property
    def hints(self) -> tuple[int, int]:
        """Where ICBs and small files went last (home blocks, 0 for nowhere)."""
        icb = (self._icb + self._first) * PACKET if self._icb >= 0 else 0
        return max(icb, self._start) if icb else 0, max(self._small, 0)

    def _bit(self, home: int) -> tuple[int, int]:
        return home // PACKET - self._first, 1 << home % PACKET

    def is_used(self, home: int) -> bool:
        """Whether the last durable commit uses a block of the partition."""
        if not self._start <= home < self._end:
            return False
        index, bit = self._bit(home)
        return bool(self._used[index] & bit)

    def live(self, home: int) -> bool:
        """Whether a block holds something durable; outside the partition every
        one does."""
        return not self._start <= home < self._end or self.is_used(home)

    def wanted(self, home: int) -> bool:
        """Whether anybody may read the block again: it is live, or of a file
        that is open without a name."""
        if self.live(home):
            return True
        index, bit = self._bit(home)
        return bool(self._reserved[index] & bit)

    def is_fresh(self, home: int) -> bool:
        """Whether nothing that anybody may read lies in the packet of a block,
        neither now nor at the last checkpoint."""
        index = home // PACKET - self._first
        return not self._used[index] | self._kept[index] and index not in self._pinned

    # -- numbers of ICBs ---------------------------------------------------------------

    @property
    def allocated(self) -> int:
        """As a virtual allocation table would count; nothing grows here."""
        return 0

    def allocate(self) -> int:
        """The number of a new ICB. Raises NoSpaceError."""
        with self._lock:
            if self._spare_icbs:
                return self._spare_icbs.pop()
            if self._icb < 0 or not self._available(self._icb):
                self._icb = self._next_icb_packet()
            available = self._available(self._icb)
            home = (self._icb + self._first) * PACKET + (available & -available).bit_length() - 1
            self._reserve([(home, 1)])
            return home - self._start

    def _next_icb_packet(self) -> int:
        after = max(self._icb, 0)
        run = ICB_RUN if self._fresh > PLENTY else 1
        for kind, count in ((ICBS, 1), (FRESH, run), (FRESH, 1), (PARTIAL, 1)):
            at = self._find(kind, count, after)
            if at >= 0:
                self._mark_icbs(range(at, at + count))
                return at
        raise NoSpaceError(needed=1, free=0)

    def _find(self, kind: int, count: int, after: int) -> int:
        """The first of so many neighbouring packets of a class, from ``after`` on
        and round; -1 if there are none."""
        pattern = bytes((kind,)) * count
        at = self._class.find(pattern, after)
        return at if at >= 0 else self._class.find(pattern, 0, after + count)

    def take(self, number: int) -> None:
        """An ICB's number is in use: a journal says so, or somebody has it open."""
        home = self._start + number
        with self._lock:
            self._spare_icbs.discard(number)
            if self._start <= home < self._end and not self.is_used(home):
                self._reserve([(home, 1)])

    def release(self, number: int) -> None:
        """No program uses that ICB's number any more."""
        with self._lock:
            if number in self._held:
                self._let_go(number)
                return
            home = self._start + number
            if self._start <= home < self._end and not self.is_used(home):
                index, bit = self._bit(home)
                if self._reserved[index] & bit:
                    # It was never on the disc. It stays an ICB's until no commit
                    # can take it for one that is gone.
                    self._spare_icbs.add(number)

    def settled(self, freed: Iterable[int], held: Iterable[int] = ()) -> None:
        """A commit is on the disc in which the ICBs ``freed`` are gone; those
        ``held`` are open and keep their blocks, whatever the disc says."""
        kept = set(held)
        with self._lock:
            for number in freed:
                if number in self._held and number not in kept:
                    self._let_go(number)
                if number in self._spare_icbs:
                    self._spare_icbs.discard(number)
                    self._unreserve([(self._start + number, 1)])

    def _let_go(self, number: int) -> None:
        """The blocks of a deleted inode are nobody's any more."""
        blocks = self._held.pop(number)
        self._unreserve(blocks)
        for packet, mask in _pieces(blocks):
            index = packet - self._first
            self._pinned[index] &= ~mask
            if not self._pinned[index]:
                del self._pinned[index]

    def _reserve(self, extents: Iterable[Extent]) -> None:
        for index, mask in _pieces(extents):
            index -= self._first
            new = mask & ~self._reserved[index]
            self._reserved[index] |= mask
            self._reserved_count += (new & ~self._used[index]).bit_count()
            self._update(index)

    def _unreserve(self, extents: Iterable[Extent]) -> None:
        for index, mask in _pieces(extents):
            index -= self._first
            old = mask & self._reserved[index]
            self._reserved[index] &= ~mask
            self._reserved_count -= (old & ~self._used[index]).bit_count()
            self._update(index)

    # -- places for data -----------------------------------------------------------------

    def take_blocks(self, count: int, *, near: int = -1, of: int = 0) -> list[Extent]:
        """Reserve ``count`` blocks, in as few pieces as there are: from ``near``
        on if that is free; ``of`` is how many the whole file may take. Raises
        NoSpaceError, and then nothing is reserved."""
        taken: list[Extent] = []
        left = count
        with self._lock:
            try:
                while left:
                    extent = self._next_piece(left, near, max(left, of))
                    self._reserve([extent])
                    taken.append(extent)
                    near = sum(extent)
                    left -= extent[1]
            except NoSpaceError:
                self._unreserve(taken)
                raise
        return _in_order(taken)

    def _next_piece(self, count: int, near: int, of: int) -> Extent:
        if near >= 0:
            number = self._run_at(near, count)
            if number:
                if near == self._small:
                    self._small += number
                return near, number
        if of < LARGE:
            return self._small_piece(count)
        return self._large_piece(count, of)

    def _small_piece(self, count: int) -> Extent:
        if self._small >= 0:
            at = self._small
            number = self._run_at(at, count)
            if number == count or (number and self._fresh <= PLENTY):
                self._small = at + number
                return at, number
        order = (FRESH, PARTIAL) if self._fresh > PLENTY else (PARTIAL, FRESH)
        extent = self._first_of((*order, ICBS), count, max(self._small, self._start))
        self._small = sum(extent)
        return extent

    def _large_piece(self, count: int, of: int) -> Extent:
        packets = -(-of // PACKET)
        while packets:
            at = self._find(FRESH, packets, self._bulk) if packets <= self._fresh else -1
            if at >= 0:
                number = min(count, packets * PACKET)
                self._bulk = at + -(-number // PACKET)
                return (at + self._first) * PACKET, number
            packets //= 2
        return self._first_of((PARTIAL, ICBS), count, (self._bulk + self._first) * PACKET)

    def _first_of(self, kinds: Iterable[int], count: int, after: int) -> Extent:
        index = min(max(after // PACKET - self._first, 0), len(self._class) - 1)
        for kind in kinds:
            at = self._find(kind, 1, index)
            if at >= 0:
                available = self._available(at)
                home = (at + self._first) * PACKET + (available & -available).bit_length() - 1
                return home, self._run_at(home, count, any_packet=True)
        raise NoSpaceError(needed=count, free=0)

    def _run_at(self, home: int, count: int, *, any_packet: bool = False) -> int:
        """How many blocks from ``home`` on, at most ``count``, can be given away;
        none in packets of ICBs unless the first may be one (``any_packet``)."""
        at, end = home, min(home + count, self._end)
        while self._start <= at < end:
            index, low = at // PACKET - self._first, at % PACKET
            if self._class[index] == ICBS and not any_packet:
                break
            any_packet = False
            free = self._available(index) >> low
            number = (~free & -~free).bit_length() - 1 if free != WHOLE else PACKET
            at += min(number, end - at)
            if number < PACKET - low:
                break
        return at - home

    def give_back(self, extents: Iterable[Extent]) -> None:
        """What was taken was not used after all."""
        with self._lock:
            self._unreserve(extents)

    # -- commits and checkpoints -----------------------------------------------------------

    def commit(
        self,
        allocated: Iterable[Extent],
        freed: Iterable[Extent],
        gone: Mapping[int, Collection[Extent]] | None = None,
    ) -> None:
        """A commit is durable. ``gone`` are blocks of deleted inodes by number,
        among ``freed``: they are held until :meth:`settled` or :meth:`release`."""
        with self._lock:
            for extents, use in ((allocated, True), (freed, False)):
                for index, mask in _pieces(extents):
                    self._set(index, mask, use=use)
            self._spare_icbs -= {n for n in self._spare_icbs if self.is_used(self._start + n)}
            for number, blocks in (gone or {}).items():
                self._held[number] = list(blocks)
                self._reserve(blocks)
                for packet, mask in _pieces(blocks):
                    index = packet - self._first
                    self._pinned[index] = self._pinned.get(index, 0) | mask

    def _set(self, packet: int, mask: int, *, use: bool) -> None:
        index = packet - self._first
        before = self._used[index]
        reserved = self._reserved[index] & mask
        self._reserved_count -= (reserved & ~before).bit_count()
        if use:
            self._reserved[index] &= ~mask
            self._used[index] = before | mask
            self._kept[index] |= mask
            self._free -= (mask & ~before).bit_count()
        else:
            self._used[index] = before & ~mask
            self._free += (mask & before).bit_count()
            self._reserved_count += reserved.bit_count()
        if self._used[index] == self._kept[index]:
            self._changed.discard(index)
        else:
            self._changed.add(index)
        self._update(index)
        self._into_table(packet, mask, use=use)

    def _into_table(self, packet: int, mask: int, *, use: bool) -> None:
        table = self._table
        home = packet * PACKET
        low = max(self._start - home, 0)  # a partition may begin inside a packet
        at, skip = divmod(home + low - self._start, 8)
        bits = mask >> low << skip
        size = -(-bits.bit_length() // 8)
        word = int.from_bytes(table.bits[at : at + size], "little")
        word = word & ~bits if use else word | bits
        table.bits[at : at + size] = word.to_bytes(size, "little")
        self._dirty.add(table.block_of(home + low))
        self._dirty.add(table.block_of(min(home + PACKET, self._end) - 1))

    def bitmap(self) -> dict[int, bytes]:
        """The blocks of the bitmap that changed since the last checkpoint, by
        their homes, as they must be after this one."""
        with self._lock:
            return {self._table.location + i: self._table.block(i) for i in sorted(self._dirty)}

    def checkpointed(self) -> None:
        """The structures in place are those of the last durable commit."""
        with self._lock:
            self._dirty.clear()
            changed, self._changed = self._changed, set()
            for index in changed:
                self._kept[index] = self._used[index]
                self._update(index)


def _in_order(extents: list[Extent]) -> list[Extent]:
    """Extents in the order they were taken, those joined that follow each other."""
    result: list[Extent] = []
    for block, count in extents:
        if result and sum(result[-1]) == block:
            result[-1] = (result[-1][0], result[-1][1] + count)
        else:
            result.append((block, count))
    return result
