"""Reading a cue sheet as strictly as a drive does (MMC-3 6.33). Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from media.mmc.address import PREGAP, from_msf
from media.mmc.cue_sheet import DATA_MODE_1, LEAD_AUDIO, LEAD_MODE_1, CueSheetEntry
from media.mmc.pages import DATA_UNINTERRUPTED
from media.mmc.replies import LEAD_OUT_TRACK
from media.virtual import refusal
from media.virtual.medium import LAST_TRACK_NUMBER
from media.virtual.refusal import Refusal

#: Blocks of the shortest track: four seconds (Red Book)
SHORTEST_TRACK = 300
_LEAD_IN = 0
_COPY_PERMITTED = 2
#: What stands where, in each entry that only says where something begins
_TIME_POINT = 1


class Cue(NamedTuple):
    """A session to come: where its tracks begin, and the block behind the last one."""

    tracks: tuple[int, ...]
    end: int


def read_cue_sheet(data: bytes, number: int, start: int, lead_out: int) -> Cue:
    """The session that a cue sheet describes: data tracks in Mode 1, the first of
    them with this number at this block, its lead-out not behind ``lead_out``.

    wodim counts times (and tracks) of every session as if it were the first, other
    programs as they are on the disc; both is understood. Refuses everything else.
    """
    entries = _entries(data)
    _check(len(entries) >= 4)
    first, *inner, last = entries
    shift = start if start and _block(inner[0]) == -PREGAP else 0
    for lead in (first, last):
        _check(lead.data_form in (LEAD_MODE_1, LEAD_AUDIO, DATA_MODE_1))
    _check((first.track_number, first.index) == (_LEAD_IN, 0))
    _check(_block(first) in (-PREGAP, start - PREGAP))
    _check((last.track_number, last.index) == (LEAD_OUT_TRACK, 1))
    _check(all(each.data_form == DATA_MODE_1 for each in inner))
    tracks = _tracks(inner, {number, 1} if shift else {number}, shift)
    end = _block(last) + shift
    _check(_block(inner[0]) + shift == start - PREGAP and tracks[0] == start)
    for begin, behind in zip(tracks, (*tracks[1:], end), strict=True):
        _check(behind - begin >= SHORTEST_TRACK)
    _check(end <= lead_out)
    return Cue(tuple(tracks), end)


def _entries(data: bytes) -> list[Any]:
    size = CueSheetEntry.sizeof()
    _check(bool(data) and len(data) % size == 0)
    entries = [CueSheetEntry.parse(data[at : at + size]) for at in range(0, len(data), size)]
    for entry in entries:
        _check(entry.adr == _TIME_POINT and not entry.alternate_copy)
        _check(entry.control & ~_COPY_PERMITTED == DATA_UNINTERRUPTED)
        _check(entry.second < 60 and entry.frame < 75)
    return entries


def _tracks(entries: Sequence[Any], numbers: set[int], shift: int) -> list[int]:
    """Where each track's index 1 lies. A pre-gap is index 0, which only the first one
    must have."""
    tracks: list[int] = []
    number, index, time = 0, 0, -PREGAP - 1
    for entry in entries:
        block = _block(entry) + shift
        if not number:
            _check(entry.track_number in numbers and entry.index == 0)
        elif entry.track_number == number:
            _check(entry.index == index + 1 and block > time)
        else:
            _check(index >= 1 and entry.track_number == number + 1 and entry.index in (0, 1))
            _check(block > time)
        number, index, time = entry.track_number, entry.index, block
        if index == 1:
            tracks.append(block)
    _check(index >= 1 and number <= LAST_TRACK_NUMBER)
    return tracks


def _block(entry: Any) -> int:
    return from_msf(entry.minute, entry.second, entry.frame)


def _check(good: bool) -> None:
    if not good:
        raise Refusal(refusal.INVALID_FIELD_IN_PARAMETER_LIST)
