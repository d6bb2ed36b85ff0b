"""Variable packets: addresses, link blocks, what may be written and read where."""

from __future__ import annotations

import pytest

from media.mmc import commands as c
from media.mmc import pages as p

from .hand import BLOCK, Hand, Refused, pattern, refusal

OUT_OF_RANGE, NOT_WRITABLE, LINK = (5, 0x21, 0), (5, 0x21, 2), (5, 0x64, 0)


@pytest.fixture
def hand() -> Hand:
    return Hand().ready()


def test_a_packet_costs_seven_blocks(hand: Hand) -> None:
    assert hand.next == 0
    hand.write(0, 10)
    hand.write(10, 5)
    assert hand.next == 15  # open: it goes on there
    hand.sync()
    assert hand.next == 15 + 7
    hand.sync()
    assert hand.next == 15 + 7


def test_link_blocks_can_be_neither_read_nor_written(hand: Hand) -> None:
    hand.save(10)
    hand.save(3)
    assert hand.read(0, 10) == pattern(0, 10)
    assert hand.read(17, 3) == pattern(17, 3)
    for block in range(10, 17):
        assert refusal(hand.read, block) == LINK
        assert refusal(hand.write, block) == NOT_WRITABLE


def test_nothing_is_written_twice_or_ahead(hand: Hand) -> None:
    hand.save(10)
    for block in (0, 9, 10, 16, 18, 100, 359_848):
        assert refusal(hand.write, block) == NOT_WRITABLE
    assert refusal(hand.write, 359_849) == OUT_OF_RANGE
    assert refusal(hand.write, 0xFFFFFFFF) == OUT_OF_RANGE
    assert hand.next == 17


def test_a_refused_write_leaves_the_open_packet_alone(hand: Hand) -> None:
    hand.write(0, 4)
    for block in (0, 3, 5, 11):
        assert refusal(hand.write, block) == NOT_WRITABLE
    hand.write(4, 1)
    hand.sync()
    assert hand.read(0, 5) == pattern(0, 5)


def test_a_read_gives_what_comes_before_the_bad_block(hand: Hand) -> None:
    hand.save(10)
    hand.save(10)
    with pytest.raises(Refused) as caught:
        hand.read(8, 12)
    assert caught.value.code == LINK
    assert caught.value.sense.information == 10
    assert caught.value.data == pattern(8, 2)


def test_reading_beyond_the_end(hand: Hand) -> None:
    assert refusal(hand.read, 0) == OUT_OF_RANGE
    hand.save(10)
    assert refusal(hand.read, 17) == OUT_OF_RANGE
    assert refusal(hand.read, 359_849) == OUT_OF_RANGE
    assert hand.read(0, 0) == b""


def test_the_longer_commands_do_the_same(hand: Hand) -> None:
    hand.send(c.Write12, pattern(0, 2), logical_block_address=0, transfer_length=2)
    hand.sync()
    assert hand.send(c.Read12, logical_block_address=0, transfer_length=2) == pattern(0, 2)


@pytest.mark.parametrize("end", ["select", "close", "reset", "eject", "other length"])
def test_what_ends_a_packet(hand: Hand, end: str) -> None:
    hand.write(0, 5)
    if end == "select":
        hand.packets()
    elif end == "close":
        hand.close_track()
        assert hand.next == 5 + 2 + 150
        return
    elif end == "reset":
        hand.burner.reset()
        hand.ready()
    elif end == "eject":
        hand.send(c.StartStopUnit, load_eject=1)
        hand.send(c.StartStopUnit, load_eject=1, start=1)
        hand.swallow()
    else:
        hand.read(0)
    assert hand.next == 12
    assert hand.read(0, 5) == pattern(0, 5)


def test_reading_may_be_refused_while_a_packet_is_open(hand: Hand) -> None:
    hand.burner.faults.read_ends_packet = False
    hand.write(0, 5)
    assert refusal(hand.read, 0) == (5, 0x2C, 0)
    hand.write(5, 1)
    hand.sync()
    assert hand.read(0, 6) == pattern(0, 6)


def test_a_drive_that_is_not_set_for_packets_refuses(hand: Hand) -> None:
    fields = {"write_type": 1, "track_mode": 0, "data_block_type": 0}
    hand.select(p.WriteParameters.build(fields))  # audio
    assert refusal(hand.write, 0) == (5, 0x2C, 0)
    hand.burner.reset()
    hand.swallow()
    assert refusal(hand.write, 0) == (5, 0x2C, 0)  # nobody has said how


def test_a_track_has_one_data_mode(hand: Hand) -> None:
    hand.packets(data_block_type=10, session_format=0x20)
    hand.save(2)
    assert hand.track(1).data_mode == 2
    assert hand.disc().disc_type == 0x20
    hand.packets()
    assert refusal(hand.write, hand.next) == LINK


def test_the_end_of_the_disc(hand: Hand) -> None:
    free = hand.track().free_blocks
    assert free == 359_847
    piece = bytes(65_535 * BLOCK)
    for start in range(0, free - 65_535, 65_535):
        hand.write(start, piece)
    rest = free - start - 65_535
    assert hand.track().free_blocks == rest
    assert refusal(hand.write, free - rest, bytes((rest + 1) * BLOCK)) == (5, 0x63, 1)
    hand.write(free - rest, bytes(rest * BLOCK))
    hand.sync()
    assert hand.track().free_blocks == 0
    assert refusal(hand.write, hand.next) == (5, 0x63, 0)
    assert hand.last_block() == free - 1


def test_too_large_a_packet_begins_nothing(hand: Hand) -> None:
    hand.save(1)
    hand.burner.recorder.medium.tracks[-1].limit = 20
    assert refusal(hand.write, 8, 13) == (5, 0x63, 1)
    hand.write(8, 12)


def test_short_data_is_refused_and_excess_ignored(hand: Hand) -> None:
    fields = {"logical_block_address": 0, "transfer_length": 2}
    assert refusal(hand.send, c.Write10, bytes(BLOCK), **fields) == (5, 0x24, 0)
    hand.send(c.Write10, memoryview(pattern(0, 3)), **fields)
    hand.send(c.Write10, b"", logical_block_address=2, transfer_length=0)
    assert hand.next == 2


def test_buffer_capacity(hand: Hand) -> None:
    empty = bytes.fromhex("000a0000 00200000 00200000")
    assert hand.send(c.ReadBufferCapacity, allocation_length=12) == empty
    hand.write(0, 512)
    reply = hand.send(c.ReadBufferCapacity, allocation_length=12)
    assert int.from_bytes(reply[8:]) < 2 * 1024 * 1024
    hand.sync()
    assert hand.send(c.ReadBufferCapacity, allocation_length=12) == empty
    blocks = hand.send(c.ReadBufferCapacity, block=1, allocation_length=12)
    assert blocks == bytes.fromhex("000a0001 00000400 00000400")
