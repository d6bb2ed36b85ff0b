"""Each trap of libfuse, fusepy and the kernel's FUSE driver, on a real mount."""

from __future__ import annotations

import contextlib
import errno
import json
import mmap
import os
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import mounts
import pytest
from support.machine import why_not_root
from support.mounting import Disc, kept, listing, mounted_disc

pytestmark = pytest.mark.fuse

FAKE = Path(__file__).resolve().parents[1] / "support" / "fake_mount.py"


@pytest.fixture
def disc(tmp_path: Path) -> Iterator[Disc]:
    with mounted_disc(tmp_path) as disc:
        yield disc


@pytest.fixture
def at(disc: Disc) -> Path:
    return disc.where


# -- errors, and what requests look like ----------------------------------------


@contextlib.contextmanager
def fake_mount(folder: Path, *failing: str) -> Iterator[tuple[Path, list[str]]]:
    """A file system in memory, mounted; the list gets the operations called."""
    where, calls, called = folder / "fake", folder / "calls", []
    where.mkdir()
    process = subprocess.Popen(
        [sys.executable, FAKE, where, calls, *failing], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield where, called
        subprocess.run(["fusermount", "-u", where], check=True)
        assert process.wait(20) == 0
        called += json.loads(calls.read_text())
    finally:
        process.kill()
        process.wait()
        mounts.let_go(where)


@pytest.mark.parametrize("error", ["OSError", "SystemExit", "KeyboardInterrupt", "ValueError"])
def test_no_error_becomes_a_success(tmp_path: Path, error: str) -> None:
    """And the mount goes on after it."""
    failing = [word for name in ("fsync", "write", "readdir", "utimens") for word in (name, error)]
    with fake_mount(tmp_path, *failing) as (where, _calls):
        handle = os.open(where / "file", os.O_CREAT | os.O_RDWR)
        for act in (
            lambda: os.fsync(handle),
            lambda: os.write(handle, b"x"),
            lambda: list(where.iterdir()),
            lambda: os.utime(where / "file"),
        ):
            with pytest.raises(OSError) as caught:
                act()
            assert caught.value.errno == errno.EIO
        os.close(handle)
        assert (where / "file").stat().st_size == 0


def test_requests_are_large_and_few(tmp_path: Path) -> None:
    """4 KiB each without big_writes; one getxattr each if that were offered."""
    with fake_mount(tmp_path) as (where, calls):
        (where / "file").write_bytes(os.urandom(4 << 20))
        assert len((where / "file").read_bytes()) == 4 << 20
        assert len((where / "file").read_bytes()) == 4 << 20
    assert calls.count("write") <= 34
    assert calls.count("read") <= 33, "what was written is still in the page cache"
    assert not [name for name in calls if "xattr" in name]
    assert calls.count("getattr") < 40


# -- hard links ----------------------------------------------------------------


def test_a_write_through_one_name_shows_through_the_other(disc: Disc, at: Path) -> None:
    (at / "a").write_bytes(b"one")
    (at / "b").hardlink_to(at / "a")
    assert (at / "a").stat().st_size == (at / "b").stat().st_size == 3
    with (at / "a").open("ab") as file:
        file.write(b" two")
    assert (at / "b").stat().st_size == 7
    assert (at / "b").read_bytes() == b"one two"
    (at / "b").write_bytes(b"three")
    assert (at / "a").read_bytes() == b"three"
    assert (at / "a").stat().st_nlink == 2
    assert (at / "a").stat().st_ino == (at / "b").stat().st_ino
    kept(disc)


def test_no_stale_page_is_left_when_a_link_goes(at: Path) -> None:
    (at / "a").write_bytes(b"old " * 1000)
    assert (at / "a").read_bytes() == b"old " * 1000  # now in the page cache of "a"
    (at / "b").hardlink_to(at / "a")
    (at / "b").write_bytes(b"new " * 1000)
    (at / "b").unlink()
    assert (at / "a").read_bytes() == b"new " * 1000


def test_open_descriptors_of_linked_names_agree(at: Path) -> None:
    (at / "a").write_bytes(b"-" * 10_000)
    (at / "b").hardlink_to(at / "a")
    with (at / "a").open("r+b", buffering=0) as a, (at / "b").open("r+b", buffering=0) as b:
        a.write(b"from a")
        assert b.read(6) == b"from a"
        b.seek(5000)
        b.write(b"from b")
        assert os.pread(a.fileno(), 6, 5000) == b"from b"


def test_appending_through_both_names_loses_nothing(disc: Disc, at: Path) -> None:
    (at / "a").write_bytes(b"")
    (at / "b").hardlink_to(at / "a")
    with (at / "a").open("ab", buffering=0) as a, (at / "b").open("ab", buffering=0) as b:
        for number in range(20):
            (a if number % 2 else b).write(b"%02d " % number)
    assert (at / "a").read_bytes() == b"".join(b"%02d " % number for number in range(20))
    kept(disc)


def test_a_linked_file_can_be_mapped_for_reading(at: Path) -> None:
    (at / "a").write_bytes(b"x" * 5000)
    (at / "b").hardlink_to(at / "a")
    with (at / "b").open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
        assert mapped[:5000] == b"x" * 5000
        mapped.close()


# -- times, attributes ---------------------------------------------------------


def test_utimens_omit_and_now(disc: Disc, at: Path) -> None:
    path = at / "file"
    path.touch()
    os.utime(path, ns=(1_111_111_111_123_456_000, 1_222_222_222_654_321_000))
    begun = time.time_ns() - 10**9
    disc.shell("touch -a file")
    found = path.stat()
    assert found.st_atime_ns >= begun
    assert found.st_mtime_ns == 1_222_222_222_654_321_000
    disc.shell("touch -m -d @5 file")
    assert path.stat().st_mtime_ns == 5 * 10**9
    assert path.stat().st_atime_ns == found.st_atime_ns
    disc.shell("touch -m file")
    assert path.stat().st_mtime_ns >= begun
    kept(disc)


@pytest.mark.parametrize("nanoseconds", [1_073_741_822_000, 1_073_741_823_000, 1_073_741_000])
def test_a_time_that_looks_like_omit_is_a_time(at: Path, nanoseconds: int) -> None:
    (at / "file").touch()
    os.utime(at / "file", ns=(nanoseconds, nanoseconds))
    assert (at / "file").stat().st_mtime_ns == nanoseconds
    assert (at / "file").stat().st_atime_ns == nanoseconds


def test_blocks_are_counted_for_du(disc: Disc, at: Path) -> None:
    (at / "file").write_bytes(b"x" * 100_000)
    assert (at / "file").stat().st_blocks * 512 >= 100_000
    assert int(disc.shell("du -sk .").split()[0]) >= 98
    disc.remount()
    assert (at / "file").stat().st_blocks * 512 >= 100_000


def test_modes_are_kept_and_enforced(disc: Disc, at: Path) -> None:
    for mode in (0o000, 0o444, 0o640, 0o755, 0o4755, 0o2755, 0o1777):
        (at / f"{mode:o}").touch()
        (at / f"{mode:o}").chmod(mode)
        assert stat.S_IMODE((at / f"{mode:o}").stat().st_mode) == mode
    before = {path.name: path.stat().st_mode for path in at.iterdir()}
    disc.remount()
    assert {path.name: path.stat().st_mode for path in at.iterdir()} == before
    if os.getuid():
        with pytest.raises(PermissionError):
            (at / "0").read_bytes()
        with pytest.raises(PermissionError):
            (at / "444").write_bytes(b"")


@pytest.mark.skipif(why_not_root() is not None, reason=str(why_not_root()))
def test_owners_and_devices(disc: Disc, at: Path) -> None:
    (at / "file").touch()
    os.chown(at / "file", 1234, 5678)
    os.chown(at / "file", -1, 91011)
    os.mknod(at / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    os.mknod(at / "disk", stat.S_IFBLK | 0o600, os.makedev(8, 300))
    (at / "shared").mkdir()
    os.chown(at / "shared", 0, 4321)
    (at / "shared").chmod(0o2775)
    (at / "shared" / "inner").mkdir()
    (at / "shared" / "file").touch()
    assert ((at / "file").stat().st_uid, (at / "file").stat().st_gid) == (1234, 91011)
    assert (at / "disk").lstat().st_rdev == os.makedev(8, 300)
    assert (at / "shared" / "inner").stat().st_gid == 4321
    assert (at / "shared" / "inner").stat().st_mode & stat.S_ISGID
    assert (at / "shared" / "file").stat().st_gid == 4321
    kept(disc)


def test_files_belong_to_who_makes_them(at: Path) -> None:
    (at / "file").touch()
    (at / "directory").mkdir()
    (at / "link").symlink_to("file")
    for path in at.iterdir():
        assert (path.lstat().st_uid, path.lstat().st_gid) == (os.getuid(), os.getgid())


def test_special_files(disc: Disc, at: Path) -> None:
    os.mkfifo(at / "pipe")
    os.mknod(at / "socket", stat.S_IFSOCK | 0o600)
    (at / "dangling").symlink_to("/nowhere/at all")
    (at / "long").symlink_to("x" * 200 + "/../" + "y" * 200)
    (at / "up").symlink_to("../..")
    assert stat.S_ISFIFO((at / "pipe").stat().st_mode)
    assert stat.S_ISSOCK((at / "socket").stat().st_mode)
    kept(disc)


def test_extended_attributes_are_refused_once_and_for_all(at: Path) -> None:
    (at / "file").touch()
    for act in (
        lambda: os.setxattr(at / "file", "user.x", b"y"),
        lambda: os.getxattr(at / "file", "user.x"),
        lambda: os.listxattr(at / "file"),
    ):
        with pytest.raises(OSError) as caught:
            act()
        assert caught.value.errno == errno.ENOTSUP


# -- names ---------------------------------------------------------------------


def test_names_of_all_kinds(disc: Disc, at: Path) -> None:
    names = [
        "ä",
        "Überblick – 概要",
        "🎵 music",
        "a" * 254,
        "語" * 127,
        "con",
        "a:b?c*",
        " x ",
        "." * 3,
    ]
    for name in names:
        (at / name).write_text(name)
    assert listing(at) == sorted(names)
    disc.remount()
    assert listing(at) == sorted(names)
    assert all((at / name).read_text() == name for name in names)


def test_names_that_do_not_fit(at: Path) -> None:
    for name in ("a" * 255, "語" * 128, "a" * 253 + "é語"):
        with pytest.raises(OSError) as caught:
            (at / name).touch()
        assert caught.value.errno == errno.ENAMETOOLONG
    with pytest.raises(OSError) as caught:
        (at / os.fsdecode(b"\xff\xfe")).mkdir()
    assert caught.value.errno == errno.EINVAL
    assert listing(at) == []


def test_ten_thousand_names(disc: Disc, at: Path) -> None:
    names = {f"file number {number}" for number in range(10_000)}
    for name in names:
        os.close(os.open(at / name, os.O_CREAT | os.O_WRONLY))
    assert set(listing(at)) == names
    disc.remount()
    listed = {entry.name: entry.inode() for entry in os.scandir(at)}
    assert listed.keys() == names
    assert len(set(listed.values())) == 10_000
    assert int(disc.shell("ls -f | wc -l")) == 10_002


# -- files that are open and deleted -------------------------------------------


def test_an_open_deleted_file_lives_on_unseen(disc: Disc, at: Path) -> None:
    (at / "directory").mkdir()
    path = at / "directory" / "file"
    path.write_bytes(b"still here")
    with path.open("r+b", buffering=0) as file:
        path.unlink()
        assert listing(at / "directory") == []
        assert os.fstat(file.fileno()).st_nlink == 0
        assert file.read() == b"still here"
        file.write(b", and more")
        os.fchmod(file.fileno(), 0o600)
        file.truncate(15)
        os.fsync(file.fileno())
        (at / "directory").rename(at / "elsewhere")
        assert os.fstat(file.fileno()).st_size == 15
        (at / "elsewhere").rmdir()
        file.seek(0)
        assert file.read() == b"still here, and"
        assert listing(at) == []
    disc.remount()
    assert listing(at) == []


def test_a_file_renamed_over_an_open_one(disc: Disc, at: Path) -> None:
    (at / "old").write_text("old")
    (at / "new").write_text("new")
    with (at / "old").open() as file:
        (at / "new").rename(at / "old")
        assert (at / "old").read_text() == "new"
        assert file.read() == "old"
        assert listing(at) == ["old"]
    kept(disc)


def test_one_of_two_names_of_an_open_file_goes(disc: Disc, at: Path) -> None:
    (at / "a").write_text("both")
    (at / "b").hardlink_to(at / "a")
    with (at / "a").open() as file:
        (at / "a").unlink()
        assert listing(at) == ["b"]
        assert file.read() == "both"
        assert (at / "b").stat().st_nlink == 1
    assert (at / "b").read_text() == "both"
    kept(disc)


def test_the_names_of_hidden_files_are_free_for_others(disc: Disc, at: Path) -> None:
    (at / ".fuse_hidden0000000200000001").write_text("copied in from elsewhere")
    (at / "file").write_text("renamed by its owner")
    (at / "file").rename(at / ".fuse_hidden0000000300000002")
    assert len(listing(at)) == 2
    kept(disc)
    assert (at / ".fuse_hidden0000000300000002").read_text() == "renamed by its owner"
