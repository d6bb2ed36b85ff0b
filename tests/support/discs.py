"""Discs that we write, each with a plain account of what must be on it."""

from __future__ import annotations

import hashlib
import os
import random
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from media import virtual
from media.discovery import open_block_store
from media.store import SequentialStore
from udffs.commit.format import FormatOptions, format_volume
from udffs.filesystem import FileSystem, open_file_system

BLOCK = 2048
# Times count up from here, so that a disc written twice is the same disc:
# 13 November 2026, 12:00 UTC, in nanoseconds.
EPOCH = 1_794_571_200 * 10**9
MICROSECOND = 1000


@dataclass(frozen=True)
class Expected:
    """What a reader must find under one name. ``mtime`` is in ns, since 1970."""

    mode: int  # with the type, as st_mode
    uid: int = 0
    gid: int = 0
    links: int = 1
    size: int = 0
    mtime: int | None = None
    content: str = ""  # SHA-256 of a regular file
    target: str = ""  # of a symbolic link
    device: tuple[int, int] = (0, 0)  # major, minor


@dataclass(frozen=True)
class Disc:
    """One disc, and what is on it: names without a leading slash."""

    name: str
    image: Path
    revision: int
    closed: bool
    expected: dict[str, Expected] = field(repr=False)

    @property
    def files(self) -> dict[str, Expected]:
        return {n: e for n, e in self.expected.items() if stat.S_ISREG(e.mode)}

    @property
    def directories(self) -> dict[str, Expected]:
        return {n: e for n, e in self.expected.items() if stat.S_ISDIR(e.mode)}


class Clock:
    """Time that moves on by 1,000,003 microseconds whenever it is asked for."""

    def __init__(self) -> None:
        self._now = EPOCH

    def __call__(self) -> int:
        self._now += 1_000_003 * MICROSECOND
        return self._now


class Author:
    """Writes files through a FileSystem, and keeps the account.

    Names are relative to the root, with slashes.
    """

    def __init__(self, filesystem: FileSystem, contents: dict[str, bytes]) -> None:
        self.fs = filesystem
        self.contents = contents  # of the regular files, by name; kept up to date

    def directory(self, name: str, mode: int = 0o755) -> None:
        self.fs.mkdir("/" + name, mode, 0, 0)

    def file(self, name: str, content: bytes, mode: int = 0o644) -> None:
        handle = self.fs.create("/" + name, stat.S_IFREG | mode, 1, 0, 0)
        try:
            for start in range(0, len(content), 1 << 17):
                self.fs.write(handle, content[start : start + (1 << 17)], start)
        finally:
            self.fs.release(handle)
        self.contents[name] = content

    def special_files(self, folder: str) -> None:
        """One of each kind."""
        self.fs.mknod(f"/{folder}/fifo", stat.S_IFIFO | 0o640, 0, 5, 6)
        self.fs.mknod(f"/{folder}/socket", stat.S_IFSOCK | 0o755, 0, 0, 0)
        self.fs.mknod(f"/{folder}/null", stat.S_IFCHR | 0o666, 0x103, 0, 0)
        self.fs.mknod(f"/{folder}/disk", stat.S_IFBLK | 0o660, 0x801, 0, 6)

    def modes_and_owners(self, folder: str) -> None:
        """Files and a directory with unusual ones."""
        for mode in (0o000, 0o400, 0o777, 0o4755, 0o2750, 0o1644):
            self.file(f"{folder}/{mode:04o}", b"mode", mode)
            self.fs.chmod(f"/{folder}/{mode:04o}", mode)
        self.directory(f"{folder}/sticky")
        self.fs.chmod(f"/{folder}/sticky", 0o1777)
        self.file(f"{folder}/owned", b"owner")
        self.fs.chown(f"/{folder}/owned", 4_000_000_000, 1234)

    def patch(self, name: str, offset: int, content: bytes) -> None:
        """Overwrites or appends; what lies between is a hole."""
        handle = self.fs.open("/" + name, 1)
        try:
            self.fs.write(handle, content, offset)
        finally:
            self.fs.release(handle)
        before = self.contents[name].ljust(offset, b"\0")
        self.contents[name] = before[:offset] + content + before[offset + len(content) :]

    def truncate(self, name: str, size: int) -> None:
        self.fs.truncate("/" + name, size)
        self.contents[name] = self.contents[name][:size].ljust(size, b"\0")

    def link(self, existing: str, new: str) -> None:
        self.fs.link("/" + existing, "/" + new)
        self.contents[new] = self.contents[existing]

    def rename(self, old: str, new: str) -> None:
        self.fs.rename("/" + old, "/" + new)
        if old in self.contents:
            self.contents[new] = self.contents.pop(old)

    def delete(self, name: str) -> None:
        self.fs.unlink("/" + name)
        del self.contents[name]

    def commit(self) -> None:
        """What follows goes into packets of its own."""
        self.fs.sync()

    def account(self) -> dict[str, Expected]:
        """Everything that is there now. Contents come from what was written,
        the rest from what the file system says of itself."""
        return dict(self._account("/"))

    def _account(self, path: str) -> Iterator[tuple[str, Expected]]:
        prefix = path.rstrip("/")
        for name, _inode, _mode in self.fs.readdir(path):
            inner = f"{prefix}/{name}"
            yield inner[1:], self._expected(inner)
            if stat.S_ISDIR(self.fs.getattr(inner).mode):
                yield from self._account(inner)

    def _expected(self, path: str) -> Expected:
        found = self.fs.getattr(path)
        regular, link = stat.S_ISREG(found.mode), stat.S_ISLNK(found.mode)
        content = self.contents[path[1:]] if regular else b""
        target = self.fs.readlink(path) if link else ""
        # A symbolic link's size is that of its target, as lstat(2) has it.
        size = len(content) if regular else len(target.encode()) if link else found.size
        device = stat.S_ISCHR(found.mode) or stat.S_ISBLK(found.mode)
        return Expected(
            mode=found.mode,
            uid=found.uid,
            gid=found.gid,
            links=found.links,
            size=size,
            mtime=found.mtime,
            content=hashlib.sha256(content).hexdigest() if regular else "",
            target=target,
            device=(os.major(found.device), os.minor(found.device)) if device else (0, 0),
        )


@contextmanager
def mounted(image: Path, spool: Path, clock: Callable[[], int]) -> Iterator[FileSystem]:
    """A file system over a virtual disc, without a mount; safe at the end."""
    store = open_block_store(str(image))
    try:
        filesystem = open_file_system(store, spool=spool, clock=clock)
        filesystem.start()
        try:
            yield filesystem
        finally:
            filesystem.shutdown()
    finally:
        store.close()


def make_disc(
    folder: Path,
    name: str,
    sessions: Sequence[Callable[[Author], None]],
    *,
    revision: int,
    closed: bool,
) -> Disc:
    """A new CD-R of 80 minutes, formatted and written to.

    Each session but the last is closed behind it, and the last if wanted.
    """
    image = folder / f"{name}.img"
    clock = Clock()
    virtual.create(image, "cd-r-80")
    store = open_block_store(str(image))
    assert isinstance(store, SequentialStore)
    options = FormatOptions(label=f"Disc {name}", revision=revision)
    format_volume(store, options, now=clock(), random=random.Random(name).randbytes)
    store.close()
    contents: dict[str, bytes] = {}
    for number, write in enumerate(sessions, 1):
        with mounted(image, folder / f"{name}.spool", clock) as filesystem:
            author = Author(filesystem, contents)
            write(author)
            filesystem.sync()
            expected = author.account()
            if closed or number < len(sessions):
                filesystem.close_disc(final=False)
    return Disc(name, image, revision, closed, expected)


# -- contents ----------------------------------------------------------------

NAMES = [
    "plain.txt",
    "with space and 'quotes' \"both\".txt",
    "Überblick über Größen.txt",
    "имена по-русски.txt",
    "日本語の名前.txt",
    "outside the BMP 🎵𝄞.txt",
    ".hidden",
    "trailing dot.",
    "trailing space ",
    "colon: and * and ? and <angles> | pipe \\ backslash",
    "CON",
    # As long as the kernel's driver has them: 254 bytes in UTF-8.
    "x" * 254,
    "é" * 127,
    "語" * 84,
]


def small(author: Author) -> None:
    """A little of everything that a volume can hold."""
    noise = random.Random(7)
    author.directory("names")
    for number, name in enumerate(NAMES):
        author.file(f"names/{name}", f"content {number}\n".encode())
    author.directory("sizes")
    for size in (0, 1, 1871, 1872, 1873, 2047, 2048, 2049, 65536, 3_000_001):
        author.file(f"sizes/{size}", noise.randbytes(size))
    author.commit()
    _changes(author, noise)
    _kinds(author)
    _attributes(author)
    author.directory("deep")
    path = "deep"
    for level in range(40):
        path += f"/level {level}"
        author.directory(path)
    author.file(f"{path}/bottom", b"the bottom")


def _changes(author: Author, noise: random.Random) -> None:
    """Files of several extents, holes, and names that came and went."""
    author.directory("changed")
    author.file("changed/patched", noise.randbytes(500_000))
    author.file("changed/grown", b"begins\n")
    author.file("changed/gone", noise.randbytes(10_000))
    author.file("changed/old name", noise.randbytes(5_000))
    author.file("changed/shrunk", noise.randbytes(100_000))
    for number in range(12):
        author.commit()
        author.patch("changed/patched", number * 40_961, noise.randbytes(3_000))
        author.patch("changed/grown", 7 + number * 1_000, noise.randbytes(1_000))
    author.delete("changed/gone")
    author.rename("changed/old name", "new name")
    author.truncate("changed/shrunk", 12_345)
    author.file("changed/holes", b"")
    author.patch("changed/holes", 1_000_000, b"after a hole")
    author.truncate("changed/holes", 2_000_000)
    author.commit()
    # More extents than one ICB and one allocation extent hold together.
    author.file("changed/fragments", noise.randbytes(520 * BLOCK + 77))
    author.commit()
    for number in range(1, 520, 2):
        author.patch("changed/fragments", number * BLOCK, noise.randbytes(BLOCK))
    author.commit()


def _kinds(author: Author) -> None:
    author.directory("kinds")
    author.file("kinds/one", b"one file, three names")
    author.link("kinds/one", "kinds/two")
    author.link("kinds/one", "three")
    targets = ["one", "../three", "/absolute/päth", "../../..", "a/./b", "no such thing", "日本/語"]
    for number, target in enumerate(targets):
        author.fs.symlink(f"/kinds/link {number}", target, 0, 0)
    author.special_files("kinds")


def _attributes(author: Author) -> None:
    author.directory("attributes")
    author.modes_and_owners("attributes")
    moments = [0, 1_000_000_001_123_456_000, -86_400 * 10**9, 4_102_444_799_999_999_000]
    for moment in moments:
        author.file(f"attributes/time {moment}", b"time")
        author.fs.utimens(f"/attributes/time {moment}", moment, moment)


def later(author: Author) -> None:
    """What a later session adds and changes, on top of ``small``."""
    author.directory("later")
    author.file("later/new", b"of the second session" * 1000)
    author.patch("changed/patched", 100_000, b"changed in the second session")
    author.rename("sizes/65536", "later/moved here")
    author.delete("names/plain.txt")


def last(author: Author) -> None:
    """A third session, on top of ``later``."""
    author.file("later/newest", b"of the third session" * 1000)
    author.patch("later/new", 3, b"changed in the third session")
    author.delete("later/moved here")


def many(author: Author) -> None:
    """10,000 files in one large directory and in many small ones. (No larger
    one: the kernel looks each name up from the directory's beginning.)"""
    author.directory("all in one")
    for number in range(2_000):
        author.file(f"all in one/file {number:05}.txt", b"%d\n" % number)
    author.commit()
    for number in range(80):
        author.directory(f"d{number:03}")
        for member in range(100):
            author.file(f"d{number:03}/{member:02}", b"%d %d\n" % (number, member) * 300)
    author.commit()
    for number in range(0, 2_000, 50):
        author.patch(f"all in one/file {number:05}.txt", 0, b"changed ")


# Every combination that other programs are shown: content-revision-state.
SESSIONS = {"small": [small], "sessions": [small, later, last], "many": [many]}
DISC_NAMES = [
    f"{content}-{revision}-{state}"
    for content in SESSIONS
    for revision in ("150", "201")
    for state in ("open", "closed")
]


def make_named_disc(folder: Path, name: str) -> Disc:
    """One of DISC_NAMES."""
    content, revision, state = name.split("-")
    return make_disc(
        folder, name, SESSIONS[content], revision=int(revision, 16), closed=state == "closed"
    )
