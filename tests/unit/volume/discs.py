"""Small discs in memory, made from the declarations alone, and ways to spoil them."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from media.errors import UnreadableBlockError
from media.store import SessionSpan
from udffs.ondisc import ecma167, hot, modes, osta, tags, text, times
from udffs.ondisc.basic import LongAd
from udffs.ondisc.derive import derive

BLOCK = 2048
START = 257
"""First block of the partition."""
LENGTH = 4000
MAIN, RESERVE, INTEGRITY, ANCHOR = 32, 64, 100, 256
NOW = 1_700_000_000_123_456_000
UNUSED = 0xFFFFFFFF


class MemoryStore:
    """Blocks in a dict; what is not there cannot be read. Counts its reads."""

    kind = "sequential"
    name = "memory"

    def __init__(self, blocks: Mapping[int, bytes], sessions: Iterable[SessionSpan] = ()) -> None:
        self.blocks = dict(blocks)
        self.last_block = max(self.blocks, default=-1)
        self.sessions = tuple(sessions) or (SessionSpan(0, None),)
        self.capacity = 333_000
        self.reads = 0

    def read(self, block: int, count: int) -> bytes:
        self.reads += 1
        for number in range(block, block + count):
            if number not in self.blocks:
                raise UnreadableBlockError(block=number)
        return b"".join(self.blocks[number] for number in range(block, block + count))

    def close(self) -> None:
        pass

    def put(self, block: int, data: bytes) -> None:
        """Write whole blocks; the last one is filled with zeros."""
        for start in range(0, max(len(data), 1), BLOCK):
            self.blocks[block + start // BLOCK] = data[start : start + BLOCK].ljust(BLOCK, b"\0")
        self.last_block = max(self.blocks)

    def poke(self, declaration: Any, block: int, field: str, value: Any) -> None:
        """Change one field of a descriptor and make its tag fit again."""
        codec = derive(declaration)
        data = bytearray(self.blocks[block])
        values = list(codec.unpack_from(data))
        values[codec.names.index(field)] = value
        codec.pack_into(data, 0, *values)
        self.blocks[block] = resign(bytes(data))

    def splice(self, block: int, offset: int, data: bytes) -> None:
        """Overwrite bytes of a descriptor and make its tag fit again."""
        old = self.blocks[block]
        self.blocks[block] = resign(old[:offset] + data + old[offset + len(data) :])


def resign(block: bytes) -> bytes:
    """The same bytes with the checksum and the CRC that belong to them."""
    tag = derive(ecma167.DescriptorTag).unpack_from(block)
    data = bytearray(block)
    crc_length = min(tag[6], len(data) - 16)
    tags.sign(
        data,
        identifier=tag[0],
        location=tag[7],
        version=tag[1],
        serial=tag[4],
        crc_length=crc_length,
    )
    return bytes(data)


def image_store(path: Path, sessions: Iterable[SessionSpan] = ()) -> MemoryStore:
    """An image file as a store, with a session table if it had one."""
    data = path.read_bytes()
    blocks = {
        number: data[number * BLOCK : (number + 1) * BLOCK] for number in range(len(data) // BLOCK)
    }
    return MemoryStore(blocks, sessions)


# -- a volume ------------------------------------------------------------------


def icb(
    location: int,
    *,
    file_type: int,
    allocation: bytes = b"",
    allocation_type: int = hot.ALLOCATION_EMBEDDED,
    size: int | None = None,
    mode: int = 0o644,
    **changes: Any,
) -> bytes:
    """A file entry with sensible fields."""
    permissions, flags = modes.permissions_from_mode(mode)
    fields: dict[str, Any] = {
        "location": location,
        "version": 3,
        "file_type": file_type,
        "icb_flags": flags,
        "uid": 1000,
        "gid": 100,
        "permissions": permissions,
        "link_count": 1,
        "size": len(allocation) if size is None else size,
        "blocks_recorded": 0,
        "atime_ns": NOW,
        "mtime_ns": NOW,
        "ctime_ns": NOW,
        "unique_id": 16 + location,
        "allocation": allocation,
        "allocation_type": allocation_type,
    }
    return hot.build_file_entry(**fields | changes)


def fid(name: str, key: tuple[int, int], *, characteristics: int = 0, location: int = 0) -> bytes:
    """A directory entry; `key` is (partition reference, block)."""
    return hot.build_fid(
        location=location,
        version=3,
        characteristics=characteristics,
        icb=(BLOCK, key[1], key[0]),
        unique_id=16 + key[1],
        name=text.encode_name(name) if name else b"",
    )


def directory(location: int, parent: tuple[int, int], entries: Iterable[bytes]) -> bytes:
    """The ICB of a directory with its entries embedded."""
    data = fid("", parent, characteristics=ecma167.FID_DIRECTORY | ecma167.FID_PARENT)
    data += b"".join(entries)
    return icb(location, file_type=modes.FileType.DIRECTORY, allocation=data, mode=0o755)


def long_ad(block: int, reference: int, length: int = BLOCK) -> dict[str, Any]:
    return {
        "extent_length": length,
        "location": {"logical_block_number": block, "partition_reference_number": reference},
    }


def vat_bytes(entries: Iterable[int], *, previous: int = UNUSED, revision: int = 0x0201) -> bytes:
    """A virtual allocation table."""
    body = array("I", entries).tobytes()
    if revision < 0x0200:
        return body + osta.build_vat_tail(previous=previous)
    header = osta.build_vat_header(
        label="From the VAT", previous=previous, files=2, directories=1, revision=revision
    )
    return header + body


def vat_icb(block: int, data: bytes, *, revision: int = 0x0201, **changes: Any) -> bytes:
    """The ICB of an embedded VAT at an absolute block."""
    kind = modes.FileType.VAT_150 if revision < 0x0200 else modes.FileType.VAT_200
    return icb(
        block - START, file_type=kind, allocation=data, link_count=0, unique_id=99, **changes
    )


def sealed(declaration: Any, fields: Mapping[str, Any], location: int) -> bytes:
    return tags.seal(declaration, fields, location=location, version=3)


def descriptors(
    store: MemoryStore, maps: bytes, count: int, file_set: dict[str, Any], *, revision: int
) -> None:
    """Recognition sequence, anchor, both descriptor sequences and the integrity descriptor."""
    for block in range(START):
        store.put(block, b"")
    for index, identifier in enumerate((b"BEA01", b"NSR03", b"TEA01")):
        found = ecma167.VolumeStructureDescriptor.build({"standard_identifier": identifier})
        store.put(16 + index, found)
    extents = {
        "main_volume_descriptor_sequence_extent": {"length": 16 * BLOCK, "location": MAIN},
        "reserve_volume_descriptor_sequence_extent": {"length": 16 * BLOCK, "location": RESERVE},
    }
    store.put(ANCHOR, sealed(ecma167.AnchorVolumeDescriptorPointer, extents, ANCHOR))
    for base in (MAIN, RESERVE):
        for block in range(base, base + 16):
            store.put(block, b"")
        for index, (declaration, fields) in enumerate(_sequence(maps, count, file_set, revision)):
            numbered = {"volume_descriptor_sequence_number": index, **fields}
            store.put(base + index, sealed(declaration, numbered, base + index))
    store.put(INTEGRITY, sealed(ecma167.LogicalVolumeIntegrityDescriptor, _integrity(), INTEGRITY))


def _sequence(
    maps: bytes, count: int, file_set: dict[str, Any], revision: int
) -> list[tuple[Any, dict[str, Any]]]:
    who = osta.implementation_id()
    return [
        (
            ecma167.PrimaryVolumeDescriptor,
            {
                "volume_identifier": text.encode_dstring("Small", 32),
                "volume_set_identifier": text.encode_dstring("0123456789abcdefSet", 128),
                "recording_date_and_time": times.timestamp(NOW),
                "implementation_identifier": who,
            },
        ),
        (
            ecma167.LogicalVolumeDescriptor,
            {
                "logical_volume_identifier": text.encode_label("Small disc"),
                "domain_identifier": osta.domain_id(revision),
                "logical_volume_contents_use": LongAd.build(file_set),
                "map_table_length": len(maps),
                "number_of_partition_maps": count,
                "implementation_identifier": who,
                "integrity_sequence_extent": {"length": 2 * BLOCK, "location": INTEGRITY},
                "partition_maps": maps,
            },
        ),
        (
            ecma167.PartitionDescriptor,
            {
                "partition_contents": osta.partition_contents_id(revision),
                "access_type": ecma167.ACCESS_WRITE_ONCE,
                "partition_starting_location": START,
                "partition_length": LENGTH,
                "implementation_identifier": who,
            },
        ),
        (ecma167.TerminatingDescriptor, {}),
    ]


LVD, PD = MAIN + 1, MAIN + 2


def _integrity() -> dict[str, Any]:
    use = osta.LogicalVolumeIntegrityImplementationUse.build(
        {
            "implementation_id": osta.implementation_id(),
            "number_of_files": 0,
            "number_of_directories": 1,
            "minimum_udf_read_revision": 0x0201,
            "minimum_udf_write_revision": 0x0201,
            "maximum_udf_write_revision": 0x0201,
        }
    )
    return {
        "recording_date_and_time": times.timestamp(NOW),
        "logical_volume_contents_use": {"unique_id": 16},
        "number_of_partitions": 2,
        "length_of_implementation_use": len(use),
        "free_space_table": [0, UNUSED],
        "size_table": [LENGTH, UNUSED],
        "implementation_use": use,
    }


def file_set(location: int, root: dict[str, Any], revision: int) -> bytes:
    fields = {
        "recording_date_and_time": times.timestamp(NOW),
        "logical_volume_identifier": text.encode_label("Small disc"),
        "file_set_identifier": text.encode_dstring("Files", 32),
        "root_directory_icb": root,
        "domain_identifier": osta.domain_id(revision),
    }
    return sealed(ecma167.FileSetDescriptor, fields, location)


VIRTUAL = 1
"""Partition reference of the virtual partition."""

FILE_SET, ROOT, HELLO, BIG, LINK = range(5)
"""Virtual blocks of the small disc."""

AT_FILE_SET, AT_ROOT, AT_HELLO, AT_BIG, AT_LINK = range(300, 305)
"""Where they lie (absolute)."""

AT_DATA = 310
"""The two extents of /big: here and ten blocks further."""

AT_VAT = 330
BIG_SIZE = 3 * BLOCK + 77
BIG_CONTENT = bytes(range(256)) * 8 + b"B" * BLOCK + b"C" * BLOCK + b"D" * 77
VAT_MAPS = osta.Type1PartitionMap.build({}) + osta.VirtualPartitionMap.build(
    {"partition_type_identifier": osta.udf_id(osta.VIRTUAL_PARTITION, 0x0201)}
)
ENTRIES = [AT_FILE_SET - START, AT_ROOT - START, AT_HELLO - START, AT_BIG - START, AT_LINK - START]


def vat_disc(*, revision: int = 0x0201, previous: int = UNUSED) -> MemoryStore:
    """An open disc with /hello, /big and the symbolic link /link; the VAT ICB twice at the end."""
    store = MemoryStore({0: bytes(BLOCK)})
    maps = osta.Type1PartitionMap.build({}) + osta.VirtualPartitionMap.build(
        {"partition_type_identifier": osta.udf_id(osta.VIRTUAL_PARTITION, revision)}
    )
    descriptors(store, maps, 2, long_ad(FILE_SET, VIRTUAL), revision=revision)
    store.put(AT_FILE_SET, file_set(FILE_SET, long_ad(ROOT, VIRTUAL), revision))
    names = [fid("hello", (VIRTUAL, HELLO)), fid("big", (VIRTUAL, BIG))]
    names.append(fid("link", (VIRTUAL, LINK)))
    store.put(AT_ROOT, directory(ROOT, (VIRTUAL, ROOT), names))
    store.put(AT_HELLO, icb(HELLO, file_type=5, allocation=b"hello, world\n"))
    extents = [(2 * BLOCK, 0, AT_DATA - START, 0), (BLOCK + 77, 0, AT_DATA + 10 - START, 0)]
    store.put(
        AT_BIG,
        icb(
            BIG,
            file_type=5,
            allocation=hot.pack_long_ads(extents),
            allocation_type=hot.ALLOCATION_LONG,
            size=BIG_SIZE,
        ),
    )
    store.put(AT_LINK, icb(LINK, file_type=12, allocation=modes.build_path("../hello")))
    store.put(AT_DATA, BIG_CONTENT[: 2 * BLOCK])
    store.put(AT_DATA + 10, BIG_CONTENT[2 * BLOCK :])
    table = vat_bytes(ENTRIES, previous=previous, revision=revision)
    store.put(AT_VAT, vat_icb(AT_VAT, table, revision=revision))
    store.put(AT_VAT + 1, vat_icb(AT_VAT + 1, table, revision=revision))
    return store


SPARE = 3000


def sparable_disc(
    spared: Mapping[int, int], *, packet: int = 32, **map_changes: Any
) -> MemoryStore:
    """A disc with a sparable partition and /hello in its block 64; `spared` maps
    packet starts (of the partition) to absolute blocks."""
    store = MemoryStore({0: bytes(BLOCK)})
    fields: dict[str, Any] = {
        "partition_type_identifier": osta.udf_id(osta.SPARABLE_PARTITION, 0x0201),
        "packet_length": packet,
        "number_of_sparing_tables": 2,
        "size_of_each_sparing_table": BLOCK,
        "locations_of_sparing_tables": struct.pack("<4I", 120, 121, 0, 0),
    }
    maps = osta.SparablePartitionMap.build(fields | map_changes)
    descriptors(store, maps, 1, long_ad(0, 0), revision=0x0201)
    for sequence, block in enumerate((120, 121)):
        store.put(block, sparing_table(block, spared if sequence else {}, sequence))
    blocks = {
        0: file_set(0, long_ad(1, 0), 0x0201),
        1: directory(1, (0, 1), [fid("hello", (0, 64))]),
        64: icb(64, file_type=5, allocation=b"hello, spare\n"),
    }
    for number, data in blocks.items():
        moved = spared.get(number - number % packet)
        store.put(START + number if moved is None else moved + number % packet, data)
    return store


def sparing_table(block: int, spared: Mapping[int, int], sequence: int) -> bytes:
    entries = b"".join(struct.pack("<2I", *pair) for pair in sorted(spared.items()))
    fields = {
        "sparing_identifier": osta.udf_id(osta.SPARING_TABLE, 0x0201),
        "reallocation_table_length": len(spared),
        "sequence_number": sequence,
        "map_entries": entries,
    }
    return sealed(osta.SparingTable, fields, block)
