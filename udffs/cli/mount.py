"""``udffs mount``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from udffs.cli.output import Output, reports
from udffs.cli.volume_options import REVISIONS, volume_options

if TYPE_CHECKING:
    from udffs.cli.mount_options import MountOptions
    from udffs.cli.request import Request


@click.command(name="mount")
@click.argument("drive")
@click.argument("where", required=False)
@click.option("-f", "--foreground", is_flag=True, help="Stay, until it is unmounted.")
@click.option("--format", "format_blank", is_flag=True, help="Format the disc if it is blank.")
@volume_options
@click.option("--load", is_flag=True, help="Pull the tray in first.")
@click.option(
    "--at", type=click.IntRange(min=0), metavar="N", help="The state at block N, read-only."
)
@click.option("-o", "options", multiple=True, metavar="OPTIONS", help="Options as in mount(8).")
@reports
def command(
    out: Output,
    drive: str,
    where: str | None,
    foreground: bool,
    format_blank: bool,
    label: str | None,
    revision: str,
    bridge: bool | None,
    load: bool,
    at: int | None,
    options: tuple[str, ...],
) -> None:
    """Make the disc in DRIVE the directory WHERE, in the background.

    WHERE is an empty directory; without it, ~/Discs/LABEL is made. A disc
    that cannot be written to is mounted read-only, with a note why; with
    `-o rw` that is an error.

    \b
    Example:
      udffs mount disc.img --format --label Holiday
    """
    from udffs.cli import mount_options, starting
    from udffs.cli.mounts import tell_earlier_failure

    asked = mount_options.parse(options)
    asked.load = asked.load or load
    asked.format = asked.format or format_blank
    asked.label = asked.label if label is None else label
    asked.at = asked.at if at is None else at
    asked.bridge = asked.bridge if bridge is None else bridge
    request = build_request(drive, where, asked, revision=REVISIONS[revision])
    tell_earlier_failure(out, drive)
    if foreground:
        starting.serve_here(out, request)
    else:
        event = starting.start(out, starting.with_log(request))
        out.result(event, starting.ready_text(event))


def build_request(
    drive: str, where: str | None, asked: MountOptions, *, revision: int = 0x0201
) -> Request:
    """The request that a command line amounts to. What is formatted belongs
    to the user who asks."""
    from udffs.cli.request import Request

    blank = {
        "label": asked.label,
        "revision": revision,
        "bridge": asked.bridge,
        "uid": os.getuid(),
        "gid": os.getgid(),
    }
    return Request(
        drive=str(Path(drive).expanduser().absolute()),
        where=None if where is None else str(Path(where).expanduser().absolute()),
        read_only=asked.read_only,
        at=asked.at,
        format=blank if asked.format else None,
        load=asked.load,
        speed=asked.speed,
        verify=asked.verify,
        options=asked.fuse,
    )
