"""Damage at random under valid tags: the volume works, or says in words why not."""

from __future__ import annotations

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from media.errors import UnreadableBlockError
from udffs.errors import DiscError
from udffs.ondisc import modes
from udffs.volume import Inode, Volume, open_volume

from . import discs

DESCRIPTORS = sorted(
    block
    for block, data in discs.vat_disc().blocks.items()
    if any(data[:16]) and not 16 <= block < 32 and not discs.AT_DATA <= block < discs.AT_VAT
)
INTERESTING = st.sampled_from(
    [bytes((value,)) * size for value in (0, 1, 0x7F, 0x80, 0xFF) for size in (1, 2, 4, 8)]
)
CHANGE = st.tuples(
    st.sampled_from(DESCRIPTORS),
    st.integers(6, 512),
    st.one_of(INTERESTING, st.binary(min_size=1, max_size=8)),
    st.booleans(),
)


def all_of(volume: Volume) -> None:
    """Use whatever can be reached, some steps deep."""
    todo, seen = [(volume.root_key, 0)], 0
    while todo and seen < 20:
        key, depth = todo.pop()
        seen += 1
        try:
            inode: Inode = volume.inode(key)
            volume.read(inode, 0, 1 << 20)
            if inode.file_type == modes.FileType.DIRECTORY and depth < 3:
                volume.parent_key(inode)
                todo += [(entry.key, depth + 1) for entry in volume.entries(inode)]
            elif inode.file_type == modes.FileType.SYMLINK:
                volume.readlink(inode)
        except (DiscError, UnreadableBlockError) as error:
            assert str(error)


@given(st.lists(CHANGE, min_size=1, max_size=4), st.sampled_from(["vat", "150", "sparable"]))
@settings(max_examples=400)
def test_random_damage_under_valid_tags(
    changes: list[tuple[int, int, bytes, bool]], kind: str
) -> None:
    if kind == "sparable":
        store = discs.sparable_disc({64: discs.SPARE})
    else:
        store = discs.vat_disc(revision=0x0150 if kind == "150" else 0x0201)
    for block, offset, data, resign in changes:
        if block not in store.blocks:
            continue
        old = store.blocks[block]
        spoilt = old[:offset] + data + old[offset + len(data) :]
        store.blocks[block] = discs.resign(spoilt) if resign else spoilt
    began = time.monotonic()
    try:
        volume = open_volume(store)
    except DiscError as error:
        assert str(error)
    else:
        all_of(volume)
        list(volume.history())
    assert time.monotonic() - began < 5
