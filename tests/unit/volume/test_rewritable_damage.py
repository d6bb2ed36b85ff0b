"""Damage at random on a rewritable disc of ours: it works, or says in words why not."""

from __future__ import annotations

import time
from functools import cache
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from support.memory_disc import MemoryDisc

from media.errors import UnreadableBlockError
from udffs.commit.format import FormatOptions
from udffs.commit.rewritable import adopt
from udffs.commit.rewritable.format import format_rewritable
from udffs.errors import DiscError
from udffs.volume import open_volume

from . import discs
from .test_random_damage import INTERESTING, all_of

BLOCKS = 10_240


@cache
def formatted() -> dict[int, bytes]:
    """The blocks of an empty volume, two packets of it spared."""
    disc = MemoryDisc(BLOCKS)
    format_rewritable(
        disc.store,
        FormatOptions("Damaged"),
        now=discs.NOW,
        random=Random(1).randbytes,
        bad_packets=(5120, 6400),
    )
    return {block: disc.read(block, 1) for block in range(BLOCKS)}


@cache
def descriptors() -> list[int]:
    return sorted(block for block, data in formatted().items() if any(data) and block > 31)


@given(st.data())
@settings(max_examples=250)
def test_random_damage_on_a_rewritable_disc(data: st.DataObject) -> None:
    store = discs.MemoryStore(formatted())
    for _ in range(data.draw(st.integers(1, 4))):
        block = data.draw(st.sampled_from(descriptors()))
        offset = data.draw(st.integers(6, 512))
        piece = data.draw(st.one_of(INTERESTING, st.binary(min_size=1, max_size=8)))
        old = store.blocks[block]
        spoilt = old[:offset] + piece + old[offset + len(piece) :]
        store.blocks[block] = discs.resign(spoilt) if data.draw(st.booleans()) else spoilt
    began = time.monotonic()
    try:
        volume = open_volume(store)
        all_of(volume)
        assert adopt.why_not(volume) != ""
        adopt.choose_log(volume.space())
        for entry in volume.entries(volume.inode(volume.root_key)):
            volume.allocated(entry.key)
        adopt.is_held(volume, (5120,))
    except (DiscError, UnreadableBlockError) as error:
        assert str(error)
    assert time.monotonic() - began < 5
