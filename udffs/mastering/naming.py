"""Names of the four views: ISO 9660, Joliet, Rock Ridge and UDF."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from udffs.commit.bridge.names import iso_names, joliet_names
from udffs.errors import NameTooLongError
from udffs.mastering.sources import Source
from udffs.ondisc.text import encode_name

__all__ = ["Names", "names_of", "raw_name"]

PYCDLIB_BYTES = 253
"""Bytes of a name in UDF that pycdlib takes, without the compression id."""
ROCK_RIDGE_BYTES = 255
"""Bytes of a name that systems with Rock Ridge can use."""


class Names(NamedTuple):
    """The names of one source in the views. ``added`` is the name that pycdlib gets for
    UDF, in place of one that it cannot tell from another or that is too long for it."""

    iso: str
    joliet: str
    rock_ridge: str
    udf: str
    added: str


def names_of(children: Iterable[Source]) -> dict[int, Names]:
    """The names of everything in one directory, by the id() of each source."""
    sources = list(children)
    real = [source.name for source in sources]
    directories = [source.is_directory for source in sources]
    joliet = joliet_names(real, directories)
    iso = [
        name if is_directory else f"{name};1"
        for name, is_directory in zip(iso_names(real, directories), directories, strict=True)
    ]
    rock_ridge = unique(real, _rock_ridge_fits, str)
    in_udf = unique(real, _udf_fits, str)
    added = unique(in_udf, _pycdlib_fits, raw_name)
    rows = zip(sources, iso, joliet, rock_ridge, in_udf, added, strict=True)
    return {id(source): Names(*names) for source, *names in rows}


def unique(
    names: list[str], fits: Callable[[str], bool], key: Callable[[str], object]
) -> list[str]:
    """The names, those that do not fit or occur twice changed. Those that need no
    change keep their name."""
    taken = {key(name) for name in names if fits(name)}
    seen: set[object] = set()
    result = []
    for name in names:
        if fits(name) and key(name) not in seen:
            seen.add(key(name))
            result.append(name)
            continue
        number = 0
        while True:
            number += 1
            candidate = _marked(name, f"~{number}", fits)
            if key(candidate) not in taken:
                break
        taken.add(key(candidate))
        seen.add(key(candidate))
        result.append(candidate)
    return result


def _marked(name: str, mark: str, fits: Callable[[str], bool]) -> str:
    """The name with a mark before its extension, as long as fits."""
    stem, dot, extension = name.rpartition(".")
    if not stem or len(extension) > 8:
        stem, dot, extension = name, "", ""
    low, high = 0, len(stem)
    while low < high:  # the longest stem that fits
        middle = (low + high + 1) // 2
        if fits(f"{stem[:middle]}{mark}{dot}{extension}"):
            low = middle
        else:
            high = middle - 1
    return f"{stem[:low]}{mark}{dot}{extension}"


def _rock_ridge_fits(name: str) -> bool:
    return len(name.encode()) <= ROCK_RIDGE_BYTES


def _udf_fits(name: str) -> bool:
    try:
        encode_name(name)
    except NameTooLongError:
        return False
    return True


def raw_name(name: str) -> bytes:
    """What pycdlib tells names in a directory apart by: not by how wide they are."""
    try:
        return name.encode("latin-1")
    except UnicodeEncodeError:
        return name.encode("utf-16-be")


def _pycdlib_fits(name: str) -> bool:
    return len(raw_name(name)) <= PYCDLIB_BYTES
