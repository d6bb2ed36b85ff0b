"""The reserved first track of a session: kept free, filled at the close."""

from __future__ import annotations

from pathlib import Path

import pytest

from media import errors, virtual
from media.discovery import open_block_store
from media.mmc import features
from media.store import SequentialStore, SessionSpan
from media.virtual import Burner, memory_burner

from .discs import LINK, attach, blocks, put

SIZE = 330
DATA = 482


def stands(store: SequentialStore) -> tuple[int, int, bool, bool, bool]:
    """(next writable, free, damaged, complete, empty) of the first track."""
    first = store.first_track
    assert first is not None
    assert (first.number, first.start, first.blocks) == (1, 0, SIZE)
    return first.next_writable, first.free, first.damaged, first.complete, first.empty


def begin(burner: Burner, count: int) -> None:
    """A packet in the first track that does not fill it."""
    store = attach(burner)
    store.drive.write(0, blocks(count, seed=3))
    store.drive.synchronize()
    store.close()


def test_from_the_reservation_to_the_close(store: SequentialStore) -> None:
    assert store.first_track is None
    store.reserve_track(SIZE)
    assert stands(store) == (0, SIZE, False, False, True)
    assert (store.blank, store.session_open, store.session_start) == (True, False, 0)
    assert (store.next_writable, store.last_block, store.sessions) == (DATA, -1, ())
    assert store.next_writable + store.free_blocks == store.capacity
    put(store, blocks(20))
    assert (store.blank, store.session_open, store.session_start) == (False, True, 0)
    assert (store.next_writable, store.last_block) == (DATA + 20 + LINK, DATA + 19)
    assert stands(store) == (0, SIZE, False, False, True)
    free = store.free_blocks
    store.fill_first_track(blocks(SIZE, seed=2))
    assert stands(store) == (-1, 0, False, True, False)
    assert (store.next_writable, store.last_block) == (DATA + 20 + LINK, DATA + 19)
    assert (store.free_blocks, store.sessions) == (free, (SessionSpan(0, None),))
    store.close_session(final=False)
    assert store.sessions == (SessionSpan(0, DATA + 19),)
    assert store.first_track is None and not store.session_open
    assert store.read(0, SIZE) == blocks(SIZE, seed=2)
    assert store.read(DATA, 20) == blocks(20)
    assert store.next_writable == DATA + 20 + 2 + 11_400


def test_a_session_of_its_first_track_alone(burner: Burner, store: SequentialStore) -> None:
    store.reserve_track(SIZE)
    store.fill_first_track(blocks(SIZE))
    for each in (store, attach(burner)):
        assert (each.blank, each.session_open, each.last_block) == (False, True, SIZE - 1)
        assert (each.next_writable, each.sessions) == (DATA, (SessionSpan(0, None),))
    store.close_session(final=True)
    assert (store.last_block, store.sessions) == (SIZE - 1, (SessionSpan(0, SIZE - 1),))
    assert attach(burner).read(0, SIZE) == blocks(SIZE)


def test_reopened_at_every_stage(burner: Burner, store: SequentialStore) -> None:
    store.reserve_track(SIZE)
    again = attach(burner)
    assert stands(again) == (0, SIZE, False, False, True)
    assert (again.blank, again.session_open, again.session_start) == (True, False, 0)
    assert (again.next_writable, again.last_block, again.sessions) == (DATA, -1, ())
    put(again, blocks(20))
    again = attach(burner)
    assert stands(again) == (0, SIZE, False, False, True)
    assert (again.blank, again.session_open, again.session_start) == (False, True, 0)
    assert (again.next_writable, again.last_block) == (DATA + 20 + LINK, DATA + 19)
    begin(burner, 100)
    again = attach(burner)
    assert stands(again) == (107, SIZE - 107, False, False, False)
    assert (again.last_block, again.needs_repair) == (DATA + 19, False)
    again.fill_first_track(blocks(SIZE - 107, seed=2))
    again = attach(burner)
    assert stands(again) == (-1, 0, False, True, False)
    assert again.last_block == DATA + 19
    again.close_session(final=False)
    assert again.read(0, 100) == blocks(100, seed=3)
    assert again.read(107, SIZE - 107) == blocks(SIZE - 107, seed=2)
    again = attach(burner)
    assert (again.first_track, again.session_open) == (None, False)
    assert again.sessions == (SessionSpan(0, DATA + 19),)


def test_begun_and_nothing_behind_it(burner: Burner, store: SequentialStore) -> None:
    store.reserve_track(SIZE)
    begin(burner, 100)
    again = attach(burner)
    assert (again.last_block, again.blank, again.session_open) == (99, False, True)


def test_a_second_session_with_a_reservation_of_its_own(burner: Burner) -> None:
    store = attach(burner)
    put(store, blocks(40))
    store.close_session(final=False)
    start = store.next_writable
    store.reserve_track(SIZE)
    for each in (store, attach(burner)):
        assert each.first_track is not None
        assert (each.first_track.number, each.first_track.start) == (2, start)
        assert (each.blank, each.session_open, each.session_start) == (False, False, start)
        assert (each.last_block, each.next_writable) == (39, start + DATA)
        assert each.sessions == (SessionSpan(0, 39),)
    data = put(store, blocks(5, seed=4))
    assert store.sessions == (SessionSpan(0, 39), SessionSpan(start, None))
    assert attach(burner).sessions == store.sessions
    store.fill_first_track(blocks(SIZE, seed=2))
    store.close_session(final=True)
    again = attach(burner)
    assert again.sessions == (SessionSpan(0, 39), SessionSpan(start, data + 4))
    assert again.read(start, SIZE) == blocks(SIZE, seed=2)
    assert again.read(data, 5) == blocks(5, seed=4)
    assert again.read(0, 40) == blocks(40)


def test_a_session_behind_one_with_a_reservation(burner: Burner, store: SequentialStore) -> None:
    store.reserve_track(SIZE)
    put(store, blocks(20))
    store.close_session(final=False)
    store.reserve_track(SIZE)
    start = store.session_start
    assert start == DATA + 20 + 2 + 11_400 and store.next_writable == start + DATA
    assert store.last_block == DATA + 19


def test_closing_fills_what_is_left_with_zeros(burner: Burner, store: SequentialStore) -> None:
    store.reserve_track(SIZE)
    put(store, blocks(20))
    begin(burner, 30)
    again = attach(burner)
    again.close_session(final=False)
    assert again.read(0, 30) == blocks(30, seed=3)
    assert again.read(37, SIZE - 37) == bytes((SIZE - 37) * 2048)


def test_closing_fills_a_long_reservation_too(store: SequentialStore) -> None:
    store.reserve_track(3000)
    data = put(store, blocks(20))
    store.close_session(final=False)
    assert store.read(0, 100) == bytes(100 * 2048)
    assert store.read(data, 20) == blocks(20)


def test_a_reservation_alone_is_no_session_to_close(store: SequentialStore) -> None:
    store.reserve_track(SIZE)
    with pytest.raises(errors.MediaUsageError, match="no open session"):
        store.close_session(final=False)


@pytest.mark.parametrize("size", [361, 400, 1000])
def test_the_drive_says_where_data_begins(burner: Burner, size: int) -> None:
    store = attach(burner)
    store.reserve_track(size)
    assert store.next_writable == size + 2 + 150
    data = put(store, blocks(20))
    store.fill_first_track(blocks(size, seed=2))
    store.close_session(final=False)
    assert store.read(0, size) == blocks(size, seed=2)
    assert store.read(data, 20) == blocks(20)


def test_a_drive_that_begins_the_data_track_far_behind(burner: Burner) -> None:
    burner.faults.reservation_gap = 600
    store = attach(burner)
    store.reserve_track(SIZE)
    assert store.next_writable == attach(burner).next_writable == SIZE + 2 + 600


def test_only_before_anything_else(burner: Burner, store: SequentialStore) -> None:
    store.reserve_track(SIZE)
    with pytest.raises(errors.MediaUsageError, match="only before"):
        store.reserve_track(SIZE)
    other = attach(memory_burner("cd-r-80"))
    put(other, blocks(1))
    with pytest.raises(errors.MediaUsageError, match="only before"):
        other.reserve_track(SIZE)


def test_nothing_to_be_filled(store: SequentialStore) -> None:
    with pytest.raises(errors.MediaUsageError, match="no first track"):
        store.fill_first_track(blocks(SIZE))
    store.reserve_track(SIZE)
    with pytest.raises(errors.MediaBug):
        store.fill_first_track(blocks(SIZE - 1))
    with pytest.raises(errors.MediaBug):
        store.fill_first_track(b"x")
    store.fill_first_track(blocks(SIZE))
    with pytest.raises(errors.MediaUsageError, match="no first track"):
        store.fill_first_track(blocks(SIZE))


def test_not_within_a_packet(store: SequentialStore) -> None:
    store.reserve_track(SIZE)
    store.write(DATA, blocks(1))
    with pytest.raises(errors.MediaBug):
        store.fill_first_track(blocks(SIZE))
    store.flush()
    store.fill_first_track(blocks(SIZE))


@pytest.mark.parametrize(
    ("sense", "error"),
    [
        ((5, 0x20, 0), errors.CommandRefusedError),
        ((5, 0x24, 0), errors.CommandRefusedError),
        ((5, 0x72, 5), errors.CommandRefusedError),
        ((5, 0x63, 1), errors.MediumFullError),
        ((7, 0x27, 0), errors.ReadOnlyMediumError),
        ((3, 0x73, 3), errors.CalibrationError),
    ],
)
def test_a_drive_that_refuses_to_reserve(
    burner: Burner,
    store: SequentialStore,
    sense: tuple[int, int, int],
    error: type[errors.MediaError],
) -> None:
    burner.faults.fail(sense, operation=0x53, times=None)
    with pytest.raises(error):
        store.reserve_track(SIZE)
    assert (store.first_track, store.next_writable, store.blank) == (None, 0, True)
    put(store, blocks(3))
    store.close_session(final=False)


def test_more_than_there_is(store: SequentialStore) -> None:
    with pytest.raises(errors.MediumFullError):
        store.reserve_track(359_847)
    with pytest.raises(errors.CommandRefusedError):
        store.reserve_track(299)


def test_a_disc_opened_for_reading(burner: Burner) -> None:
    store = attach(burner, writable=False)
    with pytest.raises(errors.ReadOnlyMediumError):
        store.reserve_track(SIZE)
    attach(burner).reserve_track(SIZE)
    store = attach(burner, writable=False)
    assert stands(store) == (0, SIZE, False, False, True)
    with pytest.raises(errors.ReadOnlyMediumError):
        store.fill_first_track(blocks(SIZE))


@pytest.mark.parametrize("remembered", [False, True])
@pytest.mark.parametrize("closes", [False, True])
@pytest.mark.parametrize("packet", [False, True])
def test_whatever_the_drive_tells_of_its_tracks(
    burner: Burner, remembered: bool, closes: bool, packet: bool
) -> None:
    faults = burner.faults
    faults.reservation_remembered, faults.full_reservation_closes = remembered, closes
    faults.empty_reservation_is_packet = packet
    store = attach(burner)
    store.reserve_track(SIZE)
    put(store, blocks(20))
    assert stands(attach(burner)) == stands(store) == (0, SIZE, False, False, True)
    store.fill_first_track(blocks(SIZE, seed=2))
    assert stands(attach(burner)) == stands(store) == (-1, 0, False, True, False)
    store.close_session(final=False)
    assert attach(burner).sessions == (SessionSpan(0, DATA + 19),)


def test_a_drive_that_has_no_next_writable_address_for_it(burner: Burner) -> None:
    attach(burner).reserve_track(SIZE)
    original = burner.execute

    def hidden(cdb: bytes, data: bytes = b"") -> tuple[int, bytes, bytes]:
        status, reply, sense = original(cdb, data)
        if cdb[0] == 0x52 and reply[2] == 1:
            reply = reply[:7] + bytes([reply[7] & 0xFE]) + reply[8:12] + bytes(4) + reply[16:]
        return status, reply, sense

    burner.execute = hidden  # type: ignore[method-assign, assignment]
    store = attach(burner)
    assert stands(store) == (0, SIZE, False, False, True)
    store.fill_first_track(blocks(SIZE))
    store.close_session(final=False)
    assert store.read(0, SIZE) == blocks(SIZE)


def test_what_was_never_written_cannot_be_read(burner: Burner, store: SequentialStore) -> None:
    def refused(block: int, count: int = 1) -> int:
        with pytest.raises(errors.UnreadableBlockError) as caught:
            store.read(block, count)
        assert caught.value.sense in ((5, 0x64, 0), (5, 0x21, 0), (3, 0x11, 5))
        return caught.value.block

    store.reserve_track(SIZE)
    assert [refused(block) for block in (0, 16, 256, SIZE - 1)] == [0, 16, 256, SIZE - 1]
    put(store, blocks(20))
    assert [refused(block) for block in (0, 16, 256, SIZE, DATA - 1)] == [
        0,
        16,
        256,
        SIZE,
        DATA - 1,
    ]
    assert refused(0, 32) == 0
    begin(burner, 100)
    assert refused(0, SIZE) == 100
    assert store.read(0, 100) == blocks(100, seed=3)
    store = attach(burner)
    store.close_session(final=False)
    assert [refused(block) for block in (100, SIZE, DATA - 1)] == [100, SIZE, DATA - 1]


def test_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "disc.img"
    virtual.create(path, "cd-r-80")
    store = open_block_store(str(path))
    assert isinstance(store, SequentialStore)
    store.reserve_track(SIZE)
    store.close()
    store = open_block_store(str(path))
    assert isinstance(store, SequentialStore)
    put(store, blocks(20))
    for block in (0, 256, SIZE - 1):
        with pytest.raises(errors.UnreadableBlockError):
            store.read(block, 1)
    store.close()
    store = open_block_store(str(path))
    assert isinstance(store, SequentialStore)
    assert stands(store) == (0, SIZE, False, False, True)
    store.fill_first_track(blocks(SIZE, seed=2))
    store.close()
    store = open_block_store(str(path))
    assert isinstance(store, SequentialStore)
    assert stands(store) == (-1, 0, False, True, False)
    store.close_session(final=True)
    store.close()
    image = path.read_bytes()
    assert image[: SIZE * 2048] == blocks(SIZE, seed=2)
    assert image[DATA * 2048 : (DATA + 20) * 2048] == blocks(20)


def test_on_a_cd_rw_before_it_is_formatted() -> None:
    burner = memory_burner("cd-rw-80")
    store = attach(burner)
    store.reserve_track(SIZE)
    put(store, blocks(20))
    again = attach(burner)
    assert again.drive.disc().profile == features.CD_RW and stands(again)[4]
    again.fill_first_track(blocks(SIZE, seed=2))
    again.close_session(final=False)
    assert attach(burner).read(0, SIZE) == blocks(SIZE, seed=2)


def test_a_disc_without_a_reservation_is_not_asked_for_more(burner: Burner) -> None:
    store = attach(burner)
    seen: list[int] = []
    burner.faults.hook = lambda cdb: seen.append(cdb[0])
    put(store, blocks(5))
    put(store, blocks(5))
    assert seen == [0x2A, 0x35, 0x52] * 2
    seen.clear()
    store.close_session(final=False)
    assert seen.count(0x5B) == 2 and 0x58 not in seen


def test_with_a_reservation_a_packet_costs_no_more(burner: Burner, store: SequentialStore) -> None:
    store.reserve_track(SIZE)
    seen: list[int] = []
    burner.faults.hook = lambda cdb: seen.append(cdb[0])
    put(store, blocks(5))
    assert seen == [0x2A, 0x35, 0x52]
