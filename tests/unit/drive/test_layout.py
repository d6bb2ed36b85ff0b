"""How far a disc is written: from tables to a layout."""

from __future__ import annotations

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


def test_sizes_that_the_drive_tells() -> None:
    assert packet_limit(2 << 20) == 896
    assert packet_limit(64 << 10) == 32
    assert 0 < packet_limit(0) < 256
    assert (link_blocks(()), link_blocks((16, 7)), link_blocks((16,))) == (7, 7, 16)
