"""``udffs close``."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import click

from udffs.cli.output import Output, local_progress, reports

if TYPE_CHECKING:
    from media.store import BlockStore
    from udffs.control import Entry

COMPLETE = "it is complete"
CLOSED = "it is closed already"
BRIDGE_UNCOUNTED = (
    "The ISO 9660 view gets a session of its own; what that takes is told when nothing is mounted."
)


@click.command(name="close")
@click.argument("drive", metavar="DRIVE|PLACE")
@click.option("--protect", is_flag=True, help="For good: nothing can be added any more.")
@click.option(
    "--bridge",
    is_flag=True,
    help="Give the disc an ISO 9660 view even if it was formatted without a place for "
    "one, or by another system: in a session of its own, which costs space.",
)
@click.option(
    "--dry-run", is_flag=True, help="Only say what closing costs and leaves; change nothing."
)
@reports
def command(out: Output, drive: str, protect: bool, bridge: bool, dry_run: bool) -> None:
    """Close a disc, so that other systems can read it.

    A disc that was formatted with the place for it gets an ISO 9660 view of its
    files, with Joliet and Rock Ridge names, beside UDF: any computer reads it then.
    Files and names which that view cannot show as they are, are told; nothing is
    missing in UDF.

    More can be added to a closed disc (in a new session, which costs space),
    unless it is closed with --protect. A mounted disc stays mounted, and can
    only be read from then on. A close that was broken off is completed.

    A CD-RW in packets has nothing to close: it is complete whenever it is
    unmounted. The command says so, and ends with 0; with --protect or --bridge,
    which cannot be had on such a disc, with 2.

    \b
    Example:
      udffs close disc.img --dry-run
      udffs close disc.img
    """
    from udffs.cli.costs import bounded
    from udffs.cli.mounts import ask, running

    entry = running(out, drive)
    if dry_run:
        _tell_cost(out, drive, entry, bridge=bridge)
        return
    about: list[str] | str
    if entry is None:
        about = close_unmounted(out, drive, protect, bridge=bridge)
    else:
        drive = entry.drive
        answer = ask(out, entry, "close", final=protect, bridge=bridge)
        about = answer["about"] if answer["closed"] else answer["why"]
    if isinstance(about, str):
        until = ""
        if entry is not None and about == COMPLETE:
            until = f" once it is unmounted (`udffs unmount {entry.where}`)"
        out.result(
            {"drive": drive, "protected": False, "closed": False},
            f"The disc in {drive} has nothing to close: {about}{until}.",
        )
        return
    for note in bounded(about):
        out.note(note)
    how = "for good" if protect else "and more can be added to it later"
    out.result(
        {"drive": drive, "protected": protect, "closed": True},
        f"The disc in {drive} is closed, {how}.",
    )


def close_unmounted(
    out: Output, drive: str, protect: bool, *, bridge: bool = False
) -> list[str] | str:
    """Closes the disc in a drive with nothing mounted; returns what there is to say of
    its ISO 9660 view, or why there was nothing to close."""
    about = _close_once(out, drive, protect, bridge=bridge)
    if about is not None:
        return about
    # A close was completed that had been broken off; it was not one for good.
    return (_close_once(out, drive, protect, bridge=bridge) or []) if protect or bridge else []


def _close_once(out: Output, drive: str, protect: bool, *, bridge: bool) -> list[str] | str | None:
    """The same; None if opening the disc has completed a close."""
    from udffs import settings
    from udffs.cli.opening import (
        is_closed_already,
        is_rewritable,
        open_filesystem,
        refuse_to_close,
        writable_store,
    )

    chosen = settings.load()
    with (
        contextlib.closing(writable_store(chosen, drive)) as store,
        out.progress() as show,
    ):
        if is_rewritable(store):
            refuse_to_close(store, protect=protect, bridge=bridge)
            note_if_open(out, store)
            return COMPLETE
        filesystem = open_filesystem(store, chosen.for_drive(drive))
        for note in filesystem.notes:
            out.note(note)
        filesystem.start()
        try:
            if filesystem.close_completed:
                return None
            if not protect and is_closed_already(store, filesystem, bridge=bridge):
                return CLOSED
            return filesystem.close_disc(
                final=protect, bridge=bridge, progress=local_progress(show, "Closing the disc")
            )
        finally:
            filesystem.shutdown()


def note_if_open(out: Output, store: BlockStore) -> None:
    """Says so if a rewritable disc is not complete."""
    from udffs.cli.describing import why_unclean
    from udffs.volume import open_volume

    unclean = why_unclean(open_volume(store))
    if unclean:
        out.note(unclean)


# -- what it costs -----------------------------------------------------------------


def _tell_cost(out: Output, drive: str, entry: Entry | None, *, bridge: bool) -> None:
    from udffs.cli.costs import sentence, time_of

    status = (
        _status_of_disc(drive, bridge=bridge) if entry is None else _status_of_mount(out, entry)
    )
    closing = status["closing"]
    told: dict[str, Any] = {"drive": drive if entry is None else entry.drive, "closing": closing}
    complete = _why_complete(status)
    if complete and not (bridge and closing is not None):
        told["closing"] = None
        out.result(told, f"The disc in {told['drive']} has nothing to close: {complete}.")
        return
    if bridge and not closing["bridge_blocks"]:
        out.note(BRIDGE_UNCOUNTED)
    out.result(told, f"{sentence(closing)} It takes {time_of(closing)}.")


def _why_complete(status: dict[str, Any]) -> str:
    """Why there is nothing to close, "" if there is something."""
    if status["status"] == "formatted":
        return "it is complete whenever it is unmounted"
    if status["status"] in ("closed", "read-only"):
        return "nothing can be added to it any more"
    if status["session_open"] or status.get("unsaved_bytes"):
        return ""
    return CLOSED


def _status_of_mount(out: Output, entry: Entry) -> dict[str, Any]:
    from udffs.cli.mounts import ask

    status: dict[str, Any] = ask(out, entry, "status")
    return status


def _status_of_disc(drive: str, *, bridge: bool) -> dict[str, Any]:
    from udffs.cli import reaching
    from udffs.cli.costs import closing_of, closing_with_bridge
    from udffs.cli.describing import describe_store, medium_of
    from udffs.volume import open_volume

    with contextlib.closing(reaching.open_block_store(drive, writable=False)) as store:
        told = describe_store(store, medium_of(store))
        volume = open_volume(store)
        closing = closing_of(store, volume)
        if bridge and closing is not None and not closing["bridge_blocks"]:
            closing = closing_with_bridge(store, volume)
        return {**told, "closing": closing}
