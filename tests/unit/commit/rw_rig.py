"""A burner with a rewritable disc in memory, volumes mounted on it, power cuts.

What :mod:`rig` is for write-once discs. Pictures, clocks and the rest come from
there; every disc that is looked at goes to the allocation checker as well.
"""

from __future__ import annotations

import random
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from support.allocation import Report, examine

from media.drive import Drive
from media.formatting import format_medium
from media.store import RewritableStore, SessionSpan, open_store
from media.transport.virtual import VirtualTransport
from media.virtual import Burner, memory_burner
from media.virtual.faults import Faults, FixedCut
from media.virtual.overwriter import Overwriter
from udffs.commit.format import FormatOptions
from udffs.commit.rewritable.format import LOG_PACKETS, format_rewritable
from udffs.filesystem import FileSystem, MountOptions, open_file_system

from .model import Inode
from .rig import BORN, QUIET, Clock, WatchedTransport

PACKET = 32
KINDS = {"cd-rw-80": "packet", "cd-rw-74": "packet", "mrw": "mrw"}
#: So many blocks of a torn packet are new
TORN_AT = (0, 1, 16, 31)
#: More packets than ever wait: whatever is unsynced can be lost, in any order
ALL_WAIT = 1 << 20


def store_of(
    burner: Burner,
    watch: Callable[[int], None] | None = None,
    *,
    blocks: int | None = None,
    writable: bool = True,
) -> RewritableStore:
    """A store on the disc in a burner; ``blocks``: as if it had no more than that."""
    transport = VirtualTransport(burner) if watch is None else WatchedTransport(burner, watch)
    drive = Drive(transport, name="test", sleep=lambda _seconds: None)
    store = open_store(drive, writable=writable)
    assert isinstance(store, RewritableStore)
    if blocks is not None:
        store.capacity, store.last_block = blocks, blocks - 1
        store.sessions = (SessionSpan(0, blocks - 1),)
    return store


def blank(kind: str) -> Burner:
    """A disc formatted in packets (or as Mt. Rainier), with no volume on it."""
    burner = memory_burner(kind)
    drive = Drive(VirtualTransport(burner), name="test", sleep=lambda _seconds: None)
    format_medium(drive, KINDS[kind], full=False)
    burner.faults.buffer_packets = ALL_WAIT
    return burner


@cache
def _template(revision: int, kind: str, log_packets: int, blocks: int | None) -> Burner:
    burner = blank(kind)
    format_rewritable(
        store_of(burner, blocks=blocks),
        FormatOptions(f"test {revision:x}", revision),
        now=BORN,
        random=random.Random(1).randbytes,
        log_packets=log_packets,
    )
    return burner


def formatted(
    revision: int = 0x0201,
    kind: str = "cd-rw-80",
    *,
    log_packets: int = LOG_PACKETS,
    blocks: int | None = None,
) -> Burner:
    """A disc with an empty volume on it (of that many blocks)."""
    return _template(revision, kind, log_packets, blocks).branch()


def mount(
    burner: Burner,
    spool: Path,
    clock: Callable[[], int] | None = None,
    *,
    options: MountOptions = QUIET,
    watch: Callable[[int], None] | None = None,
    log: Callable[[str], None] = lambda _text: None,
    blocks: int | None = None,
    writable: bool = True,
) -> FileSystem:
    """Mount for writing; without threads, so commits happen on request only."""
    store = store_of(burner, watch, blocks=blocks, writable=writable)
    return open_file_system(store, spool=spool, options=options, clock=clock or Clock(), log=log)


def empty_root() -> Inode:
    """What :func:`formatted` makes."""
    return Inode(stat.S_IFDIR | 0o755, atime=BORN, mtime=BORN, ctime=BORN)


def judged(burner: Burner, *, may_be_open: bool = False, blocks: int | None = None) -> Report:
    """The disc is as it should be, or the test fails."""
    store = store_of(burner.branch(), blocks=blocks, writable=False)
    report = examine(store, may_be_open=may_be_open, exact=True)
    assert not report.complaints, "; ".join(report.complaints)
    return report


def wear(burner: Burner) -> list[int]:
    """How often each packet was rewritten."""
    return list(burner.recorder.medium.wear)


# -- power cuts --------------------------------------------------------------------


class Cut(NamedTuple):
    """A power cut: how many packets that waited were burnt (and whether in the
    order in which they came, or in another), and what became of the next one."""

    burnt: int
    how: str  # "whole": it was not begun; or as Faults.torn
    at: int = 0
    order: int = 0  # 0: as they came, else the seed of another

    def __str__(self) -> str:
        order = "" if not self.order else f" in order {self.order}"
        torn = "" if self.how == "whole" else f", one torn: {self.how} at {self.at}"
        return f"{self.burnt} burnt{order}{torn}"


def cuts(waiting: int, orders: Sequence[int] = (0,)) -> Iterator[Cut]:
    """All that a power cut may do while so many packets wait."""
    for order in orders if waiting > 1 else (0,):
        for burnt in range(waiting + 1):
            yield Cut(burnt, "whole", order=order)
            if burnt == waiting:
                continue
            yield Cut(burnt, "unreadable", order=order)
            for at in TORN_AT:
                yield Cut(burnt, "mixed", at, order)
                yield Cut(burnt, "half", at, order)


def unsynced(burner: Burner) -> list[int]:
    """First blocks of the packets that a power cut may take."""
    recorder = burner.recorder
    assert isinstance(recorder, Overwriter)
    return recorder.unsynced


def cut(burner: Burner, how: Cut) -> Burner:
    """A copy of the disc, as if the power had failed now."""
    branch = burner.branch()
    order = unsynced(branch)
    if how.order:
        random.Random(how.order).shuffle(order)
    branch.faults.fixed_cut = FixedCut(
        burnt=frozenset(order[: how.burnt]),
        torn=None if how.how == "whole" or how.burnt == len(order) else order[how.burnt],
        how="half" if how.how == "whole" else how.how,  # type: ignore[arg-type]
        at=how.at,
        unreadable=3,
    )
    branch.power_cut()
    branch.faults.fixed_cut = None
    return branch


def reset_faults(burner: Burner, **faults: object) -> None:
    """Nothing goes wrong any more but this."""
    burner.faults = burner.recorder.faults = Faults(buffer_packets=ALL_WAIT, **faults)  # type: ignore[arg-type]
