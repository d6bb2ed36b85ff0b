"""Golden answers about the disc: information, contents, capacity."""

from __future__ import annotations

import pytest

from media.mmc import commands as c
from media.mmc import replies as r
from media.virtual import memory_burner

from .hand import Hand, refusal


@pytest.fixture
def hand() -> Hand:
    return Hand().ready()


def disc_bytes(hand: Hand, length: int = 34) -> bytes:
    return hand.send(c.ReadDiscInformation, allocation_length=length)


def track_bytes(hand: Hand, number: int, length: int = 36) -> bytes:
    return hand.send(
        c.ReadTrackInformation,
        address_number_type=1,
        logical_block_address_track_session_number=number,
        allocation_length=length,
    )


def linux_last_block(hand: Hand) -> int:
    """What Linux's cdrom_get_last_written makes of the track's answer."""
    track = hand.track(hand.disc().last_track_number_in_last_session_lsb)
    if track.blank:
        track = hand.track(track.logical_track_number_lsb - 1)
    if track.last_recorded_address_valid:
        return int(track.last_recorded_address)
    last = track.logical_track_start_address + track.logical_track_size
    return int(last - (track.free_blocks + 7 if track.free_blocks else 0))


def test_a_blank_disc(hand: Hand) -> None:
    assert disc_bytes(hand) == bytes.fromhex(
        "0020 00 01 01 01 01 20 ff 000000 00000000 00611a41 004f3b4a 0000000000000000 00 00"
    )
    assert disc_bytes(hand, 2) == b"\x00\x20"
    golden = bytes.fromhex(
        "0022 01 01 00 04 4f 01 00000000 00000000 00057da7 00000000 00057da7 00000000 00000000"
    )
    assert track_bytes(hand, 1) == track_bytes(hand, 0xFF) == golden
    assert track_bytes(hand, 1, 28) == golden[:28]
    assert track_bytes(hand, 1, 8) == golden[:8]
    assert hand.last_block() == 0
    for kind in (0, 1, 2):
        assert refusal(hand.toc, kind) == (5, 0x24, 0)
    assert hand.toc(3) == bytes.fromhex("00020000")


def test_an_open_session(hand: Hand) -> None:
    hand.save(257)
    assert disc_bytes(hand)[2:8] == bytes.fromhex("05 01 01 01 01 20")
    assert disc_bytes(hand)[8] == 0x00
    assert track_bytes(hand, 1) == bytes.fromhex(
        "0022 01 01 00 05 21 01 00000000 00000108 00057c9f 00000000 00057da7 00000000 00000000"
    )
    assert hand.last_block() == 256
    assert linux_last_block(hand) == 257  # the kernel then takes one off
    assert hand.toc(0) == bytes.fromhex("0012 01 01 00150100 00000000 0015aa00 00000101")
    assert hand.toc(1) == bytes.fromhex("000a 01 01 00150100 00000000")


def test_a_packet_in_the_buffer_counts(hand: Hand) -> None:
    hand.write(0, 3)
    assert hand.disc().disc_status == r.DISC_APPENDABLE
    assert not hand.track().blank
    assert hand.last_block() == 2


def test_a_closed_appendable_disc(hand: Hand) -> None:
    hand.save(257)
    hand.finish()
    start = 257 + 2 + 11_400
    assert disc_bytes(hand)[2:8] == bytes.fromhex("01 01 02 02 02 20")
    first, last = hand.track(1), hand.track()
    assert (first.logical_track_size, first.next_writable_address_valid) == (259, 0)
    assert (first.last_recorded_address_valid, first.last_recorded_address) == (1, 256)
    assert (last.logical_track_number_lsb, last.session_number_lsb) == (2, 2)
    assert last.blank and last.next_writable_address == start
    assert last.free_blocks == 359_847 - start
    assert hand.last_block() == 258
    assert linux_last_block(hand) == 256
    assert refusal(hand.read, 257) == refusal(hand.read, 258) == (5, 0x64, 0)
    assert hand.toc(2) == bytes.fromhex(
        "0044 01 01"
        "01 15 00 a0 000000 00 010000"
        "01 15 00 a1 000000 00 010000"
        "01 15 00 a2 000000 00 000522"  # lead-out at 0:05:34
        "01 15 00 01 000000 00 000200"
        "01 55 00 b0 022322 00 4f3b4a"  # 2:30:00 behind the lead-out
        "01 55 00 c0 000000 00 611a41"
    )
    assert hand.toc(0, msf=1) == bytes.fromhex("0012 01 01 00150100 00000200 0015aa00 00000522")
    assert hand.toc(0, track_session_number=0xAA) == bytes.fromhex("000a 01 01 0015aa00 00000103")
    assert refusal(hand.toc, 0, track_session_number=2) == (5, 0x24, 0)
    assert hand.toc(3)[4:] == bytes.fromhex("00 15 00 01 000522 00 000200")
    assert hand.toc(0, 4) == bytes.fromhex("0012 0101")


def test_formats_where_older_programs_put_them(hand: Hand) -> None:
    hand.save(10)
    hand.finish()
    old = hand.send(c.ReadTocPmaAtip, sff_format=1, allocation_length=12)
    assert old == hand.toc(1)


def test_a_second_session_and_the_end(hand: Hand) -> None:
    hand.save(10)
    hand.finish()
    second = hand.save(20)
    assert second == 10 + 2 + 11_400
    assert hand.disc().state_of_last_session == r.SESSION_INCOMPLETE
    assert hand.last_block() == second + 19
    assert hand.toc(1)[4:] == bytes.fromhex("00150100 00000000")  # the first is the last closed
    hand.finish(final=True)
    assert disc_bytes(hand)[2:8] == bytes.fromhex("0e 01 02 02 02 20")
    assert disc_bytes(hand)[16:24] == b"\xff" * 8
    assert hand.toc(1)[4:] == bytes.fromhex("00150200") + second.to_bytes(4)
    assert bytes.fromhex("02 55 00 b0 ffffff 00 4f3b4a") in hand.toc(2)
    assert refusal(hand.track, 0xFF) == (5, 0x24, 0)
    assert refusal(hand.write, second + 20 + 7) == (7, 0x27, 0)
    assert hand.read(second, 20)


def test_later_gaps_are_shorter(hand: Hand) -> None:
    for _ in range(2):
        hand.save(10)
        hand.finish()
    assert hand.next == 10 + 2 + 11_400 + 10 + 2 + 6_900
    assert hand.disc().last_session_lead_in_start_address == int.from_bytes(
        bytes([0, *divmod((hand.next - 4500) // 75, 60), (hand.next - 4500) % 75])
    )


def test_addressing_by_block_and_session(hand: Hand) -> None:
    hand.save(10)
    hand.finish()
    second = hand.save(10)
    assert hand.track(5, kind=0).logical_track_number_lsb == 1
    assert hand.track(second + 3, kind=0).logical_track_number_lsb == 2
    assert hand.track(2, kind=2).logical_track_number_lsb == 2
    assert refusal(hand.track, 3, kind=2) == (5, 0x24, 0)
    assert refusal(hand.track, 359_849, kind=0) == (5, 0x21, 0)
    assert refusal(hand.track, 3) == refusal(hand.track, 0) == (5, 0x24, 0)


@pytest.mark.parametrize(
    ("kind", "atip", "lead_out"),
    [
        ("cd-r-74", "4a2b00", 336_075),
        ("cd-r-80", "4f3b4a", 359_849),
        ("cd-r-90", "4f3b4a", 404_849),
    ],
)
def test_capacity_of_the_kinds(kind: str, atip: str, lead_out: int) -> None:
    hand = Hand(memory_burner(kind)).ready()
    reply = hand.toc(4)
    assert len(reply) == 28 and reply[12:15] == bytes.fromhex(atip)
    assert reply[4] & 0x80 and not reply[6] & 0x40  # a CD-R
    minute, second, frame = hand.disc().last_possible_lead_out_start_address.to_bytes(4)[1:]
    assert (minute * 60 + second) * 75 + frame - 150 == lead_out
    assert hand.track().free_blocks == lead_out - 2


def test_an_empty_reserved_track_is_the_first_of_its_session(hand: Hand) -> None:
    """Linux takes what format 1 says for the place where the session begins."""
    hand.send(c.ReserveTrack, reservation_size=330)
    assert refusal(hand.toc, 1) == (5, 0x24, 0)
    hand.save(20)
    assert hand.toc(1) == bytes.fromhex("000a 01 01 00150100 00000000")


def test_an_empty_reserved_track_as_drives_report_it(hand: Hand) -> None:
    hand.send(c.ReserveTrack, reservation_size=330)
    track = hand.track(1)
    assert (track.reserved_track, track.blank, track.packet) == (1, 1, 1)
    assert (track.free_blocks, track.next_writable_address) == (330, 0)
    hand.burner.faults.empty_reservation_is_packet = False
    assert hand.track(1).packet == 0
    assert hand.next == 330 + 2 + 150
    assert hand.disc().state_of_last_session == r.SESSION_INCOMPLETE
    assert hand.disc().last_track_number_in_last_session_lsb == 2
