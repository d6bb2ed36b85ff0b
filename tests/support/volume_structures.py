"""The volume structures of a rewritable disc, looked at by the tests' own eyes.

What ``allocation.py`` needs to know before it walks the tree: anchors, both
descriptor sequences, partition, sparing tables, integrity, space bitmap.
Everything that is not as ECMA-167 and UDF want it becomes a sentence.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from media.errors import MediaError
from udffs.errors import DamagedError, StructureError, UdffsError
from udffs.ondisc import ecma167, osta, tags
from udffs.ondisc.basic import LongAd, ShortAd, TagIdentifier
from udffs.ondisc.derive import derive

BLOCK = 2048
MOST_COMPLAINTS = 60
UNUSED = 0xFFFFFFFF
SEQUENCE = 64  # blocks of a descriptor sequence that are looked at
REQUIRED = (
    TagIdentifier.PRIMARY_VOLUME,
    TagIdentifier.IMPLEMENTATION_USE_VOLUME,
    TagIdentifier.PARTITION,
    TagIdentifier.LOGICAL_VOLUME,
    TagIdentifier.UNALLOCATED_SPACE,
    TagIdentifier.TERMINATING,
)
PASSING = (MediaError, UdffsError)

_SHORT = derive(ShortAd)
_BITMAP_HEAD = derive(ecma167.SpaceBitmapDescriptor)
_LVID_USE = osta.LogicalVolumeIntegrityImplementationUse


class Blocks(Protocol):
    """Blocks at their actual addresses, as a drive reads them."""

    @property
    def last_block(self) -> int: ...

    def read(self, block: int, count: int) -> bytes: ...


class ImageBlocks:
    """The blocks of an image file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self.last_block = path.stat().st_size // BLOCK - 1

    def read(self, block: int, count: int) -> bytes:
        if block < 0 or block + count > self.last_block + 1:
            raise DamagedError(what=f"block {block} is beyond the disc's end")
        self._file.seek(block * BLOCK)
        return self._file.read(count * BLOCK)

    def close(self) -> None:
        self._file.close()


class Complaints(list[str]):
    """Sentences; after the first few dozens no more are taken."""

    def say(self, text: str) -> None:
        if len(self) < MOST_COMPLAINTS:
            self.append(text)


@dataclass
class Ground:
    """Where everything is. ``spared``: home of a packet -> where it lies,
    absolute blocks; other addresses are blocks of the partition."""

    blocks: Blocks
    start: int = 0  # absolute block
    length: int = 0
    version: int = 3  # of descriptors
    revision: int = 0
    sparable: bool = False
    packet: int = 32
    spared: dict[int, int] = field(default_factory=dict)
    spare_packets: list[int] = field(default_factory=list)  # absolute
    defective: list[int] = field(default_factory=list)  # those of them that are called so
    root: int = -1
    streams: int = -1  # the system stream directory, if there is one
    bitmap: bytes = b""  # a set bit is a free block
    bitmap_at: tuple[int, int] = (0, 0)  # block, blocks
    file_set_at: tuple[int, int] = (0, 1)
    main_at: int = 0  # absolute
    integrity_at: int = 0  # absolute
    integrity: Any = None
    integrity_use: Any = None

    def read(self, block: int, count: int) -> bytes:
        """Blocks of the partition; raises MediaError or StructureError."""
        if block < 0 or block + count > self.length:
            raise StructureError(what=f"blocks {block} to {block + count - 1} are outside")
        if not self.spared:
            return self.blocks.read(self.start + block, count)
        return b"".join(self.blocks.read(at, n) for at, n in self._pieces(block, count))

    def _pieces(self, block: int, count: int) -> Iterator[tuple[int, int]]:
        end = block + count
        while block < end:
            inside = block % self.packet
            number = min(self.packet - inside, end - block)
            home = self.start + block - inside
            yield self.spared.get(home, home) + inside, number
            block += number


def look_around(blocks: Blocks, complaints: Complaints) -> Ground | None:
    """The volume structures; None if nothing more can be looked at."""
    around = _Around(blocks, complaints)
    ground = around.ground
    try:
        around.recognition()
        found = around.sequences(around.anchors())
        around.partition(found)
        around.integrity(found)
        around.file_set(found)
        around.space_bitmap(found)
        around.check_areas()
    except PASSING as error:
        complaints.say(f"nothing more can be looked at: {error}")
        return None
    return ground


class _Around:
    def __init__(self, blocks: Blocks, complaints: Complaints) -> None:
        self.blocks = blocks
        self.say = complaints.say
        self.ground = Ground(blocks)
        self.areas: list[tuple[int, int, str]] = []  # absolute block, blocks, what

    def block(self, at: int) -> bytes:
        return self.blocks.read(at, 1)

    # -- recognition, anchors, sequences ---------------------------------------------

    def recognition(self) -> None:
        found = [
            ecma167.VolumeStructureDescriptor.parse(self.block(at)).standard_identifier
            for at in (16, 17, 18)
        ]
        self.areas.append((0, 32, "recognition sequence"))
        if found not in ([b"BEA01", b"NSR02", b"TEA01"], [b"BEA01", b"NSR03", b"TEA01"]):
            self.say(f"the recognition sequence is {found}")
        self.ground.version = 2 if found[1] == b"NSR02" else 3

    def anchors(self) -> Any:
        last = self.blocks.last_block
        found = {}
        for at in (256, last - 256, last):
            try:
                found[at] = tags.unseal(
                    ecma167.AnchorVolumeDescriptorPointer, self.block(at), location=at
                )
                self.areas.append((at, 1, f"anchor at {at}"))
            except PASSING:
                continue
        if len(found) < 2:
            self.say(f"only {len(found)} of the three anchors are there: {sorted(found)}")
        if not found:
            raise StructureError(what="no anchor")
        if len({tuple(_pointers(anchor)) for anchor in found.values()}) > 1:
            self.say("the anchors point at different places")
        return next(iter(found.values()))

    def sequences(self, anchor: Any) -> dict[int, Any]:
        """The descriptors by their tag identifiers, from the main sequence."""
        both: list[list[tuple[int, bytes]]] = []
        self.ground.main_at = anchor.main_volume_descriptor_sequence_extent.location
        for name, (at, length) in zip(("main", "reserve"), _pointers(anchor), strict=True):
            self.areas.append((at, length // BLOCK, f"{name} descriptor sequence"))
            if length < 16 * BLOCK:
                self.say(f"the {name} descriptor sequence has only {length} bytes (3/8.4.2)")
            both.append(list(self._sequence(name, at, length)))
        if both[0] != both[1]:
            self.say("the main and the reserve descriptor sequence differ")
        found: dict[int, Any] = {}
        for identifier, data in both[0] or both[1]:
            if identifier in found and identifier != TagIdentifier.IMPLEMENTATION_USE_VOLUME:
                self.say(f"two descriptors {identifier} in a sequence")
            found[identifier] = ecma167.DESCRIPTORS[TagIdentifier(identifier)].parse(data)
        missing = [one.name for one in REQUIRED if one not in found]
        if missing:
            self.say(f"missing in the descriptor sequences: {', '.join(missing)}")
        if found.keys() & {5, 6} != {5, 6}:
            raise StructureError(what="no partition or no logical volume")
        return found

    def _sequence(self, name: str, at: int, length: int) -> Iterator[tuple[int, bytes]]:
        """(tag identifier, bytes but for what depends on the place)."""
        for block in range(at, at + min(length // BLOCK, SEQUENCE)):
            try:
                data = self.block(block)
                tag = tags.check(data, location=block)
            except PASSING as error:
                self.say(f"{name} descriptor sequence, block {block}: {error}")
                return
            if tag.descriptor_version != self.ground.version:
                self.say(f"block {block}: descriptor version {tag.descriptor_version}")
            yield tag.tag_identifier, bytes(tags.TAG_SIZE) + data[tags.TAG_SIZE :]
            if tag.tag_identifier == TagIdentifier.TERMINATING:
                return
        self.say(f"the {name} descriptor sequence has no end")

    # -- partition and sparing -------------------------------------------------------

    def partition(self, found: dict[int, Any]) -> None:
        volume, descriptor = found[TagIdentifier.LOGICAL_VOLUME], found[TagIdentifier.PARTITION]
        ground = self.ground
        ground.start = descriptor.partition_starting_location
        ground.length = descriptor.partition_length
        domain = osta.DomainIdentifierSuffix.parse(volume.domain_identifier.suffix)
        ground.revision = domain.udf_revision
        if volume.domain_identifier.identifier.rstrip(b"\0") != osta.DOMAIN:
            self.say("the logical volume does not follow the domain of OSTA UDF")
        if domain.domain_flags:
            self.say("the volume is write-protected")
        if volume.logical_block_size != BLOCK or volume.number_of_partition_maps != 1:
            self.say(
                f"blocks of {volume.logical_block_size} bytes, "
                f"{volume.number_of_partition_maps} partition maps"
            )
        if descriptor.access_type not in (
            ecma167.ACCESS_REWRITABLE,
            ecma167.ACCESS_OVERWRITABLE,
        ):
            self.say(f"access type {descriptor.access_type} on a rewritable disc")
        expected = b"+NSR02" if ground.version == 2 else b"+NSR03"
        if descriptor.partition_contents.identifier.rstrip(b"\0") != expected:
            self.say(f"the partition's contents are {descriptor.partition_contents.identifier!r}")
        if ground.start + ground.length > self.blocks.last_block + 1:
            self.say("the partition ends beyond the disc")
        self._map(volume.partition_maps, descriptor.partition_number)

    def _map(self, data: bytes, number: int) -> None:
        if data[0] == 1:
            one = osta.Type1PartitionMap.parse(data)
        else:
            one = osta.SparablePartitionMap.parse(data)
            if one.partition_type_identifier.identifier.rstrip(b"\0") != osta.SPARABLE_PARTITION:
                raise StructureError(what="a partition map that a rewritable disc has not")
            self._sparing(one)
        if one.partition_number != number:
            self.say(f"the map is of partition {one.partition_number}, the partition is {number}")

    def _sparing(self, one: Any) -> None:
        ground = self.ground
        ground.sparable, ground.packet = True, one.packet_length
        if ground.start % ground.packet or ground.length % ground.packet:
            self.say(f"the partition of {ground.length} blocks at {ground.start} has half packets")
        count = one.number_of_sparing_tables
        size = -(-one.size_of_each_sparing_table // BLOCK)
        if not 2 <= count <= 4:
            self.say(f"{count} sparing tables")
        locations = struct.unpack("<4I", one.locations_of_sparing_tables)
        if any(locations[count:]):
            self.say(f"more places of sparing tables than tables: {locations}")
        tables = [self._table(at, size, one.size_of_each_sparing_table) for at in locations[:count]]
        valid = [table for table in tables if table is not None]
        if not valid:
            raise StructureError(what="no sparing table is valid")
        if len({(table.sequence_number, table.map_entries) for table in valid}) > 1:
            self.say(
                "the sparing tables differ; sequence numbers "
                f"{[table.sequence_number for table in valid]}"
            )
        self._spares(max(valid, key=lambda table: int(table.sequence_number)))

    def _table(self, at: int, blocks: int, size: int) -> Any:
        self.areas.append((at, blocks, f"sparing table at {at}"))
        try:
            data = self.blocks.read(at, blocks)
            table = tags.unseal(osta.SparingTable, data, location=at)
        except PASSING as error:
            self.say(f"the sparing table at {at}: {error}")
            return None
        if table.sparing_identifier.identifier.rstrip(b"\0") != osta.SPARING_TABLE:
            self.say(f"the sparing table at {at} has another identifier")
        head = len(
            osta.SparingTable.build({**table, "reallocation_table_length": 0, "map_entries": b""})
        )
        if head + len(table.map_entries) > size:
            self.say(f"the sparing table at {at} is longer than the map says")
        return table

    def _spares(self, table: Any) -> None:
        """The entries: sorted, each spare once, both ends where they may be."""
        ground, packet = self.ground, self.ground.packet
        entries = list(struct.iter_unpack("<2I", table.map_entries))
        originals = [original for original, _ in entries]
        mapped = [to for _, to in entries]
        if originals != sorted(originals):
            self.say("the sparing table is not sorted")
        if len(set(mapped)) != len(mapped):
            self.say("a spare packet is in the sparing table twice")
        used = [original for original in originals if original < osta.SPARING_DEFECTIVE]
        if len(set(used)) != len(used):
            self.say("a packet is in the sparing table twice")
        for original, to in entries:
            if original < osta.SPARING_DEFECTIVE:
                if original % packet or original >= ground.length:
                    self.say(f"block {original} is spared, which is no packet of the partition")
                ground.spared[ground.start + original] = to
            elif osta.SPARING_DEFECTIVE < original < UNUSED:
                self.say(f"an entry {original:#x} in the sparing table")
            if to % packet or to + packet > self.blocks.last_block + 1:
                self.say(f"the spare packet at {to} is no packet of the disc")
            ground.spare_packets.append(to)
            if original == osta.SPARING_DEFECTIVE:
                ground.defective.append(to)
            else:
                self.areas.append((to, packet, f"spare packet at {to}"))

    # -- integrity, file set, bitmap ---------------------------------------------------

    def integrity(self, found: dict[int, Any]) -> None:
        """The last integrity descriptor (3/10.10)."""
        extent = found[TagIdentifier.LOGICAL_VOLUME].integrity_sequence_extent
        at, length = extent.location, extent.length
        self.areas.append((at, length // BLOCK, "integrity sequence"))
        for _ in range(1000):
            if length < BLOCK:
                break
            try:
                data = self.block(at)
                one = tags.unseal(ecma167.LogicalVolumeIntegrityDescriptor, data, location=at)
            except PASSING:
                break
            self.ground.integrity, self.ground.integrity_at = one, at
            following = one.next_integrity_extent
            if following.length:
                at, length = following.location, following.length
                self.areas.append((at, length // BLOCK, "integrity sequence, continued"))
            else:
                at, length = at + 1, length - BLOCK
        if self.ground.integrity is None:
            raise StructureError(what="no integrity descriptor")
        self.ground.integrity_use = _LVID_USE.parse(self.ground.integrity.implementation_use)

    def file_set(self, found: dict[int, Any]) -> None:
        ground = self.ground
        where = LongAd.parse(found[TagIdentifier.LOGICAL_VOLUME].logical_volume_contents_use)
        at = where.location.logical_block_number
        ground.file_set_at = at, max(1, where.extent_length // BLOCK)
        one = tags.unseal(ecma167.FileSetDescriptor, ground.read(at, 1), location=at)
        if one.domain_identifier.identifier.rstrip(b"\0") != osta.DOMAIN:
            self.say("the file set does not follow the domain of OSTA UDF")
        ground.root = one.root_directory_icb.location.logical_block_number
        if one.system_stream_directory_icb.extent_length:
            ground.streams = one.system_stream_directory_icb.location.logical_block_number

    def space_bitmap(self, found: dict[int, Any]) -> None:
        ground = self.ground
        use = found[TagIdentifier.PARTITION].partition_contents_use
        header = ecma167.PartitionHeaderDescriptor.parse(use)
        for name in ("unallocated_space_table", "freed_space_table", "freed_space_bitmap"):
            if _SHORT.unpack(header[name])[0]:
                self.say(f"there is a {name.replace('_', ' ')}, too")
        length, at = _SHORT.unpack(header.unallocated_space_bitmap)
        ground.bitmap_at = at, -(-length // BLOCK)
        data = ground.read(at, ground.bitmap_at[1])
        # Its CRC is often left out (UDF 2.3.8.1), so the tag is looked at alone.
        tags.check(data, location=at, identifier=TagIdentifier.SPACE_BITMAP)
        bits, size = _BITMAP_HEAD.unpack_from(data)[-2:]
        if bits != ground.length or size != -(-bits // 8) or _BITMAP_HEAD.size + size > length:
            self.say(
                f"the bitmap has {bits} bits in {size} of {length} bytes, "
                f"the partition {ground.length} blocks"
            )
        ground.bitmap = data[_BITMAP_HEAD.size : _BITMAP_HEAD.size + size]

    # -- all together ------------------------------------------------------------------

    def check_areas(self) -> None:
        """Nothing of the volume lies in the partition, or over something else."""
        ground = self.ground
        self.areas.append((ground.start, ground.length, "partition"))
        # The integrity descriptor's is called so when it is about to leave it.
        left = [at for at, _, what in self.areas if what == "integrity sequence"]
        self.areas += [
            (at, ground.packet, f"defective packet at {at}")
            for at in ground.defective
            if at not in left
        ]
        before = (0, 0, "")
        for area in sorted(self.areas):
            if area[0] < before[0] + before[1]:
                self.say(f"{area[2]} lies in {before[2]}")
            if area[0] + area[1] > before[0] + before[1]:
                before = area


def _pointers(anchor: Any) -> list[tuple[int, int]]:
    extents = (
        anchor.main_volume_descriptor_sequence_extent,
        anchor.reserve_volume_descriptor_sequence_extent,
    )
    return [(extent.location, extent.length) for extent in extents]
