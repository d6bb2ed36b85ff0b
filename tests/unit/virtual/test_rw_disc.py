"""Rewritable discs as two files: what survives closing, kills and crashes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from media.mmc import replies as r
from media.virtual import create, open_burner
from media.virtual.faults import FixedCut
from media.virtual.state import LONG_HISTORY, read_state, state_path

from .hand import BLOCK, Hand, formatted, pattern, refusal

UNREADABLE = (3, 0x11, 5)
SMALL = 9_600


@pytest.fixture
def path(tmp_path: Path) -> Path:
    create(tmp_path / "disc.img", "cd-rw-80")
    return tmp_path / "disc.img"


@pytest.fixture
def rainier(tmp_path: Path) -> Path:
    create(tmp_path / "mrw.img", "mrw")
    return tmp_path / "mrw.img"


def opened(path: Path, **options: bool) -> Hand:
    hand = Hand(open_burner(path, **options))
    hand.swallow()
    hand.fixed_packets()
    return hand


def new_disc(path: Path) -> Hand:
    """Formatted to a part of its size: its files are copied often."""
    hand = Hand(open_burner(path)).ready()
    hand.format(SMALL)
    hand.fixed_packets()
    return hand


def killed(path: Path) -> Path:
    """The files as a kill at this moment leaves them."""
    copy = path.with_name(f"killed-{path.name}")
    shutil.copy(path, copy)
    shutil.copy(state_path(path), state_path(copy))
    return copy


def test_the_image_has_the_right_size_at_once_and_is_sparse(path: Path) -> None:
    hand = formatted(burner=open_burner(path))
    assert path.stat().st_size == 295_264 * BLOCK
    assert path.stat().st_blocks * 512 < 1 << 20
    hand.write(3200, 320)
    hand.sync()
    with path.open("rb") as image:
        image.seek(3200 * BLOCK)
        assert image.read(320 * BLOCK) == pattern(3200, 320)
    hand.burner.close()


def test_a_disc_is_what_it_was_when_it_is_opened_again(path: Path) -> None:
    hand = new_disc(path)
    hand.write(0, 96)
    hand.sync()
    hand.burner.faults.bad_packets = {64}
    hand.write(32, 64)
    assert refusal(hand.sync) == (3, 0x0C, 0)
    hand.burner.close()
    for writable in (False, True):
        hand = opened(path, writable=writable)
        assert hand.last_block() == SMALL - 1 and hand.burner.clock.speed == 10
        assert hand.read(0, 64) == pattern(0, 64)
        assert refusal(hand.read, 64) == UNREADABLE
        assert list(hand.burner.medium.wear[:4]) == [2, 3, 3, 1]
        hand.burner.close()
    hand = opened(path)
    hand.write(64, 32)
    hand.burner.close()
    hand = opened(path)
    assert hand.read(64, 32) == pattern(64, 32)
    hand.burner.close()


def test_after_a_kill_all_that_the_drive_took_is_there(path: Path) -> None:
    hand = new_disc(path)
    hand.write(0, 32)
    hand.sync()
    hand.write(0, pattern(500, 32))
    hand.write(640, 64)
    other = opened(killed(path))
    assert other.read(0, 32) == pattern(500, 32)
    assert other.read(640, 64) == pattern(640, 64)
    assert not any(other.read(32, 608))
    hand.burner.close()
    other.burner.close()


def test_torn_packets_are_remembered(path: Path) -> None:
    hand = new_disc(path)
    hand.write(0, 64)
    hand.burner.faults.fixed_cut = FixedCut(frozenset({0}), 32, "mixed", 4, 2)
    hand.burner.power_cut()
    other = opened(killed(path))
    assert other.read(0, 36) == pattern(0, 36)
    assert refusal(other.read, 36) == refusal(other.read, 37) == UNREADABLE
    assert not any(other.read(38, 26))
    other.write(32, 32)
    again = opened(killed(path.with_name(f"killed-{path.name}")))
    assert again.read(32, 32) == pattern(32, 32)
    for each in (hand, other, again):
        each.burner.close()


def test_a_crash_at_any_byte_of_the_state_leaves_a_disc_that_opens(path: Path) -> None:
    hand = new_disc(path)
    for block in range(0, 320, 32):
        hand.write(block, 64)
        hand.sync()
    hand.burner.faults.fixed_cut = FixedCut(torn=0, how="unreadable")
    hand.write(0, 32)
    hand.burner.power_cut()
    hand.burner.close()
    whole = state_path(path).read_bytes()
    formatted_from = whole.index(b'"format",') + whole[whole.index(b'"format",') :].index(b"\n")
    for end in range(whole.index(b"\n") + 1, len(whole), 7):
        state_path(path).write_bytes(whole[:end])
        other = Hand(open_burner(path))
        other.swallow()
        area = other.burner.medium.area
        assert (area is not None) == (end > formatted_from)
        if area is not None:
            assert other.read(40, 24) == pattern(40, 24)
        other.burner.close()


def test_a_kill_while_it_is_being_formatted(path: Path) -> None:
    hand = Hand(open_burner(path)).ready()
    hand.save(40)
    hand.format(immed=1)
    other = Hand(open_burner(killed(path))).ready()
    assert other.disc().state_of_last_session == r.SESSION_DAMAGED
    other.blank()
    assert other.next == 0
    other.save(5)
    hand.wait()
    assert hand.last_block() == 295_263
    for each in (hand, other):
        each.burner.close()


def test_a_long_history_is_shortened_to_the_same(path: Path) -> None:
    hand = new_disc(path)
    hand.burner.faults.bad_packets = {3200}
    for turn in range(LONG_HISTORY):
        hand.write(turn % 50 * 32, 32)
        hand.burner.recorder.end_packet()
    hand.write(3200, 32)
    hand.burner.close()
    before = read_state(path)
    opened(path).burner.close()
    after = read_state(path)
    assert after.events < 5 < LONG_HISTORY < before.events
    assert state_path(path).stat().st_size < 2000
    assert after.medium.snapshot() == before.medium.snapshot()
    assert after.medium.wear == before.medium.wear and after.medium.most_worn == 41


def test_blanked_and_written_as_a_cd_r(path: Path) -> None:
    hand = new_disc(path)
    hand.write(0, 32)
    hand.blank()
    assert path.stat().st_size == 0
    hand.packets()
    hand.save(10)
    other = Hand(open_burner(killed(path))).ready()
    assert other.read(0, 10) == pattern(0, 10) and other.next == 17
    other.save(5)
    hand.burner.close()
    other.burner.close()


def test_mt_rainier_goes_on_where_it_was(rainier: Path) -> None:
    hand = formatted("mrw", open_burner(rainier))
    hand.disc()
    hand.burner.faults.bad_packets = {0}
    hand.write(7, 3)
    other = Hand(open_burner(killed(rainier)))
    other.swallow()
    assert other.disc().background_format_status == r.BACKGROUND_SUSPENDED
    other.format(kind=r.FORMAT_MRW, parameter=r.MRW_RESTART)
    looks = 0
    while other.disc().background_format_status == r.BACKGROUND_RUNNING:
        looks += 1
    assert looks == 10
    assert other.read(7, 3) == pattern(7, 3)
    other.burner.close()
    hand.sync()
    hand.burner.close()
    area = read_state(rainier).medium.area
    assert area is not None and area.spared == {0}


def test_an_image_that_was_cut_short(path: Path) -> None:
    hand = new_disc(path)
    hand.write(0, 64)
    hand.burner.close()
    with path.open("r+b") as image:
        image.truncate(40 * BLOCK)
    hand = opened(path)
    assert refusal(hand.read, 32, 32) == UNREADABLE
    assert hand.read(0, 40) == pattern(0, 40)
    hand.burner.close()
