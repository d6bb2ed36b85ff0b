"""A disc in a drive, and data for it."""

from __future__ import annotations

import random

from media.drive import BLOCK, Drive
from media.store import SequentialStore, open_store
from media.transport.virtual import VirtualTransport
from media.virtual import Burner

LINK = 7


def blocks(count: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(count * BLOCK)


def attach(burner: Burner, *, writable: bool = True) -> SequentialStore:
    """As after plugging in: a new drive and store over the burner as it is."""
    drive = Drive(VirtualTransport(burner), name="disc.img", sleep=lambda seconds: None)
    return open_store(drive, writable=writable)


def put(store: SequentialStore, data: bytes) -> int:
    """One packet at the next writable address; where it began."""
    start = store.next_writable
    store.write(start, data)
    store.flush()
    return start
