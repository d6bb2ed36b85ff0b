"""Volume structures: ECMA-167 part 2 (recognition) and part 3 (volumes)."""

from __future__ import annotations

from construct import Array, Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Struct, this

from udffs.ondisc.basic import (
    NO_ENTITY,
    NO_EXTENT,
    OSTA_CHARSET,
    CharSpec,
    DescriptorTag,
    EntityId,
    ExtentAd,
    Timestamp,
    default,
    number,
    zeros,
)

VolumeStructureDescriptor = Struct(
    "structure_type" / number(Int8ul),
    "standard_identifier" / Bytes(5),
    "structure_version" / number(Int8ul, 1),
    "structure_data" / zeros(2041),
)
"""2,048 bytes from byte 32,768 of a session on: BEA01, NSR02 or NSR03, TEA01 (2/9.1, 3/9.1)."""

PrimaryVolumeDescriptor = Struct(
    "tag" / DescriptorTag,
    "volume_descriptor_sequence_number" / Int32ul,
    "primary_volume_descriptor_number" / number(Int32ul),
    "volume_identifier" / Bytes(32),
    "volume_sequence_number" / number(Int16ul, 1),
    "maximum_volume_sequence_number" / number(Int16ul, 1),
    "interchange_level" / number(Int16ul, 2),
    "maximum_interchange_level" / number(Int16ul, 2),
    "character_set_list" / number(Int32ul, 1),
    "maximum_character_set_list" / number(Int32ul, 1),
    "volume_set_identifier" / Bytes(128),
    "descriptor_character_set" / default(CharSpec, OSTA_CHARSET),
    "explanatory_character_set" / default(CharSpec, OSTA_CHARSET),
    "volume_abstract" / default(ExtentAd, NO_EXTENT),
    "volume_copyright_notice" / default(ExtentAd, NO_EXTENT),
    "application_identifier" / default(EntityId, NO_ENTITY),
    "recording_date_and_time" / Timestamp,
    "implementation_identifier" / EntityId,
    "implementation_use" / zeros(64),
    "predecessor_volume_descriptor_sequence_location" / number(Int32ul),
    "flags" / number(Int16ul),
    "reserved" / zeros(22),
)
"""512 bytes, the volume and its set (3/10.1, UDF 2.2.2)."""

AnchorVolumeDescriptorPointer = Struct(
    "tag" / DescriptorTag,
    "main_volume_descriptor_sequence_extent" / ExtentAd,
    "reserve_volume_descriptor_sequence_extent" / ExtentAd,
    "reserved" / zeros(480),
)
"""512 bytes, where everything begins (3/10.2, UDF 2.2.3)."""

VolumeDescriptorPointer = Struct(
    "tag" / DescriptorTag,
    "volume_descriptor_sequence_number" / Int32ul,
    "next_volume_descriptor_sequence_extent" / ExtentAd,
    "reserved" / zeros(484),
)
"""512 bytes, the sequence goes on elsewhere (3/10.3)."""

ImplementationUseVolumeDescriptor = Struct(
    "tag" / DescriptorTag,
    "volume_descriptor_sequence_number" / Int32ul,
    "implementation_identifier" / EntityId,
    "implementation_use" / zeros(460),
)
"""512 bytes (3/10.4); UDF's "*UDF LV Info" puts an osta.LvInformation in it (UDF 2.2.7)."""

PartitionDescriptor = Struct(
    "tag" / DescriptorTag,
    "volume_descriptor_sequence_number" / Int32ul,
    "partition_flags" / number(Int16ul, 1),
    "partition_number" / number(Int16ul),
    "partition_contents" / EntityId,
    "partition_contents_use" / zeros(128),
    "access_type" / Int32ul,
    "partition_starting_location" / Int32ul,
    "partition_length" / Int32ul,
    "implementation_identifier" / EntityId,
    "implementation_use" / zeros(128),
    "reserved" / zeros(156),
)
"""512 bytes; start and length in blocks of the volume (3/10.5, UDF 2.2.14)."""

ACCESS_READ_ONLY = 1
ACCESS_WRITE_ONCE = 2
ACCESS_REWRITABLE = 3
ACCESS_OVERWRITABLE = 4
"""Access types of a partition (3/10.5.7)."""

LogicalVolumeDescriptor = Struct(
    "tag" / DescriptorTag,
    "volume_descriptor_sequence_number" / Int32ul,
    "descriptor_character_set" / default(CharSpec, OSTA_CHARSET),
    "logical_volume_identifier" / Bytes(128),
    "logical_block_size" / number(Int32ul, 2048),
    "domain_identifier" / EntityId,
    "logical_volume_contents_use" / zeros(16),
    "map_table_length" / Int32ul,
    "number_of_partition_maps" / Int32ul,
    "implementation_identifier" / EntityId,
    "implementation_use" / zeros(128),
    "integrity_sequence_extent" / default(ExtentAd, NO_EXTENT),
    "partition_maps" / Bytes(this.map_table_length),
)
"""440 bytes and the maps, which osta.py reads; the contents use is a
basic.LongAd to the file set descriptor (3/10.6, UDF 2.2.4)."""

UnallocatedSpaceDescriptor = Struct(
    "tag" / DescriptorTag,
    "volume_descriptor_sequence_number" / Int32ul,
    "number_of_allocation_descriptors" / number(Int32ul),
    "allocation_descriptors" / default(Array(this.number_of_allocation_descriptors, ExtentAd), ()),
)
"""24 bytes and 8 for each extent (3/10.8, UDF 2.2.5)."""

TerminatingDescriptor = Struct(
    "tag" / DescriptorTag,
    "reserved" / zeros(496),
)
"""512 bytes, the end of a sequence (3/10.9, 4/14.2)."""

LogicalVolumeHeaderDescriptor = Struct(
    "unique_id" / Int64ul,
    "reserved" / zeros(24),
)
"""32 bytes, the next unique id (4/14.15, UDF 3.2.1)."""

LogicalVolumeIntegrityDescriptor = Struct(
    "tag" / DescriptorTag,
    "recording_date_and_time" / Timestamp,
    "integrity_type" / number(Int32ul),
    "next_integrity_extent" / default(ExtentAd, NO_EXTENT),
    "logical_volume_contents_use" / LogicalVolumeHeaderDescriptor,
    "number_of_partitions" / Int32ul,
    "length_of_implementation_use" / Int32ul,
    "free_space_table" / Array(this.number_of_partitions, Int32ul),
    "size_table" / Array(this.number_of_partitions, Int32ul),
    "implementation_use" / Bytes(this.length_of_implementation_use),
)
"""80 bytes, two tables, and an
osta.LogicalVolumeIntegrityImplementationUse (3/10.10, UDF 2.2.6)."""

INTEGRITY_OPEN = 0
INTEGRITY_CLOSED = 1
"""Integrity types (3/10.10.3)."""
