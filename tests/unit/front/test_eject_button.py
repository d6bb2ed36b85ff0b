"""Hearing of the eject button while a disc is mounted."""

from __future__ import annotations

import threading

import pytest

from media import errors
from media.drive import Drive, DriveEvent
from media.store import open_store
from media.transport.virtual import VirtualTransport
from media.virtual import memory_burner
from udffs.cli.eject_button import watch


class Script:
    """A drive that answers (or fails) as it is told to; then it is over."""

    def __init__(self, *answers: list[DriveEvent] | Exception) -> None:
        self.answers = list(answers)
        self.over = threading.Event()

    def events(self) -> list[DriveEvent]:
        answer = self.answers.pop(0)
        if not self.answers:
            self.over.set()
        if isinstance(answer, Exception):
            raise answer
        return answer


def presses(script: Script) -> int:
    count: list[None] = []
    watch(script, lambda: count.append(None), script.over, interval=0)
    return len(count)


def test_each_press_is_told() -> None:
    request = [DriveEvent.EJECT_REQUEST]
    assert presses(Script([], request, [DriveEvent.NEW_MEDIA], request, [])) == 2


def test_a_failed_question_is_asked_again() -> None:
    failed = errors.DriveFailedError(name="/dev/sr0", why="it fell")
    assert presses(Script(failed, failed, [DriveEvent.EJECT_REQUEST])) == 1


@pytest.mark.parametrize(
    "error", [errors.DriveGoneError(), errors.NoMediumError(), errors.MediumChangedError()]
)
def test_without_drive_or_disc_nobody_listens(error: Exception) -> None:
    script = Script(error, [DriveEvent.EJECT_REQUEST], [])
    assert presses(script) == 0
    assert len(script.answers) == 2


def test_a_locked_burner_tells_of_its_button() -> None:
    """In the middle of a packet as well, which goes on unharmed."""
    burner = memory_burner("cd-r-80")
    drive = Drive(VirtualTransport(burner), name="disc", sleep=lambda _: None)
    store = open_store(drive)
    over = threading.Event()
    store.write(0, bytes(2048))
    burner.press_eject()
    watch(drive, over.set, over, interval=0)
    assert burner.loaded
    store.write(1, bytes(2048))
    store.flush()
    assert burner.medium.packets() == [(0, 2)]
