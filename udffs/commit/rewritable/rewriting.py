"""Rewriting packets in place, so that a cut at any moment takes nothing durable along.

A rewrite may be torn: then the whole packet is lost. So before a packet is
rewritten, every live block of it that the log does not hold already goes into
a PROTECT record. That happens in rounds, as the log has room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol
from zlib import crc32

from media.errors import DefectivePacketError, UnreadableBlockError
from media.store import RewritableStore
from udffs.commit.rewritable.integrity import NewPlaces, moved_integrity
from udffs.commit.rewritable.log import KEPT_SLOTS, IntentLog, slots_for
from udffs.commit.rewritable.space import SpaceMap
from udffs.commit.vat import Counts
from udffs.errors import DamagedError, NeighbourLostError
from udffs.ondisc import intentlog, osta, tags
from udffs.ondisc.ecma167 import (
    INTEGRITY_CLOSED,
    INTEGRITY_OPEN,
    LogicalVolumeIntegrityDescriptor,
)
from udffs.ondisc.intentlog import PACKET, IntegrityExtension, Kind, packet_of
from udffs.ondisc.times import timestamp
from udffs.volume.model import BLOCK
from udffs.volume.view import RewritableView

__all__ = ["KEEPS_OTHERS_OFF", "PacketWriter", "Rewriter", "Sparing"]

KEEPS_OTHERS_OFF = 0x0260
"""Minimum write revision of an open volume: no system that we know writes it."""

MOVE_SLOTS = 1  # of a record that moves the integrity descriptor
ROUND = 128  # packets rewritten in one round: 8 MiB in memory
SPARES_AT_ONCE = 64  # packets spared during one flush
TRIES = 3  # of a packet that cannot be spared

Images = Mapping[int, bytes]
"""Blocks by their homes."""


class Sparing(Protocol):
    """The sparing tables of a volume."""

    def spare(self, packet: int) -> int:
        """Another place for the packet with that home (its first block), in the
        tables and in the view from now on; what was gathered for it goes there.
        Returns its first block. Raises where none is left."""
        ...


class PacketWriter:
    """Writes whole packets by their homes; those that cannot be written are
    spared on the spot."""

    def __init__(
        self,
        store: RewritableStore,
        view: RewritableView,
        sparing: Sparing | None,
        log: Callable[[str], None],
    ) -> None:
        """``sparing`` is None where the drive spares, or the volume cannot."""
        self._store = store
        self._view = view
        self._sparing = sparing
        self._log = log

    def write(self, home: int, data: bytes) -> None:
        """Gather the packet whose first block has that home."""
        try:
            self._store.write(self._view.actual(home), data)
        except DefectivePacketError as error:  # an earlier one; this one is gathered
            if self._can_spare(error.block):
                self._spare(error)
            else:
                self.flush()

    def flush(self) -> None:
        """When this returns, all that was gathered is on the disc. A packet that
        must stay where it is gets a few more tries."""
        tries = TRIES
        for _ in range(SPARES_AT_ONCE):
            try:
                self._store.flush()
            except DefectivePacketError as error:
                if self._can_spare(error.block):
                    self._spare(error)
                    continue
                tries -= 1
                if not tries:
                    raise
            else:
                return
        self._store.flush()

    def _can_spare(self, actual: int) -> bool:
        home, view = self._home(actual), self._view
        inside = view.start <= home and home + PACKET <= view.start + view.length
        return self._sparing is not None and inside

    def _spare(self, error: DefectivePacketError) -> None:
        assert self._sparing is not None
        home = self._home(error.block)
        moved = self._sparing.spare(home)
        self._store.relocate(error.block, moved)
        self._log(f"the packet at block {home} is worn; the one at {moved} takes its place")

    def _home(self, actual: int) -> int:
        for home, moved in self._view.spared.items():
            if moved == actual:
                return home
        return actual


class _Round(NamedTuple):
    """Packets to be rewritten together, and what of them must be safe before."""

    packets: dict[int, bytes]
    protect: dict[int, bytes]


class Rewriter:
    """Brings images home."""

    def __init__(
        self,
        view: RewritableView,
        space: SpaceMap,
        log: IntentLog,
        packets: PacketWriter,
        *,
        revision: int,
        physical_reference: int = 0,
        places: NewPlaces | None = None,
    ) -> None:
        """``revision`` is the volume's, as in 0x0201; ``places`` is None where the
        integrity descriptor cannot be moved."""
        self._view = view
        self._space = space
        self._log = log
        self.packets = packets
        self._revision = revision
        self._reference = physical_reference
        self._places = places

    # -- packets ---------------------------------------------------------------

    def rewrite(self, images: Images) -> None:
        """Write blocks at their homes and flush. What of them is live must not
        change its meaning by that: it is in the log, or is meant to be seen at
        once, as with the bitmap."""
        for one in self._rounds(images):
            if one.protect:
                self._log.append(Kind.PROTECT, one.protect)
            for home, data in one.packets.items():
                self.packets.write(home, data)
            self.packets.flush()
            self._log.guarded()

    def _rounds(self, images: Images) -> Iterator[_Round]:
        by_packet: dict[int, list[int]] = {}
        for block in sorted(images):
            by_packet.setdefault(packet_of(block), []).append(block)
        now = _Round({}, {})
        for home, blocks in by_packet.items():
            content, protect = self._packet(home, {block: images[block] for block in blocks})
            size = slots_for(len(now.protect) + len(protect))
            if now.packets and (len(now.packets) == ROUND or size > self._room):
                yield now
                now = _Round({}, {})
            now.packets[home] = content
            now.protect.update(protect)
        if now.packets:
            yield now

    @property
    def _room(self) -> int:
        """Slots that one PROTECT record may take."""
        return max(1, min(KEPT_SLOTS, self._log.free))

    def _packet(self, home: int, images: Images) -> tuple[bytes, dict[int, bytes]]:
        """A packet as it will be, and those of its blocks that must be in the
        log before it is written."""
        content = bytearray(self._content(home))
        protect: dict[int, bytes] = {}
        for index in range(PACKET):
            block = home + index
            image = images.get(block)
            if image is not None:
                content[index * BLOCK : (index + 1) * BLOCK] = image
            if block not in self._view.pending and self._space.live(block):
                protect[block] = bytes(content[index * BLOCK : (index + 1) * BLOCK])
        return bytes(content), protect

    def _content(self, home: int) -> bytes:
        """A packet as it is on the disc, or will be with what is gathered."""
        view = self._view
        actual = view.actual(home)
        try:
            return view.store.read(actual, PACKET)
        except UnreadableBlockError:
            return b"".join(self._block(home + index, actual + index) for index in range(PACKET))

    def _block(self, home: int, actual: int) -> bytes:
        """A block of a packet that cannot be read as a whole."""
        try:
            return self._view.store.read(actual, 1)
        except UnreadableBlockError as error:
            image = self._view.pending.get(home)
            if image is not None:
                return image
            if self._space.live(home):
                raise NeighbourLostError(block=home) from error
            return bytes(BLOCK)

    # -- checkpoints -----------------------------------------------------------

    def checkpoint(self) -> None:
        """Bring everything home that is in the log, and the bitmap with it."""
        self._end_round()
        pending = self._view.pending
        images = {home: data for home, data in pending.items() if self._space.wanted(home)}
        images.update(self._space.bitmap())
        if images:
            self.rewrite(images)
        self._log.checkpointed()
        self._space.checkpointed()
        pending.clear()

    def _end_round(self) -> None:
        """Rewrite again the packets in whose rewriting a cut came. All that is
        live in them is in the log, and more room is there afterwards."""
        homes = set(self._log.guarded_homes)
        packets = {packet_of(home) for home in homes}
        pending = self._view.pending
        integrity = packet_of(self._log.integrity_block)
        images = {home: data for home, data in pending.items() if packet_of(home) in packets}
        if integrity in packets:
            content, missing = self._packet(integrity, images)
            if missing:
                raise DamagedError(what="its log does not hold all that it should")
            self._bring_integrity_home(content)
        images = {home: data for home, data in images.items() if packet_of(home) != integrity}
        if images:
            self.rewrite(images)
        self._log.guarded()
        for home in homes:
            pending.pop(home, None)

    # -- the integrity descriptor (3/10.10, UDF 2.2.6) ---------------------------

    def write_integrity(self, kind: Kind, counts: Counts, now: int) -> None:
        """Rewrite the integrity descriptor: OPEN, or CLOSE with the counts and
        the free space as they are, which must be the last write of an unmount.
        ``now`` is in nanoseconds."""
        block = self._log.integrity_block
        old = self._view.read(block, 1)
        home = packet_of(block)
        content, protect = self._packet(home, {block: old})
        protect[block] = old
        blank = sum(not any(data) for data in protect.values())
        parts = slots_for(len(protect) - blank, blank=blank)
        self._log.make_room(parts)
        new = self._integrity(kind, old, counts, now, parts)
        inside = (block - home) * BLOCK
        content = content[:inside] + new + content[inside + BLOCK :]
        protect[block] = new
        self._log.append(kind, protect, counts=counts, integrity_after=crc32(new))
        self._bring_integrity_home(content)
        self._log.guarded()
        self._view.pending.pop(block, None)

    def _bring_integrity_home(self, content: bytes) -> None:
        """Write the packet of the integrity descriptor, which is in the log: at its
        place or, where that is bad, at another."""
        while True:
            home = packet_of(self._log.integrity_block)
            try:
                self.packets.write(home, content)
                self.packets.flush()
                break
            except DefectivePacketError as error:
                if error.block != home or self._places is None or not self._log.free:
                    raise
                content = self._move_integrity(self._places, self._places.take(error), content)
        if self._places is not None:
            self._places.settle(self._log.integrity_block)

    def _move_integrity(self, places: NewPlaces, packet: int, content: bytes) -> bytes:
        """Let the log say that the integrity descriptor is at the beginning of that
        packet. Returns what is to be there; ``content`` is that of its old one.

        Until the volume descriptors lead there, readers meet the one that it left,
        damaged or not: the record knows of it, too.
        """
        log = self._log
        at = log.integrity_block % PACKET * BLOCK
        old = content[at : at + BLOCK]
        found = tags.unseal(LogicalVolumeIntegrityDescriptor, old, location=None)
        kind = Kind.CLOSE if found.integrity_type == INTEGRITY_CLOSED else Kind.OPEN
        next_slot, sequence = log.after(MOVE_SLOTS)
        extension = IntegrityExtension(next_slot, sequence, log.commit, *log.hints)
        blocks = moved_integrity(old, packet, extension)
        log.integrity_block = packet
        log.integrity_checksum = self._checksum(places.left)
        images = {**blocks, places.left: old}
        log.append(kind, images, integrity_after=crc32(blocks[packet]), beside=True)
        return b"".join(blocks.values())

    def _checksum(self, block: int) -> int:
        """CRC-32 of an integrity descriptor as the disc has it, if it can be read."""
        try:
            return crc32(self._view.store.read(self._view.actual(block), 1))
        except UnreadableBlockError:
            return self._log.integrity_checksum

    def _integrity(self, kind: Kind, old: bytes, counts: Counts, now: int, parts: int) -> bytes:
        block = self._log.integrity_block
        found = tags.unseal(LogicalVolumeIntegrityDescriptor, old, location=block)
        use = _use(bytes(found.implementation_use))
        closing = kind == Kind.CLOSE
        use["implementation_id"] = osta.implementation_id()
        use["number_of_files"], use["number_of_directories"] = counts[:2]
        use["minimum_udf_read_revision"] = self._revision
        use["minimum_udf_write_revision"] = self._revision if closing else KEEPS_OTHERS_OFF
        use["maximum_udf_write_revision"] = max(self._revision, use["maximum_udf_write_revision"])
        free = list(found.free_space_table)
        if self._reference < len(free):
            free[self._reference] = self._space.free_on_disc
        fields = {
            **found,
            "recording_date_and_time": timestamp(now),
            "integrity_type": INTEGRITY_CLOSED if closing else INTEGRITY_OPEN,
            "logical_volume_contents_use": {"unique_id": counts.next_unique_id},
            "free_space_table": free,
            "implementation_use": osta.LogicalVolumeIntegrityImplementationUse.build(use),
        }
        next_slot, sequence = self._log.after(parts)
        commit = self._log.commit
        extension = IntegrityExtension(next_slot, sequence, commit, *self._log.hints)
        version = tags.check(old).descriptor_version
        return intentlog.build_integrity(fields, extension, location=block, version=version)


def _use(data: bytes) -> dict[str, Any]:
    layout = osta.LogicalVolumeIntegrityImplementationUse
    return dict(layout.parse(data[: layout.sizeof()].ljust(layout.sizeof(), b"\0")))
