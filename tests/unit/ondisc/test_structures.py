"""Every structure: size, parse, build, and equal bytes for what mkudffs writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from udffs.errors import StructureError
from udffs.ondisc import ecma167, modes, osta, tags
from udffs.ondisc.basic import OSTA_CHARSET, LongAd, ShortAd
from udffs.ondisc.ecma167 import DESCRIPTORS, TagIdentifier
from udffs.ondisc.times import timestamp

from .conftest import BLOCK, KINDS

SIZES = {
    # basic
    "DescriptorTag": 16,
    "CharSpec": 64,
    "Timestamp": 12,
    "EntityId": 32,
    "ExtentAd": 8,
    "LbAddr": 6,
    "ShortAd": 8,
    "LongAd": 16,
    # part 2 and 3
    "VolumeStructureDescriptor": 2048,
    "PrimaryVolumeDescriptor": 512,
    "AnchorVolumeDescriptorPointer": 512,
    "VolumeDescriptorPointer": 512,
    "ImplementationUseVolumeDescriptor": 512,
    "PartitionDescriptor": 512,
    "TerminatingDescriptor": 512,
    "LogicalVolumeHeaderDescriptor": 32,
    # part 4
    "FileSetDescriptor": 512,
    "IcbTag": 20,
    "IndirectEntry": 52,
    "TerminalEntry": 36,
    "PartitionHeaderDescriptor": 128,
    "ExtendedAttributeHeaderDescriptor": 24,
}

OSTA_SIZES = {
    "DomainIdentifierSuffix": 8,
    "UdfIdentifierSuffix": 8,
    "ImplementationIdentifierSuffix": 8,
    "LvInformation": 460,
    "LogicalVolumeIntegrityImplementationUse": 46,
    "Type1PartitionMap": 6,
    "Type2PartitionMap": 64,
    "VirtualPartitionMap": 64,
    "SparablePartitionMap": 64,
    "MetadataPartitionMap": 64,
    "Vat150Tail": 36,
    "Vat200Header": 152,
    "VatExtension": 146,
    "SparingEntry": 8,
}

NO_NAME = bytes(128)
ICB = {"file_type": 5, "flags": 3}
NOW = timestamp(1_700_000_000_123_456_000, 60)

# What must be given for each descriptor, and the bytes it then takes.
MINIMAL: dict[int, tuple[dict[str, Any], int]] = {
    TagIdentifier.PRIMARY_VOLUME: (
        {
            "volume_descriptor_sequence_number": 1,
            "volume_identifier": bytes(32),
            "volume_set_identifier": NO_NAME,
            "recording_date_and_time": NOW,
            "implementation_identifier": osta.implementation_id(),
        },
        512,
    ),
    TagIdentifier.ANCHOR_VOLUME_POINTER: (
        {
            "main_volume_descriptor_sequence_extent": {"length": 32768, "location": 32},
            "reserve_volume_descriptor_sequence_extent": {"length": 32768, "location": 48},
        },
        512,
    ),
    TagIdentifier.VOLUME_POINTER: (
        {
            "volume_descriptor_sequence_number": 2,
            "next_volume_descriptor_sequence_extent": {"length": 2048, "location": 9},
        },
        512,
    ),
    TagIdentifier.IMPLEMENTATION_USE_VOLUME: (
        {
            "volume_descriptor_sequence_number": 3,
            "implementation_identifier": osta.udf_id(osta.LV_INFO, 0x0201),
        },
        512,
    ),
    TagIdentifier.PARTITION: (
        {
            "volume_descriptor_sequence_number": 4,
            "partition_contents": osta.partition_contents_id(0x0201),
            "access_type": ecma167.ACCESS_WRITE_ONCE,
            "partition_starting_location": 257,
            "partition_length": 1000,
            "implementation_identifier": osta.implementation_id(),
        },
        512,
    ),
    TagIdentifier.LOGICAL_VOLUME: (
        {
            "volume_descriptor_sequence_number": 5,
            "logical_volume_identifier": NO_NAME,
            "domain_identifier": osta.domain_id(0x0201),
            "map_table_length": 6,
            "number_of_partition_maps": 1,
            "implementation_identifier": osta.implementation_id(),
            "partition_maps": osta.Type1PartitionMap.build({}),
        },
        446,
    ),
    TagIdentifier.UNALLOCATED_SPACE: ({"volume_descriptor_sequence_number": 6}, 24),
    TagIdentifier.TERMINATING: ({}, 512),
    TagIdentifier.LOGICAL_VOLUME_INTEGRITY: (
        {
            "recording_date_and_time": NOW,
            "logical_volume_contents_use": {"unique_id": 16},
            "number_of_partitions": 2,
            "length_of_implementation_use": 46,
            "free_space_table": [0, 0xFFFFFFFF],
            "size_table": [1000, 0xFFFFFFFF],
            "implementation_use": bytes(46),
        },
        142,
    ),
    TagIdentifier.FILE_SET: (
        {
            "recording_date_and_time": NOW,
            "logical_volume_identifier": NO_NAME,
            "file_set_identifier": bytes(32),
            "root_directory_icb": {"extent_length": 2048},
            "domain_identifier": osta.domain_id(0x0201),
        },
        512,
    ),
    TagIdentifier.FILE_IDENTIFIER: (
        {
            "length_of_file_identifier": 4,
            "icb": {"extent_length": 2048, "udf_unique_id": 17},
            "file_identifier": b"\x08abc",
        },
        44,
    ),
    TagIdentifier.ALLOCATION_EXTENT: ({"length_of_allocation_descriptors": 8}, 24),
    TagIdentifier.INDIRECT_ENTRY: ({"icb_tag": ICB, "indirect_icb": {"extent_length": 2048}}, 52),
    TagIdentifier.TERMINAL_ENTRY: ({"icb_tag": ICB}, 36),
    TagIdentifier.FILE_ENTRY: (
        {
            "icb_tag": ICB,
            "uid": 0,
            "gid": 0,
            "permissions": 0,
            "file_link_count": 1,
            "information_length": 0,
            "logical_blocks_recorded": 0,
            "access_time": NOW,
            "modification_time": NOW,
            "attribute_time": NOW,
            "unique_id": 16,
        },
        176,
    ),
    TagIdentifier.EXTENDED_FILE_ENTRY: (
        {
            "icb_tag": ICB,
            "uid": 0,
            "gid": 0,
            "permissions": 0,
            "file_link_count": 1,
            "information_length": 0,
            "object_size": 0,
            "logical_blocks_recorded": 0,
            "access_time": NOW,
            "modification_time": NOW,
            "creation_time": NOW,
            "attribute_time": NOW,
            "unique_id": 16,
        },
        216,
    ),
    TagIdentifier.EXTENDED_ATTRIBUTE_HEADER: (
        {"implementation_attributes_location": 24, "application_attributes_location": 24},
        24,
    ),
    TagIdentifier.UNALLOCATED_SPACE_ENTRY: (
        {"icb_tag": ICB, "length_of_allocation_descriptors": 0, "allocation_descriptors": b""},
        40,
    ),
    TagIdentifier.SPACE_BITMAP: (
        {"number_of_bits": 12, "number_of_bytes": 2, "bitmap": b"\xff\x0f"},
        26,
    ),
}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_size_of_ecma_structures(name: str, size: int) -> None:
    assert getattr(ecma167, name).sizeof() == size


@pytest.mark.parametrize(("name", "size"), OSTA_SIZES.items())
def test_size_of_osta_structures(name: str, size: int) -> None:
    assert getattr(osta, name).sizeof() == size


@pytest.mark.parametrize("identifier", DESCRIPTORS, ids=lambda one: one.name)
def test_build_parse_build(identifier: TagIdentifier) -> None:
    fields, size = MINIMAL[identifier]
    declaration = DESCRIPTORS[identifier]
    data = tags.seal(declaration, fields, location=77, version=3, serial=5)
    assert len(data) == size
    parsed = tags.unseal(declaration, data, location=77)
    assert parsed.tag.tag_identifier == identifier
    assert parsed.tag.tag_serial_number == 5
    assert tags.seal(declaration, parsed, location=77, version=3, serial=5) == data
    assert tags.unseal_any(data + bytes(9), location=77)[0] == identifier


@pytest.mark.parametrize("identifier", DESCRIPTORS, ids=lambda one: one.name)
def test_every_cut_is_refused(identifier: TagIdentifier) -> None:
    fields, size = MINIMAL[identifier]
    declaration = DESCRIPTORS[identifier]
    data = tags.seal(declaration, fields, location=0, version=2)
    for length in range(size):
        with pytest.raises(StructureError):
            tags.unseal(declaration, data[:length], location=0)


def test_sparing_table() -> None:
    entries = b"".join(
        osta.SparingEntry.build({"original_location": one, "mapped_location": two})
        for one, two in ((32, 320), (0xFFFFFFFF, 352))
    )
    fields = {
        "sparing_identifier": osta.udf_id(osta.SPARING_TABLE, 0x0201),
        "reallocation_table_length": 2,
        "sequence_number": 3,
        "map_entries": entries,
    }
    data = tags.seal(osta.SparingTable, fields, location=160, version=3)
    assert len(data) == 72
    assert tags.unseal(osta.SparingTable, data, location=160).map_entries == entries


# -- the same bytes as mkudffs -------------------------------------------------


def descriptors(image: bytes) -> Iterator[tuple[int, bytes]]:
    """(block, all that follows from there on) of each block that begins with a tag."""
    for block in range(len(image) // BLOCK):
        head = image[block * BLOCK : block * BLOCK + 16]
        if any(head) and head[5] == 0 and not (16 <= block < 32):
            yield block, image[block * BLOCK :]


def rebuilt(declaration: Any, parsed: Any) -> bytes:
    tag = parsed.tag
    fields = {name: value for name, value in parsed.items() if name != "tag"}
    return tags.seal(
        declaration,
        fields,
        location=tag.tag_location,
        version=tag.descriptor_version,
        serial=tag.tag_serial_number,
        crc_length=tag.descriptor_crc_length,
    )


@pytest.mark.strangers
@pytest.mark.parametrize("kind", KINDS)
def test_mkudffs_descriptors_rebuild_the_same(made: Callable[[str], Path], kind: str) -> None:
    image = made(kind).read_bytes()
    seen = set()
    for block, rest in descriptors(image):
        identifier, parsed = tags.unseal_any(rest, location=None)
        declaration = DESCRIPTORS.get(TagIdentifier(identifier), osta.SparingTable)
        assert rebuilt(declaration, parsed) == rest[: len(rebuilt(declaration, parsed))], block
        seen.add(identifier)
    assert {1, 2, 4, 5, 6, 7, 8, 9, 256} < seen


@pytest.mark.strangers
@pytest.mark.parametrize("kind", KINDS)
def test_mkudffs_recognition_sequence(made: Callable[[str], Path], kind: str) -> None:
    image = made(kind).read_bytes()
    nsr = b"NSR03" if "2.01" in kind else b"NSR02"
    for index, identifier in enumerate((b"BEA01", nsr, b"TEA01")):
        built = ecma167.VolumeStructureDescriptor.build({"standard_identifier": identifier})
        assert image[(16 + index) * BLOCK : (17 + index) * BLOCK] == built


def find(image: bytes, identifier: int) -> Any:
    for _block, rest in descriptors(image):
        if rest[0] | rest[1] << 8 == identifier:
            return tags.unseal_any(rest, location=None)[1]
    raise AssertionError(identifier)


@pytest.mark.strangers
@pytest.mark.parametrize("kind", KINDS)
def test_mkudffs_anchor_from_its_meaning(made: Callable[[str], Path], kind: str) -> None:
    """Not only what was parsed: what we would write ourselves, from the facts alone."""
    image = made(kind).read_bytes()
    block = image[256 * BLOCK : 256 * BLOCK + 512]
    parsed = tags.unseal(ecma167.AnchorVolumeDescriptorPointer, block, location=256)
    fields = {
        name: {"length": parsed[name].length, "location": parsed[name].location}
        for name in (
            "main_volume_descriptor_sequence_extent",
            "reserve_volume_descriptor_sequence_extent",
        )
    }
    version = 3 if "2.01" in kind else 2
    serial = parsed.tag.tag_serial_number
    assert block == tags.seal(
        ecma167.AnchorVolumeDescriptorPointer, fields, location=256, version=version, serial=serial
    )


@pytest.mark.strangers
@pytest.mark.parametrize("kind", KINDS)
def test_mkudffs_nested_structures(made: Callable[[str], Path], kind: str) -> None:
    image = made(kind).read_bytes()
    volume = find(image, TagIdentifier.LOGICAL_VOLUME)
    use = volume.logical_volume_contents_use
    assert LongAd.build(LongAd.parse(use)) == use
    suffix = osta.DomainIdentifierSuffix.parse(volume.domain_identifier.suffix)
    assert suffix.udf_revision == (0x0201 if "2.01" in kind else 0x0150)
    assert osta.DomainIdentifierSuffix.build(suffix) == volume.domain_identifier.suffix
    assert volume.domain_identifier.identifier.rstrip(b"\0") == osta.DOMAIN
    assert dict(OSTA_CHARSET).items() <= volume.descriptor_character_set.items()
    information = find(image, TagIdentifier.IMPLEMENTATION_USE_VOLUME).implementation_use
    assert osta.LvInformation.build(osta.LvInformation.parse(information)) == information
    integrity = find(image, TagIdentifier.LOGICAL_VOLUME_INTEGRITY).implementation_use
    parsed = osta.LogicalVolumeIntegrityImplementationUse.parse(integrity)
    assert osta.LogicalVolumeIntegrityImplementationUse.build(parsed) == integrity[:46]
    partition = find(image, TagIdentifier.PARTITION)
    header = ecma167.PartitionHeaderDescriptor.parse(partition.partition_contents_use)
    built = ecma167.PartitionHeaderDescriptor.build(header)
    assert built == partition.partition_contents_use
    bitmap = header.unallocated_space_bitmap
    assert ShortAd.build(ShortAd.parse(bitmap)) == bitmap


MAPS = {
    "cdr": (osta.Type1PartitionMap, osta.VirtualPartitionMap),
    "hd": (osta.Type1PartitionMap,),
    "cdrw": (osta.SparablePartitionMap,),
}


@pytest.mark.strangers
@pytest.mark.parametrize("kind", KINDS)
def test_mkudffs_partition_maps(made: Callable[[str], Path], kind: str) -> None:
    data = find(made(kind).read_bytes(), TagIdentifier.LOGICAL_VOLUME).partition_maps
    for declaration in MAPS[kind.partition("-")[0]]:
        size = declaration.sizeof()
        assert declaration.build(declaration.parse(data[:size])) == data[:size]
        data = data[size:]
    assert data == b""


@pytest.mark.strangers
@pytest.mark.parametrize("kind", ["cdr-1.50", "cdr-2.01", "cdr-2.01-noefe"])
def test_mkudffs_vat(made: Callable[[str], Path], kind: str) -> None:
    image = made(kind).read_bytes()
    last = list(descriptors(image))[-1]
    _identifier, icb = tags.unseal_any(last[1], location=None)
    if icb.icb_tag.flags & 7 == 3:
        content = icb.allocation_descriptors
    else:
        start = ShortAd.parse(icb.allocation_descriptors[:8]).extent_position + 257
        content = image[start * BLOCK : start * BLOCK + icb.information_length]
    if "1.50" in kind:
        assert icb.icb_tag.file_type == modes.FileType.VAT_150
        assert content[-36:-4] == osta.Vat150Tail.build({})[:-4].replace(
            bytes((osta.OS_CLASS_UNIX, osta.OS_LINUX)), content[-10:-8]
        )
        attribute = modes.find_attribute(icb.extended_attributes, 2048)
        assert attribute is not None
        use = ecma167.ImplementationUseExtendedAttribute.parse(attribute)
        assert use.implementation_identifier.identifier.rstrip(b"\0") == osta.VAT_EXTENSION
        extension = osta.VatExtension.parse(use.implementation_use)
        assert osta.VatExtension.build(extension) == use.implementation_use
    else:
        assert icb.icb_tag.file_type == modes.FileType.VAT_200
        expected = osta.build_vat_header(
            label="A label", previous=0xFFFFFFFF, files=0, directories=1, revision=0x0201
        )
        assert content[:152] == expected
