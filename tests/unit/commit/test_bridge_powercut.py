"""The power fails at every packet of a close that makes a bridge.

The disc is copied before every command that writes, syncs or closes, and the power
of the copy is cut with the laser at any block of the open packet. The copy mounts
with all that was durable; its close can be completed, and then every view of the
disc is right: that of UDF always, that of ISO 9660 unless the few blocks with its
descriptors were lost in the cut, which is told.
"""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest
from support.iso_strangers import pycdlib_view
from support.iso_views import View, differences, seen, with_same

from media.virtual import Burner, memory_burner
from udffs.commit.closing import DESCRIPTORS_LOST
from udffs.commit.format import FormatOptions, format_volume
from udffs.errors import UdffsError
from udffs.filesystem import FileSystem

from .model import Picture
from .rig import (
    BORN,
    CLOSE,
    SYNC,
    WRITE,
    Clock,
    cut,
    difference,
    mount,
    picture,
    save,
    store_of,
)

BLOCK = 2048
HOW: tuple[Literal["repair"], Literal["clean"]] = ("repair", "clean")
RECOGNITION = (16, 22)  # blocks of the descriptors, counted from the session's first


def bridged(revision: int = 0x0201) -> Burner:
    """A disc in memory with an empty volume that keeps a place for a bridge."""
    burner = memory_burner("cd-r-80")
    options = FormatOptions(f"test {revision:x}", revision, bridge=True)
    noise = random.Random(revision).randbytes
    format_volume(store_of(burner), options, now=BORN, random=noise)
    return burner


def fill(fs: FileSystem) -> None:
    """A bit of everything that a bridge has to care for."""
    noise = random.Random(2).randbytes
    fs.mkdir("/folder", 0o755, 1, 2)
    fs.mkdir("/folder/inner", 0o750, 0, 0)
    save(fs, "/embedded", b"in the ICB")
    save(fs, "/folder/plain", noise(9000))
    fs.link("/folder/plain", "/second name")
    save(fs, "/folder/inner/grows", noise(3000))
    fs.sync()
    handle = fs.open("/folder/inner/grows", os.O_RDWR)
    for _ in range(3):
        fs.write(handle, noise(5000), fs.getattr("", handle).size)
        fs.fsync(handle)
    fs.release(handle)
    handle = fs.create("/hole", 0o600, os.O_RDWR, 0, 0)
    fs.write(handle, b"end", 50_000)
    fs.release(handle)
    handle = fs.create("/fragments", 0o600, os.O_RDWR, 0, 0)
    fs.write(handle, noise(100 * BLOCK), 0)
    fs.fsync(handle)
    for number in range(1, 100, 2):
        fs.write(handle, noise(BLOCK), number * BLOCK)
    fs.release(handle)
    fs.symlink("/link", "folder/plain", 0, 0)
    fs.mknod("/fifo", stat.S_IFIFO | 0o640, 0, 5, 6)
    save(fs, "/names: mapped?", b"by Joliet")
    fs.sync()


def as_view(tree: Picture) -> View:
    """What readers of ISO 9660 have to see of it."""
    view, inodes = {}, {}
    for path, one in tree.items():
        if path == "/":
            continue
        inodes[path[1:]] = one.same
        link = isinstance(one.content, str)
        view[path[1:]] = seen(
            one.mode,
            uid=one.uid,
            gid=one.gid,
            mtime=one.mtime,
            links=one.links,
            content=b"" if link or one.content is None else one.content,  # type: ignore[arg-type]
            target=str(one.content) if link else "",
            device=(os.major(one.device), os.minor(one.device)),
        )
    return with_same(view, inodes)


def iso_view(burner: Burner, folder: Path, start: int = 0) -> View | None:
    """By Rock Ridge of the disc as it is; None if its descriptors are not all there."""
    image = folder / "image"
    data = burner.recorder.storage.read(0, burner.recorder.medium.end)
    image.write_bytes(data)
    sequence = (b"CD001", b"CD001", b"CD001", b"BEA01", b"NSR0", b"TEA01")
    for at, identifier in enumerate(sequence, start + 16):
        if not data[at * BLOCK + 1 : at * BLOCK + 6].startswith(identifier):
            return None
    return pycdlib_view(image, "rr", start=start)


class Cuts:
    """One session, filled and closed; the power fails wherever it matters meanwhile."""

    def __init__(self, burner: Burner, folder: Path, only: int | None = None) -> None:
        self.burner, self.folder, self.only = burner, folder, only
        self.number = 0
        self.closing = False
        self.outcomes: Counter[str] = Counter()
        self.fs = mount(burner, folder / "spool", watch=self._watch)
        self.start = store_of(burner).session_start
        self.durable: Picture = {}

    def close(self, *, final: bool) -> list[str]:
        """Close it, cutting; what there was is durable already."""
        self.durable = picture(self.fs)
        self.closing = True
        notes = self.fs.close_disc(final=final)
        self.fs.shutdown()
        self.closing = False
        self._cut(0, "clean")  # and once more when all is done
        return notes

    def _watch(self, operation: int) -> None:
        if not self.closing or operation not in (WRITE, SYNC, CLOSE):
            return
        packet = self.burner.recorder.packet
        if packet is None:
            self._cut(0, "clean")
            return
        for block in blocks_of(packet.start, packet.end, operation == SYNC, self.start):
            for how in HOW:
                self._cut(block, how)

    def _cut(self, block: int, how: Literal["repair", "clean"]) -> None:
        self.number += 1
        if self.only not in (None, self.number):
            return
        try:
            self.outcomes[self._check(cut(self.burner, block, how), block)] += 1
        except BaseException as error:
            error.add_note(f"cut {self.number} at block {block}, {how}")
            raise

    def _check(self, disc: Burner, block: int) -> str:
        """The cut disc, from a host that lost its power, too."""
        empty = self.folder / "empty"
        shutil.rmtree(empty, ignore_errors=True)
        was_closed = not store_of(disc.branch()).session_open
        fs = mount(disc, empty, Clock(BORN + 10**15))
        assert not difference(picture(fs), self.durable)
        notes = fs.notes
        if fs.close_completed:
            outcome = "completed by the mount"
            with pytest.raises(UdffsError):
                save(fs, "/new", b"too late")
        elif was_closed:
            outcome = "was closed"
        else:
            assert fs.read_only is None, fs.read_only
            outcome = "closed anew"
            fs.close_disc(final=False)
        fs.shutdown()
        again = mount(disc, empty)
        assert not difference(picture(again), self.durable)
        store = store_of(disc)
        assert not store.session_open
        assert len(store.sessions) >= 1
        view = iso_view(disc, self.folder, self.start)
        if view is None:
            # Only where the laser was at the descriptors, or so near before them that the
            # drive's own blocks behind a cut packet are there.
            first, end = (self.start + at for at in RECOGNITION)
            assert first - 12 <= block <= end, "the ISO 9660 view is not there"
            assert DESCRIPTORS_LOST in notes, notes
            return f"{outcome}, as UDF alone"
        told = differences(view, as_view(self.durable))
        assert not told, told
        return outcome


def blocks_of(start: int, end: int, all_of_it: bool, session: int) -> list[int]:
    """Where the laser may be when the power goes."""
    if not all_of_it:
        return [end]
    chosen = {start, start + 1, (start + end) // 2, *range(end - 4, end + 1)}
    chosen |= {session + at for at in (3, 8, 12, 15, 16, 17, 18, 19, 20, 21, 30, 255, 256, 257)}
    return sorted(block for block in chosen if start <= block <= end)


@pytest.mark.parametrize("revision", [0x0150, 0x0201], ids=hex)
@pytest.mark.parametrize("final", [False, True], ids=["appendable", "final"])
def test_a_cut_at_every_packet_of_a_close(revision: int, final: bool, tmp_path: Path) -> None:
    cuts = Cuts(bridged(revision), tmp_path)
    fill(cuts.fs)
    assert cuts.close(final=final)
    assert cuts.outcomes["closed anew"] > 5, cuts.outcomes
    assert cuts.outcomes["completed by the mount"] > 5, cuts.outcomes
    assert cuts.outcomes["completed by the mount, as UDF alone"] > 0, cuts.outcomes
    assert cuts.outcomes["was closed"] > 0, cuts.outcomes


def test_a_cut_in_the_close_of_a_second_session(tmp_path: Path) -> None:
    burner = bridged()
    fs = mount(burner, tmp_path / "spool")
    fill(fs)
    fs.close_disc(final=False)
    fs.shutdown()
    cuts = Cuts(burner, tmp_path)
    save(cuts.fs, "/folder/new", b"of the second session" * 1000)
    cuts.fs.unlink("/embedded")
    cuts.fs.sync()
    cuts.start = store_of(burner).session_start
    assert cuts.start > 10_000
    cuts.close(final=False)
    assert cuts.outcomes["closed anew"] > 5, cuts.outcomes
    assert cuts.outcomes["completed by the mount"] > 5, cuts.outcomes


def in_close(burner: Burner, folder: Path) -> tuple[Picture, int, int]:
    """Packets of a close: (what was there, packets before it, packets after it)."""
    fs = mount(burner, folder / "probe")
    fill(fs)
    durable = picture(fs)
    before = burner.recorder.packets
    fs.close_disc(final=False)
    fs.shutdown()
    return durable, before, burner.recorder.packets


@pytest.mark.parametrize("told", ["write", "sync"])
def test_an_error_at_every_packet_of_a_close(
    told: Literal["write", "sync"], tmp_path: Path
) -> None:
    """Nothing but what is lost has to be written again."""
    durable, before, after = in_close(bridged(), tmp_path)
    assert after - before >= 2
    lost = 0
    for number in range(before + 1, after + 1):
        burner = bridged()
        fs = mount(burner, tmp_path / f"spool {number}")
        fill(fs)
        burner.faults.write_errors[number] = told
        fs.close_disc(final=False)
        fs.shutdown()
        again = mount(burner, tmp_path / f"look {number}")
        assert not difference(picture(again), durable), number
        view = iso_view(burner, tmp_path)
        lost += view is None
        assert view is None or not differences(view, as_view(durable)), number
    # What the reserved track's packet lost at its very beginning is lost.
    assert lost <= 1


@pytest.mark.parametrize("step", range(6))
def test_a_second_cut_while_the_close_is_completed(step: int, tmp_path: Path) -> None:
    """The power fails in the reserved track, and again in the mount that completes it."""
    burner = bridged()
    start = store_of(burner).session_start

    def stop(operation: int) -> None:
        packet = burner.recorder.packet
        if operation == SYNC and packet is not None and packet.start < start + 300:
            raise PowerFailedError

    fs = mount(burner, tmp_path / "spool", watch=stop)
    fill(fs)
    durable = picture(fs)
    with pytest.raises(PowerFailedError):
        fs.close_disc(final=False)
    disc = cut(burner, start + 30, HOW[step % 2])
    left = [step // 2]

    def again(operation: int) -> None:
        if operation in (WRITE, SYNC, CLOSE):
            left[0] -= 1
            if left[0] < 0:
                raise PowerFailedError

    with pytest.raises(PowerFailedError):
        mount(disc, tmp_path / "second", watch=again)
    packet = disc.recorder.packet
    third = cut(disc, 0 if packet is None else packet.end, HOW[step % 2])
    fs = mount(third, tmp_path / "third")
    assert not difference(picture(fs), durable)
    assert fs.close_completed or fs.read_only == "the disc is closed"
    fs.shutdown()
    view = iso_view(third, tmp_path)
    assert view is not None
    assert not differences(view, as_view(durable))


class PowerFailedError(Exception):
    """The host is off."""


@pytest.mark.parametrize("limit", [40, 300, 1000])
def test_a_drive_that_ends_packets_by_itself(limit: int, tmp_path: Path) -> None:
    """A close works although no packet may be longer than so many blocks: with the whole
    bridge if that is what a drive's buffer holds, and else with one that is right or none."""
    burner = bridged()
    fs = mount(burner, tmp_path / "spool")
    fill(fs)
    durable = picture(fs)
    burner.faults.end_packets_after = limit
    fs.close_disc(final=True)
    fs.shutdown()
    again = mount(burner, tmp_path / "spool")
    assert again.read_only == "the disc is closed"
    assert not difference(picture(again), durable)
    view = iso_view(burner, tmp_path)
    assert view is not None or limit < 1000
    assert view is None or not differences(view, as_view(durable))


def test_what_has_to_be_in_one_piece_on_a_drive_that_ends_packets(tmp_path: Path) -> None:
    """A file in many pieces, larger than any packet can be: the disc is closed all the same,
    and either the file is in its ISO 9660 view as it is or that is told."""
    burner = bridged()
    fs = mount(burner, tmp_path / "spool")
    noise = random.Random(3).randbytes
    save(fs, "/plain", noise(5000))
    handle = fs.create("/fragments", 0o600, os.O_RDWR, 0, 0)
    fs.write(handle, noise(2000 * BLOCK), 0)
    fs.fsync(handle)
    for number in range(1, 400, 2):
        fs.write(handle, noise(BLOCK), number * BLOCK)
    fs.release(handle)
    fs.sync()
    durable = picture(fs)
    burner.faults.end_packets_after = 1000
    notes = fs.close_disc(final=True)
    fs.shutdown()
    assert not difference(picture(mount(burner, tmp_path / "spool")), durable)
    view = iso_view(burner, tmp_path)
    wanted = as_view(durable)
    if view is None or "fragments" not in view:
        assert any("fragments" in note or "ISO 9660" in note for note in notes), notes
        del wanted["fragments"]
    assert view is None or not differences(view, wanted)
