"""Both copies of the volume descriptor sequence, changed so that a cut leaves one whole.

What changes is where the integrity descriptor lies (3/10.6.12). A copy that is
damaged, by a cut in an earlier change, is made anew from the other one first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from media.errors import DefectivePacketError, UnreadableBlockError
from media.store import RewritableStore
from udffs.errors import DamagedError, StructureError, UnsupportedError
from udffs.ondisc import tags
from udffs.ondisc.ecma167 import LogicalVolumeDescriptor, TagIdentifier
from udffs.ondisc.intentlog import PACKET, packet_of
from udffs.volume import Volume
from udffs.volume.anchors import sequence_blocks
from udffs.volume.model import BLOCK

__all__ = ["DescriptorSequences"]

_NEEDED = {
    TagIdentifier.PRIMARY_VOLUME,
    TagIdentifier.PARTITION,
    TagIdentifier.LOGICAL_VOLUME,
}

Extent = tuple[int, int]
"""(absolute block, bytes)."""


class _Copy(NamedTuple):
    """A copy of the sequence: its blocks up to the terminating descriptor."""

    start: int
    blocks: list[bytes]
    integrity: Extent


class DescriptorSequences:
    """The two copies on a disc."""

    def __init__(self, store: RewritableStore, volume: Volume) -> None:
        self._store = store
        self._extents = (volume.reserve_sequence, volume.main_sequence)

    @property
    def packets(self) -> list[set[int]]:
        """Of each copy the packets (first blocks) that it lies in."""
        return [
            set(range(packet_of(start), sequence_blocks(start, length).stop, PACKET))
            for start, length in self._extents
        ]

    def may_change(self) -> bool:
        """Whether they can be changed one after the other, and one is whole now."""
        reserve, main = self.packets
        try:
            return not reserve & main and any(self._copies())
        except UnsupportedError:
            return False

    def agree(self) -> None:
        """Where one is damaged, or they lead to different integrity descriptors: the
        main one is right, as long as it is whole."""
        reserve, main = self._copies()
        sound = main or reserve
        if sound is not None and None in (reserve, main):
            self.point(sound.integrity)
        elif reserve is not None and main is not None and reserve.integrity != main.integrity:
            self.point(main.integrity)

    def point(self, integrity: Extent) -> None:
        """Let both lead to an integrity sequence. Each copy is on the disc before the
        other is begun; what is right already is not written."""
        copies = self._copies()
        sound = next((copy for copy in reversed(copies) if copy is not None), None)
        if sound is None:
            raise DamagedError(what="both copies of its volume descriptors are damaged")
        both = zip(self._extents, copies, strict=True)
        for (start, length), copy in sorted(both, key=lambda one: one[1] is not None):
            source = copy or sound
            if len(source.blocks) > len(sequence_blocks(start, length)):
                raise DamagedError(what="a copy of its volume descriptors has no room for them")
            blocks = {
                start + index: _leading(data, start + index, integrity)
                for index, data in enumerate(source.blocks)
            }
            self._write(blocks)

    # -- reading -------------------------------------------------------------------

    def _copies(self) -> list[_Copy | None]:
        """The reserve one and the main one, None for what is not whole."""
        return [self._copy(*extent) for extent in self._extents]

    def _copy(self, start: int, length: int) -> _Copy | None:
        found: dict[int, Any] = {}
        blocks: list[bytes] = []
        try:
            for identifier, descriptor, data in self._descriptors(start, length):
                found[identifier] = descriptor
                blocks.append(data)
        except (StructureError, UnreadableBlockError):
            return None
        if not found.keys() >= _NEEDED:
            return None
        extent = found[TagIdentifier.LOGICAL_VOLUME].integrity_sequence_extent
        return _Copy(start, blocks, (extent.location, extent.length))

    def _descriptors(self, start: int, length: int) -> Iterator[tuple[int, Any, bytes]]:
        for block in sequence_blocks(start, length):
            data = self._store.read(block, 1)
            if not any(data):
                return
            identifier, descriptor = tags.unseal_any(data, location=block)
            if identifier == TagIdentifier.VOLUME_POINTER:
                raise UnsupportedError(what="its volume descriptors go on elsewhere")
            yield identifier, descriptor, data
            if identifier == TagIdentifier.TERMINATING:
                return

    # -- writing -------------------------------------------------------------------

    def _write(self, blocks: dict[int, bytes]) -> None:
        """Blocks where they differ, packet by packet, the rest of each kept; what
        cannot be read of it is lost already."""
        for packet in sorted({packet_of(block) for block in blocks}):
            changed = False
            content: list[bytes] = []
            for block in range(packet, packet + PACKET):
                there = self._read(block)
                content.append(blocks.get(block, there or bytes(BLOCK)))
                changed |= content[-1] != there
            if changed:  # and the other copy is whole, whatever becomes of this one
                self._bring(packet, b"".join(content))

    def _bring(self, packet: int, content: bytes) -> None:
        try:
            self._store.write(packet, content)
            self._store.flush()
        except DefectivePacketError as error:
            self._store.forget(error.block)
            raise

    def _read(self, block: int) -> bytes | None:
        try:
            return self._store.read(block, 1)
        except UnreadableBlockError:
            return None


def _leading(data: bytes, block: int, integrity: Extent) -> bytes:
    """A descriptor for that block; the logical volume's leads to an integrity sequence."""
    moved = bytearray(data)
    tags.relocate(moved, 0, block)
    tag = tags.check(moved, location=block)
    if tag.tag_identifier != TagIdentifier.LOGICAL_VOLUME:
        return bytes(moved)
    found = tags.unseal(LogicalVolumeDescriptor, moved, location=block)
    extent = found.integrity_sequence_extent
    if (extent.location, extent.length) == integrity:
        return bytes(moved)
    location, length = integrity
    sealed = tags.seal(
        LogicalVolumeDescriptor,
        {**found, "integrity_sequence_extent": {"length": length, "location": location}},
        location=block,
        version=tag.descriptor_version,
        serial=tag.tag_serial_number,
    )
    return sealed + data[len(sealed) :]
