"""The laser and what it does to the disc: packets, tracks, sessions.

Knows nothing of commands; :mod:`media.virtual.commands` translates. Refuses as
a drive does, with :class:`~media.virtual.refusal.Refusal`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from media.mmc.address import PREGAP
from media.virtual import refusal
from media.virtual.at_once import AtOnce
from media.virtual.clock import CALIBRATION, PMA_UPDATE, Clock
from media.virtual.faults import Faults
from media.virtual.medium import (
    LAST_TRACK_NUMBER,
    LINK_BLOCKS,
    RUN_OUT_BLOCKS,
    SMALLEST_RESERVATION,
    Event,
    Medium,
    Track,
)
from media.virtual.refusal import Refusal
from media.virtual.storage import BLOCK, Buffer, Storage

#: Test areas of the power calibration area (Orange Book part II), and from which
#: use on the drive warns
CALIBRATION_AREAS, CALIBRATION_WARNING = 100, 90


class Journal(Protocol):
    """Where the disc's history is kept."""

    def append(self, event: Event) -> None:
        """Survives a kill of this process on return."""

    def sync(self) -> None:
        """Return when all events survive a power cut of the host."""


class NoJournal:
    """For a disc in memory."""

    def append(self, event: Event) -> None:
        pass

    def sync(self) -> None:
        pass


class WriteSettings(NamedTuple):
    """What mode page 05h says, as far as it matters here."""

    packets: bool = False
    #: Blocks of a fixed packet, 0 for packets of variable size
    packet_size: int = 0
    xa: bool = False
    another_session: bool = False
    track_at_once: bool = False
    session_at_once: bool = False
    #: At once, but only to see whether it would go well: nothing is recorded
    test: bool = False

    @property
    def at_once(self) -> bool:
        return self.track_at_once or self.session_at_once


@dataclass(slots=True)
class Packet:
    """The packet that is being written: blocks [start, end) so far.

    ``watched``: something has to be looked at after each piece of it.
    """

    number: int
    track: Track
    start: int
    end: int
    watched: bool
    xa: bool


class Recorder:
    """One disc under the laser of one drive."""

    def __init__(
        self, medium: Medium, storage: Storage, journal: Journal, clock: Clock, faults: Faults
    ) -> None:
        self.medium = medium
        self.storage = storage
        self.journal = journal
        self.clock = clock
        self.faults = faults
        self.settings = WriteSettings()
        self.packet: Packet | None = None
        self.at_once = AtOnce(self)
        #: Packets begun since the burner was opened
        self.packets = 0
        self._dirty = False
        self.set_up()

    def set_up(self) -> None:
        """What a recorder of another kind of disc needs besides."""

    @property
    def blank(self) -> bool:
        """Whether nothing was ever recorded on the disc."""
        return self.medium.blank and self.packet is None and not self.at_once.records

    @property
    def recorded_end(self) -> int:
        """What READ CAPACITY counts, the open packet included."""
        packet, end = self.packet, self.medium.recorded_end
        if self.at_once.records:
            return max(self.at_once.end, end)
        return max(packet.end, end) if packet is not None else end

    # -- writing ------------------------------------------------------------------

    def write(self, block: int, count: int, data: Buffer) -> None:
        """Take ``count`` blocks: begins a packet at a next writable address, or
        continues the one that is open."""
        packet = self.packet
        if packet is None or packet.end != block:
            if self.settings.at_once:
                self.at_once.write(block, count, data)
                return
            packet = self._begin(block, count)
        elif block + count > packet.track.limit:
            raise Refusal(refusal.PACKET_DOES_NOT_FIT)
        try:
            self.storage.write(block, data)
        except OSError:
            self._forget(packet, packet.end)
            raise
        packet.end = block + count
        self.clock.burn(count)
        if packet.watched:
            self._look_after(packet, count)

    def _begin(self, block: int, count: int) -> Packet:
        track = self._check_begin(block, count)
        self.end_packet()
        self.packets += 1
        number = self.packets
        watched = (
            track.reserved
            or self.faults.end_packets_after is not None
            or number in self.faults.early_ends
            or number in self.faults.write_errors
        )
        self.clock.begin_packet(block)
        self._dirty = True
        self.packet = Packet(number, track, block, block, watched, self.settings.xa)
        return self.packet

    def _check_begin(self, block: int, count: int) -> Track:
        if self.medium.spoiled:
            raise Refusal(refusal.MEDIUM_FORMAT_CORRUPTED)
        if self.medium.final:
            raise Refusal(refusal.WRITE_PROTECTED)
        if not self.settings.packets:
            raise Refusal(refusal.COMMAND_SEQUENCE_ERROR)
        if self.settings.packet_size:
            raise Refusal(refusal.ILLEGAL_MODE_FOR_TRACK)
        track = self.medium.track_at(block)
        in_packet = self.packet is not None and self.packet.track is track
        if in_packet or not track.writable or block != track.next:
            beyond = block >= self.medium.kind.lead_out
            raise Refusal(
                refusal.ADDRESS_OUT_OF_RANGE if beyond else refusal.INVALID_ADDRESS_FOR_WRITE
            )
        if track.free == 0:
            raise Refusal(refusal.END_OF_USER_AREA)
        if count > track.free:
            raise Refusal(refusal.PACKET_DOES_NOT_FIT)
        if track.written and track.xa != self.settings.xa:
            raise Refusal(refusal.ILLEGAL_MODE_FOR_TRACK)
        return track

    def _look_after(self, packet: Packet, count: int) -> None:
        if self.faults.write_errors.get(packet.number) == "write":
            bad = packet.end - count + self._chance("write error", packet).randrange(count)
            self._break(packet, bad)
        if packet.track.reserved:
            # Its end cannot be told from the length of the image: state.py.
            blocks = packet.end - packet.start
            self.record({"e": "part", "s": packet.start, "n": blocks})
        early = self.faults.early_ends.get(packet.number, self.faults.end_packets_after)
        if early is not None and packet.end - packet.start >= early:
            self.end_packet()

    def _break(self, packet: Packet, bad: int) -> None:
        """The laser failed at a block: the packet ends there, the block is lost."""
        self.packet = None
        self._forget(packet, bad)
        self._finish(packet, bad, lost=1)
        raise Refusal(refusal.WRITE_ERROR, block=bad)

    def end_packet(self) -> None:
        """Burn what the buffer holds, and the blocks that end the packet, if one is
        open. (The clock goes on; :meth:`synchronize` waits for it.)"""
        packet = self.packet
        if packet is None:
            self.at_once.finish()
            return
        if self.faults.write_errors.get(packet.number) == "sync":
            self._break(packet, self._unburnt(packet, "write error", packet.end - 1))
        self.packet = None
        end = packet.end
        if packet.number in self.faults.lost_buffers:
            end = self._unburnt(packet, "lost buffer", packet.end)
            self._forget(packet, end)
        if end > packet.start:
            self._finish(packet, end)

    def _finish(self, packet: Packet, end: int, *, lost: int = 0, torn: bool = False) -> None:
        event = {"e": "packet", "s": packet.start, "n": end - packet.start}
        left_open = packet.track.reserved and not self.faults.full_reservation_closes
        extra = {"lost": lost, "torn": torn, "xa": packet.xa, "open": left_open}
        self.record(event | {name: value for name, value in extra.items() if value})
        self.clock.end_packet(LINK_BLOCKS)

    def _unburnt(self, packet: Packet, what: str, last: int) -> int:
        """A block at which the laser may be, from the full buffer's start to ``last``."""
        first = max(packet.start, packet.end - self.clock.buffer_blocks)
        return self._chance(what, packet).randint(min(first, last), last)

    def _chance(self, what: str, packet: Packet) -> random.Random:
        return self.faults.chance((what, packet.start, packet.end))

    def _forget(self, packet: Packet, start: int) -> None:
        """Take the packet's blocks from ``start`` on, which never reached the disc,
        off the image again."""
        if packet.start >= self.medium.end:
            self.storage.truncate(start if start > packet.start else self.medium.end)
        elif packet.end > start:
            self.storage.erase(start, packet.end - start)

    def synchronize(self) -> None:
        """End the packet, and return when it is durable on the host too."""
        self.at_once.check_complete()
        self.end_packet()
        self.clock.drain()
        self.make_durable()

    def make_durable(self) -> None:
        if self._dirty:
            self.storage.sync()
            self.journal.sync()
            self._dirty = False

    def record(self, event: Event) -> None:
        """Let something happen to the disc, for good."""
        self.medium.apply(event)
        self.journal.append(event)
        self._dirty = True

    def break_off(self) -> None:
        """Nobody feeds the drive any more: what is open ends as by an underrun."""
        self.at_once.break_off()
        self.end_packet()

    # -- misfortune -----------------------------------------------------------------

    def tear(self) -> None:
        """The power goes, or the disc is pulled out: what is in the buffer is lost."""
        packet, self.packet = self.packet, None
        self.at_once.tear()
        if packet is not None:
            end = self._unburnt(packet, "cut", packet.end)
            self._forget(packet, end)
            torn = self.faults.cut == "repair"
            if torn or end > packet.start:
                self._finish(packet, end, torn=torn)
        self.clock.lose_buffer()
        self.settings = WriteSettings()

    # -- reading --------------------------------------------------------------------

    def read(self, block: int, count: int) -> bytes:
        """``count`` blocks. A refusal carries the readable ones before the bad one."""
        if self.packet is not None:
            if not self.faults.read_ends_packet:
                raise Refusal(refusal.COMMAND_SEQUENCE_ERROR)
            self.end_packet()
            self.clock.drain()
        self.at_once.check_idle()
        if self.medium.spoiled:
            raise Refusal(refusal.MEDIUM_FORMAT_CORRUPTED)
        if self.medium.readable_end(block) < block + count or self.faults.unreadable:
            self._check_readable(block, count)
        data = self.storage.read(block, count)
        self.clock.read(block, count)
        if len(data) != count * BLOCK:
            # The image was cut short behind our back.
            bad = block + len(data) // BLOCK
            raise Refusal(refusal.UNRECOVERED_READ_ERROR, block=bad, data=data)
        return data

    def _check_readable(self, block: int, count: int) -> None:
        end = block + count
        worn = min((b for b in self.faults.unreadable if block <= b < end), default=end)
        bad = min(self.medium.readable_end(block), worn, end)
        if bad == end:
            return
        good = self.storage.read(block, bad - block) if bad > block else b""
        code = refusal.ILLEGAL_MODE_FOR_TRACK
        if bad == worn or self.medium.lost(bad):
            code = refusal.UNRECOVERED_READ_ERROR
        elif bad >= max(self.medium.recorded_end, self.medium.tracks[-1].next):
            code = refusal.ADDRESS_OUT_OF_RANGE
        self.clock.read(block, bad - block)
        raise Refusal(code, block=bad, data=good)

    # -- tracks and sessions -----------------------------------------------------------

    def next_writable(self, track: Track) -> int | None:
        """The address at which the next WRITE to a track has to be."""
        if self.packet is not None and self.packet.track is track:
            return self.packet.end
        if self.settings.at_once and track is self.medium.invisible:
            return self.at_once.next_writable(track)
        return track.next if track.writable else None

    def written(self, track: Track) -> bool:
        """Whether a track has anything in it, be it still in the buffer."""
        if self.at_once.records and track is self.medium.invisible:
            return True
        return track.written or (self.packet is not None and self.packet.track is track)

    def free(self, track: Track) -> int:
        """Blocks from the next writable address to the track's end."""
        if self.packet is not None and self.packet.track is track:
            return track.limit - self.packet.end
        if self.at_once.records and track is self.medium.invisible:
            return max(0, track.limit - self.at_once.end)
        return track.free

    def reserve(self, blocks: int) -> None:
        """RESERVE TRACK: the invisible track becomes a reserved one."""
        self.end_packet()
        track = self._appendable_track()
        if track.written:
            raise Refusal(refusal.INCOMPLETE_TRACK)
        if track.number >= LAST_TRACK_NUMBER:
            raise Refusal(refusal.NO_MORE_RESERVATIONS)
        if blocks < SMALLEST_RESERVATION:
            raise Refusal(refusal.INVALID_FIELD_IN_CDB)
        gap = self.faults.reservation_gap
        if track.start + blocks + RUN_OUT_BLOCKS + gap >= track.limit:
            raise Refusal(refusal.PACKET_DOES_NOT_FIT)
        self.clock.spend(PMA_UPDATE)
        extra = {} if gap == PREGAP else {"gap": gap}
        self.record({"e": "reserve", "n": blocks, **extra})
        self.make_durable()

    def _appendable_track(self) -> Track:
        track = self.medium.invisible
        if track is None:
            raise Refusal(refusal.WRITE_PROTECTED)
        return track

    def repair_track(self, number: int) -> None:
        """REPAIR TRACK: end a torn packet; without one there is nothing to do."""
        self.clock.spend(PMA_UPDATE)
        if self.medium.tracks[number - 1].torn:
            extra = {"writable": True} if self.faults.repaired == "writable" else {}
            self.record({"e": "repair", "t": number, **extra})
            self.make_durable()

    def check_close_track(self, track: Track) -> None:
        """Refuse to close a track that cannot be closed as it is."""
        self.end_packet()
        if track.closed or track.repaired or self.at_once.just_closed(track):
            return
        if track.torn:
            raise Refusal(refusal.INCOMPLETE_TRACK)
        if track.reserved and track.free:
            raise Refusal(refusal.UNFILLED_RESERVED_TRACK)
        if not track.written:
            raise Refusal(refusal.COMMAND_SEQUENCE_ERROR)

    def close_track(self, number: int) -> None:
        track = self.medium.tracks[number - 1]
        if not (track.closed or self.at_once.just_closed(track)):
            self.record({"e": "close-track", "t": number})
        self.synchronize()

    def check_close_session(self) -> None:
        """Refuse to close a session with nothing in it or an open track."""
        self.end_packet()
        medium = self.medium
        if medium.final:
            raise Refusal(refusal.COMMAND_SEQUENCE_ERROR)
        for track in medium.session_tracks(len(medium.sessions)):
            if not track.closed and track.reserved and track.free:
                raise Refusal(refusal.UNFILLED_RESERVED_TRACK)
            if not track.closed and track.written:
                raise Refusal(refusal.INCOMPLETE_TRACK)
        if not any(t.closed for t in medium.session_tracks(len(medium.sessions))):
            raise Refusal(refusal.COMMAND_SEQUENCE_ERROR)

    def close_session(self, final: bool) -> None:
        self.record({"e": "close-session", "final": final})
        self.synchronize()

    def calibrate(self) -> None:
        """SEND OPC INFORMATION with DoOPC: uses up one area of the disc."""
        self.end_packet()
        if self.medium.kind.erasable:
            self.clock.spend(CALIBRATION)  # the areas can be used again
            return
        if self.medium.calibrations >= CALIBRATION_AREAS:
            raise Refusal(refusal.CALIBRATION_AREA_FULL)
        self.clock.spend(CALIBRATION)
        self.record({"e": "calibrate"})
        if self.medium.calibrations >= CALIBRATION_WARNING:
            raise Refusal(refusal.CALIBRATION_AREA_ALMOST_FULL)

    # -- blanking and formatting ---------------------------------------------------------

    def spoil(self) -> None:
        """Blanking or formatting begins: from now on the disc is worth nothing."""
        self.end_packet()
        self.record({"e": "spoil"})
        self.make_durable()
        self.storage.truncate(0)

    def blank_disc(self, full: bool) -> None:
        """BLANK is over."""
        self.record({"e": "blank", "full": full})
        self.make_durable()

    def format(self, blocks: int, mrw: bool) -> None:
        """FORMAT UNIT is over, or has gone so far that the disc can be used."""
        self.storage.resize(blocks)
        self.record({"e": "format", "n": blocks, "mrw": mrw})
        self.make_durable()

    @property
    def background(self) -> tuple[bool, float] | None:
        """A format in the background: whether it goes on, and what part is done."""
        return None

    def work_in_background(self) -> None:
        """The drive is left alone for a while."""

    def suspend(self) -> None:
        """Stop a format in the background."""

    def restart(self) -> None:
        """Go on with it."""

    # -- copies ---------------------------------------------------------------------------

    def clone(self, storage: Storage, faults: Faults) -> Recorder:
        """An independent recorder over a copy of the storage."""
        other = type(self)(self.medium.clone(), storage, NoJournal(), replace(self.clock), faults)
        other.settings, other.packets, other._dirty = self.settings, self.packets, self._dirty
        if self.packet is not None:
            track = other.medium.tracks[self.packet.track.number - 1]
            other.packet = replace(self.packet, track=track)
        other.at_once.copy(self.at_once)
        return other
