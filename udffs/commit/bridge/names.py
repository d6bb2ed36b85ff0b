"""Names for readers that know no Rock Ridge: ISO 9660 level 3, and Joliet.

Within a directory no two are the same, and the same names always give the same. The
version (";1") of files is not part of what is made here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence

__all__ = [
    "d_characters",
    "iso_names",
    "joliet_characters",
    "joliet_names",
    "rock_ridge_name",
]

_ISO_FILE = 31
"""Characters of a file's name, extension and the dot between them (ECMA-119 7.5.1)."""

_ISO_DIRECTORY = 31
"""Characters of a directory's identifier (ECMA-119 7.6.3)."""

_JOLIET = 64
"""UCS-2 characters of an identifier (Joliet, "Allowed length")."""

_ROCK_RIDGE = 255
"""Bytes of a name in UTF-8 that POSIX systems can have. UDF's can be twice as long."""

_DIGEST = 16  # characters that tell apart names which were cut off

_EXTENSION = 15
"""What is longer behind the last dot is not an extension but part of the name."""

_NOT_D = re.compile(r"[^A-Z0-9_]")
_NOT_JOLIET = re.compile("[\x00-\x1f\x7f*/:;?\\\\\ud800-\udfff\U00010000-\U0010ffff]")

_Parts = tuple[str, str]  # stem, and extension with its dot or ""


def d_characters(text: str) -> str:
    """`text` in capital letters, digits and low lines (ECMA-119 7.4.1)."""
    return _NOT_D.sub("_", text.upper())


def joliet_characters(text: str) -> str:
    """`text` with a low line for each character that Joliet does not allow."""
    return _NOT_JOLIET.sub("_", text)


def iso_names(names: Sequence[str], directories: Sequence[bool]) -> list[str]:
    """Identifiers for the names of one directory; ``directories`` tells which are.

    A file's has a dot always, as ECMA-119 7.5.1 wants it, a directory's never.
    """
    parts = [
        (d_characters(name), "") if directory else _iso_parts(name)
        for name, directory in zip(names, directories, strict=True)
    ]
    # The dot of a file without an extension does not set it apart from a directory.
    limits = [
        _ISO_DIRECTORY if directory else _ISO_FILE - (not extension)
        for (_, extension), directory in zip(parts, directories, strict=True)
    ]
    unique = _unique(names, parts, limits)
    return [
        name if directory or extension else name + "."
        for name, (_, extension), directory in zip(unique, parts, directories, strict=True)
    ]


def joliet_names(names: Sequence[str], directories: Sequence[bool]) -> list[str]:
    """The same for Joliet; most are the names themselves.

    No two differ in capital letters alone, and none ends in a dot or a blank: Windows, and
    Linux without Rock Ridge, would take the one for the other.
    """
    parts = [
        (_ended(joliet_characters(name)), "") if directory else _joliet_parts(name)
        for name, directory in zip(names, directories, strict=True)
    ]
    return _unique(names, parts, [_JOLIET] * len(names), _same_in_joliet)


def rock_ridge_name(name: str) -> str:
    """The name itself, or where it is too long for Rock Ridge's readers, its beginning,
    a digest of the whole, and the extension."""
    if len(name) * 4 <= _ROCK_RIDGE or len(name.encode()) <= _ROCK_RIDGE:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST]
    stem, extension = _split(name, str)
    room = _ROCK_RIDGE - _DIGEST - 1 - len(extension.encode())
    return stem.encode()[:room].decode(errors="ignore") + "~" + digest + extension


def _joliet_parts(name: str) -> _Parts:
    return _split(_ended(joliet_characters(name)), str)


def _ended(name: str) -> str:
    """The name with low lines for the dots and blanks at its end."""
    end = len(name.rstrip(". "))
    return name[:end] + "_" * (len(name) - end)


def _same_in_joliet(name: str) -> str:
    """The same for names that some readers of Joliet do not tell apart."""
    return name.upper()


def _iso_parts(name: str) -> _Parts:
    stem, extension = _split(name, d_characters)
    return stem, extension if extension != "." else ""


def _split(name: str, mapped: Callable[[str], str]) -> _Parts:
    stem, dot, extension = name.rpartition(".")
    if not dot or not stem or len(extension) > _EXTENSION:
        return mapped(name), ""
    extension = mapped(extension)[:_EXTENSION]  # capital letters may be more
    return mapped(stem), "." + extension


def _unique(
    names: Sequence[str],
    parts: list[_Parts],
    limits: list[int],
    same: Callable[[str], str] = str,
) -> list[str]:
    """Each stem and extension joined within its limit; where that has been given
    already, or one that is the ``same``, the stem ends in a number. Names that need no
    change come first, the others in their order."""
    plain = [
        stem + extension
        if len(stem) + len(extension) <= limit
        else _ended(stem[: limit - len(extension)]) + extension
        for (stem, extension), limit in zip(parts, limits, strict=True)
    ]
    taken = set(map(same, plain))
    if len(taken) == len(plain):
        return plain
    numbered = _Numbers(len(names), taken, same)
    given: set[str] = set()
    for index in sorted(range(len(names)), key=lambda at: (plain[at] != names[at], names[at])):
        if same(plain[index]) in given:
            plain[index] = numbered.next(*parts[index], limits[index])
        given.add(same(plain[index]))
    return plain


class _Numbers:
    """Names with a number at the stem's end that nobody else has.

    All numbers are of one width, so a name is tried once at most, whatever the
    stems: many names that differ only behind the limit cost no more than others.
    """

    def __init__(self, count: int, taken: set[str], same: Callable[[str], str]) -> None:
        self._width = len(str(2 * count))
        self._taken = taken
        self._same = same
        self._last: dict[tuple[str, str], int] = {}

    def next(self, stem: str, extension: str, limit: int) -> str:
        stem = stem[: limit - len(extension) - self._width]
        key = self._same(stem), self._same(extension)
        number = self._last.get(key, 0)
        while True:
            number += 1
            name = f"{stem}{number:0{self._width}}{extension}"
            if self._same(name) not in self._taken:
                break
        self._taken.add(self._same(name))
        self._last[key] = number
        return name
