"""What a drive says about itself and its disc, as plain values.

Pure: each function turns replies into one of the dataclasses. Addresses and
sizes count blocks of 2,048 bytes unless a name says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from media.mmc import features, pages, replies
from media.mmc.address import PREGAP, from_msf
from media.mmc.bits import parse

#: Blocks of 2,048 bytes that a CD at 1x passes in a second (176.4 kB/s of 2,352-byte sectors)
CD_BLOCKS_PER_KILOBYTE = 75 / 176.4

STATUS = {
    replies.DISC_BLANK: "blank",
    replies.DISC_APPENDABLE: "appendable",
    replies.DISC_COMPLETE: "complete",
    replies.DISC_OTHER: "other",
}
CAPACITY_KIND = {replies.UNFORMATTED: "unformatted", replies.FORMATTED: "formatted"}
SESSION_STATE = {
    replies.SESSION_EMPTY: "empty",
    replies.SESSION_INCOMPLETE: "incomplete",
    replies.SESSION_DAMAGED: "damaged",
    replies.SESSION_COMPLETE: "complete",
}


@dataclass(frozen=True, slots=True)
class DriveInfo:
    """One drive. ``buffer_size`` in bytes, speeds in kB/s (1,000 bytes; 1x of a CD is 176).

    ``link_sizes`` are the blocks between two packets that the drive can leave.
    """

    vendor: str
    product: str
    revision: str
    serial: str = ""
    buffer_size: int = 0
    writes_cd_r: bool = False
    writes_cd_rw: bool = False
    writes_mrw: bool = False
    write_speed: int = 0
    maximum_write_speed: int = 0
    features: frozenset[int] = frozenset()
    link_sizes: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        return " ".join(filter(None, (self.vendor, self.product, self.revision)))


@dataclass(frozen=True, slots=True)
class DiscState:
    """What disc is in the drive and how far it is written.

    ``status`` is "none" (no disc), "blank", "appendable", "complete" or "other";
    ``last_session_state`` "empty", "incomplete", "damaged" or "complete".
    ``sessions`` counts an open or empty last one too. ``last_possible_lead_out``
    is a block, None where the drive does not say. ``formatted``: written in fixed
    packets, any of which can be written again; ``mrw``: formatted as Mt. Rainier.
    """

    profile: int
    status: str
    last_session_state: str = "empty"
    erasable: bool = False
    sessions: int = 0
    first_track: int = 0
    first_track_in_last_session: int = 0
    last_track: int = 0
    background_format_status: int = 0
    last_possible_lead_out: int | None = None
    formatted: bool = False
    mrw: bool = False

    @property
    def background_format_suspended(self) -> bool:
        """A format has been begun and neither goes on nor is it finished."""
        return self.background_format_status == replies.BACKGROUND_SUSPENDED

    @property
    def background_format_running(self) -> bool:
        return self.background_format_status == replies.BACKGROUND_RUNNING

    @property
    def kind(self) -> str:
        """The kind of disc in the words printed on it: "CD-R"."""
        return features.PROFILE_NAMES.get(self.profile, f"unknown disc {self.profile:04X}h")


NO_DISC = DiscState(features.NO_PROFILE, "none")


@dataclass(frozen=True, slots=True)
class Track:
    """One track, or the invisible one that the next write goes to.

    ``next_writable`` and ``last_recorded`` are None where the drive says they
    do not hold; ``size`` and ``free`` count blocks, ``packet_size`` is 0 for
    packets of variable size. ``data_mode`` is 1 or 2 (XA), MMC-6 table 501.
    """

    number: int
    session: int
    start: int
    size: int
    free: int
    next_writable: int | None
    last_recorded: int | None
    packet_size: int = 0
    damaged: bool = False
    reserved: bool = False
    blank: bool = False
    packets: bool = False
    data_mode: int = 1

    @property
    def rewritable(self) -> bool:
        """On a CD-RW: a track that FORMAT UNIT has made, all of it in fixed packets."""
        appendable = self.next_writable is not None and self.free > 0
        return self.packets and self.packet_size > 0 and not appendable

    @property
    def end(self) -> int:
        """The last block of the track."""
        return self.start + self.size - 1


@dataclass(frozen=True, slots=True)
class FormatDescriptor:
    """One way in which a disc is, or can be, formatted: of so many ``blocks``.

    ``kind`` is "unformatted" (then ``blocks`` are the most there can be),
    "formatted" or "none" in the first one of a list, "formattable" in the others;
    ``parameter`` is what FORMAT UNIT wants with the format ``type`` (MMC-6 table 460).
    """

    kind: str
    type: int
    blocks: int
    parameter: int


@dataclass(frozen=True, slots=True)
class FormatCapacities:
    """How the disc is formatted, and how it could be (READ FORMAT CAPACITIES)."""

    current: FormatDescriptor
    formattable: tuple[FormatDescriptor, ...] = ()

    def find(self, type_: int, parameter: int | None = None) -> FormatDescriptor | None:
        """The first format of a type, of any parameter or the given one."""
        for each in self.formattable:
            if each.type == type_ and parameter in (None, each.parameter):
                return each
        return None


@dataclass(frozen=True, slots=True)
class TocPoint:
    """One entry of the full table of contents: a track's start, or a session's lead-out."""

    session: int
    point: int
    start: int


@dataclass(frozen=True, slots=True)
class Configuration:
    """The answer to GET CONFIGURATION: profile, and data of each feature by its code."""

    profile: int = features.NO_PROFILE
    data: dict[int, bytes] = field(default_factory=dict)
    current: frozenset[int] = frozenset()


def configuration(reply: bytes) -> Configuration:
    """Features in the reply of GET CONFIGURATION; one that is cut off is left out.

    The additional length is taken as it is: some drives' is no multiple of four.
    """
    header = parse(features.FeatureHeader, reply)
    data: dict[int, bytes] = {}
    current: set[int] = set()
    for found, body in _feature_descriptors(reply):
        data[found.feature_code] = body
        if found.current:
            current.add(found.feature_code)
    return Configuration(header.current_profile, data, frozenset(current))


def _feature_descriptors(reply: bytes) -> Iterator[tuple[Any, bytes]]:
    rest = reply[features.FeatureHeader.sizeof() :]
    size = features.FeatureDescriptorHeader.sizeof()
    while len(rest) >= size:
        header = parse(features.FeatureDescriptorHeader, rest)
        body = rest[size : size + header.additional_length]
        if len(body) < header.additional_length:
            return
        yield header, body
        rest = rest[size + len(body) :]


def link_sizes(feature_data: bytes) -> tuple[int, ...]:
    """The link sizes (blocks) in the data of feature 21h."""
    layout = features.IncrementalStreamingWritableData
    count = parse(layout, feature_data).number_of_link_sizes
    return tuple(feature_data[layout.sizeof() :][:count])


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "replace").strip(" \0")


def drive_info(inquiry: bytes, config: Configuration, capabilities: bytes) -> DriveInfo:
    """From INQUIRY, GET CONFIGURATION and mode page 2Ah (any of them may be empty)."""
    names = parse(replies.InquiryData, inquiry)
    page = parse(pages.Capabilities, capabilities)
    return DriveInfo(
        vendor=_text(names.vendor_identification),
        product=_text(names.product_identification),
        revision=_text(names.product_revision_level),
        serial=_text(config.data.get(features.DRIVE_SERIAL_NUMBER, b"")),
        buffer_size=page.buffer_size_supported * 1024,
        writes_cd_r=bool(page.cd_r_write),
        writes_cd_rw=bool(page.cd_rw_write),
        writes_mrw=bool(parse(features.MrwData, config.data.get(features.MRW, b"")).write),
        write_speed=_write_speed(page),
        maximum_write_speed=page.maximum_write_speed_supported,
        features=frozenset(config.data),
        link_sizes=link_sizes(config.data.get(features.INCREMENTAL_STREAMING_WRITABLE, b"")),
    )


def _write_speed(page: Any) -> int:
    return int(page.current_write_speed_selected or page.current_write_speed_selected_obsolete)


def with_speed(info: DriveInfo, capabilities: bytes) -> DriveInfo:
    """The same drive after a change of speed, from mode page 2Ah."""
    return replace(info, write_speed=_write_speed(parse(pages.Capabilities, capabilities)))


def disc_state(reply: bytes, profile: int, atip: bytes = b"") -> DiscState:
    """From READ DISC INFORMATION and, on a CD, ATIP (empty where there is none).

    Some drives call a CD-R rewritable: what is pressed into its groove decides.
    """
    info = parse(replies.DiscInformation, reply)
    lead_out = None
    if profile in (features.CD_R, features.CD_RW):
        if atip:
            profile = features.CD_RW if parse(replies.Atip, atip).disc_type else features.CD_R
        # ATIP ends at 80 minutes; a drive that knows longer discs says so here.
        lead_out = _time(info.last_possible_lead_out_start_address) or cd_capacity(atip)
    return DiscState(
        profile=profile,
        status=STATUS[info.disc_status],
        last_session_state=SESSION_STATE[info.state_of_last_session],
        erasable=bool(info.erasable) and profile != features.CD_R,
        sessions=info.number_of_sessions_msb << 8 | info.number_of_sessions_lsb,
        first_track=info.number_of_first_track_on_disc,
        first_track_in_last_session=info.first_track_number_in_last_session_msb << 8
        | info.first_track_number_in_last_session_lsb,
        last_track=info.last_track_number_in_last_session_msb << 8
        | info.last_track_number_in_last_session_lsb,
        background_format_status=info.background_format_status,
        last_possible_lead_out=lead_out,
        mrw=profile == features.CD_RW and info.background_format_status > 0,
        formatted=profile == features.CD_RW and info.background_format_status > 0,
    )


def _time(value: int) -> int | None:
    """A time of four bytes (hour, minute, second, frame) as a block; None if there is none."""
    hour, minute, second, frame = value.to_bytes(4)
    block = from_msf(hour * 60 + minute, second, frame)
    return block if value != 0xFFFFFFFF and block > 0 else None


def cd_capacity(atip: bytes) -> int | None:
    """The last possible start of the lead-out, as a block, from an ATIP reply."""
    if not atip:
        return None
    fields = parse(replies.Atip, atip)
    block = from_msf(fields.lead_out_minute, fields.lead_out_second, fields.lead_out_frame)
    return block if block > 0 else None


def track(reply: bytes) -> Track:
    """From READ TRACK INFORMATION. A negative next writable address is none.

    While page 05h says session at once, as other programs leave it, a blank track's
    is that of its pre-gap: then the track's start is meant.
    """
    info = parse(replies.TrackInformation, reply)
    next_writable, start = info.next_writable_address, info.logical_track_start_address
    if info.blank and next_writable == start - PREGAP:
        next_writable = start
    next_valid = info.next_writable_address_valid and next_writable >= 0
    return Track(
        number=info.logical_track_number_msb << 8 | info.logical_track_number_lsb,
        session=info.session_number_msb << 8 | info.session_number_lsb,
        start=info.logical_track_start_address,
        size=info.logical_track_size,
        free=info.free_blocks,
        next_writable=next_writable if next_valid else None,
        last_recorded=info.last_recorded_address if info.last_recorded_address_valid else None,
        packet_size=info.fixed_packet_size if info.fixed_packet else 0,
        damaged=bool(info.damage),
        reserved=bool(info.reserved_track),
        blank=bool(info.blank),
        packets=bool(info.packet),
        data_mode=info.data_mode,
    )


def format_capacities(reply: bytes) -> FormatCapacities:
    """From READ FORMAT CAPACITIES, which may be cut off."""
    header, size = replies.CapacityListHeader, replies.CapacityDescriptor.sizeof()
    length = parse(header, reply).capacity_list_length
    body = reply[header.sizeof() :][:length]
    fields = [
        parse(replies.CapacityDescriptor, body[at : at + size])
        for at in range(0, len(body) - size + 1, size)
    ]
    found = [
        FormatDescriptor(
            "formattable", each.format_type, each.number_of_blocks, each.type_dependent_parameter
        )
        for each in fields
    ]
    if not found:
        return FormatCapacities(FormatDescriptor("none", 0, 0, 0))
    kind = CAPACITY_KIND.get(fields[0].descriptor_type, "none")
    return FormatCapacities(replace(found[0], kind=kind, type=0), tuple(found[1:]))


def format_list(type_: int, blocks: int, parameter: int, *, immed: int) -> bytes:
    """What FORMAT UNIT is sent (MMC-6 6.4.3)."""
    header: bytes = replies.FormatListHeader.build({"format_options_valid": 1, "immed": immed})
    fields = {
        "number_of_blocks": blocks,
        "format_type": type_,
        "type_dependent_parameter": parameter,
    }
    built: bytes = replies.FormatDescriptor.build(fields)
    return header + built


def media_event(reply: bytes) -> int | None:
    """The code in the reply to GET EVENT STATUS NOTIFICATION; None if nothing happened."""
    header = parse(replies.EventStatus, reply)
    if header.no_event_available or header.notification_class != replies.MEDIA_CLASS:
        return None
    event = parse(replies.MediaEvent, reply[replies.EventStatus.sizeof() :])
    return int(event.media_event_code)


def toc_points(reply: bytes) -> list[TocPoint]:
    """Tracks and lead-outs (point A2h) in a full table of contents, as blocks."""
    points = []
    for entry in replies.FullToc.parse(reply).entries:
        if entry.point < 100 or entry.point == 0xA2:
            start = from_msf(entry.p_minute, entry.p_second, entry.p_frame)
            points.append(TocPoint(entry.session_number, entry.point, start))
    return points
