"""What closing costs and leaves, what fits, and how a disc is left: each command on a
virtual disc, held against what the disc says afterwards."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest
from support.mounting import Disc

FUSE = pytest.mark.fuse
BLOCK = 2048


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A tree of everything: small, large and sparse files, links, names of one file."""
    folder = tmp_path / "files"
    for number in range(12):
        inner = folder / f"folder {number % 3}" / "inner"
        inner.mkdir(parents=True, exist_ok=True)
        (inner / f"small {number}").write_bytes(os.urandom(100 * number))
        (inner / f"large {number}").write_bytes(os.urandom(40_000 * number + 1))
    os.link(folder / "folder 0" / "inner" / "large 3", folder / "again")
    (folder / "link").symlink_to("again")
    with (folder / "sparse").open("wb") as sparse:
        sparse.truncate(3_000_000)
        sparse.seek(1_000_000)
        sparse.write(b"x" * 10_000)
    return folder


def copy(disc: Disc, files: Path) -> None:
    disc.run(["cp", "-a", "--sparse=always", files, disc.where])
    disc.udffs("sync", disc.where)


def free(disc: Disc) -> int:
    return os.statvfs(disc.where).f_bavail


# -- fits --------------------------------------------------------------------------


@FUSE
@pytest.mark.parametrize("bridge", ["--bridge", "--no-bridge"])
def test_a_copy_needs_what_was_said_and_not_much_less(disc: Disc, files: Path, bridge: str) -> None:
    disc.format(bridge)
    unmounted = disc.json("fits", disc.image, files)
    disc.mount()
    told = disc.json("fits", disc.where, files)
    assert {**told, "drive": ""} == {**unmounted, "drive": ""}
    before = free(disc)
    assert told["fits"] and told["blocks_free"] == before
    assert (told["files"], told["directories"]) == (12 * 2 + 2, 7)
    copy(disc, files)
    used = before - free(disc)
    said = told["blocks_needed"] + told["blocks_kept_for_closing"]
    assert used <= said <= used * 1.1 + 60
    assert told["blocks_left"] <= free(disc)


@FUSE
def test_a_copy_on_a_rewritable_disc(disc: Disc, files: Path) -> None:
    disc.new("cd-rw-74")
    disc.udffs("format", disc.image)
    disc.mount()
    before = free(disc)
    told = disc.json("fits", disc.image, files)
    assert told["blocks_free"] == before and told["blocks_kept_for_closing"] == 0
    copy(disc, files)
    assert before - free(disc) <= told["blocks_needed"] + 32


@pytest.mark.parametrize("media", ["cd-r-80", "cd-rw-74", "mrw"])
def test_what_fits_on_a_blank_disc_is_what_fits_once_it_is_formatted(
    disc: Disc, files: Path, media: str
) -> None:
    disc.new(media)
    blank = disc.json("fits", disc.image, files)
    disc.udffs("format", disc.image)
    formatted = disc.json("fits", disc.image, files)
    assert blank["blank"] and not formatted["blank"]
    assert blank["blocks_needed"] == formatted["blocks_needed"]
    assert 0 <= formatted["blocks_left"] - blank["blocks_left"] <= 100


def test_what_does_not_fit_ends_with_8_and_says_what_is_missing(disc: Disc) -> None:
    disc.format()
    with (disc.folder / "holes").open("wb") as holes:
        holes.truncate(800_000_000)
    (disc.folder / "link").symlink_to("full")  # a link is copied as a link
    told = disc.json("fits", disc.image, disc.folder / "holes", disc.folder / "link")
    assert told["fits"]
    with (disc.folder / "full").open("wb") as full:
        os.posix_fallocate(full.fileno(), 0, told["blocks_free"] * BLOCK)
    done = disc.udffs("fits", disc.image, disc.folder / "full", check=False)
    assert done.returncode == 8 and "are missing" in done.stdout and done.stderr == ""
    done = disc.udffs("fits", disc.image, disc.folder / "full", "--json", check=False)
    assert done.returncode == 8 and '"fits": false' in done.stdout
    (disc.folder / "full").unlink()


@FUSE
def test_what_just_fits_can_be_copied_and_the_disc_closed(disc: Disc) -> None:
    disc.new("cd-r-74")
    disc.udffs("format", disc.image)
    disc.mount()
    room = free(disc)
    large = disc.folder / "large"
    with large.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, (room - 1000) * BLOCK)
    told = disc.json("fits", disc.where, large)
    assert told["fits"] and told["blocks_left"] < 1000
    disc.run(["cp", "--sparse=never", large, disc.where])
    disc.udffs("sync", disc.where)
    assert free(disc) >= told["blocks_left"]
    assert "is closed" in disc.udffs("close", disc.where).stdout
    large.unlink()


def test_a_disc_that_takes_no_more(disc: Disc, files: Path) -> None:
    disc.format()
    disc.udffs("close", disc.image, "--protect")
    done = disc.udffs("fits", disc.image, files, check=False)
    assert done.returncode == 7 and "closed" in done.stderr


# -- close -------------------------------------------------------------------------


@FUSE
def test_closing_takes_no_more_than_was_said_and_leaves_as_much(disc: Disc, files: Path) -> None:
    disc.format("--bridge")
    disc.mount()
    copy(disc, files)
    mounted = disc.json("close", disc.where, "--dry-run")["closing"]
    disc.unmount()
    before = disc.image.stat().st_size
    unmounted = disc.json("close", disc.image, "--dry-run")["closing"]
    assert disc.image.stat().st_size == before  # nothing was written
    assert mounted == unmounted and mounted["next_session"] and mounted["bridge_blocks"] > 0
    disc.udffs("close", disc.image)
    assert disc.image.stat().st_size - before <= unmounted["blocks"] * BLOCK
    left = disc.json("info", disc.image)["space"]["free"]
    assert unmounted["free_after"] <= left <= unmounted["free_after"] + 2000
    told = disc.json("close", disc.image, "--dry-run")
    assert told["closing"] is None


def test_a_dry_run_changes_nothing_and_speaks_plainly(disc: Disc) -> None:
    disc.format("--bridge")
    said = disc.udffs("close", disc.image, "--dry-run").stdout
    assert said.startswith("Closing takes ") and "for the ISO 9660 view and the final" in said
    assert "between this session and the next" in said and "are left for another" in said
    assert disc.json("info", disc.image)["session_open"] is True
    disc.udffs("close", disc.image)
    assert "closed already" in disc.udffs("close", disc.image, "--dry-run").stdout


def test_a_dry_run_on_a_disc_in_packets(disc: Disc) -> None:
    disc.new("cd-rw-74")
    disc.udffs("format", disc.image)
    said = disc.udffs("close", disc.image, "--dry-run").stdout
    assert "nothing to close: it is complete whenever it is unmounted" in said
    done = disc.udffs("close", disc.image, "--bridge", check=False)
    assert done.returncode == 2 and "has no ISO 9660 view (--bridge)" in done.stderr


@FUSE
def test_a_bridge_for_a_disc_that_was_formatted_without_one(disc: Disc) -> None:
    disc.format("--no-bridge")
    disc.mount()
    (disc.where / "file").write_text("kept")
    disc.unmount()
    assert disc.json("info", disc.image)["bridge"] is False
    before = disc.image.stat().st_size
    plain = disc.json("close", disc.image, "--dry-run")["closing"]
    said = disc.json("close", disc.image, "--dry-run", "--bridge")["closing"]
    assert said["blocks"] > plain["blocks"] + plain["blocks_between_sessions"]
    disc.udffs("close", disc.image, "--bridge")
    assert disc.image.stat().st_size - before <= said["blocks"] * BLOCK
    told = disc.json("info", disc.image)
    assert said["free_after"] <= told["space"]["free"] <= said["free_after"] + 2000
    assert told["bridge"] is True and len(told["sessions"]) == 2
    assert "`udffs export`" in disc.udffs("info", disc.image).stdout
    disc.mount()
    assert (disc.where / "file").read_text() == "kept"


@FUSE
@pytest.mark.parametrize("how", ["close", "unmount"])
def test_names_that_the_view_cannot_hold_are_told(disc: Disc, how: str) -> None:
    disc.format("--bridge")
    disc.mount()
    (disc.where / ("long " * 30)).write_text("x")
    words = ["close", disc.where] if how == "close" else ["unmount", disc.where, "--close"]
    done = disc.udffs(*words)
    assert "Note: " in done.stderr and "Joliet" in done.stderr


# -- format and mount ----------------------------------------------------------------


def test_who_decides_about_the_bridge(disc: Disc) -> None:
    disc.new()
    assert disc.json("format", disc.image)["bridge"] is True
    disc.set("bridge = false")
    assert disc.json("format", disc.image, "--force")["bridge"] is False
    assert disc.json("format", disc.image, "--force", "--bridge")["bridge"] is True
    disc.set(f'bridge = false\n[drive."{disc.image}"]\nbridge = true')
    assert disc.json("format", disc.image, "--force")["bridge"] is True
    assert disc.json("info", disc.image)["bridge"] is True


@FUSE
def test_a_mount_that_formats_has_the_choice_too(disc: Disc) -> None:
    disc.new()
    disc.mount("--format", "--no-bridge")
    assert disc.json("info", disc.where)["bridge"] is False
    disc.unmount()
    other = disc.folder / "other.img"
    disc.udffs("new", other)
    disc.udffs("mount", other, disc.where, "-o", "format,bridge")
    told = disc.json("info", disc.where)
    assert told["bridge"] is True and told["closing"]["bridge_blocks"] > 0
    disc.udffs("unmount", disc.where, "--leave-open")


def test_a_disc_in_packets_with_a_bridge_is_refused(disc: Disc) -> None:
    disc.new("cd-rw-74")
    for words in (
        ["format", disc.image, "--bridge"],
        ["mount", disc.image, disc.where, "--format", "--bridge"],
    ):
        done = disc.udffs(*words, check=False)
        assert done.returncode == 2 and "has no ISO 9660 view" in done.stderr, words
    assert disc.json("format", disc.image, "--mode", "sequential", "--bridge")["bridge"] is True


# -- unmount -----------------------------------------------------------------------


def sessions_open(disc: Disc) -> Any:
    told = disc.json("info", disc.image)
    return told["status"], told["session_open"]


@FUSE
@pytest.mark.parametrize(
    ("policy", "left"),
    [
        ("leave", ("appendable", True)),
        ("close", ("appendable", False)),
        ("protect", ("closed", False)),
    ],
)
def test_the_policy_of_a_drive(disc: Disc, policy: str, left: tuple[str, bool]) -> None:
    disc.format()
    disc.set(f'close = "ask"\n[drive."{disc.image}"]\nclose = "{policy}"')
    disc.mount()
    disc.udffs("unmount", disc.where)
    assert sessions_open(disc) == left


@FUSE
def test_a_policy_gives_way_to_what_a_disc_can_do(disc: Disc) -> None:
    """A disc in packets has nothing to close; only who insists is refused."""
    disc.new("cd-rw-74")
    disc.udffs("format", disc.image)
    disc.set('close = "protect"')
    disc.mount()
    done = disc.udffs("unmount", disc.where, "--protect", check=False)
    assert done.returncode == 2 and disc.mounted
    assert "complete as it is" in disc.udffs("unmount", disc.where).stderr


@FUSE
@pytest.mark.parametrize(
    ("bridge", "where"), [("--bridge", "on Linux, in the drive"), ("--no-bridge", "here, and on")]
)
def test_a_disc_left_open_says_where_it_can_be_read(disc: Disc, bridge: str, where: str) -> None:
    disc.format(bridge)
    disc.mount()
    said = disc.udffs("unmount", disc.where, "--leave-open").stderr
    assert f"it can be read {where}" in said and len(said.splitlines()) == 1


@FUSE
def test_who_is_asked_sees_what_each_choice_costs(disc: Disc) -> None:
    disc.format("--bridge")
    disc.mount()
    shown = " ".join(disc.unmount_when_asked("leave")[1].split())
    assert "leave it open: costs nothing" in shown and "any computer reads it; costs " in shown
    assert "are left for more" in shown and "nothing can be added any more" in shown
    assert sessions_open(disc) == ("appendable", True)


# -- a close that was broken off -------------------------------------------------------


def break_off_a_close(disc: Disc) -> None:
    """The disc is closed up to its last step: the drive fails as it ends the session."""
    code = (
        "import sys\n"
        "from media.errors import DriveFailedError\n"
        "from media.sequential import SequentialStore\n"
        "from udffs.cli.app import run\n"
        "def fail(*_, **__):\n"
        "    raise DriveFailedError(name='it', why='the power is gone')\n"
        "SequentialStore.close_session = fail\n"
        "raise SystemExit(run(['close', sys.argv[1]]))\n"
    )
    done = disc.run([sys.executable, "-c", code, disc.image], check=False)
    assert done.returncode == 12 and "the power is gone" in done.stderr


@FUSE
@pytest.mark.parametrize("how", ["close", "mount"])
def test_a_close_that_was_broken_off_is_told_and_completed(disc: Disc, how: str) -> None:
    disc.format("--bridge")
    disc.mount()
    (disc.where / "file").write_text("kept")
    disc.unmount()
    break_off_a_close(disc)
    assert disc.json("info", disc.image)["close_begun"] is True
    assert "broken off" in disc.udffs("info", disc.image).stdout
    if how == "close":
        assert "is closed" in disc.udffs("close", disc.image).stdout
    else:
        assert "has been completed" in disc.udffs("mount", disc.image, disc.where).stderr
        disc.unmount()
    told = disc.json("info", disc.image)
    assert (told["close_begun"], told["session_open"], told["bridge"]) == (False, False, True)
    disc.mount()
    assert (disc.where / "file").read_text() == "kept"


# -- discs that are closed already -----------------------------------------------------


@FUSE
def test_closing_once_more_costs_no_session(disc: Disc) -> None:
    disc.format()
    disc.udffs("close", disc.image)
    closed = disc.image.stat().st_size
    assert "nothing to close: it is closed already" in disc.udffs("close", disc.image).stdout
    disc.set('close = "close"')
    disc.mount()
    assert disc.json("close", disc.where)["closed"] is False
    done = disc.udffs("unmount", disc.where)
    assert "and closed" in done.stdout and "left open" not in done.stderr
    assert disc.image.stat().st_size == closed
    disc.mount()
    (disc.where / "more").write_text("in a second session")
    disc.udffs("unmount", disc.where)
    assert len(disc.json("info", disc.image)["sessions"]) == 2
    disc.udffs("close", disc.image, "--protect")
    assert disc.json("info", disc.image)["status"] == "closed"


@FUSE
def test_a_disc_that_is_only_read_is_not_closed_and_that_is_said(disc: Disc) -> None:
    disc.format()
    disc.mount("-o", "ro")
    done = disc.udffs("unmount", disc.where, "--protect")
    assert "not closed for good, because it was mounted read-only" in done.stderr
    assert "closed" not in done.stdout
    assert sessions_open(disc) == ("appendable", True)


def test_protecting_completes_a_close_first(disc: Disc) -> None:
    disc.format("--bridge")
    break_off_a_close(disc)
    assert "for good" in disc.udffs("close", disc.image, "--protect").stdout
    assert disc.json("info", disc.image)["status"] == "closed"
