"""Track at once: one track in one go, without links."""

from __future__ import annotations

from typing import Any

import pytest

from media.mmc import commands as c
from media.mmc import features as f
from media.mmc import pages as p

from .hand import BLOCK, Hand, formatted, pattern, refusal

KINDS = ["cd-r-80", "cd-rw-80"]


def at_once(hand: Hand, **changes: Any) -> Hand:
    """Page 05h as wodim -tao sends it."""
    fields = {"write_type": 1, "multi_session": 3, "track_mode": 4, "data_block_type": 8}
    hand.select(p.WriteParameters.build(fields | changes))
    return hand


@pytest.fixture(params=KINDS)
def hand(request: pytest.FixtureRequest) -> Hand:
    hand = Hand(kind=request.param)
    hand.swallow()
    return at_once(hand)


def test_a_track_in_one_go(hand: Hand) -> None:
    assert hand.next == 0
    for block in range(0, 600, 20):
        hand.write(block, 20)
    track = hand.track()
    assert (track.next_writable_address, track.blank, track.packet) == (600, 0, 0)
    assert hand.disc().disc_status == 1
    hand.sync()
    track = hand.track(1)
    assert (track.logical_track_start_address, track.logical_track_size) == (0, 602)
    assert (track.track_mode, track.packet, track.data_mode, track.damage) == (4, 0, 1, 0)
    assert (track.last_recorded_address_valid, track.last_recorded_address) == (1, 599)
    assert hand.read(0, 600) == pattern(0, 600)
    assert refusal(hand.read, 600) == (5, 0x64, 0)
    hand.close_session()
    assert hand.toc(0)[4:12] == bytes.fromhex("00140100 00000000")
    assert hand.toc(0)[12:20] == bytes.fromhex("0014aa00 0000025a")
    assert {entry & 0xF for entry in hand.toc(2)[5::11]} == {4}
    assert hand.next == 602 + 11_400


def test_the_next_track_lies_behind_a_pre_gap(hand: Hand) -> None:
    hand.save(300)
    assert hand.save(400) == 302 + 150
    hand.close_session()
    assert [hand.toc(0)[4 + 8 * n + 2] for n in range(3)] == [1, 2, 0xAA]
    assert hand.read(452, 400) == pattern(452, 400)


def test_synchronizing_closes_the_track_and_so_does_closing_it(hand: Hand) -> None:
    hand.save(300)
    assert hand.track().logical_track_number_lsb == 2
    hand.close_track()  # of the invisible track: nothing is left to do
    hand.close_track(2)
    hand.close_track(1)
    assert hand.track().logical_track_number_lsb == 2
    hand.write(452, 300)
    hand.close_track()
    assert hand.track().logical_track_number_lsb == 3
    hand.close_session()
    assert refusal(hand.close_track) == (5, 0x2C, 0)


@pytest.mark.parametrize("final", [True, False])
def test_the_multi_session_field_decides(hand: Hand, final: bool) -> None:
    at_once(hand, multi_session=0 if final else 3)
    hand.write(0, 300)
    hand.close_session()
    assert hand.disc().disc_status == (2 if final else 1)
    if final:
        assert refusal(hand.write, 11_702) == (7, 0x27, 0)


def test_a_second_session(hand: Hand) -> None:
    hand.save(300)
    hand.close_session()
    start = hand.save(500)
    hand.close_session()
    assert start == 302 + 11_400
    assert hand.read(start, 500) == pattern(start, 500)
    assert hand.next == start + 502 + 6_900


def test_packets_before_and_behind(hand: Hand) -> None:
    hand.packets()
    hand.save(10)
    at_once(hand)
    assert refusal(hand.write, 17) == (5, 0x64, 0)  # the track has packets in it
    hand.close_track()
    start = hand.save(300)
    assert start == 12 + 150
    hand.packets()
    hand.save(5)
    assert hand.track(2).packet == 0 and hand.track(3).packet == 1
    hand.close_track()
    hand.close_session()
    assert hand.read(start, 300) == pattern(start, 300)


def test_only_the_next_block_is_taken(hand: Hand) -> None:
    assert refusal(hand.write, 1, 300) == (5, 0x21, 2)
    assert refusal(hand.write, 359_849) == (5, 0x21, 0)
    assert hand.disc().disc_status == 0
    hand.write(0, 10)
    assert refusal(hand.write, 11, 1) == (5, 0x21, 2)
    assert refusal(hand.read, 0) == (5, 0x2C, 0)
    hand.write(10, 300)
    hand.sync()
    assert hand.read(0, 310) == pattern(0, 310)


def test_the_end_of_the_disc() -> None:
    hand = at_once(Hand(kind="cd-r-74").ready())
    free = hand.track().free_blocks
    hand.burner.medium.tracks[-1].limit = 1_000
    assert free == 336_073 and hand.track().free_blocks == 1_000
    assert refusal(hand.write, 0, 1_001) == (5, 0x63, 1)
    assert hand.disc().disc_status == 0
    hand.write(0, 1_000)
    assert refusal(hand.write, 1_000) == (5, 0x63, 0)
    hand.sync()
    assert hand.track(1).logical_track_size == 1_002


def test_mode_2(hand: Hand) -> None:
    at_once(hand, data_block_type=10, session_format=0x20)
    hand.save(300)
    assert hand.track(1).data_mode == 2
    hand.close_session()
    assert hand.disc().disc_type == 0x20


def test_audio_is_not_recorded(hand: Hand) -> None:
    at_once(hand, track_mode=0, data_block_type=0)
    assert refusal(hand.write, 0, 300) == (5, 0x2C, 0)


@pytest.mark.parametrize("kind", ["cd-rw-80", "mrw"])
def test_a_disc_in_fixed_packets_takes_no_track(kind: str) -> None:
    hand = at_once(formatted(kind))
    if kind == "mrw":
        hand.write(0, 1)  # whatever page 05h says
        return
    assert refusal(hand.write, 0, 32) == (5, 0x30, 5)
    hand.blank()
    at_once(hand)
    assert hand.save(300) == 0


def test_a_test_records_nothing(hand: Hand) -> None:
    before = hand.burner.medium.snapshot()
    at_once(hand, test_write=1)
    for block in range(0, 600, 20):
        hand.write(block, 20)
    assert hand.next == 600
    assert refusal(hand.write, 601, 1) == (5, 0x21, 2)
    hand.sync()
    hand.close_track()
    hand.close_session()
    assert hand.burner.medium.snapshot() == before
    assert (hand.disc().disc_status, hand.next) == (0, 0)
    assert hand.burner.seconds > 600 / (75 * 16)
    at_once(hand)
    assert hand.save(300) == 0


def test_the_drive_says_that_it_can(hand: Hand) -> None:
    layouts = {f.CD_TRACK_AT_ONCE: f.CdTrackAtOnceData, f.CD_MASTERING: f.CdMasteringData}
    for code, layout in layouts.items():
        reply = hand.send(
            c.GetConfiguration,
            requested_type=2,
            starting_feature_number=code,
            allocation_length=64,
        )
        assert layout.parse(reply[12:]).test_write


def test_it_costs_what_it_costs(hand: Hand) -> None:
    """The data at the drive's speed, no links, and one entry in the table of tracks."""
    speed = hand.burner.clock.speed
    began = hand.burner.seconds
    for block in range(0, 15_000, 100):
        hand.write(block, bytes(100 * BLOCK))
    hand.sync()
    took = hand.burner.seconds - began
    assert took == pytest.approx(15_000 / (75 * speed) + 1.5, abs=0.5)


# -- misfortune -----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["cut", "reset", "pulled out"])
def test_a_torn_track_is_repaired_and_closed(hand: Hand, how: str) -> None:
    for block in range(0, 3_000, 50):
        hand.write(block, 50)
    if how == "cut":
        hand.burner.power_cut()
    elif how == "reset":
        hand.burner.reset()
    else:
        hand.burner.remove()
        hand.burner.insert()
    for _ in range(2):
        hand.swallow()
    track = hand.track()
    assert (track.damage, track.next_writable_address_valid, track.packet) == (1, 0, 0)
    at_once(hand)
    assert refusal(hand.close_track) == (5, 0x72, 3)
    hand.send(c.RepairTrack, logical_track_number=1)
    hand.close_track()
    hand.close_session()
    readable = hand.track(1).last_recorded_address + 1
    assert 3_000 - 1_024 <= readable <= 3_000
    assert hand.read(0, readable) == pattern(0, readable)
    assert hand.save(300) == readable + 2 + 11_400


@pytest.mark.parametrize("told", ["write", "sync"])
def test_a_write_error_tears_the_track(hand: Hand, told: Any) -> None:
    hand.burner.faults.write_errors = {1: told}
    if told == "write":
        assert refusal(hand.write, 0, 400) == (3, 0x0C, 0)
    else:
        hand.write(0, 400)
        assert refusal(hand.sync) == (3, 0x0C, 0)
    assert hand.track().damage
    hand.send(c.RepairTrack, logical_track_number=1)
    hand.close_track()
    hand.close_session()
    lost = hand.track(1).last_recorded_address
    assert hand.read(0, lost) == pattern(0, lost)
    assert refusal(hand.read, lost) == (3, 0x11, 5)


def test_a_cut_during_an_immediate_sync(hand: Hand) -> None:
    hand.write(0, 400)
    hand.sync(immed=1)
    other = hand.burner.branch()
    other.power_cut()
    other = Hand(other)
    other.swallow()
    assert other.track(1).damage or other.disc().disc_status == 0
    hand.wait()
    assert hand.track(1).logical_track_size == 402


def test_a_branch_goes_its_own_way(hand: Hand) -> None:
    hand.write(0, 300)
    other = Hand(hand.burner.branch())
    other.write(300, 100)
    other.sync()
    hand.write(300, 200)
    hand.sync()
    assert other.track(1).logical_track_size == 402
    assert hand.track(1).logical_track_size == 502
