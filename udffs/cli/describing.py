"""What there is to tell about a disc in a drive, ready for JSON.

Apart from the commands, because the process that serves a mount tells it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from media.store import BlockStore
    from udffs.filesystem import FileSystem


def describe_store(store: BlockStore, medium: str) -> dict[str, Any]:
    """The disc itself: blocks of 2,048 bytes, sessions, what can be written.

    Asks the drive nothing: a packet may be on its way to the disc."""
    from media.store import SequentialStore

    told: dict[str, Any] = {
        "blocks": store.capacity,
        "last_block": store.last_block,
        "sessions": [[span.start, span.end] for span in store.sessions],
    }
    if not isinstance(store, SequentialStore):
        return {**told, "disc": "image", "status": "read-only"}
    status = "appendable" if store.appendable else "closed"
    return {
        **told,
        "disc": medium,
        "status": "blank" if store.blank else status,
        "title": store.drive.info.title,
        "session_open": store.session_open,
        "next_writable": store.next_writable,
        "blocks_unwritten": store.free_blocks,
        "needs_repair": store.needs_repair,
    }


def medium_of(store: BlockStore) -> str:
    """The kind of disc, asked of the drive: "CD-R", or "image" where there is none."""
    drive = getattr(store, "drive", None)
    return "image" if drive is None else str(drive.disc().kind)


def describe_mounted(store: BlockStore, medium: str, filesystem: FileSystem) -> dict[str, Any]:
    """The same of a disc that is mounted, from the process that serves it."""
    status = filesystem.status()
    volume = filesystem.volume
    space = filesystem.statfs()
    told: dict[str, Any] = {
        "label": filesystem.label,
        "identity": volume.identity,
        "udf": status["udf"],
        "kind": volume.kind,
        "files": status.get("files", volume.files),
        "directories": status.get("directories", volume.directories),
        "write_protected": volume.write_protected or None,
    }
    return {
        **describe_store(store, medium),
        "volume": told,
        "space": {"free": space.available, "reserved": status.get("blocks_reserved", 0)},
        **{key: status.get(key) for key in ("unsaved_bytes", "commits", "blocks_written", "spool")},
        "read_only": filesystem.read_only,
        "error": status.get("error"),
        "notes": status["notes"],
    }
