"""Promise 3: a program that is killed loses nothing that returned.

A kill is a copy of the spool at that moment and the disc as it is; the copy is
mounted. See ``rig.kill``.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from media.virtual import Burner
from udffs.errors import SpoolBusyError, UdffsError
from udffs.filesystem import FileSystem

from .actor import Actor
from .model import Picture
from .rig import (
    MIB,
    SYNC,
    WRITE,
    Clock,
    content,
    difference,
    formatted,
    kill,
    mount,
    picture,
    save,
)


class Killed(BaseException):
    """The process is gone."""


def segments(spool: Path) -> list[Path]:
    """The logs of a spool folder that hold one disc's spool, oldest first."""
    return sorted(spool.glob("*/*.log"))


def actor_on(burner: Burner, spool: Path, seed: int, clock: Clock | None = None) -> Actor:
    clock = clock or Clock()
    return Actor(mount(burner, spool, clock), clock, seed, largest=6000)


def check(fs: FileSystem, expected: Picture) -> None:
    assert fs.read_only is None, fs.read_only
    told = difference(picture(fs), expected)
    assert not told, told


# -- killed between two operations -------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_every_operation_that_returned_is_there(seed: int, tmp_path: Path) -> None:
    """Killed after each operation, with a sync now and then before it."""
    burner = formatted()
    actor = actor_on(burner, tmp_path / "spool", seed)
    chance = random.Random(seed)
    for _ in range(60):
        actor.step()
        if chance.random() < 0.1:
            actor.fs.sync()
        left = kill(tmp_path / "spool")
        again = mount(burner.branch(), left, actor.clock)
        check(again, actor.model.picture())
        again.shutdown()
        assert not any(left.iterdir())
        shutil.rmtree(left)


def test_killed_again_and_again_without_a_commit(tmp_path: Path) -> None:
    """What is replayed is journalled once and applied once each time."""
    burner, spool = formatted(), tmp_path / "spool"
    actor = actor_on(burner, spool, 5)
    for _ in range(10):
        for _ in range(12):
            actor.step()
        spool = kill(spool)
        actor.adopt(mount(burner, spool, actor.clock))
        check(actor.fs, actor.model.picture())
    actor.fs.shutdown()
    check(mount(burner, tmp_path / "empty"), actor.model.picture())


def test_a_journal_cut_anywhere_loses_its_last_record_only(tmp_path: Path) -> None:
    burner = formatted()
    actor = actor_on(burner, tmp_path / "spool", 8)
    states: list[tuple[int, Picture]] = []
    (log,) = segments(tmp_path / "spool")
    states.append((log.stat().st_size, actor.model.picture()))
    for _ in range(25):
        before = log.stat().st_size
        actor.step()
        if log.stat().st_size > before:
            states.append((log.stat().st_size, actor.model.picture()))
    # A step may be several operations: only at its end is the state known.
    known = dict(states)
    whole = log.read_bytes()
    near = {size + off for size in known for off in (-1, 0, 1, 7, 8, 9)}
    some = {*near, *range(states[0][0], len(whole), 5)}
    for length in sorted(n for n in some if states[0][0] <= n <= len(whole)):
        left = kill(tmp_path / "spool")
        segments(left)[0].write_bytes(whole[:length])
        again = mount(burner.branch(), left, actor.clock)
        assert again.read_only is None, f"cut at byte {length}: {again.read_only}"
        if length in known:
            check(again, known[length])
        shutil.rmtree(left)


def test_a_damaged_record_ends_the_journal(tmp_path: Path) -> None:
    burner = formatted()
    fs = mount(burner, tmp_path / "spool")
    (log,) = segments(tmp_path / "spool")
    sizes = []
    for number in range(4):
        save(fs, f"/{number}", b"x" * 100)
        sizes.append(log.stat().st_size)
    left = kill(tmp_path / "spool")
    (log,) = segments(left)
    data = bytearray(log.read_bytes())
    data[(sizes[1] + sizes[2]) // 2] ^= 0x40
    log.write_bytes(data)
    again = mount(burner, left)
    assert {name for name, _, _ in again.readdir("/")} >= {"0", "1"}
    assert "3" not in {name for name, _, _ in again.readdir("/")}
    for name in ("0", "1"):
        assert content(again, f"/{name}") == b"x" * 100


def test_data_that_did_not_reach_the_spool_ends_the_journal(tmp_path: Path) -> None:
    """A host that lost its power keeps what the disc has: no zeros appear."""
    burner = formatted()
    fs = mount(burner, tmp_path / "spool")
    save(fs, "/a", b"a" * 5000)
    save(fs, "/b", b"b" * 5000)
    left = kill(tmp_path / "spool")
    (data,) = left.glob("*/*[0-9].data")
    with data.open("r+b") as file:
        file.truncate(7000)
    again = mount(burner, left)
    assert content(again, "/a") == b"a" * 5000
    assert content(again, "/b") == b""


# -- killed within a commit ------------------------------------------------------


class KilledWithin:
    """A process that is killed before its Nth command to the drive."""

    def __init__(self, commands: int) -> None:
        self.left = commands
        self.armed = False

    def __call__(self, operation: int) -> None:
        if self.armed and operation in (WRITE, SYNC):
            self.left -= 1
            if self.left < 0:
                raise Killed


def test_killed_within_a_commit(tmp_path: Path) -> None:
    """At every command of a commit that streams, and of the next one; what
    happened between them is in a segment of its own."""
    finished = False
    for number in range(40):
        folder = tmp_path / str(number)
        burner, clock, watch = formatted(), Clock(), KilledWithin(number)
        actor = Actor(mount(burner, folder / "spool", clock, watch=watch), clock, 3)
        fs, model = actor.fs, actor.model
        large = random.Random(1).randbytes(5 * MIB)
        try:
            for _ in range(30):
                actor.step()
            model.now = clock.tick()
            handle = fs.create("/large", 0o644, os.O_RDWR, 0, 0)
            node = model.make("/large", 0o100644, 0, 0)
            for at in range(0, len(large), MIB):
                fs.write(handle, large[at : at + MIB], at)
            model.write(node, 0, large)
            watch.armed = True
            fs.sync()
            for _ in range(10):
                actor.step()
            fs.sync()
            finished = True
        except Killed:
            pass
        left = kill(folder / "spool")
        again = mount(burner, left, clock)
        check(again, model.picture())
        again.shutdown()
        check(mount(burner, folder / "empty", clock), model.picture())
        shutil.rmtree(folder)
        if finished:
            break
    assert finished
    assert number > 8


def test_killed_before_the_journal_hears_of_the_commit(tmp_path: Path) -> None:
    """The commit is on the disc, its segments are still there: nothing is
    done twice. (A file made twice, a name removed twice would fail.)"""
    burner, clock = formatted(), Clock()
    actor = actor_on(burner, tmp_path / "spool", 11, clock)
    fs = actor.fs
    for round_ in range(3):
        for _ in range(25):
            actor.step()
        before = tmp_path / f"before {round_}"
        shutil.copytree(tmp_path / "spool", before)
        fs.sync()
        # The spool as it was, with the intent that the commit wrote into the
        # next segment before its VAT went out.
        (current,) = segments(tmp_path / "spool")
        target = before / current.parent.name
        shutil.copy(current, target)
        shutil.copy(current.with_suffix(".data"), target)
        again = mount(burner.branch(), before, clock)
        check(again, actor.model.picture())
        assert not any("taken over" in note for note in again.notes)


@pytest.mark.parametrize("close_first", [False, True])
def test_killed_while_opening_or_closing_a_session(close_first: bool, tmp_path: Path) -> None:
    """The VAT moves although nothing of the journal is in it."""
    finished = False
    for number in range(60):
        folder = tmp_path / str(number)
        burner, clock, watch = formatted(), Clock(), KilledWithin(number)
        fs = mount(burner, folder / "spool", clock)
        save(fs, "/a", b"first session")
        fs.sync()
        if close_first:
            fs.close_disc(final=False)
        fs.shutdown()
        fs = mount(burner, folder / "spool", clock, watch=watch)
        save(fs, "/b", b"second session")
        watch.armed = True
        try:
            if close_first:
                fs.sync()
            else:
                fs.close_disc(final=False)
            finished = True
        except Killed:
            pass
        again = mount(burner, kill(folder / "spool"), clock)
        assert again.read_only is None, again.notes
        assert content(again, "/a") == b"first session"
        assert content(again, "/b") == b"second session"
        again.shutdown()
        last = mount(burner, folder / "empty", clock)
        assert content(last, "/b") == b"second session"
        shutil.rmtree(folder)
        if finished:
            break
    assert finished


def test_killed_while_a_large_file_waits_for_a_small_one(tmp_path: Path) -> None:
    """Deferred data is in the journal at every moment."""
    noise = random.Random(2).randbytes(12 * MIB)
    burner = formatted()
    kills: list[tuple[Burner, Path]] = []

    def watch(operation: int) -> None:
        if armed and operation in (WRITE, SYNC):
            left = tmp_path / f"left {len(kills)}"
            shutil.copytree(tmp_path / "spool", left)
            kills.append((burner.branch(), left))

    armed: list[bool] = []
    fs = mount(burner, tmp_path / "spool", watch=watch)
    fs.start()
    for path in ("/one", "/two"):
        handle = fs.create(path, 0o644, os.O_RDWR, 0, 0)
        for at in range(0, len(noise), MIB):
            fs.write(handle, noise[at : at + MIB], at)
    handle = fs.create("/small", 0o644, os.O_RDWR, 0, 0)
    fs.write(handle, b"small", 0)
    armed.append(True)
    fs.fsync(handle)
    armed.clear()
    kills.append((burner.branch(), kill(tmp_path / "spool")))
    assert fs.status()["unsaved"], "nothing was deferred"
    for disc, left in kills:
        again = mount(disc, left)
        assert content(again, "/small") == b"small"
        assert content(again, "/one") == noise
        assert content(again, "/two") == noise
        shutil.rmtree(left)
    fs.shutdown()


# -- files without a name ----------------------------------------------------------


def test_an_unlinked_file_lives_as_long_as_it_is_open(tmp_path: Path) -> None:
    burner = formatted()
    fs = mount(burner, tmp_path / "spool")
    handle = fs.create("/a", 0o600, os.O_RDWR, 0, 0)
    fs.write(handle, b"x" * 5000, 0)
    fs.sync()
    fs.unlink("/a")
    for round_ in range(4):
        fs.write(handle, b"y" * 3000, 4000 + round_ * 3000)
        fs.truncate("/a", 4000 + round_ * 3000 + 2500, handle)
        fs.sync()
        fs.fsync(handle)  # no name, nothing to make durable
        assert fs.read(handle, 5, 0) == b"xxxxx"
        assert fs.read(handle, 9, 4000 + round_ * 3000) == b"y" * 9
        again = mount(burner.branch(), kill(tmp_path / "spool"))
        assert again.read_only is None, again.read_only
        assert again.readdir("/") == []
        again.shutdown()
        shutil.rmtree(tmp_path / "spool+")
    save(fs, "/a", b"another file of this name")
    left = kill(tmp_path / "spool")
    assert content(mount(burner.branch(), left), "/a") == b"another file of this name"
    fs.release(handle)
    fs.shutdown()
    assert content(mount(burner, tmp_path / "spool"), "/a") == b"another file of this name"


def test_an_alias_is_a_file_without_a_name(tmp_path: Path) -> None:
    """libfuse renames what is open and unlinked: orphan() hides it."""
    burner = formatted()
    fs = mount(burner, tmp_path / "spool")
    handle = fs.create("/a", 0o600, os.O_RDWR, 0, 0)
    fs.write(handle, b"x" * 5000, 0)
    fs.sync()
    fs.orphan("/a", "/.fuse_hidden1")
    fs.chmod("/.fuse_hidden1", 0o644)
    fs.truncate("/.fuse_hidden1", 6000)
    with pytest.raises(UdffsError):
        fs.link("/.fuse_hidden1", "/b")
    fs.sync()
    assert fs.readdir("/") == []
    assert fs.getattr("/.fuse_hidden1").size == 6000
    assert fs.read(handle, 10_000, 0) == b"x" * 5000 + bytes(1000)
    again = mount(burner.branch(), kill(tmp_path / "spool"))
    assert again.readdir("/") == []
    fs.unlink("/.fuse_hidden1")
    fs.release(handle)
    fs.shutdown()
    last = mount(burner, tmp_path / "spool")
    assert last.readdir("/") == []
    assert last.volume.files == 0


def test_numbers_of_deleted_files_are_used_again(tmp_path: Path) -> None:
    """Saving through a temporary name for ever does not grow the VAT."""
    burner = formatted()
    fs = mount(burner, tmp_path / "spool")
    save(fs, "/document", b"0")
    for number in range(50):
        save(fs, "/document~", str(number).encode())
        fs.rename("/document~", "/document")
        fs.sync()
        save(fs, f"/draft {number}", b"")
        if number:
            fs.unlink(f"/draft {number - 1}")
        save(fs, f"/note {number}", b"")
        fs.sync()
        fs.unlink(f"/note {number}")
    fs.shutdown()
    again = mount(burner, tmp_path / "spool")
    assert content(again, "/document") == b"49"
    assert again.volume.vat is not None
    assert len(again.volume.vat.entries) <= 10


# -- whose spool is it? --------------------------------------------------------------


def test_a_disc_that_moved_on_gets_nothing_replayed(tmp_path: Path) -> None:
    burner = formatted()
    fs = mount(burner, tmp_path / "spool")
    save(fs, "/a", b"not on the disc")
    left = kill(tmp_path / "spool")
    elsewhere = mount(burner, tmp_path / "another computer")
    save(elsewhere, "/b", b"written elsewhere")
    elsewhere.shutdown()
    again = mount(burner, left)
    assert [name for name, _, _ in again.readdir("/")] == ["b"]
    (note,) = [note for note in again.notes if "kept" in note]
    (kept,) = [path for path in left.iterdir() if ".kept-" in path.name]
    assert str(kept) in note
    assert any(b"not on the disc" in path.read_bytes() for path in kept.glob("*.data"))
    save(again, "/c", b"goes on")
    again.shutdown()
    last = mount(burner, left)
    assert sorted(name for name, _, _ in last.readdir("/")) == ["b", "c"]
    assert kept.exists()


def test_a_disc_that_moved_on_and_nothing_unsaved(tmp_path: Path) -> None:
    """A spool that holds nothing is no reason to speak of."""
    burner = formatted()
    fs = mount(burner, tmp_path / "spool")
    save(fs, "/a", b"saved", sync=True)
    left = kill(tmp_path / "spool")
    elsewhere = mount(burner, tmp_path / "another computer")
    save(elsewhere, "/b", b"written elsewhere")
    elsewhere.shutdown()
    again = mount(burner, left)
    assert again.notes == []
    assert sorted(name for name, _, _ in again.readdir("/")) == ["a", "b"]


def test_two_mounts_of_one_identity(tmp_path: Path) -> None:
    """A copy of a disc cannot be mounted beside it: they share a spool."""
    burner = formatted()
    first = mount(burner, tmp_path / "spool")
    save(first, "/a", b"a")
    with pytest.raises(SpoolBusyError) as refused:
        mount(burner.branch(), tmp_path / "spool")
    assert str(tmp_path / "spool") in str(refused.value)
    save(first, "/b", b"b")
    first.shutdown()
    again = mount(burner, tmp_path / "spool")
    assert [name for name, _, _ in again.readdir("/")] == ["a", "b"]


def test_two_discs_share_the_folder_of_spools(tmp_path: Path) -> None:
    discs = [formatted(seed=1), formatted(seed=2)]
    mounted = [mount(burner, tmp_path / "spool") for burner in discs]
    for number, fs in enumerate(mounted):
        save(fs, f"/{number}", b"x")
    left = kill(tmp_path / "spool")
    for number, burner in enumerate(discs):
        again = mount(burner, left)
        assert [name for name, _, _ in again.readdir("/")] == [str(number)]
        again.shutdown()


def test_a_closed_disc_tells_of_unsaved_data(tmp_path: Path) -> None:
    burner = formatted()
    fs = mount(burner, tmp_path / "spool")
    save(fs, "/a", b"a")
    left = kill(tmp_path / "spool")
    disc = burner.branch()
    elsewhere = mount(disc, tmp_path / "another computer")
    elsewhere.close_disc(final=True)
    elsewhere.shutdown()
    again = mount(disc, left)
    assert again.read_only == "the disc is closed"
    assert any(str(left) in note for note in again.notes), again.notes
