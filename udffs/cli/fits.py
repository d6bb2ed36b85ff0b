"""``udffs fits``."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from udffs.cli.output import Output, reports, size

if TYPE_CHECKING:
    from media.drive import Drive
    from media.store import BlockStore
    from udffs.commit.fitting import Fit, Needs
    from udffs.commit.reserve import Room
    from udffs.control import Entry
    from udffs.settings import DriveSettings


@click.command(name="fits")
@click.argument("drive", metavar="DRIVE|PLACE")
@click.argument(
    "paths", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="PATH..."
)
@reports
def command(out: Output, drive: str, paths: tuple[Path, ...]) -> None:
    """Would a copy of these files fit on the disc?

    Nothing is written. Counted are the files' data (names of one file once, holes not
    at all, what is small inside its descriptor), descriptors and directories, what
    packets take besides, and what closing the disc will need more; for a blank disc
    as if it had been formatted. What the copy replaces on the disc is not taken off.

    Ends with 0 if all of it fits, with 8 if it does not.

    \b
    Example:
      udffs fits disc.img Documents Pictures/2026
    """
    from udffs.cli.exitcodes import FULL
    from udffs.cli.mounts import running
    from udffs.cli.needs import Measuring

    entry = running(out, drive)
    with out.progress() as show:
        walk = Measuring(
            progress=lambda names: show(
                {"event": "progress", "what": f"Looking at files ({names})", "fraction": 0.0}
            )
        )
        needs = walk.measure(paths)
    for note in walk.notes:
        out.note(note)
    found, blank = (of_mount(out, entry, needs), False) if entry else of_disc(drive, needs)
    told: dict[str, Any] = {
        "drive": drive if entry is None else entry.drive,
        "fits": found.fits,
        "files": needs.files,
        "directories": needs.folders,
        "blocks_needed": found.needed,
        "blocks_kept_for_closing": found.kept,
        "blocks_free": found.free,
        "blocks_left": max(0, found.left),
        "blocks_missing": 0 if found.fits else found.missing,
        "blank": blank,
    }
    out.result(told, text(found, blank=blank))
    if not found.fits:
        click.get_current_context().exit(FULL)


def text(found: Fit, *, blank: bool) -> str:
    """The answer, in a sentence."""
    this = "Once the disc is formatted, this copy" if blank else "This copy"
    needs = size(found.needed + found.kept)
    if found.fits:
        return f"{this} needs {needs}, leaves {size(found.left)}; closing stays possible."
    return (
        f"{this} needs {needs}, and {size(found.free)} are free beside what is kept back for "
        f"closing: {size(found.missing)} are missing."
    )


# -- the room there is ---------------------------------------------------------------


def of_mount(out: Output, entry: Entry, needs: Needs) -> Fit:
    """As the process says that serves the mount. Raises RemoteError."""
    from udffs.cli.mounts import ask
    from udffs.commit.fitting import Fit

    told = ask(out, entry, "fits", needs=asdict(needs))
    return Fit(*(told[name] for name in Fit._fields))


def of_disc(drive: str, needs: Needs) -> tuple[Fit, bool]:
    """For a disc that is not mounted; and whether it has to be formatted first.

    Raises ReadOnlyError or ReadOnlyMediumError if nothing can be added to it."""
    from media import errors
    from udffs import settings
    from udffs.cli import reaching
    from udffs.cli.opening import NO_STATE
    from udffs.commit.fitting import fit

    chosen = settings.load().for_drive(drive)
    try:
        burner = reaching.open_drive(drive, writable=False)
    except errors.NotADiscImageError:
        reaching.open_block_store(drive, writable=False).close()
        raise errors.ReadOnlyMediumError(why=NO_STATE.format(drive=drive)) from None
    with contextlib.closing(burner):
        room, blank = room_in(burner, chosen)
        return fit(room, needs), blank


def room_in(drive: Drive, settings: DriveSettings) -> tuple[Room, bool]:
    """The room on the disc in a drive; and whether that is so only once it is formatted."""
    from media.store import open_store
    from udffs.cli.preparing import held

    store = open_store(drive, writable=False)
    if held(store) is None:
        return formatted_room(drive, store, settings), True
    return room_on(store), False


def room_on(store: BlockStore) -> Room:
    """The room on a disc with a volume. Raises ReadOnlyError, DiscErrors, MediaErrors."""
    from media.store import RewritableStore, SequentialStore
    from udffs.commit.opening import why_never
    from udffs.commit.reserve import RewritableReserve
    from udffs.commit.rewritable.space import SpaceMap
    from udffs.commit.write_once import reserve_of
    from udffs.errors import ReadOnlyError
    from udffs.ondisc.intentlog import PACKET
    from udffs.volume import open_volume

    volume = open_volume(store)
    assert isinstance(store, SequentialStore | RewritableStore)
    why = why_never(store, volume)
    if why is not None:
        raise ReadOnlyError(why=why)
    if isinstance(store, SequentialStore):
        assert volume.vat is not None
        return reserve_of(store, volume, len(volume.vat.entries))
    log = volume.intent_log
    space = SpaceMap(volume.space(), changes=() if log is None else log.changes)
    return RewritableReserve(lambda: space.free_blocks, lambda: space.fresh_packets * PACKET)


def formatted_room(drive: Drive, store: BlockStore, settings: DriveSettings) -> Room:
    """The room that a disc will have that has to be formatted yet."""
    from media.store import SequentialStore
    from udffs.cli.preparing import MRW, SEQUENTIAL, default_mode, has_bridge, plan, wish
    from udffs.commit.fitting import empty_rewritable, empty_write_once

    mode = default_mode(drive)
    if mode == SEQUENTIAL:
        assert isinstance(store, SequentialStore)
        return empty_write_once(store, bridge=has_bridge(mode, wish(None, settings)))
    blocks = plan(drive, mode, full=False).blocks
    return empty_rewritable(blocks, spares_by_itself=mode == MRW)
