"""File systems that do as little as they can: what any driver in Python is
measured against. ``python -m benchlib.ceilings KIND WHERE [DIRECTORY]``

* null keeps names and sizes, forgets what is written, reads zeros;
* memory keeps the data too, in one bytearray a file;
* passthrough hands everything to a directory (of a tmpfs).
"""

from __future__ import annotations

import errno
import itertools
import os
import stat
import sys
from pathlib import Path
from typing import Any

import fuse

from udffs.frontends.fuse import OPTIONS

# The same requests and timeouts for all: ours.
FUSE_OPTIONS = {key: value for key, value in OPTIONS.items() if key != "subtype"}


class Offered:
    """What is not offered is not asked for: fusepy's own base class offers
    everything, and the kernel would ask for some of it at each write or close."""

    use_ns = True

    def __call__(self, operation: str, *arguments: Any) -> Any:
        return getattr(self, operation)(*arguments)


class Null(Offered):
    """Names and sizes in a dictionary; the data goes nowhere."""

    def __init__(self) -> None:
        self._numbers = itertools.count(2)
        self._nodes: dict[str, dict[str, int]] = {"/": self._node(stat.S_IFDIR | 0o755)}
        self._children: dict[str, list[str]] = {"/": []}

    def _node(self, mode: int) -> dict[str, int]:
        return {
            "st_ino": next(self._numbers),
            "st_mode": mode,
            "st_nlink": 1,
            "st_size": 0,
            "st_blocks": 0,
            "st_uid": os.getuid(),
            "st_gid": os.getgid(),
        }

    def _add(self, path: str, mode: int) -> None:
        self._nodes[path] = self._node(mode)
        parent, _, name = path.rpartition("/")
        self._children[parent or "/"].append(name)

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        try:
            return self._nodes[path]
        except KeyError:
            raise fuse.FuseOSError(errno.ENOENT) from None

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *self._children[path]]

    def mkdir(self, path: str, mode: int) -> int:
        self._add(path, stat.S_IFDIR | mode)
        self._children[path] = []
        return 0

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        self._add(path, stat.S_IFREG | mode)
        return 0

    def open(self, path: str, flags: int) -> int:
        return 0

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        node = self._nodes[path]
        node["st_size"] = max(node["st_size"], offset + len(data))
        return len(data)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(max(0, min(size, self._nodes[path]["st_size"] - offset)))

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        self._nodes[path]["st_size"] = length
        return 0


class Memory(Null):
    """The data in memory as well."""

    def __init__(self) -> None:
        super().__init__()
        self._data: dict[str, bytearray] = {}

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        self._data[path] = bytearray()
        return super().create(path, mode, fi)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        self._data[path][offset : offset + len(data)] = data
        return super().write(path, data, offset, fh)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return bytes(self._data[path][offset : offset + size])


class Passthrough(Offered):
    """Everything as it is in another directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        found = os.lstat(self._directory + path)
        return {
            "st_ino": found.st_ino,
            "st_mode": found.st_mode,
            "st_nlink": found.st_nlink,
            "st_size": found.st_size,
            "st_blocks": found.st_blocks,
            "st_uid": found.st_uid,
            "st_gid": found.st_gid,
            "st_mtime": found.st_mtime_ns,
        }

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *os.listdir(self._directory + path)]  # noqa: PTH208 -- names alone

    def mkdir(self, path: str, mode: int) -> None:
        Path(self._directory + path).mkdir(mode)

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        return os.open(self._directory + path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)

    def open(self, path: str, flags: int) -> int:
        return os.open(self._directory + path, flags)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        os.truncate(self._directory + path, length)

    def fsync(self, path: str, datasync: int, fh: int) -> None:
        os.fsync(fh)

    def release(self, path: str, fh: int) -> None:
        os.close(fh)


def main(kind: str, where: str, directory: str = "") -> None:
    operations = {"null": Null, "memory": Memory}.get(kind, lambda: Passthrough(directory))()
    fuse.FUSE(operations, where, fsname=f"bench-{kind}", foreground=True, **FUSE_OPTIONS)


if __name__ == "__main__":
    main(*sys.argv[1:])
