"""``udffs close``."""

from __future__ import annotations

import contextlib

import click

from udffs.cli.output import Output, local_progress, reports


@click.command(name="close")
@click.argument("drive", metavar="DRIVE|PLACE")
@click.option("--protect", is_flag=True, help="For good: nothing can be added any more.")
@reports
def command(out: Output, drive: str, protect: bool) -> None:
    """Close a disc, so that other systems can read it.

    More can be added to a closed disc (in a new session, which costs space),
    unless it is closed with --protect. A mounted disc stays mounted, and can
    only be read from then on.

    \b
    Example:
      udffs close disc.img
    """
    from udffs.cli.mounts import ask, running

    entry = running(out, drive)
    if entry is not None:
        ask(out, entry, "close", final=protect)
        drive = entry.drive
    else:
        close_unmounted(out, drive, protect)
    how = "for good" if protect else "and more can be added to it later"
    out.result({"drive": drive, "protected": protect}, f"The disc in {drive} is closed, {how}.")


def close_unmounted(out: Output, drive: str, protect: bool) -> None:
    """Closes the disc in a drive with nothing mounted."""
    from udffs import settings
    from udffs.cli.opening import open_filesystem, writable_store

    chosen = settings.load()
    with (
        contextlib.closing(writable_store(chosen, drive)) as store,
        out.progress() as show,
    ):
        filesystem = open_filesystem(store, chosen.for_drive(drive))
        for note in filesystem.notes:
            out.note(note)
        filesystem.start()
        try:
            filesystem.close_disc(final=protect, progress=local_progress(show, "Closing the disc"))
        finally:
            filesystem.shutdown()
