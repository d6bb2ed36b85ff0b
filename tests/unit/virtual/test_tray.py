"""Discs that come and go: prevent, eject, load, events."""

from __future__ import annotations

import pytest

from media.mmc import commands as c
from media.virtual import memory_burner

from .hand import Hand, pattern, refusal


@pytest.fixture
def hand() -> Hand:
    return Hand().ready()


def event(hand: Hand, length: int = 8) -> bytes:
    return hand.send(
        c.GetEventStatusNotification,
        polled=1,
        notification_class_request=0x10,
        allocation_length=length,
    )


def eject(hand: Hand, **fields: int) -> None:
    hand.send(c.StartStopUnit, load_eject=1, **fields)


def load(hand: Hand, **fields: int) -> None:
    hand.send(c.StartStopUnit, load_eject=1, start=1, **fields)


def test_events_are_polled_and_of_the_media_class(hand: Hand) -> None:
    assert event(hand) == bytes.fromhex("0006 04 10 00 02 0000")
    none = hand.send(
        c.GetEventStatusNotification,
        polled=1,
        notification_class_request=0x02,
        allocation_length=8,
    )
    assert none == bytes.fromhex("0002 80 10")
    assert refusal(hand.send, c.GetEventStatusNotification) == (5, 0x24, 0)


def test_eject_and_load(hand: Hand) -> None:
    hand.write(0, 5)
    eject(hand)
    assert event(hand, 4) == bytes.fromhex("0006 04 10")  # not told yet
    assert event(hand)[4:6] == bytes.fromhex("03 01")
    assert event(hand)[4:6] == bytes.fromhex("00 01")
    assert refusal(hand.send, c.TestUnitReady) == (2, 0x3A, 2)
    assert refusal(hand.read, 0) == (2, 0x3A, 2)
    assert refusal(hand.write, 12) == (2, 0x3A, 2)
    load(hand)
    assert event(hand)[4:6] == bytes.fromhex("02 02")
    assert refusal(hand.send, c.TestUnitReady) == (6, 0x28, 0)
    assert hand.read(0, 5) == pattern(0, 5)
    assert hand.next == 12


def test_a_locked_drive_asks_to_be_unlocked(hand: Hand) -> None:
    hand.send(c.PreventAllowMediumRemoval, prevent=1)
    assert refusal(eject, hand) == (5, 0x53, 2)
    hand.burner.press_eject()
    assert event(hand)[4:6] == bytes.fromhex("01 02")
    hand.send(c.TestUnitReady)
    hand.send(c.PreventAllowMediumRemoval)
    hand.burner.press_eject()
    assert event(hand)[4:6] == bytes.fromhex("03 01")
    hand.burner.press_eject()
    assert event(hand)[4:6] == bytes.fromhex("02 02")


def test_a_disc_pulled_out_by_force(hand: Hand) -> None:
    hand.save(5)
    hand.write(12, 5)
    hand.burner.remove()
    assert refusal(hand.sync) == (2, 0x3A, 2)
    load(hand)
    assert refusal(hand.sync) == (2, 0x3A, 1)
    hand.burner.insert()
    hand.ready()
    assert hand.read(0, 5) == pattern(0, 5)
    assert hand.track().damage == 1


def test_another_disc_is_put_in(hand: Hand) -> None:
    hand.save(5)
    hand.burner.remove()
    hand.burner.insert(memory_burner("cd-r-74").recorder)
    assert refusal(hand.write, 12) == (6, 0x28, 0)
    assert hand.disc().disc_status == 0
    assert hand.track().free_blocks == 336_073


def test_immediate_tray_operations_take_their_time(hand: Hand) -> None:
    hand.burner.faults.tray_polls = 2
    eject(hand, immed=1)
    assert [refusal(hand.send, c.TestUnitReady) for _ in range(3)] == [
        (2, 0x04, 7),
        (2, 0x04, 7),
        (2, 0x3A, 2),
    ]
    load(hand, immed=1)
    assert refusal(hand.send, c.TestUnitReady) == (6, 0x28, 0)
    assert refusal(hand.send, c.TestUnitReady) == (2, 0x04, 1)


def test_spinning_down_changes_nothing(hand: Hand) -> None:
    hand.send(c.StartStopUnit)
    hand.send(c.StartStopUnit, power_conditions=3)
    hand.send(c.TestUnitReady)
