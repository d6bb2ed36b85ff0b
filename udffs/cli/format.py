"""``udffs format``."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from udffs.cli.output import Output, reports
from udffs.cli.volume_options import REVISIONS, volume_options

if TYPE_CHECKING:
    from media.store import SequentialStore


@click.command(name="format")
@click.argument("drive")
@volume_options
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
    chosen_settings = settings.load()
    with contextlib.closing(writable_store(chosen_settings, drive)) as store:
        left = _unsaved(store, chosen_settings.for_drive(drive).spool)
        chosen = format_store(
            store,
            label=label,
            revision=REVISIONS[revision],
            force=force,
            uid=os.getuid(),
            gid=os.getgid(),
        )
        free = store.free_blocks
    if left is not None:
        out.note(f"The unsaved data of the volume that was here before stays in {left}.")
    out.result(
        {"drive": drive, "label": chosen, "udf": revision, "free_blocks": free},
        f'The disc in {drive} now holds the empty volume "{chosen}" (UDF {revision}); '
        f"`udffs mount {drive}` makes it a directory.",
    )


def _unsaved(store: SequentialStore, spool: Path) -> Path | None:
    """Where there is unsaved data for the volume on a disc, if it has one."""
    from udffs.commit.spool import unsaved
    from udffs.errors import DiscError
    from udffs.volume import open_volume

    with contextlib.suppress(DiscError):
        return unsaved(spool, open_volume(store).identity)
    return None
