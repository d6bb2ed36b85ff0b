"""One commit from beginning to end: freeze, prepare, write, settle.

The file system's lock is held only for moments: to freeze, and slice by slice
to settle. Whoever calls :meth:`CommitCycle.run` does so from one thread at a
time.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition

from udffs.commit.namespace import Outcome
from udffs.commit.nodes import Node
from udffs.commit.opening import Writing, load_stream
from udffs.commit.prepare import Prepared, prepare
from udffs.commit.sequential import Committed
from udffs.commit.stream import DirectoryStream

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
        prepared = prepare(frozen, writing.store.read, self._load_stream)
        committed = writing.committer.commit(
            prepared,
            {key & 0xFFFFFFFF for key in frozen.gone},
            frozen.counts,
            now=self._clock(),
            intend=lambda location: self._intend(frozen.epoch, location),
            must_yield=must_yield,
        )
        deferred = self._settle(prepared, committed)
        self.commits += 1
        self.blocks_written += committed.blocks
        self._finish(committed.location)
        return deferred

    def close(self, *, final: bool, progress: Callable[[float], None] | None) -> None:
        """Write what closing needs and close the session (and the disc)."""
        writing = self._writing
        with self._lock:
            counts = writing.namespace.counts()
            epoch = writing.namespace.epoch
        writing.committer.close(
            counts,
            now=self._clock(),
            final=final,
            intend=lambda location: self._intend(epoch - 1, location),
            progress=progress,
        )
        with self._lock:
            writing.spool.committed(epoch - 1, writing.table.location)
            self._update_room()

    def _load_stream(self, node: Node) -> DirectoryStream:
        version = self._writing.description.version
        return load_stream(self._writing.volume, node.key, version)

    def _intend(self, epoch: int, location: int) -> None:
        with self._lock:
            self._writing.spool.intend(epoch, location)

    def _settle(self, prepared: Prepared, committed: Committed) -> set[int]:
        outcomes: list[Outcome] = []
        for (node, state), place in zip(prepared.nodes, committed.placed, strict=True):
            job = place.job
            embedded = None if state.is_directory else job.embedded
            deferred = committed.deferred.get(job.virtual, ())
            outcomes.append(Outcome(node, state, job.size, embedded, place.runs, deferred))
        for first in range(0, len(outcomes), SLICE):
            with self._lock:
                self._writing.namespace.settle(outcomes[first : first + SLICE])
        for stream in prepared.streams:
            stream.clean()
        waiting = [outcome.node for outcome in outcomes if outcome.deferred]
        for node in waiting:
            self._carry(node)
        return {node.key for node in waiting}

    def _carry(self, node: Node) -> None:
        more = True
        while more:
            with self._lock:
                more = self._writing.namespace.carry(node)

    def _finish(self, location: int) -> None:
        with self._lock:
            self._writing.namespace.thawed(location)
            if self._writing.volume.vat is not None:
                self._writing.volume.vat.location = location
            self._update_room()
            self._lock.notify_all()

    def _update_room(self) -> None:
        writing = self._writing
        writing.reserve.settle(
            free=writing.free_blocks(),
            vat_entries=writing.table.allocated,
            opening=writing.opening_cost(),
        )
