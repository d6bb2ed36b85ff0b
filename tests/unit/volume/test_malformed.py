"""One test for each kind of pointer or length that broke other drivers.

Every descriptor is changed and signed anew, so that the tag does not protect
the reader. Only two outcomes are right: it works, or an error in words.
"""

from __future__ import annotations

import struct
from typing import Any

import pytest

from udffs.errors import DamagedError, DiscError, UnsupportedError
from udffs.ondisc import ecma167, hot, osta
from udffs.ondisc.derive import derive

from . import discs
from .discs import AT_ROOT, BIG, BLOCK, HELLO, LVD, PD, ROOT, START, MemoryStore
from .using import opened, refused, use


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
