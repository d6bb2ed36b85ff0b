"""READ TOC/PMA/ATIP, in all its formats (MMC-6 6.25).

A table of contents in the strict sense exists for closed sessions only; the
tracks of an open session are known from the program memory area, and format 0
has them too, as real drives do for a disc without a closed session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from media.mmc import commands as c
from media.mmc import pages, replies
from media.mmc.address import PREGAP, to_msf
from media.virtual import refusal
from media.virtual.commands.information import disc_type, time_of
from media.virtual.commands.table import command
from media.virtual.medium import FIRST_SESSION_GAP, LATER_SESSION_GAP, Session, Track
from media.virtual.refusal import Refusal
from media.virtual.storage import Buffer

if TYPE_CHECKING:
    from media.virtual.burner import Burner
    from media.virtual.medium import Medium

_CD_TEXT_FORMAT = 5
#: Disc sub-types of ATIP: of CD-R, and of CD-RW for 4x to 12x (wodim believes that only
#: certain drives can use the next faster sort)
_TYPE_B, _HIGH_SPEED = 2, 1
#: ADR of the entries that tell of further sessions (MMC-6 table 468)
_MODE_5 = 5
#: Points of a full table of contents
_FIRST_TRACK, _LAST_TRACK, _LEAD_OUT = 0xA0, 0xA1, 0xA2
_NEXT_SESSION, _LEAD_IN_OF_DISC = 0xB0, 0xC0
#: The length field counts all but itself
_LENGTH = 2
_NO_TIME = (0xFF, 0xFF, 0xFF)


@command(c.ReadTocPmaAtip)
def read_toc_pma_atip(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    handler = _FORMATS.get(cdb.format or cdb.sff_format)
    if handler is None:
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    return handler(burner, cdb)


def _toc(burner: Burner, cdb: Any) -> bytes:
    """Format 0: the tracks from the one asked for, and the lead-out."""
    medium = burner.recorder.medium
    first = cdb.track_session_number
    tracks = [track for track in medium.tracks if track.written]
    if not tracks or tracks[-1].number < first != replies.LEAD_OUT_TRACK:
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    wanted = [(_control(t), t.number, t.start) for t in tracks if t.number >= first]
    wanted.append((_control(tracks[-1]), replies.LEAD_OUT_TRACK, medium.recorded_end))
    return _short(cdb, tracks[0].number, tracks[-1].number, wanted)


def _sessions(burner: Burner, cdb: Any) -> bytes:
    """Format 1: the first track of the last complete session (or of the only one)."""
    medium = burner.recorder.medium
    closed = _closed(medium)
    number = closed[-1].number if closed else 1
    tracks = medium.session_tracks(number)
    if not any(track.written for track in tracks):
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    return _short(cdb, 1, number, [(_control(tracks[0]), tracks[0].number, tracks[0].start)])


def _control(track: Track) -> int:
    """Data, in packets or recorded in one go."""
    return pages.DATA_UNINTERRUPTED if track.at_once else pages.DATA_INCREMENTAL


def _closed(medium: Medium) -> list[Session]:
    return [session for session in medium.sessions if session.lead_out is not None]


def _short(cdb: Any, first: int, last: int, entries: Iterable[tuple[int, int, int]]) -> bytes:
    body = b"".join(
        replies.TocEntry.build(
            {
                "control": control,
                "track_number": number,
                "track_start_address": time_of(block) if cdb.msf else block,
            }
        )
        for control, number, block in entries
    )
    length = replies.TocHeader.sizeof() - _LENGTH + len(body)
    header: bytes = replies.TocHeader.build(
        {"toc_data_length": length, "first_number": first, "last_number": last}
    )
    return header + body


# -- formats 2 and 3 ------------------------------------------------------------------

Msf = tuple[int, int, int]


def _entry(
    session: int,
    point: int,
    place: Msf,
    control: int,
    *,
    adr: int = 1,
    time: Msf = (0, 0, 0),
) -> bytes:
    names = ("p_minute", "p_second", "p_frame", "minute", "second", "frame")
    built: bytes = replies.FullTocEntry.build(
        {
            "session_number": session,
            "adr": adr,
            "control": control,
            "point": point,
            **dict(zip(names, place + time, strict=True)),
        }
    )
    return built


def _full_toc(burner: Burner, cdb: Any) -> bytes:
    """Format 2: all that the lead-ins of the closed sessions say."""
    medium = burner.recorder.medium
    closed = _closed(medium)
    if not closed:
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    kind = disc_type(burner.recorder)
    body = b"".join(
        _session_entries(medium, session, kind)
        for session in closed
        if session.number >= cdb.track_session_number
    )
    return _full(body, closed[0].number, closed[-1].number)


def _session_entries(medium: Medium, session: Session, kind: int) -> bytes:
    tracks = medium.session_tracks(session.number)
    first, last = _control(tracks[0]), _control(tracks[-1])
    lead_out = session.lead_out or 0
    entries = [
        _entry(session.number, _FIRST_TRACK, (tracks[0].number, kind, 0), first),
        _entry(session.number, _LAST_TRACK, (tracks[-1].number, 0, 0), last),
        _entry(session.number, _LEAD_OUT, to_msf(lead_out), last),
    ]
    entries += [
        _entry(session.number, track.number, to_msf(track.start), _control(track))
        for track in tracks
    ]
    entries.append(_next_session(medium, session, lead_out, first))
    if session.number == 1:
        entries.append(_entry(1, _LEAD_IN_OF_DISC, medium.kind.lead_in, first, adr=_MODE_5))
    return b"".join(entries)


def _next_session(medium: Medium, session: Session, lead_out: int, control: int) -> bytes:
    """Point B0h: where the next program area may begin, if there may be one."""
    if medium.final and session is medium.sessions[-1]:
        time = _NO_TIME
    else:
        gap = FIRST_SESSION_GAP if session.number == 1 else LATER_SESSION_GAP
        time = to_msf(lead_out + gap - PREGAP)
    place = to_msf(medium.kind.lead_out)
    return _entry(session.number, _NEXT_SESSION, place, control, adr=_MODE_5, time=time)


def _pma(burner: Burner, cdb: Any) -> bytes:
    """Format 3: every track that the program memory area knows, with start and end."""
    medium = burner.recorder.medium
    body = b"".join(
        _entry(0, track.number, to_msf(track.start), _control(track), time=to_msf(_stop(track)))
        for track in medium.tracks
        if track.closed or track.reserved
    )
    return _full(body, 0, 0)


def _stop(track: Track) -> int:
    return track.limit


def _full(body: bytes, first: int, last: int) -> bytes:
    header: bytes = replies.FullTocHeader.build(
        {
            "toc_data_length": replies.FullTocHeader.sizeof() - _LENGTH + len(body),
            "first_complete_session_number": first,
            "last_complete_session_number": last,
        }
    )
    return header + body


# -- formats 4 and 5 ------------------------------------------------------------------


def _atip(burner: Burner, cdb: Any) -> bytes:
    """Format 4: what is pressed into the groove."""
    kind = burner.recorder.medium.kind
    names = ("minute", "second", "frame")
    built: bytes = replies.Atip.build(
        {
            "indicative_target_writing_power": 5,
            "unrestricted_use_disc": 1,
            "disc_type": kind.erasable,
            "disc_sub_type": _HIGH_SPEED if kind.erasable else _TYPE_B,
            **{f"lead_in_{n}": value for n, value in zip(names, kind.lead_in, strict=True)},
            **{f"lead_out_{n}": value for n, value in zip(names, kind.atip_lead_out, strict=True)},
        }
    )
    return built


def _cd_text(burner: Burner, cdb: Any) -> bytes:
    """Format 5: there is none on a data disc."""
    return _full(b"", 0, 0)


_FORMATS: dict[int, Callable[[Burner, Any], bytes]] = {
    replies.TOC_FORMAT: _toc,
    replies.SESSION_FORMAT: _sessions,
    replies.FULL_TOC_FORMAT: _full_toc,
    replies.PMA_FORMAT: _pma,
    replies.ATIP_FORMAT: _atip,
    _CD_TEXT_FORMAT: _cd_text,
}
