"""What a volume holds, found by walking it: where another system was cut off
while it wrote, its bitmap and its counts cannot be trusted.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field

from media.errors import MediaError
from udffs.commit.vat import Counts
from udffs.errors import DiscError
from udffs.ondisc.intentlog import Extent
from udffs.volume import Inode, Volume, split_key
from udffs.volume.bitmap import SpaceTable


@dataclass(slots=True)
class Survey:
    """What was found. ``extents`` are home blocks, ICBs among them."""

    extents: list[Extent] = field(default_factory=list)
    files: int = 0
    directories: int = 0
    next_unique_id: int = 0
    unreadable: int = 0
    """Inodes that could not be read: what they hold is not among the extents."""

    def within(self, table: SpaceTable) -> list[Extent]:
        """The extents, as far as the bitmap has bits for them."""
        end = table.start + table.count
        return [
            (block, min(count, end - block))
            for block, count in self.extents
            if table.start <= block < end
        ]

    def counts(self) -> Counts:
        return Counts(self.files, max(1, self.directories), self.next_unique_id)


def survey(volume: Volume) -> Survey:
    """Walk the whole volume; every inode is read once, in time and memory
    bounded by the disc."""
    found = Survey(next_unique_id=volume.next_unique_id)
    waiting = [volume.root_key]
    seen: set[int] = set(waiting)
    while waiting:
        key = waiting.pop()
        try:
            inode = volume.inode(key)
            reference, block = split_key(key)
            found.extents.append((volume.to_absolute(reference, block), 1))
            found.extents += volume.allocated(key)
            below = _below(volume, inode, found)
        except (DiscError, MediaError):
            found.unreadable += 1
            continue
        waiting += below - seen
        seen |= below
    return found


def _below(volume: Volume, inode: Inode, found: Survey) -> set[int]:
    """Count an inode; the keys of what a directory holds."""
    found.next_unique_id = max(found.next_unique_id, inode.unique_id + 1)
    if not stat.S_ISDIR(inode.mode):
        found.files += 1
        return set()
    found.directories += 1
    entries = volume.entries(inode)
    ids = (entry.unique_id for entry in entries)
    found.next_unique_id = max(found.next_unique_id, max(ids, default=0) + 1)
    return {entry.key for entry in entries}
