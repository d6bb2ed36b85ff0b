"""Commits on rewritable discs: places, the record, checkpoints, and power cuts
at any packet with any of the unsynced ones written, lost or torn."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from support.allocation import examine
from support.memory_disc import PACKET

from udffs.errors import NeighbourLostError
from udffs.volume import open_volume
from udffs.volume.intentlog import CLEAN, PENDING, STALE
from udffs.volume.model import BLOCK

from .rw_bench import Bench, Recorder, content, cuts, formatted, left_by


def data(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def stranger_sees(disc: Recorder) -> None:
    """A clean disc is right for those who know nothing of the log."""
    assert examine(disc).complaints == []


def test_a_small_commit_is_one_packet() -> None:
    disc = formatted()
    bench = Bench(disc)
    bench.write("one", b"x")
    bench.commit()  # opens the volume
    disc.begin()
    bench.write("two", data(1, 20_000))
    bench.commit()
    assert [len(batch) for batch in disc.batches] == [1]
    assert content(bench.volume) == {"one": b"x", "two": data(1, 20_000)}
    assert content(open_volume(disc)) == content(bench.volume)
    bench.finish()
    stranger_sees(disc)
    again = open_volume(disc)
    assert again.intent_log is not None and again.intent_log.state == CLEAN
    assert content(again) == {"one": b"x", "two": data(1, 20_000)}


def test_large_data_is_written_once() -> None:
    disc = formatted()
    bench = Bench(disc)
    bench.write("large", data(1, 1500 * BLOCK))
    bench.commit()
    bench.finish()
    assert max(disc.wear.values()) <= 4
    stranger_sees(disc)
    assert content(open_volume(disc)) == {"large": data(1, 1500 * BLOCK)}


def test_a_small_overwrite_stays_in_place_and_a_long_one_does_not() -> None:
    bench = Bench(formatted())
    bench.write("f", data(1, 200 * BLOCK))
    bench.commit()
    number = bench.keys["f"]
    before = bench.runs[number]
    bench.write("f", data(2, 5 * BLOCK), at=10)
    bench.commit()
    assert bench.runs[number] == before
    bench.write("f", data(3, 40 * BLOCK), at=60)
    bench.commit()
    assert bench.runs[number] != before
    wanted = bytearray(data(1, 200 * BLOCK))
    wanted[10 * BLOCK : 15 * BLOCK] = data(2, 5 * BLOCK)
    wanted[60 * BLOCK : 100 * BLOCK] = data(3, 40 * BLOCK)
    assert content(bench.volume)["f"] == wanted
    bench.finish()
    stranger_sees(bench.disc)
    assert content(open_volume(bench.disc))["f"] == wanted


def test_deferred_data_is_left_out() -> None:
    bench = Bench(formatted(12288))
    bench.journal.yields = True
    bench.write("large", data(1, 4000 * BLOCK))
    bench.write("small", b"now")
    bench.commit()
    number = bench.keys["large"]
    assert number in bench.journal.deferred
    assert 0 < bench.sizes[number] < 4000 * BLOCK
    bench.finish()
    stranger_sees(bench.disc)
    found = content(open_volume(bench.disc))
    assert found["small"] == b"now"
    assert found["large"] == data(1, 4000 * BLOCK)[: bench.sizes[number]]


def test_more_images_than_the_log_holds_move_the_data() -> None:
    bench = Bench(formatted(12288, log_packets=16))
    bench.write("f", data(1, 1000 * BLOCK))
    bench.commit()
    for index in range(0, 1000, 2):
        bench.write("f", data(index, BLOCK), at=index)
        job = bench._files["f"]
        ranges = [(first, 1) for first in range(0, 1000, 2)]
        bench._files["f"] = job._replace(
            ranges=ranges, source=lambda first, count, _l: data(first, BLOCK) * count
        )
    bench.commit()
    wanted = bytearray(data(1, 1000 * BLOCK))
    for index in range(0, 1000, 2):
        wanted[index * BLOCK : (index + 1) * BLOCK] = data(index, BLOCK)
    assert content(open_volume(bench.disc))["f"] == wanted
    bench.finish()
    stranger_sees(bench.disc)


def test_a_full_disc_is_filled_to_the_last_blocks_and_emptied() -> None:
    bench = Bench(formatted(4096))
    index = 0
    while bench.space.free_blocks > 60:
        bench.write(f"file {index}", data(index, min(37, bench.space.free_blocks - 50) * BLOCK))
        bench.commit()
        index += 1
    found = content(open_volume(bench.disc))
    assert found == {f"file {i}": found[f"file {i}"] for i in range(index)}
    for number in range(0, index, 2):
        bench.remove(f"file {number}")
    bench.commit()
    bench.write("again", data(77, 400 * BLOCK))
    bench.commit()
    bench.finish()
    stranger_sees(bench.disc)
    found = content(open_volume(bench.disc))
    assert found["again"] == data(77, 400 * BLOCK)
    assert found["file 1"] == data(1, 37 * BLOCK)


def test_wear_of_many_small_saves() -> None:
    disc = formatted(12288)
    bench = Bench(disc)
    disc.wear.clear()
    for index in range(2000):
        bench.write(f"note {index % 50}", data(index, 3000))
        bench.commit()
    bench.finish()
    assert max(disc.wear.values()) <= 60
    stranger_sees(disc)


def test_worn_packets_are_spared_wherever_they_are() -> None:
    disc = formatted()
    bench = Bench(disc)
    slots = bench.state.slots
    disc.worn = {slots[1], slots[5]}
    for index in range(10):
        bench.write(f"f{index}", data(index, 50 * BLOCK))
        disc.worn.add((bench.view.start // PACKET + 80 + index) * PACKET)
        bench.commit()
    bench.finish()
    assert bench.view.spared
    stranger_sees(disc)
    assert content(open_volume(disc)) == {f"f{i}": data(i, 50 * BLOCK) for i in range(10)}


def test_an_unreadable_neighbour_is_never_overwritten() -> None:
    disc = formatted()
    bench = Bench(disc)
    bench.write("a", data(1, 3 * BLOCK))
    bench.write("b", data(2, 3 * BLOCK))
    bench.commit()
    bench.committer.checkpoint()
    bench.write("a", data(3, 2 * BLOCK), at=0)
    bench.commit()
    disc.unreadable.add(bench.runs[bench.keys["b"]][0].block + 1)
    with pytest.raises(NeighbourLostError):
        bench.committer.checkpoint()
    again = open_volume(disc)
    assert again.intent_log is not None and again.intent_log.state == PENDING
    inode = again.inode(bench.keys["a"])
    assert again.read(inode, 0, 2 * BLOCK) == data(3, 2 * BLOCK)


def test_blocks_of_an_open_file_without_a_name_stay() -> None:
    bench = Bench(formatted())
    bench.write("open", data(1, 20 * BLOCK))
    bench.commit()
    number = bench.keys["open"]
    runs = bench.runs[number]
    bench.space.take(number)
    bench.remove("open")
    gone, bench._gone = set(bench._gone), set()
    from udffs.commit.prepare import Prepared

    prepared = Prepared()
    prepared.directories = [bench._directory()]
    bench.committer.commit(prepared, gone, bench.counts, now=0, journal=bench.journal)
    bench.space.settled(gone, {number})
    bench.stream.clean()
    for index in range(8):
        bench.write(f"f{index}", data(index, 400 * BLOCK))
        bench.commit()
        bench.committer.checkpoint()
    home = runs[0].block
    assert bench.view.read(home, 20) == data(1, 20 * BLOCK)
    free = bench.space.free_blocks
    bench.space.release(number)
    assert bench.space.free_blocks == free + 21
    bench.finish()
    stranger_sees(bench.disc)


def test_another_system_wrote_meanwhile() -> None:
    disc = formatted()
    bench = Bench(disc)
    bench.write("a", b"first")
    bench.commit()
    bench.finish()
    bench.write("b", b"second")
    bench.commit()
    block = bench.log.integrity_block
    image = bytearray(disc.data[block * BLOCK : (block + 1) * BLOCK])
    from udffs.ondisc import tags
    from udffs.ondisc.ecma167 import LogicalVolumeIntegrityDescriptor

    found = tags.unseal(LogicalVolumeIntegrityDescriptor, bytes(image), location=block)
    found.recording_date_and_time.second ^= 1
    sealed = tags.seal(LogicalVolumeIntegrityDescriptor, found, location=block, version=3)
    disc.data[block * BLOCK : block * BLOCK + len(sealed)] = sealed
    again = open_volume(disc)
    assert again.intent_log is not None and again.intent_log.state == STALE
    assert content(again) == {"a": b"first"}
    assert again.intent_log.records
    assert again.intent_log.commit not in (bench.log.commit, bench.journal.intents[-1])


# -- power cuts ----------------------------------------------------------------------

Step = Callable[[Bench], Any]


def test_a_cut_in_a_checkpoint_that_takes_the_whole_log() -> None:
    disc = formatted(6144, log_packets=16)
    bench = Bench(disc)
    bench.write("f", data(1, 40 * PACKET * BLOCK))
    bench.commit()
    bench.committer.checkpoint()
    for number in range(8):
        bench.write("f", data(number, BLOCK), at=(2 * number + 1) * PACKET + number)
        bench.commit()
    disc.begin()
    bench.committer.checkpoint()
    base = bytearray(disc.before)
    full = 0
    for batch in disc.batches:
        for left in cuts(batch, random.Random(1)):
            again = Bench(left_by(base, left))
            full += again.log.free == 0
            again.committer.checkpoint()
            again.write("more", data(2, 5000))
            again.commit()
            again.finish()
            stranger_sees(again.disc)
            found = content(open_volume(again.disc))
            assert found == {**bench.expected, "more": data(2, 5000)}
        for first, packet in batch.items():
            base[first * BLOCK : first * BLOCK + len(packet)] = packet
    assert full


def _small(bench: Bench) -> None:
    begin(bench)
    for index in range(12):
        bench.write(f"s{index}", data(index, 700 * index))
        yield_commit(bench)


def _mixed(bench: Bench) -> None:
    begin(bench)
    bench.write("large", data(1, 1100 * BLOCK))
    bench.write("x", data(2, 9000))
    yield_commit(bench)
    bench.write("large", data(3, 3 * BLOCK), at=500)
    yield_commit(bench)
    bench.write("large", data(4, 100 * BLOCK), at=900)
    yield_commit(bench)
    bench.committer.checkpoint()
    bench.remove("x")
    yield_commit(bench)
    bench.write("y", data(5, 60 * BLOCK))
    yield_commit(bench)
    bench.finish()
    bench.write("z", data(6, 100))
    bench.remove("large")
    yield_commit(bench)
    bench.committer.checkpoint()
    bench.write("w", data(7, 900 * BLOCK))
    yield_commit(bench)
    bench.finish()


def _crowded(bench: Bench) -> None:
    """A small log and a disc almost full: many rounds, protected writes."""
    index = 0
    while bench.space.free_blocks > 300:
        bench.write(f"f{index}", data(index, 90 * BLOCK))
        bench.commit()
        index += 1
    bench.committer.checkpoint()
    begin(bench)
    for number in range(index):
        bench.write(f"f{number}", data(number + 100, BLOCK), at=number % 80)
    yield_commit(bench)
    for number in range(0, index, 5):
        bench.remove(f"f{number}")
    yield_commit(bench)
    bench.write("new", data(500, 250 * BLOCK))
    yield_commit(bench)
    for number in range(20):
        bench.write("turning", data(number, 10 * BLOCK))
        yield_commit(bench)
    bench.finish()


MARKS: list[tuple[int, dict[str, bytes]]] = []


def _turning(bench: Bench) -> None:
    """Blocks that come and go between checkpoints, and records of many slots."""
    index = 0
    while bench.space.fresh_packets > 40:
        bench.write(f"f{index}", data(index, 64 * BLOCK))
        bench.commit()
        index += 1
    bench.committer.checkpoint()
    begin(bench)
    for turn in range(4):
        bench.write("small", data(turn, 20 * BLOCK))
        yield_commit(bench)
        bench.remove("small")
        yield_commit(bench)
        bench.write("large", data(turn + 50, 256 * BLOCK))
        yield_commit(bench)
        bench.remove("large")
        yield_commit(bench)
    for turn in range(3):
        for number in range(14 + turn):
            bench.write("note", data(number, 100))
            yield_commit(bench)
        for number in range(min(index, 24)):
            bench.write(f"f{number}", data(turn + number, 19 * BLOCK), at=number)
        yield_commit(bench)
    bench.finish()


def begin(bench: Bench) -> None:
    """From now on the power may fail."""
    bench.disc.begin()
    MARKS[:] = [(0, content(bench.volume))]


def yield_commit(bench: Bench) -> None:
    """Commit; from now on this is durable."""
    bench.commit()
    assert content(bench.volume) == bench.expected
    MARKS.append((len(bench.disc.batches), dict(bench.expected)))


@pytest.mark.parametrize(
    ("script", "blocks", "log_packets"),
    [(_small, 4096, 16), (_mixed, 6144, 64), (_crowded, 4096, 16), (_turning, 4096, 24)],
)
def test_what_is_durable_survives_a_cut(script: Step, blocks: int, log_packets: int) -> None:
    disc = formatted(blocks, log_packets=log_packets)
    bench = Bench(disc)
    script(bench)
    marks = list(MARKS)
    chance = random.Random(blocks)
    base = bytearray(disc.before)
    tried = 0
    for number, batch in enumerate(disc.batches):
        durable = max(i for i, (at, _) in enumerate(marks) if at <= number)
        allowed = [seen for _, seen in marks[durable : durable + 2]]
        every = list(cuts(batch, chance))
        for left in chance.sample(every, min(len(every), 400 // len(disc.batches) + 3)):
            cut = left_by(base, left)
            seen = content(open_volume(cut))
            assert seen in allowed, f"batch {number}: {sorted(seen)}"
            tried += 1
            if tried % 53 == 0:
                _mends(cut, chance)
        for first, packet in batch.items():
            base[first * BLOCK : first * BLOCK + len(packet)] = packet
    assert tried > 50


def _mends(cut: Recorder, chance: random.Random) -> None:
    """A mount for writing brings everything home, whatever happens meanwhile,
    and goes on."""
    base = bytearray(cut.data)
    bad = set(cut.unreadable)
    bench = Bench(cut)
    seen = content(bench.volume)
    cut.begin()
    bench.committer.checkpoint()
    for batch in cut.batches:
        for left in cuts(batch, chance):
            again = left_by(base, left)
            again.unreadable |= {b for b in bad if b - b % PACKET not in left}
            assert content(open_volume(again)) == seen
        for first, packet in batch.items():
            base[first * BLOCK : first * BLOCK + len(packet)] = packet
            bad -= set(range(first, first + PACKET))
    assert content(bench.volume) == seen
    bench.write("after", data(9, 5000))
    bench.commit()
    bench.finish()
    stranger_sees(cut)
    assert content(open_volume(cut)) == {**seen, "after": data(9, 5000)}
