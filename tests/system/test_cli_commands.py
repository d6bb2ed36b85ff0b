"""The commands at work: what they say, in words and in JSON, and what they do."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.mounting import MOUNT_UDFFS, Disc, is_running, tree, wait_until

from udffs.cli.app import COMMANDS
from udffs.cli.exitcodes import TABLE

FUSE = pytest.mark.fuse


# -- help ----------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(disc: Disc, command: str) -> None:
    text = disc.udffs(command, "--help").stdout
    assert f"udffs {command}" in text.partition("Example:")[2]
    assert "--json" in text


def test_help_is_fast_and_imports_little() -> None:
    code = (
        "import sys\nfrom udffs.cli.app import run\nrun(['--help'])\n"
        "print(sorted(set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stderr
    for heavy in ("construct", "rich", "fuse", "media", "platformdirs", "udffs.errors"):
        assert f"'{heavy}'" not in loaded, heavy
    for name, (_module, text) in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text)}$", done.stdout, re.MULTILINE)


def test_the_exit_codes_are_documented(disc: Disc) -> None:
    text = disc.udffs("--exit-codes").stdout
    for row in TABLE:
        assert re.search(rf"^ *{row.code}  {re.escape(row.meaning)}$", text, re.MULTILINE)


def test_the_version(disc: Disc) -> None:
    assert re.fullmatch(r"udffs, version \d+\.\d+.*\n", disc.udffs("--version").stdout)


# -- a disc from the first to the last command ---------------------------------


@FUSE
def test_a_whole_life(disc: Disc) -> None:
    assert "blank CD-R" in disc.udffs("new", disc.image).stdout
    assert "the disc is blank" in disc.udffs("info", disc.image).stdout
    assert "CD-R, blank" in disc.udffs("drives").stdout
    done = disc.udffs(
        "mount", disc.image, disc.where, "--format", "--label", "Life", "--udf", "1.50"
    )
    assert done.stdout == f'"Life" ({disc.image}) is mounted at {disc.where}.\n'
    assert (disc.where.stat().st_uid, disc.where.stat().st_gid) == (os.getuid(), os.getgid())
    (disc.where / "file").write_bytes(bytes(100_000))
    assert f"mounted at {disc.where}" in disc.udffs("drives").stdout
    text = disc.udffs("info", disc.where).stdout
    assert "UDF 1.50" in text and f"Mounted   {disc.where}" in text
    assert "is on the disc" in disc.udffs("sync", disc.image).stdout
    done = disc.udffs("unmount", disc.image, "--leave-open")
    assert "The disc is safe" in done.stdout and "left open" in done.stderr
    text = disc.udffs("info", disc.image).stdout
    assert "still open" in text and "1, in 1 directory" in text
    for word in ("Live", "Hidden", "Free", "Reserved", "Readable"):
        assert re.search(rf"^{word} ", text, re.MULTILINE), word
    assert "more can be added" in disc.udffs("close", disc.image).stdout
    assert "CD-R, appendable" in disc.udffs("drives").stdout
    disc.mount()
    (disc.where / "more").write_text("more")
    assert "closed for good" in disc.udffs("unmount", disc.where, "--protect").stdout
    assert "CD-R, complete" in disc.udffs("drives").stdout
    told = disc.json("info", disc.image)
    assert told["status"] == "closed" and told["volume"]["files"] == 2
    assert len(told["sessions"]) == 2


@FUSE
def test_reports_in_json(disc: Disc) -> None:
    told = disc.json("new", disc.image, "--media", "cd-r-74")
    assert told == {"drive": str(disc.image), "media": "cd-r-74"}
    told = disc.json("format", disc.image, "--label", "J")
    assert told["label"] == "J" and told["udf"] == "2.01" and told["free_blocks"] > 330_000
    told = disc.json("mount", disc.image, disc.where)
    assert told["where"] == str(disc.where) and told["read_only"] is None
    assert is_running(told["pid"])
    assert disc.json("sync", disc.where)["where"] == str(disc.where)
    told = disc.json("info", disc.where)
    assert told["mounted"] == str(disc.where) and told["blocks"] > told["space"]["free"] > 0
    [row] = disc.json("drives")["drives"]
    assert row["state"] == "mounted" and row["label"] == "J"
    assert disc.json("close", disc.where)["protected"] is False
    told = disc.json("unmount", disc.where, "--leave-open")
    assert told["ending"] == "leave" and told["drive"] == str(disc.image)
    assert disc.json("eject", disc.image)["ejected"] is True
    assert disc.json("load", disc.image)["disc"] == "CD-R"
    assert disc.json("drives")["drives"][0]["status"] == "appendable"


@FUSE
def test_the_default_place(disc: Disc) -> None:
    """~/Discs/LABEL, made for the mount and gone with it."""
    disc.new()
    other = disc.folder / "other.img"
    disc.udffs("new", other)
    place = disc.home / "Discs" / "My _disc"
    told = disc.json("mount", disc.image, "--format", "--label", "My /disc")
    assert told["where"] == str(place)
    told = disc.json("mount", other, "--format", "--label", "My /disc")
    assert told["where"] == f"{place}-2"
    (place / "file").write_text("one")
    (Path(f"{place}-2") / "file").write_text("two")
    disc.udffs("unmount", place, "--leave-open")
    disc.udffs("unmount", other, "--leave-open")
    assert list((disc.home / "Discs").iterdir()) == []
    assert disc.json("mount", disc.image)["where"] == str(place)
    assert (place / "file").read_text() == "one"
    disc.udffs("unmount", place, "--leave-open")


@FUSE
def test_an_old_state(disc: Disc) -> None:
    disc.format()
    disc.mount()
    (disc.where / "file").write_text("old")
    disc.unmount()
    at = disc.json("info", disc.image)["volume"]["vat_location"]
    disc.mount()
    (disc.where / "file").write_text("new")
    (disc.where / "other").touch()
    disc.unmount()
    done = disc.udffs("mount", disc.image, disc.where, "--at", at)
    assert "read only" in done.stdout
    assert [path.name for path in disc.where.iterdir()] == ["file"]
    assert (disc.where / "file").read_text() == "old"
    disc.unmount()
    disc.mount("-o", f"at={at},noatime,nofail,x-systemd.automount")
    assert (disc.where / "file").read_text() == "old"
    disc.unmount()
    disc.mount()
    assert (disc.where / "file").read_text() == "new"


@FUSE
def test_read_only_by_wish(disc: Disc) -> None:
    disc.format()
    disc.mount()
    (disc.where / "file").write_text("x")
    disc.unmount()
    before = disc.image.read_bytes()
    disc.mount("-o", "ro")
    with pytest.raises(OSError):
        (disc.where / "more").touch()
    disc.udffs("unmount", disc.where)
    assert disc.image.read_bytes() == before


# -- settings ------------------------------------------------------------------


@FUSE
def test_the_close_policy(disc: Disc) -> None:
    disc.format()
    disc.mount()
    disc.udffs("unmount", disc.where)  # "ask", with nobody to ask: left open
    assert disc.json("info", disc.image)["session_open"] is True
    disc.set(f'[drive."{disc.image}"]\nclose = "close"')
    disc.mount()
    assert "and closed" in disc.udffs("unmount", disc.where).stdout
    assert disc.json("info", disc.image)["session_open"] is False


@FUSE
def test_the_spool_is_where_the_settings_say(disc: Disc) -> None:
    disc.format()
    disc.settings.write_text('spool = "elsewhere"\n')
    disc.mount()
    (disc.where / "file").write_bytes(bytes(50_000))
    assert any((disc.folder / "elsewhere").rglob("*.log"))
    disc.unmount()


@FUSE
def test_commit_times(disc: Disc) -> None:
    disc.format()
    disc.set("commit_idle = 0.2")
    disc.mount()
    (disc.where / "file").write_text("soon on the disc")
    wait_until(lambda: disc.json("info", disc.where)["commits"] > 0, "it was committed")
    assert disc.json("info", disc.where)["unsaved_bytes"] == 0


def test_virtual_drives_of_the_settings(disc: Disc) -> None:
    disc.new()
    disc.set('virtual_drives = ["gone.img", "disc.img"]')
    rows = {row["drive"]: row for row in disc.json("drives")["drives"]}
    assert rows[str(disc.image)]["status"] == "blank"
    assert "no such drive" in rows[str(disc.folder / "gone.img")]["problem"]


# -- mount.udffs ---------------------------------------------------------------


@FUSE
def test_mount_udffs(disc: Disc) -> None:
    """As mount(8) calls it, with a line of fstab."""
    disc.format()
    options = "rw,nosuid,nodev,noauto,user,noatime,nofail,x-gvfs-show"
    done = disc.run([*MOUNT_UDFFS, disc.image, disc.where, "-o", options, "-n", "-v"])
    assert "is mounted at" in done.stdout
    (disc.where / "file").write_text("x")
    disc.unmount("--protect")
    done = disc.run([*MOUNT_UDFFS, disc.image, disc.where, "-o", "rw", "-t", "udffs"])
    assert "can only be read" in done.stderr
    assert list(tree(disc.where)) == ["file"]


@FUSE
@pytest.mark.parametrize(
    ("code", "words", "says"),
    [
        (1, ["DISC", "AT", "-o", "nonsense"], "no mount option nonsense"),
        (1, ["DISC"], "Missing argument"),
        (1, ["DISC", "AT", "-t", "ext4"], "ext4"),
        (32, ["DISC.missing", "AT"], "no such drive"),
        (32, ["DISC", "AT/missing"], "does not exist"),
        (0, ["DISC", "AT", "-s", "-f", "-o", "nonsense"], ""),
    ],
)
def test_mount_udffs_exit_codes(disc: Disc, code: int, words: list[str], says: str) -> None:
    disc.format()
    named = [w.replace("DISC", str(disc.image)).replace("AT", str(disc.where)) for w in words]
    done = disc.run([*MOUNT_UDFFS, *named], check=False)
    assert done.returncode == code and says in done.stderr
    assert not disc.mounted


def test_mount_udffs_without_libfuse(disc: Disc) -> None:
    disc.format()
    done = disc.run(
        [*MOUNT_UDFFS, disc.image, disc.where],
        check=False,
        env={"FUSE_LIBRARY_PATH": "/nowhere"},
    )
    assert done.returncode == 2 and "libfuse 2 is missing" in done.stderr


def test_mount_udffs_on_a_blank_disc(disc: Disc) -> None:
    disc.new()
    done = disc.run([*MOUNT_UDFFS, disc.image, disc.where], check=False)
    assert done.returncode == 32 and "blank" in done.stderr


# -- progress ------------------------------------------------------------------


@FUSE
def test_progress_is_for_terminals_only(disc: Disc) -> None:
    """On a terminal a bar with the time left; elsewhere not one escape code."""
    disc.format()
    disc.mount()
    done = disc.udffs("sync", disc.where)
    assert "\x1b" not in done.stdout + done.stderr and done.stderr == ""
    said, shown = disc.unmount_when_asked("close")
    assert "and closed" in said
    assert "What shall happen to the disc?" in shown
    assert json.loads(disc.udffs("info", disc.image, "--json").stdout)["session_open"] is False
