"""``udffs eject``."""

from __future__ import annotations

import contextlib

import click

from udffs.cli.output import Output, reports


@click.command(name="eject")
@click.argument("drive", metavar="DRIVE|PLACE")
@reports
def command(out: Output, drive: str) -> None:
    """Unmount the disc if it is mounted, and open the tray.

    The disc is left as `udffs unmount` would leave it. (A virtual disc is
    back in its drive when it is used the next time.)

    \b
    Example:
      udffs eject disc.img
    """
    from udffs.cli.mounts import running
    from udffs.cli.unmount import choose_ending, finish

    entry = running(out, drive)
    if entry is not None:
        finish(out, entry, choose_ending(out, entry, None), eject=True)
        return
    open_tray(drive)
    out.result({"drive": drive, "ejected": True}, f"The tray of {drive} is open.")


def open_tray(drive: str) -> None:
    """Of a drive with nothing mounted."""
    from udffs.cli import reaching

    with contextlib.closing(reaching.open_drive(drive)) as burner:
        burner.eject()
