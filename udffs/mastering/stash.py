"""Copying into the stash: all of a tree, or nothing of it.

A copy is made beside the staging folder, made durable, and only then moved into
it. Its unfinished directory has a lock that goes with the process: what a killed
one left behind is found by that, and taken away.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from udffs.errors import StashFullError

#: Bytes of the host's disc that are always left alone.
MARGIN = 16 << 20
_CHUNK = 1 << 20

Progress = Callable[[float], None]


def check_room(place: Path, needed: int, used: int, limit: int) -> None:
    """Raises StashFullError if ``needed`` bytes do not fit beside the ``used`` ones
    within the limit (0: none), or not on the host's disc."""
    if limit and used + needed > limit:
        raise StashFullError(
            where=place,
            why=f"they need {megabytes(needed)}, and {megabytes(max(0, limit - used))} of "
            f"{megabytes(limit)} are left; stash_size in the settings says how large it may be",
        )
    free = shutil.disk_usage(place).free
    if needed + MARGIN > free:
        raise StashFullError(
            where=place,
            why=f"they need {megabytes(needed)}, and the host has {megabytes(free)} left there, of "
            f"which {megabytes(MARGIN)} are kept free; "
            "stash in the settings says where it is",
        )


def megabytes(amount: int) -> str:
    """Bytes in words; 1 MB is 1,000,000 bytes."""
    if amount < 1_000_000:
        return f"{-(-amount // 1000)} kB"
    return f"{amount / 1e6:.1f} MB" if amount < 100_000_000 else f"{amount / 1e6:.0f} MB"


@contextlib.contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """A directory for a copy that is being made; taken away at the end, and, if this
    process is killed, by the next one."""
    folder.mkdir(mode=0o700, exist_ok=True)
    number, lock = _new_lock(folder)
    place = lock.with_suffix("")
    try:
        place.mkdir(mode=0o700)
        yield place
    finally:
        _delete(place)
        lock.unlink(missing_ok=True)
        os.close(number)


def _new_lock(folder: Path) -> tuple[int, Path]:
    while True:
        number, name = tempfile.mkstemp(suffix=".lock", dir=folder)
        fcntl.flock(number, fcntl.LOCK_EX)
        if os.fstat(number).st_nlink:
            return number, Path(name)
        os.close(number)  # swept away before it was locked


def sweep(folder: Path) -> None:
    """Takes away what killed processes were copying."""
    for lock in folder.glob("*.lock"):
        with contextlib.suppress(OSError), lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _delete(lock.with_suffix(""))
            lock.unlink(missing_ok=True)


def _delete(place: Path) -> None:
    """With directories that were copied as not to be written to."""
    for path, _directories, _files in os.walk(place):
        Path(path).chmod(0o700)
    shutil.rmtree(place, ignore_errors=True)


class Copier:
    """Copies trees with modes, times, links and, where that is allowed, owners."""

    def __init__(self, progress: Progress | None = None, total: int = 0) -> None:
        """``progress`` is told from 0 to 1, ``total`` bytes being all."""
        self._progress = progress or (lambda fraction: None)
        self._total = max(1, total)
        self._done = 0
        self._names: dict[tuple[int, int], Path] = {}

    def copy(self, source: Path, target: Path) -> None:
        """One file, link or tree to a place where there is nothing yet; durable
        when this returns, but for its name. Raises OSError."""
        waiting = [(source, target)]
        directories: list[tuple[Path, Path, os.stat_result]] = []
        while waiting:
            source, target = waiting.pop()
            found = source.lstat()
            if stat.S_ISDIR(found.st_mode):
                target.mkdir()
                directories.append((source, target, found))
                inside = sorted(source.iterdir(), reverse=True)
                waiting += [(child, target / child.name) for child in inside]
            else:
                self._one(source, target, found)
        for each in reversed(directories):  # their modes may forbid to write into them
            self._attributes(*each)

    def _one(self, source: Path, target: Path, found: os.stat_result) -> None:
        """What is no directory."""
        if stat.S_ISREG(found.st_mode):
            if self._linked(found, target):
                return
            self._content(source, target)
        elif stat.S_ISLNK(found.st_mode):
            target.symlink_to(source.readlink())
        else:
            os.mknod(target, found.st_mode, found.st_rdev)
        self._attributes(source, target, found)

    def _linked(self, found: os.stat_result, target: Path) -> bool:
        """Whether it is one more name of a file that was copied already."""
        if found.st_nlink < 2:
            return False
        first = self._names.setdefault((found.st_dev, found.st_ino), target)
        if first == target:
            return False
        target.hardlink_to(first)
        return True

    def _content(self, source: Path, target: Path) -> None:
        with source.open("rb", buffering=0) as old, target.open("xb", buffering=0) as new:
            while piece := old.read(_CHUNK):
                view = memoryview(piece)
                while view:
                    view = view[new.write(view) :]
                self._done += len(piece)
                self._progress(min(1.0, self._done / self._total))

    def _attributes(self, source: Path, target: Path, found: os.stat_result) -> None:
        with contextlib.suppress(PermissionError):
            os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
        shutil.copystat(source, target, follow_symlinks=False)
        if stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode):
            sync(target)


def move_in(source: Path, target: Path) -> None:
    """Moves a tree to its place, into directories that are there already; what it
    replaces are files of the same names."""
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if _is_directory(source) and _is_directory(target):
        with _writable(source):
            for child in list(source.iterdir()):
                move_in(child, target / child.name)
    else:
        with _writable(target.parent):
            _rename(source, target)
    sync(target.parent)


def _rename(source: Path, target: Path) -> None:
    """Moving a directory writes to it, for the sake of its ".."."""
    if not _is_directory(source):
        source.replace(target)
        return
    mode = stat.S_IMODE(source.stat().st_mode)
    source.chmod(mode | 0o700)
    source.replace(target)
    target.chmod(mode)


@contextlib.contextmanager
def _writable(directory: Path) -> Iterator[None]:
    """While its mode says that it is not."""
    mode = stat.S_IMODE(directory.stat().st_mode)
    if mode & 0o300 == 0o300:
        yield
        return
    directory.chmod(mode | 0o300)
    try:
        yield
    finally:
        directory.chmod(mode)


def remove_files(folder: Path, names: list[str]) -> None:
    """Deletes files of a folder, and the directories that are empty then."""
    for name in names:
        path = folder / name
        if not name.endswith("/"):
            with contextlib.suppress(FileNotFoundError), _writable(path.parent):
                path.unlink()
            path = path.parent
        while path != folder and _removed(path):
            path = path.parent


def _removed(directory: Path) -> bool:
    """Whether a directory was empty, and is gone."""
    try:
        if any(directory.iterdir()):
            return False
        with _writable(directory.parent):
            directory.rmdir()
    except OSError:
        return False
    return True


def sync(path: Path) -> None:
    """Makes a file, or the names in a directory, durable."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
