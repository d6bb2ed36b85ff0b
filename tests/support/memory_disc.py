"""A rewritable disc in memory, with packets that cannot be written."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from media.errors import DefectivePacketError, UnreadableBlockError
from media.store import RewritableStore, SessionSpan
from udffs.volume.model import BLOCK

PACKET = 32


class MemoryDisc:
    """As media's RewritableStore, over bytes. `worn` packets cannot be written;
    `dies_after` packets the power fails."""

    kind = "rewritable"
    name = "memory"
    packet_length = PACKET
    writable = True
    verify = False

    def __init__(self, blocks: int, *, spares_by_itself: bool = False) -> None:
        self.data = bytearray(blocks * BLOCK)
        self.capacity = blocks
        self.last_block = blocks - 1
        self.sessions = (SessionSpan(0, blocks - 1),)
        self.spares_by_itself = spares_by_itself
        self.worn: set[int] = set()
        self.gathered: dict[int, bytearray] = {}
        self.order: list[int] = []
        self.dies_after = -1
        self.flushes = 0

    def _at(self, first: int) -> bytearray:
        """A packet as it is or will be."""
        if first not in self.gathered:
            return self.data[first * BLOCK : (first + PACKET) * BLOCK]
        return self.gathered[first]

    def read(self, block: int, count: int) -> bytes:
        if block < 0 or block + count > self.capacity:
            raise UnreadableBlockError(block=block)
        found = bytearray()
        for at in range(block, block + count):
            inside = at % PACKET * BLOCK
            found += self._at(at - at % PACKET)[inside : inside + BLOCK]
        return bytes(found)

    def write(self, block: int, data: bytes | bytearray) -> None:
        assert len(data) % BLOCK == 0 and block * BLOCK + len(data) <= len(self.data)
        for start in range(0, len(data), BLOCK):
            at = block + start // BLOCK
            first = at - at % PACKET
            packet = self.gathered[first] = bytearray(self._at(first))
            packet[(at - first) * BLOCK : (at - first + 1) * BLOCK] = data[start : start + BLOCK]

    def flush(self) -> None:
        for first in sorted(self.gathered):
            if not self.dies_after:
                raise SystemExit("the power failed")
            self.dies_after -= 1
            self.order.append(first)
            if first in self.worn:
                raise DefectivePacketError(block=first)
            self.data[first * BLOCK : (first + PACKET) * BLOCK] = self.gathered.pop(first)
        self.flushes += 1

    def discard(self) -> None:
        self.gathered.clear()

    def relocate(self, old: int, new: int) -> None:
        assert old % PACKET == new % PACKET == 0
        if old in self.gathered:
            self.gathered[new] = self.gathered.pop(old)

    def close(self) -> None:
        pass

    @property
    def store(self) -> RewritableStore:
        """The same, as those see it who want a drive."""
        return cast(RewritableStore, self)

    def save(self, path: Path) -> Path:
        path.write_bytes(self.data)
        return path
