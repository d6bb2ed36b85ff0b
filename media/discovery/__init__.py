"""Finding drives by what the user calls them.

A DRIVE is the device of an optical drive (/dev/sr0, /dev/sg1) or the path of a
virtual disc; a plain image can be read.
"""

from __future__ import annotations

import re
import stat
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from media import errors, virtual
from media.drive import Drive
from media.state import NO_DISC, DiscState
from media.store import BlockStore, ImageStore, open_store
from media.transport.virtual import VirtualTransport

__all__ = [
    "DriveSummary",
    "is_system_drive",
    "list_drives",
    "open_block_store",
    "open_drive",
    "system_drives",
]

Log = Callable[[str], None]

#: 1x of a CD in the kB/s of SET CD SPEED
_SINGLE_SPEED = 176
#: Names that belong to drives of the operating system: /dev/sr0, D:, \\.\CdRom0
_SYSTEM_DRIVE = re.compile(r"/dev/|[A-Za-z]:\\?$|\\\\\.\\")


@dataclass(frozen=True, slots=True)
class DriveSummary:
    """One drive at a glance. ``problem`` says why there is no more to tell, else
    it is empty; ``kind`` is "virtual" or "system"."""

    name: str
    kind: str
    title: str = ""
    disc: DiscState = NO_DISC
    problem: str = ""


def _virtual_pause(seconds: float) -> None:
    """A virtual burner has a clock of its own: waiting for it in real time is no use."""
    time.sleep(min(seconds, 0.002))


def open_drive(
    name: str,
    *,
    writable: bool = True,
    speed: int | None = None,
    log: Log | None = None,
    transport: str = "auto",
) -> Drive:
    """The drive that the user calls ``name``, ready for use.

    ``speed`` in multiples of 1x, None for the fastest; ``transport`` is how commands
    reach a drive of the system: "sr", "sg" or "auto". Raises NoSuchDriveError,
    NotADiscImageError, DriveBusyError, DriveForbiddenError, DamagedStateError.
    """
    drive = (
        _system_drive(name, transport, log)
        if is_system_drive(name)
        else _virtual_drive(name, writable, log)
    )
    try:
        if speed is not None:
            drive.set_speed(speed * _SINGLE_SPEED)
    except BaseException:
        drive.close()
        raise
    return drive


def _virtual_drive(name: str, writable: bool, log: Log | None) -> Drive:
    burner = virtual.open_burner(_virtual_path(name), writable=writable)
    try:
        return Drive(VirtualTransport(burner), name=str(name), sleep=_virtual_pause, log=log)
    except BaseException:
        burner.close()
        raise


def _system_drive(name: str, transport: str, log: Log | None) -> Drive:
    if not sys.platform.startswith("linux"):
        raise errors.NoSuchDriveError(name=name, hint=" (drives are reached on Linux only so far)")
    from media.discovery import linux

    if not linux.is_optical(Path(name)):
        there = Path(name).exists()
        hint = ", which is no optical drive" if there else ""
        raise errors.NoSuchDriveError(name=name, hint=hint)
    opened = linux.open_transport(name, transport)
    try:
        return Drive(opened, name=str(name), log=log)
    except BaseException:
        opened.close()
        raise


def _virtual_path(name: str) -> Path:
    path = Path(name)
    if not path.exists() and not virtual.is_virtual_disc(path):
        raise errors.NoSuchDriveError(name=name)
    if not virtual.is_virtual_disc(path):
        raise errors.NotADiscImageError(name=name, why="there is no state of a virtual disc by it")
    return path


def is_system_drive(name: str) -> bool:
    """Whether a name is that of a device, or of a drive that is not there now."""
    try:
        mode = Path(name).stat().st_mode
    except OSError:
        return _SYSTEM_DRIVE.match(name) is not None
    return stat.S_ISBLK(mode) or stat.S_ISCHR(mode)


def open_block_store(
    name: str,
    *,
    writable: bool = True,
    speed: int | None = None,
    log: Log | None = None,
    transport: str = "auto",
) -> BlockStore:
    """What the disc that the user calls ``name`` is read and written through.

    An image without the state of a virtual disc can be read only. Raises what
    :func:`open_drive` and :func:`media.store.open_store` raise.
    """
    path = Path(name)
    if not is_system_drive(name) and not virtual.is_virtual_disc(path):
        return ImageStore(path)
    drive = open_drive(name, writable=writable, speed=speed, log=log, transport=transport)
    try:
        return open_store(drive, writable=writable)
    except BaseException:
        drive.close()
        raise


def system_drives() -> list[str]:
    """The optical drives of this computer, by the names of their devices."""
    if not sys.platform.startswith("linux"):
        return []
    from media.discovery import linux

    return linux.drive_names()


def list_drives(configured: Iterable[str]) -> list[DriveSummary]:
    """The drives named, virtual or of the system, each as far as it can be asked."""
    return [_summary(name) for name in configured]


def _summary(name: str) -> DriveSummary:
    kind = "system" if is_system_drive(name) else "virtual"
    try:
        drive = open_drive(name, writable=False)
    except errors.MediaError as error:
        return DriveSummary(name, kind, problem=str(error))
    try:
        return DriveSummary(name, kind, drive.info.title, drive.disc())
    except errors.MediaError as error:
        return DriveSummary(name, kind, drive.info.title, problem=str(error))
    finally:
        drive.close()
