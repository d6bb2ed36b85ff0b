"""The table of commands, which the modules of this package fill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from media.mmc.commands import OPCODES
from media.virtual.storage import Buffer

if TYPE_CHECKING:
    from media.virtual.burner import Burner

#: (drive, parsed command, data from the host) -> data for the host, uncut
Handler = Callable[["Burner", Any, Buffer], bytes]


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its declaration, who carries it out, and what it needs.

    ``medium``: refused without a disc. ``records``: refused on a disc that was
    opened read-only. ``always``: carried out even while a unit attention is
    pending or an operation is running (MMC-6 4.1.4).
    """

    layout: Any
    handler: Handler
    medium: bool
    records: bool
    always: bool


TABLE: dict[int, Command] = {}


def command(
    layout: Any, *, medium: bool = True, records: bool = False, always: bool = False
) -> Callable[[Handler], Handler]:
    """Register a handler for a command."""
    code = next(code for code, known in OPCODES.items() if known is layout)

    def register(handler: Handler) -> Handler:
        TABLE[code] = Command(layout, handler, medium, records, always)
        return handler

    return register
