"""A write-once disc, opened for writing: from what the reader found to a live tree."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path

from media.store import SequentialStore
from udffs.commit import structures
from udffs.commit.bridge.measure import known_or_measured, measure
from udffs.commit.bridge.walk import View
from udffs.commit.closing import DESCRIPTORS_LOST, Closing
from udffs.commit.reserve import TRACK_REPAIR, Reserve
from udffs.commit.sequential import Journal, SequentialCommitter
from udffs.commit.session import BRIDGED_BLOCKS, PLAIN_BLOCKS, OpenSession
from udffs.commit.structures import PHYSICAL_REFERENCE as PHYSICAL
from udffs.commit.structures import VIRTUAL_REFERENCE as VIRTUAL
from udffs.commit.structures import VolumeDescription
from udffs.commit.vat import Counts, VatTable, blocks_of_runs
from udffs.commit.writing import Log, Writing
from udffs.errors import NoSpaceError
from udffs.volume import Volume, make_key
from udffs.volume.anchors import ISO_9660, TERMINATING, recognition
from udffs.volume.source import Source

WALK = 0.3  # the part of a close that reading all names takes, as progress shows it
FIRST_SESSION_GAP = 11_400  # blocks that are lost between the first session and the next
LATER_SESSION_GAP = 6_900  # behind any other
SESSION_OPENING_EXTRA = 16  # VAT ICBs and link blocks of a session's first packet


def why_not_write_once(store: SequentialStore, volume: Volume) -> str | None:
    """What keeps us from adding to a volume on a write-once disc, in words."""
    if volume.kind != "vat" or volume.vat is None:
        return "it was not made for writing piece by piece (it has no virtual allocation table)"
    if not store.appendable:
        return "the disc is closed"
    if close_begun(store, volume):
        return "its close was begun and has to be completed first (`udffs close`)"
    if _burnt_behind(store, volume.vat.location):
        return (
            "behind it a session was burnt in one go, whose files would not be seen any more; "
            "`udffs burn` adds another one"
        )
    if not _can_be_repeated(volume):
        return "its partitions lie in a way that we cannot repeat in a new session"
    return None


def _burnt_behind(store: SequentialStore, vat: int) -> bool:
    """Whether a complete session behind the VAT was not written in packets."""
    behind = [range(s.start, s.end) for s in store.sessions if s.end is not None and s.start > vat]
    if not behind:
        return False
    starts = [track.start for track in store.drive.tracks() if track.packets or track.reserved]
    return any(not any(start in session for start in starts) for session in behind)


def _can_be_repeated(volume: Volume) -> bool:
    """Whether the descriptors of a new session (:mod:`udffs.commit.structures`)
    would lead to the same volume: the order of the partition maps, the
    partition's number and the place of the file set are always ours."""
    return (
        (volume.physical_reference, volume.virtual_reference) == (PHYSICAL, VIRTUAL)
        and len(volume.spaces) == 2
        and volume.partition_number == 0
        and volume.file_set_key == make_key(VIRTUAL, structures.VIRTUAL_FILE_SET)
        and volume.root_key >> 32 == VIRTUAL
    )


def open_session(store: SequentialStore, volume: Volume) -> OpenSession | None:
    """The open session of a disc; None if there is none, or none with an anchor."""
    start = store.session_start
    if not store.session_open or volume.anchor < start:
        return None
    main, main_length = volume.main_sequence
    reserve, reserve_length = volume.reserve_sequence
    track = store.first_track
    bridged = track is not None and main >= track.start + track.blocks
    return OpenSession(start, ((main_length, main), (reserve_length, reserve)), bridged)


def has_bridge(store: SequentialStore, volume: Volume) -> bool:
    """Whether the volume's sessions have an ISO 9660 view, or a place for it."""
    session = open_session(store, volume)
    if session is not None:
        return session.bridged
    if store.session_open:  # a cut left it without an anchor
        return store.first_track is not None and not store.first_track.complete
    if not store.sessions:
        return False
    found = recognition(Source(store), store.sessions[-1].start)
    # A beginning that cannot be read was lost in the close of a session with a bridge.
    return found is None or ISO_9660 in found


def close_begun(store: SequentialStore, volume: Volume) -> bool:
    """Whether the last step of a close was begun: nothing else may be written then."""
    session = open_session(store, volume)
    track = store.first_track
    return session is not None and session.bridged and track is not None and not track.empty


def complete_close(
    store: SequentialStore,
    volume: Volume,
    *,
    log: Log,
    final: bool = False,
    progress: Callable[[float], None] | None = None,
) -> list[str]:
    """Go on with a close that was broken off; returns what there is to say."""
    session = open_session(store, volume)
    assert session is not None and volume.vat is not None
    closing = Closing(store, describe(volume), session, log=log)
    closing.find_descriptors(volume.vat.location)
    closing.fill_reserved_track()
    found = recognition(Source(store), session.start)
    store.close_session(final=final, progress=progress)
    notes = ["The close of this disc had been broken off; it has been completed."]
    whole = found is not None and {ISO_9660, TERMINATING} <= found
    return notes if whole else [*notes, DESCRIPTORS_LOST]


def describe(volume: Volume) -> VolumeDescription:
    """What new sessions and anchors of this volume have to say."""
    return VolumeDescription(
        label=volume.label,
        set_identifier=volume.identity,
        revision=volume.revision,
        partition_start=volume.partition_start,
        partition_length=volume.partition_length,
        created=volume.created,
    )


def free_blocks(store: SequentialStore, volume: Volume) -> int:
    """What the drive says is free (before a repair it cannot say), as far as
    the partition reaches: a disc of another writer may end it sooner, and
    what lies behind its end cannot be read."""
    end = volume.partition_start + volume.partition_length
    if store.needs_repair:
        return max(0, min(store.capacity, end) - store.last_block - TRACK_REPAIR)
    return max(0, min(store.free_blocks, end - store.next_writable))


def opening_cost(store: SequentialStore, *, bridge: bool) -> int:
    """Blocks that a new session takes before anything else."""
    return 0 if store.session_open else opening_blocks(bridge)


def opening_blocks(bridge: bool) -> int:
    """Blocks that any session takes before anything else, at most."""
    return (BRIDGED_BLOCKS if bridge else PLAIN_BLOCKS) + SESSION_OPENING_EXTRA


def session_gap(store: SequentialStore) -> int:
    """Blocks that are lost between the session that is open, or the next one, and the
    one after it."""
    closed = [span for span in store.sessions if span.end is not None]
    return LATER_SESSION_GAP if closed else FIRST_SESSION_GAP


def reserve_of(store: SequentialStore, volume: Volume, vat_entries: int) -> Reserve:
    """The room on a disc whose VAT has so many entries, as a mount sees it. Walks through
    the volume if it has a bridge and its last VAT is not ours."""
    bridged = has_bridge(store, volume)
    reserve = Reserve(
        free=free_blocks(store, volume),
        link_blocks=store.link_blocks,
        packet_limit=store.packet_limit,
        opening=opening_cost(store, bridge=bridged),
        bridge=known_or_measured(volume) if bridged else None,
        session_gap=session_gap(store),
        next_opening=opening_blocks(bridged),
    )
    reserve.grow_table(vat_entries)
    return reserve


class SequentialWriting(Writing):
    """Writing to a disc that is added to, packet by packet."""

    closable = True
    copies = 2  # the VAT ICB is written twice

    def __init__(self, store: SequentialStore, volume: Volume, spool: Path, log: Log) -> None:
        vat = volume.vat
        assert vat is not None and volume.virtual_reference is not None
        self._sequential = store
        self._vat = vat
        self.description = describe(volume)
        self.table = VatTable(
            vat.entries,
            revision=volume.revision,
            label=volume.label,
            location=vat.location,
            blocks=array("I") if vat.embedded else blocks_of_runs(vat.runs, vat.size),
        )
        self._reserve = reserve_of(store, volume, len(vat.entries))
        counts = Counts(
            max(vat.files, 0),
            max(vat.directories, 1),
            volume.next_unique_id,
            self._reserve.bridge,
        )
        super().__init__(
            volume,
            spool,
            reserve=self._reserve,
            numbers=self.table,
            counts=counts,
            version=self.description.version,
            position=vat.location,
            reference=volume.virtual_reference,
        )
        self._committer = SequentialCommitter(
            store,
            self.description,
            self.table,
            counts=counts,
            physical_reference=volume.physical_reference,
            session=open_session(store, volume),
            bridge=self._reserve.bridge is not None,
            log=log,
        )

    @property
    def committer(self) -> SequentialCommitter:
        return self._committer

    @property
    def blocks_per_second(self) -> float | None:
        return self._sequential.blocks_per_second

    def committed(self, location: int, gone: set[int]) -> None:
        # A file without a name keeps its number while it is open.
        held = (key & 0xFFFFFFFF for key in self.namespace.orphans)
        self.table.settled(gone, held)
        self._vat.location = location

    def update_room(self) -> None:
        self._reserve.settle(
            free=free_blocks(self._sequential, self.volume),
            vat_entries=self.table.allocated,
            opening=opening_cost(self._sequential, bridge=self._committer.bridge),
        )

    def where(self, key: int) -> int:
        number = key & 0xFFFFFFFF
        if key >> 32 != self.volume.virtual_reference:
            return number
        entries = self._vat.entries
        return entries[number] if number < len(entries) else -1

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
        committer = self._committer
        if bridge and not committer.bridge:
            counts = self._make_room_for_bridge(counts, now, journal)
        notes = committer.close(
            counts,
            now=now,
            final=final,
            journal=journal,
            view=lambda: View(self.volume, _part(progress, 0, WALK)),
            progress=_part(progress, WALK, 1),
        )
        return self.table.location, notes

    def _make_room_for_bridge(self, counts: Counts, now: int, journal: Journal) -> Counts:
        """The ISO 9660 view of a disc without a place for it gets a session of its own;
        ``counts`` with what it costs are returned."""
        store = self._sequential
        bridge = measure(self.volume)
        if store.session_open:
            needed = session_gap(store) + BRIDGED_BLOCKS + self._reserve.closing_with(bridge)
            if needed > store.free_blocks:
                raise NoSpaceError(needed=needed, free=store.free_blocks)
            self._committer.close(counts, now=now, final=False, journal=journal)
        self._committer.bridge = True
        return counts._replace(bridge=bridge)


def _part(
    progress: Callable[[float], None] | None, start: float, end: float
) -> Callable[[float], None] | None:
    """Progress from 0 to 1, as that part of a whole."""
    if progress is None:
        return None
    return lambda done: progress(start + (end - start) * done)
