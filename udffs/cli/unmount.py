"""``udffs unmount``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from udffs.cli.output import Output, reports, size

if TYPE_CHECKING:
    from udffs.control import Entry

LEAVE, CLOSE, PROTECT = "leave", "close", "protect"

#: What closing costs, in blocks: the lead-out of a session (90 seconds of the
#: first, 30 of each other) and lead-in and pre-gap of the next (Orange Book).
FIRST_CLOSE = 6750 + 4500 + 150
NEXT_CLOSE = 2250 + 4500 + 150

LEFT_OPEN = (
    "The disc was left open: systems without a UDF driver that knows such discs cannot read "
    "it yet. `udffs close {drive}` makes it readable everywhere."
)

COMPLETE = (
    "The disc is complete as it is, with nothing to close. It can be read where UDF {udf}{with_} "
    "is known: {systems}."
)
#: By revision of the standard: who reads it (Windows by its maker's word).
SYSTEMS = {
    "1.50": "Linux, Windows 2000 and later, older systems with a UDF reader",
    "2.01": "Linux, Windows XP and later; older systems only if it is formatted with --udf 1.50",
}


@click.command(name="unmount")
@click.argument("mount", metavar="DRIVE|PLACE")
@click.option("--leave-open", "ending", flag_value=LEAVE, help="Leave the disc as it is.")
@click.option("--close", "ending", flag_value=CLOSE, help="Close it; more can be added later.")
@click.option("--protect", "ending", flag_value=PROTECT, help="Close it for good.")
@click.option("--eject", is_flag=True, help="Open the tray afterwards.")
@reports
def command(out: Output, mount: str, ending: str | None, eject: bool) -> None:
    """Finish with a disc. Returns when all of it is safe, and says so.

    Without one of --leave-open, --close and --protect the setting "close"
    decides (ask, leave or close). A CD-RW in packets has nothing to close:
    --close changes nothing there, and --protect is refused.

    \b
    Example:
      udffs unmount ~/Discs/Holiday --close --eject
    """
    from udffs.cli.mounts import must_run

    entry = must_run(mount)
    finish(out, entry, choose_ending(out, entry, ending), eject=eject)


def choose_ending(out: Output, entry: Entry, wanted: str | None) -> str:
    """What happens to the disc: as the command says, else as the settings say,
    else as the user says."""
    from udffs import settings

    if wanted is not None:
        return wanted
    policy = settings.load().for_drive(entry.drive).close
    if entry.read_only is not None:
        return LEAVE
    if policy != "ask":
        return CLOSE if policy == "close" else LEAVE
    if out.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return LEAVE
    return _ask_user(entry)


def _ask_user(entry: Entry) -> str:
    from udffs import control
    from udffs.control import Registry

    status = control.ask(Registry(), entry, "status")
    if status["format"] != "sequential":
        return LEAVE  # there is nothing to close
    cost = FIRST_CLOSE if len(status["sessions"]) < 2 else NEXT_CLOSE
    click.echo(
        "Closing makes the disc readable on all systems, and takes a minute or two and "
        f"{size(cost)} of the disc.\n"
        "  leave    leave it open: go on writing later, on systems that know such discs\n"
        "  close    close it: readable everywhere, and more can be added later\n"
        "  protect  close it for good",
        err=True,
    )
    answer: str = click.prompt(
        "What shall happen to the disc?",
        type=click.Choice([LEAVE, CLOSE, PROTECT]),
        default=LEAVE,
        err=True,
    )
    return answer


def _make_up(out: Output, entry: Entry, result: dict[str, Any], ending: str, eject: bool) -> None:
    """A plain umount was faster, and what was asked for here came too late."""
    from udffs.cli.close import close_unmounted
    from udffs.cli.eject import open_tray

    closable = result["closable"] and entry.read_only is None
    if ending != LEAVE and result["ending"] == LEAVE and closable:
        close_unmounted(out, entry.drive, ending == PROTECT)
        result["ending"] = ending
    if eject and not result["ejected"]:
        open_tray(entry.drive)
        result["ejected"] = True


def _who_reads(drive: str, result: dict[str, Any]) -> str:
    """Where a disc can be read that was left as it is."""
    if result["closable"]:
        return LEFT_OPEN.format(drive=drive)
    udf = str(result["udf"])
    with_ = " with sparing" if result["volume"] == "sparable" else ", in drives for Mt. Rainier,"
    return COMPLETE.format(udf=udf, with_=with_, systems=SYSTEMS.get(udf, "Linux"))


def finish(out: Output, entry: Entry, ending: str, *, eject: bool) -> None:
    """Unmounts, waits until the disc is safe, and says how it was left."""
    from udffs import settings
    from udffs.cli.mounts import ask

    eject = eject or settings.load().for_drive(entry.drive).eject_after
    result = ask(out, entry, "unmount", ending=ending, eject=eject, until_gone=True)
    _make_up(out, entry, result, ending, eject)
    if result["ending"] == LEAVE and entry.read_only is None:
        out.note(_who_reads(entry.drive, result))
    done = {LEAVE: "", CLOSE: " and closed", PROTECT: " and closed for good"}[result["ending"]]
    tray = "; the tray is open" if result["ejected"] else ""
    out.result(
        {"drive": entry.drive, **result},
        f"{entry.where} is unmounted{done}. The disc is safe{tray}.",
    )
