"""``udffs load``."""

from __future__ import annotations

import contextlib

import click

from udffs.cli.output import Output, local_progress, reports


@click.command(name="load")
@click.argument("drive")
@reports
def command(out: Output, drive: str) -> None:
    """Pull the tray in and wait until the disc can be read.

    \b
    Example:
      udffs load disc.img
    """
    from udffs.cli import reaching
    from udffs.cli.mounts import must_not_run

    must_not_run(out, drive)
    with (
        contextlib.closing(reaching.open_drive(drive)) as burner,
        out.progress() as show,
    ):
        burner.load(local_progress(show, "Loading the disc"))
        disc = burner.disc()
    status = "formatted" if disc.formatted else disc.status
    out.result(
        {"drive": drive, "disc": disc.kind, "status": status},
        f"There is a disc in {drive}: {disc.kind}, {status}.",
    )
