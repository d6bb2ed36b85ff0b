"""What the burner does wrong on request, and power cuts."""

from __future__ import annotations

from typing import Literal

import pytest

from media.mmc import commands as c

from .hand import Hand, Refused, pattern, refusal

WRITE_ERROR = (3, 0x0C, 0)


@pytest.fixture
def hand() -> Hand:
    return Hand().ready()


def test_a_write_error_gives_up_the_packet_s_addresses(hand: Hand) -> None:
    hand.save(5)
    hand.burner.faults.write_errors = {2: "write"}
    with pytest.raises(Refused) as caught:
        hand.write(12, 10)
    assert caught.value.code == WRITE_ERROR
    bad = caught.value.sense.information
    assert bad is not None and 12 <= bad < 22
    assert hand.next == bad + 1 + 7
    assert refusal(hand.read, bad) == (3, 0x11, 5)
    assert hand.read(0, 5) == pattern(0, 5)
    again = hand.save(10)
    assert hand.read(again, 10) == pattern(again, 10)


def test_a_write_error_that_is_told_at_the_sync(hand: Hand) -> None:
    hand.burner.faults.write_errors = {1: "sync"}
    hand.write(0, 10)
    with pytest.raises(Refused) as caught:
        hand.sync()
    assert caught.value.code == WRITE_ERROR
    bad = caught.value.sense.information
    assert bad is not None
    assert hand.next == bad + 8
    assert not bad or hand.read(0, bad) == pattern(0, bad)


def test_a_buffer_that_vanishes_without_a_word(hand: Hand) -> None:
    hand.save(5)
    hand.burner.faults.lost_buffers = {2}
    hand.write(12, 100)
    hand.sync()
    assert hand.next < 12 + 107
    assert refusal(hand.read, 12 + 99)[0] == 5
    assert hand.read(0, 5) == pattern(0, 5)


def test_the_drive_ends_a_packet_by_itself(hand: Hand) -> None:
    hand.burner.faults.early_ends = {1: 6}
    hand.write(0, 4)
    hand.write(4, 4)
    assert refusal(hand.write, 8) == (5, 0x21, 2)
    assert hand.next == 15
    hand.burner.faults.end_packets_after = 1
    hand.write(15)
    assert hand.next == 23
    assert hand.read(4, 4) == pattern(4, 4)


def test_a_stale_next_writable_address(hand: Hand) -> None:
    hand.save(5)
    hand.save(5)
    hand.burner.faults.stale_next_writable = 1
    assert hand.next == 12
    assert hand.next == 24


def test_worn_blocks(hand: Hand) -> None:
    hand.save(10)
    hand.burner.faults.unreadable = {4, 7}
    with pytest.raises(Refused) as caught:
        hand.read(2, 8)
    assert caught.value.code == (3, 0x11, 5)
    assert caught.value.sense.information == 4
    assert caught.value.data == pattern(2, 2)
    assert hand.read(5, 2) == pattern(5, 2)


def test_commands_that_fail(hand: Hand) -> None:
    faults = hand.burner.faults
    faults.fail((2, 4, 8), operation=0x2A, after=1, times=2)
    hand.write(0)
    assert refusal(hand.write, 1) == refusal(hand.write, 1) == (2, 4, 8)
    hand.write(1)
    faults.fail((0xB, 0, 0), operation=0x35, carried_out=True)
    assert refusal(hand.sync) == (0xB, 0, 0)
    assert hand.next == 9
    faults.fail((4, 0x3E, 0), times=None)
    for call in (hand.disc, hand.track, hand.sync):
        assert refusal(call) == (4, 0x3E, 0)


def test_hook_slowness_and_pace(hand: Hand) -> None:
    seen: list[int] = []
    slept: list[float] = []
    hand.burner.faults.hook = lambda cdb: seen.append(cdb[0])
    hand.burner.faults.pace = slept.append
    hand.burner.faults.slow = {0x2A: 2.5}
    hand.write(0)
    hand.send(c.TestUnitReady)
    assert seen == [0x2A, 0x00]
    assert slept[0] > 2.5 > 0.1 > slept[1]


# -- power cuts -----------------------------------------------------------------------


@pytest.mark.parametrize("repaired", ["writable", "closable"])
def test_after_a_cut_the_track_needs_repair(
    hand: Hand, repaired: Literal["writable", "closable"]
) -> None:
    hand.burner.faults.repaired = repaired
    hand.save(5)
    hand.write(12, 100)
    hand.burner.power_cut()
    assert refusal(hand.send, c.TestUnitReady) == (6, 0x29, 0)
    hand.packets()
    track = hand.track()
    assert (track.damage, track.next_writable_address_valid, track.free_blocks) == (1, 0, 0)
    assert refusal(hand.write, 12) == (5, 0x21, 2)
    assert refusal(hand.close_track) == (5, 0x72, 3)
    assert refusal(hand.close_session) == (5, 0x72, 3)
    hand.send(c.RepairTrack, logical_track_number=1)
    track = hand.track()
    assert (track.damage, track.next_writable_address_valid) == (0, repaired == "writable")
    hand.close_track(1)
    torn = hand.track(1).last_recorded_address + 1
    assert hand.next == torn + 2 + 150
    assert hand.read(0, 5) == pattern(0, 5)
    assert torn == 12 or hand.read(12, torn - 12) == pattern(12, torn - 12)
    block = hand.save(7)
    assert hand.read(block, 7) == pattern(block, 7)
    hand.finish()


def test_a_forgiving_drive_finds_the_end_by_itself(hand: Hand) -> None:
    hand.burner.faults.cut = "clean"
    hand.save(5)
    hand.write(12, 100)
    hand.burner.power_cut()
    assert refusal(hand.write, 12) == (6, 0x29, 0)
    assert refusal(hand.write, 12) == (5, 0x2C, 0)  # page 05h is lost
    hand.packets()
    found = hand.next
    torn = found - 7 if found > 12 else 12
    assert 12 <= torn <= 112
    assert torn == 12 or hand.read(12, torn - 12) == pattern(12, torn - 12)
    hand.save(3)


def test_a_cut_between_packets_loses_nothing(hand: Hand) -> None:
    hand.save(5)
    hand.burner.power_cut()
    hand.ready()
    assert hand.next == 12
    hand.save(5)


def test_what_the_laser_had_written_long_ago_stays(hand: Hand) -> None:
    for block in range(0, 5120, 512):
        hand.write(block, 512)
    hand.burner.power_cut()
    hand.ready()
    kept = 5120 - 1024  # at most the buffer is lost
    assert hand.read(0, kept) == pattern(0, kept)


def test_the_tear_depends_on_the_seed_alone() -> None:
    ends = set()
    for seed in range(8):
        first, second = (Hand().ready() for _ in range(2))
        found = []
        for hand in (first, second):
            hand.burner.faults.seed = seed
            hand.write(0, 500)
            hand.burner.power_cut()
            found.append(hand.burner.recorder.medium.end)
        assert found[0] == found[1]
        ends.add(found[0])
    assert len(ends) > 4


def test_a_cut_while_a_session_is_being_closed(hand: Hand) -> None:
    hand.save(5)
    hand.close_track()
    hand.close_session(immed=1)
    hand.burner.power_cut()
    hand.ready()
    assert hand.disc().number_of_sessions_lsb == 1
    hand.close_session()
    assert hand.disc().number_of_sessions_lsb == 2


def test_a_cut_in_a_reserved_track(hand: Hand) -> None:
    hand.burner.faults.repaired = "closable"
    hand.send(c.ReserveTrack, reservation_size=330)
    data = hand.save(5)
    hand.write(0, 300)
    hand.burner.power_cut()
    hand.ready()
    assert hand.track(1).damage == 1
    assert hand.read(data, 5) == pattern(data, 5)
    hand.send(c.RepairTrack, logical_track_number=1)
    hand.close_track(1)
    hand.finish()


def test_a_repaired_reserved_track_is_filled_up(hand: Hand) -> None:
    hand.send(c.ReserveTrack, reservation_size=330)
    data = hand.save(5)
    hand.write(0, 300)
    hand.burner.power_cut()
    hand.ready()
    hand.send(c.RepairTrack, logical_track_number=1)
    track = hand.track(1)
    assert (track.damage, track.next_writable_address_valid) == (0, 1)
    assert 7 <= track.next_writable_address <= 307
    assert track.free_blocks == 330 - track.next_writable_address
    assert refusal(hand.close_track, 1) == (5, 0x72, 4)
    hand.write(track.next_writable_address, track.free_blocks)
    hand.finish()
    assert hand.read(329) == pattern(329)
    assert hand.read(data, 5) == pattern(data, 5)


def test_a_full_reserved_track_that_the_drive_leaves_open(hand: Hand) -> None:
    hand.burner.faults.full_reservation_closes = False
    hand.send(c.ReserveTrack, reservation_size=330)
    hand.write(0, 330)
    hand.sync()
    assert hand.track(1).free_blocks == 0
    assert refusal(hand.close_session) == (5, 0x72, 3)
    hand.close_track(1)
    hand.close_session()


def test_what_drives_say_of_a_reservation(hand: Hand) -> None:
    faults = hand.burner.faults
    faults.reservation_gap, faults.reservation_remembered, faults.damage_told = 500, False, False
    hand.send(c.ReserveTrack, reservation_size=330)
    assert (hand.track(1).reserved_track, hand.next) == (1, 330 + 2 + 500)
    hand.write(0, 20)
    hand.burner.power_cut()
    hand.ready()
    track = hand.track(1)
    assert (track.reserved_track, track.damage, track.next_writable_address_valid) == (0, 0, 0)


def test_branches_share_nothing_that_changes(hand: Hand) -> None:
    hand.save(5)
    hand.write(12, 5)
    other = Hand(hand.burner.branch())
    other.burner.faults.unreadable.add(1)
    other.write(17, 3)
    other.sync()
    assert (hand.next, other.next) == (17, 27)
    hand.burner.power_cut()
    assert other.read(12, 8) == pattern(12, 8)
    assert hand.burner.faults.unreadable == set()
