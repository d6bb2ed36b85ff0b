"""``udffs burn``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from udffs.cli.output import Output, reports

if TYPE_CHECKING:
    from udffs.cli.burning import Wishes


@click.command(name="burn")
@click.argument("what", nargs=-1, metavar="DRIVE [PATH]...")
@click.option("--label", help="Volume name.  [default: asked for; the date]")
@click.option(
    "--tao/--sao",
    "tao",
    default=None,
    help="Track at once or session at once.  [default: tao, or as the settings say]",
)
@click.option("--speed", type=click.IntRange(1), metavar="N", help="As many times 150 kB/s.")
@click.option("--load", is_flag=True, default=None, help="Pull the tray in before.")
@click.option("--eject", is_flag=True, default=None, help="Open the tray afterwards.")
@click.option(
    "--verify",
    type=click.Choice(["none", "metadata", "all"]),
    help="What is read back afterwards.  [default: all, or as the settings say]",
)
@click.option("--test-write", is_flag=True, help="Do all of it with the laser off.")
@click.option("--close", "final", is_flag=True, help="For good: nothing can be added any more.")
@click.option(
    "--no-import", is_flag=True, help="Do not show the files of earlier sessions in the new one."
)
@click.option("--keep", is_flag=True, help="Leave what is burnt on the list of what is staged.")
@click.option(
    "--image",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write an image (.iso) instead of a disc; there is no DRIVE then.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--force", is_flag=True, help="Also behind a volume that is written file by file.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
@reports
def command(out: Output, what: tuple[str, ...], **options: object) -> None:
    """Write what is staged, or the PATHs, to the disc in DRIVE in one go.

    The disc must be blank, or have room for another session, which then shows the
    files of the earlier ones too. Any system can read it: it has ISO 9660 with
    Joliet and Rock Ridge, and on a blank disc UDF over the same files.

    Before anything is written you see how much it is and what will be left, and on a
    terminal you are asked. Then the disc is read back (--verify) and compared with
    what was sent to it. Only when all of that went well is what was staged taken off
    the list, and are copies in the stash deleted. Ctrl-C stops: what is staged stays,
    and you are told what became of the disc.

    A track at once (--tao) costs one session if something goes wrong in the middle; a
    CD-R on which a session at once (--sao) fails is lost, but its last blocks are
    cleaner: some players and copiers want that.

    \b
    Example:
      udffs stage add ~/Pictures/2026
      udffs burn disc.img --label "Pictures 2026"
    """
    from udffs.cli import burning

    wishes = _wishes(what, options)
    if wishes.image is not None:
        burning.to_image(out, wishes, wishes.image)
    else:
        burning.to_disc(out, wishes)


def _wishes(what: tuple[str, ...], options: dict[str, object]) -> Wishes:
    from udffs.cli.burning import Wishes

    if options["image"] is not None:
        return Wishes(drive="", paths=what, **options)  # type: ignore[arg-type]
    if not what:
        raise click.UsageError("Missing argument 'DRIVE' (or --image FILE).")
    return Wishes(drive=what[0], paths=what[1:], **options)  # type: ignore[arg-type]
