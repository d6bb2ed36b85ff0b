"""``udffs unmount``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from udffs.cli.output import Output, reports

if TYPE_CHECKING:
    from udffs.control import Entry

LEAVE, CLOSE, PROTECT = "leave", "close", "protect"

LEFT_OPEN = (
    "The disc was left open: it can be read {where}; `udffs close {drive}` makes it readable "
    "everywhere."
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

    Without one of --leave-open, --close and --protect the setting "close" decides
    (ask, leave, close or protect; for all drives, or for one). "ask" asks on a
    terminal, with what each choice costs, and leaves the disc open elsewhere. A
    CD-RW in packets has nothing to close: --close changes nothing there, and
    --protect is refused.

    \b
    Example:
      udffs unmount ~/Discs/Holiday --close --eject
    """
    from udffs.cli.mounts import must_run

    entry = must_run(mount)
    chosen = choose_ending(out, entry, ending)
    finish(out, entry, chosen, eject=eject, firm=ending is not None)


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
        return policy
    if out.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return LEAVE
    return _ask_user(entry)


def _ask_user(entry: Entry) -> str:
    from udffs import control
    from udffs.cli.costs import choices
    from udffs.control import Registry

    closing = control.ask(Registry(), entry, "status")["closing"]
    if closing is None:
        return LEAVE  # there is nothing to close
    click.echo(choices(closing), err=True)
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
        about = close_unmounted(out, entry.drive, ending == PROTECT)
        result["about"] = [] if isinstance(about, str) else about
        result |= {"ending": ending, "session_open": False}
    if eject and not result["ejected"]:
        open_tray(entry.drive)
        result["ejected"] = True


def _who_reads(drive: str, result: dict[str, Any]) -> str:
    """Where a disc can be read that was left as it is."""
    from udffs.cli.costs import OPEN_BRIDGE, OPEN_PLAIN

    if result["closable"]:
        where = OPEN_BRIDGE if result["bridge"] else OPEN_PLAIN
        return LEFT_OPEN.format(drive=drive, where=where)
    udf = str(result["udf"])
    with_ = " with sparing" if result["volume"] == "sparable" else ", in drives for Mt. Rainier,"
    return COMPLETE.format(udf=udf, with_=with_, systems=SYSTEMS.get(udf, "Linux"))


def finish(out: Output, entry: Entry, ending: str, *, eject: bool, firm: bool = False) -> None:
    """Unmounts, waits until the disc is safe, and says how it was left. An ending that
    is not ``firm`` gives way to what is possible with the disc."""
    from udffs import settings
    from udffs.cli.costs import bounded
    from udffs.cli.mounts import ask

    eject = eject or settings.load().for_drive(entry.drive).eject_after
    result = ask(out, entry, "unmount", ending=ending, firm=firm, eject=eject, until_gone=True)
    _make_up(out, entry, result, ending, eject)
    for note in bounded(result.pop("about")):
        out.note(note)
    undone = {CLOSE: result["session_open"], PROTECT: result["appendable"]}.get(ending, False)
    if firm and undone and result["ending"] == LEAVE:
        how = " for good" if ending == PROTECT else ""
        out.note(f"The disc was not closed{how}, because {entry.read_only}.")
    elif result["session_open"] or (not result["closable"] and entry.read_only is None):
        out.note(_who_reads(entry.drive, result))
    done = {LEAVE: "", CLOSE: " and closed", PROTECT: " and closed for good"}[result["ending"]]
    tray = "; the tray is open" if result["ejected"] else ""
    out.result(
        {"drive": entry.drive, **result},
        f"{entry.where} is unmounted{done}. The disc is safe{tray}.",
    )
