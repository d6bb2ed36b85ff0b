"""Commands that change the disc, but for its data: packets, tracks, sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from media.mmc import commands as c
from media.mmc.replies import INVISIBLE_TRACK
from media.virtual import refusal
from media.virtual.clock import PMA_UPDATE
from media.virtual.commands.table import command
from media.virtual.medium import Track
from media.virtual.modes import SPEED_UNIT
from media.virtual.refusal import Refusal
from media.virtual.storage import Buffer

if TYPE_CHECKING:
    from media.virtual.burner import Burner

_FASTEST = 0xFFFF


def find_track(burner: Burner, number: int) -> Track:
    """A track by its number, or FFh for the invisible one."""
    medium = burner.recorder.medium
    if number == INVISIBLE_TRACK and medium.invisible is not None:
        return medium.invisible
    if 1 <= number <= len(medium.tracks):
        return medium.tracks[number - 1]
    raise Refusal(refusal.INVALID_FIELD_IN_CDB)


@command(c.SynchronizeCache)
def synchronize_cache(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    burner.recorder.at_once.check_complete()
    burner.start("synchronize", seconds=0.0, immed=bool(cdb.immed))
    return b""


@command(c.SendCueSheet, records=True)
def send_cue_sheet(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    if len(data) < cdb.cue_sheet_size:
        raise Refusal(refusal.INVALID_FIELD_IN_PARAMETER_LIST)
    burner.recorder.at_once.take_cue_sheet(bytes(data[: cdb.cue_sheet_size]))
    return b""


@command(c.ReserveTrack, records=True)
def reserve_track(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    if cdb.reservation_mode or cdb.address_reservation:
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    burner.recorder.reserve(cdb.reservation_size)
    return b""


@command(c.SendOpcInformation, records=True)
def send_opc_information(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    if not cdb.do_opc:
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    burner.recorder.calibrate()
    return b""


@command(c.RepairTrack, records=True)
def repair_track(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    track = find_track(burner, cdb.logical_track_number)
    burner.start("repair_track", track.number, seconds=0.0, immed=bool(cdb.immed))
    return b""


@command(c.CloseTrackSession, records=True)
def close_track_session(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    """MMC-6 6.3. What cannot be closed is refused at once, also with IMMED."""
    recorder = burner.recorder
    if recorder.settings.test and cdb.close_function in (c.CLOSE_TRACK, c.CLOSE_SESSION):
        recorder.end_packet()
        return b""
    stop = (c.STOP_BACKGROUND_FORMAT, c.CLOSE_SESSION)
    if recorder.background is not None and cdb.close_function in stop:
        burner.start("suspend", seconds=0.0, immed=bool(cdb.immed))
    elif cdb.close_function == c.CLOSE_TRACK:
        track = find_track(burner, cdb.logical_track_number)
        recorder.check_close_track(track)
        burner.start("close_track", track.number, seconds=PMA_UPDATE, immed=bool(cdb.immed))
    elif cdb.close_function == c.CLOSE_SESSION:
        recorder.check_close_session()
        seconds = burner.clock.close_session(first=len(recorder.medium.sessions) == 1)
        final = not recorder.settings.another_session
        burner.start("close_session", final, seconds=seconds, immed=bool(cdb.immed))
    else:
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    return b""


@command(c.SetCdSpeed, medium=False)
def set_cd_speed(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    """kB/s to the next speed that is not faster; FFFFh and 0 are the fastest."""
    wanted = cdb.logical_unit_write_speed
    burner.set_speed(
        burner.speed if wanted in (0, _FASTEST) else max(1, round(wanted / SPEED_UNIT))
    )
    burner.set_read_speed(cdb.logical_unit_read_speed or _FASTEST)
    return b""
