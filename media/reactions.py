"""What to do about a command that failed: one table, read from the top.

Pure. The drive carries out the remedies; whatever is left becomes an error.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from media import errors
from media.mmc import sense as s
from media.mmc.sense import Sense


class Purpose(enum.Flag):
    """What a command was for."""

    READ = enum.auto()
    WRITE = enum.auto()
    FLUSH = enum.auto()
    OTHER = enum.auto()
    RECORDING = WRITE | FLUSH
    ANY = READ | WRITE | FLUSH | OTHER


class Remedy(enum.Enum):
    """What may help before the same command is sent again."""

    NONE = enum.auto()
    WAIT = enum.auto()
    SYNCHRONIZE = enum.auto()
    RESEND_PAGE = enum.auto()
    SET_UP_AGAIN = enum.auto()
    #: Nothing but to keep in mind that an earlier write has failed
    DOUBT = enum.auto()


class Reaction(NamedTuple):
    """Try ``remedy``, wait ``delay`` seconds and send the command again, at most
    ``limit`` times; then, or where there is no remedy, raise ``error``."""

    remedy: Remedy
    delay: float
    limit: int
    error: type[errors.MediaError]


class _Row(NamedTuple):
    purpose: Purpose
    key: int | None
    asc: int | None
    ascq: tuple[int, ...] | None
    reaction: Reaction


def _fail(error: type[errors.MediaError]) -> Reaction:
    return Reaction(Remedy.NONE, 0.0, 0, error)


#: Waiting for at most ten minutes, which no drive needs
_BUSY = Reaction(Remedy.WAIT, 0.3, 2000, errors.DriveTimeoutError)
_LONG_WRITE = Reaction(Remedy.WAIT, 0.05, 12000, errors.DriveTimeoutError)
#: A write or flush that meets a reset is never sent again by the drive itself: the
#: buffer is empty, and only the store knows what was in it.
_RESET_RECORDING = Reaction(Remedy.SET_UP_AGAIN, 0.0, 0, errors.DriveResetError)
_RESET = Reaction(Remedy.SET_UP_AGAIN, 0.1, 5, errors.DriveFailedError)
#: After the time of one command has run out, the next one would only wait as long
_SILENT = Reaction(Remedy.DOUBT, 0.0, 0, errors.DriveSilentError)

_READ, _WRITE, _RECORDING, _ANY = Purpose.READ, Purpose.WRITE, Purpose.RECORDING, Purpose.ANY

_TABLE = (
    _Row(_ANY, s.NOT_READY, 0x04, (0x08,), _LONG_WRITE),
    _Row(_ANY, s.NOT_READY, 0x04, (0x01, 0x04, 0x07), _BUSY),
    _Row(_ANY, s.NOT_READY, 0x3A, None, _fail(errors.NoMediumError)),
    _Row(_ANY, s.UNIT_ATTENTION, 0x28, None, _fail(errors.MediumChangedError)),
    _Row(_RECORDING, s.UNIT_ATTENTION, 0x29, None, _RESET_RECORDING),
    _Row(_RECORDING, s.UNIT_ATTENTION, 0x2A, None, _RESET_RECORDING),
    _Row(_RECORDING, s.ABORTED_COMMAND, None, None, _RESET_RECORDING),
    _Row(_ANY, s.ABORTED_COMMAND, 0x08, (0x01,), _SILENT),
    _Row(_ANY, s.UNIT_ATTENTION, 0x29, None, _RESET),
    _Row(_ANY, s.UNIT_ATTENTION, 0x2A, None, _RESET),
    _Row(_ANY, s.ABORTED_COMMAND, None, None, _RESET),
    _Row(
        _ANY,
        s.UNIT_ATTENTION,
        None,
        None,
        Reaction(Remedy.WAIT, 0.0, 5, errors.DriveFailedError),
    ),
    _Row(
        _ANY,
        s.MEDIUM_ERROR,
        0x73,
        None,
        Reaction(Remedy.WAIT, 0.1, 1, errors.CalibrationError),
    ),
    _Row(
        _ANY,
        s.HARDWARE_ERROR,
        0x73,
        None,
        Reaction(Remedy.WAIT, 0.1, 1, errors.CalibrationError),
    ),
    _Row(_RECORDING, s.MEDIUM_ERROR, None, None, _fail(errors.PacketLostError)),
    # A command that ends the packet, as MODE SELECT does, may be told of its failure.
    _Row(
        Purpose.OTHER,
        s.MEDIUM_ERROR,
        0x0C,
        None,
        Reaction(Remedy.DOUBT, 0.0, 2, errors.DriveFailedError),
    ),
    _Row(_READ, s.MEDIUM_ERROR, None, None, _fail(errors.UnreadableBlockError)),
    _Row(_READ, s.BLANK_CHECK, None, None, _fail(errors.UnreadableBlockError)),
    _Row(_READ, s.ILLEGAL_REQUEST, 0x21, None, _fail(errors.UnreadableBlockError)),
    _Row(_READ, s.ILLEGAL_REQUEST, 0x64, None, _fail(errors.LinkBlockError)),
    _Row(
        _READ,
        s.ILLEGAL_REQUEST,
        0x2C,
        None,
        Reaction(Remedy.SYNCHRONIZE, 0.1, 3, errors.CommandRefusedError),
    ),
    _Row(_WRITE, s.ILLEGAL_REQUEST, 0x21, None, _fail(errors.AddressMovedError)),
    _Row(
        _WRITE,
        s.ILLEGAL_REQUEST,
        0x2C,
        None,
        Reaction(Remedy.RESEND_PAGE, 0.0, 2, errors.CommandRefusedError),
    ),
    _Row(
        _WRITE,
        s.ILLEGAL_REQUEST,
        0x64,
        None,
        Reaction(Remedy.RESEND_PAGE, 0.1, 3, errors.CommandRefusedError),
    ),
    _Row(_RECORDING, s.ILLEGAL_REQUEST, 0x63, None, _fail(errors.MediumFullError)),
    _Row(_ANY, s.ILLEGAL_REQUEST, 0x30, None, _fail(errors.WrongMediumError)),
    _Row(_ANY, s.ILLEGAL_REQUEST, None, None, _fail(errors.CommandRefusedError)),
    _Row(_ANY, s.DATA_PROTECT, None, None, _fail(errors.ReadOnlyMediumError)),
    _Row(_ANY, None, None, None, _fail(errors.DriveFailedError)),
)


def react(sense: Sense, purpose: Purpose) -> Reaction:
    """The first row of the table that fits."""
    for row in _TABLE:
        if (
            row.purpose & purpose
            and row.key in (None, sense.key)
            and row.asc in (None, sense.asc)
            and (row.ascq is None or sense.ascq in row.ascq)
        ):
            return row.reaction
    raise errors.MediaBug(what=f"no reaction to sense {sense}")
