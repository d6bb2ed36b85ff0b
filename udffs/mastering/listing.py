"""What lies under a path, and what has become of it since."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from udffs.errors import StagedTwiceError

#: Of everything under a path that is no directory: (bytes, time of the last change of
#: its data in ns since 1970), by its name from that path on; "" is the path itself. A
#: directory is there only if it is empty, with a slash behind its name and (0, 0).
Listing = dict[str, tuple[int, int]]


class Difference(NamedTuple):
    """What is not as it was: names from the path on, sorted."""

    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()


UNCHANGED = Difference()


def survey(path: Path) -> Listing:
    """Everything under a path, hidden files included. Links are not followed.

    Raises OSError, also for what could not be read later on."""
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        _check_readable(str(path), found.st_mode)
        return {"": entry(found)}
    return dict(_below(str(path)))


def _below(top: str) -> Iterator[tuple[str, tuple[int, int]]]:
    waiting: list[tuple[str, str, os.DirEntry[str] | None]] = [("", top, None)]
    while waiting:
        name, path, each = waiting.pop()
        if each is not None and not each.is_dir(follow_symlinks=False):
            seen = each.stat(follow_symlinks=False)
            _check_readable(path, seen.st_mode)
            yield name, entry(seen)
            continue
        prefix = f"{name}/" if name else ""
        with os.scandir(path) as found:
            entries = sorted(found, key=lambda each: each.name, reverse=True)
        if not entries:
            yield prefix or "/", (0, 0)
        waiting += [(prefix + each.name, each.path, each) for each in entries]


def count(listing: Iterable[str]) -> int:
    """Files, and whatever else is no directory."""
    return sum(not name.endswith("/") for name in listing)


def total(listing: Listing) -> int:
    """Bytes."""
    return sum(size for size, _time in listing.values())


def entry(found: os.stat_result) -> tuple[int, int]:
    """What a listing keeps of a file."""
    size = found.st_size if stat.S_ISREG(found.st_mode) else 0
    return size, found.st_mtime_ns


def _check_readable(path: str, mode: int) -> None:
    if stat.S_ISREG(mode) and not os.access(path, os.R_OK):
        with open(path, "rb"):  # noqa: PTH123 (says why)
            pass


def difference(before: Listing, path: Path) -> Difference:
    """What of a listing is not under the path as it was."""
    try:
        now = survey(path)
    except (FileNotFoundError, NotADirectoryError):
        return Difference(missing=tuple(sorted(before)))
    except OSError as error:
        name = os.path.relpath(error.filename or path, path)
        return Difference(missing=("" if name == "." else name,))
    return Difference(
        tuple(sorted(before.keys() - now.keys())),
        tuple(sorted(name for name in before.keys() & now.keys() if before[name] != now[name])),
        tuple(sorted(now.keys() - before.keys())),
    )


def joined(place: str, name: str) -> str:
    """A name below a place on the disc; the place itself where the name is empty."""
    return f"{place}/{name.lstrip('/')}" if name else place


def parents(name: str) -> Iterator[str]:
    """The directories that a name lies in, the nearest first."""
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def check_apart(new: Iterable[str], there: Mapping[str, str]) -> None:
    """Raises StagedTwiceError if a file is to be where another one is, or where there
    is a directory. ``there``: where each came from, by its name on the disc."""
    directories = {each: name for name in there for each in parents(name)}
    for name in new:
        above = parents(name) if name.endswith("/") else (name, *parents(name))
        taken = next((each for each in above if each in there), directories.get(name))
        if taken is not None:
            raise StagedTwiceError(name=taken, origin=there[taken] and f", from {there[taken]}")
