"""Promise 2: never too full to close.

A small disc is filled in one way after the other. ENOSPC comes at the call
that would change something and never at a commit; deleting works on the full
disc; and it can be closed, whatever filled it.
"""

from __future__ import annotations

import errno
import os
import random
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from media.mmc import features
from media.mmc.address import from_msf
from media.virtual import KINDS, Burner, Kind
from udffs.errors import NoSpaceError
from udffs.filesystem import FileSystem, MountOptions
from udffs.ondisc import tags
from udffs.ondisc.ecma167 import AnchorVolumeDescriptorPointer

from .model import Picture
from .rig import MIB, content, difference, formatted, kill, mount, picture, save

BLOCK = 2048
SMALL = "test-20"


@pytest.fixture
def burner(monkeypatch: pytest.MonkeyPatch) -> Burner:
    """A disc of two minutes and a quarter, 20 MB."""
    end = (2, 16, 0)
    kind = Kind(SMALL, "a small disc for tests", features.CD_R, end, from_msf(*end))
    monkeypatch.setitem(KINDS, SMALL, kind)
    return formatted(kind=SMALL)


def until_full(fs: FileSystem, change: Callable[[int], None], *, sync_every: int = 0) -> int:
    """Change something again and again; the number of times it worked. Only
    the change itself may fail, and only for want of room."""
    for number in range(1_000_000):
        try:
            change(number)
        except NoSpaceError as error:
            assert error.errno == errno.ENOSPC
            return number
        if sync_every and number % sync_every == sync_every - 1:
            fs.sync()
    raise AssertionError("it is never full")


# -- ways to fill a disc -------------------------------------------------------


def one_large_file(fs: FileSystem) -> Callable[[int], None]:
    handle = fs.create("/large", 0o644, os.O_RDWR, 0, 0)
    noise = random.Random(1).randbytes(64 << 10)
    return lambda number: _write(fs, handle, noise, number * len(noise))


def _write(fs: FileSystem, handle: int, data: bytes, offset: int) -> None:
    fs.write(handle, data, offset)


def tiny_files(fs: FileSystem) -> Callable[[int], None]:
    def change(number: int) -> None:
        fs.release(fs.create(f"/{number}", 0o644, os.O_RDWR, 0, 0))

    return change


def small_files(fs: FileSystem) -> Callable[[int], None]:
    return lambda number: save(fs, f"/{number}", bytes([number & 255]) * 3000)


def long_names(fs: FileSystem) -> Callable[[int], None]:
    return lambda number: fs.symlink(f"/{number:0254}", "a" * 200, 0, 0)


def deep_directories(fs: FileSystem) -> Callable[[int], None]:
    where = [""]

    def change(number: int) -> None:
        where[0] = where[0] + "/d" if number % 40 else f"/{number}"
        fs.mkdir(where[0], 0o755, 0, 0)

    return change


def hard_links(fs: FileSystem) -> Callable[[int], None]:
    fs.release(fs.create("/file", 0o644, os.O_RDWR, 0, 0))
    return lambda number: fs.link("/file", f"/{number:0250}")


def one_block_here_and_there(fs: FileSystem) -> Callable[[int], None]:
    """Each write makes two more extents."""
    handle = fs.create("/sparse", 0o644, os.O_RDWR, 0, 0)
    return lambda number: _write(fs, handle, b"x", (number * 7919 % 100_000) * 2 * BLOCK)


def one_file_rewritten(fs: FileSystem) -> Callable[[int], None]:
    """Every commit costs; what is live stays small."""
    handle = fs.create("/file", 0o644, os.O_RDWR, 0, 0)

    def change(number: int) -> None:
        fs.write(handle, bytes([number & 255]) * 50_000, 0)
        fs.fsync(handle)

    return change


def attributes(fs: FileSystem) -> Callable[[int], None]:
    """Nothing but changed attributes, each of them committed."""
    for number in range(200):
        fs.release(fs.create(f"/{number}", 0o644, os.O_RDWR, 0, 0))

    def change(number: int) -> None:
        for name in range(200):
            fs.chmod(f"/{name}", 0o600 + number % 8)
        fs.sync()

    return change


def saves_through_a_temporary_name(fs: FileSystem) -> Callable[[int], None]:
    def change(number: int) -> None:
        save(fs, "/document~", bytes([number & 255]) * 20_000)
        fs.rename("/document~", "/document")
        fs.sync()

    return change


WAYS = (
    one_large_file,
    tiny_files,
    small_files,
    long_names,
    deep_directories,
    hard_links,
    one_block_here_and_there,
    one_file_rewritten,
    attributes,
    saves_through_a_temporary_name,
)


@pytest.mark.parametrize("sync_every", [0, 7])
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_full_disc_commits_deletes_and_closes(
    way: Callable[[FileSystem], Callable[[int], None]],
    sync_every: int,
    burner: Burner,
    tmp_path: Path,
) -> None:
    fs = mount(burner, tmp_path / "spool")
    before = fs.statfs().available
    assert until_full(fs, way(fs), sync_every=sync_every) > 5
    fs.sync()  # never fails for want of room
    used = before - fs.statfs().available
    assert used > before // 2, f"full after {used} of {before} blocks"
    seen = picture(fs)
    check_deleting(fs, seen)
    fs.sync()
    seen = picture(fs)
    fs.close_disc(final=True)
    fs.shutdown()
    last = mount(burner, tmp_path / "spool")
    assert last.read_only == "the disc is closed"
    assert not difference(picture(last), seen)


def check_deleting(fs: FileSystem, seen: Picture) -> None:
    """Some of everything can be deleted, each deletion committed by itself."""
    paths = sorted((path for path in seen if path != "/"), key=len, reverse=True)
    for path in paths[:: max(1, len(paths) // 8)]:
        if not stat.S_ISDIR(seen[path].mode):
            fs.unlink(path)
        elif not fs.readdir(path):
            fs.rmdir(path)
        fs.sync()


def test_a_full_disc_left_as_it_is(burner: Burner, tmp_path: Path) -> None:
    """Full, unmounted, mounted again: still full, still to be closed, and a
    second session after it says at once that there is no room."""
    fs = mount(burner, tmp_path / "spool")
    until_full(fs, one_large_file(fs))
    fs.shutdown()
    again = mount(burner, tmp_path / "spool")
    handle = again.open("/large", os.O_RDWR)
    with pytest.raises(NoSpaceError):
        again.write(handle, bytes(MIB), again.getattr("/large").size)
    again.close_disc(final=False)
    again.shutdown()
    third = mount(burner, tmp_path / "spool")
    if third.read_only is None:
        with pytest.raises(NoSpaceError):
            third.mkdir("/d", 0o755, 0, 0)
    third.shutdown()


@pytest.mark.parametrize("cut", ["repair", "clean"])
def test_a_power_cut_on_a_full_disc(cut: str, burner: Burner, tmp_path: Path) -> None:
    """The reserve covers what the torn packet took, and the close."""
    fs = mount(burner, tmp_path / "spool")
    until_full(fs, small_files(fs), sync_every=50)
    fs.sync()
    fs.unlink("/0")
    burner.faults.cut = cut  # type: ignore[assignment]
    disc = burner.branch()
    packet = disc.recorder.medium.tracks[-1].next
    # A packet is under way when the power goes.
    again = mount(disc, kill(tmp_path / "spool"))
    again._store.write(packet, bytes(100 * BLOCK))  # type: ignore[attr-defined]
    disc.power_cut()
    last = mount(disc, tmp_path / "empty")
    assert last.getattr("/0").size == 3000
    last.unlink("/0")
    last.sync()
    last.close_disc(final=True)
    last.shutdown()
    assert mount(disc, tmp_path / "empty").read_only == "the disc is closed"


def test_lost_packets_on_a_full_disc(burner: Burner, tmp_path: Path) -> None:
    """Two packets may be lost at the end; the close still fits."""
    fs = mount(burner, tmp_path / "spool")
    until_full(fs, small_files(fs), sync_every=50)
    burner.faults.write_errors[burner.recorder.packets + 1] = "sync"
    fs.sync()
    fs.unlink("/0")
    burner.faults.write_errors[burner.recorder.packets + 1] = "sync"
    fs.close_disc(final=True)
    fs.shutdown()
    last = mount(burner, tmp_path / "spool")
    assert last.read_only == "the disc is closed"
    assert content(last, "/1") == b"\1" * 3000


def test_what_was_acknowledged_fits_after_a_kill(burner: Burner, tmp_path: Path) -> None:
    """Replaying needs no more room than there was."""
    fs = mount(burner, tmp_path / "spool")
    until_full(fs, small_files(fs), sync_every=100)
    expected = picture(fs)
    again = mount(burner, kill(tmp_path / "spool"))
    assert again.read_only is None, again.read_only
    assert not difference(picture(again), expected)
    again.close_disc(final=True)
    again.shutdown()


def test_room_comes_back_when_what_was_promised_was_not_needed(
    burner: Burner, tmp_path: Path
) -> None:
    """A tiny file is promised more than it takes: the disc is full when it is
    full, not when the promises are."""
    fs = mount(burner, tmp_path / "spool")
    room = fs.statfs().available
    made = until_full(fs, tiny_files(fs))
    assert made > room * 0.8


def test_full_while_commits_run_beside(burner: Burner, tmp_path: Path) -> None:
    """With the committing thread at work and data rewritten under it."""
    options = MountOptions(commit_idle=0.01, commit_max=0.05, commit_bytes=256 << 10)
    fs = mount(burner, tmp_path / "spool", options=options)
    fs.start()
    noise = random.Random(3)
    handle = fs.create("/file", 0o600, os.O_RDWR, 0, 0)

    def change(_number: int) -> None:
        fs.write(handle, noise.randbytes(20_000), noise.randrange(3 * MIB))

    until_full(fs, change)
    fs.sync()
    seen = picture(fs)
    fs.close_disc(final=True)
    fs.shutdown()
    assert not difference(picture(mount(burner, tmp_path / "spool")), seen)


def test_statfs_leaves_out_what_closing_needs(burner: Burner, tmp_path: Path) -> None:
    fs = mount(burner, tmp_path / "spool")
    space = fs.statfs()
    assert space.available == space.free
    assert space.blocks - space.free > fs.status()["blocks_reserved"]
    handle = fs.create("/a", 0o600, os.O_RDWR, 0, 0)
    for at in range(0, (space.available - 20) * BLOCK, MIB):
        size = min(MIB, (space.available - 20) * BLOCK - at)
        fs.write(handle, bytes(size), at)
    fs.sync()
    assert fs.statfs().available < 40


def test_holes_cost_nothing(burner: Burner, tmp_path: Path) -> None:
    fs = mount(burner, tmp_path / "spool")
    before = fs.statfs().available
    handle = fs.create("/holes", 0o600, os.O_RDWR, 0, 0)
    fs.truncate("/holes", 1 << 40, handle)
    fs.write(handle, b"end", (1 << 40) - 3)
    fs.sync()
    assert before - fs.statfs().available < 60
    fs.shutdown()
    again = mount(burner, tmp_path / "spool")
    handle = again.open("/holes", os.O_RDONLY)
    assert again.getattr("/holes").size == 1 << 40
    assert again.read(handle, 5, (1 << 40) - 5) == b"\0\0end"


@pytest.mark.slow
@pytest.mark.parametrize("revision", [0x0150, 0x0201], ids=hex)
def test_closing_a_disc_of_very_many_files(revision: int, tmp_path: Path) -> None:
    """Its VAT is longer than the last packet of UDF 6.10.1 (256 blocks): the
    anchor still lies at N-256, and N is the last VAT ICB."""
    burner = formatted(revision)
    fs = mount(burner, tmp_path / "spool")
    for folder in range(140):
        fs.mkdir(f"/{folder}", 0o755, 0, 0)
        for number in range(1000):
            fs.release(fs.create(f"/{folder}/{number}", 0o600, os.O_RDWR, 0, 0))
    fs.close_disc(final=True)
    fs.shutdown()
    last = mount(burner, tmp_path / "spool")
    assert last.volume.vat is not None and last.volume.vat.size > 256 * BLOCK
    end = burner.recorder.medium.end - 1
    assert last.volume.vat.location == end
    anchor = last.volume.store.read(end - 256, 1)
    tags.unseal(AnchorVolumeDescriptorPointer, anchor, location=end - 256)
    assert len(last.readdir("/77")) == 1000
