"""Is a burnt session whole? Its directories come first, so they do not tell.

When a burn is stopped, or fails, the session is closed with what there is of it, and
may look like any other: its directories are there, the files behind them are not. So
the block behind an image (which belongs to no view of the disc, and which nobody has to
know) says that all came to be written. A session of ours without it is not shown in
later ones.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING

from construct import ConstructError

from media.errors import UnreadableBlockError
from udffs.ondisc.iso9660 import DESCRIPTOR_PRIMARY, PrimaryVolumeDescriptor

if TYPE_CHECKING:
    from media.drive import Drive
    from media.store import BlockStore, SessionSpan
    from udffs.mastering.verify import Digests

BLOCK = 2048
#: Where a session's volume descriptors begin (ECMA-119 6.2.1)
_DESCRIPTORS = 16
_APPLICATION = b"UDFFS"
_WORDS = b"*** UDFFS: the session that ends before this block was written as a whole ***\n"
_DIGEST = 32


def ending(digests: Digests) -> bytes:
    """The block behind an image: words, and BLAKE2b over the digests of its blocks."""
    return (_WORDS + blake2b(digests.all, digest_size=_DIGEST).digest()).ljust(BLOCK, b"\0")


class Before:
    """A disc as it was before the sessions that are not whole."""

    kind = "read-only"

    def __init__(self, store: BlockStore, sessions: tuple[SessionSpan, ...]) -> None:
        self._store = store
        self.name = store.name
        self.capacity = store.capacity
        self.sessions = sessions
        end = sessions[-1].end if sessions else -1
        self.last_block = store.last_block if end is None else end

    def read(self, block: int, count: int) -> bytes:
        return self._store.read(block, count)

    def close(self) -> None:
        self._store.close()


def without_broken(drive: Drive, store: BlockStore) -> BlockStore:
    """The disc without its last sessions, as far as they are burns that broke off."""
    sessions = store.sessions
    in_packets = [track.start for track in drive.tracks() if track.packets or track.reserved]
    while sessions and _broken(store, sessions[-1], in_packets):
        sessions = sessions[:-1]
    return store if sessions == store.sessions else Before(store, sessions)


def _broken(store: BlockStore, span: SessionSpan, in_packets: list[int]) -> bool:
    if span.end is None or any(span.start <= start <= span.end for start in in_packets):
        return False
    try:
        found = PrimaryVolumeDescriptor.parse(store.read(span.start + _DESCRIPTORS, 1))
    except (ConstructError, UnreadableBlockError):
        return False  # whoever made it: not a session that this can tell
    ours = found.application_identifier.startswith(_APPLICATION)
    if found.volume_descriptor_type != DESCRIPTOR_PRIMARY or not ours:
        return False
    # The size is counted from the session's start, or, as its addresses are, from 0.
    size = found.volume_space_size
    return not any(_ends_before(store, span, block) for block in (span.start + size, size))


def _ends_before(store: BlockStore, span: SessionSpan, block: int) -> bool:
    try:
        return span.start < block <= (span.end or 0) and store.read(block, 1).startswith(_WORDS)
    except UnreadableBlockError:
        return False
