"""Commits on rewritable media.

The data of large files goes home first. Then the rest is placed, inode by
inode: what stays where it is becomes an image in the commit's record, what is
new goes to fresh packets if there are any (:mod:`~udffs.commit.rewritable.sink`).
When the record is on the disc, the commit is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from media.errors import UnreadableBlockError
from udffs.commit.plan import ADS_IN_BLOCK, Geometry, Job, Placed, describe, merge_runs
from udffs.commit.prepare import Prepared
from udffs.commit.rewritable.log import KEPT_SLOTS, IntentLog, slots_for
from udffs.commit.rewritable.rewriting import KEEPS_OTHERS_OFF, Rewriter
from udffs.commit.rewritable.sink import SMALL, Sink, blocks_of, segments, subtract
from udffs.commit.rewritable.space import SpaceMap, joined
from udffs.commit.sequential import Committed, Deferred, Journal
from udffs.commit.streaming import Key, is_large, reduced, turn_of
from udffs.commit.vat import Counts
from udffs.errors import DiscError, InternalError, NoSpaceError
from udffs.ondisc.intentlog import PACKET, Extent, Kind
from udffs.volume import Run, Volume, make_key
from udffs.volume.model import BLOCK
from udffs.volume.tables import parse_integrity
from udffs.volume.view import RewritableView

__all__ = ["CHECKPOINT_SHARE", "RewritableCommitter", "most_images"]

CHECKPOINT_SHARE = 50 / 64  # of the slots, from which on a checkpoint is due
IMAGES_A_SLOT = 30  # with room for the lists of a record
IN_ONE_SLOT = 28  # blocks of a commit that surely fits one slot
FEW = 8 * PACKET  # blocks left to give away below which a checkpoint must free some


def most_images(slots: int) -> int:
    """Images that one commit may have with a log of so many slots."""
    return (slots - KEPT_SLOTS) * IMAGES_A_SLOT


class RewritableCommitter:
    """Writes commits of one volume. One thread at a time."""

    def __init__(
        self,
        volume: Volume,
        view: RewritableView,
        space: SpaceMap,
        intents: IntentLog,
        rewriter: Rewriter,
        *,
        log: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._volume = volume
        self._view = view
        self._space = space
        self._log = intents
        self._rewriter = rewriter
        version = 2 if volume.revision < 0x0200 else 3
        self._geometry = Geometry(volume.partition_start, volume.physical_reference, version)
        self._turn = turn_of(getattr(view.store, "blocks_per_second", None))
        self._note = log
        self._opened: bool | None = None
        self._marked = False
        self.progress: Callable[[int], None] = lambda _blocks: None

    # -- the life of a mount -----------------------------------------------------

    @property
    def checkpoint_due(self) -> bool:
        """Whether the next quiet moment is one for a checkpoint."""
        return self._log.needed >= self._log.slots * CHECKPOINT_SHARE

    def checkpoint(self) -> None:
        """Bring home what is in the log."""
        self._rewriter.checkpoint()

    def finish(self, counts: Counts, *, now: int) -> None:
        """A checkpoint, and the integrity descriptor closed: the disc is as
        other systems expect it. Commits may follow. ``now`` in nanoseconds."""
        self._log.hints = self._space.hints
        if self._log.needed or self._view.pending:
            self.checkpoint()
        if self._is_open() or self._marked:
            self._rewriter.write_integrity(Kind.CLOSE, counts, now)
            self._opened = self._marked = False

    def _is_open(self) -> bool:
        """Whether the integrity descriptor says, in our words, that somebody writes.
        (One that another system closed may still keep others off.)"""
        if self._opened is None:
            block = self._log.integrity_block
            found = parse_integrity(block, self._view.read(block, 1))
            self._marked = found.minimum_write_revision == KEEPS_OTHERS_OFF
            self._opened = found.is_open and self._marked
        return self._opened

    def _open(self, now: int) -> None:
        """Say, before the first commit, that somebody writes."""
        if not self._is_open():
            self._rewriter.write_integrity(Kind.OPEN, self._log.counts, now)
            self._opened = True

    # -- commits -------------------------------------------------------------------

    def commit(
        self,
        prepared: Prepared,
        gone: set[int],
        counts: Counts,
        *,
        now: int,
        journal: Journal,
    ) -> Committed:
        """Put everything in ``prepared`` on the disc. When this returns it is
        durable, but for data of large files that was deferred because the
        ``journal`` said so. ``gone`` are logical block numbers of ICBs no
        longer in use. Raises what the store raises when it gives up."""
        if self.checkpoint_due:
            self.checkpoint()
        self._open(now)
        work = _Work(self, prepared)
        deferred = work.stream(prepared.files, journal.must_yield)
        journal.defer(deferred)
        for job in chain(work.files, prepared.directories):
            work.place(job)
        work.take_away(gone)
        self._record(work, counts, journal)
        return Committed(work.placed, deferred, self._log.commit, work.sink.blocks)

    def take_over(
        self,
        directories: Sequence[Job],
        number: int,
        icb: bytes,
        held: list[Extent],
        counts: Counts,
        *,
        now: int,
    ) -> None:
        """Commit the file of the log on a foreign volume, whose ICB is ``number``;
        it holds the blocks ``held``. ``directories`` is the root, if it changes."""
        self._open(now)
        prepared = Prepared()
        prepared.directories.extend(directories)
        work = _Work(self, prepared)
        for job in directories:
            work.place(job)
        home = self._geometry.partition_start + number
        work.sink.put(home, icb, live=self._space.is_used(home))
        work.allocated += [(home, 1), *held]
        self._record(work, counts, _NoJournal())

    def _record(self, work: _Work, counts: Counts, journal: Journal) -> None:
        """The moment of a commit."""
        sink = work.sink
        if len(sink.images) > most_images(self._log.slots):
            sink.bring_home()
        sink.flush()
        allocated, freed = joined(work.allocated), joined(work.freed)
        parts = slots_for(len(sink.images), len(allocated) + len(freed), len(sink.direct))
        if parts > self._log.slots - KEPT_SLOTS:
            raise InternalError(what=f"a commit of {len(sink.images)} images")
        if parts > self._log.free - KEPT_SLOTS:
            self.checkpoint()
        number = self._log.next_commit(
            sink.images, allocated=allocated, freed=freed, direct=sink.direct
        )
        journal.intend(number)
        self._log.hints = self._space.hints
        self._log.append(
            Kind.COMMIT,
            sink.images,
            allocated=allocated,
            freed=freed,
            direct=sink.direct,
            counts=counts,
            number=number,
        )
        self._view.pending.update(sink.images)
        self._space.commit(allocated, freed, work.gone)
        space = self._space
        if space.available_blocks < min(FEW, space.free_blocks):
            self.checkpoint()

    # -- for the work of one commit --------------------------------------------------

    def sink(self, *, logged: bool) -> Sink:
        """A new sink."""
        return Sink(self._rewriter.packets, self._space, self._rewriter.rewrite, logged=logged)

    def take_blocks(self, count: int, near: int, of: int) -> list[Extent]:
        """New blocks, after a checkpoint if only that frees them."""
        try:
            return self._space.take_blocks(count, near=near, of=of)
        except NoSpaceError:
            self.checkpoint()
            return self._space.take_blocks(count, near=near, of=of)

    def blocks_before(self, number: int) -> list[Extent]:
        """What an inode on the disc takes besides its ICB. What cannot be found
        out stays allocated."""
        try:
            return self._volume.allocated(make_key(self._volume.physical_reference, number))
        except (DiscError, UnreadableBlockError) as error:
            self._note(f"the space of a damaged file at block {number} is not given back: {error}")
            return []

    def blocks_of_deleted(self, number: int) -> list[Extent]:
        """The same of an inode that goes, and its named streams go with it."""
        try:
            key = make_key(self._volume.physical_reference, number)
            return self._volume.allocated(key, streams=True)
        except (DiscError, UnreadableBlockError) as error:
            self._note(f"the file deleted at block {number} keeps some of its space: {error}")
            return self.blocks_before(number)

    @property
    def space(self) -> SpaceMap:
        return self._space

    @property
    def geometry(self) -> Geometry:
        return self._geometry

    @property
    def turn(self) -> int:
        """Blocks that streaming writes before it yields."""
        return self._turn

    @property
    def slots(self) -> int:
        return self._log.slots


class _NoJournal:
    """For a commit in which nothing of the live tree is."""

    def must_yield(self) -> bool:
        return False

    def defer(self, deferred: Deferred) -> None:
        pass

    def intend(self, location: int, *, complete: bool = True) -> None:
        pass


class _Work:
    """What one commit does."""

    def __init__(self, committer: RewritableCommitter, prepared: Prepared) -> None:
        self._committer = committer
        self._space = committer.space
        self._start = committer.geometry.partition_start
        self._files_stay, self._directories_stay = self._what_stays(prepared)
        jobs = chain(prepared.files, prepared.directories)
        total = sum(1 + job.data_blocks + len(job.runs) // ADS_IN_BLOCK for job in jobs)
        self.sink = committer.sink(logged=total <= IN_ONE_SLOT)
        self._written: dict[Key, list[Run]] = {}
        self._taken: dict[int, list[Extent]] = {}
        self._after: dict[int, tuple[int, int]] = {}
        self.files: list[Job] = []
        self.placed: list[Placed] = []
        self.allocated: list[Extent] = []
        self.freed: list[Extent] = []
        self.gone: dict[int, list[Extent]] = {}

    def _what_stays(self, prepared: Prepared) -> tuple[bool, bool]:
        """Whether small changes of files and of directories may be written in
        place: all images of a commit must fit the log."""
        most = most_images(self._committer.slots)
        icbs = sum(self._is_on_disc(job) for job in chain(prepared.files, prepared.directories))
        directories = sum(job.data_blocks for job in prepared.directories if job.runs)
        files = sum(
            count
            for job in prepared.files
            if job.runs
            for _, count, at in segments(job, _is_small)
            if at >= 0
        )
        return icbs + directories + files <= most, icbs + directories <= most

    def _is_on_disc(self, job: Job) -> bool:
        return self._space.is_used(self._start + job.virtual)

    # -- data ------------------------------------------------------------------------

    def stream(self, files: Sequence[Job], must_yield: Callable[[], bool]) -> Deferred:
        """Write the data of large files, as much as there is time for. Returns
        what is left; ``files`` are then the jobs without it."""
        streamed = 0
        yielded = False
        for job in files:
            if not is_large(job):
                continue
            left = job.data_blocks
            for part in self._chunks(job):
                yielded = yielded or (streamed >= self._committer.turn and must_yield())
                if yielded:
                    break
                self._write_range(job, part, left)
                left -= part[0][1]
                streamed += part[0][1]
        deferred: Deferred = {}
        for job in files:
            if is_large(job):
                job, rest = reduced(job, self._written)
                if rest:
                    deferred[job.virtual] = rest
            self.files.append(job)
        return deferred

    def _chunks(self, job: Job) -> list[tuple[tuple[int, int], list[tuple[int, int, int]]]]:
        """The ranges of a job, each with its segments."""
        every = iter(segments(job, self._stays(job)))
        result = []
        for first, count in job.ranges:
            parts: list[tuple[int, int, int]] = []
            while sum(number for _, number, _ in parts) < count:
                parts.append(next(every))
            result.append(((first, count), parts))
        return result

    def _stays(self, job: Job) -> Callable[[int], bool]:
        if job.state.is_directory:
            return _always if self._directories_stay else _never
        return _is_small if self._files_stay else _never

    def _write_range(
        self,
        job: Job,
        part: tuple[tuple[int, int], list[tuple[int, int, int]]],
        of: int,
    ) -> None:
        """Write a range of a job; ``of`` blocks of it are still to come."""
        (first_of_range, _), parts = part
        runs: list[Run] = []
        for first, count, at in parts:
            new = [(at, count)]
            if at < 0:
                new = self._committer.take_blocks(count, self._near(job, first), of)
                self._taken.setdefault(job.virtual, []).extend(new)
            for block, number in new:
                self._put(job, first, number, block, live=at >= 0)
                length = min(number * BLOCK, job.size - first * BLOCK)
                runs.append(Run(first * BLOCK, block, length))
                first += number
                self._after[job.virtual] = first, block + number
        self._written[job.virtual, first_of_range] = runs

    def _put(self, job: Job, first: int, count: int, home: int, *, live: bool) -> None:
        assert job.source is not None
        data = job.source(first, count, home - self._start)
        self.sink.put(home, data, live=live)
        self._committer.progress(count)

    def _near(self, job: Job, first: int) -> int:
        """The block on the disc behind the one before block ``first`` of the
        file, as far as it is known; else -1."""
        reached, after = self._after.get(job.virtual, (-1, -1))
        if reached == first:
            return after
        for run in reversed(job.runs):
            if run.block >= 0 and run.offset < first * BLOCK:
                return run.block + -(-run.length // BLOCK)
        return -1

    # -- inodes ------------------------------------------------------------------------

    def place(self, job: Job) -> None:
        """Write what of a job is not written yet, and its ICB."""
        icb = self._start + job.virtual
        on_disc = self._is_on_disc(job)
        before = self._committer.blocks_before(job.virtual) if on_disc else []
        left = job.data_blocks
        for part in self._chunks(job):
            first, count = part[0]
            if (job.virtual, first) not in self._written:
                self._write_range(job, part, left)
            left -= count
        written = [run for first, _ in job.ranges for run in self._written[job.virtual, first]]
        runs = merge_runs(job.runs, _cut(written, job.size))
        extents: list[Extent] = []

        def places(count: int) -> list[int]:
            extents.extend(self._committer.take_blocks(count, icb, count))
            return [block + i for block, number in extents for i in range(number)]

        pieces, data = describe(job, runs, self._committer.geometry, places)
        for piece in pieces:
            self.sink.put(piece.address, piece.render(0, piece.size))
        self.sink.put(icb, data, live=on_disc)
        self._committer.progress(len(pieces) + 1)
        self.placed.append(Placed(job, runs, icb))
        self._account(job, before, [*blocks_of(runs), *extents], extents)
        if not on_disc:
            self.allocated.append((icb, 1))

    def _account(
        self, job: Job, before: list[Extent], now: list[Extent], extents: list[Extent]
    ) -> None:
        """What an inode takes, ``before`` and ``now``; of what was taken for it,
        what does not show after all is given back."""
        taken = [*self._taken.pop(job.virtual, ()), *extents]
        unused = subtract(taken, now)
        self.sink.drop(unused)
        self._space.give_back(unused)
        self.allocated += subtract(taken, unused)
        self.freed += subtract(before, now)

    def take_away(self, gone: set[int]) -> None:
        """ICBs that are no longer in use, and what they hold."""
        for number in gone:
            icb = self._start + number
            if not self._space.is_used(icb):
                continue
            blocks = joined([*self._committer.blocks_of_deleted(number), (icb, 1)])
            self.gone[number] = blocks
            self.freed += blocks


def _cut(runs: list[Run], size: int) -> list[Run]:
    """Runs without what lies behind ``size`` bytes of the file."""
    return [
        run._replace(length=min(run.length, size - run.offset)) for run in runs if run.offset < size
    ]


def _is_small(blocks: int) -> bool:
    return blocks < SMALL


def _always(_blocks: int) -> bool:
    return True


def _never(_blocks: int) -> bool:
    return False
