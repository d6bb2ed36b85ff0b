"""Installing the entries of one user, and removing them without a trace."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from udffs.desktop import thunar
from udffs.desktop.entries import (
    ACTIONS,
    MARKER,
    Entry,
    config_home,
    data_home,
    entries,
    thunar_action,
    unique_id,
)
from udffs.errors import InvalidOperationError

OURS = tuple(unique_id(action) for action in ACTIONS)


@dataclass
class Report:
    """What was done, and which files of others were in the way."""

    done: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_ours(path: Path) -> bool:
    """A plain file with our line in it."""
    if path.is_symlink() or not path.is_file():
        return False
    return MARKER.encode() in path.read_bytes().splitlines()


class User:
    """The entries of one user."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str] | None = None) -> None:
        chosen = os.environ if environ is None else environ
        self._data = data_home(chosen)
        self._command = command
        self._actions = config_home(chosen) / "Thunar/uca.xml"
        self._record = self._data / "udffs/desktop.json"
        self._defaults = _thunar_defaults(chosen)

    def entries(self) -> list[Entry]:
        """The files that are wholly ours."""
        return entries(self._data, self._command)

    def installed(self) -> Report:
        """What is there."""
        report = Report()
        for entry in self.entries():
            self._sort(entry.path, report)
        self._thunar(lambda: None, report)
        return report

    def install(self) -> Report:
        """Writes every entry; again if it is there."""
        report = Report()
        for entry in self.entries():
            if self._sort(entry.path, report, absent=True):
                self._make(entry.path.parent)
                _replace(entry.path, entry.content, 0o755 if entry.executable else 0o644)
        try:
            self._add_actions()
            report.done.append(str(self._actions))
        except InvalidOperationError as error:
            report.notes.append(str(error))
        return report

    def remove(self) -> Report:
        """Removes every entry of ours, and the directories made for them."""
        report = Report()
        for entry in self.entries():
            if self._sort(entry.path, report):
                entry.path.unlink()
        self._thunar(self._remove_actions, report)
        made = self._made()
        self._record.unlink(missing_ok=True)
        for directory in sorted(made, key=len, reverse=True):
            with contextlib.suppress(OSError):  # something else is in it by now
                Path(directory).rmdir()
        return report

    def _sort(self, path: Path, report: Report, *, absent: bool = False) -> bool:
        """Whether the path is ours (or absent); told in the report."""
        there = os.path.lexists(path)
        ours = is_ours(path) if there else absent
        if ours:
            report.done.append(str(path))
        elif there:
            report.foreign.append(str(path))
        return ours

    # -- directories made by us ------------------------------------------------

    def _made(self) -> list[str]:
        try:
            return [str(path) for path in json.loads(self._record.read_text())["directories"]]
        except (OSError, ValueError, KeyError, TypeError):
            return []

    def _make(self, directory: Path) -> None:
        """Makes a directory, and notes what was made for it."""
        missing = _missing(directory)
        if not missing:
            return
        record = _missing(self._record.parent)
        known = [*self._made(), *map(str, missing), *map(str, record)]
        directory.mkdir(parents=True, exist_ok=True)
        self._record.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"directories": list(dict.fromkeys(known))}, indent=1)
        _replace(self._record, text.encode(), 0o644)

    # -- Thunar's actions ------------------------------------------------------

    def _thunar(self, act: Callable[[], None], report: Report) -> None:
        """Does something to our actions if they are there."""
        try:
            if self._has_actions():
                act()
                report.done.append(str(self._actions))
        except InvalidOperationError as error:
            report.notes.append(str(error))

    def _has_actions(self) -> bool:
        if not self._actions.is_file():
            return False
        text = self._actions.read_bytes()
        if not any(name.encode() in text for name in OURS):
            return False
        return any(name in OURS for name, _, _ in thunar.find(text, self._actions).ids)

    def _add_actions(self) -> None:
        path = self._actions
        if path.is_file():
            before = path.read_bytes()
        else:
            before = self._defaults + thunar.CREATED
        ours = "".join(thunar_action(action, self._command) for action in ACTIONS)
        after = thunar.with_actions(before, ours.encode(errors="surrogateescape"), OURS, path)
        if not path.is_file() or after != before:
            self._make(path.parent)
            _replace(path.resolve(), after, _mode(path))

    def _remove_actions(self) -> None:
        path = self._actions
        rest = thunar.without(path.read_bytes(), OURS, path)
        if rest == self._defaults + thunar.CREATED:
            path.unlink()
        else:
            _replace(path.resolve(), rest, _mode(path))


def _thunar_defaults(environ: Mapping[str, str]) -> bytes:
    """The actions that Thunar has as long as a user has no file: they are to stay."""
    for directory in (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":"):
        path = Path(directory, "Thunar/uca.xml")
        if directory and path.is_file():
            text = path.read_bytes()
            return text if text.endswith(b"\n") else text + b"\n"
    return thunar.EMPTY


def _missing(directory: Path) -> list[Path]:
    return [path for path in (directory, *directory.parents) if not path.exists()]


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777 if path.is_file() else 0o644


def _replace(path: Path, content: bytes, mode: int) -> None:
    """The old file or the new one, never half of one."""
    beside = path.with_name(f".{path.name}.udffs-new")
    beside.write_bytes(content)
    beside.chmod(mode)
    beside.replace(path)
