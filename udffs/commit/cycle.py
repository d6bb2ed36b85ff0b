"""One commit from beginning to end: freeze, prepare, write, settle.

The file system's lock is held only for moments: to freeze, and slice by slice
to settle. Whoever calls :meth:`CommitCycle.run` does so from one thread at a
time.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Condition

from udffs.commit.namespace import Frozen, Outcome
from udffs.commit.nodes import Node
from udffs.commit.opening import Writing, load_stream
from udffs.commit.plan import Placed
from udffs.commit.prepare import Prepared, prepare
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

    def run(self) -> None:
        """Put everything that changed until now on the disc. Raises what the
        store raises; then the frozen states stay frozen and the spool has
        everything."""
        writing = self._writing
        with self._lock:
            if not writing.namespace.changed:
                return
            frozen = writing.namespace.freeze()
        prepared = prepare(frozen, writing.store.read, self._load_stream)
        committed = writing.committer.commit(
            prepared,
            {key & 0xFFFFFFFF for key in frozen.gone},
            frozen.counts,
            now=self._clock(),
            intend=lambda location: self._intend(frozen.epoch, location),
        )
        self._settle(frozen, prepared, committed.placed)
        self.commits += 1
        self.blocks_written += committed.blocks
        self._finish(committed.location)

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

    def _settle(self, frozen: Frozen, prepared: Prepared, placed: list[Placed]) -> None:
        outcomes: list[Outcome] = []
        for (node, state), place in zip(prepared.nodes, placed, strict=True):
            job = place.job
            embedded = None if state.is_directory else job.embedded
            outcomes.append(Outcome(node, state, job.size, embedded, place.runs))
        for first in range(0, len(outcomes), SLICE):
            with self._lock:
                self._writing.namespace.settle(outcomes[first : first + SLICE])
        for stream in prepared.streams:
            stream.clean()

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
            free=writing.store.free_blocks,
            vat_entries=writing.table.allocated,
            opening=writing.opening_cost(),
        )
