"""Plain images."""

from __future__ import annotations

from pathlib import Path

import pytest

from media import errors
from media.drive import BLOCK
from media.store import ImageStore, SessionSpan

from .discs import blocks


def test_image(tmp_path: Path) -> None:
    path = tmp_path / "plain.iso"
    path.write_bytes(blocks(20) + b"rest")
    image = ImageStore(path)
    assert (image.kind, image.capacity, image.last_block) == ("read-only", 20, 19)
    assert image.sessions == (SessionSpan(0, 19),)
    assert image.read(3, 4) == blocks(20)[3 * BLOCK : 7 * BLOCK]
    for block, count, bad in [(20, 1, 20), (18, 5, 20), (-1, 1, -1)]:
        with pytest.raises(errors.UnreadableBlockError) as caught:
            image.read(block, count)
        assert caught.value.block == bad
    path.write_bytes(blocks(2))
    with pytest.raises(errors.UnreadableBlockError) as caught:
        image.read(1, 4)
    assert caught.value.block == 2
    image.close()
    image.close()


def test_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(errors.NoSuchDriveError):
        ImageStore(tmp_path / "nothing")
    with pytest.raises(errors.NotADiscImageError):
        ImageStore(tmp_path)
    (tmp_path / "small").write_bytes(b"hello")
    with pytest.raises(errors.NotADiscImageError):
        ImageStore(tmp_path / "small")
