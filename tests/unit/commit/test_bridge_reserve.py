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
from udffs.errors import NoSpaceError
from udffs.filesystem import FileSystem
from udffs.ondisc.basic import EntityId
from udffs.ondisc.osta import BridgeCost, bridge_use, implementation_id, parse_bridge_use
from udffs.volume import open_volume

from .actor import Actor
from .rig import SYNC, WRITE, Clock, formatted, kill, mount, save, store_of


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


@pytest.mark.usefixtures("low_limits")
def test_a_write_behind_zeros_is_a_piece_of_its_own(tmp_path: Path) -> None:
    """What is promised counted it as one with them."""
    interleaved(2006, 100, tmp_path / "spool")


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


# -- what is remembered ----------------------------------------------------------------


def made(spool: Path) -> tuple[Burner, int]:
    """A disc with a bit of everything, and what its bridge costs."""
    burner, clock = formatted(), Clock()
    actor = Actor(mount(burner, spool, clock), clock, seed=5)
    for _ in range(60):
        actor.step()
    actor.fs.sync()
    actor.fs.shutdown()
    again = mount(burner, spool)
    again.shutdown()
    return burner, kept(again)


def test_a_mount_does_not_walk_through_the_volume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    burner, cost_before = made(tmp_path / "spool")
    monkeypatch.setattr("udffs.commit.bridge.measure._look_at", lambda *_: pytest.fail("walked"))
    fs = mount(burner, tmp_path / "spool")
    assert kept(fs) == cost_before > cost.EMPTY


def test_what_another_program_wrote_is_measured_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    burner, cost_before = made(tmp_path / "spool")
    with monkeypatch.context() as forgetful:
        forgetful.setattr("udffs.ondisc.osta.IMPLEMENTATION", b"*another")
        fs = mount(burner, tmp_path / "spool")
    assert kept(fs) == cost_before
    fs.mkdir("/one more", 0o755, 0, 0)
    fs.shutdown()
    check_remembered(burner, cost_before + cost.DIRECTORY + cost.name_cost(b"one more"))


def test_a_volume_without_a_bridge_counts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_once, "has_bridge", lambda _store, _volume: False)
    monkeypatch.setattr("udffs.commit.promises.state_cost", lambda *_, **__: pytest.fail("counted"))
    burner, clock = formatted(), Clock()
    actor = Actor(mount(burner, tmp_path / "spool", clock), clock, seed=7)
    for _ in range(60):
        actor.step()
    actor.fs.shutdown()
    volume = open_volume(store_of(burner))
    assert volume.vat is not None and volume.vat.bridge is None


@pytest.mark.parametrize("zeros", [0, 4, 8192, 16_376])
@pytest.mark.parametrize("records", [0, 32, 4096, 32 * ((1 << 28) - 1)])
def test_a_cost_is_remembered_as_it_is(records: int, zeros: int) -> None:
    total = zeros * cost.ZEROS + records
    assert cost.recalled(told_again(total)) == total


def test_a_cost_that_is_too_large_is_not_remembered_as_less() -> None:
    assert bridge_use(cost.remembered(32 << 28)) == bytes(6)
    recalled = cost.recalled(told_again(20_000 * cost.ZEROS + 64))
    less = recalled - 20_000 * cost.ZEROS
    assert cost.blocks(less) == cost.blocks(recalled)
    assert cost.recalled(told_again(less)) == recalled


def told_again(total: int) -> BridgeCost:
    use = bridge_use(cost.remembered(total))
    found = parse_bridge_use(EntityId.parse(EntityId.build(implementation_id(use=use))))
    assert found is not None
    return found


@pytest.mark.parametrize("entity", [{}, {"identifier": b"*Linux UDFFS".ljust(23, b"\0")}])
def test_an_identifier_that_says_nothing_of_it(entity: dict[str, bytes]) -> None:
    assert (
        parse_bridge_use(EntityId.parse(EntityId.build({**implementation_id(), **entity}))) is None
    )


# -- room --------------------------------------------------------------------------------


def reserve(free: int, bridge: int | None, *, gap: int = 11_400) -> Reserve:
    return Reserve(
        free=free,
        link_blocks=7,
        packet_limit=500,
        opening=0,
        bridge=bridge,
        session_gap=gap,
        next_opening=600,
    )


def test_what_is_kept_back_covers_two_bridges() -> None:
    plain = reserve(100_000, None)
    for bridge in (0, cost.EMPTY, 1 << 20, 100 << 20, (5 << 20) + 6000 * cost.ZEROS):
        kept_back = reserve(100_000, bridge).closing - plain.closing
        once = cost.blocks(bridge)
        assert 2 * once < kept_back < 2.1 * once + 80


def test_a_change_that_costs_the_bridge_too_much_is_refused() -> None:
    room = reserve(4000, cost.EMPTY)
    left = room.available
    room.promise(1, bridge=(left // 2 - 100) * 2048)
    with pytest.raises(NoSpaceError):
        room.promise(1, bridge=(left // 2 + 20) * 2048)
    room.grow_bridge((left // 2 - 100) * 2048)
    assert room.available < 250
    with pytest.raises(NoSpaceError):
        room.promise(0, bridge=2048 * 2048)
    room.promise(200, deleting=True)


def test_deleting_works_where_no_bridge_fits() -> None:
    room = reserve(2500, 1 << 30)
    assert room.available == 0
    with pytest.raises(NoSpaceError):
        room.promise(1)
    room.promise(20, bridge=-1000, deleting=True)


@pytest.mark.parametrize("bridge", [None, cost.EMPTY, 10 << 20])
def test_what_closing_costs_and_leaves(bridge: int | None) -> None:
    room = reserve(100_000, bridge)
    told = room.closing_cost()
    assert told.bridge == (0 if bridge is None else (room.closing - reserve(1, None).closing) // 2)
    assert 257 + told.bridge < told.commit < 257 + told.bridge + 50
    after = reserve(100_000 - told.commit - told.session - 600, bridge)
    assert (told.session, told.free_after, told.next_possible) == (11_400, after.available, True)
    room.promise(5000)
    assert room.closing_cost().commit == told.commit + 5000
    assert not reserve(14_000 + told.bridge, bridge, gap=20_000).closing_cost().next_possible


def test_enospc_comes_at_the_operation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes the bridge larger is refused before anything happened; what makes it
    smaller is not."""
    fs = mount(formatted(), tmp_path / "spool")
    save(fs, "/large", bytes(4 << 20), sync=True)
    assert fs._writing is not None
    room = fs._writing.reserve
    monkeypatch.setattr(fs._scheduler, "may_free_room", lambda: False)
    for change in (
        lambda: fs.truncate("/large", 8 << 20),  # a hole behind what is there
        lambda: [save(fs, f"/{number}", b"small") for number in range(100)],
        lambda: [fs.mkdir(f"/folder {number}", 0o755, 0, 0) for number in range(100)],
    ):
        almost_full = room.closing + room.promised + 60
        monkeypatch.setattr(Reserve, "free", almost_full)
        with pytest.raises(NoSpaceError):
            change()
        assert kept(fs) == walked(fs)
    before = kept(fs)
    fs.unlink("/large")
    fs.sync()
    assert kept(fs) == walked(fs) < before
