"""Extended file entries: the fast codec equals the declaration, both ways."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udffs.errors import InternalError
from udffs.ondisc import hot, osta, tags
from udffs.ondisc.basic import BLOCK_SIZE, LongAd
from udffs.ondisc.ecma167 import ExtendedFileEntry
from udffs.ondisc.times import pack_time, timestamp

U8, U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32, 64))
MOMENT = st.integers(0, 4 * 10**18)

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
STREAMS = st.fixed_dictionaries(
    {
        "extent_length": st.integers(0, 0x3FFFFFFF),
        "extent_type": st.integers(0, 3),
        "location": st.fixed_dictionaries(
            {"logical_block_number": U32, "partition_reference_number": U16}
        ),
        "flags": U16,
        "udf_unique_id": U32,
    }
)


@given(ENTRY, MOMENT, STREAMS, U32, U64)
def test_built_is_what_the_declaration_builds(
    fields: dict[str, Any],
    created: int,
    streams: dict[str, Any],
    checkpoint: int,
    streams_size: int,
) -> None:
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
        "object_size": min(fields["size"] + streams_size, (1 << 64) - 1),
        "logical_blocks_recorded": fields["blocks_recorded"],
        "access_time": timestamp(fields["atime_ns"]),
        "modification_time": timestamp(fields["mtime_ns"]),
        "creation_time": timestamp(created),
        "attribute_time": timestamp(fields["ctime_ns"]),
        "checkpoint": checkpoint,
        "stream_directory_icb": streams,
        "implementation_identifier": osta.implementation_id(),
        "unique_id": fields["unique_id"],
        "length_of_extended_attributes": len(fields["extended_attributes"]),
        "length_of_allocation_descriptors": len(fields["allocation"]),
        "extended_attributes": fields["extended_attributes"],
        "allocation_descriptors": fields["allocation"],
    }
    expected = tags.seal(
        ExtendedFileEntry,
        body,
        location=fields["location"],
        version=fields["version"],
        serial=fields["serial"],
    )
    extension = hot.Extension(pack_time(created), LongAd.build(streams), checkpoint, streams_size)
    built = hot.build_file_entry(**fields, extension=extension)
    assert built == expected.ljust(BLOCK_SIZE, b"\0")


@given(ENTRY, st.binary(min_size=12, max_size=12), st.binary(min_size=16, max_size=16), U32, U64)
def test_what_is_read_is_written_again(
    fields: dict[str, Any], created: bytes, streams: bytes, checkpoint: int, streams_size: int
) -> None:
    """Whatever another system wrote: the fields are not looked into."""
    streams_size = min(streams_size, (1 << 64) - 1 - fields["size"])
    extension = hot.Extension(created, streams, checkpoint, streams_size)
    block = hot.build_file_entry(**fields, extension=extension)
    found = hot.parse_file_entry(block, fields["location"])
    assert found.extended
    assert found.extension == extension
    assert (found.size, found.allocation) == (fields["size"], fields["allocation"])
    assert hot.build_file_entry(**fields, extension=found.extension) == block
    plain = hot.parse_file_entry(hot.build_file_entry(**fields), fields["location"])
    assert plain == found._replace(extension=None)


@given(ENTRY, U64)
def test_an_object_size_that_is_too_small(fields: dict[str, Any], object_size: int) -> None:
    """Some systems leave it 0: then there is nothing to keep."""
    extension = hot.Extension(pack_time(0), bytes(16), 1, 0)
    entry = tags.unseal(
        ExtendedFileEntry,
        hot.build_file_entry(**fields, extension=extension),
        location=fields["location"],
    )
    entry.object_size = object_size
    block = tags.seal(ExtendedFileEntry, entry, location=fields["location"], version=3)
    found = hot.parse_file_entry(block, fields["location"])
    assert found.extension is not None
    assert found.extension.streams_size == max(0, object_size - fields["size"])


def test_room() -> None:
    assert BLOCK_SIZE - hot.MAX_EMBEDDED == 176  # 4/14.9
    assert BLOCK_SIZE - hot.MAX_EMBEDDED_EXTENDED == 216  # 4/14.17
    fields: dict[str, Any] = dict.fromkeys(
        ("location", "file_type", "icb_flags", "uid", "gid", "permissions", "link_count"), 0
    )
    fields |= dict.fromkeys(
        ("size", "blocks_recorded", "atime_ns", "mtime_ns", "ctime_ns", "unique_id"), 0
    )
    fields |= {"version": 3, "extension": hot.Extension(pack_time(0), bytes(16), 1, 0)}
    block = hot.build_file_entry(allocation=bytes(hot.MAX_EMBEDDED_EXTENDED), **fields)
    assert len(block) == BLOCK_SIZE
    with pytest.raises(InternalError):
        hot.build_file_entry(allocation=bytes(hot.MAX_EMBEDDED_EXTENDED + 1), **fields)
