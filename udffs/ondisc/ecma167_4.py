"""File structures: ECMA-167 part 4."""

from __future__ import annotations

from typing import Any

from construct import Bytes, Int8ul, Int16ul, Int32ul, Int64ul, Struct, this

from udffs.ondisc.basic import (
    NO_ADDRESS,
    NO_ENTITY,
    NO_LONG_AD,
    OSTA_CHARSET,
    CharSpec,
    DescriptorTag,
    EntityId,
    LbAddr,
    LongAd,
    Timestamp,
    default,
    number,
    zeros,
)

FileSetDescriptor = Struct(
    "tag" / DescriptorTag,
    "recording_date_and_time" / Timestamp,
    "interchange_level" / number(Int16ul, 3),
    "maximum_interchange_level" / number(Int16ul, 3),
    "character_set_list" / number(Int32ul, 1),
    "maximum_character_set_list" / number(Int32ul, 1),
    "file_set_number" / number(Int32ul),
    "file_set_descriptor_number" / number(Int32ul),
    "logical_volume_identifier_character_set" / default(CharSpec, OSTA_CHARSET),
    "logical_volume_identifier" / Bytes(128),
    "file_set_character_set" / default(CharSpec, OSTA_CHARSET),
    "file_set_identifier" / Bytes(32),
    "copyright_file_identifier" / zeros(32),
    "abstract_file_identifier" / zeros(32),
    "root_directory_icb" / LongAd,
    "domain_identifier" / EntityId,
    "next_extent" / default(LongAd, NO_LONG_AD),
    "system_stream_directory_icb" / default(LongAd, NO_LONG_AD),
    "reserved" / zeros(32),
)
"""512 bytes, where the tree begins (4/14.1, UDF 2.3.2)."""


def _padding(context: Any) -> int:
    """Bytes that bring a file identifier descriptor to a multiple of four (4/14.4.9)."""
    head = 38
    used: int = head + context.length_of_implementation_use + context.length_of_file_identifier
    return -used % 4


FileIdentifierDescriptor = Struct(
    "tag" / DescriptorTag,
    "file_version_number" / number(Int16ul, 1),
    "file_characteristics" / number(Int8ul),
    "length_of_file_identifier" / Int8ul,
    "icb" / LongAd,
    "length_of_implementation_use" / number(Int16ul),
    "implementation_use" / default(Bytes(this.length_of_implementation_use), b""),
    "file_identifier" / default(Bytes(this.length_of_file_identifier), b""),
    "padding" / default(Bytes(_padding), lambda context: bytes(_padding(context))),
)
"""38 bytes, implementation use, name, padding: an entry of a directory (4/14.4, UDF 2.3.4)."""

FID_HIDDEN = 0x01
FID_DIRECTORY = 0x02
FID_DELETED = 0x04
FID_PARENT = 0x08
FID_METADATA = 0x10
"""File characteristics (4/14.4.3)."""

AllocationExtentDescriptor = Struct(
    "tag" / DescriptorTag,
    "previous_allocation_extent_location" / number(Int32ul),
    "length_of_allocation_descriptors" / Int32ul,
)
"""24 bytes; the allocation descriptors that no longer fit into the ICB stand
behind it and are not part of it (4/14.5, UDF 2.3.11). See hot.py."""

IcbTag = Struct(
    "prior_recorded_number_of_direct_entries" / number(Int32ul),
    "strategy_type" / number(Int16ul, 4),
    "strategy_parameter" / zeros(2),
    "maximum_number_of_entries" / number(Int16ul, 1),
    "reserved" / number(Int8ul),
    "file_type" / Int8ul,
    "parent_icb_location" / default(LbAddr, NO_ADDRESS),
    "flags" / Int16ul,
)
"""20 bytes (4/14.6, UDF 2.3.5)."""

IndirectEntry = Struct(
    "tag" / DescriptorTag,
    "icb_tag" / IcbTag,
    "indirect_icb" / LongAd,
)
"""52 bytes (4/14.7)."""

TerminalEntry = Struct(
    "tag" / DescriptorTag,
    "icb_tag" / IcbTag,
)
"""36 bytes (4/14.8)."""

FileEntry = Struct(
    "tag" / DescriptorTag,
    "icb_tag" / IcbTag,
    "uid" / Int32ul,
    "gid" / Int32ul,
    "permissions" / Int32ul,
    "file_link_count" / Int16ul,
    "record_format" / number(Int8ul),
    "record_display_attributes" / number(Int8ul),
    "record_length" / number(Int32ul),
    "information_length" / Int64ul,
    "logical_blocks_recorded" / Int64ul,
    "access_time" / Timestamp,
    "modification_time" / Timestamp,
    "attribute_time" / Timestamp,
    "checkpoint" / number(Int32ul, 1),
    "extended_attribute_icb" / default(LongAd, NO_LONG_AD),
    "implementation_identifier" / default(EntityId, NO_ENTITY),
    "unique_id" / Int64ul,
    "length_of_extended_attributes" / number(Int32ul),
    "length_of_allocation_descriptors" / number(Int32ul),
    "extended_attributes" / default(Bytes(this.length_of_extended_attributes), b""),
    "allocation_descriptors" / default(Bytes(this.length_of_allocation_descriptors), b""),
)
"""176 bytes, attributes, allocation descriptors or content (4/14.9, UDF 2.3.6)."""

ExtendedFileEntry = Struct(
    "tag" / DescriptorTag,
    "icb_tag" / IcbTag,
    "uid" / Int32ul,
    "gid" / Int32ul,
    "permissions" / Int32ul,
    "file_link_count" / Int16ul,
    "record_format" / number(Int8ul),
    "record_display_attributes" / number(Int8ul),
    "record_length" / number(Int32ul),
    "information_length" / Int64ul,
    "object_size" / Int64ul,
    "logical_blocks_recorded" / Int64ul,
    "access_time" / Timestamp,
    "modification_time" / Timestamp,
    "creation_time" / Timestamp,
    "attribute_time" / Timestamp,
    "checkpoint" / number(Int32ul, 1),
    "reserved" / number(Int32ul),
    "extended_attribute_icb" / default(LongAd, NO_LONG_AD),
    "stream_directory_icb" / default(LongAd, NO_LONG_AD),
    "implementation_identifier" / default(EntityId, NO_ENTITY),
    "unique_id" / Int64ul,
    "length_of_extended_attributes" / number(Int32ul),
    "length_of_allocation_descriptors" / number(Int32ul),
    "extended_attributes" / default(Bytes(this.length_of_extended_attributes), b""),
    "allocation_descriptors" / default(Bytes(this.length_of_allocation_descriptors), b""),
)
"""216 bytes, attributes, allocation descriptors or content (4/14.17)."""

UnallocatedSpaceEntry = Struct(
    "tag" / DescriptorTag,
    "icb_tag" / IcbTag,
    "length_of_allocation_descriptors" / Int32ul,
    "allocation_descriptors" / Bytes(this.length_of_allocation_descriptors),
)
"""40 bytes and short allocation descriptors (4/14.11)."""

SpaceBitmapDescriptor = Struct(
    "tag" / DescriptorTag,
    "number_of_bits" / Int32ul,
    "number_of_bytes" / Int32ul,
    "bitmap" / Bytes(this.number_of_bytes),
)
"""24 bytes and the bitmap, a set bit is a free block (4/14.12, UDF 2.3.8)."""

PartitionHeaderDescriptor = Struct(
    "unallocated_space_table" / Bytes(8),
    "unallocated_space_bitmap" / Bytes(8),
    "partition_integrity_table" / Bytes(8),
    "freed_space_table" / Bytes(8),
    "freed_space_bitmap" / Bytes(8),
    "reserved" / zeros(88),
)
"""128 bytes, the contents use of a partition descriptor: basic.ShortAd each (4/14.3)."""

ExtendedAttributeHeaderDescriptor = Struct(
    "tag" / DescriptorTag,
    "implementation_attributes_location" / Int32ul,
    "application_attributes_location" / Int32ul,
)
"""24 bytes before the attributes of a file; bytes from its own start (4/14.10.1, UDF 3.3.4.1)."""

ExtendedAttribute = Struct(
    "attribute_type" / Int32ul,
    "attribute_subtype" / number(Int8ul, 1),
    "reserved" / zeros(3),
    "attribute_length" / Int32ul,
    "attribute_data" / Bytes(lambda context: context.attribute_length - 12),
)
"""12 bytes and the attribute, in the form all of them share (4/14.10.2)."""

FileTimesExtendedAttribute = Struct(
    "data_length" / Int32ul,
    "file_time_existence" / Int32ul,
    "file_times" / Bytes(this.data_length),
)
"""The data of attribute type 5: one Timestamp for each bit set (4/14.10.5)."""

DeviceSpecificationExtendedAttribute = Struct(
    "implementation_use_length" / Int32ul,
    "major_device_identification" / Int32ul,
    "minor_device_identification" / Int32ul,
    "implementation_use" / Bytes(this.implementation_use_length),
)
"""The data of attribute type 12: which device a device node means (4/14.10.7, UDF 3.3.4.4)."""

ImplementationUseExtendedAttribute = Struct(
    "implementation_use_length" / Int32ul,
    "implementation_identifier" / EntityId,
    "implementation_use" / Bytes(this.implementation_use_length),
)
"""The data of attribute type 2048 (4/14.10.8, UDF 3.3.4.5)."""

ATTRIBUTE_FILE_TIMES = 5
ATTRIBUTE_DEVICE_SPECIFICATION = 12
ATTRIBUTE_IMPLEMENTATION_USE = 2048

PathComponent = Struct(
    "component_type" / Int8ul,
    "length_of_component_identifier" / number(Int8ul),
    "component_file_version_number" / number(Int16ul),
    "component_identifier" / default(Bytes(this.length_of_component_identifier), b""),
)
"""4 bytes and a name: a step of a symbolic link's target (4/14.16.1)."""

COMPONENT_ROOT = 1
COMPONENT_VOLUME_ROOT = 2
COMPONENT_PARENT = 3
COMPONENT_CURRENT = 4
COMPONENT_NAME = 5
"""Component types (4/14.16.1.1)."""
