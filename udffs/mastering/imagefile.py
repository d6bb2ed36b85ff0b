"""An image as a file of the host: written beside its place, and there when it is whole."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from udffs.errors import EntryExistsError, NoHostSpaceError
from udffs.mastering import stash

if TYPE_CHECKING:
    from udffs.mastering.image import Image

BLOCK = 2048


def write(
    file: Path,
    image: Image,
    progress: Callable[[float], None] | None = None,
    *,
    replace: bool = False,
) -> None:
    """Writes FILE.part, makes it durable, and gives it its name. Whatever goes wrong,
    there is no new FILE then, and no FILE.part unless the process was killed.

    Raises EntryExistsError (nothing is overwritten unless ``replace`` says so, nor is
    one FILE written twice at once), NoHostSpaceError, OSError and what the image's
    sources raise."""
    if not replace:
        _check_free(file)
    if not file.absolute().parent.is_dir():
        missing = str(file.parent)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), missing)
    part = file.with_name(file.name + ".part")
    with contextlib.suppress(FileExistsError):
        part.touch()
    with part.open("r+b") as target:
        _lock(target, part)
        try:
            _check_room(file, image.blocks * BLOCK)
            _copy(target, image, progress)
            if not replace:
                _check_free(file)
            part.replace(file)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    stash.sync(file.absolute().parent)


def _check_free(file: Path) -> None:
    if file.exists() or file.is_symlink():
        raise EntryExistsError(name=file)


def _lock(target: BinaryIO, part: Path) -> None:
    try:
        fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Another process may have finished it meanwhile: then it has its own name now.
        ours = part.exists() and os.path.samestat(part.stat(), os.fstat(target.fileno()))
    except BlockingIOError:
        ours = False
    if not ours:
        raise EntryExistsError(f"{part} is being written by another udffs.")


def _check_room(file: Path, needed: int) -> None:
    place = file.absolute().parent
    free = shutil.disk_usage(place).free
    if needed > free:
        raise NoHostSpaceError(
            where=place, needed=stash.megabytes(needed), free=stash.megabytes(free)
        )


def _copy(target: BinaryIO, image: Image, progress: Callable[[float], None] | None) -> None:
    target.truncate(0)
    done = 0
    for chunk in image.chunks():
        target.write(chunk)
        done += len(chunk)
        if progress is not None:
            progress(done / (image.blocks * BLOCK))
    target.flush()
    os.fsync(target.fileno())
