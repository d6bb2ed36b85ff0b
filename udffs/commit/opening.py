"""Opening a volume for writing, or saying why it cannot be written."""

from __future__ import annotations

from pathlib import Path

from media.errors import DefectivePacketError
from media.store import BlockStore, RewritableStore, SequentialStore
from udffs.commit.rewritable.opening import RewritableWriting, why_not_rewritable
from udffs.commit.write_once import (
    SequentialWriting,
    close_begun,
    complete_close,
    why_not_write_once,
)
from udffs.commit.writing import Log, Writing
from udffs.errors import (
    DamagedError,
    NeighbourLostError,
    NotSalvagedError,
    SpareTableFullError,
)
from udffs.volume import Volume

WRITABLE_REVISIONS = range(0x0102, 0x0202)


def why_read_only(store: BlockStore, volume: Volume) -> str | None:
    """What keeps us from writing to this volume, in words; None if nothing."""
    if not isinstance(store, SequentialStore | RewritableStore):
        return "it is an image without a drive's state beside it"
    if not store.writable:
        return "it was opened for reading only"
    return why_never(store, volume)


def why_never(store: SequentialStore | RewritableStore, volume: Volume) -> str | None:
    """The same, however the disc was opened."""
    if volume.write_protected:
        return volume.write_protected
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


def begin_writing(
    store: BlockStore, volume: Volume, spool: Path, log: Log
) -> tuple[Writing | None, str | None]:
    """All that writing to a volume needs, or what keeps us from it, in words."""
    why = why_read_only(store, volume)
    if why is not None:
        return None, why
    assert isinstance(store, SequentialStore | RewritableStore)
    try:
        return open_writing(store, volume, spool, log), None
    except (
        DefectivePacketError,
        SpareTableFullError,
        NeighbourLostError,
        NotSalvagedError,
        DamagedError,
    ) as error:
        return None, str(error)  # what is there, and what is in its log, can be read


def completed_close(store: BlockStore, volume: Volume, log: Log) -> list[str]:
    """Complete the close of a disc, if it was begun and broken off; returns what there
    is to say then. Raises what the store raises."""
    if not isinstance(store, SequentialStore) or not (store.writable and store.appendable):
        return []
    if volume.kind != "vat" or not close_begun(store, volume):
        return []
    return complete_close(store, volume, log=log)
