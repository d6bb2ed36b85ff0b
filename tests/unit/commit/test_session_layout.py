"""Where the structures of a session lie, and the last packet of one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udffs.commit.closing import DESCRIPTORS, lay_out
from udffs.commit.session import (
    BRIDGED_BLOCKS,
    OPEN_ANCHOR_AT,
    RESERVED_BLOCKS,
    bridged_layout,
    plain_layout,
    reserved_track,
    session_structures,
)
from udffs.commit.structures import (
    INTEGRITY_BLOCKS,
    SEQUENCE_BLOCKS,
    VolumeDescription,
)
from udffs.ondisc import ecma167, tags
from udffs.volume.anchors import sequence_blocks

BLOCK = 2048
VOLUME = VolumeDescription("Layout", "0123456789abcdefudffs", 0x0201, 529, 300_000, 10**18)


@given(start=st.sampled_from([0, 20_000]), offset=st.integers(RESERVED_BLOCKS, OPEN_ANCHOR_AT))
def test_a_bridged_session_has_its_anchor_at_512_and_nothing_on_top_of_anything(
    start: int, offset: int
) -> None:
    layout = bridged_layout(start, start + offset)
    taken = [layout.anchor]
    for first, blocks in (
        (layout.main, SEQUENCE_BLOCKS),
        (layout.reserve, SEQUENCE_BLOCKS),
        (layout.integrity, INTEGRITY_BLOCKS),
    ):
        taken += range(first, first + blocks)
    assert len(set(taken)) == len(taken) == 2 * SEQUENCE_BLOCKS + INTEGRITY_BLOCKS + 1
    assert layout.anchor == start + OPEN_ANCHOR_AT
    assert min(taken) >= layout.first and max(taken) < layout.end
    assert layout.end - start <= BRIDGED_BLOCKS

    data = session_structures(VOLUME, layout)
    at = (layout.anchor - layout.first) * BLOCK
    anchor = tags.unseal(
        ecma167.AnchorVolumeDescriptorPointer, data[at : at + BLOCK], location=layout.anchor
    )
    assert anchor.main_volume_descriptor_sequence_extent.location == layout.main
    assert anchor.reserve_volume_descriptor_sequence_extent.location == layout.reserve
    for first in (layout.main, layout.reserve):
        blocks = sequence_blocks(first, SEQUENCE_BLOCKS * BLOCK)
        offset_in_packet = (blocks.start - layout.first) * BLOCK
        identifier, _ = tags.unseal_any(
            data[offset_in_packet : offset_in_packet + BLOCK], location=first
        )
        assert identifier == ecma167.TagIdentifier.PRIMARY_VOLUME


def test_a_session_without_a_bridge_is_one_packet_from_its_start_to_the_anchor() -> None:
    layout = plain_layout(700)
    assert not layout.bridged and not layout.in_reserved_track
    assert len(session_structures(VOLUME, layout)) == 257 * BLOCK
    assert plain_layout(0, 600).in_reserved_track


@pytest.mark.parametrize("skip", [0, 10, 17, 256, 257, 300])
def test_what_is_left_of_a_reserved_track_gets_what_belongs_there(skip: int) -> None:
    session = bridged_layout(0, 482).session
    descriptors = [bytes([n]) + b"CD001" + bytes(BLOCK - 6) for n in (1, 2, 255)]
    whole = reserved_track(VOLUME, session, descriptors, skip=0, blocks=RESERVED_BLOCKS)
    part = reserved_track(VOLUME, session, descriptors, skip=skip, blocks=RESERVED_BLOCKS - skip)
    assert part == whole[skip * BLOCK :]
    found = [whole[n * BLOCK + 1 : n * BLOCK + 6] for n in range(16, 23)]
    assert found == [b"CD001"] * 3 + [b"BEA01", b"NSR03", b"TEA01", bytes(5)]


@given(
    start=st.integers(500, 300_000),
    extents=st.lists(st.integers(1, 400), max_size=30),
    vat=st.integers(2, 256),
    bridged=st.booleans(),
)
def test_the_last_packet_has_its_anchor_256_blocks_before_the_last_vat_icb(
    start: int, extents: list[int], vat: int, bridged: bool
) -> None:
    place = lay_out(start, extents, vat, bridged=bridged)
    last = place.vat + vat - 1
    assert place.anchor == last - 256
    taken = [place.anchor, *range(place.vat, last + 1)]
    for first, blocks in zip(place.extents, extents, strict=True):
        taken += range(first, first + blocks)
    if bridged:
        taken += range(place.descriptors, place.descriptors + DESCRIPTORS)
        # Where a close that was broken off looks for them.
        assert place.descriptors in (place.anchor + 1, place.anchor - DESCRIPTORS)
    else:
        assert place.descriptors == -1
    assert len(set(taken)) == len(taken)
    assert min(taken) >= start and max(taken) == last
    wasted = last + 1 - start - len(taken)
    assert wasted <= 256
    if sum(extents) + vat + DESCRIPTORS <= 256:
        assert last + 1 - start == 257, "what fits behind the anchor costs nothing"
