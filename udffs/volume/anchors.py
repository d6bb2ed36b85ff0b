"""From nothing to the volume descriptors (ECMA-167 parts 2 and 3, UDF 2.2 and 6.10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from udffs.errors import DamagedError, NotUdfError, StructureError
from udffs.ondisc import tags
from udffs.ondisc.derive import derive
from udffs.ondisc.ecma167 import (
    AnchorVolumeDescriptorPointer,
    TagIdentifier,
    VolumeStructureDescriptor,
)
from udffs.volume.model import BLOCK
from udffs.volume.source import Source

__all__ = [
    "ISO_9660",
    "TERMINATING",
    "Descriptors",
    "find_descriptors",
    "recognition",
    "recognition_note",
    "reserve_use",
    "sequence_blocks",
]

RECOGNITION_OFFSET = 16
"""Blocks from the start of a session to its recognition sequence (2/8.3)."""

MAX_RECOGNITION = 16
MAX_SEQUENCE = 64
"""Descriptors that are looked at, whatever the disc says."""

_KINDS = {
    TagIdentifier.PRIMARY_VOLUME,
    TagIdentifier.LOGICAL_VOLUME,
    TagIdentifier.UNALLOCATED_SPACE,
}


@dataclass(slots=True)
class Descriptors:
    """A volume descriptor sequence, the prevailing one of each kind (3/8.4.3)."""

    anchor: int
    """Absolute block of the anchor it was found through."""
    main: tuple[int, int]
    """Main sequence: (absolute block, bytes)."""
    reserve: tuple[int, int]
    """Reserve sequence: (absolute block, bytes)."""
    single: dict[int, Any] = field(default_factory=dict)
    """By tag identifier."""
    partitions: dict[int, Any] = field(default_factory=dict)
    """By partition number."""
    uses: dict[bytes, Any] = field(default_factory=dict)
    """Implementation use volume descriptors by their identifier (3/10.4)."""

    @property
    def complete(self) -> bool:
        """True if a volume can be read with these."""
        return TagIdentifier.LOGICAL_VOLUME in self.single and bool(self.partitions)

    def add(self, identifier: int, descriptor: Any) -> None:
        """Take in a descriptor, if none of a higher sequence number is there."""
        if identifier == TagIdentifier.PARTITION:
            _prefer(self.partitions, descriptor.partition_number, descriptor)
        elif identifier == TagIdentifier.IMPLEMENTATION_USE_VOLUME:
            name = descriptor.implementation_identifier.identifier.rstrip(b"\0")
            _prefer(self.uses, name, descriptor)
        elif identifier in _KINDS:
            _prefer(self.single, identifier, descriptor)


def _prefer(into: dict[Any, Any], key: Any, new: Any) -> None:
    old = into.get(key)
    number = "volume_descriptor_sequence_number"
    if old is None or new[number] >= old[number]:
        into[key] = new


# -- recognition (2/8.3, 2/9, 3/9) ---------------------------------------------

_STRUCTURE = derive(VolumeStructureDescriptor)
_IDENTIFIER = _STRUCTURE.picker("standard_identifier")
ISO_9660 = b"CD001"
TERMINATING = b"TEA01"
"""The standard identifier of its descriptors (ECMA-119 8.1.2)."""

_BEGINNINGS = (b"BEA01", b"BOOT2", ISO_9660, b"CDW02", b"NSR02", b"NSR03", TERMINATING)
_VOLUMES = {b"NSR02", b"NSR03"}


def recognition(source: Source, session: int) -> set[bytes] | None:
    """The identifiers of the recognition sequence of a session (its first block).

    None if its first block cannot be read: then the first track is reserved
    and not yet written (UDF 6.10).
    """
    start = session + RECOGNITION_OFFSET
    at, data = next(source.readable(start, start + MAX_RECOGNITION), (-1, b""))
    if at != start:
        return None
    found: set[bytes] = set()
    for index in range(len(data) // BLOCK):
        identifier = _IDENTIFIER(_STRUCTURE.unpack_from(data, index * BLOCK))
        if identifier not in _BEGINNINGS:
            break
        found.add(identifier)
    return found


def recognition_note(source: Source) -> str | None:
    """What to say of the recognition sequence of the last session, None if it is as it should be.

    An unreadable one is: other systems then look for the anchors (UDF 6.10).
    """
    spans = source.store.sessions or ((0, None),)
    found = recognition(source, spans[-1][0])
    if found is None or found & _VOLUMES:
        return None
    if ISO_9660 in found:
        return (
            "the last session is ISO 9660 alone, and what came with it is not seen here; this is "
            "the volume of an earlier one (`udffs export` makes an image of what the last shows)"
        )
    return "the volume recognition sequence is missing; other systems may not recognise the disc"


# -- anchors (3/8.4.2, UDF 2.2.3) ----------------------------------------------


def _candidates(source: Source) -> Iterator[int]:
    """Where an anchor may be, the likeliest first, the last session first."""
    spans = source.store.sessions or ((0, None),)
    for start, _end in reversed(spans):
        yield start + 256
        yield start + 512
    last = source.end - 1
    for near in (last, last - 1, last + 1, last - 2, last - 150, last - 152):
        yield near
        yield near - 256
    yield 256
    yield 512


def _anchors(source: Source) -> Iterator[tuple[int, Any]]:
    """(absolute block, anchor) of each valid anchor."""
    for block in dict.fromkeys(_candidates(source)):
        data = source.try_block(block)
        if data is None:
            continue
        try:
            yield block, tags.unseal(AnchorVolumeDescriptorPointer, data, location=block)
        except StructureError:
            continue


# -- sequences (3/8.4.2) -------------------------------------------------------


def sequence_blocks(start: int, length: int) -> range:
    """The blocks of a volume descriptor sequence (first block, bytes) that are looked at."""
    return range(start, start + min(-(-length // BLOCK), MAX_SEQUENCE))


def _sequence_blocks(source: Source, start: int, length: int) -> Iterator[tuple[int, bytes]]:
    blocks = sequence_blocks(start, length)
    for at, data in source.readable(blocks.start, blocks.stop):
        for index in range(len(data) // BLOCK):
            yield at + index, data[index * BLOCK : (index + 1) * BLOCK]


def _descriptors(source: Source, start: int, length: int) -> Iterator[tuple[int, Any]]:
    """(tag identifier, descriptor) of a sequence; damaged ones are left out."""
    left = MAX_SEQUENCE
    following: tuple[int, int] | None = (start, length)
    while following is not None:
        here, following = following, None
        for block, data in _sequence_blocks(source, *here):
            left -= 1
            if left < 0:
                return
            try:
                identifier, descriptor = tags.unseal_any(data, location=block)
            except StructureError:
                if any(data):
                    continue
                break
            if identifier == TagIdentifier.TERMINATING:
                break
            if identifier == TagIdentifier.VOLUME_POINTER:
                extent = descriptor.next_volume_descriptor_sequence_extent
                following = (extent.location, extent.length)
                break
            yield identifier, descriptor


def _read_sequences(source: Source, block: int, anchor: Any, notes: list[str]) -> Descriptors:
    main = anchor.main_volume_descriptor_sequence_extent
    reserve = anchor.reserve_volume_descriptor_sequence_extent
    found = Descriptors(block, (main.location, main.length), (reserve.location, reserve.length))
    for identifier, descriptor in _descriptors(source, *found.main):
        found.add(identifier, descriptor)
    # Without the primary one, whose identity the log bears, the rest is not enough.
    if not (found.complete and TagIdentifier.PRIMARY_VOLUME in found.single):
        notes.append(
            f"the main volume descriptors at {main.location} are damaged; "
            f"using the reserve ones at {reserve.location}"
        )
        for identifier, descriptor in _descriptors(source, *found.reserve):
            found.add(identifier, descriptor)
    return found


def reserve_use(source: Source, found: Descriptors, identifier: bytes) -> Any:
    """The implementation use volume descriptor of that identifier, also if only the
    reserve sequence has it; None if neither has."""
    if identifier not in found.uses:
        reserve = Descriptors(found.anchor, found.main, found.reserve)
        for kind, descriptor in _descriptors(source, *found.reserve):
            reserve.add(kind, descriptor)
        if identifier in reserve.uses:
            found.uses[identifier] = reserve.uses[identifier]
    return found.uses.get(identifier)


def find_descriptors(source: Source, notes: list[str]) -> Descriptors:
    """The volume descriptors of a disc.

    `notes` takes what was found and what was given up. Raises NotUdfError if
    there is no anchor, DamagedError if none leads to a volume.
    """
    seen = False
    for block, anchor in _anchors(source):
        seen = True
        found = _read_sequences(source, block, anchor, notes)
        if found.complete:
            return found
        notes.append(f"the anchor at {block} leads nowhere")
    if seen:
        raise DamagedError(what="both copies of its volume descriptors are unreadable")
    raise NotUdfError(why=_what_else(source))


def _what_else(source: Source) -> str:
    """What a disc without an anchor is instead, in words."""
    found = recognition(source, 0) or set()
    if found & _VOLUMES:
        return "it begins like one, but its anchors are missing"
    if ISO_9660 in found:
        return "it is an ISO 9660 disc"
    return "neither its beginning nor its anchors are there"
