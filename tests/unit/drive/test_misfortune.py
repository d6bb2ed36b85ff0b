"""Whatever goes wrong, what was flushed stays: seeded runs of mixed misfortunes.

The writer here behaves as a commit does: after AddressMovedError it goes on at
the new address, after PacketLostError it writes everything again that was not
yet flushed, after a power cut it opens the disc anew. A failure names its seed.
"""

from __future__ import annotations

import contextlib
import random

import pytest

from media import errors
from media.drive import BLOCK
from media.store import SequentialStore
from media.virtual import Burner, memory_burner

from .discs import attach


class Writer:
    """Writes random pieces in packets and remembers what must be readable."""

    def __init__(self, burner: Burner, chance: random.Random) -> None:
        self.burner = burner
        self.chance = chance
        self.store = attach(burner)
        self.durable: dict[int, bytes] = {}

    def commit(self, pieces: list[bytes]) -> None:
        """Until all pieces are flushed, whatever happens."""
        for _ in range(50):
            placed: dict[int, bytes] = {}
            try:
                self._place(pieces, placed)
            except errors.PacketLostError:
                continue
            self.durable.update(placed)
            return
        raise AssertionError("fifty attempts were not enough")

    def _place(self, pieces: list[bytes], placed: dict[int, bytes]) -> None:
        block = self.store.next_writable
        for piece in pieces:
            while True:
                try:
                    self.store.write(block, piece)
                    break
                except errors.AddressMovedError as moved:
                    block = moved.next_writable
            placed[block] = piece
            block += len(piece) // BLOCK
        self.store.flush()

    def cut(self) -> None:
        """Pull the plug in the middle of a packet, or between two."""
        if self.chance.random() < 0.7:
            with contextlib.suppress(errors.AddressMovedError, errors.PacketLostError):
                self.store.write(self.store.next_writable, self.piece(200))
        self.burner.power_cut()
        self.store = attach(self.burner)
        if self.chance.random() < 0.5:
            self.store.repair()

    def piece(self, most: int) -> bytes:
        return self.chance.randbytes(self.chance.randint(1, most) * BLOCK)

    def check(self, store: SequentialStore) -> None:
        for block, piece in self.durable.items():
            assert store.read(block, len(piece) // BLOCK) == piece, f"block {block}"


def plague(burner: Burner, chance: random.Random) -> None:
    """Something for the next packets to meet."""
    faults, packet = burner.faults, burner.recorder.packets + 1
    kind = chance.randrange(9)
    if kind == 0:
        faults.write_errors = {packet: chance.choice(["write", "sync"])}
    elif kind == 1:
        # Not both: a silent loss of just seven blocks where the drive ends the packet
        # by itself looks like no end at all.
        faults.lost_buffers, faults.early_ends, faults.end_packets_after = {packet}, {}, None
    elif kind == 2:
        faults.early_ends, faults.lost_buffers = {packet: chance.randint(1, 40)}, set()
    elif kind == 3:
        faults.stale_next_writable = chance.randint(1, 3)
    elif kind == 4:
        faults.fail((2, 4, 8), operation=chance.choice([0x2A, 0x35, 0x52]), times=3)
    elif kind == 5:
        faults.fail(
            chance.choice([(0xB, 0, 0), (6, 0x29, 0), (6, 0x2A, 1)]),
            operation=chance.choice([0x2A, 0x35, 0x52, 0x55, 0x5B]),
            after=chance.randrange(3),
            carried_out=chance.random() < 0.5,
        )
    elif kind == 6:
        burner.reset()
    elif kind == 7:
        faults.end_packets_after, faults.lost_buffers = chance.choice([None, 1, 20]), set()


@pytest.mark.parametrize("seed", range(60))
def test_what_was_flushed_stays(seed: int) -> None:
    chance = random.Random(seed)
    burner = memory_burner("cd-rw-80" if seed % 6 == 5 else "cd-r-80")
    burner.faults.seed = seed
    burner.faults.cut = chance.choice(["repair", "clean"])
    writer = Writer(burner, chance)
    for _ in range(25):
        action = chance.random()
        if action < 0.3:
            plague(burner, chance)
        elif action < 0.4:
            writer.cut()
        elif action < 0.45 and writer.store.session_open:
            writer.store.close_session(final=False)
        else:
            writer.commit([writer.piece(60) for _ in range(chance.randint(1, 4))])
    writer.check(writer.store)
    again = attach(burner)
    again.repair()
    writer.check(again)
    if again.session_open:
        again.close_session(final=True)
    writer.check(attach(burner))
    last = max(block + len(piece) // BLOCK - 1 for block, piece in writer.durable.items())
    assert attach(burner).last_block >= last


def test_power_cut_at_every_command() -> None:
    """One commit over an older one, cut at its first command, its second, ..."""
    base = memory_burner("cd-r-80")
    writer = Writer(base, random.Random(1))
    writer.commit([writer.piece(30)])
    for number in range(1000):
        burner = base.branch()
        store = attach(burner)
        countdown = iter(range(number))

        def cut(cdb: bytes, countdown: object = countdown) -> None:
            if next(countdown, None) is None:  # type: ignore[call-overload]
                raise InterruptedError

        burner.faults.hook = cut
        try:
            start = store.next_writable
            store.write(start, b"n" * BLOCK * 600)
            store.write(start + 600, b"n" * BLOCK * 600)
            store.flush()
            finished = True
        except InterruptedError:
            finished = False
        burner.faults.hook = None
        burner.power_cut()
        again = attach(burner)
        writer.check(again)
        again.repair()
        writer.check(again)
        if finished:
            assert again.read(start, 1200) == b"n" * BLOCK * 1200
            return
    raise AssertionError("the commit never came to its end")
