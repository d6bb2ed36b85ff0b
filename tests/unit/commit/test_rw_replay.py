"""Promise 3 on rewritable discs: a program that is killed loses nothing that
returned, and nothing is done twice.

A kill is a copy of the spool and of the disc at that moment, before each
command that writes or syncs. The drive goes on having its power, or loses it
at the same time: then the disc has moved back to what was durable.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from media.virtual import Burner
from udffs.filesystem import FileSystem

from .actor import Actor
from .model import Model, Picture
from .rig import MIB, SYNC, WRITE, Clock, content, difference, kill, picture, save
from .rw_rig import cut, cuts, empty_root, formatted, judged, mount, unsynced

SMALL_LOG = 20  # slots: checkpoints come soon


def check(fs: FileSystem, expected: Picture) -> None:
    assert fs.read_only is None, (fs.read_only, fs.notes)
    told = difference(picture(fs), expected)
    assert not told, told


class Kills:
    """A random program on a disc, killed before each command to the drive (or
    one of so many: ``every``). ``cut``: the power fails at the same moment."""

    def __init__(
        self, folder: Path, seed: int, *, every: int, cut: bool, log_packets: int = SMALL_LOG
    ) -> None:
        self.burner = formatted(log_packets=log_packets)
        self.folder, self.every, self.cut = folder, every, cut
        self.spool = folder / "spool"
        self.commands = self.tried = 0
        self.armed = False
        self.chance = random.Random(seed)
        self.clock = Clock()
        self.actor = Actor(
            mount(self.burner, self.spool, self.clock, watch=self._watch),
            self.clock,
            seed,
            largest=6000,
            model=Model(empty_root()),
        )
        self.armed = True

    def mount_again(self) -> None:
        self.actor.fs.shutdown()
        self.actor.adopt(mount(self.burner, self.spool, self.clock, watch=self._watch))

    def _watch(self, operation: int) -> None:
        if operation not in (WRITE, SYNC) or not self.armed:
            return
        self.commands += 1
        if self.commands % self.every == 0:
            self.one()

    def one(self) -> None:
        """Killed now."""
        self.tried += 1
        disc = self.burner.branch()
        how = "no cut"
        if self.cut:
            every = list(cuts(len(unsynced(disc)), orders=(0, self.commands)))
            chosen = every[self.chance.randrange(len(every))]
            disc, how = cut(disc, chosen), str(chosen)
        try:
            self._check(disc, kill(self.spool))
        except BaseException as error:
            error.add_note(f"before command {self.commands}, {how}: {self.actor.done[-5:]}")
            raise

    def _check(self, disc: Burner, left: Path) -> None:
        expected = self.actor.model.picture()
        clock = Clock(self.clock.now)
        again = mount(disc, left, clock)
        check(again, expected)
        if self.tried % 3 == 0:  # and once more, at once
            left, before = kill(left), left
            shutil.rmtree(before)
            again = mount(disc, left, clock)
            check(again, expected)
        again.shutdown()
        assert not any(left.iterdir())
        shutil.rmtree(left)
        judged(disc)
        check(mount(disc, self.folder / "empty", clock, writable=True), expected)
        shutil.rmtree(self.folder / "empty")


def some_syncs(kills: Kills) -> None:
    for _ in range(8):
        for _ in range(10):
            kills.actor.step()
        kills.actor.fs.sync()


def unmounts(kills: Kills) -> None:
    for _ in range(3):
        for _ in range(8):
            kills.actor.step()
        kills.mount_again()


def large_files(kills: Kills) -> None:
    """What is streamed, overwritten in place and moved to new places."""
    actor = kills.actor
    noise = random.Random(1).randbytes(4 * MIB)
    actor.model.now = actor.clock.tick()
    handle = actor.fs.create("/large", 0o644, os.O_RDWR, 0, 0)
    node = actor.model.make("/large", 0o100644, 0, 0)
    for offset, length in ((0, 3 * MIB), (5000, 9000), (100_000, 400_000), (2 * MIB, 2 * MIB)):
        for at in range(0, length, MIB):
            data = noise[at + 7 : at + 7 + min(MIB, length - at)]
            actor.fs.write(handle, data, offset + at)
            actor.model.write(node, offset + at, data)
        actor.step()
        actor.fs.sync()
    actor.fs.unlink("/large")
    actor.model.unlink("/large")
    actor.fs.sync()
    kills.mount_again()


@pytest.mark.parametrize("cut", [False, True], ids=["kill", "kill and cut"])
@pytest.mark.parametrize(
    ("script", "every"),
    [(some_syncs, 1), (unmounts, 1), (large_files, 2)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_killed_before_each_command(
    script: Callable[[Kills], None], every: int, cut: bool, tmp_path: Path
) -> None:
    kills = Kills(tmp_path, 7, every=every, cut=cut)
    script(kills)
    kills.armed = False
    assert kills.tried > 10
    kills.actor.fs.shutdown()
    judged(kills.burner)


def test_killed_within_checkpoints(tmp_path: Path) -> None:
    kills = Kills(tmp_path, 8, every=3, cut=True, log_packets=16)
    for _ in range(60):
        kills.actor.step()
        kills.actor.fs.sync()
    assert kills.tried > 15


@pytest.mark.parametrize("seed", range(3))
def test_every_operation_that_returned_is_there(seed: int, tmp_path: Path) -> None:
    """Killed after each operation, with a sync now and then before it."""
    kills = Kills(tmp_path, seed, every=1, cut=seed == 2)
    kills.armed = False
    for _ in range(40):
        kills.actor.step()
        if kills.chance.random() < 0.1:
            kills.actor.fs.sync()
        kills.one()


def test_killed_again_and_again(tmp_path: Path) -> None:
    """The disc goes along, with commits that nobody heard of and without any."""
    burner, spool, clock = formatted(log_packets=SMALL_LOG), tmp_path / "spool", Clock()
    actor = Actor(mount(burner, spool, clock), clock, 5, largest=6000, model=Model(empty_root()))
    for number in range(14):
        for _ in range(12):
            actor.step()
        if number % 3 == 1:
            actor.fs.sync()
        if number % 4 == 3:
            how = list(cuts(len(unsynced(burner))))
            burner = cut(burner, how[number % len(how)])
        spool = kill(spool)
        actor.adopt(mount(burner, spool, clock))
        check(actor.fs, actor.model.picture())
    actor.fs.shutdown()
    judged(burner)
    check(mount(burner, tmp_path / "empty"), actor.model.picture())


# -- numbers that are used again -----------------------------------------------------


@pytest.mark.parametrize("synced", [False, True])
def test_a_number_born_and_gone_in_one_epoch(synced: bool, tmp_path: Path) -> None:
    """The same ICB is a file, a directory and a file again; killed after each step."""
    burner, spool = formatted(), tmp_path / "spool"
    fs = mount(burner, spool)
    save(fs, "/first", b"1" * 3000)
    number = fs.getattr("/first").inode
    if synced:
        fs.sync()
    seen: set[int] = set()
    for round_ in range(12):
        fs.unlink("/first") if round_ % 2 == 0 else fs.rmdir("/first")
        if synced and round_ % 3 == 0:
            fs.sync()
        if round_ % 2:
            save(fs, "/first", b"%d " % round_ * 700)
        else:
            fs.mkdir("/first", 0o755, 0, 0)
        seen.add(fs.getattr("/first").inode)
        if synced and round_ % 3 == 1:
            fs.sync()
        disc, left = burner.branch(), kill(spool)
        again = mount(disc, left)
        check(again, picture(fs))
        again.shutdown()
        judged(disc)
        shutil.rmtree(left)
    assert number in seen or synced
    fs.shutdown()
    judged(burner)


def test_orphans_leave_nothing_behind(tmp_path: Path) -> None:
    """Files without a name that are open when the process is killed."""
    burner, spool = formatted(), tmp_path / "spool"
    before = judged(burner)
    fs = mount(burner, spool)
    handles = []
    for number in range(6):
        handle = fs.create(f"/{number}", 0o600, os.O_RDWR, 0, 0)
        fs.write(handle, b"x" * (number * 5000 + 1), 0)
        handles.append(handle)
        if number % 2:
            fs.sync()
    for number in range(6):
        fs.unlink(f"/{number}")
        fs.write(handles[number], b"y" * 9000, 3000)
        fs.sync()
    disc = burner.branch()
    again = mount(disc, kill(spool))
    assert again.readdir("/") == []
    again.shutdown()
    after = judged(disc)
    assert (after.used, after.files) == (before.used, before.files)
    for number, handle in enumerate(handles):
        assert fs.read(handle, 9000, 3000) == b"y" * 9000, number
        fs.release(handle)
    fs.shutdown()
    assert judged(burner).used == before.used


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
    judged(burner)
    last = mount(burner, left)
    assert sorted(name for name, _, _ in last.readdir("/")) == ["b", "c"]


def test_a_disc_mounted_elsewhere_without_a_change(tmp_path: Path) -> None:
    """Then the spool still belongs to it."""
    burner = formatted()
    fs = mount(burner, tmp_path / "spool")
    save(fs, "/a", b"on the disc", sync=True)
    save(fs, "/b", b"not on the disc")
    left = kill(tmp_path / "spool")
    elsewhere = mount(burner, tmp_path / "another computer")
    assert content(elsewhere, "/a") == b"on the disc"
    elsewhere.shutdown()
    again = mount(burner, left)
    assert content(again, "/b") == b"not on the disc"


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("command", range(3))
def test_a_commit_that_failed_and_one_elsewhere_of_the_same_number(
    command: int, tmp_path: Path
) -> None:
    """The intent of a commit that never came to be is not another one's."""
    burner, clock = formatted(), Clock()
    left: list[int] = []

    def watch(operation: int) -> None:
        if left and operation in (WRITE, SYNC):
            left[0] -= 1
            if left[0] < 0:
                raise Killed

    fs = mount(burner, tmp_path / "spool", clock, watch=watch)
    save(fs, "/a", b"first", sync=True)
    save(fs, "/mine", b"mine")
    left.append(command)
    with contextlib.suppress(Killed):
        fs.sync()
    left.clear()
    disc = cut(burner, next(iter(cuts(1))))
    kept = kill(tmp_path / "spool")
    elsewhere = mount(disc, tmp_path / "another computer", clock)
    durable = [name for name, _, _ in elsewhere.readdir("/")]
    save(elsewhere, "/other", b"other")
    elsewhere.shutdown()
    again = mount(disc, kept, clock)
    assert sorted(name for name, _, _ in again.readdir("/")) == sorted([*durable, "other"])
    if "mine" not in durable:
        assert any("kept" in note for note in again.notes), again.notes
    again.shutdown()
    judged(disc)
