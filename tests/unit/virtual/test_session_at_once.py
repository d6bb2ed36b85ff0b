"""Session at once: a cue sheet, the pre-gap, exactly the data, a closed session."""

from __future__ import annotations

from typing import Any

import pytest

from media.burning import cue_sheet
from media.mmc import commands as c
from media.mmc import pages as p
from media.mmc.address import to_msf
from media.mmc.cue_sheet import CueSheetEntry

from .hand import BLOCK, Hand, formatted, pattern, refusal

LIST, SEQUENCE = (5, 0x26, 0), (5, 0x2C, 0)

Entry = tuple[int, int, int, int]  # track, index, data form, block


def at_once(hand: Hand, **changes: Any) -> Hand:
    fields = {"write_type": 2, "multi_session": 3, "track_mode": 4, "data_block_type": 8}
    hand.select(p.WriteParameters.build(fields | changes))
    return hand


@pytest.fixture(params=["cd-r-80", "cd-rw-80"])
def hand(request: pytest.FixtureRequest) -> Hand:
    hand = Hand(kind=request.param)
    hand.swallow()
    return at_once(hand)


def sheet(*entries: Entry, control: int = 4, **fields: int) -> bytes:
    data = b""
    for track, index, form, block in entries:
        minute, second, frame = to_msf(block)
        data += CueSheetEntry.build(
            {
                "control": control,
                "track_number": track,
                "index": index,
                "data_form": form,
                "minute": minute,
                "second": second,
                "frame": frame,
            }
            | fields
        )
    return data


def cue(hand: Hand, data: bytes) -> None:
    hand.send(c.SendCueSheet, data, cue_sheet_size=len(data))


def put(hand: Hand, block: int, count: int) -> None:
    """Blocks anywhere, those before block 0 included."""
    data = bytes(count * BLOCK) if block < 0 else pattern(block, count)
    hand.send(c.Write10, data, logical_block_address=block % (1 << 32), transfer_length=count)


def write_session(hand: Hand, start: int, count: int) -> None:
    put(hand, start - 150, 150)
    for block in range(start, start + count, 50):
        put(hand, block, 50)


GOOD = ((0, 0, 0x14, -150), (1, 0, 0x10, -150), (1, 1, 0x10, 0), (0xAA, 1, 0x14, 500))


def test_a_session_in_one_go(hand: Hand) -> None:
    assert sheet(*GOOD) == cue_sheet(1, 0, 500)
    cue(hand, sheet(*GOOD))
    assert hand.track().next_writable_address == -150
    write_session(hand, 0, 500)
    assert hand.disc().disc_status == 1
    hand.sync()
    track = hand.track(1)
    assert (track.logical_track_start_address, track.logical_track_size) == (0, 500)
    assert (track.track_mode, track.packet, track.data_mode) == (4, 0, 1)
    assert hand.disc().number_of_sessions_lsb == 2
    assert hand.last_block() == 499  # no run-out behind it
    assert hand.read(0, 500) == pattern(0, 500)
    assert hand.toc(0)[12:20] == bytes.fromhex("0014aa00 000001f4")
    assert refusal(hand.close_session) == SEQUENCE
    hand.packets()
    assert hand.save(5) == 500 + 11_400


@pytest.mark.parametrize("final", [True, False])
def test_the_multi_session_field_decides(hand: Hand, final: bool) -> None:
    at_once(hand, multi_session=0 if final else 3)
    cue(hand, sheet(*GOOD))
    write_session(hand, 0, 500)
    hand.sync()
    assert hand.disc().disc_status == (2 if final else 1)
    if final:
        assert refusal(cue, hand, sheet(*GOOD)) == (7, 0x27, 0)


@pytest.mark.parametrize("like", ["wodim", "cdrdao"])
def test_a_second_session(hand: Hand, like: str) -> None:
    """wodim counts the times and tracks of a session from its own beginning, cdrdao from
    that of the disc."""
    cue(hand, sheet(*GOOD))
    write_session(hand, 0, 500)
    hand.sync()
    start = 500 + 11_400
    assert hand.track().next_writable_address == start - 150
    cue(hand, sheet(*GOOD) if like == "wodim" else cue_sheet(2, start, start + 500))
    write_session(hand, start, 500)
    hand.sync()
    assert hand.read(start, 500) == pattern(start, 500)
    assert hand.read(0, 500) == pattern(0, 500)
    assert (hand.track(2).session_number_lsb, hand.track(2).logical_track_size) == (2, 500)
    at_once(hand, write_type=1)
    assert hand.next == start + 500 + 6_900


def test_behind_a_session_in_packets(hand: Hand) -> None:
    hand.packets()
    hand.save(10)
    at_once(hand)
    assert refusal(cue, hand, cue_sheet(1, 0, 500)) == (5, 0x64, 0)
    hand.close_track()
    assert refusal(cue, hand, cue_sheet(2, 162, 600)) == SEQUENCE  # not the first track
    hand.close_session()
    start = 12 + 11_400
    cue(hand, cue_sheet(2, start, start + 300))
    write_session(hand, start, 300)
    hand.sync()
    assert hand.read(start, 300) == pattern(start, 300)


def test_two_tracks(hand: Hand) -> None:
    cue(hand, sheet(*GOOD[:3], (2, 1, 0x10, 400), (0xAA, 1, 0x01, 900)))
    write_session(hand, 0, 900)
    hand.sync()
    assert [hand.track(n).logical_track_start_address for n in (1, 2, 3)] == [0, 400, 12_300]
    assert hand.read(0, 900) == pattern(0, 900)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        sheet(*GOOD)[:-1],
        sheet(*GOOD[1:]),  # no lead-in
        sheet(*GOOD[:-1]),  # no lead-out
        sheet(GOOD[0], *GOOD[2:]),  # no pre-gap
        sheet(GOOD[0], GOOD[1], GOOD[3]),  # no track
        sheet(*GOOD, GOOD[3]),
        sheet(*GOOD, control=0),  # audio
        sheet(*GOOD, control=5),
        sheet(*GOOD, adr=2),
        sheet(*GOOD, alternate_copy=1),
        sheet(*GOOD[:3], (0xAA, 1, 0x14, 299)),  # too short
        sheet(*GOOD[:3], (0xAA, 1, 0x14, 359_850)),  # too long
        sheet(*GOOD[:3], (0xAA, 0, 0x14, 500)),
        sheet(*GOOD[:3], (0xAA, 1, 0x24, 500)),
        sheet((0, 1, 0x14, -150), *GOOD[1:]),
        sheet((0, 0, 0x14, -149), *GOOD[1:]),
        sheet(GOOD[0], (1, 0, 0x10, -149), *GOOD[2:]),
        sheet(*GOOD[:2], (1, 1, 0x10, 1), GOOD[3]),
        sheet(*GOOD[:2], (1, 1, 0x11, 0), GOOD[3]),  # 2,352 bytes a block
        sheet(*GOOD[:2], (1, 2, 0x10, 0), GOOD[3]),
        sheet(GOOD[0], (2, 0, 0x10, -150), (2, 1, 0x10, 0), GOOD[3]),  # no track 1
        sheet(*GOOD[:3], (3, 1, 0x10, 400), (0xAA, 1, 0x14, 900)),
        sheet(*GOOD[:3], (2, 1, 0x10, 100), (0xAA, 1, 0x14, 900)),
        sheet(*GOOD[:3], second=60),
    ],
)
def test_wrong_cue_sheets(hand: Hand, wrong: bytes) -> None:
    assert refusal(cue, hand, wrong) == LIST
    assert refusal(put, hand, -150, 150) == SEQUENCE
    assert hand.disc().disc_status == 0


def test_a_list_that_is_cut_short(hand: Hand) -> None:
    assert refusal(hand.send, c.SendCueSheet, sheet(*GOOD)[:8], cue_sheet_size=32) == LIST


def test_a_cue_sheet_is_for_this_mode_only(hand: Hand) -> None:
    hand.packets()
    assert refusal(cue, hand, sheet(*GOOD)) == SEQUENCE
    at_once(hand, write_type=1)
    assert refusal(cue, hand, sheet(*GOOD)) == SEQUENCE
    at_once(hand)
    cue(hand, sheet(*GOOD))
    at_once(hand)  # and it is forgotten when page 05h is set anew
    assert refusal(put, hand, -150, 150) == SEQUENCE
    hand.packets()
    assert hand.save(3) == 0


def test_a_disc_in_fixed_packets() -> None:
    hand = at_once(formatted("cd-rw-80"))
    assert refusal(cue, hand, sheet(*GOOD)) == (5, 0x30, 5)


def test_exactly_what_the_cue_sheet_says(hand: Hand) -> None:
    cue(hand, sheet(*GOOD))
    assert refusal(put, hand, 0, 50) == (5, 0x21, 2)  # the pre-gap comes first
    put(hand, -150, 150)
    put(hand, 0, 490)
    assert refusal(hand.sync) == SEQUENCE
    assert refusal(hand.sync, immed=1) == SEQUENCE
    assert refusal(hand.read, 0) == SEQUENCE
    assert refusal(put, hand, 490, 11) == (5, 0x63, 1)
    put(hand, 490, 10)
    assert refusal(put, hand, 500, 1) == (5, 0x63, 0)
    hand.sync()
    assert hand.read(0, 500) == pattern(0, 500)


def test_a_test_records_nothing(hand: Hand) -> None:
    at_once(hand, test_write=1)
    before = hand.burner.medium.snapshot()
    began = hand.burner.seconds
    cue(hand, sheet(*GOOD))
    write_session(hand, 0, 500)
    hand.sync()
    assert hand.burner.medium.snapshot() == before
    assert hand.disc().disc_status == 0
    cue(hand, sheet(*GOOD))
    put(hand, -150, 100)
    hand.packets()  # broken off: nothing is lost
    assert hand.save(3) == 0
    assert hand.burner.seconds - began > (4_500 + 500 + 6_750) / (75 * 16)


def test_it_costs_what_it_costs(hand: Hand) -> None:
    """Lead-in, pre-gap, data, lead-out, and the entry in the table of tracks."""
    cue(hand, cue_sheet(1, 0, 15_000))
    began = hand.burner.seconds
    write_session(hand, 0, 15_000)
    hand.sync()
    blocks = 4_500 + 150 + 15_000 + 6_750
    took = hand.burner.seconds - began
    assert took == pytest.approx(blocks / (75 * hand.burner.clock.speed) + 1.5, abs=0.5)


# -- misfortune -----------------------------------------------------------------------


def break_off(hand: Hand, how: str) -> None:
    if how == "cut":
        hand.burner.power_cut()
    elif how == "reset":
        hand.burner.reset()
    elif how == "pulled out":
        hand.burner.remove()
        hand.burner.insert()
    elif how == "page 05h":
        hand.packets()
    else:
        hand.burner.faults.write_errors = {hand.burner.recorder.packets: "write"}
        assert refusal(put, hand, 400, 50) == (3, 0x0C, 0)
    for _ in range(2):
        hand.swallow()


@pytest.mark.parametrize("how", ["cut", "reset", "pulled out", "page 05h", "write error"])
def test_a_first_session_that_is_broken_off_spoils_the_disc(hand: Hand, how: str) -> None:
    hand.send(c.SendOpcInformation, do_opc=1)
    cue(hand, sheet(*GOOD))
    write_session(hand, 0, 400)
    break_off(hand, how)
    disc = hand.disc()
    assert (disc.disc_status, disc.state_of_last_session) == (2, 2)
    assert refusal(hand.read, 0) == (3, 0x31, 0)
    at_once(hand)
    assert refusal(cue, hand, sheet(*GOOD)) == (3, 0x31, 0)
    erasable = hand.burner.medium.kind.erasable
    assert hand.burner.medium.calibrations == (0 if erasable else 1)
    if erasable:
        hand.blank()
        cue(hand, sheet(*GOOD))
        write_session(hand, 0, 500)
        hand.sync()
        assert hand.read(0, 500) == pattern(0, 500)


@pytest.mark.parametrize("how", ["cut", "reset", "pulled out", "page 05h", "write error"])
def test_the_sessions_before_it_stay(hand: Hand, how: str) -> None:
    at_once(hand, write_type=1)
    hand.save(300)
    hand.close_session()
    at_once(hand)
    cue(hand, cue_sheet(2, 11_702, 11_702 + 500))
    write_session(hand, 11_702, 400)
    if how == "write error":
        hand.burner.faults.write_errors = {hand.burner.recorder.packets: "write"}
        assert refusal(put, hand, 12_102, 50) == (3, 0x0C, 0)
    else:
        break_off(hand, how)
    disc = hand.disc()
    assert (disc.disc_status, disc.state_of_last_session) == (2, 2)
    assert disc.number_of_sessions_lsb == 1
    assert hand.read(0, 300) == pattern(0, 300)
    assert refusal(hand.read, 11_702) == (5, 0x21, 0)
    at_once(hand, write_type=1)
    assert refusal(put, hand, 11_702, 50) == (7, 0x27, 0)


def test_a_complete_session_needs_nobody_any_more(hand: Hand) -> None:
    cue(hand, sheet(*GOOD))
    write_session(hand, 0, 500)
    hand.burner.reset()
    hand.swallow()
    assert hand.read(0, 500) == pattern(0, 500)
    assert hand.disc().number_of_sessions_lsb == 2
