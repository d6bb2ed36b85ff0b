"""Mode page 05h: how the next writes are meant (MMC-6 7.5). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from media.mmc import pages
from media.mmc.bits import parse

#: Data mode of a track that is recorded in Mode 2, MMC-6 table 501
_TRACK_MODE_2 = 2
#: The control nibble of a track in packets; in one go it is another
_TRACK_MODES = {pages.PACKET: pages.DATA_INCREMENTAL}
#: Session format of page 05h for CD-ROM XA
_XA_SESSION = 0x20


@dataclass(frozen=True, slots=True)
class WriteSetUp:
    """What page 05h is to say. ``packet_size`` in blocks, 0 for packets of variable
    size; ``xa`` where the track is in Mode 2 Form 1; ``multi_session``: may
    another session follow the next one that is closed? ``write_type``: in packets, or
    a track or a session at once; the latter may be a ``test`` only, in which the laser
    records nothing."""

    multi_session: int = pages.APPENDABLE
    packet_size: int = 0
    xa: bool = False
    write_type: int = pages.PACKET
    test: bool = False
    underrun_free: bool = False

    def page(self, page: bytes) -> bytes:
        """The drive's page made to say so.

        What the standard does not define is kept as the drive has it, except that
        reserved bits are cleared, which strict drives insist on.
        """
        layout = pages.WriteParameters
        fields: dict[str, Any] = {
            name: value
            for name, value in parse(layout, page).items()
            if isinstance(name, str) and not name.startswith(("_", "reserved"))
        }
        fields.update(
            parameters_savable=0,
            buffer_underrun_free=int(self.underrun_free),
            link_size_valid=0,
            test_write=int(self.test),
            write_type=self.write_type,
            multi_session=self.multi_session,
            fixed_packet=int(self.packet_size > 0),
            copy=0,
            track_mode=_TRACK_MODES.get(self.write_type, pages.DATA_UNINTERRUPTED),
            data_block_type=pages.MODE_2_XA_FORM_1 if self.xa else pages.MODE_1,
            link_size=0,
            session_format=_XA_SESSION if self.xa else 0,
            packet_size=self.packet_size,
        )
        built: bytes = layout.build(fields)
        return built[: len(page)] + page[len(built) :]


def in_fixed_packets(packet_size: int, data_mode: int) -> WriteSetUp:
    """For a track in packets of so many blocks and of that data mode."""
    return WriteSetUp(packet_size=packet_size, xa=data_mode == _TRACK_MODE_2)
