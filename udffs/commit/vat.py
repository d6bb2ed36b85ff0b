"""The virtual allocation table (VAT), as it grows by one commit after another.

The VAT is a file (UDF 1.50 2.2.10, UDF 2.01 2.2.10) that maps virtual block
numbers to logical blocks of the partition. Every commit needs a new VAT, but
only the blocks of it that changed are written: the others stay where they
are and the new VAT ICB points at them.

In memory the table is the ``array`` of entries that the reading side uses as
well; it changes only when a commit is on the disc.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from udffs.commit.bridge import cost
from udffs.commit.structures import allocation_extent
from udffs.ondisc import ecma167, hot, osta
from udffs.ondisc.modes import FileType
from udffs.volume import Run
from udffs.volume.model import BLOCK

UNUSED = osta.UNUSED_ENTRY
WORD = 4
SHORT_AD = ecma167.ShortAd.sizeof()
VAT_HEADER = osta.Vat200Header.sizeof()
ADS_IN_ICB = hot.MAX_EMBEDDED // SHORT_AD
ADS_IN_BLOCK = hot.MAX_EXTENT_DESCRIPTORS // SHORT_AD


class Counts(NamedTuple):
    """What the VAT tells about the volume besides its entries."""

    files: int
    directories: int
    next_unique_id: int
    #: What the bridge costs (bridge/cost.py); None where none is to come
    bridge: int | None = None


class VatTable:
    """The table on the disc, and where its blocks lie.

    ``revision`` 0x0150 has the entries first and a tail of 36 bytes, later
    ones a header of 152 bytes first. ``location`` is the absolute block of
    the last VAT ICB, ``blocks`` the absolute block of each block of the
    table, empty while it is embedded in the ICB.
    """

    def __init__(
        self,
        entries: array[int],
        *,
        revision: int,
        label: str,
        location: int,
        blocks: array[int],
    ) -> None:
        self.entries = entries
        self.revision = revision
        self.label = label
        self.location = location
        self.blocks = blocks
        self.extra_spent = 0  # allocation extents written since the last rewriting
        self._taken: set[int] = set()
        self._search_from = 0
        self._allocated_end = len(entries)

    # -- virtual block numbers ---------------------------------------------

    def allocate(self) -> int:
        """A virtual block number that nothing uses."""
        while True:
            try:
                number = self.entries.index(UNUSED, self._search_from)
            except ValueError:
                self._search_from = len(self.entries)
                number = max(self._allocated_end, len(self.entries))
                self._allocated_end = number + 1
                self._taken.add(number)
                return number
            self._search_from = number + 1
            if number not in self._taken:
                self._taken.add(number)
                return number

    def take(self, number: int) -> None:
        """``number`` is in use (a journal says so)."""
        self._taken.add(number)
        self._allocated_end = max(self._allocated_end, number + 1)

    def release(self, number: int) -> None:
        """Nothing uses ``number`` any more; it may be allocated again."""
        self._taken.discard(number)
        self._search_from = min(self._search_from, number)
        if number >= len(self.entries) and number == self._allocated_end - 1:
            self._allocated_end = number

    @property
    def allocated(self) -> int:
        """Entries the table will have when all that is allocated is written."""
        return max(self._allocated_end, len(self.entries))

    # -- growing by a commit -----------------------------------------------

    def changed(self, changes: Mapping[int, int]) -> array[int]:
        """The entries with ``changes`` (virtual number: logical block) made."""
        entries = self.entries[:]
        top = max((n for n, where in changes.items() if where != UNUSED), default=-1)
        if top >= len(entries):
            entries.extend([UNUSED] * (top + 1 - len(entries)))
        for number, where in changes.items():
            if number < len(entries):
                entries[number] = where
        return entries

    def plan(
        self,
        changes: Mapping[int, int],
        counts: Counts,
        *,
        address: int,
        partition_start: int,
        now: int,
        whole: bool | None = None,
    ) -> VatPlan:
        """The blocks that make ``changes`` durable, for a packet that begins
        at block ``address``. Pure: the table itself does not change.

        ``now`` is in nanoseconds. With ``whole`` every block is written anew,
        with False only what changed is; None writes what is cheaper.
        """
        entries = self.changed(changes)
        content = self._content(entries, counts, partition_start)
        size = content.size
        if size <= hot.MAX_EMBEDDED:
            return self._plan_embedded(
                entries, content.part(0, size), counts, address, partition_start, now
            )
        number_of_blocks = -(-size // BLOCK)
        dirty = self._dirty_blocks(changes, entries, number_of_blocks)
        if whole or not self.blocks:
            dirty = list(range(number_of_blocks))
        where = self._placed(number_of_blocks, dirty, address)
        extents = _extents(where, size)
        extra = _allocation_blocks(len(extents))
        spent = self.extra_spent + extra
        if whole is None and extra and len(dirty) < number_of_blocks < spent:
            # Describing the scattered table has by now cost as much as
            # writing it in one piece.
            dirty = list(range(number_of_blocks))
            where = self._placed(number_of_blocks, dirty, address)
            extents = _extents(where, size)
            extra = _allocation_blocks(len(extents))
            spent = 0
        blocks = [content.block(index) for index in dirty]
        at = address + len(blocks)
        ads, allocation_blocks = _allocation(
            extents, at, extra, partition_start, self._descriptor_version
        )
        icb_at = at + extra
        icbs = self._icbs(
            icb_at, ads, hot.ALLOCATION_SHORT, size, number_of_blocks, counts, partition_start, now
        )
        return VatPlan(
            address,
            b"".join([*blocks, *allocation_blocks, *icbs]),
            entries,
            where,
            icb_at + 1,
            spent,
        )

    def _plan_embedded(
        self,
        entries: array[int],
        content: bytes,
        counts: Counts,
        address: int,
        partition_start: int,
        now: int,
    ) -> VatPlan:
        icbs = self._icbs(
            address, content, hot.ALLOCATION_EMBEDDED, len(content), 0, counts, partition_start, now
        )
        return VatPlan(address, b"".join(icbs), entries, array("I"), address + 1, 0)

    def adopt(self, plan: VatPlan) -> None:
        """``plan`` is on the disc."""
        # The reading side holds the very same array.
        self.entries[:] = plan.entries
        self.blocks = plan.blocks
        self.location = plan.location
        self.extra_spent = plan.extra_spent

    def settled(self, freed: Iterable[int], held: Iterable[int] = ()) -> None:
        """The numbers ``freed`` are free on the disc too; those ``held`` are
        in use whatever the disc says. Not a part of :meth:`adopt`, because
        numbers may be allocated while that runs."""
        self._taken = {n for n in self._taken if n >= len(self.entries) or self._free(n)}
        self._taken.update(held)
        self._search_from = min(self._search_from, *freed, len(self.entries))

    def _free(self, number: int) -> bool:
        return self.entries[number] == UNUSED

    @property
    def _descriptor_version(self) -> int:
        return 2 if self.revision < 0x0200 else 3

    def _content(self, entries: array[int], counts: Counts, partition_start: int) -> _Content:
        previous = self.location - partition_start if self.location >= 0 else UNUSED
        if self.revision < 0x0200:
            return _Content(b"", entries, osta.build_vat_tail(previous=previous))
        header = osta.build_vat_header(
            label=self.label,
            truncate=True,
            previous=previous,
            files=counts.files,
            directories=counts.directories,
            revision=self.revision,
        )
        return _Content(header, entries, b"")

    def _dirty_blocks(
        self, changes: Mapping[int, int], entries: array[int], number_of_blocks: int
    ) -> list[int]:
        head = 0 if self.revision < 0x0200 else VAT_HEADER
        dirty = {(head + number * WORD) // BLOCK for number in changes if number < len(entries)}
        dirty.update(range(len(self.blocks), number_of_blocks))
        if head:
            dirty.add(0)  # counts and the previous VAT
        else:
            first_of_tail = len(entries) * WORD // BLOCK
            dirty.update(range(first_of_tail, number_of_blocks))
        if len(entries) > len(self.entries):
            dirty.update(range((head + len(self.entries) * WORD) // BLOCK, number_of_blocks))
        return sorted(dirty)

    def _placed(self, number_of_blocks: int, dirty: list[int], address: int) -> array[int]:
        where = self.blocks[:number_of_blocks]
        where.extend([UNUSED] * (number_of_blocks - len(where)))
        for at, index in enumerate(dirty, address):
            where[index] = at
        return where

    def _icbs(
        self,
        address: int,
        allocation: bytes,
        allocation_type: int,
        size: int,
        recorded: int,
        counts: Counts,
        partition_start: int,
        now: int,
    ) -> list[bytes]:
        """The VAT ICB twice: readers differ by one about the last block."""
        remembered = None if counts.bridge is None else cost.remembered(counts.bridge)
        writer = osta.implementation_id(use=osta.bridge_use(remembered))
        implementation_identifier = ecma167.EntityId.build(writer)
        return [
            hot.build_file_entry(
                location=where - partition_start,
                version=self._descriptor_version,
                file_type=FileType.VAT_150 if self.revision < 0x0200 else FileType.VAT_200,
                icb_flags=0,
                uid=UNUSED,
                gid=UNUSED,
                permissions=0,
                link_count=0,
                size=size,
                blocks_recorded=recorded,
                atime_ns=now,
                mtime_ns=now,
                ctime_ns=now,
                unique_id=counts.next_unique_id,
                extended_attributes=b"",
                allocation=allocation,
                allocation_type=allocation_type,
                implementation_identifier=implementation_identifier,
            )
            for where in (address, address + 1)
        ]


class VatPlan(NamedTuple):
    """A VAT ready to be written as one packet, or as the end of one.

    ``data`` goes to block ``address``; the others become the table's state
    when it is on the disc.
    """

    address: int
    data: bytes
    entries: array[int]
    blocks: array[int]
    location: int
    extra_spent: int

    @property
    def size(self) -> int:
        """Number of blocks."""
        return len(self.data) // BLOCK


class _Content:
    """The table as a file, without putting it together where not needed."""

    def __init__(self, header: bytes, entries: array[int], tail: bytes) -> None:
        self._header = header
        self._entries = entries
        self._tail = tail
        self.size = len(header) + len(entries) * WORD + len(tail)

    def part(self, start: int, end: int) -> bytes:
        head, body = len(self._header), len(self._entries) * WORD
        first = max(0, start - head) // WORD
        after = -(-max(0, min(end, head + body) - head) // WORD)
        words = self._entries[first:after]
        if sys.byteorder == "big":
            words.byteswap()
        parts = self._header[start:end] + words.tobytes()
        return parts + self._tail[max(0, start - head - body) : max(0, end - head - body)]

    def block(self, index: int) -> bytes:
        return self.part(index * BLOCK, (index + 1) * BLOCK).ljust(BLOCK, b"\0")


def _extents(where: array[int], size: int) -> list[tuple[int, int]]:
    """(absolute block, length in bytes) of each contiguous piece."""
    extents: list[tuple[int, int]] = []
    begin = count = 0
    for block in where:
        if count and block == begin + count:
            count += 1
            continue
        if count:
            extents.append((begin, count * BLOCK))
        begin, count = block, 1
    extents.append((begin, count * BLOCK))
    block, length = extents[-1]
    extents[-1] = (block, length - (len(where) * BLOCK - size))
    return extents


def _allocation_blocks(extents: int) -> int:
    """Allocation extent descriptors needed beside the ICB."""
    if extents <= ADS_IN_ICB:
        return 0
    return -(-(extents - (ADS_IN_ICB - 1)) // (ADS_IN_BLOCK - 1))


def _allocation(
    extents: list[tuple[int, int]], at: int, extra: int, partition_start: int, version: int
) -> tuple[bytes, list[bytes]]:
    """The short_ads of the ICB, and the allocation extent descriptors that
    begin at block ``at`` (ECMA-167 4/14.5)."""
    ads = [(length, 0, block - partition_start) for block, length in extents]
    if not extra:
        return hot.pack_short_ads(ads), []
    head, ads = ads[: ADS_IN_ICB - 1], ads[ADS_IN_ICB - 1 :]
    blocks: list[bytes] = []
    icb = hot.pack_short_ads([*head, (BLOCK, 3, at - partition_start)])
    for index in range(extra):
        part, ads = ads[: ADS_IN_BLOCK - 1], ads[ADS_IN_BLOCK - 1 :]
        if index + 1 < extra:
            part = [*part, (BLOCK, 3, at + index + 1 - partition_start)]
        blocks.append(
            allocation_extent(
                location=at + index - partition_start,
                version=version,
                allocation=hot.pack_short_ads(part),
            )
        )
    return icb, blocks


def blocks_of_runs(runs: tuple[Run, ...], size: int) -> array[int]:
    """The absolute block of each block of a file (from its runs)."""
    blocks = array("I", [UNUSED]) * (-(-size // BLOCK))
    for run in runs:
        if run.block < 0:
            continue
        first = run.offset // BLOCK
        for index in range(-(-run.length // BLOCK)):
            blocks[first + index] = run.block + index
    return blocks
