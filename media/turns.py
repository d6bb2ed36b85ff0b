"""Taking turns at a drive: first come, first served."""

from __future__ import annotations

from collections import deque
from threading import Lock


class Turns:
    """A lock that is handed on in the order of asking, and may be let go of by
    another thread than the one that took it.

    A plain lock would let a writer that ends one packet and begins the next
    keep readers out for as long as it likes.
    """

    def __init__(self) -> None:
        self._guard = Lock()
        self._taken = False
        self._queue: deque[Lock] = deque()

    @property
    def waiting(self) -> int:
        """How many stand in the queue."""
        return len(self._queue)

    def take(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            mine = Lock()
            mine.acquire()
            self._queue.append(mine)
        mine.acquire()

    def give(self) -> None:
        with self._guard:
            if self._queue:
                self._queue.popleft().release()
            else:
                self._taken = False

    def __enter__(self) -> Turns:
        self.take()
        return self

    def __exit__(self, *exc: object) -> None:
        self.give()
