"""``udffs close``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from udffs.cli.output import Output, local_progress, reports

if TYPE_CHECKING:
    from media.store import BlockStore


@click.command(name="close")
@click.argument("drive", metavar="DRIVE|PLACE")
@click.option("--protect", is_flag=True, help="For good: nothing can be added any more.")
@reports
def command(out: Output, drive: str, protect: bool) -> None:
    """Close a disc, so that other systems can read it.

    More can be added to a closed disc (in a new session, which costs space),
    unless it is closed with --protect. A mounted disc stays mounted, and can
    only be read from then on.

    A CD-RW in packets has nothing to close: it is complete whenever it is
    unmounted. The command says so, and ends with 0; with --protect, which cannot
    be had on such a disc, with 2.

    \b
    Example:
      udffs close disc.img
    """
    from udffs.cli.mounts import ask, running

    entry = running(out, drive)
    if entry is None:
        closed = close_unmounted(out, drive, protect)
    else:
        drive = entry.drive
        closed = ask(out, entry, "close", final=protect)["closed"]
    if not closed:
        until = "" if entry is None else f" once it is unmounted (`udffs unmount {entry.where}`)"
        out.result(
            {"drive": drive, "protected": False, "closed": False},
            f"The disc in {drive} has nothing to close: it is complete{until}.",
        )
        return
    how = "for good" if protect else "and more can be added to it later"
    out.result(
        {"drive": drive, "protected": protect, "closed": True},
        f"The disc in {drive} is closed, {how}.",
    )


def close_unmounted(out: Output, drive: str, protect: bool) -> bool:
    """Closes the disc in a drive with nothing mounted; whether there was
    anything to close."""
    from udffs import settings
    from udffs.cli.opening import (
        is_rewritable,
        open_filesystem,
        refuse_to_protect,
        writable_store,
    )

    chosen = settings.load()
    with (
        contextlib.closing(writable_store(chosen, drive)) as store,
        out.progress() as show,
    ):
        if is_rewritable(store):
            refuse_to_protect(store, protect)
            note_if_open(out, store)
            return False
        filesystem = open_filesystem(store, chosen.for_drive(drive))
        for note in filesystem.notes:
            out.note(note)
        filesystem.start()
        try:
            filesystem.close_disc(final=protect, progress=local_progress(show, "Closing the disc"))
        finally:
            filesystem.shutdown()
    return True


def note_if_open(out: Output, store: BlockStore) -> None:
    """Says so if a rewritable disc is not complete."""
    from udffs.cli.describing import why_unclean
    from udffs.volume import open_volume

    unclean = why_unclean(open_volume(store))
    if unclean:
        out.note(unclean)
