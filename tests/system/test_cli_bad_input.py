"""What bad input gets: a clear sentence and a documented exit code, and
nothing is lost. One test for each row of that table."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.mounting import UDFFS, Disc, tree, wait_until

FUSE = pytest.mark.fuse
FAULTY = Path(__file__).resolve().parents[1] / "support" / "faulty_mount.py"
BLOCK = 2048


def refused(disc: Disc, code: int, *words: object, says: str, **options: object) -> str:
    """The command ends with this code and one sentence that says this; with
    --json the same as JSON."""
    done = disc.udffs(*words, check=False, **options)
    assert done.returncode == code, done.stdout + done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.rstrip().splitlines()[-1].startswith(("udffs: ", "Error: "))
    return done.stderr


# -- drives and discs ----------------------------------------------------------


@pytest.mark.parametrize("command", ["info", "format", "mount", "eject", "load", "close"])
def test_no_such_drive(disc: Disc, command: str) -> None:
    refused(disc, 3, command, disc.folder / "nothing.img", says="There is no such drive")
    refused(disc, 3, command, "/dev/sr99", says="There is no such drive: /dev/sr99")
    refused(disc, 3, command, "/dev/null", says="/dev/null, which is no optical drive")


@pytest.mark.parametrize("command", ["info", "mount"])
def test_not_a_disc_image(disc: Disc, command: str) -> None:
    text = disc.folder / "text"
    text.write_text("no disc at all\n")
    zeros = disc.folder / "zeros"
    zeros.write_bytes(bytes(1_000_000))
    refused(disc, 4, "mount", text, says="text is not a disc image")
    refused(disc, 4, "mount", disc.folder, says="is not a disc image")
    refused(disc, 4, "mount", zeros, says="No UDF volume was found")
    refused(disc, 4, "format", text, says="is not a disc image")


def test_a_blank_disc_is_not_mounted(disc: Disc) -> None:
    disc.new()
    said = refused(disc, 5, "mount", disc.image, disc.where, says="The disc is blank")
    assert f"udffs format {disc.image}" in said
    assert disc.json("info", disc.image)["status"] == "blank"


@FUSE
def test_a_formatted_disc_is_not_formatted_again(disc: Disc) -> None:
    disc.format()
    disc.mount()
    (disc.where / "file").write_text("kept")
    refused(disc, 9, "format", disc.image, says="is mounted at")
    disc.unmount()
    refused(disc, 6, "format", disc.image, says="--force formats it again")
    disc.mount("--format")
    assert (disc.where / "file").read_text() == "kept"
    disc.unmount()
    disc.udffs("format", disc.image, "--force", "--label", "Again")
    assert disc.json("info", disc.image)["volume"]["label"] == "Again"
    disc.mount()
    assert tree(disc.where) == {}


@FUSE
def test_a_closed_disc_is_not_written_to(disc: Disc) -> None:
    disc.format()
    disc.mount()
    (disc.where / "file").write_text("kept")
    disc.unmount("--protect")
    before = disc.image.read_bytes()
    refused(disc, 7, "mount", "-o", "rw", disc.image, disc.where, says="the disc is closed")
    refused(disc, 7, "format", "--force", disc.image, says="closed")
    refused(disc, 7, "close", disc.image, says="closed")
    done = disc.udffs("mount", disc.image, disc.where)
    assert "to be read only: the disc is closed" in done.stdout
    assert (disc.where / "file").read_text() == "kept"
    disc.unmount()
    assert disc.image.read_bytes() == before


@FUSE
def test_an_image_without_its_state_is_read_only(disc: Disc) -> None:
    disc.format()
    disc.mount()
    (disc.where / "file").write_text("kept")
    disc.unmount()
    Path(f"{disc.image}.state").unlink()
    refused(disc, 7, "format", disc.image, says="without the state of a virtual disc")
    refused(disc, 7, "mount", "-o", "rw", disc.image, disc.where, says="read-only")
    done = disc.udffs("mount", disc.image, disc.where)
    assert "read only" in done.stdout
    assert (disc.where / "file").read_text() == "kept"


@FUSE
def test_a_full_disc(disc: Disc) -> None:
    """ENOSPC comes at the write; what was written, the commit and the close work."""
    disc.new("cd-r-74")
    disc.udffs("format", disc.image)
    disc.mount()
    space = os.statvfs(disc.where)
    (disc.where / "first").write_bytes(b"first")
    with (disc.where / "large").open("wb", buffering=0) as file:
        chunk = os.urandom(1 << 20)
        with pytest.raises(OSError) as caught:
            for _ in range(space.f_blocks * BLOCK // len(chunk)):
                file.write(chunk)
        assert caught.value.errno == errno.ENOSPC
        written = os.fstat(file.fileno()).st_size
        os.fsync(file.fileno())
    assert written > 0.97 * space.f_bavail * BLOCK
    (disc.where / "first").unlink()
    disc.unmount("--close")
    disc.mount()
    assert (disc.where / "large").stat().st_size == written
    assert [path.name for path in disc.where.iterdir()] == ["large"]


@FUSE
def test_a_disc_that_is_taken_out(disc: Disc) -> None:
    """The error reaches fsync and unmount; the spool is kept, its place is
    named, and the next mount puts everything on the disc."""
    disc.format()
    process = subprocess.Popen(
        [sys.executable, FAULTY, disc.folder / "fault", "mount", "-f", disc.image, disc.where],
        env=disc.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until(lambda: disc.mounted and bool(disc.entries()), "it is mounted")
        (disc.where / "durable").write_text("on the disc")
        disc.udffs("sync", disc.where)
        (disc.where / "late").write_text("in the spool only")
        (disc.folder / "fault").write_text("remove")
        wait_until(lambda: not (disc.folder / "fault").exists(), "the disc is out")
        with pytest.raises(OSError) as caught, (disc.where / "late").open("r+") as file:
            os.fsync(file.fileno())
        assert caught.value.errno == errno.ENOMEDIUM
        refused(disc, 10, "sync", disc.where, says="disc")
        said = refused(disc, 10, "unmount", disc.where, says="disc")
        assert str(disc.spool) in said + process.communicate()[1]
        assert process.returncode == 10
    finally:
        process.kill()
        process.wait()
    assert not disc.mounted
    disc.mount()
    assert (disc.where / "durable").read_text() == "on the disc"
    assert (disc.where / "late").read_text() == "in the spool only"


@FUSE
@pytest.mark.parametrize("lost", ["disc.img", "disc.img.state"])
def test_an_image_that_is_deleted_while_it_is_mounted(disc: Disc, lost: str) -> None:
    """What is written to a file without a name is gone with the process: that
    is not "on the disc"."""
    disc.format()
    disc.mount()
    (disc.where / "durable").write_text("on the disc")
    disc.udffs("sync", disc.where)
    (disc.where / "late").write_text("late")
    (disc.folder / lost).unlink()
    refused(disc, 12, "sync", disc.where, says="deleted or replaced")
    assert (disc.where / "durable").read_text() == "on the disc"  # it can still be saved
    assert (disc.where / "late").read_text() == "late"
    said = refused(disc, 12, "unmount", disc.where, says="deleted or replaced")
    assert f"in use. What is not on the disc is kept in {disc.spool}" in said


@FUSE
def test_a_copy_of_a_disc_is_not_mounted_beside_it(disc: Disc) -> None:
    disc.format()
    disc.mount()
    copy, other = disc.folder / "copy.img", disc.folder / "other"
    other.mkdir()
    for suffix in ("", ".state"):
        shutil.copy(f"{disc.image}{suffix}", f"{copy}{suffix}")
    refused(disc, 9, "mount", copy, other, says="a copy of a disc cannot be mounted beside it")
    disc.unmount()


@FUSE
def test_a_dead_mount_is_cleared_and_what_it_left_is_told(disc: Disc) -> None:
    disc.format()
    disc.mount()
    (disc.where / "late").write_text("in the spool only")
    os.kill(disc.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(disc), "it is dead")
    assert "unsaved data" in disc.udffs("info", disc.image).stderr
    said = refused(disc, 3, "unmount", disc.where, says="was cleared")
    assert "mount the disc again" in said
    assert not disc.mounted
    refused(disc, 3, "unmount", disc.where, says="is not mounted")
    done = disc.udffs("format", disc.image, "--force")
    assert "unsaved data" in done.stderr and str(disc.spool) in done.stderr
    assert list(disc.spool.rglob("*.log"))


def is_alive(disc: Disc) -> bool:
    return subprocess.run(["kill", "-0", str(disc.pid)], capture_output=True).returncode == 0


@FUSE
@pytest.mark.skipif(os.getuid() == 0, reason="root may write to anything")
def test_an_image_that_may_not_be_written(disc: Disc) -> None:
    disc.format()
    disc.image.chmod(0o400)
    refused(disc, 7, "mount", "-o", "rw", disc.image, disc.where, says="Permission denied")
    done = disc.udffs("mount", disc.image, disc.where)
    assert "Permission denied" in done.stderr and "read only" in done.stdout
    disc.unmount()
    disc.image.chmod(0)
    refused(disc, 15, "mount", disc.image, disc.where, says="Permission denied")


def test_no_runtime_directory_is_no_reason_to_warn(disc: Disc) -> None:
    disc.format()  # disc.environment has no XDG_RUNTIME_DIR
    done = disc.run([*UDFFS, "drives"], env={"UDFFS_RUNTIME_DIR": ""})
    assert done.stderr == ""


@FUSE
def test_a_last_commit_that_failed_unheard_is_told_later(disc: Disc) -> None:
    disc.format()
    process = subprocess.Popen(
        [sys.executable, FAULTY, disc.folder / "fault", "mount", "-f", disc.image, disc.where],
        env=disc.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: disc.mounted and bool(disc.entries()), "it is mounted")
        (disc.where / "late").write_text("in the spool only")
        (disc.folder / "fault").write_text("remove")
        wait_until(lambda: not (disc.folder / "fault").exists(), "the disc is out")
        disc.run(["fusermount", "-u", disc.where])
        assert process.wait(20) == 10
    finally:
        process.kill()
        process.wait()
    refused(disc, 10, "unmount", disc.image, says="disc")
    disc.mount()
    assert (disc.where / "late").read_text() == "in the spool only"


@FUSE
def test_recording_switched_off(disc: Disc) -> None:
    disc.format()
    disc.set(f'[drive."{disc.image}"]\nrecording = false')
    before = disc.image.read_bytes()
    for words in (["format", "--force"], ["close"], ["mount", "-o", "rw"], ["mount", "--format"]):
        said = refused(disc, 7, *words, disc.image, says="is switched off in the settings")
        assert str(disc.settings) in said
    done = disc.udffs("mount", disc.image, disc.where)
    assert "read only" in done.stdout and "switched off" in done.stderr
    with pytest.raises(OSError) as caught:
        (disc.where / "file").touch()
    assert caught.value.errno == errno.EROFS
    disc.unmount()
    assert disc.image.read_bytes() == before


@FUSE
def test_an_unreadable_last_vat(disc: Disc) -> None:
    """The one before is used, and that is said."""
    disc.format()
    disc.mount()
    (disc.where / "first").write_text("first")
    disc.remount()
    (disc.where / "second").write_text("second")
    disc.unmount()
    last = disc.image.stat().st_size // BLOCK
    with disc.image.open("r+b") as image:
        image.seek((last - 2) * BLOCK)
        image.write(bytes(2 * BLOCK))
    done = disc.udffs("mount", disc.image, disc.where)
    assert "VAT" in done.stderr
    assert [path.name for path in disc.where.iterdir()] == ["first"]
    (disc.where / "third").write_text("third")
    disc.remount()
    assert sorted(path.name for path in disc.where.iterdir()) == ["first", "third"]


# -- mount points --------------------------------------------------------------


@FUSE
def test_mount_points_that_cannot_be_used(disc: Disc) -> None:
    disc.format()
    full = disc.folder / "full"
    full.mkdir()
    (full / "file").touch()
    mount = ("mount", disc.image)
    refused(disc, 13, *mount, disc.folder / "nothing", says="does not exist")
    refused(disc, 13, *mount, full / "file", says="is not a directory")
    refused(disc, 13, *mount, full, says="is not empty")
    if os.getuid():
        (disc.folder / "closed").mkdir(mode=0o500)
        refused(disc, 13, *mount, disc.folder / "closed", says="you may not write to")
    disc.udffs(*mount, full, "-o", "nonempty")
    disc.udffs("unmount", full, "--leave-open")
    assert (full / "file").exists()


@FUSE
def test_a_mount_point_that_is_taken(disc: Disc) -> None:
    disc.format()
    disc.mount()
    other = disc.folder / "other.img"
    disc.udffs("new", other)
    refused(disc, 9, "mount", other, disc.where, "--format", says="is mounted at")
    refused(disc, 9, "mount", disc.image, disc.folder / "else", says="already")
    assert disc.mounted


def test_libfuse_is_missing(disc: Disc) -> None:
    """The package is named, and never apt's `fuse`."""
    disc.format()
    missing = {"FUSE_LIBRARY_PATH": "/nowhere/libfuse.so.2"}
    said = refused(
        disc, 14, "mount", disc.image, disc.where, says="libfuse 2 is missing", env=missing
    )
    assert "install" in said and "apt install fuse " not in said
    assert not disc.mounted and disc.entries() == []


# -- words ---------------------------------------------------------------------


@pytest.mark.parametrize("label", ["x" * 127, "語" * 64, "", "\n"])
def test_a_label_that_does_not_fit(disc: Disc, label: str) -> None:
    disc.new()
    refused(disc, 2, "format", disc.image, "--label", label, says="label")
    assert disc.json("info", disc.image)["status"] == "blank"


@pytest.mark.parametrize("label", ["x" * 126, "語" * 63, "🎵", "a/b", "-", "."])
def test_a_label_that_fits(disc: Disc, label: str) -> None:
    disc.new()
    disc.udffs("format", disc.image, f"--label={label}")
    assert disc.json("info", disc.image)["volume"]["label"] == label


def test_wrong_command_lines(disc: Disc) -> None:
    refused(disc, 2, "mount", says="Missing argument")
    refused(disc, 2, "nonsense", says="No such command")
    refused(disc, 2, "new", disc.image, "--media", "floppy", says="cd-r-80")
    disc.format("--no-bridge")
    refused(disc, 2, "mount", disc.image, disc.where, "-o", "ro,wrong", says="option wrong")
    refused(disc, 2, "mount", disc.image, disc.where, "-o", "at=x", says="no number")
    refused(disc, 2, "mount", disc.image, disc.where, "--at", "-1", says="--at")
    refused(disc, 4, "mount", disc.image, disc.where, "--at", "5", says="no VAT at block 5")


def test_wrong_settings(disc: Disc) -> None:
    disc.format()
    disc.set("clos = 1")
    said = refused(disc, 2, "mount", disc.image, says="clos is not a setting")
    assert str(disc.settings) in said
    disc.settings.write_text("close = [")
    refused(disc, 2, "drives", says=str(disc.settings))


def test_new_never_overwrites(disc: Disc) -> None:
    disc.new()
    refused(disc, 6, "new", disc.image, says="exists already")
    disc.image.unlink(missing_ok=True)
    refused(disc, 6, "new", disc.image, says="exists already")
    (disc.folder / "precious").write_text("precious")
    refused(disc, 6, "new", disc.folder / "precious", says="exists already")
    assert (disc.folder / "precious").read_text() == "precious"
    refused(disc, 15, "new", disc.folder / "no" / "where", says="No such file or directory")


def test_what_is_not_mounted(disc: Disc) -> None:
    disc.format()
    for command in ("unmount", "sync"):
        refused(disc, 3, command, disc.image, says="is not mounted")
        refused(disc, 3, command, disc.where, says="is not mounted")


def test_errors_in_json(disc: Disc) -> None:
    done = disc.udffs("mount", disc.folder / "nothing.img", "--json", check=False)
    told = json.loads(done.stdout)["error"]
    assert told["kind"] == "NoSuchDriveError"
    assert told["exit_code"] == done.returncode == 3
    assert "There is no such drive" in told["message"]


def test_others_get_into_the_runtime_directory(disc: Disc) -> None:
    disc.format()
    disc.runtime.mkdir(exist_ok=True)
    disc.runtime.chmod(0o755)
    refused(disc, 2, "mount", disc.image, says="must be a directory of yours alone")


@FUSE
def test_interrupted_while_waiting(disc: Disc) -> None:
    """Ctrl-C ends the command, leaves nothing mounted, and says so."""
    disc.format()
    disc.mount()
    waiting = subprocess.Popen(["sleep", "60"], cwd=disc.where)
    try:
        assert disc.udffs("unmount", disc.where, check=False).returncode == 9
    finally:
        waiting.kill()
        waiting.wait()
    process = subprocess.Popen(
        [*UDFFS, "mount", "-f", disc.folder / "nothing.img"],
        env=disc.environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.wait(20) == 3
    disc.unmount()
