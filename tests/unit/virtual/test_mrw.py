"""Mt. Rainier: formatted in the background, any block at any time, own defects."""

from __future__ import annotations

import pytest

from media.mmc import commands as c
from media.mmc import features as f
from media.mmc import pages as p
from media.mmc import replies as r
from media.mmc.bits import parse
from media.virtual.faults import FixedCut

from .hand import Hand, Refused, formatted, pattern, refusal
from .test_format_unit import current_features

BLOCKS = 276_800  # 63 segments of 136 packets and one of 82


@pytest.fixture
def hand() -> Hand:
    return formatted("mrw")


def state(hand: Hand) -> int:
    status: int = hand.disc().background_format_status
    return status


def mrw(hand: Hand, parameter: int = 0, immed: int = 0) -> None:
    hand.format(kind=r.FORMAT_MRW, parameter=parameter, immed=immed)


def test_what_the_drive_offers() -> None:
    hand = Hand(kind="mrw").ready()
    first, fixed, rainier = hand.capacities()
    assert first.descriptor_type == 1
    assert (fixed.format_type, fixed.number_of_blocks) == (0x10, 295_264)
    assert (rainier.format_type, rainier.number_of_blocks) == (0x24, BLOCKS)
    assert state(hand) == r.BACKGROUND_NONE
    feature = hand.send(
        c.GetConfiguration, requested_type=2, starting_feature_number=f.MRW, allocation_length=32
    )
    assert parse(f.MrwData, feature[12:]).write == 1
    hand.save(10)  # as on any CD-RW
    hand.format()
    hand.fixed_packets()
    assert refusal(hand.write, 1, 1) == (5, 0x21, 2)


def test_usable_within_a_minute_while_the_format_goes_on() -> None:
    hand = Hand(kind="mrw").ready()
    began = hand.burner.seconds
    mrw(hand, immed=1)
    assert hand.wait() == [(2, 4, 4)] * 3
    assert hand.burner.seconds - began < 100
    assert state(hand) == r.BACKGROUND_RUNNING
    assert hand.last_block() == BLOCKS - 1
    hand.write(BLOCKS - 5, 5)
    hand.sync()
    assert hand.read(BLOCKS - 5, 5) == pattern(BLOCKS - 5, 5)
    assert not any(hand.read(1000, 100))


def test_the_background_goes_on_while_the_drive_is_left_alone(hand: Hand) -> None:
    began = hand.burner.seconds
    seen = [state(hand) for _ in range(14)]
    assert seen == [2] * 11 + [3] * 3
    assert 400 < hand.burner.seconds - began < 550
    assert hand.capacities()[0].number_of_blocks == BLOCKS


def test_request_sense_tells_how_far_it_is(hand: Hand) -> None:
    seen = []
    while (sense := hand.send(c.RequestSense, allocation_length=18))[12] == 4:
        assert (sense[2], sense[13]) == (0, 4)
        seen.append(int.from_bytes(sense[16:18]))
    assert len(seen) == 11 and seen == sorted(seen)


def test_suspend_and_restart(hand: Hand) -> None:
    state(hand)
    for function in (c.CLOSE_SESSION, c.STOP_BACKGROUND_FORMAT):
        hand.write(0, 10)
        hand.send(c.CloseTrackSession, close_function=function)
        assert [state(hand) for _ in range(20)] == [1] * 20
        hand.sync()
        assert hand.read(0, 10) == pattern(0, 10)
        mrw(hand, r.MRW_RESTART)
        assert state(hand) == 2
    while state(hand) == 2:
        pass
    assert state(hand) == 3
    mrw(hand, r.MRW_RESTART)
    assert state(hand) == 3
    assert hand.read(0, 10) == pattern(0, 10)


def test_power_and_tray_suspend_it(hand: Hand) -> None:
    hand.burner.power_cut()
    hand.swallow()
    assert state(hand) == 1
    mrw(hand, r.MRW_RESTART)
    hand.send(c.StartStopUnit, load_eject=1)
    hand.send(c.StartStopUnit, load_eject=1, start=1)
    hand.swallow()
    assert state(hand) == 1


def test_restart_needs_a_format_to_go_on_with() -> None:
    hand = Hand(kind="mrw").ready()
    assert refusal(mrw, hand, r.MRW_RESTART) == (5, 0x2C, 0)
    assert refusal(mrw, hand, 4) == (5, 0x26, 0)
    assert refusal(hand.format, 4711, kind=r.FORMAT_MRW, parameter=0) == (5, 0x26, 0)


def test_any_block_can_be_written_without_page_05h(hand: Hand) -> None:
    hand.burner.reset()
    hand.swallow()
    hand.write(5, 1)
    hand.write(30, 100)
    hand.write(31, pattern(700, 1))
    assert hand.read(29, 4) == bytes(2048) + pattern(30) + pattern(700) + pattern(32)
    hand.sync()
    assert hand.read(5) == pattern(5) and hand.read(32, 98) == pattern(32, 98)
    assert refusal(hand.write, BLOCKS, 1) == (5, 0x21, 0)


def test_features_and_track(hand: Hand) -> None:
    assert {0x20, 0x23, 0x24, 0x28} <= current_features(hand)
    track = hand.track(1)
    assert (track.logical_track_size, track.fixed_packet_size) == (BLOCKS, 32)
    reply = hand.send(
        c.GetConfiguration, requested_type=2, starting_feature_number=0x20, allocation_length=32
    )
    data = parse(f.RandomWritableData, reply[12:])
    assert (data.last_logical_block_address, data.blocking) == (BLOCKS - 1, 1)


def test_the_mode_page(hand: Hand) -> None:
    page = hand.send(c.ModeSense10, page_code=p.MRW, allocation_length=255)[8:]
    assert page == bytes.fromhex("2c06000000000000")
    hand.select(p.MrwPage.build({"lba_space": p.DEFECT_MANAGED_AREA}))
    assert refusal(hand.select, p.MrwPage.build({"lba_space": 1})) == (5, 0x26, 0)
    plain = formatted()
    assert refusal(plain.send, c.ModeSense10, page_code=p.MRW, allocation_length=9) == (5, 0x24, 0)


def test_the_drive_spares_by_itself_until_it_has_no_more(hand: Hand) -> None:
    area = hand.burner.medium.area
    assert area is not None and area.spares_left == 512
    hand.burner.faults.bad_packets = set(range(0, 32 * 513, 32))
    hand.write(0, 32 * 512)
    hand.sync()
    assert hand.read(0, 320) == pattern(0, 320)
    assert area.spares_left == 0
    hand.write(0, 3)  # lies in a good place now
    hand.sync()
    hand.write(32 * 512, 32)
    with pytest.raises(Refused) as caught:
        hand.sync()
    assert (caught.value.code, caught.value.sense.information) == ((3, 0x0C, 0), 32 * 512)
    assert refusal(hand.read, 32 * 512) == (3, 0x11, 5)


def test_spared_packets_wear_out_too(hand: Hand) -> None:
    hand.burner.faults.wear_limit = 10
    for _ in range(25):
        hand.write(0, 32)
        hand.sync()
    area = hand.burner.medium.area
    assert area is not None and area.spared == {0}
    assert area.spares_left == 510


def test_it_tears_too(hand: Hand) -> None:
    hand.write(0, 64)
    hand.sync()
    hand.write(3, pattern(500, 4))
    hand.burner.faults.fixed_cut = FixedCut(torn=0, how="mixed", at=5, unreadable=4)
    hand.burner.power_cut()
    hand.swallow()
    assert hand.read(0, 5) == pattern(0, 3) + pattern(500, 2)
    assert refusal(hand.read, 5) == (3, 0x11, 5)
    assert hand.read(9, 50) == pattern(9, 50)
    # What is written can be read again, what is not stays lost.
    hand.write(4, pattern(600, 3))
    hand.sync()
    assert hand.read(4, 3) == pattern(600, 3)
    assert refusal(hand.read, 7) == (3, 0x11, 5)
    hand.write(0, 32)
    assert hand.read(0, 64) == pattern(0, 64)


def test_a_read_modify_write_takes_a_turn_more(hand: Hand) -> None:
    took = []
    for count in (32, 1):
        began = hand.burner.seconds
        for block in range(0, 3200, 32):
            hand.write(block, count)
        hand.sync()
        took.append(hand.burner.seconds - began)
    assert took[1] > 2 * took[0]
