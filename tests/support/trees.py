"""Trees of files for images: what is awkward in one view or another."""

from __future__ import annotations

import os
import random
import stat
from pathlib import Path

from support.iso_views import View, without_posix
from udffs.mastering.image import Image, make_image
from udffs.mastering.sources import Source, SourceTree
from udffs.mastering.streaming import StreamedImage

NS = 10**9
LABEL = "Tëst lábel, longer than some"
NOW = 1_790_000_000 * NS


class Made:
    """Content that is made, not stored; counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.reads: list[tuple[int, int]] = []
        self.open = False

    def read(self, offset: int, count: int) -> bytes:
        self.open = True
        self.reads.append((offset, count))
        return self.data[offset : offset + count]

    def close(self) -> None:
        self.open = False


def file(name: str, data: bytes = b"", mode: int = 0o644, **fields: int) -> Source:
    source = Source(name, stat.S_IFREG | mode, size=len(data), **fields)
    source.content = Made(data)
    return source


def folder(name: str, *children: Source, mode: int = 0o755, **fields: int) -> Source:
    return Source(name, stat.S_IFDIR | mode, children=list(children), **fields)


def link(name: str, target: str, **fields: int) -> Source:
    return Source(name, stat.S_IFLNK | 0o777, target=target, **fields)


def written(image: Image, path: Path) -> Path:
    """The image as a file, with its size as it was announced."""
    data = b"".join(image.chunks())
    assert len(data) == image.blocks * 2048
    path.write_bytes(data)
    return path


def mastered(tree: Path, path: Path) -> Path:
    """The image of all that is in a directory of the host."""
    made = SourceTree(now=NOW)
    made.add(tree, name="")
    return written(make_image(made.finish(), label=LABEL, now=NOW), path)


def appended(image: StreamedImage, path: Path, start: int) -> None:
    """A session behind what is in a file, at its block `start`."""
    data = b"".join(image.chunks())
    assert len(data) == image.blocks * 2048
    with path.open("r+b") as target:
        target.truncate(start * 2048)
        target.seek(start * 2048)
        target.write(data)


def files_only(wanted: View) -> View:
    """What Joliet and 7zz have of a tree."""
    plain = without_posix(wanted, links_as_files=False)
    return {path: one for path, one in plain.items() if one.kind in ("file", "directory")}


def awkward(top: Path) -> Path:
    """A tree of this machine with all that images have to keep."""
    noise = random.Random(4)
    top.mkdir()
    (top / ".hidden").write_bytes(b"hidden")
    (top / "empty").write_bytes(b"")
    (top / "empty too").write_bytes(b"")
    (top / "one block").write_bytes(noise.randbytes(2048))
    (top / "a little more").write_bytes(noise.randbytes(2049))
    (top / "large").write_bytes(noise.randbytes(1_500_000))
    (top / "twin of large").hardlink_to(top / "large")
    (top / "sub" / "below").mkdir(parents=True)
    (top / "sub" / "third name").hardlink_to(top / "large")
    (top / "sub" / "empty again").hardlink_to(top / "empty")
    (top / "an empty directory").mkdir()
    (top / "link").symlink_to("sub/below")
    (top / "absolute").symlink_to("/usr/bin/env")
    (top / "sub" / "up").symlink_to("../large")
    (top / "a long link").symlink_to("/".join(["a step of the way"] * 50))
    (top / "one long step").symlink_to("s" * 250)
    for name in ("ünïcode Ä.txt", "日本語.txt", "emoji 🎶.ogg", "two.dots.tar.gz", "no;good*?.txt"):
        (top / name).write_bytes(name.encode())
    (top / ("long " * 40 + ".text")).write_bytes(b"long")
    (top / ("é" * 120)).write_bytes(b"long too")
    names = ["Upper", "upper", "UPPER", "same start of a name of many letters 1", "x" * 64 + "1"]
    for name in [*names, "same start of a name of many letters 2", "x" * 64 + "2"]:
        (top / name).write_bytes(name.encode())
    for name in ("AB", "䅂", "n" * 254, "n" * 253, "字" * 85):  # the first two have the same bytes
        (top / name).write_bytes(name.encode())
    deep = top
    for level in range(1, 14):
        deep /= f"level {level}"
        deep.mkdir()
        (deep / "here").write_bytes(f"{level}".encode())
        (deep / "there").hardlink_to(top / "large")
    many = top / "many"
    many.mkdir()
    for number in range(300):
        (many / f"file number {number} with a name of some length").write_bytes(b"%d" % number)
        if number % 10 == 0:
            (many / f"directory {number}").mkdir()
    _attributes(top)
    return top


def _attributes(top: Path) -> None:
    (top / "one block").chmod(0o4751)
    (top / "large").chmod(0o400)
    (top / "sub").chmod(0o2770)
    (top / "an empty directory").chmod(0o1777)
    if os.geteuid() == 0:
        os.chown(top / "large", 1234, 70_000)
        os.chown(top / "sub", 65_534, 4)
        os.chown(top / "link", 7, 8, follow_symlinks=False)
        (top / "one block").chmod(0o4751)
    moment = 1_000_000_000 * NS + 123_456_789
    for number, path in enumerate(sorted(top.rglob("*"), reverse=True)):
        at = moment + number * 86_399 * NS
        os.utime(path, ns=(at + 5 * NS, at), follow_symlinks=False)
    os.utime(top / "one block", ns=(0, 0))
    os.utime(top / "empty", ns=(4_000_000_000 * NS, 4_000_000_000 * NS))
