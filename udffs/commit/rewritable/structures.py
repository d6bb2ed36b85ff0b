"""Where everything lies on a rewritable disc of ours, and its descriptors.

Pure: sizes and bad packets in, bytes out. What is rewritten on its own lies in
packets of its own, so that a torn packet takes nothing else along. Addresses
are absolute blocks as if no packet had been spared, packets are named by their
first block, unless said otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from udffs.commit import structures
from udffs.commit.structures import FIRST_UNIQUE_ID, Fields, IntegrityState, VolumeDescription
from udffs.errors import UnusableDiscError
from udffs.ondisc import ecma167, hot, modes, osta, tags
from udffs.ondisc.basic import ExtentType, ShortAd
from udffs.ondisc.intentlog import (
    MAX_EXTENTS,
    PACKET,
    IntegrityExtension,
    build_log_use,
    packet_of,
)
from udffs.ondisc.text import encode_name
from udffs.volume import make_key, split_key
from udffs.volume.bitmap import SpaceTable, bitmap_blocks, new_space
from udffs.volume.model import BLOCK
from udffs.volume.partitions import PhysicalPartition

LOG_FILE = "Non-Allocatable Space"
"""The hidden file in the root directory that holds the log's packets and
whatever else in the partition is not for files (UDF 1.50, 2.3.13)."""

FILE_SET_BLOCKS = 2  # the descriptor and a terminating one
SYSTEM = 0x400  # ICB flag of what belongs to the system (4/14.6.8)
REFERENCE = 0  # partition reference number of the only partition
SPARING_TABLES = 2
MAX_SPARES = 249  # entries of a sparing table of one block, the most that Linux reads
FIRST_ANCHOR = 256
ANCHOR_STEP = 256  # from the last anchor back to the one before (UDF 2.2.3)
RECOGNITION_PACKET = 0
LOG_FILE_UNIQUE_ID = FIRST_UNIQUE_ID
_EXTENT_BLOCKS = 0x3FFFF800 // BLOCK

Run = tuple[int, int]
"""(first block, blocks)."""


@dataclass(frozen=True)
class Layout:
    """Where things are."""

    anchors: tuple[int, ...]
    """Blocks."""
    main: int
    reserve: int
    integrity: int
    """Packets."""
    tables: tuple[int, ...]
    """Packets; none where the drive spares."""
    spares: tuple[int, ...]
    """Packets that are good and not in use."""
    spared: dict[int, int]
    """Bad packets of the partition -> the spare packets in their place."""
    start: int
    length: int
    """The partition."""
    bitmap: int
    """Block, the first of a packet."""
    icbs: int
    """Packet that begins with the ICBs of the root directory and of the log file."""
    log: tuple[tuple[int, int], ...]
    """(first block, packets)."""
    unusable: frozenset[int] = field(default=frozenset())
    """Packets of the partition that are bad and cannot be spared."""

    @property
    def partition(self) -> PhysicalPartition:
        return PhysicalPartition(self.start, self.length)

    @property
    def root(self) -> int:
        """Logical block of the root directory's ICB."""
        return self.icbs - self.start

    @property
    def log_file(self) -> int:
        """Logical block of the log file's ICB."""
        return self.icbs - self.start + 1


# -- the layout ------------------------------------------------------------------


class _Supply:
    """Packets in ascending order, the bad ones left out."""

    def __init__(self, packets: Iterable[int], bad: frozenset[int]) -> None:
        self.left = [packet for packet in packets if packet not in bad]

    def take(self, what: str) -> int:
        if not self.left:
            raise UnusableDiscError(why=f"too many of its packets are bad: no place for {what}")
        return self.left.pop(0)

    def row(self, count: int, what: str) -> int:
        """The first of `count` packets that lie next to each other."""
        for index in range(len(self.left) - count + 1):
            first = self.left[index]
            if self.left[index + count - 1] == first + (count - 1) * PACKET:
                del self.left[index : index + count]
                return first
        raise UnusableDiscError(why=f"there is no place for {what} on it")


def _anchors(last: int, bad: frozenset[int]) -> tuple[int, ...]:
    """The blocks where an anchor can be; two are needed (3/8.4.2.1)."""
    whole = [FIRST_ANCHOR, last - ANCHOR_STEP]
    if last % PACKET == PACKET - 1:  # a packet that ends behind the disc cannot be written
        whole.append(last)
    found = tuple(block for block in whole if packet_of(block) not in bad)
    if len(found) < 2:
        raise UnusableDiscError(why="the packets of its anchors are bad")
    return found


def lay_out(
    capacity: int,
    *,
    sparable: bool,
    bad: frozenset[int] = frozenset(),
    log_packets: int,
    spare_packets: int,
) -> Layout:
    """The layout of a disc of `capacity` blocks with those bad packets.

    Raises UnusableDiscError.
    """
    last = capacity - 1
    end = packet_of(last - ANCHOR_STEP)
    if end < FIRST_ANCHOR + 2 * PACKET:
        raise UnusableDiscError(why="it is too small")
    if RECOGNITION_PACKET in bad:
        raise UnusableDiscError(why="its first packet is bad")
    head = _Supply(range(PACKET, FIRST_ANCHOR, PACKET), bad)
    tail = _Supply(range(end + PACKET, packet_of(last), PACKET), bad)
    main, reserve = head.take("the descriptors"), tail.take("the descriptors")
    integrity = head.take("the integrity descriptor")
    tables: tuple[int, ...] = ()
    spares: list[int] = []
    start = FIRST_ANCHOR + PACKET
    if sparable:
        tables = (head.take("the sparing tables"), tail.take("the sparing tables"))
        spares, start = _spare_area([*head.left, *tail.left], start, end, bad, spare_packets)
    while not sparable and start in bad:
        start += PACKET
    inside = sorted(packet for packet in bad if start <= packet < end)
    if sparable and len(inside) > len(spares):
        raise UnusableDiscError(why=f"{len(bad)} of its packets are bad")
    supply = _Supply(range(start, end, PACKET), frozenset() if sparable else bad)
    supply.take("its files")  # the packet of the file set
    bitmap = supply.row(-(-bitmap_blocks(end - start) // PACKET), "its bitmap of free space")
    log = _rows([supply.take("the log") for _ in range(log_packets)])
    if len(log) > MAX_EXTENTS:
        raise UnusableDiscError(why=f"{len(bad)} of its packets are bad")
    return Layout(
        anchors=_anchors(last, bad),
        main=main,
        reserve=reserve,
        integrity=integrity,
        tables=tables,
        spares=tuple(spares[len(inside) :]) if sparable else (),
        spared=dict(zip(inside, spares, strict=False)) if sparable else {},
        start=start,
        length=end - start,
        bitmap=bitmap,
        icbs=supply.take("its directories"),
        log=log,
        unusable=frozenset() if sparable else frozenset(inside),
    )


def _spare_area(
    gaps: list[int], start: int, end: int, bad: frozenset[int], wanted: int
) -> tuple[list[int], int]:
    """Spare packets, and where the partition can begin: those of the gaps, then
    from `start` on as many as there must be to have `wanted` left."""
    spares = list(gaps)
    while start < end and len(spares) < min(
        MAX_SPARES, wanted + sum(start <= packet < end for packet in bad)
    ):
        spares += [] if start in bad else [start]
        start += PACKET
    return spares, start


def _rows(packets: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Ascending packets as (first block, packets)."""
    rows: list[tuple[int, int]] = []
    for packet in packets:
        if rows and rows[-1][0] + rows[-1][1] * PACKET == packet:
            rows[-1] = (rows[-1][0], rows[-1][1] + 1)
        else:
            rows.append((packet, 1))
    return tuple(rows)


# -- the volume descriptors --------------------------------------------------------


def log_place_fields(log: Sequence[tuple[int, int]]) -> Fields:
    """Of the implementation use volume descriptor that says where the log is."""
    return {
        "implementation_identifier": osta.implementation_id(osta.LOG_PLACE),
        "implementation_use": build_log_use(log),
    }


def descriptor_sequence(volume: VolumeDescription, layout: Layout, at: int) -> list[bytes]:
    """The volume descriptor sequence for block `at`."""
    access, maps = ecma167.ACCESS_OVERWRITABLE, osta.Type1PartitionMap.build({})
    if layout.tables:
        access = ecma167.ACCESS_REWRITABLE
        maps = osta.sparable_map(
            volume.revision, packet=PACKET, locations=layout.tables, size=BLOCK
        )
    logical = structures.logical_fields(
        volume,
        maps=maps,
        count=1,
        file_set=structures.block_address(0, REFERENCE, blocks=FILE_SET_BLOCKS),
        integrity=(PACKET * BLOCK, layout.integrity),
    )
    partition = structures.partition_fields(volume, access, _partition_header(layout))
    information = structures.information_fields(volume)
    descriptors = [
        (ecma167.PrimaryVolumeDescriptor, structures.primary_fields(volume)),
        (ecma167.ImplementationUseVolumeDescriptor, information),
        (ecma167.ImplementationUseVolumeDescriptor, log_place_fields(layout.log)),
        (ecma167.PartitionDescriptor, partition),
        (ecma167.LogicalVolumeDescriptor, logical),
        (ecma167.UnallocatedSpaceDescriptor, {}),
    ]
    return structures.descriptor_sequence(volume, at, descriptors)


def _partition_header(layout: Layout) -> bytes:
    nothing = ShortAd.build({"extent_length": 0, "extent_position": 0})
    bitmap = {
        "extent_length": bitmap_blocks(layout.length) * BLOCK,
        "extent_position": layout.bitmap - layout.start,
    }
    fields = {
        "unallocated_space_table": nothing,
        "unallocated_space_bitmap": ShortAd.build(bitmap),
        "partition_integrity_table": nothing,
        "freed_space_table": nothing,
        "freed_space_bitmap": nothing,
    }
    return bytes(ecma167.PartitionHeaderDescriptor.build(fields))


def sequences(layout: Layout) -> structures.Sequences:
    """Where the sequences are, for the anchors."""
    length = structures.SEQUENCE_BLOCKS * BLOCK
    return (length, layout.main), (length, layout.reserve)


def integrity(volume: VolumeDescription, layout: Layout, free: int) -> bytes:
    """The integrity descriptor of the empty volume, closed."""
    state = IntegrityState(
        is_open=False,
        recorded=volume.created,
        next_unique_id=LOG_FILE_UNIQUE_ID + 1,
        files=1,
        directories=1,
        free=(free,),
        sizes=(layout.length,),
        extension=IntegrityExtension(next_slot=0, sequence=1, commit=0),
    )
    return structures.integrity(volume, layout.integrity, state)


def sparing_table(volume: VolumeDescription, layout: Layout, location: int) -> bytes:
    """A copy of the sparing table for block `location` (UDF 2.2.12)."""
    entries = [(bad - layout.start, spare) for bad, spare in layout.spared.items()]
    entries += [(osta.SPARING_AVAILABLE, spare) for spare in layout.spares]
    identifier = osta.udf_id(osta.SPARING_TABLE, volume.revision)
    fields = osta.sparing_fields(identifier, 1, entries)
    return tags.seal(osta.SparingTable, fields, location=location, version=volume.version)


# -- what is in the partition --------------------------------------------------------


def space(volume: VolumeDescription, layout: Layout) -> SpaceTable:
    """The bitmap of the empty volume."""
    table = new_space(layout.partition, layout.bitmap, volume.version)
    for first, count in [*not_for_files(layout), (layout.start, FILE_SET_BLOCKS), (layout.icbs, 2)]:
        table.mark(first, count, free=False)
    table.mark(layout.bitmap, table.blocks, free=False)
    return table


def not_for_files(layout: Layout) -> list[Run]:
    """What the log file holds: the log, the rest of packets that should not get
    files beside what is in them, and what is bad; ascending."""
    runs = [(first, packets * PACKET) for first, packets in layout.log]
    runs += [(packet, PACKET) for packet in layout.unusable]
    runs.append((layout.start + FILE_SET_BLOCKS, PACKET - FILE_SET_BLOCKS))
    size = bitmap_blocks(layout.length)
    runs.append((layout.bitmap + size, -size % PACKET))
    return sorted(run for run in runs if run[1])


def file_set(volume: VolumeDescription, layout: Layout) -> bytes:
    """The file set descriptor and the terminating one behind it: two blocks."""
    root = structures.block_address(layout.root, REFERENCE)
    first = structures.file_set(volume, location=0, root=root)
    return first + structures.terminator(volume, 1).ljust(BLOCK, b"\0")


def root_directory(
    volume: VolumeDescription, layout: Layout, *, uid: int, gid: int, mode: int
) -> bytes:
    """The ICB of the root directory, its content in it: one block."""
    key = make_key(REFERENCE, layout.root)
    directory = ecma167.FID_DIRECTORY | ecma167.FID_PARENT
    names = [
        (directory, key, 0, b""),
        (
            ecma167.FID_HIDDEN,
            make_key(REFERENCE, layout.log_file),
            LOG_FILE_UNIQUE_ID,
            encode_name(LOG_FILE),
        ),
    ]
    content = b"".join(_fid(volume, layout.root, *name) for name in names)
    return structures.root_directory(volume, layout.root, content, uid=uid, gid=gid, mode=mode)


def _fid(
    volume: VolumeDescription,
    location: int,
    characteristics: int,
    key: int,
    unique_id: int,
    name: bytes,
) -> bytes:
    reference, block = split_key(key)
    return hot.build_fid(
        location=location,
        version=volume.version,
        characteristics=characteristics,
        icb=(BLOCK, block, reference),
        unique_id=unique_id,
        name=name,
    )


def log_file(
    volume: VolumeDescription, location: int, runs: Iterable[Run], unique_id: int
) -> bytes:
    """The ICB, for that logical block, of the file that holds `runs`: allocated
    and not recorded (4/14.14.1.1), root's and nobody's to read. One block.

    Raises UnusableDiscError if there are more runs than fit.
    """
    extents = [
        (min(_EXTENT_BLOCKS, count - at) * BLOCK, ExtentType.ALLOCATED, first + at)
        for first, count in ((first - volume.partition_start, count) for first, count in runs)
        for at in range(0, count, _EXTENT_BLOCKS)
    ]
    allocation = hot.pack_short_ads(extents)
    if len(allocation) > hot.MAX_EMBEDDED:
        raise UnusableDiscError(why=f"what cannot be used of it lies in {len(extents)} pieces")
    permissions, flags = modes.permissions_from_mode(0)
    return hot.build_file_entry(
        location=location,
        version=volume.version,
        file_type=modes.FileType.REGULAR,
        icb_flags=flags | SYSTEM,
        uid=0,
        gid=0,
        permissions=permissions,
        link_count=1,
        size=sum(length for length, _, _ in extents),
        blocks_recorded=0,
        atime_ns=volume.created,
        mtime_ns=volume.created,
        ctime_ns=volume.created,
        unique_id=unique_id,
        allocation=allocation,
        allocation_type=hot.ALLOCATION_SHORT,
    )
