"""Addresses on a CD: logical blocks and minute:second:frame (MMC-6 4.2.3.4)."""

from __future__ import annotations

#: Frames (= blocks) before logical block 0: the two seconds of the first pre-gap.
PREGAP = 150
FRAMES_PER_SECOND = 75
SECONDS_PER_MINUTE = 60


def to_msf(block: int) -> tuple[int, int, int]:
    """Logical block -> (minute, second, frame) of its absolute time.

    Blocks below -150, which lie in the lead-in, count back from 100 minutes.
    """
    frames = block + PREGAP
    if frames < 0:
        frames += 100 * SECONDS_PER_MINUTE * FRAMES_PER_SECOND
    seconds, frame = divmod(frames, FRAMES_PER_SECOND)
    minute, second = divmod(seconds, SECONDS_PER_MINUTE)
    return minute, second, frame


def from_msf(minute: int, second: int, frame: int) -> int:
    """(minute, second, frame) -> logical block; from 90 minutes on, in the lead-in."""
    frames = (minute * SECONDS_PER_MINUTE + second) * FRAMES_PER_SECOND + frame
    if minute >= 90:
        frames -= 100 * SECONDS_PER_MINUTE * FRAMES_PER_SECOND
    return frames - PREGAP
