"""Finding drives by what the user calls them.

A DRIVE is the path of a virtual disc; a plain image can be read. Burners of
metal join here with the transports that reach them.
"""

from __future__ import annotations

import re
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from media import errors, virtual
from media.drive import Drive
from media.state import NO_DISC, DiscState
from media.store import BlockStore, ImageStore, open_store
from media.transport.virtual import VirtualTransport

__all__ = ["DriveSummary", "list_drives", "open_block_store", "open_drive"]

Log = Callable[[str], None]

#: 1x of a CD in the kB/s of SET CD SPEED
_SINGLE_SPEED = 176
#: Names that belong to drives of the operating system: /dev/sr0, D:, \\.\CdRom0
_SYSTEM_DRIVE = re.compile(r"/dev/|[A-Za-z]:\\?$|\\\\\.\\")
_REAL_DRIVES_LATER = (
    " (burners of metal come with a later version;"
    " until then a drive is the path of a virtual disc)"
)


@dataclass(frozen=True, slots=True)
class DriveSummary:
    """One drive at a glance. ``problem`` says why there is no more to tell, else
    it is empty; ``kind`` is "virtual"."""

    name: str
    kind: str
    title: str = ""
    disc: DiscState = NO_DISC
    problem: str = ""


def _virtual_pause(seconds: float) -> None:
    """A virtual burner has a clock of its own: waiting for it in real time is no use."""
    time.sleep(min(seconds, 0.002))


def open_drive(
    name: str, *, writable: bool = True, speed: int | None = None, log: Log | None = None
) -> Drive:
    """The drive that the user calls ``name``, ready for use.

    ``speed`` in multiples of 1x, None for the fastest. Raises NoSuchDriveError,
    NotADiscImageError, DriveBusyError, DamagedStateError.
    """
    path = _virtual_path(name)
    burner = virtual.open_burner(path, writable=writable)
    try:
        drive = Drive(VirtualTransport(burner), name=str(name), sleep=_virtual_pause, log=log)
        if speed is not None:
            drive.set_speed(speed * _SINGLE_SPEED)
    except BaseException:
        burner.close()
        raise
    return drive


def _virtual_path(name: str) -> Path:
    path = Path(name)
    _refuse_system_drive(name, path)
    if not path.exists() and not virtual.is_virtual_disc(path):
        raise errors.NoSuchDriveError(name=name)
    if not virtual.is_virtual_disc(path):
        raise errors.NotADiscImageError(name=name, why="there is no state of a virtual disc by it")
    return path


def _refuse_system_drive(name: str, path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError:
        mode = 0
    is_device = stat.S_ISBLK(mode) or stat.S_ISCHR(mode)
    if is_device or (not mode and _SYSTEM_DRIVE.match(name)):
        raise errors.NoSuchDriveError(name=name, hint=_REAL_DRIVES_LATER)


def open_block_store(
    name: str, *, writable: bool = True, speed: int | None = None, log: Log | None = None
) -> BlockStore:
    """What the disc that the user calls ``name`` is read and written through.

    An image without the state of a virtual disc can be read only. Raises what
    :func:`open_drive` and :func:`media.store.open_store` raise.
    """
    path = Path(name)
    _refuse_system_drive(name, path)
    if not virtual.is_virtual_disc(path):
        return ImageStore(path)
    drive = open_drive(name, writable=writable, speed=speed, log=log)
    try:
        return open_store(drive, writable=writable)
    except BaseException:
        drive.close()
        raise


def list_drives(configured: Iterable[str]) -> list[DriveSummary]:
    """The drives that the user has named (virtual discs), each as far as it can be asked."""
    return [_summary(name) for name in configured]


def _summary(name: str) -> DriveSummary:
    try:
        drive = open_drive(name, writable=False)
    except errors.MediaError as error:
        return DriveSummary(name, "virtual", problem=str(error))
    try:
        return DriveSummary(name, "virtual", drive.info.title, drive.disc())
    except errors.MediaError as error:
        return DriveSummary(name, "virtual", drive.info.title, problem=str(error))
    finally:
        drive.close()
