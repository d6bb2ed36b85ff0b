"""The sequential store on the virtual burner: everyday use and every misfortune."""

from __future__ import annotations

import pytest

from media import errors
from media.drive import BLOCK
from media.store import SequentialStore, SessionSpan
from media.virtual import Burner, memory_burner

from .discs import LINK, attach, blocks, put

# -- everyday use ------------------------------------------------------------------


def test_blank_disc(store: SequentialStore) -> None:
    assert store.blank and store.appendable and not store.session_open and not store.needs_repair
    assert (store.next_writable, store.session_start, store.last_block) == (0, 0, -1)
    assert store.sessions == ()
    assert 359_000 < store.free_blocks == store.capacity <= 359_849
    assert store.packet_limit == 896
    assert store.blocks_per_second == pytest.approx(1200, rel=0.01)
    with pytest.raises(errors.UnreadableBlockError):
        store.read(0, 1)


def test_packets_and_what_becomes_of_the_addresses(store: SequentialStore) -> None:
    free = store.free_blocks
    first, second = blocks(257), blocks(3, seed=2)
    assert put(store, first) == 0
    assert store.next_writable == 257 + LINK
    assert store.free_blocks == free - 257 - LINK
    assert put(store, second) == 264
    assert store.last_block == 266 and store.session_open and not store.blank
    assert store.sessions == (SessionSpan(0, None),)
    assert store.read(0, 257) == first and store.read(264, 3) == second
    with pytest.raises(errors.UnreadableBlockError) as caught:
        store.read(200, 70)
    assert caught.value.block == 257


def test_a_packet_grows_by_writes(burner: Burner, store: SequentialStore) -> None:
    data = blocks(2000)
    view = memoryview(data)
    for start in range(0, 2000, 500):
        store.write(start, view[start * BLOCK : (start + 500) * BLOCK])
    assert store.flush() == 2000 + LINK
    assert burner.recorder.packets == 1
    assert store.read(0, 2000) == data


def test_flush_without_a_packet_asks_nothing(burner: Burner, store: SequentialStore) -> None:
    seen: list[bytes] = []
    burner.faults.hook = seen.append
    assert store.flush() == 0
    assert seen == []


def test_open_again_finds_everything(burner: Burner, store: SequentialStore) -> None:
    data = blocks(40)
    put(store, data)
    again = attach(burner)
    assert (again.next_writable, again.last_block) == (47, 39)
    assert again.session_open and again.sessions == (SessionSpan(0, None),)
    assert again.read(0, 40) == data
    assert again.capacity == store.capacity


def test_mistakes_of_the_caller(store: SequentialStore) -> None:
    with pytest.raises(errors.MediaBug):
        store.write(0, b"x" * 100)
    with pytest.raises(errors.MediaBug):
        store.write(0, b"")
    with pytest.raises(errors.AddressMovedError) as moved:
        store.write(5, blocks(1))
    assert moved.value.next_writable == 0
    store.write(0, blocks(1))
    with pytest.raises(errors.MediaBug):
        store.read(0, 1)
    with pytest.raises(errors.MediaBug):
        store.repair()
    with pytest.raises(errors.MediaBug):
        store.write(7, blocks(1))
    assert store.flush() == 8


def test_opened_for_reading_only(burner: Burner, store: SequentialStore) -> None:
    put(store, blocks(5))
    seen: list[int] = []
    burner.faults.hook = lambda cdb: seen.append(cdb[0])
    reader = attach(burner, writable=False)
    assert reader.read(0, 5) == blocks(5)
    assert not {0x1E, 0x55, 0xBB, 0x54} & set(seen)
    with pytest.raises(errors.ReadOnlyMediumError):
        reader.write(12, blocks(1))


def test_mounting_never_calibrates(burner: Burner, store: SequentialStore) -> None:
    put(store, blocks(5))
    attach(burner)
    assert burner.recorder.medium.calibrations == 0


# -- sessions ------------------------------------------------------------------------


def test_close_leaves_room_for_a_next_session(burner: Burner, store: SequentialStore) -> None:
    data = blocks(300)
    put(store, data)
    told: list[float] = []
    store.close_session(final=False, progress=told.append)
    assert told[-1] == 1.0 and told == sorted(told)
    assert store.appendable and not store.session_open and not store.blank
    assert store.sessions == (SessionSpan(0, store.sessions[0].end),)
    assert store.last_block == 299
    assert store.session_start == store.next_writable == 302 + 11_400
    again = attach(burner)
    assert (again.session_start, again.last_block) == (store.session_start, 299)
    start = put(again, blocks(10, seed=3))
    assert start == 11_702
    assert again.sessions == (store.sessions[0], SessionSpan(11_702, None))
    assert (again.session_open, again.session_start) == (True, 11_702)
    again.close_session(final=True)
    assert not again.appendable and len(again.sessions) == 2
    assert again.last_block == 11_711
    assert again.read(11_702, 10) == blocks(10, seed=3)


def test_closed_for_good(burner: Burner, store: SequentialStore) -> None:
    put(store, blocks(300))
    store.close_session(final=True)
    again = attach(burner)
    assert not again.appendable and not again.session_open
    assert (again.last_block, again.free_blocks, again.next_writable) == (299, 0, -1)
    with pytest.raises(errors.ReadOnlyMediumError):
        again.write(0, blocks(1))
    with pytest.raises(errors.ReadOnlyMediumError):
        again.close_session(final=True)


def test_nothing_to_close(store: SequentialStore) -> None:
    with pytest.raises(errors.MediaUsageError):
        store.close_session(final=True)


def test_close_flushes_what_is_open(store: SequentialStore) -> None:
    store.write(0, blocks(20))
    store.close_session(final=True)
    assert store.read(0, 20) == blocks(20)


@pytest.mark.parametrize("operation", [0x55, 0x5B, 0x52, 0x00])
def test_close_goes_through_a_reset(burner: Burner, store: SequentialStore, operation: int) -> None:
    put(store, blocks(300))
    burner.faults.fail((6, 0x29, 0), operation=operation)
    store.close_session(final=True)
    assert not attach(burner).appendable


def test_disc_of_ninety_minutes_has_its_true_length() -> None:
    burner = memory_burner("cd-r-90")
    store = attach(burner)
    assert 404_000 < store.capacity <= 404_849
    put(store, blocks(1))
    store.close_session(final=False)
    assert attach(burner).capacity == store.capacity > 404_000


def test_full_disc(burner: Burner, store: SequentialStore) -> None:
    start = store.next_writable
    with pytest.raises(errors.MediumFullError):
        for block in range(start, store.capacity + 2048, 512):
            store.write(block, bytes(512 * BLOCK))
    assert store.next_writable > 0
    assert store.free_blocks < 600


# -- misfortune ------------------------------------------------------------------------


def test_not_ready_is_waited_for(burner: Burner, store: SequentialStore) -> None:
    burner.faults.fail((2, 4, 8), operation=0x2A, times=5)
    burner.faults.fail((2, 4, 7), operation=0x35, times=2)
    put(store, blocks(10))
    assert store.read(0, 10) == blocks(10)


def test_drive_ends_the_packet_early(burner: Burner, store: SequentialStore) -> None:
    burner.faults.early_ends = {1: 100}
    store.write(0, blocks(64))
    store.write(64, blocks(64, seed=2))
    with pytest.raises(errors.AddressMovedError) as caught:
        store.write(128, blocks(64, seed=3))
    assert caught.value.next_writable == store.next_writable == 128 + LINK
    assert store.read(0, 128) == blocks(64) + blocks(64, seed=2)
    assert put(store, blocks(64, seed=3)) == 135


def test_every_packet_ends_early(burner: Burner, store: SequentialStore) -> None:
    burner.faults.end_packets_after = 1
    written: dict[int, bytes] = {}
    block, seed = 0, 0
    while seed < 6:
        data = blocks(10, seed)
        try:
            store.write(block, data)
        except errors.AddressMovedError as moved:
            block = moved.next_writable
            continue
        written[block] = data
        block, seed = block + 10, seed + 1
    store.flush()
    assert all(store.read(start, 10) == data for start, data in written.items())
    assert list(written) == [0, 17, 34, 51, 68, 85]


@pytest.mark.parametrize("moment", ["write", "sync"])
def test_write_error(burner: Burner, store: SequentialStore, moment: str) -> None:
    put(store, blocks(10))
    burner.faults.write_errors = {2: moment}  # type: ignore[dict-item]
    with pytest.raises(errors.PacketLostError) as caught:
        put(store, blocks(50, seed=2))
    assert caught.value.sense == (3, 0x0C, 0x00)
    assert caught.value.next_writable == store.next_writable > 17
    start = put(store, blocks(50, seed=2))
    assert store.read(start, 50) == blocks(50, seed=2)
    assert store.read(0, 10) == blocks(10)


def test_write_errors_in_a_row(burner: Burner, store: SequentialStore) -> None:
    burner.faults.write_errors = {1: "write", 2: "sync", 3: "write"}
    for _ in range(3):
        with pytest.raises(errors.PacketLostError):
            put(store, blocks(50))
    start = put(store, blocks(50))
    assert store.read(start, 50) == blocks(50)
    assert attach(burner).read(start, 50) == blocks(50)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("count", [1, 9, 50])
def test_silent_loss_of_the_buffer_is_noticed(seed: int, count: int) -> None:
    burner = memory_burner("cd-r-80")
    store = attach(burner)
    put(store, blocks(10))
    burner.faults.seed = seed
    burner.faults.lost_buffers = {2}
    try:
        start = put(store, blocks(count, seed=2))
    except errors.PacketLostError as lost:
        assert lost.next_writable == store.next_writable
        start = put(store, blocks(count, seed=2))
    assert store.read(start, count) == blocks(count, seed=2)


def test_reset_between_packets_is_mended(burner: Burner, store: SequentialStore) -> None:
    put(store, blocks(10))
    burner.reset()
    put(store, blocks(10, seed=2))
    assert store.read(17, 10) == blocks(10, seed=2)
    assert burner.prevented


def test_reset_before_a_read_is_mended(burner: Burner, store: SequentialStore) -> None:
    put(store, blocks(10))
    burner.reset()
    assert store.read(0, 10) == blocks(10)
    put(store, blocks(10, seed=2))


@pytest.mark.parametrize("at_flush", [False, True])
def test_reset_in_a_packet(burner: Burner, store: SequentialStore, at_flush: bool) -> None:
    store.write(0, blocks(10))
    burner.reset()
    with pytest.raises(errors.PacketLostError) as caught:
        if not at_flush:
            store.write(10, blocks(10))
        store.flush()
    assert caught.value.next_writable == store.next_writable == 17
    assert put(store, blocks(10, seed=2)) == 17
    assert store.read(17, 10) == blocks(10, seed=2)


@pytest.mark.parametrize("operation", [0x2A, 0x35])
@pytest.mark.parametrize("code", [(0xB, 0, 0), (6, 0x2A, 1)])
@pytest.mark.parametrize("carried_out", [False, True])
def test_aborted_command(
    burner: Burner,
    store: SequentialStore,
    operation: int,
    code: tuple[int, int, int],
    carried_out: bool,
) -> None:
    put(store, blocks(10))
    burner.faults.fail(code, operation=operation, carried_out=carried_out)
    data = blocks(20, seed=2)
    try:
        start = put(store, data)
    except (errors.PacketLostError, errors.AddressMovedError):
        start = put(store, data)
    assert store.read(start, 20) == data


def test_lost_page_is_sent_again(burner: Burner, store: SequentialStore) -> None:
    burner.modes.reset()
    burner.recorder.settings = burner.modes.write_settings
    put(store, blocks(10))
    assert store.read(0, 10) == blocks(10)


def test_stale_address_is_looked_at_again(burner: Burner, store: SequentialStore) -> None:
    put(store, blocks(10))
    burner.faults.stale_next_writable = 3
    put(store, blocks(10, seed=2))
    assert store.next_writable == 34
    put(store, blocks(10, seed=3))
    assert store.read(34, 10) == blocks(10, seed=3)


@pytest.mark.parametrize("step", ["write", "continue", "flush", "read"])
def test_disc_removed(burner: Burner, store: SequentialStore, step: str) -> None:
    put(store, blocks(10))
    if step in ("continue", "flush"):
        store.write(17, blocks(10))
    burner.remove()
    with pytest.raises(errors.NoMediumError):
        if step == "write":
            store.write(17, blocks(1))
        elif step == "continue":
            store.write(27, blocks(1))
        elif step == "flush":
            store.flush()
        else:
            store.read(0, 1)
    burner.insert()
    for action in (lambda: store.read(0, 1), lambda: store.write(17, blocks(1)), store.repair):
        with pytest.raises(errors.NoMediumError):
            action()
    store.close()


def test_disc_changed_behind_our_back(burner: Burner, store: SequentialStore) -> None:
    put(store, blocks(10))
    burner.remove()
    burner.insert(memory_burner("cd-r-74").recorder)
    with pytest.raises(errors.MediumChangedError):
        store.write(17, blocks(1))
    with pytest.raises(errors.MediumChangedError):
        store.read(0, 1)


def test_no_disc(burner: Burner) -> None:
    burner.remove()
    with pytest.raises(errors.NoMediumError):
        attach(burner)


def test_calibration_fails(burner: Burner, store: SequentialStore) -> None:
    put(store, blocks(10))
    burner.faults.fail((3, 0x73, 0x03), operation=0x2A, times=2)
    with pytest.raises(errors.CalibrationError):
        store.write(17, blocks(1))
    assert not store.appendable
    with pytest.raises(errors.CalibrationError):
        store.write(17, blocks(1))
    assert store.read(0, 10) == blocks(10)


def test_hardware_error_ends_the_packet(burner: Burner, store: SequentialStore) -> None:
    burner.faults.fail((4, 0x44, 0), operation=0x2A, after=1)
    store.write(0, blocks(10))
    with pytest.raises(errors.DriveFailedError):
        store.write(10, blocks(10))
    start = put(store, blocks(10, seed=2))
    assert store.read(start, 10) == blocks(10, seed=2)


def test_bad_block(burner: Burner, store: SequentialStore) -> None:
    put(store, blocks(10))
    burner.faults.unreadable = {4}
    with pytest.raises(errors.UnreadableBlockError) as caught:
        store.read(0, 10)
    assert caught.value.block == 4 and caught.value.sense == (3, 0x11, 5)
