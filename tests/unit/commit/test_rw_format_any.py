"""Formatting discs of every kind in the virtual burner, the first time and again."""

from __future__ import annotations

import random

import pytest
from support.allocation import examine

from media.drive import Drive
from media.formatting import format_medium
from media.store import BlockStore, RewritableStore, open_store
from media.transport.virtual import VirtualTransport
from media.virtual import Burner, memory_burner
from udffs.commit.format import FormatOptions
from udffs.commit.formatting import format_any
from udffs.errors import AlreadyFormattedError
from udffs.volume import open_volume

MODES = {"cd-r-74": None, "cd-rw-74": "packet", "mrw": "mrw"}


def store_of(burner: Burner) -> BlockStore:
    return open_store(Drive(VirtualTransport(burner), name="test", sleep=lambda _seconds: None))


def made(store: BlockStore, label: str, *, force: bool = False) -> None:
    heard: list[float] = []
    format_any(
        store,
        FormatOptions(label),
        now=10**18,
        random=random.Random(label).randbytes,
        force=force,
        progress=heard.append,
    )
    assert heard == sorted(heard) and heard[-1:] in ([], [1.0])


@pytest.mark.parametrize("kind", MODES)
def test_once_and_again(kind: str) -> None:
    burner = memory_burner(kind)
    mode = MODES[kind]
    if mode is not None:
        drive = Drive(VirtualTransport(burner), name="test", sleep=lambda _seconds: None)
        format_medium(drive, mode, full=False)
    made(store_of(burner), "First")
    before = open_volume(store_of(burner))
    with pytest.raises(AlreadyFormattedError):
        made(store_of(burner), "Second")
    assert open_volume(store_of(burner)).label == "First"
    made(store_of(burner), "Second", force=True)
    after = open_volume(store_of(burner))
    assert after.label == "Second" and after.identity != before.identity
    if mode is not None:
        assert examine(store_of(burner)).complaints == []


def test_what_looks_like_a_disc_of_another_system_is_not_overwritten() -> None:
    burner = memory_burner("cd-rw-74")
    drive = Drive(VirtualTransport(burner), name="test", sleep=lambda _seconds: None)
    format_medium(drive, "packet", full=False)
    store = store_of(burner)
    assert isinstance(store, RewritableStore)
    store.write(16, b"\x01CD001\x01".ljust(2048, b"\0"))
    store.flush()
    with pytest.raises(AlreadyFormattedError):
        made(store_of(burner), "x")
    made(store_of(burner), "x", force=True)
