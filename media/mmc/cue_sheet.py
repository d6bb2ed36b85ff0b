"""The cue sheet of session-at-once recording (MMC-3 6.33)."""

from __future__ import annotations

import construct as c

from media.mmc.bits import field, reserved

#: One entry: where a part of the session begins, as absolute time. ``track_number`` is 0
#: for the lead-in and AAh for the lead-out; ``index`` 0 is a pre-gap, 1 the track itself.
CueSheetEntry = c.BitStruct(
    field("control", 4),
    field("adr", 4, 1),
    field("track_number", 8),
    field("index", 8),
    field("data_form", 8),
    field("alternate_copy", 1),
    reserved(7),
    field("minute", 8),
    field("second", 8),
    field("frame", 8),
)

# Data forms: Mode 1 with 2,048 bytes a block from the host; a lead-in or lead-out of such
# a session, which the drive makes up by itself
DATA_MODE_1, LEAD_MODE_1 = 0x10, 0x14
#: What older programs call a lead-in or lead-out, whatever the session holds
LEAD_AUDIO = 0x01
