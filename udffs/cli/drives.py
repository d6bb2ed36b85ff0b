"""``udffs drives``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from udffs.cli.output import Output, reports

if TYPE_CHECKING:
    from media.discovery import DriveSummary
    from udffs.control import Entry


@click.command(name="drives")
@reports
def command(out: Output) -> None:
    """What drives there are, and what disc is in them.

    The drives of this computer, and virtual ones: those in the settings
    ("virtual_drives"), those that `udffs new` made and that still exist, and those
    that are mounted.

    \b
    Example:
      udffs drives
    """
    from media import discovery
    from udffs import settings
    from udffs.cli.known import known_discs
    from udffs.control import Registry
    from udffs.settings import drive_key

    mounted = {entry.drive: entry for entry in Registry().entries()}
    virtual = [*settings.load().virtual_drives, *known_discs()]
    named = [*discovery.system_drives(), *virtual, *mounted]
    names = dict.fromkeys(drive_key(name) for name in named)
    # A drive that writes to a mounted disc is not to be asked anything else.
    found = discovery.list_drives([name for name in names if name not in mounted])
    seen = {summary.name: summary for summary in found}
    rows = [_mounted(mounted[n]) if n in mounted else _row(seen[n]) for n in names]
    lines = [f"{row['drive']}: {row['text']}" for row in rows]
    text = "\n".join(lines) or ("There are no drives. `udffs new disc.img` makes a virtual one.")
    out.result({"drives": rows}, text)


def _mounted(entry: Entry) -> dict[str, Any]:
    from media.discovery import is_system_drive

    where = f"mounted at {entry.where}" if entry.where else "being mounted"
    if entry.state == "finishing":
        where = "unmounted; what is left is being written to the disc"
    return {
        "drive": entry.drive,
        "kind": "system" if is_system_drive(entry.drive) else "virtual",
        "state": entry.state,
        "label": entry.label,
        "where": entry.where,
        "text": f'"{entry.label}", {where}',
    }


def _row(found: DriveSummary) -> dict[str, Any]:
    disc = found.disc
    text = found.problem
    status = "formatted" if disc.formatted else disc.status
    if not text:
        text = "no disc" if disc.status == "none" else f"{disc.kind}, {status}"
    if found.kind == "system" and found.title:
        text = f"{found.title}: {text}"
    return {
        "drive": found.name,
        "kind": found.kind,
        "state": "unmounted",
        "title": found.title,
        "disc": None if disc.status == "none" else disc.kind,
        "status": status,
        "sessions": disc.sessions,
        "problem": found.problem or None,
        "text": text,
    }
