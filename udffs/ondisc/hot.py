"""Fast codecs for file entries, directory entries and allocation descriptors.

The same results as `tags.seal` and `tags.unseal` on the declarations of
ecma167_4, some thirty times faster; the layouts come from those declarations
(derive.py). Everything read is checked before it is used: a test holds these
equal to the declarations on valid, damaged and truncated bytes.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator
from typing import NamedTuple

from udffs.errors import DirectoryEntryError, InternalError, StructureError
from udffs.ondisc import tags
from udffs.ondisc.allocation import (
    ALLOCATION_EMBEDDED,
    ALLOCATION_EXTENDED,
    ALLOCATION_LONG,
    ALLOCATION_SHORT,
    MAX_EXTENT_DESCRIPTORS,
    build_allocation_extent,
    pack_long_ads,
    pack_short_ads,
    parse_allocation_extent,
    unpack_long_ads,
    unpack_short_ads,
)
from udffs.ondisc.basic import (
    BLOCK_SIZE,
    EntityId,
    LongAd,
    TagIdentifier,
    Timestamp,
)
from udffs.ondisc.derive import derive
from udffs.ondisc.ecma167_4 import (
    ExtendedFileEntry,
    FileEntry,
    FileIdentifierDescriptor,
)
from udffs.ondisc.modes import ICB_ALLOCATION_MASK
from udffs.ondisc.osta import implementation_id
from udffs.ondisc.times import pack_time, parse_time

__all__ = [
    "ALLOCATION_EMBEDDED",
    "ALLOCATION_EXTENDED",
    "ALLOCATION_LONG",
    "ALLOCATION_SHORT",
    "FILE_ENTRY_SIZE",
    "MAX_EMBEDDED",
    "MAX_EXTENT_DESCRIPTORS",
    "FidFields",
    "FileEntryFields",
    "build_allocation_extent",
    "build_fid",
    "build_file_entry",
    "fid_size",
    "iter_fids",
    "pack_long_ads",
    "pack_short_ads",
    "parse_allocation_extent",
    "parse_file_entry",
    "unpack_long_ads",
    "unpack_short_ads",
]

_WHOLE = (Timestamp, EntityId, LongAd)
_ENTRY = derive(FileEntry, whole=_WHOLE)
_EXTENDED = derive(ExtendedFileEntry, whole=_WHOLE)
_FID = derive(FileIdentifierDescriptor)

FILE_ENTRY_SIZE = _ENTRY.size
"""Bytes of a file entry before attributes and allocation descriptors: 176."""

MAX_EMBEDDED = BLOCK_SIZE - FILE_ENTRY_SIZE
"""Bytes of attributes and content that fit into a file entry of one block: 1,872."""

_IMPLEMENTATION = EntityId.build(implementation_id())
_NO_LONG_AD = bytes(LongAd.sizeof())

# -- file entries (4/14.9, 4/14.17) --------------------------------------------

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
"""The order in which build_file_entry gives the fields."""

_FID_ORDER = (
    "tag.tag_identifier",
    "tag.descriptor_version",
    "tag.tag_checksum",
    "tag.reserved",
    "tag.tag_serial_number",
    "tag.descriptor_crc",
    "tag.descriptor_crc_length",
    "tag.tag_location",
    "file_version_number",
    "file_characteristics",
    "length_of_file_identifier",
    "icb.extent_length_and_type",
    "icb.location.logical_block_number",
    "icb.location.partition_reference_number",
    "icb.flags",
    "icb.udf_unique_id",
    "length_of_implementation_use",
)
"""The order in which build_fid gives the fields and iter_fids takes them."""

if (_ENTRY.names, _FID.names) != (_ENTRY_ORDER, _FID_ORDER):
    raise InternalError(what="the fast codecs do not follow the declarations")


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
) -> bytes:
    """One block with a file entry, zeros behind it.

    `location` is the number of the block in its partition (the virtual one on
    a VAT volume), `size` in bytes, `blocks_recorded` in blocks, times in epoch
    nanoseconds, written in the time zone of `offset_minutes`; `allocation`
    holds the descriptors of that `allocation_type`, or the content itself.
    `extended_attribute_icb` is a packed long_ad. `parent` (block, partition) is zero on all
    UDF media of strategy 4.
    """
    body = extended_attributes + allocation
    if len(body) > MAX_EMBEDDED:
        raise InternalError(what=f"{len(body)} bytes do not fit into a file entry")
    crc_length = FILE_ENTRY_SIZE - tags.TAG_SIZE + len(body)
    block = bytearray(BLOCK_SIZE)
    block[FILE_ENTRY_SIZE : FILE_ENTRY_SIZE + len(body)] = body
    _ENTRY.pack_into(
        block,
        0,
        TagIdentifier.FILE_ENTRY,
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
        1,
        extended_attribute_icb,
        implementation_identifier,
        unique_id,
        len(extended_attributes),
        len(allocation),
    )
    tags.sign(
        block,
        identifier=TagIdentifier.FILE_ENTRY,
        location=location,
        version=version,
        serial=serial,
        crc_length=crc_length,
    )
    return bytes(block)


class FileEntryFields(NamedTuple):
    """What a file entry or an extended file entry says; times in epoch nanoseconds."""

    extended: bool
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
    ) = pick(codec.unpack_from(block))
    middle = codec.size + attributes_length
    end = middle + allocation_length
    if end > len(block):
        raise StructureError(what="a file entry is longer than its block")
    return FileEntryFields(
        codec is _EXTENDED,
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


# -- file identifier descriptors (4/14.4) --------------------------------------

_TAG_SIZE = tags.TAG_SIZE
_FID_SIZE = _FID.size
_FID_TAG = int(TagIdentifier.FILE_IDENTIFIER)


def fid_size(name: bytes) -> int:
    """Bytes of a directory entry for an encoded name."""
    return _FID_SIZE + len(name) + 3 & ~3


def build_fid(
    *,
    location: int,
    version: int,
    characteristics: int,
    icb: tuple[int, int, int],
    unique_id: int,
    name: bytes,
) -> bytes:
    """One entry of a directory, padded with zeros to a multiple of four bytes.

    `location` is the block (of its partition) in which the entry begins, `icb`
    (length in bytes, block, partition reference), `name` in compressed form,
    b"" for the parent.
    """
    size = fid_size(name)
    data = bytearray(size)
    length, block, partition = icb
    data[_FID_SIZE : _FID_SIZE + len(name)] = name
    _FID.pack_into(
        data,
        0,
        _FID_TAG,
        version,
        0,
        0,
        0,
        0,
        0,
        location,
        1,
        characteristics,
        len(name),
        length,
        block,
        partition,
        0,
        unique_id & 0xFFFFFFFF,
        0,
    )
    tags.sign(data, identifier=_FID_TAG, location=location, version=version)
    return bytes(data)


class FidFields(NamedTuple):
    """An entry of a directory; offset and length in bytes of the directory's data."""

    offset: int
    length: int
    characteristics: int
    icb_block: int
    icb_partition: int
    unique_id: int
    name: bytes
    tag_location: int


def iter_fids(data: tags.Buffer) -> Iterator[FidFields]:
    """The entries of a directory, deleted ones and the parent among them.

    Raises DirectoryEntryError (a StructureError with `.offset`) at the first
    one that is not valid: nothing behind it can be found.
    """
    data = bytes(data)
    end = len(data)
    offset = 0
    unpack_from = _FID.unpack_from
    while offset < end:
        if end - offset < _FID_SIZE:
            raise DirectoryEntryError(what="it is cut off", offset=offset)
        (
            identifier,
            version,
            checksum,
            _reserved,
            _serial,
            crc,
            crc_length,
            location,
            _file_version,
            characteristics,
            name_length,
            _icb_length,
            block,
            partition,
            _flags,
            unique_id,
            use_length,
        ) = unpack_from(data, offset)
        name_start = offset + _FID_SIZE + use_length
        after = offset + (_FID_SIZE + use_length + name_length + 3 & ~3)
        body = offset + _TAG_SIZE
        if (
            identifier != _FID_TAG
            or version not in tags.VERSIONS
            or (sum(data[offset:body]) - checksum) & 0xFF != checksum
            or after > end
            or body + crc_length > end
            or crc_hqx(data[body : body + crc_length], 0) != crc
        ):
            raise DirectoryEntryError(what=_why(data[offset:], after - offset), offset=offset)
        name = data[name_start : name_start + name_length]
        yield FidFields(
            offset,
            after - offset,
            characteristics,
            block,
            partition,
            unique_id,
            name,
            location,
        )
        offset = after


def _why(data: bytes, length: int) -> str:
    """What is wrong with the entry at the start of `data`, in words."""
    try:
        tags.check(data, identifier=_FID_TAG)
    except StructureError as error:
        return str(error.fields["what"])
    return f"it is {length} bytes long, {len(data)} are left"
