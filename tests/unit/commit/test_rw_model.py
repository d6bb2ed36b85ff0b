"""Random programs against a plain model, on rewritable discs: nothing may ever
differ, and after every unmount the allocation checker finds nothing.

A run is named by its seed: ``session(seed, steps)`` repeats it.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from udffs.commit import tree

from .actor import Actor
from .model import Model
from .rig import Clock, difference, kill, picture
from .rw_rig import empty_root, formatted, judged, mount

SYNCED, REMOUNTED, KILLED = 0.06, 0.09, 0.12  # shares of the steps, added up
WAYS: list[dict[str, Any]] = [
    {"revision": 0x0201},
    {"revision": 0x0150},
    {"kind": "mrw"},
    {"log_packets": 16},
]


class Session:
    """One disc with its spool, a volume mounted on it, and a random program."""

    def __init__(self, seed: int, spool: Path, largest: int) -> None:
        self.burner = formatted(**WAYS[seed % len(WAYS)])
        self.spool = spool
        clock = Clock()
        fs = mount(self.burner, spool, clock)
        assert fs.read_only is None, fs.read_only
        self.actor = Actor(fs, clock, seed, largest=largest, model=Model(empty_root()))

    def mount_again(self, *, killed: bool) -> None:
        actor = self.actor
        actor.done.append("kill" if killed else "unmount")
        if killed:
            self.spool = kill(self.spool)
        else:
            actor.fs.shutdown()
            report = judged(self.burner)
            names = {id(node) for _, node in actor.model.walk() if not node.is_directory}
            assert report.files == len(names) + 1  # the log's hidden file
        actor.adopt(mount(self.burner, self.spool, actor.clock))
        assert actor.fs.read_only is None, actor.fs.notes


def session(seed: int, steps: int, spool: Path, largest: int = 20_000) -> None:
    """A random session, compared with the model all the time."""
    this, chance = Session(seed, spool, largest), random.Random(f"session {seed}")
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
            told = difference(picture(actor.fs), actor.model.picture())
            assert not told, told
            actor.check_open_files()
        this.mount_again(killed=False)
        told = difference(picture(actor.fs), actor.model.picture())
        assert not told, told
        actor.check_holes()
        actor.fs.shutdown()
        assert not any(this.spool.iterdir()), "the spool is not empty after an orderly end"
    except BaseException as error:
        last = "; ".join(actor.done[-8:])
        error.add_note(f"seed {seed}, {WAYS[seed % len(WAYS)]}, step {len(actor.done)}: {last}")
        raise


@pytest.mark.parametrize("seed", range(16))
def test_a_volume_is_what_programs_expect(seed: int, tmp_path: Path) -> None:
    session(seed, 100, tmp_path / "spool")


@pytest.mark.parametrize("seed", range(50, 54))
def test_files_of_many_packets(seed: int, tmp_path: Path) -> None:
    session(seed, 60, tmp_path / "spool", largest=600_000)


@pytest.mark.parametrize("seed", range(30, 34))
def test_inodes_come_and_go_from_memory(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most inodes are fetched from the disc each time they are needed."""
    monkeypatch.setattr(tree, "NODES_KEPT", 12)
    session(seed, 150, tmp_path / "spool")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1032))
def test_many_long_sessions(seed: int, tmp_path: Path) -> None:
    session(seed, 600, tmp_path / "spool")


def test_everything_that_was_deleted_gives_its_space_back(tmp_path: Path) -> None:
    burner, clock = formatted(), Clock()
    before = judged(burner)
    spool = tmp_path / "spool"
    for seed in range(3):
        fs = mount(burner, spool, clock)
        actor = Actor(fs, clock, seed, model=Model(empty_root()), largest=200_000)
        for _ in range(60):
            actor.step()
        for handle, _ in actor.handles:
            fs.release(handle)
        for path, node in sorted(actor.model.walk(), reverse=True):
            fs.rmdir(path) if node.is_directory else fs.unlink(path)
        fs.shutdown()
        after = judged(burner)
        assert (after.used, after.files) == (before.used, before.files)
