"""The drive against a script: remedies, probing and what it sends."""

from __future__ import annotations

from typing import Any

import pytest

from media import errors
from media.drive import BLOCK, Drive, DriveEvent
from media.mmc import commands, features, pages, replies, sense

from .fakes import FakeTransport


def make(**queued: Any) -> tuple[Drive, FakeTransport, list[float]]:
    transport, slept = FakeTransport(), []
    drive = Drive(transport, name="fake", sleep=slept.append)
    transport.forget()
    return drive, transport, slept


def test_probe_swallows_the_first_attentions() -> None:
    transport = FakeTransport()
    transport.queue(0x00, (6, 0x28, 0), (6, 0x29, 0))
    drive = Drive(transport, name="fake", sleep=lambda _: None)
    assert transport.count(0x00) == 3
    assert drive.info.title == "FAKE DRIVE"
    assert drive.info.writes_cd_r
    assert drive.info.buffer_size == 2 << 20
    assert drive.blocks_per_second == pytest.approx(1200, rel=0.01)


def test_drive_from_before_features_is_probed_by_its_pages() -> None:
    transport = FakeTransport()
    transport.defaults[0x46] = (5, 0x20, 0)
    drive = Drive(transport, name="fake", sleep=lambda _: None)
    assert drive.info.writes_cd_r
    assert drive.info.features == frozenset()


def test_features_of_odd_length_and_cut_off() -> None:
    transport = FakeTransport()
    streaming = features.IncrementalStreamingWritableData.build({"number_of_link_sizes": 1})
    parts = [
        features.FeatureHeader.build({"current_profile": features.CD_R}),
        _feature(features.CORE, b"\1\2\3\4\5"),
        _feature(features.INCREMENTAL_STREAMING_WRITABLE, streaming + b"\7"),
        _feature(features.DRIVE_SERIAL_NUMBER, b"SN 12   "),
        _feature(features.MRW, b"1234")[:-1],
    ]
    transport.defaults[0x46] = b"".join(parts)
    info = Drive(transport, name="fake", sleep=lambda _: None).info
    assert info.link_sizes == (7,)
    assert info.serial == "SN 12"
    assert features.MRW not in info.features


def _feature(code: int, data: bytes) -> bytes:
    header = {"feature_code": code, "current": 1, "additional_length": len(data)}
    built: bytes = features.FeatureDescriptorHeader.build(header)
    return built + data


def test_not_ready_is_waited_for() -> None:
    drive, transport, slept = make()
    transport.queue(0x2A, (2, 4, 8), (2, 4, 8), (2, 4, 7))
    drive.write(0, bytes(BLOCK))
    assert transport.count(0x2A) == 4
    assert slept == [0.05, 0.05, 0.3]


def test_waiting_has_an_end() -> None:
    drive, transport, slept = make()
    transport.defaults[0x35] = (2, 4, 7)
    with pytest.raises(errors.DriveTimeoutError):
        drive.synchronize()
    assert 60 < sum(slept) < 601


def test_status_busy_is_not_ready() -> None:
    drive, transport, slept = make()
    answers = [(8, b"", b""), (0, b"", b"")]
    transport.execute = lambda *a, **k: answers.pop(0)  # type: ignore[method-assign]
    drive.synchronize()
    assert slept == [0.3]


def test_warning_is_no_error() -> None:
    transport, log = FakeTransport(), []
    drive = Drive(transport, name="fake", sleep=lambda _: None, log=log.append)
    transport.queue(0x54, (1, 0x73, 0x01))
    drive.calibrate()
    assert any("calibration area is almost full" in line for line in log)


def test_calibration_is_tried_twice() -> None:
    drive, transport, _ = make()
    transport.queue(0x2A, (3, 0x73, 0x03))
    drive.write(0, bytes(BLOCK))
    transport.queue(0x2A, (3, 0x73, 0x03), (3, 0x73, 0x03))
    with pytest.raises(errors.CalibrationError) as caught:
        drive.write(0, bytes(BLOCK))
    assert caught.value.sense == (3, 0x73, 0x03)


def test_reset_sets_lock_speed_and_page_again() -> None:
    drive, transport, _ = make()
    drive.prevent_removal()
    drive.set_speed(1764)
    drive.set_up_writing()
    transport.forget()
    transport.queue(0x28, (6, 0x29, 0))
    transport.defaults[0x28] = bytes(BLOCK)
    drive.read(0, 1)
    assert [code for code, _, _ in transport.seen] == [0x28, 0x1E, 0xBB, 0x5A, 0x55, 0x28]
    assert drive.doubts == 1


def test_reset_is_told_to_who_writes() -> None:
    drive, transport, _ = make()
    drive.set_up_writing()
    transport.queue(0x2A, (0xB, 0, 0))
    with pytest.raises(errors.DriveResetError):
        drive.write(0, bytes(BLOCK))
    assert transport.count(0x2A) == 1
    assert transport.count(0x55) == 2


def test_medium_changed_is_never_overlooked() -> None:
    drive, transport, _ = make()
    transport.queue(0x28, (6, 0x28, 0))
    with pytest.raises(errors.MediumChangedError):
        drive.read(0, 1)


def test_deferred_error_of_a_write_does_not_spoil_a_read() -> None:
    drive, transport, _ = make()
    deferred = sense.FixedSense.build(
        {"response_code": 0x71, "sense_key": 3, "additional_sense_code": 0x0C}
    )
    answers = [(2, b"", deferred), (0, bytes(BLOCK), b"")]
    transport.execute = lambda *a, **k: answers.pop(0)  # type: ignore[method-assign]
    assert drive.read(5, 1) == bytes(BLOCK)
    assert drive.doubts == 1


def test_read_synchronizes_when_the_drive_wants_it() -> None:
    drive, transport, slept = make()
    transport.queue(0x28, (5, 0x2C, 0))
    transport.defaults[0x28] = bytes(BLOCK)
    drive.read(3, 1)
    assert [code for code, _, _ in transport.seen] == [0x28, 0x35, 0x28]
    assert slept == [0.1]


@pytest.mark.parametrize("code", [(5, 0x2C, 0), (5, 0x64, 0)])
def test_write_sends_the_page_again(code: tuple[int, int, int]) -> None:
    drive, transport, _ = make()
    drive.set_up_writing()
    transport.forget()
    transport.queue(0x2A, code)
    drive.write(3, bytes(BLOCK))
    assert [seen for seen, _, _ in transport.seen] == [0x2A, 0x5A, 0x55, 0x2A]


def test_large_transfers_are_cut_without_copies() -> None:
    transport = FakeTransport(max_transfer=3 * BLOCK)
    drive = Drive(transport, name="fake", sleep=lambda _: None)
    transport.forget()
    data = b"".join(bytes([n]) * BLOCK for n in range(8))
    drive.write(100, data)
    sent = [commands.Write10.parse(cdb) for _, cdb, _ in transport.seen]
    assert [(w.logical_block_address, w.transfer_length) for w in sent] == [
        (100, 3),
        (103, 3),
        (106, 2),
    ]
    assert b"".join(piece for _, _, piece in transport.seen) == data
    transport.defaults[0x28] = lambda cdb, _: bytes(
        commands.Read10.parse(cdb).transfer_length * BLOCK
    )
    assert len(drive.read(0, 8)) == 8 * BLOCK


def test_first_bad_block_is_found_by_halving() -> None:
    drive, transport, _ = make()

    def answer(cdb: bytes, _: bytes) -> Any:
        asked = commands.Read10.parse(cdb)
        first, count = asked.logical_block_address, asked.transfer_length
        return (3, 0x11, 5) if first <= 77 < first + count else bytes(count * BLOCK)

    transport.defaults[0x28] = answer
    with pytest.raises(errors.UnreadableBlockError) as caught:
        drive.read(64, 32)
    assert caught.value.block == 77
    assert caught.value.sense == (3, 0x11, 5)


def test_first_bad_block_is_taken_from_the_sense() -> None:
    drive, transport, _ = make()
    raw = sense.encode(5, 0x64, 0, information=70)
    transport.execute = lambda *a, **k: (2, b"", raw)  # type: ignore[method-assign]
    with pytest.raises(errors.LinkBlockError) as caught:
        drive.read(64, 32)
    assert caught.value.block == 70


def test_short_answer_is_the_drives_fault() -> None:
    drive, transport, _ = make()
    transport.defaults[0x28] = bytes(BLOCK - 1)
    with pytest.raises(errors.DriveFailedError):
        drive.read(0, 1)


def test_page_05_is_changed_where_it_must_be_and_kept_elsewhere() -> None:
    drive, transport, _ = make()
    raw = bytearray(
        pages.WriteParameters.build({"write_type": 1, "media_catalog_number": b"M" * 16})
    )
    raw[2] |= 0xC0
    raw[4] |= 0xF0
    raw = raw + b"VS"
    raw[1] += 2
    header = pages.ModeHeader10.build(
        {"mode_data_length": 14 + len(raw), "block_descriptor_length": 8}
    )
    transport.queue(0x5A, header + bytes(8) + bytes(raw))
    drive.set_up_writing()
    _, cdb, data = transport.seen[-1]
    page = data[8:]
    assert commands.ModeSelect10.parse(cdb).parameter_list_length == len(data) == 8 + 54
    assert data[:8] == bytes(8)
    assert page[:9].hex(" ") == "05 34 00 c5 08 00 00 00 00"
    assert page[16:32] == b"M" * 16
    assert page[52:] == b"VS"


def test_page_05_is_built_from_defaults_when_it_is_refused() -> None:
    drive, transport, _ = make()
    transport.queue(0x55, (5, 0x26, 0))
    drive.set_up_writing(multi_session=pages.FINAL)
    controls = [
        commands.ModeSense10.parse(c).page_control for code, c, _ in transport.seen if code == 0x5A
    ]
    assert controls == [pages.CURRENT_VALUES, pages.DEFAULT_VALUES]
    assert transport.seen[-1][2][8:][3] == 0x05


def test_drive_without_page_05_is_no_burner() -> None:
    drive, transport, _ = make()
    transport.defaults[0x5A] = (5, 0x24, 0)
    with pytest.raises(errors.RecordingRefused):
        drive.set_up_writing()


def test_long_operation_reports_progress() -> None:
    drive, transport, slept = make()
    busy = [sense.encode(2, 4, 7, part) for part in (0.25, 0.5)]
    answers = [(0, b"", b""), (2, b"", busy[0]), (2, b"", busy[1]), (0, b"", b"")]
    transport.execute = lambda *a, **k: answers.pop(0)  # type: ignore[method-assign]
    seen: list[float] = []
    drive.close_session(seen.append)
    assert seen == [0.25, 0.5]
    assert slept == [0.3, 0.3]


def test_long_operation_without_immed() -> None:
    drive, transport, _ = make()
    transport.queue(0x5B, (5, 0x24, 0))
    drive.close_track(255)
    assert [cdb[1] for code, cdb, _ in transport.seen if code == 0x5B] == [1, 0]


def test_failure_of_a_long_operation_is_told() -> None:
    drive, transport, _ = make()
    transport.queue(0x00, (2, 4, 7), (3, 0x0C, 0))
    with pytest.raises(errors.MediaError) as caught:
        drive.close_session()
    assert caught.value.sense == (3, 0x0C, 0)


def test_no_disc_is_a_state() -> None:
    drive, transport, _ = make()
    transport.queue(0x51, (2, 0x3A, 1))
    disc = drive.disc()
    assert (disc.status, disc.kind) == ("none", "no disc")
    assert drive.tracks(disc) == []


@pytest.mark.parametrize(("pressed", "kind"), [(0, "CD-R"), (1, "CD-RW")])
def test_the_groove_decides_what_a_disc_is(pressed: int, kind: str) -> None:
    drive, transport, _ = make()
    transport.defaults[0x46] = features.FeatureHeader.build({"current_profile": features.CD_RW})
    transport.defaults[0x51] = replies.DiscInformation.build({"erasable": 1})
    transport.defaults[0x43] = replies.Atip.build(
        {"disc_type": pressed, "lead_out_minute": 79, "lead_out_second": 59, "lead_out_frame": 74}
    )
    disc = drive.disc()
    assert (disc.kind, disc.erasable) == (kind, bool(pressed))
    assert disc.last_possible_lead_out == 359_849


def test_negative_next_writable_address_is_none() -> None:
    drive, transport, _ = make()
    transport.defaults[0x52] = replies.TrackInformation.build(
        {"next_writable_address_valid": 1, "next_writable_address": -150}
    )
    assert drive.track().next_writable is None


@pytest.mark.parametrize("event", list(DriveEvent))
def test_events(event: DriveEvent) -> None:
    drive, transport, _ = make()
    assert drive.events() == []
    header = replies.EventStatus.build(
        {"event_descriptor_length": 6, "notification_class": 4, "supported_event_classes": 16}
    )
    transport.queue(0x4A, header + replies.MediaEvent.build({"media_event_code": event.value}))
    assert drive.events() == [event]


def test_close_unlocks() -> None:
    drive, transport, _ = make()
    drive.prevent_removal()
    drive.close()
    assert transport.seen[-1][1] == bytes.fromhex("1E 00 00 00 00 00")
    assert transport.closed
