"""How far a disc is written: from tables to a layout."""

from __future__ import annotations

import pytest

from media.layout import SessionSpan, layout, link_blocks, packet_limit
from media.mmc import features
from media.state import DiscState, Track

END = 359_849


def disc(status: str, sessions: int = 1, state: str = "empty") -> DiscState:
    return DiscState(features.CD_R, status, state, sessions=sessions, last_possible_lead_out=END)


def track(number: int, session: int, start: int, size: int, **more: object) -> Track:
    fields: dict[str, object] = {"free": 0, "next_writable": None, "last_recorded": None, **more}
    return Track(number, session, start, size, **fields)  # type: ignore[arg-type]


def test_blank() -> None:
    found = layout(disc("blank"), [track(1, 1, 0, END, free=END, next_writable=0)])
    assert found.blank and found.appendable and not found.session_open and not found.needs_repair
    assert (found.next_writable, found.free_blocks, found.capacity) == (0, END, END)
    assert (found.last_block, found.last_certain, found.sessions) == (-1, True, ())


def test_open_session() -> None:
    current = track(1, 1, 0, END, free=END - 264, next_writable=264)
    found = layout(disc("appendable", 1, "incomplete"), [current])
    assert found.session_open and not found.blank
    assert (found.session_start, found.last_block, found.last_certain) == (0, 256, True)
    assert found.sessions == (SessionSpan(0, None),)


def test_closed_and_appendable() -> None:
    tracks = [
        track(1, 1, 0, 1000, last_recorded=997),
        track(2, 2, 12_400, END - 12_400, free=END - 12_400, next_writable=12_400),
    ]
    found = layout(disc("appendable", 2), tracks)
    assert found.appendable and not found.session_open and not found.blank
    assert found.sessions == (SessionSpan(0, 997),)
    assert (found.last_block, found.last_certain) == (997, False)
    assert found.session_start == found.next_writable == 12_400


def test_second_session_after_a_repaired_track() -> None:
    tracks = [
        track(1, 1, 0, 1000),
        track(2, 2, 12_400, 300, last_recorded=12_500),
        track(3, 2, 12_850, END - 12_850, free=END - 12_850, next_writable=12_850),
    ]
    found = layout(disc("appendable", 2, "incomplete"), tracks)
    assert found.session_open and found.session_start == 12_400
    assert found.sessions == (SessionSpan(0, 999), SessionSpan(12_400, None))
    assert (found.last_block, found.last_certain) == (12_500, False)


def test_torn_track() -> None:
    found = layout(disc("appendable", 1, "incomplete"), [track(1, 1, 0, END, free=9)])
    assert found.needs_repair and found.session_open and found.appendable and not found.blank
    assert (found.next_writable, found.free_blocks, found.capacity) == (-1, 0, END)
    assert not found.last_certain


def test_damage_bit_alone_asks_for_repair() -> None:
    current = track(1, 1, 0, END, free=9, next_writable=300, damaged=True)
    assert layout(disc("appendable", 1, "incomplete"), [current]).needs_repair


def test_closed_for_good() -> None:
    tracks = [track(1, 1, 0, 1000), track(2, 2, 12_400, 500)]
    found = layout(disc("complete", 2, "complete"), tracks)
    assert not (found.appendable or found.session_open or found.blank or found.needs_repair)
    assert found.sessions == (SessionSpan(0, 999), SessionSpan(12_400, 12_899))
    assert (found.next_writable, found.free_blocks, found.last_block) == (-1, 0, 12_899)


def data_track(number: int, session: int, start: int, at: int) -> Track:
    return track(number, session, start, END - start, free=END - at, next_writable=at)


def empty(number: int = 1, session: int = 1, start: int = 0, **more: object) -> Track:
    told = {"free": 330, "next_writable": start, "reserved": True, "blank": True, **more}
    return track(number, session, start, 330, **told)


@pytest.mark.parametrize(
    "told",
    [
        {"packets": True},
        {"reserved": False},
        {"blank": False},
        {"next_writable": None},
    ],
)
def test_only_a_reservation(told: dict[str, object]) -> None:
    found = layout(disc("appendable", 1, "incomplete"), [empty(**told), data_track(2, 1, 482, 482)])
    assert found.blank and found.appendable and not found.session_open and not found.needs_repair
    assert (found.session_start, found.next_writable, found.sessions) == (0, 482, ())
    assert (found.last_block, found.last_certain) == (-1, True)
    assert (found.free_blocks, found.capacity) == (END - 482, END)
    assert found.first is not None
    assert found.first[:8] == (1, 0, 330, 0, 330, False, False, True)


def test_a_reservation_and_data_behind_it() -> None:
    tracks = [empty(), data_track(2, 1, 482, 509)]
    found = layout(disc("appendable", 1, "incomplete"), tracks)
    assert found.session_open and not found.blank and found.session_start == 0
    assert found.sessions == (SessionSpan(0, None),)
    assert (found.last_block, found.last_certain) == (501, True)
    assert found.first is not None and found.first.empty


def test_a_reservation_in_a_second_session() -> None:
    tracks = [
        track(1, 1, 0, 1000, last_recorded=997),
        empty(2, 2, 12_400),
        data_track(3, 2, 12_882, 12_882),
    ]
    found = layout(disc("appendable", 2, "incomplete"), tracks)
    assert not found.session_open and not found.blank and found.session_start == 12_400
    assert found.sessions == (SessionSpan(0, 997),)
    assert (found.last_block, found.last_certain) == (997, False)
    assert found.first is not None and (found.first.number, found.first.empty) == (2, True)


@pytest.mark.parametrize(
    ("told", "stands", "last"),
    [
        # next writable, free; (address, free, damaged, complete); last block
        ({"next_writable": 107, "free": 223}, (107, 223, False, False), (99, True)),
        ({"next_writable": None, "free": 0}, (-1, 0, False, True), (329, False)),
        ({"next_writable": 337, "free": 0}, (-1, 0, False, True), (329, True)),
        ({"next_writable": None, "free": 0, "damaged": True}, (-1, 0, True, False), (329, False)),
        ({"next_writable": 9, "free": 321, "damaged": True}, (-1, 0, True, False), (329, False)),
    ],
)
def test_a_first_track_that_has_begun(
    told: dict[str, object], stands: tuple[int, int, bool, bool], last: tuple[int, bool]
) -> None:
    tracks = [empty(blank=False, **told), data_track(2, 1, 482, 482)]
    found = layout(disc("appendable", 1, "incomplete"), tracks)
    assert found.session_open and not found.blank and not found.needs_repair
    assert (found.next_writable, found.sessions) == (482, (SessionSpan(0, None),))
    assert (found.last_block, found.last_certain) == last
    assert found.first is not None and not found.first.empty
    first = found.first
    assert (first.next_writable, first.free, first.damaged, first.complete) == stands


def test_repair_concerns_the_data_track_only() -> None:
    torn = track(2, 1, 482, END - 482, damaged=True)
    found = layout(disc("appendable", 1, "incomplete"), [empty(), torn])
    assert found.needs_repair and found.first is not None and found.first.empty


def test_sizes_that_the_drive_tells() -> None:
    assert packet_limit(2 << 20) == 896
    assert packet_limit(64 << 10) == 32
    assert 0 < packet_limit(0) < 256
    assert (link_blocks(()), link_blocks((16, 7)), link_blocks((16,))) == (7, 7, 16)
