"""The options that say what a new volume is like, the same for every command
that makes one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

REVISIONS = {"1.50": 0x0150, "2.01": 0x0201}


def volume_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command --label (``label``), --udf (``revision``, a key of REVISIONS) and
    --bridge (``bridge``; None where nobody says)."""
    bridge = click.option(
        "--bridge/--no-bridge",
        "bridge",
        default=None,
        help="Keep room for an ISO 9660 view of the files, made at the close, so that "
        "computers without UDF read the disc as well; not for discs in packets.  "
        "[default: bridge]",
    )
    revision = click.option(
        "--udf",
        "revision",
        type=click.Choice(list(REVISIONS)),
        default="2.01",
        show_default=True,
        help="Revision of the standard for a new volume; 1.50 for older systems.",
    )
    label = click.option("--label", help="Name of a new volume.  [default: the date]")
    return label(revision(bridge(command)))
