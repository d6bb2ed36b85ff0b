"""The button of a drive whose tray is locked: the drive only tells that it was pressed.

While a disc is mounted the drive is open exclusively, so the kernel does not poll
it, and nobody else hears of the button.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from media.drive import DriveEvent
from media.errors import (
    DriveGoneError,
    MediaError,
    MediumChangedError,
    NoMediumError,
)

log = logging.getLogger("udffs.mount")

#: Seconds between two looks: what a person who pressed a button waits without wondering
INTERVAL = 1.0

#: Nobody will press the button of this disc any more
_OVER = (DriveGoneError, NoMediumError, MediumChangedError)


class Button(Protocol):
    """What is needed of a drive."""

    def events(self) -> list[DriveEvent]: ...


def watch(
    drive: Button,
    pressed: Callable[[], None],
    over: threading.Event,
    interval: float = INTERVAL,
) -> None:
    """Calls ``pressed`` each time that the button was, until ``over`` or until drive or
    disc are gone. A question that fails in another way is asked again."""
    told = ""
    while not over.wait(interval):
        try:
            events = drive.events()
        except _OVER as error:
            log.warning("%s", error)
            return
        except MediaError as error:
            if str(error) != told:
                log.warning("asking for the eject button: %s", error)
            told = str(error)
            continue
        if DriveEvent.EJECT_REQUEST in events:
            pressed()


def start(drive: Button, pressed: Callable[[], None], over: threading.Event) -> None:
    """:func:`watch` in a thread of its own."""
    threading.Thread(
        target=watch, args=(drive, pressed, over), name="udffs-button", daemon=True
    ).start()
