"""The descriptors of a volume, as we write them.

Pure: fields in, bytes out. What every volume has; where it goes is for
session.py (write-once discs) and rewritable/structures.py to say. Addresses are
absolute blocks, times nanoseconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from udffs.ondisc import ecma167, hot, modes, osta, tags, text, times
from udffs.ondisc.intentlog import IntegrityExtension, build_integrity
from udffs.volume.model import BLOCK

VRS_AT = 16  # blocks from the start of a session or a disc (2/8.3)
SEQUENCE_BLOCKS = 16  # the least that ECMA-167 3/8.4.2.2 allows
INTEGRITY_BLOCKS = 2
UNKNOWN_SIZE = 0xFFFFFFFF
FIRST_UNIQUE_ID = 16  # 0 is the root's, 1 to 15 are reserved (UDF 3.2.1.1)

VIRTUAL_FILE_SET = 0  # virtual block numbers of what every volume has
VIRTUAL_ROOT = 1
PHYSICAL_REFERENCE = 0
VIRTUAL_REFERENCE = 1


@dataclass(frozen=True)
class VolumeDescription:
    """What the descriptors of a volume say.

    ``set_identifier`` is the volume set identifier; its first 16 characters
    are unique (UDF 2.2.2.5). ``partition_start`` and ``partition_length`` are
    in blocks, the same in every session; its number is 0.
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


Extent = tuple[int, int]
"""Length in bytes and absolute block."""

Sequences = tuple[Extent, Extent]
"""The main and the reserve volume descriptor sequence."""


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


def recognition_sequence(volume: VolumeDescription) -> list[bytes]:
    """The blocks of a volume recognition sequence (2/8.3, 3/9.1)."""
    nsr = b"NSR02" if volume.revision < 0x0200 else b"NSR03"
    return [
        ecma167.VolumeStructureDescriptor.build({"standard_identifier": identifier})
        for identifier in (b"BEA01", nsr, b"TEA01")
    ]


# -- the volume descriptor sequence (3/8.4.2) ------------------------------------

Fields = dict[str, object]


def descriptor_sequence(
    volume: VolumeDescription, at: int, descriptors: Iterable[tuple[Any, Fields]]
) -> list[bytes]:
    """Descriptors as (declaration, fields), numbered, from block ``at`` on;
    a terminating one behind them."""
    blocks = [
        tags.seal(
            declaration,
            {**fields, "volume_descriptor_sequence_number": number},
            location=at + number,
            version=volume.version,
        )
        for number, (declaration, fields) in enumerate(descriptors)
    ]
    return [*blocks, terminator(volume, at + len(blocks))]


def vat_descriptors(volume: VolumeDescription, integrity: Extent) -> list[tuple[Any, Fields]]:
    """What a session on a write-once disc has in its sequences; ``integrity`` is the
    extent of its integrity sequence."""
    maps = osta.Type1PartitionMap.build({}) + osta.VirtualPartitionMap.build(
        {"partition_type_identifier": osta.udf_id(osta.VIRTUAL_PARTITION, volume.revision)}
    )
    logical = logical_fields(
        volume,
        maps=maps,
        count=2,
        file_set=virtual_block(VIRTUAL_FILE_SET),
        integrity=integrity,
    )
    return [
        (ecma167.PrimaryVolumeDescriptor, primary_fields(volume)),
        (ecma167.ImplementationUseVolumeDescriptor, information_fields(volume)),
        (ecma167.PartitionDescriptor, partition_fields(volume, ecma167.ACCESS_WRITE_ONCE)),
        (ecma167.LogicalVolumeDescriptor, logical),
        (ecma167.UnallocatedSpaceDescriptor, {}),
    ]


def primary_fields(volume: VolumeDescription) -> Fields:
    """Of a primary volume descriptor (3/10.1)."""
    return {
        "volume_identifier": text.encode_dstring(volume.label, 32, truncate=True),
        "volume_set_identifier": text.encode_dstring(volume.set_identifier, 128),
        "recording_date_and_time": times.timestamp(volume.created),
        "application_identifier": osta.implementation_id(),
        "implementation_identifier": osta.implementation_id(),
    }


def information_fields(volume: VolumeDescription) -> Fields:
    """Of the implementation use volume descriptor "*UDF LV Info" (UDF 2.2.7)."""
    information = osta.LvInformation.build(
        {
            "logical_volume_identifier": text.encode_label(volume.label),
            "implementation_id": osta.implementation_id(),
        }
    )
    return {
        "implementation_identifier": osta.udf_id(osta.LV_INFO, volume.revision),
        "implementation_use": information,
    }


def partition_fields(volume: VolumeDescription, access: int, header: bytes = b"") -> Fields:
    """Of a partition descriptor of that access type; ``header`` is its
    partition header descriptor (3/10.5, 4/14.3)."""
    return {
        "partition_contents": osta.partition_contents_id(volume.revision),
        "partition_contents_use": header.ljust(128, b"\0"),
        "access_type": access,
        "partition_starting_location": volume.partition_start,
        "partition_length": volume.partition_length,
        "implementation_identifier": osta.implementation_id(),
    }


def logical_fields(
    volume: VolumeDescription, *, maps: bytes, count: int, file_set: Fields, integrity: Extent
) -> Fields:
    """Of a logical volume descriptor with ``count`` partition maps; ``file_set``
    is a long_ad (3/10.6)."""
    length, location = integrity
    return {
        "logical_volume_identifier": text.encode_label(volume.label),
        "domain_identifier": osta.domain_id(volume.revision),
        "logical_volume_contents_use": ecma167.LongAd.build(file_set),
        "map_table_length": len(maps),
        "number_of_partition_maps": count,
        "implementation_identifier": osta.implementation_id(),
        "integrity_sequence_extent": {"length": length, "location": location},
        "partition_maps": maps,
    }


def virtual_block(number: int, unique_id: int = 0) -> Fields:
    """The fields of a long_ad to one block of the virtual partition."""
    return block_address(number, VIRTUAL_REFERENCE, unique_id)


def block_address(number: int, reference: int, unique_id: int = 0, *, blocks: int = 1) -> Fields:
    """The fields of a long_ad to one block of a partition, or some."""
    return {
        "extent_length": blocks * BLOCK,
        "location": {
            "logical_block_number": number,
            "partition_reference_number": reference,
        },
        "udf_unique_id": unique_id,
    }


# -- integrity (3/10.10, UDF 2.2.6) ----------------------------------------------


@dataclass(frozen=True)
class IntegrityState:
    """What an integrity descriptor says; ``free`` and ``sizes`` in blocks, one
    for each partition. ``minimum_write`` None: the volume's own revision."""

    is_open: bool
    recorded: int
    next_unique_id: int
    files: int
    directories: int
    free: tuple[int, ...]
    sizes: tuple[int, ...]
    minimum_write: int | None = None
    extension: IntegrityExtension | None = None


def integrity(volume: VolumeDescription, location: int, state: IntegrityState) -> bytes:
    """A logical volume integrity descriptor; not padded to a block without extension."""
    write = volume.revision if state.minimum_write is None else state.minimum_write
    use = osta.LogicalVolumeIntegrityImplementationUse.build(
        {
            "implementation_id": osta.implementation_id(),
            "number_of_files": state.files,
            "number_of_directories": state.directories,
            "minimum_udf_read_revision": volume.revision,
            "minimum_udf_write_revision": write,
            "maximum_udf_write_revision": max(write, volume.revision),
        }
    )
    kind = ecma167.INTEGRITY_OPEN if state.is_open else ecma167.INTEGRITY_CLOSED
    fields = {
        "recording_date_and_time": times.timestamp(state.recorded),
        "integrity_type": kind,
        "logical_volume_contents_use": {"unique_id": state.next_unique_id},
        "number_of_partitions": len(state.sizes),
        "free_space_table": list(state.free),
        "size_table": list(state.sizes),
        "length_of_implementation_use": len(use),
        "implementation_use": use,
    }
    version = volume.version
    if state.extension is not None:
        return build_integrity(fields, state.extension, location=location, version=version)
    return tags.seal(
        ecma167.LogicalVolumeIntegrityDescriptor, fields, location=location, version=version
    )


def vat_integrity(volume: VolumeDescription, location: int) -> bytes:
    """The integrity descriptor of a volume with a VAT."""
    # It stays open: on a VAT volume the VAT is what is kept up to date, and
    # the sizes of the virtual partition are not known (UDF 6.10.1.1).
    state = IntegrityState(
        is_open=True,
        recorded=volume.created,
        next_unique_id=FIRST_UNIQUE_ID,
        files=0,
        directories=1,
        free=(UNKNOWN_SIZE, UNKNOWN_SIZE),
        sizes=(volume.partition_length, UNKNOWN_SIZE),
    )
    return integrity(volume, location, state)


def terminator(volume: VolumeDescription, location: int) -> bytes:
    """A terminating descriptor (3/10.9, 4/14.2)."""
    return tags.seal(ecma167.TerminatingDescriptor, {}, location=location, version=volume.version)


# -- files -------------------------------------------------------------------------


def file_set(
    volume: VolumeDescription,
    *,
    location: int = VIRTUAL_FILE_SET,
    root: Fields | None = None,
) -> bytes:
    """The file set descriptor, one block (ECMA-167 4/14.1): at that block of its
    partition, with the root directory at ``root``, a long_ad; as they are with
    a VAT where nothing is said."""
    fields = {
        "recording_date_and_time": times.timestamp(volume.created),
        "logical_volume_identifier": text.encode_label(volume.label),
        "file_set_identifier": text.encode_dstring(volume.label, 32, truncate=True),
        "root_directory_icb": root or virtual_block(VIRTUAL_ROOT),
        "domain_identifier": osta.domain_id(volume.revision),
    }
    return tags.seal(
        ecma167.FileSetDescriptor, fields, location=location, version=volume.version
    ).ljust(BLOCK, b"\0")


def root_directory(
    volume: VolumeDescription,
    location: int,
    content: bytes,
    *,
    uid: int,
    gid: int,
    mode: int,
    block: int | None = None,
) -> bytes:
    """The ICB of a new volume's root directory: one block; its ``location`` is the logical
    block number. Its content is in it, or in the ``block`` of the physical partition."""
    permissions, flags = modes.permissions_from_mode(mode)
    allocation, kind = content, hot.ALLOCATION_EMBEDDED
    if block is not None:
        # (bytes, type, logical block, partition reference, ...) as ondisc/allocation.py has it
        ad = (len(content), ecma167.ExtentType.RECORDED, block, PHYSICAL_REFERENCE)
        allocation, kind = hot.pack_long_ads([ad]), hot.ALLOCATION_LONG
    return hot.build_file_entry(
        location=location,
        version=volume.version,
        file_type=modes.FileType.DIRECTORY,
        icb_flags=flags,
        uid=uid,
        gid=gid,
        permissions=permissions,
        link_count=1,
        size=len(content),
        blocks_recorded=0 if block is None else 1,
        atime_ns=volume.created,
        mtime_ns=volume.created,
        ctime_ns=volume.created,
        unique_id=0,
        allocation=allocation,
        allocation_type=kind,
    )


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
