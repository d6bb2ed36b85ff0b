"""A write-once disc, opened for writing: from what the reader found to a live tree."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path

from media.store import SequentialStore
from udffs.commit import structures
from udffs.commit.reserve import TRACK_REPAIR, Reserve
from udffs.commit.sequential import Journal, SequentialCommitter
from udffs.commit.structures import PHYSICAL_REFERENCE as PHYSICAL
from udffs.commit.structures import SESSION_BLOCKS, VolumeDescription
from udffs.commit.structures import VIRTUAL_REFERENCE as VIRTUAL
from udffs.commit.vat import Counts, VatTable, blocks_of_runs
from udffs.commit.writing import Log, Writing
from udffs.volume import Volume, make_key

SESSION_OPENING_EXTRA = 16  # VAT ICBs and link blocks of a session's first packet


def why_not_write_once(store: SequentialStore, volume: Volume) -> str | None:
    """What keeps us from adding to a volume on a write-once disc, in words."""
    if volume.kind != "vat" or volume.vat is None:
        return "it was not made for writing piece by piece (it has no virtual allocation table)"
    if not store.appendable:
        return "the disc is closed"
    if not _can_be_repeated(volume):
        return "its partitions lie in a way that we cannot repeat in a new session"
    return None


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


def opening_cost(store: SequentialStore) -> int:
    """Blocks that a new session takes before anything else."""
    return 0 if store.session_open else SESSION_BLOCKS + SESSION_OPENING_EXTRA


def reserve_of(store: SequentialStore, volume: Volume, vat_entries: int) -> Reserve:
    """The room on a disc whose VAT has so many entries, as a mount sees it."""
    reserve = Reserve(
        free=free_blocks(store, volume),
        link_blocks=store.link_blocks,
        packet_limit=store.packet_limit,
        opening=opening_cost(store),
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
        counts = Counts(max(vat.files, 0), max(vat.directories, 1), volume.next_unique_id)
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
            sequences=self._open_sequences(),
            log=log,
        )

    @property
    def committer(self) -> SequentialCommitter:
        return self._committer

    @property
    def blocks_per_second(self) -> float | None:
        return self._sequential.blocks_per_second

    def _open_sequences(self) -> structures.Sequences | None:
        """Where the open session has its volume descriptor sequences."""
        volume = self.volume
        if not self._sequential.session_open or volume.anchor < self._sequential.session_start:
            return None
        (main, main_length), (reserve, reserve_length) = (
            volume.main_sequence,
            volume.reserve_sequence,
        )
        return (main_length, main), (reserve_length, reserve)

    def committed(self, location: int, gone: set[int]) -> None:
        # A file without a name keeps its number while it is open.
        held = (key & 0xFFFFFFFF for key in self.namespace.orphans)
        self.table.settled(gone, held)
        self._vat.location = location

    def update_room(self) -> None:
        self._reserve.settle(
            free=free_blocks(self._sequential, self.volume),
            vat_entries=self.table.allocated,
            opening=opening_cost(self._sequential),
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
        journal: Journal,
        progress: Callable[[float], None] | None,
    ) -> int:
        self._committer.close(counts, now=now, final=final, journal=journal, progress=progress)
        return self.table.location
