"""Tracks and sessions: reserving, filling, closing, repairing, calibrating."""

from __future__ import annotations

import pytest

from media.mmc import commands as c

from .hand import Hand, pattern, refusal

INCOMPLETE, UNFILLED = (5, 0x72, 3), (5, 0x72, 4)


@pytest.fixture
def hand() -> Hand:
    return Hand().ready()


def reserve(hand: Hand, size: int) -> None:
    hand.send(c.ReserveTrack, reservation_size=size)


def test_a_session_closes_only_when_its_tracks_are(hand: Hand) -> None:
    assert refusal(hand.close_session) == (5, 0x2C, 0)
    assert refusal(hand.close_track) == (5, 0x2C, 0)
    hand.save(10)
    assert refusal(hand.close_session) == INCOMPLETE
    hand.close_track()
    hand.close_session()
    assert refusal(hand.close_session) == (5, 0x2C, 0)
    hand.send(c.CloseTrackSession, close_function=1, logical_track_number=1)
    for function in (0, 3, 5, 6):
        fields = {"close_function": function, "logical_track_number": 1}
        assert refusal(hand.send, c.CloseTrackSession, **fields) == (5, 0x24, 0)


def test_the_multi_session_field_decides(hand: Hand) -> None:
    hand.save(10)
    hand.finish(final=True)
    assert hand.disc().disc_status == 2
    assert refusal(hand.close_session) == (5, 0x2C, 0)


def test_a_disc_without_room_for_a_session_is_complete() -> None:
    hand = Hand().ready()
    hand.burner.recorder.medium.limit = 11_000
    hand.save(10)
    hand.finish()
    assert hand.disc().disc_status == 2


def test_a_reserved_track(hand: Hand) -> None:
    reserve(hand, 330)
    data = hand.save(20)
    assert data == 482
    hand.close_track()
    assert refusal(hand.close_session) == UNFILLED
    assert refusal(hand.close_track, 1) == UNFILLED
    hand.write(0, 17)
    hand.sync()
    assert hand.track(1).next_writable_address == 24
    assert refusal(hand.close_session) == UNFILLED
    assert refusal(hand.write, 24, 330 - 24 + 1) == (5, 0x63, 1)
    hand.write(24, 330 - 24)
    hand.sync()
    assert not hand.track(1).next_writable_address_valid
    hand.close_session()
    assert hand.read(24, 306) == pattern(24, 306)
    assert hand.read(482, 20) == pattern(482, 20)
    assert hand.toc(0)[4:12] == bytes.fromhex("00150100 00000000")
    assert hand.next == 482 + 20 + 2 + 11_400


def test_packets_of_two_tracks_do_not_mix(hand: Hand) -> None:
    reserve(hand, 330)
    hand.write(482, 5)
    hand.write(0, 3)  # ends the packet in the other track
    assert refusal(hand.write, 487) == (5, 0x21, 2)
    hand.write(494, 1)
    hand.sync()
    assert hand.track(1).next_writable_address == 10
    assert hand.read(482, 5) == pattern(482, 5)


def test_refused_reservations(hand: Hand) -> None:
    assert refusal(reserve, hand, 299) == (5, 0x24, 0)
    assert refusal(reserve, hand, 359_847) == (5, 0x63, 1)
    hand.save(1)
    assert refusal(reserve, hand, 300) == INCOMPLETE
    hand.close_track()
    for _ in range(97):
        reserve(hand, 300)
    assert hand.disc().last_track_number_in_last_session_lsb == 99
    assert refusal(reserve, hand, 300) == (5, 0x72, 5)


def test_several_tracks_in_a_session(hand: Hand) -> None:
    first = hand.save(10)
    hand.close_track()
    second = hand.save(10)
    assert (first, second) == (0, 10 + 2 + 150)
    hand.finish()
    assert [hand.toc(0)[4 + 8 * n + 2] for n in range(3)] == [1, 2, 0xAA]
    assert refusal(hand.read, 100) == (5, 0x64, 0)
    assert hand.read(second, 10) == pattern(second, 10)


def test_an_immediate_close_is_polled(hand: Hand) -> None:
    hand.save(10)
    hand.close_track()
    began = hand.burner.seconds
    hand.close_session(immed=1)
    progress = []
    for _ in range(3):
        reply = hand.send(c.RequestSense, allocation_length=18)
        assert (reply[2], reply[12], reply[13], reply[15]) == (2, 0x04, 0x08, 0x80)
        progress.append(int.from_bytes(reply[16:18]))
    assert progress == sorted(progress) and len(set(progress)) == 3
    assert hand.send(c.RequestSense, allocation_length=18)[2] == 0
    hand.send(c.TestUnitReady)
    assert hand.disc().number_of_sessions_lsb == 2
    assert hand.burner.seconds - began > 9  # a lead-out and a lead-in at 16x


def test_a_busy_drive_refuses_everything_else(hand: Hand) -> None:
    hand.save(10)
    hand.close_track(immed=1)
    hand.send(c.GetEventStatusNotification, polled=1, allocation_length=8)
    for _ in range(3):
        assert refusal(hand.read, 0) == (2, 0x04, 8)
    assert hand.read(0)


def test_an_immediate_sync_is_durable_only_when_it_is_over(hand: Hand) -> None:
    hand.write(0, 10)
    hand.sync(immed=1)
    assert refusal(hand.send, c.TestUnitReady) == (2, 0x04, 8)
    cut = hand.burner.branch()
    cut.faults.cut = "clean"
    cut.power_cut()
    assert Hand(cut).ready().next < 17
    for _ in range(2):
        refusal(hand.send, c.TestUnitReady)
    hand.send(c.TestUnitReady)
    assert hand.read(0, 10) == pattern(0, 10)


def test_calibration_areas_run_out(hand: Hand) -> None:
    answers = []
    for _ in range(101):
        try:
            hand.send(c.SendOpcInformation, do_opc=1)
            answers.append(None)
        except Exception as refused:
            answers.append(refused.code)  # type: ignore[attr-defined]
    assert answers[:89] == [None] * 89
    assert set(answers[89:100]) == {(1, 0x73, 1)}
    assert answers[100] == (3, 0x73, 2)
    assert refusal(hand.send, c.SendOpcInformation) == (5, 0x24, 0)
    hand.save(1)  # what was calibrated last is still good


def test_repair_of_a_sound_track_does_nothing(hand: Hand) -> None:
    hand.save(3)
    hand.send(c.RepairTrack, logical_track_number=1)
    assert hand.next == 10
