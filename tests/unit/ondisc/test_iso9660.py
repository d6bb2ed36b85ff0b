"""ISO 9660 and Rock Ridge: sizes, and fast builders that follow the declarations."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udffs.errors import InternalError
from udffs.ondisc import iso9660, rockridge
from udffs.ondisc.derive import derive

U8, U16, U32 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32))
SECOND = 1_000_000_000

SIZES = {
    "Both16": 4,
    "Both32": 8,
    "RecordTime": 7,
    "VolumeTime": 17,
    "PrimaryVolumeDescriptor": 2048,
    "SupplementaryVolumeDescriptor": 2048,
    "VolumeDescriptorSetTerminator": 2048,
}
ROCK_RIDGE_SIZES = {
    "SharingProtocolIndicator": 7,
    "ContinuationArea": 28,
    "PosixAttributes": 44,
    "DeviceNumber": 20,
    "TimeStamps": 26,
}


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_sizes(name: str, size: int) -> None:
    assert getattr(iso9660, name).sizeof() == size


@pytest.mark.parametrize(("name", "size"), ROCK_RIDGE_SIZES.items())
def test_sizes_of_entries(name: str, size: int) -> None:
    assert getattr(rockridge, name).sizeof() == size


def test_numbers_in_both_byte_orders() -> None:
    assert iso9660.Both16.build(0x0102) == bytes.fromhex("02010102")
    assert iso9660.Both32.build(0x01020304) == bytes.fromhex("0403020101020304")
    assert iso9660.Both32.parse(bytes.fromhex("0403020101020304")) == 0x01020304
    with pytest.raises(InternalError, match="32 bits"):
        iso9660.both32(1 << 32)
    with pytest.raises(InternalError, match="32 bits"):
        iso9660.both32(-1)


@given(U32)
def test_both32_is_the_declaration(value: int) -> None:
    assert iso9660.both32(value) == iso9660.Both32.build(value)


IDENTIFIERS = st.binary(min_size=1, max_size=132)


@given(IDENTIFIERS, U32, U32, U8, st.binary(max_size=80))
def test_directory_records(
    identifier: bytes, location: int, size: int, flags: int, use: bytes
) -> None:
    time = iso9660.record_time(1_000_000_000 * SECOND)
    built = iso9660.build_directory_record(
        identifier, location, size, flags=flags, time=time, system_use=use
    )
    assert len(built) == iso9660.directory_record_size(identifier, len(use))
    assert len(built) % 2 == 0
    parsed = iso9660.DirectoryRecord.parse(built)
    assert parsed.location_of_extent == location
    assert parsed.data_length == size
    assert parsed.file_flags == flags
    assert parsed.volume_sequence_number == 1
    assert parsed.file_identifier == identifier
    assert parsed.system_use in (use, use + b"\0")
    assert iso9660.DirectoryRecord.build(parsed) == built


def test_a_directory_record_has_254_bytes_at_most() -> None:
    time = iso9660.record_time(0)
    full = iso9660.build_directory_record(b"A", 0, 0, flags=0, time=time, system_use=bytes(220))
    assert len(full) == iso9660.MAX_DIRECTORY_RECORD == full[0]
    with pytest.raises(InternalError, match="256 bytes"):
        iso9660.build_directory_record(b"A", 0, 0, flags=0, time=time, system_use=bytes(221))


@given(IDENTIFIERS, U32, U16)
def test_path_table_records(identifier: bytes, location: int, parent: int) -> None:
    little, big = iso9660.build_path_table_records(identifier, location, parent)
    assert len(little) == len(big) == iso9660.path_table_record_size(identifier)
    kinds = ((iso9660.PathTableRecordL, little), (iso9660.PathTableRecordM, big))
    for declaration, built in kinds:
        parsed = declaration.parse(built)
        assert parsed.location_of_extent == location
        assert parsed.parent_directory_number == parent
        assert parsed.directory_identifier == identifier
        assert declaration.build(parsed) == built


# -- times ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ns", "fields"),
    [
        (0, (70, 1, 1, 0, 0, 0, 0)),
        (-1, (69, 12, 31, 23, 59, 59, 0)),
        (1_709_210_096_999_999_999, (124, 2, 29, 12, 34, 56, 0)),
        (-(10**20), (0, 1, 1, 0, 0, 0, 0)),
        (10**20, (255, 12, 31, 23, 59, 59, 0)),
    ],
)
def test_times_of_records(ns: int, fields: tuple[int, ...]) -> None:
    assert tuple(iso9660.record_time(ns)) == fields


def test_times_of_volumes() -> None:
    fields = iso9660.volume_time(1_709_210_096_129_999_999)
    assert iso9660.VolumeTime.build(fields) == b"2024022912345612\0"


@given(st.integers(-2_208_988_800, 5_869_583_999))
def test_every_second_of_1900_to_2155_comes_back(seconds: int) -> None:
    parsed = iso9660.RecordTime.parse(iso9660.record_time(seconds * SECOND + 5))
    at = datetime.datetime(
        1900 + parsed.years_since_1900,
        parsed.month,
        parsed.day,
        parsed.hour,
        parsed.minute,
        parsed.second,
        tzinfo=datetime.UTC,
    )
    assert at.timestamp() == seconds


# -- Rock Ridge ----------------------------------------------------------------


@given(U32, U32, U32, U32, U32)
def test_px(mode: int, links: int, uid: int, gid: int, serial: int) -> None:
    built = rockridge.build_px(mode=mode, links=links, uid=uid, gid=gid, serial=serial)
    parsed = rockridge.PosixAttributes.parse(built)
    assert (parsed.file_mode, parsed.links) == (mode, links)
    assert (parsed.user_id, parsed.group_id, parsed.serial_number) == (uid, gid, serial)
    same(rockridge.PosixAttributes, parsed, built)


@given(U32, U32)
def test_pn(high: int, low: int) -> None:
    built = rockridge.build_pn(high, low)
    parsed = rockridge.DeviceNumber.parse(built)
    assert (parsed.dev_t_high, parsed.dev_t_low) == (high, low)
    same(rockridge.DeviceNumber, parsed, built)


@given(U32, U32, U32)
def test_ce(block: int, offset: int, size: int) -> None:
    built = rockridge.build_ce(block, offset, size)
    parsed = rockridge.ContinuationArea.parse(built)
    assert (parsed.block_location, parsed.offset) == (block, offset)
    assert parsed.length_of_continuation_area == size
    same(rockridge.ContinuationArea, parsed, built)


def test_tf() -> None:
    times = [iso9660.record_time(n * 10**17) for n in (3, 5, 7)]
    built = rockridge.build_tf(modify=times[0], access=times[1], attributes=times[2])
    parsed = rockridge.TimeStamps.parse(built)
    assert parsed.flags == 0x0E
    for name, time in zip(("modify", "access", "attributes"), times, strict=True):
        assert parsed[name] == iso9660.RecordTime.parse(time)
    same(rockridge.TimeStamps, parsed, built)


@given(st.binary(max_size=250), st.booleans())
def test_nm_and_sl(content: bytes, goes_on: bool) -> None:
    name = rockridge.build_nm(content, goes_on=goes_on)
    parsed = rockridge.AlternateName.parse(name)
    assert (parsed.flags, parsed.name_content) == (goes_on, content)
    same(rockridge.AlternateName, parsed, name)
    link = rockridge.build_sl(content, goes_on=goes_on)
    parsed = rockridge.SymbolicLink.parse(link)
    assert (parsed.flags, parsed.component_area) == (goes_on, content)
    same(rockridge.SymbolicLink, parsed, link)


def test_components() -> None:
    area = rockridge.build_component(b"", 8) + rockridge.build_component(b"abc")
    parts = rockridge.SymbolicLinkComponents.parse(area)
    assert [(part.flags, part.content) for part in parts] == [(8, b""), (0, b"abc")]


def test_an_entry_has_255_bytes_at_most() -> None:
    assert len(rockridge.build_nm(bytes(250))) == 255
    for build in (rockridge.build_nm, rockridge.build_sl):
        with pytest.raises(InternalError, match="256 bytes"):
            build(bytes(251))


def test_er_and_sp() -> None:
    parsed = rockridge.ExtensionsReference.parse(rockridge.EXTENSION_RECORD)
    assert parsed.length == len(rockridge.EXTENSION_RECORD)
    assert (parsed.ext_ver, parsed.ext_id) == (1, b"IEEE_P1282")
    assert parsed.ext_src.endswith(b"P1282 SPECIFICATION.")
    assert bytes.fromhex("53500701beef00") == rockridge.SP


def same(declaration: Any, parsed: Any, built: bytes) -> None:
    """The length says how long it is, and the declaration builds the same."""
    assert parsed.length == len(built)
    assert parsed.version == 1
    assert declaration.build(parsed) == built


def test_no_codec_of_numbers_in_both_byte_orders() -> None:
    with pytest.raises(InternalError, match="both byte orders"):
        derive(iso9660.DirectoryRecord)
