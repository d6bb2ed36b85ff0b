"""Command descriptor blocks: one declaration each (SPC-4, SBC-3, MMC-6).

``Write10.build({"logical_block_address": 16, "transfer_length": 32})`` makes a
command, ``Write10.parse(cdb)`` reads one; addresses and transfer lengths count
blocks of 2,048 bytes, allocation and parameter list lengths count bytes.
"""

from __future__ import annotations

from typing import Any

import construct as c

from media.mmc.bits import field, packer, reserved

OPCODES: dict[int, Any] = {}
NAMES: dict[int, str] = {}


def _command(name: str, code: int, *fields: Any) -> Any:
    """Declare a command; the control byte at its end is common to all."""
    layout = c.BitStruct(
        "operation_code" / c.Const(code, c.BitsInteger(8)), *fields, field("control", 8)
    )
    if layout.sizeof() not in (6, 10, 12, 16):
        raise ValueError(f"{name} has {layout.sizeof()} bytes")
    OPCODES[code] = layout
    NAMES[code] = name
    return layout


def name_of(cdb: bytes) -> str:
    """What the standard calls this command."""
    return NAMES.get(cdb[0], f"{cdb[0]:02X}h")


# -- any device: SPC-4 -------------------------------------------------------

#: SPC-4 6.47
TestUnitReady = _command("TEST UNIT READY", 0x00, reserved(32))

#: SPC-4 6.39
RequestSense = _command(
    "REQUEST SENSE",
    0x03,
    reserved(7),
    field("desc", 1),
    reserved(16),
    field("allocation_length", 8),
)

#: SPC-4 6.6
Inquiry = _command(
    "INQUIRY",
    0x12,
    reserved(7),
    field("evpd", 1),
    field("page_code", 8),
    field("allocation_length", 16),
)

#: SPC-4 6.9
ModeSelect6 = _command(
    "MODE SELECT(6)",
    0x15,
    reserved(3),
    field("page_format", 1, 1),
    reserved(3),
    field("save_pages", 1),
    reserved(16),
    field("parameter_list_length", 8),
)

#: SPC-4 6.11
ModeSense6 = _command(
    "MODE SENSE(6)",
    0x1A,
    reserved(4),
    field("disable_block_descriptors", 1),
    reserved(3),
    field("page_control", 2),
    field("page_code", 6),
    field("subpage_code", 8),
    field("allocation_length", 8),
)

#: SPC-4 6.10
ModeSelect10 = _command(
    "MODE SELECT(10)",
    0x55,
    reserved(3),
    field("page_format", 1, 1),
    reserved(3),
    field("save_pages", 1),
    reserved(40),
    field("parameter_list_length", 16),
)

#: SPC-4 6.12
ModeSense10 = _command(
    "MODE SENSE(10)",
    0x5A,
    reserved(3),
    field("long_lba_accepted", 1),
    field("disable_block_descriptors", 1),
    reserved(3),
    field("page_control", 2),
    field("page_code", 6),
    field("subpage_code", 8),
    reserved(24),
    field("allocation_length", 16),
)

# -- block devices: SBC-3, and MMC-6 where it differs --------------------------

# Format codes of FORMAT UNIT: a format descriptor of MMC-3 on (``replies.FormatList``);
# the one of SFF 8020i for CD-RW (``replies.LegacyFormatDescriptor``)
FORMAT_BY_TYPE, FORMAT_CD_RW = 1, 7

#: MMC-6 6.4; ``format_data`` is always 1, a parameter list follows.
FormatUnit = _command(
    "FORMAT UNIT",
    0x04,
    reserved(3),
    field("format_data", 1),
    field("complete_list", 1),
    field("format_code", 3),
    reserved(8),
    field("interleave_value", 16),
)

#: MMC-6 6.42. Bits 7-4 of byte 4 are the power condition, which is not for ejecting.
StartStopUnit = _command(
    "START STOP UNIT",
    0x1B,
    reserved(7),
    field("immed", 1),
    reserved(16),
    field("power_conditions", 4),
    reserved(2),
    field("load_eject", 1),
    field("start", 1),
)

#: MMC-6 6.13
PreventAllowMediumRemoval = _command(
    "PREVENT ALLOW MEDIUM REMOVAL",
    0x1E,
    reserved(30),
    field("persistent", 1),
    field("prevent", 1),
)

#: MMC-6 6.24
ReadCapacity = _command(
    "READ CAPACITY",
    0x25,
    reserved(8),
    field("logical_block_address", 32),
    reserved(23),
    field("partial_medium_indicator", 1),
)

#: MMC-6 6.15
Read10 = _command(
    "READ(10)",
    0x28,
    reserved(3),
    field("disable_page_out", 1),
    field("force_unit_access", 1),
    reserved(3),
    field("logical_block_address", 32),
    reserved(8),
    field("transfer_length", 16),
)

#: MMC-6 6.45
Write10 = _command(
    "WRITE(10)",
    0x2A,
    reserved(3),
    field("disable_page_out", 1),
    field("force_unit_access", 1),
    reserved(3),
    field("logical_block_address", 32),
    reserved(8),
    field("transfer_length", 16),
)

#: MMC-6 6.43
SynchronizeCache = _command(
    "SYNCHRONIZE CACHE",
    0x35,
    reserved(6),
    field("immed", 1),
    reserved(1),
    field("logical_block_address", 32),
    reserved(8),
    field("number_of_blocks", 16),
)

#: MMC-6 6.16
Read12 = _command(
    "READ(12)",
    0xA8,
    reserved(3),
    field("disable_page_out", 1),
    field("force_unit_access", 1),
    reserved(3),
    field("logical_block_address", 32),
    field("transfer_length", 32),
    field("streaming", 1),
    reserved(7),
)

#: MMC-6 6.46
Write12 = _command(
    "WRITE(12)",
    0xAA,
    reserved(3),
    field("disable_page_out", 1),
    field("force_unit_access", 1),
    reserved(3),
    field("logical_block_address", 32),
    field("transfer_length", 32),
    field("streaming", 1),
    reserved(7),
)

# -- multi-media: MMC-6 --------------------------------------------------------

#: MMC-6 6.23
ReadFormatCapacities = _command(
    "READ FORMAT CAPACITIES", 0x23, reserved(48), field("allocation_length", 16)
)

#: MMC-6 6.25. ``sff_format`` is where SFF 8020i had the format, and where
#: Linux's sr driver still puts it.
ReadTocPmaAtip = c.BitStruct(
    "operation_code" / c.Const(0x43, c.BitsInteger(8)),
    reserved(6),
    field("msf", 1),
    reserved(5),
    field("format", 4),
    reserved(24),
    field("track_session_number", 8),
    field("allocation_length", 16),
    field("sff_format", 2),
    field("control", 6),
)
OPCODES[0x43] = ReadTocPmaAtip
NAMES[0x43] = "READ TOC/PMA/ATIP"

#: MMC-6 6.5
GetConfiguration = _command(
    "GET CONFIGURATION",
    0x46,
    reserved(6),
    field("requested_type", 2),
    field("starting_feature_number", 16),
    reserved(24),
    field("allocation_length", 16),
)

#: MMC-6 6.6
GetEventStatusNotification = _command(
    "GET EVENT STATUS NOTIFICATION",
    0x4A,
    reserved(7),
    field("polled", 1),
    reserved(16),
    field("notification_class_request", 8),
    reserved(16),
    field("allocation_length", 16),
)

#: MMC-6 6.21
ReadDiscInformation = _command(
    "READ DISC INFORMATION",
    0x51,
    reserved(5),
    field("data_type", 3),
    reserved(40),
    field("allocation_length", 16),
)

#: MMC-6 6.27. ``address_number_type``: 0 block, 1 track (FFh the invisible one), 2 session.
ReadTrackInformation = _command(
    "READ TRACK INFORMATION",
    0x52,
    reserved(5),
    field("open", 1),
    field("address_number_type", 2),
    field("logical_block_address_track_session_number", 32),
    reserved(8),
    field("allocation_length", 16),
)

#: MMC-6 6.31; the size in blocks
ReserveTrack = _command(
    "RESERVE TRACK",
    0x53,
    reserved(6),
    field("reservation_mode", 1),
    field("address_reservation", 1),
    reserved(24),
    field("reservation_size", 32),
)

#: MMC-6 6.35
SendOpcInformation = _command(
    "SEND OPC INFORMATION",
    0x54,
    reserved(7),
    field("do_opc", 1),
    reserved(40),
    field("parameter_list_length", 16),
)

#: MMC-6 6.30
RepairTrack = _command(
    "REPAIR TRACK",
    0x58,
    reserved(7),
    field("immed", 1),
    reserved(16),
    field("logical_track_number", 16),
    reserved(24),
)

# Close functions, MMC-6 table 259. CLOSE_SESSION stops a background format too.
STOP_BACKGROUND_FORMAT, CLOSE_TRACK, CLOSE_SESSION = 0, 1, 2

#: MMC-6 6.3; functions 5 and 6 finalize DVD+R and BD.
CloseTrackSession = _command(
    "CLOSE TRACK/SESSION",
    0x5B,
    reserved(7),
    field("immed", 1),
    reserved(5),
    field("close_function", 3),
    reserved(8),
    field("logical_track_number", 16),
    reserved(24),
)

#: MMC-3 6.33; the size in bytes of the entries (:mod:`media.mmc.cue_sheet`) that follow
SendCueSheet = _command("SEND CUE SHEET", 0x5D, reserved(40), field("cue_sheet_size", 24))

#: MMC-6 6.22
ReadBufferCapacity = _command(
    "READ BUFFER CAPACITY",
    0x5C,
    reserved(7),
    field("block", 1),
    reserved(40),
    field("allocation_length", 16),
)

# Blanking types, MMC-6 table 254: the whole disc; program memory area, lead-in and
# pre-gap of the first track
BLANK_DISC, BLANK_MINIMAL = 0, 1

#: MMC-6 6.2; the start address or track number counts for other blanking types only.
Blank = _command(
    "BLANK",
    0xA1,
    reserved(3),
    field("immed", 1),
    reserved(1),
    field("blanking_type", 3),
    field("start_address_track_number", 32),
    reserved(40),
)

#: MMC-3 6.37; speeds in kB/s (1,000 bytes; 1x of a CD is 176), FFFFh the fastest
SetCdSpeed = _command(
    "SET CD SPEED",
    0xBB,
    reserved(6),
    field("rotational_control", 2),
    field("logical_unit_read_speed", 16, 0xFFFF),
    field("logical_unit_write_speed", 16, 0xFFFF),
    reserved(40),
)

# -- the hot path ----------------------------------------------------------------

#: (operation code, block, number of blocks) of READ(10) and WRITE(10), without
#: construct: for the calls made once for every piece of data.
READ10_FAST = packer(Read10, "operation_code", "logical_block_address", "transfer_length")
WRITE10_FAST = packer(Write10, "operation_code", "logical_block_address", "transfer_length")
