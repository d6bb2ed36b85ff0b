"""A file system as a program expects it, in memory and as simple as can be.

Nothing here comes from udffs: it is what the volume is compared with. Errors
are OSError with an errno; times are nanoseconds since 1970.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, NoReturn

BLOCK = 2048


class Seen(NamedTuple):
    """One path as a program sees it. ``same`` is the first path of all that
    name this inode; ``content`` is bytes of a file or the target of a link."""

    mode: int
    uid: int
    gid: int
    links: int
    size: int
    device: int
    atime: int
    mtime: int
    ctime: int
    content: bytes | str | None
    same: str


Picture = dict[str, Seen]


@dataclass(eq=False)
class Inode:
    """A file, link, node or directory. ``touched``: blocks that were written."""

    mode: int
    uid: int = 0
    gid: int = 0
    device: int = 0
    atime: int = 0
    mtime: int = 0
    ctime: int = 0
    links: int = 0
    target: str = ""
    data: bytearray = field(default_factory=bytearray)
    touched: set[int] = field(default_factory=set)
    entries: dict[str, Inode] = field(default_factory=dict)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    def resize(self, size: int) -> None:
        old = len(self.data)
        if size < old:
            del self.data[size:]
            self.touched = {block for block in self.touched if block * BLOCK < size}
        else:
            if old % BLOCK and size > old:
                self.touched.add(old // BLOCK)  # its rest must be made zeros
            self.data.extend(bytes(size - old))

    def write(self, offset: int, data: bytes) -> None:
        if offset > len(self.data):
            self.resize(offset)
        end = offset + len(data)
        self.data[offset:end] = data
        self.touched.update(range(offset // BLOCK, (end - 1) // BLOCK + 1))


def fail(code: int) -> NoReturn:
    raise OSError(code, os.strerror(code))


class Model:
    """The whole tree. ``now`` is the time of the next operation."""

    def __init__(self, root: Inode) -> None:
        self.root = root
        self.now = 0

    # -- paths -------------------------------------------------------------

    def find(self, path: str) -> Inode:
        node = self.root
        for name in path.split("/"):
            if name:
                if not node.is_directory:
                    fail(errno.ENOTDIR)
                if name not in node.entries:
                    fail(errno.ENOENT)
                node = node.entries[name]
        return node

    def place(self, path: str) -> tuple[Inode, str]:
        folder, _, name = path.rpartition("/")
        node = self.find(folder)
        if not node.is_directory:
            fail(errno.ENOTDIR)
        return node, name

    def walk(self) -> Iterator[tuple[str, Inode]]:
        """All paths but the root, parents before children."""
        waiting = [("", self.root)]
        while waiting:
            folder, node = waiting.pop()
            for name in sorted(node.entries):
                child = node.entries[name]
                yield f"{folder}/{name}", child
                if child.is_directory:
                    waiting.append((f"{folder}/{name}", child))

    def picture(self) -> Picture:
        """What a program sees of everything."""
        first: dict[Inode, str] = {}
        found = sorted([("/", self.root), *self.walk()], key=lambda item: item[0])
        for path, node in found:
            first.setdefault(node, path)
        return {path: _seen(node, first[node]) for path, node in found}

    # -- operations ----------------------------------------------------------

    def make(self, path: str, mode: int, uid: int, gid: int, **more: object) -> Inode:
        folder, name = self.place(path)
        if name in folder.entries:
            fail(errno.EEXIST)
        if folder.mode & stat.S_ISGID:
            gid = folder.gid
            mode |= stat.S_ISGID if stat.S_ISDIR(mode) else 0
        node = Inode(mode, uid, gid, **more)  # type: ignore[arg-type]
        node.atime = node.mtime = self.now
        self._enter(folder, name, node)
        return node

    def _enter(self, folder: Inode, name: str, node: Inode) -> None:
        folder.entries[name] = node
        folder.mtime = folder.ctime = node.ctime = self.now
        node.links += 1

    def _leave(self, folder: Inode, name: str) -> Inode:
        node = folder.entries.pop(name)
        folder.mtime = folder.ctime = node.ctime = self.now
        node.links -= 1
        return node

    def link(self, old: str, new: str) -> None:
        node = self.find(old)
        if node.is_directory:
            fail(errno.EPERM)
        folder, name = self.place(new)
        if name in folder.entries:
            fail(errno.EEXIST)
        self._enter(folder, name, node)

    def unlink(self, path: str) -> None:
        folder, name = self.place(path)
        if self.find(path).is_directory:
            fail(errno.EISDIR)
        self._leave(folder, name)

    def rmdir(self, path: str) -> None:
        folder, name = self.place(path)
        node = self.find(path)
        if not node.is_directory:
            fail(errno.ENOTDIR)
        if node.entries:
            fail(errno.ENOTEMPTY)
        self._leave(folder, name)

    def rename(self, old: str, new: str) -> None:
        source, source_name = self.place(old)
        node = self.find(old)
        target, target_name = self.place(new)
        replaced = target.entries.get(target_name)
        if replaced is node:
            return
        if replaced is not None:
            if replaced.is_directory and not node.is_directory:
                fail(errno.EISDIR)
            if replaced.entries:
                fail(errno.ENOTEMPTY)
            if node.is_directory and not replaced.is_directory:
                fail(errno.ENOTDIR)
        if node.is_directory and f"{new}/".startswith(f"{old}/"):
            fail(errno.EINVAL)
        if replaced is not None:
            self._leave(target, target_name)
        self._leave(source, source_name)
        self._enter(target, target_name, node)

    def write(self, node: Inode, offset: int, data: bytes) -> None:
        node.write(offset, data)
        node.mtime = node.ctime = self.now

    def truncate(self, node: Inode, size: int) -> None:
        if node.is_directory:
            fail(errno.EISDIR)
        if not stat.S_ISREG(node.mode):
            fail(errno.EINVAL)
        node.resize(size)
        node.mtime = node.ctime = self.now

    def chmod(self, path: str, mode: int) -> None:
        node = self.find(path)
        node.mode = stat.S_IFMT(node.mode) | mode
        node.ctime = self.now

    def chown(self, path: str, uid: int, gid: int) -> None:
        node = self.find(path)
        node.uid = node.uid if uid == -1 else uid
        node.gid = node.gid if gid == -1 else gid
        node.ctime = self.now

    def utimens(self, path: str, atime: int | None, mtime: int | None) -> None:
        node = self.find(path)
        node.atime = node.atime if atime is None else atime
        node.mtime = node.mtime if mtime is None else mtime
        node.ctime = self.now


def _seen(node: Inode, same: str) -> Seen:
    content: bytes | str | None = None
    size = 0
    if stat.S_ISREG(node.mode):
        content, size = bytes(node.data), len(node.data)
    elif stat.S_ISLNK(node.mode):
        content = node.target
    links = node.links
    if node.is_directory:
        links = 2 + sum(child.is_directory for child in node.entries.values())
    return Seen(
        node.mode,
        node.uid,
        node.gid,
        links,
        size,
        node.device,
        node.atime,
        node.mtime,
        node.ctime,
        content,
        same,
    )
