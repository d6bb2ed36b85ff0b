"""Power cuts while fixed packets wait in the drive's buffer."""

from __future__ import annotations

from collections import Counter

import pytest

from media.virtual.faults import Faults, FixedCut

from .hand import BLOCK, Hand, Refused, formatted, pattern, refusal

OLD, NEW = 0, 100_000


def old(block: int, count: int = 32) -> bytes:
    return pattern(OLD + block, count)


def new(block: int, count: int = 32) -> bytes:
    return pattern(NEW + block, count)


def prepared() -> Hand:
    """Four packets that are safe, and newer ones of each in the buffer."""
    hand = formatted()
    hand.write(0, old(0, 128))
    hand.sync()
    for block in (64, 0, 96, 32):
        hand.write(block, new(block))
    return hand


def cut(hand: Hand) -> Hand:
    hand.burner.power_cut()
    hand.ready()
    hand.fixed_packets()
    return hand


def blocks(hand: Hand, start: int) -> str:
    """A packet's blocks: o(ld), n(ew), - (unreadable)."""
    told = ""
    for block in range(start, start + 32):
        try:
            data = hand.read(block)
        except Refused as refused:
            assert (refused.code, refused.sense.information) == ((3, 0x11, 5), block)
            told += "-"
        else:
            told += {old(block, 1): "o", new(block, 1): "n"}[data]
    return told


def test_a_cut_exactly_as_asked_for() -> None:
    hand = prepared()
    hand.burner.faults.fixed_cut = FixedCut(
        burnt=frozenset({96, 0}), torn=32, how="mixed", at=10, unreadable=3
    )
    cut(hand)
    assert blocks(hand, 0) == blocks(hand, 96) == "n" * 32
    assert blocks(hand, 64) == "o" * 32
    assert blocks(hand, 32) == "n" * 10 + "-" * 3 + "o" * 19


@pytest.mark.parametrize(
    ("torn", "expected"),
    [
        (FixedCut(torn=0, how="unreadable"), "-" * 32),
        (FixedCut(torn=0, how="half", at=1), "n" + "o" * 31),
        (FixedCut(torn=0, how="half", at=32), "n" * 32),
        (FixedCut(torn=0, how="mixed", at=0, unreadable=32), "-" * 32),
        (FixedCut(torn=0, how="mixed", at=31, unreadable=4), "n" * 31 + "-"),
        (FixedCut(), "o" * 32),
    ],
)
def test_each_way_to_tear(torn: FixedCut, expected: str) -> None:
    hand = prepared()
    hand.burner.faults.fixed_cut = torn
    cut(hand)
    assert blocks(hand, 0) == expected
    assert blocks(hand, 32) == blocks(hand, 64) == blocks(hand, 96) == "o" * 32
    # A rewrite makes it whole.
    hand.write(0, new(0))
    hand.sync()
    assert blocks(hand, 0) == "n" * 32


def test_what_was_unreadable_before_stays_so_if_it_was_not_burnt() -> None:
    hand = prepared()
    hand.burner.faults.fixed_cut = FixedCut(torn=0, how="mixed", at=8, unreadable=2)
    cut(hand)
    hand.write(0, new(0))
    hand.burner.faults.fixed_cut = FixedCut()
    cut(hand)
    assert blocks(hand, 0) == "n" * 8 + "-" * 2 + "o" * 22
    hand.write(0, new(0))
    hand.burner.faults.fixed_cut = FixedCut(torn=0, how="half", at=9)
    cut(hand)
    assert blocks(hand, 0) == "n" * 9 + "-" + "o" * 22


def test_chance_chooses_among_all_of_it() -> None:
    seen: Counter[str] = Counter()
    base = prepared()
    for seed in range(60):
        hand = Hand(base.burner.branch())
        hand.burner.faults.seed = seed
        cut(hand)
        pictures = [blocks(hand, start) for start in (0, 32, 64, 96)]
        torn = [picture for picture in pictures if len(set(picture)) > 1 or "-" in picture]
        assert len(torn) <= 1
        seen["burnt"] += pictures.count("n" * 32)
        seen["old"] += pictures.count("o" * 32)
        for picture in torn:
            how = "unreadable" if picture == "-" * 32 else "mixed" if "-" in picture else "half"
            seen[how] += 1
    assert min(seen.values()) > 5 and len(seen) == 5


@pytest.mark.parametrize("how", ["unreadable", "mixed", "half"])
def test_chance_with_one_way_to_tear(how: str) -> None:
    base = prepared()
    for seed in range(20):
        hand = Hand(base.burner.branch())
        hand.burner.faults = hand.burner.recorder.faults = Faults(seed=seed, torn=how)  # type: ignore[arg-type]
        cut(hand)
        told = "".join(blocks(hand, start) for start in (0, 32, 64, 96))
        assert told.count("-") == 0 if how == "half" else told.count("-") in (0, 1, 2, 3, 4, 32)


def test_the_same_seed_cuts_alike() -> None:
    base = prepared()
    pictures = []
    for _ in range(2):
        hand = cut(Hand(base.burner.branch()))
        pictures.append([blocks(hand, start) for start in (0, 32, 64, 96)])
    assert pictures[0] == pictures[1]


def test_what_is_synchronized_is_safe() -> None:
    hand = prepared()
    hand.sync()
    cut(hand)
    assert {blocks(hand, start) for start in (0, 32, 64, 96)} == {"n" * 32}


def test_a_reset_burns_the_buffer() -> None:
    hand = prepared()
    hand.burner.reset()
    hand.swallow()
    assert {blocks(hand, start) for start in (0, 32, 64, 96)} == {"n" * 32}


def test_what_no_longer_fits_the_buffer_is_burnt() -> None:
    hand = formatted()
    hand.burner.faults.buffer_packets = 2
    hand.burner.faults.fixed_cut = FixedCut()
    for block in (0, 32, 64):
        hand.write(block, new(block))
    cut(hand)
    assert blocks(hand, 0) == "n" * 32
    assert hand.read(32, 64) == bytes(64 * BLOCK)


def test_taking_the_disc_out_by_force_tears_too() -> None:
    hand = prepared()
    hand.burner.faults.fixed_cut = FixedCut(torn=96, how="unreadable")
    hand.burner.remove()
    hand.burner.insert()
    hand.swallow()
    assert refusal(hand.read, 96) == (3, 0x11, 5)
    assert blocks(hand, 32) == "o" * 32


def test_branches_of_a_disc_in_the_middle_of_writing() -> None:
    hand = prepared()
    other = Hand(hand.burner.branch())
    other.sync()
    hand.burner.faults.fixed_cut = FixedCut(torn=0, how="unreadable")
    cut(hand)
    assert blocks(other, 0) == "n" * 32
    assert blocks(hand, 0) == "-" * 32
