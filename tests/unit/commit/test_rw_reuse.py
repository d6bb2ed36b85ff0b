"""Blocks that are used again: whoever reads a file never sees the bytes of
another one, whatever is overwritten, deleted and written into the same blocks
meanwhile, with commits and checkpoints in a thread of their own.

A run is named by its seed (of the programs; the threads have their own mind).
"""

from __future__ import annotations

import os
import random
import threading
import time
from pathlib import Path

import pytest

from media.store import BlockStore
from udffs.errors import NoSuchEntryError, UdffsError
from udffs.filesystem import FileSystem

from .rig import QUIET, Clock, kill, picture
from .rw_rig import formatted, judged, mount

BLOCKS = 9000  # of the disc: what is freed is soon used again
CELL = 16
NAMES = {2: "reader", 3: "reader"}
LARGEST = 400_000
SECONDS = 3.0
ASLEEP = 0.4  # seconds


def pattern(owner: int, length: int) -> bytes:
    """Bytes that say whose they are."""
    return (b"%015d " % owner) * (length // CELL)


class Slow:
    """What readers read through: now and then they are asleep between looking
    where something is and reading it."""

    def __init__(self, store: BlockStore, seed: int) -> None:
        self._below = store
        self._chance = random.Random(seed)

    def read(self, block: int, count: int) -> bytes:
        if threading.current_thread().name == "reader" and self._chance.random() < 0.5:
            time.sleep(self._chance.random() * ASLEEP)
        return self._below.read(block, count)

    def __getattr__(self, name: str) -> object:
        return getattr(self._below, name)


class Shop:
    """Writers, readers, and files that are open without a name."""

    def __init__(self, fs: FileSystem, seed: int) -> None:
        self.fs, self.seed = fs, seed
        self.failure: BaseException | None = None
        self.over = False
        self.owners = iter(range(1, 1 << 40))
        self.lock = threading.Lock()
        self.reads = self.writes = 0

    def guard(self, work: object, number: int) -> None:
        chance = random.Random(f"{self.seed} {number}")
        try:
            while not self.over and self.failure is None:
                work(chance, number)  # type: ignore[operator]
        except BaseException as error:
            self.failure = self.failure or error

    def write(self, chance: random.Random, number: int) -> None:
        """Files come, are overwritten in pieces, replaced and go."""
        path = f"/{number} {chance.randrange(6)}"
        what = chance.random()
        try:
            if what < 0.45:
                with self.lock:
                    owner = next(self.owners)
                handle = self.fs.create(f"{path}~", 0o644, os.O_RDWR, 0, owner)
                length = chance.choice((CELL, 3008, 60_000, chance.randrange(LARGEST)))
                length -= length % CELL
                if length:
                    self.fs.write(handle, pattern(owner, length), 0)
                if chance.random() < 0.3:
                    self.fs.fsync(handle)
                self.fs.release(handle)
                self.fs.rename(f"{path}~", path)
            elif what < 0.8:
                handle = self.fs.open(path, os.O_RDWR)
                a = self.fs.getattr(path, handle)
                at = chance.randrange(max(1, a.size)) // CELL * CELL
                length = chance.choice((CELL, 4096, 80_000)) // CELL * CELL
                self.fs.write(handle, pattern(a.gid, length), at)
                self.fs.release(handle)
            elif what < 0.88:
                self.fs.truncate(path, chance.randrange(LARGEST) // CELL * CELL)
            else:
                self.fs.unlink(path)
        except NoSuchEntryError:
            pass
        except UdffsError as error:
            if error.errno != 28:
                raise
            self.fs.unlink(path) if what >= 0.45 else self.fs.unlink(f"{path}~")
        self.writes += 1

    def read(self, chance: random.Random, _number: int) -> None:
        """Part by part, of a file that may be replaced or deleted meanwhile."""
        names = [name for name, _, _ in self.fs.readdir("/") if not name.endswith("~")]
        if not names:
            return
        try:
            handle = self.fs.open(f"/{chance.choice(names)}", os.O_RDONLY)
        except NoSuchEntryError:
            return
        owner = self.fs.getattr("/nowhere", handle).gid
        for _ in range(chance.randrange(1, 12)):
            size = max(CELL, self.fs.getattr("/nowhere", handle).size)
            at = chance.randrange(size) // CELL * CELL
            data = self.fs.read(handle, chance.choice((CELL, 2048, 131_072)), at)
            self.check(owner, data)
            self.reads += 1
            if chance.random() < 0.1:
                time.sleep(0.01)
        self.fs.release(handle)

    def check(self, owner: int, data: bytes) -> None:
        mine = pattern(owner, CELL)
        for at in range(0, len(data) - CELL + 1, CELL):
            cell = data[at : at + CELL]
            assert cell == mine or cell == bytes(CELL), f"file {owner} shows {cell!r}"

    def keep(self, chance: random.Random, number: int) -> None:
        """A file that has no name any more keeps all its bytes."""
        with self.lock:
            owner = next(self.owners)
        path = f"/unnamed {number}"
        data = pattern(owner, chance.randrange(CELL, LARGEST))
        try:
            handle = self.fs.create(path, 0o600, os.O_RDWR, 0, owner)
        except UdffsError as error:
            assert error.errno == 28
            time.sleep(0.01)
            return
        try:
            self.fs.write(handle, data, 0)
            if chance.random() < 0.7:
                self.fs.sync()
        except UdffsError as error:
            assert error.errno == 28
            data = b""
        self.fs.unlink(path)
        for _ in range(6):
            if chance.random() < 0.5:
                self.fs.sync()
            at = chance.randrange(len(data) + 1)
            assert self.fs.read(handle, 100_000, at) == data[at : at + 100_000], owner
        self.fs.release(handle)


def session(seed: int, folder: Path, seconds: float, kind: str = "cd-rw-80") -> Shop:
    burner = formatted(kind=kind, log_packets=16, blocks=BLOCKS)
    options = QUIET._replace(commit_idle=0.01, commit_max=0.05, commit_bytes=1 << 18)
    fs = mount(burner, folder / "spool", Clock(), options=options, blocks=BLOCKS)
    assert fs.read_only is None, fs.read_only
    fs.start()
    fs._store = Slow(fs._store, seed)  # type: ignore[assignment]
    shop = Shop(fs, seed)
    jobs = [shop.write, shop.write, shop.read, shop.read, shop.read, shop.keep]
    threads = [
        threading.Thread(target=shop.guard, args=(job, number), name=NAMES.get(number))
        for number, job in enumerate(jobs)
    ]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    left = None
    try:
        shop.over = True
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "it hangs"
        if shop.failure is not None:
            raise shop.failure
        seen = picture(fs)
        fs.sync()
        left = kill(folder / "spool")
        branch = burner.branch()
        again = mount(branch, left, blocks=BLOCKS)
        assert picture(again) == seen
        fs.shutdown()
    except BaseException as error:
        error.add_note(f"seed {seed}, {shop.reads} reads, {shop.writes} writes")
        raise
    judged(burner, blocks=BLOCKS)
    assert picture(mount(burner, folder / "last", blocks=BLOCKS)) == seen
    return shop


@pytest.mark.parametrize("seed", range(3))
def test_nobody_sees_the_bytes_of_another_file(seed: int, tmp_path: Path) -> None:
    shop = session(seed, tmp_path, SECONDS)
    assert shop.reads > 20 and shop.writes > 20


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 106))
def test_nobody_sees_them_for_long(seed: int, tmp_path: Path) -> None:
    session(seed, tmp_path, 30, kind=("cd-rw-80", "mrw")[seed % 2])
