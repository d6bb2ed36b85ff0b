"""READ DISC INFORMATION and READ TRACK INFORMATION (MMC-6 6.21, 6.27)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from media.mmc import commands as c
from media.mmc import pages, replies
from media.mmc.address import PREGAP, to_msf
from media.virtual import refusal
from media.virtual.clock import LEAD_IN_BLOCKS
from media.virtual.commands.table import command
from media.virtual.commands.writing import find_track
from media.virtual.kinds import FIXED_PACKET
from media.virtual.medium import Track
from media.virtual.modes import CD_DA_OR_ROM, CD_ROM_XA
from media.virtual.refusal import Refusal
from media.virtual.storage import Buffer

if TYPE_CHECKING:
    from media.virtual.burner import Burner
    from media.virtual.recorder import Recorder

#: Address types of READ TRACK INFORMATION, MMC-6 table 493
_BY_BLOCK, _BY_TRACK, _BY_SESSION = 0, 1, 2
#: No such address, of a disc that is closed for good
_NOWHERE = 0xFFFFFFFF
#: The disc type while nothing says yet what the disc will be
_UNDEFINED_TYPE = 0xFF
#: Data mode of a track that is blank
_UNKNOWN_MODE = 0xF
_NO_NUMBER_OF_OPC_TABLES = 0
#: Track mode (the control nibble) of a formatted disc: incremental, may be copied
_COPYABLE_INCREMENTAL = pages.DATA_INCREMENTAL | 2


def time_of(block: int) -> int:
    """A block's absolute time as four bytes: hour (0 on a CD), minute, second, frame."""
    return int.from_bytes(bytes([0, *to_msf(block)]))


@command(c.ReadDiscInformation)
def read_disc_information(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    if cdb.data_type:
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    recorder = burner.recorder
    recorder.work_in_background()
    medium = recorder.medium
    last = medium.session_tracks(len(medium.sessions))
    status, session_state = _disc_status(recorder)
    lead_in, lead_out = _outer_addresses(recorder)
    built: bytes = replies.DiscInformation.build(
        {
            "erasable": medium.kind.erasable,
            "state_of_last_session": session_state,
            "disc_status": status,
            "number_of_first_track_on_disc": 1,
            "number_of_sessions_lsb": len(medium.sessions),
            "first_track_number_in_last_session_lsb": last[0].number,
            "last_track_number_in_last_session_lsb": last[-1].number,
            "unrestricted_use_disc": 1,
            "background_format_status": _background(recorder),
            "disc_type": disc_type(recorder),
            "last_session_lead_in_start_address": lead_in,
            "last_possible_lead_out_start_address": lead_out,
            "number_of_opc_tables": _NO_NUMBER_OF_OPC_TABLES,
        }
    )
    return built


def _background(recorder: Recorder) -> int:
    """Mt. Rainier's state (MMC-6 table 376); 0 on any other disc."""
    area = recorder.medium.area
    if area is None or not area.mrw:
        return replies.BACKGROUND_NONE
    if area.formatted == area.packets:
        return replies.BACKGROUND_DONE
    return replies.BACKGROUND_RUNNING if area.running else replies.BACKGROUND_SUSPENDED


def _disc_status(recorder: Recorder) -> tuple[int, int]:
    medium = recorder.medium
    if medium.spoiled:
        return replies.DISC_COMPLETE, replies.SESSION_DAMAGED
    if medium.final:
        state = replies.SESSION_DAMAGED if medium.broken else replies.SESSION_COMPLETE
        return replies.DISC_COMPLETE, state
    if recorder.blank:
        return replies.DISC_BLANK, replies.SESSION_EMPTY
    tracks = medium.session_tracks(len(medium.sessions))
    if any(recorder.written(track) or track.reserved for track in tracks):
        return replies.DISC_APPENDABLE, replies.SESSION_INCOMPLETE
    return replies.DISC_APPENDABLE, replies.SESSION_EMPTY


def _outer_addresses(recorder: Recorder) -> tuple[int, int]:
    """The start of the last session's lead-in, and the last possible lead-out."""
    medium = recorder.medium
    if medium.final:
        return _NOWHERE, _NOWHERE
    number = len(medium.sessions)
    start = medium.session_tracks(number)[0].start - PREGAP - LEAD_IN_BLOCKS
    lead_in = bytes([0, *medium.kind.lead_in])
    first = int.from_bytes(lead_in)
    return (first if number == 1 else time_of(start)), time_of(medium.kind.lead_out)


def disc_type(recorder: Recorder) -> int:
    """Disc type of MMC-6 table 371, from the first track that has anything in it."""
    written = [track for track in recorder.medium.tracks if track.written]
    if not written:
        return _UNDEFINED_TYPE
    if recorder.medium.area is not None:
        return CD_ROM_XA
    return CD_ROM_XA if written[0].xa else CD_DA_OR_ROM


@command(c.ReadTrackInformation)
def read_track_information(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    track = _addressed_track(
        burner, cdb.address_number_type, cdb.logical_block_address_track_session_number
    )
    recorder = burner.recorder
    if recorder.medium.area is not None:
        return _formatted_track(track)
    written = recorder.written(track)
    next_writable = _next_writable(burner, track)
    known = _last_recorded_known(burner, track)
    whole = track.at_once or (written and not track.written and recorder.at_once.records)
    packet = (written and not whole) or (
        track.reserved and not written and burner.faults.empty_reservation_is_packet
    )
    built: bytes = replies.TrackInformation.build(
        {
            "logical_track_number_lsb": track.number,
            "session_number_lsb": track.session,
            "damage": track.torn and burner.faults.damage_told,
            "track_mode": _track_mode(track, written and not whole),
            "reserved_track": track.reserved
            and (burner.faults.reservation_remembered or not written),
            "blank": not written,
            "packet": packet,
            "data_mode": (2 if track.xa else 1) if written else _UNKNOWN_MODE,
            "last_recorded_address_valid": known,
            "next_writable_address_valid": next_writable is not None,
            "logical_track_start_address": track.start,
            "next_writable_address": next_writable or 0,
            "free_blocks": recorder.free(track),
            "logical_track_size": track.size,
            "last_recorded_address": track.end - 1 if known else 0,
        }
    )
    return built


def _formatted_track(track: Track) -> bytes:
    """The only track of a formatted disc, byte for byte as real drives tell of it."""
    built: bytes = replies.TrackInformation.build(
        {
            "logical_track_number_lsb": track.number,
            "session_number_lsb": track.session,
            "track_mode": _COPYABLE_INCREMENTAL,
            "reserved_track": 1,
            "packet": 1,
            "fixed_packet": 1,
            "data_mode": 2,
            "fixed_packet_size": FIXED_PACKET,
            "logical_track_size": track.size,
        }
    )
    return built


def _addressed_track(burner: Burner, kind: int, number: int) -> Track:
    medium = burner.recorder.medium
    if kind == _BY_TRACK:
        return find_track(burner, number)
    if kind == _BY_SESSION and 1 <= number <= len(medium.sessions):
        return medium.session_tracks(number)[0]
    if kind == _BY_BLOCK:
        if number >= medium.kind.lead_out:
            raise Refusal(refusal.ADDRESS_OUT_OF_RANGE)
        return medium.track_at(number)
    raise Refusal(refusal.INVALID_FIELD_IN_CDB)


def _track_mode(track: Track, written: bool) -> int:
    incremental = written or track.reserved
    return pages.DATA_INCREMENTAL if incremental else pages.DATA_UNINTERRUPTED


def _next_writable(burner: Burner, track: Track) -> int | None:
    """The next writable address, or the one before it where that fault is asked for."""
    address = burner.recorder.next_writable(track)
    if address is not None and burner.faults.stale_next_writable > 0:
        burner.faults.stale_next_writable -= 1
        return burner.recorder.medium.last_packet(track)
    return address


def _last_recorded_known(burner: Burner, track: Track) -> bool:
    """Only for closed tracks: Linux's sr takes one off a valid last recorded address."""
    return track.end > track.start and (track.closed or burner.faults.last_recorded_of_open_track)
