"""Opening and formatting what is in a drive, with the settings applied."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from udffs.errors import RecordingDisabledError
from udffs.settings import DriveSettings, Settings

if TYPE_CHECKING:
    from media.store import BlockStore, SequentialStore
    from udffs.filesystem import FileSystem

log = logging.getLogger("udffs.disc")

BLOCK = 2048


def check_recording(settings: Settings, drive: str) -> None:
    """Raises RecordingDisabledError if nothing may be written to a drive."""
    if not settings.for_drive(drive).recording:
        raise RecordingDisabledError(drive=drive, path=settings.path)


def writable_store(settings: Settings, drive: str, speed: int | None = None) -> SequentialStore:
    """A disc that is to be written to, with nothing mounted.

    Raises RecordingDisabledError, ReadOnlyMediumError and what the drive raises."""
    from media import discovery
    from media.errors import ReadOnlyMediumError
    from media.store import SequentialStore

    check_recording(settings, drive)
    chosen = speed or settings.for_drive(drive).speed or None
    store = discovery.open_block_store(drive, writable=True, speed=chosen)
    if isinstance(store, SequentialStore):
        return store
    store.close()
    raise ReadOnlyMediumError(why=f"{drive} is a plain image, without the state of a virtual disc")


def format_store(
    store: BlockStore, *, label: str | None, revision: int, force: bool, uid: int, gid: int
) -> str:
    """Puts an empty volume on a disc and returns its label (default: the date).

    The root directory belongs to ``uid`` and ``gid``. Raises LabelError,
    AlreadyFormattedError, ReadOnlyMediumError and what the store raises."""
    import time

    from media.errors import ReadOnlyMediumError
    from media.store import SequentialStore
    from udffs.commit.format import FormatOptions, format_volume

    if not isinstance(store, SequentialStore):
        raise ReadOnlyMediumError(why=f"{store.name} can only be read")
    chosen = time.strftime("%Y-%m-%d") if label is None else label
    options = FormatOptions(chosen, revision, uid, gid)
    format_volume(store, options, now=time.time_ns(), random=os.urandom, force=force)
    return chosen


def open_filesystem(
    store: BlockStore,
    settings: DriveSettings,
    *,
    at: int | None = None,
    read_only: bool = False,
) -> FileSystem:
    """The file system of a disc, as the settings want it; ``at`` is the block
    of an old state."""
    from udffs.filesystem import MountOptions, open_file_system

    options = MountOptions(
        read_only=read_only,
        at=at,
        commit_idle=settings.commit_idle,
        commit_max=settings.commit_max,
        commit_bytes=settings.commit_bytes,
        spool_bytes=settings.spool_size or None,
    )
    settings.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    return open_file_system(store, spool=settings.spool, options=options, log=log.info)


def saved(filesystem: FileSystem, progress: Callable[[float], None]) -> Callable[[int], None]:
    """A callback that counts blocks as they are written, and passes on which
    part of what was unsaved they are."""
    unsaved = int(filesystem.status().get("unsaved_bytes") or 0)
    done = 0

    def count(blocks: int) -> None:
        nonlocal done
        done += blocks * BLOCK
        progress(min(1.0, done / max(unsaved, BLOCK)))

    return count
