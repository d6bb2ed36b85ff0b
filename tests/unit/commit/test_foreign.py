"""Volumes that another program made are written to as well as our own."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from media.virtual import Burner, memory_burner

from .actor import Actor
from .model import Inode, Model
from .rig import Clock, difference, mount, picture, store_of

BLOCK = 2048
SIZE = 690 << 20  # bytes; sparse
FRONT = 1000  # blocks in which all lies that mkudffs writes


def burnt(image: Path) -> Burner:
    """A disc with what the image holds, up to its last block that is not zeros."""
    with image.open("rb") as file:
        data = file.read(FRONT * BLOCK)
    count = -(-len(data.rstrip(b"\0")) // BLOCK)
    burner = memory_burner("cd-r-80")
    store = store_of(burner)
    store.write(0, data[: count * BLOCK])
    store.flush()
    return burner


@pytest.mark.strangers
@pytest.mark.parametrize("revision", ["1.50", "2.00", "2.01"])
def test_a_volume_of_mkudffs(revision: str, tmp_path: Path, program: Callable[[str], Path]) -> None:
    """Random changes, syncs, a second session and the close."""
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, SIZE)
    tool = program("mkudffs")
    command = [tool, "--media-type=cdr", f"--udfrev={revision}", "-b", str(BLOCK), image]
    subprocess.run(command, check=True, capture_output=True)
    burner, clock, chance = burnt(image), Clock(), random.Random(revision)
    spool = tmp_path / "spool"
    fs = mount(burner, spool, clock)
    seen = picture(fs)["/"]
    root = Inode(
        seen.mode, seen.uid, seen.gid, atime=seen.atime, mtime=seen.mtime, ctime=seen.ctime
    )
    actor = Actor(fs, clock, 4, model=Model(root))
    for session in range(3):
        for _ in range(80):
            actor.step()
            if chance.random() < 0.1:
                actor.fs.sync()
            if chance.random() < 0.05:
                actor.fs.shutdown()
                actor.adopt(mount(burner, spool, clock))
        assert not difference(picture(actor.fs), actor.model.picture())
        actor.fs.close_disc(final=session == 2)
        actor.fs.shutdown()
        actor.adopt(mount(burner, spool, clock))
        assert not difference(picture(actor.fs), actor.model.picture())
    assert actor.fs.read_only == "the disc is closed"
