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


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a disc written in packets of variable size stands.

    ``next_writable`` is -1 where nothing can be written or the drive does not
    know (then ``needs_repair``). ``session_start`` is that of the open session
    or of the one that the next write begins. ``last_block`` is the last one
    with data as far as the tables tell, -1 on a blank disc; ``last_certain`` is
    False where it has to be looked for at or before that address.
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
    track_start: int = 0


def layout(disc: DiscState, tracks: Sequence[Track], links: int = CD_LINK_BLOCKS) -> Layout:
    """The layout of a disc; ``tracks`` in order, the one to be written included."""
    appendable = disc.status in ("blank", "appendable") and bool(tracks)
    if not appendable:
        return _closed(disc, tracks)
    current = tracks[-1]
    closed = [track for track in tracks[:-1] if track.session != current.session]
    opened = [track for track in tracks if track.session == current.session]
    start = opened[0].start
    next_writable = -1 if current.next_writable is None else current.next_writable
    damaged = next_writable < 0 or current.damaged
    holds_data = disc.status != "blank" and (
        damaged or len(opened) > 1 or next_writable > current.start
    )
    last, certain = _last_block(tracks, next_writable, damaged, links)
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
        session_start=start if holds_data or next_writable < 0 else next_writable,
        session_open=holds_data,
        appendable=True,
        blank=not holds_data and not spans,
        needs_repair=damaged,
        track_start=current.start,
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


def _last_block(
    tracks: Sequence[Track], next_writable: int, damaged: bool, links: int
) -> tuple[int, bool]:
    """The last block with data, and whether that is certain."""
    current = tracks[-1]
    if damaged:
        return track_end(current), False
    if next_writable > current.start:
        return next_writable - links - 1, True
    if len(tracks) > 1:
        return track_end(tracks[-2]), False
    return -1, True


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
