"""A disc with extended file entries and named streams that another system recorded."""

from __future__ import annotations

import os
import random
from pathlib import Path

from support.extended import Hand

from media.virtual import Burner
from udffs.commit.nodes import State
from udffs.filesystem import FileSystem
from udffs.ondisc import hot

from .rig import save
from .rw_rig import formatted, mount, store_of

MOST = hot.MAX_EMBEDDED_EXTENDED
NOISE = random.Random("streams").randbytes(100_000)
FILES = {
    "/small": NOISE[:300],
    "/large": NOISE[:50_000],
    "/full": NOISE[:MOST],
    "/plain": b"plain",
    "/folder/inside": b"inside",
    "/streams/a": NOISE[:20],
    "/streams/b": NOISE[1000:31_000],
    "/streams/c": b"",
    "/more/one": NOISE[7:5000],
}
STREAMS = 20 + 30_000


def fill(fs: FileSystem) -> None:
    for folder in ("/folder", "/streams", "/more"):
        fs.mkdir(folder, 0o755, 0, 0)
    for path, data in FILES.items():
        save(fs, path, data)


def by_hand(burner: Burner, blocks: int | None = None) -> Burner:
    """The files become extended entries, two of them with streams."""
    hand = Hand(store_of(burner, blocks=blocks))
    hand.extend("/small")
    hand.extend("/full")
    hand.give_streams("/large", "/streams", ["a", "b", "c"])
    hand.give_streams("/folder", "/more", ["one"])
    hand.burn()
    return burner


def ours(spool: Path, blocks: int | None = None) -> Burner:
    """Such a disc, formatted by us."""
    burner = formatted(blocks=blocks)
    fs = mount(burner, spool, blocks=blocks)
    fill(fs)
    fs.shutdown()
    return by_hand(burner, blocks)


def write(fs: FileSystem, path: str, data: bytes, offset: int) -> None:
    handle = fs.open(path, os.O_RDWR)
    fs.write(handle, data, offset)
    fs.release(handle)


def state_of(fs: FileSystem, path: str) -> State:
    fs.getattr(path)
    return fs._node(path).state
