"""What can be spoilt on a volume, and what the checker must say of it then.

For a disc that holds what ``rewritable.KERNEL_FILES`` makes. (More than
500 lines: it is one list of small cases, to be read beside each other.)
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import Any

from support.spoiling import Spoilt, resealed
from support.volume_structures import BLOCK
from udffs.ondisc import ecma167, hot, osta
from udffs.ondisc.basic import TagIdentifier
from udffs.ondisc.derive import derive
from udffs.ondisc.ecma167 import FID_DIRECTORY, FID_PARENT, FileIdentifierDescriptor

# -- damage ------------------------------------------------------------------------


def lose_a_block(disc: Spoilt) -> None:
    _flip(disc, disc.ground.length - 1)


def forget_a_block(disc: Spoilt) -> None:
    _flip(disc, disc.ground.icbs["/one/five"])


def _flip(disc: Spoilt, block: int) -> None:
    """Change a bit of the bitmap; it begins behind its head of 24 bytes."""
    at = 24 + block // 8
    block_of_bitmap, offset = disc.first("the space bitmap") + at // BLOCK, at % BLOCK
    data = bytearray(disc.read(block_of_bitmap, 1))
    data[offset] ^= 1 << block % 8
    disc.put(block_of_bitmap, bytes(data))


def _allocation(disc: Spoilt, path: str, change: Callable[[list[int]], None]) -> None:
    """Change the first allocation descriptor of a file, or the one in the place that is told."""
    block = disc.icb(path)
    data = disc.read(block, 1)
    allocation = hot.parse_file_entry(data, None).allocation
    fields = list(struct.unpack_from("<2I", allocation))
    change(fields)
    disc.bytes_of(block, data.find(allocation), struct.pack("<2I", *fields))


def share_blocks(disc: Spoilt) -> None:
    def change(ad: list[int]) -> None:
        ad[1] = disc.ground.icbs["/holes"]

    _allocation(disc, "/one/five", change)


def point_outside(disc: Spoilt) -> None:
    def change(ad: list[int]) -> None:
        ad[1] = disc.ground.length - 1

    _allocation(disc, "/one/five", change)


def shorten_extent(disc: Spoilt) -> None:
    def change(ad: list[int]) -> None:
        ad[0] -= BLOCK

    _allocation(disc, "/one/five", change)


def lengthen_file(disc: Spoilt) -> None:
    _entry(disc, "/one/file1", information_length=lambda old: old + 1)


def shorten_file(disc: Spoilt) -> None:
    _entry(disc, "/one/five", information_length=100)


def _entry(disc: Spoilt, path: str, **changes: Any) -> None:
    block = disc.icb(path)
    extended = hot.parse_file_entry(disc.read(block, 1), None).extended
    declaration = ecma167.ExtendedFileEntry if extended else ecma167.FileEntry
    disc.fields(declaration, block, **changes)


def miscount_blocks(disc: Spoilt) -> None:
    _entry(disc, "/one/five", logical_blocks_recorded=77)


def miscount_links(disc: Spoilt) -> None:
    _entry(disc, "/one/five", file_link_count=3)


def miscount_links_of_directory(disc: Spoilt) -> None:
    _entry(disc, "/one", file_link_count=9)


def repeat_unique_id(disc: Spoilt) -> None:
    other = hot.parse_file_entry(disc.read(disc.icb("/holes"), 1), None).unique_id
    _entry(disc, "/one/five", unique_id=other)


def use_reserved_unique_id(disc: Spoilt) -> None:
    _entry(disc, "/one/five", unique_id=7)


def name_the_root(disc: Spoilt) -> None:
    _entry(disc, "/", unique_id=99)


def use_strategy_4096(disc: Spoilt) -> None:
    _entry(disc, "/one/five", icb_tag__strategy_type=4096)


def move_icb_tag(disc: Spoilt) -> None:
    _entry(disc, "/one/five", tag__tag_location=5)


def change_version(disc: Spoilt) -> None:
    _entry(disc, "/one/five", tag__descriptor_version=lambda old: 5 - old)


def change_file_type(disc: Spoilt) -> None:
    _entry(disc, "/one/five", icb_tag__file_type=4)


def spoil_icb(disc: Spoilt) -> None:
    disc.put(disc.icb("/one/five"), b"nonsense")


def spoil_allocation_extent(disc: Spoilt) -> None:
    disc.put(disc.first("/holes (allocation extent)"), b"nonsense")


def _fids(disc: Spoilt, path: str, name: bytes, **changes: Any) -> None:
    def change(fid: hot.FidFields, data: bytearray) -> None:
        if fid.name == name:
            codec = _FID
            values = list(codec.unpack_from(data))
            for field, value in changes.items():
                values[codec.names.index(field.replace("__", "."))] = value
            codec.pack_into(data, 0, *values)

    disc.entries(path, change)


_FID = derive(FileIdentifierDescriptor)
_CHARACTERISTICS = "file_characteristics"


def misplace_entry(disc: Spoilt) -> None:
    _fids(disc, "/", b"\x08one", tag__tag_location=3)


def mislead_parent(disc: Spoilt) -> None:
    _fids(disc, "/one/two", b"", icb__location__logical_block_number=disc.ground.icbs["/"])


def lose_parent(disc: Spoilt) -> None:
    _fids(disc, "/one/two", b"", file_characteristics=FID_DIRECTORY)


def forget_a_name(disc: Spoilt) -> None:
    _fids(disc, "/", b"\x08holes", file_characteristics=4)


def name_a_directory_twice(disc: Spoilt) -> None:
    _fids(disc, "/", b"\x08holes", icb__location__logical_block_number=disc.ground.icbs["/one"])


def name_twice(disc: Spoilt) -> None:
    def change(fid: hot.FidFields, data: bytearray) -> None:
        if fid.name == b"\x08file2":
            data[-6:] = data[-6:].replace(b"file2", b"file1")

    disc.entries("/one", change)


def spoil_entry(disc: Spoilt) -> None:
    block = disc.first("/one")
    disc.put(block, disc.read(block, 1)[:500])


def open_integrity(disc: Spoilt) -> None:
    disc.fields(
        ecma167.LogicalVolumeIntegrityDescriptor, disc.ground.integrity_at, integrity_type=0
    )


def _integrity(disc: Spoilt, change: Callable[[Any], None]) -> None:
    disc.parsed(ecma167.LogicalVolumeIntegrityDescriptor, disc.ground.integrity_at, change)


def miscount_free(disc: Spoilt) -> None:
    def change(one: Any) -> None:
        one.free_space_table[0] += 1

    _integrity(disc, change)


def miscount_size(disc: Spoilt) -> None:
    def change(one: Any) -> None:
        one.size_table[0] += 1

    _integrity(disc, change)


def _use(disc: Spoilt, **changes: int) -> None:
    def change(one: Any) -> None:
        use = osta.LogicalVolumeIntegrityImplementationUse.parse(one.implementation_use)
        use.update(changes)
        built = osta.LogicalVolumeIntegrityImplementationUse.build(use)
        one.implementation_use = built + one.implementation_use[len(built) :]

    _integrity(disc, change)


def miscount_files(disc: Spoilt) -> None:
    _use(disc, number_of_files=7)


def miscount_directories(disc: Spoilt) -> None:
    _use(disc, number_of_directories=7)


def keep_others_out(disc: Spoilt) -> None:
    _use(disc, minimum_udf_write_revision=0x0260)


def repeat_next_id(disc: Spoilt) -> None:
    def change(one: Any) -> None:
        one.logical_volume_contents_use.unique_id = 20

    _integrity(disc, change)


def lose_integrity(disc: Spoilt) -> None:
    disc.put(disc.ground.integrity_at, b"")


def lose_anchors(disc: Spoilt) -> None:
    disc.put(256, b"")
    disc.put(disc.last_block, b"")


def move_anchor(disc: Spoilt) -> None:
    declaration = ecma167.AnchorVolumeDescriptorPointer
    disc.fields(declaration, 256, reserve_volume_descriptor_sequence_extent__location=40)


def change_main_sequence(disc: Spoilt) -> None:
    disc.fields(ecma167.PrimaryVolumeDescriptor, disc.ground.main_at, interchange_level=3)


def lose_main_sequence(disc: Spoilt) -> None:
    disc.put(disc.ground.main_at, b"")


def _sequences(disc: Spoilt, identifier: int, **changes: Any) -> None:
    """Change a descriptor in the main and in the reserve sequence."""
    anchor = ecma167.AnchorVolumeDescriptorPointer.parse(disc.read(256, 1))
    declaration = ecma167.DESCRIPTORS[TagIdentifier(identifier)]
    for extent in (
        anchor.main_volume_descriptor_sequence_extent,
        anchor.reserve_volume_descriptor_sequence_extent,
    ):
        for block in range(extent.location, extent.location + 16):
            if disc.read(block, 1)[0] == identifier:
                disc.fields(declaration, block, **changes)


def _volume(**changes: Any) -> Callable[[Spoilt], None]:
    return partial(_sequences, identifier=6, **changes)


def _partition(**changes: Any) -> Callable[[Spoilt], None]:
    return partial(_sequences, identifier=5, **changes)


def _map(disc: Spoilt, **changes: Any) -> None:
    """Change the partition map, which stands behind the fixed part."""
    codec = derive(osta.SparablePartitionMap)
    size = derive(ecma167.LogicalVolumeDescriptor).size
    main = disc.ground.main_at
    for block in range(main, main + 16):
        data = bytearray(disc.read(block, 1))
        if data[0] == 6 and data[12:16] == block.to_bytes(4, "little"):
            values = list(codec.unpack_from(data, size))
            for name, value in changes.items():
                values[codec.names.index(name)] = value
            codec.pack_into(data, size, *values)
            disc.put(block, resealed(bytes(data)))


def _map_use(**changes: Any) -> Callable[[Spoilt], None]:
    return partial(_map, **changes)


def spoil_recognition(disc: Spoilt) -> None:
    disc.put(17, b"")


def _bitmap_head(disc: Spoilt, **changes: int) -> None:
    disc.fields(ecma167.SpaceBitmapDescriptor, disc.first("the space bitmap"), **changes)


def shorten_bitmap(disc: Spoilt) -> None:
    _bitmap_head(disc, number_of_bits=lambda old: old - 8)  # type: ignore[arg-type]


def move_file_set(disc: Spoilt) -> None:
    disc.fields(
        ecma167.FileSetDescriptor, disc.first("the file set descriptor"), tag__tag_location=9
    )


# -- damage of sparing ---------------------------------------------------------------


def _table(
    disc: Spoilt, entries: list[tuple[int, int]], *, only: int = -1, number: int = 1
) -> None:
    """Write the sparing tables (or only one) with these entries first."""
    locations = _table_locations(disc)
    for index, at in enumerate(locations):
        if only in (-1, index):

            def change(table: Any) -> None:
                raw = b"".join(struct.pack("<2I", *entry) for entry in entries)
                table.map_entries = raw + table.map_entries[len(raw) :]
                table.sequence_number = number

            disc.parsed(osta.SparingTable, at, change)


def _table_locations(disc: Spoilt) -> list[int]:
    volume = ecma167.LogicalVolumeDescriptor
    main = disc.ground.main_at
    for block in range(main, main + 6):
        data = disc.read(block, 1)
        if data[0] == 6:
            maps = volume.parse(data).partition_maps
            found = osta.SparablePartitionMap.parse(maps).locations_of_sparing_tables
            return [at for at in struct.unpack("<4I", found) if at]
    raise AssertionError("no logical volume descriptor")


def differing_tables(disc: Spoilt) -> None:
    _table(disc, [], only=1, number=5)


def lose_a_table(disc: Spoilt) -> None:
    disc.put(_table_locations(disc)[1], b"")


def spare_twice(disc: Spoilt) -> None:
    first = disc.ground.spare_packets[0]
    _table(disc, [(32 * 300, first), (32 * 301, first)])


def spare_a_packet_twice(disc: Spoilt) -> None:
    one, two = disc.ground.spare_packets[:2]
    _table(disc, [(32 * 300, one), (32 * 300, two)])


def unsorted(disc: Spoilt) -> None:
    one, two = disc.ground.spare_packets[:2]
    _table(disc, [(32 * 301, one), (32 * 300, two)])


def spare_half_a_packet(disc: Spoilt) -> None:
    _table(disc, [(32 * 300 + 1, disc.ground.spare_packets[0])])


def spare_into_partition(disc: Spoilt) -> None:
    _table(disc, [(32 * 300, disc.ground.start + 32 * 310)])


def spare_onto_the_anchor(disc: Spoilt) -> None:
    _table(disc, [(32 * 300, 256)])


def spare_a_packet_in_use(disc: Spoilt) -> None:
    """The root's packet is read from a spare one, which holds nothing."""
    _table(disc, [(0, disc.ground.spare_packets[0])])


# -- damage of extents, one field each -------------------------------------------------


def _ad(
    length: int | None = None, block: int | None = None, kind: int = 0
) -> Callable[[Spoilt], None]:
    """The first allocation descriptor of a file of 5,000 bytes, changed."""

    def change(ad: list[int]) -> None:
        ad[0] = (ad[0] if length is None else length) | kind << 30
        ad[1] = ad[1] if block is None else block

    return lambda disc: _allocation(disc, "/one/five", change)


def _one(path: str = "/one/five", **changes: Any) -> Callable[[Spoilt], None]:
    return lambda disc: _entry(disc, path, **changes)


def _name(path: str, name: bytes, **changes: Any) -> Callable[[Spoilt], None]:
    return lambda disc: _fids(disc, path, name, **changes)


def circles(disc: Spoilt) -> None:
    """The last short_ad of the ICB and that of its allocation extent are the same."""
    at = disc.first("/holes (allocation extent)")
    own = struct.pack("<2I", BLOCK | 3 << 30, at - disc.ground.start)
    disc.bytes_of(at, 24, own)


def long_allocation_extent(disc: Spoilt) -> None:
    block = disc.icb("/holes")
    data = disc.read(block, 1)
    at = disc.first("/holes (allocation extent)") - disc.ground.start
    own = struct.pack("<2I", BLOCK | 3 << 30, at)
    disc.bytes_of(block, data.find(own), struct.pack("<2I", 2 * BLOCK | 3 << 30, at))


def middle(disc: Spoilt) -> None:
    def change(ad: list[int]) -> None:
        ad[0] -= 48

    _allocation(disc, "/holes", change)


def second_parent(disc: Spoilt) -> None:
    _fids(disc, "/", b"\x08one", file_characteristics=FID_DIRECTORY | FID_PARENT)


def _table_fields(disc: Spoilt, change: Callable[[Any], None]) -> None:
    for at in _table_locations(disc):
        disc.parsed(osta.SparingTable, at, change)


def rename_tables(disc: Spoilt) -> None:
    def change(table: Any) -> None:
        table.sparing_identifier.identifier = b"*UDF Sparing Tabel".ljust(23, b"\0")

    _table_fields(disc, change)


def set_last_bits(disc: Spoilt) -> None:
    """A partition that ends within a byte of its bitmap."""
    length = disc.ground.length - 4
    _sequences(disc, 5, partition_length=length)
    _bitmap_head(disc, number_of_bits=length)


def another_partition(disc: Spoilt) -> None:
    """The kernel writes long_ads."""
    block = disc.icb("/one/five")
    data = disc.read(block, 1)
    at = data.find(hot.parse_file_entry(data, None).allocation)
    disc.bytes_of(block, at + 8, b"\3")


SPOILT_FIELDS: dict[str, tuple[Callable[[Spoilt], None], str]] = {
    "circles": (circles, "round in circles"),
    "long allocation extent": (long_allocation_extent, "an allocation extent of 4096 bytes"),
    "hole with a block": (_ad(kind=2), "a hole that has block"),
    "half a block in the middle": (middle, "in its middle"),
    "extent behind the end": (_one(information_length=0), "behind its end"),
    "a byte less": (_one(information_length=4999), ""),  # nothing, unless one is strict
    "cut off": (_one(length_of_allocation_descriptors=7), "are cut off"),
    "extent elsewhere": (another_partition, "an extent in partition 3"),
    "extended_ads": (_one(icb_tag__flags=2), "allocation descriptors of type 2"),
    "attributes": (
        _one(extended_attribute_icb__extent_length_and_type=BLOCK),
        "extended attributes in an ICB",
    ),
    "directory that is none": (_one("/one", icb_tag__file_type=5), "of file type 5"),
    "hole in a directory": (
        lambda disc: _allocation(disc, "/one", lambda ad: ad.__setitem__(0, ad[0] | 1 << 30)),
        "a directory with an extent of type 1",
    ),
    "second parent": (second_parent, "2 entries for its parent"),
    "another partition": (
        _name("/", b"\x08one", icb__location__partition_reference_number=1),
        "its ICB is in partition 1",
    ),
    "foreign domain": (_volume(domain_identifier__identifier=b"*Other".ljust(23, b"\0")), "domain"),
    "write-protected": (
        _volume(domain_identifier__suffix=bytes([1, 2, 1, 0, 0, 0, 0, 0])),
        "the volume is write-protected",
    ),
    "block size": (_volume(logical_block_size=512), "blocks of 512 bytes"),
    "two maps": (_volume(number_of_partition_maps=2), "2 partition maps"),
    "access type": (_partition(access_type=2), "access type 2"),
    "contents": (
        _partition(partition_contents__identifier=b"+CD001".ljust(23, b"\0")),
        "the partition's contents",
    ),
    "long partition": (_partition(partition_length=1 << 20), "ends beyond the disc"),
    "half packets": (_partition(partition_length=1000), "has half packets"),
    "number": (_partition(partition_number=5), "the map is of partition 0"),
    "space table": (
        _partition(partition_contents_use=struct.pack("<2I", 2048, 9).ljust(128, b"\0")),
        "there is a unallocated space table",
    ),
    "version of a sequence": (
        _partition(tag__descriptor_version=lambda old: 5 - old),
        "descriptor version",
    ),
    "no end": (partial(_sequences, identifier=8, tag__tag_identifier=4), "descriptor sequence"),
    "missing": (
        partial(_sequences, identifier=7, tag__tag_identifier=4),
        "missing in the descriptor sequences: UNALLOCATED_SPACE",
    ),
    "one table": (_map_use(number_of_sparing_tables=1), "1 sparing tables"),
    "small table": (_map_use(size_of_each_sparing_table=60), "longer than the map says"),
    "other table": (rename_tables, "has another identifier"),
    "odd entry": (
        lambda disc: _table(disc, [(0xFFFFFFF5, disc.ground.spare_packets[0])]),
        "an entry 0xfffffff5",
    ),
    "far spare": (
        lambda disc: _table(disc, [(9600, disc.last_block + 1)]),
        "is no packet of the disc",
    ),
    "file set": (
        lambda disc: disc.fields(
            ecma167.FileSetDescriptor,
            disc.first("the file set descriptor"),
            domain_identifier__identifier=bytes(23),
        ),
        "the file set does not follow",
    ),
    "last bits": (set_last_bits, "bits behind the end"),
    "two partitions": (
        lambda disc: disc.fields(
            ecma167.LogicalVolumeIntegrityDescriptor,
            disc.ground.integrity_at,
            number_of_partitions=2,
        ),
        "is of 2 partitions",
    ),
}

DAMAGE: dict[Callable[[Spoilt], None], str] = {
    lose_a_block: "lost: in use after the bitmap",
    forget_a_block: "free after the bitmap, but in use",
    share_blocks: "belong to",
    point_outside: "are outside the partition",
    shorten_extent: "its extents have",
    lengthen_file: "bytes are in its ICB",
    shorten_file: "bytes recorded, its length is 100",
    miscount_blocks: "it says 77",
    miscount_links: "its link count is 3",
    miscount_links_of_directory: "its link count is 9",
    repeat_unique_id: "has the unique id of",
    use_reserved_unique_id: "unique id 7",
    name_the_root: "the root has unique id 99",
    use_strategy_4096: "strategy 4096",
    move_icb_tag: "it belongs to block 5",
    change_version: "descriptor version",
    change_file_type: "its entry says otherwise",
    spoil_icb: "its ICB at",
    spoil_allocation_extent: "its allocation extent at",
    misplace_entry: "its tag says 3",
    mislead_parent: "the entry for its parent",
    lose_parent: "0 entries for its parent",
    forget_a_name: "lost: in use after the bitmap",
    name_a_directory_twice: "has a second name",
    name_twice: "two entries",
    spoil_entry: "/one: ",
    open_integrity: "is open",
    miscount_free: "free blocks, there are",
    miscount_size: "blocks of the partition, there are",
    miscount_files: "tells of 7 files",
    miscount_directories: "tells of 7 directories",
    keep_others_out: "the revisions of the integrity descriptor",
    repeat_next_id: "the next unique id is 20",
    lose_integrity: "no integrity descriptor",
    lose_anchors: "only 1 of the three anchors",
    move_anchor: "the anchors point at different places",
    change_main_sequence: "the main and the reserve descriptor sequence differ",
    lose_main_sequence: "main descriptor sequence, block",
    spoil_recognition: "the recognition sequence",
    shorten_bitmap: "the bitmap has",
    move_file_set: "it belongs to block 9",
    differing_tables: "the sparing tables differ",
    lose_a_table: "the sparing table at",
    spare_twice: "a spare packet is in the sparing table twice",
    spare_a_packet_twice: "a packet is in the sparing table twice",
    unsorted: "the sparing table is not sorted",
    spare_half_a_packet: "which is no packet of the partition",
    spare_into_partition: "lies in partition",
    spare_onto_the_anchor: "spare packet at 256 lies in anchor at 256",
    spare_a_packet_in_use: "",
}
