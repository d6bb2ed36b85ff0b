"""A virtual disc, as the command line of udffs makes it and tells of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchlib.contestant import run

BLOCK = 2048
UDFFS = str(Path(sys.executable).parent / "udffs")


def make(image: Path, *, kind: str = "cd-r-80", label: str = "Bench") -> None:
    """A blank disc, formatted."""
    run([UDFFS, "new", image, "--media", kind])
    run([UDFFS, "format", image, "--label", label])


def unmount(where: Path) -> None:
    """Until the disc is safe; it stays open for more."""
    run([UDFFS, "unmount", where, "--leave-open"])


def info(image: Path) -> dict[str, Any]:
    """What ``udffs info --json`` tells."""
    told: dict[str, Any] = json.loads(run([UDFFS, "info", image, "--json"]).output)
    return told


def used_blocks(image: Path) -> int:
    """Blocks up to the last written one; the image ends there."""
    return image.stat().st_size // BLOCK


def drive_seconds(image: Path) -> float | None:
    """What the disc's recording so far would have taken a real drive, if it is told."""
    seconds = info(image).get("drive_seconds")
    return None if seconds is None else float(seconds)
