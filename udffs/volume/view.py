"""A rewritable disc as a volume sees it: spared packets, and what waits in the log.

Every address above this is a *home*: the absolute block something would have
if no packet had ever been spared. A packet that was spared lies elsewhere
(UDF 2.2.9); a block whose newest image is in the intent log and not at its
home yet is taken from there.
"""

from __future__ import annotations

from media.store import BlockStore, SessionSpan
from udffs.errors import DamagedError

__all__ = ["RewritableView"]


class RewritableView:
    """A store as a volume on a rewritable disc sees it.

    ``start`` and ``length`` are the partition's, ``packet`` the blocks of a
    packet, all in blocks. ``spared`` maps the home of a packet (its first
    block) to where it lies, ``pending`` home blocks to their newest bytes.
    Both may change while other threads read: whoever writes puts the bytes
    where they belong before it takes them out of ``pending``.
    """

    def __init__(
        self,
        store: BlockStore,
        *,
        start: int = 0,
        length: int = 0,
        packet: int = 32,
        spared: dict[int, int] | None = None,
    ) -> None:
        self.store = store
        self.start = start
        self.length = length
        self.packet = packet
        self.spared: dict[int, int] = spared or {}
        self.pending: dict[int, bytes] = {}

    @property
    def kind(self) -> str:
        return self.store.kind

    @property
    def name(self) -> str:
        return self.store.name

    @property
    def capacity(self) -> int:
        return self.store.capacity

    @property
    def last_block(self) -> int:
        return self.store.last_block

    @property
    def sessions(self) -> tuple[SessionSpan, ...]:
        return self.store.sessions

    def actual(self, block: int) -> int:
        """Where the block with that home lies."""
        if not self.spared:
            return block
        inside = (block - self.start) % self.packet
        moved = self.spared.get(block - inside)
        return block if moved is None else moved + inside

    def read(self, block: int, count: int) -> bytes:
        """``count`` blocks from a home on. Raises UnreadableBlockError, or
        DamagedError for a packet that was spared to a place that is not on the disc."""
        pending = self.pending
        if not self.spared and not pending:
            return self.store.read(block, count)
        if not any(at in pending for at in range(block, block + count)):
            return self._read_home(block, count)
        parts: list[bytes] = []
        at = first = block
        end = block + count
        while at < end:
            image = pending.get(at)
            if image is not None:
                if at > first:
                    parts.append(self._read_home(first, at - first))
                parts.append(image)
                first = at + 1
            at += 1
        if end > first:
            parts.append(self._read_home(first, end - first))
        return b"".join(parts)

    def _read_home(self, block: int, count: int) -> bytes:
        if not self.spared:
            return self.store.read(block, count)
        parts: list[bytes] = []
        for at, number in self.pieces(block, count):
            if at + number > self.store.last_block + 1:
                raise DamagedError(
                    what=f"a packet was spared to block {at}, beyond what was written"
                )
            parts.append(self.store.read(at, number))
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def pieces(self, block: int, count: int) -> list[tuple[int, int]]:
        """Where blocks with those homes lie, as (actual block, count)."""
        found: list[tuple[int, int]] = []
        end = block + count
        while block < end:
            left = self.packet - (block - self.start) % self.packet
            number = min(left, end - block)
            at = self.actual(block)
            if found and found[-1][0] + found[-1][1] == at:
                found[-1] = (found[-1][0], found[-1][1] + number)
            else:
                found.append((at, number))
            block += number
        return found

    def close(self) -> None:
        self.store.close()
