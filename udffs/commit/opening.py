"""Opening a volume for writing, or saying why it cannot be written."""

from __future__ import annotations

from pathlib import Path

from media.store import BlockStore, RewritableStore, SequentialStore
from udffs.commit.rewritable.opening import RewritableWriting, why_not_rewritable
from udffs.commit.write_once import SequentialWriting, why_not_write_once
from udffs.commit.writing import Log, Writing
from udffs.volume import Volume

WRITABLE_REVISIONS = range(0x0102, 0x0202)


def why_read_only(store: BlockStore, volume: Volume) -> str | None:
    """What keeps us from writing to this volume, in words; None if nothing."""
    if not isinstance(store, SequentialStore | RewritableStore):
        return "it is an image without a drive's state beside it"
    if not store.writable:
        return "it was opened for reading only"
    if volume.write_protected:
        return f"it is write-protected: {volume.write_protected}"
    if volume.revision not in WRITABLE_REVISIONS:
        return f"UDF {volume.revision >> 8}.{volume.revision & 0xFF:02x} cannot be written here"
    if isinstance(store, SequentialStore):
        return why_not_write_once(store, volume)
    return why_not_rewritable(volume)


def open_writing(
    store: SequentialStore | RewritableStore, volume: Volume, spool: Path, log: Log
) -> Writing:
    """All that writing to a volume needs. ``spool`` is the folder that holds
    the spools of all discs."""
    if isinstance(store, SequentialStore):
        return SequentialWriting(store, volume, spool, log)
    return RewritableWriting(store, volume, spool, log)
