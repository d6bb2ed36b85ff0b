"""Inodes in memory: what programs see, on the disc or not yet.

A :class:`Node` is one inode; its :class:`State` is what a commit takes a
picture of. A commit freezes a set of states; the first change after that
gives the node a new state of its own (:meth:`State.thaw`), so that programs
go on while the frozen states are on their way to the disc.

Reading goes through three layers: the overlay (in the spool), then what is
embedded in the ICB or lies in runs of blocks on the disc, then zeros.
"""

from __future__ import annotations

import stat
from collections import deque
from typing import NamedTuple

from udffs.commit.overlay import Overlay
from udffs.commit.spool import Segment
from udffs.commit.stream import DirectoryStream
from udffs.ondisc import hot
from udffs.volume import Run
from udffs.volume.model import BLOCK


class State:
    """The attributes and the content of an inode at one epoch."""

    __slots__ = (
        "atime",
        "attributes",
        "ctime",
        "device",
        "embedded",
        "epoch",
        "extension",
        "extent",
        "floor",
        "gid",
        "links",
        "mode",
        "mtime",
        "overlay",
        "parent",
        "runs",
        "size",
        "uid",
        "unique_id",
    )

    def __init__(self, *, epoch: int, mode: int, uid: int, gid: int, unique_id: int) -> None:
        self.epoch = epoch
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.unique_id = unique_id
        self.links = 0  # file identifier descriptors that point here
        self.device = 0
        self.atime = self.mtime = self.ctime = 0
        self.size = 0
        self.attributes = b""  # extended attribute space, as it is on the disc
        # What another system's extended file entry says beyond a file entry.
        self.extension: hot.Extension | None = None
        self.embedded: bytes | None = None
        self.runs: tuple[Run, ...] = ()
        self.overlay: Overlay | None = None
        # Runs and what the bridge's cost knows of them (bridge/cost.py).
        self.extent: tuple[tuple[Run, ...], Extent] | None = None
        # Of a directory: the key and the unique id of the one it is in, where
        # that may differ from what its parent FID on the disc says.
        self.parent: tuple[int, int] | None = None
        # The smallest size since this state left the one before: what a
        # commit of the earlier state puts on the disc is valid up to here.
        self.floor = 0

    def thaw(self, epoch: int) -> State:
        """A copy that may change while this state is being committed."""
        twin = State.__new__(State)
        for name in State.__slots__:
            setattr(twin, name, getattr(self, name))
        twin.epoch = epoch
        twin.floor = self.size
        if self.overlay is not None:
            twin.overlay = self.overlay.copy()
        return twin

    def part(self, start: int, end: int) -> State:
        """A picture of the content from ``start`` to ``end`` and of nothing
        else, to be read while this state goes on changing."""
        twin = State.__new__(State)
        twin.embedded, twin.runs = self.embedded, self.runs
        twin.size = self.size
        twin.overlay = None if self.overlay is None else self.overlay.part(start, end)
        return twin

    def segments(self) -> list[Segment]:
        """The segments of the spool that hold some of the content."""
        if not self.overlay:
            return []
        return [p.segment for p in self.overlay.pieces if p.segment is not None]

    @property
    def room(self) -> int:
        """Bytes that fit into the ICB behind the extended attributes."""
        extended = self.extension is not None
        return (hot.MAX_EMBEDDED_EXTENDED if extended else hot.MAX_EMBEDDED) - len(self.attributes)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    def resize(self, size: int) -> int:
        """Set the size; returns how many more blocks must now be written.

        Growing over a partly filled last block makes the rest of that block
        zeros that have to be written; whole blocks in between are a hole.
        """
        grown = 0
        if size < self.size:
            self.floor = min(self.floor, size)
            self.runs = cut_runs(self.runs, size)
            if self.embedded is not None:
                self.embedded = self.embedded[:size]
            if self.overlay is not None:
                self.overlay.truncate(size)
        elif size > self.size and self.size % BLOCK:
            grown = self.zero(self.size, min(size, -(-self.size // BLOCK) * BLOCK))
        self.size = size
        return grown

    def write(self, start: int, end: int, segment: Segment | None, position: int) -> int:
        """Let a range come from ``segment`` at ``position``; returns how many more blocks
        must now be written, without what is zeros between the old end and it."""
        if end > self.size:
            if start > self.size:
                self.resize(start)
            self.size = end
        if self.overlay is None:
            self.overlay = Overlay()
        return self.overlay.put(start, end, segment, position)

    def zero(self, start: int, end: int) -> int:
        """Make a range read as zeros; returns the blocks that adds."""
        if self.overlay is None:
            self.overlay = Overlay()
        return self.overlay.put(start, end, None, 0)


class Extent(NamedTuple):
    """Where the runs of a file lie, in sum. A hole behind the last one is not counted."""

    sections: int  # with the holes between them; adjacent runs are one
    runs: int  # that are recorded
    recorded: int  # blocks
    holes: int  # blocks
    longest: int  # blocks of the longest hole
    end: int  # bytes, of the last run


def same_runs(one: State, other: State) -> bool:
    """Whether both have their content in the same blocks of the disc."""
    return one.runs is other.runs or one.runs == other.runs


def cut_runs(runs: tuple[Run, ...], size: int) -> tuple[Run, ...]:
    """The runs of a file, cut to its first ``size`` bytes."""
    if not runs or runs[-1].offset + runs[-1].length <= size:
        return runs
    return tuple(
        run if run.offset + run.length <= size else run._replace(length=size - run.offset)
        for run in runs
        if run.offset < size
    )


class Entry(NamedTuple):
    """What a name in a directory stands for."""

    key: int
    is_directory: bool
    unique_id: int


class Change(NamedTuple):
    """One step of a directory's history since the last commit."""

    epoch: int
    name: str
    entry: Entry | None  # None: the name is gone


class Directory:
    """The names in a directory, and what a commit still has to do about them.

    ``entries`` and ``changes`` belong to the file system's lock; ``stream``,
    the directory's bytes on the disc, belongs to the committer alone.
    """

    __slots__ = ("changes", "claimed", "claimed_epoch", "entries", "stream")

    def __init__(self, entries: dict[str, Entry]) -> None:
        self.entries = entries
        self.changes: deque[Change] = deque()
        self.stream: DirectoryStream | None = None
        self.claimed = 0
        self.claimed_epoch = -1


class Node:
    """One inode: its identity while anybody knows it."""

    __slots__ = ("cost", "directory", "handles", "key", "pinned", "state")

    def __init__(self, key: int, state: State, directory: Directory | None = None) -> None:
        self.key = key
        self.state = state
        self.directory = directory
        self.handles = 0
        self.pinned: list[Segment] | None = None
        self.cost = 0  # its part of what the bridge costs, where there is one
