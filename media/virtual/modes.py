"""The drive's mode pages: what they are at power-on, and what it accepts.

As strict about page 05h as the strictest real drives: a reserved bit, a wrong
length or a combination that it cannot record is refused.
"""

from __future__ import annotations

from typing import Any

import construct

from media.mmc import pages
from media.virtual import refusal
from media.virtual.kinds import FIXED_PACKET
from media.virtual.recorder import WriteSettings
from media.virtual.refusal import Refusal

#: kB/s (1,000 bytes) at 1x
SPEED_UNIT = 176.4
# Session formats, track modes and data block types of page 05h (MMC-6 7.5)
CD_DA_OR_ROM, CD_I, CD_ROM_XA = 0x00, 0x10, 0x20
#: A bit of the track mode; cdrwtool sets it
COPY_PERMITTED = 2
AUDIO = 0
RAW_AUDIO, XA_MIXED = 0, 13
LINK_SIZE = 7
DEFAULT_PAUSE = 150

_BITS: dict[int, int] = {
    pages.ERROR_RECOVERY: 0xFF,
    pages.WRITE_PARAMETERS: 0xFF,
    pages.MRW: 0xFF,
}


class ModePages:
    """Pages 01h, 05h and 2Ah of one drive, and 2Ch where it knows Mt. Rainier."""

    def __init__(
        self,
        speed: float,
        read_speed: float,
        buffer_bytes: int,
        rewriter: bool = False,
        mrw: bool = False,
    ) -> None:
        self._defaults: dict[int, bytes] = {
            pages.ERROR_RECOVERY: pages.ErrorRecovery.build({"read_retry_count": 8}),
            pages.WRITE_PARAMETERS: pages.WriteParameters.build(
                {
                    "buffer_underrun_free": 1,
                    "write_type": pages.TRACK_AT_ONCE,
                    "track_mode": pages.DATA_INCREMENTAL,
                    "data_block_type": pages.MODE_1,
                    "audio_pause_length": DEFAULT_PAUSE,
                }
            ),
            pages.CAPABILITIES: _capabilities(speed, read_speed, speed, buffer_bytes, rewriter),
        }
        if mrw:
            self._defaults[pages.MRW] = pages.MrwPage.build({})
        #: Page 05h was set since the drive was switched on
        self.selected = False
        self._maximum = (speed, read_speed, buffer_bytes, rewriter, mrw)
        self._rewriter = rewriter
        self.current = dict(self._defaults)

    def reset(self) -> None:
        """Forget what was selected."""
        self.current = dict(self._defaults)
        self.selected = False

    def set_speed(self, speed: float) -> None:
        maximum, read_speed, buffer_bytes, rewriter, _ = self._maximum
        page = _capabilities(maximum, read_speed, speed, buffer_bytes, rewriter)
        self.current[pages.CAPABILITIES] = page

    def sense(self, page_control: int, page_code: int) -> bytes:
        """The page or pages that MODE SENSE asks for, one behind the other."""
        if page_control == pages.SAVED_VALUES:
            raise Refusal(refusal.SAVING_PARAMETERS_NOT_SUPPORTED)
        table = self._defaults if page_control == pages.DEFAULT_VALUES else self.current
        if page_control == pages.CHANGEABLE_VALUES:
            table = {code: _changeable(code, page) for code, page in self.current.items()}
        if page_code == pages.ALL_PAGES:
            return b"".join(table[code] for code in sorted(table))
        if page_code not in table:
            raise Refusal(refusal.INVALID_FIELD_IN_CDB)
        return table[page_code]

    def select(self, data: bytes) -> bool:
        """Take the pages of a MODE SELECT, all or none. Returns whether page 05h
        was among them."""
        accepted: dict[int, bytes] = {}
        header = pages.PageHeader.sizeof()
        while data:
            if len(data) < header:
                raise Refusal(refusal.INVALID_FIELD_IN_PARAMETER_LIST)
            fields = pages.PageHeader.parse(data[:header])
            page, data = data[: header + fields.page_length], data[header + fields.page_length :]
            self._validate(fields, page)
            accepted[fields.page_code] = page
        self.current.update(accepted)
        chosen = pages.WRITE_PARAMETERS in accepted
        self.selected = self.selected or chosen
        return chosen

    def _validate(self, header: construct.Container[Any], page: bytes) -> None:
        known = self._defaults.get(header.page_code)
        refused = (
            known is None
            or header.page_code not in _BITS
            or header.parameters_savable
            or header.subpage_format
            or len(page) != len(known)
            or len(page) != pages.PageHeader.sizeof() + header.page_length
        )
        if not refused and header.page_code == pages.WRITE_PARAMETERS:
            refused = not _acceptable(pages.WriteParameters.parse(page), self._rewriter)
        if not refused and header.page_code == pages.MRW:
            # Only the defect managed area can be addressed.
            refused = page != self._defaults[pages.MRW]
        if refused:
            raise Refusal(refusal.INVALID_FIELD_IN_PARAMETER_LIST)

    @property
    def write_settings(self) -> WriteSettings:
        """What page 05h means for the laser: nothing, until somebody has set it."""
        if not self.selected:
            return WriteSettings()
        page = pages.WriteParameters.parse(self.current[pages.WRITE_PARAMETERS])
        return WriteSettings(
            packets=page.write_type == pages.PACKET,
            track_at_once=page.write_type == pages.TRACK_AT_ONCE and _data(page),
            session_at_once=page.write_type == pages.SESSION_AT_ONCE,
            test=bool(page.test_write),
            packet_size=page.packet_size if page.fixed_packet else 0,
            xa=page.data_block_type == pages.MODE_2_XA_FORM_1,
            another_session=page.multi_session == pages.APPENDABLE,
        )

    def clone(self) -> ModePages:
        """An independent copy."""
        other = ModePages(*self._maximum)
        other.current = dict(self.current)
        other.selected = self.selected
        return other


def _acceptable(page: construct.Container[Any], rewriter: bool) -> bool:
    """Whether a parsed page 05h (MMC-6 7.5) is one that a strict drive takes."""
    reserved = (
        page.reserved_0,
        page.reserved_2,
        page.reserved_4,
        page.reserved_6,
        page.reserved_7,
        page.reserved_9,
        page.initiator_application_code,
    )
    return (
        not any(reserved)
        and page.multi_session in (pages.FINAL, 1, pages.APPENDABLE)
        and page.session_format in (CD_DA_OR_ROM, CD_I, CD_ROM_XA)
        and page.link_size == (LINK_SIZE if page.link_size_valid else 0)
        and _packet_size_fits(page, rewriter)
        and page.audio_pause_length in (0, DEFAULT_PAUSE)
        and (_packets_fit(page) if page.write_type == pages.PACKET else _tracks_fit(page))
    )


def _packet_size_fits(page: construct.Container[Any], rewriter: bool) -> bool:
    """Fixed packets belong to CD-RW, where they have 32 blocks."""
    if not page.fixed_packet:
        return bool(page.packet_size == 0)
    packets = page.write_type == pages.PACKET
    return rewriter and packets and bool(page.packet_size == FIXED_PACKET)


def _packets_fit(page: construct.Container[Any]) -> bool:
    """Data in packets, mode 1 or mode 2 form 1; nothing else, and no rehearsal."""
    xa = page.data_block_type == pages.MODE_2_XA_FORM_1
    return (
        page.track_mode & ~COPY_PERMITTED == pages.DATA_INCREMENTAL
        and page.data_block_type in (pages.MODE_1, pages.MODE_2_XA_FORM_1)
        and page.session_format == (CD_ROM_XA if xa else CD_DA_OR_ROM)
        and not page.test_write
    )


def _tracks_fit(page: construct.Container[Any]) -> bool:
    """Track or session at once, data or audio, as every drive takes it (and wodim
    sends it on the way to packets too); not raw."""
    return (
        page.write_type in (pages.TRACK_AT_ONCE, pages.SESSION_AT_ONCE)
        and page.track_mode in (AUDIO, pages.DATA_UNINTERRUPTED, pages.DATA_INCREMENTAL)
        and page.data_block_type in (RAW_AUDIO, pages.MODE_1, pages.MODE_2_XA_FORM_1, XA_MIXED)
    )


def _data(page: construct.Container[Any]) -> bool:
    """Whether a track at once is to hold data, in blocks of 2,048 bytes."""
    return bool(
        page.track_mode & ~COPY_PERMITTED in (pages.DATA_UNINTERRUPTED, pages.DATA_INCREMENTAL)
        and page.data_block_type in (pages.MODE_1, pages.MODE_2_XA_FORM_1)
    )


def _changeable(code: int, page: bytes) -> bytes:
    """The mask of what MODE SELECT may change (SPC-4 6.11)."""
    header = page[: pages.PageHeader.sizeof()]
    return header + bytes([_BITS.get(code, 0)]) * (len(page) - len(header))


def _kilobytes(speed: float) -> int:
    return round(speed * SPEED_UNIT)


def _capabilities(
    speed: float, read_speed: float, current: float, buffer_bytes: int, rewriter: bool
) -> bytes:
    """Page 2Ah: a CD-R or CD-RW writer in a tray, with its write speeds."""
    slower = [float(s) for s in (48, 40, 32, 24, 16, 8, 4) if s < speed]
    speeds = [_kilobytes(s) for s in (speed, *slower)]
    descriptors = [
        pages.WriteSpeedDescriptor.build({"write_speed_supported": kilobytes})
        for kilobytes in speeds
    ]
    body = b"".join(descriptors)
    header = pages.PageHeader.sizeof()
    fields = {
        "page_length": pages.Capabilities.sizeof() - header + len(body),
        "method_2": 1,
        "test_write": 1,
        "cd_rw_read": 1,
        "cd_r_read": 1,
        "cd_r_write": 1,
        "cd_rw_write": rewriter,
        "buffer_underrun_free": 1,
        "multi_session": 1,
        "mode_2_form_1": 1,
        "loading_mechanism_type": 1,
        "eject": 1,
        "lock": 1,
        "maximum_read_speed_supported": _kilobytes(read_speed),
        "buffer_size_supported": buffer_bytes // 1024,
        "current_read_speed_selected": _kilobytes(read_speed),
        "maximum_write_speed_supported": _kilobytes(speed),
        "current_write_speed_selected_obsolete": _kilobytes(current),
        "copy_management_revision_supported": 1,
        "current_write_speed_selected": _kilobytes(current),
        "number_of_write_speed_descriptors": len(speeds),
    }
    built: bytes = pages.Capabilities.build(fields) + body
    return built
