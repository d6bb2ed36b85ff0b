"""Using a spoilt disc, and what must come of it."""

from __future__ import annotations

import pytest

from udffs.errors import DamagedError, DiscError
from udffs.ondisc import modes
from udffs.volume import Volume, open_volume

from .discs import MemoryStore


def opened(store: MemoryStore) -> Volume:
    return open_volume(store)


def use(volume: Volume) -> None:
    """What a mount does: list, stat, read, follow links."""
    root = volume.inode(volume.root_key)
    volume.parent_key(root)
    for entry in volume.entries(root):
        inode = volume.inode(entry.key)
        volume.read(inode, 0, 1 << 20)
        if inode.file_type == modes.FileType.SYMLINK:
            volume.readlink(inode)


def refused(store: MemoryStore, what: str, kind: type[DiscError] = DamagedError) -> None:
    with pytest.raises(kind, match=what):
        use(opened(store))
