"""Commands, replies, pages and sense: the declarations themselves."""

from __future__ import annotations

import struct
from typing import Any

import construct
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.mmc import address, bits, commands, features, pages, replies, sense

DECLARATIONS = {
    name: value
    for module in (replies, pages, features, sense)
    for name, value in vars(module).items()
    if isinstance(value, construct.Construct) and name[0].isupper()
}
SIZES = {
    "InquiryData": 36,
    "DiscInformation": 34,
    "TrackInformation": 36,
    "TocHeader": 4,
    "TocEntry": 8,
    "FullTocHeader": 4,
    "FullTocEntry": 11,
    "Atip": 28,
    "BufferCapacity": 12,
    "Capacity": 8,
    "CapacityListHeader": 4,
    "CapacityDescriptor": 8,
    "FormatListHeader": 4,
    "FormatDescriptor": 8,
    "LegacyFormatDescriptor": 8,
    "EventStatus": 4,
    "MediaEvent": 4,
    "ModeHeader6": 4,
    "ModeHeader10": 8,
    "PageHeader": 2,
    "WriteParameters": 52,
    "ErrorRecovery": 12,
    "MrwPage": 8,
    "Capabilities": 32,
    "WriteSpeedDescriptor": 4,
    "FeatureHeader": 8,
    "FeatureDescriptorHeader": 4,
    "ProfileDescriptor": 4,
    "CoreData": 8,
    "MorphingData": 4,
    "RemovableMediumData": 4,
    "RandomReadableData": 8,
    "CdReadData": 4,
    "IncrementalStreamingWritableData": 4,
    "RandomWritableData": 12,
    "FormattableData": 8,
    "DefectManagementData": 4,
    "RestrictedOverwriteData": 0,
    "MrwData": 4,
    "CdTrackAtOnceData": 4,
    "CdMasteringData": 4,
    "TimeoutData": 4,
    "RealTimeStreamingData": 4,
    "FixedSense": 18,
    "DescriptorSense": 8,
    "InformationDescriptor": 10,
    "SenseKeySpecificDescriptor": 6,
}


def values(container: Any) -> dict[str, Any]:
    return {key: value for key, value in container.items() if key and not key.startswith("_")}


@pytest.mark.parametrize("name", sorted(SIZES))
def test_layout_has_the_standards_size_and_goes_both_ways(name: str) -> None:
    layout = DECLARATIONS[name]
    built = layout.build({})
    assert len(built) == layout.sizeof() == SIZES[name]
    assert layout.build(values(layout.parse(built))) == built
    full = layout.parse(b"\xff" * SIZES[name])
    assert values(layout.parse(layout.build(values(full)))) == values(full)


def test_every_layout_of_fixed_size_is_in_the_table() -> None:
    fixed = set()
    for name, layout in DECLARATIONS.items():
        try:
            layout.sizeof()
        except construct.SizeofError:
            continue
        fixed.add(name)
    assert fixed == set(SIZES)


@pytest.mark.parametrize("code", sorted(commands.OPCODES))
def test_command_has_the_size_of_its_group(code: int) -> None:
    layout = commands.OPCODES[code]
    cdb = layout.build({})
    assert cdb[0] == code == layout.parse(cdb).operation_code
    assert len(cdb) == {0: 6, 1: 10, 2: 10, 5: 12}[code >> 5]
    assert commands.name_of(cdb) == commands.NAMES[code]


@pytest.mark.parametrize(
    ("layout", "fields", "cdb"),
    [
        (commands.Inquiry, {"allocation_length": 0x24}, "12 00 00 00 24 00"),
        (commands.ReadDiscInformation, {"allocation_length": 34}, "51 00 00 00 00 00 00 00 22 00"),
        (
            commands.ReadTrackInformation,
            {
                "address_number_type": 1,
                "logical_block_address_track_session_number": 0xFF,
                "allocation_length": 36,
            },
            "52 01 00 00 00 FF 00 00 24 00",
        ),
        (
            commands.ReadTocPmaAtip,
            {"msf": 1, "format": 4, "allocation_length": 28},
            "43 02 04 00 00 00 00 00 1C 00",
        ),
        (commands.PreventAllowMediumRemoval, {"prevent": 1}, "1E 00 00 00 01 00"),
        (
            commands.SetCdSpeed,
            {"logical_unit_write_speed": 2822},
            "BB 00 FF FF 0B 06 00 00 00 00 00 00",
        ),
        (commands.SendOpcInformation, {"do_opc": 1}, "54 01 00 00 00 00 00 00 00 00"),
        (commands.ModeSelect10, {"parameter_list_length": 60}, "55 10 00 00 00 00 00 00 3C 00"),
        (commands.ReserveTrack, {"reservation_size": 330}, "53 00 00 00 00 00 00 01 4A 00"),
        (
            commands.Write10,
            {"logical_block_address": 0x01020304, "transfer_length": 0x0506},
            "2A 00 01 02 03 04 00 05 06 00",
        ),
        (commands.SynchronizeCache, {}, "35 00 00 00 00 00 00 00 00 00"),
        (
            commands.CloseTrackSession,
            {"immed": 1, "close_function": 1, "logical_track_number": 0xFF},
            "5B 01 01 00 00 FF 00 00 00 00",
        ),
        (commands.RepairTrack, {"logical_track_number": 2}, "58 00 00 00 00 02 00 00 00 00"),
        (
            commands.GetEventStatusNotification,
            {"polled": 1, "notification_class_request": 16, "allocation_length": 8},
            "4A 01 00 00 10 00 00 00 08 00",
        ),
        (commands.StartStopUnit, {"load_eject": 1}, "1B 00 00 00 02 00"),
        (commands.Blank, {"immed": 1, "blanking_type": 1}, "A1 11 00 00 00 00 00 00 00 00 00 00"),
        (commands.FormatUnit, {"format_data": 1, "format_code": 1}, "04 11 00 00 00 00"),
    ],
)
def test_command_bytes(layout: Any, fields: dict[str, int], cdb: str) -> None:
    assert layout.build(fields) == bytes.fromhex(cdb)


def test_track_information_of_a_real_drive() -> None:
    raw = bytes.fromhex("0022 01 01 00 07 b2 00 00000000 00000000 00000000 00000020 00048160")
    info = bits.parse(replies.TrackInformation, raw)
    assert (info.logical_track_number_lsb, info.session_number_lsb) == (1, 1)
    assert (info.track_mode, info.data_mode) == (7, 2)
    assert (info.reserved_track, info.blank, info.packet, info.fixed_packet) == (1, 0, 1, 1)
    assert (info.fixed_packet_size, info.logical_track_size) == (32, 295264)
    assert info.next_writable_address_valid == 0


def test_reply_that_is_cut_off_reads_as_zeros() -> None:
    raw = replies.TrackInformation.build(
        {"logical_track_number_lsb": 3, "last_recorded_address": 9}
    )
    assert bits.parse(replies.TrackInformation, raw[:8]).logical_track_number_lsb == 3
    assert bits.parse(replies.TrackInformation, raw[:28]).last_recorded_address == 0


@given(st.integers(0, 2**32 - 1), st.integers(0, 0xFFFF))
def test_fast_twin_equals_the_declaration(block: int, count: int) -> None:
    fields = {"logical_block_address": block, "transfer_length": count}
    assert commands.WRITE10_FAST.pack(0x2A, block, count) == commands.Write10.build(fields)
    assert commands.READ10_FAST.pack(0x28, block, count) == commands.Read10.build(fields)
    assert commands.READ10_FAST.unpack(commands.Read10.build(fields)) == (0x28, block, count)


def test_fast_twin_refuses_what_is_not_whole_bytes() -> None:
    with pytest.raises(ValueError, match="whole number of bytes"):
        bits.packer(commands.Read10, "force_unit_access")
    with pytest.raises(ValueError, match="the declaration has"):
        bits.packer(commands.Read10, "nonsense")
    assert isinstance(commands.READ10_FAST, struct.Struct)


@pytest.mark.parametrize(
    ("block", "msf"),
    [(0, (0, 2, 0)), (-150, (0, 0, 0)), (336_075, (74, 43, 0)), (359_849, (79, 59, 74))],
)
def test_times(block: int, msf: tuple[int, int, int]) -> None:
    assert address.to_msf(block) == msf
    assert address.from_msf(*msf) == block


@given(st.integers(-20_000, 404_000))
def test_times_go_both_ways(block: int) -> None:
    assert address.from_msf(*address.to_msf(block)) == block


@given(
    st.integers(2, 15),
    st.integers(0, 255),
    st.integers(0, 255),
    st.none() | st.integers(0, 65535),
    st.none() | st.integers(0, 2**32 - 1),
)
def test_sense_goes_both_ways(
    key: int, asc: int, ascq: int, progress: int | None, block: int | None
) -> None:
    part = None if progress is None else progress / 65536
    raw = sense.encode(key, asc, ascq, part, block)
    assert len(raw) == 18
    assert sense.decode(raw) == sense.Sense(key, asc, ascq, part, block)


def test_descriptor_sense() -> None:
    header = sense.DescriptorSense.build(
        {"sense_key": 2, "additional_sense_code": 4, "additional_sense_code_qualifier": 7}
    )
    progress = sense.SenseKeySpecificDescriptor.build(
        {"sense_key_specific_valid": 1, "progress_indication": 0x8000}
    )
    information = sense.InformationDescriptor.build({"valid": 1, "information": 77})
    raw = header + b"\x02\x06" + progress + b"\x00\x0a" + information
    assert sense.decode(raw) == sense.Sense(2, 4, 7, 0.5, 77)


@given(st.binary(max_size=64))
def test_any_bytes_are_some_sense(raw: bytes) -> None:
    found = sense.decode(raw)
    assert sense.words(*found.code)


def test_deferred_sense() -> None:
    raw = bytearray(sense.encode(3, 0x0C, 0x00))
    raw[0] |= 1
    assert sense.decode(bytes(raw)).deferred
