"""What is read of a volume that can be rewritten: free space, sparing tables, what files take."""

from __future__ import annotations

import re

import pytest

from udffs.errors import DamagedError, StructureError, UnsupportedError
from udffs.ondisc import ecma167, hot, osta, tags
from udffs.ondisc.basic import ShortAd, TagIdentifier
from udffs.ondisc.hot import build_allocation_extent, pack_short_ads
from udffs.ondisc.intentlog import build_log_use
from udffs.volume import make_key, open_volume
from udffs.volume.anchors import find_descriptors, reserve_use
from udffs.volume.source import Source

from . import discs
from .conftest import Make
from .discs import BLOCK, START, MemoryStore, image_store

BITMAP_AT = 200  # logical block of the bitmap that `with_bitmap` makes
NOWHERE = {"extent_length": 0, "extent_position": 0}


def header(**extents: tuple[int, int]) -> bytes:
    """A partition header; extents are (bytes, logical block)."""
    names = ["unallocated_space_table", "unallocated_space_bitmap", "partition_integrity_table"]
    names += ["freed_space_table", "freed_space_bitmap"]
    fields = {name: ShortAd.build(NOWHERE) for name in names}
    for name, (length, block) in extents.items():
        fields[name] = ShortAd.build({"extent_length": length, "extent_position": block})
    return bytes(ecma167.PartitionHeaderDescriptor.build(fields))


def with_bitmap(bits: bytes, *, count: int, blocks: int = 1, claimed: int = -1) -> MemoryStore:
    """A sparable disc whose partition has a bitmap of those bytes."""
    store = discs.sparable_disc({})
    use = header(unallocated_space_bitmap=(blocks * BLOCK, BITMAP_AT))
    store.poke(ecma167.PartitionDescriptor, discs.PD, "partition_contents_use", use)
    fields = {
        "number_of_bits": count,
        "number_of_bytes": len(bits),
        "bitmap": bits,
    }
    data = tags.seal(
        ecma167.SpaceBitmapDescriptor, fields, location=BITMAP_AT, version=3, crc_length=0
    )
    store.put(START + BITMAP_AT, data)
    if claimed >= 0:
        store.poke(ecma167.SpaceBitmapDescriptor, START + BITMAP_AT, "number_of_bytes", claimed)
    store.put(START + discs.LENGTH, b"")  # the disc reaches to the partition's end
    return store


# -- free space ----------------------------------------------------------------


@pytest.mark.parametrize(("kind", "start"), [("cdrw", 1312), ("hd", 257)])
@pytest.mark.parametrize("revision", ["0x0150", "0x0201"])
def test_the_bitmap_of_mkudffs(mkudffs: Make, revision: str, kind: str, start: int) -> None:
    volume = open_volume(
        image_store(mkudffs(f"--media-type={kind}", f"--udfrev={revision}", blocks=65_536))
    )
    space = volume.space()
    assert volume.integrity is not None and volume.partition_start == start
    assert space.free == volume.integrity.free_blocks[0]
    assert not space.is_free(start) and space.is_free(start + volume.partition_length - 1)
    assert not space.is_free(start - 1) and not space.is_free(start + volume.partition_length)
    # Each block is made as it was, but for the CRC, which UDF allows to leave out.
    on_disc = volume.store.read(space.location, space.blocks)
    made = b"".join(space.block(number) for number in range(space.blocks))
    assert made[16:] == on_disc[16:]
    tag = tags.check(made, location=space.location - start, identifier=TagIdentifier.SPACE_BITMAP)
    assert tag.descriptor_crc_length == 0


def test_a_bit_more_or_less() -> None:
    volume = open_volume(with_bitmap(b"\xff" * 501, count=4001))
    space = volume.space()
    assert (space.count, space.free) == (4000, 4000)
    space.bits[0] = 0b1111_0000
    assert space.free == 3996 and not space.is_free(START + 3) and space.is_free(START + 4)
    assert space.block_of(START) == 0
    short = open_volume(with_bitmap(b"\xff" * 3, count=20)).space()
    assert short.free == 20 and not short.is_free(START + 20)


@pytest.mark.parametrize(
    ("store", "what"),
    [
        (with_bitmap(b"\xff" * 20, count=4000), "longer than its place"),
        (with_bitmap(b"\xff" * 500, count=4000, claimed=0xFFFFFFFF), "longer than its place"),
        (with_bitmap(b"\xff" * 500, count=4000, blocks=1 << 18), "not in their partition"),
    ],
)
def test_a_hostile_bitmap(store: MemoryStore, what: str) -> None:
    with pytest.raises((StructureError, DamagedError), match=what):
        open_volume(store).space()


@pytest.mark.parametrize(
    ("use", "why"),
    [
        (header(), "no bitmap"),
        (header(freed_space_bitmap=(BLOCK, 4)), "not in a bitmap alone (freed space bitmap)"),
        (
            header(unallocated_space_table=(BLOCK, 4), unallocated_space_bitmap=(BLOCK, 5)),
            "(unallocated space table)",
        ),
        (header(unallocated_space_bitmap=(2 << 30 | BLOCK, 4)), "not recorded"),
    ],
)
def test_other_ways_to_record_free_space_are_left_alone(use: bytes, why: str) -> None:
    store = discs.sparable_disc({})
    store.poke(ecma167.PartitionDescriptor, discs.PD, "partition_contents_use", use)
    volume = open_volume(store)
    assert why in (volume.write_protected or "")
    with pytest.raises(UnsupportedError, match=re.escape(why)):
        volume.space()


# -- sparing tables ------------------------------------------------------------


def test_what_is_needed_to_write_the_tables_again() -> None:
    store = discs.sparable_disc({64: discs.SPARE})
    sparing = open_volume(store).sparing
    assert sparing is not None
    assert (sparing.locations, sparing.packet, sparing.size) == ((120, 121), 32, BLOCK)
    assert (sparing.sequence, sparing.entries) == (1, ((64, discs.SPARE),))
    assert sparing.outdated == (120,) and sparing.readable


def test_without_a_sparing_table_nothing_is_written() -> None:
    store = with_bitmap(b"\xff" * 500, count=4000)
    assert open_volume(store).write_protected is None
    for block in (120, 121):
        store.put(block, b"")
    volume = open_volume(store)
    assert volume.sparing is not None and not volume.sparing.readable
    assert "sparing tables cannot be read" in (volume.write_protected or "")


def test_two_sparable_partitions_are_refused() -> None:
    store = discs.sparable_disc({})
    volume = tags.unseal(ecma167.LogicalVolumeDescriptor, store.blocks[discs.LVD], location=None)
    fields = {**volume, "partition_maps": volume.partition_maps * 2}
    fields |= {"map_table_length": 128, "number_of_partition_maps": 2}
    store.put(discs.LVD, discs.sealed(ecma167.LogicalVolumeDescriptor, fields, discs.LVD))
    with pytest.raises(UnsupportedError, match="sparable"):
        open_volume(store)


# -- what a file takes ---------------------------------------------------------


def with_file(store: MemoryStore, allocation: bytes, size: int) -> int:
    """Makes /hello a file of those short_ads; returns its key."""
    data = discs.icb(
        64,
        file_type=5,
        allocation=allocation,
        allocation_type=hot.ALLOCATION_SHORT,
        size=size,
    )
    store.put(START + 64, data)
    return make_key(0, 64)


def test_all_that_a_file_takes() -> None:
    store = discs.sparable_disc({})
    inside = [(BLOCK + 1, 0, 300), (3 * BLOCK, 1, 400), (BLOCK, 2, 0), (BLOCK, 3, 500)]
    key = with_file(store, pack_short_ads(inside), 3 * BLOCK)
    more = pack_short_ads([(BLOCK, 0, 302), (BLOCK, 1, 301), (0, 0, 0), (BLOCK, 0, 999)])
    extent = build_allocation_extent(location=500, version=3, allocation=more)
    store.put(START + 500, extent)
    expected = [(START + 300, 3), (START + 400, 3), (START + 500, 1)]
    assert open_volume(store).allocated(key) == expected


def test_an_embedded_file_takes_nothing_else() -> None:
    assert open_volume(discs.sparable_disc({})).allocated(make_key(0, 64)) == []


@pytest.mark.parametrize(
    ("extents", "what"),
    [
        ([(BLOCK, 3, 500)], "circle"),
        ([(0x3FFFF800, 0, 10)], "not in their partition"),
        ([(BLOCK, 3, 0xFFFFFFFF)], "not in their partition"),
    ],
)
def test_hostile_extents(extents: list[tuple[int, int, int]], what: str) -> None:
    store = discs.sparable_disc({})
    key = with_file(store, pack_short_ads(extents), BLOCK)
    again = pack_short_ads([(BLOCK, 3, 500)])
    store.put(START + 500, build_allocation_extent(location=500, version=3, allocation=again))
    with pytest.raises(DamagedError, match=what):
        open_volume(store).allocated(key)


# -- who uses what -------------------------------------------------------------


def use_descriptor(name: bytes, number: int, block: int) -> bytes:
    fields = {
        "volume_descriptor_sequence_number": number,
        "implementation_identifier": osta.implementation_id(name),
        "implementation_use": name.ljust(460, b"."),
    }
    return discs.sealed(ecma167.ImplementationUseVolumeDescriptor, fields, block)


def test_implementation_uses_do_not_hide_each_other() -> None:
    store = discs.sparable_disc({})
    store.put(discs.MAIN + 3, use_descriptor(osta.LV_INFO, 7, discs.MAIN + 3))
    store.put(discs.MAIN + 4, use_descriptor(osta.LOG_PLACE, 8, discs.MAIN + 4))
    found = find_descriptors(Source(store), [])
    assert found.uses.keys() == {osta.LV_INFO, osta.LOG_PLACE}


def test_the_place_of_the_log_is_also_looked_up_in_the_reserve() -> None:
    store = discs.sparable_disc({})
    store.put(discs.RESERVE + 3, use_descriptor(osta.LOG_PLACE, 8, discs.RESERVE + 3))
    found = find_descriptors(Source(store), [])
    assert osta.LOG_PLACE not in found.uses
    place = reserve_use(Source(store), found, osta.LOG_PLACE)
    assert place.implementation_use.startswith(osta.LOG_PLACE)


def test_our_own_mark_does_not_protect_the_volume() -> None:
    store = with_bitmap(b"\xff" * 500, count=4000)
    integrity = tags.unseal(
        ecma167.LogicalVolumeIntegrityDescriptor, store.blocks[discs.INTEGRITY], location=None
    )
    parsed = osta.LogicalVolumeIntegrityImplementationUse.parse(integrity.implementation_use)

    def why(who: bytes, kind: int) -> str:
        changed = {
            **parsed,
            "implementation_id": osta.implementation_id(who),
            "minimum_udf_write_revision": 0x0260,
        }
        fields = {
            **integrity,
            "integrity_type": kind,
            "implementation_use": osta.LogicalVolumeIntegrityImplementationUse.build(changed),
        }
        declaration = ecma167.LogicalVolumeIntegrityDescriptor
        block = discs.sealed(declaration, fields, discs.INTEGRITY).ljust(BLOCK, b"\0")
        store.put(discs.INTEGRITY, block)
        volume = open_volume(store)
        assert volume.integrity_block == block
        assert volume.integrity_extent == (discs.INTEGRITY, 2)
        return volume.write_protected or ""

    assert "needs UDF 2.60" in why(osta.IMPLEMENTATION, ecma167.INTEGRITY_CLOSED)
    assert "needs UDF 2.60" in why(b"*other", ecma167.INTEGRITY_OPEN)
    assert "log cannot be found" in why(osta.IMPLEMENTATION, ecma167.INTEGRITY_OPEN)
    fields = {
        "volume_descriptor_sequence_number": 9,
        "implementation_identifier": osta.implementation_id(osta.LOG_PLACE),
        "implementation_use": build_log_use([(2048, 4)]),
    }
    at = discs.MAIN + 3
    store.put(at, discs.sealed(ecma167.ImplementationUseVolumeDescriptor, fields, at))
    assert why(osta.IMPLEMENTATION, ecma167.INTEGRITY_OPEN) == ""
