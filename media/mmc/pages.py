"""Mode pages and the headers around them (SPC-4 7.5, MMC-6 7)."""

from __future__ import annotations

import construct as c

from media.mmc.bits import field, octets, reserved

# Page control of MODE SENSE, SPC-4 table 156
CURRENT_VALUES, CHANGEABLE_VALUES, DEFAULT_VALUES, SAVED_VALUES = 0, 1, 2, 3

# Pages
ERROR_RECOVERY = 0x01
WRITE_PARAMETERS = 0x05
MRW = 0x2C
#: Where the first Mt. Rainier drives had page 2Ch
EARLY_MRW = 0x03
CAPABILITIES = 0x2A
ALL_PAGES = 0x3F

#: SPC-4 7.5.5, MODE SENSE(6); the length counts the bytes behind itself.
ModeHeader6 = c.BitStruct(
    field("mode_data_length", 8),
    field("medium_type", 8),
    field("device_specific_parameter", 8),
    field("block_descriptor_length", 8),
)

#: SPC-4 7.5.5, MODE SENSE(10); the length counts the bytes behind itself, and is
#: 0 in a MODE SELECT.
ModeHeader10 = c.BitStruct(
    field("mode_data_length", 16),
    field("medium_type", 8),
    field("device_specific_parameter", 8),
    reserved(16),
    field("block_descriptor_length", 16),
)

#: The first two bytes of every page, SPC-4 7.5.7
PageHeader = c.BitStruct(
    field("parameters_savable", 1),
    field("subpage_format", 1),
    field("page_code", 6),
    field("page_length", 8),
)

# Write types of page 05h, MMC-6 table 706
PACKET, TRACK_AT_ONCE, SESSION_AT_ONCE, RAW = 0, 1, 2, 3
# Multi-session of page 05h: is a further session allowed after closing?
FINAL, APPENDABLE = 0, 3
# Data block types of page 05h
MODE_1, MODE_2, MODE_2_XA_FORM_1 = 8, 9, 10
# Track modes of page 05h (the control nibble): data, recorded in one go or in packets
DATA_UNINTERRUPTED, DATA_INCREMENTAL = 4, 5

#: MMC-6 7.5, 52 bytes; ``packet_size`` in blocks. Reserved bits have names here,
#: for strict drives refuse a page that sets one.
WriteParameters = c.BitStruct(
    field("parameters_savable", 1),
    field("reserved_0", 1),
    field("page_code", 6, WRITE_PARAMETERS),
    field("page_length", 8, 50),
    field("reserved_2", 1),
    field("buffer_underrun_free", 1),
    field("link_size_valid", 1),
    field("test_write", 1),
    field("write_type", 4),
    field("multi_session", 2),
    field("fixed_packet", 1),
    field("copy", 1),
    field("track_mode", 4),
    field("reserved_4", 4),
    field("data_block_type", 4),
    field("link_size", 8),
    field("reserved_6", 8),
    field("reserved_7", 2),
    field("initiator_application_code", 6),
    field("session_format", 8),
    field("reserved_9", 8),
    field("packet_size", 32),
    field("audio_pause_length", 16),
    octets("media_catalog_number", 16),
    octets("international_standard_recording_code", 16),
    octets("sub_header", 4),
)

#: MMC-6 7.3, 12 bytes; ``recovery_time_limit`` in milliseconds
ErrorRecovery = c.BitStruct(
    field("parameters_savable", 1),
    reserved(1),
    field("page_code", 6, ERROR_RECOVERY),
    field("page_length", 8, 10),
    field("automatic_write_reallocation_enabled", 1),
    field("automatic_read_reallocation_enabled", 1),
    field("transfer_block", 1),
    field("read_continuous", 1),
    reserved(1),
    field("post_error", 1),
    field("disable_transfer_on_error", 1),
    field("disable_correction", 1),
    field("read_retry_count", 8),
    reserved(24),
    reserved(6),
    field("enhanced_media_certification", 2),
    field("write_retry_count", 8),
    reserved(8),
    field("recovery_time_limit", 16),
)

# The addresses of a Mt. Rainier disc that are in use: those of the defect managed
# area, or of the general application area (in which other drives look for a program)
DEFECT_MANAGED_AREA, GENERAL_APPLICATION_AREA = 0, 1

#: MMC-6 7.6, 8 bytes. Page 03h of older drives is the same but for its code.
MrwPage = c.BitStruct(
    field("parameters_savable", 1),
    reserved(1),
    field("page_code", 6, MRW),
    field("page_length", 8, 6),
    reserved(8),
    reserved(7),
    field("lba_space", 1),
    reserved(32),
)

#: MMC-3 6.3.11 (MMC-6 annex), 32 bytes; as many descriptors of write speeds follow
#: as said. Speeds in kB/s (1,000 bytes), ``buffer_size_supported`` in KiB.
Capabilities = c.BitStruct(
    field("parameters_savable", 1),
    reserved(1),
    field("page_code", 6, CAPABILITIES),
    field("page_length", 8, 30),
    reserved(2),
    field("dvd_ram_read", 1),
    field("dvd_r_read", 1),
    field("dvd_rom_read", 1),
    field("method_2", 1),
    field("cd_rw_read", 1),
    field("cd_r_read", 1),
    reserved(2),
    field("dvd_ram_write", 1),
    field("dvd_r_write", 1),
    reserved(1),
    field("test_write", 1),
    field("cd_rw_write", 1),
    field("cd_r_write", 1),
    field("buffer_underrun_free", 1),
    field("multi_session", 1),
    field("mode_2_form_2", 1),
    field("mode_2_form_1", 1),
    field("digital_port_2", 1),
    field("digital_port_1", 1),
    field("composite", 1),
    field("audio_play", 1),
    field("read_bar_code", 1),
    field("upc", 1),
    field("isrc", 1),
    field("c2_pointers_supported", 1),
    field("r_w_deinterleaved_and_corrected", 1),
    field("r_w_supported", 1),
    field("cd_da_stream_is_accurate", 1),
    field("cd_da_commands_supported", 1),
    field("loading_mechanism_type", 3),
    reserved(1),
    field("eject", 1),
    field("prevent_jumper", 1),
    field("lock_state", 1),
    field("lock", 1),
    reserved(2),
    field("r_w_in_lead_in", 1),
    field("side_change_capable", 1),
    field("software_slot_selection", 1),
    field("changer_supports_disc_present", 1),
    field("separate_channel_mute", 1),
    field("separate_volume_levels", 1),
    field("maximum_read_speed_supported", 16),
    field("number_of_volume_levels_supported", 16),
    field("buffer_size_supported", 16),
    field("current_read_speed_selected", 16),
    reserved(8),
    reserved(8),
    field("maximum_write_speed_supported", 16),
    field("current_write_speed_selected_obsolete", 16),
    field("copy_management_revision_supported", 16),
    reserved(24),
    reserved(6),
    field("rotation_control_selected", 2),
    field("current_write_speed_selected", 16),
    field("number_of_write_speed_descriptors", 16),
)

#: MMC-3 6.3.11, one descriptor
WriteSpeedDescriptor = c.BitStruct(
    reserved(8), reserved(5), field("rotation_control", 3), field("write_speed_supported", 16)
)
