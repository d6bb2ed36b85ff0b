"""Thunar's custom actions, uca.xml: ours among the user's own.

The file is parsed to find the places, and every byte that is not ours stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from udffs.errors import InvalidOperationError

EMPTY = b'<?xml version="1.0" encoding="UTF-8"?>\n<actions>\n</actions>\n'
#: At the end of a file that was not there before
CREATED = b"<!-- Created by udffs desktop -->\n"


class Found(NamedTuple):
    """Where things are, in bytes."""

    ids: list[tuple[str, int, int]]
    end_of_list: int


class _Reader:
    """Notes where each action begins and ends, and its unique-id."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._path: list[str] = []
        self._start = 0
        self._id = ""
        self.found: list[tuple[str, int, int]] = []
        self.end = -1
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._begin
        self.parser.EndElementHandler = self._finish
        self.parser.CharacterDataHandler = self._characters

    def _begin(self, name: str, _attributes: object) -> None:
        self._path.append(name)
        if self._path == ["actions", "action"]:
            self._start, self._id = self.parser.CurrentByteIndex, ""

    def _characters(self, text: str) -> None:
        if self._path == ["actions", "action", "unique-id"]:
            self._id += text

    def _finish(self, _name: str) -> None:
        at = self.parser.CurrentByteIndex
        if self._path == ["actions", "action"]:
            end = self._text.index(b">", at) + 1
            self.found.append((self._id.strip(), self._start, end))
        elif self._path == ["actions"]:
            self.end = at
        self._path.pop()


def find(text: bytes, path: Path) -> Found:
    """Raises InvalidOperationError for what is not a list of actions."""
    reader = _Reader(text)
    try:
        reader.parser.Parse(text, True)
    except expat.ExpatError as error:
        raise _unusable(path, str(error)) from error
    if reader.end < 0:
        raise _unusable(path, "it has no list of actions")
    return Found(reader.found, reader.end)


def _unusable(path: Path, why: str) -> InvalidOperationError:
    return InvalidOperationError(f"{path} is left as it is: {why}.")


def without(text: bytes, ours: Collection[str], path: Path) -> bytes:
    """The file without our actions."""
    for name, start, end in reversed(find(text, path).ids):
        if name in ours:
            end += text[end : end + 1] == b"\n"
            text = text[:start] + text[end:]
    return text


def with_actions(text: bytes, actions: bytes, ours: Collection[str], path: Path) -> bytes:
    """The file with our actions at the end of its list."""
    text = without(text, ours, path)
    at = find(text, path).end_of_list
    if text[at : at + 2] == b"</":
        result = text[:at] + actions + text[at:]
    else:
        start = text.rindex(b"<actions", 0, at)  # <actions/>, which ends where it begins
        result = text[:start] + b"<actions>\n" + actions + b"</actions>" + text[at:]
    if not set(ours) <= {name for name, _, _ in find(result, path).ids}:
        raise _unusable(path, "nothing can be added to it")
    return result
