"""The first writing to a rewritable disc of another system: it gets an intent log.

The log's packets are chosen among the free ones, and where they are is written
into both volume descriptor sequences. They belong to nobody yet then: the first
commit must take them out of the bitmap and give them to the hidden file
(`structures.log_file`). `is_held` tells whether that has come about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from media.errors import UnreadableBlockError
from media.store import RewritableStore
from udffs.commit.rewritable.sequences import DescriptorSequences
from udffs.commit.rewritable.structures import (
    ANCHOR_STEP,
    FIRST_ANCHOR,
    LOG_FILE,
    log_place_fields,
)
from udffs.errors import DiscError, StructureError, UnsupportedError
from udffs.ondisc import osta, tags
from udffs.ondisc.ecma167 import (
    ImplementationUseVolumeDescriptor,
    TagIdentifier,
    TerminatingDescriptor,
)
from udffs.ondisc.intentlog import MAX_EXTENTS, PACKET, packet_of
from udffs.volume import Volume
from udffs.volume.anchors import MAX_SEQUENCE, sequence_blocks
from udffs.volume.bitmap import SpaceTable
from udffs.volume.model import BLOCK

__all__ = ["LogExtents", "adopt", "choose_log", "find_log_file", "is_held", "why_not"]

SIZES = (64, 32, 16)
"""Packets of a log, the most first."""

LogExtents = tuple[tuple[int, int], ...]
"""(first home block, packets)."""


# -- whether it can be ---------------------------------------------------------------


def why_not(volume: Volume) -> str | None:
    """What of its layout keeps us from writing to a volume that is rewritten, in
    words; None if nothing. Costs hardly any reading."""
    if volume.sparing is not None:
        if volume.sparing.packet != PACKET:
            return f"its packets are of {volume.sparing.packet} blocks, not of {PACKET}"
        if volume.partition_start % PACKET:
            return "its partition does not begin with a packet"
        if volume.view is not None and any(at % PACKET for at in volume.view.spared.values()):
            return "its spare packets do not lie as the drive's packets do"
    if volume.partition_start + volume.partition_length > volume.store.capacity:
        return "its partition ends behind the disc"
    return _why_not_there(volume)


def _why_not_there(volume: Volume) -> str | None:
    """Whether what is written besides files lies across something, in words."""
    files = range(volume.partition_start, volume.partition_start + volume.partition_length)
    extents = (volume.main_sequence, volume.reserve_sequence)
    fixed = {block for start, length in extents for block in sequence_blocks(start, length)}
    fixed.add(volume.integrity_extent[0])
    if volume.integrity is not None:
        fixed.add(volume.integrity.location)
    last = volume.store.last_block
    anchors = {at for at in (FIRST_ANCHOR, last - ANCHOR_STEP, last) if _is_anchor(volume, at)}
    if any(block in files for block in fixed | anchors):
        return "its descriptors lie among its files"
    return None if volume.sparing is None else _why_not_spared(volume, files, fixed, anchors)


def _why_not_spared(volume: Volume, files: range, fixed: set[int], anchors: set[int]) -> str | None:
    sparing, end = volume.sparing, volume.store.capacity
    assert sparing is not None
    blocks = max(1, -(-sparing.size // BLOCK))
    tables = [range(at, at + blocks) for at in sparing.locations]
    spares = [
        range(mapped, mapped + PACKET)
        for original, mapped in sparing.entries
        if original != osta.SPARING_DEFECTIVE and mapped % PACKET == 0
    ]
    taken = {packet_of(block) for block in fixed} | {0, packet_of(FIRST_ANCHOR)}
    for place in (*tables, *spares):
        packets = set(range(packet_of(place.start), place.stop, PACKET))
        across = any(packet < files.stop and files.start < packet + PACKET for packet in packets)
        # The last anchor may share the packet of a table: that of mkudffs does.
        if across or packets & taken or any(block in place for block in anchors):
            return "its sparing tables or spare packets lie across something else"
        if place.stop > end:
            return "its sparing tables or spare packets lie behind the end of the disc"
        taken |= packets
    return None


def _is_anchor(volume: Volume, block: int) -> bool:
    try:
        found = tags.check(volume.store.read(block, 1), location=block)
    except (DiscError, UnreadableBlockError):
        return False
    return bool(found.tag_identifier == TagIdentifier.ANCHOR_VOLUME_POINTER)


# -- the log's packets ---------------------------------------------------------------


def choose_log(space: SpaceTable) -> LogExtents:
    """Free packets for a log, in as few pieces as can be.

    Raises UnsupportedError, with the reason, if there are too few.
    """
    runs = sorted(_free_runs(space), key=lambda run: (-run[1], run[0]))[:MAX_EXTENTS]
    room = sum(packets for _first, packets in runs)
    size = next((size for size in SIZES if size * 2 <= room), 0)
    if not size:
        raise UnsupportedError(
            what=f"{SIZES[-1] * 2} free packets of {PACKET} blocks are needed to write to it "
            f"safely, and there are {room}"
        )
    chosen: list[tuple[int, int]] = []
    for first, packets in runs:
        taken = min(packets, size)
        chosen.append((first, taken))
        size -= taken
        if not size:
            break
    return tuple(sorted(chosen))


def _free_runs(space: SpaceTable) -> list[tuple[int, int]]:
    """Wholly free packets as (first home block, packets)."""
    runs: list[tuple[int, int]] = []
    bits = int.from_bytes(space.bits, "little") & (1 << space.count) - 1
    skip = -space.start % PACKET
    data = (bits >> skip).to_bytes(-(-space.count // 8) + PACKET // 8, "little")
    whole = b"\xff" * (PACKET // 8)
    first = space.start + skip
    for index in range(max(0, space.count - skip) // PACKET):
        if data[index * len(whole) : (index + 1) * len(whole)] != whole:
            continue
        home = first + index * PACKET
        if runs and runs[-1][0] + runs[-1][1] * PACKET == home:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((home, 1))
    return runs


def find_log_file(volume: Volume) -> int | None:
    """The key of the file in the root directory that should hold the log."""
    root = volume.inode(volume.root_key)
    for entry in volume.entries(root):
        if entry.name == LOG_FILE and not entry.is_directory:
            return entry.key
    return None


def is_held(volume: Volume, slots: tuple[int, ...]) -> bool:
    """Whether the packets of a log (their homes) are the hidden file's: where they
    are not, they may hold somebody's data, and the volume must be adopted anew."""
    try:
        key = find_log_file(volume)
        held = [] if key is None else volume.allocated(key)
    except (DiscError, UnreadableBlockError):
        return False
    return all(
        any(first <= slot and slot + PACKET <= first + count for first, count in held)
        for slot in slots
    )


# -- the descriptors -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sequence:
    """A volume descriptor sequence, and what is to be written into it."""

    blocks: dict[int, bytes]
    """Absolute block -> what it will hold, in the order of writing: what is
    needed to find the end goes first."""

    @property
    def packets(self) -> set[int]:
        return {packet_of(block) for block in self.blocks}


def adopt(store: RewritableStore, volume: Volume, log: LogExtents) -> None:
    """Write where the log is into the reserve sequence, then into the main one.

    Each is on the disc before the next is begun; one of them is whole at any
    moment. Raises UnsupportedError, before anything is written, if there is no
    room for it, and what the store raises.
    """
    extents = (volume.reserve_sequence, volume.main_sequence)
    reserve, main = DescriptorSequences(store, volume).packets
    if reserve & main:
        raise UnsupportedError(what="both copies of its descriptors lie in one packet")
    end = volume.partition_start + volume.partition_length
    if any(volume.partition_start <= start < end for start, _length in extents):
        raise UnsupportedError(what="its descriptors lie among its files")
    sequences = [_with_log(volume, extent, log) for extent in extents]
    for sequence in sequences:
        for block, data in sequence.blocks.items():
            store.write(block, data)
            if len(sequence.packets) > 1:
                store.flush()
        store.flush()


def _with_log(volume: Volume, extent: tuple[int, int], log: LogExtents) -> _Sequence:
    """The blocks of a sequence that change: our descriptor in the terminating
    one's place, that one behind it; or ours alone where there was one already."""
    start, length = extent
    limit = start + min(length // BLOCK, MAX_SEQUENCE)
    number, version = 0, 0
    for block in range(start, limit):
        found = _descriptor(volume, block)
        if found is None or found[0] == TagIdentifier.TERMINATING:
            break
        identifier, descriptor = found
        if identifier == TagIdentifier.VOLUME_POINTER:
            raise UnsupportedError(what="its volume descriptors go on elsewhere")
        own = int(descriptor.volume_descriptor_sequence_number)
        number, version = max(number, own), descriptor.tag.descriptor_version
        if _is_log_place(identifier, descriptor):
            return _Sequence({block: _log_place(log, own, block, version)})
    else:
        raise UnsupportedError(what="its volume descriptor sequence has no end")
    if not version:
        raise UnsupportedError(what=f"there are no volume descriptors at {start}")
    if block + 1 >= limit:
        raise UnsupportedError(what="its volume descriptor sequences are full")
    end = tags.seal(TerminatingDescriptor, {}, location=block + 1, version=version)
    return _Sequence(
        {
            block + 1: end.ljust(BLOCK, b"\0"),
            block: _log_place(log, number + 1, block, version),
        }
    )


def _descriptor(volume: Volume, block: int) -> tuple[int, Any] | None:
    """A descriptor of a sequence, None for a block of zeros behind the last one.

    Raises UnsupportedError for what is damaged: it is not ours to write over.
    """
    data = volume.store.read(block, 1)
    if not any(data):
        return None
    try:
        return tags.unseal_any(data, location=block)
    except StructureError as error:
        raise UnsupportedError(what=f"its volume descriptor at {block} is damaged") from error


def _is_log_place(identifier: int, descriptor: Any) -> bool:
    return identifier == TagIdentifier.IMPLEMENTATION_USE_VOLUME and (
        descriptor.implementation_identifier.identifier.rstrip(b"\0") == osta.LOG_PLACE
    )


def _log_place(log: LogExtents, number: int, block: int, version: int) -> bytes:
    fields = {**log_place_fields(log), "volume_descriptor_sequence_number": number}
    sealed = tags.seal(ImplementationUseVolumeDescriptor, fields, location=block, version=version)
    return sealed.ljust(BLOCK, b"\0")
