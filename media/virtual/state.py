"""The state file of a virtual disc: its history, one event a line.

``NAME.state`` lies beside the image and is text. Every line is the CRC-32 of the
rest of it in hexadecimal, a space, and one JSON object; the first says what
disc it is, every other is an event of :mod:`media.virtual.medium`. Lines are only
ever added (or, when there are many, all of them replaced at once by a new file
that says the same in fewer), so a kill at any instant leaves at worst one
broken last line, which is ignored and cut off by the next writer.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media.errors import DamagedStateError
from media.virtual.kinds import KINDS
from media.virtual.medium import Event, Medium
from media.virtual.storage import sync_named

SUFFIX = ".state"
FORMAT, VERSION = "udffs virtual disc", 1
#: From so many events on, a writer shortens the history when it opens the disc.
LONG_HISTORY = 2_000
_CHECKSUM_DIGITS = 8


def state_path(image: Path) -> Path:
    """Where the state of an image lies."""
    return image.with_name(image.name + SUFFIX)


@dataclass(slots=True)
class State:
    """What was read: the disc, and how many bytes of the file are good."""

    medium: Medium
    serial: str
    header: dict[str, Any]
    events: int
    good_bytes: int
    holder: int | None  # the process that last opened the disc for writing


def header_of(kind: str, serial: str) -> dict[str, Any]:
    return {"format": FORMAT, "version": VERSION, "kind": kind, "serial": serial}


def _line(content: Event) -> bytes:
    text = json.dumps(content, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _lines(data: bytes) -> Iterator[tuple[dict[str, Any], int]]:
    """The good lines from the start on, each with the offset of its end."""
    position = 0
    while (end := data.find(b"\n", position)) >= 0:
        checksum, text = data[position : position + _CHECKSUM_DIGITS], data[position:end]
        text = text[_CHECKSUM_DIGITS + 1 :]
        if checksum != b"%08x" % zlib.crc32(text):
            return
        yield json.loads(text), end + 1
        position = end + 1


def read_state(image: Path) -> State:
    """Read a state file. Raises OSError, or DamagedStateError where it does not even
    begin as one; whatever else is wrong ends the history there."""
    path = state_path(image)
    lines = _lines(path.read_bytes())
    header, good = next(lines, ({}, 0))
    try:
        if header["format"] != FORMAT or header["version"] != VERSION:
            raise KeyError(header["format"])
        state = State(Medium(KINDS[header["kind"]]), str(header["serial"]), header, 0, good, None)
    except (KeyError, TypeError) as error:
        raise DamagedStateError(
            name=str(image), why=f"{path.name} does not begin as one"
        ) from error
    for event, state.good_bytes in lines:
        _replay(state, event, image)
    return state


def _replay(state: State, event: Event, image: Path) -> None:
    try:
        state.medium.apply(event)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        why = f"event {state.events + 1} is not one that this version knows"
        raise DamagedStateError(name=str(image), why=why) from error
    state.events += 1
    if event["e"] == "open":
        state.holder = event["pid"]


def create_state(image: Path, header: dict[str, Any]) -> None:
    """Make a new state file, whole or not at all."""
    path = state_path(image)
    _write_beside(path, _line(header)).replace(path)
    sync_directory(path.parent)


def _write_beside(path: Path, data: bytes) -> Path:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        os.write(fd, data)
        os.fsync(fd)
    finally:
        os.close(fd)
    return temporary


def sync_directory(directory: Path) -> None:
    """Make a new name durable, where the system can."""
    if os.name != "posix":
        return
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class StateLog:
    """The state file of a disc that is open for writing."""

    def __init__(self, image: Path, state: State) -> None:
        path = state_path(image)
        if state.events > LONG_HISTORY:
            self._shorten(path, state)
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        if os.fstat(self._fd).st_size > state.good_bytes:
            self._cut(path, state.good_bytes)

    @staticmethod
    def _shorten(path: Path, state: State) -> None:
        data = _line(state.header) + _line(state.medium.snapshot())
        _write_beside(path, data).replace(path)
        sync_directory(path.parent)
        state.good_bytes = len(data)

    def _cut(self, path: Path, good_bytes: int) -> None:
        """Cut a broken end off, so that what is added next can be read. If it is
        more than one line no kill has left it: it is kept beside."""
        broken = path.read_bytes()[good_bytes:]
        if broken.count(b"\n") > 1:
            _write_beside(path, broken).replace(path.with_name(path.name + ".damaged"))
        os.ftruncate(self._fd, good_bytes)

    def append(self, event: Event) -> None:
        os.write(self._fd, _line(event))

    def sync(self) -> None:
        sync_named(self._fd)

    def close(self) -> None:
        os.close(self._fd)
        self._fd = -1
