"""A program that waits for a small file does not wait for a large one."""

from __future__ import annotations

import os
import random
import shutil
import threading
import time
from pathlib import Path

import pytest

from media.drive import Drive
from media.store import SequentialStore, open_store
from media.transport.virtual import VirtualTransport
from media.virtual import Burner, memory_burner
from udffs.commit.bridge.cost import MOST_SECTIONS
from udffs.commit.format import FormatOptions, format_volume
from udffs.commit.nodes import State
from udffs.commit.plan import Geometry, Job, merge_runs
from udffs.commit.streaming import Stream, in_chunks
from udffs.filesystem import FileSystem, MountOptions, open_file_system
from udffs.volume import Run

BLOCK = 2048
MIB = 1 << 20
LARGE = 24 * MIB
QUIET = MountOptions(commit_idle=1000, commit_max=1000, commit_bytes=1 << 30)


def formatted() -> Burner:
    burner = memory_burner("cd-r-80")
    store = store_of(burner)
    format_volume(store, FormatOptions("stream"), now=0, random=random.Random(1).randbytes)
    return burner


def store_of(burner: Burner) -> SequentialStore:
    store = open_store(Drive(VirtualTransport(burner), name="test", sleep=lambda _s: None))
    assert isinstance(store, SequentialStore)
    return store


def mounted(burner: Burner, spool: Path) -> FileSystem:
    return open_file_system(store_of(burner), spool=spool, options=QUIET)


def content(fs: FileSystem, path: str) -> bytes:
    handle = fs.open(path, os.O_RDONLY)
    try:
        return fs.read(handle, 1 << 30, 0)
    finally:
        fs.release(handle)


def write(fs: FileSystem, path: str, data: bytes) -> int:
    handle = fs.create(path, 0o644, os.O_RDWR, 0, 0)
    for at in range(0, len(data), MIB):
        fs.write(handle, data[at : at + MIB], at)
    return handle


@pytest.fixture
def large() -> bytes:
    return random.Random(7).randbytes(LARGE)


def test_a_durable_save_does_not_wait_for_a_large_copy(tmp_path: Path, large: bytes) -> None:
    burner = formatted()
    fs = mounted(burner, tmp_path / "spool")
    fs.start()
    write(fs, "/large", large)
    small = write(fs, "/small", b"keep me")
    before = burner.seconds
    fs.fsync(small)
    assert burner.seconds - before <= 5
    after_a_cut = mounted(burner.branch(), tmp_path / "empty")
    assert content(after_a_cut, "/small") == b"keep me"
    seen = content(after_a_cut, "/large")
    assert len(seen) < LARGE
    assert large.startswith(seen)
    fs.sync()
    assert content(mounted(burner.branch(), tmp_path / "empty2"), "/large") == large
    fs.shutdown()


def test_what_was_deferred_outlives_a_kill(tmp_path: Path, large: bytes) -> None:
    burner = formatted()
    fs = mounted(burner, tmp_path / "spool")
    fs.start()
    handle = write(fs, "/large", large)
    fs.utimens("/large", 1_000_000, 5_000_000)
    fs.fsync(write(fs, "/small", b"keep me"))
    fs.write(handle, b"changed", LARGE - 100)
    fs.truncate("/large", LARGE + 5000)
    expected = large[: LARGE - 100] + b"changed" + large[LARGE - 93 :] + bytes(5000)
    shutil.copytree(tmp_path / "spool", tmp_path / "killed")
    replayed = mounted(burner.branch(), tmp_path / "killed")
    assert content(replayed, "/large") == expected
    assert replayed.getattr("/large").mtime == fs.getattr("/large").mtime
    replayed.shutdown()
    assert content(fs, "/large") == expected
    fs.shutdown()


def test_overwriting_in_place_defers_and_ends_right(tmp_path: Path, large: bytes) -> None:
    burner = formatted()
    fs = mounted(burner, tmp_path / "spool")
    fs.start()
    handle = write(fs, "/large", large)
    fs.sync()
    new = random.Random(8).randbytes(LARGE)
    for at in range(0, LARGE, MIB):
        fs.write(handle, new[at : at + MIB], at)
    fs.fsync(write(fs, "/small", b"keep me"))
    half = content(mounted(burner.branch(), tmp_path / "empty"), "/large")
    assert len(half) == LARGE
    assert all(
        half[at : at + MIB] in (new[at : at + MIB], large[at : at + MIB])
        for at in range(0, LARGE, MIB)
    )
    fs.truncate("/large", 3 * MIB)
    fs.shutdown()
    assert content(mounted(burner, tmp_path / "spool"), "/large") == new[: 3 * MIB]


def test_syncing_everything_waits_for_everything(tmp_path: Path, large: bytes) -> None:
    burner = formatted()
    fs = mounted(burner, tmp_path / "spool")
    fs.start()
    write(fs, "/large", large)
    fs.fsync(write(fs, "/small", b"x"))
    fs.sync()
    assert content(mounted(burner.branch(), tmp_path / "empty"), "/large") == large
    fs.shutdown()


def test_commits_begin_by_themselves_when_it_is_quiet(tmp_path: Path) -> None:
    burner = formatted()
    options = MountOptions(commit_idle=0.05)
    fs = open_file_system(store_of(burner), spool=tmp_path / "spool", options=options)
    fs.start()
    write(fs, "/a", b"a")
    for _ in range(200):
        if not fs.status()["unsaved"]:
            break
        time.sleep(0.02)
    assert fs.status()["commits"] == 1
    assert content(mounted(burner.branch(), tmp_path / "empty"), "/a") == b"a"
    fs.shutdown()


def test_a_small_save_does_not_wait_behind_a_stream(tmp_path: Path) -> None:
    burner = formatted()
    options = MountOptions(commit_bytes=2 * MIB, spool_bytes=12 * MIB)
    fs = open_file_system(store_of(burner), spool=tmp_path / "spool", options=options)
    fs.start()
    fs.readdir("/")  # so that only commits need the disc from here on
    held, goes_on = threading.Event(), threading.Event()

    def hold(_seconds: float) -> None:
        held.set()
        assert goes_on.wait(60)

    burner.faults.pace = hold  # the first command of the first commit does not end
    copy = threading.Thread(target=write, args=(fs, "/large", bytes(LARGE)), daemon=True)
    copy.start()
    assert held.wait(60)
    copy.join(1)
    assert copy.is_alive(), "the stream should be waiting for the backlog"
    saved = threading.Event()
    threading.Thread(
        target=lambda: (write(fs, "/small", b"keep me"), saved.set()), daemon=True
    ).start()
    assert saved.wait(30), "a small save waited behind the stream"
    burner.faults.pace = None
    goes_on.set()
    copy.join(60)
    fs.shutdown()
    assert content(mounted(burner, tmp_path / "spool"), "/small") == b"keep me"


class _Busy:
    """A store at a 16x drive, where somebody waits to read at any time."""

    blocks_per_second = 1200.0
    readers_waiting = 1

    def __init__(self) -> None:
        self.next_writable = self.at = 1000
        self.packets: list[int] = []

    def write(self, block: int, data: bytes) -> None:
        assert block == self.at
        self.at += len(data) // BLOCK

    def flush(self) -> int:
        self.packets.append(self.at - self.next_writable)
        self.next_writable = self.at = self.at + 7
        return self.at


def test_a_file_as_large_as_the_disc_has_few_sections_whoever_reads_meanwhile() -> None:
    """Readers of ISO 9660 stand some 90; each checkpoint adds its own."""
    store = _Busy()
    geometry = Geometry(257, 0, 3)
    runs: tuple[Run, ...] = ()
    checkpoint, total = 32 << 20, 700_000_000
    for start in range(0, total, checkpoint):
        first, count = start // BLOCK, min(checkpoint, total - start) // BLOCK
        state = State(epoch=0, mode=0o100644, uid=0, gid=0, unique_id=16)

        def zeros(_first: int, count: int, _logical: int) -> bytes:
            return bytes(count * BLOCK)

        job = in_chunks(Job(5, state, total, None, [(first, count)], zeros, runs))
        stream = Stream(store, geometry, [job], lambda: False, lambda _blocks: None)  # type: ignore[arg-type]
        stream.run()
        store.flush()
        new = [Run(at * BLOCK, stream.written[5, at], number * BLOCK) for at, number in job.ranges]
        runs = merge_runs(runs, new)
    assert sum(store.packets) == total // BLOCK
    assert len(runs) <= MOST_SECTIONS, len(runs)
