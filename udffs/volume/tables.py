"""From the volume descriptors to address spaces and what else a volume has tables for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from construct import ConstructError

from media.errors import UnreadableBlockError
from udffs.errors import DamagedError, DiscError, StructureError, UnsupportedError
from udffs.ondisc import osta, tags
from udffs.ondisc.derive import derive
from udffs.ondisc.ecma167 import LogicalVolumeIntegrityDescriptor, TagIdentifier
from udffs.volume.anchors import Descriptors
from udffs.volume.model import BLOCK, Integrity, Sparing
from udffs.volume.partitions import PhysicalPartition
from udffs.volume.source import Source

__all__ = [
    "Map",
    "integrity_places",
    "parse_integrity",
    "partition_maps",
    "physical_partition",
    "read_integrity",
    "read_sparing",
    "spared_packets",
]

MAX_PARTITIONS = 64
MAX_SPARING_TABLES = 4
MAX_SPARING_BYTES = 1 << 20
MAX_INTEGRITY_CHAIN = 1000


# -- partition maps (3/10.7, UDF 2.2.8 - 2.2.10) -------------------------------


@dataclass(frozen=True, slots=True)
class Map:
    """A partition map: `kind` is "physical", "virtual", "sparable" or "metadata"."""

    kind: str
    partition_number: int
    fields: Any


_KINDS = {
    osta.VIRTUAL_PARTITION: ("virtual", osta.VirtualPartitionMap),
    osta.SPARABLE_PARTITION: ("sparable", osta.SparablePartitionMap),
    osta.METADATA_PARTITION: ("metadata", osta.MetadataPartitionMap),
}


def _parse(declaration: Any, data: bytes) -> Any:
    try:
        return declaration.parse(data)
    except ConstructError as error:
        raise StructureError(what="the partition maps are cut off") from error


def _map(data: bytes) -> Map:
    if data[0] == 1:
        fields = _parse(osta.Type1PartitionMap, data)
        return Map("physical", fields.partition_number, fields)
    if data[0] != 2:
        raise UnsupportedError(what=f"a partition map of type {data[0]}")
    fields = _parse(osta.Type2PartitionMap, data)
    identifier = fields.partition_type_identifier.identifier.rstrip(b"\0")
    if identifier not in _KINDS:
        raise UnsupportedError(what=f"a partition of type {identifier.decode('latin-1')!r}")
    kind, declaration = _KINDS[identifier]
    return Map(kind, fields.partition_number, _parse(declaration, data))


def partition_maps(volume: Any) -> list[Map]:
    """The maps of a logical volume descriptor, in the order of their reference numbers.

    Raises StructureError, or UnsupportedError for kinds that are not UDF's.
    """
    data = bytes(volume.partition_maps)
    count = volume.number_of_partition_maps
    if not 1 <= count <= MAX_PARTITIONS:
        raise StructureError(what=f"a logical volume of {count} partitions")
    maps: list[Map] = []
    for _ in range(count):
        head = _parse(osta.PartitionMapHead, data)
        length = head.partition_map_length
        if not osta.PartitionMapHead.sizeof() < length <= len(data):
            raise StructureError(what="a partition map is longer than their table")
        maps.append(_map(data[:length]))
        data = data[length:]
    return maps


def physical_partition(found: Descriptors, number: int) -> PhysicalPartition:
    """The partition with that number (3/10.5); raises DamagedError."""
    descriptor = found.partitions.get(number)
    if descriptor is None:
        raise DamagedError(what=f"the descriptor of partition {number} is missing")
    start = descriptor.partition_starting_location
    length = descriptor.partition_length
    if start + length > 1 << 32:
        raise StructureError(what="a partition ends beyond any disc")
    return PhysicalPartition(start, length)


# -- sparing (UDF 2.2.9, 2.2.12) -----------------------------------------------

_ENTRY = derive(osta.SparingEntry)


def read_sparing(source: Source, fields: Any, notes: list[str]) -> Sparing:
    """The sparing tables of a partition map: the valid one of the highest sequence number.

    Raises StructureError for a map that makes no sense; without any valid table
    nothing is spared, which `notes` says.
    """
    packet, count = fields.packet_length, fields.number_of_sparing_tables
    size = fields.size_of_each_sparing_table
    if packet == 0 or packet & packet - 1:
        raise StructureError(what=f"packets of {packet} blocks")
    if not 1 <= count <= MAX_SPARING_TABLES:
        raise StructureError(what=f"{count} sparing tables")
    if size > MAX_SPARING_BYTES:
        raise StructureError(what=f"a sparing table of {size} bytes")
    locations = osta.sparing_locations(fields)
    copies = {at: _sparing_table(source, at, size) for at in locations}
    notes += [f"the sparing table at {at} is not valid" for at, one in copies.items() if not one]
    valid = [one for one in copies.values() if one is not None]
    if not valid:
        return Sparing(locations, size, packet, version=3, outdated=locations)
    newest = max(valid, key=lambda one: int(one.sequence_number))
    outdated = tuple(at for at in locations if not _same(copies[at], newest))
    if any(copies[at] for at in outdated):
        notes.append("the copies of the sparing table differ; the newest one is used")
    return Sparing(
        locations,
        size,
        packet,
        version=newest.tag.descriptor_version,
        identifier=dict(newest.sparing_identifier),
        sequence=newest.sequence_number,
        entries=tuple(_ENTRY.iter_unpack(newest.map_entries)),
        outdated=outdated,
    )


def _same(one: Any, other: Any) -> bool:
    return one is not None and (one.sequence_number, one.map_entries) == (
        other.sequence_number,
        other.map_entries,
    )


def _sparing_table(source: Source, location: int, size: int) -> Any:
    count = max(1, -(-size // BLOCK))
    try:
        table = tags.unseal(osta.SparingTable, source.blocks(location, count), location=location)
    except (DiscError, UnreadableBlockError):
        return None
    if table.sparing_identifier.identifier.rstrip(b"\0") != osta.SPARING_TABLE:
        return None
    return table


def spared_packets(sparing: Sparing, partition: PhysicalPartition) -> dict[int, int]:
    """Home of each packet that was spared -> where it lies; absolute first blocks."""
    return {
        partition.start + original: mapped
        for original, mapped in sparing.entries
        if original < min(osta.SPARING_DEFECTIVE, partition.length)
        and original % sparing.packet == 0
    }


# -- integrity (3/10.10, UDF 2.2.6) --------------------------------------------


def _integrity_sequence(
    source: Source, location: int, length: int, visited: set[int] | None = None
) -> Iterator[tuple[int, bytes]]:
    """(absolute block, its bytes) along the chain; ends at what is not valid.
    ``visited`` gets all places, that one too."""
    left = MAX_INTEGRITY_CHAIN
    seen: set[int] = set() if visited is None else visited
    while length >= BLOCK and location not in seen and left:
        left -= 1
        seen.add(location)
        data = source.try_block(location)
        if data is None:
            return
        try:
            found = tags.unseal(LogicalVolumeIntegrityDescriptor, data, location=location)
        except StructureError:
            return
        yield location, data
        after = found.next_integrity_extent
        if after.length:
            location, length = after.location, after.length
        else:
            location, length = location + 1, length - BLOCK


def read_integrity(source: Source, found: Descriptors) -> Integrity | None:
    """The last integrity descriptor of a volume, None if there is none."""
    extent = found.single[TagIdentifier.LOGICAL_VOLUME].integrity_sequence_extent
    last = deque(_integrity_sequence(source, extent.location, extent.length), maxlen=1)
    return parse_integrity(*last[0]) if last else None


def integrity_places(source: Source, found: Descriptors) -> set[int]:
    """The blocks that integrity descriptors were looked for at, on the way to the last."""
    extent = found.single[TagIdentifier.LOGICAL_VOLUME].integrity_sequence_extent
    places: set[int] = set()
    deque(_integrity_sequence(source, extent.location, extent.length, places), maxlen=0)
    return places


def parse_integrity(location: int, block: bytes) -> Integrity:
    """What an integrity descriptor at an absolute block says; raises StructureError."""
    descriptor = tags.unseal(LogicalVolumeIntegrityDescriptor, block, location=location)
    use_size = osta.LogicalVolumeIntegrityImplementationUse.sizeof()
    use = osta.LogicalVolumeIntegrityImplementationUse.parse(
        bytes(descriptor.implementation_use[:use_size]).ljust(use_size, b"\0")
    )
    return Integrity(
        location=location,
        is_open=descriptor.integrity_type == 0,
        next_unique_id=descriptor.logical_volume_contents_use.unique_id,
        files=use.number_of_files,
        directories=use.number_of_directories,
        minimum_read_revision=use.minimum_udf_read_revision,
        minimum_write_revision=use.minimum_udf_write_revision,
        maximum_write_revision=use.maximum_udf_write_revision,
        free_blocks=tuple(descriptor.free_space_table),
        implementation=use.implementation_id.identifier.rstrip(b"\0"),
        block=block,
    )
