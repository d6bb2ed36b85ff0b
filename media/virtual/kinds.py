"""The kinds of disc that the virtual burner knows: a registry, open to more."""

from __future__ import annotations

from dataclasses import dataclass

from media.mmc import features
from media.mmc.address import from_msf

Msf = tuple[int, int, int]


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


def _cd_r(minutes: int, title: str, atip: Msf, lead_out: Msf | None = None) -> Kind:
    return Kind(f"cd-r-{minutes}", title, features.CD_R, atip, from_msf(*(lead_out or atip)))


#: By name. ATIP has no times from 80 minutes on (Orange Book part II), so a
#: 90-minute disc says 79:59:74 there; drives that know such discs tell its true
#: length in their other answers, as this one does.
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        _cd_r(74, "CD-R, 74 minutes (650 MB)", (74, 43, 0)),
        _cd_r(80, "CD-R, 80 minutes (700 MB)", (79, 59, 74)),
        _cd_r(90, "CD-R, 90 minutes (800 MB)", (79, 59, 74), (89, 59, 74)),
    )
}
