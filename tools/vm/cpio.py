"""The "newc" cpio archive, from which the kernel fills its first root."""

from __future__ import annotations

import stat
from pathlib import PurePosixPath


class Archive:
    """Files and directories, collected in memory."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._directories: set[str] = set()
        self._inode = 0

    def directory(self, name: str) -> None:
        """A directory, and those above it."""
        if name in ("", ".") or name in self._directories:
            return
        self.directory(str(PurePosixPath(name).parent))
        self._directories.add(name)
        self._entry(name, b"", stat.S_IFDIR | 0o755)

    def file(self, name: str, data: bytes, *, mode: int = 0o644) -> None:
        """A regular file; its directories are made when missing."""
        self.directory(str(PurePosixPath(name).parent))
        self._entry(name, data, stat.S_IFREG | mode)

    def character_device(self, name: str, major: int, minor: int) -> None:
        """A character device for root alone."""
        self.directory(str(PurePosixPath(name).parent))
        self._entry(name, b"", stat.S_IFCHR | 0o600, major, minor)

    def build(self) -> bytes:
        """The archive, in a multiple of 512 bytes; several may follow each other."""
        trailer = Archive()
        trailer._entry("TRAILER!!!", b"", 0)
        return _padded(b"".join(self._parts + trailer._parts), 512)

    def _entry(self, name: str, data: bytes, mode: int, major: int = 0, minor: int = 0) -> None:
        self._inode += 1
        path = name.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, device (2), special device (2),
        # length of the name, checksum
        numbers = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(path), 0)
        head = b"070701" + b"".join(b"%08X" % number for number in numbers)
        self._parts += [_padded(head + path, 4), _padded(data, 4)]


def _padded(data: bytes, multiple: int) -> bytes:
    return data + bytes(-len(data) % multiple)
