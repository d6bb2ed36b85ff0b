"""Burning a CD in one go: one track, and the session around it closed.

No packets: the data come in order from beginning to end, and any system reads the
result. :func:`burn` either succeeds or leaves the disc in a state that the error
tells of (:class:`media.errors.Aftermath`).
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, NoReturn

from media import errors
from media.drive import BLOCK, Drive, Progress
from media.errors import Aftermath
from media.mmc import features, pages, replies
from media.mmc.address import PREGAP, to_msf
from media.mmc.bits import parse
from media.mmc.cue_sheet import DATA_MODE_1, LEAD_MODE_1, CueSheetEntry
from media.mmc.sense import words
from media.state import Configuration, DiscState
from media.transport import Buffer
from media.write_parameters import WriteSetUp

#: Blocks of the shortest track, four seconds (Red Book); what is shorter is filled up
SHORTEST_TRACK = 300
#: Blocks that closing a session takes about as long as: lead-in and lead-out
_CLOSING = 11_250
#: Blocks that go to the drive in one command at most
_PIECE = 512
#: Addresses in the first pre-gap are negative: as 32 bits in two's complement
_ADDRESSES = 1 << 32


class BurnMode(enum.Enum):
    """How the laser goes about it."""

    #: The drive makes pre-gap and run-out, and closing the session is a step of its own
    TAO = "track at once"
    #: Lead-in, data and lead-out in one sweep, as a cue sheet says beforehand
    SAO = "session at once"


class _Place(NamedTuple):
    """Where the next session begins, of a disc that one can be added to."""

    disc: DiscState
    number: int
    start: int
    free: int


def session_start(drive: Drive) -> int:
    """The block at which the next session's data will begin.

    Raises NoMediumError, WrongMediumError, ReadOnlyMediumError or (a session is
    open) MediaUsageError where no session can be added.
    """
    return _place(drive).start


def burn(
    drive: Drive,
    chunks: Iterable[Buffer],
    blocks: int,
    *,
    mode: BurnMode,
    final: bool,
    test: bool = False,
    progress: Progress | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> int:
    """Write one track and close the session; returns the track's first block.

    ``chunks`` are exactly ``blocks`` blocks of 2,048 bytes, in pieces of any number
    of whole blocks; a track of fewer than 300 is filled up with zeros. ``final``:
    nothing can follow. ``test``: the drive takes everything and records nothing.
    ``progress`` is told from 0 to 1, ``stop`` is asked between pieces. The
    disc is locked in meanwhile; nobody else may use the drive.

    Before anything is touched: what :func:`session_start` raises, RecordingRefused
    where the drive cannot do this, MediumFullError. Then BurnStoppedError, or
    BurnFailedError for all that goes wrong with the drive, the disc or ``chunks``:
    ``aftermath`` says what became of the disc.
    """
    if blocks < 1:
        raise errors.MediaUsageError("There is nothing to burn.")
    place = _place(drive)
    underrun_free = _check_drive(drive, place.disc, mode, test)
    size = max(blocks, SHORTEST_TRACK)
    if size > place.free:
        raise errors.MediumFullError(blocks=size)
    kind = pages.TRACK_AT_ONCE if mode is BurnMode.TAO else pages.SESSION_AT_ONCE
    wanted = WriteSetUp(
        multi_session=pages.FINAL if final else pages.APPENDABLE,
        write_type=kind,
        test=test,
        underrun_free=underrun_free,
    )
    work = _Track if mode is BurnMode.TAO else _Session
    with _locked(drive):
        work(drive, place, blocks, wanted, progress, stop).burn(chunks)
    return place.start


def cut_off(drive: Drive) -> bool:
    """Whether the last session is one that a burn has begun and nobody has ended: the
    program was killed, or the power went. (A session of packets is none.)"""
    disc = drive.disc()
    if disc.status != "appendable" or disc.last_session_state in ("empty", "complete"):
        return False
    numbers = range(disc.first_track_in_last_session, disc.last_track + 1)
    return not any(track.packets or track.reserved for track in map(drive.track, numbers))


def close_cut_off(drive: Drive, progress: Progress | None = None) -> None:
    """Close such a session, so that another can follow. What is in it is of no use."""
    try:
        drive.finish_recording()
    except errors.MediaError as error:
        drive.log(f"before a session that was cut off is closed: {error}")
    track = drive.track()
    if track.damaged or track.next_writable is None:
        drive.repair_track(track.number)
    try:
        drive.close_track(replies.INVISIBLE_TRACK)
    except errors.CommandRefusedError as error:
        drive.log(str(error))
    drive.set_up_writing()
    drive.close_session(progress)
    drive.forget_write_parameters()


def _place(drive: Drive) -> _Place:
    disc = drive.disc()
    if disc.status == "none":
        raise errors.NoMediumError(name=drive.name)
    if disc.profile not in (features.CD_R, features.CD_RW):
        raise errors.WrongMediumError(why=f"only CD-R and CD-RW are burned, this is {disc.kind}.")
    if disc.formatted:
        raise errors.WrongMediumError(why="it is formatted in packets; it has to be erased first.")
    if disc.status not in ("blank", "appendable"):
        raise errors.ReadOnlyMediumError(why="it is closed.")
    track = drive.track()
    untouched = track.next_writable == track.start and not track.damaged
    if disc.last_session_state != "empty" or not untouched:
        raise errors.MediaUsageError(
            "The last session on this disc is still open: it has to be closed first."
        )
    return _Place(disc, track.number, track.start, track.free)


def _check_drive(drive: Drive, disc: DiscState, mode: BurnMode, test: bool) -> bool:
    """Whether the drive can do it, else RecordingRefused; returns whether it can go on
    after its buffer ran empty. A drive from before features is asked by trying."""
    found = drive.configuration()
    if not found.data:
        return False
    code, layout = features.CD_TRACK_AT_ONCE, features.CdTrackAtOnceData
    if mode is BurnMode.SAO:
        code, layout = features.CD_MASTERING, features.CdMasteringData
    able = parse(layout, found.data.get(code, b""))
    if code not in found.data or not able.get("session_at_once", 1):
        _refuse(drive, f"it cannot record a {mode.value}.")
    if disc.profile == features.CD_RW and not able.cd_rw and not _writes_cd_rw(found):
        _refuse(drive, f"it cannot record a {mode.value} on CD-RW.")
    if test and not able.test_write:
        _refuse(drive, f"it cannot only try to record a {mode.value}.")
    return bool(able.buffer_underrun_free)


def _writes_cd_rw(found: Configuration) -> bool:
    """As the disc in the drive is a CD-RW, a feature that is current goes for it."""
    return bool({features.CD_TRACK_AT_ONCE, features.CD_MASTERING} & found.current)


def _refuse(drive: Drive, why: str) -> NoReturn:
    raise errors.RecordingRefused(name=drive.name, why=why)


@contextlib.contextmanager
def _locked(drive: Drive) -> Iterator[None]:
    drive.prevent_removal()
    try:
        yield
    finally:
        try:
            drive.allow_removal()
        except errors.MediaError as error:
            drive.log(str(error))


def _pieces(chunks: Iterable[Buffer], blocks: int) -> Iterator[Buffer]:
    """The same data in pieces of so many blocks; the last may be shorter."""
    size = blocks * BLOCK
    waiting = bytearray()
    for chunk in chunks:
        view = memoryview(chunk).cast("B")
        if len(view) % BLOCK:
            raise errors.MediaBug(what=f"{len(view)} bytes to burn, which are no whole blocks")
        while view:
            if not waiting and len(view) >= size:
                piece, view = view[:size], view[size:]
                yield piece
                continue
            room = size - len(waiting)
            waiting += view[:room]
            view = view[room:]
            if len(waiting) == size:
                yield waiting
                waiting = bytearray()
    if waiting:
        yield waiting


class _Work:
    """One burn: the steps that both modes share."""

    def __init__(
        self,
        drive: Drive,
        place: _Place,
        blocks: int,
        wanted: WriteSetUp,
        progress: Progress | None,
        stop: Callable[[], bool],
    ) -> None:
        self.drive = drive
        self.place = place
        self.wanted = wanted
        self.size = max(blocks, SHORTEST_TRACK)
        #: Blocks of the track that the drive has taken
        self.done = 0
        #: The first command that records was sent
        self.begun = False
        self._blocks = blocks
        self._progress = progress
        self._stop = stop
        self._doubts = 0
        self._source_failed = False

    def burn(self, chunks: Iterable[Buffer]) -> None:
        pieces = _pieces(chunks, min(self.drive.transfer_limit, _PIECE))
        try:
            first = self._next(pieces)
            self.drive.set_up(self.wanted)
            self._doubts = self.drive.doubts
            self.begin()
            self._write_all(first, pieces)
            self.end()
            self._check_recorded()
        except BaseException as error:
            aftermath = self._settle(error)
            if not isinstance(error, Exception):
                raise
            raise _failure(error, aftermath) from error
        self._put_back()
        self._tell(1.0)

    # -- the data ---------------------------------------------------------------------

    def _next(self, pieces: Iterator[Buffer]) -> Buffer | None:
        if self._stop():
            raise errors.BurnStoppedError
        try:
            return next(pieces, None)
        except BaseException:
            self._source_failed = True
            raise

    def _write_all(self, piece: Buffer | None, pieces: Iterator[Buffer]) -> None:
        while piece is not None:
            count = len(piece) // BLOCK
            if self.done + count > self._blocks:
                self._wrong_size(f"There is more to burn than the {self._blocks} blocks announced.")
            self._write(piece)
            piece = self._next(pieces)
        if self.done < self._blocks:
            self._wrong_size(
                f"There are only {self.done} blocks to burn, not {self._blocks} as announced."
            )
        self._fill(self.size)

    def _wrong_size(self, why: str) -> NoReturn:
        self._source_failed = True
        raise errors.MediaUsageError(why)

    def _write(self, piece: Buffer) -> None:
        self.begun = True
        self.drive.write(self.place.start + self.done, piece)
        self.done += len(piece) // BLOCK
        self._tell(self.done / (self.size + _CLOSING))

    def _fill(self, size: int) -> None:
        """Zeros up to so many blocks."""
        step = min(self.drive.transfer_limit, _PIECE)
        while self.done < size:
            self._write(bytes(min(step, size - self.done) * BLOCK))

    def _tell(self, progress: float) -> None:
        if self._progress is not None:
            self._progress(progress)

    def closing(self, part: float) -> None:
        """How far the session is closed, 0 to 1."""
        self._tell((self.size + part * _CLOSING) / (self.size + _CLOSING))

    def check_taken(self) -> None:
        """Was the drive reset, or did it report an earlier failure late?"""
        if self.drive.doubts != self._doubts:
            raise errors.DriveResetError(name=self.drive.name)

    def _check_recorded(self) -> None:
        """Is the track on the disc as long as it should be?"""
        if self.wanted.test:
            return
        track = self.drive.track(self.place.number)
        if track.start != self.place.start or track.size < self.size or track.damaged:
            raise errors.DriveFailedError(
                name=self.drive.name,
                why=f"its track {track.number} is {track.size} blocks from {track.start} on.",
            )

    # -- in each mode its own way ---------------------------------------------------------

    def begin(self) -> None:
        """What comes before the data."""

    def end(self) -> None:
        """What comes behind the data, until the session is closed."""
        raise NotImplementedError

    def close_broken(self, *, sound: bool) -> None:
        """Close what was begun; ``sound``: the drive goes on taking data."""
        raise NotImplementedError

    # -- when it went wrong ---------------------------------------------------------------

    def _settle(self, error: BaseException) -> Aftermath:
        """Bring the disc into a state that is known; what fails here is noted only."""
        stopped = isinstance(error, errors.BurnStoppedError)
        sound = self._source_failed or stopped or not isinstance(error, errors.MediaError)
        if not stopped:
            self._progress = None
        try:
            if self.begun and not self.wanted.test:
                self._noting(lambda: self.close_broken(sound=sound))
        finally:
            self._put_back()
        try:
            return self._aftermath()
        except errors.MediaError as failure:
            self.drive.log(f"after a failed burn: {failure}")
            return Aftermath.UNKNOWN

    def _noting(self, action: Callable[[], None]) -> None:
        """Do something of which a failure changes nothing any more."""
        try:
            action()
        except errors.MediaError as error:
            self.drive.log(f"after a failed burn: {error}")

    def fill_broken(self, size: int) -> None:
        """Zeros up to so many blocks, from where the drive is: an interrupt may have
        come while a command was on its way."""
        where = self.drive.track().next_writable
        if where is not None and self.done <= where - self.place.start <= size:
            self.done = where - self.place.start
        self._fill(size)

    def _put_back(self) -> None:
        """Page 05h for packets again, as a store expects it."""
        self._noting(self.drive.set_up_writing)
        self.drive.forget_write_parameters()

    def _aftermath(self) -> Aftermath:
        before, disc = self.place.disc, self.drive.disc()
        if disc.status == "none":
            return Aftermath.UNKNOWN
        if disc.status not in ("blank", "appendable") or disc.last_session_state != "empty":
            return Aftermath.UNUSABLE
        if disc.sessions == before.sessions and self.drive.track().start == self.place.start:
            return Aftermath.UNCHANGED
        return Aftermath.CLOSED


def _failure(error: Exception, aftermath: Aftermath) -> errors.BurnFailedError:
    if isinstance(error, errors.BurnStoppedError):
        return errors.BurnStoppedError(aftermath=aftermath)
    failed = errors.BurnFailedError(why=_sentence(error), aftermath=aftermath)
    failed.sense = getattr(error, "sense", None)
    failed.errno = getattr(error, "errno", None) or failed.errno
    return failed


def _sentence(error: Exception) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, errors.PacketLostError | errors.AddressMovedError) and error.sense:
        text = f"The drive could not record the data: {words(*error.sense)}"
    return text if text[-1] in ".!?" else f"{text}."


class _Track(_Work):
    """Track at once."""

    def end(self) -> None:
        self.drive.finish_recording()
        self.check_taken()
        if self.wanted.test:
            return
        self._close_track()
        self.drive.close_session(self.closing)

    def _close_track(self) -> None:
        """Where SYNCHRONIZE CACHE has not closed it, as on most drives it does."""
        track = self.drive.track()
        if track.number != self.place.number:
            return
        if track.damaged:
            self.drive.repair_track(track.number)
        try:
            self.drive.close_track(replies.INVISIBLE_TRACK)
        except errors.CommandRefusedError as error:
            # It was closed all the same, says closing the session.
            self.drive.log(str(error))

    def close_broken(self, *, sound: bool) -> None:
        """A session of what there is, so that another can follow."""
        if sound:
            self._noting(lambda: self.fill_broken(max(self.done, SHORTEST_TRACK)))
        self._noting(self.drive.finish_recording)
        if self.drive.disc().last_session_state == "empty":
            return
        self._close_track()
        self.drive.set_up_writing()
        self.drive.close_session()


class _Session(_Work):
    """Session at once."""

    def begin(self) -> None:
        start = self.place.start
        self.drive.send_cue_sheet(cue_sheet(self.place.number, start, start + self.size))
        self.begun = True
        self.drive.write((start - PREGAP) % _ADDRESSES, bytes(PREGAP * BLOCK))

    def end(self) -> None:
        self.drive.finish_recording(self.closing)
        self.check_taken()

    def close_broken(self, *, sound: bool) -> None:
        """Only a complete session can be closed: what is missing becomes zeros."""
        if sound:
            self.fill_broken(self.size)
        self.drive.finish_recording()


def cue_sheet(number: int, start: int, end: int) -> bytes:
    """The cue sheet of a session with one data track in Mode 1: its number, first
    block, and the block behind its last one."""
    points = (
        # track, index, data form, block (of a lead-in, time 0 is sent in any session)
        (0, 0, LEAD_MODE_1, -PREGAP),
        (number, 0, DATA_MODE_1, start - PREGAP),
        (number, 1, DATA_MODE_1, start),
        (replies.LEAD_OUT_TRACK, 1, LEAD_MODE_1, end),
    )
    entries = []
    for track, index, form, block in points:
        minute, second, frame = to_msf(block)
        fields = {"control": pages.DATA_UNINTERRUPTED, "track_number": track, "index": index}
        times = {"minute": minute, "second": second, "frame": frame}
        entries.append(CueSheetEntry.build(fields | times | {"data_form": form}))
    return b"".join(entries)
