"""A mounted volume: its lock, its paths, its life from opening to shutdown.

What :mod:`udffs.filesystem` builds its operations on. One lock guards the
live tree; it is never held while a disc is read or written. See DESIGN.md,
"Who may touch what".
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from udffs.commit.cycle import CommitCycle
from udffs.commit.loading import load_directory, load_node
from udffs.commit.nodes import Directory, Entry, Node
from udffs.commit.rewritable.opening import own_keys
from udffs.commit.scheduler import CommitOptions, Scheduler
from udffs.commit.spool import unsaved
from udffs.commit.tree import Missing, Tree
from udffs.commit.writing import Writing
from udffs.errors import (
    BadHandleError,
    InvalidOperationError,
    NoSpaceError,
    NoSuchEntryError,
    NotDirectoryError,
    ReadOnlyError,
)
from udffs.ondisc.text import encode_name
from udffs.volume import Volume

T = TypeVar("T")
Log = Callable[[str], None]


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


DEFAULTS = MountOptions()


class MountedVolume:
    """One mounted volume, without the operations on it."""

    def __init__(
        self,
        volume: Volume,
        writing: Writing | None,
        read_only: str | None,
        *,
        log: Log,
        clock: Callable[[], int],
        timer: Callable[[], float],
        options: MountOptions = DEFAULTS,
    ) -> None:
        self.volume = volume
        self.label = volume.label
        self._why_read_only = read_only
        self.notes = [*volume.notes, *(writing.notes if writing is not None else ())]
        self._log = log
        self._clock = clock
        self._store = volume.store
        self._lock = threading.Condition(threading.RLock())
        self._handles: dict[int, Handle] = {}
        self._next_handle = 1
        self._writing = writing
        self._reuses_blocks = writing is not None and writing.reuses_blocks
        self._own_keys = own_keys(volume) if writing is None else writing.own_keys
        self._tree: Tree = Tree(volume.root_key) if writing is None else writing.namespace
        self._aliases: dict[str, Node] = {}
        self._closed = False
        #: Opening this volume has completed a close that was broken off.
        self.close_completed = False
        self._scheduler: Scheduler | None = None
        if writing is not None:
            cycle = CommitCycle(writing, self._lock, clock)
            self._scheduler = Scheduler(
                writing.namespace,
                cycle,
                self._lock,
                options.commit,
                blocks_per_second=writing.blocks_per_second,
                timer=timer,
                log=log,
            )

    @property
    def read_only(self) -> str | None:
        """Why nothing can be written (any more), in words; None if something can."""
        if self._why_read_only is not None or self._scheduler is None:
            return self._why_read_only
        failure = self._scheduler.failure
        return None if failure is None else str(failure)

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
            if self._scheduler is not None:
                self._scheduler.check()
            return
        self._closed = True
        if self._scheduler is None or self._writing is None:
            return
        if progress is not None:
            self._writing.committer.progress = progress
        safe = False
        try:
            self._scheduler.stop()
            self._scheduler.finish()
            safe = True
        finally:
            self._writing.spool.close(discard=safe)

    def close_disc(
        self,
        *,
        final: bool,
        bridge: bool = False,
        progress: Callable[[float], None] | None = None,
    ) -> list[str]:
        """Commit, write the final VAT and close the session; with ``final``
        nothing can be added ever after. The volume is read-only then.

        A disc with a place for an ISO 9660 view gets it; with ``bridge`` any other
        gets one in a session of its own. Returns sentences about what of that view
        is not as the volume has it.
        """
        if self.close_completed:
            return []
        scheduler = self._require_writing()
        if self._writing is not None and not self._writing.closable:
            raise InvalidOperationError(
                what="a rewritable disc has nothing to close; it is complete when it is unmounted"
            )
        with self._lock:  # whoever comes later is refused; it would cost a new session
            self._why_read_only = "the disc is being closed"
        try:
            scheduler.commit_now()
            notes = scheduler.close_disc(final=final, bridge=bridge, progress=progress)
        except BaseException:
            self._why_read_only = None
            raise
        self._why_read_only = "the disc has been closed"
        return notes

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
            self._why_read_only = (
                f"what an earlier mount left unsaved could not be replayed ({error})"
            )
            self.notes.append(f"{self._why_read_only}; it is kept in {self._writing.spool.folder}")
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
        folder = unsaved(spool, self.volume.identity)
        if folder is not None:
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

    def _changing(self, operation: Callable[[], T], *, streaming: bool = False) -> T:
        """The same for an operation that changes something: waits while too
        much is on its way to the disc (``streaming`` a large file, sooner);
        makes room once if the disc looks full."""
        scheduler = self._require_writing()
        scheduler.wait_for_room(streaming=streaming)

        def checked() -> T:
            self._require_writing()  # the disc may have been closed while we waited
            return operation()

        try:
            return self._locked(checked)
        except NoSpaceError:
            if not scheduler.may_free_room():
                raise
        scheduler.commit_now()
        return self._locked(checked)

    def _require_writing(self) -> Scheduler:
        if self._why_read_only is not None or self._scheduler is None:
            raise ReadOnlyError(why=self._why_read_only or "nothing can be written")
        self._scheduler.check()
        return self._scheduler

    def _fetch(self, missing: Missing) -> None:
        while True:
            before = self._where(missing.key)
            if missing.names:
                directory = load_directory(self.volume, missing.key)
                with self._lock:
                    if self._where(missing.key) != before:
                        continue
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
        """Tells whether an ICB was written again while it was being read."""
        return 0 if self._writing is None else self._writing.where(key)

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
            raise NotDirectoryError(name=path)
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
