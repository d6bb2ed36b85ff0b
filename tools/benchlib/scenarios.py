"""What only a mounted udffs can be asked: how long others wait while it is
busy, and what a disc that holds many files costs."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchlib import disc
from benchlib.mounted import Mount
from benchlib.paced import longest_save_beside_a_copy
from benchlib.report import Verdict

SAVE = os.urandom(20 * 1024)
LATENCY_TARGET = 5.0  # ms, for 99 % of all calls
SAVE_TARGET = 5.0  # seconds of the drive's clock
OPENING_TARGET = 0.1  # seconds more than an empty disc
BLOCKS_TARGET = 26  # a save, on a disc of 100,000 files
MEMORY_TARGET = 160  # MiB


def mount(image: Path, scratch: Path) -> Mount:
    return Mount([disc.UDFFS, "mount", "-f", image, scratch / "at"], scratch / "at")


def save(path: Path) -> None:
    """Durable when it returns."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.write(handle, SAVE)
        os.fsync(handle)
    finally:
        os.close(handle)


def while_a_commit_runs(scratch: Path, quick: bool) -> list[Verdict]:
    """Attributes and cached reads of old files while thousands of new ones
    are being put on the disc."""
    image = scratch / "disc.img"
    disc.make(image)
    mounted = mount(image, scratch)
    old = [mounted.where / f"old{number}" for number in range(100)]
    for path in old:
        path.write_bytes(SAVE)
    disc.sync(mounted.where)
    stats: list[float] = []
    reads: list[float] = []
    rounds = 1 if quick else 5
    for number in range(rounds):
        directory = mounted.where / f"new{number}"
        directory.mkdir()
        for member in range(200 if quick else 2000):
            (directory / f"{member}").write_bytes(SAVE[:4096])
        commit = threading.Thread(target=disc.sync, args=(mounted.where,))
        commit.start()
        while commit.is_alive():
            for path in old:
                stats.append(_milliseconds(path.stat))
                reads.append(_milliseconds(path.read_bytes))
        commit.join()
    mounted.end(disc.unmount)
    return [
        Verdict(f"{what} while a commit runs, 99 % within ms", _p99(times), LATENCY_TARGET, True)
        for what, times in (("stat", stats), ("cached read", reads))
    ]


def _milliseconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - begun)


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def saves_beside_a_copy(scratch: Path, quick: bool) -> list[Verdict]:
    """Durable saves while a large file is being copied."""
    count, longest = longest_save_beside_a_copy(scratch, 60 if quick else 600)
    what = f"longest of {count} durable saves beside a copy, drive's seconds"
    return [Verdict(what, longest, SAVE_TARGET, True)]


def a_disc_of_many_files(scratch: Path, quick: bool) -> list[Verdict]:
    """100,000 files of 100 bytes: opening, saving, memory."""
    directories = 20 if quick else 200
    empty, full = scratch / "empty.img", scratch / "disc.img"
    disc.make(empty)
    disc.make(full)
    filling = mount(full, scratch)
    for number in range(directories):
        directory = filling.where / f"d{number:04}"
        directory.mkdir()
        for member in range(500):
            with open(f"{directory}/f{member:04}", "wb", buffering=0) as file:  # noqa: PTH123
                file.write(SAVE[:100])
    filling.end(disc.unmount)
    opening = _opening(full, scratch) - _opening(empty, scratch)
    saving = mount(full, scratch)
    before = disc.used_blocks(full)
    for number in range(200):
        save(saving.where / "d0000" / f"save-{number:04}.dat")
    saving.end(disc.unmount)
    blocks = (disc.used_blocks(full) - before) / 200
    count = f"{directories * 500:,} files"
    return [
        Verdict(f"opening a disc of {count}, seconds more", opening, OPENING_TARGET, True),
        Verdict(f"blocks a save on a disc of {count}", blocks, BLOCKS_TARGET, True),
        Verdict(f"memory while writing {count}, MiB", filling.memory, MEMORY_TARGET, True),
        Verdict(f"memory while saving beside {count}, MiB", saving.memory, MEMORY_TARGET, True),
    ]


def _opening(image: Path, scratch: Path) -> float:
    """Seconds until the disc is mounted, the median of five times."""
    times = []
    for _ in range(5):
        begun = time.perf_counter()
        mounted = mount(image, scratch)
        times.append(time.perf_counter() - begun)
        mounted.end(disc.unmount)
    return statistics.median(times)


SCENARIOS = {
    "busy": while_a_commit_runs,
    "beside": saves_beside_a_copy,
    "many": a_disc_of_many_files,
}
