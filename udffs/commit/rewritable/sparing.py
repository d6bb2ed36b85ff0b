"""Bad packets and the spare ones in their place (UDF 2.2.9, 2.2.12).

The tables are copies of each other. A change is written to one after the other,
each on the disc before the next is touched, with a sequence number one higher:
whatever a cut leaves, one of them is whole. A copy that cannot be written any
more is given up while another one can.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from media.errors import DefectivePacketError, UnreadableBlockError
from media.store import RewritableStore
from udffs.errors import DamagedError, SpareTableFullError
from udffs.ondisc import osta, tags
from udffs.ondisc.intentlog import PACKET, packet_of
from udffs.ondisc.osta import SPARING_AVAILABLE, SPARING_DEFECTIVE
from udffs.volume.model import BLOCK, Sparing
from udffs.volume.view import RewritableView

__all__ = ["SparingTables"]


@dataclass(slots=True)
class _Entry:
    """Of the table: a block of the partition (or what marks a spare packet), and where it lies."""

    original: int
    mapped: int


class SparingTables:
    """The sparing tables of a volume that is written to.

    For the committing thread alone; others only look at ``view.spared``, which
    is changed when the content is where they will look for it.
    """

    def __init__(
        self,
        view: RewritableView,
        sparing: Sparing,
        *,
        log: Callable[[str], None] = lambda _message: None,
    ) -> None:
        """``view`` must be over a RewritableStore, ``sparing`` readable, its
        packets those of the drive."""
        self._view = view
        self._store = cast(RewritableStore, view.store)
        self._sparing = sparing
        self._log = log
        self._sequence = sparing.sequence
        self._entries = [_Entry(*pair) for pair in sparing.entries]
        self._copies = list(sparing.locations)
        self._outdated = list(sparing.outdated)

    # -- how worn the disc is --------------------------------------------------------

    @property
    def spares_left(self) -> int:
        """Spare packets that can still be used."""
        return len(self._available())

    @property
    def spared(self) -> int:
        """Packets that lie on a spare one."""
        return sum(one.original < SPARING_DEFECTIVE for one in self._entries)

    @property
    def defective(self) -> int:
        """Spare packets that were bad themselves."""
        return sum(one.original == SPARING_DEFECTIVE for one in self._entries)

    def _available(self) -> list[_Entry]:
        """Spare packets that may be used: what a table of others offers is one
        only if it is a whole packet that nothing else is known to lie in."""
        taken = {one.mapped for one in self._entries if one.original != SPARING_AVAILABLE}
        taken |= {packet_of(at) for at in self._sparing.locations}
        found = {
            one.mapped: one
            for one in self._entries
            if one.original == SPARING_AVAILABLE
            and one.mapped % PACKET == 0
            and one.mapped + PACKET <= self._store.capacity
            and one.mapped not in taken
        }
        return [found[mapped] for mapped in sorted(found)]

    # -- changing them ---------------------------------------------------------------

    def repair(self) -> None:
        """Write those copies again that were not valid, or older, when the volume was opened."""
        if self._outdated:
            self._log("the copies of the sparing table are made the same again")
            self._write()

    def spare(self, home: int) -> int:
        """Move the packet with that home (its first block) to a spare one.

        What is gathered for it goes along; the tables are on the disc when this
        returns, and so is everything else that was gathered. Returns where the
        packet lies now. Raises SpareTableFullError.
        """
        self._assign(home)
        self._sequence += 1
        self._write()
        return self._view.actual(home)

    def take(self, bad: int) -> int:
        """A spare packet for what lies outside the partition, in the packet ``bad``.

        On the disc the tables have given it away when this returns; in its stead they
        have the bad one, as a defective spare packet. Raises SpareTableFullError.
        """
        available = self._available()
        if not available:
            raise SpareTableFullError(block=bad)
        packet = available[0].mapped
        self._entries.remove(available[0])
        if all(one.mapped != bad for one in self._entries):  # a cut has not come between
            self._entries.append(_Entry(SPARING_DEFECTIVE, bad))
        self._sequence += 1
        self._write()
        return packet

    def _assign(self, home: int) -> None:
        """Give a packet another place: in memory, and for what is gathered."""
        old = self._view.actual(home)
        original = home - self._view.start
        available = self._available()
        if not available:
            raise SpareTableFullError(block=home)
        for one in self._entries:
            if one.original == original:
                one.original = SPARING_DEFECTIVE
        spare = available[0]
        spare.original = original
        self._log(f"the packet at {old} is bad; it is written to the spare one at {spare.mapped}")
        self._copy(old, spare.mapped)
        self._view.spared[home] = spare.mapped
        self._store.relocate(old, spare.mapped)

    def _copy(self, old: int, new: int) -> None:
        """Readers find the content at the new place before they are sent there."""
        try:
            self._store.write(new, self._store.read(old, PACKET))
        except UnreadableBlockError:
            return  # whoever wrote it knows all of it, and writes it again
        except DefectivePacketError:
            return  # of another packet: it is met again by the next flush

    # -- writing them ----------------------------------------------------------------

    def _write(self) -> None:
        """All copies, one after the other, and anew if more goes bad meanwhile.
        Each only after all that it points to: so a cut leaves nothing lost."""
        done: set[int] = set()
        while left := [at for at in self._copies if at not in done]:
            changed = self._flush()
            if not changed:
                self._write_copy(left[0])
                done.add(left[0])
                changed = self._flush()
            if changed:
                self._sequence += 1
                done.clear()
        self._outdated.clear()

    def _write_copy(self, location: int) -> None:
        """One copy, with its neighbours as far as they can be read: an earlier
        change of this table may have been cut, and nothing else is in its packet."""
        table = self._table(location)
        first = packet_of(location)
        after = location + len(table) // BLOCK
        for block in (*range(first, location), *range(after, first + PACKET)):
            try:
                self._store.read(block, 1)
            except UnreadableBlockError:
                self._store.write(block, bytes(BLOCK))
        self._store.write(location, table)

    def _flush(self) -> bool:
        """All that is gathered is on the disc. True if the table had to change for it."""
        changed = False
        while True:
            try:
                self._store.flush()
            except DefectivePacketError as error:
                changed |= self._cope(error)
            else:
                return changed

    def _table(self, location: int) -> bytes:
        entries = [(one.original, one.mapped) for one in self._entries]
        identifier = self._sparing.identifier
        fields = osta.sparing_fields(identifier, self._sequence, entries)
        sealed = tags.seal(
            osta.SparingTable, fields, location=location, version=self._sparing.version
        )
        return sealed.ljust(-(-len(sealed) // BLOCK) * BLOCK, b"\0")

    def _cope(self, error: DefectivePacketError) -> bool:
        """Get out of the way of one more bad packet. True if that changed the table."""
        bad = error.block
        if any(packet_of(at) == bad for at in self._copies):
            self._give_up(error)
            return False
        home = self._home_of(bad)
        if home is not None:
            self._assign(home)
            return True
        for one in self._entries:
            if one.mapped == bad and one.original == SPARING_AVAILABLE:
                one.original = SPARING_DEFECTIVE
                self._throw_away(bad)
                return True
        raise error

    def _home_of(self, packet: int) -> int | None:
        """The home of what lies in a packet, None if it is not the partition's."""
        for home, actual in self._view.spared.items():
            if actual == packet:
                return home
        inside = 0 <= packet - self._view.start < self._view.length
        return packet if inside and packet not in self._view.spared else None

    def _give_up(self, error: DefectivePacketError) -> None:
        """A copy of the table cannot be written any more."""
        bad = error.block
        self._log(f"the sparing table in the packet at {bad} cannot be written any more")
        self._copies = [at for at in self._copies if packet_of(at) != bad]
        if not self._copies:
            raise DamagedError(what="none of its sparing tables can be written") from error
        self._throw_away(bad)

    def _throw_away(self, packet: int) -> None:
        """Nothing is to be written to a packet any more: what is gathered for it
        goes to a spare packet, where it means nothing."""
        available = self._available()
        if not available:
            raise SpareTableFullError(block=packet)
        self._store.relocate(packet, available[-1].mapped)
