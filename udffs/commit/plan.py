"""The plan of a commit: which blocks go where.

Pure functions: (what is dirty, next writable address) -> (blocks, new state).
Nothing here touches a drive or the clock. When the drive moves the address or
a packet fails, the same jobs are planned again for the new address.

On the disc a commit is, in this order: the data of files, their ICBs, the
blocks of directories, their ICBs, then the VAT (:mod:`udffs.commit.vat`).
All addresses are absolute blocks of 2,048 bytes unless they are called
logical; a logical block number counts from the partition's start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from udffs.commit.nodes import State
from udffs.commit.structures import allocation_extent
from udffs.ondisc import ecma167, hot, modes
from udffs.volume import Run
from udffs.volume.model import BLOCK

LONG_AD = ecma167.LongAd.sizeof()
ADS_IN_BLOCK = hot.MAX_EXTENT_DESCRIPTORS // LONG_AD
MAXIMUM_EXTENT = ecma167.MAX_EXTENT_LENGTH // BLOCK * BLOCK  # bytes, whole blocks
CHUNK = 512  # blocks handed to the drive at once

RECORDED = int(ecma167.ExtentType.RECORDED)
HOLE = int(ecma167.ExtentType.NOT_ALLOCATED)
CONTINUATION = int(ecma167.ExtentType.CONTINUATION)


class Geometry(NamedTuple):
    """Where the partition lies and how descriptors are to be made."""

    partition_start: int
    physical_reference: int
    version: int  # of descriptors: 2 (NSR02) or 3 (NSR03)


Source = Callable[[int, int, int], bytes]


class Job(NamedTuple):
    """One inode to be written.

    ``virtual`` is the number its ICB has in the VAT. Either ``embedded`` is
    its whole content, or ``ranges`` are the blocks of it, (first block of the
    file, number of blocks), that must be written: ``source(first, count,
    logical block number)`` gives their bytes. ``runs`` is where the rest is.
    """

    virtual: int
    state: State
    size: int
    embedded: bytes | None
    ranges: Sequence[tuple[int, int]]
    source: Source | None
    runs: tuple[Run, ...]

    @property
    def data_blocks(self) -> int:
        return sum(count for _, count in self.ranges)


class Piece(NamedTuple):
    """Blocks to be written at ``address``; ``render(first, count)`` makes
    ``count`` of them from the ``first`` on (both relative to ``address``)."""

    address: int
    size: int  # blocks
    render: Callable[[int, int], bytes]


class Placed(NamedTuple):
    """What became of a job: where its content lies now."""

    job: Job
    runs: tuple[Run, ...]
    icb: int  # absolute block


class Body(NamedTuple):
    """A commit without its VAT: contiguous pieces from ``start`` to ``end``
    (exclusive)."""

    start: int
    end: int
    pieces: list[Piece]
    placed: list[Placed]


def plan_body(
    groups: Sequence[Sequence[Job]],
    address: int,
    geometry: Geometry,
    written: dict[tuple[int, int], int] | None = None,
) -> Body:
    """Lay out the jobs from ``address`` on, group by group: first the data of
    a group's jobs, then their ICBs.

    ``written`` tells of data that is on the disc already, (virtual number,
    first block of the file) to address: it stays there.
    """
    written = written or {}
    start = address
    pieces: list[Piece] = []
    placed: list[Placed] = []
    for jobs in groups:
        fresh: list[tuple[Job, tuple[Run, ...]]] = []
        for job in jobs:
            runs: list[Run] = []
            for first, count in job.ranges:
                where = written.get((job.virtual, first))
                if where is None:
                    where = address
                    pieces.append(_data_piece(job, first, count, address, geometry))
                    address += count
                length = min(count * BLOCK, job.size - first * BLOCK)
                runs.append(Run(first * BLOCK, where, length))
            fresh.append((job, merge_runs(job.runs, runs)))
        for job, new_runs in fresh:
            icb_pieces = plan_icb(job, new_runs, address, geometry)
            pieces.extend(icb_pieces)
            address = icb_pieces[-1].address + 1
            placed.append(Placed(job, new_runs, address - 1))
    return Body(start, address, pieces, placed)


def _data_piece(job: Job, first: int, count: int, address: int, geometry: Geometry) -> Piece:
    source = job.source
    assert source is not None
    logical = address - geometry.partition_start

    def render(skip: int, number: int) -> bytes:
        return source(first + skip, number, logical + skip)

    return Piece(address, count, render)


def merge_runs(old: tuple[Run, ...], new: list[Run]) -> tuple[Run, ...]:
    """The runs of a file after ``new`` ones replaced parts of the old.

    Runs begin at whole blocks of the file, in order, and do not overlap.
    """
    if not new:
        return old
    if not old:
        return _joined(new)
    kept: list[Run] = []
    at = 0
    for run in old:
        position, end = run.offset, run.offset + run.length
        while at < len(new) and new[at].offset + new[at].length <= position:
            at += 1
        index = at
        while index < len(new) and new[index].offset < end and position < end:
            cut = new[index]
            if cut.offset > position:
                kept.append(_part(run, position, cut.offset))
            position = max(position, cut.offset + -(-cut.length // BLOCK) * BLOCK)
            index += 1
        if position < end:
            kept.append(_part(run, position, end))
    return _joined(sorted(kept + new))


def _part(run: Run, start: int, end: int) -> Run:
    block = run.block + (start - run.offset) // BLOCK if run.block >= 0 else run.block
    return Run(start, block, end - start)


def _joined(runs: list[Run]) -> tuple[Run, ...]:
    """Adjacent runs that are adjacent on the disc as well become one."""
    result: list[Run] = []
    for run in runs:
        if result:
            last = result[-1]
            follows = last.offset + last.length == run.offset and last.length % BLOCK == 0
            if follows and last.block >= 0 and last.block + last.length // BLOCK == run.block:
                result[-1] = Run(last.offset, last.block, last.length + run.length)
                continue
        result.append(run)
    return tuple(result)


Descriptor = tuple[int, int, int, int]  # length in bytes, extent type, lbn, reference


def allocation_of(
    runs: tuple[Run, ...], size: int, geometry: Geometry
) -> tuple[list[Descriptor], int]:
    """The allocation descriptors of a file and its number of recorded blocks.

    Holes become extents that are neither recorded nor allocated; no extent is
    longer than the standard's 2^30 - 2048 bytes.
    """
    ads: list[Descriptor] = []
    recorded = at = 0
    for run in runs:
        if run.block < 0:
            continue
        if run.offset > at:
            _add_extents(ads, HOLE, run.offset - at, 0, 0)
        logical = run.block - geometry.partition_start
        # Only the last extent may end inside a block.
        length = min(-(-run.length // BLOCK) * BLOCK, size - run.offset)
        _add_extents(ads, RECORDED, length, logical, geometry.physical_reference)
        recorded += -(-length // BLOCK)
        at = run.offset + length
    if size > at:
        _add_extents(ads, HOLE, size - at, 0, 0)
    return ads, recorded


def _add_extents(ads: list[Descriptor], kind: int, length: int, logical: int, ref: int) -> None:
    while length > MAXIMUM_EXTENT:
        ads.append((MAXIMUM_EXTENT, kind, logical, ref))
        length -= MAXIMUM_EXTENT
        if kind == RECORDED:
            logical += MAXIMUM_EXTENT // BLOCK
    ads.append((length, kind, logical, ref))


def plan_icb(job: Job, runs: tuple[Run, ...], address: int, geometry: Geometry) -> list[Piece]:
    """The blocks that describe a job, the last of them its ICB; before it
    the allocation extent descriptors that do not fit into it (ECMA-167
    4/14.5), each at its place in the chain."""
    extents, icb = describe(job, runs, geometry, lambda count: range(address, address + count))
    return [*extents, Piece(address + len(extents), 1, lambda _first, _count: icb)]


def describe(
    job: Job,
    runs: tuple[Run, ...],
    geometry: Geometry,
    places: Callable[[int], Sequence[int]],
) -> tuple[list[Piece], bytes]:
    """The allocation extent descriptors of a job and its ICB, one block.

    ``places(count)`` gives the absolute blocks for so many of the former.
    """
    if job.embedded is not None:
        return [], _icb(job, geometry, job.embedded, hot.ALLOCATION_EMBEDDED, 0)
    ads, recorded = allocation_of(runs, job.size, geometry)
    room = job.state.room // LONG_AD
    head, parts = _split(ads, room)
    where = places(len(parts)) if parts else ()
    extents = _chain(head, parts, where, geometry)
    icb = _icb(job, geometry, hot.pack_long_ads(head), hot.ALLOCATION_LONG, recorded)
    return [
        Piece(at, 1, lambda _first, _count, block=block: block)  # type: ignore[misc]
        for at, block in zip(where, extents, strict=True)
    ], icb


def _split(ads: list[Descriptor], room: int) -> tuple[list[Descriptor], list[list[Descriptor]]]:
    """Descriptors for the ICB (``room`` of them) and for as many allocation
    extent descriptors as are needed; the links between them are not there yet."""
    if len(ads) <= room:
        return ads, []
    head, rest = ads[: room - 1], ads[room - 1 :]
    parts: list[list[Descriptor]] = []
    while rest:
        take = len(rest) if len(rest) <= ADS_IN_BLOCK else ADS_IN_BLOCK - 1
        parts.append(rest[:take])
        rest = rest[take:]
    return head, parts


def _chain(
    head: list[Descriptor],
    parts: list[list[Descriptor]],
    where: Sequence[int],
    geometry: Geometry,
) -> list[bytes]:
    """The allocation extent descriptors at the absolute blocks ``where``, each
    linked to the next, the first one to ``head``."""
    start, reference = geometry.partition_start, geometry.physical_reference
    blocks: list[bytes] = []
    last = head
    for at, part in zip(where, parts, strict=True):
        last.append((BLOCK, CONTINUATION, at - start, reference))
        last = part
    for at, part in zip(where, parts, strict=True):
        blocks.append(
            allocation_extent(
                location=at - start,
                version=geometry.version,
                allocation=hot.pack_long_ads(part),
            )
        )
    return blocks


def _icb(
    job: Job, geometry: Geometry, allocation: bytes, allocation_type: int, recorded: int
) -> bytes:
    state = job.state
    permissions, flags = modes.permissions_from_mode(state.mode)
    return hot.build_file_entry(
        location=job.virtual,
        version=geometry.version,
        file_type=modes.file_type_from_mode(state.mode),
        icb_flags=flags,
        uid=state.uid,
        gid=state.gid,
        permissions=permissions,
        link_count=state.links,
        size=job.size,
        blocks_recorded=recorded,
        atime_ns=state.atime,
        mtime_ns=state.mtime,
        ctime_ns=state.ctime,
        unique_id=state.unique_id,
        extended_attributes=state.attributes,
        allocation=allocation,
        allocation_type=allocation_type,
        extension=state.extension,
    )


def buffers(pieces: Sequence[Piece]) -> Iterator[tuple[int, bytes]]:
    """The blocks of contiguous pieces as (address, bytes), gathered into
    buffers of up to 1 MiB and made only when they are asked for."""
    gathered: list[bytes] = []
    start = count = 0
    for piece in pieces:
        if count and (piece.address != start + count or count + piece.size > CHUNK):
            yield start, b"".join(gathered)
            gathered, count = [], 0
        if piece.size >= CHUNK:
            for first in range(0, piece.size, CHUNK):
                yield piece.address + first, piece.render(first, min(CHUNK, piece.size - first))
            continue
        if not count:
            start = piece.address
        gathered.append(piece.render(0, piece.size))
        count += piece.size
    if count:
        yield start, b"".join(gathered)
