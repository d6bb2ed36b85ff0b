"""The operations any front end needs: paths, handles, errors, locks.

A front end (FUSE, WinFsp) translates its own calls into these and nothing
else. One lock guards the live tree; it is never held while a disc is read or
written, so that looking around and working in the spool go on while a packet
is on its way. See DESIGN.md, "Who may touch what".

Paths are absolute, separated by "/". Names are str; times are nanoseconds
since 1970, UTC, kept to the microsecond; sizes and offsets are bytes.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from media.store import BlockStore, SequentialStore
from udffs.commit import records
from udffs.commit.cycle import CommitCycle
from udffs.commit.namespace import check_links, check_size
from udffs.commit.nodes import Directory, Entry, Node, State
from udffs.commit.opening import Writing, load_directory, load_node, why_read_only
from udffs.commit.prepare import read_content
from udffs.commit.scheduler import CommitOptions, Scheduler
from udffs.commit.spool import folder_name
from udffs.commit.tree import Missing, Tree
from udffs.errors import (
    BadHandleError,
    DirectoryNotEmptyError,
    EntryExistsError,
    InvalidOperationError,
    IsADirectoryFault,
    NoSpaceError,
    NoSuchEntryError,
    NotADirectoryFault,
    NotPermittedError,
    ReadOnlyError,
)
from udffs.ondisc import modes
from udffs.ondisc.text import encode_name
from udffs.volume import Volume, open_volume

BLOCK = 2048
NAME_MAX = 254
SECTOR = 512

T = TypeVar("T")
Log = Callable[[str], None]


class Attributes(NamedTuple):
    """What stat(2) tells; ``blocks`` in units of 512 bytes, times in ns."""

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
    """What statvfs(3) tells, in blocks of ``block_size`` bytes."""

    block_size: int
    blocks: int
    free: int
    available: int
    files: int
    name_max: int


class MountOptions(NamedTuple):
    """How a volume is mounted. ``at`` is the block of an old VAT ICB; the
    commit times are in seconds; ``spool_bytes`` bounds what waits in the
    spool (None: 30 seconds of the drive's speed)."""

    read_only: bool = False
    at: int | None = None
    commit_idle: float = 10.0
    commit_max: float = 60.0
    commit_bytes: int = 16 << 20
    spool_bytes: int | None = None

    @property
    def commit(self) -> CommitOptions:
        return CommitOptions(
            idle=self.commit_idle,
            longest=self.commit_max,
            small_bytes=self.commit_bytes,
            stream_bytes=2 * self.commit_bytes,
            backlog_bytes=self.spool_bytes,
        )


class Handle:
    """An open file."""

    __slots__ = ("append", "node", "writable")

    def __init__(self, node: Node, flags: int) -> None:
        self.node = node
        self.append = bool(flags & os.O_APPEND)
        self.writable = flags & os.O_ACCMODE != os.O_RDONLY


class FileSystem:
    """One mounted volume."""

    def __init__(
        self,
        volume: Volume,
        writing: Writing | None,
        read_only: str | None,
        *,
        log: Log,
        clock: Callable[[], int],
        timer: Callable[[], float],
        options: MountOptions = MountOptions(),
    ) -> None:
        self.volume = volume
        self.label = volume.label
        self.read_only = read_only
        self.notes = [*volume.notes, *(writing.notes if writing is not None else ())]
        self._log = log
        self._clock = clock
        self._store = volume.store
        self._lock = threading.Condition(threading.RLock())
        self._handles: dict[int, Handle] = {}
        self._next_handle = 1
        self._writing = writing
        self._tree: Tree = Tree(volume.root_key) if writing is None else writing.namespace
        self._aliases: dict[str, Node] = {}
        self._closed = False
        self._scheduler: Scheduler | None = None
        if writing is not None:
            cycle = CommitCycle(writing, self._lock, clock)
            self._scheduler = Scheduler(
                writing.namespace,
                cycle,
                self._lock,
                options.commit,
                blocks_per_second=writing.store.blocks_per_second,
                timer=timer,
                log=log,
            )

    # -- life ----------------------------------------------------------------

    def start(self) -> None:
        """Start committing by itself. Call it in the process that stays."""
        if self._scheduler is not None:
            self._scheduler.start()

    def shutdown(self, progress: Callable[[int], None] | None = None) -> None:
        """Put everything on the disc and let go of the spool.

        Raises the error of the commit that failed, now or earlier; then the
        spool is kept. ``progress`` hears of blocks as they are written.
        """
        if self._closed:
            return
        self._closed = True
        if self._scheduler is None or self._writing is None:
            return
        if progress is not None:
            self._writing.committer.progress = progress
        safe = False
        try:
            self._scheduler.stop()
            safe = True
        finally:
            self._writing.spool.close(discard=safe)

    def close_disc(self, *, final: bool, progress: Callable[[float], None] | None = None) -> None:
        """Commit, write the final VAT and close the session; with ``final``
        nothing can be added ever after. The volume is read-only then."""
        scheduler = self._require_writing()
        scheduler.commit_now()
        scheduler.close_disc(final=final, progress=progress)
        self.read_only = "the disc has been closed"

    def sync(self, progress: Callable[[int], None] | None = None) -> None:
        """Make everything durable."""
        if self._scheduler is not None and self._writing is not None:
            if progress is not None:
                self._writing.committer.progress = progress
            self._scheduler.commit_now()

    def replay(self) -> None:
        """Take over what an earlier mount left in the spool."""
        assert self._writing is not None
        found = [s for s in self._writing.leftover if s]
        if not found:
            return
        try:
            count = self._writing.replay(self._fetch)
        except Exception as error:
            # Better read-only than half of it: the spool stays as it is.
            self.read_only = f"what an earlier mount left unsaved could not be replayed ({error})"
            self.notes.append(f"{self.read_only}; it is kept in {self._writing.spool.folder}")
            self._writing.spool.close(discard=False)
            self._writing = self._scheduler = None
            self._tree = Tree(self.volume.root_key)
            return
        if count:
            self.notes.append(
                f"{count} operations that an earlier mount had not put on the disc were taken over"
            )

    def notice_spool(self, spool: Path) -> None:
        """Say so if there is unsaved data for this disc, which is read-only."""
        folder = spool / folder_name(self.volume.identity)
        if any(folder.glob("*.log")):
            self.notes.append(
                f"there is unsaved data for this disc in {folder}; mount it for writing to save it"
            )

    # -- the lock, and fetching what is not in memory --------------------------

    def _locked(self, operation: Callable[[], T]) -> T:
        """Run ``operation`` under the lock; when it misses an inode, fetch
        that without the lock and run it again. An operation misses before it
        changes anything."""
        while True:
            try:
                with self._lock:
                    return operation()
            except Missing as missing:
                self._fetch(missing)

    def _changing(self, operation: Callable[[], T]) -> T:
        """The same for an operation that changes something: waits while too
        much is on its way to the disc; makes room once if the disc looks full."""
        scheduler = self._require_writing()
        scheduler.wait_for_room()
        try:
            return self._locked(operation)
        except NoSpaceError:
            if not scheduler.may_free_room():
                raise
        scheduler.commit_now()
        return self._locked(operation)

    def _require_writing(self) -> Scheduler:
        if self.read_only is not None or self._scheduler is None:
            raise ReadOnlyError(why=self.read_only or "nothing can be written")
        self._scheduler.check()
        return self._scheduler

    def _fetch(self, missing: Missing) -> None:
        while True:
            before = self._where(missing.key)
            if missing.names:
                directory = load_directory(self.volume, missing.key)
                with self._lock:
                    node = self._tree.nodes.get(missing.key)
                    if node is not None and node.directory is None:
                        node.directory = directory
                return
            node = load_node(self.volume, missing.key)
            with self._lock:
                if self._where(missing.key) == before:
                    self._tree.add(node)
                    return

    def _where(self, key: int) -> int:
        """Where an ICB is on the disc, to see whether it moved meanwhile."""
        vat = self.volume.vat
        number = key & 0xFFFFFFFF
        if vat is None or key >> 32 != self.volume.virtual_reference:
            return number
        return vat.entries[number] if number < len(vat.entries) else -1

    # -- paths -----------------------------------------------------------------

    def _node(self, path: str) -> Node:
        if path in self._aliases:
            return self._aliases[path]
        tree = self._tree
        node = tree.node(tree.root_key)
        for name in path.split("/"):
            if name:
                node = tree.node(self._entry(node, name, path).key)
        return node

    def _entry(self, node: Node, name: str, path: str) -> Entry:
        entry = self._names(node, path).entries.get(name)
        if entry is None:
            encode_name(name)  # a name that can never be there says so
            raise NoSuchEntryError(name=path)
        return entry

    def _names(self, node: Node, path: str) -> Directory:
        if not node.state.is_directory:
            raise NotADirectoryFault(name=path)
        return self._tree.directory(node)

    def _place(self, path: str) -> tuple[Node, str]:
        """The directory of a path, its names in memory, and the last name."""
        folder, _, name = path.rstrip("/").rpartition("/")
        if not name:
            raise InvalidOperationError(what="the root directory cannot be made or replaced")
        encode_name(name)
        node = self._node(folder or "/")
        self._names(node, folder)
        return node, name

    def _handle(self, handle: int) -> Handle:
        try:
            return self._handles[handle]
        except KeyError:
            raise BadHandleError(handle=handle) from None

    def _target(self, path: str, handle: int | None) -> Node:
        return self._node(path) if handle is None else self._handle(handle).node

    def _now(self) -> int:
        return self._clock() // 1000 * 1000

    # -- looking ---------------------------------------------------------------

    def getattr(self, path: str, handle: int | None = None) -> Attributes:
        """The attributes of what is at ``path`` or open as ``handle``."""
        return self._locked(lambda: self._attributes(self._target(path, handle)))

    def _attributes(self, node: Node) -> Attributes:
        state = node.state
        links = state.links + 1 if state.is_directory else state.links
        return Attributes(
            (node.key & 0xFFFFFFFF) + 2,
            state.mode,
            max(links, 0),
            state.uid,
            state.gid,
            state.device,
            state.size,
            _allocated(state) * (BLOCK // SECTOR),
            state.atime,
            state.mtime,
            state.ctime,
        )

    def readdir(self, path: str) -> list[tuple[str, int, int]]:
        """The names in a directory as (name, inode number, file type bits of
        the mode: only those of a directory are sure, 0 otherwise)."""

        def read() -> list[tuple[str, int, int]]:
            entries = self._names(self._node(path), path).entries
            return [
                (name, (e.key & 0xFFFFFFFF) + 2, stat.S_IFDIR if e.is_directory else 0)
                for name, e in entries.items()
            ]

        return self._locked(read)

    def readlink(self, path: str) -> str:
        """The target of a symbolic link."""

        def state_of_link() -> State:
            node = self._node(path)
            if not stat.S_ISLNK(node.state.mode):
                raise InvalidOperationError(what=f"{path} is not a symbolic link")
            return node.state

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
            check_links(parent)
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
        except NoSpaceError:
            space.vat.release(key & 0xFFFFFFFF)
            raise
        return space.node(key)

    def link(self, existing: str, new: str) -> None:
        """Give a file one more name."""

        def operation() -> None:
            assert self._writing is not None
            space = self._writing.namespace
            node = self._node(existing)
            if node.state.is_directory:
                raise NotPermittedError(what=f"{existing} is a directory; it has one name only")
            parent, name = self._place(new)
            if name in self._tree.directory(parent).entries:
                raise EntryExistsError(name=new)
            check_links(node)
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
                raise IsADirectoryFault(name=path)
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
                raise IsADirectoryFault(name=path)
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
                check_links(target)
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
                raise IsADirectoryFault(name=path)
            if self._tree.directory(other).entries:
                raise DirectoryNotEmptyError(name=path)
        elif node.state.is_directory:
            raise NotADirectoryFault(name=path)

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
                raise IsADirectoryFault(name=path)
            return self._open_node(node, flags)

        handle = self._locked(operation)
        if flags & os.O_TRUNC:
            self.truncate(path, 0, handle)
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
        with self._lock:
            node = self._handle(handle).node
            state = node.state
            size = min(size, state.size - offset)
            if size <= 0:
                return b""
            segments = _segments(state, offset, offset + size)
            for segment in segments:
                segment.readers += 1
            # Outside the lock the state may go on changing; what it is now
            # is read from a picture of it.
            picture = state if not segments else _picture(state)
        try:
            return read_content(picture, offset, size, self._store.read)
        finally:
            if segments:
                with self._lock:
                    for segment in segments:
                        segment.readers -= 1

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

        return self._changing(operation)

    def truncate(self, path: str, size: int, handle: int | None = None) -> None:
        """Set a file's size; what is added reads as zeros."""
        check_size(size)

        def operation() -> None:
            assert self._writing is not None
            node = self._target(path, handle)
            if node.state.is_directory:
                raise IsADirectoryFault(name=path)
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
                told["spool"] = str(self._writing.spool.folder)
            return told


def open_file_system(
    store: BlockStore,
    *,
    spool: Path,
    options: MountOptions = MountOptions(),
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
    if options.at is not None:
        why: str | None = "it is an old state"
    elif options.read_only:
        why = "it was mounted read-only"
    else:
        why = why_read_only(store, volume)
    if why is not None:
        file_system = FileSystem(volume, None, why, log=log, clock=clock, timer=timer)
        file_system.notice_spool(spool)
        return file_system
    assert isinstance(store, SequentialStore)
    writing = Writing(store, volume, spool, log)
    file_system = FileSystem(
        volume, writing, None, log=log, clock=clock, timer=timer, options=options
    )
    file_system.replay()
    return file_system


def _allocated(state: State) -> int:
    """Blocks that an inode takes on the disc, its ICB included."""
    blocks = 1
    for run in state.runs:
        if run.block >= 0:
            blocks += -(-run.length // BLOCK)
    if state.overlay is not None:
        blocks += state.overlay.blocks
    return blocks


def _segments(state: State, start: int, end: int) -> list[Any]:
    if state.overlay is None:
        return []
    return [p.segment for p in state.overlay.slices(start, end) if p.segment is not None]


def _picture(state: State) -> State:
    return state.thaw(state.epoch)


__all__ = ["Attributes", "FileSystem", "MountOptions", "Space", "open_file_system"]
