"""Discs with a bridge, each with a plain account of what must be on it."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from media import virtual
from media.discovery import open_block_store
from media.store import SequentialStore
from support.discs import BLOCK, NAMES, Author, Clock, mounted
from support.iso_views import SECOND, View, seen, with_same
from udffs.commit.format import FormatOptions, format_volume

Write = Callable[[Author], None]

# What a time of ISO 9660 can be, in seconds since 1970: 1900 to 2155 (ECMA-119 9.1.5).
FIRST_SECOND, LAST_SECOND = -2_208_988_800, 5_869_583_999

#: Over 16 MiB of holes: no reader of ISO 9660 is shown this one
LEFT_OUT = "holes/too large"


@dataclass(frozen=True)
class BridgeDisc:
    """A closed disc. For each session, where it starts, what was on the volume when it
    was closed, and what the close had to say."""

    name: str
    image: Path
    starts: list[int]
    trees: list[View] = field(repr=False)
    notes: list[list[str]] = field(repr=False)

    @property
    def tree(self) -> View:
        """What is on the volume now."""
        return self.trees[-1]

    def shown(self, session: int = -1) -> View:
        """What its ISO 9660 view has to show, as far as the format can."""
        return as_iso(self.trees[session])


def as_iso(wanted: View) -> View:
    """The tree as ISO 9660 can hold it."""
    view = {}
    for path, one in wanted.items():
        if path == LEFT_OUT:
            continue
        if one.mtime is not None:
            moment = min(max(one.mtime // SECOND, FIRST_SECOND), LAST_SECOND)
            one = one._replace(mtime=moment * SECOND)
        view[path] = one
    return view


def account(author: Author) -> View:
    """What is on the volume: contents as they were written, the rest from the file system."""
    view: View = {}
    inodes: dict[str, object] = {}
    for path, one in author.account().items():
        inodes[path] = author.fs.getattr(f"/{path}").inode
        view[path] = seen(
            one.mode,
            uid=one.uid,
            gid=one.gid,
            mtime=one.mtime or 0,
            links=one.links,
            content=one.content,
            size=one.size,
            target=one.target,
            device=one.device,
        )
    return with_same(view, inodes)


def make_bridge_disc(
    folder: Path,
    name: str,
    sessions: Sequence[Write],
    *,
    revision: int = 0x0201,
    final: bool = False,
    leave_open: bool = False,
    kind: str = "cd-r-80",
) -> BridgeDisc:
    """A new disc, formatted with a bridge, each session closed; ``final`` the last, or
    that one left open."""
    image = folder / f"{name}.img"
    clock = Clock()
    virtual.create(image, kind)
    store = open_block_store(str(image))
    assert isinstance(store, SequentialStore)
    options = FormatOptions(label=f"Disc {name}", revision=revision, bridge=True)
    format_volume(store, options, now=clock(), random=random.Random(name).randbytes)
    store.close()
    contents: dict[str, bytes] = {}
    trees, notes = [], []
    for number, write in enumerate(sessions, 1):
        with mounted(image, folder / f"{name}.spool", clock) as filesystem:
            author = Author(filesystem, contents)
            write(author)
            filesystem.sync()
            trees.append(account(author))
            last = number == len(sessions)
            if not (last and leave_open):
                notes.append(filesystem.close_disc(final=final and last))
    store = open_block_store(str(image))
    starts = [span.start for span in store.sessions]
    store.close()
    return BridgeDisc(name, image, starts, trees, notes)


# -- contents ------------------------------------------------------------------------


def difficult(author: Author) -> None:
    """Whatever is hard to show in ISO 9660."""
    noise = random.Random(11)
    _names(author)
    _sizes(author, noise)
    _extents(author, noise)
    _holes(author, noise)
    _links(author)
    _attributes(author)
    author.directory("deep")
    path = "deep"
    for level in range(1, 12):
        path += f"/level {level} {'x' * 60}"
        author.directory(path)
        author.file(f"{path}/file {level}", b"%d" % level)


def _names(author: Author) -> None:
    """All that some view has to map, names that are the same when cut off or in
    capitals among them."""
    author.directory("names")
    for number, name in enumerate(NAMES):
        author.file(f"names/{name}", b"content %d\n" % number)
    author.directory("mapped")
    odd = [
        *("a" * 64, "a" * 65, "a" * 66, "a" * 64 + "b", "a" * 103, "a" * 104, "a" * 110 + ".txt"),
        *("Case", "case", "CASE", "cAse.Txt", "case.txt", "CASE.TXT"),
        *("one:two", "one_two", "one*two", "one;two", "one?two", "one\\two", "one;1", "x.;1"),
        *("dots...", "dots", "dots.", "...", ".x", "x.", "a.b.c.d", "  ", " leading", "tab\there"),
        *("🎵", "🎶", "🎵.mp3", "Ⅷ", "ﬁ", "e\u0301", "é", "\u200b", "\ufffd"),
        *("README.TXT", "README.TX", "A" * 8 + ".TXT", "A" * 9 + ".TXT", "RR_MOVED", "rr_moved"),
        *(f"{'語' * 60}{number}" for number in range(5)),
        *("*" * 70, "?" * 70, ":" * 70),
    ]
    for number, name in enumerate(odd):
        author.file(f"mapped/{name}", b"mapped %d\n" % number)
    author.directory("directory: mapped")
    author.file("directory: mapped/file: mapped", b"in both")
    author.directory("directory? mapped")
    author.file("directory? mapped/file? mapped", b"in both of them")


def _sizes(author: Author, noise: random.Random) -> None:
    author.directory("sizes")
    author.directory("sizes/empty directory")
    for size in (0, 1, 100, 1800, 1871, 1872, 2047, 2048, 2049, 65536, 3_000_001):
        author.file(f"sizes/{size}", noise.randbytes(size))
    author.file("sizes/0 too", b"")
    author.file("sizes/100 too", author.contents["sizes/100"])
    author.commit()


def _extents(author: Author, noise: random.Random) -> None:
    """Files in several extents, from interleaved writing, up to over 90 of them."""
    author.directory("extents")
    for name in "abc":
        author.file(f"extents/{name}", noise.randbytes(5000))
    for _ in range(12):
        for name in "abc":
            size = noise.randrange(1, 9000)
            author.patch(
                f"extents/{name}", len(author.contents[f"extents/{name}"]), noise.randbytes(size)
            )
        author.commit()
    # Each other block is written anew: twice as many extents, and one.
    for extents in (89, 90, 91, 100, 521):
        author.file(f"extents/of {extents}", noise.randbytes(extents * BLOCK - 77))
    author.commit()
    for extents in (89, 90, 91, 100, 521):
        for number in range(1, extents, 2):
            author.patch(f"extents/of {extents}", number * BLOCK, noise.randbytes(BLOCK))
    author.commit()


def _holes(author: Author, noise: random.Random) -> None:
    author.directory("holes")
    author.file("holes/first", b"")
    author.patch("holes/first", 1_000_000, b"after a hole")
    author.file("holes/last", noise.randbytes(5000))
    author.truncate("holes/last", 1_000_001)
    author.file("holes/nothing else", b"")
    author.truncate("holes/nothing else", 777_777)
    for name, number in (("some", 20), ("many", 200)):
        author.file(f"holes/{name}", b"")
        for at in range(number):
            author.patch(f"holes/{name}", at * 5 * BLOCK + 7, noise.randbytes(2 * BLOCK))
    author.file(LEFT_OUT, b"begins")
    author.truncate(LEFT_OUT, 17 << 20)
    author.commit()


def _links(author: Author) -> None:
    author.directory("links")
    author.file("links/one", b"one file, three names")
    author.link("links/one", "links/two")
    author.link("links/one", "three")
    author.link("extents/of 521", "links/of 521")
    author.link("extents/a", "links/a")
    author.link("sizes/0", "links/0")
    targets = [
        *("one", "../three", "/absolute/päth", "../../..", "a/./b", "no such thing", "日本/語"),
        *(".", "..", "/", "x" * 254, "/".join("y" * 100 for _ in range(10)), "c" * 248 + "/d"),
        *("/".join(f"component {number}" for number in range(60)), "trailing/", "."),
    ]
    for number, target in enumerate(targets):
        author.fs.symlink(f"/links/link {number}", target, 0, 0)
    author.special_files("links")


def _attributes(author: Author) -> None:
    author.directory("attributes")
    author.modes_and_owners("attributes")
    seconds = [0, 1_000_000_001, -86_400, 2**31 - 1, 2**31, 4_102_444_799]
    seconds += [FIRST_SECOND, FIRST_SECOND - 1, LAST_SECOND, LAST_SECOND + 1]
    for second in seconds:
        author.file(f"attributes/time {second}", b"time")
        moment = second * SECOND + 123_456_000
        author.fs.utimens(f"/attributes/time {second}", moment, moment)


def many(author: Author) -> None:
    """3,000 files in one directory, some with content, and 300 directories."""
    author.directory("all in one")
    for number in range(3000):
        author.file(
            f"all in one/file number {number:05}.txt", b"%d\n" % number if number % 3 else b""
        )
    for number in range(300):
        author.directory(f"directory {number}")
        author.file(f"directory {number}/file", b"%d\n" % number * 1000)


def later(author: Author) -> None:
    """What a later session adds and changes, on top of ``difficult``."""
    author.directory("later")
    author.file("later/new", b"of the second session" * 1000)
    author.patch("extents/a", 10_000, b"changed in the second session")
    author.contents["links/a"] = author.contents["extents/a"]
    author.rename("sizes/65536", "later/moved here")
    author.delete("names/plain.txt")
    author.delete("links/one")


def nothing(author: Author) -> None:
    """The disc is opened again and closed again."""
