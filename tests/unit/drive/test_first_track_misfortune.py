"""The reserved first track when something goes wrong while it is reserved, filled, closed.

The caller here does as a commit does: after AddressMovedError and PacketLostError it
looks at the track again and fills what is left.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from typing import Any, Literal

import pytest

from media import errors
from media.drive import BLOCK, Drive
from media.store import SequentialStore, open_store
from media.transport.virtual import VirtualTransport
from media.virtual import Burner, memory_burner

from .discs import attach, blocks, put
from .test_misfortune import plague

SIZE = 330
DATA = 482
Filled = dict[int, bytes]


def reserved(burner: Burner) -> SequentialStore:
    store = attach(burner)
    store.reserve_track(SIZE)
    put(store, blocks(20))
    return store


def filler(count: int) -> bytes:
    """What a caller fills a track with: other blocks each time."""
    return blocks(count, seed=next(_seeds))


_seeds = itertools.count(100)


def fill(store: SequentialStore) -> Filled:
    """Until it is complete: what must be readable then."""
    for _ in range(20):
        first = store.first_track
        assert first is not None
        if first.complete:
            return {}
        data = filler(max(first.free, 1))
        try:
            store.fill_first_track(data)
        except (errors.AddressMovedError, errors.PacketLostError) as error:
            assert store.first_track is not None
            assert not store.first_track.damaged
            assert error.next_writable == store.first_track.next_writable
        else:
            now = store.first_track
            assert now is not None and now.complete
            return {} if first.damaged else {first.next_writable: data}
    raise AssertionError("twenty attempts were not enough")


def check(store: SequentialStore, filled: Filled) -> None:
    for block, data in {**filled, DATA: blocks(20)}.items():
        assert store.read(block, len(data) // BLOCK) == data


def close(store: SequentialStore, filled: Filled) -> None:
    store.close_session(final=False)
    assert not store.session_open and store.last_block == DATA + 19
    check(store, filled)


# -- power cuts ------------------------------------------------------------------------


@pytest.mark.parametrize("cut", ["repair", "clean"])
@pytest.mark.parametrize("repaired", ["writable", "closable"])
@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_power_cut_while_it_is_filled(
    cut: Literal["repair", "clean"],
    repaired: Literal["writable", "closable"],
    told: bool,
    seed: int,
) -> None:
    burner = memory_burner("cd-r-80")
    faults = burner.faults
    faults.cut, faults.repaired, faults.damage_told, faults.seed = cut, repaired, told, seed
    store = reserved(burner)
    store.drive.write(0, blocks(300, seed=3))
    burner.power_cut()
    again = attach(burner)
    first = again.first_track
    assert first is not None and first.damaged == (cut == "repair") and not first.complete
    assert not first.empty or cut == "clean"
    assert (again.needs_repair, again.last_block) == (False, DATA + 19)
    put(again, blocks(2))
    again = attach(burner)
    assert again.first_track == first
    if first.damaged and repaired == "closable":
        again.fill_first_track(blocks(1))
        assert again.first_track is not None and again.first_track.complete
        filled: Filled = {}
    else:
        filled = fill(again)
        assert filled and max(filled) + len(filled[max(filled)]) // BLOCK == SIZE
    check(attach(burner), filled)
    again.close_session(final=False)
    check(attach(burner), filled)
    assert attach(burner).last_block == DATA + 20 + 7 + 1


def test_what_a_mended_track_still_takes(burner: Burner) -> None:
    burner.faults.seed = 1
    store = reserved(burner)
    store.drive.write(0, blocks(200, seed=3))
    burner.power_cut()
    store = attach(burner)
    with pytest.raises(errors.AddressMovedError) as caught:
        store.fill_first_track(blocks(SIZE))
    first = store.first_track
    assert first is not None and not (first.damaged or first.complete or first.empty)
    assert caught.value.next_writable == first.next_writable
    assert first.free == SIZE - first.next_writable
    assert attach(burner).first_track == first


@pytest.mark.parametrize("repaired", ["writable", "closable"])
@pytest.mark.parametrize("told", [False, True])
def test_closing_mends_what_nobody_has(
    repaired: Literal["writable", "closable"], told: bool
) -> None:
    burner = memory_burner("cd-r-80")
    burner.faults.repaired, burner.faults.damage_told = repaired, told
    store = reserved(burner)
    store.drive.write(0, blocks(200, seed=3))
    burner.power_cut()
    close(attach(burner), {})


@pytest.mark.parametrize("closes", [False, True])
def test_a_torn_track_of_which_the_drive_tells_nothing(closes: bool) -> None:
    """No damage bit, no reservation bit, no address: it looks closed until CLOSE SESSION."""
    burner = memory_burner("cd-r-80")
    burner.faults.full_reservation_closes = closes
    burner.faults.damage_told = burner.faults.reservation_remembered = False
    store = reserved(burner)
    store.drive.write(0, blocks(200, seed=3))
    burner.power_cut()
    close(attach(burner), {})


@pytest.mark.parametrize("repaired", ["writable", "closable"])
def test_a_power_cut_under_our_feet(burner: Burner, repaired: Any) -> None:
    burner.faults.repaired = repaired
    store = reserved(burner)

    def cut_at_sync(cdb: bytes) -> None:
        if cdb[0] == 0x35:
            burner.faults.hook = None
            burner.recorder.tear()
            burner._power_on()

    for _ in range(2):  # twice, for a drive that lets it be written again
        first = store.first_track
        assert first is not None
        if first.complete:
            break
        burner.faults.hook = cut_at_sync
        with pytest.raises(errors.PacketLostError) as caught:
            store.fill_first_track(blocks(first.free))
        assert store.first_track is not None and not store.first_track.damaged
        assert caught.value.next_writable == store.first_track.next_writable
    close(store, fill(store))


def test_both_tracks_torn(burner: Burner) -> None:
    burner.faults.seed = 5
    store = reserved(burner)
    store.drive.write(0, blocks(200, seed=3))
    burner.power_cut()
    store = attach(burner)
    store.write(store.next_writable, blocks(300))
    burner.power_cut()
    store = attach(burner)
    assert store.needs_repair and store.first_track is not None and store.first_track.damaged
    assert store.last_block >= DATA + 19
    store.read(store.last_block, 1)
    filled = fill(store)
    assert store.needs_repair
    store.repair()
    start = put(store, blocks(3, seed=8))
    assert not store.needs_repair and start == store.last_block - 2
    assert store.session_start == 0
    store.close_session(final=False)
    check(store, filled)
    assert store.read(start, 3) == blocks(3, seed=8)


@pytest.mark.parametrize("seed", range(4))
def test_a_cut_in_the_first_packet_of_the_data_track(seed: int) -> None:
    burner = memory_burner("cd-r-80")
    burner.faults.seed = seed
    store = attach(burner)
    store.reserve_track(SIZE)
    store.write(DATA, blocks(1200))
    burner.power_cut()
    again = attach(burner)
    assert again.needs_repair and again.session_open and not again.blank
    first = again.first_track
    assert first is not None and first.empty
    assert again.last_block == -1 or again.read(again.last_block, 1)
    again.repair()
    start = put(again, blocks(5))
    assert (again.session_start, again.last_block) == (0, start + 4)
    assert again.first_track == first
    filled = fill(again)
    again.close_session(final=False)
    assert again.read(start, 5) == blocks(5)
    assert again.read(0, SIZE) == filled[0]


def test_nothing_of_the_data_track_was_burnt(burner: Burner) -> None:
    """Where the data track is torn at its first block, the disc ends before it."""
    put(attach(burner), blocks(30))
    attach(burner).close_session(final=False)
    store = attach(burner)
    store.reserve_track(SIZE)
    store.drive.write(store.next_writable, blocks(1))
    burner.recorder._unburnt = lambda packet, what, last: packet.start  # type: ignore[method-assign]
    burner.power_cut()
    again = attach(burner)
    assert again.needs_repair and again.last_block == 29


def run(burner: Burner) -> Filled:
    """A whole session."""
    store = attach(burner)
    if store.blank and store.first_track is None:
        store.reserve_track(SIZE)
    if store.next_writable == DATA:
        put(store, blocks(20))
    filled = fill(store) if store.first_track is not None else {}
    store.close_session(final=False)
    return filled


@pytest.mark.parametrize("cut", ["repair", "clean"])
@pytest.mark.parametrize("repaired", ["writable", "closable"])
def test_a_power_cut_at_every_command_of_a_session(cut: Any, repaired: Any) -> None:
    """At its first command, its second, ...: the next mount can always end the session."""
    base = memory_burner("cd-r-80")
    base.faults.cut, base.faults.repaired = cut, repaired
    for number in range(1000):
        burner = base.branch()
        countdown = iter(range(number))

        def pull(cdb: bytes, countdown: Any = countdown) -> None:
            if next(countdown, None) is None:
                raise InterruptedError

        burner.faults.hook = pull
        try:
            run(burner)
            return
        except InterruptedError:
            burner.faults.hook = None
        burner.power_cut()
        again = attach(burner)
        if again.sessions and again.sessions[0].end is not None:
            continue  # the very last commands
        again.repair()
        if again.first_track is None:
            again.reserve_track(SIZE)
        start = put(again, blocks(4, seed=6))
        assert start >= DATA
        filled = fill(again)
        again.close_session(final=False)
        assert again.read(start, 4) == blocks(4, seed=6)
        for block, data in filled.items():
            assert again.read(block, len(data) // BLOCK) == data
    raise AssertionError("the session never came to its end")


# -- the drive ---------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["write", "sync"])
@pytest.mark.parametrize("seed", range(4))
def test_a_write_error(when: Literal["write", "sync"], seed: int) -> None:
    burner = memory_burner("cd-r-80")
    burner.faults.seed = seed
    store = reserved(burner)
    burner.faults.write_errors = {burner.recorder.packets + 1: when}
    with pytest.raises(errors.PacketLostError) as caught:
        store.fill_first_track(blocks(SIZE))
    assert caught.value.sense == (3, 0x0C, 0)
    first = store.first_track
    assert first is not None and caught.value.next_writable == first.next_writable
    assert attach(burner).first_track == first
    assert store.next_writable == DATA + 27
    close(store, fill(store))


def test_a_write_error_behind_which_nothing_fits(burner: Burner) -> None:
    """The packet broke off so near the end that the drive has closed the track."""
    store = reserved(burner)
    burner.faults.write_errors = {burner.recorder.packets + 1: "sync"}
    burner.recorder._unburnt = lambda packet, what, last: packet.end - 2  # type: ignore[method-assign]
    with pytest.raises(errors.PacketLostError) as caught:
        store.fill_first_track(blocks(SIZE))
    assert caught.value.next_writable == -1
    close(store, {})


@pytest.mark.parametrize("dropped", [2, 200])
def test_a_buffer_that_was_dropped_without_a_word(burner: Burner, dropped: int) -> None:
    store = reserved(burner)
    burner.faults.lost_buffers = {burner.recorder.packets + 1}
    burner.recorder._unburnt = (  # type: ignore[method-assign]
        lambda packet, what, last: packet.end - dropped
    )
    with pytest.raises(errors.PacketLostError) as caught:
        store.fill_first_track(blocks(SIZE))
    assert caught.value.next_writable == (-1 if dropped < 8 else SIZE - dropped + 7)
    close(store, fill(store))


@pytest.mark.parametrize("operation", [0x2A, 0x35, 0x52])
@pytest.mark.parametrize("sense", [(6, 0x29, 0), (6, 0x2A, 1), (0xB, 0, 0)])
@pytest.mark.parametrize("carried_out", [False, True])
def test_a_reset_in_the_middle(
    burner: Burner, operation: int, sense: tuple[int, int, int], carried_out: bool
) -> None:
    store = reserved(burner)
    burner.faults.fail(sense, operation=operation, carried_out=carried_out)
    close(store, fill(store))


@pytest.mark.parametrize("operation", [0x53, 0x58, 0x5B])
@pytest.mark.parametrize("after", range(3))
@pytest.mark.parametrize("carried_out", [False, True])
def test_a_reset_at_a_command_for_tracks(
    burner: Burner, operation: int, after: int, carried_out: bool
) -> None:
    burner.faults.fail((6, 0x29, 0), operation=operation, after=after, carried_out=carried_out)
    store = reserved(burner)
    store.drive.write(0, blocks(200, seed=3))
    burner.power_cut()
    store = attach(burner)
    close(store, fill(store))


def test_a_real_reset_before_the_reservation(burner: Burner, store: SequentialStore) -> None:
    burner.reset()
    store.reserve_track(SIZE)
    assert store.next_writable == DATA


def small(burner: Burner, chunk: int) -> SequentialStore:
    """A store over a transport that carries few blocks at a time."""
    transport = VirtualTransport(burner)
    transport.max_transfer = chunk * BLOCK
    store = open_store(Drive(transport, name="disc.img", sleep=lambda seconds: None))
    assert isinstance(store, SequentialStore)
    return store


@pytest.mark.parametrize("early", [1, 64, 100, 300])
def test_a_packet_that_the_drive_ends_by_itself(burner: Burner, early: int) -> None:
    reserved(burner)
    store = small(burner, 32)
    burner.faults.early_ends = {burner.recorder.packets + 1: early}
    with pytest.raises(errors.AddressMovedError) as caught:
        store.fill_first_track(blocks(SIZE))
    first = store.first_track
    assert first is not None and caught.value.next_writable == first.next_writable > early
    filled = fill(store)
    assert first.next_writable in filled
    close(store, filled)


@pytest.mark.parametrize("looks", [1, 3, 8])
def test_a_table_that_lags_behind(burner: Burner, looks: int) -> None:
    store = reserved(burner)

    def stale(cdb: bytes) -> None:
        if cdb[0] == 0x35:
            burner.faults.hook = None
            burner.faults.stale_next_writable = looks

    burner.faults.hook = stale
    close(store, fill(store))


def test_an_address_that_the_drive_names_and_refuses(burner: Burner) -> None:
    """It is mended, and after some attempts the close goes on without it."""
    store = reserved(burner)
    burner.faults.fail((5, 0x21, 2), operation=0x2A, times=1)
    with pytest.raises(errors.AddressMovedError):
        store.fill_first_track(blocks(SIZE))
    close(store, fill(store))


def test_a_drive_that_never_takes_it(burner: Burner) -> None:
    store = reserved(burner)
    burner.faults.fail((5, 0x63, 1), operation=0x2A, times=None)
    with pytest.raises(errors.MediumFullError):
        store.fill_first_track(blocks(SIZE))
    with pytest.raises(errors.CommandRefusedError, match="5/72/04"):
        store.close_session(final=False)
    assert store.session_open and not store.needs_repair
    burner.faults.failures.clear()
    close(store, {})


def test_no_disc_any_more(burner: Burner) -> None:
    store = reserved(burner)
    burner.remove()
    with pytest.raises(errors.NoMediumError):
        store.fill_first_track(blocks(SIZE))
    burner.insert()
    with pytest.raises(errors.NoMediumError):
        store.fill_first_track(blocks(SIZE))


@pytest.mark.parametrize("seed", range(40))
def test_whatever_goes_wrong_the_session_is_closed(seed: int) -> None:
    chance = random.Random(seed)
    burner = memory_burner("cd-r-80")
    faults = burner.faults
    faults.seed = seed
    faults.cut = chance.choice(["repair", "clean"])
    faults.repaired = chance.choice(["writable", "closable"])
    faults.damage_told, faults.reservation_remembered = chance.random() < 0.7, chance.random() < 0.7
    faults.full_reservation_closes = chance.random() < 0.7
    store = reserved(burner)
    filled: Filled = {}
    for _ in range(3):
        plague(burner, chance)
        if chance.random() < 0.4:
            first = store.first_track
            assert first is not None
            if not (first.complete or first.damaged):
                with contextlib.suppress(errors.MediaError):
                    store.drive.write(first.next_writable, filler(chance.randint(1, first.free)))
            burner.power_cut()
            store = attach(burner)
        elif chance.random() < 0.5:
            filled |= fill(store)
    faults.lost_buffers, faults.early_ends, faults.end_packets_after = set(), {}, None
    filled |= fill(store)
    plague(burner, chance)
    store.close_session(final=False)
    for each in (store, attach(burner)):
        assert not each.session_open
        check(each, filled)
