"""The work that every contestant does."""

from __future__ import annotations

import os
import random
import shutil
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

CHUNK = 1 << 20  # bytes a read or a write of a copying program
STAT_PASSES = 3
PARTS_OF_LIBRARY_WHEN_QUICK = ("email", "json", "encodings", "ctypes", "unittest")


@dataclass(frozen=True)
class Workload:
    """A tree of files on tmpfs, and how it goes onto the disc."""

    key: str
    title: str
    tree: Path
    # Server and client share one processor: between two, wake-ups are measured.
    pinned: bool = False
    stat: bool = False
    # Each file is durable before the next is begun.
    durable: bool = False
    read_back: bool = True

    def files(self) -> list[Path]:
        return sorted(path for path in self.tree.rglob("*") if path.is_file())

    def size(self) -> int:
        """Of all files, in bytes."""
        return sum(path.stat().st_size for path in self.files())


def shortened(workload: Workload, scratch: Path, limit: int) -> Workload:
    """The same work, or if its one large file is longer than the disc, as much of it as fits."""
    files = workload.files()
    if len(files) > 1 or workload.size() <= limit:
        return workload
    tree = scratch / "tree"
    tree.mkdir()
    with files[0].open("rb") as source, (tree / files[0].name).open("wb") as target:
        for _ in range(limit // CHUNK):
            target.write(source.read(CHUNK))
    return replace(workload, tree=tree)


def prepare(scratch: Path, keys: list[str], *, quick: bool) -> list[Workload]:
    """Writes the trees; the same bytes in every run."""
    return [MAKERS[key](scratch / "trees" / key, quick) for key in keys]


def _one_large_file(tree: Path, quick: bool) -> Workload:
    mebibytes = 48 if quick else 600
    tree.mkdir(parents=True)
    # One mebibyte of noise, numbered, so that no two blocks of the file are equal.
    noise = random.Random(1).randbytes(CHUNK - 8)
    with (tree / "large.bin").open("wb") as file:
        for number in range(mebibytes):
            file.write(number.to_bytes(8, "little") + noise)
    return Workload("W1", f"one file of {mebibytes} MiB", tree)


def _many_small_files(tree: Path, quick: bool) -> Workload:
    directories = 10 if quick else 100
    data = random.Random(2).randbytes(4096)
    for number in range(directories):
        directory = tree / f"d{number:03}"
        directory.mkdir(parents=True)
        for member in range(100):
            (directory / f"f{member:03}").write_bytes(data)
    title = f"{directories * 100:,} files of 4 KiB in {directories} directories"
    return Workload("W2", title, tree, pinned=True, stat=True)


def _library(tree: Path, quick: bool) -> Workload:
    source = Path(sysconfig.get_paths()["stdlib"])
    ignored = shutil.ignore_patterns("site-packages")
    if quick:
        for part in PARTS_OF_LIBRARY_WHEN_QUICK:
            shutil.copytree(source / part, tree / part)
    else:
        shutil.copytree(source, tree, ignore=ignored)
    workload = Workload("W3", "", tree)
    count, size = len(workload.files()), workload.size()
    return Workload("W3", f"Python's library, {count:,} files, {size / 1e6:,.0f} MB", tree)


def _durable_saves(tree: Path, quick: bool) -> Workload:
    saves = 20 if quick else 200
    tree.mkdir(parents=True)
    data = random.Random(4).randbytes(20 * 1024)
    for number in range(saves):
        (tree / f"save-{number:04}.dat").write_bytes(data)
    title = f"{saves} saves of 20 KiB, each durable before the next"
    return Workload("W4", title, tree, durable=True, read_back=False)


MAKERS = {
    "W1": _one_large_file,
    "W2": _many_small_files,
    "W3": _library,
    "W4": _durable_saves,
}


# -- a program's part, through a mount ---------------------------------------


def write_tree(workload: Workload, where: Path) -> float:
    """Copies the tree to ``where``; the seconds that took."""
    source = str(workload.tree)
    # Small contents are read beforehand: what is measured is the writing.
    contents = {
        str(path): path.read_bytes() for path in workload.files() if path.stat().st_size <= CHUNK
    }
    walked = sorted(os.walk(source))
    begun = time.perf_counter()
    for directory, _, names in walked:
        target = str(where) + directory[len(source) :]
        if directory != source:
            os.mkdir(target)  # noqa: PTH102 -- the cheapest call there is
        for name in sorted(names):
            _write_file(f"{directory}/{name}", f"{target}/{name}", contents, workload.durable)
    return time.perf_counter() - begun


def _write_file(source: str, target: str, contents: dict[str, bytes], durable: bool) -> None:
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        if source in contents:
            os.write(handle, contents[source])
        else:
            for chunk in _chunks(source):
                os.write(handle, chunk)
        if durable:
            os.fsync(handle)
    finally:
        os.close(handle)


def _chunks(path: str) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 -- as a copying program does
        while chunk := file.read(CHUNK):
            yield chunk


def stat_tree(workload: Workload, where: Path) -> float:
    """Asks for every file's attributes; calls a second."""
    paths = [str(where / path.relative_to(workload.tree)) for path in workload.files()]
    begun = time.perf_counter()
    for _ in range(STAT_PASSES):
        for path in paths:
            os.stat(path)  # noqa: PTH116 -- the cheapest call there is
    return STAT_PASSES * len(paths) / (time.perf_counter() - begun)


def read_tree(workload: Workload, where: Path) -> float:
    """Reads every byte back; the seconds that took. Raises if some are missing."""
    paths = [str(where / path.relative_to(workload.tree)) for path in workload.files()]
    begun = time.perf_counter()
    size = sum(len(chunk) for path in paths for chunk in _chunks(path))
    seconds = time.perf_counter() - begun
    if size != workload.size():
        raise RuntimeError(f"{where}: {size} bytes read, {workload.size()} were written")
    return seconds
