"""The data of large files, streamed ahead of everything else in a commit.

Streaming may stop early when a program waits for something else to become
durable: what is on the disc by then is committed, the rest goes with the
next commit. It also lets readers of the disc in now and then. Each time leaves a file
in one section more, and readers of ISO 9660 stand no more than some 90: so the more a
file has, the longer others wait.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from media.errors import AddressMovedError, PacketLostError, UnreadableBlockError
from media.store import SequentialStore
from udffs.commit.plan import CHUNK, Geometry, Job
from udffs.volume import Run
from udffs.volume.model import BLOCK

LARGE = 1024  # blocks of changed data from which on a file is streamed
TURN_SECONDS = 1.0  # of the drive's time that streaming gets before it yields
TURN_BLOCKS = 2048  # the same where the drive's speed is not known


PATIENCE = 10  # sections of a file after which a turn becomes longer, by one turn each time
READERS_WAIT, SAVERS_WAIT = 5, 2  # turns at most


def turn_of(blocks_per_second: float | None) -> int:
    """Blocks that streaming writes before it yields."""
    return int(blocks_per_second * TURN_SECONDS) if blocks_per_second else TURN_BLOCKS


Key = tuple[int, int]
"""Virtual number of a file and the first block of a range of it."""


def is_large(job: Job) -> bool:
    """Whether the job's data is streamed."""
    return job.data_blocks >= LARGE


def in_chunks(job: Job) -> Job:
    """The job with its ranges cut into pieces of at most 1 MiB."""
    ranges = [
        (at, min(CHUNK, first + count - at))
        for first, count in job.ranges
        for at in range(first, first + count, CHUNK)
    ]
    return job._replace(ranges=ranges)


def in_turns(
    groups: Sequence[Sequence[Job]], blocks: int, done: Container[int]
) -> list[list[list[Job]]]:
    """The jobs that are not ``done`` yet (by virtual number), cut into parts
    of about so many blocks; each part has the same groups. At least one."""
    parts: list[list[list[Job]]] = [[[] for _ in groups]]
    size = 0
    for index, jobs in enumerate(groups):
        for job in jobs:
            if job.virtual in done:
                continue
            if size >= blocks:
                parts.append([[] for _ in groups])
                size = 0
            parts[-1][index].append(job)
            size += 1 + (0 if is_large(job) else job.data_blocks)
    return parts


class Stream:
    """Streams the data of large jobs and knows what of it is on the disc.

    ``written`` maps each range to its address. Entries of the packet that is
    open are only certain after the flush: :meth:`failed` takes them back.
    """

    def __init__(
        self,
        store: SequentialStore,
        geometry: Geometry,
        jobs: Sequence[Job],
        must_yield: Callable[[], bool],
        progress: Callable[[int], None],
    ) -> None:
        self._store = store
        self._geometry = geometry
        self._left = [(job, first, count) for job in jobs for first, count in job.ranges]
        self._must_yield = must_yield
        self._progress = progress
        self.turn = turn_of(store.blocks_per_second)
        self._open: list[tuple[Job, int, int]] = []
        self._breaks = 0  # packets that were ended for somebody who wanted to read
        self.written: dict[Key, int] = {}
        self.packet_start = store.next_writable

    def run(self) -> int:
        """Stream from the next writable address on; returns the address
        behind the last block, in a packet that is still open (or the next
        writable address if nothing is left). Raises what the store raises."""
        store = self._store
        address = self.packet_start = store.next_writable
        streamed = 0
        while self._left:
            job, first, count = self._left[0]
            longer = 1 + (len(job.runs) + self._breaks) // PATIENCE
            if streamed >= self.turn * min(longer, SAVERS_WAIT) and self._must_yield():
                break
            wait = self.turn * min(longer, READERS_WAIT)
            if address - self.packet_start >= wait and store.readers_waiting:
                address = self.packet_start = store.flush()
                self._open.clear()
                self._breaks += 1
            assert job.source is not None
            store.write(address, job.source(first, count, address - self._geometry.partition_start))
            self._progress(count)
            self.written[job.virtual, first] = address
            self._open.append(self._left.pop(0))
            address += count
            streamed += count
        return address

    def sealed(self) -> None:
        """The open packet was flushed: what it holds is safe."""
        self._open.clear()

    def failed(self, error: AddressMovedError | PacketLostError) -> bool:
        """The open packet broke off: what of it did not reach the disc (which
        is looked up by reading it back) must be streamed again. Whether
        something did."""
        begun = len(self._open)
        again = []
        for job, first, count in self._open:
            where = self.written[job.virtual, first]
            if isinstance(error, AddressMovedError) and self._reads_back(job, first, count, where):
                continue
            del self.written[job.virtual, first]
            again.append((job, first, count))
        self._left[:0] = again
        self._open.clear()
        return len(again) < begun

    def _reads_back(self, job: Job, first: int, count: int, where: int) -> bool:
        if where + count > self._store.next_writable:
            return False
        try:
            data = self._store.read(where, count)
        except UnreadableBlockError:
            return False
        assert job.source is not None
        return data == job.source(first, count, where - self._geometry.partition_start)

    def reduced(self, job: Job) -> tuple[Job, list[tuple[int, int]]]:
        """The job as far as it is written, and the ranges that are not."""
        return reduced(job, self.written)


def reduced(job: Job, written: Container[Key]) -> tuple[Job, list[tuple[int, int]]]:
    """The job as far as it is ``written``, and the ranges that are not."""
    done = [r for r in job.ranges if (job.virtual, r[0]) in written]
    if len(done) == len(job.ranges):
        return job, []
    deferred = [r for r in job.ranges if (job.virtual, r[0]) not in written]
    old = job.state.embedded
    if old and deferred[0][0] == 0:  # what is in the ICB stays there for now
        return job._replace(ranges=(), size=len(old), embedded=old, runs=()), deferred
    size = _size_so_far(job, deferred)
    if size == 0:
        return job._replace(ranges=(), size=0, embedded=b"", runs=()), deferred
    ranges = [r for r in done if r[0] * BLOCK < size]
    return job._replace(ranges=ranges, size=size), deferred


def _size_so_far(job: Job, deferred: Sequence[tuple[int, int]]) -> int:
    """How long the file is without its deferred ranges: growth that is not
    written yet does not show; what is overwritten keeps its old bytes."""
    old_end = _end(job.runs)
    for first, count in deferred:
        if (first + count) * BLOCK > old_end:
            return max(first * BLOCK, old_end)
    return job.size


def _end(runs: Sequence[Run]) -> int:
    return max((run.offset + run.length for run in runs), default=0)
