"""``python faulty_mount.py FILE WORDS...``: the command ``udffs WORDS``, with a
burner that misbehaves as soon as FILE says how ("remove": the disc is taken
out). FILE is deleted once that is done."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import Any

from media import discovery
from media.transport import virtual
from udffs.cli.app import run

burners: list[Any] = []


class Watched(virtual.VirtualTransport):
    def __init__(self, burner: Any) -> None:
        super().__init__(burner)
        burners.append(burner)


def watch(order: Path) -> None:
    while True:
        time.sleep(0.02)
        if order.exists() and (word := order.read_text()):
            for burner in burners:
                getattr(burner, word)()
            order.unlink()


if __name__ == "__main__":
    discovery.VirtualTransport = Watched  # type: ignore[misc]
    threading.Thread(target=watch, args=(Path(sys.argv[1]),), daemon=True).start()
    sys.exit(run(sys.argv[2:]))
