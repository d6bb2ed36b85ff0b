"""One commit from beginning to end: freeze, prepare, write, settle.

The file system's lock is held only for moments: to freeze, and slice by slice
to settle. Whoever calls :meth:`CommitCycle.run` does so from one thread at a
time.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition

from udffs.commit.nodes import Node
from udffs.commit.prepare import Prepared, prepare
from udffs.commit.sequential import Committed, Deferred
from udffs.commit.snapshots import Outcome
from udffs.commit.writing import Writing
from udffs.volume.model import BLOCK

SLICE = 256  # inodes settled under one hold of the lock


class CommitCycle:
    """Runs the commits of one volume under the lock of its file system."""

    def __init__(self, writing: Writing, lock: Condition, clock: Callable[[], int]) -> None:
        self._writing = writing
        self._lock = lock
        self._clock = clock
        self.commits = 0
        self.blocks_written = 0

    def run(self, must_yield: Callable[[], bool] = lambda: False) -> set[int]:
        """Put everything that changed until now on the disc, but for data of
        large files that is deferred when ``must_yield()`` says so. Returns
        the keys of inodes with deferred data. Raises what the store raises;
        then the frozen states stay frozen and the spool has everything."""
        writing = self._writing
        with self._lock:
            if not writing.namespace.changed:
                return set()
            frozen = writing.namespace.freeze()
        prepared = prepare(frozen, writing.store.read, writing.load_stream)
        committed = writing.committer.commit(
            prepared,
            {key & 0xFFFFFFFF for key in frozen.gone},
            frozen.counts,
            now=self._clock(),
            journal=_Journal(writing, self._lock, frozen.epoch, prepared, must_yield),
        )
        self._settle(prepared, committed)
        self.commits += 1
        self.blocks_written += committed.blocks
        self._finish(committed.location, frozen.gone)
        reference = writing.namespace.root_key >> 32 << 32
        return {reference | number for number in committed.deferred}

    def close(
        self, *, final: bool, bridge: bool, progress: Callable[[float], None] | None
    ) -> list[str]:
        """Write what closing needs and close the session (and the disc); returns
        what there is to say about its ISO 9660 view."""
        writing = self._writing
        with self._lock:
            counts = writing.namespace.counts()
            epoch = writing.namespace.epoch
        location, notes = writing.close(
            counts,
            now=self._clock(),
            final=final,
            bridge=bridge,
            journal=_Journal(writing, self._lock, epoch, Prepared(), lambda: False),
            progress=progress,
        )
        with self._lock:
            writing.spool.committed(epoch - 1, location)
            writing.update_room()
        return notes

    def finish(self) -> None:
        """Leave the disc as other systems expect it. Nothing must be uncommitted."""
        with self._lock:
            counts = self._writing.namespace.counts()
        self._writing.finish(counts, self._clock())

    def _settle(self, prepared: Prepared, committed: Committed) -> None:
        outcomes: list[Outcome] = []
        for (node, state), place in zip(prepared.nodes, committed.placed, strict=True):
            job = place.job
            embedded = None if state.is_directory else job.embedded
            outcomes.append(Outcome(node, state, job.size, embedded, place.runs))
        for first in range(0, len(outcomes), SLICE):
            with self._lock:
                self._writing.namespace.settle(outcomes[first : first + SLICE])
        for stream in prepared.streams:
            stream.clean()

    def _finish(self, location: int, gone: set[int]) -> None:
        with self._lock:
            self._writing.committed(location, {key & 0xFFFFFFFF for key in gone})
            self._writing.namespace.thawed(location)
            self._writing.update_room()
            self._lock.notify_all()


class _Journal:
    """What a commit has to leave in the journal on its way to the disc."""

    def __init__(
        self,
        writing: Writing,
        lock: Condition,
        epoch: int,
        prepared: Prepared,
        must_yield: Callable[[], bool],
    ) -> None:
        self._writing = writing
        self._lock = lock
        self._epoch = epoch
        self._nodes = {node.key & 0xFFFFFFFF: node for node, _ in prepared.nodes}
        self.must_yield = must_yield

    def intend(self, location: int, *, complete: bool = True) -> None:
        """The VAT is about to go to the block ``location``, with all that the
        commit changes, or (not ``complete``) as it was before."""
        with self._lock:
            self._writing.spool.intend(self._epoch if complete else None, location)

    def defer(self, deferred: Deferred) -> None:
        """The commit will leave these ranges of blocks out."""
        for number, ranges in deferred.items():
            node = self._nodes[number]
            for first, count in ranges:
                self._carry(node, first * BLOCK, (first + count) * BLOCK)
            with self._lock:
                self._writing.namespace.carried(node)

    def _carry(self, node: Node, start: int, end: int) -> None:
        while start < end:
            with self._lock:
                start = self._writing.namespace.carry(node, start, end)
