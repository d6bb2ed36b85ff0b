"""Reading the intent log of a rewritable disc: is anything in it that is not at home yet?

Works on any store, also on a plain image and read-only: what is pending is
laid over the disc (:class:`~udffs.volume.view.RewritableView`), nothing is
written. The meaning of it all is in DESIGN.md, "Rewritable discs".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from zlib import crc32

from media.errors import UnreadableBlockError
from udffs.errors import StructureError
from udffs.ondisc import intentlog, osta, tags
from udffs.ondisc.ecma167 import LogicalVolumeIntegrityDescriptor
from udffs.ondisc.intentlog import Kind, Record, Slot, packet_of
from udffs.volume.anchors import RECOGNITION_OFFSET, Descriptors
from udffs.volume.model import BLOCK, Integrity, Sparing
from udffs.volume.source import Source
from udffs.volume.tables import integrity_places, parse_integrity, read_integrity
from udffs.volume.view import RewritableView
from udffs.volume.volume import Volume

__all__ = ["CLEAN", "PENDING", "STALE", "LogState", "load"]

CLEAN = "clean"
PENDING = "pending"
STALE = "stale"

ANCHOR = 256
MAX_AREA = 1 << 20  # bytes of sparing tables and volume descriptors that are minded
_COMMIT_BITS = (1 << 63) - 1


@dataclass(slots=True)
class LogState:
    """What the log of a volume holds."""

    slots: tuple[int, ...]
    """Home block of each."""
    identity: int
    state: str = CLEAN
    """CLEAN, PENDING (images were laid over the view) or STALE (another system
    wrote meanwhile, or the log is damaged: nothing of it was used)."""
    why: str = ""
    """If stale, in words."""
    sequence: int = 1
    """Sequence number of the slot that will be written next."""
    slot: int = 0
    """Its index."""
    tail: int = 1
    """Records from this sequence number on are needed."""
    needed: dict[int, int] = field(default_factory=dict)
    """Slots that hold needed commits: index to the record's sequence number."""
    guarding: list[int] = field(default_factory=list)
    """Slots of the newest record, if packets were being rewritten under its protection."""
    guarded: set[int] = field(default_factory=set)
    """Homes of the images that only that record holds."""
    last: int = 0
    """Sequence number of the last COMMIT record that is needed, 0 for none."""
    commit: int = 0
    """Number of the last commit."""
    counts: tuple[int, int, int] | None = None
    """Files, directories and next unique id, if a pending record tells."""
    changes: list[tuple[list[intentlog.Extent], list[intentlog.Extent]]] = field(
        default_factory=list
    )
    """Extents allocated and freed that the bitmap does not know, oldest first."""
    integrity_block: int = 0
    """Home block of the integrity descriptor."""
    left: int = 0
    """Where the volume descriptors lead instead, if it was being moved; else 0."""
    integrity_checksum: int = 0
    """CRC-32 of its block as the newest record has it, or as it is on the disc."""
    icb_hint: int = 0
    data_hint: int = 0
    records: list[Record] = field(default_factory=list)
    """Of a stale log: what was not at home yet, oldest first."""


@dataclass(slots=True)
class _Found:
    """A complete record."""

    sequence: int
    tail: int
    slots: list[int]
    record: Record


@dataclass(slots=True)
class _Bounds:
    """What a record may speak of. Whatever a disc says, nothing else is ever
    written to: the packets that the partition has a part in, but for the log's, those
    of its integrity descriptors, and one that was a spare packet for these."""

    start: int
    end: int
    """Of the partition."""
    first: int
    behind: int
    """Of its packets."""
    slots: frozenset[int]
    integrity: frozenset[int]
    """Packets, by their first blocks."""
    defective: frozenset[int]
    """Packets that the sparing tables call so. The integrity descriptor's is among
    them when it moves: to a packet that is not ``known`` for anything."""
    known: frozenset[int]
    capacity: int

    @classmethod
    def of(
        cls, view: RewritableView, volume: Volume, state: LogState, found: Descriptors
    ) -> _Bounds:
        places = integrity_places(Source(view), found)
        end = view.start + view.length
        entries = () if volume.sparing is None else volume.sparing.entries
        return cls(
            view.start,
            end,
            packet_of(view.start),
            packet_of(end + intentlog.PACKET - 1),
            frozenset(state.slots),
            frozenset(map(packet_of, places)),
            frozenset(at for original, at in entries if original == osta.SPARING_DEFECTIVE),
            _known(view, volume.sparing, found),
            view.capacity,
        )

    def allow(self, record: Record) -> bool:
        """Whether all that a record says can be true."""
        home = packet_of(record.integrity_block)
        if home not in self.integrity and not self._may_move_to(home):
            return False
        # The record of a move tells of the place that was left, too.
        others = record.images.keys() - self.images(record).keys()
        if not self.defective.issuperset(map(packet_of, others)):
            return False
        direct = [(block, count) for block, count, _checksum in record.direct]
        return all(map(self._inside, (record.allocated, record.freed, direct)))

    def _may_move_to(self, packet: int) -> bool:
        outside = packet >= self.behind or packet + intentlog.PACKET <= self.first
        whole = packet + intentlog.PACKET <= self.capacity
        leaves = bool(self.integrity & self.defective)
        return leaves and outside and whole and packet not in self.known

    def images(self, record: Record) -> dict[int, bytes]:
        """Those of its images that may go home."""
        home = packet_of(record.integrity_block)
        return {
            block: data
            for block, data in record.images.items()
            if packet_of(block) == home or self._is_ours(packet_of(block))
        }

    def _is_ours(self, packet: int) -> bool:
        return self.first <= packet < self.behind and packet not in self.slots

    def left(self, record: Record) -> int | None:
        """Where the volume descriptors still lead if a record moves the integrity
        descriptor: the block that it left. None if they lead where the record says,
        0 if they lead to neither."""
        if packet_of(record.integrity_block) in self.integrity:
            return None
        return next((at for at in record.images if packet_of(at) in self.integrity), 0)

    def _inside(self, extents: Sequence[intentlog.Extent]) -> bool:
        """Blocks of the partition, none of them twice."""
        if any(block < self.start or block + count > self.end for block, count in extents):
            return False
        return sum(count for _, count in extents) <= self.end - self.start


def _known(view: RewritableView, sparing: Sparing | None, found: Descriptors) -> frozenset[int]:
    """Packets outside the partition that something else lies in."""
    last = view.last_block
    fixed = {RECOGNITION_OFFSET, ANCHOR, last - ANCHOR, last}
    extents = [found.main, found.reserve]
    if sparing is not None:
        extents += [(at, sparing.size) for at in sparing.locations]
        fixed.update(at for _, at in sparing.entries)
    for start, length in extents:
        fixed.update(range(start, start + max(1, -(-min(length, MAX_AREA) // BLOCK))))
    return frozenset(map(packet_of, fixed))


def load(view: RewritableView, volume: Volume, found: Descriptors) -> LogState | None:
    """The log of a volume, None if it has none.

    What is pending is put into ``view.pending``, and ``volume.integrity`` is
    read anew and corrected. Bounded by the 16 MiB that a log may have.
    """
    use = found.uses.get(osta.LOG_PLACE)
    if use is None:
        return None
    try:
        homes = intentlog.parse_log_use(use.implementation_use)
    except StructureError as error:
        volume.notes.append(str(error))
        return None
    if max(homes) + intentlog.PACKET > view.capacity:
        volume.notes.append("the place of its log is not on the disc")
        return None
    integrity = read_integrity(Source(view), found)
    state = LogState(tuple(homes), intentlog.identity_of(volume.identity))
    if integrity is not None:
        state.integrity_block = integrity.location
        state.integrity_checksum = crc32(integrity.block)
    extension = None if integrity is None else intentlog.integrity_extension(integrity.block)
    if extension is not None:
        _use_extension(state, extension)
    if integrity is None or extension is None or not _nothing_newer(view, state, integrity):
        _read_records(view, state, integrity, _Bounds.of(view, volume, state, found))
    if state.state == STALE:
        volume.notes.append(state.why)
    volume.integrity = _corrected(_newest_integrity(view, state, found), state)
    return state


def _use_extension(state: LogState, extension: intentlog.IntegrityExtension) -> None:
    if extension.next_slot < len(state.slots):
        state.slot = extension.next_slot
        state.sequence = state.tail = extension.sequence
    state.commit = extension.commit & _COMMIT_BITS
    if not extension.intact:
        _count_stranger(state)
    state.icb_hint, state.data_hint = extension.icb_hint, extension.data_hint


def _count_stranger(state: LogState) -> None:
    """Another system wrote since the last commit: no spool that builds upon the
    commits we know belongs to the disc as it is now."""
    state.commit = intentlog.next_commit(state.commit, state.integrity_checksum)


def _nothing_newer(view: RewritableView, state: LogState, integrity: Integrity) -> bool:
    """Whether a closed descriptor and the slot it names say that all is at home.

    The descriptor's neighbours may have been torn when it was closed, itself not.
    """
    home = packet_of(integrity.location)
    if integrity.is_open or _read(view, home, intentlog.PACKET) is None:
        return False
    head = _head(view, state, state.slot)
    return head is None or head.sequence < state.sequence


# -- slots and records ---------------------------------------------------------


def _read(view: RewritableView, home: int, count: int) -> bytes | None:
    """Blocks as they lie on the disc, whatever is pending."""
    try:
        return view.store.read(view.actual(home), count)
    except UnreadableBlockError:
        return None


def _head(view: RewritableView, state: LogState, slot: int) -> Slot | None:
    data = _read(view, state.slots[slot], 1)
    return None if data is None else intentlog.parse_slot_head(data, state.identity)


def _valid_slots(view: RewritableView, state: LogState) -> Iterator[tuple[int, Slot, bytes]]:
    for index, home in enumerate(state.slots):
        if _head(view, state, index) is None:
            continue
        data = _read(view, home, intentlog.PACKET)
        parsed = None if data is None else intentlog.parse_slot(data, state.identity)
        if parsed is not None:
            yield index, *parsed


def _complete(parts: list[tuple[int, Slot, bytes]], bounds: _Bounds) -> _Found | None:
    """The record that slots of the same record number make, if all are there."""
    by_part = {head.part: (index, head, payload) for index, head, payload in parts}
    first = by_part.get(0)
    if first is None or len(by_part) != first[1].parts:
        return None
    ordered = [by_part[part] for part in sorted(by_part)]
    if any(head.parts != first[1].parts or head.tail != first[1].tail for _, head, _ in ordered):
        return None
    record = intentlog.parse_record(b"".join(payload for _, _, payload in ordered))
    if record is None or not bounds.allow(record):
        return None
    return _Found(first[1].record, first[1].tail, [index for index, _, _ in ordered], record)


def _read_records(
    view: RewritableView,
    state: LogState,
    integrity: Integrity | None,
    bounds: _Bounds,
) -> None:
    groups: dict[int, list[tuple[int, Slot, bytes]]] = {}
    for index, head, payload in _valid_slots(view, state):
        groups.setdefault(head.record, []).append((index, head, payload))
        if head.sequence >= state.sequence:
            state.sequence = head.sequence + 1
            state.slot = (index + 1) % len(state.slots)
    state.tail = state.sequence
    complete = [_complete(parts, bounds) for parts in groups.values()]
    records = sorted((one for one in complete if one), key=lambda one: one.sequence)
    if not records:
        return
    newest = records[-1]
    needed = [one for one in records if one.sequence >= newest.tail]
    foreign = not _matches(view, [one.record for one in needed], integrity, bounds)
    state.commit = newest.record.commit & _COMMIT_BITS
    state.icb_hint, state.data_hint = newest.record.icb_hint, newest.record.data_hint
    gap = _gap(needed)
    if foreign or gap:
        _count_stranger(state)
    if foreign and newest.record.kind == Kind.CLOSE:
        return
    if foreign or gap:
        state.state = STALE
        state.why = (
            "another system has written to the disc before its log was at home"
            if foreign
            else "the log of the disc is damaged"
        )
        state.records = [one.record for one in needed]
        return
    _overlay(view, state, needed, bounds)


def _matches(
    view: RewritableView, records: list[Record], integrity: Integrity | None, bounds: _Bounds
) -> bool:
    """Whether nobody else wrote since: the integrity descriptor is one that the
    records know of, or it was torn while one of them was brought home."""
    newest = records[-1]
    left = bounds.left(newest)
    if left == 0:
        return False
    home = newest.integrity_block if left is None else left
    data = _read(view, home, 1)
    if data is not None and _is_integrity(data, home):
        if integrity is None or integrity.location != home:
            return False
        known = {c for r in records for c in (r.integrity_before, r.integrity_after)}
        return crc32(data) in known
    return any(home in record.images for record in records)


def _is_integrity(data: bytes, home: int) -> bool:
    try:
        tags.unseal(LogicalVolumeIntegrityDescriptor, data, location=home)
    except StructureError:
        return False
    return True


def _gap(needed: list[_Found]) -> bool:
    """Whether a commit that is still needed cannot be read."""
    commits = {one.sequence: one.record for one in needed if one.record.kind == Kind.COMMIT}
    newest = needed[-1]
    at = newest.sequence if newest.sequence in commits else newest.record.previous
    tail = newest.tail
    while at >= tail:
        record = commits.get(at)
        if record is None or record.previous >= at:
            return True
        at = record.previous
    return False


def _overlay(view: RewritableView, state: LogState, needed: list[_Found], bounds: _Bounds) -> None:
    newest = needed[-1]
    state.state = PENDING
    state.tail = newest.tail
    for one in needed:
        if one.record.kind == Kind.COMMIT:
            view.pending.update(bounds.images(one.record))
            state.changes.append((list(one.record.allocated), list(one.record.freed)))
            state.last = one.sequence
            state.needed.update(dict.fromkeys(one.slots, one.sequence))
        elif one is newest and one.record.images:
            # The packets of earlier ones were on the disc before this one came.
            state.guarding = one.slots
            images = bounds.images(one.record)
            state.guarded = images.keys() - view.pending.keys()
            view.pending.update(images)
    if not state.needed and not state.guarding:
        state.state = CLEAN
    record = newest.record
    state.counts = (record.files, record.directories, record.next_unique_id)
    state.integrity_block = record.integrity_block
    state.integrity_checksum = record.integrity_after
    state.left = bounds.left(record) or 0


def _newest_integrity(
    view: RewritableView, state: LogState, found: Descriptors
) -> Integrity | None:
    """The descriptor as the log has it, or as the disc has it."""
    block = state.integrity_block
    image = view.pending.get(block)
    if image is not None and _is_integrity(image, block):
        return parse_integrity(block, image)
    return read_integrity(Source(view), found)


def _corrected(integrity: Integrity | None, state: LogState) -> Integrity | None:
    """The descriptor with the counts of the log."""
    if integrity is None or state.counts is None:
        return integrity
    integrity.files, integrity.directories, integrity.next_unique_id = state.counts
    return integrity
