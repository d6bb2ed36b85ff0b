"""What there is to tell about a disc in a drive, ready for JSON.

Apart from the commands, because the process that serves a mount tells it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from udffs.cli.costs import describe_closing
from udffs.ondisc.osta import SPARING_AVAILABLE, SPARING_DEFECTIVE

if TYPE_CHECKING:
    from media.store import BlockStore
    from udffs.filesystem import FileSystem
    from udffs.volume import Volume

#: What a rewritable disc is that was not left as it should be.
NOT_UNMOUNTED = (
    "This disc was not unmounted cleanly. Nothing that was saved is lost; mount it "
    "once with udffs, so that other systems see all of it."
)

NOT_UNMOUNTED_ELSEWHERE = (
    "The system that wrote to this disc last did not unmount it cleanly; let that system "
    "check it before anything else is written."
)

#: By the background format status of READ DISC INFORMATION.
BACKGROUND = ("not formatted", "suspended", "running", "complete")


class Medium(NamedTuple):
    """What only the drive can say, and is asked before the disc is mounted.
    ``background``: how far a Mt. Rainier format is."""

    kind: str
    erasable: bool = False
    background: str | None = None


def medium_of(store: BlockStore) -> Medium:
    """The kind of disc, asked of the drive: "CD-R", or "image" where there is none."""
    drive = getattr(store, "drive", None)
    if drive is None:
        return Medium("image")
    disc = drive.disc()
    background = BACKGROUND[disc.background_format_status] if disc.mrw else None
    return Medium(str(disc.kind), disc.erasable, background)


def describe_store(store: BlockStore, medium: Medium) -> dict[str, Any]:
    """The disc itself: blocks of 2,048 bytes, sessions, what can be written.

    Asks the drive nothing: a packet may be on its way to the disc."""
    from media.store import RewritableStore, SequentialStore

    told: dict[str, Any] = {
        "blocks": store.capacity,
        "last_block": store.last_block,
        "sessions": [[span.start, span.end] for span in store.sessions],
        "rewritable": medium.erasable,
    }
    if isinstance(store, RewritableStore):
        return {
            **told,
            "disc": medium.kind,
            "status": "formatted",
            "format": "mrw" if store.spares_by_itself else "packet",
            "packet_length": store.packet_length,
            "background_format": medium.background,
            "title": store.drive.info.title,
            "packets_written": store.packets_written,
            "most_rewritten": store.drive.most_rewritten,
        }
    if not isinstance(store, SequentialStore):
        return {**told, "disc": "image", "status": "read-only"}
    status = "appendable" if store.appendable else "closed"
    return {
        **told,
        "disc": medium.kind,
        "status": "blank" if store.blank else status,
        "format": None if store.blank else "sequential",
        "title": store.drive.info.title,
        "session_open": store.session_open,
        "next_writable": store.next_writable,
        "blocks_unwritten": store.free_blocks,
        "needs_repair": store.needs_repair,
    }


def describe_sparing(volume: Volume) -> dict[str, int] | None:
    """Spare packets of a volume, and how many are left; None where it has none
    (write-once discs; Mt. Rainier, where the drive has them)."""
    if volume.sparing is None or volume.view is None:
        return None
    originals = [original for original, _mapped in volume.sparing.entries]
    left = originals.count(SPARING_AVAILABLE)
    # The table is as it was when the volume was opened; the view moves on.
    since = len(volume.view.spared) - sum(original < SPARING_DEFECTIVE for original in originals)
    return {"packets": len(originals), "left": max(0, left - max(0, since))}


def why_unclean(volume: Volume) -> str | None:
    """What is wrong with a volume that nobody has finished, None if somebody has."""
    if volume.vat is not None or volume.integrity is None or not volume.integrity.is_open:
        return None
    return NOT_UNMOUNTED_ELSEWHERE if volume.intent_log is None else NOT_UNMOUNTED


def has_iso_view(store: BlockStore, volume: Volume) -> bool | None:
    """Whether a disc has an ISO 9660 view of its files, or while it is open the place
    for one; None for discs that are written in packets."""
    from media.store import RewritableStore, SequentialStore
    from udffs.commit.write_once import has_bridge
    from udffs.volume.anchors import ISO_9660, recognition
    from udffs.volume.source import Source

    if isinstance(store, RewritableStore):
        return None
    if isinstance(store, SequentialStore):
        return has_bridge(store, volume)
    found = recognition(Source(store), 0)
    return found is not None and ISO_9660 in found


def is_close_begun(store: BlockStore, volume: Volume) -> bool:
    """Whether a close of the disc was broken off at its last step."""
    from media.store import SequentialStore
    from udffs.commit.write_once import close_begun

    if not isinstance(store, SequentialStore) or volume.vat is None or not store.appendable:
        return False
    return close_begun(store, volume)


def own_files(volume: Volume) -> int:
    """Files of a volume that are not for programs: what holds the intent log."""
    from udffs.commit.rewritable.opening import own_keys

    return len(own_keys(volume))


def rewritable_room(volume: Volume) -> dict[str, int] | None:
    """Used and free blocks, those in the log included; None where there is no
    bitmap that we could read."""
    from media.errors import MediaError
    from udffs.commit.rewritable.space import SpaceMap
    from udffs.errors import DiscError

    log = volume.intent_log
    try:
        table = volume.space()
        free = table.free
        if log is not None and log.changes:
            free = SpaceMap(table, changes=log.changes).free_blocks
    except (DiscError, MediaError):
        return None
    return {"used": volume.partition_length - free, "free": free}


def describe_mounted(store: BlockStore, medium: Medium, filesystem: FileSystem) -> dict[str, Any]:
    """The same of a disc that is mounted, from the process that serves it."""
    status = filesystem.status()
    cost, unsaved = status.get("closing"), bool(status.get("unsaved_bytes"))
    volume = filesystem.volume
    room = filesystem.statfs()
    told: dict[str, Any] = {
        "label": filesystem.label,
        "identity": volume.identity,
        "udf": status["udf"],
        "kind": volume.kind,
        "files": status["files"] if "files" in status else volume.files - own_files(volume),
        "directories": status.get("directories", volume.directories),
        "write_protected": volume.write_protected or None,
        "sparing": describe_sparing(volume),
    }
    reserved = status.get("blocks_reserved", 0)
    space: dict[str, int] | None = {"free": room.available, "reserved": reserved}
    if "blocks_reserved" not in status and volume.vat is None:
        space = rewritable_room(volume) or space
    elif store.kind == "rewritable":
        used = volume.partition_length - room.available - reserved
        space = {"used": used, "free": room.available, "reserved": reserved}
    return {
        **describe_store(store, medium),
        "volume": told,
        "space": space,
        **{key: status.get(key) for key in ("unsaved_bytes", "commits", "blocks_written", "spool")},
        "bridge": has_iso_view(store, volume) if cost is None else cost["bridge"] > 0,
        "closing": None if cost is None else describe_closing(cost, store, unsaved=unsaved),
        "read_only": filesystem.read_only,
        "error": status.get("error"),
        "notes": status["notes"],
    }
