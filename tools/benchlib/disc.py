"""A virtual disc, as the command line of udffs makes it and tells of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchlib.contestant import run
from media import virtual
from media.virtual.burner import BUFFER_BYTES, READ_SPEED
from media.virtual.clock import Clock
from media.virtual.medium import LINK_BLOCKS

BLOCK = 2048
SPEED = 16.0  # times 75 blocks a second
REWRITING_SPEED = 10
TRANSFER_BLOCKS = 32
UDFFS = str(Path(sys.executable).parent / "udffs")


def make(image: Path, *, kind: str = "cd-r-80", label: str = "Bench") -> None:
    """A blank disc, formatted. Without the place of an ISO 9660 view: the lower bound
    is one of UDF alone."""
    run([UDFFS, "new", image, "--media", kind])
    run([UDFFS, "format", image, "--label", label, "--no-bridge"])


def unmount(where: Path) -> dict[str, Any]:
    """Until the disc is safe; a CD-R stays open for more. What the command tells."""
    ended = run([UDFFS, "unmount", where, "--leave-open", "--json"])
    told: dict[str, Any] = json.loads(ended.output)
    return told


def sync(where: Path) -> None:
    """Until everything is on the disc."""
    run([UDFFS, "sync", where])


def used_blocks(image: Path) -> int:
    """Blocks up to the last written one; the image ends there."""
    return image.stat().st_size // BLOCK


def drive_seconds(image: Path, *, after: int) -> float:
    """What recording the packets from block ``after`` on would have taken a real
    drive of 16x, by the virtual burner's model, with a host that never lets it wait."""
    burner = virtual.open_burner(image, writable=False)
    packets = burner.recorder.medium.packets()
    burner.close()
    clock = Clock(SPEED, READ_SPEED, BUFFER_BYTES // BLOCK)
    for start, count in packets:
        if start >= after:
            clock.begin_packet(start)
            for done in range(0, count, TRANSFER_BLOCKS):
                clock.burn(min(TRANSFER_BLOCKS, count - done))
            clock.end_packet(LINK_BLOCKS)
            clock.drain()
    return clock.seconds
