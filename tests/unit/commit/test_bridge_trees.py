"""Trees that hypothesis makes, on real closed discs in memory: what pycdlib sees by Rock
Ridge and by Joliet is what we see, and that is what was written."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.iso_strangers import pycdlib_view
from support.iso_views import (
    SECOND,
    View,
    compare,
    compare_mapped,
    expected,
    joliet_holds,
    without_posix,
)

from udffs.errors import UdffsError
from udffs.filesystem import FileSystem
from udffs.volume import open_volume

from .rig import BORN, Clock, mount, picture, store_of
from .test_bridge_powercut import as_view, bridged, iso_view

#: 1900 to 2155, in seconds since 1970: what a directory record can say (ECMA-119 9.1.5)
TIMES = st.integers(-2_208_988_800, 5_869_583_999)
LETTERS = st.one_of(
    st.sampled_from("aAbB.;:*?~ _1éßÿ語🎵\u0301"),
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0"),
)
NAMES = st.text(LETTERS, min_size=1, max_size=70).filter(lambda name: name not in (".", ".."))
TARGETS = st.lists(st.one_of(NAMES, st.sampled_from(["..", "."])), min_size=1, max_size=30)
SIZES = st.one_of(st.integers(0, 3000), st.sampled_from([0, 1, 1871, 2047, 2048, 2049, 40_000]))


class Made(NamedTuple):
    """One thing to make, in one of the directories that are there already."""

    where: int
    name: str
    kind: str
    size: int
    parts: Sequence[tuple[int, int]]  # more writes: (offset, bytes), a sync before each
    target: Sequence[str]
    mode: int
    owner: int
    moment: int


MADE = st.builds(
    Made,
    st.integers(0, 1000),
    NAMES,
    st.sampled_from(["file", "file", "file", "directory", "directory", "link", "hard", "fifo"]),
    SIZES,
    st.lists(st.tuples(st.integers(0, 100_000), st.integers(1, 5000)), max_size=4),
    TARGETS,
    st.integers(0, 0o7777),
    st.integers(0, 0xFFFFFFFE),
    TIMES,
)


class Maker:
    """Makes one thing after the other; what is refused is left out."""

    def __init__(self, fs: FileSystem) -> None:
        self.fs = fs
        self.directories = ["/"]
        self.files: list[str] = []

    def make(self, one: Made) -> None:
        folder = self.directories[one.where % len(self.directories)]
        path = f"{folder.rstrip('/')}/{one.name}"
        try:
            self._make(path, one)
        except UdffsError:
            return  # a name that is there already or too long
        if one.kind != "hard":
            self.fs.chmod(path, one.mode)
            self.fs.chown(path, one.owner, one.owner // 2)
            self.fs.utimens(path, one.moment * SECOND, one.moment * SECOND)

    def _make(self, path: str, one: Made) -> None:
        match one.kind:
            case "directory":
                self.fs.mkdir(path, 0o755, 0, 0)
                self.directories.append(path)
            case "link":
                self.fs.symlink(path, "/".join(one.target), 0, 0)
            case "hard":
                if self.files:
                    self.fs.link(self.files[one.where % len(self.files)], path)
            case "fifo":
                self.fs.mknod(path, stat.S_IFIFO | 0o600, 0, 0, 0)
            case _:
                self._file(path, one)

    def _file(self, path: str, one: Made) -> None:
        handle = self.fs.create(path, 0o600, os.O_RDWR, 0, 0)
        self.files.append(path)
        self.fs.write(handle, _noise(one.name, one.size), 0)
        for offset, size in one.parts:
            self.fs.fsync(handle)
            self.fs.write(handle, _noise(one.name, size), offset)
        self.fs.release(handle)


def _noise(seed: str, size: int) -> bytes:
    return (seed.encode() * (size // len(seed.encode()) + 1))[:size]


def check(sessions: Sequence[Sequence[Made]], revision: int, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    burner = bridged(revision)
    clock = Clock(BORN)
    written: View = {}
    maker: Maker | None = None
    start = 0
    for session in sessions:
        fs = mount(burner, folder / "spool", clock)
        if maker is None:
            maker = Maker(fs)
        maker.fs = fs
        for one in session:
            clock.tick()
            maker.make(one)
        written = as_view(picture(fs))
        start = store_of(burner.branch()).session_start
        fs.close_disc(final=False)
        fs.shutdown()
    ours = expected(open_volume(store_of(burner)))
    compare(ours, written, "our reader", tick=1000)
    view = iso_view(burner, folder, start)
    assert view is not None
    compare(view, written, "pycdlib by Rock Ridge")
    plain = without_posix(written, links_as_files=False)
    joliet = pycdlib_view(folder / "image", "joliet", start=start)
    compare_mapped(joliet, plain, "pycdlib by Joliet", joliet_holds(plain))


def looking_at(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        report_multiple_bugs=False,
        phases=[Phase.generate],  # trees are small, and shrinking one takes minutes
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@looking_at(60)
@given(st.lists(MADE, max_size=40), st.sampled_from([0x0150, 0x0201]))
def test_one_session(tmp_path: Path, made: list[Made], revision: int) -> None:
    check([made], revision, tmp_path / "disc")


@looking_at(25)
@given(st.lists(st.lists(MADE, max_size=15), min_size=2, max_size=3))
def test_several_sessions(tmp_path: Path, sessions: list[list[Made]]) -> None:
    check(sessions, 0x0201, tmp_path / "disc")


@pytest.mark.slow
@pytest.mark.timeout(1200, func_only=False)
@looking_at(600)
@given(st.lists(st.lists(MADE, max_size=60), min_size=1, max_size=2))
def test_many_more(tmp_path: Path, sessions: list[list[Made]]) -> None:
    check(sessions, 0x0201, tmp_path / "disc")
