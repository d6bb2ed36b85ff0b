"""``udffs format``."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from udffs.cli.output import Output, duration, local_progress, reports, size
from udffs.cli.volume_options import REVISIONS, volume_options

if TYPE_CHECKING:
    from media.drive import Drive
    from udffs.cli.opening import NewVolume
    from udffs.cli.preparing import Made, Work


NO_BRIDGE = (
    "This drive keeps no place for an ISO 9660 view at the beginning of the disc; "
    "`udffs close --bridge` can make one later, in a session of its own."
)


@click.command(name="format")
@click.argument("drive")
@volume_options
@click.option(
    "--mode",
    type=click.Choice(["packet", "sequential", "mrw"]),
    help="How the disc is written.  [default: what it is for]",
)
@click.option(
    "--quick/--full",
    "quick",
    default=True,
    help="No more than is needed, or all of the disc, with its surface checked.  [default: quick]",
)
@click.option("--force", is_flag=True, help="Also if there is something on the disc already.")
@reports
def command(
    out: Output,
    drive: str,
    label: str | None,
    revision: str,
    mode: str | None,
    quick: bool,
    bridge: bool | None,
    force: bool,
) -> None:
    """Put an empty volume on the disc in DRIVE.

    A CD-R, and a CD-RW with --mode sequential, takes seconds. A CD-RW in packet
    mode, the default, is one from which files can be deleted: the drive first
    formats it, which takes half an hour or more, once. A Mt. Rainier disc (mrw,
    the default in drives that know it) is ready after a minute, and is formatted
    while it is used.

    A volume that is there already is left alone. With --force it is lost on a
    CD-RW; on a CD-R a new one begins behind it, and the space is not given back.
    --full formats a CD-RW anew, reads every packet of it, and keeps bad ones from
    being used.

    A disc that is written piece by piece becomes, when it is closed, one that any
    computer reads: ISO 9660 with Joliet and Rock Ridge, and UDF, over the same
    files. --no-bridge makes a disc of UDF alone, whose open image file other
    programs can read as well.

    \b
    Example:
      udffs format disc.img --label "Holiday 2026"
    """
    from udffs import settings
    from udffs.cli.mounts import must_not_run
    from udffs.cli.opening import NewVolume
    from udffs.cli.preparing import default_mode, has_bridge, held_in, plan, wish, writing_drive

    must_not_run(out, drive)
    volume = NewVolume(label, REVISIONS[revision], force, os.getuid(), os.getgid()).checked()
    chosen = settings.load()
    with contextlib.closing(writing_drive(chosen, drive)) as burner:
        work = plan(burner, mode or default_mode(burner), full=not quick)
        wished = wish(bridge, chosen.for_drive(drive))
        volume = volume._replace(bridge=has_bridge(work.mode, wished))
        on_disc = held_in(burner, chosen.for_drive(drive).spool)
        if on_disc is not None and work.erases and not force:
            raise on_disc.error
        made, made_bridge = _make(out, burner, work, volume)
        volume = volume._replace(bridge=made_bridge)
    if on_disc is not None and on_disc.unsaved is not None:
        out.note(f"The unsaved data of the volume that was here before stays in {on_disc.unsaved}.")
    _report(out, drive, volume, work, made)


def _make(out: Output, drive: Drive, work: Work, volume: NewVolume) -> tuple[Made, bool]:
    """Says what it will be like, where that is not a matter of course; then does it.
    Also whether there is a place for an ISO 9660 view."""
    from udffs.cli.describing import has_iso_view
    from udffs.cli.preparing import carry_out
    from udffs.volume import open_volume

    if work.erases:
        out.say(announcement(drive.disc().kind, drive.name, work))
    with out.progress() as show:
        made = carry_out(drive, work, volume, functools.partial(local_progress, show))
        with contextlib.closing(made.store) as store:
            bridge = bool(has_iso_view(store, open_volume(store)))
    if volume.bridge and not bridge:
        out.note(NO_BRIDGE)
    return made, bridge


def announcement(kind: str, name: str, work: Work) -> str:
    """What is going to be done, what the disc will hold, and how long it takes."""
    from udffs.cli.preparing import IN_WORDS

    takes = duration(work.seconds) if work.seconds else "a few seconds"
    return (
        f"Formatting the {kind} in {name} {IN_WORDS[work.mode]}: "
        f"it will hold {size(work.blocks)}, and this takes {takes}."
    )


def _report(out: Output, drive: str, volume: NewVolume, work: Work, made: Made) -> None:
    revision = f"{volume.revision >> 8:x}.{volume.revision & 0xFF:02x}"
    told: dict[str, Any] = {"drive": drive, "label": made.label, "udf": revision}
    told |= {"mode": work.mode, "blocks": work.blocks, "free_blocks": made.free}
    told["bridge"] = volume.bridge
    if made.bad is not None:
        told["bad_packets"] = list(made.bad)
        out.say(surface(made.bad))
    elif work.full and work.mode == "mrw":
        out.say("The drive checks the surface by itself, while it formats in the background.")
    out.result(
        told,
        f'The disc in {drive} now holds the empty volume "{made.label}" (UDF {revision}); '
        f"`udffs mount {drive}` makes it a directory.",
    )


def surface(bad: Sequence[int]) -> str:
    """What the check of the surface found."""
    if not bad:
        return "The surface was checked: all of it is good."
    packets = "1 packet" if len(bad) == 1 else f"{len(bad)} packets"
    return f"The surface was checked: {packets} of 64 kB cannot be used; nothing is kept there."
