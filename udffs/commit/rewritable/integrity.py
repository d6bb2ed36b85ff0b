"""Another place for the integrity descriptor, once its packet cannot be written.

The packet lies outside the partition, so the sparing tables cannot lead
elsewhere. But the logical volume descriptors say where the integrity descriptor
is (3/10.6.12). So a spare packet is taken out of the sparing tables, the bad one
is put there instead, as defective, and when the descriptor is at its new place
both volume descriptor sequences lead to it.
"""

from __future__ import annotations

from collections.abc import Callable

from media.errors import DefectivePacketError
from media.store import RewritableStore
from udffs.commit.rewritable.sequences import DescriptorSequences
from udffs.commit.rewritable.sparing import SparingTables
from udffs.commit.rewritable.structures import (
    ANCHOR_STEP,
    FIRST_ANCHOR,
    RECOGNITION_PACKET,
)
from udffs.ondisc import tags
from udffs.ondisc.ecma167 import LogicalVolumeIntegrityDescriptor, TerminatingDescriptor
from udffs.ondisc.intentlog import PACKET, IntegrityExtension, build_integrity, packet_of
from udffs.volume import Volume
from udffs.volume.model import BLOCK

__all__ = ["NewPlaces", "moved_integrity"]


class NewPlaces:
    """Finds packets for the integrity descriptor, and has the volume descriptors
    lead there."""

    def __init__(
        self,
        store: RewritableStore,
        volume: Volume,
        sparing: SparingTables,
        left: int,
        log: Callable[[str], None],
    ) -> None:
        """``left`` is the block of the integrity descriptor that the volume descriptors
        lead to."""
        self.left = left
        self._store = store
        self._volume = volume
        self._sparing = sparing
        self._sequences = DescriptorSequences(store, volume)
        self._log = log

    def take(self, error: DefectivePacketError) -> int:
        """A packet instead of the one that could not be written; what was gathered for
        that is forgotten. Raises the error itself where a descriptor cannot be moved,
        SpareTableFullError."""
        bad = error.block
        if not self._may_leave(bad):
            raise error
        self._store.forget(bad)
        packet = self._sparing.take(bad)
        self._log(f"the packet at block {bad} is worn; the one at {packet} takes its place")
        return packet

    def _may_leave(self, packet: int) -> bool:
        """Whether nothing else that must be found lies in a packet, and the volume
        descriptors can be changed."""
        volume, last = self._volume, self._store.last_block
        end = volume.partition_start + volume.partition_length
        anchors = (FIRST_ANCHOR, last - ANCHOR_STEP, last)
        tables = () if volume.sparing is None else volume.sparing.locations
        fixed = {RECOGNITION_PACKET, *map(packet_of, anchors), *map(packet_of, tables)}
        return (
            packet not in fixed.union(*self._sequences.packets)
            and (packet >= end or packet + PACKET <= volume.partition_start)
            and self._sequences.may_change()
        )

    def agree(self) -> None:
        """A change of the volume descriptors was cut, and another system wrote: make
        both copies lead to the same place again."""
        if self._sparing.defective and self._sequences.may_change():
            try:
                self._sequences.agree()
            except DefectivePacketError as error:
                self._log(f"one copy of the volume descriptors cannot be mended: {error}")

    def settle(self, block: int) -> None:
        """The integrity descriptor is on the disc at that block: let the volume
        descriptors lead to it."""
        if block != self.left:
            self._sequences.point((block, PACKET * BLOCK))
            self.left = block


def moved_integrity(old: bytes, block: int, extension: IntegrityExtension) -> dict[int, bytes]:
    """The blocks of the packet that begins with an integrity descriptor at ``block``:
    what ``old`` says, with that extension."""
    version = tags.check(old).descriptor_version
    found = tags.unseal(LogicalVolumeIntegrityDescriptor, old, location=None)
    end = tags.seal(TerminatingDescriptor, {}, location=block + 1, version=version)
    fields = {**found, "next_integrity_extent": {"length": 0, "location": 0}}
    blocks = dict.fromkeys(range(block, block + PACKET), bytes(BLOCK))
    blocks[block] = build_integrity(fields, extension, location=block, version=version)
    blocks[block + 1] = end.ljust(BLOCK, b"\0")
    return blocks
