"""The sequential store after a power cut: repair, and where writing goes on."""

from __future__ import annotations

from typing import Literal

import pytest

from media import errors
from media.store import SequentialStore
from media.virtual import Burner, memory_burner

from .discs import attach, blocks, put


@pytest.mark.parametrize("kind", ["repair", "clean"])
@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("repaired", ["writable", "closable"])
def test_power_cut_in_a_packet(
    kind: str, before: int, seed: int, repaired: Literal["writable", "closable"]
) -> None:
    burner = memory_burner("cd-r-80")
    burner.faults.repaired = repaired
    burner.faults.cut, burner.faults.seed = kind, seed  # type: ignore[assignment]
    store = attach(burner)
    starts = [put(store, blocks(50, n)) for n in range(before)]
    store.write(store.next_writable, blocks(400, seed=9))
    burner.power_cut()
    again = attach(burner)
    assert again.needs_repair == (kind == "repair")
    last = again.last_block
    if last >= 0:
        again.read(last, 1)
    again.repair()
    assert not again.needs_repair
    assert [again.read(s, 50) for s in starts] == [blocks(50, n) for n in range(before)]
    start = put(again, blocks(30, seed=5))
    third = attach(burner)
    assert third.read(start, 30) == blocks(30, seed=5)
    assert third.last_block == start + 29
    assert third.session_start == 0
    third.close_session(final=False)
    assert third.last_block == start + 29


def test_power_cut_is_mended_by_the_next_write_too(burner: Burner) -> None:
    store = attach(burner)
    put(store, blocks(50))
    store.write(57, blocks(50))
    burner.power_cut()
    again = attach(burner)
    with pytest.raises(errors.AddressMovedError) as caught:
        again.write(again.next_writable, blocks(1))
    put(again, blocks(1, seed=7))
    assert again.read(caught.value.next_writable, 1) == blocks(1, seed=7)


@pytest.mark.parametrize("at_flush", [False, True])
def test_power_cut_under_our_feet(burner: Burner, store: SequentialStore, at_flush: bool) -> None:
    put(store, blocks(50))
    store.write(57, blocks(50))
    burner.power_cut()
    with pytest.raises(errors.PacketLostError) as caught:
        if not at_flush:
            store.write(107, blocks(1))
        store.flush()
    assert caught.value.next_writable == store.next_writable > 57
    start = put(store, blocks(5, seed=4))
    assert store.read(start, 5) == blocks(5, seed=4)
    assert store.read(0, 50) == blocks(50)


def test_repair_of_a_sound_disc_does_nothing(burner: Burner, store: SequentialStore) -> None:
    put(store, blocks(5))
    seen: list[int] = []
    burner.faults.hook = lambda cdb: seen.append(cdb[0])
    store.repair()
    assert seen == []
