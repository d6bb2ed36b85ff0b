"""All that writing to one volume needs, put together.

:class:`Writing` is what the two kinds of discs have in common; what differs
is in :mod:`udffs.commit.write_once` and :mod:`udffs.commit.rewritable.opening`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

from media.store import BlockStore
from udffs.commit import records
from udffs.commit.loading import load_stream
from udffs.commit.namespace import Numbers
from udffs.commit.nodes import Node
from udffs.commit.prepare import Prepared
from udffs.commit.reserve import Room
from udffs.commit.sequential import Committed, Journal
from udffs.commit.snapshots import CommittedNamespace
from udffs.commit.spool import Segment, Spool, folder_name
from udffs.commit.stream import DirectoryStream
from udffs.commit.tree import Missing
from udffs.commit.vat import Counts
from udffs.errors import SpoolMovedOnError
from udffs.volume import Volume

Log = Callable[[str], None]


class Committer(Protocol):
    """Puts commits on the disc. One thread at a time."""

    progress: Callable[[int], None]

    def commit(
        self,
        prepared: Prepared,
        gone: set[int],
        counts: Counts,
        *,
        now: int,
        journal: Journal,
    ) -> Committed:
        """When this returns, everything in ``prepared`` is durable but for
        what was deferred. ``gone`` are numbers of ICBs no longer in use."""
        ...


class Writing:
    """The live tree of a volume, its spool, and the way to its disc."""

    #: Whether closing the disc means anything
    closable = False
    #: Whether blocks that were freed are written again while this mount lasts
    reuses_blocks = False
    #: Places next to each other at which a reader may find the same commit
    copies = 1

    def __init__(
        self,
        volume: Volume,
        spool: Path,
        *,
        reserve: Room,
        numbers: Numbers,
        counts: Counts,
        version: int,
        position: int,
        reference: int,
        most_rewritten: int | None = None,
        own_keys: Collection[int] = (),
    ) -> None:
        """``position`` tells the last commit on the disc from all others;
        ``version`` is that of descriptors, 2 or 3; the inodes ``own_keys``
        are the file system's and not for programs."""
        self.volume = volume
        self.own_keys = own_keys
        self.store: BlockStore = volume.store
        self.version = version
        self.reserve = reserve
        self.notes: list[str] = []
        self.spool = Spool(spool / folder_name(volume.identity), base=position, copies=self.copies)
        leftover = self.spool.leftover(position)
        if leftover.moved_on:
            where = self.spool.set_aside()
            self.notes.append(str(SpoolMovedOnError(where=where)))
        self.leftover: list[Segment] = [] if leftover.moved_on else leftover.segments
        self.namespace = CommittedNamespace(
            root_key=volume.root_key,
            reference=reference,
            numbers=numbers,
            counts=counts,
            reserve=reserve,
            spool=self.spool,
            descriptor_version=version,
            most_rewritten=most_rewritten,
            fixed=own_keys,
        )

    # -- what differs from disc to disc ----------------------------------------

    @property
    def committer(self) -> Committer:
        raise NotImplementedError

    @property
    def blocks_per_second(self) -> float | None:
        """What the drive writes in a second, if that is known."""
        raise NotImplementedError

    def committed(self, location: int, gone: set[int]) -> None:
        """A commit is on the disc, and the ICBs ``gone`` are no longer there.
        Under the file system's lock."""
        raise NotImplementedError

    def update_room(self) -> None:
        """What is free may have changed. Under the file system's lock."""
        raise NotImplementedError

    def where(self, key: int) -> int:
        """Changes when the ICB of an inode does: what was read meanwhile may be old."""
        raise NotImplementedError

    def finish(self, counts: Counts, now: int) -> None:
        """Leave the disc as other systems expect it; nothing is uncommitted."""

    def close(
        self,
        counts: Counts,
        *,
        now: int,
        final: bool,
        bridge: bool,
        journal: Journal,
        progress: Callable[[float], None] | None,
    ) -> tuple[int, list[str]]:
        """Close the session (or for good), with ``bridge`` so that it has an ISO 9660
        view even if there is no place for it yet; returns where the last commit is,
        and sentences about that view."""
        raise NotImplementedError

    # -- what they have in common ------------------------------------------------

    def load_stream(self, node: Node) -> DirectoryStream:
        """A directory's bytes on the disc."""
        return load_stream(self.volume, node.key, self.version)

    def replay(self, fetch: Callable[[Missing], None]) -> int:
        """Apply what an earlier mount left in the spool. Returns the number
        of operations; ``fetch`` brings missing inodes into memory."""
        count = 0
        for segment in self.leftover:
            for transaction in segment.replay():
                operations = [
                    o for o in transaction if not isinstance(o, records.Begin | records.Intent)
                ]
                while operations:
                    try:
                        self.namespace.replay(operations, segment)
                    except Missing as missing:
                        fetch(missing)
                        continue
                    break
                count += len(operations)
        self.leftover = []
        return count
