"""Promise 1: what was synced survives a power cut at any later moment.

A session runs on a burner in memory. Before every command that writes or
syncs, the disc is copied and the power of the copy is cut, with the laser at
any block of the open packet, in both ways a drive may have of leaving it. The
copy is mounted with no spool (the host lost its power too). It must show the
state of the last sync, or the one that was just being written, wholly; and it
must take more.

A cut is named by its number in the session: ``session(name, revision, only=N)``
repeats it alone.
"""

from __future__ import annotations

import copy
import os
import random
import shutil
import threading
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from media.virtual import Burner
from udffs.filesystem import MountOptions

from .actor import Actor
from .model import Model, Picture
from .rig import (
    CLOSE,
    MIB,
    SYNC,
    WRITE,
    Clock,
    content,
    cut,
    difference,
    empty_root,
    formatted,
    mount,
    picture,
    save,
)

EVERY_BLOCK = 20  # of packets up to this size; of longer ones a choice
HOW = ("repair", "clean")


class Session:
    """Cuts the power wherever it matters while a script runs."""

    def __init__(self, name: str, revision: int, folder: Path, only: int | None = None) -> None:
        self.name, self.revision, self.only = name, revision, only
        self.burner = formatted(revision)
        self.clock = Clock()
        self._folder = folder
        self.durable: Picture = {}
        self.pending: Picture = {}
        self.cuts = 0
        self.seen_old = self.seen_new = 0
        self.closing = self.syncing = False
        self.inside: random.Random | None = None
        self.actor = self._mount()
        self.durable = self.pending = self.actor.model.picture()

    def _mount(self) -> Actor:
        fs = mount(self.burner, self._folder / "spool", self.clock, watch=self._watch)
        return Actor(fs, self.clock, seed=zlib.crc32(self.name.encode()), largest=6000)

    def close(self, *, final: bool) -> None:
        """Close the session, and unless it was the last go on with a new mount."""
        self.closing = True
        self.actor.fs.close_disc(final=final)
        self.actor.fs.shutdown()
        self.closing = False
        if not final:
            self.actor.adopt(self._mount().fs)

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
        if operation not in (WRITE, SYNC, CLOSE) or not self.durable:
            return
        packet = self.burner.recorder.packet
        blocks = [0] if packet is None else _blocks(packet.start, packet.end, operation == SYNC)
        for block in blocks:
            for how in HOW if packet is not None else HOW[:1]:
                self.cuts += 1
                if self.only in (None, self.cuts):
                    self._cut(block, how)
        for _ in range(self.inside.randrange(3) if self.inside and self.syncing else 0):
            self.actor.step()  # no part of the commit that is under way

    def _cut(self, block: int, how: str) -> None:
        where = f"{self.name}, UDF {self.revision:x}, cut {self.cuts} at block {block}, {how}"
        try:
            self._check(cut(self.burner, block, how))
        except BaseException as error:
            error.add_note(where)
            raise

    def _check(self, disc: Burner) -> None:
        empty = self._folder / "empty"
        shutil.rmtree(empty, ignore_errors=True)
        clock = Clock(self.clock.now)
        fs = mount(disc, empty, clock)
        if self.closing and fs.read_only == "the disc is closed":
            assert not difference(picture(fs), self.durable)
            return
        assert fs.read_only is None, fs.read_only
        seen = picture(fs)
        told = difference(seen, self.durable)
        assert not told or not difference(seen, self.pending), f"neither state: {told}"
        self.seen_old += not told
        self.seen_new += bool(told)
        assert fs.statfs().available > 200_000
        clock.tick()
        save(fs, "/after the cut", b"goes on" * 1000)
        fs.shutdown()
        again = picture(mount(disc, empty, clock))
        assert again.pop("/after the cut").content == b"goes on" * 1000
        again["/"] = seen["/"]
        assert again == seen


def _blocks(start: int, end: int, all_of_it: bool) -> list[int]:
    """Where the laser may be when the power goes."""
    if not all_of_it:
        return [end]
    if end - start <= EVERY_BLOCK:
        return list(range(start, end + 1))
    middle = (end - start) // 3
    return [start, start + 1, start + middle, end - middle, *range(end - 6, end + 1)]


# -- sessions ------------------------------------------------------------------


def scripted(session: Session) -> None:
    """Every kind of change, a sync after each few."""
    fs, model = session.actor.fs, session.actor.model
    ids = (1000, 100)

    def both(name: str, *arguments: object) -> None:
        model.now = session.clock.tick()
        getattr(fs, name)(*arguments)
        getattr(model, name)(*arguments)

    def make(name: str, path: str, mode: int, data: bytes = b"") -> int:
        model.now = session.clock.tick()
        node = model.make(path, 0o100000 | mode, *ids)
        handle = fs.create(path, mode, os.O_RDWR, *ids)
        put(handle, path, 0, data)
        assert model.find(path) is node
        return handle

    def put(handle: int, path: str, offset: int, data: bytes) -> None:
        for at in range(0, len(data), MIB):
            model.now = session.clock.tick()
            fs.write(handle, data[at : at + MIB], offset + at)
            model.write(model.find(path), offset + at, data[at : at + MIB])

    def folder(path: str) -> None:
        model.now = session.clock.tick()
        fs.mkdir(path, 0o755, *ids)
        model.make(path, 0o40755, *ids)

    noise = random.Random(5).randbytes
    log = make("create", "/log", 0o600, b"first line\n")
    session.sync(log)
    put(log, "/log", 11, b"second line\n")  # append, embedded
    folder("/d")
    folder("/d/e")
    session.sync(log)
    photo = make("create", "/d/photo", 0o644, noise(5000))
    session.sync(photo)
    put(photo, "/d/photo", 2000, b"overwritten")
    both("chmod", "/log", 0o640)
    session.sync()
    model.now = session.clock.tick()
    fs.truncate("/d/photo", 2100, photo)
    model.truncate(model.find("/d/photo"), 2100)
    both("link", "/d/photo", "/d/e/same photo")
    session.sync(photo)
    temporary = make("create", "/d/.photo~", 0o644, noise(3000))
    session.sync(temporary)
    both("rename", "/d/.photo~", "/d/photo")
    session.sync(temporary)
    model.now = session.clock.tick()
    fs.symlink("/link", "d/photo", *ids)
    model.make("/link", 0o120777, *ids, target="d/photo")
    both("unlink", "/log")
    session.sync()
    large = make("create", "/large", 0o644, noise(5 * MIB + 77))
    session.sync(large)
    put(large, "/large", 3 * MIB, noise(100))
    both("unlink", "/d/e/same photo")
    both("rmdir", "/d/e")
    session.sync(large)
    both("rename", "/d", "/elsewhere")
    both("utimens", "/elsewhere/photo", 1_000_000, 2_000_000)
    session.sync()
    for number in range(60):  # the directory leaves its ICB
        fs.release(make("create", f"/elsewhere/a name of some length {number}", 0o600, b"x"))
    session.sync()
    for number in range(0, 60, 2):
        both("unlink", f"/elsewhere/a name of some length {number}")
    session.sync()


def at_random(session: Session) -> None:
    """Random changes, a sync after each few."""
    chance = random.Random(session.name)
    for _ in range(40):
        session.actor.step()
        if chance.random() < 0.3:
            session.sync()


def with_steps_inside(session: Session) -> None:
    """Programs go on while commits are under way: a commit is a snapshot."""
    picture(session.actor.fs)  # so that no step needs the disc
    session.inside = random.Random(1)
    at_random(session)


def with_closes(session: Session) -> None:
    """A session on the disc after the other."""
    for final in (False, False, True):
        for _ in range(12):
            session.actor.step()
        session.sync()
        session.close(final=final)


SCRIPTS: dict[str, Callable[[Session], None]] = {
    "scripted": scripted,
    "with closes": with_closes,
    "with steps inside": with_steps_inside,
    "random 1": at_random,
    "random 22": at_random,
}


def session(name: str, revision: int, folder: Path, only: int | None = None) -> Session:
    """Run one of the scripts; ``only`` repeats one of its cuts."""
    this = Session(name, revision, folder, only)
    SCRIPTS[name](this)
    if this.actor.fs.read_only is None:
        assert not difference(picture(this.actor.fs), this.actor.model.picture())
    return this


@pytest.mark.parametrize(
    ("name", "revision"),
    [
        ("scripted", 0x0150),
        ("scripted", 0x0201),
        ("with closes", 0x0201),
        ("with steps inside", 0x0201),
        ("random 1", 0x0150),
        ("random 22", 0x0201),
    ],
)
def test_a_cut_at_every_block(name: str, revision: int, tmp_path: Path) -> None:
    this = session(name, revision, tmp_path)
    assert this.seen_old > 50
    assert this.seen_new > 5  # where the first of the two VAT ICBs was written


# -- a disc that sees one cut after the other ------------------------------------


class PowerFailedError(Exception):
    """The host is off."""


def life_of_cuts(seed: int, revision: int, cuts: int, folder: Path) -> None:
    """Random changes and syncs; the power fails at a random command, and the
    same disc goes on after it, again and again."""
    chance = random.Random(f"life {seed}")
    burner, clock = formatted(revision), Clock()
    durable = Model(empty_root())
    for number in range(cuts):
        left = [chance.randrange(1, 30)]

        def watch(operation: int, left: list[int] = left) -> None:
            left[0] -= operation in (WRITE, SYNC)
            if not left[0]:
                raise PowerFailedError

        # A real drive may lose the address with the power; 98 repairs fill a disc.
        how = chance.choice(HOW)
        spool = folder / f"spool {number}"
        actor = Actor(
            mount(burner, spool, clock, watch=watch),
            clock,
            chance.randrange(1 << 30),
            model=copy.deepcopy(durable),
        )
        seen = picture(actor.fs)
        pending = durable
        try:
            while True:
                actor.step()
                if chance.random() < 0.4:
                    pending = copy.deepcopy(actor.model)
                    actor.fs.sync()
                    durable = pending
        except PowerFailedError:
            burner.faults.seed, burner.faults.cut = number, how  # type: ignore[assignment]
            burner.power_cut()
        except BaseException as error:
            error.add_note(f"seed {seed}, UDF {revision:x}, after cut {number}")
            raise
        seen = picture(mount(burner, folder / f"look {number}", clock))
        if not difference(seen, pending.picture()):
            durable = pending
        told = difference(seen, durable.picture())
        assert not told, f"seed {seed}, UDF {revision:x}, cut {number} ({how}): {told}"


@pytest.mark.parametrize("seed", range(4))
def test_one_cut_after_the_other(seed: int, tmp_path: Path) -> None:
    life_of_cuts(seed, (0x0150, 0x0201)[seed % 2], 25, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 116))
def test_many_lives_of_cuts(seed: int, tmp_path: Path) -> None:
    life_of_cuts(seed, (0x0150, 0x0201)[seed % 2], 60, tmp_path)


# -- large files beside a small one ----------------------------------------------


def test_a_growing_file_keeps_what_was_durable(tmp_path: Path) -> None:
    """While a large file waits for a small save, no cut may take what was
    synced of it: neither its blocks nor its bytes inside the ICB."""
    burner, noise = formatted(), random.Random(3).randbytes
    durable = {"/one": b"in the ICB", "/two": noise(5000)}

    def check(operation: int) -> None:
        if operation in (WRITE, SYNC) and saving:
            packet = burner.recorder.packet
            disc = cut(burner, 0 if packet is None else packet.end, "clean")
            fs = mount(disc, tmp_path / f"empty {len(saving)}")
            saving.append(operation)
            for path, data in durable.items():
                assert content(fs, path).startswith(data)

    saving: list[int] = []
    fs = mount(burner, tmp_path / "spool", watch=check)
    for path, data in durable.items():
        save(fs, path, data)
    fs.sync()
    fs.start()
    for path in ("/first", *durable):  # the first one has its turn, the others wait
        handle = fs.create(path, 0o600, os.O_RDWR, 0, 0) if path == "/first" else fs.open(path, 2)
        for at in range(4):
            fs.write(handle, noise(MIB), 6000 + at * MIB)
    saving.append(0)
    save(fs, "/small", b"do not wait", sync=True)
    assert len(saving) > 3
    disc = mount(burner.branch(), tmp_path / "empty")
    assert content(disc, "/small") == b"do not wait"
    assert content(disc, "/one") == b"in the ICB"
    saving.clear()
    fs.shutdown()
    assert fs.getattr("/one").size == 6000 + 4 * MIB


# -- many programs at once -----------------------------------------------------------


def test_what_each_of_many_programs_has_synced(tmp_path: Path) -> None:
    """Four programs append and sync while a fifth copies large files and the
    committing thread works; the power fails at moments nobody chose."""
    burner = formatted()
    options = MountOptions(commit_idle=0.02, commit_max=0.1, commit_bytes=1 << 20)
    fs = mount(burner, tmp_path / "spool", options=options)
    fs.start()
    acknowledged = dict.fromkeys((f"/log {number}" for number in range(4)), 0)
    noise, errors = random.Random(6).randbytes(8 * MIB), list[BaseException]()
    stop = threading.Event()

    def append(path: str) -> None:
        handle = fs.create(path, 0o600, os.O_RDWR | os.O_APPEND, 0, 0)
        length = 0
        while not stop.is_set():
            size = 100 + length % 3000
            fs.write(handle, noise[length : length + size], 0)
            length += size
            fs.fsync(handle)
            acknowledged[path] = length

    def copy_large() -> None:
        for number in range(40):  # about half of the disc
            save(fs, "/copy~", noise)
            fs.rename("/copy~", f"/copy {number % 3}")
            if stop.wait(0.05):
                return

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            errors.append(error)
            stop.set()

    work: list[Callable[[], None]] = [partial(append, path) for path in acknowledged]
    threads = [threading.Thread(target=guarded, args=(one,)) for one in (*work, copy_large)]
    for thread in threads:
        thread.start()
    for number in range(12):
        stop.wait(0.2)
        before = acknowledged.copy()
        disc = cut(burner, random.Random(number).randrange(1 << 20), HOW[number % 2])
        seen = mount(disc, tmp_path / f"empty {number}")
        for path, length in before.items():
            if length:
                found = content(seen, path)
                assert len(found) >= length, path
                assert noise.startswith(found), path
    stop.set()
    for thread in threads:
        thread.join()
    assert not errors, errors
    fs.shutdown()
    last = mount(burner, tmp_path / "spool")
    for path, length in acknowledged.items():
        assert content(last, path)[:length] == noise[:length]
    assert all(
        content(last, f"/{name}") == noise for name, _, _ in last.readdir("/") if "py " in name
    )


def test_who_syncs_a_large_file_waits_for_all_of_it(tmp_path: Path) -> None:
    """Although it gives way to a small one meanwhile."""
    burner = formatted()
    noise = random.Random(4).randbytes(12 * MIB)
    begun = threading.Event()

    def watch(operation: int) -> None:
        if operation == WRITE:
            begun.wait(10)

    fs = mount(burner, tmp_path / "spool", watch=watch)
    fs.start()
    handles = [fs.create(f"/{name}", 0o600, os.O_RDWR, 0, 0) for name in ("large", "small")]
    for at in range(0, len(noise), MIB):
        fs.write(handles[0], noise[at : at + MIB], at)
    fs.write(handles[1], b"small", 0)
    found: dict[str, bytes] = {}

    def sync(number: int, name: str) -> None:
        fs.fsync(handles[number])
        disc = mount(cut(burner, 0, "clean"), tmp_path / f"after {name}")
        found[name] = content(disc, f"/{name}")

    threads = [
        threading.Thread(target=sync, args=(number, name))
        for number, name in enumerate(("large", "small"))
    ]
    for thread in threads:
        thread.start()
    while len(fs._scheduler._waiters) < 2:  # type: ignore[union-attr]
        time.sleep(0.001)
    begun.set()
    for thread in threads:
        thread.join()
    assert found == {"large": noise, "small": b"small"}
    assert fs.status()["commits"] > 1, "the large file did not give way"
    fs.shutdown()
