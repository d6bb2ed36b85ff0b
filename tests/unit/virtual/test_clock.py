"""The drive's own clock: figures that any machine computes alike."""

from __future__ import annotations

import pytest

from media.virtual import Burner, memory_burner

from .hand import Hand


def seconds(speed: int, blocks: int, saves: int = 1) -> float:
    hand = Hand(memory_burner("cd-r-80", speed=speed)).ready()
    began = hand.burner.seconds
    for _ in range(saves):
        block = hand.next
        for part in range(0, blocks, 512):
            hand.write(block + part, bytes(2048 * min(512, blocks - part)))
        hand.sync()
    return hand.burner.seconds - began


@pytest.mark.parametrize("speed", [1, 4, 16, 52])
def test_a_long_write_runs_at_the_speed_of_the_drive(speed: int) -> None:
    blocks = 51_200
    assert seconds(speed, blocks) == pytest.approx(blocks / (75 * speed), rel=0.02)


def test_a_small_save_costs_a_link() -> None:
    assert 0.15 < seconds(16, 20) < 0.4
    assert seconds(16, 20, saves=200) == pytest.approx(200 * seconds(16, 20), rel=0.1)


def test_the_host_waits_for_the_buffer_only() -> None:
    hand = Hand().ready()
    began = hand.burner.seconds
    hand.write(0, 896)
    assert hand.burner.seconds - began < 0.1
    hand.write(896, 4096)
    assert hand.burner.seconds - began > 3


def test_the_clock_is_the_same_every_time() -> None:
    assert seconds(16, 1000, 3) == seconds(16, 1000, 3)


def test_setting_a_lower_speed_is_slower() -> None:
    hand = Hand().ready()
    hand.burner.set_speed(4)
    began = hand.burner.seconds
    hand.write(0, 3000)
    hand.sync()
    assert hand.burner.seconds - began > 10


def test_far_reads_cost_a_seek() -> None:
    hand = Hand().ready()
    for _ in range(20):
        hand.write(hand.next, bytes(2048 * 10_000))
    hand.sync()

    def cost(burner: Burner, block: int) -> float:
        began = burner.seconds
        hand.read(block, 1)
        return burner.seconds - began

    far, same = cost(hand.burner, 0), cost(hand.burner, 1)
    assert far > 0.1 > 0.01 > same
    assert cost(hand.burner, 199_000) > 0.1
