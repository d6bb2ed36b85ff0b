"""The gate: each way a tag can be wrong is refused, in words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udffs.errors import StructureError
from udffs.ondisc import tags
from udffs.ondisc.ecma167 import AnchorVolumeDescriptorPointer, TerminatingDescriptor


def terminating(location: int = 7) -> bytearray:
    return bytearray(tags.seal(TerminatingDescriptor, {}, location=location, version=3))


def test_known_bytes() -> None:
    """An anchor written by hand from the standard (3/10.2, 3/7.2)."""
    data = bytes(terminating(5))
    assert data[:4] == bytes((8, 0, 3, 0))
    assert data[6:8] == bytes(2)
    assert data[8:12] == bytes((0, 0, 496 & 0xFF, 496 >> 8))
    assert data[12:16] == bytes((5, 0, 0, 0))
    assert data[4] == sum(data[:4] + data[5:16]) & 0xFF


@pytest.mark.parametrize(
    ("offset", "words"), [(0, "checksum"), (5, "checksum"), (12, "checksum"), (100, "CRC")]
)
def test_one_changed_byte(offset: int, words: str) -> None:
    data = terminating()
    data[offset] ^= 0x40
    with pytest.raises(StructureError, match=words):
        tags.unseal(TerminatingDescriptor, data, location=7)


def test_wrong_place() -> None:
    with pytest.raises(StructureError, match="belongs to block 7, not to block 8"):
        tags.unseal(TerminatingDescriptor, terminating(), location=8)


def test_wrong_kind() -> None:
    with pytest.raises(StructureError, match="descriptor 2 expected, 8 found"):
        tags.unseal(AnchorVolumeDescriptorPointer, terminating(), location=7)


@pytest.mark.parametrize("version", [0, 1, 4, 0xFFFF])
def test_unknown_version(version: int) -> None:
    data = terminating()
    tags.sign(data, identifier=8, location=7, version=version)
    with pytest.raises(StructureError, match="version"):
        tags.unseal(TerminatingDescriptor, data, location=7)


def test_unknown_kind() -> None:
    data = terminating()
    tags.sign(data, identifier=300, location=7, version=3)
    with pytest.raises(StructureError, match="unknown descriptor 300"):
        tags.unseal_any(data, location=7)


def test_crc_length_beyond_the_block() -> None:
    data = terminating()
    tags.sign(data, identifier=8, location=7, version=3, crc_length=496)
    with pytest.raises(StructureError, match="CRC covers more"):
        tags.unseal(TerminatingDescriptor, data[:511], location=7)


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF), st.integers(0, 3))
def test_relocate_changes_the_place_only(old: int, new: int, before: int) -> None:
    sealed = bytes(terminating(old))
    data = bytearray(bytes(before) + sealed + b"after")
    tags.relocate(data, before, new)
    assert data[:before] + data[before + len(sealed) :] == bytes(before) + b"after"
    assert bytes(data[before : before + len(sealed)]) == bytes(terminating(new))


@given(st.binary(max_size=600))
def test_any_bytes_are_refused(data: bytes) -> None:
    """No luck lets sixteen random bytes through the checksum, the version and the CRC."""
    try:
        tags.unseal_any(data, location=1)
    except StructureError:
        return
    assert tags.check(data, location=1)
