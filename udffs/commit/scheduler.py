"""When to commit, and who waits for it.

A commit of what was not yet synced begins when nothing was written for a
while, when the oldest change is old enough, or when enough has gathered; at
once when somebody waits for it. What is on its way to the disc is bounded:
beyond that writers wait, readers never.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from udffs.commit.cycle import CommitCycle
from udffs.commit.namespace import Namespace
from udffs.volume.model import BLOCK

BACKLOG_SECONDS = 30
LEAST_BACKLOG = 64 << 20  # bytes


@dataclass(frozen=True)
class CommitOptions:
    """When commits begin: seconds without writing, seconds since the first
    change, bytes of small files, bytes of all (a checkpoint in a stream).
    ``backlog_bytes`` bounds what waits (None: 30 seconds of drive time)."""

    idle: float = 10.0
    longest: float = 60.0
    small_bytes: int = 16 << 20
    stream_bytes: int = 32 << 20
    backlog_bytes: int | None = None


class Waiter:
    """Somebody who waits until an epoch is on the disc; with ``key`` for one
    inode and all names only."""

    __slots__ = ("key", "target")

    def __init__(self, key: int | None, target: int) -> None:
        self.key = key
        self.target = target


class Scheduler:
    """Runs commits, in a thread of its own once started."""

    def __init__(
        self,
        namespace: Namespace,
        cycle: CommitCycle,
        lock: threading.Condition,
        options: CommitOptions,
        *,
        blocks_per_second: float | None,
        timer: Callable[[], float],
        log: Callable[[str], None],
    ) -> None:
        self._namespace = namespace
        self._cycle = cycle
        self._lock = lock
        self._options = options
        self._timer = timer
        self._log = log
        speed = blocks_per_second or 0
        self._backlog = max(LEAST_BACKLOG, int(speed * BLOCK * BACKLOG_SECONDS))
        if options.backlog_bytes is not None:
            self._backlog = min(self._backlog, options.backlog_bytes)
        self._thread: threading.Thread | None = None
        self._one_at_a_time = threading.Lock()
        self._stopping = False
        self._waiters: list[Waiter] = []
        self._pressed = False  # a writer waits for room
        self._done = namespace.epoch - 1  # the last epoch on the disc
        self._in_flight = 0  # bytes of the commit that is under way
        self._failure: Exception | None = None
        self._first_change: float | None = None
        self._last_change = 0.0

    def start(self) -> None:
        """Commit by itself from now on."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="commit", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Commit what is left and end the thread. Raises the failure of a commit."""
        with self._lock:
            self._stopping = True
            self._lock.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()
        self._commit_all()

    @property
    def failure(self) -> Exception | None:
        """The error that ended writing, if one did."""
        return self._failure

    def check(self) -> None:
        """Raises the error that ended writing, if one did."""
        if self._failure is not None:
            raise self._failure

    def commit_now(self, key: int | None = None) -> None:
        """Return when everything up to now is on the disc; with ``key`` when
        that inode is, and every name: data of other large files may wait."""
        with self._lock:
            self.check()
            if not self._namespace.changed and self._namespace.freezing is None:
                return
            target = self._namespace.epoch
            if not self._namespace.changed:
                target -= 1  # it is on its way already
            if self._thread is not None:
                self._wait(Waiter(key, target))
                return
        self._commit_all()

    def _wait(self, waiter: Waiter) -> None:
        self._waiters.append(waiter)
        self._lock.notify_all()
        try:
            while self._done < waiter.target and self._failure is None:
                self._lock.wait()
        finally:
            self._waiters.remove(waiter)
        self.check()

    def _commit_all(self) -> None:
        """Commit in this thread until nothing is left for another commit."""
        while self._commit_once():
            self.check()
        self.check()

    def _must_yield(self) -> bool:
        """Whether a program waits for less than everything: then large
        files that nobody waits for come later."""
        with self._lock:
            return bool(self._waiters) and all(w.key is not None for w in self._waiters)

    def close_disc(
        self, *, final: bool, bridge: bool, progress: Callable[[float], None] | None
    ) -> list[str]:
        """Write what closing needs. Nothing must be uncommitted."""
        with self._one_at_a_time:
            try:
                return self._cycle.close(final=final, bridge=bridge, progress=progress)
            except Exception as error:
                self._failure = error
                raise

    def finish(self) -> None:
        """Leave the disc as other systems expect it. Nothing must be uncommitted."""
        with self._one_at_a_time:
            self.check()
            try:
                self._cycle.finish()
            except Exception as error:
                self._failure = error
                raise

    def wait_for_room(self, *, streaming: bool = False) -> None:
        """Return when the backlog is small enough for one more change.

        Somebody who streams a large file gets two thirds of it only, so that
        the small saves of others need not wait behind the stream.
        """
        bound = self._backlog * 2 // 3 if streaming else self._backlog
        if not self._too_much(bound):
            return
        if self._thread is None:
            self._commit_once()
            return
        with self._lock:
            while self._too_much(bound):
                self.check()
                self._pressed = True
                self._lock.notify_all()
                self._lock.wait()

    def _too_much(self, bound: int) -> bool:
        space = self._namespace
        return space.dirty_bytes + self._in_flight >= bound or space.crowded

    def may_free_room(self) -> bool:
        """Whether a commit may give back room: what is promised to changes
        is more than they will need."""
        with self._lock:
            return self._namespace.changed or self._namespace.freezing is not None

    def written(self) -> None:
        """Something was written; called under the lock."""
        if self._namespace.dirty_bytes >= self._options.small_bytes and self._enough():
            self._lock.notify_all()

    def status(self) -> dict[str, Any]:
        """What is going on, ready for JSON."""
        return {
            "unsaved_bytes": self._namespace.dirty_bytes + self._in_flight,
            "unsaved": self._namespace.changed or self._namespace.freezing is not None,
            "commits": self._cycle.commits,
            "blocks_written": self._cycle.blocks_written,
            "error": None if self._failure is None else str(self._failure),
        }

    # -- the thread ------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._lock:
                while not self._stopping and not self._due():
                    self._lock.wait(self._patience())
                if self._stopping:
                    return
            self._commit_once()
            if self._failure is not None:
                return

    def _enough(self) -> bool:
        space, options = self._namespace, self._options
        return space.small_bytes >= options.small_bytes or space.dirty_bytes >= options.stream_bytes

    def _due(self) -> bool:
        space = self._namespace
        if not space.changed:
            self._first_change = None
            return False
        now = self._timer()
        if self._first_change is None:
            self._first_change = now
        if space.changes != self._seen_changes:
            self._seen_changes = space.changes
            self._last_change = now
        if self._pressed or self._enough() or any(w.target >= space.epoch for w in self._waiters):
            return True
        idle = now - self._last_change >= self._options.idle
        return idle or now - self._first_change >= self._options.longest

    _seen_changes = -1

    def _patience(self) -> float:
        """Seconds until it is worth looking again."""
        return min(1.0, self._options.idle / 4, self._options.longest / 4)

    def _commit_once(self) -> bool:
        """Commit what there is; whether data was left for the next commit."""
        with self._one_at_a_time:
            with self._lock:
                if self._failure is not None or not self._namespace.changed:
                    self._lock.notify_all()
                    return False
                epoch = self._namespace.epoch
                self._in_flight = self._namespace.dirty_bytes
                self._first_change = None
                self._pressed = False
            deferred: set[int] = set()
            try:
                deferred = self._cycle.run(self._must_yield)
            except Exception as error:
                self._log(f"writing to the disc failed: {error}")
                self._failure = error
            with self._lock:
                self._in_flight = 0
                if self._failure is None:
                    self._postpone(epoch, deferred)
                    self._done = epoch
                self._lock.notify_all()
        return bool(deferred)

    def _postpone(self, epoch: int, deferred: set[int]) -> None:
        """Whoever waits for data that was deferred waits for the next commit."""
        if not deferred:
            return
        for waiter in self._waiters:
            if waiter.target <= epoch and (waiter.key is None or waiter.key in deferred):
                waiter.target = epoch + 1
