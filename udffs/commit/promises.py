"""What changes may cost: room that is promised to them before anything happens.

Everything here happens under the file system's lock. Two things are counted:
the blocks that the next commit may have to write, and what closing writes for
the bridge, if one is to come. The latter is a sum over the names and inodes
of the live tree (:mod:`udffs.commit.bridge.cost`), of which each inode in memory
knows its own part; what is in no directory has none.
"""

from __future__ import annotations

from collections.abc import Sequence

from udffs.commit import records
from udffs.commit.bridge.cost import name_cost, new_cost, state_cost, write_cost
from udffs.commit.nodes import Node, State
from udffs.commit.records import Operation
from udffs.commit.reserve import Room
from udffs.commit.spool import Segment
from udffs.commit.tree import Tree
from udffs.errors import NoSpaceError
from udffs.volume.model import BLOCK

OF_NAMES = (records.Enter, records.Leave)
NAME_COST = 2  # blocks of a directory that one name may touch
RUNS_IN_BLOCK = 50  # of descriptors; holes between them need one each as well
HOLE_PER_BLOCK = 100 << 30  # bytes of a hole that one block of descriptors maps


class Promises(Tree):
    """A tree that knows what changes cost."""

    def __init__(self, root_key: int, reserve: Room) -> None:
        super().__init__(root_key)
        self.reserve = reserve
        self.dirty: dict[int, Node] = {}
        self.bridged = reserve.bridge is not None

    @property
    def epoch(self) -> int:
        """The epoch that changes belong to."""
        raise NotImplementedError

    @property
    def frozen_epoch(self) -> int:
        """The epoch of the commit under way, -1 if there is none."""
        raise NotImplementedError

    def _promise(self, operations: Sequence[Operation]) -> None:
        blocks = bridge = 0
        for operation in operations:
            blocks += self._cost(operation)
            if self.bridged:
                bridge += self._growth(operation)
        if not blocks and bridge <= 0:
            return
        deleting = all(self._frees(operation) for operation in operations)
        try:
            self.reserve.promise(blocks, bridge=bridge, deleting=deleting)
        except NoSpaceError:
            self._forget_claims(operations)
            raise

    def _promise_write(self, node: Node, offset: int, end: int, segment: Segment) -> int | None:
        """What the node's part of the bridge's cost is when that has been written, if it is
        known already."""
        after: int | None = 0
        growth = 0
        if self.bridged and node.key not in self.orphans:
            after = write_cost(node.state, offset, end)
            most = self._most_after(node, offset, end, segment) if after is None else after
            growth = most - node.cost
        self.reserve.promise(self._cost_of_write(node, node.state, offset, end), bridge=growth)
        return after

    def _frees(self, operation: Operation) -> bool:
        """Whether it takes something away."""
        if isinstance(operation, records.Resize):
            return operation.size < self.node(operation.key).state.size
        return isinstance(operation, records.Leave)

    def _forget_claims(self, operations: Sequence[Operation]) -> None:
        """What directories claimed for names that did not come is not theirs."""
        for operation in operations:
            if isinstance(operation, OF_NAMES):
                parent = self.nodes.get(operation.directory)
                if parent is not None and parent.directory is not None:
                    parent.directory.claimed_epoch = -1

    # -- what a commit may have to write -----------------------------------------

    def _cost(self, operation: Operation) -> int:
        if isinstance(operation, records.New):
            return 3 + len(operation.content) // BLOCK
        if isinstance(operation, records.Resize):
            return self.cost_of(self.node(operation.key)) + 1 + operation.size // HOLE_PER_BLOCK
        if isinstance(operation, records.Attributes):
            return self.cost_of(self.node(operation.key))
        if isinstance(operation, OF_NAMES):
            parent = self.nodes.get(operation.directory)
            return NAME_COST if parent is None else self.cost_of_name(parent) + 1
        return 0

    def cost_of(self, node: Node) -> int:
        """Blocks that changing this inode adds to what must be written."""
        if node.state.epoch == self.epoch and node.key in self.dirty:
            return 0
        return 2 + len(node.state.runs) // RUNS_IN_BLOCK

    def cost_of_name(self, node: Node) -> int:
        """Blocks that a changed name in this directory adds at most."""
        directory = node.directory
        assert directory is not None
        if directory.claimed_epoch != self.epoch:
            directory.claimed_epoch, directory.claimed = self.epoch, 0
        most = node.state.size // BLOCK + 2 + len(directory.changes) // 16
        more = min(NAME_COST, max(0, most - directory.claimed))
        directory.claimed += more
        return more + self.cost_of(node)

    def _cost_of_write(self, node: Node, state: State, offset: int, end: int) -> int:
        first, last = offset // BLOCK, (end - 1) // BLOCK
        blocks = last - first + 1
        if state.size % BLOCK and offset > state.size:
            blocks += 1
        overlay = state.overlay
        if overlay is not None and overlay.pieces and offset <= overlay.pieces[-1].end:
            # What a commit under way is writing must be written once more.
            blocks -= overlay.covered_blocks(offset, end, self.frozen_epoch)
        if state.embedded:
            blocks += 1
        return blocks + self._cost_of_piece(state, offset) + self.cost_of(node)

    def _cost_of_piece(self, state: State, offset: int) -> int:
        """Blocks of descriptors for a piece of its own that a write may be: one
        for each so many."""
        pieces = [] if state.overlay is None else state.overlay.pieces
        if not pieces or offset == pieces[-1].end:
            return 0
        return len(pieces) % RUNS_IN_BLOCK == RUNS_IN_BLOCK - 1

    # -- what the bridge costs -----------------------------------------------------

    def add(self, node: Node) -> None:
        if self.bridged:
            node.cost = state_cost(node.state)
        super().add(node)

    def _recount(self, node: Node) -> None:
        """An inode has changed; its part of the cost follows."""
        self._set_part(node, 0 if node.key in self.orphans else state_cost(node.state))

    def _set_part(self, node: Node, part: int) -> None:
        if part != node.cost:
            self.reserve.grow_bridge(part - node.cost)
            node.cost = part

    def _name_came(self, name: bytes, child: Node) -> None:
        self.reserve.grow_bridge(name_cost(name))
        if child.cost:
            self._recount(child)

    def _name_went(self, name: bytes, child: Node) -> None:
        self.reserve.grow_bridge(-name_cost(name))
        if child.cost:
            self._recount(child)

    def _growth(self, operation: Operation) -> int:
        """By how much the bridge costs more at most after an operation."""
        if isinstance(operation, records.New):
            return new_cost(operation.mode, len(operation.content))
        if isinstance(operation, records.Enter):
            child = self.nodes.get(operation.key)
            more = 0 if child is None else state_cost(child.state, names=1) - child.cost
            return name_cost(operation.name) + more
        if isinstance(operation, records.Leave):
            return -name_cost(operation.name)
        if isinstance(operation, records.Resize):
            return self._growth_by_resize(self.node(operation.key), operation.size)
        return 0

    def _growth_by_resize(self, node: Node, size: int) -> int:
        if node.key in self.orphans or not size:
            return -node.cost
        twin = node.state.thaw(self.epoch)
        twin.resize(size)
        return state_cost(twin) - node.cost

    def _most_after(self, node: Node, offset: int, end: int, segment: Segment) -> int:
        """What an inode costs at most when that has been written."""
        twin = node.state.thaw(self.epoch)
        twin.write(offset, end, segment, -1)  # a piece of its own, whatever lies before it
        return state_cost(twin)
