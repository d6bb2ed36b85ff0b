"""Fast codecs for file entries and extended file entries (4/14.9, 4/14.17).

As hot.py, which offers all of this under its own name as well.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Any, NamedTuple

from udffs.errors import InternalError, StructureError
from udffs.ondisc import tags
from udffs.ondisc.allocation import ALLOCATION_EMBEDDED
from udffs.ondisc.basic import BLOCK_SIZE, EntityId, LongAd, TagIdentifier, Timestamp
from udffs.ondisc.derive import derive
from udffs.ondisc.ecma167_4 import ExtendedFileEntry, FileEntry
from udffs.ondisc.modes import ICB_ALLOCATION_MASK
from udffs.ondisc.osta import implementation_id
from udffs.ondisc.times import pack_time, parse_time

__all__ = [
    "FILE_ENTRY_SIZE",
    "MAX_EMBEDDED",
    "MAX_EMBEDDED_EXTENDED",
    "Extension",
    "FileEntryFields",
    "build_file_entry",
    "parse_file_entry",
    "recorded_by",
]

_WHOLE = (Timestamp, EntityId, LongAd)
_ENTRY = derive(FileEntry, whole=_WHOLE)
_EXTENDED = derive(ExtendedFileEntry, whole=_WHOLE)

FILE_ENTRY_SIZE = _ENTRY.size
"""Bytes of a file entry before attributes and allocation descriptors: 176."""

MAX_EMBEDDED = BLOCK_SIZE - FILE_ENTRY_SIZE
"""Bytes of attributes and content that fit into a file entry of one block: 1,872."""

MAX_EMBEDDED_EXTENDED = BLOCK_SIZE - _EXTENDED.size
"""The same of an extended file entry: 1,832."""

_MOST = (1 << 64) - 1
_IMPLEMENTATION = EntityId.build(implementation_id())
_NO_LONG_AD = bytes(LongAd.sizeof())


class Extension(NamedTuple):
    """What an extended file entry says and a file entry does not."""

    created: bytes
    """Creation time, as on the disc: a Timestamp."""
    streams: bytes
    """Where the ICB of the stream directory is, as on the disc: a long_ad."""
    checkpoint: int
    streams_size: int
    """Bytes of all streams: object size less information length."""


_ENTRY_ORDER = (
    "tag.tag_identifier",
    "tag.descriptor_version",
    "tag.tag_checksum",
    "tag.reserved",
    "tag.tag_serial_number",
    "tag.descriptor_crc",
    "tag.descriptor_crc_length",
    "tag.tag_location",
    "icb_tag.prior_recorded_number_of_direct_entries",
    "icb_tag.strategy_type",
    "icb_tag.strategy_parameter",
    "icb_tag.maximum_number_of_entries",
    "icb_tag.reserved",
    "icb_tag.file_type",
    "icb_tag.parent_icb_location.logical_block_number",
    "icb_tag.parent_icb_location.partition_reference_number",
    "icb_tag.flags",
    "uid",
    "gid",
    "permissions",
    "file_link_count",
    "record_format",
    "record_display_attributes",
    "record_length",
    "information_length",
    "logical_blocks_recorded",
    "access_time",
    "modification_time",
    "attribute_time",
    "checkpoint",
    "extended_attribute_icb",
    "implementation_identifier",
    "unique_id",
    "length_of_extended_attributes",
    "length_of_allocation_descriptors",
)
"""The order in which build_file_entry gives the fields; it gives those of _ADDED behind them
if the entry is an extended one."""

_ADDED = ("object_size", "creation_time", "reserved", "stream_directory_icb")

if _ENTRY.names != _ENTRY_ORDER or set(_EXTENDED.names) != {*_ENTRY_ORDER, *_ADDED}:
    raise InternalError(what="the fast codecs do not follow the declarations")

_TARGET = ("block", "offset")
"""What stands before the fields in the arguments of pack_into."""

_AS_EXTENDED: itemgetter[Any] = itemgetter(
    *map((*_TARGET, *_ENTRY_ORDER, *_ADDED).index, (*_TARGET, *_EXTENDED.names))
)
"""Puts the fields into the order of an extended file entry."""


_PLAIN = (int(TagIdentifier.FILE_ENTRY), _ENTRY.size)
_LONGER = (int(TagIdentifier.EXTENDED_FILE_ENTRY), _EXTENDED.size)
"""Tag identifier, and bytes before attributes and allocation descriptors."""


def build_file_entry(
    *,
    location: int,
    version: int,
    file_type: int,
    icb_flags: int,
    uid: int,
    gid: int,
    permissions: int,
    link_count: int,
    size: int,
    blocks_recorded: int,
    atime_ns: int,
    mtime_ns: int,
    ctime_ns: int,
    unique_id: int,
    extended_attributes: bytes = b"",
    allocation: bytes = b"",
    allocation_type: int = ALLOCATION_EMBEDDED,
    extended_attribute_icb: bytes = _NO_LONG_AD,
    implementation_identifier: bytes = _IMPLEMENTATION,
    parent: tuple[int, int] = (0, 0),
    serial: int = 0,
    offset_minutes: int | None = 0,
    extension: Extension | None = None,
) -> bytes:
    """One block with a file entry, zeros behind it; an extended one with `extension`.

    `location` is the number of the block in its partition (the virtual one on
    a VAT volume), `size` in bytes, `blocks_recorded` in blocks, times in epoch
    nanoseconds, written in the time zone of `offset_minutes`; `allocation`
    holds the descriptors of that `allocation_type`, or the content itself.
    `extended_attribute_icb` is a packed long_ad. `parent` (block, partition) is zero on all
    UDF media of strategy 4.
    """
    identifier, head = _PLAIN if extension is None else _LONGER
    body = extended_attributes + allocation
    end = head + len(body)
    if end > BLOCK_SIZE:
        raise InternalError(what=f"{len(body)} bytes do not fit into a file entry")
    crc_length = end - tags.TAG_SIZE
    block = bytearray(BLOCK_SIZE)
    block[head:end] = body
    values = (
        block,
        0,
        identifier,
        version,
        0,
        0,
        serial,
        0,
        crc_length,
        location,
        0,
        4,
        b"",
        1,
        0,
        file_type,
        parent[0],
        parent[1],
        icb_flags & ~ICB_ALLOCATION_MASK | allocation_type,
        uid,
        gid,
        permissions,
        link_count,
        0,
        0,
        0,
        size,
        blocks_recorded,
        pack_time(atime_ns, offset_minutes),
        pack_time(mtime_ns, offset_minutes),
        pack_time(ctime_ns, offset_minutes),
        1 if extension is None else extension.checkpoint,
        extended_attribute_icb,
        implementation_identifier,
        unique_id,
        len(extended_attributes),
        len(allocation),
    )
    if extension is None:
        _ENTRY.pack_into(*values)
    else:
        object_size = min(size + extension.streams_size, _MOST)
        added = (object_size, extension.created, 0, extension.streams)
        _EXTENDED.pack_into(*_AS_EXTENDED((*values, *added)))
    tags.sign(
        block,
        identifier=identifier,
        location=location,
        version=version,
        serial=serial,
        crc_length=crc_length,
    )
    return bytes(block)


class FileEntryFields(NamedTuple):
    """What a file entry or an extended file entry says; times in epoch nanoseconds."""

    extension: Extension | None
    tag_location: int
    serial: int
    strategy_type: int
    file_type: int
    icb_flags: int
    uid: int
    gid: int
    permissions: int
    link_count: int
    size: int
    blocks_recorded: int
    atime_ns: int
    mtime_ns: int
    ctime_ns: int
    extended_attribute_icb: bytes
    unique_id: int
    extended_attributes: bytes
    allocation: bytes

    @property
    def extended(self) -> bool:
        """Whether it is an extended file entry."""
        return self.extension is not None

    @property
    def allocation_type(self) -> int:
        """Short, long, extended, or embedded content (4/14.6.8)."""
        return self.icb_flags & ICB_ALLOCATION_MASK


_PICKED = (
    "tag.tag_serial_number",
    "icb_tag.strategy_type",
    "icb_tag.file_type",
    "icb_tag.flags",
    "uid",
    "gid",
    "permissions",
    "file_link_count",
    "information_length",
    "logical_blocks_recorded",
    "access_time",
    "modification_time",
    "attribute_time",
    "extended_attribute_icb",
    "unique_id",
    "length_of_extended_attributes",
    "length_of_allocation_descriptors",
)
_READERS = {
    int(TagIdentifier.FILE_ENTRY): (_ENTRY, _ENTRY.picker(*_PICKED)),
    int(TagIdentifier.EXTENDED_FILE_ENTRY): (_EXTENDED, _EXTENDED.picker(*_PICKED)),
}


_pick_extension = _EXTENDED.picker(
    "object_size", "creation_time", "checkpoint", "stream_directory_icb"
)


def parse_file_entry(block: bytes, location: int | None) -> FileEntryFields:
    """Check and read a file entry or an extended file entry (4/14.9, 4/14.17).

    `location` is the block number that its tag must hold. Raises StructureError.
    """
    tag = tags.check(block, location=location)
    reader = _READERS.get(tag.tag_identifier)
    if reader is None:
        raise StructureError(what=f"a file entry expected, descriptor {tag.tag_identifier} found")
    codec, pick = reader
    if len(block) < codec.size:
        raise StructureError(what="a file entry is cut off")
    values = codec.unpack_from(block)
    (
        serial,
        strategy,
        file_type,
        flags,
        uid,
        gid,
        permissions,
        links,
        size,
        recorded,
        atime,
        mtime,
        ctime,
        attribute_icb,
        unique_id,
        attributes_length,
        allocation_length,
    ) = pick(values)
    middle = codec.size + attributes_length
    end = middle + allocation_length
    if end > len(block):
        raise StructureError(what="a file entry is longer than its block")
    return FileEntryFields(
        None if codec is _ENTRY else _extension(values, size),
        tag.tag_location,
        serial,
        strategy,
        file_type,
        flags,
        uid,
        gid,
        permissions,
        links,
        size,
        recorded,
        parse_time(atime),
        parse_time(mtime),
        parse_time(ctime),
        attribute_icb,
        unique_id,
        bytes(block[codec.size : middle]),
        bytes(block[middle:end]),
    )


_WRITERS = {
    tag: (codec, codec.picker("implementation_identifier")) for tag, (codec, _) in _READERS.items()
}


def recorded_by(block: bytes) -> bytes:
    """Who wrote a file entry that :func:`parse_file_entry` has read: an EntityId."""
    codec, pick = _WRITERS[tags.check(block).tag_identifier]
    return bytes(pick(codec.unpack_from(block)))


def _extension(values: tuple[Any, ...], size: int) -> Extension:
    """What an extended file entry of `size` bytes says beyond a file entry."""
    object_size, created, checkpoint, streams = _pick_extension(values)
    return Extension(created, streams, checkpoint, max(0, object_size - size))
