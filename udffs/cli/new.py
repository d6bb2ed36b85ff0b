"""``udffs new``."""

from __future__ import annotations

from pathlib import Path

import click

from media.virtual import KINDS
from udffs.cli.output import Output, reports


@click.command(name="new")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--media",
    type=click.Choice(list(KINDS)),
    default="cd-r-80",
    show_default=True,
    help="Kind of disc.",
)
@reports
def command(out: Output, file: Path, media: str) -> None:
    """Make a blank virtual disc: a file that behaves like a disc in a drive.

    FILE will hold what is written to the disc, as any other program would
    read it; FILE.state beside it what else is known about the disc. Neither
    may exist before. A cd-r is written once; a cd-rw is erased and written
    again; an mrw is a CD-RW in a drive that knows Mt. Rainier.

    \b
    Example:
      udffs new ~/disc.img --media cd-r-80
    """
    from media import virtual
    from udffs.cli.known import remember

    virtual.create(file, media)
    remember(file)
    out.result(
        {"drive": str(file.absolute()), "media": media},
        f"{file} is a blank {KINDS[media].title}; `udffs mount {file} --format` "
        "makes it ready for use.",
    )
