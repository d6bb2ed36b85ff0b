"""Packets that wear out or fail, and how the drive tells of it."""

from __future__ import annotations

import pytest

from .hand import Hand, Refused, formatted, pattern, refusal

FAILED = (3, 0x0C, 0)
UNREADABLE = (3, 0x11, 5)


@pytest.fixture
def hand() -> Hand:
    return formatted()


def failed_at(hand: Hand) -> int | None:
    """The block that SYNCHRONIZE CACHE complains of."""
    try:
        hand.sync()
    except Refused as refused:
        assert refused.code == FAILED
        return refused.sense.information
    return None


def test_wear_counts_each_rewrite(hand: Hand) -> None:
    medium = hand.burner.medium
    assert len(medium.wear) == 9227 and medium.most_worn == 1  # the formatting
    for _ in range(3):
        hand.write(64, 64)
        hand.sync()
    hand.write(64, 32)
    hand.write(64, 32)  # once more, in the buffer: the disc is written once
    hand.sync()
    assert list(medium.wear[:5]) == [1, 1, 5, 4, 1]
    assert hand.burner.branch().medium.most_worn == 5
    hand.blank(0)
    assert hand.burner.medium.most_worn == 6


def test_a_packet_that_is_worn_out(hand: Hand) -> None:
    hand.burner.faults.wear_limit = 4
    for _ in range(3):
        hand.write(32, 32)
        assert failed_at(hand) is None
    hand.write(0, 96)
    assert failed_at(hand) == 32
    assert refusal(hand.read, 32) == UNREADABLE
    assert hand.read(0, 32) + hand.read(64, 32) == pattern(0, 32) + pattern(64, 32)
    hand.write(32, 32)
    assert failed_at(hand) == 32


def test_bad_packets_are_told_one_by_one_at_the_sync(hand: Hand) -> None:
    hand.burner.faults.bad_packets = {32, 96}
    hand.write(0, 128)
    assert [failed_at(hand), failed_at(hand), failed_at(hand)] == [32, 96, None]
    assert hand.read(64, 32) == pattern(64, 32)
    assert refusal(hand.read, 100) == UNREADABLE
    hand.burner.faults.bad_packets.clear()
    hand.write(32, 32)
    assert failed_at(hand) is None
    assert hand.read(32, 32) == pattern(32, 32)


def test_a_packet_that_is_written_again_is_not_complained_of_twice(hand: Hand) -> None:
    hand.burner.faults.bad_packets = {32, 96}
    hand.write(0, 128)
    assert failed_at(hand) == 32
    hand.burner.faults.bad_packets.clear()
    hand.write(96, 32)
    assert failed_at(hand) is None


def test_bad_packets_that_are_told_at_the_write(hand: Hand) -> None:
    hand.burner.faults.bad_packets = {64}
    hand.burner.faults.defects_told = "write"
    with pytest.raises(Refused) as caught:
        hand.write(0, 128)
    assert (caught.value.code, caught.value.sense.information) == (FAILED, 64)
    assert failed_at(hand) is None
    assert hand.read(0, 64) == pattern(0, 64)
    assert refusal(hand.read, 64) == UNREADABLE
    assert not any(hand.read(96, 32))  # never taken


@pytest.mark.parametrize("told", ["write", "sync"])
def test_an_error_once(hand: Hand, told: str) -> None:
    hand.burner.faults.write_errors = {2: told}  # type: ignore[dict-item]
    hand.write(0, 32)
    if told == "write":
        assert refusal(hand.write, 32, 32) == FAILED
    else:
        hand.write(32, 32)
        assert failed_at(hand) == 32
    assert refusal(hand.read, 32) == UNREADABLE
    hand.sync()
    hand.write(32, 32)
    assert failed_at(hand) is None
    assert hand.read(0, 64) == pattern(0, 64)


def test_a_drive_that_forgets_the_buffer_after_an_error(hand: Hand) -> None:
    hand.burner.faults.bad_packets = {32}
    hand.burner.faults.error_empties_buffer = True
    for block in (0, 32, 64):
        hand.write(block, 32)
    assert failed_at(hand) == 32
    assert hand.read(0, 32) == pattern(0, 32)
    assert not any(hand.read(64, 32))
    assert failed_at(hand) is None


def test_a_buffer_that_vanishes(hand: Hand) -> None:
    hand.write(0, 32)
    hand.sync()
    hand.burner.faults.lost_buffers = {2}
    hand.write(0, pattern(77, 32))
    assert failed_at(hand) is None
    assert hand.read(0, 32) == pattern(0, 32)


def test_a_share_of_all_packets_is_bad(hand: Hand) -> None:
    faults = hand.burner.faults
    faults.bad_share = 0.05
    bad = []
    for block in range(0, 64_000, 3200):
        hand.write(block, 3200)
        while (found := failed_at(hand)) is not None:
            bad.append(found // 32)
    assert 60 < len(bad) < 140
    other = formatted()
    other.burner.faults.bad_share = 0.05
    other.write(bad[0] * 32, 32)
    assert failed_at(other) == bad[0] * 32
    other.burner.faults.seed = 1
    other.write(bad[0] * 32, 32)
    other.write(bad[1] * 32, 32)
    other.write(bad[2] * 32, 32)
    assert failed_at(other) is None


def test_blocks_that_have_become_unreadable(hand: Hand) -> None:
    hand.write(0, 64)
    hand.sync()
    hand.burner.faults.unreadable = {40}
    with pytest.raises(Refused) as caught:
        hand.read(30, 20)
    assert (caught.value.code, caught.value.sense.information) == (UNREADABLE, 40)
    assert caught.value.data == pattern(30, 10)
