"""What the commands need to talk to running mounts."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from udffs import control
from udffs.cli.output import Output
from udffs.cli.request import is_finishing
from udffs.control import Entry, Registry
from udffs.errors import AlreadyMountedError, DeadMountError, NotMountedError, RemoteError
from udffs.settings import drive_key


def running(out: Output, name: str) -> Entry | None:
    """The running mount of a drive or at a mount point, if there is one.

    Waits for a process that still finishes with the drive."""
    registry = Registry()
    entry = registry.find(name)
    if entry is None or not is_finishing(entry):
        return entry
    with out.progress() as show, contextlib.suppress(RemoteError):  # the next mount will tell
        control.ask(registry, entry, "wait", listen=show, until_gone=True)
    return None


def must_run(name: str) -> Entry:
    """The running mount of a drive or at a mount point.

    Raises NotMountedError, or what went wrong when it was unmounted while
    nobody was listening."""
    registry = Registry()
    entry = registry.find(name)
    if entry is not None:
        return entry
    failure = registry.take_failure(name)
    if failure is not None:
        raise control.error_from(failure)
    clear_dead(name)
    raise NotMountedError(name=name)


def clear_dead(name: str) -> None:
    """Takes away a mount whose process was killed; DeadMountError tells of it."""
    from udffs.frontends import mountpoint

    where = drive_key(name)
    if mountpoint.is_dead(where):
        mountpoint.unmount(where, lazy=True)
        raise DeadMountError(where=where)


def tell_earlier_failure(out: Output, name: str) -> None:
    """Says what went wrong at the end of the last mount, if nobody was told."""
    failure = Registry().take_failure(name)
    if failure is not None:
        out.note(f"When it was last unmounted: {failure.get('message')}")


def must_not_run(out: Output, name: str) -> None:
    """Raises AlreadyMountedError while a drive is mounted."""
    entry = running(out, name)
    if entry is not None:
        raise AlreadyMountedError(drive=entry.drive, where=entry.where)


def ask(out: Output, entry: Entry, command: str, **arguments: Any) -> dict[str, Any]:
    """Sends a command to a running mount, and shows its progress."""
    os.chdir("/")  # not to be the one who still uses what is unmounted
    with out.progress() as show:
        return control.ask(Registry(), entry, command, listen=show, **arguments)
