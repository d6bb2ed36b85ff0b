"""A rewritable disc, opened for writing: from what the reader found to a live tree."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from zlib import crc32

from media.errors import MediaError
from media.store import RewritableStore
from udffs.commit.loading import load_stream, state_of
from udffs.commit.nodes import Node
from udffs.commit.prepare import directory_job
from udffs.commit.reserve import RewritableReserve
from udffs.commit.rewritable import adopt, structures
from udffs.commit.rewritable.committer import RewritableCommitter, most_images
from udffs.commit.rewritable.integrity import NewPlaces
from udffs.commit.rewritable.log import IntentLog
from udffs.commit.rewritable.rewriting import PacketWriter, Rewriter
from udffs.commit.rewritable.salvage import salvage
from udffs.commit.rewritable.space import SpaceMap
from udffs.commit.rewritable.sparing import SparingTables
from udffs.commit.rewritable.survey import Survey, survey
from udffs.commit.spool import folder_name
from udffs.commit.vat import Counts
from udffs.commit.write_once import describe
from udffs.commit.writing import Log, Writing
from udffs.errors import DiscError, NotSalvagedError, UnsupportedError
from udffs.ondisc.intentlog import PACKET, Extent, identity_of
from udffs.volume import Volume, make_key
from udffs.volume.bitmap import SpaceTable, read_space
from udffs.volume.intentlog import CLEAN, PENDING, STALE, LogState
from udffs.volume.opening import is_marked
from udffs.volume.source import Source
from udffs.volume.view import RewritableView

#: The part of a log's room that ICBs rewritten in place may take in one commit.
#: With those of the commit before it, which a kill makes the next mount repeat,
#: and with directories, their images still fit into the log.
REWRITTEN_SHARE = 4

HIGHEST_ID = 1 << 62


def why_not_rewritable(volume: Volume) -> str | None:
    """What keeps us from writing to a volume on a rewritable disc, in words."""
    view = volume.view
    if volume.kind not in ("plain", "sparable") or view is None:
        return "it was made for a disc that can be written once only"
    if len(volume.spaces) != 1:
        return "it has more than one partition"
    if volume.next_unique_id > HIGHEST_ID:
        return "its unique ids are used up"
    why = adopt.why_not(volume)
    if why is not None:
        return why
    try:
        table = _table(volume, view)
        state = volume.intent_log
        if _has_log(volume):
            assert state is not None
            if len(state.slots) < adopt.SIZES[-1]:
                return f"its log is of {len(state.slots)} packets only"
        elif state is not None and state.state == PENDING:
            return "what is in its log lies in packets that other files may use"
        else:
            adopt.choose_log(table)
            _check_place(volume)
    except (DiscError, MediaError) as error:
        return str(error)
    return None


def _table(volume: Volume, view: RewritableView) -> SpaceTable:
    return read_space(Source(view), volume.space_extent, volume.physical)


def _has_log(volume: Volume) -> bool:
    """Whether there is a log in packets that nothing else can be in."""
    state = volume.intent_log
    return state is not None and adopt.is_held(volume, state.slots)


def _check_place(volume: Volume) -> None:
    """Raises UnsupportedError if a file of a user has the name of the log's."""
    key = adopt.find_log_file(volume)
    if key is None:
        return
    inode = volume.inode(key)
    if inode.data or any(run.block >= 0 for run in inode.runs):
        raise UnsupportedError(what=f'a file named "{structures.LOG_FILE}" that holds data')


def own_keys(volume: Volume) -> Collection[int]:
    """The inodes that are the file system's and not for programs."""
    if volume.intent_log is None:
        return ()
    try:
        key = adopt.find_log_file(volume)
    except (DiscError, MediaError):
        return ()
    return () if key is None else (key,)


class RewritableWriting(Writing):
    """Writing to a disc that is rewritten in place, packet by packet."""

    reuses_blocks = True

    def __init__(self, store: RewritableStore, volume: Volume, spool: Path, log: Log) -> None:
        """Brings home what a cut has left in the log, and gives a disc of
        another system a log."""
        view = volume.view
        assert view is not None
        found = _Found(store, volume, spool)
        self._speed = store.blocks_per_second
        self._commits = 0
        self._space = found.space()
        self.sparing = _sparing(view, volume, log)
        packets = PacketWriter(store, view, self.sparing, log)
        intents = IntentLog(packets, found.state, found.counts)
        places = _new_places(store, volume, self.sparing, found.state, log)
        rewriter = Rewriter(
            view,
            self._space,
            intents,
            packets,
            revision=volume.revision,
            physical_reference=volume.physical_reference,
            places=places,
        )
        self._description = describe(volume)
        self._committer = RewritableCommitter(volume, view, self._space, intents, rewriter, log=log)
        if found.state.state == PENDING:
            self._committer.checkpoint()
            found.state.state = CLEAN
        if places is not None:
            places.agree()
        counts = found.counts
        if found.taken:
            counts = self._make_log_file(volume, found.new_slots, counts)
        super().__init__(
            volume,
            spool,
            reserve=RewritableReserve(
                lambda: self._space.free_blocks, lambda: self._space.fresh_packets * PACKET
            ),
            numbers=self._space,
            counts=counts,
            version=self._description.version,
            position=intents.commit,
            reference=volume.physical_reference,
            most_rewritten=most_images(len(found.state.slots)) // REWRITTEN_SHARE,
            own_keys=own_keys(volume),
        )
        self.notes += found.notes

    def _make_log_file(self, volume: Volume, extents: list[Extent], counts: Counts) -> Counts:
        """Let the hidden file have the packets of a new log; the new counts."""
        root = volume.inode(volume.root_key)
        there = adopt.find_log_file(volume)
        if there is not None:  # some formatters make it, for packets that are bad
            number, unique_id = there & 0xFFFFFFFF, volume.inode(there).unique_id
            runs = sorted([*volume.allocated(there), *extents])
            icb = structures.log_file(self._description, number, runs, unique_id)
            self._committer.take_over([], number, icb, runs, counts, now=root.mtime)
            return counts
        number, unique_id = self._space.allocate(), counts.next_unique_id
        key = make_key(volume.physical_reference, number)
        icb = structures.log_file(self._description, number, extents, unique_id)
        stream = load_stream(volume, volume.root_key, self._description.version)
        stream.enter(structures.LOG_FILE, key, is_directory=False, unique_id=unique_id, hidden=True)
        node = Node(volume.root_key, state_of(root))
        job, _ = directory_job(node, node.state, 0, lambda _node: stream)
        counts = Counts(counts.files + 1, counts.directories, unique_id + 1)
        self._committer.take_over([job], number, icb, extents, counts, now=root.mtime)
        return counts

    @property
    def committer(self) -> RewritableCommitter:
        return self._committer

    @property
    def blocks_per_second(self) -> float | None:
        return self._speed

    def committed(self, location: int, gone: set[int]) -> None:
        # A file without a name keeps its blocks while it is open.
        held = [key & 0xFFFFFFFF for key in self.namespace.orphans]
        self._space.settled(gone, held)
        self._commits += 1

    def update_room(self) -> None:
        self.reserve.thaw()

    def where(self, key: int) -> int:
        return self._commits

    def finish(self, counts: Counts, now: int) -> None:
        self._committer.finish(counts, now=now)


class _Found:
    """What a volume is found with, once what must not be replayed was salvaged,
    what another system left unclean was looked through, and a log was chosen
    where there was none (``taken``: its packets)."""

    def __init__(self, store: RewritableStore, volume: Volume, spool: Path) -> None:
        view, integrity, state = volume.view, volume.integrity, volume.intent_log
        assert view is not None and integrity is not None
        self.notes: list[str] = []
        self.counts = Counts(integrity.files, integrity.directories, volume.next_unique_id)
        self.taken: adopt.LogExtents = ()
        self._table = _table(volume, view)
        self._missed: list[Extent] = []
        if state is not None and state.state == STALE:
            self.notes += _salvage(volume, state, spool)
        if integrity.is_open and not is_marked(volume):
            self._look_through(volume)
        if state is None or not _has_log(volume):
            self.taken = adopt.choose_log(self._table)
            state = _take_over(store, volume, self.taken)
        self.state = state

    def _look_through(self, volume: Volume) -> None:
        found = survey(volume)
        self.notes.append(_surveyed(found))
        self.counts, self._missed = found.counts(), found.within(self._table)
        for block, count in self._missed:
            self._table.mark(block, count, free=False)

    @property
    def new_slots(self) -> list[Extent]:
        """The blocks of a log that was chosen."""
        return [(first, packets * PACKET) for first, packets in self.taken]

    def space(self) -> SpaceMap:
        """The space, with what the bitmap does not know."""
        kept = _never_free(self._table, self.state)
        return SpaceMap(
            self._table,
            changes=[*self.state.changes, ([*self.new_slots, *self._missed, *kept], [])],
            hints=(self.state.icb_hint, self.state.data_hint),
        )


def _sparing(view: RewritableView, volume: Volume, log: Log) -> SparingTables | None:
    """The sparing tables, their copies made the same; None where the drive spares."""
    if volume.sparing is None:
        return None
    sparing = SparingTables(view, volume.sparing, log=log)
    sparing.repair()
    return sparing


def _new_places(
    store: RewritableStore,
    volume: Volume,
    sparing: SparingTables | None,
    state: LogState,
    log: Log,
) -> NewPlaces | None:
    """Where the integrity descriptor can go if its packet is worn."""
    if sparing is None:
        return None
    return NewPlaces(store, volume, sparing, state.left or state.integrity_block, log)


def _never_free(table: SpaceTable, state: LogState) -> list[Extent]:
    """What must not be given away although another system says that it is free."""
    places = [*((slot, PACKET) for slot in state.slots), (table.location, table.blocks)]
    homes = (home for first, count in places for home in range(first, first + count))
    return [(home, 1) for home in homes if table.is_free(home)]


def _salvage(volume: Volume, state: LogState, spool: Path) -> list[str]:
    """Save what must not be replayed; what to say of it."""
    folder = spool / f"{folder_name(volume.identity)}.salvaged-{state.commit}"
    try:
        saved = salvage(volume, state.records, folder)
    except OSError as error:
        raise NotSalvagedError(where=folder, why=error.strerror or error) from error
    state.state, state.records = CLEAN, []
    notes = [f"{len(saved)} files that were only in the log are saved in {folder}"] if saved else []
    notes += [f"of {one.path}, {one.lost} bytes were lost" for one in saved if one.lost]
    return notes


def _surveyed(found: Survey) -> str:
    """What to say of a volume that had to be walked."""
    said = (
        "the disc was not unmounted cleanly by the system that wrote to it last: "
        "all of it was looked through for what is in use"
    )
    if found.unreadable:
        said += f"; {found.unreadable} of its files and directories cannot be read"
    return said


def _take_over(store: RewritableStore, volume: Volume, taken: adopt.LogExtents) -> LogState:
    """Write down where the new log is. Nothing is in it."""
    adopt.adopt(store, volume, taken)
    integrity = volume.integrity
    assert integrity is not None
    slots = tuple(first + i * PACKET for first, packets in taken for i in range(packets))
    before = volume.intent_log
    state = LogState(slots, identity_of(volume.identity))
    state.commit = 0 if before is None else before.commit
    state.sequence = state.tail = 1 if before is None else before.sequence
    state.integrity_block = integrity.location
    state.integrity_checksum = crc32(integrity.block)
    volume.intent_log = state
    return state
