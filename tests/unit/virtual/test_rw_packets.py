"""Writing and reading in fixed packets, and the drive's clock."""

from __future__ import annotations

import time

import pytest

from media.mmc import commands as c

from .hand import Hand, Refused, formatted, pattern, refusal


@pytest.fixture
def hand() -> Hand:
    return formatted()


def test_any_packet_can_be_written_again_and_again(hand: Hand) -> None:
    for block in (640, 0, 295_232, 640):
        hand.write(block, pattern(block + 7, 32))
        hand.sync()
        assert hand.read(block, 32) == pattern(block + 7, 32)
    assert not any(hand.read(32, 608))


def test_several_packets_in_one_write(hand: Hand) -> None:
    hand.write(320, 320)
    hand.sync()
    assert hand.read(300, 360) == bytes(20 * 2048) + pattern(320, 320) + bytes(20 * 2048)


@pytest.mark.parametrize(("block", "count"), [(1, 32), (0, 31), (0, 33), (16, 16), (16, 64)])
def test_less_than_whole_packets_is_refused(hand: Hand, block: int, count: int) -> None:
    assert refusal(hand.write, block, count) == (5, 0x21, 2)
    hand.sync()
    assert not any(hand.read(0, 96))


def test_the_end_of_the_disc(hand: Hand) -> None:
    assert refusal(hand.write, 295_264, 32) == (5, 0x21, 0)
    assert refusal(hand.write, 295_232, 64) == (5, 0x21, 0)
    assert refusal(hand.read, 295_263, 2) == (5, 0x21, 0)


def test_page_05h_has_to_be_set_for_it(hand: Hand) -> None:
    hand.packets()
    assert refusal(hand.write, 0, 32) == (5, 0x64, 0)
    hand.burner.reset()
    hand.swallow()
    assert refusal(hand.write, 0, 32) == (5, 0x2C, 0)
    hand.fixed_packets(data_block_type=10, session_format=0x20)
    hand.write(0, 32)
    for wrong in ({"packet_size": 16}, {"packet_size": 0}, {"write_type": 1}):
        assert refusal(hand.fixed_packets, **wrong) == (5, 0x26, 0)
    assert refusal(Hand().ready().fixed_packets) == (5, 0x26, 0)


def test_fixed_packets_need_a_formatted_disc() -> None:
    hand = Hand(kind="cd-rw-80").ready()
    hand.fixed_packets()
    assert refusal(hand.write, 0, 32) == (5, 0x64, 0)


def test_what_is_in_the_buffer_has_to_be_flushed_before_it_is_read(hand: Hand) -> None:
    hand.write(0, 64)
    hand.sync()
    hand.write(32, pattern(1000, 32))
    with pytest.raises(Refused) as caught:
        hand.read(20, 20)
    assert (caught.value.code, caught.value.sense.information) == ((5, 0x2C, 0), 32)
    assert hand.read(0, 32) == pattern(0, 32)
    hand.burner.faults.read_buffered = True
    assert hand.read(32, 32) == pattern(1000, 32)
    hand.burner.faults.read_buffered = False
    hand.sync()
    assert hand.read(32, 32) == pattern(1000, 32)


def test_the_buffer_holds_so_many_packets(hand: Hand) -> None:
    for block in range(0, 40 * 32, 32):
        hand.write(block, 32)
    recorder = hand.burner.recorder
    assert recorder.unsynced == list(range(8 * 32, 40 * 32, 32))  # type: ignore[attr-defined]
    assert hand.read(0, 256) == pattern(0, 256)
    hand.sync()
    assert recorder.unsynced == []  # type: ignore[attr-defined]


# -- the clock -------------------------------------------------------------------------


def seconds(hand: Hand, blocks: list[int], *, sync_each: bool = False) -> float:
    began = hand.burner.seconds
    for block in blocks:
        hand.write(block, 32)
        if sync_each:
            hand.sync()
    hand.sync()
    return hand.burner.seconds - began


def test_packets_in_a_row_stream(hand: Hand) -> None:
    hand.sync()
    row = seconds(hand, [32 * n for n in range(1000)])
    assert 52 <= row < 52.5  # 1,000 packets of 39 blocks at 750 a second


def test_packets_here_and_there_cost_a_seek_and_half_a_turn(hand: Hand) -> None:
    row = seconds(hand, [32 * n for n in range(100)])
    scattered = seconds(hand, [32 * (n * 89 % 9000) for n in range(100)])
    assert 0.03 < (scattered - row) / 100 < 0.2
    one_by_one = seconds(hand, [32 * n for n in range(100)], sync_each=True)
    assert row + 1 < one_by_one < scattered


def test_the_speed_counts(hand: Hand) -> None:
    fast = seconds(hand, [32 * n for n in range(100)])
    hand.send(c.SetCdSpeed, logical_unit_write_speed=2 * 176)
    assert seconds(hand, [32 * n for n in range(100)]) == pytest.approx(5 * fast, rel=0.1)


def test_link_blocks_are_hidden_but_take_time(hand: Hand) -> None:
    hand.read(0)
    began = hand.burner.seconds
    hand.read(1, 3200)
    assert hand.burner.seconds - began == pytest.approx(3900 / 3000, rel=0.02)


@pytest.mark.alone
def test_the_drive_itself_is_fast(hand: Hand) -> None:
    data = bytes(32 * 2048)
    cdbs = [
        c.Write10.build({"logical_block_address": 32 * n, "transfer_length": 32})
        for n in range(8000)
    ]
    for cdb in cdbs[:200]:
        hand.burner.execute(cdb, data)
    began = time.perf_counter()
    for cdb in cdbs:
        hand.burner.execute(cdb, data)
    assert time.perf_counter() - began < 2.0
