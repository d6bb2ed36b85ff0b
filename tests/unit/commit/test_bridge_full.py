"""Never too full to close, with a bridge: whatever fills a disc, closing it makes
the whole ISO 9660 view, of every name and every byte."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from support.iso_strangers import pycdlib_view
from support.iso_views import View, differences

from media.mmc import features
from media.mmc.address import from_msf
from media.virtual import KINDS, Burner, Kind, memory_burner
from udffs.commit.closing import NO_ROOM
from udffs.commit.format import FormatOptions, format_volume
from udffs.filesystem import FileSystem
from udffs.volume.model import BLOCK

from .model import Picture
from .rig import BORN, difference, mount, picture, save, store_of
from .test_bridge_powercut import as_view, iso_view
from .test_full import WAYS, until_full

SMALL = "test-20"
MOST_HOLES = 8192 * BLOCK

Way = Callable[[FileSystem], Callable[[int], None]]


def bridged(kind: str) -> Burner:
    burner = memory_burner(kind)
    options = FormatOptions("full", bridge=True)
    noise = random.Random(4).randbytes
    format_volume(store_of(burner), options, now=BORN, random=noise)
    return burner


@pytest.fixture
def burner(monkeypatch: pytest.MonkeyPatch) -> Burner:
    """A disc of two minutes and a quarter, 20 MB."""
    end = (2, 16, 0)
    kind = Kind(SMALL, "a small disc for tests", features.CD_R, end, from_msf(*end))
    monkeypatch.setitem(KINDS, SMALL, kind)
    return bridged(SMALL)


# -- more ways to fill a disc ------------------------------------------------------------


def embedded_files(fs: FileSystem) -> Callable[[int], None]:
    """Each costs a block, and another one for the bridge."""
    noise = random.Random(5)

    def change(number: int) -> None:
        if number % 100 == 0:
            fs.mkdir(f"/{number // 100}", 0o755, 0, 0)
        save(fs, f"/{number // 100}/{number}", noise.randbytes(1500))

    return change


def joliet_at_its_worst(fs: FileSystem) -> Callable[[int], None]:
    """Names that are long in every view, and the same but for their ends."""

    def change(number: int) -> None:
        fs.release(fs.create(f"/{'語' * 60}{'ü' * 30}{number}", 0o644, os.O_RDWR, 0, 0))

    return change


def long_links(fs: FileSystem) -> Callable[[int], None]:
    target = "/".join("component" for _ in range(80))
    return lambda number: fs.symlink(f"/{number}", target, 0, 0)


def directories(fs: FileSystem) -> Callable[[int], None]:
    """Each is two blocks of the bridge, and has its place in four path tables."""
    return lambda number: fs.mkdir(f"/directory {number}", 0o755, 0, 0)


def interleaved(fs: FileSystem) -> Callable[[int], None]:
    """Files that grow in turns: sections upon sections, with several names each."""
    noise = random.Random(6)
    handles = [fs.create(f"/grows {n}", 0o644, os.O_RDWR, 0, 0) for n in range(8)]
    sizes = [0] * len(handles)
    for n in range(8):
        for name in range(20):
            fs.link(f"/grows {n}", f"/grows {n}, name {name}")

    def change(number: int) -> None:
        n = number % len(handles)
        data = noise.randbytes(3000)
        sizes[n] += fs.write(handles[n], data, sizes[n])
        if n == 0:
            fs.sync()

    return change


def fragments(fs: FileSystem) -> Callable[[int], None]:
    """Files in over 90 pieces: written out once more."""
    noise = random.Random(7)

    def change(number: int) -> None:
        handle = fs.create(f"/{number}", 0o644, os.O_RDWR, 0, 0)
        fs.write(handle, noise.randbytes(200 * BLOCK), 0)
        fs.fsync(handle)
        for at in range(1, 200, 2):
            fs.write(handle, noise.randbytes(BLOCK), at * BLOCK)
        fs.fsync(handle)
        fs.release(handle)

    return change


def holes(fs: FileSystem) -> Callable[[int], None]:
    """A block every 64, all of them sharing one run of zeros."""
    noise = random.Random(8)

    def change(number: int) -> None:
        handle = fs.create(f"/{number}", 0o644, os.O_RDWR, 0, 0)
        for at in range(40):
            fs.write(handle, noise.randbytes(100), at * 64 * BLOCK)
        fs.release(handle)

    return change


MORE = (
    embedded_files,
    joliet_at_its_worst,
    long_links,
    directories,
    interleaved,
    fragments,
    holes,
)


def shown(tree: Picture) -> View:
    """What the bridge has to show: all but files that have too many holes."""
    sparse = {path for path in tree if path == "/sparse"}
    return as_view({path: one for path, one in tree.items() if path not in sparse})


def check(burner: Burner, notes: list[str], seen: Picture, folder: Path) -> None:
    assert NO_ROOM not in notes, notes
    last = mount(burner, folder / "look")
    assert last.read_only == "the disc is closed"
    assert not difference(picture(last), seen)
    view = iso_view(burner, folder)
    assert view is not None, "there is no ISO 9660 view"
    told = differences(view, shown(seen))
    assert not told, told[:10]


# Links of a thousand characters take long to make.
AGAIN = [
    pytest.param(way, id=way.__name__, marks=[pytest.mark.slow] if way is long_links else [])
    for way in (*WAYS[:3], *MORE)
]


@pytest.mark.parametrize("sync_every", [0, 7])
@pytest.mark.parametrize("way", [*WAYS, *MORE], ids=lambda way: way.__name__)
def test_a_full_disc_gets_its_whole_bridge(
    way: Way, sync_every: int, burner: Burner, tmp_path: Path
) -> None:
    fs = mount(burner, tmp_path / "spool")
    before = fs.statfs().available
    until_full(fs, way(fs), sync_every=sync_every)
    fs.sync()  # never fails for want of room
    seen = picture(fs)
    assert before - fs.statfs().available > before // 3
    notes = fs.close_disc(final=True)
    fs.shutdown()
    check(burner, notes, seen, tmp_path)


@pytest.mark.parametrize("way", AGAIN)
def test_a_full_disc_whose_first_try_fails(way: Way, burner: Burner, tmp_path: Path) -> None:
    """The packet with the bridge is lost; there is room for another one."""
    fs = mount(burner, tmp_path / "spool")
    until_full(fs, way(fs), sync_every=50)
    fs.sync()
    seen = picture(fs)
    burner.faults.write_errors[burner.recorder.packets + 1] = "sync"
    notes = fs.close_disc(final=True)
    fs.shutdown()
    check(burner, notes, seen, tmp_path)


@pytest.mark.parametrize("way", AGAIN)
def test_full_disc_mounted_again_and_closed(way: Way, burner: Burner, tmp_path: Path) -> None:
    """What the bridge costs is not forgotten between mounts: the disc stays full,
    changes that would cost more are refused, and the close works."""
    fs = mount(burner, tmp_path / "spool")
    until_full(fs, way(fs), sync_every=50)
    fs.sync()
    room, kept = fs.statfs().available, fs.status()["blocks_reserved"]
    seen = picture(fs)
    fs.shutdown()
    again = mount(burner, tmp_path / "again")
    assert again.statfs().available <= room + 20
    assert int(again.status()["blocks_reserved"]) >= int(kept) - 20  # type: ignore[call-overload]
    notes = again.close_disc(final=False)
    again.shutdown()
    check(burner, notes, seen, tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_random_trees_to_the_last_block(seed: int, burner: Burner, tmp_path: Path) -> None:
    """All ways at once, with deletes and renames between."""
    chance = random.Random(f"full {seed}")
    fs = mount(burner, tmp_path / "spool")

    def change(number: int) -> None:
        path = f"/{chance.choice('abc') * chance.randrange(1, 80)}{number}"
        match chance.randrange(8):
            case 0:
                fs.mkdir(path, 0o755, 0, 0)
            case 1:
                fs.symlink(path, "x/" * chance.randrange(1, 300) + "y", 0, 0)
            case 2:
                handle = fs.create(path, 0o600, os.O_RDWR, 0, 0)
                fs.write(handle, b"end", chance.randrange(1, 3_000_000))
                fs.release(handle)
            case 3:
                files = [e[0] for e in fs.readdir("/") if not fs.getattr(f"/{e[0]}").mode & 0o40000]
                if files:
                    fs.link(f"/{chance.choice(files)}", path)
            case 4:
                files = [e[0] for e in fs.readdir("/") if not fs.getattr(f"/{e[0]}").mode & 0o40000]
                if len(files) > 50:
                    fs.unlink(f"/{chance.choice(files)}")
            case _:
                save(fs, path, chance.randbytes(chance.randrange(40_000)))
        if chance.random() < 0.05:
            fs.sync()

    until_full(fs, change)
    fs.sync()
    seen = picture(fs)
    notes = fs.close_disc(final=True)
    fs.shutdown()
    check(burner, notes, seen, tmp_path)


@pytest.mark.parametrize("packet", [1, 2, 3])
@pytest.mark.parametrize("free", [1400, 1700, 2000])
def test_a_packet_of_the_bridge_is_lost_where_there_is_no_room_for_another(
    burner: Burner, tmp_path: Path, free: int, packet: int
) -> None:
    """Deleting may have used up what is kept back for that. The disc is closed all the
    same, without its bridge if need be."""
    fs = mount(burner, tmp_path / "spool")
    noise = random.Random(9)
    for number in range(1000):  # written once more, in more than one packet
        save(fs, f"/{number}", noise.randbytes(1500))
    fs.sync()
    seen = picture(fs)
    fs.shutdown()
    track = burner.recorder.medium.tracks[-1]
    track.limit = store_of(burner).next_writable + free
    fs = mount(burner, tmp_path / "spool")
    burner.faults.write_errors = {burner.recorder.packets + packet: "sync"}
    fs.close_disc(final=True)
    fs.shutdown()
    last = mount(burner, tmp_path / "look")
    assert last.read_only == "the disc is closed"
    assert not difference(picture(last), seen)


# -- whole discs --------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1200, func_only=False)
@pytest.mark.parametrize(
    "way", [*WAYS[:3], embedded_files, directories], ids=lambda way: way.__name__
)
def test_a_whole_disc(way: Way, tmp_path: Path) -> None:
    """A CD of 74 minutes, filled to the last block that programs may have."""
    burner = bridged("cd-r-74")
    fs = mount(burner, tmp_path / "spool")
    until_full(fs, way(fs), sync_every=20_000)
    fs.sync()
    count = fs.volume.files + fs.volume.directories
    notes = fs.close_disc(final=True)
    fs.shutdown()
    assert NO_ROOM not in notes, notes
    image = tmp_path / "image"
    image.write_bytes(burner.recorder.storage.read(0, burner.recorder.medium.end))
    assert len(pycdlib_view(image, "joliet")) >= count - 1


@pytest.mark.slow
@pytest.mark.timeout(1200, func_only=False)
def test_fifty_thousand_empty_files(tmp_path: Path) -> None:
    """In one directory, and then the disc is filled to its end."""
    burner = bridged("cd-r-74")
    fs = mount(burner, tmp_path / "spool")
    for number in range(50_000):
        fs.release(fs.create(f"/file {number}", 0o644, os.O_RDWR, 0, 0))
    handle = fs.create("/large", 0o644, os.O_RDWR, 0, 0)
    noise = random.Random(1).randbytes(1 << 20)
    until_full(fs, lambda number: fs.write(handle, noise, number << 20) and None)
    fs.sync()
    seen = {f"file {number}" for number in range(50_000)} | {"large"}
    notes = fs.close_disc(final=True)
    fs.shutdown()
    assert NO_ROOM not in notes, notes
    image = tmp_path / "image"
    image.write_bytes(burner.recorder.storage.read(0, burner.recorder.medium.end))
    assert pycdlib_view(image, "rr").keys() == seen
