"""The commands on rewritable discs: format, erase, info, close, unmount, mount."""

from __future__ import annotations

import os
import pty
import re
import subprocess

import pytest
from support.mounting import UDFFS, Disc

FUSE = pytest.mark.fuse


def refused(disc: Disc, code: int, *words: object, says: str) -> None:
    done = disc.udffs(*words, check=False)
    assert (done.returncode, says in done.stderr) == (code, True), done.stdout + done.stderr


def rewritable(disc: Disc, *words: object) -> None:
    disc.new("cd-rw-80")
    disc.udffs("format", disc.image, "--label", "Test", *words)


def on_a_terminal(disc: Disc, answer: str, *words: object) -> tuple[int, str]:
    """A command that asks, and what is typed: its exit code and all that it shows."""
    leader, follower = pty.openpty()
    try:
        os.write(leader, answer.encode() + b"\n")
        done = subprocess.run(
            [str(word) for word in (*UDFFS, *words)],
            env=disc.environment,
            cwd=disc.folder,
            stdin=follower,
            stdout=subprocess.PIPE,
            stderr=follower,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + os.read(leader, 65536).decode()
    finally:
        os.close(leader)
        os.close(follower)


# -- format --------------------------------------------------------------------


@pytest.mark.parametrize("media", ["cd-rw-74", "cd-rw-80", "mrw"])
def test_new_blank_discs(disc: Disc, media: str) -> None:
    disc.new(media)
    told = disc.json("info", disc.image)
    assert (told["disc"], told["status"], told["rewritable"]) == ("CD-RW", "blank", True)
    assert told["volume"] is None and "CD-RW, blank" in disc.udffs("drives").stdout


def test_format_says_what_there_will_be_before(disc: Disc) -> None:
    disc.new("cd-rw-80")
    done = disc.udffs("format", disc.image, "--label", "Again")
    first, second = done.stdout.splitlines()
    assert re.fullmatch(
        rf"Formatting the CD-RW in {re.escape(str(disc.image))} in fixed packets of 32 blocks: "
        r"it will hold 605 MB, and this takes about \d+ minutes\.",
        first,
    )
    assert 'the empty volume "Again" (UDF 2.01)' in second and done.stderr == ""


@pytest.mark.parametrize(
    ("media", "mode", "expected", "blocks"),
    [
        ("cd-rw-80", [], "packet", 295_264),
        ("cd-rw-74", ["--mode", "packet"], "packet", 276_160),
        ("cd-rw-80", ["--mode", "sequential"], "sequential", 359_697),
        ("mrw", [], "mrw", None),
        ("mrw", ["--mode", "packet"], "packet", 295_264),
    ],
)
def test_the_modes(
    disc: Disc, media: str, mode: list[str], expected: str, blocks: int | None
) -> None:
    disc.new(media)
    told = disc.json("format", disc.image, *mode)
    assert told["mode"] == expected and told["free_blocks"] > 270_000
    if blocks is not None:
        assert told["blocks"] == pytest.approx(blocks, abs=160)
    found = disc.json("info", disc.image)
    assert found["format"] == expected
    assert found["volume"]["kind"] == {"sequential": "vat", "packet": "sparable"}.get(
        expected, "plain"
    )


def test_formats_that_cannot_be(disc: Disc) -> None:
    disc.new("cd-r-80")
    refused(disc, 2, "format", disc.image, "--mode", "packet", says="a CD-R is written once")
    refused(disc, 2, "format", disc.image, "--mode", "mrw", says="a CD-R is written once")
    refused(disc, 2, "format", disc.image, "--full", says="no full format for a CD-R")
    refused(disc, 2, "format", disc.image, "--mode", "floppy", says="sequential")
    disc.image = disc.folder / "rewritable.img"
    disc.new("cd-rw-80")
    refused(disc, 2, "format", disc.image, "--mode", "mrw", says="does not know Mt. Rainier")
    refused(disc, 2, "format", disc.image, "--label", "x" * 127, says="label")
    assert disc.json("info", disc.image)["status"] == "blank"


def test_drives_and_load_tell_of_formatted_discs(disc: Disc) -> None:
    rewritable(disc)
    assert "CD-RW, formatted" in disc.udffs("drives").stdout
    assert "CD-RW, formatted" in disc.udffs("load", disc.image).stdout


def test_there_are_no_old_states(disc: Disc) -> None:
    rewritable(disc)
    refused(disc, 2, "mount", disc.image, disc.where, "--at", 300, says="keeps no old states")


def test_what_is_there_is_not_formatted_away(disc: Disc) -> None:
    disc.new("cd-rw-80")
    disc.udffs("format", disc.image, "--label", "Kept")
    refused(disc, 6, "format", disc.image, says='already, "Kept"; --force')
    refused(disc, 6, "format", disc.image, "--mode", "sequential", says="all that is on it is lost")
    assert disc.json("info", disc.image)["volume"]["label"] == "Kept"
    told = disc.json("format", disc.image, "--mode", "sequential", "--force", "--label", "New")
    assert told["mode"] == "sequential"
    assert disc.json("info", disc.image)["volume"]["label"] == "New"


def test_a_full_format_looks_at_the_surface(disc: Disc) -> None:
    disc.new("cd-rw-74")
    assert disc.json("format", disc.image, "--full")["bad_packets"] == []


# -- erase ---------------------------------------------------------------------


def test_erasing_needs_somebody_who_wants_it(disc: Disc) -> None:
    disc.new("cd-rw-80")
    disc.udffs("format", disc.image, "--label", "Dear")
    refused(disc, 16, "erase", disc.image, says="--yes erases without asking")
    code, said = on_a_terminal(disc, "dear", "erase", disc.image)
    assert code == 16 and 'that was not "Dear"' in said
    assert disc.json("info", disc.image)["volume"]["label"] == "Dear"
    code, said = on_a_terminal(disc, "Dear", "erase", disc.image)
    assert code == 0 and "is blank" in said and "lost for ever" in said
    assert disc.json("info", disc.image)["status"] == "blank"
    code, said = on_a_terminal(disc, "erase", "erase", disc.image, "--full")
    assert code == 0 and 'Type "erase"' in said and "every block" in said


def test_erasing_without_asking(disc: Disc) -> None:
    disc.new("cd-rw-80")
    disc.udffs("format", disc.image, "--label", "Gone")
    told = disc.json("erase", disc.image, "--yes")
    assert told == {"drive": str(disc.image), "disc": "CD-RW", "full": False, "label": "Gone"}
    assert disc.json("info", disc.image)["status"] == "blank"
    disc.udffs("format", disc.image)


def test_a_cd_r_is_not_erased(disc: Disc) -> None:
    disc.format()
    refused(disc, 2, "erase", disc.image, "--yes", says="what is written to such a disc stays")
    refused(disc, 3, "erase", disc.folder / "none.img", "--yes", says="no such drive")


@FUSE
def test_a_mounted_disc_is_not_erased(disc: Disc) -> None:
    rewritable(disc)
    disc.mount()
    refused(disc, 9, "erase", disc.image, "--yes", says=f"`udffs unmount {disc.where}` first")


# -- a mounted disc --------------------------------------------------------------


@FUSE
def test_a_whole_life_of_a_rewritable_disc(disc: Disc) -> None:
    disc.new("cd-rw-80")
    disc.mount("--format", "--label", "Life", "-o", "verify")
    (disc.where / "file").write_bytes(bytes(1_000_000))
    disc.udffs("sync", disc.where)
    full = disc.json("info", disc.where)
    assert full["format"] == "packet" and full["mounted"] == str(disc.where)
    assert full["packets_written"] > 0 and full["space"]["free"] > 280_000
    (disc.where / "file").unlink()
    disc.udffs("sync", disc.where)
    assert disc.json("info", disc.where)["space"]["free"] > full["space"]["free"] + 450
    (disc.where / "other").write_text("more")
    done = disc.udffs("unmount", disc.where)
    assert "The disc is safe" in done.stdout and "and closed" not in done.stdout
    assert "complete as it is" in done.stderr and "UDF 2.01 with sparing" in done.stderr
    told = disc.json("info", disc.image)
    assert told["volume"]["unclean"] is None and told["volume"]["sparing"]["left"] == 64
    assert told["most_rewritten"] is not None and told["most_rewritten"] < 10
    text = disc.udffs("info", disc.image).stdout
    for word in ("Format", "Wear", "Used", "Free", "Readable"):
        assert re.search(rf"^{word} ", text, re.MULTILINE), word
    assert "State" not in text and "64 of 64 spare packets" in text
    disc.mount("--format")  # there is something on it: it is only mounted
    assert (disc.where / "other").read_text() == "more"


@FUSE
def test_there_is_nothing_to_close(disc: Disc) -> None:
    rewritable(disc)
    assert "nothing to close: it is complete." in disc.udffs("close", disc.image).stdout
    assert disc.json("close", disc.image)["closed"] is False
    refused(disc, 2, "close", "--protect", disc.image, says="cannot be closed for good")
    disc.mount()
    assert f"once it is unmounted (`udffs unmount {disc.where}`)" in (
        disc.udffs("close", disc.where).stdout
    )
    refused(disc, 2, "close", "--protect", disc.where, says="cannot be closed for good")
    refused(disc, 2, "unmount", "--protect", disc.where, says="cannot be closed for good")
    (disc.where / "file").write_text("it is still there")
    told = disc.json("unmount", disc.where, "--close")
    assert (told["ending"], told["closable"], told["volume"]) == ("leave", False, "sparable")
    assert told["packets_written"] > 0 and told["drive_seconds"] > 0


@FUSE
def test_the_close_policy_is_for_discs_that_can_be_closed(disc: Disc) -> None:
    rewritable(disc)
    disc.set('close = "close"\nverify = true')
    disc.mount("-o", "noverify")
    (disc.where / "file").write_text("x")
    done = disc.udffs("unmount", disc.where)
    assert "complete as it is" in done.stderr


@FUSE
def test_nobody_is_asked_what_cannot_be(disc: Disc) -> None:
    rewritable(disc)
    disc.mount()
    code, said = on_a_terminal(disc, "", "unmount", disc.where)
    assert code == 0 and "What shall happen" not in said and "The disc is safe" in said


@FUSE
def test_a_disc_that_was_not_unmounted(disc: Disc) -> None:
    rewritable(disc)
    disc.mount()
    (disc.where / "file").write_text("saved")
    disc.udffs("sync", disc.where)
    disc.clean_up()
    told = disc.json("info", disc.image)
    assert "not unmounted cleanly" in told["volume"]["unclean"]
    assert "mount it once with udffs" in disc.udffs("info", disc.image).stdout
    done = disc.udffs("close", disc.image)
    assert "mount it once with udffs" in done.stderr
    disc.mount()
    assert (disc.where / "file").read_text() == "saved"
    disc.udffs("unmount", disc.where)
    assert disc.json("info", disc.image)["volume"]["unclean"] is None


@FUSE
def test_unsaved_data_is_told_before_its_disc_is_erased(disc: Disc) -> None:
    rewritable(disc)
    disc.mount()
    (disc.where / "file").write_text("not on the disc yet")
    disc.clean_up()
    done = disc.udffs("erase", disc.image, "--yes")
    assert f"unsaved data for this disc in {disc.spool}" in done.stderr
    assert "is blank" in done.stdout


@FUSE
def test_a_sequential_disc_that_takes_no_more(disc: Disc) -> None:
    rewritable(disc, "--mode", "sequential")
    disc.mount("-o", "verify")
    assert "nothing is verified" in disc.log
    (disc.where / "file").write_text("kept")
    disc.udffs("unmount", disc.where, "--protect")
    done = disc.udffs("mount", disc.image, disc.where)
    says = f"`udffs erase {disc.image}` and then `udffs format {disc.image}` make it new"
    assert says in done.stderr
    disc.unmount()
    assert says in disc.udffs("info", disc.image).stdout
    refused(disc, 6, "format", disc.image, "--mode", "sequential", says="--force")
    disc.udffs("format", disc.image, "--mode", "sequential", "--force")
    disc.mount()
    assert list(disc.where.iterdir()) == []
