"""Features and profiles: what a drive can do, and with which disc (MMC-6 5)."""

from __future__ import annotations

import construct as c

from media.mmc.bits import field, reserved

# Profiles, MMC-6 table 81
NO_PROFILE = 0x0000
CD_ROM = 0x0008
CD_R = 0x0009
CD_RW = 0x000A
DVD_ROM = 0x0010
DVD_R_SEQUENTIAL = 0x0011
DVD_RAM = 0x0012
DVD_RW_RESTRICTED_OVERWRITE = 0x0013
DVD_RW_SEQUENTIAL = 0x0014
DVD_PLUS_RW = 0x001A
DVD_PLUS_R = 0x001B
DVD_PLUS_R_DUAL_LAYER = 0x002B
BD_ROM = 0x0040
BD_R_SEQUENTIAL = 0x0041
BD_R_RANDOM = 0x0042
BD_RE = 0x0043

PROFILE_NAMES = {
    NO_PROFILE: "no disc",
    CD_ROM: "CD-ROM",
    CD_R: "CD-R",
    CD_RW: "CD-RW",
    DVD_ROM: "DVD-ROM",
    DVD_R_SEQUENTIAL: "DVD-R",
    DVD_RAM: "DVD-RAM",
    DVD_RW_RESTRICTED_OVERWRITE: "DVD-RW",
    DVD_RW_SEQUENTIAL: "DVD-RW",
    DVD_PLUS_RW: "DVD+RW",
    DVD_PLUS_R: "DVD+R",
    DVD_PLUS_R_DUAL_LAYER: "DVD+R DL",
    BD_ROM: "BD-ROM",
    BD_R_SEQUENTIAL: "BD-R",
    BD_R_RANDOM: "BD-R",
    BD_RE: "BD-RE",
}

# Features, MMC-6 table 83
PROFILE_LIST = 0x0000
CORE = 0x0001
MORPHING = 0x0002
REMOVABLE_MEDIUM = 0x0003
WRITE_PROTECT = 0x0004
RANDOM_READABLE = 0x0010
MULTI_READ = 0x001D
CD_READ = 0x001E
DVD_READ = 0x001F
RANDOM_WRITABLE = 0x0020
INCREMENTAL_STREAMING_WRITABLE = 0x0021
FORMATTABLE = 0x0023
DEFECT_MANAGEMENT = 0x0024
RESTRICTED_OVERWRITE = 0x0026
CD_RW_CAV_WRITE = 0x0027
MRW = 0x0028
CD_TRACK_AT_ONCE = 0x002D
CD_MASTERING = 0x002E
POWER_MANAGEMENT = 0x0100
CD_AUDIO_ANALOG_PLAY = 0x0103
TIMEOUT = 0x0105
DRIVE_SERIAL_NUMBER = 0x0108
REAL_TIME_STREAMING = 0x0107

#: Requested type of GET CONFIGURATION, MMC-6 table 278
ALL_FEATURES, CURRENT_FEATURES, ONE_FEATURE = 0, 1, 2

#: MMC-6 6.5.2.1; ``data_length`` counts all bytes behind itself.
FeatureHeader = c.BitStruct(field("data_length", 32, 4), reserved(16), field("current_profile", 16))

#: MMC-6 5.2.2, the first four bytes of every feature descriptor
FeatureDescriptorHeader = c.BitStruct(
    field("feature_code", 16),
    reserved(2),
    field("version", 4),
    field("persistent", 1),
    field("current", 1),
    field("additional_length", 8),
)

#: MMC-6 5.2.2: a whole descriptor; its data is one of the layouts below.
FeatureDescriptor = c.Struct(
    "header" / FeatureDescriptorHeader,
    "feature_dependent_data" / c.Bytes(c.this.header.additional_length),
)

#: MMC-6 5.3.1, one entry of the profile list
ProfileDescriptor = c.BitStruct(
    field("profile_number", 16), reserved(7), field("current_p", 1), reserved(8)
)

#: MMC-6 5.3.2
CoreData = c.BitStruct(
    field("physical_interface_standard", 32),
    reserved(6),
    field("inquiry_2", 1),
    field("device_busy_event", 1),
    reserved(24),
)

#: MMC-6 5.3.3
MorphingData = c.BitStruct(
    reserved(6), field("operational_change_event", 1), field("asynchronous", 1), reserved(24)
)

#: MMC-6 5.3.4. ``loading_mechanism_type``: 1 tray.
RemovableMediumData = c.BitStruct(
    field("loading_mechanism_type", 3),
    field("load", 1),
    field("eject", 1),
    field("prevent_jumper", 1),
    field("device_busy_media_loading", 1),
    field("lock", 1),
    reserved(24),
)

#: MMC-6 5.3.6; ``logical_block_size`` in bytes, ``blocking`` in blocks
RandomReadableData = c.BitStruct(
    field("logical_block_size", 32),
    field("blocking", 16),
    reserved(7),
    field("page_present", 1),
    reserved(8),
)

#: MMC-6 5.3.8
CdReadData = c.BitStruct(
    field("digital_audio_play", 1),
    reserved(5),
    field("c2_flags", 1),
    field("cd_text", 1),
    reserved(24),
)

#: MMC-6 5.3.10: a disc on which any block may be written at any time;
#: ``logical_block_size`` in bytes, ``blocking`` in blocks
RandomWritableData = c.BitStruct(
    field("last_logical_block_address", 32),
    field("logical_block_size", 32),
    field("blocking", 16),
    reserved(7),
    field("page_present", 1),
    reserved(8),
)

#: MMC-6 5.3.13. The bits above the BD-R one are about BD and defects: ``cert``
#: and ``qcert`` tell of certification (full, quick).
FormattableData = c.BitStruct(
    reserved(4),
    field("renosa", 1),
    field("expand", 1),
    field("qcert", 1),
    field("cert", 1),
    reserved(24),
    reserved(7),
    field("rrm", 1),
    reserved(24),
)

#: MMC-6 5.3.14; ``ssa``: spare space can be made larger.
DefectManagementData = c.BitStruct(field("ssa", 1), reserved(31))

#: MMC-6 5.3.16: CD-RW in fixed packets: a whole packet at a time. No data.
RestrictedOverwriteData = c.BitStruct()

#: MMC-6 5.3.18. Reading CD-MRW goes without saying; ``write``: CD-MRW is written too.
MrwData = c.BitStruct(
    reserved(5),
    field("dvd_plus_write", 1),
    field("dvd_plus_read", 1),
    field("write", 1),
    reserved(24),
)

#: MMC-6 5.3.11; as many link sizes (1 byte each, in blocks) as said follow,
#: filled up to a multiple of four bytes. On CD-R there is one: 7.
IncrementalStreamingWritableData = c.BitStruct(
    field("data_block_types_supported", 16),
    reserved(5),
    field("track_resources_information", 1),
    field("address_reservation", 1),
    field("buffer_underrun_free", 1),
    field("number_of_link_sizes", 8),
)

#: MMC-6 5.3.21
CdTrackAtOnceData = c.BitStruct(
    reserved(1),
    field("buffer_underrun_free", 1),
    reserved(1),
    field("r_w_raw", 1),
    field("r_w_pack", 1),
    field("test_write", 1),
    field("cd_rw", 1),
    field("r_w_subcode", 1),
    reserved(8),
    field("data_type_supported", 16),
)

#: MMC-6 5.3.22
CdMasteringData = c.BitStruct(
    reserved(1),
    field("buffer_underrun_free", 1),
    field("session_at_once", 1),
    field("raw_multi_session", 1),
    field("raw", 1),
    field("test_write", 1),
    field("cd_rw", 1),
    field("r_w", 1),
    field("maximum_cue_sheet_length", 24),
)

#: MMC-6 5.3.29; ``unit_length`` in blocks, while ``group_3`` is set
TimeoutData = c.BitStruct(reserved(7), field("group_3", 1), reserved(8), field("unit_length", 16))

#: MMC-6 5.3.32
RealTimeStreamingData = c.BitStruct(
    reserved(3),
    field("read_buffer_capacity_block", 1),
    field("set_cd_speed", 1),
    field("mode_page_2a", 1),
    field("write_speed_performance_descriptor", 1),
    field("stream_writing", 1),
    reserved(24),
)

#: MMC-6 5.3.33; the text of the serial number
DriveSerialNumberData = c.Struct("serial_number" / c.GreedyBytes)
