"""How much room there is: the one home of the reserve.

Free space as programs see it leaves out what closing the disc needs, one
commit, and a few packets that may be lost to bad spots; and what has been
promised to changes that are not on the disc yet. Every number is in blocks
of 2,048 bytes, kept up to date at O(1) an operation.

Where closing writes an ISO 9660 view (the bridge), what that takes is kept back
as well, and once more for a second try. It follows the live tree, name by
name: its cost is a sum (:mod:`udffs.commit.bridge.cost`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from udffs.commit.bridge import cost
from udffs.errors import NoSpaceError

ANCHOR_DISTANCE = 257  # the last packet spans N-256 to N (UDF 6.10.1)
PACKETS_OF_A_COMMIT = 2
PACKETS_OF_A_CLOSE = 2
VAT_ICBS = 2
ALLOCATION_EXTENTS = 16
PACKETS_OF_A_BRIDGE = 2  # what does not fit the last packet goes before it
BRIDGES = 2  # the second one if the first is lost
BRIDGE_STEP = 32 << 10  # of a cost: what is kept back changes that seldom
LOST_PACKETS = 2
TRACK_REPAIR = 150 + 7  # the pre-gap of the track after a repaired one
VAT_ENTRIES_PER_BLOCK = 512
KEPT = 64
RUNS_IN_BLOCK = 100  # of descriptors of extents, without holes


class ClosingCost(NamedTuple):
    """What closing will cost and leave, in blocks."""

    #: Written at most: what is uncommitted, the bridge, the VAT, the last packet
    commit: int
    #: The part of it for the bridge, 0 without one
    bridge: int
    #: Lost between this session and the next: lead-out, lead-in and pre-gap
    session: int
    #: What programs could still use in a next session
    free_after: int
    #: Whether there can be one
    next_possible: bool


class Room:
    """Free and promised blocks of one disc; what is kept back is for the
    kinds of disc to say."""

    #: Lost behind each packet; None on a disc whose blocks are used again
    link_blocks: int | None = None
    #: What the bridge costs that the next close writes; None if it writes none
    bridge: int | None = None

    def __init__(self) -> None:
        self._promised = 0
        self._frozen = 0

    @property
    def free(self) -> int:
        """Blocks that are free on the disc."""
        raise NotImplementedError

    @property
    def closing(self) -> int:
        """Blocks that are always kept back."""
        raise NotImplementedError

    @property
    def spare(self) -> int:
        """The part of them that deleting may use."""
        raise NotImplementedError

    @property
    def promised(self) -> int:
        """Blocks that uncommitted changes may need."""
        return self._promised + self._frozen

    @property
    def available(self) -> int:
        """Blocks that programs may still use; never below 0."""
        return max(0, self.free - self.closing - self.promised)

    def closing_cost(self) -> ClosingCost | None:
        """What closing the disc costs; None where there is nothing to close."""
        return None

    def grown(self, bridge: int) -> int:
        """By how many blocks ``closing`` grows with the cost of the bridge."""
        return 0

    def grow_bridge(self, cost: int) -> None:
        """The bridge costs so much more, or less."""

    def promise(self, blocks: int, *, bridge: int = 0, deleting: bool = False) -> None:
        """Set ``blocks`` aside for a change by which the cost of the bridge will
        grow by so much at most. Raises NoSpaceError.

        Deleting may use a part of what is kept: it works on a full disc.
        """
        room = self.free - self.closing - self.promised
        if bridge > 0:
            room -= self.grown(bridge)
        if deleting:
            room += self.spare
        if blocks > room:
            raise NoSpaceError(needed=blocks, free=max(0, room))
        self._promised += blocks

    def carry(self, blocks: int) -> None:
        """``blocks`` that were promised to the commit are still to be written."""
        self._promised += blocks

    def freeze(self) -> None:
        """A commit begins: what was promised so far is its to spend."""
        self._frozen += self._promised
        self._promised = 0

    def thaw(self) -> None:
        """The commit is on the disc; what it was promised is spent."""
        self._frozen = 0

    def grow_table(self, entries: int) -> None:
        """Inodes have so many numbers now, free ones among them."""


class Reserve(Room):
    """The room on a write-once disc."""

    def __init__(
        self,
        *,
        free: int,
        link_blocks: int,
        packet_limit: int,
        opening: int,
        bridge: int | None = None,
        session_gap: int = 0,
        next_opening: int = 0,
    ) -> None:
        """``free``: blocks from the next writable address to the last
        possible lead-out; ``opening``: blocks that opening a session costs
        before anything else can be written (0 in an open one). ``bridge``: what the
        bridge costs that the next close writes, None if it writes none.
        ``session_gap``: blocks that are lost behind this session, ``next_opening``:
        those that opening another one costs."""
        super().__init__()
        self._free = free
        self.link_blocks: int = link_blocks
        self._packet_limit = packet_limit
        self._opening = opening
        self.bridge = bridge
        self._session_gap = session_gap
        self._next_opening = next_opening
        self._vat_entries = 0
        self._kept_for = 0  # a cost of the bridge, of which the present one is a little less
        self._closing = 0
        self._count()

    @property
    def free(self) -> int:
        return self._free

    @property
    def closing(self) -> int:
        """Blocks that one commit and the close need, bad spots included."""
        return self._closing

    def _count(self) -> None:
        if self.bridge is not None:
            self._kept_for = _stepped(self.bridge)
        self._closing = self._opening + self._without_bridge + BRIDGES * self._bridge_blocks

    @property
    def _without_bridge(self) -> int:
        commit = self._vat_blocks + ALLOCATION_EXTENTS + PACKETS_OF_A_COMMIT * self.link_blocks
        lost = LOST_PACKETS * self._packet_limit + TRACK_REPAIR
        return commit + self._last_packets + lost

    @property
    def _vat_blocks(self) -> int:
        return self._vat_entries // VAT_ENTRIES_PER_BLOCK + 2 + VAT_ICBS

    @property
    def _last_packets(self) -> int:
        """What closing writes, besides the bridge."""
        return self._vat_blocks + ANCHOR_DISTANCE + PACKETS_OF_A_CLOSE * self.link_blocks

    @property
    def _bridge_blocks(self) -> int:
        if self.bridge is None:
            return 0
        return self._with_links(self._kept_for)

    def _with_links(self, bridge: int) -> int:
        """Blocks of a bridge with what its packets take besides."""
        blocks = cost.blocks(bridge)
        return blocks + links_of_bridge(blocks, self._packet_limit, self.link_blocks)

    @property
    def spare(self) -> int:
        """A few packets may be lost, and in the worst case the disc is closed without
        its bridge."""
        lost = LOST_PACKETS * self._packet_limit + TRACK_REPAIR
        return lost + BRIDGES * self._bridge_blocks

    def grown(self, bridge: int) -> int:
        if self.bridge is None or self.bridge + bridge <= self._kept_for:
            return 0
        return BRIDGES * (self._with_links(_stepped(self.bridge + bridge)) - self._bridge_blocks)

    def grow_bridge(self, cost: int) -> None:
        if self.bridge is not None:
            self.bridge += cost
            if not self._kept_for - BRIDGE_STEP < self.bridge <= self._kept_for:
                self._count()

    def closing_with(self, bridge: int) -> int:
        """``closing``, if the close wrote a bridge of that cost, once."""
        return self._closing + self._with_links(bridge)

    def closing_cost(self) -> ClosingCost:
        """What closing the open session, or a new one, will cost and leave."""
        bridge = self._bridge_blocks
        commit = self._opening + self.promised + self._last_packets + bridge
        lost = self._session_gap + self._next_opening
        left = self._free - commit - lost - self._without_bridge - BRIDGES * bridge
        return ClosingCost(commit, bridge, self._session_gap, max(0, left), left > 0)

    def settle(self, *, free: int, vat_entries: int, opening: int) -> None:
        """The commit is on the disc; ``free`` blocks are left after it."""
        self.thaw()
        self._free = free
        self._vat_entries = vat_entries
        self._opening = opening
        self._count()

    def grow_table(self, entries: int) -> None:
        if entries > self._vat_entries:
            self._vat_entries = entries
            self._count()


def links_of_bridge(blocks: int, packet_limit: int, link_blocks: int) -> int:
    """Link blocks of a bridge of so many blocks: each of its packets is half full at
    least, but for some."""
    return (PACKETS_OF_A_BRIDGE + 2 * blocks // packet_limit) * link_blocks


def _stepped(cost: int) -> int:
    return -(-cost // BRIDGE_STEP) * BRIDGE_STEP


class RewritableReserve(Room):
    """The room on a rewritable disc, of which ``free()`` blocks are free now or
    after the next checkpoint, ``fresh()`` of them in packets with nothing in them."""

    def __init__(self, free: Callable[[], int], fresh: Callable[[], int] = lambda: 0) -> None:
        super().__init__()
        self._count = free
        self._fresh = fresh

    @property
    def free(self) -> int:
        return self._count()

    @property
    def closing(self) -> int:
        """Directories may need a little to lose a name, and files descriptors of
        their extents where free space is in small pieces; the log has its own room."""
        return KEPT + max(0, self._count() - self._fresh()) // RUNS_IN_BLOCK

    @property
    def spare(self) -> int:
        return self.closing
