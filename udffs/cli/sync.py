"""``udffs sync``."""

from __future__ import annotations

import click

from udffs.cli.output import Output, reports


@click.command(name="sync")
@click.argument("mount", metavar="DRIVE|PLACE")
@reports
def command(out: Output, mount: str) -> None:
    """Write to the disc everything that is not yet on it.

    When this returns, all that was saved before survives a power cut. (The
    system's own sync does not reach a file system of this kind.)

    \b
    Example:
      udffs sync ~/Discs/Holiday
    """
    from udffs.cli.mounts import ask, must_run

    entry = must_run(mount)
    ask(out, entry, "sync")
    out.result(
        {"drive": entry.drive, "where": entry.where}, f"All of {entry.where} is on the disc."
    )
