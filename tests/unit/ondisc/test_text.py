"""Names and labels: nothing is lost, and no bytes of a disc can hurt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udffs.errors import InvalidNameError, LabelError, NameTooLongError
from udffs.ondisc import text

CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="/\0")
NAMES = st.text(CHARACTERS, min_size=1).filter(lambda one: one not in (".", ".."))


@given(NAMES)
def test_names_come_back(name: str) -> None:
    try:
        data = text.encode_name(name)
    except NameTooLongError:
        wide = any(ord(character) > 0xFF for character in name)
        assert len(name.encode("utf-16-be")) // (1 if wide else 2) > 254
        return
    assert len(data) <= text.MAX_NAME_BYTES
    assert text.decode_name(data) == name


@given(st.binary(max_size=300))
def test_any_bytes_make_a_usable_name(data: bytes) -> None:
    name = text.decode_name(data)
    assert name not in ("", ".", "..")
    assert "/" not in name and "\0" not in name
    name.encode("utf-8")


@given(st.binary(max_size=255), st.binary(max_size=255))
def test_changed_names_stay_apart(one: bytes, two: bytes) -> None:
    """Two narrow names that differ never look the same unless they were changed."""
    first, second = text.decode_name(b"\x08" + one), text.decode_name(b"\x08" + two)
    if one != two and "#" not in first + second:
        assert first != second


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_dstrings_come_back(value: str) -> None:
    try:
        data = text.encode_dstring(value, 128)
    except LabelError:
        assert len(text.encode_cs0(value)) > 127
        return
    assert len(data) == 128
    assert text.decode_dstring(data) == value


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_cut_dstrings_are_a_beginning(value: str) -> None:
    data = text.encode_dstring(value, 32, truncate=True)
    assert len(data) == 32
    assert value.startswith(text.decode_dstring(data))


@given(st.binary(max_size=130))
def test_any_bytes_make_a_text(data: bytes) -> None:
    text.decode_dstring(data)


def test_narrow_and_wide() -> None:
    assert text.encode_name("Grüße") == b"\x08Gr\xfc\xdfe"
    assert text.encode_name("中") == b"\x10\x4e\x2d"
    assert text.encode_name("😀") == b"\x10\xd8\x3d\xde\x00"
    assert text.encode_dstring("", 32) == bytes(32)
    assert text.encode_dstring("ab", 8) == b"\x08ab\0\0\0\0\x03"


def test_longest_names() -> None:
    assert len(text.encode_name("x" * 254)) == 255
    assert len(text.encode_name("中" * 127)) == 255
    for name in ("x" * 255, "中" * 128, "😀" * 64):
        with pytest.raises(NameTooLongError):
            text.encode_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\0b", "\udc80"])
def test_names_that_no_directory_can_hold(name: str) -> None:
    with pytest.raises(InvalidNameError):
        text.encode_name(name)


def test_names_of_others_that_cannot_be_used_here() -> None:
    assert text.decode_name(b"\x08a/b").startswith("a_b#")
    assert text.decode_name(b"\x08..").startswith("..#")
    assert text.decode_name(b"\x08").startswith("#")
    assert text.decode_name(b"\x10\xd8\x00").startswith("\ufffd#")
    assert text.decode_name(b"\x63abc").startswith("\ufffd#")


def test_a_replacement_character_of_its_own_is_kept() -> None:
    name = "odd \ufffd name"
    assert text.decode_name(text.encode_name(name)) == name


@pytest.mark.parametrize("label", ["", "   ", "a\nb", "x" * 127, "中" * 64, "\udc80"])
def test_labels_that_do_not_fit(label: str) -> None:
    with pytest.raises(LabelError):
        text.encode_label(label)


def test_longest_labels() -> None:
    assert text.decode_dstring(text.encode_label("x" * 126)) == "x" * 126
    assert text.decode_dstring(text.encode_label("中" * 63)) == "中" * 63
