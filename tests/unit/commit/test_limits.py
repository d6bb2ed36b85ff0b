"""Where the numbers of UDF end, and what lies just before that."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from udffs.commit import namespace
from udffs.errors import TooManyLinksError
from udffs.filesystem import MountOptions

from .rig import Clock, content, formatted, mount, save

BLOCK = 2048


def test_links_are_counted_in_sixteen_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory has a link of each subdirectory, a file one of each name.
    With a smaller limit, because 65,535 directories take their time."""
    assert namespace.MAXIMUM_LINKS == 0xFFFF
    monkeypatch.setattr(namespace, "MAXIMUM_LINKS", 30)
    fs = mount(formatted(), tmp_path / "spool")
    fs.mkdir("/full", 0o755, 0, 0)
    for number in range(29):
        fs.mkdir(f"/full/{number}", 0o755, 0, 0)
    fs.mkdir("/other", 0o755, 0, 0)
    save(fs, "/0", b"x")
    for number in range(1, 30):
        fs.link("/0", f"/{number}")
    changes: list[Callable[[], None]] = [
        lambda: fs.mkdir("/full/30", 0o755, 0, 0),
        lambda: fs.rename("/other", "/full/other"),
        lambda: fs.link("/0", "/30"),
    ]
    for change in changes:
        with pytest.raises(TooManyLinksError) as raised:
            change()
        assert raised.value.errno == errno.EMLINK
        assert str(raised.value) != "UDF counts at most 65,535 links: "
    save(fs, "/full/file", b"files do not count")
    fs.rename("/full/3", "/full/4th")  # nor does a name within
    fs.rmdir("/full/4th")
    fs.rename("/other", "/full/other")
    fs.unlink("/7")
    fs.link("/0", "/full/again")
    fs.shutdown()


def test_a_sparse_file_of_many_extents(tmp_path: Path) -> None:
    """6 GB, mostly holes, in extents of at most 1 GiB less a block, with more
    descriptors than the ICB holds; and one that is a hole but for its end."""
    burner, spool = formatted(), tmp_path / "spool"
    fs = mount(burner, spool)
    pieces = {n * 10_000_000 + 13 * n: b"%09d" % n * 7 for n in range(300)}
    handle = fs.create("/sparse", 0o644, os.O_RDWR, 0, 0)
    for offset, data in pieces.items():
        fs.write(handle, data, offset)
    fs.truncate("/sparse", 6_000_000_123, handle)
    fs.release(handle)
    handle = fs.create("/end", 0o644, os.O_RDWR, 0, 0)
    fs.write(handle, b"end", (5 << 30) - 1)
    fs.release(handle)
    fs.shutdown()
    fs = mount(burner, spool)
    assert (fs.getattr("/sparse").size, fs.getattr("/end").size) == (6_000_000_123, (5 << 30) + 2)
    assert fs.getattr("/end").blocks * 512 <= 4 * BLOCK
    handle = fs.open("/sparse", os.O_RDONLY)
    for offset, data in pieces.items():
        around = fs.read(handle, len(data) + 20, max(0, offset - 10))
        assert around == bytes(min(10, offset)) + data + bytes(
            len(around) - len(data) - min(10, offset)
        )
    assert fs.read(handle, 1000, 6_000_000_000) == bytes(123)
    fs.release(handle)
    handle = fs.open("/end", os.O_RDONLY)
    assert fs.read(handle, 10, (5 << 30) - 3) == b"\0\0end"
    fs.shutdown()


@pytest.mark.parametrize("revision", [0x0150, 0x0201], ids=hex)
def test_every_commit_can_be_mounted_as_it_was(revision: int, tmp_path: Path) -> None:
    """Across three sessions; the times are to the microsecond."""
    burner, spool, clock = formatted(revision), tmp_path / "spool", Clock()
    states: list[tuple[int, dict[str, tuple[bytes, int]]]] = []
    files: dict[str, tuple[bytes, int]] = {}
    fs = mount(burner, spool, clock)
    for step in range(6):
        moment = 1_500_000_000_123_456_000 + step * 1_000
        save(fs, f"/{step}", bytes([step]) * 3000)
        fs.utimens(f"/{step}", moment, moment)
        files[f"/{step}"] = (bytes([step]) * 3000, moment)
        if step:
            fs.unlink(f"/{step - 1}")
            del files[f"/{step - 1}"]
        fs.sync()
        assert fs.volume.vat is not None
        states.append((fs.volume.vat.location, dict(files)))
        if step in (1, 3):
            fs.close_disc(final=False)
            fs.shutdown()
            fs = mount(burner, spool, clock)
    fs.shutdown()
    places = [entry.location for entry in fs.volume.history()]
    assert len(places) == 1 + 6 + 2 + 2  # format, commits, closes, sessions opened
    for location, expected in states:
        assert location in places
        fs = mount(burner, spool, clock, options=MountOptions(at=location))
        assert fs.read_only
        found = {f"/{name}" for name, _, _ in fs.readdir("/")}
        assert {p: (content(fs, p), fs.getattr(p).mtime) for p in found} == expected
        fs.shutdown()
