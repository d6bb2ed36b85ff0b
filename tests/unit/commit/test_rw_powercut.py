"""Promise 1 on rewritable discs: what was synced survives a power cut at any
later moment, the neighbours of a torn packet among it.

A session runs on a burner in memory. Before every SYNCHRONIZE CACHE the disc
is copied and the power of the copy is cut: of the packets that wait the first
few are burnt, in the order in which they came or in another, and the next one
is not begun, or torn in every way the burner knows. The copy is mounted with
no spool. It must show the state of the last sync or the one that was just
being written, the allocation checker must find nothing, and it must take more.

A cut is named by its number in the session: ``session(name, only=N)`` repeats it.
(More than 500 lines, so that the session, its scripts and what is asked of them
can be read side by side.)
"""

from __future__ import annotations

import copy
import os
import random
import shutil
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from media.virtual import Burner
from udffs.errors import UdffsError
from udffs.filesystem import FileSystem

from .actor import Actor
from .model import Model, Picture
from .rig import SYNC, WRITE, Clock, difference, picture, save
from .rw_rig import Cut, cut, cuts, empty_root, formatted, judged, mount, reset_faults, unsynced
from .test_powercut import PowerFailedError, at_random, scripted, with_steps_inside

SHORT = 4  # of at most so many packets that wait each may be the last one burnt
HOLE = 12 * 2048  # bytes
SMALL_LOG = 20  # slots: checkpoints come soon


@dataclass(frozen=True)
class Way:
    """What a session runs on."""

    script: str
    revision: int = 0x0201
    kind: str = "cd-rw-80"
    log_packets: int = SMALL_LOG
    bad_share: float = 0.0
    blocks: int | None = None
    """With so many blocks the disc is full of holes, too: no packet is wholly free."""

    def __str__(self) -> str:
        bad = f", {self.bad_share:.0%} bad" if self.bad_share else ""
        full = f", {self.blocks} blocks" if self.blocks else ""
        disc = f"UDF {self.revision:x}, {self.kind}, log of {self.log_packets}"
        return f"{self.script}, {disc}{bad}{full}"


class Session:
    """Cuts the power wherever it matters while a script runs; ``every``: only
    one of so many cuts, chosen by its number."""

    def __init__(self, way: Way, folder: Path, *, every: int = 1, only: int | None = None) -> None:
        self.way, self.every, self.only = way, every, only
        self.name = way.script
        self.burner = formatted(
            way.revision, way.kind, log_packets=way.log_packets, blocks=way.blocks
        )
        reset_faults(self.burner, bad_share=way.bad_share, seed=3)
        self.clock = Clock()
        self._folder = folder
        self.durable: Picture = {}
        self.pending: Picture = {}
        self.cuts = self.tried = 0
        self.seen_old = self.seen_new = 0
        self.syncing = False
        self.inside: random.Random | None = None
        self.actor = Actor(
            self._mount(),
            self.clock,
            seed=zlib.crc32(self.name.encode()),
            largest=6000,
            model=Model(empty_root()),
        )
        if way.blocks is not None:
            self._fill_with_holes()
        self.durable = self.pending = self.actor.model.picture()

    def _fill_with_holes(self) -> None:
        """Small files all over the disc, every second of which is deleted again."""
        fs, model = self.actor.fs, self.actor.model
        model.now = self.clock.tick()
        noise = random.Random(4).randbytes(HOLE)
        paths = [f"/hole {number}" for number in range(fs.statfs().available * 2048 // HOLE - 30)]
        for path in paths:
            save(fs, path, noise)
        fs.sync()
        for path in paths[::2]:
            fs.unlink(path)
        for path in paths[1::2]:
            fs.chmod(path, 0o600)
            model.write(model.make(path, 0o100600, 0, 0), 0, noise)
            fs.utimens(path, model.now, model.now)
        fs.utimens("/", model.now, model.now)
        model.utimens("/", model.now, model.now)
        fs.shutdown()
        self.actor.adopt(self._mount())

    def _mount(self) -> FileSystem:
        spool = self._folder / "spool"
        fs = mount(self.burner, spool, self.clock, watch=self._watch, blocks=self.way.blocks)
        assert fs.read_only is None, fs.read_only
        return fs

    def mount_again(self) -> None:
        """Unmount, with cuts at every moment of it, and mount."""
        self.inside = None
        self.sync()
        self.actor.fs.shutdown()
        judged(self.burner, blocks=self.way.blocks)
        self.actor.adopt(self._mount())

    def sync(self, handle: int | None = None) -> None:
        """Everything up to now becomes durable."""
        self.pending = self.actor.model.picture()
        self.syncing = True
        if handle is None:
            self.actor.fs.sync()
        else:
            self.actor.fs.fsync(handle)
        self.syncing = False
        self.durable = self.pending

    # -- cutting ---------------------------------------------------------------

    def _watch(self, operation: int) -> None:
        if operation == SYNC and self.durable:
            self._cut_everywhere(self.burner, self._check)
        for _ in range(self.inside.randrange(3) if self.inside and self.syncing else 0):
            self.actor.step()  # no part of the commit that is under way

    def _cut_everywhere(self, burner: Burner, check: Callable[[Burner], None]) -> None:
        waiting = len(unsynced(burner))
        for how in cuts(waiting, orders=(0, 1 + self.cuts)):
            if waiting > SHORT and how.burnt not in (0, 1, waiting // 2, waiting - 1, waiting):
                continue
            self.cuts += 1
            chosen = zlib.crc32(b"%d" % self.cuts) % self.every == 0
            if self.cuts == self.only or (self.only is None and chosen):
                self.tried += 1
                self._one_cut(burner, how, check)

    def _one_cut(self, burner: Burner, how: Cut, check: Callable[[Burner], None]) -> None:
        try:
            check(cut(burner, how))
        except BaseException as error:
            error.add_note(f"{self.way}: cut {self.cuts}, {how}")
            raise

    def _empty(self) -> Path:
        empty = self._folder / "empty"
        shutil.rmtree(empty, ignore_errors=True)
        return empty

    def _check(self, disc: Burner) -> None:
        """Mounted for reading, for writing, and written to."""
        clock = Clock(self.clock.now)
        look = mount(disc.branch(), self._empty(), clock, writable=False, blocks=self.way.blocks)
        before = picture(look)
        seen = self._check_seen(disc, clock)
        assert before == seen, f"for reading it shows another: {difference(before, seen)}"
        clock.tick()
        fs = mount(disc, self._empty(), clock, blocks=self.way.blocks)
        save(fs, "/after the cut", b"goes on" * 1000)
        fs.shutdown()
        judged(disc, blocks=self.way.blocks)
        again = picture(mount(disc, self._empty(), clock, blocks=self.way.blocks))
        assert again.pop("/after the cut").content == b"goes on" * 1000
        again["/"] = seen["/"]
        assert again == seen

    def _check_seen(self, disc: Burner, clock: Clock) -> Picture:
        """One of the two states, and nothing wrong; while it is mounted for the
        first time the power may fail again."""
        seconds: list[Burner] = []

        def watch(operation: int) -> None:
            if operation == SYNC:
                every = list(cuts(len(unsynced(disc))))
                seconds.append(cut(disc, every[(self.cuts * 7) % len(every)]))

        again = self.cuts % 23 == 0
        fs = mount(
            disc, self._empty(), clock, watch=watch if again else None, blocks=self.way.blocks
        )
        seen = picture(fs)
        judged(disc, may_be_open=True, blocks=self.way.blocks)
        self._one_of_two(seen)
        assert fs.read_only is None, fs.read_only
        assert self.way.blocks or fs.statfs().available > 200_000
        fs.shutdown()
        judged(disc, blocks=self.way.blocks)
        for second in seconds:
            other = picture(mount(second, self._empty(), clock, blocks=self.way.blocks))
            assert other == seen, f"after a second cut: {difference(other, seen)}"
            judged(second, may_be_open=True, blocks=self.way.blocks)
        return seen

    def _one_of_two(self, seen: Picture) -> None:
        told = difference(seen, self.durable)
        assert not told or not difference(seen, self.pending), f"neither state: {told}"
        self.seen_old += not told
        self.seen_new += bool(told)


# -- sessions ------------------------------------------------------------------


def with_unmounts(session: Session) -> None:
    """Mounted and unmounted, with cuts on the way."""
    for _ in range(4):
        for _ in range(8):
            session.actor.step()
        session.mount_again()


def through_checkpoints(session: Session) -> None:
    """Small saves, one after the other, until the log has gone round twice."""
    fs, model = session.actor.fs, session.actor.model
    handles = []
    for number in range(6):
        model.now = session.clock.tick()
        path = f"/log {number}"
        model.make(path, 0o100600, 1, 1)
        handles.append((fs.create(path, 0o600, os.O_RDWR, 1, 1), model.find(path)))
    noise = random.Random(9).randbytes
    for number in range(2 * session.way.log_packets + 10):
        handle, node = handles[number % len(handles)]
        data = noise(1 + 700 * (number % 7))
        offset = 0 if number % 3 else len(node.data)
        model.now = session.clock.tick()
        fs.write(handle, data, offset)
        model.write(node, offset, data)
        session.sync(handle)


def into_holes(session: Session) -> None:
    """Files of some length where no packet is free, and one that grows."""
    fs, model = session.actor.fs, session.actor.model
    noise = random.Random(10).randbytes
    for number, size in enumerate((300_000, 90_000, 1_000_000, 30_000, 500_000)):
        model.now = session.clock.tick()
        path = f"/large {number % 3}"
        if path in dict(model.walk()):
            fs.unlink(path)
            model.unlink(path)
        node = model.make(path, 0o100600, 1, 1)
        handle = fs.create(path, 0o600, os.O_RDWR, 1, 1)
        data = noise(size)
        fs.write(handle, data, 0)
        model.write(node, 0, data)
        session.sync(handle)


SCRIPTS: dict[str, Callable[[Any], None]] = {
    "scripted": scripted,
    "with unmounts": with_unmounts,
    "through checkpoints": through_checkpoints,
    "into holes": into_holes,
    "with steps inside": with_steps_inside,
    "random 1": at_random,
    "random 22": at_random,
}


def session(
    name: str,
    folder: Path,
    *,
    every: int = 1,
    only: int | None = None,
    **way: Any,
) -> Session:
    """Run one of the scripts; ``only`` repeats one of its cuts."""
    this = Session(Way(name, **way), folder, every=every, only=only)
    SCRIPTS[name](this)
    assert not difference(picture(this.actor.fs), this.actor.model.picture())
    this.mount_again()
    assert not difference(picture(this.actor.fs), this.actor.model.picture())
    return this


WAYS: list[dict[str, Any]] = [
    {"name": "scripted"},
    {"name": "scripted", "revision": 0x0150},
    {"name": "scripted", "kind": "mrw"},
    {"name": "with unmounts", "log_packets": 64},
    {"name": "through checkpoints"},
    {"name": "through checkpoints", "bad_share": 0.05},
    {"name": "with steps inside"},
    {"name": "random 1"},
    {"name": "random 22", "bad_share": 0.05},
    {"name": "random 22", "kind": "mrw", "revision": 0x0150},
    {"name": "into holes", "blocks": 5000},
    {"name": "random 1", "blocks": 5000},
]


def _named(way: dict[str, Any]) -> str:
    return ", ".join(str(value) for value in way.values())


@pytest.mark.parametrize("way", WAYS, ids=_named)
def test_a_cut_at_some_packets(way: dict[str, Any], tmp_path: Path) -> None:
    this = session(folder=tmp_path, every=8, **way)
    assert this.seen_old > 5
    assert this.tried > 20


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS, ids=_named)
@pytest.mark.timeout(3600)
def test_a_cut_at_every_packet(way: dict[str, Any], tmp_path: Path) -> None:
    this = session(folder=tmp_path, **way)
    assert this.seen_old > 100
    assert this.seen_new > 5


# -- a disc that sees one cut after the other ------------------------------------


def life_of_cuts(seed: int, cuts_seen: int, folder: Path, **way: Any) -> None:
    """Random changes and syncs; the power fails at a random command, while the
    disc is mounted too, and the same disc goes on after it, again and again."""
    chance = random.Random(f"rewritable life {seed}")
    how = Way("life", **way)
    burner, clock = formatted(how.revision, how.kind, log_packets=how.log_packets), Clock()
    reset_faults(burner, bad_share=how.bad_share, seed=seed)
    durable = Model(empty_root())
    for number in range(cuts_seen):
        left = [chance.randrange(1, 25)]

        def watch(operation: int, left: list[int] = left) -> None:
            left[0] -= operation in (WRITE, SYNC)
            if not left[0]:
                raise PowerFailedError

        pending = durable
        spool = folder / f"spool {number}"
        try:
            try:
                actor = Actor(
                    mount(burner, spool, clock, watch=watch),
                    clock,
                    chance.randrange(1 << 30),
                    model=copy.deepcopy(durable),
                    largest=chance.choice((3000, 200_000)),
                )
                while True:
                    actor.step()
                    if chance.random() < 0.4:
                        pending = copy.deepcopy(actor.model)
                        actor.fs.sync()
                        durable = pending
                    if chance.random() < 0.05:
                        pending = copy.deepcopy(actor.model)
                        actor.fs.shutdown()
                        durable = pending
                        judged(burner)
                        break
            except PowerFailedError:
                burner.faults.seed = seed
                every = list(cuts(len(unsynced(burner)), orders=(0, 1 + number)))
                burner = cut(burner, chance.choice(every))
            disc = burner.branch()
            fs = mount(disc, folder / f"look {number}", clock)
            seen = picture(fs)
            assert fs.read_only is None, fs.read_only
            judged(disc, may_be_open=True)
            if not difference(seen, pending.picture()):
                durable = pending
            told = difference(seen, durable.picture())
            assert not told, told
        except BaseException as error:
            error.add_note(f"seed {seed}, {how}, cut {number}")
            raise


LIVES: list[dict[str, Any]] = [
    {},
    {"revision": 0x0150, "log_packets": 64},
    {"kind": "mrw"},
    {"bad_share": 0.005},
]


@pytest.mark.parametrize("seed", range(8))
def test_one_cut_after_the_other(seed: int, tmp_path: Path) -> None:
    life_of_cuts(seed, 25, tmp_path, **LIVES[seed % len(LIVES)])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
def test_many_lives_of_cuts(seed: int, tmp_path: Path) -> None:
    life_of_cuts(seed, 60, tmp_path, **LIVES[seed % len(LIVES)])


# -- made by hypothesis -----------------------------------------------------------

# What a program may do, on two names and a directory; "sync" after any of them.
NAMES = ("/a", "/b", "/d/a")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("save"), st.sampled_from(NAMES), st.integers(0, 9000)),
        st.tuples(st.just("append"), st.sampled_from(NAMES), st.integers(1, 5000)),
        st.tuples(st.just("truncate"), st.sampled_from(NAMES), st.integers(0, 9000)),
        st.tuples(st.just("rename"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.tuples(st.just("link"), st.sampled_from(NAMES), st.sampled_from(NAMES)),
        st.tuples(st.just("unlink"), st.sampled_from(NAMES), st.just(0)),
        st.tuples(st.just("sync"), st.just(""), st.just(0)),
        st.tuples(st.just("mount"), st.just(""), st.just(0)),
    ),
    min_size=1,
    max_size=12,
)


def _apply(session: Session, step: tuple[str, Any, Any]) -> None:
    """One step on both; what the model refuses the volume must refuse, too."""
    what, path, other = step
    fs, model = session.actor.fs, session.actor.model
    if what == "sync":
        session.sync()
        return
    if what == "mount":
        session.mount_again()
        return
    model.now = session.clock.tick()
    data = random.Random(repr(step)).randbytes(other) if isinstance(other, int) else b""

    def ideal() -> None:
        if what == "save" and path not in dict(model.walk()):
            model.make(path, 0o100644, 0, 0)
        if what in ("save", "append"):
            node = model.find(path)
            if data:
                model.write(node, 0 if what == "save" else len(node.data), data)
        elif what == "truncate":
            model.truncate(model.find(path), other)
        elif what == "unlink":
            model.unlink(path)
        else:
            getattr(model, what)(path, other)

    def real() -> None:
        if what in ("save", "append"):
            try:
                handle = fs.open(path, os.O_RDWR)
            except UdffsError:
                if what == "append":
                    raise
                handle = fs.create(path, 0o644, os.O_RDWR, 0, 0)
            if data:
                fs.write(handle, data, 0 if what == "save" else fs.getattr(path, handle).size)
            fs.release(handle)
        elif what == "truncate":
            fs.truncate(path, other)
        else:
            getattr(fs, what)(*((path,) if what == "unlink" else (path, other)))

    session.actor._both(str(step), real, ideal)


def _hypothetical(steps: list[tuple[str, Any, Any]], folder: Path, every: int) -> None:
    this = Session(Way("hypothesis", log_packets=16), folder, every=every)
    this.actor.fs.mkdir("/d", 0o755, 0, 0)
    this.actor.model.now = this.clock.now
    this.actor.model.make("/d", 0o40755, 0, 0)
    for step in steps:
        _apply(this, step)
    this.mount_again()
    assert not difference(picture(this.actor.fs), this.actor.model.picture())


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(steps=STEPS)
def test_sequences_made_by_hypothesis(steps: list[tuple[str, Any, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _hypothetical(steps, Path(folder), every=60)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@settings(max_examples=300, deadline=None, database=None)
@given(steps=STEPS)
def test_many_sequences_made_by_hypothesis(steps: list[tuple[str, Any, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        _hypothetical(steps, Path(folder), every=10)
