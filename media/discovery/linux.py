"""Optical drives of Linux: which there are, and opening one for ourselves.

A drive has two device nodes, /dev/srN for blocks and /dev/sgN for commands. The
commands can go through either. Whichever it is, /dev/srN is opened exclusively
as well, for that is where the kernel sees that nobody may mount the disc.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from media import errors
from media.transport.sgio import SgioTransport

#: Major numbers of the kernel's device list: 11 is sr (block), 21 is sg (character)
_SR_MAJOR, _SG_MAJOR = 11, 21
#: Seconds to wait for udev, which looks at each new disc with the drive to itself
_PATIENCE = 4.0
#: Bytes of one command: whole fixed packets (65,536), within what any controller takes
_STEP, _MOST = 1 << 16, 1 << 19
_PAGE = 4096
_MODES = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC

_SYS = Path("/sys")


@dataclass(frozen=True, slots=True)
class Nodes:
    """The nodes of one drive, each None where the system has none."""

    sr: Path | None
    sg: Path | None


def is_optical(path: Path) -> bool:
    """Whether a path is the node of an optical drive (of any SCSI device, for sg)."""
    try:
        found = path.stat()
    except OSError:
        return False
    major = os.major(found.st_rdev)
    if stat.S_ISBLK(found.st_mode):
        return major == _SR_MAJOR
    return stat.S_ISCHR(found.st_mode) and major == _SG_MAJOR


def nodes_of(path: Path) -> Nodes:
    """Both nodes of the drive that one of them names, as the kernel pairs them."""
    name = path.resolve().name
    if path.is_block_device():
        other = _only(_SYS / "class" / "block" / name / "device" / "scsi_generic")
        return Nodes(path, None if other is None else Path("/dev") / other)
    other = _only(_SYS / "class" / "scsi_generic" / name / "device" / "block")
    return Nodes(None if other is None else Path("/dev") / other, path)


def _only(folder: Path) -> str | None:
    with contextlib.suppress(OSError):
        return next((entry.name for entry in sorted(folder.iterdir())), None)
    return None


def drive_names() -> list[str]:
    """The nodes of all optical drives, in the order of their numbers."""
    import pyudev

    devices = pyudev.Context().list_devices(subsystem="block", sys_name="sr[0-9]*")
    names = [device.device_node for device in devices if device.device_node]
    return sorted(names, key=lambda name: int(re.sub(r"\D", "", name) or 0))


def open_transport(name: str, how: str = "auto") -> SgioTransport:
    """A drive for us alone. ``how`` the commands go: "sr", "sg", or "auto": by the node
    that ``name`` is.

    Raises DriveBusyError with the name of who has it, DriveForbiddenError,
    NoSuchDriveError.
    """
    path = Path(name)
    nodes = nodes_of(path)
    chosen = {"sr": nodes.sr, "sg": nodes.sg}.get(how, path)
    if chosen is None:
        hint = f": it has no device /dev/{how}N (setting transport; modprobe {_MODULES[how]})"
        raise errors.NoSuchDriveError(name=name, hint=hint)
    opened: list[int] = []
    try:
        opened.append(_open_alone(chosen, name))
        if nodes.sr is not None and nodes.sr.resolve() != chosen.resolve():
            opened.append(_open_alone(nodes.sr, name))
    except BaseException:
        for descriptor in opened:
            os.close(descriptor)
        raise
    return SgioTransport(name, tuple(opened), max_transfer(nodes.sr))


_MODULES = {"sr": "sr_mod", "sg": "sg"}


def _open_alone(node: Path, name: str) -> int:
    """Exclusively. Waits a little for who only has a short look at the drive."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return os.open(node, _MODES | os.O_EXCL)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > end or _mounted_at(node):
                raise _refusal(error, node, name) from error
        time.sleep(0.1)


def _refusal(error: OSError, node: Path, name: str) -> errors.MediaError:
    if error.errno == errno.EBUSY:
        return errors.DriveBusyError(name=name, holder=holder(node))
    if error.errno in (errno.EACCES, errno.EPERM):
        return errors.DriveForbiddenError(name=name, hint=_who_may(node))
    if error.errno in (errno.ENODEV, errno.ENXIO):
        return errors.DriveGoneError(name=name)
    if error.errno == errno.EROFS:
        return errors.RecordingRefused(name=name, why="the system gives it out for reading only")
    return errors.NoSuchDriveError(name=name, hint=f" ({error.strerror})")


def _who_may(node: Path) -> str:
    """What a user has to do so that a node can be opened."""
    found = node.stat()
    try:
        group = grp.getgrgid(found.st_gid).gr_name
    except KeyError:
        group = str(found.st_gid)
    if group == "root" or not found.st_mode & stat.S_IWGRP:
        return f"only root may write to {node} here; a udev rule can give it to the group cdrom"
    return (
        f"{node} is for the group {group}. `sudo usermod -aG {group} {_user()}` takes you into "
        "it, from the next login on"
    )


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "USER"


# -- who has it ------------------------------------------------------------------------


def holder(node: Path) -> str:
    """Who uses a device, as part of a sentence: where it is mounted, or which program has
    it open, as far as this user may see that."""
    place = _mounted_at(node)
    if place is not None:
        return f"the system, which has mounted its disc at {place} (umount {place})"
    programs = sorted(set(_programs(node)))
    return ", ".join(programs) or "another program (of another user, or the system itself)"


def _mounted_at(node: Path) -> str | None:
    """The mount point of a file system on a device (proc(5), mountinfo)."""
    try:
        number = node.stat().st_rdev
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None
    wanted = f"{os.major(number)}:{os.minor(number)}"
    for line in lines:
        fields = line.split(" ")
        if len(fields) > 4 and fields[2] == wanted:
            return re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), fields[4])
    return None


def _programs(node: Path) -> Iterator[str]:
    wanted = node.stat().st_rdev
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(process.name) != os.getpid() and _has_open(process, wanted):
                yield f"{(process / 'comm').read_text().strip()} (process {process.name})"


def _has_open(process: Path, number: int) -> bool:
    for link in (process / "fd").iterdir():
        with contextlib.suppress(OSError):
            found = link.stat()
            if found.st_rdev == number and not stat.S_ISREG(found.st_mode):
                return True
    return False


# -- how much one command carries ---------------------------------------------------------


def max_transfer(sr: Path | None) -> int:
    """Bytes of one command: what the kernel says of the controller, in whole packets."""
    if sr is None:
        return _STEP
    queue = _SYS / "class" / "block" / sr.resolve().name / "queue"
    length = _number(queue / "max_sectors_kb") * 1024
    # A buffer that begins in the middle of a page touches one page more.
    pages = (_number(queue / "max_segments") - 1) * _PAGE
    limit = min(length or _STEP, pages if pages > 0 else _STEP, _MOST)
    return max(limit // _STEP * _STEP, min(_STEP, max(limit, 2048)))


def _number(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
