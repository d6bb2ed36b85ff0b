"""``udffs new``."""

from __future__ import annotations

from pathlib import Path

import click

from udffs.cli.output import Output, reports


@click.command(name="new")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--media", default="cd-r-80", show_default=True, help="Kind of disc.")
@reports
def command(out: Output, file: Path, media: str) -> None:
    """Make a blank virtual disc: a file that behaves like a disc in a drive.

    FILE will hold what is written to the disc, as any other program would
    read it; FILE.state beside it what else is known about the disc. Neither
    may exist before.

    \b
    Example:
      udffs new ~/disc.img --media cd-r-80
    """
    from media import virtual
    from udffs.cli.known import remember

    if media not in virtual.KINDS:
        known = ", ".join(virtual.KINDS)
        raise click.BadParameter(f"{media!r} is not one of {known}.", param_hint="--media")
    virtual.create(file, media)
    remember(file)
    out.result(
        {"drive": str(file.absolute()), "media": media},
        f"{file} is a blank {virtual.KINDS[media].title}; `udffs mount {file} --format` "
        "makes it ready for use.",
    )
