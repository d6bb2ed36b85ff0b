"""Sense data: what a drive says about a command that failed (SPC-4 4.5).

:func:`decode` reads both formats, :func:`encode` makes the fixed one;
:func:`words` says what a sense code means to a person.
"""

from __future__ import annotations

from dataclasses import dataclass

import construct as c

from media.mmc.bits import field, parse, reserved

# Sense keys, SPC-4 table 48
NO_SENSE = 0x0
RECOVERED_ERROR = 0x1
NOT_READY = 0x2
MEDIUM_ERROR = 0x3
HARDWARE_ERROR = 0x4
ILLEGAL_REQUEST = 0x5
UNIT_ATTENTION = 0x6
DATA_PROTECT = 0x7
BLANK_CHECK = 0x8
ABORTED_COMMAND = 0xB

# Response codes, SPC-4 4.5.1
CURRENT_FIXED = 0x70
DEFERRED_FIXED = 0x71
CURRENT_DESCRIPTOR = 0x72
DEFERRED_DESCRIPTOR = 0x73

#: SPC-4 4.5.3. ``progress_indication`` holds only while ``sense_key_specific_valid``
#: is set, and counts 65,536ths. ``information`` is a block where ``valid`` is set.
FixedSense = c.BitStruct(
    field("valid", 1),
    field("response_code", 7, CURRENT_FIXED),
    reserved(8),
    field("filemark", 1),
    field("end_of_medium", 1),
    field("incorrect_length_indicator", 1),
    reserved(1),
    field("sense_key", 4),
    field("information", 32),
    field("additional_sense_length", 8, 10),
    field("command_specific_information", 32),
    field("additional_sense_code", 8),
    field("additional_sense_code_qualifier", 8),
    field("field_replaceable_unit_code", 8),
    field("sense_key_specific_valid", 1),
    reserved(7),
    field("progress_indication", 16),
)

#: SPC-4 4.5.2.1: the header; descriptors follow.
DescriptorSense = c.BitStruct(
    reserved(1),
    field("response_code", 7, CURRENT_DESCRIPTOR),
    reserved(4),
    field("sense_key", 4),
    field("additional_sense_code", 8),
    field("additional_sense_code_qualifier", 8),
    reserved(24),
    field("additional_sense_length", 8),
)

#: SPC-4 4.5.2.1: one descriptor, of any type.
SenseDescriptor = c.Struct(
    "descriptor_type" / c.Int8ub, "body" / c.Prefixed(c.Int8ub, c.GreedyBytes)
)

#: Descriptor type 00h, SPC-4 4.5.2.2, behind its length byte
InformationDescriptor = c.BitStruct(field("valid", 1), reserved(15), field("information", 64))

#: Descriptor type 02h, SPC-4 4.5.2.4, behind its length byte
SenseKeySpecificDescriptor = c.BitStruct(
    reserved(16),
    field("sense_key_specific_valid", 1),
    reserved(7),
    field("progress_indication", 16),
    reserved(8),
)


@dataclass(frozen=True, slots=True)
class Sense:
    """One decoded answer.

    ``progress`` runs from 0 to 1 and ``information`` is a block, both None
    where the drive did not say; ``deferred`` means that an earlier command
    failed, not the one that was answered.
    """

    key: int
    asc: int
    ascq: int
    progress: float | None = None
    information: int | None = None
    deferred: bool = False

    @property
    def code(self) -> tuple[int, int, int]:
        return self.key, self.asc, self.ascq

    def __str__(self) -> str:
        return f"{self.key:X}/{self.asc:02X}/{self.ascq:02X}: {words(*self.code)}"


def encode(
    key: int,
    asc: int,
    ascq: int = 0,
    progress: float | None = None,
    information: int | None = None,
) -> bytes:
    """Fixed sense data, 18 bytes; ``progress`` from 0 to 1, ``information`` a block."""
    built: bytes = FixedSense.build(
        {
            "valid": int(information is not None),
            "sense_key": key,
            "information": information or 0,
            "additional_sense_code": asc,
            "additional_sense_code_qualifier": ascq,
            "sense_key_specific_valid": int(progress is not None),
            "progress_indication": min(int((progress or 0.0) * 65536), 65535),
        }
    )
    return built


def decode(data: bytes) -> Sense:
    """Read sense data of either format; never raises.

    What is cut off reads as 0, and what is no sense data at all as a hardware
    error 4/44/00 (internal target failure), for a drive that fails without
    saying why has failed.
    """
    response = data[0] & 0x7F if data else 0
    if response in (CURRENT_FIXED, DEFERRED_FIXED):
        return _decode_fixed(data)
    if response in (CURRENT_DESCRIPTOR, DEFERRED_DESCRIPTOR):
        return _decode_descriptors(data)
    return Sense(HARDWARE_ERROR, 0x44, 0x00)


def _decode_fixed(data: bytes) -> Sense:
    fields = parse(FixedSense, data)
    return Sense(
        fields.sense_key,
        fields.additional_sense_code,
        fields.additional_sense_code_qualifier,
        fields.progress_indication / 65536 if fields.sense_key_specific_valid else None,
        fields.information if fields.valid else None,
        fields.response_code == DEFERRED_FIXED,
    )


def _decode_descriptors(data: bytes) -> Sense:
    fields = parse(DescriptorSense, data)
    progress: float | None = None
    information: int | None = None
    for descriptor in c.GreedyRange(SenseDescriptor).parse(data[DescriptorSense.sizeof() :]):
        if descriptor.descriptor_type == 0x00:
            found = parse(InformationDescriptor, descriptor.body)
            information = found.information if found.valid else None
        elif descriptor.descriptor_type == 0x02:
            found = parse(SenseKeySpecificDescriptor, descriptor.body)
            valid = found.sense_key_specific_valid
            progress = found.progress_indication / 65536 if valid else None
    return Sense(
        fields.sense_key,
        fields.additional_sense_code,
        fields.additional_sense_code_qualifier,
        progress,
        information,
        fields.response_code == DEFERRED_DESCRIPTOR,
    )


_KEYS = {
    NO_SENSE: "nothing is wrong",
    RECOVERED_ERROR: "an error was corrected",
    NOT_READY: "the drive is not ready",
    MEDIUM_ERROR: "the disc is damaged",
    HARDWARE_ERROR: "the drive has a hardware fault",
    ILLEGAL_REQUEST: "the drive refused the command",
    UNIT_ATTENTION: "the drive or the disc was changed",
    DATA_PROTECT: "the disc is write-protected",
    BLANK_CHECK: "the place on the disc is blank",
    ABORTED_COMMAND: "the drive broke the command off",
}

#: (additional sense code, qualifier or None for all others) -> words.
#: SPC-4 annex D, MMC-6 annex F.
_CODES: dict[tuple[int, int | None], str] = {
    (0x02, None): "the place on the disc was not found",
    (0x04, 0x01): "the drive is becoming ready",
    (0x04, 0x04): "a format is running",
    (0x04, 0x07): "an operation is running",
    (0x04, 0x08): "a long write is running",
    (0x04, None): "the drive is not ready",
    (0x06, None): "the reference position was not found",
    (0x08, 0x01): "it did not answer in time",
    (0x08, None): "the command or its answer was lost on the way to the drive",
    (0x09, None): "the laser lost the track",
    (0x0C, 0x07): "the disc could not be written: recovery is needed",
    (0x0C, 0x09): "the disc could not be written: loss of streaming",
    (0x0C, None): "the disc could not be written",
    (0x11, None): "the disc could not be read",
    (0x15, None): "the laser could not be positioned",
    (0x1A, None): "the parameter list has a wrong length",
    (0x20, None): "the drive does not know the command",
    (0x21, 0x02): "the address cannot be written next",
    (0x21, None): "the address is beyond the end of the disc",
    (0x24, None): "the command has a field that the drive does not accept",
    (0x26, None): "the parameters have a field that the drive does not accept",
    (0x27, None): "the disc is write-protected",
    (0x28, None): "the disc was changed",
    (0x29, None): "the drive was reset",
    (0x2A, None): "the drive's settings were changed",
    (0x2C, None): "the command does not fit the drive's state",
    (0x2E, None): "there is not enough time for the operation",
    (0x30, None): "the disc is of a kind that the drive cannot use in this way",
    (0x31, None): "the disc's format is damaged",
    (0x3A, None): "there is no disc in the drive",
    (0x3E, None): "the drive failed its self-test",
    (0x44, None): "the drive has an internal fault",
    (0x51, None): "the disc could not be erased",
    (0x53, 0x02): "the disc is locked in the drive",
    (0x53, None): "the disc could not be loaded or ejected",
    (0x57, None): "the table of contents could not be read",
    (0x5A, 0x01): "the eject button was pressed",
    (0x63, 0x00): "the track ends before that",
    (0x63, 0x01): "the packet does not fit the free space",
    (0x63, None): "the space on the disc is used up",
    (0x64, None): "the block cannot be read or written in this kind of track",
    (0x72, 0x03): "the session is not complete: a track is still open",
    (0x72, 0x04): "the session is not complete: a reserved track is empty",
    (0x72, 0x05): "no more tracks can be reserved",
    (0x72, None): "the session could not be closed",
    (0x73, 0x01): "the laser power calibration area is almost full",
    (0x73, 0x02): "the laser power calibration area is full",
    (0x73, None): "the laser power calibration failed",
}


def words(key: int, asc: int, ascq: int) -> str:
    """What a sense code means, as part of a sentence for a user."""
    known = _CODES.get((asc, ascq)) or _CODES.get((asc, None))
    return known or _KEYS.get(key, "the drive reports an unknown error")
