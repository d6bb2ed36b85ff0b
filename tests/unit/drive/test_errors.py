"""The error tree, and the table of what to do about a failed command."""

from __future__ import annotations

import errno
import inspect

import pytest

from media import errors
from media.mmc.sense import Sense
from media.reactions import Purpose, Remedy, react

ALL = [
    kind
    for kind in vars(errors).values()
    if inspect.isclass(kind) and issubclass(kind, errors.MediaError)
]
FIELDS = {
    "name": "disc.img",
    "why": "it fell",
    "what": "a slip",
    "block": 7,
    "kind": "CD-R",
    "next_writable": 8,
    "command": "WRITE(10)",
    "seconds": 3,
}


@pytest.mark.parametrize("kind", ALL)
def test_every_error_has_words_an_errno_and_a_fault(kind: type[errors.MediaError]) -> None:
    error = kind(sense=(3, 0x0C, 0x09), **FIELDS)
    assert str(error).endswith("(sense 3/0C/09)")
    assert "{" not in str(error) and "\n" not in str(error)
    assert error.errno in errno.errorcode
    assert kind.__doc__
    groups = (errors.MediaUsageError, errors.DiscFault, errors.DriveFault, errors.MediaBug)
    assert kind is errors.MediaError or sum(issubclass(kind, group) for group in groups) == 1


def test_errors_carry_what_the_caller_needs() -> None:
    assert errors.UnreadableBlockError(block=5).block == 5
    assert errors.AddressMovedError(next_writable=9).next_writable == 9
    assert errors.PacketLostError(next_writable=9).sense is None
    assert errors.NoMediumError().errno == errors.ENOMEDIUM
    assert str(errors.DriveBusyError(name="a.img", holder="process 7")) == (
        "a.img is in use by process 7."
    )


@pytest.mark.parametrize(
    ("code", "purpose", "remedy", "error"),
    [
        ((2, 0x04, 0x08), Purpose.WRITE, Remedy.WAIT, errors.DriveTimeoutError),
        ((2, 0x04, 0x01), Purpose.READ, Remedy.WAIT, errors.DriveTimeoutError),
        ((2, 0x04, 0x07), Purpose.OTHER, Remedy.WAIT, errors.DriveTimeoutError),
        ((2, 0x04, 0x03), Purpose.OTHER, Remedy.NONE, errors.DriveFailedError),
        ((2, 0x3A, 0x02), Purpose.WRITE, Remedy.NONE, errors.NoMediumError),
        ((3, 0x0C, 0x00), Purpose.WRITE, Remedy.NONE, errors.PacketLostError),
        ((3, 0x0C, 0x09), Purpose.FLUSH, Remedy.NONE, errors.PacketLostError),
        ((3, 0x0C, 0x00), Purpose.OTHER, Remedy.DOUBT, errors.DriveFailedError),
        ((3, 0x02, 0x00), Purpose.READ, Remedy.NONE, errors.UnreadableBlockError),
        ((3, 0x11, 0x05), Purpose.READ, Remedy.NONE, errors.UnreadableBlockError),
        ((3, 0x73, 0x03), Purpose.WRITE, Remedy.WAIT, errors.CalibrationError),
        ((4, 0x73, 0x03), Purpose.OTHER, Remedy.WAIT, errors.CalibrationError),
        ((5, 0x21, 0x02), Purpose.WRITE, Remedy.NONE, errors.AddressMovedError),
        ((5, 0x21, 0x00), Purpose.READ, Remedy.NONE, errors.UnreadableBlockError),
        ((5, 0x26, 0x00), Purpose.OTHER, Remedy.NONE, errors.CommandRefusedError),
        ((5, 0x2C, 0x00), Purpose.READ, Remedy.SYNCHRONIZE, errors.CommandRefusedError),
        ((5, 0x2C, 0x00), Purpose.WRITE, Remedy.RESEND_PAGE, errors.CommandRefusedError),
        ((5, 0x30, 0x00), Purpose.OTHER, Remedy.NONE, errors.WrongMediumError),
        ((5, 0x63, 0x00), Purpose.WRITE, Remedy.NONE, errors.MediumFullError),
        ((5, 0x63, 0x01), Purpose.FLUSH, Remedy.NONE, errors.MediumFullError),
        ((5, 0x64, 0x00), Purpose.WRITE, Remedy.RESEND_PAGE, errors.CommandRefusedError),
        ((5, 0x64, 0x00), Purpose.READ, Remedy.NONE, errors.LinkBlockError),
        ((5, 0x72, 0x04), Purpose.FLUSH, Remedy.NONE, errors.CommandRefusedError),
        ((6, 0x28, 0x00), Purpose.READ, Remedy.NONE, errors.MediumChangedError),
        ((6, 0x29, 0x00), Purpose.WRITE, Remedy.SET_UP_AGAIN, errors.DriveResetError),
        ((6, 0x29, 0x00), Purpose.READ, Remedy.SET_UP_AGAIN, errors.DriveFailedError),
        ((6, 0x2A, 0x01), Purpose.OTHER, Remedy.SET_UP_AGAIN, errors.DriveFailedError),
        ((6, 0x5A, 0x01), Purpose.OTHER, Remedy.WAIT, errors.DriveFailedError),
        ((7, 0x27, 0x00), Purpose.WRITE, Remedy.NONE, errors.ReadOnlyMediumError),
        ((0xB, 0x00, 0x00), Purpose.FLUSH, Remedy.SET_UP_AGAIN, errors.DriveResetError),
        ((4, 0x44, 0x00), Purpose.WRITE, Remedy.NONE, errors.DriveFailedError),
        ((0xE, 0x00, 0x00), Purpose.READ, Remedy.NONE, errors.DriveFailedError),
    ],
)
def test_reaction(
    code: tuple[int, int, int], purpose: Purpose, remedy: Remedy, error: type[errors.MediaError]
) -> None:
    reaction = react(Sense(*code), purpose)
    assert (reaction.remedy, reaction.error) == (remedy, error)
    assert (reaction.limit == 0) == (remedy is Remedy.NONE or error is errors.DriveResetError)
