"""What was added to a staging area: its list, entry by entry."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from udffs.errors import InvalidOperationError, NotStagedError
from udffs.mastering import listing
from udffs.mastering.listing import (
    UNCHANGED,
    Difference,
    Listing,
    count,
    difference,
    joined,
    survey,
    total,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that was added. ``to`` is its name on the disc, without a slash at
    either end; ``source`` where it came from; ``staged`` ns since 1970."""

    to: str
    source: str
    copied: bool = False
    staged: int = 0
    files: Listing = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return total(self.files)

    @property
    def names(self) -> list[str]:
        """Its files, by their names on the disc."""
        return [joined(self.to, name) for name in self.files]


@dataclass(frozen=True, slots=True)
class Staged:
    """One line of the list. ``how`` is "reference", "copy" or "saved" (by a program,
    into the folder: ``source`` is None then); what is not as it was when it was
    added is named in ``since``."""

    name: str
    how: str
    source: str | None
    files: int
    size: int
    since: Difference = UNCHANGED


def entry_from(data: dict[str, object]) -> Entry:
    """As the list on the host has it. Raises ValueError, KeyError or TypeError."""
    files = data["files"]
    if not isinstance(files, dict):
        raise ValueError("files")
    return Entry(
        str(data["to"]),
        str(data["source"]),
        bool(data["copied"]),
        int(str(data["staged"])),
        {str(name): (int(size), int(when)) for name, (size, when) in files.items()},
    )


def same(one: Entry, other: Entry) -> bool:
    """Whether one is the other, added again."""
    return (one.to, one.source) == (other.to, other.source)


def now_like(entry: Entry) -> Listing:
    """What an entry by reference is like now."""
    if entry.copied:
        return entry.files
    try:
        return survey(Path(entry.source))
    except OSError:
        return entry.files


def without(entry: Entry, gone: set[str]) -> Entry:
    """A copy some files of which are deleted."""
    if not entry.copied:
        return entry
    left = {n: found for n, found in entry.files.items() if joined(entry.to, n) not in gone}
    return replace(entry, files=left)


def name_for(source: Path, to: str) -> str:
    """The name on the disc. Raises InvalidOperationError."""
    parts = [part for part in to.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InvalidOperationError(what=f'"{to}" leads out of the disc')
    if not source.name:
        raise InvalidOperationError(what=f"{source} has no name; stage what is in it")
    return "/".join([*parts, source.name])


def listed(entries: Sequence[Entry], saved: Listing, folder: Path) -> list[Staged]:
    """A line for each entry, and for what else (``saved``) is in the folder."""
    lines = []
    for each in entries:
        path = folder / each.to if each.copied else Path(each.source)
        since = difference(each.files, path)
        if each.copied:  # what else is in the folder has lines of its own
            since = since._replace(added=())
        how = "copy" if each.copied else "reference"
        lines.append(Staged(each.to, how, each.source, count(each.files), each.size, since))
    copies = {name for each in entries if each.copied for name in each.names}
    own: dict[str, Listing] = {}
    for name, found in saved.items():
        if name not in copies:
            own.setdefault(name.split("/")[0], {})[name] = found
    lines += [Staged(name, "saved", None, count(each), total(each)) for name, each in own.items()]
    return lines


def named(name: str, entries: Sequence[Entry], saved: Listing) -> tuple[list[Entry], set[str]]:
    """What a name means: entries, and files of the folder. Raises NotStagedError."""
    wanted, source = name.strip("/"), os.path.abspath(name)  # noqa: PTH100
    taken = [each for each in entries if _within(each.to, wanted)]
    files = {each for each in saved if _within(each, wanted)}
    if not taken and not files:
        taken = [each for each in entries if each.source == source]
    if not taken and not files:
        whole = next((e for e in entries if not e.copied and _within(wanted, e.to)), None)
        if whole is None:
            raise NotStagedError(name=name)
        raise InvalidOperationError(
            what=f"{name} is a part of {whole.to}, which is staged as a whole from {whole.source}"
        )
    copies = {each for entry in taken if entry.copied for each in entry.names}
    return taken, files | (copies & saved.keys())


def _within(name: str, directory: str) -> bool:
    """Whether a name is that of the directory (or file), or below it."""
    return name == directory or name.startswith(directory + "/")


def is_there(original: tuple[Path, tuple[int, int]] | None) -> bool:
    """Whether the file that was copied is still what it was."""
    if original is None:
        return False
    path, known = original
    try:
        return listing.entry(path.lstat()) == known
    except OSError:
        return False
