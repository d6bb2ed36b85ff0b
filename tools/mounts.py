"""Is something mounted there? Asked of the kernel's table, because a mount
whose program has died answers no other question."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path


def is_mounted(where: Path) -> bool:
    """Whether ``where`` is a mount point, dead or alive."""
    table = Path("/proc/self/mountinfo").read_text()
    places = (line.split()[4] for line in table.splitlines())
    return str(where) in (re.sub(r"\\(\d{3})", _octal, place) for place in places)


def _octal(found: re.Match[str]) -> str:
    return chr(int(found[1], 8))


def let_go(where: Path) -> bool:
    """Takes away what is mounted there, at once; whether nothing is any more."""
    if is_mounted(where):
        subprocess.run(["fusermount", "-u", "-z", where], capture_output=True, check=False)
    return not is_mounted(where)
