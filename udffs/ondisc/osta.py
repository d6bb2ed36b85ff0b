"""What OSTA UDF adds to ECMA-167: identifiers, partition maps, VAT, sparing, implementation use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from construct import (
    Array,
    BitsInteger,
    BitStruct,
    Bytes,
    ByteSwapped,
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    Struct,
    this,
)

from udffs.ondisc.basic import (
    OSTA_CHARSET,
    CharSpec,
    DescriptorTag,
    EntityId,
    default,
    number,
    zeros,
)
from udffs.ondisc.text import LABEL_SIZE, encode_dstring

# -- entity identifiers (UDF 2.1.5) --------------------------------------------

DOMAIN = b"*OSTA UDF Compliant"
LV_INFO = b"*UDF LV Info"
VIRTUAL_PARTITION = b"*UDF Virtual Partition"
SPARABLE_PARTITION = b"*UDF Sparable Partition"
METADATA_PARTITION = b"*UDF Metadata Partition"
VIRTUAL_ALLOCATION_TABLE = b"*UDF Virtual Alloc Tbl"
VAT_EXTENSION = b"*UDF VAT LVExtension"
SPARING_TABLE = b"*UDF Sparing Table"
LOG_PLACE = b"*udffs Log"
"""Our implementation use volume descriptor that says where the intent log is."""
IMPLEMENTATION = b"*udffs"
"""Who writes: our own developer id (UDF 2.1.5.2)."""

OS_CLASS_UNIX = 4
OS_LINUX = 5

DomainIdentifierSuffix = Struct(
    "udf_revision" / Int16ul,
    "domain_flags" / number(Int8ul),
    "reserved" / zeros(5),
)
"""8 bytes behind "*OSTA UDF Compliant" (UDF 2.1.5.3)."""

HARD_WRITE_PROTECT = 1
SOFT_WRITE_PROTECT = 2
"""Domain flags (UDF 2.1.5.3)."""

UdfIdentifierSuffix = Struct(
    "udf_revision" / Int16ul,
    "os_class" / number(Int8ul),
    "os_identifier" / number(Int8ul),
    "reserved" / zeros(4),
)
"""8 bytes behind a "*UDF ..." identifier (UDF 2.1.5.3)."""

ImplementationIdentifierSuffix = Struct(
    "os_class" / number(Int8ul),
    "os_identifier" / number(Int8ul),
    "implementation_use" / zeros(6),
)
"""8 bytes behind a developer id (UDF 2.1.5.3)."""


def entity_id(identifier: bytes, suffix: bytes = bytes(8), flags: int = 0) -> dict[str, Any]:
    """The fields of an EntityId; `identifier` is padded with zeros to 23 bytes (1/7.4)."""
    return {"flags": flags, "identifier": identifier.ljust(23, b"\0"), "suffix": suffix}


def domain_id(revision: int, flags: int = 0) -> dict[str, Any]:
    """The domain of a volume; `revision` as in 0x0201 (UDF 2.1.5.3)."""
    fields = {"udf_revision": revision, "domain_flags": flags}
    return entity_id(DOMAIN, DomainIdentifierSuffix.build(fields))


def udf_id(identifier: bytes, revision: int) -> dict[str, Any]:
    """An identifier that UDF defines, such as VIRTUAL_PARTITION (UDF 2.1.5.3)."""
    fields = {
        "udf_revision": revision,
        "os_class": OS_CLASS_UNIX,
        "os_identifier": OS_LINUX,
    }
    return entity_id(identifier, UdfIdentifierSuffix.build(fields))


BridgeUse = Struct(
    "use" / number(Int8ul),
    "cost"
    / ByteSwapped(
        BitStruct(
            "zeros" / BitsInteger(12),
            "records" / BitsInteger(28),
        )
    ),
)
"""6 bytes, the implementation use of the identifier in our VAT ICBs: what closing has to
write for the ISO 9660 view of the tree. ``use`` is BRIDGE_COST; 0: nothing is said. The
rest is a number of 40 bits, the units of the records in its low 28 bits."""

BRIDGE_COST = 1
BRIDGE_RECORDS_UNIT = 32
"""Bytes of records and copies for which `records` counts one."""
BRIDGE_ZEROS_UNIT = 4
"""Blocks of zeros for which `zeros` counts one."""
_MOST_RECORDS = (1 << 28) - 1
_MOST_ZEROS = (1 << 12) - 1


class BridgeCost(NamedTuple):
    """What is remembered of the ISO 9660 view that a close has to write."""

    records: int
    """Bytes of its records and of data that is written out once more."""
    zeros: int | None
    """Blocks of zeros; None if they are too many to be remembered."""


def bridge_use(cost: BridgeCost | None) -> bytes:
    """The six bytes for it, both numbers rounded up; zeros if there is nothing to say
    or too much."""
    if cost is None or (records := -(-cost.records // BRIDGE_RECORDS_UNIT)) > _MOST_RECORDS:
        return bytes(BridgeUse.sizeof())
    zeros = _MOST_ZEROS if cost.zeros is None else -(-cost.zeros // BRIDGE_ZEROS_UNIT)
    fields = {"records": records, "zeros": min(zeros, _MOST_ZEROS)}
    return bytes(BridgeUse.build({"use": BRIDGE_COST, "cost": fields}))


def parse_bridge_use(entity: Any) -> BridgeCost | None:
    """What an EntityId says of it; None if it is not ours or says nothing."""
    if entity.identifier.rstrip(b"\0") != IMPLEMENTATION:
        return None
    suffix = ImplementationIdentifierSuffix.parse(entity.suffix)
    use = BridgeUse.parse(suffix.implementation_use)
    if use.use != BRIDGE_COST:
        return None
    zeros = use.cost.zeros
    return BridgeCost(
        use.cost.records * BRIDGE_RECORDS_UNIT,
        None if zeros == _MOST_ZEROS else zeros * BRIDGE_ZEROS_UNIT,
    )


def implementation_id(
    identifier: bytes = IMPLEMENTATION, *, use: bytes = bytes(6)
) -> dict[str, Any]:
    """Who wrote it, and six bytes of its own (UDF 2.1.5.3)."""
    fields = {"os_class": OS_CLASS_UNIX, "os_identifier": OS_LINUX, "implementation_use": use}
    return entity_id(identifier, ImplementationIdentifierSuffix.build(fields))


def partition_contents_id(revision: int) -> dict[str, Any]:
    """ "+NSR02" up to UDF 1.50, "+NSR03" from 2.00 on (3/10.5.3, UDF 2.2.14.2)."""
    return entity_id(b"+NSR03" if revision >= 0x0200 else b"+NSR02")


# -- volume structures ---------------------------------------------------------

LvInformation = Struct(
    "lvi_charset" / default(CharSpec, OSTA_CHARSET),
    "logical_volume_identifier" / Bytes(128),
    "lv_info_1" / zeros(36),
    "lv_info_2" / zeros(36),
    "lv_info_3" / zeros(36),
    "implementation_id" / EntityId,
    "implementation_use" / zeros(128),
)
"""460 bytes, the use of the "*UDF LV Info" volume descriptor (UDF 2.2.7.2)."""

LogicalVolumeIntegrityImplementationUse = Struct(
    "implementation_id" / EntityId,
    "number_of_files" / Int32ul,
    "number_of_directories" / Int32ul,
    "minimum_udf_read_revision" / Int16ul,
    "minimum_udf_write_revision" / Int16ul,
    "maximum_udf_write_revision" / Int16ul,
)
"""46 bytes; what follows is the implementation's own (UDF 2.2.6.4)."""

# -- partition maps (3/10.7, UDF 2.2.8 - 2.2.10) -------------------------------

PartitionMapHead = Struct(
    "partition_map_type" / Int8ul,
    "partition_map_length" / Int8ul,
)
"""2 bytes, the head of every map (3/10.7.1)."""

Type1PartitionMap = Struct(
    "partition_map_type" / number(Int8ul, 1),
    "partition_map_length" / number(Int8ul, 6),
    "volume_sequence_number" / number(Int16ul, 1),
    "partition_number" / number(Int16ul),
)
"""6 bytes, a partition as it is (3/10.7.2)."""

_TYPE_2_HEAD = (
    "partition_map_type" / number(Int8ul, 2),
    "partition_map_length" / number(Int8ul, 64),
    "reserved" / zeros(2),
    "partition_type_identifier" / EntityId,
    "volume_sequence_number" / number(Int16ul, 1),
    "partition_number" / number(Int16ul),
)

Type2PartitionMap = Struct(
    *_TYPE_2_HEAD,
    "map_use" / Bytes(24),
)
"""64 bytes, what every map of type 2 in UDF has (3/10.7.3, UDF 2.2.8)."""

VirtualPartitionMap = Struct(
    *_TYPE_2_HEAD,
    "reserved_2" / zeros(24),
)
"""64 bytes: blocks of this partition are looked up in the VAT (UDF 2.2.8)."""

SparablePartitionMap = Struct(
    *_TYPE_2_HEAD,
    "packet_length" / Int16ul,
    "number_of_sparing_tables" / Int8ul,
    "reserved_2" / zeros(1),
    "size_of_each_sparing_table" / Int32ul,
    "locations_of_sparing_tables" / Bytes(16),
)
"""64 bytes: packets may lie elsewhere (UDF 2.2.9). The locations are up to four
uint32, absolute blocks."""

MetadataPartitionMap = Struct(
    *_TYPE_2_HEAD,
    "metadata_file_location" / Int32ul,
    "metadata_mirror_file_location" / Int32ul,
    "metadata_bitmap_file_location" / Int32ul,
    "allocation_unit_size" / Int32ul,
    "alignment_unit_size" / Int16ul,
    "flags" / Int8ul,
    "reserved_2" / zeros(5),
)
"""64 bytes (UDF 2.50, 2.2.10)."""

# -- virtual allocation table (UDF 2.2.11) -------------------------------------

UNUSED_ENTRY = 0xFFFFFFFF
"""A VAT entry, a sparing entry or a previous VAT that is not there."""

Vat150Tail = Struct(
    "entity_id" / default(EntityId, udf_id(VIRTUAL_ALLOCATION_TABLE, 0x0150)),
    "previous_vat_icb_location" / number(Int32ul, UNUSED_ENTRY),
)
"""36 bytes behind the entries (UDF 1.50, 2.2.10)."""

Vat200Header = Struct(
    "length_of_header" / number(Int16ul, 152),
    "length_of_implementation_use" / number(Int16ul),
    "logical_volume_identifier" / Bytes(128),
    "previous_vat_icb_location" / number(Int32ul, UNUSED_ENTRY),
    "number_of_files" / Int32ul,
    "number_of_directories" / Int32ul,
    "minimum_udf_read_revision" / Int16ul,
    "minimum_udf_write_revision" / Int16ul,
    "maximum_udf_write_revision" / Int16ul,
    "reserved" / zeros(2),
)
"""152 bytes before the implementation use and the entries (UDF 2.01, 2.2.10)."""

VatExtension = Struct(
    "header_checksum" / Int16ul,
    "verification" / Int64ul,
    "number_of_files" / Int32ul,
    "number_of_directories" / Int32ul,
    "logical_volume_identifier" / Bytes(128),
)
"""146 bytes, the use of the "*UDF VAT LVExtension" extended attribute that a VAT of
1.50 may carry; verification repeats the ICB's unique id (UDF 1.50, 3.3.4.5.1.3)."""


def build_vat_tail(*, previous: int) -> bytes:
    """What stands behind the entries of a VAT of UDF 1.50; `previous` is a block
    of the physical partition, UNUSED_ENTRY for none."""
    return bytes(Vat150Tail.build({"previous_vat_icb_location": previous}))


def build_vat_header(
    *,
    label: str,
    previous: int,
    files: int,
    directories: int,
    revision: int,
    truncate: bool = False,
) -> bytes:
    """What stands before the entries of a VAT of UDF 2.00 and later: 152 bytes,
    no implementation use. Raises LabelError, unless the label may be cut."""
    return bytes(
        Vat200Header.build(
            {
                "logical_volume_identifier": encode_dstring(label, LABEL_SIZE, truncate=truncate),
                "previous_vat_icb_location": previous,
                "number_of_files": files,
                "number_of_directories": directories,
                "minimum_udf_read_revision": revision,
                "minimum_udf_write_revision": revision,
                "maximum_udf_write_revision": revision,
            }
        )
    )


# -- sparing table (UDF 2.2.12) ------------------------------------------------

SparingTable = Struct(
    "tag" / DescriptorTag,
    "sparing_identifier" / EntityId,
    "reallocation_table_length" / Int16ul,
    "reserved" / zeros(2),
    "sequence_number" / Int32ul,
    "map_entries" / Bytes(this.reallocation_table_length * 8),
)
"""56 bytes and the entries, which the length counts: SparingEntry each (UDF 2.2.12)."""

SparingEntry = Struct(
    "original_location" / Int32ul,
    "mapped_location" / Int32ul,
)
"""8 bytes: first block of a packet of the partition, absolute block it lies at (UDF 2.2.12)."""

MAX_SPARING_TABLES = 4
"""Locations that a sparable partition map has room for (UDF 2.2.9)."""

_LOCATIONS = Array(MAX_SPARING_TABLES, Int32ul)


def sparing_locations(fields: Any) -> tuple[int, ...]:
    """Absolute blocks of the tables that a SparablePartitionMap names."""
    every = _LOCATIONS.parse(fields.locations_of_sparing_tables)
    return tuple(every[: fields.number_of_sparing_tables])


def sparable_map(
    revision: int, *, packet: int, locations: Sequence[int], size: int, number: int = 0
) -> bytes:
    """A sparable partition map: tables of `size` bytes at absolute blocks (UDF 2.2.9)."""
    padded = [*locations, *[0] * (MAX_SPARING_TABLES - len(locations))]
    fields = {
        "partition_type_identifier": udf_id(SPARABLE_PARTITION, revision),
        "partition_number": number,
        "packet_length": packet,
        "number_of_sparing_tables": len(locations),
        "size_of_each_sparing_table": size,
        "locations_of_sparing_tables": _LOCATIONS.build(padded),
    }
    return bytes(SparablePartitionMap.build(fields))


def sparing_fields(
    identifier: Mapping[str, Any], sequence: int, entries: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """The fields of a SparingTable; entries of (original, mapped) are sorted here."""
    return {
        "sparing_identifier": identifier,
        "reallocation_table_length": len(entries),
        "sequence_number": sequence,
        "map_entries": b"".join(
            SparingEntry.build({"original_location": original, "mapped_location": mapped})
            for original, mapped in sorted(entries)
        ),
    }


SPARING_AVAILABLE = 0xFFFFFFFF
"""An original location for a spare packet that waits to be used (UDF 2.2.12)."""
SPARING_DEFECTIVE = 0xFFFFFFF0
"""An original location for a spare packet that is itself bad (UDF 2.2.12)."""
