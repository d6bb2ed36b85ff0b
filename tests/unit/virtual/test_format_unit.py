"""Formatting a CD-RW in fixed packets, and what the drive says of it then."""

from __future__ import annotations

import pytest

from media.mmc import commands as c
from media.mmc import features as f
from media.mmc import replies as r
from media.mmc.bits import parse
from media.virtual import KINDS, memory_burner

from .hand import Hand, formatted, pattern, refusal

#: READ TRACK INFORMATION of a real drive with a CD-RW in fixed packets (mmc.md)
GOLDEN = bytes.fromhex("002201010007b20000000000000000000000000000000020 00048160")


@pytest.fixture
def hand() -> Hand:
    return Hand(kind="cd-rw-80").ready()


def current_features(hand: Hand) -> set[int]:
    reply = hand.send(c.GetConfiguration, requested_type=1, allocation_length=1000)
    assert parse(f.FeatureHeader, reply).current_profile == f.CD_RW
    rest, codes = reply[8:], []
    while rest:
        header = parse(f.FeatureDescriptorHeader, rest)
        codes.append(header.feature_code)
        rest = rest[4 + header.additional_length :]
    assert codes == sorted(codes)
    return set(codes)


@pytest.mark.parametrize(("kind", "blocks"), [("cd-rw-80", 295_264), ("cd-rw-74", 276_160)])
def test_capacities_before_and_after(kind: str, blocks: int) -> None:
    hand = Hand(kind=kind).ready()
    first, offer = hand.capacities()
    assert (first.descriptor_type, first.number_of_blocks) == (1, blocks)
    assert (offer.format_type, offer.type_dependent_parameter) == (0x10, 32)
    assert offer.number_of_blocks == blocks == KINDS[kind].fixed_blocks
    hand.format()
    first = hand.capacities()[0]
    assert (first.descriptor_type, first.number_of_blocks) == (2, blocks)
    assert hand.last_block() == blocks - 1


def test_the_reply_as_bytes(hand: Hand) -> None:
    reply = hand.send(c.ReadFormatCapacities, allocation_length=252)
    assert reply.hex(" ", 4) == "00000010 00048160 01000800 00048160 40000020"
    assert hand.send(c.ReadFormatCapacities, allocation_length=12) == reply[:12]
    hand.burner.remove()
    assert hand.capacities()[0].descriptor_type == 3


def test_a_track_like_a_real_drive_s(hand: Hand) -> None:
    hand.format()
    for length in (28, 36):
        reply = hand.send(
            c.ReadTrackInformation,
            address_number_type=1,
            logical_block_address_track_session_number=1,
            allocation_length=length,
        )
        assert reply == GOLDEN.ljust(length, b"\0")


def test_the_disc_is_complete_and_erasable(hand: Hand) -> None:
    disc = hand.disc()
    assert (disc.disc_status, disc.erasable) == (r.DISC_BLANK, 1)
    hand.format()
    disc = hand.disc()
    assert (disc.disc_status, disc.state_of_last_session) == (r.DISC_COMPLETE, r.SESSION_COMPLETE)
    assert (disc.erasable, disc.number_of_sessions_lsb, disc.background_format_status) == (1, 1, 0)
    toc = r.Toc.parse(hand.toc(0))
    assert [(e.track_number, e.track_start_address) for e in toc.entries] == [
        (1, 0),
        (0xAA, 295_264),
    ]
    assert parse(r.Atip, hand.toc(4)).disc_type == 1


def test_features(hand: Hand) -> None:
    blank = current_features(hand)
    assert {0x10, 0x1D, 0x1E, 0x21, 0x23, 0x26, 0x2D, 0x2E} <= blank and 0x28 not in blank
    hand.format()
    made = current_features(hand)
    assert {0x20, 0x23, 0x26} <= made and not {0x21, 0x28} & made


def test_everything_reads_as_zeros_after_formatting(hand: Hand) -> None:
    hand.save(100)
    hand.format()
    assert not any(hand.read(0, 320)) and not any(hand.read(295_232, 32))
    assert refusal(hand.read, 295_264) == (5, 0x21, 0)


def test_formatting_takes_the_whole_disc_and_is_polled(hand: Hand) -> None:
    began = hand.burner.seconds
    hand.format(immed=1)
    assert hand.wait() == [(2, 4, 4)] * 3
    # 359,853 blocks of the groove at 750 a second, and lead-in and lead-out
    assert 450 < hand.burner.seconds - began < 550
    assert hand.last_block() == 295_263


@pytest.mark.parametrize(
    "text",
    [
        "0002 0008 00000000 00000000",  # the form with 12 bytes
        "0000 0008 00000000 00000000 00000000",  # what cdrwtool sends: 16 bytes
        "0000 0008 80000000 00048160",
    ],
)
def test_the_old_form(hand: Hand, text: str) -> None:
    hand.send(c.FormatUnit, bytes.fromhex(text), format_data=1, format_code=7)
    hand.wait()
    assert hand.last_block() == 295_263


def test_more_data_than_the_list_has_is_no_error(hand: Hand) -> None:
    data = bytes.fromhex("00a20008 00048160 40000020") + b"\xff" * 12
    hand.send(c.FormatUnit, data, format_data=1, format_code=1)
    hand.wait()
    assert hand.last_block() == 295_263


@pytest.mark.parametrize(
    "text",
    [
        "00000008 00048160 40000010",  # packets of 16
        "00000008 00048180 40000020",  # more than there is
        "00000008 00000001 40000020",  # not whole packets
        "00000008 00000000 40000020",
        "00000008 00048160 41000020",  # a subtype
        "00000008 ffffffff 90000000",  # Mt. Rainier, which this drive does not know
        "0000000c 00048160 40000020",
        "00200008 00048160 40000020",  # options that are not declared valid
        "00900008 00048160 40000020",  # stop format
        "00000008 00048160",
    ],
)
def test_bad_parameter_lists(hand: Hand, text: str) -> None:
    hand.save(3)
    sent = {"format_data": 1, "format_code": 1}
    assert refusal(hand.send, c.FormatUnit, bytes.fromhex(text), **sent) == (5, 0x26, 0)
    assert hand.read(0, 3) == pattern(0, 3)


def test_a_cd_r_drive_knows_none_of_it() -> None:
    hand = Hand().ready()
    for call in (hand.blank, hand.format, hand.capacities):
        assert refusal(call) == (5, 0x20, 0)


def test_a_cd_r_in_a_cd_rw_drive(hand: Hand) -> None:
    hand.burner.insert(memory_burner("cd-r-80").recorder)
    hand.ready()
    assert refusal(hand.blank) == (5, 0x30, 6)
    assert refusal(hand.format, 295_264) == (5, 0x30, 6)
    assert len(hand.capacities()) == 1
    hand.save(10)


def test_formatting_again_and_smaller() -> None:
    hand = formatted()
    hand.write(0, 32)
    hand.sync()
    hand.format(3200)
    assert hand.last_block() == 3199
    assert not any(hand.read(0, 32))


def test_a_format_that_is_broken_off_leaves_nothing(hand: Hand) -> None:
    hand.save(32)
    hand.format(immed=1)
    hand.burner.power_cut()
    hand.ready()
    disc = hand.disc()
    assert (disc.disc_status, disc.state_of_last_session) == (r.DISC_COMPLETE, r.SESSION_DAMAGED)
    assert refusal(hand.read, 0) == refusal(hand.write, 0) == (3, 0x31, 0)
    assert hand.capacities()[0].descriptor_type == 1
    hand.format()
    assert not any(hand.read(0, 32))


def test_a_formatted_disc_has_no_tracks_to_make_or_close() -> None:
    hand = formatted()
    assert refusal(hand.send, c.ReserveTrack, reservation_size=400) == (5, 0x2C, 0)
    assert refusal(hand.close_session) == (5, 0x2C, 0)
    assert not hand.track(1).next_writable_address_valid
