"""Rewritable discs that another program formatted are written to as well as our own.

(What cdrwtool -q writes to a blank CD-RW is, but for its name in the primary
volume descriptor, what mkudffs writes with ``--bootarea=preserve`` as UDF 1.50.)
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from support.rewritable import mkudffs, packets_of

from media.virtual import Burner

from .actor import Actor
from .model import Inode, Model
from .rig import Clock, difference, kill, picture
from .rw_rig import blank, judged, mount, store_of

CAPACITY = {"cd-rw-80": 295_264, "mrw": 276_800}
PLAIN = ["--media-type=hd"]  # overrides the first: no sparing


def burnt(image: Path, kind: str) -> Burner:
    """A disc that holds what is in an image."""
    burner = blank(kind)
    store = store_of(burner)
    for block, data in packets_of(image):
        store.write(block, data)
    store.flush()
    return burner


def root_of(burner: Burner, spool: Path) -> Model:
    seen = picture(mount(burner, spool, writable=False))["/"]
    root = Inode(
        seen.mode, seen.uid, seen.gid, atime=seen.atime, mtime=seen.mtime, ctime=seen.ctime
    )
    return Model(root)


@pytest.mark.strangers
@pytest.mark.parametrize(
    ("revision", "kind", "options"),
    [
        ("1.50", "cd-rw-80", []),
        ("1.50", "cd-rw-80", ["--bootarea=preserve"]),
        ("2.00", "cd-rw-80", []),
        ("2.01", "cd-rw-80", []),
        ("2.01", "cd-rw-80", ["--ad=short"]),
        ("1.50", "mrw", ["hd"]),
        ("2.01", "mrw", ["hd"]),
        ("2.01", "cd-rw-80", ["hd"]),
    ],
)
def test_a_volume_of_mkudffs(
    revision: str,
    kind: str,
    options: list[str],
    tmp_path: Path,
    program: Callable[[str], Path],
) -> None:
    """Random changes, syncs, kills and unmounts; nothing is wrong after any."""
    media, more = ("hd", options[1:]) if options[:1] == ["hd"] else ("cdrw", options)
    image = mkudffs(
        program("mkudffs"), tmp_path / "image", revision, CAPACITY[kind], *more, media=media
    )
    burner, clock, chance = burnt(image, kind), Clock(), random.Random(f"{revision} {kind}")
    judged(burner)
    actor_model = root_of(burner, tmp_path / "empty")
    spool = tmp_path / "spool"
    fs = mount(burner, spool, clock)
    assert fs.read_only is None, fs.read_only
    actor = Actor(fs, clock, 4, model=actor_model)
    for step in range(160):
        actor.step()
        if chance.random() < 0.1:
            actor.fs.sync()
        event = chance.random()
        if event < 0.03:
            spool = kill(spool)
            actor.adopt(mount(burner, spool, clock))
        elif event < 0.06:
            actor.fs.shutdown()
            judged(burner)
            actor.adopt(mount(burner, spool, clock))
        told = difference(picture(actor.fs), actor.model.picture())
        assert not told, f"step {step}: {told}"
    actor.fs.shutdown()
    judged(burner)
    assert not difference(picture(mount(burner, tmp_path / "last", clock)), actor.model.picture())


@pytest.mark.strangers
@pytest.mark.parametrize(
    "option", ["--space=unalloctable", "--space=freedtable", "--space=freedbitmap"]
)
def test_what_we_do_not_write_is_read_only(
    option: str, tmp_path: Path, program: Callable[[str], Path]
) -> None:
    image = mkudffs(program("mkudffs"), tmp_path / "image", "2.01", 20_000, option)
    burner = burnt(image, "cd-rw-80")
    before = burner.recorder.medium.wear[:]
    fs = mount(burner, tmp_path / "spool", blocks=20_000)
    assert fs.read_only is not None
    assert "space" in fs.read_only, fs.read_only
    fs.shutdown()
    assert burner.recorder.medium.wear == before
