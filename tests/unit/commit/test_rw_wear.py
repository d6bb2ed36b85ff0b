"""A CD-RW bears about a thousand rewrites of a packet: no packet may be hot."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from media.virtual import Burner
from udffs.errors import UdffsError
from udffs.filesystem import FileSystem

from .rig import MIB, Clock, content, save
from .rw_rig import PACKET, formatted, judged, mount, wear

SAVES = 2000
MOST = 200  # rewrites of one packet in 2,000 saves


def hottest(burner: Burner, before: list[int]) -> tuple[int, int]:
    """(rewrites, first block) of the packet that was rewritten most since then."""
    since = [now - old for now, old in zip(wear(burner), before, strict=True)]
    most = max(since)
    return most, since.index(most) * PACKET


def _in_place(fs: FileSystem, number: int) -> None:
    handle = fs.open("/file", os.O_RDWR)
    fs.write(handle, b"%8d" % number * 2500, 0)
    fs.fsync(handle)
    fs.release(handle)


def _through_a_name(fs: FileSystem, number: int) -> None:
    handle = fs.create("/file~", 0o644, os.O_RDWR, 0, 0)
    fs.write(handle, b"%8d" % number * 2500, 0)
    fs.fsync(handle)
    fs.release(handle)
    fs.rename("/file~", "/file")


def _appended(fs: FileSystem, number: int) -> None:
    handle = fs.open("/file", os.O_WRONLY | os.O_APPEND)
    fs.write(handle, b"%8d" % number * 10, 0)
    fs.fsync(handle)
    fs.release(handle)


@pytest.mark.parametrize("how", [_in_place, _through_a_name, _appended])
@pytest.mark.parametrize("kind", ["cd-rw-80", "mrw"])
def test_two_thousand_saves(
    how: object, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(how)
    burner, clock = formatted(kind=kind), Clock()
    before, seconds = wear(burner), burner.seconds
    fs = mount(burner, tmp_path / "spool", clock)
    save(fs, "/file", b"begun")
    for number in range(SAVES):
        clock.tick()
        how(fs, number)
    fs.sync()
    rewrites = sum(wear(burner)) - sum(before)
    fs.shutdown()
    most, where = hottest(burner, before)
    judged(burner)
    with capsys.disabled():
        print(
            f"\n{SAVES} saves{how.__name__.replace('_', ' ')} on {kind}: the most rewritten "
            f"packet (at {where}) {most} times, {rewrites / SAVES:.2f} packets and "
            f"{(burner.seconds - seconds) / SAVES:.2f} s of the drive a save"
        )
    assert most <= MOST, f"the packet at {where} was rewritten {most} times"


def test_many_mounts(tmp_path: Path) -> None:
    """A disc that is taken out after each save wears at its integrity descriptor."""
    burner, clock = formatted(), Clock()
    before = wear(burner)
    for number in range(50):
        fs = mount(burner, tmp_path / "spool", clock)
        save(fs, f"/file {number}", b"content", sync=True)
        fs.shutdown()
    most, where = hottest(burner, before)
    judged(burner)
    assert most <= 2 * 50 + 2, f"the packet at {where} was rewritten {most} times"


# -- packets that fail -------------------------------------------------------------


def _bad_packets(burner: Burner, share: float, seed: int) -> set[int]:
    """So many of all packets, spare ones too; not where UDF has no way round."""
    report, chance = judged(burner), random.Random(f"bad {seed}")
    places = [*range(report.start, report.start + report.length, PACKET), *report.spare_packets]
    return {packet for packet in places if chance.random() < share}


def _save_until_refused(fs: FileSystem, noise: bytes) -> tuple[dict[str, bytes], str]:
    """Save files and sync each, until the volume refuses: what was synced, and
    what it said."""
    synced: dict[str, bytes] = {}
    chance = random.Random(5)
    for number in range(4000):
        path = f"/file {number}"
        data = number.to_bytes(4, "little") + noise[: chance.choice((100, 5000, 70_000, MIB))]
        try:
            save(fs, path, data, sync=True)
        except Exception as error:
            assert getattr(error, "errno", None) is not None, repr(error)
            return synced, str(error)
        synced[path] = data
    raise AssertionError("it is never refused")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("told", ["sync", "write"])
def test_one_packet_in_twenty_fails(seed: int, told: str, tmp_path: Path) -> None:
    """Nothing is lost until no spare packet is left, and nothing of what was
    synced then; only writing is over."""
    burner = formatted()
    fresh = judged(burner)
    burner.faults.bad_packets = _bad_packets(burner, 0.05, seed)
    burner.faults.defects_told = told  # type: ignore[assignment]
    burner.faults.error_empties_buffer = seed % 2 == 1
    noise, said = random.Random(seed).randbytes(MIB), list[str]()
    fs = mount(burner, tmp_path / "spool", log=said.append)
    synced, refused = _save_until_refused(fs, noise)
    assert "no spare one is left" in refused
    assert sum("takes its place" in text for text in said) > len(fresh.spare_packets) // 2
    with pytest.raises(UdffsError, match="no spare one is left"):
        fs.mkdir("/directory", 0o755, 0, 0)
    assert len(synced) > 100
    for number in range(2):  # and after the cut, as often as it is mounted
        for path, data in synced.items():
            assert content(fs, path) == data, path
        burner.power_cut()
        fs = mount(burner, tmp_path / f"empty {number}")
        if fs.read_only is not None:
            assert "no spare one is left" in fs.read_only


def test_packets_that_wear_out(tmp_path: Path) -> None:
    """An old disc: some packets bear few more rewrites; what is hot moves to spare ones."""
    burner = formatted()
    report = judged(burner)
    chance, rewritten = random.Random(3), burner.recorder.medium.wear
    for packet in range(report.start // PACKET, (report.start + report.length) // PACKET):
        rewritten[packet] += chance.randrange(1000)
    burner.faults.wear_limit = 1000
    fs = mount(burner, tmp_path / "spool")
    for number in range(SAVES):
        save(fs, "/file", b"%8d" % number * 2500, sync=True)
    fs.shutdown()
    assert 0 < len(judged(burner).spared) < 10
    fs = mount(burner, tmp_path / "spool")
    assert content(fs, "/file") == b"%8d" % (SAVES - 1) * 2500
