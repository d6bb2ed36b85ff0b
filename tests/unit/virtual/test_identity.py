"""Who the drive is: golden bytes, truncation, features and attentions."""

from __future__ import annotations

import pytest

from media.mmc import commands as c
from media.mmc import features as f
from media.virtual import memory_burner

from .hand import Hand, refusal


@pytest.fixture
def hand() -> Hand:
    return Hand()


def configuration(hand: Hand, length: int = 4096, **fields: int) -> bytes:
    return hand.send(c.GetConfiguration, allocation_length=length, **fields)


def codes(reply: bytes) -> list[int]:
    body, found = reply[8:], []
    while body:
        found.append(int.from_bytes(body[:2]))
        body = body[4 + body[3] :]
    return found


def test_inquiry_is_that_of_a_cd_drive(hand: Hand) -> None:
    reply = hand.send(c.Inquiry, allocation_length=36)
    assert reply == bytes.fromhex("058005025b000000") + b"UDFFS   VIRTUAL BURNER  0.1 "
    assert len(hand.send(c.Inquiry, allocation_length=255)) == 96


def test_vital_product_data_has_the_serial_number() -> None:
    hand = Hand(memory_burner("cd-r-74", serial="S123"))
    assert hand.send(c.Inquiry, evpd=1, allocation_length=255) == bytes.fromhex("0500 0002 0080")
    page = hand.send(c.Inquiry, evpd=1, page_code=0x80, allocation_length=255)
    assert page == bytes.fromhex("05800004") + b"S123"
    assert refusal(hand.send, c.Inquiry, evpd=1, page_code=0x83) == (5, 0x24, 0)
    assert refusal(hand.send, c.Inquiry, page_code=0x80) == (5, 0x24, 0)


def test_power_on_is_told_once_and_not_to_everyone(hand: Hand) -> None:
    hand.send(c.Inquiry, allocation_length=36)
    configuration(hand)
    hand.send(c.GetEventStatusNotification, polled=1, allocation_length=8)
    assert refusal(hand.send, c.TestUnitReady) == (6, 0x29, 0)
    hand.send(c.TestUnitReady)


def test_request_sense_takes_the_attention(hand: Hand) -> None:
    reply = hand.send(c.RequestSense, allocation_length=18)
    assert (reply[0], reply[2], reply[12], reply[13]) == (0x70, 6, 0x29, 0)
    hand.send(c.TestUnitReady)
    assert hand.send(c.RequestSense, allocation_length=3) == bytes.fromhex("700000")


def test_all_features_of_a_cd_r(hand: Hand) -> None:
    reply = configuration(hand)
    assert int.from_bytes(reply[:4]) == len(reply) - 4
    assert reply[6:8] == bytes.fromhex("0009")
    expected = "0 1 2 3 10 1d 1e 21 2d 2e 100 105 107 108"
    assert codes(reply) == [int(code, 16) for code in expected.split()]


def test_one_feature_and_truncation(hand: Hand) -> None:
    # Incremental streaming: data block types, BUF, one link size: 7.
    fields = {"requested_type": f.ONE_FEATURE, "starting_feature_number": 0x21}
    golden = bytes.fromhex("00000010 0000 0009 0021 05 08 0500 01 01 07000000")
    assert configuration(hand, **fields) == golden
    for length in (0, 2, 8, 16):
        assert configuration(hand, length, **fields) == golden[:length]
    missing = configuration(hand, requested_type=f.ONE_FEATURE, starting_feature_number=0x23)
    assert missing == bytes.fromhex("00000004 0000 0009")


def test_starting_feature_and_current_ones_only(hand: Hand) -> None:
    assert codes(configuration(hand, starting_feature_number=0x100))[0] == 0x100
    hand.ready()
    hand.save()
    hand.finish(final=True)
    everything = codes(configuration(hand))
    current = codes(configuration(hand, requested_type=f.CURRENT_FEATURES))
    assert set(everything) - set(current) == {0x21, 0x2D, 0x2E}


def test_an_empty_drive_has_no_profile(hand: Hand) -> None:
    hand.burner.remove()
    reply = configuration(hand, requested_type=f.CURRENT_FEATURES)
    assert reply[6:8] == b"\0\0"
    assert f.RANDOM_READABLE not in codes(reply)


def test_unknown_and_malformed_commands(hand: Hand) -> None:
    hand.swallow()
    assert hand.burner.execute(bytes([0xEE]) + bytes(9))[2][12] == 0x20
    assert hand.burner.execute(bytes([0x51, 0, 0]))[2][12] == 0x24
    assert hand.burner.execute(bytes([0x28, 0, 0]))[2][12] == 0x24
