"""Permissions, file types, devices, symbolic links."""

from __future__ import annotations

import contextlib
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udffs.errors import InvalidNameError, NameTooLongError, StructureError
from udffs.ondisc import modes, tags
from udffs.ondisc.ecma167 import ExtendedAttributeHeaderDescriptor, PathComponent


@given(st.integers(0, 0o7777))
def test_permissions_come_back(mode: int) -> None:
    assert modes.mode_from_permissions(*modes.permissions_from_mode(mode)) == mode


def test_known_permissions() -> None:
    # rwxr-x--x: the owner may also delete and change attributes
    assert modes.permissions_from_mode(0o751) == (0b11111_00101_00001, 0)
    assert modes.permissions_from_mode(0o6000)[1] == 0xC0
    assert modes.permissions_from_mode(0o1000)[1] == 0x100


@pytest.mark.parametrize(
    ("form", "file_type"),
    [
        (stat.S_IFREG, 5),
        (stat.S_IFDIR, 4),
        (stat.S_IFLNK, 12),
        (stat.S_IFIFO, 9),
        (stat.S_IFSOCK, 10),
        (stat.S_IFCHR, 7),
        (stat.S_IFBLK, 6),
    ],
)
def test_file_types(form: int, file_type: int) -> None:
    assert modes.file_type_from_mode(form | 0o644) == file_type
    assert modes.mode_from_file_type(file_type) == form


@pytest.mark.parametrize("file_type", [1, 13, 248, 250, 251, 252, 99])
def test_system_files_have_no_mode(file_type: int) -> None:
    assert modes.mode_from_file_type(file_type) is None


@given(st.integers(0, 0xFFFFFFFF), st.integers(0, 0xFFFFFFFF))
def test_devices_come_back(major: int, minor: int) -> None:
    data = modes.build_device(major, minor, location=3, version=3)
    assert len(data) % 4 == 0
    assert modes.parse_device(data) == (major, minor)


def test_device_header_points_behind_everything() -> None:
    data = modes.build_device(8, 1, location=3, version=3)
    header = tags.unseal(ExtendedAttributeHeaderDescriptor, data, location=3)
    assert header.implementation_attributes_location == len(data) == 80
    assert header.application_attributes_location == len(data)


def test_no_attributes_no_device() -> None:
    assert modes.parse_device(b"") is None


@given(st.binary(max_size=200))
def test_any_attributes_are_read_or_refused(rest: bytes) -> None:
    header = tags.seal(
        ExtendedAttributeHeaderDescriptor,
        {"implementation_attributes_location": 24, "application_attributes_location": 24},
        location=0,
        version=3,
    )
    with contextlib.suppress(StructureError):
        modes.parse_device(header + rest)


def test_attribute_length_of_zero() -> None:
    """A length that leads nowhere must not be followed for ever."""
    header = modes.build_device(1, 1, location=0, version=3)[:24]
    with pytest.raises(StructureError):
        modes.parse_device(header + bytes(64))


PART = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=60
)
PART = st.one_of(PART, st.sampled_from([".", ".."]))


@given(st.booleans(), st.lists(PART, min_size=1, max_size=8))
def test_links_come_back(absolute: bool, parts: list[str]) -> None:
    target = "/" * absolute + "/".join(parts)
    assert modes.parse_path(modes.build_path(target)) == target


@pytest.mark.parametrize(
    ("target", "back"), [("/", "/"), ("a//b", "a/b"), ("a/", "a/."), ("//a", "/a"), ("///", "/")]
)
def test_slashes_that_say_nothing(target: str, back: str) -> None:
    assert modes.parse_path(modes.build_path(target)) == back


def test_known_link() -> None:
    assert modes.build_path("/../a") == b"\x01\0\0\0\x03\0\0\0\x05\x02\0\0\x08a"


def test_links_that_cannot_be_made() -> None:
    with pytest.raises(InvalidNameError):
        modes.build_path("")
    with pytest.raises(InvalidNameError):
        modes.build_path("a\0b")
    with pytest.raises(NameTooLongError):
        modes.build_path("x" * 255)
    with pytest.raises(NameTooLongError):
        modes.build_path("x/" * 5000)
    assert len(modes.build_path("ā/" * 2047)) <= modes.MAX_PATH_BYTES


def test_link_component_longer_than_the_link() -> None:
    data = bytearray(modes.build_path("a/b"))
    data[1] = 200
    with pytest.raises(StructureError):
        modes.parse_path(bytes(data))


def test_link_component_of_unknown_type() -> None:
    with pytest.raises(StructureError):
        modes.parse_path(PathComponent.build({"component_type": 9}))
    with pytest.raises(StructureError):
        modes.parse_path(PathComponent.build({"component_type": 5}))
    with pytest.raises(StructureError):
        modes.parse_path(b"")


@given(st.binary(max_size=300))
def test_any_bytes_are_a_link_or_refused(data: bytes) -> None:
    with contextlib.suppress(StructureError):
        assert modes.parse_path(data)
