"""The operations any front end needs: paths, handles, errors, locks.

A front end (FUSE, WinFsp) translates its own calls into these and nothing
else; what they stand on is :mod:`udffs.mounted`.

Paths are absolute, separated by "/". Names are str; times are nanoseconds
since 1970, UTC, kept to the microsecond; sizes and offsets are bytes.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from media.store import BlockStore
from udffs.commit import records
from udffs.commit.attributes import Attributes, attributes_of, inode_number
from udffs.commit.fitting import Fit, Needs, fit
from udffs.commit.namespace import SMALL_FILE, check_links, check_size
from udffs.commit.nodes import Node, State, same_runs
from udffs.commit.opening import begin_writing, completed_close
from udffs.commit.prepare import read_content
from udffs.commit.writing import Writing
from udffs.errors import (
    DirectoryNotEmptyError,
    EntryExistsError,
    InvalidOperationError,
    IsDirectoryError,
    NoSuchEntryError,
    NotDirectoryError,
    NotPermittedError,
)
from udffs.mounted import DEFAULTS, Handle, Log, MountedVolume, MountOptions
from udffs.ondisc import modes
from udffs.volume import open_volume
from udffs.volume.model import BLOCK

NAME_MAX = 254


class Space(NamedTuple):
    """What statvfs(3) tells, in blocks of ``block_size`` bytes."""

    block_size: int
    blocks: int
    free: int
    available: int
    files: int
    name_max: int


class FileSystem(MountedVolume):
    """One mounted volume and what programs do with it."""

    # -- looking ---------------------------------------------------------------

    def getattr(self, path: str, handle: int | None = None) -> Attributes:
        """The attributes of what is at ``path`` or open as ``handle``."""
        return self._locked(lambda: attributes_of(self._target(path, handle), self._store.read))

    def readdir(self, path: str) -> list[tuple[str, int, int]]:
        """The names in a directory as (name, inode number, file type bits of
        the mode: only those of a directory are sure, 0 otherwise)."""

        def read() -> list[tuple[str, int, int]]:
            entries = self._names(self._node(path), path).entries
            return [
                (name, inode_number(e.key), stat.S_IFDIR if e.is_directory else 0)
                for name, e in entries.items()
                if e.key not in self._own_keys
            ]

        return self._locked(read)

    def readlink(self, path: str) -> str:
        """The target of a symbolic link."""

        def state_of_link() -> State:
            node = self._node(path)
            if not stat.S_ISLNK(node.state.mode):
                raise InvalidOperationError(what=f"{path} is not a symbolic link")
            return node.state.part(0, node.state.size)

        state = self._locked(state_of_link)
        return modes.parse_path(read_content(state, 0, state.size, self._store.read))

    def statfs(self) -> Space:
        """The room on the disc; what closing needs is taken off already."""
        with self._lock:
            blocks = self._store.capacity
            if self._writing is None:
                return Space(BLOCK, blocks, 0, 0, 0, NAME_MAX)
            room = self._writing.reserve.available
            files = self._writing.namespace.counts().files
            return Space(BLOCK, blocks, room, room, files, NAME_MAX)

    # -- making, naming, removing ------------------------------------------------

    def mknod(self, path: str, mode: int, device: int, uid: int, gid: int) -> None:
        """Make a file, fifo, socket or device node."""
        self._changing(lambda: self._make(path, mode, device, uid, gid, b""))

    def mkdir(self, path: str, mode: int, uid: int, gid: int) -> None:
        """Make a directory."""
        mode = stat.S_IFDIR | stat.S_IMODE(mode)
        self._changing(lambda: self._make(path, mode, 0, uid, gid, b""))

    def symlink(self, path: str, target: str, uid: int, gid: int) -> None:
        """Make a symbolic link at ``path`` that points to ``target``."""
        content = modes.build_path(target)
        self._changing(lambda: self._make(path, stat.S_IFLNK | 0o777, 0, uid, gid, content))

    def _make(self, path: str, mode: int, device: int, uid: int, gid: int, content: bytes) -> Node:
        assert self._writing is not None
        parent, name = self._place(path)
        if name in self._tree.directory(parent).entries:
            raise EntryExistsError(name=path)
        if not stat.S_IFMT(mode):
            mode |= stat.S_IFREG
        if stat.S_ISDIR(mode):
            check_links(parent, path)
        if parent.state.mode & stat.S_ISGID:
            gid = parent.state.gid
            if stat.S_ISDIR(mode):
                mode |= stat.S_ISGID
        space, now = self._writing.namespace, self._now()
        unique_id = space.new_unique_id()
        key = space.new_key()
        operations: list[records.Operation] = [
            records.New(key, mode, uid, gid, device, unique_id, now, content),
            records.Enter(parent.key, key, unique_id, now, name.encode()),
        ]
        try:
            space.transact(operations)
        except BaseException:
            space.numbers.release(key & 0xFFFFFFFF)
            raise
        return space.node(key)

    def link(self, existing: str, new: str) -> None:
        """Give a file one more name."""

        def operation() -> None:
            assert self._writing is not None
            space = self._writing.namespace
            node = self._node(existing)
            if node.key in space.orphans:
                raise NoSuchEntryError(name=existing)
            if node.state.is_directory:
                raise NotPermittedError(what=f"{existing} is a directory; it has one name only")
            parent, name = self._place(new)
            if name in self._tree.directory(parent).entries:
                raise EntryExistsError(name=new)
            check_links(node, existing)
            enter = records.Enter(
                parent.key, node.key, space.new_unique_id(), self._now(), name.encode()
            )
            space.transact([enter])

        self._changing(operation)

    def unlink(self, path: str) -> None:
        """Remove a name that is no directory's; an open file lives on."""

        def operation() -> None:
            alias = self._aliases.pop(path, None)
            if alias is not None:
                self._release_node(alias)
                return
            parent, name = self._place(path)
            node = self._tree.node(self._entry(parent, name, path).key)
            if node.state.is_directory:
                raise IsDirectoryError(name=path)
            self._remove(parent, name)

        self._changing(operation)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""

        def operation() -> None:
            parent, name = self._place(path)
            node = self._tree.node(self._entry(parent, name, path).key)
            if self._names(node, path).entries:
                raise DirectoryNotEmptyError(name=path)
            self._remove(parent, name)

        self._changing(operation)

    def _remove(self, parent: Node, name: str) -> None:
        assert self._writing is not None
        space = self._writing.namespace
        space.transact([records.Leave(parent.key, self._now(), name.encode())])
        space.reap()

    def orphan(self, path: str, alias: str) -> None:
        """Remove a name, but keep the file reachable as ``alias`` until that
        is unlinked: a path that is never listed and never on the disc."""

        def operation() -> None:
            parent, name = self._place(path)
            node = self._tree.node(self._entry(parent, name, path).key)
            if node.state.is_directory:
                raise IsDirectoryError(name=path)
            node.handles += 1
            self._aliases[alias] = node
            self._remove(parent, name)

        self._changing(operation)

    def rename(self, old: str, new: str, *, replace: bool = True) -> None:
        """Give what is at ``old`` the path ``new``; what is there is replaced."""

        def operation() -> None:
            assert self._writing is not None
            source, source_name = self._place(old)
            entry = self._entry(source, source_name, old)
            node = self._tree.node(entry.key)
            target, target_name = self._place(new)
            replaced = self._tree.directory(target).entries.get(target_name)
            if replaced is not None:
                if not replace:
                    raise EntryExistsError(name=new)
                if replaced.key == entry.key:
                    return
                self._check_replaceable(node, self._tree.node(replaced.key), new)
            if node.state.is_directory and f"{new}/".startswith(f"{old.rstrip('/')}/"):
                raise InvalidOperationError(what=f"{old} cannot be moved into itself")
            if node.state.is_directory and source is not target:
                check_links(target, new)
            now = self._now()
            operations: list[records.Operation] = []
            if replaced is not None:
                operations.append(records.Leave(target.key, now, target_name.encode()))
            operations.append(records.Leave(source.key, now, source_name.encode()))
            operations.append(
                records.Enter(target.key, node.key, entry.unique_id, now, target_name.encode())
            )
            self._writing.namespace.transact(operations)
            self._writing.namespace.reap()

        self._changing(operation)

    def _check_replaceable(self, node: Node, other: Node, path: str) -> None:
        if other.state.is_directory:
            if not node.state.is_directory:
                raise IsDirectoryError(name=path)
            if self._tree.directory(other).entries:
                raise DirectoryNotEmptyError(name=path)
        elif node.state.is_directory:
            raise NotDirectoryError(name=path)

    # -- attributes --------------------------------------------------------------

    def chmod(self, path: str, mode: int) -> None:
        """Set the permissions."""
        self._set(path, lambda s: {"mode": stat.S_IFMT(s.mode) | stat.S_IMODE(mode)})

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Set owner and group; -1 leaves one as it is."""
        self._set(
            path,
            lambda s: {"uid": s.uid if uid == -1 else uid, "gid": s.gid if gid == -1 else gid},
        )

    def utimens(self, path: str, atime: int | None, mtime: int | None) -> None:
        """Set the times of access and modification; None leaves one as it is."""
        self._set(
            path,
            lambda s: {
                "atime": s.atime if atime is None else atime // 1000 * 1000,
                "mtime": s.mtime if mtime is None else mtime // 1000 * 1000,
            },
        )

    def _set(self, path: str, change: Callable[[State], dict[str, int]]) -> None:
        def operation() -> None:
            assert self._writing is not None
            node = self._node(path)
            state = node.state
            now = records.Attributes(
                node.key, state.mode, state.uid, state.gid, state.atime, state.mtime, self._now()
            )
            self._writing.namespace.transact([now._replace(**change(state))])

        self._changing(operation)

    # -- content -----------------------------------------------------------------

    def open(self, path: str, flags: int) -> int:
        """Open a file; returns a handle. O_TRUNC and O_APPEND are heeded."""
        if flags & os.O_ACCMODE != os.O_RDONLY:
            self._require_writing()

        def operation() -> int:
            node = self._node(path)
            if node.state.is_directory:
                raise IsDirectoryError(name=path)
            return self._open_node(node, flags)

        handle = self._locked(operation)
        if flags & os.O_TRUNC:
            try:
                self.truncate(path, 0, handle)
            except BaseException:
                self.release(handle)
                raise
        return handle

    def create(self, path: str, mode: int, flags: int, uid: int, gid: int) -> int:
        """Make a file and open it, for reading too; returns a handle."""
        mode = stat.S_IFREG | stat.S_IMODE(mode)
        return self._changing(
            lambda: self._open_node(self._make(path, mode, 0, uid, gid, b""), flags | os.O_RDWR)
        )

    def _open_node(self, node: Node, flags: int) -> int:
        handle = self._next_handle
        self._next_handle += 1
        self._handles[handle] = Handle(node, flags)
        node.handles += 1
        return handle

    def release(self, handle: int) -> None:
        """Close a handle."""
        with self._lock:
            opened = self._handles.pop(handle, None)
            if opened is not None:
                self._release_node(opened.node)

    def _release_node(self, node: Node) -> None:
        self._tree.release(node)
        if self._writing is not None and not node.handles and node.key in self._tree.orphans:
            self._writing.namespace.reap()

    def read(self, handle: int, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes from ``offset`` on."""
        while True:
            data, still_there = self._read(handle, size, offset)
            if still_there:
                return data

    def _read(self, handle: int, size: int, offset: int) -> tuple[bytes, bool]:
        """Read without the lock; and whether the blocks were the file's all
        the time, for a commit may have given them to another one meanwhile."""
        with self._lock:
            node = self._handle(handle).node
            state = node.state
            size = min(size, state.size - offset)
            if size <= 0:
                return b"", True
            # Outside the lock the state goes on changing, through programs and
            # through commits; what it is now is read from a picture of it.
            picture = state.part(offset, offset + size)
            segments = picture.segments()
            for segment in segments:
                segment.readers += 1
        try:
            data = read_content(picture, offset, size, self._store.read)
        finally:
            if segments:
                with self._lock:
                    for segment in segments:
                        segment.readers -= 1
        return data, not self._reuses_blocks or same_runs(node.state, picture)

    def write(self, handle: int, data: bytes, offset: int) -> int:
        """Write at ``offset`` (with O_APPEND at the end); returns the length."""
        if not data:
            return 0

        def operation() -> int:
            assert self._writing is not None
            opened = self._handle(handle)
            start = opened.node.state.size if opened.append else offset
            check_size(start + len(data))
            self._writing.namespace.write(opened.node, start, data, self._now())
            assert self._scheduler is not None
            self._scheduler.written()
            return len(data)

        return self._changing(operation, streaming=offset >= SMALL_FILE)

    def truncate(self, path: str, size: int, handle: int | None = None) -> None:
        """Set a file's size; what is added reads as zeros."""
        check_size(size)

        def operation() -> None:
            assert self._writing is not None
            node = self._target(path, handle)
            if node.state.is_directory:
                raise IsDirectoryError(name=path)
            if not stat.S_ISREG(node.state.mode):
                raise InvalidOperationError(what=f"{path} is no file and has no size")
            self._writing.namespace.transact([records.Resize(node.key, size, self._now())])

        self._changing(operation)

    def flush(self, handle: int) -> None:
        """A descriptor is being closed: tells of a commit that failed."""
        with self._lock:
            opened = self._handle(handle)
        if opened.writable and self._scheduler is not None:
            self._scheduler.check()

    def fsync(self, handle: int, datasync: bool = False) -> None:
        """Make an open file durable: content, name and attributes."""
        with self._lock:
            node = self._handle(handle).node
            unnamed = node.key in self._tree.orphans
        if self._scheduler is not None and not unnamed:
            self._scheduler.commit_now(node.key)

    def fsyncdir(self, path: str) -> None:
        """Make a directory durable."""
        self.sync()

    # -- telling -----------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """What is going on, ready for JSON."""
        with self._lock:
            room = self.statfs()
            told: dict[str, Any] = {
                "label": self.label,
                "identity": self.volume.identity,
                "udf": f"{self.volume.revision >> 8}.{self.volume.revision & 0xFF:02x}",
                "read_only": self.read_only,
                "notes": list(self.notes),
                "blocks": room.blocks,
                "blocks_free": room.available,
                "open_files": len(self._handles),
            }
            if self._scheduler is not None and self._writing is not None:
                told.update(self._scheduler.status())
                told["blocks_reserved"] = self._writing.reserve.closing
                cost = self._writing.reserve.closing_cost()
                told["closing"] = None if cost is None else cost._asdict()
                told["spool"] = str(self._writing.spool.folder)
                if self.volume.files >= 0:  # a VAT of UDF 1.50 does not tell
                    counts = self._writing.namespace.counts()
                    told["files"] = counts.files - len(self._own_keys)
                    told["directories"] = counts.directories
            return told

    def fits(self, needs: Needs) -> Fit:
        """What a copy would leave of the room on the disc. Raises ReadOnlyError."""
        self._require_writing()
        assert self._writing is not None
        with self._lock:
            return fit(self._writing.reserve, needs)


def open_file_system(
    store: BlockStore,
    *,
    spool: Path,
    options: MountOptions = DEFAULTS,
    log: Log = lambda _text: None,
    clock: Callable[[], int] = time.time_ns,
    timer: Callable[[], float] = time.monotonic,
) -> FileSystem:
    """The volume on ``store``, for writing where that is possible.

    ``spool`` is the folder that holds the spools of all discs; what an
    earlier mount of this disc left there is replayed. Raises BlankDiscError, NotUdfError,
    DamagedError, UnsupportedError, SpoolBusyError and MediaErrors.
    """
    volume = open_volume(store, log=log, vat_location=options.at)
    writing: Writing | None = None
    completed: list[str] = []
    why: str | None
    if options.at is not None:
        why = "it is an old state"
    elif options.read_only:
        why = "it was mounted read-only"
    elif completed := completed_close(store, volume, log):
        why = "its close has just been completed; mount it again to write to it"
    else:
        writing, why = begin_writing(store, volume, spool, log)
    if writing is None:
        file_system = FileSystem(volume, None, why, log=log, clock=clock, timer=timer)
        file_system.close_completed = bool(completed)
        file_system.notes += completed
        file_system.notice_spool(spool)
        return file_system
    file_system = FileSystem(
        volume, writing, None, log=log, clock=clock, timer=timer, options=options
    )
    file_system.replay()
    return file_system


__all__ = ["Attributes", "FileSystem", "MountOptions", "Space", "open_file_system"]
