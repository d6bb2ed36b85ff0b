"""What a copy of files of the host needs on a disc, before anything is written.

Counted as our own commits lay it out: content that fits stays in its ICB, names
of one file count once, holes take nothing. What the copy replaces on the disc is
not taken off.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from udffs.commit.bridge.cost import name_cost, new_cost, placed_cost
from udffs.commit.fitting import Needs
from udffs.errors import InvalidNameError, NameTooLongError, NoSuchEntryError
from udffs.ondisc import hot, modes
from udffs.ondisc.text import encode_name
from udffs.volume.model import BLOCK, blocks_of

SHOWN = 5  # names in a note
STEP = 256  # names between two words of progress

_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@dataclass
class Measuring:
    """A walk over files of the host. ``left_out``: what no disc can hold or what
    could not be looked at, with the reason. ``stream_bytes``: how much of a large
    file lies in one piece on the disc."""

    progress: Callable[[int], None] = lambda _names: None
    stream_bytes: int = 32 << 20
    needs: Needs = field(default_factory=Needs)
    left_out: list[str] = field(default_factory=list)
    _seen: set[tuple[int, int]] = field(default_factory=set)
    _names: int = 0

    def measure(self, paths: Sequence[Path]) -> Needs:
        """What these files and directories need, each under its own name in one
        directory that is there already. Raises NoSuchEntryError."""
        listing = 0
        for path in paths:
            try:
                found = path.lstat()
            except (FileNotFoundError, NotADirectoryError):
                raise NoSuchEntryError(name=path) from None
            name = path.absolute().name
            if name:
                listing += self._enter(path, name, found, 1)
            else:
                listing += self._fill(path, 1)
        self.needs.directories += blocks_of(listing)
        return self.needs

    @property
    def notes(self) -> list[str]:
        """What was not counted, in a sentence."""
        if not self.left_out:
            return []
        more = len(self.left_out) - SHOWN
        rest = f" and {more} more" if more > 0 else ""
        return [f"Not counted: {', '.join(self.left_out[:SHOWN])}{rest}."]

    def _enter(self, path: Path, name: str, found: os.stat_result, depth: int) -> int:
        """Count one name and all below it; returns what it takes in its directory."""
        waiting = [(path, name, found, depth)]
        top = -1
        while waiting:
            path, name, found, depth = waiting.pop()
            length = self._count(path, name, found, depth)
            top = length if top < 0 else top
            if length and stat.S_ISDIR(found.st_mode):
                inner = list(self._listed(path))
                content = hot.fid_size(b"") + sum(_fid_size(n) for _, n, _ in inner)
                self.needs.directories += _outside(content)
                waiting += [(*one, depth + 1) for one in inner]
        return top

    def _fill(self, path: Path, depth: int) -> int:
        return sum(self._enter(*one, depth) for one in self._listed(path))

    def _listed(self, path: Path) -> Iterator[tuple[Path, str, os.stat_result]]:
        try:
            with os.scandir(path) as entries:
                for entry in entries:
                    try:
                        yield path / entry.name, entry.name, entry.stat(follow_symlinks=False)
                    except OSError as error:
                        self.left_out.append(f"{entry.path} ({error.strerror})")
        except OSError as error:
            self.left_out.append(f"{path} ({error.strerror})")

    def _count(self, path: Path, name: str, found: os.stat_result, depth: int) -> int:
        """Count one name; returns what it takes in its directory, 0 if it cannot be."""
        try:
            raw = encode_name(name)
        except (NameTooLongError, InvalidNameError):
            self.left_out.append(f"{name!a} (no disc can hold this name)")
            return 0
        self._names += 1
        if self._names % STEP == 0:
            self.progress(self._names)
        self.needs.bridge += name_cost(name.encode())
        self.needs.deepest = max(self.needs.deepest, depth)
        if not self._is_known(found):
            self._add(path, found)
        return hot.fid_size(raw)

    def _is_known(self, found: os.stat_result) -> bool:
        """Whether this is one more name of a file that is counted already."""
        if stat.S_ISDIR(found.st_mode) or found.st_nlink < 2 or not found.st_ino:
            return False
        identity = (found.st_dev, found.st_ino)
        known = identity in self._seen
        self._seen.add(identity)
        return known

    def _add(self, path: Path, found: os.stat_result) -> None:
        """Count an inode."""
        needs, mode = self.needs, found.st_mode
        needs.descriptors += 1
        if stat.S_ISDIR(mode):
            needs.folders += 1
        else:
            needs.files += 1
        if stat.S_ISREG(mode):
            self._add_content(path, found)
            return
        size = self._target_size(path) if stat.S_ISLNK(mode) else 0
        needs.data += _outside(size)
        needs.bridge += new_cost(mode, size) * (1 if stat.S_ISDIR(mode) else found.st_nlink)

    def _target_size(self, path: Path) -> int:
        try:
            return len(modes.build_path(os.fsdecode(os.readlink(path))))  # noqa: PTH115
        except (OSError, NameTooLongError, InvalidNameError):
            self.left_out.append(f"{path} (no disc can hold this link)")
            return 0

    def _add_content(self, path: Path, found: os.stat_result) -> None:
        """Count what a file holds, and what it costs in an ISO 9660 view."""
        size = found.st_size
        if size <= hot.MAX_EMBEDDED:
            self.needs.bridge += BLOCK if size else 0
            return
        held = _held(path, found)
        blocks = sum(blocks_of(end) - start // BLOCK for start, end in held)
        gaps = [max(0, b // BLOCK - blocks_of(a)) for a, b in pairwise(_edges(held, size))][::2]
        holes = [gap for gap in gaps if gap]
        sections = len(held) + len(holes) + size // self.stream_bytes
        self.needs.data += blocks + len(held) // RUNS_IN_BLOCK
        self.needs.bridge += placed_cost(
            size, found.st_nlink, sections, sum(holes), max(holes, default=0)
        )


RUNS_IN_BLOCK = 100  # of descriptors of extents


def _edges(held: list[tuple[int, int]], size: int) -> Iterator[int]:
    """Where holes begin and end, in turn."""
    yield 0
    for start, end in held:
        yield start
        yield end
    yield blocks_of(size) * BLOCK


def _held(path: Path, found: os.stat_result) -> list[tuple[int, int]]:
    """The ranges of a file that are no holes."""
    whole = [(0, found.st_size)]
    if found.st_blocks * 512 >= found.st_size or not hasattr(os, "SEEK_DATA"):
        return whole
    try:
        file = os.open(path, _OPEN)
    except OSError:
        return whole
    try:
        return list(_ranges(file, found.st_size))
    except OSError:
        return whole  # its file system knows nothing of holes
    finally:
        os.close(file)


def _ranges(file: int, size: int) -> Iterator[tuple[int, int]]:
    end = 0
    while end < size:
        try:
            start = os.lseek(file, end, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a hole up to the end
                return
            raise
        end = os.lseek(file, start, os.SEEK_HOLE)
        yield start, end


def _fid_size(name: str) -> int:
    try:
        return hot.fid_size(encode_name(name))
    except (NameTooLongError, InvalidNameError):
        return 0


def _outside(size: int) -> int:
    """Blocks that content of so many bytes takes beside its ICB."""
    return 0 if size <= hot.MAX_EMBEDDED else blocks_of(size)
