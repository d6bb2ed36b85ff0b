"""One test for each kind of pointer or length that broke other drivers.

Every descriptor is changed and signed anew, so that the tag does not protect
the reader. Only two outcomes are right: it works, or an error in words.
"""

from __future__ import annotations

import struct
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.errors import UnreadableBlockError
from udffs.errors import DamagedError, DiscError, StructureError, UnsupportedError
from udffs.ondisc import ecma167, hot, modes, osta, tags, text
from udffs.ondisc.derive import derive
from udffs.volume import Inode, Volume, make_key, open_volume

from . import discs
from .discs import AT_BIG, AT_HELLO, AT_ROOT, BIG, BLOCK, HELLO, LVD, PD, ROOT, START, MemoryStore


def opened(store: MemoryStore) -> Volume:
    return open_volume(store)


def use(volume: Volume) -> None:
    """What a mount does: list, stat, read, follow links."""
    root = volume.inode(volume.root_key)
    volume.parent_key(root)
    for entry in volume.entries(root):
        inode = volume.inode(entry.key)
        volume.read(inode, 0, 1 << 20)
        if inode.file_type == modes.FileType.SYMLINK:
            volume.readlink(inode)


def refused(store: MemoryStore, what: str, kind: type[DiscError] = DamagedError) -> None:
    with pytest.raises(kind, match=what):
        use(opened(store))


def big(store: MemoryStore, allocation: bytes, kind: int = 1, size: int = BLOCK) -> MemoryStore:
    """The disc with other allocation descriptors for /big."""
    entry = discs.icb(BIG, file_type=5, allocation=allocation, allocation_type=kind, size=size)
    store.put(AT_BIG, entry)
    return store


def with_vat(table: bytes, block: int = 360, **changes: Any) -> MemoryStore:
    """The disc with another VAT at its end, its good ones taken away."""
    store = discs.vat_disc()
    for at in (discs.AT_VAT, discs.AT_VAT + 1):
        store.put(at, b"")
    store.put(block, discs.vat_icb(block, table, **changes))
    return store


# -- the logical volume and its maps -------------------------------------------


def spoil_volume(field: str, value: Any) -> MemoryStore:
    store = discs.vat_disc()
    store.poke(ecma167.LogicalVolumeDescriptor, LVD, field, value)
    reserve = discs.RESERVE + LVD - discs.MAIN
    store.poke(ecma167.LogicalVolumeDescriptor, reserve, field, value)
    return store


@pytest.mark.parametrize("length", [BLOCK, 0xFFFFFFFF, 1 << 31])
def test_map_table_length_beyond_the_block(length: int) -> None:
    refused(spoil_volume("map_table_length", length), "volume descriptors are unreadable")


@pytest.mark.parametrize("count", [3, 64, 65, 0xFFFFFFFF, 0])
def test_number_of_partition_maps_above_the_table(count: int) -> None:
    refused(spoil_volume("number_of_partition_maps", count), "partition")


def test_fewer_partition_maps_than_the_table_holds() -> None:
    refused(spoil_volume("number_of_partition_maps", 1), "partition 1, which does not exist")


@pytest.mark.parametrize("size", [0, 512, 4096, 0xFFFFFFFF])
def test_logical_block_size(size: int) -> None:
    refused(spoil_volume("logical_block_size", size), "logical blocks of", UnsupportedError)


MAPS_AT = derive(ecma167.LogicalVolumeDescriptor).size


@pytest.mark.parametrize("length", [0, 1, 5, 7, 255])
def test_length_of_a_partition_map(length: int) -> None:
    store = discs.vat_disc()
    store.splice(LVD, MAPS_AT + 1, bytes((length,)))
    with pytest.raises(DiscError):
        use(opened(store))


def test_partition_map_of_unknown_type() -> None:
    store = discs.vat_disc()
    store.splice(LVD, MAPS_AT, b"\x09")
    refused(store, "map of type 9", UnsupportedError)


def test_partition_number_that_has_no_descriptor() -> None:
    """A number is a name, never an index."""
    store = discs.vat_disc()
    store.splice(LVD, MAPS_AT + 4, b"\xff\xff")
    refused(store, "the descriptor of partition 65535 is missing")


def test_virtual_partition_without_the_one_below() -> None:
    store = discs.vat_disc()
    data = osta.VirtualPartitionMap.build(
        {
            "partition_type_identifier": osta.udf_id(osta.VIRTUAL_PARTITION, 0x0201),
        }
    )
    store.poke(ecma167.LogicalVolumeDescriptor, LVD, "number_of_partition_maps", 1)
    store.splice(LVD, MAPS_AT, data)
    refused(store, "no map of partition 0 itself")


@pytest.mark.parametrize("reference", [2, 63, 64, 0xFFFF])
def test_file_set_in_a_partition_out_of_range(reference: int) -> None:
    use_field = ecma167.LongAd.build(discs.long_ad(0, reference))
    refused(spoil_volume("logical_volume_contents_use", use_field), "which does not exist")


# -- the partition -------------------------------------------------------------


def spoil_partition(field: str, value: int) -> MemoryStore:
    store = discs.vat_disc()
    store.poke(ecma167.PartitionDescriptor, PD, field, value)
    return store


def test_partition_length_that_overflows() -> None:
    refused(spoil_partition("partition_length", 0xFFFFFFFF), "ends beyond any disc")


def test_partition_that_starts_beyond_the_disc() -> None:
    refused(spoil_partition("partition_starting_location", 0x7FFFFFFF), "no VAT can be found")


def test_partition_of_no_length() -> None:
    refused(spoil_partition("partition_length", 0), "not in their partition")


# -- sequences that run in a circle --------------------------------------------


def test_volume_descriptor_sequence_in_a_circle() -> None:
    store = discs.vat_disc()
    for base in (discs.MAIN, discs.RESERVE):
        fields = {
            "volume_descriptor_sequence_number": 1,
            "next_volume_descriptor_sequence_extent": {"length": 16 * BLOCK, "location": base},
        }
        store.put(base, discs.sealed(ecma167.VolumeDescriptorPointer, fields, base))
    refused(store, "volume descriptors are unreadable")


@pytest.mark.parametrize("length", [0xFFFFFFFF, 1, 0])
def test_volume_descriptor_sequence_of_odd_length(length: int) -> None:
    store = discs.vat_disc()
    for name in ("main", "reserve"):
        field = f"{name}_volume_descriptor_sequence_extent.length"
        store.poke(ecma167.AnchorVolumeDescriptorPointer, discs.ANCHOR, field, length)
    if length == 0xFFFFFFFF:
        use(opened(store))
    else:
        refused(store, "volume descriptors are unreadable")


def test_integrity_chain_in_a_circle() -> None:
    store = discs.vat_disc()
    for field, value in (("location", discs.INTEGRITY), ("length", BLOCK)):
        name = f"next_integrity_extent.{field}"
        declaration = ecma167.LogicalVolumeIntegrityDescriptor
        store.poke(declaration, discs.INTEGRITY, name, value)
    assert opened(store).integrity is not None


@pytest.mark.parametrize("field", ["number_of_partitions", "length_of_implementation_use"])
def test_integrity_lengths_beyond_the_block(field: str) -> None:
    store = discs.vat_disc()
    declaration = ecma167.LogicalVolumeIntegrityDescriptor
    store.poke(declaration, discs.INTEGRITY, field, 0xFFFFFFFF)
    assert opened(store).integrity is None


def test_previous_vat_in_a_circle() -> None:
    store = discs.vat_disc(previous=discs.AT_VAT + 1 - START)
    assert len(list(opened(store).history())) == 1
    store = discs.vat_disc(previous=discs.AT_VAT - START)
    assert len(list(opened(store).history())) == 2


@pytest.mark.parametrize("previous", [0, 5, 0xFFFFFFFE, 20])
def test_previous_vat_that_is_none(previous: int) -> None:
    assert len(list(opened(discs.vat_disc(previous=previous)).history())) == 1


# -- sparing -------------------------------------------------------------------


@pytest.mark.parametrize("packet", [0, 3, 31, 33, 0xFFFF])
def test_packet_length_that_is_no_power_of_two(packet: int) -> None:
    refused(discs.sparable_disc({}, packet_length=packet), f"packets of {packet} blocks")


@pytest.mark.parametrize("count", [0, 5, 255])
def test_more_sparing_tables_than_fit(count: int) -> None:
    refused(discs.sparable_disc({}, number_of_sparing_tables=count), f"{count} sparing tables")


@pytest.mark.parametrize("size", [0xFFFFFFFF, (1 << 20) + 1])
def test_sparing_table_of_huge_size(size: int) -> None:
    refused(discs.sparable_disc({}, size_of_each_sparing_table=size), "sparing table of")


def test_sparing_table_above_a_block_is_read() -> None:
    use(opened(discs.sparable_disc({}, size_of_each_sparing_table=BLOCK + 1)))


def test_sparing_table_outside_the_disc() -> None:
    locations = struct.pack("<4I", 0xFFFFFFFF, 0x7FFFFFFF, 0, 0)
    store = discs.sparable_disc({}, locations_of_sparing_tables=locations)
    volume = opened(store)
    assert len(volume.notes) == 2
    use(volume)


def test_reallocation_table_length_counts_entries() -> None:
    """400 entries would be 3,200 bytes: more than the table's block."""
    store = discs.sparable_disc({64: discs.SPARE})
    store.poke(osta.SparingTable, 121, "reallocation_table_length", 400)
    volume = opened(store)
    assert "sparing table at 121 is not valid" in volume.notes[0]


def test_spared_packet_outside_the_disc() -> None:
    store = discs.sparable_disc({64: discs.SPARE})
    store.put(121, discs.sparing_table(121, {64: 0xFFFFFFF0}, 9))
    refused(store, "beyond what was written")


def test_sparing_entry_off_the_packets() -> None:
    store = discs.sparable_disc({})
    store.put(121, discs.sparing_table(121, {63: 5, 0xFFFFFFFF: 9, 0xFFFFFFF0: 9}, 9))
    use(opened(store))


# -- the VAT -------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 151, 173, 0xFFFF])
def test_vat_header_length_against_its_size(length: int) -> None:
    table = bytearray(discs.vat_bytes(discs.ENTRIES))
    table[:2] = struct.pack("<H", length)
    refused(with_vat(bytes(table)), "header of a VAT claims")


def test_vat_header_may_be_longer() -> None:
    table = bytearray(discs.vat_bytes(discs.ENTRIES))
    table[:4] = struct.pack("<2H", 152 + 32, 32)
    table[152:152] = bytes(32)
    use(opened(with_vat(bytes(table))))


@pytest.mark.parametrize("size", [0, 1, 100, 151])
def test_vat_shorter_than_its_header(size: int) -> None:
    refused(with_vat(discs.vat_bytes([])[:size]), "VAT")


@pytest.mark.parametrize("size", [0, 35])
def test_vat_of_150_shorter_than_its_tail(size: int) -> None:
    table = discs.vat_bytes([], revision=0x0150)[:size]
    refused(with_vat(table, revision=0x0150), "shorter than its tail")


def test_vat_of_150_without_its_identifier() -> None:
    refused(with_vat(bytes(80), revision=0x0150), "does not say that it is one")


def test_vat_of_huge_size() -> None:
    allocation = hot.pack_short_ads([(0x3FFFF800, 0, 0)] * 100)
    store = with_vat(allocation, allocation_type=0, size=100 * 0x3FFFF800)
    refused(store, "larger than the disc could need")


def test_vat_in_extents_that_repeat() -> None:
    """Small on the disc, large in memory: refused by its size before it is read."""
    allocation = hot.pack_short_ads([(BLOCK, 0, 1)] * 200)
    store = with_vat(allocation, allocation_type=0, size=200 * BLOCK)
    with pytest.raises(DiscError):
        use(opened(store))


def test_embedded_vat_of_two_sizes() -> None:
    refused(with_vat(discs.vat_bytes(discs.ENTRIES), size=5000), "two sizes")


@pytest.mark.parametrize("entry", [0xFFFFFFFF, 0xFFFFFFFE, discs.LENGTH, discs.LENGTH - 1])
def test_vat_entry_that_leads_nowhere(entry: int) -> None:
    entries = list(discs.ENTRIES)
    entries[HELLO] = entry
    store = with_vat(discs.vat_bytes(entries))
    volume = opened(store)
    with pytest.raises(DamagedError):
        use(volume)


def test_virtual_block_beyond_the_table() -> None:
    store = discs.vat_disc()
    store.put(AT_ROOT, discs.directory(ROOT, (1, ROOT), [discs.fid("far", (1, 0xFFFFFFFF))]))
    refused(store, "not in their partition")


def test_two_virtual_blocks_at_one_place() -> None:
    """The tag says which number it belongs to."""
    entries = list(discs.ENTRIES)
    entries[HELLO] = entries[BIG]
    refused(with_vat(discs.vat_bytes(entries)), "belongs to block 3, not to block 2")


# -- file entries --------------------------------------------------------------


@pytest.mark.parametrize(
    "field", ["length_of_extended_attributes", "length_of_allocation_descriptors"]
)
@pytest.mark.parametrize("length", [1873, 0xFFFF, 0xFFFFFFFF])
def test_lengths_above_the_block(field: str, length: int) -> None:
    store = discs.vat_disc()
    store.poke(ecma167.FileEntry, AT_HELLO, field, length)
    refused(store, "longer than its block")


def test_both_lengths_together_above_the_block() -> None:
    store = discs.vat_disc()
    for field in ("length_of_extended_attributes", "length_of_allocation_descriptors"):
        store.poke(ecma167.FileEntry, AT_HELLO, field, 1000)
    refused(store, "longer than its block")


@pytest.mark.parametrize("size", [0, 12, 14, 1 << 40, (1 << 64) - 1])
def test_embedded_length_is_not_the_file_size(size: int) -> None:
    store = discs.vat_disc()
    store.poke(ecma167.FileEntry, AT_HELLO, "information_length", size)
    refused(store, "bytes are embedded in a file of")


def test_crc_length_beyond_the_block() -> None:
    store = discs.vat_disc()
    data = bytearray(store.blocks[AT_HELLO])
    tag = tags.check(data)
    codec = derive(ecma167.DescriptorTag)
    changed = tag._replace(descriptor_crc_length=0xFFF0, tag_checksum=0)
    checksum = sum(codec.pack(*changed)) & 0xFF
    codec.pack_into(data, 0, *changed._replace(tag_checksum=checksum))
    store.blocks[AT_HELLO] = bytes(data)
    refused(store, "CRC covers more")


@pytest.mark.parametrize("file_type", [1, 3, 11, 13, 248, 250, 255])
def test_system_inode_in_the_tree(file_type: int) -> None:
    store = discs.vat_disc()
    store.put(AT_HELLO, discs.icb(HELLO, file_type=file_type, allocation=b"hello"))
    refused(store, f"a file of type {file_type} is linked")


def test_vat_linked_in_the_tree() -> None:
    """The VAT's own ICB lies in the physical partition; a name must not reach it."""
    store = discs.vat_disc()
    number = discs.AT_VAT + 1 - START
    store.put(AT_ROOT, discs.directory(ROOT, (1, ROOT), [discs.fid("vat", (0, number))]))
    refused(store, "a file of type 248 is linked")


@pytest.mark.parametrize("strategy", [0, 1, 2, 3, 4096])
def test_other_strategies(strategy: int) -> None:
    store = discs.vat_disc()
    store.poke(ecma167.FileEntry, AT_HELLO, "icb_tag.strategy_type", strategy)
    refused(store, f"ICB of strategy {strategy}", UnsupportedError)


@pytest.mark.parametrize("kind", [2, 4, 7])
def test_other_allocation_descriptors(kind: int) -> None:
    refused(big(discs.vat_disc(), bytes(40), kind), "allocation descriptors", UnsupportedError)


def test_root_that_is_a_file() -> None:
    store = discs.vat_disc()
    store.put(AT_ROOT, discs.icb(ROOT, file_type=5, allocation=b"no directory"))
    refused(store, "its root is no directory")


@pytest.mark.parametrize(
    "stamp", [b"\xff" * 12, b"\0" * 12, struct.pack("<Hh8B", 0x1FFF, 32767, *[255] * 8)]
)
def test_timestamp_that_overflows(stamp: bytes) -> None:
    store = discs.vat_disc()
    data = bytearray(store.blocks[AT_HELLO])
    codec = derive(ecma167.FileEntry, whole=(ecma167.Timestamp,))
    values = list(codec.unpack_from(data))
    for name in ("access_time", "modification_time", "attribute_time"):
        values[codec.names.index(name)] = stamp
    codec.pack_into(data, 0, *values)
    store.blocks[AT_HELLO] = discs.resign(bytes(data))
    volume = opened(store)
    inode = volume.inode(make_key(1, HELLO))
    assert abs(inode.mtime) < 1 << 69


# -- allocation descriptors ----------------------------------------------------


@pytest.mark.parametrize("length", [1, 15, 17])
def test_allocation_descriptors_that_are_cut(length: int) -> None:
    refused(big(discs.vat_disc(), bytes((9,)) * length), "descriptors are cut off", StructureError)


def test_uninitialised_short_ads() -> None:
    """Zeros end the descriptors: the file is a hole, not block 0."""
    store = big(discs.vat_disc(), bytes(40), kind=0, size=100)
    volume = opened(store)
    assert volume.read(volume.inode(make_key(1, BIG)), 0, 200) == bytes(100)


def test_short_ads_under_a_virtual_icb_go_through_the_vat() -> None:
    store = big(discs.vat_disc(), hot.pack_short_ads([(BLOCK, 0, HELLO)]), kind=0)
    volume = opened(store)
    assert volume.inode(make_key(1, BIG)).runs[0].block == AT_HELLO


@pytest.mark.parametrize("reference", [2, 3, 64, 0xFFFF])
def test_partition_reference_out_of_range(reference: int) -> None:
    allocation = hot.pack_long_ads([(BLOCK, 0, 1, reference)])
    refused(big(discs.vat_disc(), allocation), "which does not exist")


@pytest.mark.parametrize("reference", [2, 0xFFFF])
def test_directory_entry_in_a_partition_out_of_range(reference: int) -> None:
    store = discs.vat_disc()
    store.put(AT_ROOT, discs.directory(ROOT, (1, ROOT), [discs.fid("far", (reference, 1))]))
    refused(store, "which does not exist")


@pytest.mark.parametrize("block", [discs.LENGTH, 0xFFFFFFFF])
def test_extent_outside_the_partition(block: int) -> None:
    allocation = hot.pack_long_ads([(BLOCK, 0, block, 0)])
    refused(big(discs.vat_disc(), allocation), "not in their partition")


def test_extent_beyond_what_was_written() -> None:
    allocation = hot.pack_long_ads([(BLOCK, 0, discs.LENGTH - 1, 0)])
    refused(big(discs.vat_disc(), allocation), "beyond what was written")


def test_extent_in_blocks_that_cannot_be_read() -> None:
    store = discs.vat_disc()
    del store.blocks[discs.AT_DATA]
    volume = opened(store)
    with pytest.raises(UnreadableBlockError):
        use(volume)


def test_extent_that_ends_within_a_block() -> None:
    extents = [(100, 0, 1, 0), (BLOCK, 0, 2, 0)]
    refused(big(discs.vat_disc(), hot.pack_long_ads(extents), size=200), "ends within a block")


def test_file_of_huge_size_without_extents() -> None:
    store = big(discs.vat_disc(), b"", size=(1 << 64) - 1)
    volume = opened(store)
    inode = volume.inode(make_key(1, BIG))
    assert volume.read(inode, 1 << 60, 10) == bytes(10)


def extent_chain(extents: list[tuple[int, int, int, int]], start: int) -> MemoryStore:
    """/big goes on in allocation extents at `start`, which hold `extents`."""
    store = big(discs.vat_disc(), hot.pack_long_ads([(BLOCK, 3, start - START, 0)]))
    data = hot.pack_long_ads(extents)
    store.put(
        start, hot.build_allocation_extent(location=start - START, version=3, allocation=data)
    )
    store.put(400, discs.vat_icb(400, discs.vat_bytes(discs.ENTRIES)))
    return store


def test_allocation_extents_in_a_circle() -> None:
    refused(extent_chain([(BLOCK, 3, 350 - START, 0)], 350), "run in a circle")


def test_allocation_extents_in_a_circle_that_grow() -> None:
    store = extent_chain([(BLOCK, 0, 1, 0), (BLOCK, 3, 350 - START, 0)], 350)
    store.poke(ecma167.FileEntry, AT_BIG, "information_length", 1 << 50)
    refused(store, "run in a circle")


def test_many_allocation_extents_that_add_nothing() -> None:
    store = extent_chain([(BLOCK, 3, 351 - START, 0)], 350)
    for block in range(351, 380):
        data = hot.pack_long_ads([(BLOCK, 3, block + 1 - START, 0)])
        extent = hot.build_allocation_extent(location=block - START, version=3, allocation=data)
        store.put(block, extent)
    store.put(400, discs.vat_icb(400, discs.vat_bytes(discs.ENTRIES)))
    refused(store, "run in a circle")


def test_allocation_extent_that_is_none() -> None:
    store = big(discs.vat_disc(), hot.pack_long_ads([(BLOCK, 3, AT_HELLO - START, 0)]))
    refused(store, "descriptor 258 expected|belongs to block")


def test_allocation_extent_longer_than_its_block() -> None:
    store = extent_chain([(BLOCK, 0, 1, 0)], 350)
    field = "length_of_allocation_descriptors"
    store.poke(ecma167.AllocationExtentDescriptor, 350, field, 0xFFFFFFF0)
    refused(store, "longer than its block")


# -- directories ---------------------------------------------------------------


def root_of(data: bytes, **changes: Any) -> MemoryStore:
    store = discs.vat_disc()
    store.put(AT_ROOT, discs.icb(ROOT, file_type=4, allocation=data, **changes))
    return store


PARENT = discs.fid("", (1, ROOT), characteristics=ecma167.FID_PARENT | ecma167.FID_DIRECTORY)


def test_directory_that_holds_itself() -> None:
    """Each look at it is bounded; who walks keeps count of where he has been."""
    loop = discs.fid("again", (1, ROOT), characteristics=ecma167.FID_DIRECTORY)
    volume = opened(root_of(PARENT + loop))
    inode = volume.inode(volume.root_key)
    for _ in range(3):
        (entry,) = volume.entries(inode)
        assert entry.key == volume.root_key
        inode = volume.inode(entry.key)


def test_directory_of_huge_size() -> None:
    store = discs.vat_disc()
    allocation = hot.pack_long_ads([(0x3FFFF800, 2, 0, 0)] * 100)
    store.put(
        AT_ROOT,
        discs.icb(
            ROOT, file_type=4, allocation=allocation, allocation_type=1, size=100 * 0x3FFFF800
        ),
    )
    refused(store, "a directory claims")


def test_zero_length_entries() -> None:
    refused(root_of(PARENT + bytes(200)), "directory is damaged at byte 40")


def test_entry_that_is_cut() -> None:
    refused(root_of(PARENT + discs.fid("hello", (1, HELLO))[:-8]), "directory is damaged")


@pytest.mark.parametrize("length", [4, 2000, 0xFFFF])
def test_stale_length_of_implementation_use(length: int) -> None:
    entry = bytearray(discs.fid("hello", (1, HELLO)))
    codec = derive(ecma167.FileIdentifierDescriptor)
    values = list(codec.unpack_from(entry))
    values[codec.names.index("length_of_implementation_use")] = length
    codec.pack_into(entry, 0, *values)
    refused(root_of(PARENT + discs.resign(bytes(entry))), "directory is damaged")


def test_entry_without_a_name() -> None:
    entry = hot.build_fid(
        location=0, version=3, characteristics=0, icb=(BLOCK, HELLO, 1), unique_id=9, name=b""
    )
    volume = opened(root_of(PARENT + entry))
    (found,) = volume.entries(volume.inode(volume.root_key))
    assert found.name.startswith("#")


def test_directory_without_a_parent() -> None:
    refused(root_of(discs.fid("hello", (1, HELLO))), "does not say which is its parent")


def test_file_used_as_a_directory() -> None:
    volume = opened(discs.vat_disc())
    with pytest.raises(DamagedError, match="no directory is used as one"):
        volume.entries(volume.inode(make_key(1, HELLO)))


@pytest.mark.parametrize("raw", [b"\x08a/b", b"\x08..", b"\x10\xd8", b"\x7f", b"\x10\0\0"])
def test_names_that_could_not_be_used(raw: bytes) -> None:
    entry = hot.build_fid(
        location=0, version=3, characteristics=0, icb=(BLOCK, HELLO, 1), unique_id=9, name=raw
    )
    volume = opened(root_of(PARENT + entry))
    (found,) = volume.entries(volume.inode(volume.root_key))
    assert text.encode_name(found.name)


def test_symbolic_link_component_beyond_the_link() -> None:
    store = discs.vat_disc()
    data = bytearray(modes.build_path("../hello"))
    data[5] = 255
    store.put(discs.AT_LINK, discs.icb(discs.LINK, file_type=12, allocation=bytes(data)))
    refused(store, "longer than the link")


def test_symbolic_link_of_huge_size() -> None:
    store = discs.vat_disc()
    entry = discs.icb(discs.LINK, file_type=12, allocation_type=1, size=1 << 40)
    store.put(discs.AT_LINK, entry)
    refused(store, "symbolic link is too long")


def test_device_attributes_that_are_none() -> None:
    store = discs.vat_disc()
    store.put(AT_HELLO, discs.icb(HELLO, file_type=7, extended_attributes=b"\xff" * 80))
    assert opened(store).inode(make_key(1, HELLO)).device == 0


def test_device_numbers_beyond_any_system() -> None:
    store = discs.vat_disc()
    attributes = modes.build_device(0xFFFFFFFF, 0xFFFFFFFF, location=HELLO, version=3)
    store.put(AT_HELLO, discs.icb(HELLO, file_type=7, extended_attributes=attributes))
    assert opened(store).inode(make_key(1, HELLO)).device == 0


@pytest.mark.parametrize(("bits", "length"), [(0xFFFFFFFF, 0xFFFFFFFF), (1, 1 << 30)])
def test_space_bitmap_beyond_its_bytes(bits: int, length: int) -> None:
    fields = {"number_of_bits": 8, "number_of_bytes": 1, "bitmap": b"\xff"}
    sealed = discs.sealed(ecma167.SpaceBitmapDescriptor, fields, 0)
    store = MemoryStore({0: sealed.ljust(BLOCK, b"\0")})
    store.poke(ecma167.SpaceBitmapDescriptor, 0, "number_of_bits", bits)
    store.poke(ecma167.SpaceBitmapDescriptor, 0, "number_of_bytes", length)
    with pytest.raises(StructureError):
        tags.unseal(ecma167.SpaceBitmapDescriptor, store.blocks[0], location=0)


# -- at random -----------------------------------------------------------------

DESCRIPTORS = sorted(
    block
    for block, data in discs.vat_disc().blocks.items()
    if any(data[:16]) and not 16 <= block < 32 and not discs.AT_DATA <= block < discs.AT_VAT
)
INTERESTING = st.sampled_from(
    [bytes((value,)) * size for value in (0, 1, 0x7F, 0x80, 0xFF) for size in (1, 2, 4, 8)]
)
CHANGE = st.tuples(
    st.sampled_from(DESCRIPTORS),
    st.integers(6, 512),
    st.one_of(INTERESTING, st.binary(min_size=1, max_size=8)),
    st.booleans(),
)


def all_of(volume: Volume) -> None:
    """Use whatever can be reached, some steps deep."""
    todo, seen = [(volume.root_key, 0)], 0
    while todo and seen < 20:
        key, depth = todo.pop()
        seen += 1
        try:
            inode: Inode = volume.inode(key)
            volume.read(inode, 0, 1 << 20)
            if inode.file_type == modes.FileType.DIRECTORY and depth < 3:
                volume.parent_key(inode)
                todo += [(entry.key, depth + 1) for entry in volume.entries(inode)]
            elif inode.file_type == modes.FileType.SYMLINK:
                volume.readlink(inode)
        except (DiscError, UnreadableBlockError) as error:
            assert str(error)


@given(st.lists(CHANGE, min_size=1, max_size=4), st.sampled_from(["vat", "150", "sparable"]))
@settings(max_examples=400)
def test_random_damage_under_valid_tags(
    changes: list[tuple[int, int, bytes, bool]], kind: str
) -> None:
    if kind == "sparable":
        store = discs.sparable_disc({64: discs.SPARE})
    else:
        store = discs.vat_disc(revision=0x0150 if kind == "150" else 0x0201)
    for block, offset, data, resign in changes:
        if block not in store.blocks:
            continue
        old = store.blocks[block]
        spoilt = old[:offset] + data + old[offset + len(data) :]
        store.blocks[block] = discs.resign(spoilt) if resign else spoilt
    began = time.monotonic()
    try:
        volume = open_volume(store)
    except DiscError as error:
        assert str(error)
    else:
        all_of(volume)
        list(volume.history())
    assert time.monotonic() - began < 5
