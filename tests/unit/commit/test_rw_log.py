"""The intent log: slots in rotation, what is needed, and what a reader makes of it."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udffs.commit.rewritable.log import IntentLog, slots_for
from udffs.commit.vat import Counts
from udffs.errors import DamagedError, InternalError, StructureError
from udffs.ondisc import intentlog
from udffs.ondisc.intentlog import PACKET, PAYLOAD, Kind, Record, Slot
from udffs.volume import open_volume
from udffs.volume.intentlog import CLEAN, PENDING, STALE, LogState
from udffs.volume.model import BLOCK

from .rw_bench import Bench, content, formatted

HOMES = tuple(range(1024, 1024 + 16 * PACKET, PACKET))
COUNTS = Counts(1, 1, 17)


class Shelf:
    """Packets by their homes."""

    def __init__(self) -> None:
        self.packets: dict[int, bytes] = {}
        self.flushes = 0

    def write(self, home: int, data: bytes) -> None:
        self.packets[home] = data

    def flush(self) -> None:
        self.flushes += 1


def images(count: int, seed: int = 1) -> dict[int, bytes]:
    return {7000 + i: random.Random(seed + i).randbytes(BLOCK) for i in range(count)}


def log_of(shelf: Shelf) -> IntentLog:
    return IntentLog(shelf, LogState(HOMES, 42, integrity_block=64), COUNTS)


def slot(shelf: Shelf, index: int) -> tuple[Slot, bytes]:
    found = intentlog.parse_slot(shelf.packets[HOMES[index]], 42)
    assert found is not None
    return found


def test_a_record_comes_back() -> None:
    shelf = Shelf()
    log = log_of(shelf)
    log.hints = (5, 6)
    blocks = {**images(40), 9: bytes(BLOCK)}
    taken = log.append(
        Kind.COMMIT,
        blocks,
        allocated=[(100, 3)],
        freed=[(7, 1), (9, 2)],
        direct=[(500, 32, 0xFFFFFFFF)],
        counts=Counts(9, 3, 99),
    )
    assert taken == 2 == slots_for(40, 3, 1, 1)
    parts = [slot(shelf, index) for index in range(2)]
    assert [head.part for head, _ in parts] == [0, 1]
    record = intentlog.parse_record(b"".join(payload for _, payload in parts))
    assert record == Record(
        Kind.COMMIT, log.commit, 0, 9, 3, 99, 64, 0, 0, 5, 6, blocks,
        [(100, 3)], [(7, 1), (9, 2)], [(500, 32, 0xFFFFFFFF)],
    )  # fmt: skip
    assert (log.commit & 0xFFFFFFFF, log.counts, shelf.flushes) == (1, Counts(9, 3, 99), 1)


def test_31_images_fit_one_slot() -> None:
    assert (slots_for(31, 50, 50), slots_for(32)) == (1, 2)


def test_slots_turn_and_only_what_is_not_needed_is_written_over() -> None:
    shelf = Shelf()
    log = log_of(shelf)
    for number in range(10):
        log.append(Kind.COMMIT, images(1, number))
    assert (log.needed, log.free) == (10, 6)
    log.append(Kind.PROTECT, images(1))
    assert log.free == 5
    log.guarded()
    assert log.free == 6
    for _ in range(5):
        log.append(Kind.PROTECT, images(2))
        log.guarded()
    log.append(Kind.PROTECT, images(2))  # turns round: the first that is not needed
    assert [slot(shelf, index)[0].record for index in range(10)] == list(range(1, 11))
    assert slot(shelf, 10)[0].record == 17
    log.checkpointed()
    assert (log.needed, log.free) == (0, 15)


def test_old_records_stay_until_the_next_one_tells_of_the_checkpoint() -> None:
    shelf = Shelf()
    log = log_of(shelf)
    for number in range(14):
        log.append(Kind.COMMIT, images(1, number))
    log.checkpointed()
    before = dict(shelf.packets)
    log.append(Kind.COMMIT, images(100))  # 4 slots, and 2 are free
    assert slot(shelf, 14)[0].tail == 15  # said first, in a slot that was free
    changed = [home for home in HOMES if shelf.packets.get(home) != before.get(home)]
    assert changed == [HOMES[i] for i in (0, 1, 2, 14, 15)]


def test_more_than_there_is_room_for() -> None:
    log = log_of(Shelf())
    with pytest.raises(InternalError):
        log.append(Kind.COMMIT, images(600))
    with pytest.raises(InternalError):
        log.append(Kind.COMMIT, images(1))


def test_nothing_is_appended_before_what_a_record_protects_is_written() -> None:
    shelf = Shelf()
    log = log_of(shelf)
    log.append(Kind.PROTECT, images(1))
    with pytest.raises(DamagedError):
        log.append(Kind.COMMIT, images(1))
    log.guarded()
    log.append(Kind.COMMIT, images(1))


def test_after_a_failure_nothing_is_appended() -> None:
    shelf = Shelf()
    log = log_of(shelf)
    shelf.flush = lambda: (_ for _ in ()).throw(OSError())  # type: ignore[method-assign]
    with pytest.raises(OSError):
        log.append(Kind.COMMIT, images(1))
    with pytest.raises(InternalError):
        log.append(Kind.PROTECT, images(1))


# -- hostile bytes -----------------------------------------------------------------


@given(st.binary(max_size=300))
def test_any_bytes_are_no_slot_and_no_record(data: bytes) -> None:
    assert intentlog.parse_slot_head(data, 42) is None
    assert intentlog.parse_slot(data, 42) is None
    assert intentlog.parse_record(data) is None
    assert intentlog.integrity_extension(data) is None


@given(st.integers(0, 65535), st.integers(1, 255))
def test_a_slot_with_a_wrong_byte_is_none(at: int, change: int) -> None:
    data = bytearray(intentlog.build_slot(Slot(5, 5, 0, 1, 1, 9), 42, b"some data"))
    data[at] ^= change
    assert intentlog.parse_slot(bytes(data), 42) is None


def test_records_that_lie_about_their_lengths() -> None:
    good = intentlog.build_record(Record(1, 1, 0, 0, 1, 16, 64, 0, 0, images=images(2)))
    for at in range(0, 80, 4):
        bad = bytearray(good)
        bad[at : at + 4] = b"\xff\xff\xff\xff"
        assert intentlog.parse_record(bytes(bad)) is None
    assert intentlog.parse_record(good[:-1]) is None
    assert intentlog.parse_record(good[:50]) is None


@pytest.mark.parametrize(
    "extents",
    [[(0, 0)], [(64, 300)], [(65, 2)], [(64, 2), (96, 1)], [(64, 1)] * 2],
)
def test_a_place_of_the_log_that_makes_no_sense(extents: list[tuple[int, int]]) -> None:
    with pytest.raises(StructureError):
        intentlog.parse_log_use(intentlog.build_log_use(extents))


def test_the_place_of_the_log_comes_back() -> None:
    use = intentlog.build_log_use([(64, 2), (320, 1)])
    assert len(use) == 460
    assert intentlog.parse_log_use(use) == [64, 96, 320]
    with pytest.raises(StructureError):
        intentlog.parse_log_use(use[:100])


# -- reading -------------------------------------------------------------------------


def test_a_clean_log_costs_two_reads() -> None:
    disc = formatted()
    bench = Bench(disc)
    bench.write("a", b"a")
    bench.commit()
    bench.finish()
    reads: list[int] = []
    original = disc.read
    disc.read = lambda block, count: reads.append(block) or original(block, count)  # type: ignore[method-assign, func-returns-value]
    state = open_volume(disc).intent_log
    assert state is not None and state.state == CLEAN
    assert len(set(reads) & {home + i for home in state.slots for i in range(PACKET)}) == 1
    assert (state.commit & 0xFFFFFFFF, state.sequence) == (1, bench.log._sequence)


def test_slots_of_another_volume_mean_nothing() -> None:
    disc = formatted()
    bench = Bench(disc)
    bench.write("a", b"a")
    bench.commit()
    for index in range(64):
        at = bench.state.slots[index]
        disc.data[at * BLOCK : (at + PACKET) * BLOCK] = intentlog.build_slot(
            Slot(900 + index, 900 + index, 0, 1, 1, 0), 1, b""
        )
    state = open_volume(disc).intent_log
    assert state is not None and state.state == CLEAN


def test_a_needed_record_that_cannot_be_read_makes_the_log_stale() -> None:
    disc = formatted()
    bench = Bench(disc)
    for name in "abc":
        bench.write(name, name.encode())
        bench.commit()
    lost = sorted(bench.log._needed, key=lambda s: bench.log._needed[s])[1]
    at = bench.state.slots[lost]
    disc.data[at * BLOCK] ^= 1
    volume = open_volume(disc)
    assert volume.intent_log is not None and volume.intent_log.state == STALE
    assert "damaged" in volume.intent_log.why
    assert content(volume) == {}


def test_a_plain_image_shows_what_is_pending() -> None:
    disc = formatted()
    bench = Bench(disc)
    bench.write("a", b"a" * 5000)
    bench.commit()
    disc.kind = "read-only"
    volume = open_volume(disc)
    assert volume.intent_log is not None and volume.intent_log.state == PENDING
    assert content(volume) == {"a": b"a" * 5000}
    assert volume.integrity is not None and volume.files == bench.counts.files


def test_slot_sizes() -> None:
    assert PAYLOAD == 65_472
    assert intentlog.record_size(0) == 80
