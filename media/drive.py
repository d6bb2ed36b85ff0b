"""One drive: what disc is in it, read, write, flush, close, load, eject, lock.

Commands go out one at a time, whichever thread they come from, and errors are
met as :mod:`media.reactions` has them. What remains reaches the caller as a
:class:`media.errors.MediaError` with the sense code behind it.

Addresses and counts are blocks of 2,048 bytes. What only asks is in
:mod:`media.questions`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from media import errors
from media.channel import TIMEOUT, Log
from media.mmc import commands, pages, replies
from media.mmc.bits import parse
from media.mmc.sense import (
    HARDWARE_ERROR,
    ILLEGAL_REQUEST,
    MEDIUM_ERROR,
    NOT_READY,
    UNIT_ATTENTION,
    words,
)
from media.questions import BLOCK, DriveEvent, Questions
from media.reactions import Purpose, Remedy, react
from media.state import format_list, with_speed
from media.transport import Buffer, Transport
from media.write_parameters import WriteSetUp, in_fixed_packets

__all__ = ["ALL_BLOCKS", "BLOCK", "Drive", "DriveEvent", "Progress"]

Progress = Callable[[float], None]

#: Seconds a command may take that moves the laser or the tray before it answers
_LONG_TIMEOUT = 120.0
_CLOSE_TIMEOUT = 3600.0
#: Seconds between two looks at a long operation
_POLL = 0.3

_WRITE10 = 0x2A
_pack_write10 = commands.WRITE10_FAST.pack

#: As a number of blocks in FORMAT UNIT: as many as there are
ALL_BLOCKS = 0xFFFFFFFF


class Drive(Questions):
    """A drive behind a transport.

    ``name`` is what the user calls it, ``sleep`` and ``log`` are how to wait
    (seconds) and where to tell of what went wrong and was mended. ``doubts``
    counts the moments at which the drive may have dropped what was in its
    buffer; who has written and sees it grow must not trust that packet.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        name: str,
        sleep: Callable[[float], None] = time.sleep,
        log: Log | None = None,
    ) -> None:
        self._locked = False
        self._write_set_up: WriteSetUp | None = None
        self._speed: int | None = None
        super().__init__(transport, name, sleep, log or (lambda text: None), self._apply)

    def _apply(self, remedy: Remedy) -> None:
        """What the channel asks for when a command failed."""
        if remedy is Remedy.SYNCHRONIZE:
            self.synchronize()
        elif remedy is Remedy.RESEND_PAGE:
            self._resend_page()
        elif remedy is Remedy.SET_UP_AGAIN:
            self._set_up_again()

    def _resend_page(self) -> None:
        if self._write_set_up is not None:
            self._select_write_parameters(self._write_set_up)

    def _set_up_again(self) -> None:
        """After a reset: lock, speed and page 05h as they were."""
        if self._locked:
            self._prevent(True)
        if self._speed is not None:
            self._send_speed(self._speed)
        self._resend_page()

    def set_speed(self, kilobytes: int | None) -> None:
        """Write speed in kB/s (176 is 1x of a CD), None for the fastest."""
        self._speed = 0xFFFF if kilobytes is None else kilobytes
        self._send_speed(self._speed)
        self.info = with_speed(self.info, self._page(pages.CAPABILITIES))

    def _send_speed(self, kilobytes: int) -> None:
        self._send(commands.SetCdSpeed.build({"logical_unit_write_speed": kilobytes}))

    def prevent_removal(self) -> None:
        """Lock the disc in."""
        self._prevent(True)
        self._locked = True

    def allow_removal(self) -> None:
        self._locked = False
        self._prevent(False)

    def _prevent(self, prevent: bool) -> None:
        self._send(commands.PreventAllowMediumRemoval.build({"prevent": int(prevent)}))

    def load(self, progress: Progress | None = None) -> None:
        """Pull the tray in and wait for the disc; NoMediumError if there is none."""
        self._send(
            commands.StartStopUnit.build({"load_eject": 1, "start": 1}), timeout=_LONG_TIMEOUT
        )
        self.wait_ready(progress)

    def eject(self) -> None:
        """Let the disc out. What was written must have been flushed."""
        if self.info.writes_mrw and self.disc().background_format_running:
            self.stop_background_format()
        self.allow_removal()
        self.forget_write_parameters()
        self._send(commands.StartStopUnit.build({"load_eject": 1}), timeout=_LONG_TIMEOUT)

    def wait_ready(self, progress: Progress | None = None, limit: float = _CLOSE_TIMEOUT) -> None:
        """Until a long operation or the loading of a disc is over.

        ``progress`` is told from 0 to 1 where the drive says how far it is. Takes
        notice of unit attentions, so a new disc is no error here. Raises
        DriveTimeoutError after ``limit`` seconds, NoMediumError, or what the
        operation ended with.
        """
        cdb = commands.TestUnitReady.build({})
        waited, attentions = 0.0, 0
        while True:
            _, found = self._channel.once(cdb)
            if found is None:
                return
            if found.key == UNIT_ATTENTION and attentions < 5:
                attentions += 1
                self._channel.attention(found)
                continue
            if found.key != NOT_READY or found.asc != 0x04:
                raise self._channel.error(react(found, Purpose.OTHER).error, found, cdb)
            if waited > limit:
                raise self._channel.error(errors.DriveTimeoutError, found, cdb)
            if progress is not None and found.progress is not None:
                progress(found.progress)
            self._channel.sleep(_POLL)
            waited += _POLL

    # -- writing ---------------------------------------------------------------

    def set_up_writing(self, *, multi_session: int = pages.APPENDABLE) -> None:
        """Mode page 05h for packets of variable size on a CD; ends an open packet.

        ``multi_session`` says what closing the session will do: APPENDABLE or FINAL.
        """
        self.set_up(WriteSetUp(multi_session))

    def set_up_fixed_packets(self, packet_length: int = 32) -> None:
        """Mode page 05h for packets of so many blocks, in the data mode of the disc's track."""
        disc = self.disc()
        mode = self.track(disc.first_track).data_mode if disc.formatted else 1
        self.set_up(in_fixed_packets(packet_length, mode))

    def forget_write_parameters(self) -> None:
        """What was set up was for a disc that is going to be another one."""
        self._write_set_up = None

    def set_up(self, wanted: WriteSetUp) -> None:
        """Mode page 05h as wanted, again after a reset; ends what is being recorded."""
        self._select_write_parameters(wanted)
        self._write_set_up = wanted

    def _select_write_parameters(self, wanted: WriteSetUp) -> None:
        try:
            self._send_write_parameters(pages.CURRENT_VALUES, wanted)
        except errors.CommandRefusedError as error:
            self.log(f"{error}; trying again from the drive's default values")
            self._send_write_parameters(pages.DEFAULT_VALUES, wanted)

    def _send_write_parameters(self, control: int, wanted: WriteSetUp) -> None:
        page = self._page(pages.WRITE_PARAMETERS, control)
        if not page:
            raise errors.RecordingRefused(name=self.name, why="it is no burner")
        self._select_page(wanted.page(page))

    def _select_page(self, page: bytes) -> None:
        data = pages.ModeHeader10.build({}) + page
        self._send(commands.ModeSelect10.build({"parameter_list_length": len(data)}), data)

    def calibrate(self) -> None:
        """SEND OPC INFORMATION. A disc has room for about 100 of these and drives do
        it by themselves: not for every mount, let alone every packet. Raises
        CalibrationError; a drive that does not know the command is content."""
        cdb = commands.SendOpcInformation.build({"do_opc": 1})
        try:
            self._send(cdb, timeout=_LONG_TIMEOUT)
        except errors.CommandRefusedError as error:
            self.log(str(error))

    def write(self, block: int, data: Buffer) -> None:
        """Write whole blocks where the drive expects them; the first opens a packet.

        Raises AddressMovedError or PacketLostError (without a next writable address:
        the store asks for it), DriveResetError, MediumFullError, CalibrationError ...
        """
        view = memoryview(data)
        step = self._chunk * BLOCK
        for offset in range(0, len(view), step):
            piece = view[offset : offset + step]
            count = len(piece) // BLOCK
            cdb = _pack_write10(_WRITE10, block, count)
            self._send(cdb, piece, purpose=Purpose.WRITE, timeout=_LONG_TIMEOUT)
            block += count

    def synchronize(self) -> None:
        """SYNCHRONIZE CACHE: what was written is on the disc, and the packet is over."""
        self._send(
            commands.SynchronizeCache.build({}), purpose=Purpose.FLUSH, timeout=_LONG_TIMEOUT
        )

    def reserve_track(self, blocks: int) -> None:
        """RESERVE TRACK: the next blocks become a track of their own, and writing goes on
        behind it; MediumFullError where there is not that much room."""
        cdb = commands.ReserveTrack.build({"reservation_size": blocks})
        self._send(cdb, purpose=Purpose.FLUSH, timeout=_LONG_TIMEOUT)

    def send_cue_sheet(self, data: bytes) -> None:
        """SEND CUE SHEET: entries of :mod:`media.mmc.cue_sheet`."""
        self._send(commands.SendCueSheet.build({"cue_sheet_size": len(data)}), data)

    def finish_recording(self, progress: Progress | None = None) -> None:
        """SYNCHRONIZE CACHE as a long operation: for a lead-out comes with it."""
        self._long_operation(commands.SynchronizeCache, {"immed": 1}, progress)

    def close_track(self, number: int, progress: Progress | None = None) -> None:
        self._close(1, number, progress)

    def close_session(self, progress: Progress | None = None) -> None:
        """Lead-in and lead-out; a next session as :meth:`set_up_writing` was told."""
        self._close(2, 0, progress)

    def _close(self, function: int, number: int, progress: Progress | None) -> None:
        fields = {"immed": 1, "close_function": function, "logical_track_number": number}
        self._long_operation(commands.CloseTrackSession, fields, progress)

    def repair_track(self, number: int, progress: Progress | None = None) -> None:
        """REPAIR TRACK: end a packet that a power cut has torn."""
        fields = {"immed": 1, "logical_track_number": number}
        self._long_operation(commands.RepairTrack, fields, progress)

    # -- formatting and blanking -------------------------------------------------

    def blank(self, *, full: bool, progress: Progress | None = None) -> None:
        """BLANK: the whole disc, or only what makes it look blank. FormatFailedError."""
        kind = commands.BLANK_DISC if full else commands.BLANK_MINIMAL
        with _as_failed("erased"):
            self._long_operation(commands.Blank, {"immed": 1, "blanking_type": kind}, progress)

    def format_unit(
        self, type_: int, blocks: int, parameter: int, *, progress: Progress | None = None
    ) -> None:
        """FORMAT UNIT with a type of MMC-6 table 460; a Mt. Rainier drive goes on with it
        in the background after this has returned. Raises FormatFailedError."""

        cdb = commands.FormatUnit.build({"format_data": 1, "format_code": commands.FORMAT_BY_TYPE})

        def send(immed: int, timeout: float) -> None:
            data = format_list(type_, blocks, parameter, immed=immed)
            self._send(cdb, data, purpose=Purpose.FLUSH, timeout=timeout)

        with _as_failed("formatted"):
            try:
                send(1, TIMEOUT)
            except errors.CommandRefusedError as error:
                if error.sense is None or error.sense[:2] != (ILLEGAL_REQUEST, 0x26):
                    raise
                send(0, _CLOSE_TIMEOUT)
            self.wait_ready(progress)

    def stop_background_format(self, progress: Progress | None = None) -> None:
        """So that the disc can be taken out; it can be gone on with later."""
        self._close(commands.STOP_BACKGROUND_FORMAT, 0, progress)

    def restart_background_format(self) -> None:
        """Go on with a Mt. Rainier format that was stopped."""
        self.format_unit(replies.FORMAT_MRW, ALL_BLOCKS, replies.MRW_RESTART)

    def select_defect_managed_area(self) -> None:
        """Page 2Ch: the blocks of a Mt. Rainier disc that the drive looks after."""
        for code in (pages.MRW, pages.EARLY_MRW):
            page = self._page(code)
            if page:
                if parse(pages.MrwPage, page).lba_space != pages.DEFECT_MANAGED_AREA:
                    self._select_page(pages.MrwPage.build({"page_code": code}))
                return

    def _long_operation(
        self, command: Any, fields: dict[str, int], progress: Progress | None
    ) -> None:
        """Sent to go on by itself, or for a drive that cannot do that, to be waited for."""
        try:
            self._send(command.build(fields), purpose=Purpose.FLUSH)
        except errors.CommandRefusedError as error:
            if error.sense is None or error.sense[:2] != (ILLEGAL_REQUEST, 0x24):
                raise
            cdb = command.build({**fields, "immed": 0})
            self._send(cdb, purpose=Purpose.FLUSH, timeout=_CLOSE_TIMEOUT)
        self.wait_ready(progress)

    # -- the end ---------------------------------------------------------------

    def pause(self, seconds: float) -> None:
        """Wait in the way this drive waits."""
        self._channel.sleep(seconds)

    def close(self) -> None:
        """Let go of the drive; unlocks it if it was locked here."""
        try:
            if self._locked:
                self.allow_removal()
        except errors.MediaError as error:
            self.log(str(error))
        finally:
            self._channel.close()


@contextlib.contextmanager
def _as_failed(what: str) -> Iterator[None]:
    """What a format or a blanking ended with, in words of its own."""
    try:
        yield
    except (errors.PacketLostError, errors.DriveFailedError) as error:
        if error.sense is None or error.sense[0] not in (MEDIUM_ERROR, HARDWARE_ERROR):
            raise
        why = words(*error.sense)
        raise errors.FormatFailedError(what=what, why=why, sense=error.sense) from error
