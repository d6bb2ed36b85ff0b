"""A CD as a state: tracks, sessions and packets, and no data.

Pure. All that ever happens to a disc is an event (a small JSON-able mapping)
given to :meth:`Medium.apply`, which the burner does when it happens and the
state file again when it is read. Everything counts blocks of 2,048 bytes.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from media.mmc.address import PREGAP
from media.virtual.area import Area, packed, unpacked
from media.virtual.kinds import FIXED_PACKET, Kind

Event = Mapping[str, Any]

#: Two run-out blocks, the link block and four run-in blocks between two packets
LINK_BLOCKS = 7
#: Of these, the ones behind the last packet of a track
RUN_OUT_BLOCKS = 2
#: Lead-out, lead-in and pre-gap between the first session and the second
FIRST_SESSION_GAP = 11_400
#: ... and between all later ones
LATER_SESSION_GAP = 6_900
SMALLEST_RESERVATION = 300
LAST_TRACK_NUMBER = 99


@dataclass(slots=True)
class Track:
    """One track; the last of an appendable disc is its invisible track.

    ``limit`` is the first block that can not hold its user data, ``next`` the
    next writable address, ``end`` one more than the last block of user data.
    ``torn`` means that a packet was cut off by a power failure, ``repaired``
    that REPAIR TRACK has ended that packet and only closing is left. ``at_once``:
    recorded in one go, without packets.
    """

    number: int
    session: int
    start: int
    limit: int
    next: int
    end: int
    reserved: bool = False
    written: bool = False
    closed: bool = False
    torn: bool = False
    repaired: bool = False
    xa: bool = False
    at_once: bool = False

    @property
    def writable(self) -> bool:
        return not (self.closed or self.torn or self.repaired)

    @property
    def size(self) -> int:
        return self.limit - self.start

    @property
    def free(self) -> int:
        return max(0, self.limit - self.next) if self.writable else 0


@dataclass(slots=True)
class Session:
    """One session; ``lead_out`` (its first block) is None while it is open."""

    number: int
    lead_out: int | None = None


class Medium:
    """The state of one disc."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        #: The first block that no user data may occupy: the last possible
        #: lead-out, less the run-out blocks before it.
        self.limit = kind.lead_out - RUN_OUT_BLOCKS
        #: How often each fixed packet's place was rewritten; empty on a CD-R
        self.wear = array("I", bytes(0))
        if kind.erasable:
            self.wear = array("I", [0]) * (kind.fixed_blocks // FIXED_PACKET)
        self._make_blank()

    def _make_blank(self) -> None:
        #: Formatted in fixed packets, or None: then all is as on a CD-R
        self.area: Area | None = None
        #: Blanking or formatting was broken off: nothing can be read
        self.spoiled = False
        self.sessions = [Session(1)]
        self.tracks = [Track(1, 1, 0, self.limit, 0, 0)]
        self.final = False
        self.calibrations = 0
        #: A packet in a reserved track that is still being written: (start, blocks)
        self.pending: tuple[int, int] | None = None
        #: The event with which a recording in one go began that has not ended
        self.recording: Event | None = None
        #: A session at once behind others was broken off
        self.broken = False
        # Readable blocks: runs [start, end), sorted.
        self._starts: list[int] = []
        self._ends: list[int] = []
        # Blocks of packets that went wrong: [start, end) in the order it happened.
        self._lost: list[tuple[int, int]] = []

    # -- questions --------------------------------------------------------------

    @property
    def blank(self) -> bool:
        """Whether nothing was ever recorded, not even a reservation."""
        return len(self.tracks) == 1 and not self.tracks[0].written

    @property
    def invisible(self) -> Track | None:
        """The track at the end that has not been closed; None on a final disc."""
        last = self.tracks[-1]
        return None if last.closed or last.reserved else last

    @property
    def end(self) -> int:
        """One more than the last readable block, 0 on a blank disc."""
        return self._ends[-1] if self._ends else 0

    @property
    def recorded_end(self) -> int:
        """What READ CAPACITY counts: the open session's data, or all to the lead-out."""
        used = [track.end for track in self.session_tracks(len(self.sessions)) if track.written]
        closed = [session.lead_out for session in self.sessions if session.lead_out is not None]
        if used and self.sessions[-1].lead_out is None:
            return max(used)
        return closed[-1] if closed else 0

    def session_tracks(self, number: int) -> list[Track]:
        return [track for track in self.tracks if track.session == number]

    def track_at(self, block: int) -> Track:
        """The track that a block belongs to (gaps belong to the track before)."""
        index = bisect_right(self.tracks, block, key=lambda track: track.start)
        return self.tracks[max(0, index - 1)]

    def readable_end(self, block: int) -> int:
        """The end (exclusive) of the readable blocks from ``block`` on; ``block``
        itself where not even that can be read."""
        index = bisect_right(self._starts, block) - 1
        if index < 0 or self._ends[index] <= block:
            return block
        while index + 1 < len(self._starts) and self._starts[index + 1] == self._ends[index]:
            index += 1
        return self._ends[index]

    def last_packet(self, track: Track) -> int:
        """Where the last packet of a track begins; its start if there is none."""
        index = bisect_right(self._starts, track.end) - 1
        return max(track.start, self._starts[index]) if index >= 0 else track.start

    def lost(self, block: int) -> bool:
        """Whether a packet that went wrong has this block."""
        return any(start <= block < end for start, end in self._lost)

    def packets(self) -> list[tuple[int, int]]:
        """The readable runs as (first block, blocks), in the order of the disc."""
        return [(s, e - s) for s, e in zip(self._starts, self._ends, strict=True)]

    # -- events -------------------------------------------------------------------

    def apply(self, event: Event) -> None:
        """Let an event happen. Raises KeyError or ValueError for one that nobody knows."""
        handler = _EVENTS[event["e"]]
        handler(self, event)

    def _packet(self, event: Event) -> None:
        start, count, lost = event["s"], event["n"], event.get("lost", 0)
        track = self.track_at(start)
        if count:
            self._add_run(start, start + count)
        if lost:
            self._lost.append((start + count, start + count + lost))
        if not track.written:
            track.written = True
            track.xa = bool(event.get("xa"))
        track.end = start + count + lost
        track.next = track.end + LINK_BLOCKS
        track.torn = bool(event.get("torn"))
        if not event.get("open"):
            self._close_if_full(track)
        self.pending = None

    @staticmethod
    def _close_if_full(track: Track) -> None:
        """What a drive does with a reserved track into which no further packet fits."""
        if track.reserved and not track.torn and track.next >= track.limit:
            track.closed = True

    def _add_run(self, start: int, end: int) -> None:
        if not self._starts or start >= self._ends[-1]:
            self._starts.append(start)
            self._ends.append(end)
            return
        index = bisect_left(self._starts, start)
        self._starts.insert(index, start)
        self._ends.insert(index, end)

    def _part(self, event: Event) -> None:
        self.pending = (event["s"], event["n"])

    def _reserve(self, event: Event) -> None:
        track = self.tracks[-1]
        track.reserved = True
        track.limit = track.start + event["n"]
        gap = event.get("gap", PREGAP)
        self._begin_track(track.session, track.limit + RUN_OUT_BLOCKS + gap)

    def _begin_track(self, session: int, start: int) -> None:
        number = self.tracks[-1].number + 1
        if number <= LAST_TRACK_NUMBER:
            self.tracks.append(Track(number, session, start, self.limit, start, start))

    def _repair(self, event: Event) -> None:
        track = self.tracks[event["t"] - 1]
        track.torn = False
        track.repaired = not event.get("writable")
        if not track.repaired:
            self._close_if_full(track)

    def _close_track(self, event: Event) -> None:
        track = self.tracks[event["t"] - 1]
        track.closed = True
        track.repaired = False
        if not track.reserved:
            track.limit = track.end + RUN_OUT_BLOCKS
            self._begin_track(track.session, track.limit + PREGAP)

    def _close_session(self, event: Event) -> None:
        if not self.tracks[-1].closed:
            self.tracks.pop()
        last = self.tracks[-1]
        lead_out = last.limit + (RUN_OUT_BLOCKS if last.reserved else 0)
        self._lead_out(lead_out, event["final"])

    def _lead_out(self, lead_out: int, final: bool) -> None:
        """The session ends here, and another may follow."""
        session, last = self.sessions[-1], self.tracks[-1]
        session.lead_out = lead_out
        gap = FIRST_SESSION_GAP if session.number == 1 else LATER_SESSION_GAP
        start = session.lead_out + gap
        if final or start >= self.limit or last.number >= LAST_TRACK_NUMBER:
            self.final = True
            return
        self.sessions.append(Session(session.number + 1))
        self._begin_track(session.number + 1, start)

    def _calibrate(self, event: Event) -> None:
        self.calibrations += 1

    # -- events of recording in one go ------------------------------------------------

    def _begin_recording(self, event: Event) -> None:
        self.recording = dict(event)

    def _begun(self, what: str) -> Event:
        begun, self.recording = self.recording, None
        if begun is None or begun["e"] != what:
            raise ValueError("it was not begun")
        return begun

    def _track_at_once(self, event: Event) -> None:
        begun = self._begun("begin-track")
        start, count, lost = begun["s"], event["n"], event.get("lost", 0)
        if not count and not lost:
            return  # nothing of it was burnt
        track = self.tracks[-1]
        track.written, track.at_once, track.xa = True, True, begun["xa"]
        if count:
            self._add_run(start, start + count)
        if lost:
            self._lost.append((start + count, start + count + lost))
        track.end = track.next = start + count + lost
        track.torn = bool(event.get("torn"))
        if not track.torn:
            self._close_track({"t": track.number})

    def _session_at_once(self, event: Event) -> None:
        begun = self._begun("begin-session")
        starts, end = begun["tracks"], begun["end"]
        number, session = self.tracks.pop().number, self.sessions[-1].number
        for first, behind in zip(starts, (*starts[1:], end), strict=True):
            self.tracks.append(
                Track(
                    *(number, session, first, behind, behind, behind),
                    written=True,
                    closed=True,
                    at_once=True,
                )
            )
            number += 1
        self._add_run(starts[0], end)
        self._lead_out(end, begun["final"])

    def _lose_session(self, event: Event) -> None:
        """No lead-in was ever finished: the first session makes the disc useless, a
        later one leaves those before it readable, and nothing can follow."""
        self._begun("begin-session")
        if len(self.sessions) == 1:
            calibrations = self.calibrations
            self._spoil(event)
            self.calibrations = calibrations
            return
        self.tracks.pop()
        self.sessions.pop()
        self.final = self.broken = True

    # -- events of rewritable discs ---------------------------------------------------

    def _spoil(self, event: Event) -> None:
        self._make_blank()
        self.spoiled = True
        self._one_closed_track(0)

    def _one_closed_track(self, blocks: int) -> None:
        self.tracks = [
            Track(1, 1, 0, blocks, blocks, blocks, written=True, closed=True, reserved=True)
        ]
        self.sessions = [Session(1, blocks)]
        self.final = True

    def _blank(self, event: Event) -> None:
        self._make_blank()
        if event["full"]:
            self._wear_out()

    def _format(self, event: Event) -> None:
        self._make_blank()
        blocks, mrw = event["n"], event["mrw"]
        formatted = 0 if mrw else blocks // FIXED_PACKET
        self.area = Area(blocks, mrw, self.kind.mrw_spares if mrw else 0, formatted, running=mrw)
        self._one_closed_track(blocks)
        if not mrw:
            self._wear_out()

    def _wear_out(self) -> None:
        self.wear = array("I", [times + 1 for times in self.wear])

    def _worn(self, event: Event) -> None:
        for first, count, times in event["p"]:
            for packet in range(first, first + count):
                self.wear[packet] += times

    def _lost_blocks(self, event: Event) -> None:
        self._formatted_area.lose((packet, bits) for packet, bits in event["m"])

    def _spare(self, event: Event) -> None:
        self._formatted_area.spare(event["p"])
        self.wear[event["p"]] = 0

    def _background(self, event: Event) -> None:
        self._formatted_area.formatted = event["n"]

    @property
    def _formatted_area(self) -> Area:
        if self.area is None:
            raise ValueError("not formatted in fixed packets")
        return self.area

    @property
    def most_worn(self) -> int:
        """Rewrites of the packet that has seen most of them."""
        return max(self.wear, default=0)

    def _opened(self, event: Event) -> None:
        pass  # only says who holds the disc: state.py

    # -- copies ---------------------------------------------------------------------

    def clone(self) -> Medium:
        """An independent copy."""
        other = Medium(self.kind)
        other.sessions = [replace(session) for session in self.sessions]
        other.tracks = [replace(track) for track in self.tracks]
        other.final, other.calibrations = self.final, self.calibrations
        other.pending, other.recording = self.pending, self.recording
        other.broken = self.broken
        other._starts, other._ends = self._starts.copy(), self._ends.copy()
        other._lost = self._lost.copy()
        other.wear, other.spoiled = self.wear[:], self.spoiled
        other.area = self.area and self.area.clone()
        return other

    def snapshot(self) -> dict[str, Any]:
        """All of it as one event, to which the history can be shortened."""
        return {
            "e": "snapshot",
            "sessions": [asdict(session) for session in self.sessions],
            "tracks": [asdict(track) for track in self.tracks],
            "final": self.final,
            "calibrations": self.calibrations,
            "starts": self._starts,
            "ends": self._ends,
            "lost": self._lost,
            "pending": self.pending,
            "recording": self.recording,
            "broken": self.broken,
            **self._snapshot_of_rewritable(),
        }

    def _snapshot_of_rewritable(self) -> dict[str, Any]:
        if not self.kind.erasable:
            return {}
        area = self.area and self.area.snapshot()
        return {"wear": packed(self.wear), "spoiled": self.spoiled, "area": area}

    def _restore(self, event: Event) -> None:
        self.sessions = [Session(**session) for session in event["sessions"]]
        self.tracks = [Track(**track) for track in event["tracks"]]
        self.final, self.calibrations = event["final"], event["calibrations"]
        self._starts, self._ends = list(event["starts"]), list(event["ends"])
        self._lost = [(start, end) for start, end in event["lost"]]
        self.pending = tuple(event["pending"]) if event["pending"] else None
        self.recording, self.broken = event.get("recording"), event.get("broken", False)
        self.wear = unpacked(event.get("wear", ()))
        self.spoiled = event.get("spoiled", False)
        self.area = Area.restore(event["area"]) if event.get("area") else None


_EVENTS = {
    # a packet has ended: s(tart), n (readable blocks), lost (unreadable ones behind
    # them), torn (by a power cut), xa (the first packet of an XA track), open (a full
    # reserved track is not closed)
    "packet": Medium._packet,
    # a packet in a reserved track goes on: s, n
    "part": Medium._part,
    "reserve": Medium._reserve,  # n blocks, gap (blocks behind its run-out)
    "repair": Medium._repair,  # t(rack), writable (again)
    "close-track": Medium._close_track,  # t(rack)
    "close-session": Medium._close_session,  # final
    "calibrate": Medium._calibrate,
    "begin-track": Medium._begin_recording,  # a track at once: s, xa
    # ... has ended: n (readable blocks), lost (unreadable ones behind them), torn
    "track": Medium._track_at_once,
    "begin-session": Medium._begin_recording,  # tracks (their first blocks), end, final
    "session": Medium._session_at_once,  # is complete
    "lose-session": Medium._lose_session,  # was broken off
    # a rewritable disc: blanking or formatting begins, and is done
    "spoil": Medium._spoil,
    "blank": Medium._blank,  # full
    "format": Medium._format,  # n blocks, mrw
    "wear": Medium._worn,  # p: [first packet, packets, rewrites], ...
    "lost": Medium._lost_blocks,  # m: [packet, its unreadable blocks as bits], ...
    "spare": Medium._spare,  # p(acket), moved by a Mt. Rainier drive
    "background": Medium._background,  # n packets formatted so far
    "open": Medium._opened,  # pid
    "snapshot": Medium._restore,
}
