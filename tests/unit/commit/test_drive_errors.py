"""Promise 3: an error on the disc reaches the caller, and nothing that was
acknowledged is missing after it.

Each fault is met at the Nth packet or command of the same session, N rising
until the session gets through without meeting it; once, and for ever. After
it the disc is mounted again with the spool that was left and must show
everything, and then without a spool (the disc alone) and must show what was
synced.
"""

from __future__ import annotations

import copy
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from media.errors import MediaError
from media.mmc.commands import ReadTrackInformation
from media.virtual import Burner
from media.virtual.faults import Faults
from udffs.filesystem import FileSystem

from .actor import Actor
from .model import Picture
from .rig import (
    MIB,
    QUIET,
    SYNC,
    WRITE,
    Clock,
    content,
    difference,
    formatted,
    kill,
    mount,
    picture,
    save,
)

READ_TRACK = int(ReadTrackInformation.parse(ReadTrackInformation.build({})).operation_code)

NOT_READY = (2, 0x04, 0x01)
LONG_WRITE = (2, 0x04, 0x08)
WRITE_ERROR = (3, 0x0C, 0x00)
HARDWARE = (4, 0x44, 0x00)
INVALID_ADDRESS = (5, 0x21, 0x02)
RESET = (6, 0x29, 0x00)
FOR_EVER = 1 << 30


class From(dict[int, str]):
    """All packets from the Nth on."""

    def __init__(self, first: int, what: str) -> None:
        super().__init__()
        self._first, self._what = first, what

    def get(self, number: int, default: object = None) -> object:  # type: ignore[override]
        return self._what if number >= self._first else default

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and number >= self._first

    def copy(self) -> From:
        return From(self._first, self._what)


@dataclass
class Outcome:
    """How a session with a fault went."""

    error: Exception | None = None
    durable: Picture = field(default_factory=dict)
    pending: Picture = field(default_factory=dict)
    present: Picture = field(default_factory=dict)
    said: list[str] = field(default_factory=list)


def session(burner: Burner, spool: Path, fault: Callable[[Burner], None]) -> Outcome:
    """Random changes, a large file and syncs, until an error or the end."""
    clock, told = Clock(), Outcome()
    actor = Actor(mount(burner, spool, clock, log=told.said.append), clock, 77, largest=6000)
    fault(burner)
    told.durable = told.present = actor.model.picture()
    large = random.Random(1).randbytes(3 * MIB)
    try:
        for round_ in range(6):
            for _ in range(6):
                _step(actor, told)
            if round_ == 2:
                _large(actor, large)
            told.present = told.pending = actor.model.picture()
            actor.fs.sync()
            told.durable = told.pending
        for _ in range(4):
            _step(actor, told)
        told.present = told.pending = actor.model.picture()
        actor.fs.shutdown()
        told.durable = told.pending
    except MediaError as error:
        told.error = error
        _everything_says_so(actor.fs, error)
        with pytest.raises(type(error)):
            actor.fs.shutdown()
    return told


def _step(actor: Actor, told: Outcome) -> None:
    before = copy.deepcopy(actor.model)
    try:
        actor.step()
    except AssertionError:
        # One side failed: the volume, with the error of the disc.
        actor.model = before
        actor.fs.sync()
        raise
    told.present = actor.model.picture()


def _large(actor: Actor, data: bytes) -> None:
    actor.model.now = actor.clock.tick()
    handle = actor.fs.create("/large", 0o644, os.O_RDWR, 0, 0)
    node = actor.model.make("/large", 0o100644, 0, 0)
    actor.fs.write(handle, data, 0)
    actor.model.write(node, 0, data)
    actor.handles.append((handle, node))


def _everything_says_so(fs: FileSystem, error: MediaError) -> None:
    """After the drive gave up: fsync, write, close and sync fail with its
    error, reading goes on."""
    assert fs.status()["error"] == str(error)
    with pytest.raises(MediaError):
        fs.sync()
    with pytest.raises(MediaError):
        fs.create("/one more", 0o600, os.O_RDWR, 0, 0)
    assert fs.readdir("/")


def check(burner: Burner, spool: Path, told: Outcome) -> None:
    """The disc and the spool hold everything; the disc alone what was synced."""
    alone = mount(burner.branch(), spool.with_name("empty"))
    seen = picture(alone)
    missing = difference(seen, told.durable)
    assert not missing or not difference(seen, told.pending), missing
    shutil.rmtree(spool.with_name("empty"))
    if told.error is not None:
        assert any(spool.glob("*/*.log")), "the spool was not kept"
    again = mount(burner, spool)
    assert again.read_only is None, again.read_only
    lost = difference(picture(again), told.present)
    assert not lost, lost
    again.shutdown()
    assert not any(spool.iterdir())
    last = mount(burner, spool)
    assert not difference(picture(last), told.present)
    save(last, "/later", b"later")
    last.shutdown()


def plug_in_again(burner: Burner) -> None:
    """The drive is switched off and on, and behaves from now on."""
    burner.faults = burner.recorder.faults = Faults()
    if not burner.present:
        burner.insert()
    burner.power_cut()


Fault = Callable[[Burner, int], Callable[[], bool]]
"""Arms a fault for the Nth occasion; what it returns tells whether it struck."""


def rising(folder: Path, fault: Fault, survives: bool | None) -> int:
    """Sessions with a fault, N rising until it does not strike any more; how
    often it did. ``survives``: whether the session goes on then (None: the
    fault may be mended, or not)."""
    for number in range(1, 60):
        if not one(folder / "spool", fault, number, survives):
            return number - 1
    pytest.fail("the fault struck however late it came")


def one(spool: Path, fault: Fault, number: int, survives: bool | None = True) -> bool:
    """One session; whether the fault struck."""
    burner = formatted()
    struck: list[Callable[[], bool]] = []
    told = session(burner, spool, lambda burner: struck.append(fault(burner, number)))
    try:
        if struck[0]():
            assert survives is None or survives == (told.error is None)
        else:
            assert told.error is None
        plug_in_again(burner)
        check(burner, spool, told)
    except BaseException as error:
        error.add_note(f"fault number {number}: {told.error!r}; {told.said}")
        raise
    return struck[0]()


# -- faults of single packets: they cost blocks, and nobody is told ---------------


def packet(burner: Burner, number: int) -> tuple[int, Callable[[], bool]]:
    """The number that the Nth packet from now on will have; was it begun?"""
    wanted = burner.recorder.packets + number
    recorder = burner.recorder
    return wanted, lambda: recorder.packets >= wanted


def write_error(burner: Burner, number: int) -> Callable[[], bool]:
    wanted, struck = packet(burner, number)
    burner.faults.write_errors[wanted] = "write"
    return struck


def late_write_error(burner: Burner, number: int) -> Callable[[], bool]:
    wanted, struck = packet(burner, number)
    burner.faults.write_errors[wanted] = "sync"
    return struck


def ended_early(burner: Burner, number: int) -> Callable[[], bool]:
    wanted, struck = packet(burner, number)
    burner.faults.early_ends[wanted] = 3
    return struck


def lost_buffer(burner: Burner, number: int) -> Callable[[], bool]:
    wanted, struck = packet(burner, number)
    burner.faults.lost_buffers.add(wanted)
    return struck


def at_command(burner: Burner, number: int, strike: Callable[[], None]) -> Callable[[], bool]:
    """Something happens before the Nth command that writes or syncs."""
    left = [number]

    def watch(cdb: bytes) -> None:
        left[0] -= cdb[0] in (WRITE, SYNC)
        if left[0] == 0 and cdb[0] in (WRITE, SYNC):
            strike()

    burner.faults.hook = watch
    return lambda: left[0] <= 0


def reset(burner: Burner, number: int) -> Callable[[], bool]:
    def strike() -> None:  # as Burner.reset(), which cannot be called from a hook
        burner.recorder.end_packet()
        burner._power_on()

    return at_command(burner, number, strike)


def taken_out(burner: Burner, number: int) -> Callable[[], bool]:
    def strike() -> None:  # as Burner.remove()
        burner.recorder.tear()
        burner._open_tray()
        burner.present = burner.prevented = False

    return at_command(burner, number, strike)


@pytest.mark.parametrize(
    "fault",
    [write_error, late_write_error, ended_early, lost_buffer, reset],
    ids=lambda fault: fault.__name__,
)
def test_a_fault_of_one_packet_is_mended(fault: Fault, tmp_path: Path) -> None:
    assert rising(tmp_path, fault, survives=True) >= 7


def test_a_drive_that_ends_every_packet_early(tmp_path: Path) -> None:
    """An underrun after every mebibyte: much is lost to links, nothing else."""
    burner, spool = formatted(), tmp_path / "spool"

    def fault(burner: Burner) -> None:
        burner.faults.end_packets_after = 512

    told = session(burner, spool, fault)
    assert told.error is None
    burner.faults = burner.recorder.faults = Faults()
    check(burner, spool, told)


@pytest.mark.parametrize("blocks", [1500, 600, 100])
def test_many_small_files_where_every_packet_ends_early(blocks: int, tmp_path: Path) -> None:
    """What did get to the disc is not written again and again."""
    burner = formatted()
    burner.faults.end_packets_after = blocks
    fs = mount(burner, tmp_path / "spool")
    for number in range(1500):
        save(fs, f"/{number}", bytes([number & 255]) * 3000)
    seen = picture(fs)
    fs.shutdown()
    assert fs.status()["blocks_written"] < 2 * 3 * 1500
    assert not difference(picture(mount(burner, tmp_path / "spool")), seen)


def test_a_next_writable_address_that_lags_behind(tmp_path: Path) -> None:
    for number in range(1, 5):
        burner, spool = formatted(), tmp_path / str(number)

        def fault(burner: Burner, number: int = number) -> None:
            burner.faults.stale_next_writable = number

        told = session(burner, spool, fault)
        assert told.error is None
        check(burner, spool, told)


# -- commands that fail ------------------------------------------------------


def failing(sense: tuple[int, int, int], operation: int, times: int) -> Fault:
    def fault(burner: Burner, number: int) -> Callable[[], bool]:
        burner.faults.fail(sense, operation=operation, after=number - 1, times=times)
        (failure,) = burner.faults.failures
        return lambda: failure.times != times

    return fault


@pytest.mark.parametrize("operation", [WRITE, SYNC], ids=["write", "sync"])
@pytest.mark.parametrize("sense", [NOT_READY, LONG_WRITE], ids=["busy", "long write"])
def test_a_drive_that_is_not_ready_for_a_while(
    sense: tuple[int, int, int], operation: int, tmp_path: Path
) -> None:
    for number in (1, 2, 3, 5, 8):
        assert one(tmp_path / "spool", failing(sense, operation, 3), number)


@pytest.mark.parametrize(
    ("sense", "operation", "mended"),
    [
        (WRITE_ERROR, WRITE, True),
        (WRITE_ERROR, SYNC, True),
        (HARDWARE, WRITE, False),
        (HARDWARE, SYNC, False),
        (HARDWARE, READ_TRACK, False),
        (INVALID_ADDRESS, WRITE, True),
        (RESET, WRITE, True),
        (RESET, SYNC, True),
    ],
    ids=lambda value: str(value).replace(" ", ""),
)
@pytest.mark.parametrize("times", [1, FOR_EVER], ids=["once", "for ever"])
def test_a_command_fails(
    sense: tuple[int, int, int], operation: int, mended: bool, times: int, tmp_path: Path
) -> None:
    """At the Nth time; what comes of it is said, and nothing is lost."""
    survives = mended and times == 1
    assert rising(tmp_path, failing(sense, operation, times), survives) >= 7


def test_every_packet_fails_from_one_on(tmp_path: Path) -> None:
    def fault(burner: Burner, number: int) -> Callable[[], bool]:
        wanted, struck = packet(burner, number)
        burner.faults.write_errors = From(wanted, "sync")  # type: ignore[assignment]
        return struck

    assert rising(tmp_path, fault, survives=False) >= 7


# -- the disc is gone ------------------------------------------------------------------


def test_the_disc_is_taken_out(tmp_path: Path) -> None:
    assert rising(tmp_path, taken_out, survives=False) >= 8


def test_another_disc_is_put_in(tmp_path: Path) -> None:
    """It must not get what belongs to the first one."""
    burner, other = formatted(), formatted(seed=2)
    fs = mount(burner, tmp_path / "spool")
    save(fs, "/a", b"synced", sync=True)
    save(fs, "/b", b"not yet")
    mine = burner.recorder
    burner.remove()
    burner.insert(other.recorder)
    before = other.recorder.medium.packets()
    with pytest.raises(MediaError):
        fs.sync()
    assert other.recorder.medium.packets() == before
    with pytest.raises(MediaError):
        fs.shutdown()
    burner.remove()
    burner.insert(mine)
    again = mount(burner, tmp_path / "spool")
    assert content(again, "/b") == b"not yet"


# -- who hears of it ---------------------------------------------------------------------


def test_an_error_of_the_committing_thread_reaches_everybody(tmp_path: Path) -> None:
    burner = formatted()
    fs = mount(burner, tmp_path / "spool", options=QUIET._replace(commit_idle=0.01))
    fs.start()
    handle = fs.create("/a", 0o600, os.O_RDWR, 0, 0)
    fs.write(handle, b"kept in the spool", 0)
    burner.faults.fail(HARDWARE, operation=SYNC, times=None)
    with pytest.raises(MediaError) as told:
        fs.fsync(handle)
    assert told.value.sense == HARDWARE
    for operation in (
        lambda: fs.write(handle, b"more", 0),
        lambda: fs.flush(handle),
        lambda: fs.fsync(handle),
        lambda: fs.fsyncdir("/"),
        lambda: fs.mkdir("/d", 0o755, 0, 0),
        lambda: fs.unlink("/a"),
        lambda: fs.sync(),
        lambda: fs.close_disc(final=False),
        lambda: fs.shutdown(),
    ):
        with pytest.raises(MediaError):
            operation()
    fs.release(handle)
    plug_in_again(burner)
    again = mount(burner, kill(tmp_path / "spool"))
    assert content(again, "/a") == b"kept in the spool"


def test_an_error_while_closing_is_told_and_mended_later(tmp_path: Path) -> None:
    """At each command of closing; the disc can be closed by a later mount."""
    failed = 0
    for number in range(1, 40):
        burner, spool = formatted(), tmp_path / str(number)
        fs = mount(burner, spool)
        save(fs, "/a", b"a" * 5000)
        counted = [0]

        faults = burner.faults

        def strike(_cdb: bytes, counted=counted, number=number, faults=faults) -> None:  # type: ignore[no-untyped-def]
            counted[0] += 1
            if counted[0] == number:
                faults.fail(HARDWARE, times=None)

        faults.hook = strike
        try:
            fs.close_disc(final=False)
            fs.shutdown()
        except MediaError:
            failed += 1
            with pytest.raises(MediaError):
                fs.shutdown()
        plug_in_again(burner)
        again = mount(burner, spool)
        assert content(again, "/a") == b"a" * 5000
        assert again.read_only is None
        again.close_disc(final=True)
        again.shutdown()
        last = mount(burner, spool)
        assert last.read_only == "the disc is closed"
        assert content(last, "/a") == b"a" * 5000
        if counted[0] < number:
            break
    assert failed > 10
