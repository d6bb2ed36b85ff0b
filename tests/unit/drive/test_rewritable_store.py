"""The rewritable store against a small drive: gathering, order, errors, many readers."""

from __future__ import annotations

import random

import pytest

from media import errors
from media.drive import BLOCK, Drive
from media.rewritable import RewritableStore
from media.store import open_store

from .discs import blocks
from .fake_rewritable import PACKET, FakeRewritable, make, on_disc

SIZE = PACKET * BLOCK


def test_what_the_disc_is() -> None:
    store, _ = make(100)
    assert (store.kind, store.name, store.writable) == ("rewritable", "fake", True)
    assert (store.capacity, store.last_block) == (3200, 3199)
    assert [tuple(span) for span in store.sessions] == [(0, 3199)]
    assert store.packet_length == 32
    assert not store.spares_by_itself
    assert store.blocks_per_second == pytest.approx(1200 * 32 / 39, rel=0.01)


def test_fixed_packets_are_set_up() -> None:
    transport = FakeRewritable()
    RewritableStore(Drive(transport, name="fake", sleep=lambda _: None))
    page = next(data for code, _, data in transport.seen if code == 0x55)[8:]
    assert page[:14].hex(" ") == "05 32 00 e5 08 00 00 00 00 00 00 00 00 20"
    assert transport.count(0x1E) == 1


def test_xa_track_is_written_in_xa() -> None:
    transport = FakeRewritable()
    track = bytearray(transport.defaults[0x52])  # type: ignore[arg-type]
    track[5:7] = bytes.fromhex("07 b2")
    transport.defaults[0x52] = bytes(track)
    RewritableStore(Drive(transport, name="fake", sleep=lambda _: None))
    page = next(data for code, _, data in transport.seen if code == 0x55)[8:]
    assert (page[4], page[8]) == (0x0A, 0x20)


def test_read_only_leaves_the_drive_alone() -> None:
    transport = FakeRewritable()
    store = RewritableStore(Drive(transport, name="fake", sleep=lambda _: None), writable=False)
    assert not transport.count(0x55) + transport.count(0x1E)
    with pytest.raises(errors.ReadOnlyMediumError):
        store.write(0, blocks(32))
    store.close()
    assert not transport.count(0x35)


def test_store_is_chosen_by_the_disc() -> None:
    for mrw in (False, True):
        drive = Drive(FakeRewritable(mrw=mrw), name="fake", sleep=lambda _: None)
        store = open_store(drive)
        assert isinstance(store, RewritableStore)
        assert store.spares_by_itself == mrw


def test_mount_rainier_needs_no_page_05() -> None:
    transport = FakeRewritable(mrw=True)
    store = RewritableStore(Drive(transport, name="fake", sleep=lambda _: None))
    store.write(64, blocks(32))
    store.flush()
    assert not transport.count(0x55)
    assert on_disc(transport, 64, 32) == blocks(32)


def test_gathered_until_the_flush() -> None:
    store, transport = make()
    for number in range(32):
        store.write(64 + number, blocks(1, seed=number))
    assert transport.seen == []
    assert store.read(70, 2) == blocks(1, seed=6) + blocks(1, seed=7)
    assert transport.seen == []
    store.flush()
    assert transport.writes() == [(64, 32)]
    assert [code for code, _, _ in transport.seen] == [0x2A, 0x35]
    assert on_disc(transport, 70, 1) == blocks(1, seed=6)
    assert store.packets_written == 1
    store.flush()
    assert transport.count(0x35) == 1


def test_ascending_order_and_neighbours_together() -> None:
    store, transport = make()
    for first in (960, 32, 0, 320, 352, 64):
        store.write(first, blocks(32, seed=first))
    store.flush()
    assert transport.writes() == [(0, 96), (320, 64), (960, 32)]
    for first in (960, 32, 0, 320, 352, 64):
        assert on_disc(transport, first, 32) == blocks(32, seed=first)


def test_one_rewrite_a_packet() -> None:
    store, transport = make()
    for round_ in range(5):
        for first in range(0, 320, 32):
            store.write(first + round_, blocks(3, seed=first + round_))
    store.flush()
    assert set(transport.wear.values()) == {1}
    assert store.packets_written == 10


def test_whole_packets_are_not_read_first() -> None:
    store, transport = make()
    store.write(32, blocks(64))
    store.flush()
    assert not transport.count(0x28)


def test_partly_covered_packet_keeps_the_rest() -> None:
    store, transport = make()
    transport.disc[:] = blocks(3200, seed=3)
    old = bytes(transport.disc)
    store.write(35, blocks(1))
    store.write(40, blocks(60))
    store.flush()
    expected = bytearray(old)
    expected[35 * BLOCK : 36 * BLOCK] = blocks(1)
    expected[40 * BLOCK : 100 * BLOCK] = blocks(60)
    assert transport.disc == expected
    assert transport.writes() == [(32, 96)]
    # What is known from before is not read again.
    transport.forget()
    store.write(50, blocks(1, seed=8))
    store.flush()
    assert not transport.count(0x28)


def test_partly_covered_packet_with_a_bad_block() -> None:
    store, transport = make()
    transport.disc[:] = blocks(3200, seed=3)
    transport.unreadable.add(35)
    store.write(36, blocks(2))
    with pytest.raises(errors.UnreadableBlockError) as caught:
        store.flush()
    assert caught.value.block == 35
    assert not transport.writes()
    # What was given need not be readable.
    store.write(35, blocks(1, seed=5))
    store.flush()
    assert on_disc(transport, 32, 3) == blocks(3200, seed=3)[32 * BLOCK : 35 * BLOCK]
    assert on_disc(transport, 35, 3) == blocks(1, seed=5) + blocks(2)


def test_reads_of_a_packet_are_remembered_until_written() -> None:
    store, transport = make()
    transport.disc[:] = blocks(3200, seed=3)
    assert store.read(40, 2) == on_disc(transport, 40, 2)
    assert store.read(33, 31) == on_disc(transport, 33, 31)
    assert transport.count(0x28) == 1
    store.write(40, blocks(1))
    assert store.read(40, 1) == blocks(1)
    store.discard()
    assert store.read(40, 1) == on_disc(transport, 40, 1)


def test_bad_block_spoils_only_itself() -> None:
    store, transport = make()
    transport.disc[:] = blocks(3200, seed=3)
    transport.unreadable.add(35)
    assert store.read(40, 2) == on_disc(transport, 40, 2)
    with pytest.raises(errors.UnreadableBlockError) as caught:
        store.read(33, 4)
    assert caught.value.block == 35


def test_out_of_bounds() -> None:
    store, _ = make()
    for block, count, bad in ((3199, 2, 3200), (-1, 1, -1), (4000, 1, 4000)):
        with pytest.raises(errors.UnreadableBlockError) as caught:
            store.read(block, count)
        assert caught.value.block == bad
    for block, data in ((3199, blocks(2)), (-1, blocks(1)), (0, b""), (0, b"x")):
        with pytest.raises(errors.MediaBug):
            store.write(block, data)


def test_memory_is_bounded() -> None:
    store, transport = make(1000, cache_packets=16)
    chance = random.Random(1)
    for number in range(400):
        store.write(chance.randrange(999) * 32, blocks(32, seed=number))
        assert len(store._cache) <= 17
        store.read(chance.randrange(3200), 5)
        assert len(store._cache) <= 17
    assert all(block % 32 == 0 for block, _ in transport.writes())


def test_oldest_go_out_and_whole_ones_first() -> None:
    store, transport = make(cache_packets=8)
    store.write(3100, blocks(1))
    for first in range(800, 800 - 8 * 32, -32):
        store.write(first, blocks(32, seed=first))
    assert transport.writes() == [(640, 192)]
    store.flush()
    assert transport.writes()[1:] == [(576, 64), (3072, 32)]


def test_caller_may_change_what_it_gave() -> None:
    store, transport = make()
    data = bytearray(blocks(64))
    store.write(0, data)
    data[:] = bytes(len(data))
    store.flush()
    assert on_disc(transport, 0, 64) == blocks(64)


def test_large_write_of_a_view() -> None:
    store, transport = make(400)
    data = bytearray(blocks(3000))
    store.write(7, memoryview(data))
    store.flush()
    assert on_disc(transport, 7, 3000) == data
    assert sum(count for _, count in transport.writes()) == 3008
    assert max(count for _, count in transport.writes()) == 512


def test_discard_and_relocate() -> None:
    store, transport = make()
    store.write(0, blocks(32))
    store.discard()
    assert store.read(0, 32) == bytes(SIZE)
    store.write(64, blocks(32))
    store.relocate(64, 320)
    assert store.read(320, 32) == blocks(32)
    assert store.read(64, 32) == bytes(SIZE)
    store.flush()
    assert transport.writes() == [(320, 32)]
    store.relocate(64, 32)
    assert not store.gathered_packets


def test_relocate_completes_a_partly_given_packet() -> None:
    store, transport = make()
    transport.disc[:] = blocks(3200, seed=3)
    store.write(65, blocks(1))
    store.relocate(64, 320)
    store.flush()
    whole = blocks(3200, seed=3)
    assert on_disc(transport, 320, 2) == whole[64 * BLOCK : 65 * BLOCK] + blocks(1)
    assert on_disc(transport, 322, 30) == whole[66 * BLOCK : 96 * BLOCK]


@pytest.mark.parametrize("at_sync", [False, True])
@pytest.mark.parametrize("names", [False, True])
@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize("transfer", [SIZE, 1 << 20])
@pytest.mark.parametrize("spread", [32, 64])
def test_defective_packets_are_named(
    at_sync: bool, names: bool, drops: bool, transfer: int, spread: int
) -> None:
    store, transport = make(transfer=transfer)
    transport.bad = {4 * spread, 9 * spread}
    transport.tell_at_sync, transport.names, transport.drops = at_sync, names, drops
    for number in range(12):
        store.write(number * spread, blocks(32, seed=number))
    for bad, new in ((4 * spread, 3168), (9 * spread, 3136)):
        with pytest.raises(errors.DefectivePacketError) as caught:
            store.flush()
        assert caught.value.block == bad
        assert caught.value.sense == (3, 0x0C, 0)
        assert store.read(bad, 32) == blocks(32, seed=bad // spread)
        store.relocate(bad, new)
    store.flush()
    assert not store.gathered_packets
    transport.buffer.clear()
    homes = {4 * spread: 3168, 9 * spread: 3136}
    for number in range(12):
        at = homes.get(number * spread, number * spread)
        assert on_disc(transport, at, 32) == blocks(32, seed=number)


def test_defect_at_a_write_beyond_the_bound() -> None:
    store, transport = make(cache_packets=8)
    transport.bad = {32}
    for number in range(8):
        store.write(number * 32, blocks(32, seed=number))
    with pytest.raises(errors.DefectivePacketError):
        store.write(256, blocks(320, seed=9))
    assert store.read(256, 320) == blocks(320, seed=9)
    store.relocate(32, 3168)
    store.flush()
    assert on_disc(transport, 256, 320) == blocks(320, seed=9)
    assert on_disc(transport, 3168, 32) == blocks(32, seed=1)


def test_error_that_passes_is_no_defect() -> None:
    store, transport = make()
    transport.queue(0x35, (3, 0x0C, 9))
    for first in (0, 320, 640):
        store.write(first, blocks(32, seed=first))
    store.flush()
    assert on_disc(transport, 320, 32) == blocks(32, seed=320)


def test_unreadable_before_is_not_defective_now() -> None:
    store, transport = make()
    transport.unreadable.update(range(32, 64))
    store.write(32, blocks(32))
    store.flush()
    assert store.read(32, 32) == blocks(32)


def test_verify() -> None:
    store, transport = make()
    store.verify = True
    store.write(0, blocks(96))
    store.flush()
    assert transport.count(0x28) == 1
    transport.silent_losses = {64}
    store.write(0, blocks(128, seed=2))
    with pytest.raises(errors.DefectivePacketError) as caught:
        store.flush()
    assert caught.value.block == 64
    assert store.gathered_packets == 1
    store.relocate(64, 320)
    store.flush()
    assert on_disc(transport, 320, 32) == blocks(128, seed=2)[2 * SIZE : 3 * SIZE]


@pytest.mark.parametrize("code", [(6, 0x29, 0), (6, 0x2A, 1), (0xB, 0, 0)])
@pytest.mark.parametrize("after", range(4))
def test_reset_in_a_flush(code: tuple[int, int, int], after: int) -> None:
    store, transport = make()

    def reset(cdb: bytes, data: bytes) -> object:
        nonlocal after
        after -= 1
        if after == -1:
            transport.buffer.clear()
            return code
        return transport._write(cdb, data) if cdb[0] == 0x2A else transport._synchronize(cdb, data)

    transport.defaults[0x2A] = transport.defaults[0x35] = reset
    for first in (0, 320, 640):
        store.write(first, blocks(32, seed=first))
    store.flush()
    assert transport.count(0x55) == 1
    for first in (0, 320, 640):
        assert on_disc(transport, first, 32) == blocks(32, seed=first)


def test_resets_without_end() -> None:
    store, transport = make()
    transport.defaults[0x35] = (6, 0x29, 0)
    store.write(0, blocks(32))
    with pytest.raises(errors.DriveResetError):
        store.flush()
    assert store.gathered_packets == 1
    transport.defaults[0x35] = transport._synchronize
    store.flush()
    assert on_disc(transport, 0, 32) == blocks(32)


@pytest.mark.parametrize("operation", [0x28, 0x2A, 0x35])
@pytest.mark.parametrize("code", [(2, 0x3A, 0), (6, 0x28, 0)])
def test_removal_is_for_good(operation: int, code: tuple[int, int, int]) -> None:
    store, transport = make()
    store.write(0, blocks(32))
    transport.queue(operation, code)
    kind = errors.NoMediumError if code[0] == 2 else errors.MediumChangedError
    with pytest.raises(kind):
        store.flush()
        store.read(100, 1)
    for action in (lambda: store.write(0, blocks(1)), lambda: store.read(0, 1)):
        with pytest.raises(kind):
            action()
    if operation != 0x28:
        with pytest.raises(kind):
            store.flush()
    store.close()
    assert transport.closed


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ((7, 0x27, 0), errors.ReadOnlyMediumError),
        ((3, 0x73, 3), errors.CalibrationError),
        ((5, 0x21, 2), errors.DriveFailedError),
        ((4, 0x44, 0), errors.DriveFailedError),
        ((5, 0x30, 5), errors.WrongMediumError),
    ],
)
def test_other_errors_keep_what_was_gathered(
    code: tuple[int, int, int], kind: type[errors.MediaError]
) -> None:
    store, transport = make()
    store.write(0, blocks(32))
    transport.defaults[0x2A] = code
    with pytest.raises(kind) as caught:
        store.flush()
    assert caught.value.sense == code
    assert store.gathered_packets == 1
    assert store.read(0, 32) == blocks(32)
    if kind in (errors.ReadOnlyMediumError, errors.CalibrationError):
        with pytest.raises(kind):
            store.write(0, blocks(1))
