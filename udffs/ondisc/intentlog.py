"""The intent log of a rewritable disc: our own structures, and where UDF has room for them.

The log is a number of packets, its *slots*. A *record* is the images of blocks
and the lists that make a commit durable; it fills one slot or several. Every
slot names the volume it belongs to and covers itself by a CRC-32, a record
covers itself by another. What is not whole is no record: hostile bytes lead to
None, in the memory that was read and no more.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple
from zlib import crc32

from construct import Array, Bytes, ConstructError, Int8ul, Int16ul, Int32ul, Int64ul, Struct

from udffs.errors import StructureError
from udffs.ondisc import tags
from udffs.ondisc.basic import BLOCK_SIZE, number, zeros
from udffs.ondisc.derive import derive
from udffs.ondisc.ecma167 import LogicalVolumeIntegrityDescriptor
from udffs.ondisc.osta import LogicalVolumeIntegrityImplementationUse as IntegrityUse

__all__ = [
    "KEEPS_OTHERS_OFF",
    "MAX_EXTENTS",
    "MAX_SLOTS",
    "PACKET",
    "PAYLOAD",
    "IntegrityExtension",
    "Kind",
    "Record",
    "Slot",
    "build_integrity",
    "build_log_use",
    "build_record",
    "build_slot",
    "identity_of",
    "integrity_extension",
    "next_commit",
    "parse_log_use",
    "parse_record",
    "parse_slot",
    "parse_slot_head",
    "record_size",
]

PACKET = 32
"""Blocks of a packet, which is a slot."""

KEEPS_OTHERS_OFF = 0x0260
"""Minimum write revision of an open volume: no system that we know writes it."""

MAX_EXTENTS = 16
MAX_SLOTS = 256
"""What we read of a log, whatever a disc says: 16 MiB."""
MAX_IMAGES = 1 << 14
"""Of a record; we write a tenth of that at most."""
MAX_SEQUENCE = (1 << 63) - 1
"""No log gets that far: it leaves room to count on."""

VERSION = 1
_SLOT_MAGIC = b"udffsLog"
_EXTENSION_MAGIC = b"udffsLVX"
_BYTES = PACKET * BLOCK_SIZE


def packet_of(block: int) -> int:
    """The first block of the packet that a block lies in."""
    return block - block % PACKET


# -- where it is: an implementation use volume descriptor (3/10.4) -------------

LogExtent = Struct(
    "first_block" / Int32ul,
    "packets" / Int32ul,
)
"""8 bytes: slots that lie next to each other; the absolute block of the first,
as if no packet had been spared."""

LogUse = Struct(
    "version" / number(Int16ul, VERSION),
    "number_of_extents" / Int16ul,
    "reserved" / zeros(4),
    "extents" / Array(MAX_EXTENTS, LogExtent),
    "reserved_2" / zeros(324),
)
"""460 bytes, the use of the "*udffs Log" volume descriptor (3/10.4)."""


def build_log_use(extents: Sequence[tuple[int, int]]) -> bytes:
    """The use of the "*udffs Log" descriptor; extents are (first home block, packets)."""
    padded = [*extents, *[(0, 0)] * (MAX_EXTENTS - len(extents))]
    fields = [{"first_block": first, "packets": packets} for first, packets in padded]
    return bytes(LogUse.build({"number_of_extents": len(extents), "extents": fields}))


def parse_log_use(data: bytes) -> list[int]:
    """The home block of each slot, in order. Raises StructureError."""
    try:
        use = LogUse.parse(data)
    except ConstructError as error:
        raise StructureError(what="the place of its log is cut off") from error
    if use.version != VERSION or not 1 <= use.number_of_extents <= MAX_EXTENTS:
        raise StructureError(what="the place of its log is not one we know")
    extents = use.extents[: use.number_of_extents]
    if not 1 <= sum(one.packets for one in extents) <= MAX_SLOTS:
        raise StructureError(what="its log is too long")
    homes = [one.first_block + i * PACKET for one in extents for i in range(one.packets)]
    if len(set(homes)) != len(homes) or any(home % PACKET for home in homes):
        raise StructureError(what="the packets of its log lie across each other")
    return homes


def identity_of(set_identifier: str) -> int:
    """What slots call a volume: 64 bits made from its volume set identifier."""
    digest = hashlib.sha256(set_identifier.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "little")


# -- behind the implementation use of the integrity descriptor (UDF 2.2.6.4) ---

IntegrityExtensionLayout = Struct(
    "magic" / Bytes(8),
    "version" / number(Int16ul, VERSION),
    "next_slot" / Int16ul,
    "seal" / number(Int32ul),
    "sequence" / Int64ul,
    "commit" / Int64ul,
    "icb_hint" / Int32ul,
    "data_hint" / Int32ul,
)
"""40 bytes behind the 46 of the implementation use. The seal is the CRC-32 of
the whole descriptor behind its tag, the seal as zero: where it does not fit,
somebody else wrote the descriptor last."""

_EXTENSION = derive(IntegrityExtensionLayout)


class IntegrityExtension(NamedTuple):
    """What a clean unmount leaves: the slot and the sequence number that the
    next record will have, the number of the last commit, and where allocation
    was (home blocks, 0 for nowhere)."""

    next_slot: int
    sequence: int
    commit: int
    icb_hint: int = 0
    data_hint: int = 0
    intact: bool = True
    """Whether nobody wrote the descriptor since."""


def build_integrity(
    fields: Mapping[str, Any], extension: IntegrityExtension, *, location: int, version: int
) -> bytes:
    """An integrity descriptor (3/10.10) with our extension, one block; of the
    implementation use in ``fields`` the first 46 bytes are taken."""
    data = _integrity(fields, extension, 0, location, version)
    seal = crc32(data[tags.TAG_SIZE :])
    return _integrity(fields, extension, seal, location, version).ljust(BLOCK_SIZE, b"\0")


def _integrity(
    fields: Mapping[str, Any], extension: IntegrityExtension, seal: int, location: int, version: int
) -> bytes:
    size = IntegrityUse.sizeof()
    use = fields["implementation_use"][:size].ljust(size, b"\0")
    use += _extension_bytes(extension, seal)
    fields = {**fields, "implementation_use": use, "length_of_implementation_use": len(use)}
    return tags.seal(LogicalVolumeIntegrityDescriptor, fields, location=location, version=version)


def _extension_bytes(extension: IntegrityExtension, seal: int) -> bytes:
    next_slot, sequence, commit, icb_hint, data_hint, _intact = extension
    return _EXTENSION.pack(
        _EXTENSION_MAGIC, VERSION, next_slot, seal, sequence, commit, icb_hint, data_hint
    )


def integrity_extension(block: bytes) -> IntegrityExtension | None:
    """Our extension of an integrity descriptor, None if it has none."""
    try:
        version = tags.check(block).descriptor_version
        found = tags.unseal(LogicalVolumeIntegrityDescriptor, block, location=None)
    except StructureError:
        return None
    use = bytes(found.implementation_use)
    body = use[IntegrityUse.sizeof() :]
    if len(body) < _EXTENSION.size:
        return None
    magic, layout, next_slot, seal, sequence, commit, icb, data = _EXTENSION.unpack_from(body)
    if magic != _EXTENSION_MAGIC or layout != VERSION or sequence > MAX_SEQUENCE:
        return None
    extension = IntegrityExtension(next_slot, sequence, commit, icb, data)
    again = _integrity(found, extension, 0, found.tag.tag_location, version)
    return extension._replace(intact=crc32(again[tags.TAG_SIZE :]) == seal)


# -- slots ---------------------------------------------------------------------

SlotHeader = Struct(
    "magic" / Bytes(8),
    "version" / number(Int16ul, VERSION),
    "part" / Int16ul,
    "parts" / Int16ul,
    "reserved" / zeros(2),
    "identity" / Int64ul,
    "sequence" / Int64ul,
    "record" / Int64ul,
    "tail" / Int64ul,
    "payload_length" / Int32ul,
    "checksum" / number(Int32ul),
    "reserved_2" / zeros(8),
)
"""64 bytes, the head of a slot; the payload follows. The checksum is the
CRC-32 of the whole packet, itself as zero."""

_SLOT = derive(SlotHeader)
_CHECKSUM = _SLOT.offset("checksum")
_CHECKSUM_SIZE = Int32ul.sizeof()

PAYLOAD = _BYTES - _SLOT.size
"""Bytes of a record that one slot holds: 65,472."""


class Slot(NamedTuple):
    """The head of a slot: part ``part`` of ``parts`` of the record that has the
    sequence number ``record`` (its first slot's); records from ``tail`` on are
    still needed."""

    sequence: int
    record: int
    part: int
    parts: int
    tail: int
    payload_length: int


def build_slot(head: Slot, identity: int, payload: bytes) -> bytes:
    """One packet."""
    data = bytearray(_BYTES)
    data[_SLOT.size : _SLOT.size + len(payload)] = payload
    _pack_head(data, head, identity, len(payload), 0)
    _pack_head(data, head, identity, len(payload), crc32(data))
    return bytes(data)


def _pack_head(data: bytearray, head: Slot, identity: int, length: int, checksum: int) -> None:
    _SLOT.pack_into(
        data,
        0,
        _SLOT_MAGIC,
        VERSION,
        head.part,
        head.parts,
        b"",
        identity,
        head.sequence,
        head.record,
        head.tail,
        length,
        checksum,
        b"",
    )


def parse_slot_head(data: bytes, identity: int) -> Slot | None:
    """The head of a slot of that volume, from its first block; not checked any
    further than that it could be one."""
    if len(data) < _SLOT.size:
        return None
    (magic, version, part, parts, _r, owner, sequence, record, tail, length, _c, _r2) = (
        _SLOT.unpack_from(data)
    )
    if magic != _SLOT_MAGIC or version != VERSION or owner != identity:
        return None
    if not part < parts <= MAX_SLOTS or length > PAYLOAD or record + part != sequence:
        return None
    if tail > record or sequence > MAX_SEQUENCE:
        return None
    return Slot(sequence, record, part, parts, tail, length)


def parse_slot(data: bytes, identity: int) -> tuple[Slot, bytes] | None:
    """The head and the payload of a whole slot; None if it is not valid."""
    head = parse_slot_head(data, identity)
    if head is None or len(data) != _BYTES:
        return None
    (checksum,) = struct.unpack_from("<I", data, _CHECKSUM)
    blank = bytes(_CHECKSUM_SIZE)
    rest = memoryview(data)[_CHECKSUM + _CHECKSUM_SIZE :]
    if crc32(rest, crc32(blank, crc32(data[:_CHECKSUM]))) != checksum:
        return None
    return head, data[_SLOT.size : _SLOT.size + head.payload_length]


# -- records -------------------------------------------------------------------


class Kind(IntEnum):
    """What a record is for."""

    COMMIT = 1
    PROTECT = 2
    """Images of live blocks whose packets are being rewritten."""
    OPEN = 3
    """The integrity descriptor becomes open."""
    CLOSE = 4
    """The integrity descriptor becomes closed: the last record of an unmount."""


_KINDS = frozenset(Kind)

RecordHead = Struct(
    "checksum" / number(Int32ul),
    "kind" / Int8ul,
    "reserved" / zeros(3),
    "commit" / Int64ul,
    "previous" / Int64ul,
    "next_unique_id" / Int64ul,
    "number_of_files" / Int32ul,
    "number_of_directories" / Int32ul,
    "integrity_block" / Int32ul,
    "integrity_before" / Int32ul,
    "integrity_after" / Int32ul,
    "icb_hint" / Int32ul,
    "data_hint" / Int32ul,
    "images" / Int32ul,
    "zeros" / Int32ul,
    "allocated" / Int32ul,
    "freed" / Int32ul,
    "direct" / Int32ul,
)
"""80 bytes; then the homes of the images and of blocks that are all zeros
(4 bytes each), extents allocated and freed (block, count), extents written
straight to their homes (block, count, CRC-32), and the images. The checksum is
the CRC-32 of all that follows it."""

_RECORD = derive(RecordHead)
_BODY = Int32ul.sizeof()
_ZEROS = bytes(BLOCK_SIZE)

Extent = tuple[int, int]
"""(home block, count)."""


@dataclass(slots=True)
class Record:
    """A record. All blocks are homes; checksums of the integrity descriptor's
    block before and after it, CRC-32."""

    kind: int
    commit: int
    """Number of the last commit that is durable with this record."""
    previous: int
    """Sequence number of the COMMIT record before it, 0 for none that is needed."""
    files: int
    directories: int
    next_unique_id: int
    integrity_block: int
    integrity_before: int
    integrity_after: int
    icb_hint: int = 0
    data_hint: int = 0
    images: Mapping[int, bytes] = field(default_factory=dict)
    allocated: Sequence[Extent] = ()
    freed: Sequence[Extent] = ()
    direct: Sequence[tuple[int, int, int]] = ()


def record_size(images: int, extents: int = 0, direct: int = 0, blank: int = 0) -> int:
    """Bytes of a record with so many images, extents allocated and freed,
    extents written directly, and images of nothing but zeros."""
    words = images + blank + 2 * extents + 3 * direct
    return _RECORD.size + words * Int32ul.sizeof() + images * BLOCK_SIZE


def _pack_words(words: Iterable[int]) -> bytes:
    listed = list(words)
    return struct.pack(f"<{len(listed)}I", *listed)


def build_record(record: Record) -> bytes:
    """The bytes of a record, to be cut into the payloads of slots."""
    images = {home: data for home, data in record.images.items() if data != _ZEROS}
    blank = [home for home, data in record.images.items() if data == _ZEROS]
    lists = (
        _pack_words(images),
        _pack_words(blank),
        _pack_words(word for extent in record.allocated for word in extent),
        _pack_words(word for extent in record.freed for word in extent),
        _pack_words(word for extent in record.direct for word in extent),
    )
    head = (
        record.kind,
        b"",
        record.commit,
        record.previous,
        record.next_unique_id,
        record.files,
        record.directories,
        record.integrity_block,
        record.integrity_before,
        record.integrity_after,
        record.icb_hint,
        record.data_hint,
        len(images),
        len(blank),
        len(record.allocated),
        len(record.freed),
        len(record.direct),
    )
    data = b"".join((_RECORD.pack(0, *head), *lists, *images.values()))
    return _RECORD.pack(crc32(memoryview(data)[_BODY:]), *head) + data[_RECORD.size :]


def next_commit(before: int, checksum: int) -> int:
    """The number of a commit behind the one ``before``: 32 bits that count, and
    above them 31 of the ``checksum`` of what it changes. Two commits that follow
    the same one on different computers have different numbers."""
    return (before + 1 & 0xFFFFFFFF) | (checksum & 0x7FFFFFFF) << 32


def parse_record(data: bytes) -> Record | None:
    """A whole record; None if it is not valid."""
    if len(data) < _RECORD.size:
        return None
    (checksum, kind, _reserved, commit, previous, unique_id, files, directories, *rest) = (
        _RECORD.unpack_from(data)
    )
    lvid, before, after, icb_hint, data_hint, images, blank, allocated, freed, direct = rest
    if images + blank > MAX_IMAGES or kind not in _KINDS:
        return None
    words = images + blank + 2 * allocated + 2 * freed + 3 * direct
    first_image = _RECORD.size + words * Int32ul.sizeof()
    if len(data) != first_image + images * BLOCK_SIZE:
        return None
    if crc32(memoryview(data)[_BODY:]) != checksum:
        return None
    listed = iter(struct.unpack_from(f"<{words}I", data, _RECORD.size))
    homes = _take(listed, images, 1)
    contents = dict.fromkeys((home for (home,) in _take(listed, blank, 1)), _ZEROS)
    for index, (home,) in enumerate(homes):
        at = first_image + index * BLOCK_SIZE
        contents[home] = data[at : at + BLOCK_SIZE]
    return Record(
        kind,
        commit,
        previous,
        files,
        directories,
        unique_id,
        lvid,
        before,
        after,
        icb_hint,
        data_hint,
        contents,
        _take(listed, allocated, 2),
        _take(listed, freed, 2),
        _take(listed, direct, 3),
    )


def _take(words: Iterator[int], count: int, width: int) -> list[Any]:
    """The next ``count`` tuples of ``width`` words."""
    columns = [words] * width
    return [row for _, row in zip(range(count), zip(*columns, strict=False), strict=False)]
