"""Whether a copy fits on a disc, before anything of it is written.

What the files themselves need is known; what commits take besides is counted as
it is for a copy in one go: a commit after so many bytes, each with a VAT and the
directories on the way to what it holds, and two packets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from media.store import SequentialStore
from udffs.commit.bridge import cost
from udffs.commit.reserve import (
    VAT_ENTRIES_PER_BLOCK,
    VAT_ICBS,
    Reserve,
    RewritableReserve,
    Room,
)
from udffs.commit.rewritable.format import LOG_PACKETS, SPARE_PACKETS
from udffs.commit.rewritable.space import SpaceMap
from udffs.commit.rewritable.structures import lay_out, space
from udffs.commit.structures import VolumeDescription
from udffs.commit.write_once import FIRST_SESSION_GAP, opening_blocks
from udffs.ondisc.intentlog import PACKET
from udffs.volume.model import BLOCK

COMMIT_BYTES = 16 << 20
COMMIT_NAMES = 10_000  # or so many, if they are small
PACKETS = 2  # of a commit
LAST_WRITE = 80  # blocks that one write of a program may be promised


@dataclass
class Needs:
    """What a copy brings. ``data``, ``descriptors`` (ICBs) and ``directories`` are
    blocks of 2,048 bytes; ``bridge`` is the cost that its ISO 9660 view has
    (:mod:`udffs.commit.bridge.cost`); ``deepest`` is how many directories lie
    above a file at most."""

    files: int = 0
    folders: int = 0
    data: int = 0
    descriptors: int = 0
    directories: int = 0
    bridge: int = 0
    deepest: int = 0

    @property
    def blocks(self) -> int:
        """All of it, without what commits take besides."""
        return self.data + self.descriptors + self.directories

    @property
    def inodes(self) -> int:
        return self.files + self.folders


class Fit(NamedTuple):
    """What a copy would do to a disc, in blocks: ``free`` of them before, ``needed``
    for it, ``kept`` back for closing besides, ``left`` then (below 0: missing)."""

    free: int
    needed: int
    kept: int
    left: int

    @property
    def fits(self) -> bool:
        return self.left >= LAST_WRITE

    @property
    def missing(self) -> int:
        """Blocks that there are too few."""
        return max(0, LAST_WRITE - self.left)


def fit(room: Room, needs: Needs) -> Fit:
    """What the copy would leave of ``room``."""
    needed, kept = needs.blocks, 0
    if room.link_blocks is not None:
        table = -(-needs.inodes // VAT_ENTRIES_PER_BLOCK)
        needed += _commits(needs) * _of_a_commit(needs, room.link_blocks) + 2 * table
        kept = room.grown(needs.bridge) + 2 * table
    return Fit(room.available, needed, kept, room.available - needed - kept)


def _commits(needs: Needs) -> int:
    return 1 + needs.data * BLOCK // COMMIT_BYTES + needs.inodes // COMMIT_NAMES


def _of_a_commit(needs: Needs, link_blocks: int) -> int:
    """Blocks of one commit that are not the files' own: a directory is an ICB and
    the block of it that changes."""
    return PACKETS * link_blocks + VAT_ICBS + 2 + 2 * (needs.deepest + 1)


# -- discs that are blank yet --------------------------------------------------------


def empty_write_once(store: SequentialStore, *, bridge: bool) -> Reserve:
    """The room on a blank disc once it is formatted."""
    begun = opening_blocks(bridge)
    return Reserve(
        free=max(0, store.free_blocks - begun),
        link_blocks=store.link_blocks,
        packet_limit=store.packet_limit,
        opening=0,
        bridge=cost.EMPTY if bridge else None,
        session_gap=FIRST_SESSION_GAP,
        next_opening=begun,
    )


def empty_rewritable(blocks: int, *, spares_by_itself: bool) -> RewritableReserve:
    """The room on a disc of so many blocks once it is formatted for packets."""
    layout = lay_out(
        blocks,
        sparable=not spares_by_itself,
        log_packets=LOG_PACKETS,
        spare_packets=SPARE_PACKETS,
    )
    volume = VolumeDescription(
        label="",
        set_identifier="",
        revision=0x0201,
        partition_start=layout.start,
        partition_length=layout.length,
        created=0,
    )
    found = SpaceMap(space(volume, layout))
    return RewritableReserve(lambda: found.free_blocks, lambda: found.fresh_packets * PACKET)
