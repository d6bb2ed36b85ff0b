"""What becomes of a disc when burning it goes wrong, and what the error says of it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

import pytest

from media import errors
from media.burning import BurnMode, burn, session_start
from media.drive import BLOCK, Drive
from media.errors import Aftermath
from media.transport.virtual import VirtualTransport
from media.virtual import Burner, memory_burner

from .discs import blocks

TAO, SAO = BurnMode.TAO, BurnMode.SAO


@pytest.fixture(params=["cd-r-80", "cd-rw-80"])
def burner(request: pytest.FixtureRequest) -> Burner:
    return memory_burner(request.param)


@pytest.fixture(params=list(BurnMode), ids=lambda mode: mode.name)
def mode(request: pytest.FixtureRequest) -> BurnMode:
    found: BurnMode = request.param
    return found


@pytest.fixture(params=[True, False], ids=["blank", "appended"])
def drive(request: pytest.FixtureRequest, burner: Burner) -> Drive:
    drive = Drive(VirtualTransport(burner), name="disc.img", sleep=lambda seconds: None)
    if not request.param:
        burn(drive, [blocks(400, 9)], 400, mode=TAO, final=False)
    return drive


def chunks(count: int, error: BaseException | None = None) -> Iterator[bytes]:
    """So many times 100 blocks, then an error."""
    data = blocks(100 * count) if count else b""
    for at in range(count):
        yield data[at * 100 * BLOCK : (at + 1) * 100 * BLOCK]
    if error is not None:
        raise error


def check_usable(drive: Drive, mode: BurnMode) -> None:
    """A session can follow, and the one from before is as it was."""
    before = session_start(drive)
    data = blocks(300, 5)
    start = burn(drive, [data], 300, mode=mode, final=True)
    assert start == before
    assert drive.read(start, 300) == data
    if drive.toc()[1].start == 402:
        assert drive.read(0, 400) == blocks(400, 9)


def failing(
    drive: Drive,
    source: Iterator[bytes],
    mode: BurnMode,
    *,
    size: int = 3_000,
    final: bool = False,
    stop: Callable[[], bool] = lambda: False,
) -> errors.BurnFailedError:
    with pytest.raises(errors.BurnFailedError) as caught:
        burn(drive, source, size, mode=mode, final=final, stop=stop)
    error = caught.value
    assert error.aftermath.value in str(error)
    transport = drive._channel._transport
    assert isinstance(transport, VirtualTransport)
    assert not transport.burner.prevented  # type: ignore[attr-defined]
    return error


class SourceError(Exception):
    pass


def test_a_source_that_fails(drive: Drive, mode: BurnMode) -> None:
    start = session_start(drive)
    error = failing(drive, chunks(20, SourceError("The file a.txt grew while it was read.")), mode)
    assert "The file a.txt grew while it was read." in str(error)
    assert isinstance(error.__cause__, SourceError)
    assert error.aftermath is Aftermath.CLOSED
    assert drive.read(start, 1_536) == blocks(2_000)[: 1_536 * BLOCK]  # whole pieces of 512
    track = drive.track(1 if start == 0 else 2)
    assert track.size == (1_538 if mode is TAO else 3_000)
    check_usable(drive, mode)


def test_a_source_that_fails_before_it_begins(drive: Drive, mode: BurnMode) -> None:
    error = failing(drive, chunks(0, OSError(errno.EACCES, "may not be read")), mode)
    assert (error.aftermath, error.errno) == (Aftermath.UNCHANGED, errno.EACCES)
    check_usable(drive, mode)


def test_a_source_that_fails_at_once(drive: Drive, mode: BurnMode) -> None:
    """A broken session has the four seconds that a track needs, too."""
    start = session_start(drive)
    pieces = chunks(2, SourceError())
    error = failing(drive, pieces, mode, size=200 + 1)
    assert error.aftermath is Aftermath.UNCHANGED  # 512 blocks were not together yet
    transport = drive._channel._transport
    transport.max_transfer = 50 * BLOCK  # type: ignore[attr-defined]
    small = Drive(transport, name="disc.img", sleep=lambda seconds: None)
    error = failing(small, chunks(2, SourceError()), mode, size=201)
    assert error.aftermath is Aftermath.CLOSED
    assert small.read(start, 300) == blocks(200) + bytes(100 * BLOCK)
    check_usable(small, mode)


def test_too_few_blocks(drive: Drive, mode: BurnMode) -> None:
    error = failing(drive, chunks(29), mode)
    assert "only 2900 blocks to burn, not 3000" in str(error)
    assert error.aftermath is Aftermath.CLOSED
    check_usable(drive, mode)


def test_no_blocks(drive: Drive, mode: BurnMode) -> None:
    error = failing(drive, chunks(0), mode)
    assert error.aftermath is not Aftermath.UNUSABLE
    check_usable(drive, mode)


def test_too_many_blocks(drive: Drive, mode: BurnMode) -> None:
    error = failing(drive, chunks(31), mode)
    assert "more to burn than the 3000 blocks" in str(error)
    assert error.aftermath is Aftermath.CLOSED
    check_usable(drive, mode)


def test_half_a_block(drive: Drive, mode: BurnMode) -> None:
    error = failing(drive, iter([blocks(1_000), bytes(5)]), mode)
    assert isinstance(error.__cause__, errors.MediaBug)
    assert error.aftermath is Aftermath.CLOSED


@pytest.mark.parametrize("asked", [0, 1, 3])
def test_stopping(drive: Drive, mode: BurnMode, asked: int) -> None:
    left = asked

    def stop() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    error = failing(drive, chunks(30), mode, stop=stop)
    assert type(error) is errors.BurnStoppedError
    assert error.errno == errno.ECANCELED
    assert error.aftermath is (Aftermath.CLOSED if asked else Aftermath.UNCHANGED) or asked == 1
    check_usable(drive, mode)


def test_a_stopped_session_at_once_that_was_to_be_the_last(drive: Drive) -> None:
    """Its lead-in, which says so, was recorded first."""
    error = failing(drive, chunks(20, SourceError()), SAO, final=True)
    assert error.aftermath is Aftermath.UNUSABLE
    assert drive.disc().status == "complete"


def test_a_broken_track_leaves_a_disc_open_that_was_to_be_closed(drive: Drive) -> None:
    error = failing(drive, chunks(20, SourceError()), TAO, final=True)
    assert error.aftermath is Aftermath.CLOSED
    check_usable(drive, TAO)


def test_an_interrupt_while_the_source_is_read(drive: Drive, mode: BurnMode) -> None:
    with pytest.raises(KeyboardInterrupt):
        burn(drive, chunks(20, KeyboardInterrupt()), 3_000, mode=mode, final=False)
    check_usable(drive, mode)


@pytest.mark.parametrize("after", [False, True])
def test_an_interrupt_around_a_command(
    burner: Burner, drive: Drive, mode: BurnMode, after: bool
) -> None:
    """Whether the drive has taken that piece is not known then."""
    real, count = drive.write, 0

    def write(block: int, data: bytes) -> None:
        nonlocal count
        count += 1
        if count == 4 and not after:
            raise KeyboardInterrupt
        real(block, data)
        if count == 4:
            raise KeyboardInterrupt

    drive.write = write  # type: ignore[method-assign,assignment]
    with pytest.raises(KeyboardInterrupt):
        burn(drive, chunks(30), 3_000, mode=mode, final=False)
    assert drive.disc().last_session_state == "empty"
    check_usable(drive, mode)


def test_a_progress_that_fails(drive: Drive, mode: BurnMode) -> None:
    def progress(part: float) -> None:
        if part > 0.05:
            raise SourceError("nobody looks")

    with pytest.raises(errors.BurnFailedError, match="nobody looks") as caught:
        burn(drive, chunks(30), 3_000, mode=mode, final=False, progress=progress)
    assert caught.value.aftermath is Aftermath.CLOSED
    check_usable(drive, mode)


# -- the drive and the disc ------------------------------------------------------------------


def check_aftermath(burner: Burner, drive: Drive, mode: BurnMode, error: object) -> None:
    """A track can be closed; a session at once is lost, and the disc with it."""
    assert isinstance(error, errors.BurnFailedError)
    if mode is TAO:
        assert error.aftermath is Aftermath.CLOSED
        check_usable(drive, mode)
        return
    assert error.aftermath is Aftermath.UNUSABLE
    if burner.medium.tracks[0].end:
        assert drive.read(0, 400) == blocks(400, 9)
    if burner.medium.kind.erasable:
        drive.blank(full=False)
        check_usable(drive, mode)


@pytest.mark.parametrize("told", ["write", "sync"])
def test_the_laser_fails(burner: Burner, drive: Drive, mode: BurnMode, told: str) -> None:
    burner.faults.write_errors = {burner.recorder.packets + 1: told}  # type: ignore[dict-item]
    if told == "write" and mode is SAO:
        # It is the pre-gap's write that fails.
        assert failing(drive, chunks(30), mode).aftermath is Aftermath.UNUSABLE
        return
    error = failing(drive, chunks(30), mode)
    assert "could not be written" in str(error) or "could not record" in str(error)
    assert error.sense == (3, 0x0C, 0)
    check_aftermath(burner, drive, mode, error)


@pytest.mark.parametrize("what", ["reset", "power_cut"])
def test_the_drive_is_reset(burner: Burner, drive: Drive, mode: BurnMode, what: str) -> None:
    def source() -> Iterator[bytes]:
        yield blocks(2_500)
        getattr(burner, what)()
        yield blocks(500)

    error = failing(drive, source(), mode)
    assert isinstance(error.__cause__, errors.DriveResetError)
    check_aftermath(burner, drive, mode, error)


def test_the_disc_is_pulled_out(burner: Burner, drive: Drive, mode: BurnMode) -> None:
    def source() -> Iterator[bytes]:
        yield blocks(2_500)
        burner.remove()
        yield blocks(500)

    error = failing(drive, source(), mode)
    assert error.aftermath is Aftermath.UNKNOWN
    assert error.errno == errors.ENOMEDIUM


@pytest.mark.parametrize(
    ("mode", "operation", "times"), [(TAO, 0x55, 2), (SAO, 0x55, 2), (SAO, 0x5D, 1)]
)
def test_what_is_refused_at_the_start(
    burner: Burner, drive: Drive, mode: BurnMode, operation: int, times: int
) -> None:
    """Page 05h, the current one and the default one, or the cue sheet."""
    burner.faults.fail((5, 0x26, 0), operation=operation, times=times)
    error = failing(drive, chunks(30), mode)
    assert error.aftermath is Aftermath.UNCHANGED
    check_usable(drive, mode)


def test_a_second_interrupt(drive: Drive, mode: BurnMode) -> None:
    """It ends the tidying up, but not without page 05h as others expect it."""
    real = drive.finish_recording

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    drive.finish_recording = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        burn(drive, chunks(20, KeyboardInterrupt()), 3_000, mode=mode, final=False)
    drive.finish_recording = real  # type: ignore[method-assign]
    assert drive._write_set_up is None
    if mode is TAO:
        assert drive.disc().last_session_state == "incomplete"


def test_a_session_that_cannot_be_closed_at_first(burner: Burner, drive: Drive) -> None:
    burner.faults.fail((4, 0x44, 0), operation=0x5B, times=1)
    error = failing(drive, chunks(30), TAO)
    assert error.aftermath is Aftermath.CLOSED
    check_usable(drive, TAO)


def test_a_drive_that_never_answers_again(burner: Burner, drive: Drive, mode: BurnMode) -> None:
    def source() -> Iterator[bytes]:
        yield blocks(2_500)
        burner.faults.fail((4, 0x44, 0), times=None)
        yield blocks(500)

    with pytest.raises(errors.BurnFailedError) as caught:
        burn(drive, source(), 3_000, mode=mode, final=False)
    assert caught.value.aftermath is Aftermath.UNKNOWN


def test_a_failed_test_leaves_the_disc_as_it_is(
    burner: Burner, drive: Drive, mode: BurnMode
) -> None:
    before = burner.medium.snapshot()
    with pytest.raises(errors.BurnFailedError) as caught:
        burn(drive, chunks(20, SourceError()), 3_000, mode=mode, final=True, test=True)
    assert caught.value.aftermath is Aftermath.UNCHANGED
    assert burner.medium.snapshot() == before
    check_usable(drive, mode)
