"""A CD-RW that is formatted in fixed packets, as a state and without its data.

Pure. Packets of 32 blocks are numbered from 0; their link blocks have no addresses
(addressing method 2, MMC-3 4.5.3), so packet N holds the blocks from 32 N on.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from media.virtual.kinds import FIXED_PACKET, FIXED_PACKET_SPAN

#: All blocks of a packet, one bit each, the first block's the lowest
WHOLE_PACKET = (1 << FIXED_PACKET) - 1

Runs = list[list[int]]


def on_groove(block: int) -> int:
    """How many blocks of the groove lie before a block, link blocks included."""
    packet, rest = divmod(block, FIXED_PACKET)
    return packet * FIXED_PACKET_SPAN + rest


@dataclass(slots=True)
class Area:
    """``blocks`` in fixed packets, or as Mt. Rainier (``mrw``).

    ``lost``: packet -> its unreadable blocks as bits. ``spared``: packets that a Mt.
    Rainier drive has moved, of at most ``spares``. ``formatted``: packets that the
    background format has been at; ``running``: it goes on by itself.
    """

    blocks: int
    mrw: bool
    spares: int
    formatted: int
    running: bool
    lost: dict[int, int] = field(default_factory=dict)
    spared: set[int] = field(default_factory=set)
    #: Spare packets that were used and wore out in their turn
    worn_spares: int = 0

    @property
    def packets(self) -> int:
        return self.blocks // FIXED_PACKET

    @property
    def spares_left(self) -> int:
        return self.spares - len(self.spared) - self.worn_spares

    def readable_end(self, block: int, end: int) -> int:
        """The first block of [block, end) that is lost; ``end`` if none is."""
        bad = end
        for packet in range(block // FIXED_PACKET, (end - 1) // FIXED_PACKET + 1):
            bits = self.lost.get(packet, 0)
            if packet * FIXED_PACKET < block:
                bits &= WHOLE_PACKET << (block % FIXED_PACKET)
            if bits:
                first = (bits & -bits).bit_length() - 1
                bad = min(bad, packet * FIXED_PACKET + first)
                break
        return bad

    def lose(self, masks: Iterable[tuple[int, int]]) -> None:
        """From now on exactly these blocks of these packets are lost."""
        for packet, bits in masks:
            if bits:
                self.lost[packet] = bits
            else:
                self.lost.pop(packet, None)

    def spare(self, packet: int) -> None:
        """A Mt. Rainier drive has moved a packet, for the first time or again."""
        if packet in self.spared:
            self.worn_spares += 1
        self.spared.add(packet)

    def clone(self) -> Area:
        return replace(self, lost=self.lost.copy(), spared=self.spared.copy())

    def snapshot(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        return {
            "n": self.blocks,
            "mrw": self.mrw,
            "spares": self.spares,
            "formatted": self.formatted,
            "lost": sorted(self.lost.items()),
            "spared": sorted(self.spared),
            "worn": self.worn_spares,
        }

    @classmethod
    def restore(cls, values: dict[str, Any]) -> Area:
        """From a snapshot. A background format does not run on in a closed file."""
        return cls(
            values["n"],
            values["mrw"],
            values["spares"],
            values["formatted"],
            running=False,
            lost=dict(values["lost"]),
            spared=set(values["spared"]),
            worn_spares=values["worn"],
        )


def runs_of(packets: Iterable[int]) -> Runs:
    """Packets, one for each time it was burnt, as [first, how many, how often]."""
    counts: dict[int, int] = {}
    for packet in packets:
        counts[packet] = counts.get(packet, 0) + 1
    runs: Runs = []
    for packet in sorted(counts):
        last = runs[-1] if runs else None
        if last and last[0] + last[1] == packet and last[2] == counts[packet]:
            last[1] += 1
        else:
            runs.append([packet, 1, counts[packet]])
    return runs


def packed(wear: array[int]) -> list[tuple[int, int]]:
    """Counts of rewrites as (value, how many in a row)."""
    return [(value, len(list(group))) for value, group in groupby(wear)]


def unpacked(pairs: Iterable[tuple[int, int]]) -> array[int]:
    wear = array("I")
    for value, count in pairs:
        wear.extend([value] * count)
    return wear
