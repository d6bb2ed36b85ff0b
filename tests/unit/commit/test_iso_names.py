"""Names for ISO 9660 and Joliet: allowed, unique, the same every time."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udffs.commit.bridge import names
from udffs.commit.bridge.names import iso_names, joliet_names, rock_ridge_name

NAME = st.text(
    st.one_of(
        st.sampled_from("aAbB.1_ ;:*?ß"),
        st.characters(exclude_categories=["Cs"], exclude_characters="/\0"),
    ),
    min_size=1,
    max_size=200,
).filter(lambda name: name not in (".", ".."))
repeatable = settings(derandomize=True, deadline=None)

ENTRIES = st.dictionaries(NAME, st.booleans(), max_size=30)


@repeatable
@given(ENTRIES)
def test_iso_names_are_allowed_and_unique(entries: dict[str, bool]) -> None:
    given_names = iso_names(list(entries), list(entries.values()))
    # A reader that shows no dot without an extension must not see a name twice.
    assert len({name.removesuffix(".") for name in given_names}) == len(entries)
    for name, directory in zip(given_names, entries.values(), strict=True):
        if directory:
            assert re.fullmatch(r"[A-Z0-9_]{1,31}", name)
        else:
            assert re.fullmatch(r"[A-Z0-9_]+\.[A-Z0-9_]*", name)
            assert len(name) <= 31


@repeatable
@given(ENTRIES)
def test_joliet_names_are_allowed_and_unique(entries: dict[str, bool]) -> None:
    given_names = joliet_names(list(entries), list(entries.values()))
    assert len({name.upper() for name in given_names}) == len(entries)
    capitals = Counter(real.upper() for real in entries)
    for name, real in zip(given_names, entries, strict=True):
        assert 1 <= len(name) <= 64
        assert not name.endswith((".", " "))
        assert len(name.encode("utf-16-be")) == 2 * len(name)
        assert not re.search(r"[\x00-\x1f*/:;?\\]", name)
        odd = re.search("[\x00-\x1f\x7f*:;?\\\\\U00010000-\U0010ffff]|[. ]$", real)
        if len(real) <= 64 and not odd and capitals[real.upper()] == 1:
            assert name == real, "a name was changed without need"


@repeatable
@given(ENTRIES, st.integers())
def test_names_do_not_depend_on_the_order(entries: dict[str, bool], seed: int) -> None:
    shuffled = list(entries)
    random.Random(seed).shuffle(shuffled)
    for mapped in (iso_names, joliet_names):
        once = dict(zip(entries, mapped(list(entries), list(entries.values())), strict=True))
        kinds = [entries[name] for name in shuffled]
        assert once == dict(zip(shuffled, mapped(shuffled, kinds), strict=True))


@pytest.mark.parametrize(
    ("name", "iso", "joliet"),
    [
        ("readme.txt", "README.TXT", "readme.txt"),
        ("archive.tar.gz", "ARCHIVE_TAR.GZ", "archive.tar.gz"),
        ("noextension", "NOEXTENSION.", "noextension"),
        (".profile", "_PROFILE.", ".profile"),
        ("ends in a dot.", "ENDS_IN_A_DOT.", "ends in a dot_"),
        ("ends in blanks. ", "ENDS_IN_BLANKS._", "ends in blanks__"),
        ("n" * 63 + " and more", "N" * 30 + ".", "n" * 63 + "_"),
        ("12:30 \U0001f600.jpeg", "12_30__.JPEG", "12_30 _.jpeg"),
        ("Mr. Smith goes to Washington", "MR__SMITH_GOES_TO_WASHINGTON.", None),
        ("n" * 80 + ".jpeg", "N" * 26 + ".JPEG", "n" * 59 + ".jpeg"),
        ("ß.txt", "SS.TXT", "ß.txt"),
    ],
)
def test_one_file(name: str, iso: str, joliet: str | None) -> None:
    assert iso_names([name], [False]) == [iso]
    assert joliet_names([name], [False]) == [joliet or name]


def test_names_that_get_the_same_keep_their_extension() -> None:
    long = ["n" * 70 + f"{letter}.jpeg" for letter in "cab"]
    assert joliet_names(long, [False] * 3) == [
        "n" * 58 + "2.jpeg",
        "n" * 59 + ".jpeg",
        "n" * 58 + "1.jpeg",
    ]
    assert iso_names(["A.x", "a.X", "a.x"], [False] * 3) == ["A.X", "A1.X", "A2.X"]


def test_what_needs_no_change_keeps_its_name() -> None:
    assert joliet_names(["a:b", "a*b", "a_b"], [False] * 3) == ["a_b2", "a_b1", "a_b"]
    assert iso_names(["!", "_"], [True, True]) == ["_1", "_"]


def test_a_file_and_a_directory_differ_in_more_than_the_dot() -> None:
    assert iso_names(["data", "DATA"], [False, True]) == ["DATA1.", "DATA"]


def test_no_joliet_names_that_are_the_same_to_windows_and_linux() -> None:
    """Case and dots at the end do not tell files apart there: one would be opened for
    the other."""
    names = ["makefile", "Makefile", "MAKEFILE", "dots", "dots.", "dots. .", "Ünder", "ünder"]
    given_names = joliet_names(names, [False] * 6 + [True] * 2)
    assert given_names[:3] == ["makefile02", "Makefile01", "MAKEFILE"]
    assert given_names[3:6] == ["dots", "dots_", "dots___"]
    assert given_names[6:] == ["Ünder", "ünder01"]


def test_many_names_that_get_the_same_take_few_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stems that differ only behind what fits share one count."""

    class Counting(set[str]):
        asked = 0

        def __contains__(self, name: object) -> bool:
            Counting.asked += 1
            return super().__contains__(name)

    monkeypatch.setattr(names, "set", Counting, raising=False)
    pairs = [f"{'x' * 24}{number:06}{letter}" for number in range(3000) for letter in "aA"]
    assert len(set(iso_names(pairs, [False] * len(pairs)))) == len(pairs)
    assert Counting.asked < 4 * len(pairs)


@repeatable
@given(st.text(st.sampled_from("aé中\U0001f600."), min_size=1, max_size=300))
def test_rock_ridge_names(name: str) -> None:
    short = rock_ridge_name(name)
    assert len(short.encode()) <= 255
    assert (short == name) == (len(name.encode()) <= 255)


def test_long_rock_ridge_names_differ_and_keep_their_extension() -> None:
    first, second = (rock_ridge_name("é" * 200 + end + ".jpeg") for end in "ab")
    assert first != second
    assert first.endswith(".jpeg")
    assert first.startswith("é" * 100)
