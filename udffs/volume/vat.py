"""The virtual allocation table: finding it, reading it, its history (UDF 2.2.11, 6.10)."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from typing import Any

from construct import ConstructError

from media.errors import UnreadableBlockError
from udffs.errors import DiscError, StructureError
from udffs.ondisc import hot, modes, osta
from udffs.ondisc.ecma167 import (
    ATTRIBUTE_IMPLEMENTATION_USE,
    EntityId,
    ImplementationUseExtendedAttribute,
    TagIdentifier,
)
from udffs.ondisc.osta import UNUSED_ENTRY
from udffs.ondisc.text import decode_dstring
from udffs.volume.content import read_runs
from udffs.volume.extents import Spaces, file_runs
from udffs.volume.model import HistoryEntry, Run, Vat
from udffs.volume.partitions import PhysicalPartition
from udffs.volume.source import Source

__all__ = ["candidates", "read_history", "read_vat"]

MAX_PARTITIONS = 64
_ENTRY_SIZE = 4
_FIRST_FREE_ID = 16
"""Unique ids 1 to 15 are reserved (UDF 3.2.1.1)."""

_SPARE_SIZE = 1 << 20
"""Bytes that a table may have beyond an entry for each block of the disc."""

_TAIL_SIZE: int = osta.Vat150Tail.sizeof()
_HEADER_SIZE: int = osta.Vat200Header.sizeof()
_FILE_TYPES = (modes.FileType.VAT_150, modes.FileType.VAT_200)
_ICB_TAGS = tuple(
    bytes((kind & 0xFF, kind >> 8))
    for kind in (TagIdentifier.FILE_ENTRY, TagIdentifier.EXTENDED_FILE_ENTRY)
)


# -- one table -----------------------------------------------------------------


class _Table:
    """The bytes of a table, read as they are needed."""

    def __init__(self, source: Source, physical: PhysicalPartition, location: int) -> None:
        self.source = source
        self.location = location
        number = location - physical.start
        block = source.block(location)
        self.icb = hot.parse_file_entry(block, number)
        self.writer = EntityId.parse(hot.recorded_by(block))
        if self.icb.file_type not in _FILE_TYPES:
            raise StructureError(what=f"a file of type {self.icb.file_type} is no VAT")
        self.size = self.icb.size
        if self.size > source.end * _ENTRY_SIZE + _SPARE_SIZE:
            raise StructureError(what="a VAT is larger than the disc could need")
        self.runs: tuple[Run, ...] = ()
        if self.icb.allocation_type != hot.ALLOCATION_EMBEDDED:
            self.runs = self._find_runs([physical] * MAX_PARTITIONS)
        elif self.size != len(self.icb.allocation):
            raise StructureError(what="an embedded VAT has two sizes")

    def _find_runs(self, spaces: Spaces) -> tuple[Run, ...]:
        """A VAT ICB lies in the physical partition, and so do its extents, by whatever number."""
        return file_runs(
            self.source,
            spaces,
            self.icb.allocation,
            self.icb.allocation_type,
            0,
            self.size,
        )

    def read(self, start: int, end: int) -> bytes:
        if self.runs:
            return read_runs(self.source, self.runs, start, end - start)
        return self.icb.allocation[start:end]


def _parse(declaration: Any, data: bytes) -> Any:
    try:
        return declaration.parse(data)
    except ConstructError as error:
        raise StructureError(what="a VAT is cut off") from error


def _entries(data: bytes) -> array[int]:
    entries = array("I")
    entries.frombytes(data)
    if sys.byteorder == "big":
        entries.byteswap()
    return entries


def _vat(table: _Table, **fields: Any) -> Vat:
    return Vat(
        location=table.location,
        runs=table.runs,
        size=table.size,
        time=table.icb.mtime_ns,
        next_unique_id=max(table.icb.unique_id + 1, _FIRST_FREE_ID),
        bridge=osta.parse_bridge_use(table.writer),
        **fields,
    )


def _read_150(table: _Table, with_entries: bool) -> Vat:
    """Entries first, then an identifier and the previous VAT (UDF 1.50, 2.2.10)."""
    end = table.size - _TAIL_SIZE
    if end < 0:
        raise StructureError(what="a VAT is shorter than its tail")
    tail = _parse(osta.Vat150Tail, table.read(end, table.size))
    if tail.entity_id.identifier.rstrip(b"\0") != osta.VIRTUAL_ALLOCATION_TABLE:
        raise StructureError(what="a VAT does not say that it is one")
    files, directories, label = _extension(table.icb.extended_attributes)
    return _vat(
        table,
        entries=_entries(table.read(0, end & ~3)) if with_entries else array("I"),
        previous=tail.previous_vat_icb_location,
        files=files,
        directories=directories,
        layout=150,
        label=label,
        header_size=0,
    )


def _extension(attributes: bytes) -> tuple[int, int, str]:
    """Files, directories and label out of the extended attributes (UDF 1.50, 3.3.4.5.1.3)."""
    unknown = (-1, -1, "")
    try:
        data = modes.find_attribute(attributes, ATTRIBUTE_IMPLEMENTATION_USE)
        if data is None:
            return unknown
        use = ImplementationUseExtendedAttribute.parse(data)
        if use.implementation_identifier.identifier.rstrip(b"\0") != osta.VAT_EXTENSION:
            return unknown
        found = osta.VatExtension.parse(use.implementation_use)
    except (StructureError, ConstructError):
        return unknown
    label = decode_dstring(found.logical_volume_identifier)
    return found.number_of_files, found.number_of_directories, label


def _read_200(table: _Table, with_entries: bool) -> Vat:
    """A header first, then the entries (UDF 2.01, 2.2.10)."""
    head = _parse(osta.Vat200Header, table.read(0, min(table.size, _HEADER_SIZE)))
    start = head.length_of_header
    if not _HEADER_SIZE <= start <= table.size:
        raise StructureError(what=f"the header of a VAT claims {start} of {table.size} bytes")
    end = start + (table.size - start & ~3)
    return _vat(
        table,
        entries=_entries(table.read(start, end)) if with_entries else array("I"),
        previous=head.previous_vat_icb_location,
        files=head.number_of_files,
        directories=head.number_of_directories,
        layout=200,
        label=decode_dstring(head.logical_volume_identifier),
        header_size=start,
        minimum_read_revision=head.minimum_udf_read_revision,
        minimum_write_revision=head.minimum_udf_write_revision,
        maximum_write_revision=head.maximum_udf_write_revision,
    )


def read_vat(
    source: Source, physical: PhysicalPartition, location: int, *, with_entries: bool = True
) -> Vat:
    """The VAT whose ICB is at the absolute block `location`.

    The layout goes by the ICB's file type, 0 or 248. Raises DamagedError,
    StructureError or UnreadableBlockError.
    """
    table = _Table(source, physical, location)
    if table.icb.file_type == modes.FileType.VAT_200:
        return _read_200(table, with_entries)
    return _read_150(table, with_entries)


# -- finding it ----------------------------------------------------------------


def candidates(source: Source, physical: PhysicalPartition) -> Iterator[tuple[int, bool]]:
    """Blocks that look like a VAT ICB, from the end of the disc backwards.

    Yields (absolute block, is the tail sound): a tail is not sound if anything
    readable follows. Sessions are searched from the last to the first, each
    whole, so that nothing between them is read.
    """
    sound = True
    spans = source.store.sessions or ((0, None),)
    for start, end in reversed(spans):
        last = source.end - 1 if end is None else min(end, source.end - 1)
        for block, data in source.backwards(max(start, physical.start), last):
            if data[:2] in _ICB_TAGS and _is_vat_icb(data, block - physical.start):
                yield block, sound
            sound = False


def _is_vat_icb(data: bytes, number: int) -> bool:
    """True for a file entry of a VAT's type that belongs to this block."""
    try:
        icb = hot.parse_file_entry(data, number)
    except StructureError:
        return False
    return icb.file_type in _FILE_TYPES


def read_history(source: Source, physical: PhysicalPartition, last: Vat) -> Iterator[HistoryEntry]:
    """The commits of a disc, the last one first, along the previous-VAT pointers.

    Ends where the chain does, or at a VAT that cannot be read. The chain leads
    backwards only, so it ends.
    """
    # What a mount has written since it read the table is not in `last`.
    location, above = last.location, last.location + 1
    while location < above:
        try:
            vat = read_vat(source, physical, location, with_entries=False)
        except (DiscError, UnreadableBlockError):
            return
        yield HistoryEntry(location, vat.time, vat.files, vat.directories)
        if vat.previous == UNUSED_ENTRY:
            return
        location, above = physical.start + vat.previous, location
