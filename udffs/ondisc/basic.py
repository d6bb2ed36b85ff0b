"""The small types that every other structure is made of (ECMA-167 1/7, 3/7, 4/7, 4/14.14).

All integers are little-endian (1/7.1). Fields that a writer rarely sets have a
default, so that only what differs from "nothing" must be given when building;
reserved bytes are kept as they are when parsing, so that a parsed structure
builds the same bytes again.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from construct import (
    Bytes,
    Container,
    Default,
    ExprAdapter,
    Int8ul,
    Int16sl,
    Int16ul,
    Int32ul,
    Struct,
)

BLOCK_SIZE = 2048
"""Bytes of a logical block, which is a sector on all the media we know."""


class TagIdentifier(IntEnum):
    """What kind of descriptor follows a tag (3/7.2.1, 4/7.2.1)."""

    SPARING_TABLE = 0
    PRIMARY_VOLUME = 1
    ANCHOR_VOLUME_POINTER = 2
    VOLUME_POINTER = 3
    IMPLEMENTATION_USE_VOLUME = 4
    PARTITION = 5
    LOGICAL_VOLUME = 6
    UNALLOCATED_SPACE = 7
    TERMINATING = 8
    LOGICAL_VOLUME_INTEGRITY = 9
    FILE_SET = 256
    FILE_IDENTIFIER = 257
    ALLOCATION_EXTENT = 258
    INDIRECT_ENTRY = 259
    TERMINAL_ENTRY = 260
    FILE_ENTRY = 261
    EXTENDED_ATTRIBUTE_HEADER = 262
    UNALLOCATED_SPACE_ENTRY = 263
    SPACE_BITMAP = 264
    PARTITION_INTEGRITY = 265
    EXTENDED_FILE_ENTRY = 266


class ExtentType(IntEnum):
    """The two top bits of an extent length (4/14.14.1.1)."""

    RECORDED = 0
    ALLOCATED = 1
    NOT_ALLOCATED = 2
    CONTINUATION = 3


MAX_EXTENT_LENGTH = 0x3FFFFFFF
"""Bytes that fit into the 30 bits of an extent length (4/14.14.1.1)."""


def zeros(size: int) -> Any:
    """`size` bytes that are zero unless given."""
    return Default(Bytes(size), bytes(size))


def default(field: Any, value: Any) -> Any:
    """A field that need not be given when building."""
    return Default(field, value)


def number(field: Any, value: int = 0) -> Any:
    """An integer field that need not be given when building."""
    return Default(field, value)


DescriptorTag = Struct(
    "tag_identifier" / Int16ul,
    "descriptor_version" / Int16ul,
    "tag_checksum" / number(Int8ul),
    "reserved" / number(Int8ul),
    "tag_serial_number" / number(Int16ul),
    "descriptor_crc" / number(Int16ul),
    "descriptor_crc_length" / number(Int16ul),
    "tag_location" / Int32ul,
)
"""16 bytes, the head of every descriptor (3/7.2). Made and checked in tags.py only."""

CharSpec = Struct(
    "character_set_type" / number(Int8ul),
    "character_set_information" / Bytes(63),
)
"""64 bytes, a character set (1/7.2.1)."""

OSTA_CHARSET: Mapping[str, Any] = {
    "character_set_type": 0,
    "character_set_information": b"OSTA Compressed Unicode".ljust(63, b"\0"),
}
"""The only character set of UDF (UDF 2.1.2)."""

Timestamp = Struct(
    "type_and_time_zone" / Int16ul,
    "year" / Int16sl,
    "month" / Int8ul,
    "day" / Int8ul,
    "hour" / Int8ul,
    "minute" / Int8ul,
    "second" / Int8ul,
    "centiseconds" / Int8ul,
    "hundreds_of_microseconds" / Int8ul,
    "microseconds" / Int8ul,
)
"""12 bytes, a date and time (1/7.3). See times.py."""

EntityId = Struct(
    "flags" / number(Int8ul),
    "identifier" / Bytes(23),
    "suffix" / zeros(8),
)
"""32 bytes, who or what defines something (1/7.4, "regid")."""

NO_ENTITY: Mapping[str, Any] = {"flags": 0, "identifier": bytes(23), "suffix": bytes(8)}

ExtentAd = Struct(
    "length" / Int32ul,
    "location" / Int32ul,
)
"""8 bytes, an extent of the volume: bytes, absolute block (3/7.1)."""

NO_EXTENT: Mapping[str, int] = {"length": 0, "location": 0}

LbAddr = Struct(
    "logical_block_number" / Int32ul,
    "partition_reference_number" / number(Int16ul),
)
"""6 bytes, a block of a partition (4/7.1)."""

NO_ADDRESS: Mapping[str, int] = {"logical_block_number": 0, "partition_reference_number": 0}

_RawShortAd = Struct(
    "extent_length_and_type" / Int32ul,
    "extent_position" / Int32ul,
)

_RawLongAd = Struct(
    "extent_length_and_type" / Int32ul,
    "location" / default(LbAddr, NO_ADDRESS),
    "flags" / number(Int16ul),
    "udf_unique_id" / number(Int32ul),
)


def _split_length(raw: Any, _context: Any) -> Any:
    """The two top bits of a length apart from its 30 bits."""
    length_and_type = raw.extent_length_and_type
    fields = {
        "extent_length": length_and_type & MAX_EXTENT_LENGTH,
        "extent_type": length_and_type >> 30,
    }
    fields.update(
        (name, value)
        for name, value in raw.items()
        if name != "extent_length_and_type" and not name.startswith("_")
    )
    return Container(fields)


def _join_length(fields: Mapping[str, Any], _context: Any) -> Any:
    raw = dict(fields)
    length = raw.pop("extent_length")
    kind = raw.pop("extent_type", 0)
    return {**raw, "extent_length_and_type": length | kind << 30}


ShortAd = ExprAdapter(_RawShortAd, _split_length, _join_length)
"""8 bytes: extent_length (bytes), extent_type, extent_position (block of the
partition that holds the descriptor) (4/14.14.1)."""

LongAd = ExprAdapter(_RawLongAd, _split_length, _join_length)
"""16 bytes: extent_length (bytes), extent_type, location, then the
implementation use as UDF divides it: flags and UDFUniqueID (4/14.14.2,
UDF 2.3.4.3 and 2.3.10)."""

NO_LONG_AD: Mapping[str, Any] = {"extent_length": 0}
