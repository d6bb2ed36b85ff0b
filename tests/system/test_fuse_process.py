"""The process behind a mount: how it starts, what ends it, and that nothing is
lost whatever does."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.machine import find_program, why_no_program
from support.mounting import UDFFS, Disc, is_running, mounted_disc, tree, wait_until

pytestmark = pytest.mark.fuse


@pytest.fixture
def disc(tmp_path: Path) -> Iterator[Disc]:
    with mounted_disc(tmp_path) as disc:
        yield disc


def save_something(disc: Disc) -> dict[str, object]:
    (disc.where / "directory").mkdir()
    (disc.where / "directory" / "file").write_bytes(os.urandom(300_000))
    (disc.where / "small").write_text("unsaved until now")
    return dict(tree(disc.where))


def finish(pid: int) -> None:
    wait_until(lambda: not is_running(pid), "the process has finished")


def fusermount() -> str:
    path = find_program("fusermount")
    if path is None:
        pytest.skip(why_no_program("fusermount"))
    return str(path)


# -- every way to end a mount --------------------------------------------------


def test_plain_unmount_loses_nothing(disc: Disc) -> None:
    expected = save_something(disc)
    pid = disc.pid
    if os.getuid() == 0:
        disc.run(["umount", disc.where])
    else:
        disc.run([fusermount(), "-u", disc.where])
    finish(pid)
    assert disc.entries() == []
    disc.mount()
    assert tree(disc.where) == expected


def test_fusermount_loses_nothing(disc: Disc) -> None:
    expected = save_something(disc)
    pid = disc.pid
    disc.run([fusermount(), "-u", disc.where])
    finish(pid)
    disc.mount()
    assert tree(disc.where) == expected


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_commit_and_unmount(disc: Disc, number: signal.Signals) -> None:
    expected = save_something(disc)
    pid = disc.pid
    os.kill(pid, number)
    finish(pid)
    assert not disc.mounted
    assert not any(disc.spool.rglob("*.log")), "nothing is left to replay"
    disc.mount()
    assert tree(disc.where) == expected


def test_a_signal_while_a_file_is_open(disc: Disc) -> None:
    """What was written is safe, and who still writes gets an error, no success."""
    handle = os.open(disc.where / "open", os.O_CREAT | os.O_WRONLY)
    os.write(handle, b"written before")
    pid = disc.pid
    os.kill(pid, signal.SIGTERM)
    finish(pid)
    for act in (lambda: os.write(handle, b"written after"), lambda: os.close(handle)):
        with pytest.raises(OSError) as caught:
            act()
        assert caught.value.errno in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.EROFS)
    assert not disc.mounted
    disc.mount()
    assert (disc.where / "open").read_bytes() == b"written before"


def test_kill_9_loses_nothing_that_was_done(disc: Disc) -> None:
    expected = save_something(disc)
    with (disc.where / "directory" / "file").open("r+b") as file:
        file.seek(1000)
        file.write(b"changed in the middle")
    (disc.where / "small").rename(disc.where / "renamed")
    expected = dict(tree(disc.where))
    pid = disc.pid
    os.kill(pid, signal.SIGKILL)
    finish(pid)
    with pytest.raises(OSError) as caught:
        disc.where.stat()
    assert caught.value.errno in (errno.ENOTCONN, errno.ECONNABORTED)
    done = disc.udffs("mount", disc.image, disc.where)
    assert "dead mount" in done.stderr and "taken over" in done.stderr
    assert tree(disc.where) == expected
    disc.remount()
    assert tree(disc.where) == expected


def test_kill_9_in_the_middle_of_a_copy(disc: Disc, tmp_path: Path) -> None:
    """What was durable is there, and nothing is there that was never written."""
    source = os.urandom(1 << 20)
    handle = os.open(disc.where / "durable", os.O_CREAT | os.O_WRONLY)
    os.write(handle, source)
    os.fsync(handle)
    os.close(handle)
    copy = subprocess.Popen(
        ["sh", "-c", "while cat /dev/zero | head -c 3000000; do :; done > growing"],
        cwd=disc.where,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(0.5)
    pid = disc.pid
    os.kill(pid, signal.SIGKILL)
    finish(pid)
    copy.kill()
    copy.wait()
    disc.mount()
    assert (disc.where / "durable").read_bytes() == source
    assert (disc.where / "growing").read_bytes().strip(b"\0") == b""


def test_an_unmount_that_is_busy_changes_nothing(disc: Disc) -> None:
    with (disc.where / "open").open("w") as file:
        done = disc.udffs("unmount", disc.where, check=False)
        assert done.returncode == 9
        assert "in use by" in done.stderr and str(os.getpid()) in done.stderr
        file.write("still works")
    assert (disc.where / "open").read_text() == "still works"
    disc.unmount()


def test_unmount_returns_when_the_drive_is_free(disc: Disc) -> None:
    (disc.where / "large").write_bytes(os.urandom(30_000_000))
    pid = disc.pid
    disc.udffs("unmount", disc.image, "--leave-open")
    assert not is_running(pid)
    assert not disc.mounted and disc.entries() == []
    disc.mount()


# -- one process a drive -------------------------------------------------------


def test_the_next_mount_waits_for_the_last(disc: Disc) -> None:
    """After a plain umount the drive stays held until all is on the disc."""
    (disc.where / "large").write_bytes(os.urandom(40_000_000))
    pid = disc.pid
    os.kill(pid, signal.SIGSTOP)  # so that the last commit takes its time
    unmounting = subprocess.Popen([fusermount(), "-u", disc.where], stderr=subprocess.DEVNULL)
    wait_until(lambda: not disc.mounted, "the mount point is free")
    mounting = subprocess.Popen(
        [*UDFFS, "mount", disc.image, disc.where],
        env=disc.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    os.kill(pid, signal.SIGCONT)
    output = mounting.communicate()[0]
    unmounting.wait()
    assert mounting.returncode == 0, output
    assert not is_running(pid)
    assert (disc.where / "large").stat().st_size == 40_000_000


def test_a_mounted_drive_is_not_mounted_twice(disc: Disc) -> None:
    other = disc.folder / "other"
    other.mkdir()
    done = disc.udffs("mount", disc.image, other, check=False)
    assert done.returncode == 9
    assert f"is mounted at {disc.where} already" in done.stderr


def test_two_mounts_at_once(tmp_path: Path) -> None:
    """Of two that start together, one gets the drive, the other a clear word."""
    disc = Disc(tmp_path)
    places = [disc.folder / "one", disc.folder / "two"]
    try:
        disc.format()
        for place in places:
            place.mkdir()
        started = [
            subprocess.Popen(
                [*UDFFS, "mount", disc.image, place],
                env=disc.environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for place in places
        ]
        said = [process.communicate()[1] for process in started]
        assert sorted(process.returncode for process in started) == [0, 9], said
        disc.udffs("unmount", disc.image, "--leave-open")
    finally:
        disc.clean_up()


def test_another_user_of_the_image_is_refused(disc: Disc) -> None:
    """Also one that knows nothing of the registry of mounts."""
    code = (
        "import sys; from media import discovery\n"
        "try:\n"
        "    discovery.open_block_store(sys.argv[1])\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    done = disc.run([sys.executable, "-c", code, disc.image])
    assert "DriveBusyError" in done.stdout and str(disc.pid) in done.stdout
    elsewhere = {"UDFFS_RUNTIME_DIR": str(disc.folder / "other-run")}
    for command in (["format", "--force"], ["mount"], ["close"]):
        told = disc.udffs(*command, disc.image, check=False, env=elsewhere)
        assert told.returncode == 9 and str(disc.pid) in told.stderr


# -- foreground ----------------------------------------------------------------


def test_in_the_foreground(tmp_path: Path) -> None:
    disc = Disc(tmp_path)
    try:
        disc.format()
        process = subprocess.Popen(
            [*UDFFS, "mount", "-f", disc.image, disc.where],
            env=disc.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert "is mounted at" in process.stdout.readline()
        assert disc.pid == process.pid
        (disc.where / "file").write_text("saved")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        disc.mount()
        assert (disc.where / "file").read_text() == "saved"
    finally:
        disc.clean_up()


# -- the commands on a mount ---------------------------------------------------


def test_sync_makes_everything_durable(disc: Disc) -> None:
    save_something(disc)
    assert disc.json("info", disc.image)["unsaved_bytes"] > 0
    assert "is on the disc" in disc.udffs("sync", disc.image).stdout
    assert disc.json("info", disc.where)["unsaved_bytes"] == 0
    expected = tree(disc.where)
    os.kill(disc.pid, signal.SIGKILL)
    for path in disc.spool.rglob("*"):
        if path.is_file():
            path.unlink()  # nothing but the disc itself
    disc.mount()
    assert tree(disc.where) == expected


def test_close_leaves_it_mounted_and_read_only(disc: Disc) -> None:
    save_something(disc)
    expected = tree(disc.where)
    assert "is closed" in disc.udffs("close", disc.where).stdout
    assert tree(disc.where) == expected
    with pytest.raises(OSError) as caught:
        (disc.where / "more").touch()
    assert caught.value.errno == errno.EROFS
    disc.unmount()
    disc.mount()  # in a new session
    (disc.where / "more").write_text("in the second session")
    more = tree(disc.where)
    disc.udffs("unmount", disc.where, "--protect")
    disc.mount()
    assert tree(disc.where) == more
    with pytest.raises(OSError) as caught:
        (disc.where / "x").touch()
    assert caught.value.errno == errno.EROFS


def test_unmount_and_eject(disc: Disc) -> None:
    save_something(disc)
    expected = tree(disc.where)
    done = disc.udffs("unmount", disc.where, "--leave-open", "--eject")
    assert "tray is open" in done.stdout
    assert "left open" in done.stderr
    disc.udffs("mount", "--load", disc.image, disc.where)
    assert tree(disc.where) == expected
    disc.udffs("eject", disc.where)
    assert not disc.mounted
    assert "There is a disc" in disc.udffs("load", disc.image).stdout
    disc.mount()


def test_only_the_owner_is_heard(disc: Disc) -> None:
    if os.getuid() != 0 or find_program("setpriv") is None:
        pytest.skip("this user is not root, or setpriv is not installed")
    sockets = list(disc.runtime.glob("*.sock"))
    assert [path.stat().st_mode & 0o777 for path in sockets] == [0o600]
    assert disc.runtime.stat().st_mode & 0o777 == 0o700


def test_the_settings_decide_what_a_plain_umount_does(disc: Disc) -> None:
    disc.unmount()
    disc.set('close = "close"')
    disc.mount()
    save_something(disc)
    pid = disc.pid
    disc.run([fusermount(), "-u", disc.where])
    finish(pid)
    assert disc.json("info", disc.image)["session_open"] is False


def test_commands_wait_for_a_mount_that_is_finishing(disc: Disc) -> None:
    """And what was asked for too late is done all the same."""
    (disc.where / "file").write_bytes(os.urandom(3_000_000))
    pid = disc.pid
    os.kill(pid, signal.SIGSTOP)
    unmounting = subprocess.Popen([fusermount(), "-u", disc.where], stderr=subprocess.DEVNULL)
    wait_until(lambda: not disc.mounted, "the mount point is free")
    closing = subprocess.Popen(
        [*UDFFS, "unmount", disc.where, "--close"],
        env=disc.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    time.sleep(0.3)
    os.kill(pid, signal.SIGCONT)
    output = closing.communicate()[0]
    unmounting.wait()
    assert closing.returncode == 0 and "and closed" in output, output
    assert disc.json("info", disc.image)["session_open"] is False
