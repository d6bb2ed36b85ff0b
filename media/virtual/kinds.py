"""The kinds of disc that the virtual burner knows: a registry, open to more."""

from __future__ import annotations

from dataclasses import dataclass

from media.mmc import features
from media.mmc.address import PREGAP, from_msf

Msf = tuple[int, int, int]

#: A fixed packet: its blocks, and with the link blocks what it takes of the groove
FIXED_PACKET, FIXED_PACKET_SPAN = 32, 39
#: Mt. Rainier, in packets: the general application area and the secondary tables;
#: then segments, each of so many spare packets and at most so many of data
MRW_TABLES, MRW_SPARES, MRW_DATA = 32 + 33, 8, 136


@dataclass(frozen=True, slots=True)
class Kind:
    """What a disc is before anything is written to it.

    ``atip_lead_out`` is pressed into the groove (minute, second, frame) and
    answers READ ATIP. ``lead_out`` is what the drive knows itself: the last
    block at which the lead-out may begin, which is behind the answers of READ
    DISC INFORMATION and READ TRACK INFORMATION.
    """

    name: str
    title: str
    profile: int
    atip_lead_out: Msf
    lead_out: int
    lead_in: Msf = (97, 26, 65)
    speed: float = 16.0
    erasable: bool = False
    mrw: bool = False

    @property
    def fixed_blocks(self) -> int:
        """Blocks once it is formatted in fixed packets: floor((L - 152 + 7) / 39) * 32,
        with L the last possible lead-out in absolute frames."""
        frames = self.lead_out + PREGAP
        return (frames - PREGAP - 2 + 7) // FIXED_PACKET_SPAN * FIXED_PACKET

    @property
    def mrw_blocks(self) -> int:
        """Blocks once it is formatted as Mt. Rainier: its defect managed area."""
        segments, rest = self._mrw_segments
        return (segments * MRW_DATA + max(0, rest - MRW_SPARES)) * FIXED_PACKET

    @property
    def mrw_spares(self) -> int:
        """Spare packets of a Mt. Rainier format."""
        segments, rest = self._mrw_segments
        return (segments + (rest > MRW_SPARES)) * MRW_SPARES

    @property
    def _mrw_segments(self) -> tuple[int, int]:
        """Whole segments, and the packets of one that is not."""
        packets = self.fixed_blocks // FIXED_PACKET - MRW_TABLES
        return divmod(packets, MRW_SPARES + MRW_DATA)


def _cd_r(minutes: int, title: str, atip: Msf, lead_out: Msf | None = None) -> Kind:
    return Kind(f"cd-r-{minutes}", title, features.CD_R, atip, from_msf(*(lead_out or atip)))


def _cd_rw(name: str, title: str, atip: Msf, *, mrw: bool = False) -> Kind:
    """CD-RW: 10x; its lead-in tells of a rewritable disc."""
    return Kind(
        name,
        title,
        features.CD_RW,
        atip,
        from_msf(*atip),
        lead_in=(97, 15, 5),
        speed=10.0,
        erasable=True,
        mrw=mrw,
    )


#: By name. A CD-RW of 74 minutes goes on to 74:50, as those do that hold 276,160 blocks
#: in fixed packets. ATIP has no times from 80 minutes on (Orange Book part II), so a
#: 90-minute disc says 79:59:74 there; drives that know such discs tell its true
#: length in their other answers, as this one does.
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _cd_r(74, "CD-R, 74 minutes (650 MB)", (74, 43, 0)),
        _cd_r(80, "CD-R, 80 minutes (700 MB)", (79, 59, 74)),
        _cd_r(90, "CD-R, 90 minutes (800 MB)", (79, 59, 74), (89, 59, 74)),
        _cd_rw("cd-rw-74", "CD-RW, 74 minutes (650 MB)", (74, 50, 0)),
        _cd_rw("cd-rw-80", "CD-RW, 80 minutes (700 MB)", (79, 59, 74)),
        _cd_rw("mrw", "CD-RW, 80 minutes, in a Mt. Rainier drive", (79, 59, 74), mrw=True),
    )
}
