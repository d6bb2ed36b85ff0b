"""One test for each kind of pointer or length in files and directories that broke other drivers.

As test_malformed.py, which has those of the volume.
"""

from __future__ import annotations

import struct
from typing import Any

import pytest

from media.errors import UnreadableBlockError
from udffs.errors import DamagedError, StructureError, UnsupportedError
from udffs.ondisc import ecma167, hot, modes, tags, text
from udffs.ondisc.derive import derive
from udffs.volume import make_key

from . import discs
from .discs import AT_BIG, AT_HELLO, AT_ROOT, BIG, BLOCK, HELLO, ROOT, START, MemoryStore
from .using import opened, refused, use


def big(store: MemoryStore, allocation: bytes, kind: int = 1, size: int = BLOCK) -> MemoryStore:
    """The disc with other allocation descriptors for /big."""
    entry = discs.icb(BIG, file_type=5, allocation=allocation, allocation_type=kind, size=size)
    store.put(AT_BIG, entry)
    return store


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
