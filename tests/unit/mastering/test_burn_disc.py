"""`udffs burn`: what goes on the disc, what is refused, and what stays staged."""

from __future__ import annotations

import pytest
from support.iso_views import compare, expected

from udffs.cli import burning
from udffs.errors import StagingBusyError
from udffs.mastering.sources import HostContent

from .burn_bench import Bench, below, view

BLANK = ("blank", "empty", 1)
MORE = ("appendable", "empty", 2)

READ = HostContent.read


def test_what_is_staged_goes_on_the_disc(bench: Bench) -> None:
    tree = bench.tree()
    bench.blank()
    bench.ok("stage", "add", tree)
    bench.ok("stage", "add", tree / "one", "--to", "tree/sub/copies", "--copy")
    (bench.area.folder / "tree" / ".saved").write_bytes(b"by a program")
    out = bench.ok("burn", bench.disc, "--label", "Everything")
    assert 'now holds "Everything", 7 files, ' in out and "All of it was read back" in out
    assert bench.status() == MORE
    (tree / "sub" / "copies").mkdir()
    (tree / "sub" / "copies" / "one").write_bytes((tree / "one").read_bytes())
    (tree / ".saved").write_bytes(b"by a program")
    contents = {name: each.sha256 for name, each in below("tree", view(bench.disc)).items()}
    assert contents == {name: each.sha256 for name, each in expected(tree).items()}
    # It is not staged any more, and the copies are gone; what was referred to is not.
    assert bench.staged() == [] and list(bench.area.folder.iterdir()) == []
    assert (tree / "one").exists()


def test_paths_are_burnt_without_what_is_staged(bench: Bench) -> None:
    tree = bench.tree()
    bench.blank()
    bench.ok("stage", "add", tree / "one")
    bench.ok("burn", bench.disc, tree / "sub", tree / ".hidden")
    names = {name.split("/")[0] for name in view(bench.disc)}
    assert names == {"sub", ".hidden"} and bench.staged() == ["one"]


def test_a_dot_means_what_is_in_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = bench.tree()
    monkeypatch.chdir(tree / "sub")
    for number, words in enumerate([["."], [f"{tree}/sub/."]]):
        image = bench.folder / f"{number}.iso"
        bench.ok("burn", "--image", image, *words)
        compare(view(image), expected(tree / "sub"), "pycdlib")


@pytest.mark.parametrize("mode", ["tao", "sao"])
@pytest.mark.parametrize("kind", ["cd-r-74", "cd-rw-80"])
def test_each_mode_on_each_disc(bench: Bench, mode: str, kind: str) -> None:
    tree = bench.tree(size=400_000)
    bench.blank(kind)
    told = bench.json("burn", bench.disc, tree, f"--{mode}", "--close", "--speed", "8")
    assert (told["mode"], told["closed"], told["left"]) == (mode, True, 0)
    assert bench.status() == ("complete", "complete", 1)
    compare(below("tree", view(bench.disc)), expected(tree), "pycdlib")
    assert bench.udffs("burn", bench.disc, tree) == 7
    assert ("udffs erase" in bench.err) is (kind == "cd-rw-80")


def test_the_mode_and_the_rest_come_from_the_settings(bench: Bench) -> None:
    tree = bench.tree()
    bench.blank()
    with (bench.folder / "settings.toml").open("a") as file:
        file.write('burn_mode = "sao"\nburn_verify = "none"\n')
        file.write("eject_after = true\nload_before = true\n")
    told = bench.json("burn", bench.disc, tree)
    assert told["mode"] == "sao" and told["verified"] is None
    assert bench.json("burn", "--image", bench.folder / "x.iso", tree)["files"] == 5


def test_what_does_not_fit_is_told_before_anything_is_written(bench: Bench) -> None:
    bench.blank("cd-r-74")
    large = bench.folder / "large"
    with large.open("wb") as file:
        file.truncate(700_000_000)
    bench.ok("stage", "add", large)
    assert bench.udffs("burn", bench.disc) == 8
    assert "needs 700 MB, and 688 MB are left" in bench.err
    assert bench.status() == BLANK and bench.staged() == ["large"]


def test_a_dry_run_says_what_would_be(bench: Bench) -> None:
    tree = bench.tree(size=3_000_000)
    bench.blank()
    bench.ok("stage", "add", tree)
    out = bench.ok("burn", bench.disc, "--dry-run", "--label", "Dry")
    assert 'as "Dry" (track at once); this takes' in out and "will be left" in out
    told = bench.json("burn", bench.disc, "--dry-run")
    assert told["bytes"] == 6_000_000 - 3_000_000 % 256 + 6 and told["session"] == 1
    assert bench.status() == BLANK and bench.staged() == ["tree"]


def test_a_test_write_writes_nothing(bench: Bench) -> None:
    tree = bench.tree()
    bench.blank()
    bench.ok("stage", "add", tree)
    assert "laser off. What was staged is still" in bench.ok("burn", bench.disc, "--test-write")
    assert bench.status() == BLANK and bench.staged() == ["tree"]
    bench.ok("burn", bench.disc, "--keep", "--verify", "metadata")
    assert bench.status() == MORE and bench.staged() == ["tree"]


def test_nothing_staged_is_no_reason_to_burn(bench: Bench) -> None:
    bench.blank()
    assert bench.udffs("burn", bench.disc) == 3 and "stage add" in bench.err
    assert bench.udffs("burn") == 2
    assert bench.status() == BLANK


# -- what became of what was staged ----------------------------------------------


def test_missing_files_are_told_and_nothing_begins(bench: Bench) -> None:
    tree = bench.tree()
    bench.blank()
    bench.ok("stage", "add", tree, tree / "one")
    (tree / "one").unlink()
    assert bench.udffs("burn", bench.disc) == 3
    assert "tree (MISSING since: one)" in bench.err and "one (MISSING since)" in bench.err
    assert bench.status() == BLANK and len(bench.staged()) == 2
    bench.ok("stage", "add", tree)
    bench.ok("stage", "remove", "one")
    bench.ok("burn", bench.disc)


def test_changed_files_are_told_and_burnt_as_they_are(bench: Bench) -> None:
    tree = bench.tree()
    bench.blank()
    bench.ok("stage", "add", tree)
    (tree / "one").write_bytes(b"another")
    (tree / "new").write_bytes(b"new")
    bench.ok("burn", bench.disc)
    assert "tree is burnt as it is now: changed since: one; new since: new." in bench.err
    found = view(bench.disc)
    assert found["tree/one"].size == 7 and "tree/new" in found and bench.staged() == []


def test_each_drive_may_have_its_own(bench: Bench) -> None:
    tree = bench.tree()
    bench.blank()
    bench.ok("stage", "add", tree)
    bench.ok("stage", "add", tree / "one", "--drive", bench.disc)
    bench.ok("stage", "list")
    assert f"1 file is staged for {bench.disc} alone" in bench.err
    bench.ok("burn", bench.disc)
    assert "the rest stays staged" in bench.err
    assert set(view(bench.disc)) == {"one"} and bench.staged() == ["tree"]
    assert bench.json("stage", "list", "--drive", bench.disc)["files"] == 0


# -- discs that are refused --------------------------------------------------------


def test_discs_that_hold_something_else_are_refused_in_words(bench: Bench) -> None:
    tree = bench.tree()
    bench.blank("cd-rw-74")
    bench.ok("format", bench.disc, "--mode", "packet")
    assert bench.udffs("burn", bench.disc, tree) == 7
    assert "formatted for writing in packets; `udffs erase" in bench.err
    bench.ok("erase", bench.disc, "--yes")
    bench.ok("format", bench.disc, "--mode", "sequential")
    assert bench.udffs("burn", bench.disc, tree) == 7
    assert "`udffs close" in bench.err
    assert bench.udffs("burn", bench.folder / "nothing.img", tree) == 3


def test_recording_switched_off(bench: Bench) -> None:
    bench.blank()
    with (bench.folder / "settings.toml").open("a") as file:
        file.write("recording = false\n")
    assert bench.udffs("burn", bench.disc, bench.tree()) == 7
    assert bench.status() == BLANK


def test_an_empty_tray(bench: Bench) -> None:
    tree = bench.tree()
    bench.blank()
    bench.ok("eject", bench.disc)
    bench.ok("burn", bench.disc, tree, "--load", "--eject")


# -- images ------------------------------------------------------------------------


def test_an_image_is_whole_or_not_there(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = bench.tree()
    image = bench.folder / "out.iso"
    bench.ok("stage", "add", tree)
    assert bench.ok("burn", "--image", image, "--dry-run") and not image.exists()
    (tree / "one").rename(tree / "gone")
    assert bench.udffs("burn", "--image", image) == 3
    (tree / "gone").rename(tree / "one")
    fails(monkeypatch, after=1)
    assert bench.udffs("burn", "--image", image) == 15
    assert not list(bench.folder.glob("*.iso*")) and bench.staged() == ["tree"]
    fails(monkeypatch, after=1000)
    assert "still staged" in bench.ok("burn", "--image", image, "--label", "Image")
    compare(below("tree", view(image)), expected(tree), "pycdlib")
    before = image.read_bytes()
    assert bench.udffs("burn", "--image", image, tree) == 6
    assert image.read_bytes() == before and bench.staged() == ["tree"]


def fails(monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Sources cannot be read after so many reads."""
    read, left = READ, after

    def reading(self: HostContent, offset: int, count: int) -> bytes:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(5, "Input/output error")
        return read(self, offset, count)

    monkeypatch.setattr(HostContent, "read", reading)


def test_what_is_about_to_be_burnt_cannot_be_taken_away(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = bench.tree()
    bench.blank()
    bench.ok("stage", "add", tree, "--copy")
    refused: list[bool] = []

    def asked(_out: object, _wishes: object) -> None:
        with pytest.raises(StagingBusyError):
            bench.area.remove(bench.area.removal())
        refused.append(True)

    monkeypatch.setattr(burning, "_confirm", asked)
    bench.ok("burn", bench.disc)
    assert refused and bench.staged() == []
