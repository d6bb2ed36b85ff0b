"""The live tree: inodes and directories as programs see them now.

Everything here happens under the file system's lock. Changes are operations
(:mod:`udffs.commit.records`): first journalled, then applied; replaying a
journal applies the same operations again. What is not in memory is not read
here: :class:`~udffs.commit.tree.Missing` asks the caller to fetch it.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Container, Sequence
from typing import NamedTuple, Protocol

from udffs.commit import records
from udffs.commit.nodes import Change, Directory, Entry, Node, State
from udffs.commit.plan import LONG_AD
from udffs.commit.promises import OF_NAMES, Promises
from udffs.commit.records import Operation
from udffs.commit.reserve import Room
from udffs.commit.spool import Segment, Spool
from udffs.commit.stream import DirectoryStream
from udffs.commit.vat import Counts
from udffs.errors import FileTooLargeError, NotPermittedError, TooManyLinksError
from udffs.ondisc import modes
from udffs.volume.model import BLOCK

OF_INODES = (records.Attributes, records.Write, records.Resize)
MAXIMUM_LINKS = 0xFFFF
MAXIMUM_COUNT = 0xFFFFFFFF  # of files; those of other systems may be wrong
SMALL_FILE = 1 << 20  # bytes; what is written beyond them is streamed
MAXIMUM_SIZE = 1 << 40  # bytes; keeps the descriptors of a hole within bounds


class Numbers(Protocol):
    """The logical block numbers of ICBs: which are in use, which come next."""

    @property
    def allocated(self) -> int:
        """How many there are with all that was allocated; what a VAT grows by."""
        ...

    def allocate(self) -> int:
        """A number that nothing uses. Raises NoSpaceError."""
        ...

    def take(self, number: int) -> None:
        """``number`` is in use, whatever the disc says."""
        ...

    def release(self, number: int) -> None:
        """No program uses ``number`` any more."""
        ...


class Frozen(NamedTuple):
    """What one commit is to put on the disc."""

    epoch: int
    states: list[tuple[Node, State]]
    gone: set[int]
    counts: Counts


class Namespace(Promises):
    """All inodes in memory, those that changed, and the journal."""

    def __init__(
        self,
        *,
        root_key: int,
        reference: int,
        numbers: Numbers,
        counts: Counts,
        reserve: Room,
        spool: Spool,
        descriptor_version: int,
        fixed: Container[int] = (),
        most_rewritten: int | None = None,
    ) -> None:
        """``reference`` is the partition that ICBs lie in, by the ``numbers``
        of their blocks. The inodes with the keys ``fixed`` are not for
        programs to change. ``most_rewritten`` bounds how many ICBs that are on
        the disc a commit may have to rewrite at their places (None: they move)."""
        super().__init__(root_key, reserve)
        self._reference = reference
        self.numbers = numbers
        self._fixed = fixed
        self._most_rewritten = most_rewritten
        self._rewritten: set[int] = set()
        self._files = counts.files
        self._directories = counts.directories
        self.next_unique_id = counts.next_unique_id
        self._spool = spool
        self._version = descriptor_version
        self.gone: set[int] = set()
        self.freezing: Frozen | None = None
        self.dirty_bytes = 0
        self.small_bytes = 0
        self.changed = False
        self.changes = 0  # how many there were, ever: tells whether all is quiet
        self.segment: Segment = spool.begin()
        reserve.grow_table(numbers.allocated)

    @property
    def epoch(self) -> int:
        return self.segment.epoch

    @property
    def frozen_epoch(self) -> int:
        return -1 if self.freezing is None else self.freezing.epoch

    @property
    def crowded(self) -> bool:
        """Whether what changed is all that one commit may rewrite in place."""
        return self._most_rewritten is not None and len(self._rewritten) >= self._most_rewritten

    # -- changing: journal, then apply -------------------------------------

    def transact(self, operations: Sequence[Operation]) -> None:
        """Journal one transaction and apply it. Raises Missing and
        NoSpaceError before anything has happened."""
        self._check_loaded(operations)
        self._promise(operations)
        self._journal(*operations)
        self._apply_all(operations)

    def _journal(self, *operations: Operation) -> None:
        # What happens to a file without a name ends with this process.
        lasting = [o for o in operations if getattr(o, "key", None) not in self.orphans]
        if lasting:
            self.segment.append(lasting)

    def replay(self, operations: Sequence[Operation], segment: Segment) -> None:
        """Apply a journalled transaction; the data of a write lies in
        ``segment``. Raises Missing before any of its effects if an inode must
        be fetched. Room is not asked for: that was done the first time."""
        self._check_loaded(operations)
        for operation in operations:
            if isinstance(operation, records.Write):
                node = self.node(operation.key)
                end = operation.offset + operation.length
                self.reserve.carry(self._cost_of_write(node, node.state, operation.offset, end))
                self._apply_write(operation, node, segment)
                if self.bridged:
                    self._recount(node)
            else:
                self.reserve.carry(self._cost(operation))
                self._APPLY[type(operation)](self, operation)
        self.changed = True
        self.changes += 1
        # As it was then: the number of a deleted inode may be used again.
        self.reap()

    def _apply_all(self, operations: Sequence[Operation]) -> None:
        for operation in operations:
            self._APPLY[type(operation)](self, operation)
        self.changed = True
        self.changes += 1

    def _check_loaded(self, operations: Sequence[Operation]) -> None:
        born = {o.key for o in operations if isinstance(o, records.New)}
        for operation in operations:
            if isinstance(operation, OF_NAMES):
                if operation.directory not in born:
                    node = self._changeable(operation.directory)
                    directory = self.directory(node)
                    if isinstance(operation, records.Leave):
                        entry = directory.entries.get(operation.name.decode())
                        if entry is not None and entry.key not in born:
                            self._changeable(entry.key, leaves=True)
                if isinstance(operation, records.Enter) and operation.key not in born:
                    self._changeable(operation.key)
            elif isinstance(operation, OF_INODES):
                self._changeable(operation.key)

    def _changeable(self, key: int, *, leaves: bool = False) -> Node:
        """The inode ``key``. Raises Missing, and NotPermittedError if its ICB
        is not in the partition whose ICBs we can write, or too full to be
        written again (unless it ``leaves`` by its last name)."""
        if key in self._fixed:
            raise NotPermittedError(what="this belongs to the file system itself")
        if key >> 32 != self._reference:
            raise NotPermittedError(what="another program has recorded this at a fixed place")
        node = self.node(key)
        if node.state.room < LONG_AD and not (leaves and node.state.links <= 1):
            raise NotPermittedError(what="its extended attributes leave no room for its content")
        return node

    def _in_use(self, node: Node) -> bool:
        return (
            super()._in_use(node)
            or node.key in self.dirty
            or node.state.epoch in (self.frozen_epoch, self.epoch)
        )

    def touch(self, node: Node) -> State:
        """The state of ``node`` that may be changed now."""
        state = node.state
        if state.epoch == self.epoch:
            return state
        freezing = self.freezing
        if freezing is not None and state.epoch == freezing.epoch:
            state = node.state = state.thaw(self.epoch)
        else:
            state.epoch = self.epoch
            state.floor = state.size
        if node.key not in self.orphans:
            self.dirty[node.key] = node
            if self._most_rewritten is not None:
                self._rewritten.add(node.key)
        return state

    # -- operations --------------------------------------------------------

    def new_key(self) -> int:
        """The key of an inode to be: a number nobody uses. Raises NoSpaceError."""
        number = self.numbers.allocate()
        self.reserve.grow_table(self.numbers.allocated)
        return self._reference << 32 | number

    def new_unique_id(self) -> int:
        """The next unique id (UDF 3.2.1.1); a name needs one of its own."""
        unique_id = self.next_unique_id
        self.next_unique_id += 1
        return unique_id

    def write(self, node: Node, offset: int, data: bytes, now: int) -> None:
        """Journal and apply a write. Raises NoSpaceError."""
        self._changeable(node.key)
        end = offset + len(data)
        part = self._promise_write(node, offset, end, self.segment)
        position = self.segment.append_data(data)
        checksum = zlib.crc32(data)
        write = records.Write(node.key, offset, len(data), position, checksum, now)
        self._journal(write)
        self._apply_write(write, node, self.segment)
        if part is None:
            self._recount(node)
        else:
            self._set_part(node, part)

    def _apply_write(
        self, write: records.Write, node: Node | None = None, segment: Segment | None = None
    ) -> None:
        node = node or self.node(write.key)
        state = self.touch(node)
        end = write.offset + write.length
        grown = state.write(write.offset, end, segment or self.segment, write.position)
        self.dirty_bytes += grown * BLOCK
        if write.offset < SMALL_FILE:
            self.small_bytes += grown * BLOCK
        state.mtime = state.ctime = write.time
        self.changed = True
        self.changes += 1

    def _apply_new(self, new: records.New) -> None:
        number = new.key & 0xFFFFFFFF
        self.numbers.take(number)
        self.reserve.grow_table(self.numbers.allocated)
        self.next_unique_id = max(self.next_unique_id, new.unique_id + 1)
        state = State(
            epoch=self.epoch, mode=new.mode, uid=new.uid, gid=new.gid, unique_id=new.unique_id
        )
        state.device = new.device
        state.atime = state.mtime = state.ctime = new.time
        if stat.S_ISCHR(new.mode) or stat.S_ISBLK(new.mode):
            state.attributes = modes.build_device(
                os.major(new.device), os.minor(new.device), location=number, version=self._version
            )
        state.embedded = new.content
        state.size = state.floor = len(new.content)
        node = Node(new.key, state)
        if state.is_directory:
            node.directory = Directory({})
            node.directory.stream = DirectoryStream(
                version=self._version, parent=0, parent_unique_id=0
            )
            self._directories += 1
        else:
            self._files += 1
        self.nodes[new.key] = node
        self.dirty[new.key] = node
        self.gone.discard(new.key)
        if self.bridged and not stat.S_ISREG(new.mode):  # an empty file costs nothing
            self._recount(node)

    def _apply_attributes(self, change: records.Attributes) -> None:
        state = self.touch(self.node(change.key))
        state.mode = stat.S_IFMT(state.mode) | stat.S_IMODE(change.mode)
        state.uid, state.gid = change.uid, change.gid
        state.atime, state.mtime, state.ctime = change.atime, change.mtime, change.ctime

    def _apply_resize(self, change: records.Resize) -> None:
        node = self.node(change.key)
        state = self.touch(node)
        grown = state.resize(change.size)
        self.dirty_bytes += grown * BLOCK
        state.mtime = state.ctime = change.time
        if self.bridged:
            self._recount(node)

    def _apply_enter(self, change: records.Enter) -> None:
        parent, child = self.node(change.directory), self.node(change.key)
        directory = self.directory(parent)
        child_state = self.touch(child)
        entry = Entry(child.key, child_state.is_directory, change.unique_id)
        directory.entries[change.name.decode()] = entry
        directory.changes.append(Change(self.epoch, change.name.decode(), entry))
        self.next_unique_id = max(self.next_unique_id, change.unique_id + 1)
        parent_state = self.touch(parent)
        parent_state.mtime = parent_state.ctime = change.time
        child_state.links += 1
        child_state.ctime = change.time
        if child_state.is_directory:
            child_state.parent = (parent.key, parent_state.unique_id)
            parent_state.links += 1  # the child's parent FID
        self._adopt_orphan(child)
        if self.bridged:
            self._name_came(change.name, child)

    def _adopt_orphan(self, child: Node) -> None:
        if child.key in self.orphans:
            del self.orphans[child.key]
            self.gone.discard(child.key)
            self.dirty[child.key] = child
            if self.bridged:
                self._recount(child)

    def _apply_leave(self, change: records.Leave) -> None:
        parent = self.node(change.directory)
        directory = self.directory(parent)
        entry = directory.entries.pop(change.name.decode())
        directory.changes.append(Change(self.epoch, change.name.decode(), None))
        parent_state = self.touch(parent)
        parent_state.mtime = parent_state.ctime = change.time
        child = self.node(entry.key)
        child_state = self.touch(child)
        # Counts of other systems may be wrong: they must not go below what the
        # disc can hold, and a directory has one name whatever its count says.
        child_state.links = max(0, child_state.links - 1)
        child_state.ctime = change.time
        if child_state.is_directory:
            parent_state.links = max(1, parent_state.links - 1)
        if child_state.is_directory or child_state.links == 0:
            self._orphan(child)
        if self.bridged:
            self._name_went(change.name, child)

    def _orphan(self, node: Node) -> None:
        """The last name is gone; the inode lives on while it is open."""
        self.gone.add(node.key)
        self.dirty.pop(node.key, None)
        self._rewritten.discard(node.key)
        self.orphans[node.key] = node
        self.numbers.take(node.key & 0xFFFFFFFF)

    def reap(self) -> None:
        """Forget the inodes that have neither a name nor a handle."""
        for node in [n for n in self.orphans.values() if not n.handles]:
            del self.orphans[node.key]
            if self.nodes.get(node.key) is node:
                del self.nodes[node.key]
            if node.state.is_directory:
                self._directories -= 1
            else:
                self._files -= 1
            self._unpin(node)
            self.numbers.release(node.key & 0xFFFFFFFF)

    _APPLY: dict[type, Callable[..., None]] = {
        records.Begin: lambda _self, _operation: None,
        records.Intent: lambda _self, _operation: None,
        records.New: _apply_new,
        records.Attributes: _apply_attributes,
        records.Write: _apply_write,
        records.Resize: _apply_resize,
        records.Enter: _apply_enter,
        records.Leave: _apply_leave,
    }

    # -- what is left of it ------------------------------------------------

    def counts(self) -> Counts:
        """What a VAT written now tells about the volume."""
        orphans = [node.state.is_directory for node in self.orphans.values()]
        return Counts(
            min(max(0, self._files - orphans.count(False)), MAXIMUM_COUNT),
            min(max(1, self._directories - orphans.count(True)), MAXIMUM_COUNT),
            self.next_unique_id,
            self.reserve.bridge,
        )

    def _unpin(self, node: Node) -> None:
        for segment in node.pinned or ():
            segment.readers -= 1
        node.pinned = None


def check_links(node: Node, path: str) -> None:
    """Raises TooManyLinksError, which names ``path``, where UDF's 16-bit
    count is at its end."""
    if node.state.links >= MAXIMUM_LINKS:
        raise TooManyLinksError(name=path)


def check_size(size: int) -> None:
    """Raises FileTooLargeError above 1 TiB."""
    if size > MAXIMUM_SIZE:
        raise FileTooLargeError(name="")
