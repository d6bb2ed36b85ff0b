"""A packet that cannot be written any more is replaced on the spot."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from media.virtual import Burner

from .rig import SYNC, WRITE, Clock, content, save
from .rw_rig import PACKET, cut, cuts, formatted, judged, mount, unsynced

NOISE = random.Random(8).randbytes(3_000_000)


def _session(burner: Burner, spool: Path) -> dict[str, bytes]:
    """Small and large files, saved twice, some deleted, everything synced."""
    fs = mount(burner, spool)
    files: dict[str, bytes] = {}
    for turn in range(2):
        for number in range(12):
            path = f"/file {number}"
            files[path] = NOISE[turn : turn + (100, 5000, 300_000)[number % 3]]
            save(fs, path, files[path], sync=number % 4 == 0)
        fs.unlink("/file 5")
        del files["/file 5"]
    fs.shutdown()
    return files


def _written(burner: Burner, before: list[int]) -> list[int]:
    """First blocks of the packets that were written since."""
    wear = burner.recorder.medium.wear
    return [n * PACKET for n, (a, b) in enumerate(zip(wear, before, strict=True)) if a > b]


@pytest.mark.parametrize("told", ["sync", "write"])
@pytest.mark.parametrize("empties", [False, True])
def test_any_packet_that_is_written_may_fail(told: str, empties: bool, tmp_path: Path) -> None:
    """Each packet of a session in turn, in a session of its own."""
    sound = formatted()
    before = list(sound.recorder.medium.wear)
    files = _session(sound, tmp_path / "sound")
    report = judged(sound)
    for packet in _written(sound, before):
        home = report.start <= packet < report.start + report.length
        burner = formatted()
        burner.faults.bad_packets = {packet}
        burner.faults.defects_told = told  # type: ignore[assignment]
        burner.faults.error_empties_buffer = empties
        assert _session(burner, tmp_path / f"spool {packet}") == files
        found = judged(burner)
        if home:
            assert found.spared.get(packet, packet) != packet, f"{packet} was not spared"
        else:
            assert found.integrity_at != packet == report.integrity_at
        fs = mount(burner, tmp_path / f"empty {packet}")
        for path, data in files.items():
            assert content(fs, path) == data, f"packet {packet}: {path}"


def test_cuts_while_a_packet_is_spared(tmp_path: Path) -> None:
    """The sparing tables, too, may be torn."""
    sound = formatted()
    before = list(sound.recorder.medium.wear)
    _session(sound, tmp_path / "sound")
    start = judged(sound).start
    bad = [packet for packet in _written(sound, before) if packet > start][::3]
    burner = formatted()
    burner.faults.bad_packets = set(bad)
    clock, durable, saved, number = Clock(), dict[str, bytes](), list[str](), 0

    def watch(operation: int) -> None:
        nonlocal number
        if operation not in (WRITE, SYNC) or (operation == WRITE and not unsynced(burner)):
            return
        for how in cuts(min(len(unsynced(burner)), 3), orders=(0, 5)):
            number += 1
            if number % 29:
                continue
            disc = cut(burner, how)
            fs = mount(disc, tmp_path / f"cut {number}", clock)
            for path, data in durable.items():
                if path in saved[-1:]:
                    assert len(content(fs, path)) in (len(data), len(NOISE[: 2 * len(data)]))
                else:
                    assert content(fs, path) == data, f"cut {number}, {how}: {path}"
            fs.shutdown()
            judged(disc)

    fs = mount(burner, tmp_path / "spool", clock, watch=watch)
    for turn in range(40):
        path = f"/file {turn}"
        saved.append(path)
        data = NOISE[turn : turn + (100, 70_000)[turn % 2]]
        save(fs, path, data, sync=True)
        durable[path] = data
    saved.clear()
    fs.shutdown()
    assert judged(burner).spared
