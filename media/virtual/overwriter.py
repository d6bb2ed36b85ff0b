"""The laser over a disc that is formatted in fixed packets, or as Mt. Rainier.

What the host writes goes to the storage at once, but counts as waiting in the
drive's buffer until it is burnt: before that, a power cut gives back what was there.
"""

from __future__ import annotations

from typing import NamedTuple

from media.virtual import refusal
from media.virtual.area import WHOLE_PACKET, Area, on_groove, runs_of
from media.virtual.faults import Faults, FixedCut, TornHow
from media.virtual.kinds import FIXED_PACKET, FIXED_PACKET_SPAN
from media.virtual.medium import Track
from media.virtual.recorder import Recorder, WriteSettings
from media.virtual.refusal import Refusal
from media.virtual.storage import BLOCK, Buffer, Storage

#: Chance loses at most so many blocks where the laser was when the power went
_TORN_BLOCKS = 4


class Waiting(NamedTuple):
    """A packet in the buffer: what its place holds if it is not burnt (data, unreadable
    blocks as bits), and its number, counted since the burner was opened."""

    before: bytes
    lost: int
    number: int


class Overwriter(Recorder):
    """One formatted disc under the laser of one drive."""

    _buffer: dict[int, Waiting]
    _burnt: list[int]
    _failed: dict[int, None]
    _bad: tuple[int, float, frozenset[int]]

    def set_up(self) -> None:
        #: Packets that wait, the longest first
        self._buffer = {}
        #: Packets burnt since their wear was last recorded
        self._burnt = []
        #: Packets that failed and of which the host was not told yet, in order
        self._failed = {}
        self._bad = (0, 0.0, frozenset())

    @property
    def area(self) -> Area:
        area = self.medium.area
        assert area is not None
        return area

    @property
    def unsynced(self) -> list[int]:
        """First blocks of the packets that wait in the buffer, the longest first."""
        return [packet * FIXED_PACKET for packet in self._buffer]

    # -- writing ------------------------------------------------------------------

    def write(self, block: int, count: int, data: Buffer) -> None:
        """Whole packets, with page 05h set for them; on Mt. Rainier any blocks."""
        area, end = self.area, block + count
        if end > area.blocks:
            raise Refusal(refusal.ADDRESS_OUT_OF_RANGE)
        if not area.mrw:
            self._check_packets(block, count)
        first, behind = block // FIXED_PACKET, (end - 1) // FIXED_PACKET + 1
        self._dirty = True
        refused = self._refused_at_write(first, behind)
        if refused is not None:
            self._write_up_to(refused, block, data)
        for packet in range(first, behind):
            self._take(packet)
        self.storage.write(block, data)
        if area.lost:
            self._mend(block, end)
        partly = bool(block % FIXED_PACKET or count % FIXED_PACKET)
        span = (behind - first) * FIXED_PACKET_SPAN
        self.clock.rewrite(first * FIXED_PACKET_SPAN, span, count, again=partly)

    def _check_packets(self, block: int, count: int) -> None:
        if self.settings.at_once:
            raise Refusal(refusal.INCOMPATIBLE_FORMAT)
        if not self.settings.packets:
            raise Refusal(refusal.COMMAND_SEQUENCE_ERROR)
        if self.settings.packet_size != FIXED_PACKET:
            raise Refusal(refusal.ILLEGAL_MODE_FOR_TRACK)
        if block % FIXED_PACKET or count % FIXED_PACKET:
            raise Refusal(refusal.INVALID_ADDRESS_FOR_WRITE)

    def _take(self, packet: int) -> None:
        """A packet comes into the buffer; the oldest make room."""
        self.packets += 1
        buffer = self._buffer
        waiting = buffer.pop(packet, None)
        if waiting is None:
            limit = self.faults.buffer_packets
            if limit is None:
                limit = self.clock.buffer_blocks // FIXED_PACKET
            while len(buffer) >= max(1, limit):
                self._burn(next(iter(buffer)))
            before = self.storage.read(packet * FIXED_PACKET, FIXED_PACKET)
            waiting = Waiting(before, self.area.lost.get(packet, 0), self.packets)
        else:
            waiting = waiting._replace(number=self.packets)
        buffer[packet] = waiting
        if packet in self._failed:
            del self._failed[packet]

    def _mend(self, block: int, end: int) -> None:
        """What was written can be read again."""
        masks = []
        for packet in range(block // FIXED_PACKET, (end - 1) // FIXED_PACKET + 1):
            bits = self.area.lost.get(packet, 0)
            start = packet * FIXED_PACKET
            written = WHOLE_PACKET
            if start < block:
                written &= WHOLE_PACKET << (block - start)
            if start + FIXED_PACKET > end:
                written &= WHOLE_PACKET >> (start + FIXED_PACKET - end)
            if bits & written:
                masks.append((packet, bits & ~written))
        self._set_lost(masks)

    def _set_lost(self, masks: list[tuple[int, int]]) -> None:
        changed = [
            (packet, bits) for packet, bits in masks if self.area.lost.get(packet, 0) != bits
        ]
        if changed:
            self.record({"e": "lost", "m": changed})

    # -- burning ------------------------------------------------------------------

    def _burn(self, packet: int) -> bool:
        """The laser gets to a packet of the buffer; says whether it could write it."""
        waiting = self._buffer.pop(packet)
        if waiting.number in self.faults.lost_buffers:
            self._put_back(packet, waiting)
            return True
        self._count(packet)
        asked_for = self.faults.write_errors.get(waiting.number) == "sync"
        if asked_for or self._is_bad(packet, self.medium.wear[packet]):
            self._fail(packet)
            self._failed[packet] = None
            return False
        return True

    def _count(self, packet: int) -> None:
        self.medium.wear[packet] += 1
        self._burnt.append(packet)

    def _fail(self, packet: int) -> None:
        self._set_lost([(packet, WHOLE_PACKET)])

    def _put_back(self, packet: int, waiting: Waiting) -> None:
        """A packet was not burnt: its place is as it was."""
        block = packet * FIXED_PACKET
        if any(waiting.before):
            self.storage.write(block, waiting.before)
        else:
            self.storage.erase(block, FIXED_PACKET)
        self._set_lost([(packet, waiting.lost)])

    def _is_bad(self, packet: int, times: int) -> bool:
        """Whether a packet cannot be written for the n-th time; a Mt. Rainier drive
        moves it if it can."""
        faults, area = self.faults, self.area
        if not (faults.bad_packets or faults.bad_share or faults.wear_limit is not None):
            return False
        worn = faults.wear_limit is not None and times > faults.wear_limit
        if not worn and (packet in area.spared or not self._bad_from_the_start(packet)):
            return False
        if area.mrw and area.spares_left > 0:
            self.record({"e": "spare", "p": packet})
            return False
        return True

    def _bad_from_the_start(self, packet: int) -> bool:
        faults = self.faults
        if packet * FIXED_PACKET in faults.bad_packets:
            return True
        return bool(faults.bad_share) and packet in self._bad_by_chance()

    def _bad_by_chance(self) -> frozenset[int]:
        seed, share, bad = self._bad
        if (seed, share) != (self.faults.seed, self.faults.bad_share):
            seed, share = self.faults.seed, self.faults.bad_share
            chance = self.faults.chance("bad packets")
            numbers = range(len(self.medium.wear))
            bad = frozenset(packet for packet in numbers if chance.random() < share)
            self._bad = (seed, share, bad)
        return bad

    def _refused_at_write(self, first: int, behind: int) -> int | None:
        """The first packet of a WRITE that fails at once."""
        faults = self.faults
        told = faults.defects_told == "write"
        if not (faults.write_errors or told):
            return None
        for number, packet in enumerate(range(first, behind), self.packets + 1):
            times = self.medium.wear[packet] + 1
            if faults.write_errors.get(number) == "write":
                return packet
            if told and self._is_bad(packet, times):
                return packet
        return None

    def _write_up_to(self, refused: int, block: int, data: Buffer) -> None:
        """Take what a WRITE has before the packet that fails, and let that one fail."""
        start = refused * FIXED_PACKET
        if start > block:
            told, self.faults.defects_told = self.faults.defects_told, "sync"
            try:
                good = memoryview(data)[: (start - block) * BLOCK]
                self.write(block, start - block, good)
            finally:
                self.faults.defects_told = told
        self.packets += 1
        self._buffer.pop(refused, None)
        self._count(refused)
        self._fail(refused)
        if self.faults.error_empties_buffer:
            self._empty_buffer()
        raise Refusal(refusal.WRITE_ERROR, block=start)

    def _empty_buffer(self) -> None:
        for packet, waiting in list(self._buffer.items()):
            self._put_back(packet, waiting)
        self._buffer.clear()

    def end_packet(self) -> None:
        """Burn what waits in the buffer. Of a failure SYNCHRONIZE CACHE tells."""
        for packet in list(self._buffer):
            if not self._burn(packet) and self.faults.error_empties_buffer:
                self._empty_buffer()
                break
        if self._burnt:
            self.journal.append({"e": "wear", "p": runs_of(self._burnt)})
            self._burnt.clear()

    def synchronize(self) -> None:
        super().synchronize()
        if self._failed:
            packet = next(iter(self._failed))
            del self._failed[packet]
            raise Refusal(refusal.WRITE_ERROR, block=packet * FIXED_PACKET)

    # -- misfortune -----------------------------------------------------------------

    def tear(self) -> None:
        """The power goes: of the packets in the buffer some were burnt, one may be
        half burnt, the others are as they were."""
        waiting = self._buffer.copy()
        if waiting:
            cut = self.faults.fixed_cut or self._cut_by_chance(list(waiting))
            for packet in waiting:
                if packet * FIXED_PACKET in cut.burnt:
                    self._burn(packet)
            for packet, held in list(self._buffer.items()):
                self._cut_off(packet, held, cut)
        self._buffer.clear()
        self._failed.clear()
        self.end_packet()
        self.suspend()
        self.clock.lose_buffer()
        self.settings = WriteSettings()

    def _cut_by_chance(self, waiting: list[int]) -> FixedCut:
        chance = self.faults.chance(("fixed cut", sum(self.medium.wear), *waiting))
        order = waiting.copy()
        chance.shuffle(order)
        burnt = chance.randint(0, len(order))
        how: TornHow = chance.choice(("unreadable", "mixed", "half"))
        how = self.faults.torn or how
        return FixedCut(
            burnt=frozenset(packet * FIXED_PACKET for packet in order[:burnt]),
            torn=order[burnt] * FIXED_PACKET if burnt < len(order) else None,
            how=how,
            at=chance.randint(1 if how == "half" else 0, FIXED_PACKET - 1),
            unreadable=chance.randint(1, _TORN_BLOCKS),
        )

    def _cut_off(self, packet: int, waiting: Waiting, cut: FixedCut) -> None:
        """A packet that was not burnt, or was under the laser."""
        start = packet * FIXED_PACKET
        if start != cut.torn:
            self._put_back(packet, waiting)
            return
        self._count(packet)
        if cut.how == "unreadable":
            self._fail(packet)
            return
        at = max(0, min(cut.at, FIXED_PACKET))
        new = self.storage.read(start, at)
        self._put_back(packet, waiting)
        if at:
            self.storage.write(start, new)
        lost = waiting.lost & (WHOLE_PACKET << at)
        if cut.how == "mixed":
            lost |= ((1 << cut.unreadable) - 1) << at
        self._set_lost([(packet, lost & WHOLE_PACKET)])

    # -- reading --------------------------------------------------------------------

    def read(self, block: int, count: int) -> bytes:
        """``count`` blocks. A refusal carries the readable ones before the bad one."""
        area, end = self.area, block + count
        if end > area.blocks:
            raise Refusal(refusal.ADDRESS_OUT_OF_RANGE)
        if self._buffer and not (area.mrw or self.faults.read_buffered):
            for packet in range(block // FIXED_PACKET, (end - 1) // FIXED_PACKET + 1):
                if packet in self._buffer:
                    raise Refusal(refusal.COMMAND_SEQUENCE_ERROR, block=packet * FIXED_PACKET)
        self.clock.wait_for_laser()
        good = end
        if area.lost:
            good = area.readable_end(block, end)
        if self.faults.unreadable:
            good = min((b for b in self.faults.unreadable if block <= b < good), default=good)
        data = self.storage.read(block, good - block) if good > block else b""
        place = on_groove(block)
        self.clock.read(place, on_groove(good) - place)
        if good < end or len(data) != count * BLOCK:
            bad = block + len(data) // BLOCK
            raise Refusal(refusal.UNRECOVERED_READ_ERROR, block=bad, data=data)
        return data

    # -- Mt. Rainier's format in the background --------------------------------------------

    @property
    def background(self) -> tuple[bool, float] | None:
        """Whether the format goes on, and what part of it (0 to 1) is done."""
        area = self.area
        if not area.mrw:
            return None
        return area.running, area.formatted / area.packets

    def work_in_background(self) -> None:
        """The drive is left alone for a while: it goes on with the format."""
        area = self.area
        if not area.running:
            return
        polls = max(1, self.faults.background_polls)
        step = -(-area.packets // polls)
        formatted = min(area.packets, area.formatted + step)
        seconds = self.clock.whole_disc(area.packets * FIXED_PACKET_SPAN)
        self.clock.spend(seconds * (formatted - area.formatted) / area.packets)
        self.record({"e": "background", "n": formatted})
        area.running = formatted < area.packets

    def suspend(self) -> None:
        """Stop the format; :meth:`restart` goes on with it."""
        self.area.running = False

    def restart(self) -> None:
        area = self.area
        area.running = area.mrw and area.formatted < area.packets

    # -- tracks and sessions: there is one of each, and it is closed ---------------------------

    def reserve(self, blocks: int) -> None:
        raise Refusal(refusal.COMMAND_SEQUENCE_ERROR)

    def next_writable(self, track: Track) -> int | None:
        return None

    # -- copies ---------------------------------------------------------------------------

    def clone(self, storage: Storage, faults: Faults) -> Recorder:
        other = super().clone(storage, faults)
        assert isinstance(other, Overwriter)
        other._buffer = self._buffer.copy()
        other._burnt, other._failed = self._burnt.copy(), self._failed.copy()
        other._bad = self._bad
        return other


def suited(recorder: Recorder) -> Recorder:
    """The recorder that a disc needs as it is now: this one, or another in its place."""
    wanted = Recorder if recorder.medium.area is None else Overwriter
    if type(recorder) is wanted:
        return recorder
    r = recorder
    other = wanted(r.medium, r.storage, r.journal, r.clock, r.faults)
    other.settings, other.packets = r.settings, r.packets
    return other
