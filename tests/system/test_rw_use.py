"""Rewritable discs as people use them, and what they are told meanwhile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.allocation import examine_image
from support.mounting import Disc

pytestmark = pytest.mark.fuse


@pytest.fixture
def disc(tmp_path: Path) -> Iterator[Disc]:
    disc = Disc(tmp_path)
    try:
        disc.new("cd-rw-80")
        disc.udffs("format", disc.image, "--label", "Use")
        yield disc
    finally:
        disc.clean_up()


def test_inodes_in_use_are_the_files(disc: Disc) -> None:
    disc.mount()
    for number in range(5):
        (disc.where / str(number)).write_text("x")
    room = os.statvfs(disc.where)
    assert 5 <= room.f_files - room.f_ffree <= 7
    assert 0 < room.f_favail <= room.f_ffree


def test_space_is_told_alike_at_every_stage(disc: Disc) -> None:
    """Mounted, mounted read-only, after a cut, and of an image without its state."""
    disc.mount()
    (disc.where / "file").write_bytes(os.urandom(3_000_000))
    disc.udffs("sync", disc.where)
    told = disc.json("info", disc.where)
    assert "once it is unmounted" in disc.udffs("info", disc.where).stdout
    used = told["space"]["used"]
    cut = disc.folder / "cut.img"
    shutil.copy(disc.image, cut)
    shutil.copy(f"{disc.image}.state", f"{cut}.state")
    alone = disc.folder / "alone.img"
    shutil.copy(disc.image, alone)
    for image in (cut, alone):
        after = disc.json("info", image)
        assert after["volume"]["files"] == 1
        assert set(after["space"]) == {"used", "free"}
        assert abs(after["space"]["used"] - used) < 64, image.name
        assert "was not unmounted cleanly" in disc.udffs("info", image).stdout
    disc.unmount()
    free = disc.json("info", disc.image)["space"]["free"]
    assert free == examine_image(disc.image).free
    disc.mount("-o", "ro")
    assert disc.json("info", disc.where)["space"]["free"] == free
    assert "once it is unmounted" not in disc.udffs("info", disc.where).stdout
