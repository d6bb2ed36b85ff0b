"""Making and opening virtual discs."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from media.errors import (
    DamagedStateError,
    DiscExistsError,
    DriveBusyError,
    HostFileError,
    MediaUsageError,
    NoSuchDriveError,
    NotADiscImageError,
    RecordingRefused,
)
from media.virtual.burner import BUFFER_BYTES, READ_SPEED, Burner
from media.virtual.clock import Clock
from media.virtual.faults import Faults
from media.virtual.kinds import KINDS, Kind
from media.virtual.lock import lock
from media.virtual.medium import Medium
from media.virtual.overwriter import suited
from media.virtual.recorder import Journal, NoJournal, Recorder
from media.virtual.state import (
    State,
    StateLog,
    create_state,
    header_of,
    read_state,
    state_path,
)
from media.virtual.storage import BLOCK, FileStorage, MemoryStorage, PagedMemory, Storage

_BINARY: int = getattr(os, "O_BINARY", 0)


def _kind(name: str) -> Kind:
    if name not in KINDS:
        raise MediaUsageError(f"There is no disc of the kind {name}; there are {', '.join(KINDS)}.")
    return KINDS[name]


def create(path: Path, kind: str, *, serial: str | None = None) -> None:
    """Make a blank disc: an empty image, and its state file beside it.

    ``serial`` stands for what tells two discs apart; by default it is random.
    Raises DiscExistsError where either file exists.
    """
    _kind(kind)
    path = Path(path)
    try:
        for existing in (path, state_path(path)):
            if existing.exists():
                raise DiscExistsError(name=str(existing))
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o666))
    except FileExistsError as error:
        raise DiscExistsError(name=str(path)) from error
    except OSError as error:
        raise _cannot_make(path, error) from error
    try:
        create_state(path, header_of(kind, serial or secrets.token_hex(8)))
    except OSError as error:
        path.unlink()
        raise _cannot_make(path, error) from error


def _cannot_make(path: Path, error: OSError) -> HostFileError:
    return _refused("make", path, error)


def _refused(what: str, path: Path, error: OSError) -> HostFileError:
    failure = HostFileError(what=what, name=str(path), why=error.strerror)
    failure.errno = error.errno or failure.errno
    return failure


def is_virtual_disc(path: Path) -> bool:
    """Whether a path is an image with a state file beside it (be that damaged)."""
    path = Path(path)
    return path.is_file() and state_path(path).is_file()


def open_burner(path: Path, *, writable: bool = True, speed: float | None = None) -> Burner:
    """A drive with this disc in it, just switched on. ``speed`` (multiples of 1x) is 16
    for a CD-R and 10 for a CD-RW unless said.

    A disc that is open for writing is locked: NoSuchDriveError, NotADiscImageError,
    DriveBusyError (names the process), RecordingRefused (no permission),
    DamagedStateError. With ``writable=False`` a disc that another process is
    writing can be opened as it is at this moment.
    """
    path = Path(path)
    if not path.is_file():
        raise NoSuchDriveError(name=str(path))
    if not state_path(path).is_file():
        raise NotADiscImageError(name=str(path), why=f"{state_path(path).name} is missing")
    fd = _open_image(path, writable)
    try:
        return _open_locked(path, fd, writable, speed)
    except BaseException:
        os.close(fd)
        raise


def _open_image(path: Path, writable: bool) -> int:
    try:
        return os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | _BINARY)
    except PermissionError as error:
        if writable:
            raise RecordingRefused(name=str(path), why=error.strerror) from error
        raise _refused("open", path, error) from error


def _open_locked(path: Path, fd: int, writable: bool, speed: float | None) -> Burner:
    if writable and not lock(fd):
        raise DriveBusyError(name=str(path), holder=_holder(path))
    state = read_state(path)
    journal: StateLog | None = None
    if writable:
        journal = _open_log(path, state)
    storage = FileStorage(fd)
    speed = speed or state.medium.kind.speed
    if state.medium.area is not None:
        state.medium.area.running = False  # it does not run on in a closed file
    recorder = _recorder(state.medium, storage, journal or NoJournal(), speed)
    _recover(recorder, storage, writable)

    def close() -> None:
        storage.close()
        if journal is not None:
            journal.close()

    return Burner(
        recorder,
        serial=state.serial,
        speed=speed,
        writable=writable,
        name=str(path),
        on_close=close,
    )


def _holder(path: Path) -> str:
    try:
        pid = read_state(path).holder
    except (OSError, DamagedStateError):
        pid = None
    return "another process" if pid is None else f"process {pid}"


def _open_log(path: Path, state: State) -> StateLog:
    try:
        log = StateLog(path, state)
        log.append({"e": "open", "pid": os.getpid()})
    except PermissionError as error:
        raise RecordingRefused(name=str(path), why=error.strerror) from error
    return log


def _recover(recorder: Recorder, storage: FileStorage, writable: bool) -> None:
    """After a kill: what the image has beyond the last packet that is known of is the
    packet that was open. It ended by an underrun when nobody fed it any more."""
    medium = recorder.medium
    if medium.recording is not None:
        recorder.at_once.recover(storage.blocks)
        if writable:
            storage.truncate(medium.end)
    track = medium.invisible
    if medium.pending is not None:
        start, count = medium.pending
        recorder.record({"e": "packet", "s": start, "n": count})
    if track is None or not track.writable:
        return
    found = min(storage.blocks, track.limit)
    if found > track.next:
        recorder.record({"e": "packet", "s": track.next, "n": found - track.next})
    if writable:
        storage.truncate(medium.end)


def memory_burner(kind: str, *, speed: float | None = None, serial: str = "0" * 16) -> Burner:
    """A drive with a blank disc that is kept in memory, for tests."""
    disc = _kind(kind)
    speed = speed or disc.speed
    storage = PagedMemory() if disc.erasable else MemoryStorage()
    recorder = _recorder(Medium(disc), storage, NoJournal(), speed)
    return Burner(recorder, serial=serial, speed=speed)


def _recorder(medium: Medium, storage: Storage, journal: Journal, speed: float) -> Recorder:
    clock = Clock(speed, READ_SPEED, BUFFER_BYTES // BLOCK)
    return suited(Recorder(medium, storage, journal, clock, Faults()))
