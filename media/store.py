"""Where drives and file systems meet: blocks of 2,048 bytes.

A :class:`SequentialStore` is a disc that is written at one place only, its
next writable address, in packets; a :class:`RewritableStore` can be written
anywhere, in whole packets; an :class:`ImageStore` is a plain file that holds a
disc.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from threading import Lock
from typing import Protocol

from media import errors
from media.drive import BLOCK, Drive
from media.layout import SessionSpan
from media.mmc import features
from media.rewritable import RewritableStore
from media.sequential import SequentialStore

__all__ = [
    "BLOCK",
    "BlockStore",
    "ImageStore",
    "RewritableStore",
    "SequentialStore",
    "SessionSpan",
    "open_store",
]


class BlockStore(Protocol):
    """What can be read from, by block.

    ``kind`` is "sequential", "rewritable" or "read-only". ``capacity`` counts
    blocks up to the last possible lead-out (of an image: all), ``last_block`` is
    the last written one, -1 on a blank disc. ``sessions`` come oldest first.
    """

    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def capacity(self) -> int: ...
    @property
    def last_block(self) -> int: ...
    @property
    def sessions(self) -> tuple[SessionSpan, ...]: ...

    def read(self, block: int, count: int) -> bytes:
        """``count`` * 2,048 bytes, or UnreadableBlockError with the first bad block known."""
        ...

    def close(self) -> None: ...


def open_store(drive: Drive, *, writable: bool = True) -> SequentialStore | RewritableStore:
    """The store for the disc in a drive: a CD-RW in fixed packets or formatted as
    Mt. Rainier is rewritable, any other is written like a CD-R.

    Raises NoMediumError, or WrongMediumError for a kind of disc that is not
    supported.
    """
    disc = drive.disc()
    if disc.status == "none":
        raise errors.NoMediumError(name=drive.name)
    if disc.profile not in (features.CD_R, features.CD_RW, features.CD_ROM):
        raise errors.WrongMediumError(why=f"{disc.kind} is not supported yet")
    if disc.formatted or disc.mrw:
        return RewritableStore(drive, writable=writable, disc=disc)
    return SequentialStore(drive, writable=writable, disc=disc)


class ImageStore:
    """A plain image of a disc, of any program, to be read only."""

    kind = "read-only"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Raises NoSuchDriveError or NotADiscImageError."""
        self.name = str(path)
        self._file = _open_image(Path(path))
        self.capacity = os.fstat(self._file).st_size // BLOCK
        self.last_block = self.capacity - 1
        self.sessions = (SessionSpan(0, self.last_block),)
        self._seek_lock = Lock()

    def read(self, block: int, count: int) -> bytes:
        if block < 0 or count < 0 or block + count > self.capacity:
            bad = block if block < 0 or block >= self.capacity else self.capacity
            raise errors.UnreadableBlockError(block=bad)
        data = self._pread(count * BLOCK, block * BLOCK)
        if len(data) != count * BLOCK:
            raise errors.UnreadableBlockError(block=block + len(data) // BLOCK)
        return data

    def _pread(self, size: int, offset: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._file, size, offset)
        with self._seek_lock:
            os.lseek(self._file, offset, os.SEEK_SET)
            return os.read(self._file, size)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _open_image(path: Path) -> int:
    """A file descriptor of an image, after a look at whether it can be one."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise errors.NoSuchDriveError(name=path) from None
    except OSError as error:
        raise errors.NotADiscImageError(name=path, why=error.strerror) from error
    if not stat.S_ISREG(found.st_mode):
        raise errors.NotADiscImageError(name=path, why="it is not a file")
    if found.st_size < BLOCK:
        raise errors.NotADiscImageError(name=path, why="it is smaller than one block of a disc")
    try:
        return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as error:
        raise errors.NotADiscImageError(name=path, why=error.strerror) from error
