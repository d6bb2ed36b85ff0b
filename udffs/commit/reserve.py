"""How much room there is: the one home of the reserve.

Free space as programs see it leaves out what closing the disc needs, one
commit, and a few packets that may be lost to bad spots; and what has been
promised to changes that are not on the disc yet. Every number is in blocks
of 2,048 bytes, kept up to date at O(1) an operation.
"""

from __future__ import annotations

from collections.abc import Callable

from udffs.errors import NoSpaceError

ANCHOR_DISTANCE = 257  # the last packet spans N-256 to N (UDF 6.10.1)
PACKETS_OF_A_COMMIT = 2
PACKETS_OF_A_CLOSE = 2
VAT_ICBS = 2
ALLOCATION_EXTENTS = 16
LOST_PACKETS = 2
TRACK_REPAIR = 150 + 7  # the pre-gap of the track after a repaired one
VAT_ENTRIES_PER_BLOCK = 512
KEPT = 64
RUNS_IN_BLOCK = 100  # of descriptors of extents, without holes


class Room:
    """Free and promised blocks of one disc; what is kept back is for the
    kinds of disc to say."""

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

    def promise(self, blocks: int, *, deleting: bool = False) -> None:
        """Set ``blocks`` aside for a change. Raises NoSpaceError.

        Deleting may use a part of what is kept: it works on a full disc.
        """
        room = self.free - self.closing - self.promised
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

    def __init__(self, *, free: int, link_blocks: int, packet_limit: int, opening: int) -> None:
        """``free``: blocks from the next writable address to the last
        possible lead-out; ``opening``: blocks that opening a session costs
        before anything else can be written (0 in an open one)."""
        super().__init__()
        self._free = free
        self._link_blocks = link_blocks
        self._packet_limit = packet_limit
        self._opening = opening
        self._vat_entries = 0

    @property
    def free(self) -> int:
        return self._free

    @property
    def closing(self) -> int:
        """Blocks that one commit and the close need, bad spots included."""
        vat = self._vat_entries // VAT_ENTRIES_PER_BLOCK + 2
        packets = PACKETS_OF_A_COMMIT + PACKETS_OF_A_CLOSE
        links = packets * self._link_blocks
        commit = vat + VAT_ICBS + ALLOCATION_EXTENTS
        close = vat + VAT_ICBS + ANCHOR_DISTANCE
        return self._opening + commit + close + links + self.spare

    @property
    def spare(self) -> int:
        return LOST_PACKETS * self._packet_limit + TRACK_REPAIR

    def settle(self, *, free: int, vat_entries: int, opening: int) -> None:
        """The commit is on the disc; ``free`` blocks are left after it."""
        self.thaw()
        self._free = free
        self._vat_entries = vat_entries
        self._opening = opening

    def grow_table(self, entries: int) -> None:
        self._vat_entries = max(self._vat_entries, entries)


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
