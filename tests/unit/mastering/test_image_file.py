"""An image as a file of the host: what is there already is never lost."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest
from support.trees import NOW, file, folder

from udffs.errors import EntryExistsError
from udffs.mastering import imagefile
from udffs.mastering.image import make_image


def test_an_image_that_another_process_has_just_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was FILE.part when we opened it, and is FILE when we have the lock."""
    image = make_image(folder("", file("new", b"n")), label="x", now=NOW)
    target, part = tmp_path / "image.iso", tmp_path / "image.iso.part"
    part.write_bytes(b"the other's")
    lock = fcntl.flock

    def late(number: int, how: int) -> None:
        part.replace(target)
        lock(number, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(EntryExistsError):
        imagefile.write(target, image)
    assert target.read_bytes() == b"the other's"
