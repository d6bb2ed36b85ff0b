"""The reserved first track of a session: kept free, filled at the close."""

from __future__ import annotations

from media.store import SequentialStore, SessionSpan
from media.virtual import Burner

from .discs import LINK, blocks, put

SIZE = 330
DATA = 482


def test_from_the_reservation_to_the_close(burner: Burner, store: SequentialStore) -> None:
    store.reserve_track(SIZE)
    assert store.first_track is not None
    assert store.first_track[:8] == (1, 0, SIZE, 0, SIZE, False, False, True)
    assert (store.blank, store.session_open, store.session_start) == (True, False, 0)
    assert (store.next_writable, store.last_block, store.sessions) == (DATA, -1, ())
    put(store, blocks(20))
    assert (store.blank, store.session_open, store.session_start) == (False, True, 0)
    assert (store.next_writable, store.last_block) == (DATA + 20 + LINK, DATA + 19)
    store.fill_first_track(blocks(SIZE, seed=2))
    assert store.first_track.complete
    assert store.last_block == DATA + 19
    store.close_session(final=False)
    assert store.sessions == (SessionSpan(0, DATA + 19),)
    assert store.first_track is None and not store.session_open
    assert store.read(0, SIZE) == blocks(SIZE, seed=2)
    assert store.read(DATA, 20) == blocks(20)
