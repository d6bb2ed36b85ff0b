"""The fast codecs equal the declarations: on valid, damaged and truncated bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from construct import Array, GreedyRange
from hypothesis import given, settings
from hypothesis import strategies as st

from udffs.errors import DirectoryEntryError, InternalError, StructureError
from udffs.ondisc import hot, osta, tags
from udffs.ondisc.basic import BLOCK_SIZE, LongAd, ShortAd, Timestamp
from udffs.ondisc.ecma167 import (
    AllocationExtentDescriptor,
    ExtendedFileEntry,
    FileEntry,
    FileIdentifierDescriptor,
)
from udffs.ondisc.times import pack_time, timestamp, timestamp_ns

U8, U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32, 64))
MOMENT = st.integers(0, 4 * 10**18)
T = TypeVar("T")


def outcome(call: Callable[[], T]) -> T | str:
    """The result, or the words of the refusal."""
    try:
        return call()
    except StructureError:
        return "refused"


# -- the reference: nothing but the declarations -------------------------------


def reference_file_entry(block: bytes, location: int | None) -> hot.FileEntryFields:
    identifier, entry = tags.unseal_any(block, location=location)
    if identifier not in (261, 266):
        raise StructureError(what="not a file entry")
    icb = dict(entry.extended_attribute_icb)
    extension = None
    if identifier == 266:
        extension = hot.Extension(
            Timestamp.build(dict(entry.creation_time)),
            LongAd.build(dict(entry.stream_directory_icb)),
            entry.checkpoint,
            max(0, entry.object_size - entry.information_length),
        )
    return hot.FileEntryFields(
        extension,
        entry.tag.tag_location,
        entry.tag.tag_serial_number,
        entry.icb_tag.strategy_type,
        entry.icb_tag.file_type,
        entry.icb_tag.flags,
        entry.uid,
        entry.gid,
        entry.permissions,
        entry.file_link_count,
        entry.information_length,
        entry.logical_blocks_recorded,
        timestamp_ns(entry.access_time),
        timestamp_ns(entry.modification_time),
        timestamp_ns(entry.attribute_time),
        LongAd.build(icb),
        entry.unique_id,
        entry.extended_attributes,
        entry.allocation_descriptors,
    )


def reference_fid(data: bytes, offset: int) -> hot.FidFields:
    fid = tags.unseal(FileIdentifierDescriptor, data[offset:], location=None)
    return hot.FidFields(
        offset,
        len(FileIdentifierDescriptor.build(fid)),
        fid.file_characteristics,
        fid.icb.location.logical_block_number,
        fid.icb.location.partition_reference_number,
        fid.icb.udf_unique_id,
        fid.file_identifier,
        fid.tag.tag_location,
    )


# -- samples -------------------------------------------------------------------

ENTRY = st.fixed_dictionaries(
    {
        "location": U32,
        "version": st.sampled_from([2, 3]),
        "file_type": U8,
        "icb_flags": U16,
        "uid": U32,
        "gid": U32,
        "permissions": U32,
        "link_count": U16,
        "size": U64,
        "blocks_recorded": U64,
        "atime_ns": MOMENT,
        "mtime_ns": MOMENT,
        "ctime_ns": MOMENT,
        "unique_id": U64,
        "extended_attributes": st.binary(max_size=100),
        "allocation": st.binary(max_size=100),
        "allocation_type": st.integers(0, 3),
        "serial": U16,
    }
)
FID = st.fixed_dictionaries(
    {
        "location": U32,
        "version": st.sampled_from([2, 3]),
        "characteristics": U8,
        "icb": st.tuples(st.integers(0, 0x3FFFFFFF), U32, U16),
        "unique_id": U32,
        "name": st.binary(max_size=255),
    }
)


def extended_entry() -> bytes:
    now = timestamp(1_600_000_000_000_000_000)
    fields = {
        "icb_tag": {"file_type": 5, "flags": 3},
        "uid": 1,
        "gid": 2,
        "permissions": 3,
        "file_link_count": 4,
        "information_length": 5,
        "object_size": 5,
        "logical_blocks_recorded": 6,
        "access_time": now,
        "modification_time": now,
        "creation_time": now,
        "attribute_time": now,
        "unique_id": 7,
        "length_of_extended_attributes": 4,
        "length_of_allocation_descriptors": 5,
        "extended_attributes": b"attr",
        "allocation_descriptors": b"hello",
    }
    return tags.seal(ExtendedFileEntry, fields, location=9, version=3).ljust(BLOCK_SIZE, b"\0")


# -- building ------------------------------------------------------------------


@given(ENTRY)
def test_built_file_entry_is_what_the_declaration_builds(fields: dict[str, Any]) -> None:
    body = {
        "icb_tag": {
            "file_type": fields["file_type"],
            "flags": fields["icb_flags"] & ~7 | fields["allocation_type"],
        },
        "uid": fields["uid"],
        "gid": fields["gid"],
        "permissions": fields["permissions"],
        "file_link_count": fields["link_count"],
        "information_length": fields["size"],
        "logical_blocks_recorded": fields["blocks_recorded"],
        "access_time": timestamp(fields["atime_ns"]),
        "modification_time": timestamp(fields["mtime_ns"]),
        "attribute_time": timestamp(fields["ctime_ns"]),
        "implementation_identifier": osta.implementation_id(),
        "unique_id": fields["unique_id"],
        "length_of_extended_attributes": len(fields["extended_attributes"]),
        "length_of_allocation_descriptors": len(fields["allocation"]),
        "extended_attributes": fields["extended_attributes"],
        "allocation_descriptors": fields["allocation"],
    }
    expected = tags.seal(
        FileEntry,
        body,
        location=fields["location"],
        version=fields["version"],
        serial=fields["serial"],
    )
    assert hot.build_file_entry(**fields) == expected.ljust(BLOCK_SIZE, b"\0")


@given(FID)
def test_built_fid_is_what_the_declaration_builds(fields: dict[str, Any]) -> None:
    length, block, partition = fields["icb"]
    body = {
        "file_characteristics": fields["characteristics"],
        "length_of_file_identifier": len(fields["name"]),
        "icb": {
            "extent_length": length,
            "location": {
                "logical_block_number": block,
                "partition_reference_number": partition,
            },
            "udf_unique_id": fields["unique_id"],
        },
        "file_identifier": fields["name"],
    }
    expected = tags.seal(
        FileIdentifierDescriptor, body, location=fields["location"], version=fields["version"]
    )
    assert hot.build_fid(**fields) == expected
    assert len(expected) == hot.fid_size(fields["name"])


def test_file_entry_that_does_not_fit() -> None:
    fields: dict[str, Any] = dict.fromkeys(
        ("location", "file_type", "icb_flags", "uid", "gid", "permissions", "link_count"), 0
    )
    fields |= dict.fromkeys(
        ("size", "blocks_recorded", "atime_ns", "mtime_ns", "ctime_ns", "unique_id"), 0
    )
    hot.build_file_entry(version=3, allocation=bytes(hot.MAX_EMBEDDED), **fields)
    with pytest.raises(InternalError):
        hot.build_file_entry(version=3, allocation=bytes(hot.MAX_EMBEDDED + 1), **fields)


# -- reading: valid ------------------------------------------------------------


@given(ENTRY)
def test_file_entry_comes_back(fields: dict[str, Any]) -> None:
    block = hot.build_file_entry(**fields)
    found = hot.parse_file_entry(block, fields["location"])
    assert found == reference_file_entry(block, fields["location"])
    assert found.allocation_type == fields["allocation_type"]
    assert found.allocation == fields["allocation"]
    assert found.mtime_ns == fields["mtime_ns"] // 1000 * 1000


def test_extended_file_entry() -> None:
    block = extended_entry()
    found = hot.parse_file_entry(block, 9)
    assert found == reference_file_entry(block, 9)
    assert found.extended
    assert (found.extended_attributes, found.allocation) == (b"attr", b"hello")


@given(st.lists(FID, max_size=10))
def test_fids_come_back(several: list[dict[str, Any]]) -> None:
    data = b"".join(hot.build_fid(**fields) for fields in several)
    found = list(hot.iter_fids(data))
    assert [fid.name for fid in found] == [fields["name"] for fields in several]
    assert found == [reference_fid(data, fid.offset) for fid in found]
    assert sum(fid.length for fid in found) == len(data)


def test_fid_with_implementation_use() -> None:
    body = {
        "length_of_file_identifier": 3,
        "icb": {"extent_length": 2048, "location": {"logical_block_number": 5}},
        "length_of_implementation_use": 32,
        "implementation_use": bytes(range(32)),
        "file_identifier": b"\x08hi",
    }
    data = tags.seal(FileIdentifierDescriptor, body, location=1, version=2)
    assert list(hot.iter_fids(data + data)) == [
        reference_fid(data + data, 0),
        reference_fid(data + data, len(data)),
    ]


# -- reading: damaged and truncated --------------------------------------------


def resigned(data: bytes, identifier: int, crc_length: int | None = None) -> bytes:
    """The same bytes with a tag that fits them again."""
    block = bytearray(data)
    if len(block) >= tags.TAG_SIZE:
        tags.sign(block, identifier=identifier, location=9, version=3, crc_length=crc_length)
    return bytes(block)


DAMAGE = st.lists(st.tuples(st.integers(0, 300), U8), max_size=6)


def damaged(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    block = bytearray(data)
    for offset, value in changes:
        if offset < len(block):
            block[offset] = value
    return bytes(block)


@given(ENTRY, DAMAGE, st.integers(0, BLOCK_SIZE), st.booleans(), st.sampled_from([261, 266, 257]))
@settings(max_examples=300)
def test_damaged_file_entries(
    fields: dict[str, Any],
    changes: list[tuple[int, int]],
    length: int,
    resign: bool,
    identifier: int,
) -> None:
    block = damaged(hot.build_file_entry(**fields), changes)[:length]
    if resign:
        block = resigned(block, identifier, min(160, max(0, len(block) - 16)))
    assert outcome(lambda: hot.parse_file_entry(block, None)) == outcome(
        lambda: reference_file_entry(block, None)
    )


@given(DAMAGE, st.integers(0, BLOCK_SIZE))
def test_damaged_extended_file_entries(changes: list[tuple[int, int]], length: int) -> None:
    block = resigned(damaged(extended_entry(), changes)[:length], 266)
    assert outcome(lambda: hot.parse_file_entry(block, None)) == outcome(
        lambda: reference_file_entry(block, None)
    )


@given(FID, DAMAGE, st.integers(0, 300), st.booleans())
@settings(max_examples=300)
def test_damaged_fids(
    fields: dict[str, Any], changes: list[tuple[int, int]], length: int, resign: bool
) -> None:
    data = damaged(hot.build_fid(**fields), changes)[:length]
    if resign:
        data = resigned(data, 257)
    if data:
        assert outcome(lambda: next(hot.iter_fids(data))) == outcome(lambda: reference_fid(data, 0))


@given(st.binary(max_size=400))
def test_any_bytes_are_a_directory_or_refused(data: bytes) -> None:
    outcome(lambda: list(hot.iter_fids(data)))


def test_damage_is_located() -> None:
    fid = hot.build_fid(
        location=1,
        version=3,
        characteristics=0,
        icb=(2048, 1, 1),
        unique_id=16,
        name=b"\x08a",
    )
    with pytest.raises(DirectoryEntryError) as caught:
        list(hot.iter_fids(fid + fid + damaged(fid, [(20, 9)])))
    assert caught.value.offset == 2 * len(fid)
    with pytest.raises(DirectoryEntryError) as caught:
        list(hot.iter_fids(fid + b"\0" * 4))
    assert caught.value.offset == len(fid)


# -- allocation descriptors ----------------------------------------------------

LONG_ADS = st.lists(st.tuples(st.integers(0, 0x3FFFFFFF), st.integers(0, 3), U32, U16))
SHORT_ADS = st.lists(st.tuples(st.integers(0, 0x3FFFFFFF), st.integers(0, 3), U32))


@given(LONG_ADS)
def test_long_ads(extents: list[tuple[int, int, int, int]]) -> None:
    data = hot.pack_long_ads(extents)
    assert hot.unpack_long_ads(data) == extents
    fields = [
        {
            "extent_length": length,
            "extent_type": kind,
            "location": {"logical_block_number": block, "partition_reference_number": partition},
        }
        for length, kind, block, partition in extents
    ]
    assert Array(len(fields), LongAd).build(fields) == data


@given(SHORT_ADS)
def test_short_ads(extents: list[tuple[int, int, int]]) -> None:
    data = hot.pack_short_ads(extents)
    assert hot.unpack_short_ads(data) == extents
    found = [
        (ad.extent_length, ad.extent_type, ad.extent_position)
        for ad in GreedyRange(ShortAd).parse(data)
    ]
    assert found == extents


def test_cut_allocation_descriptors() -> None:
    with pytest.raises(StructureError):
        hot.unpack_long_ads(bytes(17))
    with pytest.raises(StructureError):
        hot.unpack_short_ads(bytes(4))


@given(U32, st.binary(max_size=hot.MAX_EXTENT_DESCRIPTORS))
@settings(max_examples=30)
def test_allocation_extents(location: int, allocation: bytes) -> None:
    block = hot.build_allocation_extent(location=location, version=3, allocation=allocation)
    assert len(block) == BLOCK_SIZE
    assert hot.parse_allocation_extent(block, location) == allocation
    parsed = tags.unseal(AllocationExtentDescriptor, block, location=location)
    assert parsed.length_of_allocation_descriptors == len(allocation)
    head = AllocationExtentDescriptor.sizeof()
    assert block[head:] == allocation.ljust(BLOCK_SIZE - head, b"\0")


@given(DAMAGE, st.integers(0, BLOCK_SIZE))
def test_damaged_allocation_extents(changes: list[tuple[int, int]], length: int) -> None:
    block = hot.build_allocation_extent(location=9, version=3, allocation=bytes(80))
    block = resigned(damaged(block, changes)[:length], 258)

    def reference() -> bytes:
        parsed = tags.unseal(AllocationExtentDescriptor, block, location=None)
        size: int = parsed.length_of_allocation_descriptors
        if AllocationExtentDescriptor.sizeof() + size > len(block):
            raise StructureError(what="cut off")
        return block[AllocationExtentDescriptor.sizeof() :][:size]

    assert outcome(lambda: hot.parse_allocation_extent(block, None)) == outcome(reference)


def test_too_long_an_allocation_extent() -> None:
    with pytest.raises(InternalError):
        hot.build_allocation_extent(
            location=0, version=3, allocation=bytes(hot.MAX_EXTENT_DESCRIPTORS + 1)
        )


def test_times_are_written_in_a_time_zone() -> None:
    assert pack_time(0, 60) != pack_time(0)
