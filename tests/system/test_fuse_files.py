"""Files, directories and the volume as programs use them, on a real mount."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mounting import Disc, kept, listing, mounted_disc, see

pytestmark = pytest.mark.fuse


@pytest.fixture
def disc(tmp_path: Path) -> Iterator[Disc]:
    with mounted_disc(tmp_path) as disc:
        yield disc


@pytest.fixture
def at(disc: Disc) -> Path:
    return disc.where


# -- opening, writing, sizes ---------------------------------------------------


def test_a_handle_from_create_can_be_read(disc: Disc, at: Path) -> None:
    handle = os.open(at / "file", os.O_CREAT | os.O_RDWR | os.O_EXCL, 0o400)
    try:
        os.write(handle, b"written")
        assert os.pread(handle, 7, 0) == b"written"
    finally:
        os.close(handle)
    assert stat.S_IMODE((at / "file").stat().st_mode) == 0o400
    kept(disc)


def test_append(disc: Disc, at: Path) -> None:
    for number in range(50):
        with (at / "log").open("a") as log:
            log.write(f"line {number}\n")
    with (at / "log").open("r+b") as inside, (at / "log").open("ab", buffering=0) as end:
        inside.write(b"LINE")
        inside.flush()
        end.write(b"x" * 300_000)
        end.write(b"the end")
    data = (at / "log").read_bytes()
    assert data.startswith(b"LINE 0\nline 1\n") and data.endswith(
        b"line 49\n" + b"x" * 300_000 + b"the end"
    )
    kept(disc)


def test_o_trunc(disc: Disc, at: Path) -> None:
    (at / "file").write_bytes(b"x" * 100_000)
    os.close(os.open(at / "file", os.O_WRONLY | os.O_TRUNC))
    assert (at / "file").stat().st_size == 0
    (at / "file").write_bytes(b"again")
    kept(disc)


def test_truncate_both_ways(disc: Disc, at: Path) -> None:
    content = os.urandom(50_000)
    for size in (0, 1, 2047, 2048, 2049, 49_999, 50_000, 50_001, 200_000):
        path = at / str(size)
        path.write_bytes(content)
        os.truncate(path, size)
        assert path.read_bytes() == content[:size].ljust(size, b"\0")
    with (at / "handle").open("w+b") as file:
        file.write(content)
        file.truncate(3)
        file.truncate(5000)
        file.seek(0)
        assert file.read() == content[:3].ljust(5000, b"\0")
    kept(disc)
    os.truncate(at / "50000", 10)
    os.truncate(at / "50000", 3000)
    assert (at / "50000").read_bytes() == content[:10].ljust(3000, b"\0")
    kept(disc)


def test_sparse_files(disc: Disc, at: Path) -> None:
    with (at / "sparse").open("wb") as file:
        file.seek(100_000_000)
        file.write(b"end")
    assert (at / "sparse").stat().st_size == 100_000_003
    assert (at / "sparse").stat().st_blocks * 512 < 1_000_000
    disc.remount()
    with (at / "sparse").open("rb") as file:
        assert file.read(5000) == bytes(5000)
        file.seek(99_999_990)
        assert file.read() == bytes(10) + b"end"
    assert (at / "sparse").stat().st_blocks * 512 < 1_000_000


def test_shared_mapping_is_written_back(disc: Disc, at: Path) -> None:
    (at / "file").write_bytes(bytes(20_000))
    with (at / "file").open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        mapped[5000:5005] = b"mmap!"
        mapped[19_995:] = b"mmap?"
    assert (at / "file").read_bytes()[5000:5005] == b"mmap!"
    disc.remount()
    data = (at / "file").read_bytes()
    assert data[5000:5005] == b"mmap!" and data[19_995:] == b"mmap?" and len(data) == 20_000


def test_shared_mapping_of_a_file_opened_for_appending(disc: Disc, at: Path) -> None:
    (at / "file").write_bytes(bytes(10_000))
    handle = os.open(at / "file", os.O_RDWR | os.O_APPEND)
    with mmap.mmap(handle, 10_000) as mapped:
        mapped[100:104] = b"here"
        mapped.flush()
        os.write(handle, b"there")
    os.close(handle)
    disc.remount()
    data = (at / "file").read_bytes()
    assert len(data) == 10_005
    assert data[100:104] == b"here" and data.endswith(b"\0there")


# -- renaming, removing --------------------------------------------------------


def test_rename_over(disc: Disc, at: Path) -> None:
    (at / "a").write_text("a")
    (at / "b").write_text("b")
    (at / "a").rename(at / "b")
    assert (at / "b").read_text() == "a"
    (at / "full" / "inner").mkdir(parents=True)
    (at / "empty").mkdir()
    (at / "full").rename(at / "empty")
    assert listing(at / "empty") == ["inner"]
    (at / "other").mkdir()
    for old, new, code in (
        ("other", "empty", errno.ENOTEMPTY),
        ("b", "empty", errno.EISDIR),
        ("empty", "b", errno.ENOTDIR),
        ("empty", "empty/inner/x", errno.EINVAL),
        ("nothing", "x", errno.ENOENT),
    ):
        with pytest.raises(OSError) as caught:
            (at / old).rename(at / new)
        assert caught.value.errno == code, (old, new)
    (at / "b").rename(at / "b")
    kept(disc)


def test_removing_what_cannot_be_removed(at: Path) -> None:
    (at / "directory" / "inner").mkdir(parents=True)
    (at / "file").touch()
    for act, code in (
        (lambda: (at / "directory").rmdir(), errno.ENOTEMPTY),
        (lambda: (at / "directory").unlink(), errno.EISDIR),
        (lambda: (at / "file").rmdir(), errno.ENOTDIR),
        (lambda: (at / "file" / "x").touch(), errno.ENOTDIR),
        (lambda: (at / "nothing").unlink(), errno.ENOENT),
        (lambda: (at / "file").mkdir(), errno.EEXIST),
    ):
        with pytest.raises(OSError) as caught:
            act()
        assert caught.value.errno == code


# -- the volume as a whole -----------------------------------------------------


def test_locks_are_the_kernels(at: Path) -> None:
    (at / "file").touch()
    code = (
        "import fcntl, sys\n"
        "file = open(sys.argv[1], 'r+')\n"
        "for lock in (fcntl.flock, fcntl.lockf):\n"
        "    try:\n"
        "        lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "        print('free')\n"
        "    except BlockingIOError:\n"
        "        print('held')\n"
    )
    command = [sys.executable, "-c", code, str(at / "file")]
    with (at / "file").open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_EX)
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.split() == ["held", "held"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["free", "free"]


def test_space_leaves_out_what_closing_needs(disc: Disc, at: Path) -> None:
    space = os.statvfs(at)
    assert space.f_bsize == space.f_frsize == 2048
    assert space.f_namemax == 254
    told = disc.json("info", disc.image)
    assert space.f_bavail == space.f_bfree == told["space"]["free"]
    assert space.f_bavail + told["space"]["reserved"] <= told["blocks_unwritten"]
    (at / "file").write_bytes(bytes(1_000_000))
    assert os.statvfs(at).f_bavail <= space.f_bavail - 488


def test_o_sync_and_fsyncdir_are_durable(disc: Disc, at: Path) -> None:
    handle = os.open(at / "file", os.O_CREAT | os.O_WRONLY | os.O_SYNC)
    os.write(handle, b"durable")
    os.close(handle)
    assert disc.json("info", at)["unsaved_bytes"] == 0
    commits = disc.json("info", at)["commits"]
    (at / "name").mkdir()
    directory = os.open(at, os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)
    assert disc.json("info", at)["commits"] > commits


def test_a_mount_by_root_is_seen_by_others(at: Path) -> None:
    options = next(
        line.split(" - ")[1]
        for line in Path("/proc/self/mountinfo").read_text().splitlines()
        if line.split()[4] == str(at)
    )
    assert ("allow_other" in options) == (os.getuid() == 0)
    assert options.startswith("fuse.udffs ") and "default_permissions" in options


def test_a_comma_and_a_space_in_the_name_of_the_disc(disc: Disc) -> None:
    disc.unmount()
    image, where = disc.folder / "a, b.img", disc.folder / "at, and"
    where.mkdir()
    disc.udffs("new", image)
    disc.udffs("mount", image, where, "--format")
    (where / "file").write_text("x")
    assert see(where / "file").size == 1
    disc.udffs("unmount", where, "--leave-open")
