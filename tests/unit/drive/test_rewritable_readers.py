"""The rewritable store with several threads: readers while packets are on their way."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import pytest

from media import errors
from media.drive import BLOCK
from media.rewritable import RewritableStore

from .discs import blocks
from .fake_rewritable import FakeRewritable, make, on_disc


def test_reset_that_a_reader_hears_of() -> None:
    store, transport = make()
    for first in (0, 320, 640):
        store.write(first, blocks(32, seed=first))

    def read_first(cdb: bytes, data: bytes) -> object:
        """Between the second and the third WRITE somebody reads, after a reset."""
        transport.defaults[0x2A] = transport._write
        answer = transport._write(cdb, data)
        transport.buffer.clear()
        transport.queue(0x28, (6, 0x29, 0))
        reader = threading.Thread(target=store.read, args=(1000, 1))
        reader.start()
        readers.append(reader)
        return answer

    readers: list[threading.Thread] = []
    transport.queue(0x2A, transport._write, read_first)
    store.flush()
    readers[0].join()
    for first in (0, 320, 640):
        assert on_disc(transport, first, 32) == blocks(32, seed=first)


def test_changed_while_it_is_being_written() -> None:
    store, transport = make()
    store.verify = True

    def change(cdb: bytes, data: bytes) -> object:
        store.write(33, blocks(1, seed=4))
        store.write(64, blocks(32, seed=5))
        return transport._synchronize(cdb, data)

    store.write(32, blocks(64))
    transport.queue(0x35, change)
    store.flush()
    assert on_disc(transport, 32, 64) == blocks(64)
    assert store.gathered_packets == 2
    store.flush()
    assert on_disc(transport, 33, 1) == blocks(1, seed=4)
    assert on_disc(transport, 64, 32) == blocks(32, seed=5)
    assert on_disc(transport, 34, 30) == blocks(64)[2 * BLOCK : 32 * BLOCK]


def test_readers_see_what_was_written_throughout() -> None:
    """Each block holds its own number and a version; no reader ever sees one go back."""
    store, _ = make(60, cache_packets=16)
    versions = [0] * 32 * 60
    stop = threading.Event()
    wrong: list[str] = []

    def stamp(block: int, version: int) -> bytes:
        return (block.to_bytes(4) + version.to_bytes(4)) * (BLOCK // 8)

    for first in range(0, 1920, 32):
        store.write(first, b"".join(stamp(block, 0) for block in range(first, first + 32)))
    store.flush()

    def read(seed: int) -> None:
        chance = random.Random(seed)
        while not stop.is_set():
            block = chance.randrange(1900)
            count = chance.randint(1, 20)
            before = versions[block : block + count]
            data = store.read(block, count)
            for number in range(count):
                piece = data[number * BLOCK : (number + 1) * BLOCK]
                found = int.from_bytes(piece[4:8])
                if piece != stamp(block + number, found) or found < before[number]:
                    wrong.append(f"block {block + number}: {found} after {before[number]}")

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for reader in readers:
        reader.start()
    chance = random.Random(9)
    for version in range(1, 400):
        block, count = chance.randrange(1800), chance.randint(1, 100)
        store.write(block, b"".join(stamp(block + n, version) for n in range(count)))
        versions[block : block + count] = [version] * count
        if chance.random() < 0.1:
            store.flush()
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []


def read_between(store: RewritableStore, transport: FakeRewritable, block: int) -> list[object]:
    """Let another thread read as soon as the first WRITE of a flush is over; what it got."""
    got: list[object] = []

    def read() -> None:
        try:
            got.append(store.read(block, 1))
        except errors.MediaError as error:
            got.append(error)

    def write(cdb: bytes, data: bytes) -> object:
        reader = threading.Thread(target=read)
        reader.start()
        while not store._turns.waiting:
            time.sleep(0.001)
        got.append(reader)
        return transport._write(cdb, data)

    transport.queue(0x2A, write)
    return got


def test_read_between_writes_synchronizes_first() -> None:
    store, transport = make()
    store.write(0, blocks(32))
    store.write(640, blocks(32))
    got = read_between(store, transport, 1000)
    store.flush()
    got[0].join()  # type: ignore[attr-defined]
    assert got[1] == bytes(BLOCK)
    assert [code for code, _, _ in transport.seen] == [0x2A, 0x35, 0x28, 0x2A, 0x35]


def test_defect_that_a_reader_hears_of() -> None:
    store, transport = make()
    transport.bad, transport.tell_at_sync = {0}, True
    store.write(0, blocks(32))
    store.write(640, blocks(32))
    got = read_between(store, transport, 1000)
    with pytest.raises(errors.DefectivePacketError) as caught:
        store.flush()
    assert caught.value.block == 0
    got[0].join()  # type: ignore[attr-defined]
    assert got[1] == bytes(BLOCK)


def test_read_of_a_drive_that_wants_to_be_synchronized_and_cannot() -> None:
    store, transport = make()
    transport.queue(0x28, (5, 0x2C, 0))
    transport.queue(0x35, (3, 0x0C, 0))
    assert store.read(0, 1) == bytes(BLOCK)


def test_read_that_is_overtaken_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    store, _ = make()
    fetch = store._fetch

    def slow(block: int, count: int) -> bytes:
        monkeypatch.undo()
        content = fetch(block, count)
        store.write(64, blocks(32))
        store.flush()
        return content

    monkeypatch.setattr(store, "_fetch", slow)
    store.read(65, 1)
    assert store.read(64, 32) == blocks(32)


def test_what_is_being_sent_is_never_changed() -> None:
    store, transport = make()
    execute = transport.execute

    def watch(cdb: bytes, data_out: Any = b"", **more: Any) -> tuple[int, bytes, bytes]:
        before = bytes(data_out)
        if cdb[0] == 0x2A:
            store.write(3, blocks(1, seed=9))
        assert bytes(data_out) == before
        return execute(cdb, data_out, **more)

    transport.execute = watch  # type: ignore[method-assign]
    for number in range(32):
        store.write(number, blocks(1, seed=number))
    store.flush()
    assert on_disc(transport, 3, 1) == blocks(1, seed=3)
    assert store.read(3, 1) == blocks(1, seed=9)
