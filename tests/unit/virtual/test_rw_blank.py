"""A CD-RW that is not formatted behaves as a CD-R; and BLANK makes it blank again."""

from __future__ import annotations

import pytest

from media.mmc import commands as c
from media.mmc import pages as p
from media.mmc import replies as r

from .hand import Hand, formatted, pattern, refusal


@pytest.fixture
def hand() -> Hand:
    return Hand(kind="cd-rw-80").ready()


def test_variable_packets_and_sessions_as_on_a_cd_r(hand: Hand) -> None:
    cd_r = Hand(kind="cd-r-80").ready()
    for each in (hand, cd_r):
        each.save(5)
        each.save(100)
        each.finish()
        each.save(20)
    places = [
        [(t.logical_track_start_address, t.next_writable_address, t.free_blocks, t.data_mode)]
        for each in (hand, cd_r)
        for t in (each.track(1), each.track())
    ]
    assert places[:2] == places[2:]
    assert hand.read(12, 100) == pattern(12, 100)
    assert refusal(hand.read, 5) == (5, 0x64, 0)
    assert hand.last_block() == cd_r.last_block()


@pytest.mark.parametrize("kind", [c.BLANK_DISC, c.BLANK_MINIMAL])
def test_blank_makes_it_blank_again(hand: Hand, kind: int) -> None:
    hand.save(50)
    hand.finish(final=True)
    assert refusal(hand.write, hand.last_block() + 1) == (7, 0x27, 0)
    hand.blank(kind)
    disc = hand.disc()
    assert (disc.disc_status, disc.state_of_last_session) == (r.DISC_BLANK, r.SESSION_EMPTY)
    assert refusal(hand.read, 0)[0] == 5
    assert hand.next == 0
    hand.save(7)
    assert hand.read(0, 7) == pattern(0, 7)


def test_a_formatted_disc_can_be_blanked(hand: Hand) -> None:
    hand = formatted()
    hand.write(0, 32)
    hand.blank()
    hand.packets()
    assert hand.next == 0
    hand.save(9)
    hand.format()
    assert not any(hand.read(0, 32))


def test_minimal_takes_a_minute_and_full_the_whole_disc(hand: Hand) -> None:
    began = hand.burner.seconds
    hand.blank(c.BLANK_MINIMAL)
    assert 50 < hand.burner.seconds - began < 70
    began = hand.burner.seconds
    hand.blank(c.BLANK_DISC)
    assert 450 < hand.burner.seconds - began < 550


def test_blanking_is_polled(hand: Hand) -> None:
    hand.save(5)
    hand.blank(c.BLANK_DISC, immed=1)
    assert hand.wait() == [(2, 4, 7)] * 3
    assert hand.next == 0


def test_blanking_that_is_broken_off_has_to_be_done_again(hand: Hand) -> None:
    hand.save(5)
    hand.blank(immed=1)
    hand.burner.power_cut()
    hand.ready()
    assert refusal(hand.read, 0) == refusal(hand.write, 0) == (3, 0x31, 0)
    assert hand.disc().erasable
    hand.blank()
    assert hand.next == 0
    hand.save(5)


def test_other_kinds_of_blanking_are_refused(hand: Hand) -> None:
    for kind in range(2, 7):
        assert refusal(hand.blank, kind) == (5, 0x24, 0)


def test_calibration_areas_are_not_used_up(hand: Hand) -> None:
    for _ in range(120):
        hand.send(c.SendOpcInformation, do_opc=1)


def test_capabilities_say_that_it_writes_cd_rw_at_10x(hand: Hand) -> None:
    page = hand.send(c.ModeSense10, page_code=0x2A, allocation_length=255)[8:]
    assert page[3] == 0x07
    assert p.Capabilities.parse(page).maximum_write_speed_supported == 1764
