"""Starting the process that serves a mount, and waiting until it is ready."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from udffs import control, settings
from udffs.cli.mount_process import MountProcess, prepare_process
from udffs.cli.output import Output
from udffs.cli.request import Request
from udffs.control import Event, Registry
from udffs.errors import MountDiedError

PROCESS = [sys.executable, "-P", "-m", "udffs.cli.mount_process"]

#: Bytes of log after which a new one is begun; the one before is kept.
LOG_LIMIT = 1 << 20


def start(out: Output, request: Request) -> Event:
    """Mounts in the background; returns the ready event. Raises RemoteError
    for what went wrong, MountDiedError if the process said nothing."""
    with open_log(request.log) as log, out.progress() as show:
        child = subprocess.Popen(
            # The last two are for people who look at the list of processes.
            [*PROCESS, request.drive, request.where or ""],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            env=_environment(),
            start_new_session=True,
        )
        try:
            return _await_ready(child, request, show)
        except KeyboardInterrupt:
            _stop(child)
            raise


def _environment() -> dict[str, str]:
    """Ours, with paths that hold from another directory too."""
    places = (settings.ENVIRONMENT, control.ENVIRONMENT)
    absolute = {
        name: str(Path(os.environ[name]).expanduser().absolute())
        for name in places
        if os.environ.get(name)
    }
    return {**os.environ, **absolute}


def _await_ready(child: subprocess.Popen[bytes], request: Request, show: control.Tell) -> Event:
    assert child.stdin is not None and child.stdout is not None
    with child.stdin as requests:
        requests.write(request.dumps().encode())
    for line in child.stdout:
        event: Event = json.loads(line)
        if event["event"] == "error":
            child.wait()
            raise control.error_from(event)
        if event["event"] == "ready":
            return event
        show(event)
    code = child.wait()
    how = f" (signal {-code})" if code < 0 else f" (exit code {code})"
    raise MountDiedError(drive=request.drive, how=how, log=request.log)


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ends a process that is not ready yet; it unmounts if it just became so."""
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(10)
    except subprocess.TimeoutExpired:
        child.kill()  # what it was replaying is still in the spool


def serve_here(out: Output, request: Request) -> None:
    """Mounts in this process, and returns when the disc is safe again."""
    prepare_process()

    def report(event: Event) -> None:
        if event["event"] == "note":
            out.note(str(event["message"]))
        elif event["event"] == "ready":
            out.result(event, ready_text(event))
            sys.stdout.flush()

    failure = MountProcess(request, settings.load(), Registry(), report).run()
    if failure is not None:
        raise failure


def ready_text(event: Event) -> str:
    why = event.get("read_only")
    how = f", to be read only: {why}" if why else ""
    return f'"{event["label"]}" ({event["drive"]}) is mounted at {event["where"]}{how}.'


def with_log(request: Request) -> Request:
    """The request, with the place of the log of whoever serves it."""
    import platformdirs

    name = Registry().path(request.drive, ".log").name
    return replace(request, log=str(platformdirs.user_log_path("udffs") / name))


def open_log(name: str) -> IO[Any]:
    path = Path(name)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        path.replace(path.with_suffix(".old"))
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")
