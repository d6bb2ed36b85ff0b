"""Taking turns: the queue itself, and reads beside packets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from media import errors
from media.store import SequentialStore
from media.turns import Turns
from media.virtual import Burner

from .discs import LINK, blocks, put


def test_first_come_first_served_and_given_by_another_thread() -> None:
    turns, order = Turns(), []
    turns.take()
    threads = []
    for number in range(5):
        thread = threading.Thread(
            target=lambda n=number: (turns.take(), order.append(n), turns.give())
        )
        thread.start()
        threads.append(thread)
        while turns.waiting <= number:
            time.sleep(0.001)
    assert turns.waiting == 5
    giver = threading.Thread(target=turns.give)
    giver.start()
    for thread in [giver, *threads]:
        thread.join(10)
    assert order == [0, 1, 2, 3, 4]
    assert turns.waiting == 0
    with turns:
        pass


def test_readers_wait_for_the_end_of_a_packet(burner: Burner, store: SequentialStore) -> None:
    put(store, blocks(10))
    store.write(17, blocks(10))
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(store.read(0, 10)))
    reader.start()
    _until(lambda: store.readers_waiting == 1)
    store.write(27, blocks(10))
    assert got == []
    assert store.flush() == 17 + 20 + LINK
    store.write(44, blocks(1))
    reader.join(10)
    assert got == [blocks(10)] and store.readers_waiting == 0
    assert store.flush() == 52


def test_reader_gets_its_turn_before_the_next_packet(store: SequentialStore) -> None:
    put(store, blocks(1))
    order: list[str] = []
    store.write(8, blocks(1))

    def read() -> None:
        store.read(0, 1)
        order.append("read")

    reader = threading.Thread(target=read)
    reader.start()
    _until(lambda: store.readers_waiting == 1)
    store.flush()
    for _ in range(3):
        store.write(store.next_writable, blocks(1))
        order.append("packet")
        store.flush()
    reader.join(10)
    assert order.index("read") <= 1


def test_readers_are_let_in_after_a_lost_packet(burner: Burner, store: SequentialStore) -> None:
    put(store, blocks(10))
    burner.faults.write_errors = {2: "sync"}
    store.write(17, blocks(10))
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(store.read(0, 10)))
    reader.start()
    with pytest.raises(errors.PacketLostError):
        store.flush()
    reader.join(10)
    assert got == [blocks(10)]


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
