"""The map of space: what is given away, and what not yet."""

from __future__ import annotations

import random
import time

import pytest

from udffs.commit.rewritable.space import SpaceMap, joined
from udffs.errors import NoSpaceError
from udffs.ondisc.intentlog import PACKET
from udffs.volume.bitmap import SpaceTable, new_space
from udffs.volume.partitions import PhysicalPartition

START = 1312


def table(
    blocks: int = 4096, used: tuple[tuple[int, int], ...] = (), start: int = START
) -> SpaceTable:
    made = new_space(PhysicalPartition(start, blocks), start, 3)
    for first, count in used:
        for block in range(first - start, first - start + count):
            made.bits[block >> 3] &= ~(1 << (block & 7))
    return made


def free_in(one: SpaceTable) -> set[int]:
    return {one.start + i for i in range(one.count) if one.is_free(one.start + i)}


def blocks(extents: list[tuple[int, int]]) -> list[int]:
    return [block + i for block, count in extents for i in range(count)]


def test_large_files_lie_in_one_piece_of_whole_packets() -> None:
    space = SpaceMap(table())
    (first, count), *more = space.take_blocks(1000, of=1000)
    assert not more and first % PACKET == 0 and count == 1000
    assert space.is_fresh(first)


def test_small_files_lie_behind_each_other() -> None:
    space = SpaceMap(table())
    taken = [space.take_blocks(10) for _ in range(20)]
    assert joined(extent for one in taken for extent in one)[0][1] == 200


def test_a_file_grows_where_it_ends() -> None:
    space = SpaceMap(table())
    ((first, _),) = space.take_blocks(300, of=300)
    assert space.take_blocks(20, near=first + 300) == [(first + 300, 20)]


def test_icbs_stay_together_and_away_from_data() -> None:
    space = SpaceMap(table())
    numbers = [space.allocate() for _ in range(100)]
    data = blocks(space.take_blocks(500)) + blocks(space.take_blocks(500, of=500))
    packets = {(START + number) // PACKET for number in numbers}
    assert len(packets) == 4
    assert not packets & {block // PACKET for block in data}


def test_freed_blocks_wait_for_the_checkpoint() -> None:
    one = table(256)
    space = SpaceMap(one)
    taken = space.take_blocks(256)
    with pytest.raises(NoSpaceError):
        space.take_blocks(1)
    space.commit(taken, [])
    space.commit([], [(START + 40, 8)])
    assert (space.free_blocks, space.available_blocks, space.free_on_disc) == (8, 0, 8)
    with pytest.raises(NoSpaceError):
        space.take_blocks(1)
    assert sorted(free_in(one)) == list(range(START + 40, START + 48))
    assert set(space.bitmap()) == {START}
    space.checkpointed()
    assert space.bitmap() == {}
    assert space.take_blocks(8) == [(START + 40, 8)]


def test_a_block_that_came_and_went_between_checkpoints_waits_as_well() -> None:
    space = SpaceMap(table(64))
    taken = space.take_blocks(64)
    space.commit(taken, [])
    space.commit([], taken)
    assert (space.free_blocks, space.available_blocks) == (64, 0)
    assert not space.is_fresh(START)


def test_nothing_stays_taken_when_there_is_too_little() -> None:
    space = SpaceMap(table(100))
    with pytest.raises(NoSpaceError):
        space.take_blocks(101)
    assert space.free_blocks == space.available_blocks == 100


def test_the_numbers_of_icbs() -> None:
    space = SpaceMap(table(128))
    number = space.allocate()
    space.commit([(START + number, 1)], [])
    assert (space.is_used(START + number), space.free_blocks) == (True, 127)
    space.take(number)  # deleted, but open
    blocks_of_it = [(START + number, 1), (START + 64, 5)]
    space.commit(space.take_blocks(5, near=START + 64), [])
    space.commit([], blocks_of_it, {number: blocks_of_it})
    space.settled({number}, {number})
    space.checkpointed()
    assert space.free_blocks == 122 and not space.is_fresh(START + 64)
    assert space.wanted(START + 64) and not space.live(START + 64)
    space.release(number)
    assert space.free_blocks == 128 and space.is_fresh(START + 64)


def test_a_number_that_was_never_on_the_disc_stays_an_icbs() -> None:
    space = SpaceMap(table(64))
    number = space.allocate()
    space.release(number)
    assert START + number not in blocks(space.take_blocks(63))
    assert space.allocate() == number
    space.release(number)
    space.settled({number})
    assert space.free_blocks == 1


def test_a_number_freed_while_its_commit_is_under_way() -> None:
    space = SpaceMap(table(64))
    number = space.allocate()
    space.release(number)  # deleted during the commit that brings it
    space.commit([(START + number, 1)], [])
    assert space.allocate() != number
    space.commit([], [(START + number, 1)], {number: [(START + number, 1)]})
    space.settled({number})
    assert space.allocate() != number
    space.checkpointed()
    assert space.free_blocks == 62


def test_what_the_log_says_comes_on_top_of_the_bitmap() -> None:
    one = table(256, used=((START, 40),))
    space = SpaceMap(
        one, changes=[([(START + 50, 5)], [(START, 3)]), ([], [(1, 9), (START + 255, 9)])]
    )
    assert space.is_used(START + 52) and not space.is_used(START)
    assert space.free_on_disc == 256 - 40 - 5 + 3
    assert START not in blocks(space.take_blocks(space.available_blocks))


@pytest.mark.parametrize("start", [1312, 257, 300])
def test_any_start_of_the_partition(start: int) -> None:
    one = table(1000, start=start)
    space = SpaceMap(one)
    taken = space.take_blocks(1000)
    assert sorted(blocks(taken)) == list(range(start, start + 1000))
    space.commit(taken, [])
    assert not free_in(one) and space.free_on_disc == 0
    space.commit([], [(start, 2), (start + 990, 10)])
    assert len(free_in(one)) == 12
    assert space.live(start - 1) and space.live(start + 1000)


def test_counts_after_anything() -> None:
    chance = random.Random(5)
    one = table(2048)
    space = SpaceMap(one)
    held: list[list[tuple[int, int]]] = []
    for _ in range(2000):
        step = chance.random()
        if step < 0.5:
            try:
                taken = space.take_blocks(chance.randint(1, 90), of=chance.randint(0, 400))
            except NoSpaceError:
                space.checkpointed()
                continue
            if chance.random() < 0.2:
                space.give_back(taken)
            else:
                space.commit(taken, [])
                held.append(taken)
        elif held and step < 0.95:
            space.commit([], held.pop(chance.randrange(len(held))))
        else:
            space.checkpointed()
        used = {block for extents in held for block in blocks(extents)}
        assert space.free_on_disc == space.free_blocks == 2048 - len(used) == one.free
        assert space.fresh_packets == sum(space.is_fresh(START + i) for i in range(0, 2048, PACKET))


def test_hints_lead_back_to_where_things_went() -> None:
    space = SpaceMap(table())
    number = space.allocate()
    taken = space.take_blocks(5)
    space.commit([*taken, (START + number, 1)], [])
    again = SpaceMap(table(used=(*taken, (START + number, 1))), hints=space.hints)
    assert again.allocate() == number + 1
    assert again.take_blocks(3) == [(sum(taken[0]), 3)]


def test_a_nearly_full_disc_is_quick() -> None:
    count = 295_264 // PACKET * PACKET
    one = table(count)
    space = SpaceMap(one)
    taken = space.take_blocks(count - 4000, of=count)
    space.commit(taken, [])
    begun = time.process_time()
    for _ in range(1500):
        space.take_blocks(1)
        space.allocate()
    assert time.process_time() - begun < 1.5
