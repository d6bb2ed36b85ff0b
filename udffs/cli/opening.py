"""Opening and formatting what is in a drive, with the settings applied."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from udffs.errors import RecordingDisabledError
from udffs.settings import DriveSettings, Settings

if TYPE_CHECKING:
    from media.store import BlockStore
    from udffs.filesystem import FileSystem

log = logging.getLogger("udffs.disc")

BLOCK = 2048
FULL = (
    "This disc is full, or closed: it can still be read. `udffs erase {drive}` and then "
    "`udffs format {drive}` make it new; all that is on it is lost."
)
NO_STATE = "{drive} is a plain image, without the state of a virtual disc"


def check_recording(settings: Settings, drive: str) -> None:
    """Raises RecordingDisabledError if nothing may be written to a drive."""
    if not settings.for_drive(drive).recording:
        raise RecordingDisabledError(drive=drive, path=settings.path)


def writable_store(settings: Settings, drive: str, speed: int | None = None) -> BlockStore:
    """A disc that is to be written to, with nothing mounted.

    Raises RecordingDisabledError, ReadOnlyMediumError and what the drive raises."""
    from media.errors import ReadOnlyMediumError
    from udffs.cli import reaching

    check_recording(settings, drive)
    chosen = speed or settings.for_drive(drive).speed or None
    store = reaching.open_block_store(drive, writable=True, speed=chosen)
    if store.kind != "read-only":
        return store
    store.close()
    raise ReadOnlyMediumError(why=NO_STATE.format(drive=drive))


class NewVolume(NamedTuple):
    """An empty volume that is to be made. ``label`` None: the date. The root
    directory belongs to ``uid`` and ``gid``. ``force``: whatever is there already;
    ``bad``: first blocks of packets that must not be used; ``bridge``: with the place
    of an ISO 9660 view; None: if the disc can have one."""

    label: str | None = None
    revision: int = 0x0201
    force: bool = False
    uid: int = 0
    gid: int = 0
    bad: tuple[int, ...] = ()
    bridge: bool | None = False

    def checked(self) -> NewVolume:
        """The same with the label that it will have. Raises LabelError."""
        import time

        from udffs.ondisc.text import encode_label

        label = time.strftime("%Y-%m-%d") if self.label is None else self.label
        encode_label(label)
        return self._replace(label=label)


def is_rewritable(store: BlockStore) -> bool:
    """Whether files can be deleted from the disc, and their space used again."""
    return store.kind == "rewritable"


def refuse_to_close(store: BlockStore, *, protect: bool, bridge: bool = False) -> None:
    """Raises InvalidOperationError for what a close cannot do on a rewritable disc."""
    from udffs.errors import InvalidOperationError

    if not is_rewritable(store):
        return
    if protect:
        raise InvalidOperationError(
            what="a disc that is rewritten in packets cannot be closed for good (--protect)"
        )
    if bridge:
        raise InvalidOperationError(
            what="a disc that is rewritten in packets has no ISO 9660 view (--bridge): its "
            "files may move at any time"
        )


def is_closed_already(store: BlockStore, filesystem: FileSystem, *, bridge: bool = False) -> bool:
    """Whether closing a disc once more would only cost a session: nothing has come
    since, not even what ``bridge`` asks for."""
    from media.store import SequentialStore

    status = filesystem.status()
    if not isinstance(store, SequentialStore) or store.session_open or not store.appendable:
        return False
    has_view = bool((status.get("closing") or {}).get("bridge"))
    return not status.get("unsaved", True) and (has_view or not bridge)


def set_verify(store: BlockStore, wanted: bool) -> bool:
    """Whether what is written is read back; True if that is as it is wanted."""
    from media.store import RewritableStore

    if isinstance(store, RewritableStore):
        store.verify = wanted
        return True
    return not wanted


def free_blocks(store: BlockStore) -> int:
    """Blocks that a freshly formatted disc has for files."""
    from media.store import SequentialStore
    from udffs.volume import open_volume

    if isinstance(store, SequentialStore):
        return store.free_blocks
    return open_volume(store).space().free


def format_store(
    store: BlockStore, volume: NewVolume, progress: Callable[[float], None] | None = None
) -> str:
    """Puts an empty volume on a disc and returns its label.

    Raises LabelError, AlreadyFormattedError, ReadOnlyMediumError and what the
    store raises."""
    import time

    from media.errors import ReadOnlyMediumError
    from udffs.commit.format import FormatOptions
    from udffs.commit.formatting import format_any

    if store.kind == "read-only":
        raise ReadOnlyMediumError(why=f"{store.name} can only be read")
    label = volume.checked().label or ""
    format_any(
        store,
        FormatOptions(label, volume.revision, volume.uid, volume.gid, bridge=bool(volume.bridge)),
        now=time.time_ns(),
        random=os.urandom,
        force=volume.force,
        progress=progress,
        bad_packets=volume.bad,
    )
    return label


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
