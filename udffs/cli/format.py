"""``udffs format``."""

from __future__ import annotations

import contextlib
import os

import click

from udffs.cli.output import Output, reports

REVISIONS = {"1.50": 0x0150, "2.01": 0x0201}


@click.command(name="format")
@click.argument("drive")
@click.option("--label", help="Name of the volume.  [default: the date]")
@click.option(
    "--udf",
    "revision",
    type=click.Choice(list(REVISIONS)),
    default="2.01",
    show_default=True,
    help="Revision of the standard; 1.50 for older systems.",
)
@click.option("--force", is_flag=True, help="Also if there is a volume on the disc already.")
@reports
def command(out: Output, drive: str, label: str | None, revision: str, force: bool) -> None:
    """Put an empty volume on the disc in DRIVE. Takes seconds.

    A volume that is there already is left alone. With --force a new one
    begins behind it, and what the old one held is no longer seen: the space
    it took is not given back.

    \b
    Example:
      udffs format disc.img --label "Holiday 2026"
    """
    from udffs import settings
    from udffs.cli.mounts import must_not_run
    from udffs.cli.opening import format_store, writable_store

    must_not_run(out, drive)
    with contextlib.closing(writable_store(settings.load(), drive)) as store:
        chosen = format_store(
            store,
            label=label,
            revision=REVISIONS[revision],
            force=force,
            uid=os.getuid(),
            gid=os.getgid(),
        )
        free = store.free_blocks
    out.result(
        {"drive": drive, "label": chosen, "udf": revision, "free_blocks": free},
        f'The disc in {drive} now holds the empty volume "{chosen}" (UDF {revision}); '
        f"`udffs mount {drive}` makes it a directory.",
    )
