"""What the drive does with each command, by theme."""

from media.virtual.commands import (
    contents,
    formatting,
    identity,
    information,
    mode_pages,
    transfer,
    tray,
    writing,
)
from media.virtual.commands.table import TABLE, Command

__all__ = [
    "TABLE",
    "Command",
    "contents",
    "formatting",
    "identity",
    "information",
    "mode_pages",
    "transfer",
    "tray",
    "writing",
]
