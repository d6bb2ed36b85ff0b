"""``udffs info``."""

from __future__ import annotations

import contextlib
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from media.errors import MediaError
from udffs.cli.costs import OPEN_BRIDGE, OPEN_PLAIN, closing_of, sentence
from udffs.cli.describing import (
    describe_sparing,
    describe_store,
    has_iso_view,
    is_close_begun,
    medium_of,
    own_files,
    rewritable_room,
    why_unclean,
)
from udffs.cli.opening import FULL
from udffs.cli.output import Output, counted, local_progress, reports, size
from udffs.errors import BlankDiscError, DiscError

if TYPE_CHECKING:
    from media.store import BlockStore
    from udffs.control import Entry
    from udffs.volume import Volume

#: Files up to which the space that they take is counted without being asked.
COUNTED = 20_000

READABLE_BRIDGE = "everywhere: ISO 9660 with Joliet and Rock Ridge, and UDF"
READABLE_CLOSED = "everywhere where UDF {udf} can be read"
READABLE_SPARED = "everywhere where UDF {udf} with sparing can be read"
READABLE_MRW = "everywhere where UDF {udf} can be read, in drives that know Mt. Rainier"

CLOSE_BEGUN = (
    "its close was broken off; `udffs close {drive}`, or the next mount for writing, completes it"
)
VIEWS = {
    (True, True): "closing makes an ISO 9660 view of the files, beside UDF",
    (True, False): "an ISO 9660 view of the files, beside UDF",
    (False, True): "none is made (`udffs close --bridge` makes one, in a session of its own)",
    (False, False): "none",
}
AS_A_FILE = (
    "as an image file it shows other programs no more than the first session; "
    "`udffs export` makes an image that shows all of it"
)

FORMATS = {
    "packet": "fixed packets of 32 blocks",
    "mrw": "Mt. Rainier, its background format {background}",
    "sequential": "written from its beginning to its end; files are hidden, not deleted",
}


@click.command(name="info")
@click.argument("drive", metavar="DRIVE|PLACE")
@click.option(
    "--space", is_flag=True, help="Count live and hidden space on discs of many files too."
)
@reports
def command(out: Output, drive: str, space: bool) -> None:
    """What is known about a disc: its state, sessions, volume and space.

    Space: "live" is what the files of now take, "hidden" what earlier states
    of them take (nothing is ever erased from such a disc), "reserved" what is
    kept back so that the disc can always be closed: for the close itself, for a
    second try of its ISO 9660 view, a last save, and bad spots. Live and hidden
    space are counted while the disc is not mounted. On a rewritable disc there is only used
    and free space; its wear is shown as far as it is known: spare packets that are
    left, and the packet that was rewritten most (which virtual drives count).

    \b
    Example:
      udffs info disc.img
    """
    from udffs.cli.mounts import clear_dead, running

    entry = running(out, drive)
    if entry is None:
        clear_dead(drive)
    told = _of_mount(out, entry) if entry is not None else _of_disc(out, drive, space)
    told["staged"] = _staged(told["drive"])
    out.result(told, text(told))


def _staged(drive: str) -> dict[str, int]:
    """What waits to be burnt on a disc in this drive."""
    from udffs.mastering import staging

    files, length = staging.waiting(drive)
    return {"files": files, "bytes": length}


def _of_mount(out: Output, entry: Entry) -> dict[str, Any]:
    """What the process that serves the mount says."""
    from udffs.cli.mounts import ask

    status = ask(out, entry, "status")
    for note in status.pop("notes", []):
        out.note(str(note))
    return {"drive": entry.drive, "mounted": entry.where, **status}


def _of_disc(out: Output, drive: str, count: bool) -> dict[str, Any]:
    from udffs.cli import reaching

    with contextlib.closing(reaching.open_block_store(drive, writable=False)) as store:
        told = {"drive": drive, "mounted": None, **describe_store(store, medium_of(store))}
        told["volume"] = None
        try:
            told |= _volume(out, store, count)
        except BlankDiscError:
            pass
        except DiscError as error:
            out.note(str(error))
        return told


def _volume(out: Output, store: BlockStore, count: bool) -> dict[str, Any]:
    from udffs import settings
    from udffs.commit.spool import unsaved
    from udffs.volume import open_volume

    volume = open_volume(store)
    for note in volume.notes:
        out.note(note)
    folder = unsaved(settings.load().for_drive(store.name).spool, volume.identity)
    if folder is not None:
        out.note(f"There is unsaved data for this disc in {folder}; its next mount saves it.")
    told: dict[str, Any] = {
        "label": volume.label,
        "identity": volume.identity,
        "udf": f"{volume.revision >> 8:x}.{volume.revision & 0xFF:02x}",
        "kind": volume.kind,
        "created": _moment(volume.created),
        "files": volume.files - own_files(volume),
        "directories": volume.directories,
        "write_protected": volume.write_protected or None,
        "unclean": why_unclean(volume),
        "sparing": describe_sparing(volume),
    }
    if volume.vat is not None:
        told["last_commit"] = _moment(volume.vat.time)
        told["vat_location"] = volume.vat.location
    beside = {
        "bridge": has_iso_view(store, volume),
        "closing": closing_of(store, volume),
        "close_begun": is_close_begun(store, volume),
    }
    if store.kind == "rewritable":
        return {"volume": told, "space": rewritable_room(volume), **beside}
    if volume.vat is None and (room := rewritable_room(volume)) is not None:
        return {"volume": told, "space": room, **beside}
    space = _room(store, volume)
    if count or volume.files <= COUNTED:
        with out.progress() as show:
            counted = _count(volume, local_progress(show, "Counting what files take"))
        told |= {"files": counted.files, "directories": counted.directories}
        live = counted.blocks
        space |= {"live": live, "hidden": max(0, _written(store) - live)}
    return {"volume": told, "space": space, **beside}


def _room(store: BlockStore, volume: Volume) -> dict[str, Any]:
    """Free and reserved blocks, as a mount of the disc would show them."""
    from media.store import SequentialStore
    from udffs.commit.opening import why_never
    from udffs.commit.write_once import reserve_of

    if volume.vat is None or not isinstance(store, SequentialStore) or not store.appendable:
        return {"free": 0, "reserved": 0}
    if why_never(store, volume) is not None and not is_close_begun(store, volume):
        return {"free": 0, "reserved": 0}
    reserve = reserve_of(store, volume, len(volume.vat.entries))
    return {"free": reserve.available, "reserved": reserve.closing}


def _written(store: BlockStore) -> int:
    """Blocks within sessions up to the last written one."""
    last = store.last_block
    return sum((last if end is None else end) + 1 - start for start, end in store.sessions)


class _Counted(NamedTuple):
    """Blocks that the files and directories of now take, ICBs included."""

    blocks: int = 0
    files: int = 0
    directories: int = 0


def _count(volume: Volume, progress: Callable[[float], None]) -> _Counted:
    """Walks through the whole volume. What cannot be read is not counted."""
    total = max(1, volume.files + volume.directories)
    seen: set[int] = set()
    waiting = [volume.root_key]
    counted = _Counted()
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        progress(min(1.0, len(seen) / total))
        with contextlib.suppress(DiscError, MediaError):
            inode = volume.inode(key)
            is_directory = stat.S_ISDIR(inode.mode)
            if is_directory:
                waiting += (entry.key for entry in volume.entries(inode))
            blocks = sum(-(-run.length // 2048) for run in inode.runs if run.block >= 0)
            counted = _Counted(
                counted.blocks + 1 + blocks,
                counted.files + (not is_directory),
                counted.directories + is_directory,
            )
    return counted


def _moment(nanoseconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(nanoseconds // 10**9))


def text(told: dict[str, Any]) -> str:
    """The report for people."""
    rows = [("Drive", told["drive"]), *_disc_rows(told), *_volume_rows(told), *_space_rows(told)]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _disc_rows(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if told["mounted"]:
        how = f", read-only: {told['read_only']}" if told.get("read_only") else ""
        yield "Mounted", f"{told['mounted']}{how}"
    if told["disc"] == "image":
        yield "Disc", f"an image of {size(told['blocks'])}, read-only"
        return
    if told["status"] == "formatted":
        yield from _rewritable_rows(told)
        return
    state = "still open" if told["session_open"] else told["status"]
    repair = "; its last packet was cut off and will be repaired" if told["needs_repair"] else ""
    yield "Disc", f"{told['disc']} of {size(told['blocks'])}, {state}{repair}"
    if told["rewritable"] and told["format"]:
        yield "Format", FORMATS[told["format"]]
    yield "Sessions", str(len(told["sessions"]))
    if told["rewritable"] and told["status"] == "closed":
        yield "Full", FULL.format(drive=told["drive"])
    if told["status"] == "blank":
        yield "Volume", f"none: the disc is blank (`udffs format {told['drive']}` prepares it)"


def _rewritable_rows(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "Disc", f"{told['disc']} of {size(told['blocks'])}, formatted"
    yield "Format", FORMATS[told["format"]].format(background=told["background_format"])
    if told["volume"] is None:
        yield "Volume", f"none (`udffs format {told['drive']}` makes one)"
    yield "Wear", "; ".join(_wear(told))


def _wear(told: dict[str, Any]) -> Iterator[str]:
    sparing = told["volume"] and told["volume"]["sparing"]
    if sparing:
        yield f"{sparing['left']} of {sparing['packets']} spare packets are left"
    elif told["format"] == "mrw":
        yield "the drive spares bad packets by itself"
    else:
        yield "there are no spare packets"
    if told["most_rewritten"] is not None:
        yield (
            f"rewrites of the most rewritten packet: {told['most_rewritten']} "
            "(a disc stands about 1,000)"
        )


def _volume_rows(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    volume = told["volume"]
    if volume is None:
        return
    yield "Volume", f'"{volume["label"]}", UDF {volume["udf"]}'
    if volume.get("unclean"):
        yield "State", volume["unclean"]
    if volume["files"] >= 0:
        yield (
            "Files",
            f"{volume['files']}, in {counted(volume['directories'], 'directory', 'directories')}",
        )
    if "last_commit" in volume:
        yield "Last saved", volume["last_commit"]
    if volume["write_protected"]:
        yield "Protected", volume["write_protected"]
    yield from _view_rows(told)
    yield "Readable", _readable(told).format(udf=volume["udf"])


def _view_rows(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What there is to say of an ISO 9660 view, and of the close that makes it."""
    is_open = bool(told.get("session_open"))
    if told.get("bridge") is not None:
        yield "Bridge", VIEWS[bool(told["bridge"]), is_open]
    if told.get("close_begun"):
        yield "Close", CLOSE_BEGUN.format(drive=told["drive"])
    elif is_open and told.get("closing"):
        yield "Close", sentence(told["closing"]).removeprefix("Closing ").removesuffix(".")
    sessions = told.get("sessions") or ()
    if told.get("bridge") and len(sessions) > 1 and Path(told["drive"]).is_file():
        yield "Image", AS_A_FILE


def _readable(told: dict[str, Any]) -> str:
    """Where the disc can be read as it is; one in packets once nobody writes to it."""
    where = _readers(told)
    if told.get("format") in ("packet", "mrw") and told["mounted"] and not told["read_only"]:
        return f"{where}, once it is unmounted"
    return where


def _readers(told: dict[str, Any]) -> str:
    kind = told["volume"]["kind"]
    if kind == "vat" and told.get("session_open"):
        now = OPEN_BRIDGE if told.get("bridge") else OPEN_PLAIN
        return f"{now}; everywhere once it is closed"
    if told.get("bridge"):
        return READABLE_BRIDGE
    if told.get("format") == "mrw":
        return READABLE_MRW
    return READABLE_SPARED if kind == "sparable" else READABLE_CLOSED


def _space_rows(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    space = told.get("space")
    if space is None:
        return
    closing = told.get("closing")
    for name, blocks in space.items():
        what = ""
        if name == "reserved" and closing and closing["blocks"] <= blocks:
            what = f" (closing takes {size(closing['blocks'])} of it at most)"
        yield name.capitalize(), f"{size(blocks)}{what}"
    takes_sessions = told.get("status") == "appendable" and not told["session_open"]
    if takes_sessions and space["free"] == space.get("reserved") == 0:
        yield "Burn", f"`udffs burn` can add a session of up to {size(told['blocks_unwritten'])}"
    staged = told.get("staged")
    if staged and staged["files"]:
        files = counted(staged["files"], "file", "files")
        yield "Staged", f"{files}, {size(-(-staged['bytes'] // 2048))}, not on a disc yet"
