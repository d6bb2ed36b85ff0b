"""The bytes of a file out of its runs."""

from __future__ import annotations

from bisect import bisect_right
from operator import attrgetter

from udffs.volume.model import BLOCK, HOLE, Inode, Run
from udffs.volume.source import Source

__all__ = ["read_inode", "read_runs"]

_OFFSET = attrgetter("offset")


def _read_run(source: Source, run: Run, start: int, end: int) -> bytes:
    """Bytes start to end - 1 of a file, all of them in one run."""
    if run.block == HOLE:
        return bytes(end - start)
    first, ahead = divmod(start - run.offset, BLOCK)
    count = -(-(ahead + end - start) // BLOCK)
    data = source.blocks(run.block + first, count)
    if not ahead and len(data) == end - start:
        return data
    return data[ahead : ahead + end - start]


def read_runs(source: Source, runs: tuple[Run, ...], offset: int, length: int) -> bytes:
    """`length` bytes from `offset` on; what no run covers is zeros."""
    end = offset + length
    pieces: list[bytes] = []
    index = max(0, bisect_right(runs, offset, key=_OFFSET) - 1)
    at = offset
    while at < end and index < len(runs):
        run = runs[index]
        index += 1
        start, stop = max(at, run.offset), min(end, run.offset + run.length)
        if start >= stop:
            if run.offset >= end:
                break
            continue
        if start > at:
            pieces.append(bytes(start - at))
        pieces.append(_read_run(source, run, start, stop))
        at = stop
    if at < end:
        pieces.append(bytes(end - at))
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def read_inode(source: Source, inode: Inode, offset: int, length: int) -> bytes:
    """At most `length` bytes of a file from `offset` on, fewer at its end."""
    length = min(length, inode.size - offset)
    if length <= 0:
        return b""
    if inode.data is not None:
        return inode.data[offset : offset + length]
    return read_runs(source, inode.runs, offset, length)
