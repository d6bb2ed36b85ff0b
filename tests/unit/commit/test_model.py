"""Random programs against a plain model: nothing may ever differ.

A run is named by its seed: ``session(seed, revision, steps)`` repeats it.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .actor import Actor
from .rig import Clock, difference, formatted, kill, mount, picture

REVISIONS = (0x0150, 0x0201)
SYNC, REMOUNT, KILL = 0.06, 0.09, 0.12  # shares of the steps, added up


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
            if event < SYNC:
                actor.done.append("sync")
                actor.fs.sync()
            elif event < KILL:
                this.mount_again(killed=event >= REMOUNT)
            _compare(actor, settled=event < REMOUNT)
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


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1200))
def test_many_long_sessions(seed: int, tmp_path: Path) -> None:
    session(seed, REVISIONS[seed % 2], 600, tmp_path / "spool")
