"""ISO 9660 (ECMA-119) and its Joliet view: descriptors, directory records, path tables.

Numbers are recorded in both byte orders at once, little-endian first (7.2.3, 7.3.3),
but for the path tables. A *logical block* is 2,048 bytes; its number counts from the
start of the disc, in all sessions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from construct import (
    Bytes,
    ExprAdapter,
    Int8sl,
    Int8ul,
    Int16ub,
    Int16ul,
    Int32ub,
    Int32ul,
    Struct,
    this,
)

from udffs.errors import InternalError
from udffs.ondisc.basic import BLOCK_SIZE, default, number, zeros
from udffs.ondisc.derive import derive

__all__ = [
    "DESCRIPTOR_PRIMARY",
    "DESCRIPTOR_SUPPLEMENTARY",
    "DESCRIPTOR_TERMINATOR",
    "FLAG_DIRECTORY",
    "FLAG_MULTI_EXTENT",
    "JOLIET_LEVEL_3",
    "MAX_DIRECTORY_RECORD",
    "MAX_SECTION",
    "PARENT",
    "SELF",
    "Both16",
    "Both32",
    "DirectoryRecord",
    "PathTableRecordL",
    "PathTableRecordM",
    "PrimaryVolumeDescriptor",
    "RecordTime",
    "SupplementaryVolumeDescriptor",
    "VolumeDescriptorSetTerminator",
    "VolumeTime",
    "build_directory_record",
    "build_path_table_records",
    "directory_record_size",
    "path_table_record_size",
    "record_time",
    "volume_time",
]

DESCRIPTOR_PRIMARY = 1
DESCRIPTOR_SUPPLEMENTARY = 2
DESCRIPTOR_TERMINATOR = 255
"""Types of volume descriptors (8.1.1)."""

JOLIET_LEVEL_3 = b"%/E"
"""The escape sequence of UCS-2 level 3 (Joliet, "Identifying an ISO 9660 SVD as UCS-2")."""

FLAG_DIRECTORY = 0x02
FLAG_MULTI_EXTENT = 0x80
"""File flags of a directory record (9.1.6)."""

SELF = b"\x00"
PARENT = b"\x01"
"""Identifiers of a directory's first two records (7.6.2)."""

MAX_SECTION = (1 << 32) - BLOCK_SIZE
"""Bytes of a file section: whole blocks that fit into 32 bits (6.5.1, 9.1.4)."""

MAX_DIRECTORY_RECORD = 254
"""Bytes of a directory record: its length is even and fits a byte (9.1.1, 9.1.13)."""


def _both(little: Any, big: Any) -> Any:
    """A number in both byte orders; the little-endian one counts when they differ."""
    return ExprAdapter(
        Struct("little" / little, "big" / big),
        lambda pair, _context: pair.little,
        lambda value, _context: {"little": value, "big": value},
    )


Both16 = _both(Int16ul, Int16ub)
"""4 bytes, a 16-bit number in both byte orders (7.2.3)."""

Both32 = _both(Int32ul, Int32ub)
"""8 bytes, a 32-bit number in both byte orders (7.3.3)."""

RecordTime = Struct(
    "years_since_1900" / Int8ul,
    "month" / Int8ul,
    "day" / Int8ul,
    "hour" / Int8ul,
    "minute" / Int8ul,
    "second" / Int8ul,
    "offset_from_gmt" / number(Int8sl),
)
"""7 bytes, a time to the second; the offset in quarters of an hour (9.1.5)."""

VolumeTime = Struct(
    "digits" / default(Bytes(16), b"0" * 16),
    "offset_from_gmt" / number(Int8sl),
)
"""17 bytes, a time as the digits of year (4), month, day, hour, minute, second and
hundredths (2 each); all "0" where there is none (8.4.26.1)."""

NO_VOLUME_TIME: Mapping[str, Any] = {"digits": b"0" * 16, "offset_from_gmt": 0}

_RECORD_HEAD = 33  # bytes of a directory record before its identifier


def _system_use_length(fields: Any) -> int:
    identifier = int(fields.length_of_file_identifier)
    return int(fields.length_of_directory_record) - _RECORD_HEAD - (identifier | 1)


DirectoryRecord = Struct(
    "length_of_directory_record" / Int8ul,
    "extended_attribute_record_length" / number(Int8ul),
    "location_of_extent" / Both32,
    "data_length" / Both32,
    "recording_date_and_time" / RecordTime,
    "file_flags" / number(Int8ul),
    "file_unit_size" / number(Int8ul),
    "interleave_gap_size" / number(Int8ul),
    "volume_sequence_number" / number(Both16, 1),
    "length_of_file_identifier" / Int8ul,
    "file_identifier" / Bytes(this.length_of_file_identifier),
    "padding" / Bytes(lambda context: 1 - context.length_of_file_identifier % 2),
    "system_use" / Bytes(_system_use_length),
)
"""33 bytes, the identifier, a zero if that makes it even, and the system use (9.1)."""

_RECORD = derive(DirectoryRecord, whole=(Both16, Both32, RecordTime))
_RECORD_ORDER = (
    "length_of_directory_record",
    "extended_attribute_record_length",
    "location_of_extent",
    "data_length",
    "recording_date_and_time",
    "file_flags",
    "file_unit_size",
    "interleave_gap_size",
    "volume_sequence_number",
    "length_of_file_identifier",
)

PathTableRecordL = Struct(
    "length_of_directory_identifier" / Int8ul,
    "extended_attribute_record_length" / number(Int8ul),
    "location_of_extent" / Int32ul,
    "parent_directory_number" / Int16ul,
    "directory_identifier" / Bytes(this.length_of_directory_identifier),
    "padding" / Bytes(this.length_of_directory_identifier % 2),
)
"""8 bytes and the identifier, made even with a zero, little-endian (9.4)."""

PathTableRecordM = Struct(
    "length_of_directory_identifier" / Int8ul,
    "extended_attribute_record_length" / number(Int8ul),
    "location_of_extent" / Int32ub,
    "parent_directory_number" / Int16ub,
    "directory_identifier" / Bytes(this.length_of_directory_identifier),
    "padding" / Bytes(this.length_of_directory_identifier % 2),
)
"""The same, big-endian (9.4)."""

_ROOT_RECORD = 34  # bytes of a directory record with an identifier of one byte

_HEAD = (
    "volume_descriptor_type" / Int8ul,
    "standard_identifier" / default(Bytes(5), b"CD001"),
    "volume_descriptor_version" / number(Int8ul, 1),
)

_AFTER_SPACE_SIZE = (
    "volume_set_size" / number(Both16, 1),
    "volume_sequence_number" / number(Both16, 1),
    "logical_block_size" / number(Both16, BLOCK_SIZE),
    "path_table_size" / Both32,
    "location_of_type_l_path_table" / Int32ul,
    "location_of_optional_type_l_path_table" / number(Int32ul),
    "location_of_type_m_path_table" / Int32ub,
    "location_of_optional_type_m_path_table" / number(Int32ub),
    "directory_record_for_root_directory" / Bytes(_ROOT_RECORD),
    "volume_set_identifier" / Bytes(128),
    "publisher_identifier" / Bytes(128),
    "data_preparer_identifier" / Bytes(128),
    "application_identifier" / Bytes(128),
    "copyright_file_identifier" / Bytes(37),
    "abstract_file_identifier" / Bytes(37),
    "bibliographic_file_identifier" / Bytes(37),
    "volume_creation_date_and_time" / VolumeTime,
    "volume_modification_date_and_time" / VolumeTime,
    "volume_expiration_date_and_time" / default(VolumeTime, NO_VOLUME_TIME),
    "volume_effective_date_and_time" / default(VolumeTime, NO_VOLUME_TIME),
    "file_structure_version" / number(Int8ul, 1),
    "reserved" / zeros(1),
    "application_use" / zeros(512),
    "reserved_end" / zeros(653),
)

PrimaryVolumeDescriptor = Struct(
    *_HEAD,
    "unused" / zeros(1),
    "system_identifier" / Bytes(32),
    "volume_identifier" / Bytes(32),
    "unused_8" / zeros(8),
    "volume_space_size" / Both32,
    "unused_32" / zeros(32),
    *_AFTER_SPACE_SIZE,
)
"""2,048 bytes, the volume and its root directory (8.4)."""

SupplementaryVolumeDescriptor = Struct(
    *_HEAD,
    "volume_flags" / number(Int8ul),
    "system_identifier" / Bytes(32),
    "volume_identifier" / Bytes(32),
    "unused_8" / zeros(8),
    "volume_space_size" / Both32,
    "escape_sequences" / Bytes(32),
    *_AFTER_SPACE_SIZE,
)
"""2,048 bytes, the same for other names; Joliet's with its escape sequence (8.5)."""

VolumeDescriptorSetTerminator = Struct(
    *_HEAD,
    "reserved" / zeros(2041),
)
"""2,048 bytes, the end of the volume descriptors (8.3)."""

# -- building ------------------------------------------------------------------

_PATH_L = derive(PathTableRecordL)
_PATH_M = derive(PathTableRecordM)

if _RECORD.names != _RECORD_ORDER or _RECORD.size != _RECORD_HEAD or _PATH_L.names != _PATH_M.names:
    raise InternalError(what="the fast codecs do not follow the declarations")

_FIRST_VOLUME = Both16.build(1)


def both32(value: int) -> bytes:
    """The same as ``Both32.build``. Raises InternalError if it has over 32 bits."""
    try:
        return value.to_bytes(4, "little") + value.to_bytes(4, "big")
    except OverflowError:
        raise InternalError(what=f"{value} does not fit into 32 bits") from None


def directory_record_size(identifier: bytes, system_use: int = 0) -> int:
    """Bytes of a directory record with so many bytes of system use."""
    return _RECORD.size + (len(identifier) | 1) + system_use + 1 & ~1


def build_directory_record(
    identifier: bytes,
    location: int,
    size: int,
    *,
    flags: int,
    time: bytes,
    system_use: bytes = b"",
) -> bytes:
    """A directory record (9.1): `location` in blocks, `size` in bytes, `time` as
    record_time makes it. `system_use` is padded to an even length. Raises
    InternalError where it gets longer than MAX_DIRECTORY_RECORD."""
    length = directory_record_size(identifier, len(system_use))
    if length > MAX_DIRECTORY_RECORD:
        raise InternalError(what=f"a directory record of {length} bytes")
    head = _RECORD.pack(
        length,
        0,
        both32(location),
        both32(size),
        time,
        flags,
        0,
        0,
        _FIRST_VOLUME,
        len(identifier),
    )
    padding = b"" if len(identifier) & 1 else b"\0"
    return (head + identifier + padding + system_use).ljust(length, b"\0")


def path_table_record_size(identifier: bytes) -> int:
    """Bytes of a path table record."""
    return _PATH_L.size + len(identifier) + 1 & ~1


def build_path_table_records(identifier: bytes, location: int, parent: int) -> tuple[bytes, bytes]:
    """The records of the L and of the M path table for one directory (9.4)."""
    padded = identifier + b"\0" if len(identifier) & 1 else identifier
    fields = (len(identifier), 0, location, parent)
    return _PATH_L.pack(*fields) + padded, _PATH_M.pack(*fields) + padded


# -- times ---------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000_000
_TIME = derive(RecordTime)
_FIRST = int((datetime(1900, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds())
_LAST = int((datetime(2156, 1, 1, tzinfo=UTC) - _EPOCH).total_seconds()) - 1


@lru_cache(maxsize=4096)
def _seconds_time(seconds: int) -> bytes:
    at = _EPOCH + timedelta(seconds=min(max(seconds, _FIRST), _LAST))
    return _TIME.pack(at.year - 1900, at.month, at.day, at.hour, at.minute, at.second, 0)


def record_time(ns: int) -> bytes:
    """A RecordTime: epoch nanoseconds down to the second, in UTC. The years are 1900
    to 2155; what is outside is brought to the nearest second inside."""
    return _seconds_time(ns // _SECOND)


def volume_time(ns: int) -> dict[str, Any]:
    """A VolumeTime, in UTC, of epoch nanoseconds; the years are 1900 to 2155."""
    seconds = min(max(ns // _SECOND, _FIRST), _LAST)
    at = _EPOCH + timedelta(seconds=seconds)
    hundredths = ns % _SECOND // 10_000_000
    digits = f"{at:%Y%m%d%H%M%S}{hundredths:02}".encode()
    return {"digits": digits, "offset_from_gmt": 0}
