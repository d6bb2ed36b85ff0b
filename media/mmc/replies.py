"""What drives answer: one declaration each (SPC-4, MMC-6).

All lengths in headers count the bytes behind the length field itself. All
addresses are blocks of 2,048 bytes unless the field says otherwise. For a reply
that may be cut off use :func:`media.mmc.bits.parse`.
"""

from __future__ import annotations

import construct as c

from media.mmc.bits import field, octets, reserved, signed

#: SPC-4 6.6.2; the standard 36 bytes. Device type 5: CD/DVD; texts padded with spaces.
InquiryData = c.BitStruct(
    field("peripheral_qualifier", 3),
    field("peripheral_device_type", 5, 5),
    field("removable_medium", 1, 1),
    reserved(7),
    field("version", 8),
    reserved(2),
    field("normal_aca_supported", 1),
    field("hierarchical_support", 1),
    field("response_data_format", 4, 2),
    field("additional_length", 8, 31),
    reserved(24),
    octets("vendor_identification", 8, b" " * 8),
    octets("product_identification", 16, b" " * 16),
    octets("product_revision_level", 4, b" " * 4),
)

#: SPC-4 7.8.1: a page of vital product data, its length counted by itself
VitalProductData = c.Struct(
    "peripheral_device_type" / c.Default(c.Int8ub, 5),
    "page_code" / c.Int8ub,
    "data" / c.Prefixed(c.Int16ub, c.GreedyBytes),
)

#: Disc status and state of the last session in DiscInformation, MMC-6 6.21.3.1
DISC_BLANK, DISC_APPENDABLE, DISC_COMPLETE, DISC_OTHER = 0, 1, 2, 3
SESSION_EMPTY, SESSION_INCOMPLETE, SESSION_DAMAGED, SESSION_COMPLETE = 0, 1, 2, 3

#: MMC-6 6.21.3.1, the standard 34 bytes; OPC table entries may follow. The lead-in
#: and lead-out are on a CD absolute times (hour, minute, second, frame; one byte
#: each), all FFh where unknown, and else blocks.
DiscInformation = c.BitStruct(
    field("disc_information_length", 16, 32),
    field("disc_information_data_type", 3),
    field("erasable", 1),
    field("state_of_last_session", 2),
    field("disc_status", 2),
    field("number_of_first_track_on_disc", 8),
    field("number_of_sessions_lsb", 8),
    field("first_track_number_in_last_session_lsb", 8),
    field("last_track_number_in_last_session_lsb", 8),
    field("disc_identification_valid", 1),
    field("disc_bar_code_valid", 1),
    field("unrestricted_use_disc", 1),
    field("disc_application_code_valid", 1),
    reserved(1),
    field("dirty_bit", 1),
    field("background_format_status", 2),
    field("disc_type", 8),
    field("number_of_sessions_msb", 8),
    field("first_track_number_in_last_session_msb", 8),
    field("last_track_number_in_last_session_msb", 8),
    field("disc_identification", 32),
    field("last_session_lead_in_start_address", 32),
    field("last_possible_lead_out_start_address", 32),
    octets("disc_bar_code", 8),
    field("disc_application_code", 8),
    field("number_of_opc_tables", 8),
)

#: The invisible (or incomplete) track of READ TRACK INFORMATION
INVISIBLE_TRACK = 0xFF

#: MMC-6 6.27.3, the first 36 bytes; ``fixed_packet_size`` and all sizes in blocks.
#: Addresses are signed: some drives report a negative next writable address.
TrackInformation = c.BitStruct(
    field("track_information_length", 16, 34),
    field("logical_track_number_lsb", 8),
    field("session_number_lsb", 8),
    reserved(8),
    field("layer_jump_recording_status", 2),
    field("damage", 1),
    field("copy", 1),
    field("track_mode", 4),
    field("reserved_track", 1),
    field("blank", 1),
    field("packet", 1),
    field("fixed_packet", 1),
    field("data_mode", 4),
    reserved(6),
    field("last_recorded_address_valid", 1),
    field("next_writable_address_valid", 1),
    signed("logical_track_start_address", 32),
    signed("next_writable_address", 32),
    field("free_blocks", 32),
    field("fixed_packet_size", 32),
    field("logical_track_size", 32),
    signed("last_recorded_address", 32),
    field("logical_track_number_msb", 8),
    field("session_number_msb", 8),
    reserved(16),
)

# Formats of READ TOC/PMA/ATIP, MMC-6 table 463
TOC_FORMAT, SESSION_FORMAT, FULL_TOC_FORMAT, PMA_FORMAT, ATIP_FORMAT = 0, 1, 2, 3, 4

#: The lead-out's number in a table of contents
LEAD_OUT_TRACK = 0xAA

#: MMC-6 6.25.3.2 and .3: first and last track (format 0) or session (format 1)
TocHeader = c.BitStruct(
    field("toc_data_length", 16, 2),
    field("first_number", 8),
    field("last_number", 8),
)

#: MMC-6 6.25.3.2 and .3; the address is a block, or with the MSF bit a time
#: (0, minute, second, frame). In format 1: the first track of the last complete session.
TocEntry = c.BitStruct(
    reserved(8),
    field("adr", 4, 1),
    field("control", 4),
    field("track_number", 8),
    reserved(8),
    field("track_start_address", 32),
)

#: Formats 0 and 1 whole
Toc = c.Struct("header" / TocHeader, "entries" / c.GreedyRange(TocEntry))

#: MMC-6 6.25.3.4 and .5: first and last complete session
FullTocHeader = c.BitStruct(
    field("toc_data_length", 16, 2),
    field("first_complete_session_number", 8),
    field("last_complete_session_number", 8),
)

#: MMC-6 6.25.3.4, format 2, and .5, format 3. ``point``: 1-99 a track's start, A0h
#: and A1h the session's first and last track, A2h its lead-out, B0h where the next
#: session's program area may begin (minute, second, frame) and the last possible lead-out.
FullTocEntry = c.BitStruct(
    field("session_number", 8),
    field("adr", 4, 1),
    field("control", 4),
    field("tno", 8),
    field("point", 8),
    field("minute", 8),
    field("second", 8),
    field("frame", 8),
    field("zero", 8),
    field("p_minute", 8),
    field("p_second", 8),
    field("p_frame", 8),
)

#: Formats 2 and 3 whole
FullToc = c.Struct("header" / FullTocHeader, "entries" / c.GreedyRange(FullTocEntry))

#: MMC-6 6.25.3.6, format 4: what is pressed into the groove of a blank disc.
#: The last possible lead-out is a time; ``disc_type`` 0 CD-R, 1 CD-RW.
Atip = c.BitStruct(
    field("atip_data_length", 16, 26),
    reserved(16),
    field("one_1", 1, 1),
    field("indicative_target_writing_power", 3),
    field("ddcd", 1),
    field("reference_speed", 3),
    field("zero_1", 1),
    field("unrestricted_use_disc", 1),
    reserved(6),
    field("one_2", 1, 1),
    field("disc_type", 1),
    field("disc_sub_type", 3),
    field("a1_valid", 1),
    field("a2_valid", 1),
    field("a3_valid", 1),
    reserved(8),
    field("lead_in_minute", 8),
    field("lead_in_second", 8),
    field("lead_in_frame", 8),
    reserved(8),
    field("lead_out_minute", 8),
    field("lead_out_second", 8),
    field("lead_out_frame", 8),
    reserved(8),
    octets("a1_values", 3),
    reserved(8),
    octets("a2_values", 3),
    reserved(8),
    octets("a3_values", 3),
    reserved(8),
)

#: MMC-6 6.22.3; both in bytes while ``block`` is 0
BufferCapacity = c.BitStruct(
    field("data_length", 16, 10),
    reserved(8),
    reserved(7),
    field("block", 1),
    field("length_of_the_buffer", 32),
    field("available_length_of_the_buffer", 32),
)

#: MMC-6 6.24.3: the last block (not their number) and the bytes of a block
Capacity = c.BitStruct(
    field("logical_block_address", 32),
    field("block_length_in_bytes", 32, 2048),
)

# Descriptor types of the current/maximum capacity, MMC-6 table 458
UNFORMATTED, FORMATTED, NO_MEDIUM = 1, 2, 3

# Format types, MMC-6 table 460: the whole medium (CD-RW: in fixed packets too, with
# the packet length that the drive likes); CD-RW in fixed packets of the length in
# the parameter; Mt. Rainier
FORMAT_FULL, FORMAT_CD_RW, FORMAT_MRW = 0x00, 0x10, 0x24

#: MMC-6 6.23.3: the bytes of what follows: the current or maximum capacity, then
#: one descriptor for each format that the drive can make.
CapacityListHeader = c.BitStruct(reserved(24), field("capacity_list_length", 8))

#: MMC-6 6.23.3.2 and .3. The first one's ``descriptor_type`` is one of the above,
#: and its parameter the bytes of a block; those that follow have a ``format_type``
#: and the parameter that FORMAT UNIT wants with it (10h: blocks of a packet).
CapacityDescriptor = c.BitStruct(
    field("number_of_blocks", 32),
    field("format_type", 6),
    field("descriptor_type", 2),
    field("type_dependent_parameter", 24),
)

#: The whole reply
CapacityList = c.Struct(
    "header" / CapacityListHeader,
    "descriptors"
    / c.Array(
        c.this.header.capacity_list_length // CapacityDescriptor.sizeof(), CapacityDescriptor
    ),
)

#: MMC-6 6.4.3.2: what FORMAT UNIT is sent begins with this. Without
#: ``format_options_valid`` the options ``disable_primary`` to ``try_out`` are 0.
FormatListHeader = c.BitStruct(
    reserved(8),
    field("format_options_valid", 1),
    field("disable_primary", 1),
    field("disable_certification", 1),
    field("stop_format", 1),
    field("initialization_pattern", 1),
    field("try_out", 1),
    field("immed", 1),
    field("vendor_specific", 1),
    field("format_descriptor_length", 16, 8),
)

#: MMC-6 6.4.3.3, one descriptor behind the header; ``number_of_blocks`` FFFFFFFFh:
#: as many as there are (Mt. Rainier).
FormatDescriptor = c.BitStruct(
    field("number_of_blocks", 32),
    field("format_type", 6),
    field("format_subtype", 2),
    field("type_dependent_parameter", 24),
)

#: MMC-6 6.4.4.9: bits of the parameter of format type 24h: go on with a format that
#: was suspended; no certification
MRW_RESTART, MRW_QUICK_START = 1, 2

#: SFF 8020i 9.8.2 (MMC-1 5.1.4), the descriptor for format code 7: the last
#: (``session``) is to be made, or ``grow``n, to so many blocks (0: all)
LegacyFormatDescriptor = c.BitStruct(
    field("session", 1),
    field("grow", 1),
    reserved(30),
    field("format_size", 32),
)

# Background format status of DiscInformation, MMC-6 table 376
BACKGROUND_NONE, BACKGROUND_SUSPENDED, BACKGROUND_RUNNING, BACKGROUND_DONE = 0, 1, 2, 3

#: Classes of GET EVENT STATUS NOTIFICATION, and the bits that ask for them
MEDIA_CLASS = 4
MEDIA_CLASS_BIT = 1 << MEDIA_CLASS

# Media events, MMC-6 table 300
NO_EVENT, EJECT_REQUEST, NEW_MEDIA, MEDIA_REMOVAL = 0, 1, 2, 3

#: MMC-6 6.6.2.1, the header
EventStatus = c.BitStruct(
    field("event_descriptor_length", 16, 2),
    field("no_event_available", 1),
    reserved(4),
    field("notification_class", 3),
    field("supported_event_classes", 8),
)

#: MMC-6 6.6.2.5
MediaEvent = c.BitStruct(
    reserved(4),
    field("media_event_code", 4),
    reserved(6),
    field("media_present", 1),
    field("door_or_tray_open", 1),
    field("start_slot", 8),
    field("end_slot", 8),
)
