"""Opening a volume for writing: from what the reader found to a live tree.

Says why a volume cannot be written; takes over the spool that an earlier
mount left, if it belongs to the disc as it is now.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path

from media.store import BlockStore, SequentialStore
from udffs.commit import records, structures
from udffs.commit.nodes import Directory, Entry, Node, State
from udffs.commit.reserve import TRACK_REPAIR, Reserve
from udffs.commit.sequential import SequentialCommitter
from udffs.commit.snapshots import CommittedNamespace
from udffs.commit.spool import Segment, Spool, folder_name
from udffs.commit.stream import DirectoryStream
from udffs.commit.structures import PHYSICAL_REFERENCE as PHYSICAL
from udffs.commit.structures import SESSION_BLOCKS, VolumeDescription
from udffs.commit.structures import VIRTUAL_REFERENCE as VIRTUAL
from udffs.commit.tree import Missing
from udffs.commit.vat import Counts, VatTable, blocks_of_runs
from udffs.errors import SpoolMovedOnError, StructureError
from udffs.volume import Inode, Volume, make_key

WRITABLE_REVISIONS = range(0x0102, 0x0202)
SESSION_OPENING_EXTRA = 16  # VAT ICBs and link blocks of a session's first packet


def why_read_only(store: BlockStore, volume: Volume) -> str | None:
    """What keeps us from writing to this volume, in words; None if nothing."""
    if store.kind == "read-only":
        return "it is an image without a drive's state beside it"
    if store.kind != "sequential" or not isinstance(store, SequentialStore):
        return "this kind of medium cannot be written yet"
    if not store.writable:
        return "it was opened for reading only"
    if volume.kind != "vat" or volume.vat is None:
        return "it was not made for writing piece by piece (it has no virtual allocation table)"
    if volume.write_protected:
        return f"it is write-protected: {volume.write_protected}"
    if volume.revision not in WRITABLE_REVISIONS:
        return f"UDF {volume.revision >> 8}.{volume.revision & 0xFF:02x} cannot be written here"
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
    reserve.grow_vat(vat_entries)
    return reserve


class Writing:
    """All that writing to one volume needs, put together."""

    def __init__(
        self, store: SequentialStore, volume: Volume, spool: Path, log: Callable[[str], None]
    ) -> None:
        vat = volume.vat
        assert vat is not None and volume.virtual_reference is not None
        self.store = store
        self.volume = volume
        self.description = describe(volume)
        self.table = VatTable(
            vat.entries,
            revision=volume.revision,
            label=volume.label,
            location=vat.location,
            blocks=array("I") if vat.embedded else blocks_of_runs(vat.runs, vat.size),
        )
        self.reserve = reserve_of(store, volume, len(vat.entries))
        self.spool = Spool(spool / folder_name(volume.identity), base=vat.location)
        leftover = self.spool.leftover(vat.location)
        self.notes: list[str] = []
        if leftover.moved_on:
            where = self.spool.set_aside()
            self.notes.append(str(SpoolMovedOnError(where=where)))
        self.leftover: list[Segment] = [] if leftover.moved_on else leftover.segments
        counts = Counts(max(vat.files, 0), max(vat.directories, 1), volume.next_unique_id)
        self.namespace = CommittedNamespace(
            root_key=volume.root_key,
            virtual_reference=volume.virtual_reference,
            vat=self.table,
            counts=counts,
            reserve=self.reserve,
            spool=self.spool,
            descriptor_version=self.description.version,
        )
        self.committer = SequentialCommitter(
            store,
            self.description,
            self.table,
            counts=counts,
            physical_reference=volume.physical_reference,
            sequences=self._open_sequences(),
            log=log,
        )

    def _open_sequences(self) -> structures.Sequences | None:
        """Where the open session has its volume descriptor sequences."""
        volume = self.volume
        if not self.store.session_open or volume.anchor < self.store.session_start:
            return None
        (main, main_length), (reserve, reserve_length) = (
            volume.main_sequence,
            volume.reserve_sequence,
        )
        return (main_length, main), (reserve_length, reserve)

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


def load_node(volume: Volume, key: int) -> Node:
    """An inode from the disc."""
    return Node(key, state_of(volume.inode(key)))


def state_of(inode: Inode) -> State:
    """The state of an inode that is as it is on the disc."""
    state = State(
        epoch=-1, mode=inode.mode, uid=inode.uid, gid=inode.gid, unique_id=inode.unique_id
    )
    state.links = inode.links
    state.device = inode.device
    state.atime, state.mtime, state.ctime = inode.atime, inode.mtime, inode.ctime
    state.size = state.floor = inode.size
    state.attributes = inode.extended_attributes
    if inode.data is not None and not state.is_directory:
        state.embedded = inode.data
    state.runs = inode.runs
    return state


def load_directory(volume: Volume, key: int) -> Directory:
    """The names in a directory on the disc."""
    entries = volume.entries(volume.inode(key))
    return Directory({e.name: Entry(e.key, e.is_directory, e.unique_id) for e in entries})


def load_stream(volume: Volume, key: int, version: int) -> DirectoryStream:
    """A directory's bytes on the disc; what is damaged in it is left out."""
    inode = volume.inode(key)
    try:
        return DirectoryStream.from_disc(volume.directory_data(inode), version=version)
    except StructureError:
        parent = volume.parent_key(inode)
        stream = DirectoryStream(version=version, parent=parent, parent_unique_id=0)
        for entry in volume.entries(inode):
            stream.enter(
                entry.name, entry.key, is_directory=entry.is_directory, unique_id=entry.unique_id
            )
        stream.touch_all()
        return stream
