"""What a log holds that must not be replayed, saved to the host.

When another system wrote to the disc while a log was pending, its state is the
truth. The files of the log are read through its images and put into a folder; a
file whose blocks were given to others meanwhile is saved as far as it is right.
"""

from __future__ import annotations

import copy
import re
import shutil
import stat
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from media.errors import MediaError
from udffs.errors import DiscError
from udffs.ondisc.intentlog import Record
from udffs.volume import Inode, Volume, make_key
from udffs.volume.model import BLOCK
from udffs.volume.view import RewritableView

STEP = 1 << 20  # bytes copied at once
UNSAFE = re.compile(r"[^\w .,()\[\]{}@+=-]")


class Salvaged(NamedTuple):
    """A file that was saved; ``lost`` bytes of it are zeros instead."""

    path: Path
    lost: int


def salvage(volume: Volume, records: Sequence[Record], folder: Path) -> list[Salvaged]:
    """Save the files that the records tell of in ``folder``, which is made.

    A folder that is there already is from an earlier attempt, and complete.
    Raises OSError.
    """
    if folder.exists():
        return []
    view = volume.store
    assert isinstance(view, RewritableView)
    past = _as_it_was(volume, view, records)
    unsure = _overwritten(view, records)
    names = _names(past, records)
    making = folder.with_name(f"{folder.name}.new")
    if making.exists():  # an attempt that was interrupted
        shutil.rmtree(making)
    making.mkdir(parents=True, mode=0o700)
    saved: list[Salvaged] = []
    for inode in _files(past, records):
        name = UNSAFE.sub("_", names.get(inode.key, "")) or f"inode {inode.key & 0xFFFFFFFF}"
        path = _free_name(making, name)
        lost = _copy(past, inode, path, unsure)
        saved.append(Salvaged(folder / path.name, lost))
    making.rename(folder)
    return saved


def _as_it_was(volume: Volume, view: RewritableView, records: Sequence[Record]) -> Volume:
    """The volume as the log has it."""
    past = copy.copy(volume)
    other = RewritableView(
        view.store, start=view.start, length=view.length, packet=view.packet, spared=view.spared
    )
    for record in records:
        other.pending.update(record.images)
    past.look_through(other)
    return past


def _overwritten(view: RewritableView, records: Sequence[Record]) -> set[int]:
    """Home blocks that were written straight to their places and hold
    something else by now."""
    found: set[int] = set()
    for record in records:
        for block, count, checksum in record.direct:
            good = _checksum(view, block, count) == checksum
            blocks = range(block, block + count)
            found.difference_update(blocks) if good else found.update(blocks)
    return found


def _checksum(view: RewritableView, block: int, count: int) -> int | None:
    """CRC-32 of blocks, None if one cannot be read."""
    checksum, end = 0, block + count
    try:
        for at in range(block, end, STEP // BLOCK):
            checksum = crc32(view.read(at, min(STEP // BLOCK, end - at)), checksum)
    except (DiscError, MediaError):
        return None
    return checksum


def _keys(volume: Volume, records: Sequence[Record]) -> Iterator[int]:
    """Of every ICB that may be among the images, newest first."""
    seen = _deleted(records)
    for record in reversed(records):
        for home in record.images:
            number = home - volume.partition_start
            if number >= 0 and home not in seen:
                seen.add(home)
                yield make_key(volume.physical_reference, number)


def _deleted(records: Sequence[Record]) -> set[int]:
    """Images whose blocks are free in the end."""
    homes = sorted({home for record in records for home in record.images})
    free: set[int] = set()
    for record in records:
        for extents, note in (
            (record.allocated, free.difference_update),
            (record.freed, free.update),
        ):
            for block, count in extents:
                first, behind = bisect_left(homes, block), bisect_left(homes, block + count)
                note(homes[first:behind])
    return free


def _inodes(volume: Volume, records: Sequence[Record]) -> Iterator[Inode]:
    for key in _keys(volume, records):
        try:
            yield volume.inode(key)
        except (DiscError, MediaError):
            continue  # no ICB


def _files(volume: Volume, records: Sequence[Record]) -> Iterator[Inode]:
    for inode in _inodes(volume, records):
        if stat.S_ISREG(inode.mode) and inode.links > 0:
            yield inode


def _names(volume: Volume, records: Sequence[Record]) -> dict[int, str]:
    """Names that directories of the log give to inodes."""
    names: dict[int, str] = {}
    for inode in _inodes(volume, records):
        if not stat.S_ISDIR(inode.mode):
            continue
        try:
            for entry in volume.entries(inode):
                names.setdefault(entry.key, entry.name)
        except (DiscError, MediaError):
            continue
    return names


def _free_name(folder: Path, name: str) -> Path:
    path, number = folder / name, 1
    while path.exists():
        number += 1
        path = folder / f"{name}#{number}"
    return path


def _copy(volume: Volume, inode: Inode, path: Path, unsure: set[int]) -> int:
    """Copy a file; returns the bytes that could not be had."""
    lost = 0
    with path.open("wb") as out:
        for offset, block, size in _parts(inode, unsure):
            if block in unsure:
                lost += size
                continue
            try:
                data = volume.read(inode, offset, size)
            except (DiscError, MediaError):
                lost += size
                continue
            out.seek(offset)
            out.write(data)
        if inode.data is not None:
            out.write(inode.data)
        out.truncate(inode.size)
    return lost


def _parts(inode: Inode, unsure: set[int]) -> Iterator[tuple[int, int, int]]:
    """What of a file is recorded, as (offset, home block, bytes); block by
    block where some are not right."""
    step = BLOCK if unsure else STEP
    for run in inode.runs:
        if run.block < 0:
            continue
        for at in range(0, run.length, step):
            yield run.offset + at, run.block + at // BLOCK, min(step, run.length - at)
