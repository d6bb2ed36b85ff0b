"""Hands on the drive of a running ``serve``, over a private unix socket."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

from media.errors import MediaError
from media.virtual.burner import Burner
from media.virtual.refusal import Refusal
from udffs.control import Registry

HANDS = ("eject", "load", "press", "remove", "insert", "reset", "power-cut", "status", "fault")


def socket_path(disc: Path) -> Path:
    """Where the ``serve`` of a disc listens, beside the sockets of this user's mounts."""
    return Registry().path(str(disc), ".burner")


def set_fault(burner: Burner, text: str) -> None:
    """``NAME=VALUE``, the value as JSON or a word; ValueError where there is none such."""
    name, _, value = text.partition("=")
    old = getattr(burner.faults, name, None)
    if not isinstance(old, bool | int | float | str):
        raise ValueError(f"There is no fault {name} that can be set so.")
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value
    if type(parsed) is not type(old) and not (type(old) is float and type(parsed) is int):
        raise ValueError(f"{name} is {old!r} now; {value} is no value of that kind.")
    setattr(burner.faults, name, parsed)


def act(burner: Burner, hand: str, values: list[str]) -> str:
    """Does what a hand does; what there is to say."""
    if hand == "fault":
        for value in values:
            set_fault(burner, value)
    elif hand == "status":
        state = {
            "tray": "open" if burner.tray_open else "closed",
            "present": burner.present,
            "locked": burner.prevented,
            "seconds": burner.seconds,
        }
        return json.dumps(state)
    elif hand in ("eject", "load"):
        with burner._lock:
            getattr(burner, hand)()
    else:
        names = {"press": "press_eject", "power-cut": "power_cut"}
        getattr(burner, names.get(hand, hand))()
    return ""


def listen(burner: Burner, path: Path) -> socket.socket:
    """Answers hands from now on, until the socket is closed."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    threading.Thread(target=_answer_all, args=(listener, burner), daemon=True).start()
    return listener


def _answer_all(listener: socket.socket, burner: Burner) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rw") as stream:
            try:
                hand, *values = json.loads(stream.readline())
                answer = [0, act(burner, hand, values)]
            except Refusal:
                answer = [1, "The drive refuses: removal is prevented (it is locked)."]
            except (ValueError, OSError, MediaError) as error:
                answer = [1, str(error)]
            stream.write(json.dumps(answer) + "\n")


def send(disc: Path, hand: str, values: list[str]) -> tuple[int, str]:
    """Asks the running ``serve``: (exit code, text)."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(socket_path(disc)))
        with connection.makefile("rw") as stream:
            stream.write(json.dumps([hand, *values]) + "\n")
            stream.flush()
            code, text = json.loads(stream.readline())
            return int(code), str(text)
