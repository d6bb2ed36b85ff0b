"""Mode pages: what is there, and how strict the drive is about page 05h."""

from __future__ import annotations

from typing import Any

import pytest

from media.mmc import commands as c
from media.mmc import pages as p

from .hand import Hand, refusal


@pytest.fixture
def hand() -> Hand:
    hand = Hand()
    hand.swallow()
    return hand


def sense(hand: Hand, page: int, length: int = 255, **fields: int) -> bytes:
    return hand.send(c.ModeSense10, page_code=page, allocation_length=length, **fields)


PACKETS = {"write_type": 0, "multi_session": 3, "track_mode": 5, "data_block_type": 8}


def test_write_parameters_at_power_on(hand: Hand) -> None:
    golden = bytes.fromhex("003a000000000000 053241050800000000000000000000960000")
    assert sense(hand, 5) == golden.ljust(8 + 52, b"\0")
    assert sense(hand, 5, 8) == golden[:8]


def test_both_lengths_agree(hand: Hand) -> None:
    for page in (0x01, 0x05, 0x2A, 0x3F):
        long = sense(hand, page)
        short = hand.send(c.ModeSense6, page_code=page, allocation_length=255)
        assert long[8:] == short[4:]
        assert int.from_bytes(long[:2]) == len(long) - 2
        assert short[0] == len(short) - 1


def test_capabilities_say_that_it_writes_cd_r(hand: Hand) -> None:
    page = sense(hand, 0x2A)[8:]
    assert page[0] == 0x2A and page[1] == len(page) - 2
    assert page[3] == 0x05  # writes CD-R, also to try; neither CD-RW nor DVD
    fields = p.Capabilities.parse(page)
    assert fields.buffer_size_supported == 2048
    assert fields.maximum_write_speed_supported == 2822


def test_speed_shows_in_capabilities(hand: Hand) -> None:
    hand.send(c.SetCdSpeed, logical_unit_write_speed=4 * 176)
    assert p.Capabilities.parse(sense(hand, 0x2A)[8:]).current_write_speed_selected == 706
    hand.send(c.SetCdSpeed)
    assert p.Capabilities.parse(sense(hand, 0x2A)[8:]).current_write_speed_selected == 2822


def test_page_controls(hand: Hand) -> None:
    hand.packets()
    assert sense(hand, 5)[10] == 0x00
    assert sense(hand, 5, page_control=2)[10] == 0x41
    assert sense(hand, 5, page_control=1)[8:] == b"\x05\x32" + b"\xff" * 50
    assert sense(hand, 0x2A, page_control=1)[10:].count(0) == len(sense(hand, 0x2A)) - 10
    assert refusal(sense, hand, 5, page_control=3) == (5, 0x39, 0)
    assert refusal(sense, hand, 0x0E) == (5, 0x24, 0)


@pytest.mark.parametrize(
    "good",
    [
        {},
        {"buffer_underrun_free": 1},
        {"link_size_valid": 1, "link_size": 7},
        {"multi_session": 0},
        {"data_block_type": 10, "session_format": 0x20},
        {"write_type": 1},
        # What wodim opens a session with, before it comes to packets
        {"write_type": 2, "track_mode": 0, "data_block_type": 0, "audio_pause_length": 150},
        {"write_type": 2, "track_mode": 4, "test_write": 1},
        {"audio_pause_length": 150},
    ],
)
def test_accepted_page_05h(hand: Hand, good: dict[str, Any]) -> None:
    hand.select(p.WriteParameters.build(PACKETS | good))
    assert sense(hand, 5)[8:] == p.WriteParameters.build(PACKETS | good)


@pytest.mark.parametrize(
    "bad",
    [
        {"parameters_savable": 1},
        {"reserved_0": 1},
        {"reserved_2": 1},
        {"reserved_4": 1},
        {"reserved_6": 1},
        {"reserved_7": 1},
        {"reserved_9": 1},
        {"initiator_application_code": 1},
        {"page_length": 49},
        {"page_length": 51},
        {"write_type": 3},
        {"write_type": 15},
        {"multi_session": 2},
        {"fixed_packet": 1, "packet_size": 32},
        {"packet_size": 32},
        {"track_mode": 4},
        {"track_mode": 0},
        {"test_write": 1},
        {"data_block_type": 0},
        {"data_block_type": 10},
        {"session_format": 0x20},
        {"link_size": 7},
        {"link_size_valid": 1},
        {"audio_pause_length": 1},
    ],
)
def test_refused_page_05h(hand: Hand, bad: dict[str, Any]) -> None:
    before = sense(hand, 5)
    page = p.WriteParameters.build(PACKETS | bad)
    assert refusal(hand.select, page) == (5, 0x26, 0)
    assert sense(hand, 5) == before


def test_refused_parameter_lists(hand: Hand) -> None:
    page = p.WriteParameters.build(PACKETS)

    def select(data: bytes, length: int | None = None, **fields: Any) -> bytes:
        size = len(data) if length is None else length
        return hand.send(c.ModeSelect10, data, parameter_list_length=size, **fields)

    header = p.ModeHeader10.build({})
    bad = [
        p.ModeHeader10.build({"mode_data_length": 58}) + page,
        p.ModeHeader10.build({"block_descriptor_length": 8}) + bytes(8) + page,
        header[:4],
        header + page[:-1],
        header + page + b"\x05",
        header + page + b"\x2a\x04" + bytes(4),
    ]
    for data in bad:
        assert refusal(select, data) == (5, 0x26, 0)
    assert refusal(select, header + page, 200) == (5, 0x26, 0)
    assert refusal(select, header + page, page_format=0) == (5, 0x24, 0)
    assert refusal(select, header + page, save_pages=1) == (5, 0x24, 0)
    assert sense(hand, 5)[10] == 0x41
    select(b"", 0)
    select(header + page + b"more than was said", len(header + page))
    assert sense(hand, 5)[8:] == page


def test_mode_select_6_and_several_pages(hand: Hand) -> None:
    recovery = p.ErrorRecovery.build({"read_retry_count": 3})
    page = p.WriteParameters.build(PACKETS)
    data = p.ModeHeader6.build({}) + recovery + page
    hand.send(c.ModeSelect6, data, parameter_list_length=len(data))
    assert sense(hand, 1)[8:] == recovery
    assert sense(hand, 5)[8:] == page


def test_reset_loses_the_pages(hand: Hand) -> None:
    hand.packets()
    hand.burner.reset()
    hand.swallow()
    assert sense(hand, 5)[10] == 0x41
    assert refusal(hand.write, 0) == (5, 0x2C, 0)
