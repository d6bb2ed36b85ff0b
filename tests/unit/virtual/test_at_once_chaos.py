"""Whatever is done in whatever order: the files always say what the drive says, a copy
of them opens, and what the medium calls readable can be read."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from media.burning import cue_sheet
from media.mmc import commands as c
from media.virtual import create, open_burner
from media.virtual.state import read_state, state_path

from .hand import Hand, Refused, pattern
from .test_session_at_once import at_once as session_page
from .test_session_at_once import cue, put
from .test_track_at_once import at_once as track_page

CODES = {(2, 0x04), (3, 0x0C), (3, 0x11), (3, 0x31), (5, 0x20), (5, 0x21), (5, 0x24), (5, 0x26)}
CODES |= {(5, 0x2C), (5, 0x30), (5, 0x63), (5, 0x64), (5, 0x72), (6, 0x28), (6, 0x29), (7, 0x27)}


class Chaos:
    """Commands by chance, on one disc."""

    def __init__(self, hand: Hand, seed: int) -> None:
        self.hand = hand
        self.chance = random.Random(seed)
        self.block = 0

    def step(self) -> None:
        action = self.chance.choice(
            [*[self.write, self.track, self.end] * 4, self.page, self.trouble, self.session]
        )
        try:
            action()
        except Refused as refused:
            assert refused.code[:2] in CODES, refused.code

    def where(self) -> int:
        track = self.hand.track()
        return track.next_writable_address if track.next_writable_address_valid else self.block

    def page(self) -> None:
        test, more = int(self.chance.random() < 0.2), self.chance.choice([0, *[3] * 9])
        kind = self.chance.randrange(3)
        if kind == 0:
            self.hand.packets(multi_session=more)
        elif kind == 1:
            track_page(self.hand, test_write=test, multi_session=more)
        else:
            session_page(self.hand, test_write=test, multi_session=more)

    def write(self) -> None:
        self.block = self.where() + self.chance.choice([0, 0, 0, 0, 0, 0, 1])
        count = self.chance.choice([1, 10, 100, 150])
        put(self.hand, self.block, count)
        self.block += count

    def track(self) -> None:
        track_page(self.hand)
        put(self.hand, self.where(), self.chance.choice([1, 100, 300]))

    def session(self) -> None:
        """A cue sheet, and some or all of what it announces."""
        session_page(self.hand)
        track = self.hand.track()
        start, number = track.logical_track_start_address, track.logical_track_number_lsb
        cue(self.hand, cue_sheet(number, start, start + 300))
        put(self.hand, start - 150, 150)
        put(self.hand, start, self.chance.choice([100, *[300] * 5]))

    def end(self) -> None:
        action = self.chance.choice(
            [self.hand.sync, self.hand.close_track, self.hand.close_session, self.repair]
        )
        action()

    def repair(self) -> None:
        number = self.hand.track().logical_track_number_lsb
        self.hand.send(c.RepairTrack, logical_track_number=number)

    def trouble(self) -> None:
        burner, what = self.hand.burner, self.chance.randrange(8)
        if what == 0:
            burner.power_cut()
        elif what == 1:
            burner.reset()
        elif what == 2:
            burner.faults.write_errors = {
                burner.recorder.packets + 1: self.chance.choice(["write", "sync"])
            }
        elif what == 3 and burner.medium.kind.erasable:
            self.hand.blank()
        elif what == 4:
            self.hand.read(self.block, 1)


def check(burner_path: Path, hand: Hand) -> None:
    medium = hand.burner.medium
    replayed = read_state(burner_path).medium
    assert replayed.snapshot() == medium.snapshot()
    copy = burner_path.with_name("copy.img")
    shutil.copy(burner_path, copy)
    shutil.copy(state_path(burner_path), state_path(copy))
    other = Hand(open_burner(copy))
    other.swallow()
    other.disc()
    if not other.burner.medium.spoiled:
        for start, count in other.burner.medium.packets():
            assert other.read(start, count) == pattern(start, count)
    other.burner.close()
    assert read_state(copy).medium.recording is None


@pytest.mark.parametrize("kind", ["cd-r-80", "cd-rw-80"])
@pytest.mark.parametrize("seed", range(8))
def test_chaos(tmp_path: Path, kind: str, seed: int) -> None:
    path = tmp_path / "disc.img"
    create(path, kind)
    hand = Hand(open_burner(path)).ready()
    chaos = Chaos(hand, seed)
    for number in range(60):
        chaos.step()
        if number % 6 == seed % 6:  # it takes longer than the step
            check(path, hand)
