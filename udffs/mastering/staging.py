"""What is staged: collected for a disc, and not on it yet.

A staging area is a directory: ``files/``, the staging folder, into which any
program may save and into which copies go; ``staged.json``, what was added, with a
listing of each; ``copying/``, copies that are being made; and two locks.
There is one area for all drives in the stash, and ``drives/NAME-KEY/`` in it for
what is meant for one drive.

What is in the folder is staged, whoever put it there. What was added by
reference is in the list only: its files stay where they are, and are looked at
again before they are burnt.

Locks: ``lock`` is held (flock) from reading the list to replacing it, never
while files are copied or burnt. ``burning`` is shared by all who read the folder
for a disc; who deletes from the folder needs it alone, and does not wait. The list is
replaced before files are deleted: a kill in between leaves files too many, which
are still staged, and never too few.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

from udffs.errors import (
    InvalidOperationError,
    StagingBusyError,
    StagingDamagedError,
)
from udffs.mastering import stash
from udffs.mastering.entries import (
    Entry,
    Staged,
    entry_from,
    is_there,
    listed,
    name_for,
    named,
    now_like,
    same,
    without,
)
from udffs.mastering.listing import (
    Listing,
    check_apart,
    count,
    joined,
    survey,
    total,
)
from udffs.settings import DriveSettings, Settings, drive_key

_VERSION = 1


class Placed(NamedTuple):
    """A file or a directory of the host, and its name on the disc."""

    to: str
    path: Path


@dataclass(frozen=True, slots=True)
class Collected:
    """What is staged at one moment, to be burnt. ``placed`` has the folder's parts
    before what was added by reference; ``saved`` is what the folder holds, ``looked``
    what each entry is like now (one of which something is missing: as it was)."""

    placed: tuple[Placed, ...]
    staged: tuple[Staged, ...]
    entries: tuple[Entry, ...]
    saved: Listing
    looked: tuple[Listing, ...] = ()

    @property
    def files(self) -> int:
        return sum(each.files for each in self.staged)

    @property
    def size(self) -> int:
        return sum(each.size for each in self.staged)


class Removal(NamedTuple):
    """What taking something off the list means. ``files`` of the folder are deleted;
    ``only_here`` are those among them of which there is no other copy."""

    entries: tuple[Entry, ...]
    files: tuple[str, ...]
    only_here: tuple[str, ...]


# -- which area ---------------------------------------------------------------


def area(settings: Settings, drive: str | None = None) -> Area:
    """The staging area for any drive, or that of one drive."""
    if drive is None:
        return Area(settings.default.stash, settings.default.stash_size)
    chosen: DriveSettings = settings.for_drive(drive)
    name = drive_key(drive)
    key = hashlib.sha256(os.fsencode(name)).hexdigest()[:8]
    place = chosen.stash / "drives" / f"{Path(name).name}-{key}"
    return Area(place, chosen.stash_size, name)


def areas_of_drives(settings: Settings) -> list[Area]:
    """Those of single drives in which something is staged."""
    stashes = {each.stash for each in (settings.default, *settings.drives.values())}
    named = {file for stash in stashes for file in stash.glob("drives/*/drive")}
    names = sorted(os.fsdecode(file.read_bytes()) for file in named)
    return [each for each in (area(settings, name) for name in names) if not each.empty()]


def area_to_burn(settings: Settings, drive: str) -> Area:
    """The area that a burn in a drive takes: its own if anything is in it."""
    own = area(settings, drive)
    return area(settings) if own.empty() else own


def waiting(drive: str, settings: Settings | None = None) -> tuple[int, int]:
    """Files, and their bytes, that are staged for a drive and not on a disc yet."""
    from udffs import settings as settings_file

    chosen = settings_file.load() if settings is None else settings
    return area_to_burn(chosen, drive).waiting()


# -- an area ------------------------------------------------------------------


class Area:
    """One staging area; ``limit`` is for the copies in it, in bytes (0: none), and
    ``drive`` the only drive that it is for, if it is for one."""

    def __init__(self, place: Path, limit: int = 0, drive: str | None = None) -> None:
        self.place = place
        self.limit = limit
        self.drive = drive
        self.folder = place / "files"
        self._list = place / "staged.json"

    # -- looking --

    def empty(self) -> bool:
        """Whether nothing is staged here."""
        return not self.saved() and not self.entries()

    def make(self) -> None:
        """So that programs can save into the folder."""
        self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if self.drive is not None:
            (self.place / "drive").write_bytes(os.fsencode(self.drive))

    def entries(self) -> tuple[Entry, ...]:
        """What was added, in order. Raises StagingDamagedError."""
        try:
            data = json.loads(self._list.read_bytes())
            if data["version"] != _VERSION:
                raise StagingDamagedError(where=self._list, why="a later udffs has made it")
            return tuple(entry_from(each) for each in data["entries"])
        except FileNotFoundError:
            return ()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StagingDamagedError(where=self._list, why=f"{error!r}") from error

    def saved(self) -> Listing:
        """What the folder holds."""
        found = survey(self.folder) if self.folder.is_dir() else {}
        return {name: seen for name, seen in found.items() if name != "/"}

    def waiting(self) -> tuple[int, int]:
        """Files and bytes; those added by reference as they were then."""
        entries = [each for each in self.entries() if not each.copied]
        saved = self.saved()
        files = count(saved) + sum(count(each.files) for each in entries)
        return files, total(saved) + sum(each.size for each in entries)

    def staged(self) -> list[Staged]:
        """The list, with what became of it since."""
        return listed(self.entries(), self.saved(), self.folder)

    def collect(self) -> Collected:
        """What there is to burn now."""
        with self._locked():
            entries, saved = self.entries(), self.saved()
            children = sorted(self.folder.iterdir()) if self.folder.is_dir() else []
        references = [Placed(each.to, Path(each.source)) for each in entries if not each.copied]
        in_folder = [Placed(child.name, child) for child in children]
        lines = listed(entries, saved, self.folder)
        looked = tuple(now_like(each) for each in entries)
        return Collected((*in_folder, *references), tuple(lines), entries, saved, looked)

    # -- adding --

    def add(
        self,
        path: Path,
        *,
        to: str = "",
        copy: bool = False,
        now: int | None = None,
        progress: stash.Progress | None = None,
    ) -> Entry:
        """Stages a file or a directory, into a directory of the disc. What was
        staged from the same place before is renewed.

        Raises OSError, StagedTwiceError, StashFullError, InvalidOperationError."""
        source = Path(os.path.abspath(path))  # noqa: PTH100 (links stay as they are)
        moment = time.time_ns() if now is None else now
        entry = Entry(name_for(source, to), str(source), copy, moment, survey(source))
        self._refuse_itself(source)
        self.make()
        if copy:
            return self._add_copy(entry, progress)
        with self._locked():
            self._check(entry)
            self._write([*self._others(entry), entry])
        return entry

    def _add_copy(self, entry: Entry, progress: stash.Progress | None) -> Entry:
        copying = self.place / "copying"
        stash.sweep(copying)
        self._check(entry)  # before the time that copying takes
        with stash.unfinished(copying) as draft:
            stash.Copier(progress, entry.size).copy(Path(entry.source), draft / "copy")
            with self._locked():
                self._check(entry, copied=True)
                old = [
                    name for e in self.entries() if same(e, entry) for name in e.names if e.copied
                ]
                with self._alone() if old else contextlib.nullcontext():
                    return self._move_in(draft / "copy", entry, old)

    def _move_in(self, draft: Path, entry: Entry, old: Sequence[str]) -> Entry:
        """A finished copy, in the place of an older one of the same."""
        target = self.folder / entry.to
        stash.move_in(draft, target)
        there = survey(target)
        entry = replace(entry, files={n: found for n, found in there.items() if n in entry.files})
        self._write([*self._others(entry), entry])
        stash.remove_files(self.folder, sorted(set(old) - set(entry.names)))
        return entry

    def _check(self, entry: Entry, copied: bool = False) -> None:
        """Whether there is a place and room for it."""
        saved = self.saved()
        there = dict.fromkeys(saved, "")
        for each in self.entries():
            if not same(each, entry) or (each.copied and not entry.copied):
                there |= dict.fromkeys(each.names, each.source)
            else:
                for name in each.names if each.copied else ():
                    there.pop(name, None)
        if entry.copied:  # what a killed process has copied already is no other file
            for name, seen in entry.files.items():
                place = joined(entry.to, name)
                if there.get(place) == "" and saved.get(place) == seen:
                    del there[place]
        check_apart(entry.names, there)
        if entry.copied:
            replaced = sum(saved[name][0] for name in entry.names if name in saved)
            needed = 0 if copied else entry.size
            used = total(saved) - replaced + (entry.size if copied else 0)
            stash.check_room(self.place, needed, used, self.limit)

    def _others(self, entry: Entry) -> list[Entry]:
        return [each for each in self.entries() if not same(each, entry)]

    def _refuse_itself(self, source: Path) -> None:
        place, path = self.place.resolve(), source.resolve()
        if path == place or path in place.parents or place in path.parents:
            raise InvalidOperationError(
                what=f"{source} and the staging area {self.place} lie within each other"
            )

    # -- taking off --

    def removal(self, names: Sequence[str] | None = None) -> Removal:
        """What taking these off the list would mean (by the name on the disc, or by
        where it came from); None: all. Raises NotStagedError."""
        entries, saved = self.entries(), self.saved()
        if names is None:
            files = tuple(sorted(saved))
            return Removal(entries, files, self._only_here(files, entries))
        taken: list[Entry] = []
        gone: set[str] = set()
        for name in names:
            found, inside = named(name, entries, saved)
            taken += [each for each in found if each not in taken]
            gone |= inside
        files = tuple(sorted(gone))
        return Removal(tuple(taken), files, self._only_here(files, entries))

    def remove(self, removal: Removal) -> None:
        """Raises StagingBusyError if files of the folder are being burnt."""
        with self._locked(), self._alone() if removal.files else contextlib.nullcontext():
            gone = set(removal.files)
            left = [without(e, gone) for e in self.entries() if e not in removal.entries]
            self._write([each for each in left if each.files])
            stash.remove_files(self.folder, list(removal.files))

    def _only_here(self, files: Sequence[str], entries: Sequence[Entry]) -> tuple[str, ...]:
        originals = {
            joined(each.to, name): (Path(each.source, name) if name else Path(each.source), known)
            for each in entries
            if each.copied
            for name, known in each.files.items()
        }
        return tuple(
            name for name in files if not (name.endswith("/") or is_there(originals.get(name)))
        )

    # -- burning --

    @contextlib.contextmanager
    def burning(self) -> Iterator[None]:
        """While this lasts nothing is deleted from the folder. Raises StagingBusyError
        if that is just being done."""
        with self._flock("burning", fcntl.LOCK_SH | fcntl.LOCK_NB):
            yield

    def burnt(self, collected: Collected) -> list[str]:
        """Takes off what is on a disc now; returns the names of what stays staged,
        because it changed meanwhile. Raises StagingBusyError if the folder is being
        burnt a second time: then all stays."""
        done = [
            entry
            for entry, before in zip(collected.entries, collected.looked, strict=True)
            if entry.copied or now_like(entry) == before
        ]
        with self._locked(), self._alone():
            now = self.saved()
            kept = [name for name in collected.saved if now.get(name) != collected.saved[name]]
            left = [each for each in self.entries() if each not in done]
            self._write(left)
            stash.remove_files(self.folder, sorted(collected.saved.keys() - set(kept)))
        stay = [each.to for each in left if each in collected.entries]
        return [*stay, *(name for name in kept if name in now)]

    # -- the list and the locks --

    def _write(self, entries: Sequence[Entry]) -> None:
        """Replaces the list; durable when this returns."""
        draft = self._list.with_suffix(".new")
        data = {"version": _VERSION, "entries": [asdict(each) for each in entries]}
        with draft.open("w", encoding="ascii") as file:
            json.dump(data, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._list)
        stash.sync(self.place)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._flock("lock", fcntl.LOCK_EX):
            yield

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        with self._flock("burning", fcntl.LOCK_EX | fcntl.LOCK_NB):
            yield

    @contextlib.contextmanager
    def _flock(self, name: str, how: int) -> Iterator[None]:
        self.place.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = os.open(self.place / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(number, how)
            except BlockingIOError:
                raise StagingBusyError(where=self.place) from None
            yield
        finally:
            os.close(number)
