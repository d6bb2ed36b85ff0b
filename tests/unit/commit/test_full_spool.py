"""A spool whose file system is full: no operation is half recorded, a commit
makes room, and the volume can be mounted again and saved."""

from __future__ import annotations

import copy
import errno
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from udffs.commit import spool as spool_module
from udffs.commit.spool import BALLAST_BYTES
from udffs.errors import SpoolFullError
from udffs.filesystem import FileSystem

from .actor import Actor
from .rig import MIB, Clock, content, difference, formatted, kill, mount, picture, save


class Host:
    """A file system of so many bytes under a spool, as far as the spool sees:
    its writes fail when its folder would become larger."""

    def __init__(self, folder: Path, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self.room = folder, room
        monkeypatch.setattr(spool_module, "os", self)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    @property
    def used(self) -> int:
        return sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())

    def write(self, fd: int, data: bytes) -> int:
        self._check(len(data))
        return os.write(fd, data)

    def pwrite(self, fd: int, data: bytes, offset: int) -> int:
        grown = offset + len(data) - os.fstat(fd).st_size
        left = self.room - self.used
        if 0 < left < grown:  # as much as there is room for, like a real one
            return os.pwrite(fd, data[: len(data) - grown + left], offset)
        self._check(grown)
        return os.pwrite(fd, data, offset)

    def _check(self, grown: int) -> None:
        if grown > 0 and self.used + grown > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fill(fs: FileSystem, path: str) -> int:
    """Write until the spool is full; returns the bytes that were taken."""
    handle = fs.create(path, 0o644, os.O_RDWR, 0, 0)
    at = 0
    with pytest.raises(SpoolFullError) as full:
        while True:
            at += fs.write(handle, b"x" * 100_000, at)
    assert full.value.errno == errno.ENOSPC
    fs.release(handle)
    return at


def test_each_commit_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fs = mount(formatted(), tmp_path / "spool")
    Host(tmp_path / "spool", MIB, monkeypatch)
    sizes = []
    for number in range(8):
        sizes.append(fill(fs, f"/{number}"))
        fs.sync()
    # Neither what is done with nor files kept for use again eat up the room.
    assert min(sizes[1:]) > MIB // 2
    assert all(content(fs, f"/{n}") == b"x" * size for n, size in enumerate(sizes))
    fs.shutdown()


def test_a_full_spool_can_be_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    burner = formatted()
    fs = mount(burner, tmp_path / "spool")
    host = Host(tmp_path / "spool", MIB, monkeypatch)
    taken = fill(fs, "/file")
    host.room = host.used  # not one byte more than the ballast
    fs.sync()
    assert fs.getattr("/file").size == taken
    host.room = MIB
    fs.unlink("/file")
    save(fs, "/later", b"later", sync=True)
    fs.shutdown()
    assert content(mount(burner, tmp_path / "other"), "/later") == b"later"
    assert not (tmp_path / "spool").exists() or not list((tmp_path / "spool").iterdir())


def test_mounted_again_on_a_full_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    burner = formatted()
    fs = mount(burner, tmp_path / "spool")
    with monkeypatch.context() as patch:
        Host(tmp_path / "spool", MIB, patch)
        taken = fill(fs, "/file")
    left = kill(tmp_path / "spool")
    [folder] = left.iterdir()
    assert (folder / "ballast").stat().st_size == BALLAST_BYTES
    host = Host(left, 0, monkeypatch)
    host.room = host.used
    again = mount(burner.branch(), left)
    assert content(again, "/file") == b"x" * taken
    again.sync()
    again.shutdown()


def test_a_spool_that_cannot_grow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that did not get into the journal whole must not hide the
    ones behind it, and its operation must not have happened."""
    burner, clock = formatted(), Clock()
    actor = Actor(mount(burner, tmp_path / "spool", clock), clock, 4, largest=3000)
    real_write, real_pwrite = os.write, os.pwrite
    chance = random.Random(4)
    failed = 0
    for _ in range(150):
        full = chance.random() < 0.3

        def short(fd: int, data: bytes, full: bool = full) -> int:
            if not full:
                return real_write(fd, data)
            real_write(fd, data[: len(data) // 2])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", short)
        before, handles = copy.deepcopy((actor.model, actor.handles)), len(actor.done)
        try:
            actor.step()
        except (OSError, AssertionError):
            # A step may be several operations; only those of one are compared.
            failed += 1
            model, actor.handles = before
            actor.model = model
            monkeypatch.setattr(os, "write", real_write)
            left = kill(tmp_path / "spool")
            again = mount(burner.branch(), left, clock)
            assert again.read_only is None
            seen = picture(again)
            assert not difference(seen, picture(actor.fs)), "journal and tree differ"
            shutil.rmtree(left)
            if len(actor.done) - handles > 1 or difference(seen, model.picture()):
                break
    assert failed
    monkeypatch.setattr(os, "write", real_write)
    monkeypatch.setattr(os, "pwrite", real_pwrite)
    seen = picture(actor.fs)
    actor.fs.shutdown()
    assert not difference(picture(mount(burner, tmp_path / "spool", clock)), seen)
