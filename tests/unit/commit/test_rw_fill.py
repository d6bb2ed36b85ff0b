"""A rewritable disc is filled, emptied and filled again, and is never smaller for it."""

from __future__ import annotations

import errno
import os
import random
from pathlib import Path

import pytest

from udffs.errors import UdffsError
from udffs.filesystem import FileSystem

from .rig import MIB, Clock, content, save
from .rw_rig import formatted, judged, mount

BLOCKS = 20_000  # a small disc: 40 MiB
NOISE = random.Random(2).randbytes(MIB)


def fill(fs: FileSystem, sizes: list[int]) -> int:
    """Files of these sizes in turn until one does not fit. Returns the bytes in all."""
    total, number = 0, 0
    while True:
        size = sizes[number % len(sizes)]
        handle = fs.create(f"/file {number}", 0o644, os.O_RDWR, 0, 0)
        try:
            for at in range(0, size, MIB):
                total += fs.write(handle, NOISE[: min(MIB, size - at)], at)
        except UdffsError as error:
            assert error.errno == errno.ENOSPC, error
            return total
        finally:
            fs.release(handle)
        number += 1
        if number % 16 == 0:
            fs.sync()


def look(fs: FileSystem, sizes: list[int]) -> None:
    """Some of the files of `fill` are as they were written."""
    names = [name for name, _, _ in fs.readdir("/")]
    for name in random.Random(len(names)).sample(names[:-1], min(8, len(names) - 1)):
        size = sizes[int(name.split()[1]) % len(sizes)]
        expected = (NOISE * (size // MIB + 1))[:size]
        assert content(fs, f"/{name}") == expected, name


def empty(fs: FileSystem) -> None:
    for name, _, _ in fs.readdir("/"):
        fs.unlink(f"/{name}")


@pytest.mark.parametrize(
    ("sizes", "kind"),
    [([700_000], "cd-rw-80"), ([5000, 60_000, 2_000_000, 100], "cd-rw-80"), ([100_000], "mrw")],
)
def test_ten_times_full(sizes: list[int], kind: str, tmp_path: Path) -> None:
    burner, clock = formatted(kind=kind, blocks=BLOCKS), Clock()
    fresh = judged(burner, blocks=BLOCKS)
    held = []
    for number in range(10):
        fs = mount(burner, tmp_path / "spool", clock, blocks=BLOCKS)
        held.append(fill(fs, sizes))
        fs.sync()
        if number % 3 == 0:
            fs.shutdown()
            judged(burner, blocks=BLOCKS)
            fs = mount(burner, tmp_path / "spool", clock, blocks=BLOCKS)
        look(fs, sizes)
        empty(fs)
        fs.shutdown()
        after = judged(burner, blocks=BLOCKS)
        assert after.used == fresh.used
    assert min(held) >= 0.99 * max(held), held
    assert max(held) > 0.9 * fresh.free * 2048, (max(held), fresh.free * 2048)


def test_ten_times_full_in_one_mount(tmp_path: Path) -> None:
    burner = formatted(blocks=BLOCKS)
    fs = mount(burner, tmp_path / "spool", Clock(), blocks=BLOCKS)
    held = []
    for _ in range(10):
        held.append(fill(fs, [700_000, 3000]))
        fs.sync()
        look(fs, [700_000, 3000])
        empty(fs)
    assert min(held) >= 0.99 * max(held), held
    fs.shutdown()
    judged(burner, blocks=BLOCKS)


def test_a_full_disc_takes_deletes_and_small_changes(tmp_path: Path) -> None:
    burner = formatted(blocks=BLOCKS)
    fs = mount(burner, tmp_path / "spool", blocks=BLOCKS)
    fill(fs, [300_000])
    fill_up = fs.statfs().available
    fs.sync()
    for number in range(20):
        fs.unlink(f"/file {number}")
        fs.sync()
    assert fs.statfs().available > fill_up + 20 * 140
    save(fs, "/after", NOISE, sync=True)
    fs.shutdown()
    judged(burner, blocks=BLOCKS)
    fs = mount(burner, tmp_path / "spool", blocks=BLOCKS)
    assert content(fs, "/after") == NOISE


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_times_a_whole_disc(tmp_path: Path) -> None:
    burner, clock, sizes = formatted(), Clock(), [30_000_000, 4_000_000]
    held = []
    for _ in range(10):
        fs = mount(burner, tmp_path / "spool", clock)
        held.append(fill(fs, sizes))
        fs.shutdown()
        fs = mount(burner, tmp_path / "spool", clock)
        look(fs, sizes)
        empty(fs)
        fs.shutdown()
        judged(burner)
    assert min(held) >= 0.99 * max(held), held


def test_fifty_thousand_small_files(tmp_path: Path) -> None:
    _many_files(50_000, "cd-rw-80", tmp_path)


def test_some_thousand_small_files(tmp_path: Path) -> None:
    _many_files(3000, "mrw", tmp_path)


def _many_files(count: int, kind: str, folder: Path) -> None:
    burner, clock = formatted(kind=kind), Clock()
    fresh = judged(burner)
    fs = mount(burner, folder / "spool", clock)

    def path(number: int) -> str:
        return f"/{number // 500}/file {number}"

    for number in range(count):
        if number % 500 == 0:
            fs.mkdir(f"/{number // 500}", 0o755, 0, 0)
        save(fs, path(number), b"%d " % number * (1 + number % 40 * 20))
        if number % 5000 == 4999:
            fs.sync()
    fs.shutdown()
    report = judged(burner)
    assert report.files == count + 1
    fs = mount(burner, folder / "spool", clock)
    for number in random.Random(1).sample(range(count), 200):
        assert content(fs, path(number)) == b"%d " % number * (1 + number % 40 * 20)
    for number in range(count):
        fs.unlink(path(number))
        if number % 5000 == 4999:
            fs.sync()
    for number in range(-(-count // 500)):
        fs.rmdir(f"/{number}")
    fs.shutdown()
    assert judged(burner).used == fresh.used
