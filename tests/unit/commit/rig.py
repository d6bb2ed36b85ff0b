"""A burner in memory, volumes mounted on it, and pictures of what is seen."""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from media.drive import Drive
from media.mmc.commands import CloseTrackSession, SynchronizeCache, Write10
from media.store import SequentialStore, open_store
from media.transport import Buffer
from media.transport.virtual import VirtualTransport
from media.virtual import Burner, memory_burner
from media.virtual.faults import Faults
from udffs.commit.format import FormatOptions, format_volume
from udffs.filesystem import FileSystem, MountOptions, open_file_system

from .model import Inode, Picture, Seen

SECOND = 1_000_000_000
MIB = 1 << 20
BORN = 1_700_000_000 * SECOND
#: Nothing is committed but on request
QUIET = MountOptions(commit_idle=1e6, commit_max=1e6, commit_bytes=1 << 40)
WRITE, SYNC, CLOSE = (
    int(layout.parse(layout.build({})).operation_code)
    for layout in (Write10, SynchronizeCache, CloseTrackSession)
)


class Clock:
    """The time that a volume is told."""

    def __init__(self, now: int = BORN) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now

    def tick(self) -> int:
        self.now += 1_000_003_000
        return self.now


class WatchedTransport(VirtualTransport):
    """Tells of each command before it goes out."""

    def __init__(self, burner: Burner, watch: Callable[[int], None]) -> None:
        super().__init__(burner)
        self._watch = watch

    def execute(
        self, cdb: bytes, data_out: Buffer = b"", *, read_length: int = 0, timeout: float = 30.0
    ) -> tuple[int, bytes, bytes]:
        self._watch(cdb[0])
        return super().execute(cdb, data_out)


def store_of(burner: Burner, watch: Callable[[int], None] | None = None) -> SequentialStore:
    transport = VirtualTransport(burner) if watch is None else WatchedTransport(burner, watch)
    store = open_store(Drive(transport, name="test", sleep=lambda _seconds: None))
    assert isinstance(store, SequentialStore)
    return store


def formatted(revision: int = 0x0201, kind: str = "cd-r-80", *, seed: int = 1) -> Burner:
    """A disc with an empty volume on it; ``seed`` makes its identity."""
    burner = memory_burner(kind)
    options = FormatOptions(f"test {revision:x}", revision)
    format_volume(store_of(burner), options, now=BORN, random=random.Random(seed).randbytes)
    return burner


def empty_root() -> Inode:
    """What :func:`formatted` makes."""
    return Inode(stat.S_IFDIR | 0o755, atime=BORN, mtime=BORN, ctime=BORN)


def mount(
    burner: Burner,
    spool: Path,
    clock: Callable[[], int] | None = None,
    *,
    options: MountOptions = QUIET,
    watch: Callable[[int], None] | None = None,
    log: Callable[[str], None] = lambda _text: None,
) -> FileSystem:
    """Mount for writing; without threads, so commits happen on request only."""
    store = store_of(burner, watch)
    return open_file_system(store, spool=spool, options=options, clock=clock or Clock(), log=log)


def kill(spool: Path) -> Path:
    """What a killed process leaves: its spool as it was at that moment, under
    another name because the test's own process still holds the first."""
    left = spool.with_name(f"{spool.name}+")
    shutil.copytree(spool, left)
    return left


def content(fs: FileSystem, path: str) -> bytes:
    """All bytes of a file."""
    handle = fs.open(path, os.O_RDONLY)
    try:
        size = fs.getattr(path, handle).size
        return b"".join(fs.read(handle, MIB, at) for at in range(0, size, MIB))
    finally:
        fs.release(handle)


def save(fs: FileSystem, path: str, data: bytes, *, sync: bool = False) -> None:
    """Make a file, or overwrite it from its beginning."""
    try:
        handle = fs.create(path, 0o644, os.O_RDWR, 0, 0)
    except Exception as error:
        if getattr(error, "errno", None) != 17:
            raise
        handle = fs.open(path, os.O_RDWR | os.O_TRUNC)
    try:
        for at in range(0, len(data), MIB):
            fs.write(handle, data[at : at + MIB], at)
        if sync:
            fs.fsync(handle)
    finally:
        fs.release(handle)


def picture(fs: FileSystem) -> Picture:
    """What a program sees of everything."""
    paths = ["/"]
    for path in paths:
        if stat.S_ISDIR(fs.getattr(path).mode):
            paths += [f"{path.rstrip('/')}/{name}" for name, _, _ in fs.readdir(path)]
    first: dict[int, str] = {}
    for path in sorted(paths):
        first.setdefault(fs.getattr(path).inode, path)
    return {path: _seen(fs, path, first) for path in sorted(paths)}


def _seen(fs: FileSystem, path: str, first: dict[int, str]) -> Seen:
    a = fs.getattr(path)
    inside: bytes | str | None = None
    if stat.S_ISREG(a.mode):
        inside = content(fs, path)
    elif stat.S_ISLNK(a.mode):
        inside = fs.readlink(path)
    size = a.size if stat.S_ISREG(a.mode) else 0
    return Seen(
        a.mode,
        a.uid,
        a.gid,
        a.links,
        size,
        a.device,
        a.atime,
        a.mtime,
        a.ctime,
        inside,
        first[a.inode],
    )


def difference(seen: Picture, expected: Picture) -> str:
    """In words, what is not as it should be; empty if everything is."""
    told = [f"{path} is missing" for path in expected.keys() - seen.keys()]
    told += [f"{path} should not be there" for path in seen.keys() - expected.keys()]
    for path in seen.keys() & expected.keys():
        for name, found, wanted in zip(Seen._fields, seen[path], expected[path], strict=True):
            if found != wanted:
                told.append(f"{path}: {name} is {_short(found)}, not {_short(wanted)}")
    return "; ".join(sorted(told)[:20])


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:50]}... ({len(value)} long)"  # type: ignore[arg-type]


class Torn(Faults):
    """Faults whose power cut falls at a chosen block of the open packet."""

    def __init__(self, block: int, cut: str) -> None:
        super().__init__()
        self.cut = cut  # type: ignore[assignment]
        self._block = block

    def chance(self, what: object) -> random.Random:
        return _At(self._block)


class _At(random.Random):
    def __init__(self, block: int) -> None:
        super().__init__(0)
        self._block = block

    def randint(self, low: int, high: int) -> int:
        return min(max(self._block, low), high)


def cut(burner: Burner, block: int, how: str) -> Burner:
    """A copy of the disc, as if the power had failed when the laser was at
    ``block``; ``how`` is "repair" or "clean" (see Faults.cut)."""
    branch = burner.branch()
    branch.faults = branch.recorder.faults = Torn(block, how)
    branch.power_cut()
    branch.faults = branch.recorder.faults = Faults()
    return branch
