"""Mount points on Linux: what is mounted where, making a place, unmounting."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from udffs.errors import MountBusyError, MountPointError, PlaceTakenError, UnmountError

TYPE = "fuse.udffs"
MNT_DETACH = 2


class Mounted(NamedTuple):
    """One line of /proc/self/mountinfo, as far as it matters here."""

    where: str
    kind: str
    source: str


def mounts(text: str | None = None) -> list[Mounted]:
    """What is mounted, in the order of mounting (proc(5), mountinfo)."""
    if text is None:
        text = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    found = []
    for line in text.splitlines():
        head, _, tail = line.partition(" - ")
        kind, source = tail.split(" ")[:2]
        found.append(Mounted(_unescaped(head.split(" ")[4]), kind, _unescaped(source)))
    return found


def mounted_at(where: str) -> Mounted | None:
    """What is mounted at a place: the topmost, if several are."""
    return next((mounted for mounted in reversed(mounts()) if mounted.where == where), None)


def is_dead(where: str) -> bool:
    """Whether a mount of ours is there whose process has died."""
    mounted = mounted_at(where)
    if mounted is None or mounted.kind != TYPE:
        return False
    try:
        Path(where).stat()
    except OSError as error:
        # The first to ask after the death may be told that he was cut off.
        return error.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    return False


def unmount(where: str, *, lazy: bool = False) -> None:
    """Takes a mount away; ``lazy`` also while programs use it.

    Raises MountBusyError, naming who uses it, or MountPointError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.umount2(os.fsencode(where), MNT_DETACH if lazy else 0) == 0:
        return
    code = ctypes.get_errno()
    if code == errno.EPERM:
        _fusermount(where, lazy)
    elif code == errno.EBUSY:
        raise MountBusyError(where=where, by=users(where))
    elif mounted_at(where) is not None:
        raise UnmountError(where=where, why=os.strerror(code))


def prepare(where: str, *, nonempty: bool = False) -> list[str]:
    """Makes sure that one can mount at a place, and clears away a mount whose
    process has died. Returns what there is to tell.

    Raises MountPointError or PlaceTakenError."""
    told = []
    while is_dead(where):
        unmount(where, lazy=True)
        told.append(f"A dead mount at {where}, left by a process that was killed, was cleared.")
    try:
        if mounted_at(where) is not None:
            raise PlaceTakenError(where=where)
        if not Path(where).is_dir():
            why = "is not a directory" if Path(where).exists() else "does not exist"
            raise MountPointError(why=f"{where} {why}")
        if not os.access(where, os.W_OK | os.X_OK):
            raise MountPointError(why=f"you may not write to {where}")
        if not nonempty and any(Path(where).iterdir()):
            raise MountPointError(why=f"{where} is not empty (-o nonempty allows it)")
    except OSError as error:
        raise MountPointError(why=f"{where}: {error.strerror}") from error
    return told


def default_place(label: str, home: Path) -> str:
    """A new or empty directory ~/Discs/LABEL (or LABEL-2 ...), made for it."""
    name = re.sub(r"[\x00-\x1f/]", "_", label).strip() or "Disc"
    if name in (".", ".."):
        name = "Disc"
    base = home / "Discs"
    for number in range(1, 1000):
        place = base / (name if number == 1 else f"{name}-{number}")
        if _usable(place):
            return str(place.resolve())
    raise MountPointError(why=f"there is no free name for {name} in {base}")


def users(where: str) -> str:
    """Who has something open below a place, as words: " by vim (123)".

    Only as far as this user may see."""
    names = []
    for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        if int(process.name) != os.getpid() and _uses(process, where):
            with contextlib.suppress(OSError):
                names.append(f"{(process / 'comm').read_text().strip()} ({process.name})")
    return " by " + ", ".join(names[:5]) if names else ""


def _uses(process: Path, where: str) -> bool:
    links = [process / "cwd", process / "root"]
    with contextlib.suppress(OSError):
        links += (process / "fd").iterdir()
    for link in links:
        with contextlib.suppress(OSError):
            if link.readlink().is_relative_to(where):
                return True
    return False


def _usable(place: Path) -> bool:
    if is_dead(str(place)):
        return True
    if mounted_at(str(place.resolve())) is not None:
        return False
    try:
        place.mkdir(parents=True, exist_ok=True)
        return not any(place.iterdir())
    except (FileExistsError, NotADirectoryError):
        return False
    except OSError as error:
        raise MountPointError(why=f"{place}: {error.strerror}") from error


def _fusermount(where: str, lazy: bool) -> None:
    program = shutil.which("fusermount") or shutil.which("fusermount3") or "/bin/fusermount"
    command = [program, "-u", *(["-z"] if lazy else []), "--", where]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, cwd="/"
        )
    except OSError as error:
        raise UnmountError(where=where, why=f"{program}: {error.strerror}") from error
    if done.returncode and mounted_at(where) is not None:
        if "busy" in done.stderr.lower():
            raise MountBusyError(where=where, by=users(where))
        raise UnmountError(where=where, why=done.stderr.strip())


def _unescaped(text: str) -> str:
    """Spaces and the like are octal in mountinfo."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
