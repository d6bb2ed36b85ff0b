"""Fast codecs for allocation descriptors and the extents they go on in (4/14.5, 4/14.14).

As hot.py, which offers all of this under its own name as well.
"""

from __future__ import annotations

from collections.abc import Iterable

from udffs.errors import InternalError, StructureError
from udffs.ondisc import tags
from udffs.ondisc.basic import BLOCK_SIZE, MAX_EXTENT_LENGTH, LongAd, ShortAd, TagIdentifier
from udffs.ondisc.derive import derive
from udffs.ondisc.ecma167_4 import AllocationExtentDescriptor

__all__ = [
    "ALLOCATION_EMBEDDED",
    "ALLOCATION_EXTENDED",
    "ALLOCATION_LONG",
    "ALLOCATION_SHORT",
    "MAX_EXTENT_DESCRIPTORS",
    "build_allocation_extent",
    "pack_long_ads",
    "pack_short_ads",
    "parse_allocation_extent",
    "unpack_long_ads",
    "unpack_short_ads",
]

ALLOCATION_SHORT = 0
ALLOCATION_LONG = 1
ALLOCATION_EXTENDED = 2
ALLOCATION_EMBEDDED = 3
"""What the allocation descriptors of an ICB are (4/14.6.8)."""

_LONG = derive(LongAd)
_SHORT = derive(ShortAd)

# -- allocation descriptors (4/14.14) ------------------------------------------


def pack_long_ads(extents: Iterable[tuple[int, int, int, int]]) -> bytes:
    """long_ads of (length in bytes, type, block, partition reference)."""
    return b"".join(
        _LONG.pack(length | kind << 30, block, partition, 0, 0)
        for length, kind, block, partition in extents
    )


def pack_short_ads(extents: Iterable[tuple[int, int, int]]) -> bytes:
    """short_ads of (length in bytes, type, block)."""
    return b"".join(_SHORT.pack(length | kind << 30, block) for length, kind, block in extents)


def unpack_long_ads(data: bytes) -> list[tuple[int, int, int, int]]:
    """(length in bytes, type, block, partition reference) of each long_ad.

    Raises StructureError if the bytes are not a whole number of them.
    """
    if len(data) % _LONG.size:
        raise StructureError(what="its allocation descriptors are cut off")
    return [
        (raw & MAX_EXTENT_LENGTH, raw >> 30, block, partition)
        for raw, block, partition, _flags, _unique_id in _LONG.iter_unpack(data)
    ]


def unpack_short_ads(data: bytes) -> list[tuple[int, int, int]]:
    """(length in bytes, type, block) of each short_ad.

    Raises StructureError if the bytes are not a whole number of them.
    """
    if len(data) % _SHORT.size:
        raise StructureError(what="its allocation descriptors are cut off")
    return [(raw & MAX_EXTENT_LENGTH, raw >> 30, block) for raw, block in _SHORT.iter_unpack(data)]


# -- allocation extent descriptors (4/14.5, UDF 2.3.11) ------------------------

_EXTENT = derive(AllocationExtentDescriptor)
_EXTENT_LENGTH = _EXTENT.picker("length_of_allocation_descriptors")

_TAG_FIELDS = sum(name.startswith("tag.") for name in _EXTENT.names)

MAX_EXTENT_DESCRIPTORS = BLOCK_SIZE - _EXTENT.size
"""Bytes of allocation descriptors that one block holds behind its own head: 2,024."""


def build_allocation_extent(
    *, location: int, version: int, allocation: bytes, previous: int = 0
) -> bytes:
    """One block with an allocation extent descriptor, zeros behind it.

    The CRC covers the allocation descriptors as well (UDF 2.3.11 allows both).
    `location` and `previous` are blocks of the physical partition; UDF leaves
    it to the writer whether `previous` is recorded.
    """
    end = _EXTENT.size + len(allocation)
    if end > BLOCK_SIZE:
        raise InternalError(what=f"{len(allocation)} bytes do not fit an allocation extent")
    block = bytearray(BLOCK_SIZE)
    _EXTENT.pack_into(block, 0, *bytes(_TAG_FIELDS), previous, len(allocation))
    block[_EXTENT.size : end] = allocation
    tags.sign(
        block,
        identifier=TagIdentifier.ALLOCATION_EXTENT,
        location=location,
        version=version,
        crc_length=end - tags.TAG_SIZE,
    )
    return bytes(block)


def parse_allocation_extent(block: bytes, location: int | None) -> bytes:
    """The allocation descriptors of an allocation extent descriptor.

    Raises StructureError.
    """
    tags.check(block, location=location, identifier=TagIdentifier.ALLOCATION_EXTENT)
    if len(block) < _EXTENT.size:
        raise StructureError(what="an allocation extent is cut off")
    end = _EXTENT.size + int(_EXTENT_LENGTH(_EXTENT.unpack_from(block)))
    if end > len(block):
        raise StructureError(what="an allocation extent is longer than its block")
    return bytes(block[_EXTENT.size : end])
