"""Random programs against a plain model: nothing may ever differ.

A run is named by its seed: ``session(seed, revision, steps)`` repeats it.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from udffs.commit import streaming, tree

from .actor import Actor
from .rig import SYNC, WRITE, Clock, difference, formatted, kill, mount, picture

REVISIONS = (0x0150, 0x0201)
SYNCED, REMOUNTED, KILLED = 0.06, 0.09, 0.12  # shares of the steps, added up


class Session:
    """One disc with its spool, a volume mounted on it, and a random program."""

    def __init__(self, seed: int, revision: int, spool: Path) -> None:
        self.burner = formatted(revision)
        self.spool = spool
        clock = Clock()
        self.actor = Actor(mount(self.burner, spool, clock), clock, seed)

    def mount_again(self, *, killed: bool) -> None:
        actor = self.actor
        actor.done.append("kill" if killed else "unmount")
        if killed:
            self.spool = kill(self.spool)
        else:
            actor.fs.shutdown()
        actor.adopt(mount(self.burner, self.spool, actor.clock))
        assert actor.fs.read_only is None, actor.fs.notes


def session(seed: int, revision: int, steps: int, spool: Path) -> None:
    """A random session, compared with the model all the time."""
    this, chance = Session(seed, revision, spool), random.Random(f"session {seed}")
    actor = this.actor
    try:
        for _ in range(steps):
            actor.step()
            event = chance.random()
            if event < SYNCED:
                actor.done.append("sync")
                actor.fs.sync()
            elif event < KILLED:
                this.mount_again(killed=event >= REMOUNTED)
            _compare(actor, settled=event < REMOUNTED)
        this.mount_again(killed=False)
        _compare(actor, settled=True)
        actor.fs.shutdown()
        assert not any(this.spool.iterdir()), "the spool is not empty after an orderly end"
    except BaseException as error:
        last = "; ".join(actor.done[-8:])
        error.add_note(f"seed {seed}, UDF {revision:x}, step {len(actor.done)}, last: {last}")
        raise


def _compare(actor: Actor, *, settled: bool) -> None:
    told = difference(picture(actor.fs), actor.model.picture())
    assert not told, told
    actor.check_open_files()
    if settled:
        actor.check_holes()


@pytest.mark.parametrize("revision", REVISIONS, ids=hex)
@pytest.mark.parametrize("seed", range(12))
def test_a_volume_is_what_programs_expect(seed: int, revision: int, tmp_path: Path) -> None:
    session(seed, revision, 100, tmp_path / "spool")


# -- programs go on while a commit is under way --------------------------------------


class Interleaved:
    """Lets the program take steps in the middle of a commit: before commands
    to the drive. All inodes must be in memory, for a disc that is being
    written cannot be read by the same thread."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"interleaved {seed}")
        self.actor: Actor | None = None
        self.committing = False
        self.steps = 0

    def __call__(self, operation: int) -> None:
        if self.actor is not None and self.committing and operation in (WRITE, SYNC):
            self.committing = False  # a step may need the disc, too
            for _ in range(self.chance.randrange(3)):
                self.actor.step()
                self.steps += 1
            self.committing = True


def interleaved(seed: int, revision: int, rounds: int, spool: Path) -> int:
    """Commits with steps in the middle, large files put off at random, kills
    and power cuts. Returns the number of steps within commits."""
    within, clock, burner = Interleaved(seed), Clock(), formatted(revision)
    fs = mount(burner, spool, clock, watch=within)
    actor = within.actor = Actor(fs, clock, seed, largest=30_000)
    chance = within.chance
    try:
        for _ in range(rounds):
            assert actor.fs._scheduler is not None
            actor.fs._scheduler._must_yield = lambda: chance.random() < 0.4  # type: ignore[method-assign]
            for _ in range(chance.randrange(1, 8)):
                actor.step()
            _compare(actor, settled=False)
            within.committing = True
            actor.done.append("sync")
            actor.fs.sync()
            within.committing = False
            actor.done.append("synced")
            _compare(actor, settled=False)
            event = chance.random()
            if event < 0.3:
                within.actor = None
                spool = kill(spool)
                if event < 0.1:
                    actor.fs.shutdown()
                    spool = kill(spool)
                actor.done.append("kill")
                actor.adopt(mount(burner, spool, clock, watch=within))
                assert actor.fs.read_only is None, actor.fs.notes
                _compare(actor, settled=False)
                within.actor = actor
    except BaseException as error:
        last = "; ".join(actor.done[-12:])
        error.add_note(f"seed {seed}, UDF {revision:x}, step {len(actor.done)}, last: {last}")
        raise
    return within.steps


@pytest.fixture
def everything_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a few blocks are streamed, a few blocks at a time."""
    monkeypatch.setattr(streaming, "LARGE", 3)
    monkeypatch.setattr(streaming, "CHUNK", 2)
    monkeypatch.setattr(streaming, "TURN_SECONDS", 0.003)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.usefixtures("everything_is_large")
def test_programs_go_on_while_a_commit_is_under_way(seed: int, tmp_path: Path) -> None:
    assert interleaved(seed, REVISIONS[seed % 2], 25, tmp_path / "spool") > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2000, 2040))
@pytest.mark.usefixtures("everything_is_large")
def test_many_commits_under_way(seed: int, tmp_path: Path) -> None:
    interleaved(seed, REVISIONS[seed % 2], 120, tmp_path / "spool")


@pytest.mark.parametrize("seed", range(30, 36))
def test_inodes_come_and_go_from_memory(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most inodes are fetched from the disc each time they are needed."""
    monkeypatch.setattr(tree, "NODES_KEPT", 12)
    session(seed, REVISIONS[seed % 2], 150, tmp_path / "spool")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1030))
def test_many_long_sessions(seed: int, tmp_path: Path) -> None:
    session(seed, REVISIONS[seed % 2], 600, tmp_path / "spool")
