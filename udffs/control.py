"""Talking to the process that serves a mounted disc.

Each mounted disc has one process, and each such process three files in the
user's runtime directory, named by a key of the drive: ``KEY.lock``, locked
(flock) for as long as the process lives; ``KEY.json``, what is mounted where;
``KEY.sock``, the socket for commands. ``KEY.failed`` stays behind if the last
commit could not be finished while nobody was listening.

A command is one line of JSON, ``{"command": "sync"}``; the answer is lines of
JSON: any number of ``{"event": "progress", "what": TEXT, "fraction": 0..1}``,
then one ``{"event": "done", "result": {...}}`` or ``{"event": "error", "kind":
CLASS, "message": TEXT, "errno": N}``.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import socket
import stat
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from udffs.errors import (
    AlreadyMountedError,
    InvalidOperationError,
    MountDiedError,
    NotPermittedError,
    RemoteError,
)
from udffs.settings import drive_key

log = logging.getLogger("udffs.control")

ENVIRONMENT = "UDFFS_RUNTIME_DIR"

#: Seconds that a listener which does not listen may hold up a commit.
PATIENCE = 1.0

Event = dict[str, Any]
Tell = Callable[[Event], None]
Handler = Callable[[Event, Tell], Mapping[str, Any]]

MOUNTING, MOUNTED, FINISHING = "mounting", "mounted", "finishing"


@dataclass(frozen=True, slots=True)
class Entry:
    """One process that serves, or has just served, a mounted disc."""

    drive: str
    where: str
    pid: int
    state: str
    label: str = ""
    read_only: str | None = None
    log: str = ""


# -- the registry -------------------------------------------------------------


def runtime_directory() -> Path:
    """The private directory of this user's running mounts; makes it.

    Raises NotPermittedError if others can get into it."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        path = Path(named).absolute()
    elif os.geteuid() == 0:
        path = Path("/run/udffs")
    else:
        import warnings

        import platformdirs

        with warnings.catch_warnings():  # where there is no XDG_RUNTIME_DIR, /tmp will do
            warnings.simplefilter("ignore")
            path = platformdirs.user_runtime_path("udffs")
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen = path.lstat()
    if not stat.S_ISDIR(seen.st_mode) or seen.st_uid != os.geteuid() or seen.st_mode & 0o077:
        raise NotPermittedError(what=f"{path} must be a directory of yours alone (chmod 700)")
    return path


class Registry:
    """The running mounts, found by drive or by mount point."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = runtime_directory() if directory is None else directory

    def claim(self, drive: str, log: str = "") -> Claim:
        """Makes this process the one that serves a drive.

        Raises AlreadyMountedError (with ``entry`` among its fields) while
        another process does."""
        for _attempt in range(20):
            lock = self._lock(drive, fcntl.LOCK_EX)
            if lock is not None:
                return Claim(
                    self, lock, Entry(drive_key(drive), "", os.getpid(), MOUNTING, log=log)
                )
            entry = self.find(drive)
            if entry is not None:
                where = entry.where or "a place that is being prepared"
                raise AlreadyMountedError(drive=drive, where=where, entry=entry)
            time.sleep(0.05)  # between its lock and its entry, or somebody was looking
        raise AlreadyMountedError(drive=drive, where="an unknown place", entry=None)

    def find(self, name: str) -> Entry | None:
        """The running mount of a drive, or at a mount point."""
        wanted = drive_key(name)
        return next((e for e in self.entries() if wanted in (e.drive, e.where)), None)

    def entries(self) -> list[Entry]:
        """All running mounts; forgets those whose process has died."""
        return [
            entry for path in sorted(self.directory.glob("*.json")) for entry in self._live(path)
        ]

    def path(self, drive: str, suffix: str) -> Path:
        return self.directory / (
            hashlib.sha256(drive_key(drive).encode()).hexdigest()[:16] + suffix
        )

    def take_failure(self, drive: str) -> Event | None:
        """What went wrong when the drive was last unmounted with nobody
        listening; told once."""
        path = self.path(drive, ".failed")
        failure = _read(path)
        path.unlink(missing_ok=True)
        return failure

    def _live(self, path: Path) -> Iterator[Entry]:
        data = _read(path)
        if data is None:
            return
        known = {field.name for field in fields(Entry)}
        entry = Entry(**{key: value for key, value in data.items() if key in known})
        lock = self._lock(entry.drive, fcntl.LOCK_SH)
        if lock is None:
            yield entry
            return
        path.unlink(missing_ok=True)
        path.with_suffix(".sock").unlink(missing_ok=True)
        path.with_suffix(".lock").unlink(missing_ok=True)
        os.close(lock)

    def _lock(self, drive: str, kind: int) -> int | None:
        path = self.path(drive, ".lock")
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            # Who had it before may have deleted it in between: then there is,
            # or will be, another one of that name.
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_ino == os.fstat(descriptor).st_ino:
                    return descriptor
            os.close(descriptor)


class Claim:
    """This process's own entry in the registry."""

    def __init__(self, registry: Registry, lock: int, entry: Entry) -> None:
        self.registry = registry
        self.entry = entry
        self._lock = lock
        self._write()

    @property
    def socket_path(self) -> Path:
        return self.registry.path(self.entry.drive, ".sock")

    def update(self, **changes: Any) -> None:
        self.entry = Entry(**{**asdict(self.entry), **changes})
        self._write()

    def release(self, failure: BaseException | None = None) -> None:
        """Takes the entry out; a failure is kept for the next command to tell."""
        failed = self.registry.path(self.entry.drive, ".failed")
        failed.unlink(missing_ok=True)
        if failure is not None:
            _write(failed, error_event(failure))
        self.registry.path(self.entry.drive, ".json").unlink(missing_ok=True)
        self.socket_path.unlink(missing_ok=True)
        self.registry.path(self.entry.drive, ".lock").unlink(missing_ok=True)
        os.close(self._lock)

    def _write(self) -> None:
        _write(self.registry.path(self.entry.drive, ".json"), asdict(self.entry))


def _write(path: Path, data: Mapping[str, Any]) -> None:
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(data))
    draft.replace(path)


def _read(path: Path) -> Event | None:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


# -- events -------------------------------------------------------------------


def error_event(error: BaseException) -> Event:
    """An error as it goes over the socket."""
    kind = error.kind if isinstance(error, RemoteError) else type(error).__name__
    code = getattr(error, "errno", None)
    text = str(error) or kind
    return {"event": "error", "kind": kind, "message": text, "errno": code or errno.EIO}


def error_from(event: Event) -> RemoteError:
    """The error that such an event tells of."""
    return RemoteError(
        kind=str(event.get("kind")), message=str(event.get("message")), code=event.get("errno", 5)
    )


class Progress:
    """Where a long piece of work stands, told to whoever listens."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._listeners: list[Tell] = []
        self._what = ""
        self._last = (float("-inf"), -1.0)

    def listen(self, listener: Tell) -> None:
        with self._lock:
            self._listeners.append(listener)

    def phase(self, what: str) -> None:
        """The next piece of work begins."""
        self._what = what
        self._last = (float("-inf"), -1.0)
        self(0.0)

    def __call__(self, fraction: float) -> None:
        """``fraction`` of this piece is done; passed on ten times a second at most."""
        now = self._clock()
        with self._lock:
            told, before = self._last
            if (fraction < 1.0 and now - told < 0.1) or fraction == before:
                return
            self._last = (now, fraction)
            listeners = list(self._listeners)
        for listener in listeners:
            listener({"event": "progress", "what": self._what, "fraction": round(fraction, 4)})


# -- the server -----------------------------------------------------------------


class Server:
    """Answers commands on the socket of one mount, each in its own thread.

    Only the user who mounted, and root, are heard.
    """

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._handlers = handlers
        self._answering = 0
        self._answered = threading.Condition()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path.unlink(missing_ok=True)
        with _short(path) as name:
            self._socket.bind(name)
        path.chmod(0o600)
        self._socket.listen(16)

    def start(self) -> None:
        threading.Thread(target=self._accept, name="udffs-control", daemon=True).start()

    def drain(self, seconds: float) -> None:
        """Waits until those who were being answered have their answer."""
        with self._answered:
            self._answered.wait_for(lambda: self._answering == 0, seconds)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with self._answered:
                self._answering += 1
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        gone = False

        def tell(event: Event) -> None:
            # Who has gone away, or is stopped, does not hold up the work.
            nonlocal gone
            if not gone:
                try:
                    connection.sendall(json.dumps(event).encode() + b"\n")
                except OSError:
                    gone = True

        try:
            connection.settimeout(PATIENCE)
            request = self._request(connection)
            handler = self._handlers.get(str(request.get("command")))
            if handler is None:
                raise InvalidOperationError(what=f"no such command: {request.get('command')}")
            tell({"event": "done", "result": dict(handler(request, tell))})
        except BaseException as error:
            if not isinstance(error, OSError):
                log.info("command failed: %s", error)
            tell(error_event(error))
        finally:
            with self._answered:
                self._answering -= 1
                self._answered.notify_all()
            # The other side hangs up: after an unmount, only the end of this
            # process tells it that the drive is free.
            with contextlib.suppress(OSError):
                if not gone:
                    connection.settimeout(None)
                    connection.recv(1)
            connection.close()

    def _request(self, connection: socket.socket) -> Event:
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _pid, uid, _gid = struct.unpack("3i", credentials)
        if uid not in (0, os.geteuid()):
            raise NotPermittedError(what="this mount belongs to another user")
        line = b""
        while not line.endswith(b"\n") and len(line) < 65536:
            more = connection.recv(65536)
            if not more:
                break
            line += more
        try:
            request = json.loads(line)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            raise InvalidOperationError(what="not a command")
        return request


# -- the client -----------------------------------------------------------------


def ask(
    registry: Registry,
    entry: Entry,
    command: str,
    *,
    listen: Tell | None = None,
    until_gone: bool = False,
    **arguments: Any,
) -> Event:
    """Sends a command to the process of a mount and returns its result.

    ``listen`` hears of progress; with ``until_gone`` the process has ended
    when this returns. Raises RemoteError for what went wrong there, and
    MountDiedError if the process ends without an answer.
    """
    died = MountDiedError(drive=entry.drive, how="", log=entry.log or "not kept")
    try:
        connection = _connect(registry.path(entry.drive, ".sock"))
    except OSError as error:
        raise died from error
    with connection, connection.makefile("rb") as lines:
        try:
            connection.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
            answer = _listen(lines, listen)
            if until_gone and answer is not None and answer["event"] == "done":
                lines.read()
        except OSError as error:
            raise died from error
    if answer is None:
        raise died
    if answer["event"] == "error":
        raise error_from(answer)
    result: Event = answer["result"]
    return result


def _connect(path: Path, seconds: float = 2.0) -> socket.socket:
    # An entry is there a moment before its socket is.
    end = time.monotonic() + seconds
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with _short(path) as name:
                connection.connect(name)
            return connection
        except OSError:
            connection.close()
            if time.monotonic() > end:
                raise
        time.sleep(0.05)


def _listen(lines: Any, listen: Tell | None) -> Event | None:
    for line in lines:
        event: Event = json.loads(line)
        if event.get("event") in ("done", "error"):
            return event
        if listen is not None:
            listen(event)
    return None


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name for a socket that fits the 107 bytes which the system has for it."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
