"""A file system in memory with the interface of udffs.filesystem.FileSystem.

Enough of one to test front ends and the process model without a disc.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, NamedTuple

from udffs.errors import (
    BadHandleError,
    DirectoryNotEmptyError,
    EntryExistsError,
    NoSuchEntryError,
    NotDirectoryError,
)


class Attributes(NamedTuple):
    inode: int
    mode: int
    links: int
    uid: int
    gid: int
    device: int
    size: int
    blocks: int
    atime: int
    mtime: int
    ctime: int


class Space(NamedTuple):
    block_size: int
    blocks: int
    free: int
    available: int
    files: int
    name_max: int


@dataclass
class Node:
    inode: int
    mode: int
    uid: int
    gid: int
    links: int = 1
    device: int = 0
    data: bytearray = field(default_factory=bytearray)
    target: str = ""
    entries: dict[str, Node] = field(default_factory=dict)
    atime: int = field(default_factory=time.time_ns)
    mtime: int = field(default_factory=time.time_ns)
    ctime: int = field(default_factory=time.time_ns)


class FakeFileSystem:
    """``fail`` maps the name of an operation to the exception that it raises."""

    label = "FAKE"
    read_only: str | None = None
    notes: list[str] = []

    def __init__(self, *, uid: int = 0, gid: int = 0) -> None:
        self.lock = threading.RLock()
        self.fail: dict[str, BaseException] = {}
        self.calls: list[str] = []
        self.root = Node(1, stat.S_IFDIR | 0o755, uid, gid, links=2)
        self.next_inode = 2
        self.handles: dict[int, Node] = {}
        self.aliases: dict[str, Node] = {}
        self.next_handle = 1
        self.volume = SimpleNamespace(identity="fake", revision=0x0201)
        self.shut = 0
        self.started = False

    def __getattribute__(self, name: str) -> Any:
        value = super().__getattribute__(name)
        if callable(value) and not name.startswith("_"):
            self.calls.append(name)
            error = self.fail.get(name)
            if error is not None:
                raise error
        return value

    # -- life ----------------------------------------------------------------

    def start(self) -> None:
        self.started = True

    def shutdown(self, progress: Callable[[int], None] | None = None) -> None:
        self.shut += 1
        if progress is not None:
            progress(1)

    def sync(self, progress: Callable[[int], None] | None = None) -> None:
        if progress is not None:
            progress(1)

    def close_disc(self, *, final: bool, progress: Callable[[float], None] | None = None) -> None:
        self.read_only = "closed"

    def status(self) -> dict[str, object]:
        return {"label": self.label, "unsaved_bytes": 4096}

    # -- names ---------------------------------------------------------------

    def _find(self, path: str | None) -> Node:
        if path in self.aliases:
            return self.aliases[path]
        node = self.root
        for name in (path or "/").split("/"):
            if not name:
                continue
            if name not in node.entries:
                raise NoSuchEntryError(name=path)
            node = node.entries[name]
        return node

    def _parent(self, path: str) -> tuple[Node, str]:
        head, _, name = path.rpartition("/")
        parent = self._find(head)
        if not stat.S_ISDIR(parent.mode):
            raise NotDirectoryError(name=head)
        return parent, name

    def _add(self, path: str, mode: int, uid: int, gid: int) -> Node:
        with self.lock:
            parent, name = self._parent(path)
            if name in parent.entries:
                raise EntryExistsError(name=path)
            node = Node(self.next_inode, mode, uid, gid)
            self.next_inode += 1
            parent.entries[name] = node
            parent.mtime = parent.ctime = time.time_ns()
            return node

    def _node(self, handle: int) -> Node:
        if handle not in self.handles:
            raise BadHandleError(handle=handle)
        return self.handles[handle]

    def getattr(self, path: str | None, handle: int | None = None) -> Attributes:
        node = self._find(path) if handle is None else self._node(handle)
        size = len(node.target.encode()) if node.target else len(node.data)
        return Attributes(
            node.inode,
            node.mode,
            node.links,
            node.uid,
            node.gid,
            node.device,
            size,
            -(-size // 2048) * 4,
            node.atime,
            node.mtime,
            node.ctime,
        )

    def readdir(self, path: str) -> list[tuple[str, int, int]]:
        with self.lock:
            return [(name, n.inode, n.mode) for name, n in self._find(path).entries.items()]

    def readlink(self, path: str) -> str:
        return self._find(path).target

    def mknod(self, path: str, mode: int, device: int, uid: int, gid: int) -> None:
        self._add(path, mode, uid, gid).device = device

    def mkdir(self, path: str, mode: int, uid: int, gid: int) -> None:
        self._add(path, mode | stat.S_IFDIR, uid, gid).links = 2

    def symlink(self, path: str, target: str, uid: int, gid: int) -> None:
        self._add(path, 0o777 | stat.S_IFLNK, uid, gid).target = target

    def link(self, existing: str, new: str) -> None:
        with self.lock:
            node = self._find(existing)
            parent, name = self._parent(new)
            if name in parent.entries:
                raise EntryExistsError(name=new)
            parent.entries[name] = node
            node.links += 1

    def unlink(self, path: str) -> None:
        with self.lock:
            if self.aliases.pop(path, None):
                return
            node = self._find(path)
            parent, name = self._parent(path)
            del parent.entries[name]
            node.links -= 1

    def orphan(self, path: str, alias: str) -> None:
        with self.lock:
            node = self._find(path)
            parent, name = self._parent(path)
            del parent.entries[name]
            node.links -= 1
            self.aliases[alias] = node

    def rmdir(self, path: str) -> None:
        with self.lock:
            node = self._find(path)
            if node.entries:
                raise DirectoryNotEmptyError(name=path)
            parent, name = self._parent(path)
            del parent.entries[name]

    def rename(self, old: str, new: str, *, replace: bool = True) -> None:
        with self.lock:
            node = self._find(old)
            source, name = self._parent(old)
            target, new_name = self._parent(new)
            there = target.entries.get(new_name)
            if there is not None and there.entries:
                raise DirectoryNotEmptyError(name=new)
            if there is not None and not replace:
                raise EntryExistsError(name=new)
            del source.entries[name]
            target.entries[new_name] = node

    # -- attributes ------------------------------------------------------------

    def chmod(self, path: str, mode: int) -> None:
        node = self._find(path)
        node.mode = stat.S_IFMT(node.mode) | stat.S_IMODE(mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        node = self._find(path)
        node.uid = node.uid if uid < 0 else uid
        node.gid = node.gid if gid < 0 else gid

    def utimens(self, path: str, atime_ns: int | None, mtime_ns: int | None) -> None:
        node = self._find(path)
        node.atime = node.atime if atime_ns is None else atime_ns
        node.mtime = node.mtime if mtime_ns is None else mtime_ns

    def truncate(self, path: str | None, size: int, handle: int | None = None) -> None:
        node = self._find(path) if handle is None else self._node(handle)
        with self.lock:
            del node.data[size:]
            node.data.extend(bytes(size - len(node.data)))
            node.mtime = time.time_ns()

    # -- files -----------------------------------------------------------------

    def _handle(self, node: Node) -> int:
        with self.lock:
            handle = self.next_handle
            self.next_handle += 1
            self.handles[handle] = node
            return handle

    def open(self, path: str, flags: int) -> int:
        handle = self._handle(self._find(path))
        if flags & os.O_TRUNC:
            self.truncate(None, 0, handle)
        return handle

    def create(self, path: str, mode: int, flags: int, uid: int, gid: int) -> int:
        return self._handle(self._add(path, stat.S_IFREG | mode, uid, gid))

    def read(self, handle: int, size: int, offset: int) -> bytes:
        return bytes(self._node(handle).data[offset : offset + size])

    def write(self, handle: int, data: bytes, offset: int) -> int:
        node = self._node(handle)
        with self.lock:
            if offset > len(node.data):
                node.data.extend(bytes(offset - len(node.data)))
            node.data[offset : offset + len(data)] = data
            node.mtime = node.ctime = time.time_ns()
        return len(data)

    def flush(self, handle: int) -> None:
        self._node(handle)

    def fsync(self, handle: int, datasync: bool) -> None:
        self._node(handle)

    def release(self, handle: int) -> None:
        self._node(handle)
        del self.handles[handle]

    def fsyncdir(self, path: str) -> None:
        self._find(path)

    def statfs(self) -> Space:
        return Space(2048, 350000, 300000, 290000, 1000, 254)
