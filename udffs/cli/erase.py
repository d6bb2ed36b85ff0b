"""``udffs erase``."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import click

from udffs.cli.output import Output, local_progress, reports

if TYPE_CHECKING:
    from media.drive import Drive
    from udffs.cli.preparing import Held

#: What is typed to erase a disc that has no label.
WORD = "erase"


@click.command(name="erase")
@click.argument("drive")
@click.option(
    "--quick/--full",
    "quick",
    default=True,
    help="So that it counts as blank, or every block of it.  [default: quick]",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@reports
def command(out: Output, drive: str, quick: bool, yes: bool) -> None:
    """Make a CD-RW blank again. All that is on it is lost.

    Asks for the label of the disc to be typed ("erase" where it has none). A
    quick erase takes a minute or two, and what was there can still be found by
    those who look for it; --full takes about as long as writing the whole disc.

    \b
    Example:
      udffs erase disc.img --quick
    """
    from udffs import settings
    from udffs.cli.preparing import held_in, writing_drive

    must_not_be_mounted(out, drive)
    chosen = settings.load()
    with contextlib.closing(writing_drive(chosen, drive)) as burner:
        kind = check_erasable(burner, drive)
        on_disc = held_in(burner, chosen.for_drive(drive).spool)
        _warn(out, on_disc)
        if not yes:
            confirm(out, drive, on_disc)
        _erase(out, burner, kind, drive, full=not quick)
    label = on_disc.label if on_disc is not None else None
    out.result(
        {"drive": drive, "disc": kind, "full": not quick, "label": label},
        f"The disc in {drive} is blank; `udffs format {drive}` makes it ready for use.",
    )


def must_not_be_mounted(out: Output, drive: str) -> None:
    """Raises AlreadyMountedError, with what to do."""
    from udffs.cli.mounts import running
    from udffs.errors import AlreadyMountedError

    entry = running(out, drive)
    if entry is not None:
        raise AlreadyMountedError(
            f"{entry.drive} is mounted at {entry.where}; `udffs unmount {entry.where}` first.",
            drive=entry.drive,
            where=entry.where,
        )


def check_erasable(drive: Drive, name: str) -> str:
    """The kind of disc. Raises NotErasableError for one that is written once."""
    from udffs.errors import NotErasableError

    disc = drive.disc()
    if not disc.erasable:
        raise NotErasableError(
            drive=name,
            why=f"it is a {disc.kind}, and what is written to such a disc stays there; "
            f"`udffs format --force {name}` begins a new volume behind it",
        )
    return disc.kind


def _warn(out: Output, on_disc: Held | None) -> None:
    if on_disc is not None and on_disc.unsaved is not None:
        out.note(
            f"There is unsaved data for this disc in {on_disc.unsaved}, which the next mount "
            "would have saved. It stays there, but is of no use without the disc."
        )


def confirm(out: Output, drive: str, on_disc: Held | None) -> None:
    """Lets the user type what is to be erased. Raises NotConfirmedError."""
    from udffs.errors import NotConfirmedError

    if out.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NotConfirmedError(why="nobody is here to confirm it; --yes erases without asking.")
    label = on_disc.label if on_disc is not None else None
    named = f'The volume "{label}" on it' if label else "What is on it"
    wanted = label or WORD
    click.echo(f"The disc in {drive} will be erased. {named} is lost for ever.", err=True)
    typed: str = click.prompt(f'Type "{wanted}" to go on', default="", show_default=False, err=True)
    if typed.strip() != wanted.strip():
        raise NotConfirmedError(why=f'that was not "{wanted}".')


def _erase(out: Output, drive: Drive, kind: str, name: str, *, full: bool) -> None:
    from media import formatting

    how = "Erasing every block of" if full else "Erasing"
    takes = "as long as writing all of it" if full else "a minute or two"
    out.say(f"{how} the {kind} in {name}. This takes {takes}.")
    with out.progress() as show:
        formatting.erase_medium(drive, full=full, progress=local_progress(show, "Erasing"))
