"""The drive's own calls on the virtual burner, and drives by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from media import errors, virtual
from media.discovery import list_drives, open_block_store, open_drive
from media.drive import BLOCK, Drive, DriveEvent
from media.store import ImageStore, SequentialStore
from media.transport.virtual import VirtualTransport
from media.virtual import Burner, memory_burner


@pytest.fixture
def burner() -> Burner:
    return memory_burner("cd-r-74")


@pytest.fixture
def drive(burner: Burner) -> Drive:
    return Drive(VirtualTransport(burner), name="disc.img", sleep=lambda seconds: None)


def record(drive: Drive, count: int) -> None:
    drive.set_up_writing()
    drive.write(drive.track().next_writable or 0, bytes(count * BLOCK))
    drive.synchronize()


def test_what_is_there(drive: Drive) -> None:
    assert drive.info.writes_cd_r and drive.info.link_sizes == (7,)
    assert drive.buffer_size == 2 << 20
    disc = drive.disc()
    assert (disc.kind, disc.status, disc.last_session_state) == ("CD-R", "blank", "empty")
    assert (disc.sessions, disc.first_track, disc.last_track) == (1, 1, 1)
    assert disc.last_possible_lead_out == 336_075
    assert not disc.erasable
    assert drive.toc() == []
    (track,) = drive.tracks()
    assert (track.number, track.start, track.next_writable, track.blank) == (1, 0, 0, True)


def test_table_of_contents(drive: Drive) -> None:
    record(drive, 300)
    assert drive.disc().last_session_state == "incomplete"
    drive.close_track(0xFF)
    drive.close_session()
    record(drive, 10)
    drive.close_track(0xFF)
    drive.close_session()
    found = [(entry.session, entry.point, entry.start) for entry in drive.toc()]
    assert sorted(found) == [(1, 1, 0), (1, 0xA2, 302), (2, 2, 11_702), (2, 0xA2, 11_714)]
    assert [track.session for track in drive.tracks()] == [1, 2, 3]


def test_speed(burner: Burner, drive: Drive) -> None:
    assert drive.info.maximum_write_speed == pytest.approx(16 * 176.4, abs=2)
    drive.set_speed(4 * 176)
    assert drive.blocks_per_second == pytest.approx(300, rel=0.01)
    burner.reset()
    record(drive, 1)
    assert drive.info.write_speed == pytest.approx(4 * 176, abs=2)
    drive.set_speed(None)
    assert drive.blocks_per_second == pytest.approx(1200, rel=0.01)


def test_calibration_areas_are_used_up(burner: Burner, drive: Drive) -> None:
    with pytest.raises(errors.CalibrationError):
        for _ in range(101):
            drive.calibrate()
    assert burner.recorder.medium.calibrations == 100


def test_lock_button_and_eject(burner: Burner, drive: Drive) -> None:
    burner.faults.tray_polls = 3
    drive.prevent_removal()
    burner.press_eject()
    assert drive.events() == [DriveEvent.EJECT_REQUEST]
    assert drive.events() == []
    drive.eject()
    assert drive.disc().status == "none"
    assert DriveEvent.MEDIA_REMOVAL in drive.events()
    drive.load()
    assert drive.disc().status == "blank"


def test_load_without_a_disc(burner: Burner, drive: Drive) -> None:
    burner.remove()
    with pytest.raises(errors.NoMediumError):
        drive.load()


def test_open_by_name(tmp_path: Path) -> None:
    path = tmp_path / "disc.img"
    virtual.create(path, "cd-r-80")
    store = open_block_store(str(path), speed=8)
    assert isinstance(store, SequentialStore)
    assert store.blocks_per_second == pytest.approx(600, rel=0.01)
    store.write(0, b"u" * BLOCK * 40)
    store.flush()
    with pytest.raises(errors.DriveBusyError):
        open_block_store(str(path))
    reader = open_block_store(str(path), writable=False)
    assert reader.read(39, 1) == b"u" * BLOCK
    reader.close()
    store.close()
    again = open_block_store(str(path))
    assert again.last_block == 39
    again.close()


def test_image_without_state(tmp_path: Path) -> None:
    path = tmp_path / "plain.iso"
    path.write_bytes(bytes(40 * BLOCK))
    store = open_block_store(str(path))
    assert isinstance(store, ImageStore)
    store.close()
    with pytest.raises(errors.NotADiscImageError):
        open_drive(str(path))


def test_names_that_are_no_drive(tmp_path: Path) -> None:
    for opener in (open_drive, open_block_store):
        with pytest.raises(errors.NoSuchDriveError):
            opener(str(tmp_path / "nothing.img"))
        for name in ("/dev/sr99", "D:"):
            with pytest.raises(errors.NoSuchDriveError, match=f"no such drive: {name}$"):
                opener(name)
        with pytest.raises(errors.NoSuchDriveError, match="/dev/null, which is no optical drive"):
            opener("/dev/null")
        with pytest.raises(errors.NotADiscImageError):
            opener(str(tmp_path))


def test_damaged_state(tmp_path: Path) -> None:
    path = tmp_path / "disc.img"
    virtual.create(path, "cd-r-80")
    (tmp_path / "disc.img.state").write_bytes(b"nonsense")
    with pytest.raises(errors.DamagedStateError):
        open_block_store(str(path))


def test_list(tmp_path: Path) -> None:
    path = tmp_path / "disc.img"
    virtual.create(path, "cd-r-80")
    good, missing = list_drives([str(path), str(tmp_path / "gone.img")])
    assert (good.name, good.kind, good.disc.status, good.problem) == (
        str(path),
        "virtual",
        "blank",
        "",
    )
    assert good.title
    assert "no such drive" in missing.problem
