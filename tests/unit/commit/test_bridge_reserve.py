"""What is kept back for the bridge follows the live tree, whatever happens to it.

A run is named by its seed: ``session(seed, steps, ...)`` repeats it.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from media.virtual import Burner
from udffs.commit import streaming, tree, write_once
from udffs.commit.bridge import cost
from udffs.commit.bridge.measure import measure
from udffs.commit.namespace import Namespace
from udffs.commit.reserve import Reserve
from udffs.commit.vat import UNUSED
from udffs.filesystem import FileSystem
from udffs.volume import open_volume

from .actor import Actor
from .rig import SYNC, WRITE, Clock, formatted, kill, mount, store_of


@pytest.fixture(autouse=True)
def bridged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_once, "has_bridge", lambda _store, _volume: True)


def walked(fs: FileSystem) -> int:
    """The cost of the live tree, name by name."""
    total, seen, waiting = 0, set(), [fs._tree.root_key]
    while waiting:
        key = waiting.pop()
        if key in seen:
            continue
        seen.add(key)
        node = fs._locked(lambda key=key: fs._tree.node(key))  # type: ignore[misc]
        total += cost.state_cost(node.state)
        if node.state.is_directory:
            entries = fs._locked(lambda node=node: fs._tree.directory(node)).entries  # type: ignore[misc]
            total += sum(cost.name_cost(name.encode()) for name in entries)
            waiting += [entry.key for entry in entries.values()]
    return total


def kept(fs: FileSystem) -> int:
    assert fs._writing is not None
    bridge = fs._writing.reserve.bridge
    assert bridge is not None
    return bridge


class Honest:
    """Watches every change: what it costs more was promised before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.promised = self.watched = 0
        promise, transact, write = Reserve.promise, Namespace.transact, Namespace.write

        def promising(
            reserve: Reserve, blocks: int, *, bridge: int = 0, deleting: bool = False
        ) -> None:
            self.promised = bridge
            promise(reserve, blocks, bridge=bridge, deleting=deleting)

        def watch(change: Callable[..., None]) -> Callable[..., None]:
            def watched(space: Namespace, *arguments: Any) -> None:
                self.promised = 0
                before = space.reserve.bridge
                change(space, *arguments)
                assert before is not None and space.reserve.bridge is not None
                assert space.reserve.bridge - before <= max(0, self.promised)
                self.watched += 1

            return watched

        monkeypatch.setattr(Reserve, "promise", promising)
        monkeypatch.setattr(Namespace, "transact", watch(transact))
        monkeypatch.setattr(Namespace, "write", watch(write))


@pytest.fixture
def honest(monkeypatch: pytest.MonkeyPatch) -> Honest:
    return Honest(monkeypatch)


@pytest.fixture
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files have too many sections or holes, and are streamed."""
    monkeypatch.setattr(cost, "MOST_SECTIONS", 4)
    monkeypatch.setattr(cost, "MOST_HOLES", 6)
    monkeypatch.setattr(streaming, "LARGE", 3)
    monkeypatch.setattr(streaming, "CHUNK", 2)
    monkeypatch.setattr(streaming, "TURN_SECONDS", 0.003)


def check_remembered(burner: Burner, expected: int | None = None) -> None:
    """The last VAT on the disc tells what the tree there costs."""
    volume = open_volume(store_of(burner))
    assert volume.vat is not None
    if volume.vat.previous == UNUSED:  # as it was formatted
        return
    assert volume.vat.bridge is not None
    assert cost.recalled(volume.vat.bridge) == measure(volume)
    if expected is not None:
        assert cost.recalled(volume.vat.bridge) == expected


def session(seed: int, steps: int, spool: Path) -> Actor:
    """Random operations, commits, kills, mounts: the sum is always that of the tree."""
    burner, clock, chance = formatted((0x0150, 0x0201)[seed % 2]), Clock(), random.Random(seed)
    actor = Actor(mount(burner, spool, clock), clock, seed, largest=30_000)
    try:
        for _ in range(steps):
            actor.step()
            event = chance.random()
            if event < 0.06:
                actor.done.append("sync")
                actor.fs.sync()
                if not actor.handles:
                    check_remembered(burner, kept(actor.fs))
            elif event < 0.12:
                killed, before = event < 0.09, kept(actor.fs)
                actor.done.append("kill" if killed else "unmount")
                if killed:
                    spool = kill(spool)
                else:
                    actor.fs.shutdown()
                    check_remembered(burner)
                actor.adopt(mount(burner, spool, clock))
                assert actor.fs.read_only is None, actor.fs.notes
                if not killed:
                    assert kept(actor.fs) <= before
            assert kept(actor.fs) == walked(actor.fs)
    except BaseException as error:
        last = "; ".join(actor.done[-8:])
        error.add_note(f"seed {seed}, step {len(actor.done)}, last: {last}")
        raise
    return actor


@pytest.mark.parametrize("seed", range(8))
def test_the_reserve_is_that_of_the_live_tree(seed: int, honest: Honest, tmp_path: Path) -> None:
    session(seed, 100, tmp_path / "spool")
    assert honest.watched > 50


@pytest.mark.parametrize("seed", range(20, 30))
@pytest.mark.usefixtures("low_limits")
def test_the_same_with_files_in_many_pieces(seed: int, honest: Honest, tmp_path: Path) -> None:
    session(seed, 120, tmp_path / "spool")
    assert honest.watched > 50


@pytest.mark.parametrize("seed", range(40, 44))
@pytest.mark.usefixtures("low_limits", "honest")
def test_the_same_with_inodes_that_come_and_go(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tree, "NODES_KEPT", 12)
    session(seed, 120, tmp_path / "spool")


class Within:
    """Lets the program take steps in the middle of a commit: before commands to the drive."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(f"within {seed}")
        self.actor: Actor | None = None
        self.committing = False
        self.steps = 0

    def __call__(self, operation: int) -> None:
        if self.actor is not None and self.committing and operation in (WRITE, SYNC):
            self.committing = False
            for _ in range(self.chance.randrange(3)):
                self.actor.step()
                self.steps += 1
            self.committing = True


def interleaved(seed: int, rounds: int, spool: Path) -> int:
    """Commits with steps in the middle, large files put off at random, kills."""
    within, clock, burner = Within(seed), Clock(), formatted()
    fs = mount(burner, spool, clock, watch=within)
    actor = within.actor = Actor(fs, clock, seed, largest=30_000)
    chance = within.chance
    try:
        for _ in range(rounds):
            assert actor.fs._scheduler is not None
            actor.fs._scheduler._must_yield = lambda: chance.random() < 0.4  # type: ignore[method-assign]
            for _ in range(chance.randrange(1, 8)):
                actor.step()
            assert kept(actor.fs) == walked(actor.fs)
            within.committing = True
            actor.done.append("sync")
            actor.fs.sync()
            within.committing = False
            assert kept(actor.fs) == walked(actor.fs)
            check_remembered(burner)
            if chance.random() < 0.3:
                within.actor = None
                spool = kill(spool)
                actor.done.append("kill")
                actor.adopt(mount(burner, spool, clock, watch=within))
                assert actor.fs.read_only is None, actor.fs.notes
                assert kept(actor.fs) == walked(actor.fs)
                within.actor = actor
    except BaseException as error:
        last = "; ".join(actor.done[-12:])
        error.add_note(f"seed {seed}, step {len(actor.done)}, last: {last}")
        raise
    return within.steps


@pytest.mark.parametrize("seed", range(60, 68))
@pytest.mark.usefixtures("low_limits")
def test_a_commit_remembers_its_own_picture(seed: int, tmp_path: Path) -> None:
    assert interleaved(seed, 25, tmp_path / "spool") > 10


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2000, 2040))
@pytest.mark.usefixtures("low_limits")
def test_many_commits_remember_their_own_pictures(seed: int, tmp_path: Path) -> None:
    interleaved(seed, 100, tmp_path / "spool")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1060))
@pytest.mark.usefixtures("honest")
def test_many_long_sessions(seed: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if seed % 2:
        request.getfixturevalue("low_limits")
    session(seed, 500, tmp_path / "spool")
