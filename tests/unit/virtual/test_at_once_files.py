"""Discs in files: what a kill leaves of a recording in one go."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from media.burning import cue_sheet
from media.mmc import commands as c
from media.virtual import create, open_burner
from media.virtual import state as state_file
from media.virtual.storage import BLOCK

from .hand import Hand, pattern
from .test_session_at_once import at_once as session_page
from .test_session_at_once import cue, put, write_session
from .test_track_at_once import at_once as track_page


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    path = tmp_path / "disc.img"
    create(path, "cd-r-80")
    return path


def opened(path: Path, **fields: Any) -> Hand:
    hand = Hand(open_burner(path, **fields))
    hand.swallow()
    return hand


def killed(path: Path) -> Path:
    """The files as they are now, as a kill of their process would leave them."""
    copy = path.with_name(f"{path.name}.killed")
    shutil.copy(path, copy)
    shutil.copy(state_file.state_path(path), state_file.state_path(copy))
    return copy


def reopened(path: Path) -> Hand:
    """Read-only and then for writing: both see the same disc, and the second time too."""
    copy = killed(path)
    hand = opened(copy, writable=False)
    seen = hand.burner.medium.snapshot()
    hand.burner.close()
    for _ in range(2):
        hand = opened(copy)
        assert hand.burner.medium.snapshot() == seen
        hand.burner.close()
    return opened(copy)


def session(hand: Hand, first: bool) -> int:
    """Where the next session begins: behind another one unless it is to be the first."""
    if first:
        return 0
    track_page(hand)
    hand.save(300)
    hand.close_session()
    return 11_702


@pytest.mark.parametrize("first", [True, False])
def test_a_track_that_was_killed_is_torn(disc: Path, first: bool) -> None:
    hand = opened(disc)
    start = session(hand, first)
    track_page(hand)
    sessions = 1 if first else 2
    hand.write(start, 100)
    for block in range(start + 100, start + 400, 100):
        hand.write(block, 100)
        after = reopened(disc)
        track = after.track()
        assert (track.damage, track.next_writable_address_valid) == (1, 0)
        assert after.read(start, block + 100 - start) == pattern(start, block + 100 - start)
        after.send(c.RepairTrack, logical_track_number=sessions)
        track_page(after)
        after.close_track()
        after.close_session()
        assert after.save(300) == block + 100 + 2 + (11_400 if first else 6_900)
        if not first:
            assert after.read(0, 300) == pattern(0, 300)
        after.burner.close()
    hand.sync()
    after = reopened(disc)
    assert after.track(sessions).logical_track_size == 402
    assert after.disc().state_of_last_session == 1
    track_page(after)
    after.close_session()
    assert after.disc().number_of_sessions_lsb == sessions + 1


def test_a_track_of_which_nothing_was_burnt(disc: Path) -> None:
    hand = opened(disc)
    track_page(hand)
    hand.write(0, 10)
    copy = killed(disc)
    os.truncate(copy, 0)
    after = opened(copy)
    assert (after.disc().disc_status, after.next) == (0, 0)
    track_page(after)
    assert after.save(300) == 0


@pytest.mark.parametrize("first", [True, False])
def test_a_session_that_was_killed_is_lost(disc: Path, first: bool) -> None:
    hand = opened(disc)
    start = session(hand, first)
    session_page(hand)
    cue(hand, cue_sheet(1 if first else 2, start, start + 500))
    after = reopened(disc)
    assert after.disc().disc_status == (0 if first else 1)  # a cue sheet is no recording
    after.burner.close()
    put(hand, start - 150, 150)
    for block in (start, start + 250):
        after = reopened(disc)
        found = after.disc()
        assert (found.disc_status, found.state_of_last_session) == (2, 2)
        readable = 0 if first else 300
        if readable:
            assert after.read(0, readable) == pattern(0, readable)
        after.burner.close()
        put(hand, block, 250)
    after = reopened(disc)  # it had all of its data, and went on by itself
    assert after.disc().number_of_sessions_lsb == (2 if first else 3)
    assert after.read(start, 500) == pattern(start, 500)
    after.burner.close()
    hand.sync()
    assert reopened(disc).read(start, 500) == pattern(start, 500)


def test_the_image_of_a_lost_session_is_cut(disc: Path) -> None:
    hand = opened(disc)
    start = session(hand, first=False)
    session_page(hand)
    cue(hand, cue_sheet(2, start, start + 500))
    put(hand, start - 150, 150)
    put(hand, start, 100)
    assert disc.stat().st_size == (start + 100) * BLOCK
    hand.burner.close()
    assert disc.stat().st_size == 300 * BLOCK
    after = opened(disc)
    assert after.read(0, 300) == pattern(0, 300)
    assert after.disc().state_of_last_session == 2


def test_a_short_history_says_the_same(disc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = opened(disc)
    track_page(hand)
    hand.write(0, 400)
    copy = killed(disc)
    monkeypatch.setattr(state_file, "LONG_HISTORY", 0)
    after = opened(copy)
    assert after.track().damage
    after.send(c.RepairTrack, logical_track_number=1)
    track_page(after)
    after.close_track()
    after.close_session()
    session_page(after)
    cue(after, cue_sheet(2, 11_802, 11_802 + 300))
    write_session(after, 11_802, 300)
    after.sync()
    seen = after.burner.medium.snapshot()
    after.burner.close()
    for _ in range(2):
        after = opened(copy)
        assert after.burner.medium.snapshot() == seen
        assert after.track(1).packet == 0
        after.burner.close()


def test_a_program_that_ends_in_the_middle(disc: Path) -> None:
    hand = opened(disc)
    track_page(hand)
    hand.write(0, 400)
    hand.burner.close()
    assert opened(disc).track().damage
