"""The commands."""

from __future__ import annotations


def main() -> None:
    """The program ``udffs``; ends the process with a code of the table in
    :mod:`udffs.cli.exitcodes`."""
    from udffs.cli.app import run

    raise SystemExit(run())
