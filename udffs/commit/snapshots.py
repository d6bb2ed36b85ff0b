"""Pictures of the live tree for commits.

A commit freezes what changed, and programs go on; when it is on the disc, the
inodes are told where their content is now. Everything here happens under the
file system's lock.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

from udffs.commit import records
from udffs.commit.namespace import Frozen, Namespace
from udffs.commit.nodes import Node, State, cut_runs
from udffs.commit.overlay import Overlay, Piece, blocks_touched
from udffs.volume import Run
from udffs.volume.model import BLOCK

CARRIED_AT_ONCE = 1 << 20  # bytes moved under one hold of the lock


class Outcome(NamedTuple):
    """Where a commit put an inode's content."""

    node: Node
    state: State
    size: int
    embedded: bytes | None
    runs: tuple[Run, ...]


class CommittedNamespace(Namespace):
    """A live tree whose changes can be committed, one picture at a time."""

    def freeze(self) -> Frozen:
        """Take the picture that the next commit puts on the disc."""
        assert self.freezing is None
        self.freezing = Frozen(
            self.epoch,
            [(node, node.state) for node in self.dirty.values()],
            self.gone,
            self.counts(),
        )
        self.dirty = {}
        self.gone = set()
        self._rewritten = set()
        self.dirty_bytes = self.small_bytes = 0
        self.changed = False
        self.segment = self._spool.begin()
        self.reserve.freeze()
        return self.freezing

    # -- what a commit leaves out --------------------------------------------

    def carry(self, node: Node, start: int, end: int) -> int:
        """Move what the frozen epoch's journal holds of the bytes ``start`` to
        ``end`` of a file to the journal of the running epoch, some of it at
        once; returns the offset that was reached.

        For data that a commit leaves out. Replaying the running epoch onto
        the disc as it will be then must give the same file, whatever happened
        to it meanwhile: so only what is still part of it is journalled again,
        and after that its size and times (:meth:`carried`). All of it before
        the commit is on the disc, for then the frozen epoch is forgotten.
        """
        assert self.freezing is not None
        if self.nodes.get(node.key) is not node:
            return end  # deleted meanwhile
        limit = min(end, start + CARRIED_AT_ONCE)
        self.reserve.carry(self.cost_of(node))
        overlay = self.touch(node).overlay
        for piece in [] if overlay is None else list(overlay.slices(start, limit)):
            if piece.segment is not None and piece.segment.epoch <= self.freezing.epoch:
                assert overlay is not None
                self._carry_piece(node, overlay, piece)
        return limit

    def _carry_piece(self, node: Node, overlay: Overlay, piece: Piece) -> None:
        assert piece.segment is not None
        start, end = piece.start, piece.end
        data = piece.segment.read(piece.position, end - start)
        position = self.segment.append_data(data)
        time = node.state.mtime
        write = records.Write(node.key, start, len(data), position, zlib.crc32(data), time)
        self._journal(write)
        overlay.put(start, end, self.segment, position)
        blocks = blocks_touched(start, end)
        self.reserve.carry(blocks)
        self.dirty_bytes += blocks * BLOCK
        self.changed = True

    def carried(self, node: Node) -> None:
        """All data of a file that a commit leaves out was carried over."""
        if self.nodes.get(node.key) is not node:
            return
        s = self.touch(node)
        self._journal(
            records.Resize(node.key, s.size, s.mtime),
            records.Attributes(node.key, s.mode, s.uid, s.gid, s.atime, s.mtime, s.ctime),
        )
        self.changed = True

    # -- what a commit has done ------------------------------------------------

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Some of the frozen inodes are on the disc."""
        for outcome in outcomes:
            node, state = outcome.node, outcome.state
            if node.state is state:
                state.runs = outcome.runs
                state.embedded = outcome.embedded
                state.overlay = None
                if state.is_directory:
                    state.size = outcome.size
            else:
                self._settle_changed(node.state, outcome)
            if self.bridged and self.nodes.get(node.key) is node:
                self._recount(node)

    def _settle_changed(self, state: State, outcome: Outcome) -> None:
        assert self.freezing is not None
        if state.is_directory:
            state.runs = outcome.runs
            state.embedded = outcome.embedded
            state.size = outcome.size
            return
        state.runs = cut_runs(outcome.runs, state.floor)
        state.embedded = outcome.embedded
        if state.embedded is not None:
            state.embedded = state.embedded[: state.floor]
        if state.overlay is not None:
            state.overlay.drop_until(self.freezing.epoch)

    def thawed(self, vat_location: int) -> None:
        """The commit is complete: its segments are done with."""
        assert self.freezing is not None
        for node in self.orphans.values():
            self._pin(node, self.freezing.epoch)
        self._spool.committed(self.freezing.epoch, vat_location)
        self.freezing = None
        self.reap()
        self.trim()

    def _pin(self, node: Node, epoch: int) -> None:
        """Keep the segments that an unnamed but open file still reads from."""
        overlay = node.state.overlay
        if overlay is None:
            return
        held = {p.segment for p in overlay.pieces if p.segment and p.segment.epoch <= epoch}
        pinned = node.pinned = node.pinned or []
        for segment in held:
            if segment not in pinned:
                segment.readers += 1
                pinned.append(segment)
