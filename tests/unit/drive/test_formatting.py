"""Formatting and erasing, against scripts and on the virtual burner."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from media import discovery, errors, formatting
from media.drive import Drive
from media.mmc import commands, pages, replies, sense
from media.rewritable import RewritableStore
from media.state import format_capacities
from media.store import SequentialStore, open_store
from media.transport.virtual import VirtualTransport
from media.virtual import Burner, create, memory_burner

from .discs import blocks
from .fake_rewritable import FakeRewritable, make

FORMAT, BLANK = 0x04, 0xA1


def drive_of(burner: Burner) -> Drive:
    return Drive(VirtualTransport(burner), name="disc.img", sleep=lambda _: None)


def operations(burner: Burner) -> list[int]:
    """The operation codes from now on."""
    seen: list[int] = []
    burner.faults.hook = lambda cdb: seen.append(cdb[0])
    return seen


# -- scripts -----------------------------------------------------------------------


def scripted() -> tuple[Drive, FakeRewritable]:
    transport = FakeRewritable()
    drive = Drive(transport, name="fake", sleep=lambda _: None)
    transport.forget()
    return drive, transport


def test_format_unit_as_it_is_sent() -> None:
    drive, transport = scripted()
    drive.format_unit(0x10, 295_264, 32)
    code, cdb, data = transport.seen[0]
    assert (code, cdb.hex(" ")) == (FORMAT, "04 11 00 00 00 00")
    assert data.hex(" ") == "00 82 00 08 00 04 81 60 40 00 00 20"
    drive.restart_background_format()
    sent = [data for code, _, data in transport.seen if code == FORMAT]
    assert sent[-1].hex(" ") == "00 82 00 08 ff ff ff ff 90 00 00 01"


def test_format_without_immed_and_with_progress() -> None:
    drive, transport = scripted()
    transport.queue(FORMAT, (5, 0x26, 0))
    transport.queue(0x00, lambda *_: (2, 4, 4))
    drive.format_unit(0x10, 320, 32)
    flags = [data[1] for code, _, data in transport.seen if code == FORMAT]
    assert flags == [0x82, 0x80]
    busy = sense.encode(2, 4, 4, 0.5)
    answers = [(0, b"", b""), (2, b"", busy), (0, b"", b"")]
    transport.execute = lambda *a, **k: answers.pop(0)  # type: ignore[method-assign]
    seen: list[float] = []
    drive.format_unit(0x10, 320, 32, progress=seen.append)
    assert seen == [0.5]


@pytest.mark.parametrize("code", [(3, 0x31, 1), (3, 0x0C, 0), (4, 0x44, 0)])
@pytest.mark.parametrize("at_once", [False, True])
def test_format_that_fails(code: tuple[int, int, int], at_once: bool) -> None:
    drive, transport = scripted()
    if at_once:
        transport.queue(FORMAT, code)
    else:
        transport.queue(0x00, (2, 4, 4), code)
    with pytest.raises(errors.FormatFailedError) as caught:
        drive.format_unit(0x10, 320, 32)
    assert caught.value.sense == code
    assert transport.count(FORMAT) == 1


def test_blank_that_fails() -> None:
    drive, transport = scripted()
    transport.queue(BLANK, (3, 0x51, 0))
    with pytest.raises(errors.FormatFailedError, match="could not be erased"):
        drive.blank(full=False)


def test_drive_that_wants_the_disc_blank_first() -> None:
    drive, transport = scripted()
    fixed, transport.defaults[0x52] = transport.defaults[0x52], b""

    def format_(_cdb: bytes, _data: bytes) -> object:
        if not transport.count(BLANK):
            return (5, 0x30, 6)
        transport.defaults[0x52] = fixed
        return b""

    transport.defaults[FORMAT] = format_
    formatting.format_medium(drive, "packet", full=False)
    assert [c for c, _, _ in transport.seen if c in (FORMAT, BLANK)] == [FORMAT, BLANK, FORMAT]


def test_format_that_leaves_nothing() -> None:
    drive, transport = scripted()
    transport.defaults[0x52] = b""
    with pytest.raises(errors.FormatFailedError):
        formatting.format_medium(drive, "packet", full=False)
    with pytest.raises(errors.FormatFailedError):
        formatting.erase_medium(drive, full=False)


def test_capacities_cut_off_or_missing() -> None:
    assert format_capacities(b"").current.kind == "none"
    whole = replies.CapacityList.build(
        {
            "header": {"capacity_list_length": 16},
            "descriptors": [
                {"number_of_blocks": 9, "descriptor_type": 1, "type_dependent_parameter": 2048},
                {"number_of_blocks": 8, "format_type": 0x10, "type_dependent_parameter": 32},
            ],
        }
    )
    found = format_capacities(whole)
    assert (found.current.kind, found.current.blocks) == ("unformatted", 9)
    assert found.find(0x10, 32) == found.formattable[0]
    assert found.find(0x10, 16) is None
    assert format_capacities(whole[:-1]).formattable == ()


def test_capacity_by_the_rule_where_the_drive_does_not_tell() -> None:
    drive, transport = scripted()
    transport.defaults[0x43] = replies.Atip.build(
        {"disc_type": 1, "lead_out_minute": 79, "lead_out_second": 59, "lead_out_frame": 74}
    )
    assert formatting.formatted_capacity(drive, "packet") == 295_264


def test_surface() -> None:
    store, transport = make(300)
    transport.bad = {64, 96, 5000 // 32 * 32, 299 * 32}
    transport.tell_at_sync = True
    transport.silent_losses = {1024}
    seen: list[float] = []
    assert formatting.check_surface(store, seen.append) == [64, 96, 1024, 4992, 299 * 32]
    assert seen[-1] == 1.0 and seen == sorted(seen)
    assert not store.verify and not store.gathered_packets
    assert transport.disc[:4] == b"\0\0\0\0" and transport.disc[2048:2052] == b"\0\0\0\1"


@pytest.mark.parametrize("code", [0x2C, 0x03])
def test_mount_rainier_disc_that_shows_its_other_area(code: int) -> None:
    transport = FakeRewritable(mrw=True)
    drive = Drive(transport, name="fake", sleep=lambda _: None)
    other = pages.MrwPage.build({"page_code": code, "lba_space": 1})

    def mode_sense(cdb: bytes, data: bytes) -> object:
        if commands.ModeSense10.parse(cdb).page_code == code:
            return pages.ModeHeader10.build({"mode_data_length": 14}) + other
        return transport._mode_sense(cdb, data)

    transport.defaults[0x5A] = mode_sense
    open_store(drive)
    sent = [data for code, _, data in transport.seen if code == 0x55]
    assert sent == [bytes(8) + bytes([code, 6]) + bytes(6)]


def test_disc_whose_track_cannot_be_asked_for() -> None:
    drive, transport = scripted()
    transport.defaults[0x52] = (5, 0x24, 0)
    assert not drive.disc().formatted


# -- the virtual burner ------------------------------------------------------------


def test_cd_rw_in_packets() -> None:
    burner = memory_burner("cd-rw-80")
    drive = drive_of(burner)
    assert formatting.modes(drive) == ("packet", "sequential")
    assert formatting.formatted_capacity(drive, "packet") == 295_264
    expected = formatting.expected_seconds(drive, "packet", full=False)
    begun, seen = burner.seconds, []
    formatting.format_medium(drive, "packet", full=False, progress=seen.append)
    assert burner.seconds - begun == pytest.approx(expected, rel=0.05)
    assert seen == sorted(seen) and seen
    disc = drive.disc()
    assert (disc.formatted, disc.mrw, disc.kind) == (True, False, "CD-RW")
    assert formatting.expected_seconds(drive, "packet", full=False) == 0
    codes = operations(burner)
    formatting.format_medium(drive, "packet", full=False)
    assert FORMAT not in codes
    formatting.format_medium(drive, "packet", full=True)
    assert FORMAT in codes
    store = open_store(drive)
    assert isinstance(store, RewritableStore)
    assert store.capacity == 295_264
    assert store.read(295_263, 1) == bytes(2048)


def test_mount_rainier() -> None:
    burner = memory_burner("mrw")
    drive = drive_of(burner)
    assert formatting.modes(drive) == ("packet", "sequential", "mrw")
    blocks_ = formatting.formatted_capacity(drive, "mrw")
    assert formatting.expected_seconds(drive, "mrw", full=True) == 40
    formatting.format_medium(drive, "mrw", full=False)
    disc = drive.disc()
    assert disc.formatted and disc.mrw and disc.background_format_running
    store = open_store(drive)
    assert isinstance(store, RewritableStore)
    assert store.spares_by_itself and store.capacity == blocks_
    store.write(100, blocks(40))
    store.flush()
    assert store.read(100, 40) == blocks(40)
    drive.stop_background_format()
    assert drive.disc().background_format_suspended
    again = open_store(drive)
    assert drive.disc().background_format_running
    assert again.read(100, 40) == blocks(40)
    drive.eject()
    drive.load()
    assert drive.disc().background_format_suspended
    formatting.format_medium(drive, "mrw", full=False)
    assert drive.disc().background_format_running
    formatting.format_medium(drive, "packet", full=False)
    assert drive.disc().formatted and not drive.disc().mrw


def test_cd_rw_like_a_cd_r() -> None:
    burner = memory_burner("cd-rw-74")
    drive = drive_of(burner)
    capacity = formatting.formatted_capacity(drive, "sequential")
    store = open_store(drive)
    assert isinstance(store, SequentialStore)
    assert store.capacity == capacity
    store.write(0, blocks(300))
    store.flush()
    store.close_session(final=True)
    assert not open_store(drive).appendable  # type: ignore[union-attr]
    assert formatting.formatted_capacity(drive, "sequential") == capacity
    begun = burner.seconds
    expected = formatting.expected_seconds(drive, "sequential", full=False)
    formatting.format_medium(drive, "sequential", full=False)
    assert burner.seconds - begun == pytest.approx(expected, rel=0.1)
    again = open_store(drive)
    assert isinstance(again, SequentialStore)
    assert again.blank and again.next_writable == 0
    again.write(0, blocks(30, seed=2))
    again.flush()
    assert again.read(0, 30) == blocks(30, seed=2)
    formatting.format_medium(drive, "packet", full=False)
    formatting.erase_medium(drive, full=True)
    assert drive.disc().status == "blank"
    codes = operations(burner)
    formatting.format_medium(drive, "sequential", full=False)
    assert BLANK not in codes


def test_what_cannot_be() -> None:
    cd_r, cd_rw = drive_of(memory_burner("cd-r-80")), drive_of(memory_burner("cd-rw-80"))
    for mode in formatting.MODES:
        with pytest.raises(errors.WriteOnceDiscError, match="A CD-R can be written only once"):
            formatting.format_medium(cd_r, mode, full=False)
    with pytest.raises(errors.WriteOnceDiscError):
        formatting.erase_medium(cd_r, full=False)
    with pytest.raises(errors.NoMountRainierError):
        formatting.format_medium(cd_rw, "mrw", full=False)
    with pytest.raises(errors.MediaBug):
        formatting.format_medium(cd_rw, "tape", full=False)
    assert formatting.modes(cd_r) == ()
    burner = memory_burner("cd-rw-80")
    drive = drive_of(burner)
    burner.remove()
    with pytest.raises(errors.MediaError):
        formatting.format_medium(drive, "packet", full=False)


def test_drive_that_only_reads_cd_rw() -> None:
    transport = FakeRewritable()
    transport.defaults[0x5A] = (5, 0x24, 0)
    drive = Drive(transport, name="fake", sleep=lambda _: None)
    assert formatting.modes(drive) == ()
    with pytest.raises(errors.RecordingRefused):
        formatting.erase_medium(drive, full=False)
    with pytest.raises(errors.RecordingRefused):
        open_store(drive)
    assert open_store(drive, writable=False).read(0, 1) == bytes(2048)


def test_drives_by_name(tmp_path: Path) -> None:
    path = str(tmp_path / "disc.img")
    create(Path(path), "cd-rw-74")
    with contextlib.closing(discovery.open_drive(path)) as drive:
        formatting.format_medium(drive, "packet", full=False)
    store = discovery.open_block_store(path)
    assert isinstance(store, RewritableStore)
    store.write(4, blocks(5))
    store.close()
    store = discovery.open_block_store(path, writable=False)
    assert store.read(4, 5) == blocks(5)
    store.close()
    (found,) = discovery.list_drives([path])
    assert (found.disc.kind, found.disc.formatted, found.problem) == ("CD-RW", True, "")
    with contextlib.closing(discovery.open_drive(path)) as drive:
        formatting.erase_medium(drive, full=False)
    store = discovery.open_block_store(path)
    assert isinstance(store, SequentialStore)
    store.close()


def test_power_cut_in_a_format() -> None:
    burner = memory_burner("cd-rw-80")
    drive = drive_of(burner)

    def cut(part: float) -> None:
        if part < 0.4:
            burner.power_cut()

    with pytest.raises(errors.FormatFailedError):
        formatting.format_medium(drive, "packet", full=False, progress=cut)
    formatting.format_medium(drive, "packet", full=False)
    assert drive.disc().formatted


def test_surface_of_a_virtual_disc() -> None:
    burner = memory_burner("cd-rw-74")
    drive = drive_of(burner)
    formatting.format_medium(drive, "packet", full=False)
    burner.faults.bad_packets = {320, 64_000}
    store = open_store(drive)
    assert isinstance(store, RewritableStore)
    assert formatting.check_surface(store) == [320, 64_000]
