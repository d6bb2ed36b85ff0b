"""Blocks out of a store, in pieces that may be missing.

All reading of a volume goes through here: a block that cannot be read is
either an error (`block`) or a gap (`readable`, `backwards`).
"""

from __future__ import annotations

from collections.abc import Iterator

from media.errors import UnreadableBlockError
from media.store import BlockStore
from udffs.errors import DamagedError
from udffs.volume.model import BLOCK

__all__ = ["Source"]

_FIRST_STEP = 4
_LARGEST_STEP = 512
"""Blocks of one read when searching backwards."""


class Source:
    """A store as the volume reader sees it; addresses are absolute blocks."""

    def __init__(self, store: BlockStore) -> None:
        self.store = store

    @property
    def end(self) -> int:
        """The first block that was never written; it moves on with every commit."""
        return self.store.last_block + 1

    def blocks(self, block: int, count: int) -> bytes:
        """`count` whole blocks.

        Raises DamagedError for blocks that are not on the disc,
        UnreadableBlockError for those that cannot be read.
        """
        if block < 0 or block + count > self.end:
            raise DamagedError(what=f"something refers to block {block}, beyond what was written")
        return self.store.read(block, count)

    def block(self, block: int) -> bytes:
        """One block; raises as `blocks`."""
        return self.blocks(block, 1)

    def try_block(self, block: int) -> bytes | None:
        """One block, None if it cannot be read."""
        if not 0 <= block < self.end:
            return None
        try:
            return self.store.read(block, 1)
        except UnreadableBlockError:
            return None

    def readable(
        self, start: int, end: int, *, descending: bool = False
    ) -> Iterator[tuple[int, bytes]]:
        """The readable pieces of blocks start to end - 1, in order, read as they are asked for.

        Yields (first block, data). Bounded: each failed read leaves out a block.
        """
        left = [(max(start, 0), min(end, self.end))]
        while left:
            first, after = left.pop()
            if first >= after:
                continue
            try:
                data = self.store.read(first, after - first)
            except UnreadableBlockError as error:
                bad = error.block if first <= error.block < after else first
                # The middle keeps a search from the end off the gaps further down.
                middle = max(bad + 1, (first + after) // 2) if descending else after
                parts = [(first, bad), (bad + 1, middle), (middle, after)]
                left += parts if descending else reversed(parts)
            else:
                yield first, data

    def backwards(self, first: int, last: int) -> Iterator[tuple[int, bytes]]:
        """Blocks from `last` down to `first`, the unreadable ones left out.

        Yields (block, data), one block each; reads in growing steps.
        """
        step = _FIRST_STEP
        end = min(last + 1, self.end)
        while end > first:
            start = max(first, end - step)
            for at, data in self.readable(start, end, descending=True):
                for index in reversed(range(len(data) // BLOCK)):
                    yield at + index, data[index * BLOCK : (index + 1) * BLOCK]
            end = start
            step = min(step * 4, _LARGEST_STEP)
