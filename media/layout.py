"""How far a write-once disc is written, worked out from what the drive says.

Pure: (disc, tracks) -> :class:`Layout`. All numbers are blocks of 2,048 bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from media.state import DiscState, Track

#: Run-in, run-out and link blocks between two packets on a CD (MMC-6 4.2.3.7)
CD_LINK_BLOCKS = 7
#: Blocks of a packet where the drive does not say how large its buffer is
_SMALL_PACKET = 224
_BLOCK = 2048


class SessionSpan(NamedTuple):
    """One session: its first block, and the last one of its data (inclusive),
    None while the session is open."""

    start: int
    end: int | None


class FirstTrack(NamedTuple):
    """The first track of the open session, if another follows it; counts blocks.

    ``next_writable`` is -1 where nothing can be written, ``free`` what a packet there
    may hold. One of these holds: ``empty`` (nothing was recorded), ``damaged`` (a
    packet was cut off, it has to be mended), ``complete`` (nothing more fits or may be
    written); or it has begun and can be gone on with. ``reserved``: as the drive says;
    some forget that when something was recorded. ``full``: its next writable address
    is known, and nothing fits there any more.
    """

    number: int
    start: int
    blocks: int
    next_writable: int
    free: int
    damaged: bool
    complete: bool
    empty: bool
    reserved: bool = True
    full: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a disc written in packets of variable size stands.

    ``next_writable`` is -1 where nothing can be written or the drive does not
    know (then ``needs_repair``). ``session_start`` is that of the open session
    or of the one that the next write begins. ``last_block`` is the last one
    with data as far as the tables tell, -1 on a blank disc; ``last_certain`` is
    False where it has to be looked for at or before that address. ``first`` is the
    first track of the open session where another follows it; as long as it is empty
    the session is not open, and a disc with nothing else on it is blank.
    """

    sessions: tuple[SessionSpan, ...] = ()
    last_block: int = -1
    last_certain: bool = True
    next_writable: int = -1
    free_blocks: int = 0
    capacity: int = 0
    session_start: int = 0
    session_open: bool = False
    appendable: bool = False
    blank: bool = False
    needs_repair: bool = False
    first: FirstTrack | None = None


def layout(disc: DiscState, tracks: Sequence[Track], links: int = CD_LINK_BLOCKS) -> Layout:
    """The layout of a disc; ``tracks`` in order, the one to be written included."""
    appendable = disc.status in ("blank", "appendable") and bool(tracks)
    if not appendable:
        return _closed(disc, tracks)
    current = tracks[-1]
    closed = [track for track in tracks[:-1] if track.session != current.session]
    opened = [track for track in tracks if track.session == current.session]
    start = opened[0].start
    first = first_track(opened[0]) if len(opened) > 1 else None
    next_writable = -1 if current.next_writable is None else current.next_writable
    damaged = next_writable < 0 or current.damaged
    holds_data = disc.status != "blank" and (
        damaged
        or next_writable > current.start
        or any(not first_track(track).empty for track in opened[:-1])
    )
    last, certain = _last_block(tracks, damaged, links)
    spans = _spans(closed)
    if holds_data:
        spans += (SessionSpan(start, None),)
    return Layout(
        sessions=spans,
        last_block=last,
        last_certain=certain,
        next_writable=next_writable,
        free_blocks=0 if damaged else current.free,
        capacity=_capacity(disc, tracks, next_writable),
        session_start=start if holds_data or first or next_writable < 0 else next_writable,
        session_open=holds_data,
        appendable=True,
        blank=not holds_data and not spans,
        needs_repair=damaged,
        first=first,
    )


def first_track(track: Track) -> FirstTrack:
    """From READ TRACK INFORMATION of that track."""
    position = track.next_writable
    if position is None and track.reserved and track.blank and track.free and not track.damaged:
        position = track.start  # a drive that names none for a track it keeps free
    complete = not track.damaged and (position is None or track.free == 0)
    writable = position is not None and not track.damaged and not complete
    return FirstTrack(
        number=track.number,
        start=track.start,
        blocks=track.size,
        next_writable=position if writable and position is not None else -1,
        free=track.free if writable else 0,
        damaged=track.damaged,
        complete=complete,
        empty=writable and position == track.start,
        reserved=track.reserved,
        full=complete and position is not None,
    )


def _closed(disc: DiscState, tracks: Sequence[Track]) -> Layout:
    spans = _spans(tracks)
    last = track_end(tracks[-1]) if tracks else -1
    return Layout(
        sessions=spans,
        last_block=last,
        last_certain=False,
        capacity=max(disc.last_possible_lead_out or 0, last + 1),
        session_start=spans[-1].start if spans else 0,
    )


def _last_block(tracks: Sequence[Track], damaged: bool, links: int) -> tuple[int, bool]:
    """The last block with data, and whether that is certain. ``damaged``: the track
    that is written to."""
    for track in reversed(tracks):
        found = last_of(track, links, torn=track.damaged or (damaged and track is tracks[-1]))
        if found[0] >= 0:
            return found
    return -1, True


def last_of(track: Track, links: int, *, torn: bool = False) -> tuple[int, bool]:
    """The last block with data of one track, -1 if there is none, and whether that is
    certain."""
    if torn or (track.next_writable is None and not first_track(track).empty):
        return track_end(track), False
    position = track.next_writable or track.start
    return min(position - links - 1, track.end) if position > track.start else -1, True


def track_end(track: Track) -> int:
    """The last recorded block of a track as far as the drive says. It may still be
    a run-out block, which cannot be read."""
    recorded = track.last_recorded
    if recorded is not None and track.start <= recorded <= track.end:
        return recorded
    return track.end


def _spans(tracks: Sequence[Track]) -> tuple[SessionSpan, ...]:
    """Closed sessions, oldest first."""
    spans: dict[int, SessionSpan] = {}
    for track in tracks:
        start = spans[track.session].start if track.session in spans else track.start
        spans[track.session] = SessionSpan(start, track_end(track))
    return tuple(spans[number] for number in sorted(spans))


def _capacity(disc: DiscState, tracks: Sequence[Track], next_writable: int) -> int:
    if next_writable >= 0:
        return next_writable + tracks[-1].free
    return disc.last_possible_lead_out or tracks[-1].end + 1


def link_blocks(sizes: Sequence[int]) -> int:
    """Blocks between two packets, of those that feature 21h lists."""
    return CD_LINK_BLOCKS if not sizes or CD_LINK_BLOCKS in sizes else sizes[0]


def packet_limit(buffer_size: int) -> int:
    """Blocks of a packet that surely fits a buffer of so many bytes: seven eighths
    of it, in whole 32 blocks."""
    blocks = buffer_size // _BLOCK * 7 // 8
    return max(blocks // 32 * 32, 32) if blocks else _SMALL_PACKET
