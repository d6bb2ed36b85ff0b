"""What the bridge of a volume costs, found out by walking through all of it.

Needed once only, where another program has written the last VAT or no bridge
was to come so far: we remember it in ours.
"""

from __future__ import annotations

from collections.abc import Callable

from media.errors import MediaError
from udffs.commit.bridge.cost import name_cost, recalled, state_cost
from udffs.commit.loading import state_of
from udffs.errors import DiscError
from udffs.volume import Volume
from udffs.volume.model import DirectoryEntry


def known_or_measured(volume: Volume, progress: Callable[[float], None] | None = None) -> int:
    """The cost as the VAT remembers it, or else measured."""
    if volume.vat is not None and volume.vat.bridge is not None:
        return recalled(volume.vat.bridge)
    return measure(volume, progress)


def measure(volume: Volume, progress: Callable[[float], None] | None = None) -> int:
    """The cost of all names and inodes of a volume. What cannot be read is left out, as
    it will be. ``progress`` is told from 0 to 1."""
    total = max(1, volume.files + volume.directories)
    cost = 0
    seen: set[int] = set()
    waiting = [volume.root_key]
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        if progress is not None and len(seen) % 64 == 0:
            progress(min(1.0, len(seen) / total))
        own, entries = _look_at(volume, key)
        cost += own + sum(name_cost(entry.name.encode("utf-8", "replace")) for entry in entries)
        waiting += (entry.key for entry in entries)
    return cost


def _look_at(volume: Volume, key: int) -> tuple[int, list[DirectoryEntry]]:
    """What an inode costs, and the names in it if it is a directory."""
    try:
        state = state_of(volume.inode(key))
    except (DiscError, MediaError):
        return 0, []
    try:
        entries = volume.entries(volume.inode(key)) if state.is_directory else []
    except (DiscError, MediaError):
        entries = []
    return state_cost(state), entries
