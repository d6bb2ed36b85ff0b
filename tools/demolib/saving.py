"""What programs do when they save, done alike to a disc and to a plain folder,
so that the two can be compared afterwards."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOG_LINES = 300


def copy_tree(source: Path, where: Path) -> None:
    """As a file manager or cp -a does: contents, modes, times, links."""
    subprocess.run(["cp", "-a", source, where / "project"], check=True, start_new_session=True)


def edit_in_place(where: Path) -> None:
    """As a program does that keeps one file open: a few bytes in the middle."""
    with (where / "project" / "LICENSE").open("r+b") as file:
        file.seek(100)
        file.write(b"(edited in place)")


def save_through_rename(where: Path) -> None:
    """As editors do: a temporary file, made durable, then renamed over the old one."""
    target = where / "notes.txt"
    for version in ("first", "second", "third"):
        unfinished = where / ".notes.txt.tmp"
        with unfinished.open("w") as file:
            file.write(f"This is the {version} version of the notes.\n" * 40)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(target)


def delete(where: Path) -> None:
    """A file and a whole folder."""
    (where / "project" / "README.md").unlink()
    shutil.rmtree(where / "project" / "udffs" / "cli")


def rename(where: Path) -> None:
    """A folder, and a file to a name that needs more than Latin letters."""
    (where / "project" / "media").rename(where / "drive and burner")
    (where / "project" / "pyproject.toml").rename(where / "Überblick – 概要 🎵.toml")


def append_to_log(where: Path) -> None:
    """As a service does: opened anew for each line."""
    for number in range(LOG_LINES):
        with (where / "events.log").open("a") as log:
            log.write(f"event {number:05}\n")


@dataclass(frozen=True)
class Entry:
    """What is compared of one name."""

    kind: str
    mode: int
    content: str  # SHA-256 of a file, target of a symbolic link


def inventory(top: Path) -> dict[str, Entry]:
    """Every name below ``top``; each byte is read."""
    return {str(path.relative_to(top)): _entry(path) for path in _walk(top)}


def _walk(top: Path) -> Iterator[Path]:
    for directory, inner, names in os.walk(top):
        yield from (Path(directory) / name for name in sorted(inner + names))


def _entry(path: Path) -> Entry:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return Entry("symbolic link", 0, str(path.readlink()))
    if stat.S_ISDIR(mode):
        return Entry("folder", stat.S_IMODE(mode), "")
    return Entry("file", stat.S_IMODE(mode), hashlib.sha256(path.read_bytes()).hexdigest())


def differences(expected: dict[str, Entry], found: dict[str, Entry]) -> list[str]:
    """One line a name that is missing, too much or different."""
    missing = [f"missing: {name}" for name in expected.keys() - found.keys()]
    extra = [f"not expected: {name}" for name in found.keys() - expected.keys()]
    both = expected.keys() & found.keys()
    changed = [f"different: {name}" for name in both if expected[name] != found[name]]
    return sorted(missing + extra + changed)
