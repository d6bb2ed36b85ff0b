"""A rewritable disc that is full, in many ways: the call that does not fit says
so; deleting, closing, syncing and unmounting always work."""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from udffs.errors import UdffsError
from udffs.filesystem import FileSystem

from .rig import MIB, Clock, content, difference, kill, picture, save
from .rw_rig import formatted, judged, mount

BLOCKS = 9000
NOISE = random.Random(2).randbytes(MIB)


def fits(call: Callable[[], object]) -> bool:
    """Whether a call has room; if not it must say ENOSPC."""
    try:
        call()
    except UdffsError as error:
        assert error.errno == errno.ENOSPC, error
        return False
    return True


def one_big_file(fs: FileSystem) -> None:
    handle = fs.create("/big", 0o644, os.O_RDWR, 0, 0)
    at = 0
    for step in (MIB, 100_000, 4096, 100):
        while fits(lambda: fs.write(handle, NOISE[:step], at)):  # noqa: B023
            at += step
    fs.release(handle)


def small_files(fs: FileSystem) -> None:
    for number in range(20_000):
        if not fits(lambda: save(fs, f"/{number}", NOISE[:3000])):  # noqa: B023
            return
    pytest.fail("it is never full")


def tiny_files(fs: FileSystem) -> None:
    for number in range(20_000):
        if not fits(lambda: fs.symlink(f"/{number}", "x", 0, 0)):  # noqa: B023
            return
    pytest.fail("it is never full")


def fragments(fs: FileSystem) -> None:
    """Every second file goes: no packet is fresh, and all that is free is filled."""
    small_files(fs)
    fs.sync()
    for number, (name, _, _) in enumerate(fs.readdir("/")):
        if number % 2:
            fs.unlink(f"/{name}")
    fs.sync()
    one_big_file(fs)


def holes(fs: FileSystem) -> None:
    """A file of one block here and there."""
    handle = fs.create("/holes", 0o644, os.O_RDWR, 0, 0)
    at = 0
    while fits(lambda: fs.write(handle, NOISE[:2048], at)):  # noqa: B023
        at += 6144
    fs.release(handle)


WAYS = [one_big_file, small_files, tiny_files, fragments, holes]


@pytest.mark.parametrize("synced", [False, True], ids=["at once", "synced"])
@pytest.mark.parametrize("fill", WAYS, ids=lambda fill: fill.__name__)
def test_full(fill: Callable[[FileSystem], None], synced: bool, tmp_path: Path) -> None:
    burner, clock = formatted(log_packets=16, blocks=BLOCKS), Clock()
    before = judged(burner, blocks=BLOCKS)
    fs = mount(burner, tmp_path / "spool", clock, blocks=BLOCKS)
    fill(fs)
    if synced:
        fs.sync()
    seen = picture(fs)
    again = mount(burner.branch(), kill(tmp_path / "spool"), clock, blocks=BLOCKS)
    assert again.read_only is None, again.read_only
    assert not difference(picture(again), seen)
    again.sync()
    again.shutdown()
    names = [name for name, _, _ in fs.readdir("/")]
    for name in names[: len(names) // 2]:
        fs.unlink(f"/{name}")
    fs.sync()
    handle = fs.open(f"/{names[-1]}", os.O_RDONLY) if len(names) > 1 and "big" in names else None
    if handle is not None:
        fs.release(handle)
    for name in names[len(names) // 2 :]:
        fs.unlink(f"/{name}")
    fs.shutdown()
    assert judged(burner, blocks=BLOCKS).used == before.used
    fs = mount(burner, tmp_path / "spool", clock, blocks=BLOCKS)
    save(fs, "/after", NOISE, sync=True)
    assert content(fs, "/after") == NOISE
    fs.shutdown()
    judged(burner, blocks=BLOCKS)


def test_overwriting_on_a_full_disc(tmp_path: Path) -> None:
    """In place there is always room; where new blocks are needed there may be none."""
    burner = formatted(log_packets=16, blocks=BLOCKS)
    fs = mount(burner, tmp_path / "spool", blocks=BLOCKS)
    one_big_file(fs)
    fs.sync()
    size = fs.getattr("/big").size
    expected = bytearray(content(fs, "/big"))
    handle = fs.open("/big", os.O_RDWR)
    chance = random.Random(4)
    done = 0
    for _ in range(60):
        at, length = chance.randrange(size - 200_000), chance.choice((10, 3000, 150_000))
        if fits(lambda: fs.write(handle, NOISE[:length], at)):  # noqa: B023
            expected[at : at + length] = NOISE[:length]
            done += 1
        if chance.random() < 0.4:
            fs.sync()
    fs.release(handle)
    assert content(fs, "/big") == bytes(expected)
    fs.shutdown()
    judged(burner, blocks=BLOCKS)
    fs = mount(burner, tmp_path / "spool", blocks=BLOCKS)
    assert content(fs, "/big") == bytes(expected)


def test_a_directory_of_many_names(tmp_path: Path) -> None:
    many_names(tmp_path, 4000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_directory_of_fifty_thousand_names(tmp_path: Path) -> None:
    many_names(tmp_path, 50_000)


def many_names(folder: Path, count: int) -> None:
    burner = formatted(log_packets=64)
    fs = mount(burner, folder / "spool")
    fs.mkdir("/d", 0o755, 0, 0)
    for number in range(count):
        fs.link("/d/0", f"/d/{number}") if number else save(fs, "/d/0", b"0")
        if number % 2500 == 2499:
            fs.sync()
    fs.shutdown()
    judged(burner)
    fs = mount(burner, folder / "spool")
    assert len(fs.readdir("/d")) == count
    for number in range(0, count, 2):
        fs.unlink(f"/d/{number}")
    fs.sync()
    for number in range(0, count, 2):
        fs.symlink(f"/d/{number}", "x", 0, 0)
    fs.shutdown()
    judged(burner)
    fs = mount(burner, folder / "spool")
    for name, _, _ in fs.readdir("/d"):
        fs.unlink(f"/d/{name}")
    fs.rmdir("/d")
    fs.shutdown()
    judged(burner)
