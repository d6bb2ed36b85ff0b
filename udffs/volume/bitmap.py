"""Which blocks of a partition are free: the unallocated space bitmap (4/10, 4/14.3, 4/14.12).

A bit that is set is a free block (4/10.1). Other ways to record free space
(tables, freed space) are known by name only: such a volume is not written to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from construct import ConstructError

from udffs.errors import DamagedError, StructureError, UnsupportedError
from udffs.ondisc import tags
from udffs.ondisc.basic import ExtentType, ShortAd, TagIdentifier
from udffs.ondisc.derive import derive
from udffs.ondisc.ecma167 import PartitionHeaderDescriptor, SpaceBitmapDescriptor
from udffs.volume.model import BLOCK
from udffs.volume.partitions import PhysicalPartition
from udffs.volume.source import Source

__all__ = [
    "SpaceExtent",
    "SpaceTable",
    "bitmap_blocks",
    "new_space",
    "read_space",
    "space_extent",
]

_HEAD = derive(SpaceBitmapDescriptor)
_TAG_FIELDS = sum(name.startswith("tag.") for name in _HEAD.names)


@dataclass(frozen=True, slots=True)
class SpaceExtent:
    """Where a partition has its bitmap: first logical block and blocks; or why it has none."""

    block: int = 0
    blocks: int = 0
    why_none: str = ""


@dataclass(slots=True)
class SpaceTable:
    """The unallocated space bitmap of a partition."""

    location: int
    """Home block of the descriptor; the bitmap follows it in one piece."""
    blocks: int
    """Blocks of the extent."""
    start: int
    """Absolute block of the partition's first block, the first bit's."""
    bits: bytearray
    """As on the disc: bit i % 8 of byte i // 8, set if block i of the partition is free."""
    count: int
    """Bits that mean a block of the partition; the others are to be left alone."""
    version: int
    """Descriptor version of its tag."""
    number_of_bits: int
    number_of_bytes: int
    """As the descriptor has them."""
    crc_length: int
    """Bytes behind the tag that its CRC covers on the disc (UDF 2.3.8.1: 0 is allowed).
    What `block` makes has a CRC of no bytes, so that each block can be written alone."""

    @property
    def free(self) -> int:
        """Blocks that are free."""
        whole = int.from_bytes(self.bits, "little")
        return (whole & (1 << self.count) - 1).bit_count()

    def is_free(self, home: int) -> bool:
        """Whether the block with that home is free; what has no bit is not."""
        number = home - self.start
        return 0 <= number < self.count and bool(self.bits[number >> 3] >> (number & 7) & 1)

    def mark(self, home: int, count: int, *, free: bool) -> None:
        """Blocks from a home on are free, or are not; they must have bits."""
        for number in range(home - self.start, home - self.start + count):
            if free:
                self.bits[number >> 3] |= 1 << (number & 7)
            else:
                self.bits[number >> 3] &= ~(1 << (number & 7))

    def block_of(self, home: int) -> int:
        """Which block of the descriptor (from 0 on) holds the bit of a home block."""
        return (_HEAD.size + ((home - self.start) >> 3)) // BLOCK

    def block(self, index: int) -> bytes:
        """Block `index` of the descriptor as it should be on the disc now."""
        first = index * BLOCK - _HEAD.size
        body = bytes(self.bits[max(first, 0) : first + BLOCK])
        if index:
            return body.ljust(BLOCK, b"\0")
        head = bytearray(_HEAD.size)
        _HEAD.pack_into(head, 0, *bytes(_TAG_FIELDS), self.number_of_bits, self.number_of_bytes)
        tags.sign(
            head,
            identifier=TagIdentifier.SPACE_BITMAP,
            location=self.location - self.start,
            version=self.version,
            crc_length=0,
        )
        return (bytes(head) + body).ljust(BLOCK, b"\0")


def new_space(partition: PhysicalPartition, location: int, version: int) -> SpaceTable:
    """The bitmap of a partition in which everything is free; `location` is its home block."""
    size = -(-partition.length // 8)
    whole = (1 << partition.length) - 1
    return SpaceTable(
        location,
        bitmap_blocks(partition.length),
        partition.start,
        bytearray(whole.to_bytes(size, "little")),
        partition.length,
        version,
        partition.length,
        size,
        crc_length=0,
    )


def bitmap_blocks(length: int) -> int:
    """Blocks of the bitmap of a partition of `length` blocks."""
    return -(-(_HEAD.size + -(-length // 8)) // BLOCK)


# -- where it is ---------------------------------------------------------------


def space_extent(descriptor: Any) -> SpaceExtent:
    """What a partition descriptor says of the bitmap of its free space (4/14.3)."""
    try:
        header = PartitionHeaderDescriptor.parse(descriptor.partition_contents_use)
        extents = {
            name: ShortAd.parse(header[name])
            for name in header
            if name != "reserved" and not name.startswith("_")
        }
    except ConstructError:
        return SpaceExtent(why_none="its partition header is damaged")
    used = {name for name, extent in extents.items() if extent.extent_length}
    others = used - {"unallocated_space_bitmap", "partition_integrity_table"}
    if others:
        named = ", ".join(sorted(others)).replace("_", " ")
        return SpaceExtent(why_none=f"its free space is not in a bitmap alone ({named})")
    if not used & {"unallocated_space_bitmap"}:
        return SpaceExtent(why_none="it has no bitmap of its free space")
    bitmap = extents["unallocated_space_bitmap"]
    if bitmap.extent_type not in (ExtentType.RECORDED, ExtentType.ALLOCATED):
        return SpaceExtent(why_none="the bitmap of its free space is not recorded")
    return SpaceExtent(bitmap.extent_position, -(-bitmap.extent_length // BLOCK))


# -- reading it ----------------------------------------------------------------


def read_space(source: Source, extent: SpaceExtent, partition: PhysicalPartition) -> SpaceTable:
    """The bitmap of a partition, in memory of a bit for each of its blocks.

    Raises UnsupportedError, with the reason, if there is none that we can keep
    up, DamagedError or UnreadableBlockError if it cannot be used.
    """
    if extent.why_none:
        raise UnsupportedError(what=extent.why_none)
    if partition.start + partition.length > source.end:
        raise DamagedError(what="its partition ends beyond what was written")
    ((location, blocks),) = partition.spans(extent.block, extent.blocks)
    first = source.block(location)
    tag = tags.check(first, location=extent.block, identifier=TagIdentifier.SPACE_BITMAP, crc=False)
    bits, size = _HEAD.unpack_from(first)[_TAG_FIELDS:]
    if size > extent.blocks * BLOCK - _HEAD.size or bits > size * 8:
        raise StructureError(what="the bitmap of free space is longer than its place")
    count = min(bits, partition.length)
    needed = -(-(_HEAD.size + -(-count // 8)) // BLOCK)
    data = first + (source.blocks(location + 1, needed - 1) if needed > 1 else b"")
    return SpaceTable(
        location,
        blocks,
        partition.start,
        bytearray(data[_HEAD.size : _HEAD.size + min(size, needed * BLOCK - _HEAD.size)]),
        count,
        tag.descriptor_version,
        bits,
        size,
        tag.descriptor_crc_length,
    )
