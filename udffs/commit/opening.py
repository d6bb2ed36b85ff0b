"""Opening a volume for writing, or saying why it cannot be written."""

from __future__ import annotations

from pathlib import Path

from media.store import BlockStore, SequentialStore
from udffs.commit.write_once import SequentialWriting, why_not_write_once
from udffs.commit.writing import Log, Writing
from udffs.volume import Volume

WRITABLE_REVISIONS = range(0x0102, 0x0202)


def why_read_only(store: BlockStore, volume: Volume) -> str | None:
    """What keeps us from writing to this volume, in words; None if nothing."""
    if store.kind == "read-only":
        return "it is an image without a drive's state beside it"
    if not isinstance(store, SequentialStore):
        return "this kind of medium cannot be written yet"
    if not store.writable:
        return "it was opened for reading only"
    if volume.write_protected:
        return f"it is write-protected: {volume.write_protected}"
    if volume.revision not in WRITABLE_REVISIONS:
        return f"UDF {volume.revision >> 8}.{volume.revision & 0xFF:02x} cannot be written here"
    return why_not_write_once(store, volume)


def open_writing(store: SequentialStore, volume: Volume, spool: Path, log: Log) -> Writing:
    """All that writing to a volume needs. ``spool`` is the folder that holds
    the spools of all discs."""
    return SequentialWriting(store, volume, spool, log)
