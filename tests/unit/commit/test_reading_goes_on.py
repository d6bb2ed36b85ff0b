"""Programs go on reading while a commit is on its way to the disc.

What is known or in the spool is there at once, packet or not; what lies on
the disc waits for a turn at the drive, not for the end of the commit.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

import pytest

from media.virtual import Burner
from udffs.commit.streaming import TURN_SECONDS
from udffs.filesystem import FileSystem

from .rig import MIB, content, formatted, mount, save

P = ParamSpec("P")
T = TypeVar("T")

OLD = random.Random(1).randbytes(2 * MIB)
LARGE = random.Random(2).randbytes(32 * MIB)
SMALL = b"a few bytes, kept in the file's own ICB"

#: Real seconds for one of the drive's: the commit of LARGE takes two or three.
SLOWNESS = 0.2
#: Only a test that would hang otherwise waits so long.
NEVER = 60.0


class Mounted:
    """A volume with files on the disc and a large one in the spool."""

    def __init__(self, spool: Path) -> None:
        self.burner: Burner = formatted()
        self.fs: FileSystem = mount(self.burner, spool)
        self.fs.mkdir("/folder", 0o755, 0, 0)
        save(self.fs, "/folder/small", SMALL)
        save(self.fs, "/old", OLD)
        self.fs.sync()
        save(self.fs, "/large", LARGE)
        self.fs.start()
        self.pool = ThreadPoolExecutor(4)

    def part(self, path: str, offset: int, length: int) -> bytes:
        handle = self.fs.open(path, os.O_RDONLY)
        try:
            return self.fs.read(handle, length, offset)
        finally:
            self.fs.release(handle)

    def told(self, operation: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What an operation returns, if it ever does."""
        return self.pool.submit(operation, *args, **kwargs).result(NEVER)


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Mounted]:
    made = Mounted(tmp_path / "spool")
    try:
        yield made
    finally:
        made.burner.faults.pace = None
        made.fs.shutdown()
        made.pool.shutdown()


class Standstill:
    """A burner that stops in the middle of a packet until it is let go on."""

    def __init__(self, burner: Burner, after: float) -> None:
        self._left = after  # seconds of the drive's time
        self.reached = threading.Event()
        self.go_on = threading.Event()
        burner.faults.pace = self._pace

    def _pace(self, seconds: float) -> None:
        self._left -= seconds
        if self._left <= 0 and not self.reached.is_set():
            self.reached.set()
            assert self.go_on.wait(NEVER)


def test_what_is_known_or_spooled_needs_no_drive(mounted: Mounted) -> None:
    fs = mounted.fs
    still = Standstill(mounted.burner, after=2.0)
    commit = mounted.pool.submit(fs.sync)
    try:
        assert still.reached.wait(NEVER)
        assert mounted.told(fs.getattr, "/old").size == len(OLD)
        assert mounted.told(fs.getattr, "/large").size == len(LARGE)
        names = [name for name, _, _ in mounted.told(fs.readdir, "/")]
        assert names == ["folder", "old", "large"]
        assert mounted.told(content, fs, "/folder/small") == SMALL
        for at in range(0, len(LARGE), 4 * MIB):
            assert mounted.told(mounted.part, "/large", at, MIB) == LARGE[at : at + MIB]
        mounted.told(save, fs, "/new", b"written meanwhile")
        assert mounted.told(content, fs, "/new") == b"written meanwhile"
        waiting = mounted.pool.submit(mounted.part, "/old", 0, MIB)
        assert mounted.told(fs.statfs).available > 0
        # The one that does need the drive is waiting; nothing was torn for it.
        assert not waiting.done() and not commit.done()
    finally:
        still.go_on.set()
    assert waiting.result(NEVER) == OLD[:MIB]
    commit.result(NEVER)
    assert content(fs, "/large") == LARGE


@pytest.mark.parametrize("small_files", [0, 3000])
def test_reading_from_the_disc_waits_for_a_turn_at_most(mounted: Mounted, small_files: int) -> None:
    burner, fs = mounted.burner, mounted.fs
    for number in range(small_files):
        save(fs, f"/folder/{number}", LARGE[number : number + 4096])
    began = burner.seconds
    burner.faults.pace = lambda seconds: time.sleep(seconds * SLOWNESS)
    commit = mounted.pool.submit(fs.sync)
    waits = []
    at = 0
    while not commit.done():
        asked = burner.seconds
        assert mounted.part("/old", at, 65_536) == OLD[at : at + 65_536]
        if not commit.done():
            waits.append(burner.seconds - asked)
        at = (at + 65_536) % len(OLD)
        time.sleep(SLOWNESS / 4)
    commit.result()
    whole = burner.seconds - began
    # About one turn, what the buffer holds by then, and a seek there and back.
    assert len(waits) >= 3
    assert max(waits) < whole / 2, (waits, whole)
    assert sorted(waits)[len(waits) // 2] < 4 * TURN_SECONDS, (waits, whole)
    assert content(fs, "/large") == LARGE
    for number in range(small_files):
        assert content(fs, f"/folder/{number}") == LARGE[number : number + 4096]
