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
from udffs.ondisc.basic import TagIdentifier
from udffs.ondisc.derive import derive
from udffs.ondisc.ecma167_4 import FileIdentifierDescriptor
from udffs.ondisc.entries import (
    FILE_ENTRY_SIZE,
    MAX_EMBEDDED,
    MAX_EMBEDDED_EXTENDED,
    Extension,
    FileEntryFields,
    build_file_entry,
    parse_file_entry,
    recorded_by,
)

__all__ = [
    "ALLOCATION_EMBEDDED",
    "ALLOCATION_EXTENDED",
    "ALLOCATION_LONG",
    "ALLOCATION_SHORT",
    "FILE_ENTRY_SIZE",
    "MAX_EMBEDDED",
    "MAX_EMBEDDED_EXTENDED",
    "MAX_EXTENT_DESCRIPTORS",
    "Extension",
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
    "recorded_by",
    "unpack_long_ads",
    "unpack_short_ads",
]

_FID = derive(FileIdentifierDescriptor)

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

if _FID.names != _FID_ORDER:
    raise InternalError(what="the fast codecs do not follow the declarations")

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
