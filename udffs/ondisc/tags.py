"""The one gate through which a descriptor enters and leaves (3/7.2, 4/7.2).

What comes in is checked (checksum, version, CRC, identifier, location); what
goes out gets all of them. Nothing else makes or reads a tag.
"""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Mapping
from typing import Any, NamedTuple

from construct import ConstructError

from udffs.errors import StructureError
from udffs.ondisc.basic import DescriptorTag, TagIdentifier
from udffs.ondisc.derive import derive
from udffs.ondisc.ecma167 import DESCRIPTORS
from udffs.ondisc.osta import SparingTable

__all__ = [
    "TAG_SIZE",
    "Buffer",
    "Tag",
    "TagIdentifier",
    "check",
    "relocate",
    "seal",
    "sign",
    "unseal",
    "unseal_any",
]

Buffer = bytes | bytearray | memoryview

VERSIONS = (2, 3)
"""Descriptor versions: 2 with NSR02, 3 with NSR03 (3/7.2.2)."""

_DECLARATIONS: dict[int, Any] = {int(key): value for key, value in DESCRIPTORS.items()}
_DECLARATIONS[TagIdentifier.SPARING_TABLE] = SparingTable
_IDENTIFIERS = {id(declaration): identifier for identifier, declaration in _DECLARATIONS.items()}

_CODEC = derive(DescriptorTag)
TAG_SIZE = _CODEC.size
"""Bytes of a tag: 16."""


class Tag(NamedTuple):
    """A tag as it was read; the fields of basic.DescriptorTag."""

    tag_identifier: int
    descriptor_version: int
    tag_checksum: int
    reserved: int
    tag_serial_number: int
    descriptor_crc: int
    descriptor_crc_length: int
    tag_location: int


def _checksum(tag: Buffer, recorded: int) -> int:
    """Sum of the tag's bytes but for the checksum itself, modulo 256 (3/7.2.3)."""
    return (sum(tag) - recorded) & 0xFF


def check(
    data: Buffer,
    *,
    location: int | None = None,
    identifier: int | None = None,
    crc: bool = True,
) -> Tag:
    """The tag at the start of `data`, if all of it is right.

    `location` (in blocks) and `identifier` are compared where given; without
    `crc` the CRC is left out: some writers do not keep a bitmap's up to date
    (UDF 2.3.8.1).
    Raises StructureError in words otherwise.
    """
    if len(data) < TAG_SIZE:
        raise StructureError(what="it is cut off in its tag")
    head = data[:TAG_SIZE]
    tag = Tag._make(_CODEC.unpack(head))
    if _checksum(head, tag.tag_checksum) != tag.tag_checksum:
        raise StructureError(what="the checksum of its tag does not fit")
    if identifier is not None and tag.tag_identifier != identifier:
        found = tag.tag_identifier
        raise StructureError(what=f"descriptor {identifier} expected, {found} found")
    if tag.descriptor_version not in VERSIONS:
        raise StructureError(what=f"descriptor version {tag.descriptor_version}")
    if location is not None and tag.tag_location != location:
        found = tag.tag_location
        raise StructureError(what=f"it belongs to block {found}, not to block {location}")
    if not crc:
        return tag
    end = TAG_SIZE + tag.descriptor_crc_length
    if end > len(data):
        raise StructureError(what="its CRC covers more than there is")
    if crc_hqx(data[TAG_SIZE:end], 0) != tag.descriptor_crc:
        raise StructureError(what="its CRC does not fit")
    return tag


def sign(
    data: bytearray,
    *,
    identifier: int,
    location: int,
    version: int,
    serial: int = 0,
    crc_length: int | None = None,
) -> None:
    """Put a valid tag over the first 16 bytes of a whole descriptor.

    The CRC covers all that follows the tag, or `crc_length` bytes of it.
    """
    length = len(data) - TAG_SIZE if crc_length is None else crc_length
    crc = crc_hqx(memoryview(data)[TAG_SIZE : TAG_SIZE + length], 0)
    _write_tag(data, 0, Tag(identifier, version, 0, 0, serial, crc, length, location))


def _write_tag(data: bytearray, offset: int, tag: Tag) -> None:
    """Write a tag, its checksum made anew."""
    checksum = sum(_CODEC.pack(*tag._replace(tag_checksum=0))) & 0xFF
    _CODEC.pack_into(data, offset, *tag._replace(tag_checksum=checksum))


def relocate(data: bytearray, offset: int, location: int) -> None:
    """Give the descriptor at `offset` bytes of `data` another tag location (in blocks).

    Only the tag's location and checksum change; the CRC does not cover the tag.
    """
    tag = Tag._make(_CODEC.unpack_from(data, offset))
    _write_tag(data, offset, tag._replace(tag_location=location))


def seal(
    declaration: Any,
    fields: Mapping[str, Any],
    *,
    location: int,
    version: int,
    serial: int = 0,
    crc_length: int | None = None,
) -> bytes:
    """Build a descriptor with a valid tag; not padded to a block.

    `location` in blocks as the standard counts them for this descriptor,
    `version` 2 (NSR02) or 3 (NSR03).
    """
    identifier = _IDENTIFIERS[id(declaration)]
    empty = {
        "tag_identifier": identifier,
        "descriptor_version": version,
        "tag_location": location,
    }
    data = bytearray(declaration.build({**fields, "tag": empty}))
    sign(
        data,
        identifier=identifier,
        location=location,
        version=version,
        serial=serial,
        crc_length=crc_length,
    )
    return bytes(data)


def _parse(declaration: Any, data: Buffer) -> Any:
    try:
        return declaration.parse(bytes(data))
    except (ConstructError, OverflowError, MemoryError) as error:
        raise StructureError(what="its lengths do not fit its size") from error


def unseal(declaration: Any, data: Buffer, *, location: int | None) -> Any:
    """Check and parse a descriptor; `data` may be longer than it is.

    Returns construct's Container. Raises StructureError.
    """
    check(data, location=location, identifier=_IDENTIFIERS[id(declaration)])
    return _parse(declaration, data)


def unseal_any(data: Buffer, *, location: int | None) -> tuple[int, Any]:
    """Check and parse a descriptor of whatever kind.

    Returns (tag identifier, Container). Raises StructureError.
    """
    tag = check(data, location=location)
    declaration = _DECLARATIONS.get(tag.tag_identifier)
    if declaration is None:
        raise StructureError(what=f"unknown descriptor {tag.tag_identifier}")
    return tag.tag_identifier, _parse(declaration, data)
