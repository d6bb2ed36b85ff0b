"""Allocation descriptors to runs of blocks (ECMA-167 4/12, 4/14.14, UDF 2.3.10, 2.3.11)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from udffs.errors import DamagedError, StructureError, UnsupportedError
from udffs.ondisc import hot
from udffs.ondisc.basic import ExtentType
from udffs.volume.model import BLOCK, HOLE, Run, blocks_of
from udffs.volume.partitions import AddressSpace, locate
from udffs.volume.source import Source

__all__ = ["Extent", "Spaces", "allocated_extents", "file_runs", "space_of", "union"]

MAX_EMPTY_EXTENTS = 16
"""Allocation extents in a row that add nothing to a file."""

SPARE_EXTENTS = 65_536
"""Extents that a file may have beyond one for each block of the disc."""

Extent = tuple[int, int, int, int]
"""(length in bytes, type, logical block, partition reference)."""

Spaces = Sequence[AddressSpace]


def space_of(spaces: Spaces, reference: int) -> AddressSpace:
    """The partition of a reference number; raises DamagedError."""
    if not 0 <= reference < len(spaces):
        raise DamagedError(what=f"something refers to partition {reference}, which does not exist")
    return spaces[reference]


def _unpack(data: bytes, kind: int, reference: int) -> list[Extent]:
    if kind == hot.ALLOCATION_LONG:
        return hot.unpack_long_ads(data)
    if kind == hot.ALLOCATION_SHORT:
        return [(*extent, reference) for extent in hot.unpack_short_ads(data)]
    raise UnsupportedError(what=f"allocation descriptors of type {kind}")


def _extents(
    source: Source,
    spaces: Spaces,
    data: bytes,
    kind: int,
    reference: int,
    *,
    places: list[tuple[int, int]] | None = None,
) -> Iterator[Extent]:
    """All extents of a file, those in allocation extents among them.

    A short_ad takes the partition of the descriptor that holds it. `places`
    takes (home block, count) of each allocation extent.
    """
    seen: set[int] = set()
    empty = 0
    while True:
        following: Extent | None = None
        for extent in _unpack(data, kind, reference):
            length, form, _block, _partition = extent
            if not length:
                return
            if form == ExtentType.CONTINUATION:
                following = extent
                break
            empty = 0
            yield extent
        if following is None:
            return
        empty += 1
        at = locate(space_of(spaces, following[3]), following[2])
        if at in seen or empty > MAX_EMPTY_EXTENTS:
            raise StructureError(what="the allocation extents of a file run in a circle")
        seen.add(at)
        if places is not None:
            places += space_of(spaces, following[3]).spans(following[2], blocks_of(following[0]))
        reference = following[3]
        data = hot.parse_allocation_extent(source.block(at), following[2])


def file_runs(
    source: Source, spaces: Spaces, data: bytes, kind: int, reference: int, size: int
) -> tuple[Run, ...]:
    """Where the `size` bytes of a file lie.

    `data` holds the allocation descriptors of the ICB, of that `kind`, in the
    partition `reference`. What they leave uncovered reads as zeros. Raises
    DamagedError, StructureError or UnsupportedError; bounded by the disc.
    """
    runs: list[Run] = []
    limit = source.end + SPARE_EXTENTS
    offset = 0
    every = _extents(source, spaces, data, kind, reference)
    for number, (length, form, block, partition) in enumerate(every):
        if offset >= size:
            break
        if number > limit or len(runs) > limit:
            raise StructureError(what="a file has more extents than the disc has blocks")
        if offset % BLOCK:
            raise StructureError(what="an extent of a file ends within a block")
        length = min(length, size - offset)
        if form == ExtentType.RECORDED:
            space = space_of(spaces, partition)
            for at, count in space.spans(block, blocks_of(length)):
                _append(runs, offset, at, min(count * BLOCK, length))
                offset += min(count * BLOCK, length)
                length -= min(count * BLOCK, length)
        else:
            _append(runs, offset, HOLE, length)
            offset += length
    uncovered = -(-offset // BLOCK) * BLOCK
    if uncovered < size:
        _append(runs, uncovered, HOLE, size - uncovered)
    return tuple(runs)


def allocated_extents(
    source: Source, spaces: Spaces, data: bytes, kind: int, reference: int
) -> list[tuple[int, int]]:
    """(home block, count) of all blocks that a file takes besides its ICB, in
    ascending order, none twice: what is recorded, what is only allocated, also
    beyond the file's size, and the allocation extents.

    Arguments and errors as for `file_runs`.
    """
    found: list[tuple[int, int]] = []
    limit = source.end + SPARE_EXTENTS
    every = _extents(source, spaces, data, kind, reference, places=found)
    for number, (length, form, block, partition) in enumerate(every):
        if number > limit or len(found) > limit:
            raise StructureError(what="a file has more extents than the disc has blocks")
        if form in (ExtentType.RECORDED, ExtentType.ALLOCATED):
            found += space_of(spaces, partition).spans(block, blocks_of(length))
    return union(found)


def union(pieces: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same blocks in ascending order, each once, in as few pieces as possible."""
    result: list[tuple[int, int]] = []
    for start, count in sorted(pieces):
        if result and start <= result[-1][0] + result[-1][1]:
            first, before = result[-1]
            result[-1] = (first, max(before, start + count - first))
        else:
            result.append((start, count))
    return result


def _append(runs: list[Run], offset: int, block: int, length: int) -> None:
    """Add a run, or let the last one grow if it goes on there."""
    if runs:
        last = runs[-1]
        follows = last.offset + last.length == offset and not last.length % BLOCK
        after = HOLE if last.block == HOLE else last.block + last.length // BLOCK
        if follows and block == after:
            runs[-1] = Run(last.offset, last.block, last.length + length)
            return
    runs.append(Run(offset, block, length))
