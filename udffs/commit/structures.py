"""The descriptors of a volume, as we write them.

Pure: fields in, bytes out. The layout of a session (UDF 6.10.1) relative to
its first block S: volume recognition sequence at S+16, main and reserve
volume descriptor sequences and the integrity sequence behind it, the anchor
at S+256. Addresses are absolute blocks, times nanoseconds since 1970, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass

from udffs.ondisc import ecma167, osta, tags, text, times
from udffs.volume.model import BLOCK

VRS_AT = 16
MAIN_SEQUENCE_AT = 32
RESERVE_SEQUENCE_AT = 48
INTEGRITY_AT = 64
ANCHOR_AT = 256
SEQUENCE_BLOCKS = 16  # the least that ECMA-167 3/8.4.2.2 allows
INTEGRITY_BLOCKS = 2
SESSION_BLOCKS = ANCHOR_AT + 1
UNKNOWN_SIZE = 0xFFFFFFFF
FIRST_UNIQUE_ID = 16  # 0 is the root's, 1 to 15 are reserved (UDF 3.2.1.1)

VIRTUAL_FILE_SET = 0  # virtual block numbers of what every volume has
VIRTUAL_ROOT = 1
PHYSICAL_REFERENCE = 0
VIRTUAL_REFERENCE = 1


@dataclass(frozen=True)
class VolumeDescription:
    """What the descriptors of a VAT volume say.

    ``set_identifier`` is the volume set identifier; its first 16 characters
    are unique (UDF 2.2.2.5). ``partition_start`` and ``partition_length`` are
    in blocks, the same in every session.
    """

    label: str
    set_identifier: str
    revision: int
    partition_start: int
    partition_length: int
    created: int

    @property
    def version(self) -> int:
        """The version of descriptors (ECMA-167 3/7.2.2, UDF 2.2.1.2)."""
        return 2 if self.revision < 0x0200 else 3


def session_structures(volume: VolumeDescription, start: int) -> bytes:
    """The first 257 blocks of a session that begins at block ``start``."""
    packet = bytearray(SESSION_BLOCKS * BLOCK)

    def place(at: int, data: bytes) -> None:
        packet[at * BLOCK : at * BLOCK + len(data)] = data

    for index, descriptor in enumerate(_recognition_sequence(volume)):
        place(VRS_AT + index, descriptor)
    for at in (MAIN_SEQUENCE_AT, RESERVE_SEQUENCE_AT):
        for index, block in enumerate(_descriptor_sequence(volume, start, start + at)):
            place(at + index, block)
    place(INTEGRITY_AT, _integrity(volume, start + INTEGRITY_AT))
    place(INTEGRITY_AT + 1, _terminator(volume, start + INTEGRITY_AT + 1))
    place(ANCHOR_AT, anchor(volume, sequences(start), start + ANCHOR_AT))
    return bytes(packet)


Extent = tuple[int, int]
"""Length in bytes and absolute block."""

Sequences = tuple[Extent, Extent]
"""The main and the reserve volume descriptor sequence."""


def sequences(session_start: int) -> Sequences:
    """Where the sequences of a session of ours are."""
    length = SEQUENCE_BLOCKS * BLOCK
    return (
        (length, session_start + MAIN_SEQUENCE_AT),
        (length, session_start + RESERVE_SEQUENCE_AT),
    )


def anchor(volume: VolumeDescription, extents: Sequences, location: int) -> bytes:
    """An anchor volume descriptor pointer for block ``location``."""
    main, reserve = ({"length": length, "location": at} for length, at in extents)
    fields = {
        "main_volume_descriptor_sequence_extent": main,
        "reserve_volume_descriptor_sequence_extent": reserve,
    }
    return tags.seal(
        ecma167.AnchorVolumeDescriptorPointer, fields, location=location, version=volume.version
    )


def _recognition_sequence(volume: VolumeDescription) -> list[bytes]:
    nsr = b"NSR02" if volume.revision < 0x0200 else b"NSR03"
    return [
        ecma167.VolumeStructureDescriptor.build({"standard_identifier": identifier})
        for identifier in (b"BEA01", nsr, b"TEA01")
    ]


def _descriptor_sequence(volume: VolumeDescription, start: int, at: int) -> list[bytes]:
    sequence = [
        (ecma167.PrimaryVolumeDescriptor, _primary_fields(volume)),
        (ecma167.ImplementationUseVolumeDescriptor, _use_fields(volume)),
        (ecma167.PartitionDescriptor, _partition_fields(volume)),
        (ecma167.LogicalVolumeDescriptor, _logical_fields(volume, start)),
        (ecma167.UnallocatedSpaceDescriptor, {}),
        (ecma167.TerminatingDescriptor, {}),
    ]
    blocks: list[bytes] = []
    for index, (declaration, fields) in enumerate(sequence):
        if declaration is not ecma167.TerminatingDescriptor:
            fields = {**fields, "volume_descriptor_sequence_number": index}
        blocks.append(tags.seal(declaration, fields, location=at + index, version=volume.version))
    return blocks


def _primary_fields(volume: VolumeDescription) -> dict[str, object]:
    return {
        "volume_identifier": text.encode_dstring(volume.label, 32, truncate=True),
        "volume_set_identifier": text.encode_dstring(volume.set_identifier, 128),
        "recording_date_and_time": times.timestamp(volume.created),
        "application_identifier": osta.implementation_id(),
        "implementation_identifier": osta.implementation_id(),
    }


def _use_fields(volume: VolumeDescription) -> dict[str, object]:
    information = osta.LvInformation.build(
        {
            "logical_volume_identifier": text.encode_label(volume.label),
            "implementation_id": osta.implementation_id(),
        }
    )
    return {
        "implementation_identifier": osta.udf_id(b"*UDF LV Info", volume.revision),
        "implementation_use": information,
    }


def _partition_fields(volume: VolumeDescription) -> dict[str, object]:
    return {
        "partition_contents": osta.partition_contents_id(volume.revision),
        "access_type": ecma167.ACCESS_WRITE_ONCE,
        "partition_starting_location": volume.partition_start,
        "partition_length": volume.partition_length,
        "implementation_identifier": osta.implementation_id(),
    }


def _logical_fields(volume: VolumeDescription, start: int) -> dict[str, object]:
    maps = osta.Type1PartitionMap.build({}) + osta.VirtualPartitionMap.build(
        {"partition_type_identifier": osta.udf_id(b"*UDF Virtual Partition", volume.revision)}
    )
    file_set = ecma167.LongAd.build(virtual_block(VIRTUAL_FILE_SET))
    return {
        "logical_volume_identifier": text.encode_label(volume.label),
        "domain_identifier": osta.domain_id(volume.revision),
        "logical_volume_contents_use": file_set,
        "map_table_length": len(maps),
        "number_of_partition_maps": 2,
        "implementation_identifier": osta.implementation_id(),
        "integrity_sequence_extent": {
            "length": INTEGRITY_BLOCKS * BLOCK,
            "location": start + INTEGRITY_AT,
        },
        "partition_maps": maps,
    }


def virtual_block(number: int, unique_id: int = 0) -> dict[str, object]:
    """The fields of a long_ad to one block of the virtual partition."""
    return {
        "extent_length": BLOCK,
        "location": {
            "logical_block_number": number,
            "partition_reference_number": VIRTUAL_REFERENCE,
        },
        "udf_unique_id": unique_id,
    }


def _integrity(volume: VolumeDescription, location: int) -> bytes:
    use = osta.LogicalVolumeIntegrityImplementationUse.build(
        {
            "implementation_id": osta.implementation_id(),
            "number_of_files": 0,
            "number_of_directories": 1,
            "minimum_udf_read_revision": volume.revision,
            "minimum_udf_write_revision": volume.revision,
            "maximum_udf_write_revision": volume.revision,
        }
    )
    # It stays open: on a VAT volume the VAT is what is kept up to date, and
    # the sizes of the virtual partition are not known (UDF 6.10.1.1).
    fields = {
        "recording_date_and_time": times.timestamp(volume.created),
        "integrity_type": ecma167.INTEGRITY_OPEN,
        "logical_volume_contents_use": {"unique_id": FIRST_UNIQUE_ID},
        "number_of_partitions": 2,
        "free_space_table": [UNKNOWN_SIZE, UNKNOWN_SIZE],
        "size_table": [volume.partition_length, UNKNOWN_SIZE],
        "length_of_implementation_use": len(use),
        "implementation_use": use,
    }
    return tags.seal(
        ecma167.LogicalVolumeIntegrityDescriptor, fields, location=location, version=volume.version
    )


def _terminator(volume: VolumeDescription, location: int) -> bytes:
    return tags.seal(ecma167.TerminatingDescriptor, {}, location=location, version=volume.version)


def file_set(volume: VolumeDescription) -> bytes:
    """The file set descriptor, at virtual block 0 (ECMA-167 4/14.1)."""
    fields = {
        "recording_date_and_time": times.timestamp(volume.created),
        "logical_volume_identifier": text.encode_label(volume.label),
        "file_set_identifier": text.encode_dstring(volume.label, 32, truncate=True),
        "root_directory_icb": virtual_block(VIRTUAL_ROOT),
        "domain_identifier": osta.domain_id(volume.revision),
    }
    return tags.seal(
        ecma167.FileSetDescriptor, fields, location=VIRTUAL_FILE_SET, version=volume.version
    ).ljust(BLOCK, b"\0")


def allocation_extent(*, location: int, version: int, allocation: bytes) -> bytes:
    """An allocation extent descriptor and its descriptors, one block; its
    ``location`` is the logical block number (ECMA-167 4/14.5)."""
    fields = {"length_of_allocation_descriptors": len(allocation)}
    sealed = tags.seal(
        ecma167.AllocationExtentDescriptor,
        fields,
        location=location,
        version=version,
    )
    return (sealed + allocation).ljust(BLOCK, b"\0")
