"""The intent log as it is written: slots in rotation, and which of them are still needed.

A slot is written again only when nothing in it is needed by what is on the disc
*now*: after a checkpoint its records stay until a record that says so (its
``tail``) is on the disc itself. PROTECT records are needed until the packets
they protect have been flushed, COMMIT records until the next checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol
from zlib import crc32

from udffs.commit.vat import Counts
from udffs.errors import DamagedError, InternalError
from udffs.ondisc.intentlog import (
    PAYLOAD,
    Extent,
    Kind,
    Record,
    Slot,
    build_record,
    build_slot,
    next_commit,
    record_size,
)
from udffs.volume.intentlog import LogState

__all__ = ["KEPT_SLOTS", "IntentLog", "Packets", "slots_for"]

KEPT_SLOTS = 8
"""Slots that commits leave for PROTECT records."""


class Packets(Protocol):
    """Whole packets at their homes."""

    def write(self, home: int, data: bytes) -> None:
        """Gather the packet whose first block has that home."""
        ...

    def flush(self) -> None:
        """When this returns, all that was gathered is on the disc."""
        ...


def slots_for(images: int, extents: int = 0, direct: int = 0, blank: int = 0) -> int:
    """Slots that a record takes; arguments as for :func:`record_size`."""
    return -(-record_size(images, extents, direct, blank) // PAYLOAD)


class IntentLog:
    """Appends records. ``counts`` are those of the last commit."""

    def __init__(self, packets: Packets, state: LogState, counts: Counts) -> None:
        self._packets = packets
        self._homes = state.slots
        self._identity = state.identity
        self._sequence = state.sequence
        self._next_slot = state.slot
        self._needed = dict(state.needed)  # slot: sequence number of its record
        self._guarding = set(state.guarding)  # slots whose packets are being rewritten
        self.guarded_homes = set(state.guarded)  # what only these slots hold, after a cut
        self._tail = state.tail
        self._tail_on_disc = state.tail
        self._last = state.last
        self._failed = False
        self.commit = state.commit
        self.counts = counts
        self.integrity_block = state.integrity_block
        self.integrity_checksum = state.integrity_checksum
        self.hints = (state.icb_hint, state.data_hint)

    # -- room ------------------------------------------------------------------

    @property
    def slots(self) -> int:
        """How many there are."""
        return len(self._homes)

    @property
    def needed(self) -> int:
        """Slots that hold records which the next checkpoint will make superfluous."""
        return sum(sequence >= self._tail for sequence in self._needed.values())

    @property
    def free(self) -> int:
        """Slots that the next record may take; after a checkpoint one is set
        aside for the record that tells of it."""
        if self._tail != self._tail_on_disc:
            return max(self._free_now(), len(self._homes) - self.needed - len(self._guarding) - 1)
        return self._free_now()

    def _free_now(self) -> int:
        return len(self._homes) - len(self._needed.keys() | self._guarding)

    def make_room(self, parts: int) -> None:
        """Where fewer slots are free than the next record takes, and only
        because nothing on the disc tells of the last checkpoint: tell."""
        if parts > self._free_now() and self._tail != self._tail_on_disc:
            self.append(Kind.PROTECT, {})

    def after(self, parts: int) -> tuple[int, int]:
        """Slot and sequence number of the record that will follow the next
        one, if that takes so many slots and there is room for it."""
        slots = self._free_slots(parts)
        return (slots[-1] + 1) % len(self._homes), self._sequence + parts

    def _free_slots(self, count: int) -> list[int]:
        total = len(self._homes)
        order = ((self._next_slot + step) % total for step in range(total))
        free = [slot for slot in order if slot not in self._needed and slot not in self._guarding]
        return free[:count]

    # -- records ---------------------------------------------------------------

    def next_commit(
        self,
        images: Mapping[int, bytes],
        *,
        allocated: Sequence[Extent] = (),
        freed: Sequence[Extent] = (),
        direct: Sequence[tuple[int, int, int]] = (),
    ) -> int:
        """The number that a COMMIT record with these contents will have."""
        lists = (sorted(images), list(allocated), list(freed), list(direct))
        checksum = crc32(repr(lists).encode())
        for home in lists[0]:
            checksum = crc32(images[home], checksum)
        return next_commit(self.commit, checksum)

    def append(
        self,
        kind: Kind,
        images: Mapping[int, bytes],
        *,
        allocated: Sequence[Extent] = (),
        freed: Sequence[Extent] = (),
        direct: Sequence[tuple[int, int, int]] = (),
        counts: Counts | None = None,
        integrity_after: int | None = None,
        beside: bool = False,
        number: int | None = None,
    ) -> int:
        """Write a record and flush: when this returns it is on the disc.

        ``beside``: while packets are still under the protection of the newest one.
        A COMMIT takes the next commit number, ``number`` where that was asked for.
        Returns how many slots it took.
        Raises what the store raises; then nothing can be appended any more.
        """
        if self._failed:
            raise InternalError(what="a record after something that failed")
        if self._guarding and not beside:
            raise DamagedError(what="its log does not hold all that it should")
        counts = counts or self.counts
        before = self.integrity_checksum
        commit = self.commit
        if number is not None:
            commit = number
        elif kind == Kind.COMMIT:
            commit = self.next_commit(images, allocated=allocated, freed=freed, direct=direct)
        record = Record(
            kind,
            commit,
            self._last if self._last >= self._tail else 0,
            counts.files,
            counts.directories,
            counts.next_unique_id,
            self.integrity_block,
            before,
            before if integrity_after is None else integrity_after,
            *self.hints,
            images=images,
            allocated=allocated,
            freed=freed,
            direct=direct,
        )
        data = build_record(record)
        parts = -(-len(data) // PAYLOAD)
        if images or allocated or freed:
            self.make_room(parts)
        self._failed = True
        sequence = self._sequence
        slots = self._write(data, parts)
        self._failed = False
        self._account(record, sequence, slots)
        self.commit, self.counts = commit, counts
        self.integrity_checksum = record.integrity_after
        return parts

    def _write(self, data: bytes, parts: int) -> list[int]:
        slots = self._free_slots(parts)
        if len(slots) < parts:
            raise InternalError(what=f"a record of {parts} slots, and {len(slots)} are free")
        first = self._sequence
        for part, slot in enumerate(slots):
            payload = data[part * PAYLOAD : (part + 1) * PAYLOAD]
            head = Slot(first + part, first, part, parts, self._tail, len(payload))
            self._sequence += 1
            self._packets.write(self._homes[slot], build_slot(head, self._identity, payload))
        self._next_slot = (slots[-1] + 1) % len(self._homes)
        self._packets.flush()
        return slots

    def _account(self, record: Record, sequence: int, slots: list[int]) -> None:
        if self._tail != self._tail_on_disc:
            self._tail_on_disc = self._tail
            self._needed = {s: n for s, n in self._needed.items() if n >= self._tail}
        if record.kind == Kind.COMMIT:
            self._last = sequence
            self._needed.update(dict.fromkeys(slots, sequence))
        elif record.images:
            self._guarding.update(slots)

    def guarded(self) -> None:
        """The packets that the newest record was written for are on the disc."""
        self._guarding.clear()
        self.guarded_homes.clear()

    def checkpointed(self) -> None:
        """Everything is at home: the records there are will not be needed once
        the next one is on the disc."""
        self._guarding.clear()
        self._tail = self._sequence
        self._last = 0
