"""Where the user data of a virtual disc lies: in a file, or in memory.

Both count blocks of 2,048 bytes and know nothing of packets: which blocks may
be read or written is the medium's business.
"""

from __future__ import annotations

import errno
import os
import sys
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from typing import Protocol

Buffer = bytes | bytearray | memoryview
BLOCK = 2048


if sys.platform == "win32":
    # One thread at a time: the burner's lock sees to that.

    def _pread(fd: int, size: int, offset: int) -> bytes:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, size)

    def _pwrite(fd: int, data: Buffer, offset: int) -> int:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, data)

else:
    _pread, _pwrite = os.pread, os.pwrite


class Storage(Protocol):
    """Raw blocks."""

    def read(self, block: int, count: int) -> bytes:
        """At most ``count`` blocks in bytes; shorter where the data ends."""

    def write(self, block: int, data: Buffer) -> None:
        """Raises OSError where the host has no room."""

    def truncate(self, block: int) -> None:
        """Forget ``block`` and all behind it."""

    def resize(self, blocks: int) -> None:
        """Forget everything: so many blocks of zeros from now on."""

    def erase(self, block: int, count: int) -> None:
        """Forget these blocks; they read as zeros or as missing."""

    def sync(self) -> None:
        """Return when all that was written survives a power cut of the host."""

    def close(self) -> None: ...


class FileStorage:
    """The image file: block N lies at byte 2,048 N, gaps are holes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    @property
    def blocks(self) -> int:
        return os.fstat(self._fd).st_size // BLOCK

    def read(self, block: int, count: int) -> bytes:
        return _pread(self._fd, count * BLOCK, block * BLOCK)

    def write(self, block: int, data: Buffer) -> None:
        offset = block * BLOCK
        done = _pwrite(self._fd, data, offset)
        while done < len(data):
            data = memoryview(data)[done:]
            offset += done
            done = _pwrite(self._fd, data, offset)

    def truncate(self, block: int) -> None:
        if os.fstat(self._fd).st_size > block * BLOCK:
            os.ftruncate(self._fd, block * BLOCK)

    def resize(self, blocks: int) -> None:
        os.ftruncate(self._fd, 0)
        os.ftruncate(self._fd, blocks * BLOCK)

    def erase(self, block: int, count: int) -> None:
        _pwrite(self._fd, bytes(count * BLOCK), block * BLOCK)

    def sync(self) -> None:
        sync_named(self._fd)

    def close(self) -> None:
        os.close(self._fd)
        self._fd = -1


def sync_named(fd: int) -> None:
    """Make a file's content durable. Raises OSError where the file has lost its
    name: it ends with this process then, and nothing in it is safe."""
    if os.fstat(fd).st_nlink == 0:
        raise OSError(errno.ENOENT, "its file was deleted or replaced while it was in use")
    datasync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)
    datasync(fd)


class MemoryStorage:
    """Pieces as they were written, sorted and never overlapping.

    A copy shares the pieces, which never change: it costs one list.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._pieces: list[bytes] = []

    def read(self, block: int, count: int) -> bytes:
        end = block + count
        index = max(0, bisect_right(self._starts, block) - 1)
        parts: list[bytes] = []
        position = block
        while index < len(self._starts) and self._starts[index] < end:
            start, piece = self._starts[index], self._pieces[index]
            index += 1
            if start + len(piece) // BLOCK <= position:
                continue
            if start > position:
                parts.append(bytes((start - position) * BLOCK))
                position = start
            part = piece[(position - start) * BLOCK : (end - start) * BLOCK]
            parts.append(part)
            position += len(part) // BLOCK
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, block: int, data: Buffer) -> None:
        index = bisect_left(self._starts, block)
        self._starts.insert(index, block)
        self._pieces.insert(index, bytes(data))

    def truncate(self, block: int) -> None:
        if self._starts:
            self.erase(block, self._starts[-1] + len(self._pieces[-1]) // BLOCK - block)

    def erase(self, block: int, count: int) -> None:
        end = block + count
        kept: list[tuple[int, bytes]] = []
        for start, piece in zip(self._starts, self._pieces, strict=True):
            if start < block:
                kept.append((start, piece[: (block - start) * BLOCK]))
            if start + len(piece) // BLOCK > end:
                first = max(start, end)
                kept.append((first, piece[(first - start) * BLOCK :]))
        self._starts = [start for start, _ in kept]
        self._pieces = [piece for _, piece in kept]

    def resize(self, blocks: int) -> None:
        self._starts, self._pieces = [], []

    def sync(self) -> None:
        pass

    def close(self) -> None:
        pass

    def clone(self) -> MemoryStorage:
        other = MemoryStorage()
        other._starts, other._pieces = self._starts.copy(), self._pieces.copy()
        return other


class PagedMemory:
    """Pages of 32 blocks, for discs that are written again and again.

    Pages never change, they are replaced: a copy shares them and costs one dict.
    What was never written reads as zeros.
    """

    PAGE = 32

    def __init__(self) -> None:
        self._pages: dict[int, bytes] = {}
        self._zeros = bytes(self.PAGE * BLOCK)

    def read(self, block: int, count: int) -> bytes:
        first, skip = divmod(block, self.PAGE)
        if skip + count <= self.PAGE:
            page = self._pages.get(first, self._zeros)
            whole = count == self.PAGE
            return page if whole else page[skip * BLOCK : (skip + count) * BLOCK]
        last = (block + count - 1) // self.PAGE
        pages = [self._pages.get(number, self._zeros) for number in range(first, last + 1)]
        pages[0] = pages[0][skip * BLOCK :]
        pages[-1] = pages[-1][: (block + count - last * self.PAGE) * BLOCK]
        return b"".join(pages)

    def write(self, block: int, data: Buffer) -> None:
        view = memoryview(data)
        while view:
            number, skip = divmod(block, self.PAGE)
            part = view[: (self.PAGE - skip) * BLOCK]
            count = len(part) // BLOCK
            if count == self.PAGE:
                self._pages[number] = bytes(part)
            else:
                page = self._pages.get(number, self._zeros)
                rest = page[(skip + count) * BLOCK :]
                self._pages[number] = page[: skip * BLOCK] + part + rest
            view = view[len(part) :]
            block += count

    def truncate(self, block: int) -> None:
        kept, used = divmod(block, self.PAGE)
        self._pages = {number: page for number, page in self._pages.items() if number <= kept}
        if kept in self._pages:
            self.erase(block, self.PAGE - used)

    def resize(self, blocks: int) -> None:
        self._pages = {}

    def erase(self, block: int, count: int) -> None:
        self.write(block, bytes(count * BLOCK))

    def sync(self) -> None:
        pass

    def close(self) -> None:
        pass

    def clone(self) -> PagedMemory:
        other = PagedMemory()
        other._pages = self._pages.copy()
        return other
