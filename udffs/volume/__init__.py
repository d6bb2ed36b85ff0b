"""Reading a volume, whoever wrote it and whatever its bytes.

`open_volume` finds the anchors, the descriptors, the VAT and the root of a
store; a `Volume` then reads inodes, directories and files.
"""

from __future__ import annotations

from udffs.volume.inodes import make_key, split_key
from udffs.volume.model import DirectoryEntry, HistoryEntry, Inode, Integrity, Run, Vat
from udffs.volume.opening import history, open_volume
from udffs.volume.volume import Volume, unique_name

__all__ = [
    "DirectoryEntry",
    "HistoryEntry",
    "Inode",
    "Integrity",
    "Run",
    "Vat",
    "Volume",
    "history",
    "make_key",
    "open_volume",
    "split_key",
    "unique_name",
]
