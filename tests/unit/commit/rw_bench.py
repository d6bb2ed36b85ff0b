"""Commits without a mount: a tiny volume in memory, inodes made by hand, and a
disc that remembers what was written between two flushes, to be cut there."""

from __future__ import annotations

import random
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

from support.memory_disc import PACKET, MemoryDisc

from media.errors import UnreadableBlockError
from udffs.commit.format import FormatOptions
from udffs.commit.nodes import State
from udffs.commit.plan import Job
from udffs.commit.prepare import Prepared
from udffs.commit.rewritable.committer import RewritableCommitter
from udffs.commit.rewritable.format import format_rewritable
from udffs.commit.rewritable.log import IntentLog
from udffs.commit.rewritable.rewriting import PacketWriter, Rewriter
from udffs.commit.rewritable.space import SpaceMap
from udffs.commit.rewritable.sparing import SparingTables
from udffs.commit.sequential import Committed, Deferred
from udffs.commit.stream import DirectoryStream
from udffs.commit.streaming import in_chunks, is_large
from udffs.commit.vat import Counts
from udffs.ondisc import hot
from udffs.volume import Run, Volume, open_volume
from udffs.volume.bitmap import read_space
from udffs.volume.model import BLOCK
from udffs.volume.source import Source
from udffs.volume.view import RewritableView

NOW = 1_700_000_000_000_000_000
BYTES = PACKET * BLOCK


class Recorder(MemoryDisc):
    """Keeps the packets of each flush, and counts how often each was written."""

    def __init__(self, blocks: int) -> None:
        super().__init__(blocks)
        self.batches: list[dict[int, bytes]] = []
        self.before = b""
        self.wear: dict[int, int] = {}
        self.unreadable: set[int] = set()

    def begin(self) -> None:
        """Remember from here on."""
        self.before = bytes(self.data)
        self.batches = []

    def read(self, block: int, count: int) -> bytes:
        for at in range(block, block + count):
            if at in self.unreadable and at - at % PACKET not in self.gathered:
                raise UnreadableBlockError(block=at)
        return super().read(block, count)

    def flush(self) -> None:
        batch = {first: bytes(data) for first, data in self.gathered.items()}
        super().flush()
        if batch:
            self.batches.append(batch)
        for first in batch:
            self.wear[first] = self.wear.get(first, 0) + 1
            self.unreadable -= set(range(first, first + PACKET))


def cuts(batch: dict[int, bytes], chance: random.Random) -> Iterator[dict[int, bytes | None]]:
    """What a power cut may leave of packets that were being written: packets
    that have their new content, and torn ones (half of it, or None: unreadable)."""
    firsts = sorted(batch)
    chosen: list[list[int]] = [[], firsts]
    chosen += [[one] for one in firsts[:3]]
    chosen += [[f for f in firsts if chance.random() < 0.5] for _ in range(3)]
    for arrived in chosen:
        left = [first for first in firsts if first not in arrived]
        whole: dict[int, bytes | None] = {first: batch[first] for first in arrived}
        yield whole
        if not left:
            continue
        torn = chance.choice(left)
        yield {**whole, torn: None}
        yield {**whole, torn: chance.randbytes(BYTES)}
        yield {**whole, torn: batch[torn][: chance.randrange(PACKET) * BLOCK]}


def left_by(base: bytearray, left: dict[int, bytes | None]) -> Recorder:
    """The disc after a cut."""
    disc = Recorder(0)
    disc.data = bytearray(base)
    disc.capacity = len(base) // BLOCK
    disc.last_block = disc.capacity - 1
    disc.sessions = (disc.sessions[0]._replace(end=disc.last_block),)
    for first, data in left.items():
        if data is None:
            disc.unreadable |= set(range(first, first + PACKET))
        else:
            disc.data[first * BLOCK : first * BLOCK + len(data)] = data
    return disc


@dataclass
class Quiet:
    """A journal that only remembers."""

    yields: bool = False
    intents: list[int] = field(default_factory=list)
    deferred: Deferred = field(default_factory=dict)

    def must_yield(self) -> bool:
        return self.yields

    def defer(self, deferred: Deferred) -> None:
        self.deferred = deferred

    def intend(self, location: int, *, complete: bool = True) -> None:
        assert complete
        self.intents.append(location)


def formatted(blocks: int = 6144, *, log_packets: int = 64, kind: str = "cd-rw") -> Recorder:
    """A disc with an empty volume."""
    disc = Recorder(blocks)
    disc.spares_by_itself = kind == "mrw"
    format_rewritable(
        disc.store,
        FormatOptions("bench"),
        now=NOW,
        random=random.Random(1).randbytes,
        log_packets=log_packets,
        spare_packets=8,
    )
    return disc


class Bench:
    """A mounted volume with one directory, changed by hand."""

    def __init__(self, disc: Recorder) -> None:
        self.disc = disc
        self.volume: Volume = open_volume(disc)
        view = self.volume.store
        assert isinstance(view, RewritableView)
        self.view = view
        state = self.volume.intent_log
        assert state is not None
        self.state = state
        table = read_space(Source(view), self.volume.space_extent, self.volume.physical)
        self.space = SpaceMap(table, changes=state.changes, hints=(state.icb_hint, state.data_hint))
        integrity = self.volume.integrity
        assert integrity is not None
        self.counts = Counts(integrity.files, integrity.directories, integrity.next_unique_id)
        sparing = self.volume.sparing
        self.notes: list[str] = []
        packets = PacketWriter(
            disc.store,
            view,
            None if sparing is None else SparingTables(view, sparing),
            self.notes.append,
        )
        self.log = IntentLog(packets, state, self.counts)
        self.rewriter = Rewriter(view, self.space, self.log, packets, revision=self.volume.revision)
        self.committer = RewritableCommitter(
            self.volume, view, self.space, self.log, self.rewriter, log=self.notes.append
        )
        self.journal = Quiet()
        self.root = self.volume.root_key & 0xFFFFFFFF
        self.keys: dict[str, int] = {}
        self.runs: dict[int, tuple[Run, ...]] = {}
        self.sizes: dict[int, int] = {}
        self.ids: dict[int, int] = {}
        for entry in self.volume.entries(self.volume.inode(self.volume.root_key)):
            inode = self.volume.inode(entry.key)
            number = entry.key & 0xFFFFFFFF
            self.keys[entry.name] = number
            self.runs[number] = inode.runs
            self.sizes[number] = inode.size
            self.ids[number] = inode.unique_id
        root = self.volume.inode(self.volume.root_key)
        self.stream = DirectoryStream.from_disc(
            self.volume.directory_data(root), version=self._version
        )
        self.runs[self.root] = root.runs
        self.expected = content(self.volume)
        self._files: dict[str, Job] = {}
        self._gone: set[int] = set()

    @property
    def _version(self) -> int:
        return 2 if self.volume.revision < 0x0200 else 3

    # -- changes -------------------------------------------------------------------

    def write(self, name: str, data: bytes, *, at: int = -1) -> None:
        """Make or replace a file, or overwrite some blocks ``at`` one of them."""
        old = bytearray(self.expected.get(name, b"") if at >= 0 else b"")
        old[max(at, 0) * BLOCK : max(at, 0) * BLOCK + len(data)] = data
        self.expected[name] = bytes(old)
        if name not in self.keys:
            number = self.space.allocate()
            self.keys[name] = number
            unique = self.ids[number] = self.counts.next_unique_id
            self.counts = self.counts._replace(
                files=self.counts.files + 1, next_unique_id=unique + 1
            )
            self.stream.enter(name, number, is_directory=False, unique_id=unique)
            self.runs[number] = ()
        number = self.keys[name]
        state = State(epoch=1, mode=stat.S_IFREG | 0o644, uid=0, gid=0, unique_id=self.ids[number])
        state.links = 1
        state.atime = state.mtime = state.ctime = NOW
        runs = self.runs[number]
        if at >= 0:
            size = max(self.sizes[number], at * BLOCK + len(data))
            ranges = [(at, -(-len(data) // BLOCK))]
        else:
            at, size, runs = 0, len(data), ()
            ranges = [(0, -(-len(data) // BLOCK))]
        self.sizes[number] = size

        def source(first: int, count: int, _logical: int) -> bytes:
            piece = data[(first - at) * BLOCK : (first - at + count) * BLOCK]
            return piece.ljust(count * BLOCK, b"\0")

        if size <= hot.MAX_EMBEDDED:
            job = Job(number, state, size, data, (), None, ())
        else:
            job = Job(number, state, size, None, ranges, source, runs)
        self._files[name] = in_chunks(job) if is_large(job) else job

    def remove(self, name: str) -> None:
        number = self.keys.pop(name)
        del self.expected[name]
        self.stream.leave(name)
        self._files.pop(name, None)
        self._gone.add(number)
        self.counts = self.counts._replace(files=self.counts.files - 1)

    def commit(self) -> Committed:
        prepared = Prepared()
        prepared.files = list(self._files.values())
        if self.stream.dirty:
            prepared.directories = [self._directory()]
        gone, self._gone = self._gone, set()
        committed = self.committer.commit(
            prepared, gone, self.counts, now=NOW, journal=self.journal
        )
        self.space.settled(gone)
        for number in gone:
            self.space.release(number)
        for placed in committed.placed:
            self.runs[placed.job.virtual] = placed.runs
            self.sizes[placed.job.virtual] = placed.job.size
        self.stream.clean()
        self._files = {}
        assert self.journal.intents[-1] == committed.location
        return committed

    def _directory(self) -> Job:
        state = State(epoch=1, mode=stat.S_IFDIR | 0o755, uid=0, gid=0, unique_id=0)
        state.links = 1
        state.atime = state.mtime = state.ctime = NOW
        runs = self.runs[self.root]
        if self.stream.tidy(hot.MAX_EMBEDDED):
            content = self.stream.embedded(self.root)
            return Job(self.root, state, len(content), content, (), None, ())
        if not runs:
            self.stream.touch_all()
        ranges = self.stream.dirty_ranges()
        return Job(self.root, state, self.stream.size, None, ranges, self.stream.blocks, runs)

    def finish(self) -> None:
        self.committer.finish(self.counts, now=NOW)


def content(volume: Volume) -> dict[str, bytes]:
    """All files of the root directory."""
    found: dict[str, bytes] = {}
    for entry in volume.entries(volume.inode(volume.root_key)):
        if not entry.hidden:
            inode = volume.inode(entry.key)
            found[entry.name] = volume.read(inode, 0, inode.size)
    return found
