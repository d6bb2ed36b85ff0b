"""Promise 3 on rewritable discs: an error of the drive reaches the caller, and
nothing that was acknowledged is missing after it.

As :mod:`test_drive_errors` for write-once discs: each fault is met at the Nth
packet or command of the same session, once or for ever, until the session gets
through without it. Then the disc alone must show what was synced, with the
spool everything, and the allocation checker finds nothing.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from media.errors import MediaError
from media.mmc.commands import Read10
from media.virtual import Burner
from udffs.errors import UdffsError

from .actor import Actor
from .model import Model
from .rig import MIB, QUIET, SYNC, WRITE, Clock, content, difference, picture, save
from .rw_rig import empty_root, formatted, judged, mount, reset_faults
from .test_drive_errors import (
    FOR_EVER,
    HARDWARE,
    INVALID_ADDRESS,
    LONG_WRITE,
    NOT_READY,
    RESET,
    WRITE_ERROR,
    Fault,
    From,
    Outcome,
    _everything_says_so,
    _large,
    _step,
    failing,
    packet,
    reset,
    taken_out,
)

READ = int(Read10.parse(Read10.build({})).operation_code)
MEDIUM = (3, 0x02, 0x00)
UNREADABLE = (3, 0x11, 0x05)


def session(burner: Burner, spool: Path, fault: Callable[[Burner], None]) -> Outcome:
    """Random changes, a large file, syncs and two unmounts, until an error or the end."""
    clock, told = Clock(), Outcome()
    fs = mount(burner, spool, clock, log=told.said.append)
    actor = Actor(fs, clock, 77, largest=6000, model=Model(empty_root()))
    fault(burner)
    told.durable = told.present = actor.model.picture()
    large = random.Random(1).randbytes(MIB)
    try:
        for round_ in range(5):
            for _ in range(6):
                _step(actor, told)
            if round_ == 1:
                _large(actor, large)
            told.present = told.pending = actor.model.picture()
            if round_ == 3:
                actor.fs.shutdown()
                told.durable = told.pending
                actor.adopt(mount(burner, spool, clock, log=told.said.append))
            else:
                actor.fs.sync()
            told.durable = told.pending
        _step(actor, told)
        told.present = told.pending = actor.model.picture()
        actor.fs.shutdown()
        told.durable = told.pending
    except MediaError as error:
        told.error = error
        if actor.fs.status().get("error") is not None:
            _everything_says_so(actor.fs, error)
            with pytest.raises(type(error)):
                actor.fs.shutdown()
    except UdffsError as error:  # no spare packet is left, a neighbour is lost
        told.error = error
        if actor.fs.status().get("error") is not None:
            assert actor.fs.status()["error"] == str(error), error
            with pytest.raises(UdffsError):
                actor.fs.shutdown()
    return told


def plug_in_again(burner: Burner) -> None:
    """The drive is switched off and on, and behaves from now on."""
    reset_faults(burner)
    if not burner.present:
        burner.insert()
    burner.power_cut()


def check(burner: Burner, spool: Path, told: Outcome) -> None:
    """The disc and the spool hold everything; the disc alone what was synced."""
    disc = burner.branch()
    alone = mount(disc, spool.with_name("empty"))
    assert alone.read_only is None, alone.read_only
    missing = difference(picture(alone), told.durable)
    assert not missing or not difference(picture(alone), told.pending), missing
    alone.shutdown()
    judged(disc)
    again = mount(burner, spool)
    assert again.read_only is None, again.read_only
    lost = difference(picture(again), told.present)
    assert not lost, lost
    again.shutdown()
    assert not any(spool.iterdir())
    judged(burner)
    last = mount(burner, spool)
    assert not difference(picture(last), told.present)
    save(last, "/later", b"later")
    last.shutdown()
    judged(burner)


def one(folder: Path, fault: Fault, number: int, survives: bool | None, kind: str) -> bool:
    """One session; whether the fault struck."""
    shutil.rmtree(folder, ignore_errors=True)
    burner = formatted(kind=kind, log_packets=20)
    struck: list[Callable[[], bool]] = []
    told = session(burner, folder / "spool", lambda burner: struck.append(fault(burner, number)))
    try:
        if struck[0]():
            assert survives is None or survives == (told.error is None)
        else:
            assert told.error is None
        plug_in_again(burner)
        check(burner, folder / "spool", told)
    except BaseException as error:
        error.add_note(f"fault number {number}: {told.error!r}; {told.said}")
        raise
    return struck[0]()


def rising(
    folder: Path, fault: Fault, survives: bool | None, *, step: int = 1, kind: str = "cd-rw-80"
) -> int:
    """Sessions with a fault, N rising; how often it struck."""
    for number in range(1, 400, step):
        if not one(folder / "one", fault, number, survives, kind):
            return number // step
    pytest.fail("the fault struck however late it came")


def write_error(burner: Burner, number: int) -> Callable[[], bool]:
    wanted, struck = packet(burner, number)
    burner.faults.write_errors[wanted] = "write"
    return struck


def late_write_error(burner: Burner, number: int) -> Callable[[], bool]:
    wanted, struck = packet(burner, number)
    burner.faults.write_errors[wanted] = "sync"
    return struck


def lost_buffer(burner: Burner, number: int) -> Callable[[], bool]:
    """A write error at which the drive forgets all that waits."""
    burner.faults.error_empties_buffer = True
    return late_write_error(burner, number)


def bad_for_ever(burner: Burner, number: int) -> Callable[[], bool]:
    """The packet of the Nth WRITE cannot be written any more."""
    left = [number]

    def watch(cdb: bytes) -> None:
        if cdb[0] == WRITE:
            left[0] -= 1
            if left[0] == 0:
                burner.faults.bad_packets.add(int.from_bytes(cdb[2:6], "big"))

    burner.faults.hook = watch
    return lambda: left[0] <= 0


@pytest.mark.parametrize(
    ("fault", "step"),
    [(write_error, 3), (late_write_error, 2), (lost_buffer, 4), (reset, 4)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_fault_of_one_packet_is_mended(fault: Fault, step: int, tmp_path: Path) -> None:
    assert rising(tmp_path, fault, survives=True, step=step) >= 5


def test_a_packet_is_bad_for_ever(tmp_path: Path) -> None:
    """Outside the partition that may be more than can be mended."""
    assert rising(tmp_path, bad_for_ever, survives=None, step=2) >= 5


@pytest.mark.parametrize("fault", [write_error, late_write_error], ids=lambda f: f.__name__)
def test_on_mount_rainier_it_is_told(fault: Fault, tmp_path: Path) -> None:
    """There the drive spares; what it cannot spare is lost, or was a whim."""
    assert rising(tmp_path, fault, survives=None, step=5, kind="mrw") >= 4


@pytest.mark.parametrize("operation", [WRITE, SYNC, READ], ids=["write", "sync", "read"])
@pytest.mark.parametrize("sense", [NOT_READY, LONG_WRITE], ids=["busy", "long write"])
def test_a_drive_that_is_not_ready_for_a_while(
    sense: tuple[int, int, int], operation: int, tmp_path: Path
) -> None:
    for number in (1, 2, 3, 5, 8):
        assert one(tmp_path / "one", failing(sense, operation, 3), number, True, "cd-rw-80")


@pytest.mark.parametrize(
    ("sense", "operation", "mended"),
    [
        (WRITE_ERROR, WRITE, True),
        (WRITE_ERROR, SYNC, True),
        (MEDIUM, WRITE, True),
        (HARDWARE, WRITE, False),
        (HARDWARE, SYNC, False),
        (HARDWARE, READ, None),
        (UNREADABLE, READ, None),
        (INVALID_ADDRESS, WRITE, None),
        (RESET, WRITE, True),
        (RESET, SYNC, True),
        (RESET, READ, True),
    ],
    ids=lambda value: str(value).replace(" ", ""),
)
@pytest.mark.parametrize("times", [1, FOR_EVER], ids=["once", "for ever"])
def test_a_command_fails(
    sense: tuple[int, int, int], operation: int, mended: bool | None, times: int, tmp_path: Path
) -> None:
    """At the Nth time; what comes of it is said, and nothing is lost."""
    survives = None if mended is None else mended and times == 1
    if times != 1 and operation == READ:
        survives = None
    assert rising(tmp_path, failing(sense, operation, times), survives, step=4) >= 3


def test_every_packet_fails_from_one_on(tmp_path: Path) -> None:
    """No spare packet can be written either, and no table."""

    def fault(burner: Burner, number: int) -> Callable[[], bool]:
        wanted, struck = packet(burner, number)
        burner.faults.write_errors = From(wanted, "sync")  # type: ignore[assignment]
        return struck

    assert rising(tmp_path, fault, survives=False, step=4) >= 4


def test_the_disc_is_taken_out(tmp_path: Path) -> None:
    assert rising(tmp_path, taken_out, survives=False, step=3) >= 8


# -- neighbours ---------------------------------------------------------------------


def test_an_unreadable_neighbour_of_what_is_written(tmp_path: Path) -> None:
    """A durable block that cannot be read any more under a packet that must be
    rewritten: said in words; what is in the log and the spool stays."""
    burner = formatted()
    fs = mount(burner, tmp_path / "spool")
    for number in range(40):
        save(fs, f"/{number}", bytes([number]) * 3000)
    fs.shutdown()
    report = judged(burner)
    fs = mount(burner, tmp_path / "spool")
    block = report.start + report.icbs["/7"]
    burner.faults.unreadable.add(block)
    save(fs, "/20", b"changed" * 300, sync=True)
    with pytest.raises(UdffsError, match=r"read|lost"):
        fs.shutdown()
    burner.faults.unreadable.clear()
    disc = burner.branch()
    again = mount(disc, tmp_path / "spool 2")
    assert content(again, "/20")[:2100] == b"changed" * 300
    assert content(again, "/7") == bytes([7]) * 3000
    again.shutdown()
    judged(disc)
    burner.faults.unreadable.add(block)
    worn = mount(burner, tmp_path / "spool 3")
    assert worn.read_only is not None and "Block" in worn.read_only, worn.read_only
    assert content(worn, "/20")[:2100] == b"changed" * 300


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
        lambda: fs.shutdown(),
    ):
        with pytest.raises(MediaError):
            operation()
    fs.release(handle)
    plug_in_again(burner)
    again = mount(burner, tmp_path / "spool")
    assert content(again, "/a") == b"kept in the spool"
    again.shutdown()
    judged(burner)


def test_another_disc_is_put_in(tmp_path: Path) -> None:
    """It must not get what belongs to the first one."""
    burner, other = formatted(), formatted(0x0150)
    fs = mount(burner, tmp_path / "spool")
    save(fs, "/a", b"synced", sync=True)
    save(fs, "/b", b"not yet")
    mine = burner.recorder
    burner.remove()
    burner.insert(other.recorder)
    before = list(other.recorder.medium.wear)
    with pytest.raises(MediaError):
        fs.sync()
    assert list(other.recorder.medium.wear) == before
    with pytest.raises(MediaError):
        fs.shutdown()
    burner.remove()
    burner.insert(mine)
    again = mount(burner, tmp_path / "spool")
    assert content(again, "/b") == b"not yet"
