"""A drive with a CD-RW in fixed packets, as small as can be: no clock, no wear."""

from __future__ import annotations

from typing import Any

from media.drive import BLOCK, Drive
from media.mmc import commands, features, replies, sense
from media.rewritable import RewritableStore

from .fakes import CHECK, FakeTransport

PACKET = 32


class FakeRewritable(FakeTransport):
    """``disc`` is what is on it, ``buffer`` what was written and not synchronized;
    a packet in ``bad`` cannot be written and is then unreadable, which is told at the
    WRITE or, with ``tell_at_sync``, at the SYNCHRONIZE CACHE, with its address where
    ``names`` is set. With ``drops`` an error loses the rest of the buffer, too."""

    def __init__(self, packets: int = 100, *, mrw: bool = False, transfer: int = 1 << 20) -> None:
        super().__init__(transfer)
        self.blocks = packets * PACKET
        self.disc = bytearray(self.blocks * BLOCK)
        self.buffer: dict[int, bytes] = {}
        self.bad: set[int] = set()
        self.unreadable: set[int] = set()
        self.tell_at_sync = self.names = self.drops = False
        self.silent_losses: set[int] = set()
        self.wear: dict[int, int] = {}
        self.defaults[0x46] = features.FeatureHeader.build({"current_profile": features.CD_RW})
        self.defaults[0x51] = replies.DiscInformation.build(
            {
                "erasable": 1,
                "disc_status": 2,
                "state_of_last_session": 3,
                "number_of_first_track_on_disc": 1,
                "last_track_number_in_last_session_lsb": 1,
                "background_format_status": 3 if mrw else 0,
            }
        )
        self.defaults[0x52] = replies.TrackInformation.build(
            {
                "logical_track_number_lsb": 1,
                "session_number_lsb": 1,
                "packet": 1,
                "fixed_packet": 1,
                "reserved_track": 1,
                "data_mode": 1,
                "fixed_packet_size": PACKET,
                "logical_track_size": self.blocks,
            }
        )
        self.defaults[0x43] = replies.Atip.build({"disc_type": 1})
        self.defaults[0x25] = replies.Capacity.build({"logical_block_address": self.blocks - 1})
        self.defaults.update({0x28: self._read, 0x2A: self._write, 0x35: self._synchronize})

    def execute(self, cdb: bytes, data_out: Any = b"", **more: Any) -> tuple[int, bytes, bytes]:
        status, data, raw = super().execute(cdb, data_out, **more)
        if status == CHECK and self.names and self.failing >= 0:
            raw = sense.encode(*sense.decode(raw).code, information=self.failing)
        return status, data, raw

    failing = -1

    def reset(self, code: tuple[int, int, int] = (6, 0x29, 0)) -> None:
        """The buffer is lost; the next command hears of it."""
        self.buffer.clear()
        original = self.execute

        def once(cdb: bytes, data_out: Any = b"", **more: Any) -> tuple[int, bytes, bytes]:
            self.execute = original  # type: ignore[method-assign]
            self.seen.append((cdb[0], bytes(cdb), b""))
            return CHECK, b"", sense.encode(*code)

        self.execute = once  # type: ignore[method-assign]

    def _read(self, cdb: bytes, _: bytes) -> Any:
        self.failing = -1
        asked = commands.Read10.parse(cdb)
        first, count = asked.logical_block_address, asked.transfer_length
        if self.buffer:
            return (5, 0x2C, 0)
        for block in range(first, first + count):
            if block in self.unreadable:
                return (3, 0x11, 5)
        return bytes(self.disc[first * BLOCK : (first + count) * BLOCK])

    def _write(self, cdb: bytes, data: bytes) -> Any:
        self.failing = -1
        asked = commands.Write10.parse(cdb)
        first, count = asked.logical_block_address, asked.transfer_length
        if first % PACKET or count % PACKET or first + count > self.blocks:
            return (5, 0x21, 2)
        assert len(data) == count * BLOCK
        for number in range(0, count, PACKET):
            at = first + number
            if at in self.bad and not self.tell_at_sync:
                self._fail(at)
                return (3, 0x0C, 0)
            self.buffer[at] = data[number * BLOCK : (number + PACKET) * BLOCK]
        return b""

    def _fail(self, at: int) -> None:
        self.failing = at
        self.unreadable.update(range(at, at + PACKET))
        if self.drops:
            self.buffer.clear()

    def _synchronize(self, cdb: bytes, data: bytes) -> Any:
        self.failing = -1
        while self.buffer:
            at = next(iter(self.buffer))
            content = self.buffer.pop(at)
            if at in self.bad:
                self._fail(at)
                return (3, 0x0C, 0)
            if at in self.silent_losses:
                continue
            self.burn(at, content)
        return b""

    def burn(self, at: int, content: bytes) -> None:
        self.disc[at * BLOCK : at * BLOCK + len(content)] = content
        self.unreadable.difference_update(range(at, at + PACKET))
        self.wear[at] = self.wear.get(at, 0) + 1

    def writes(self) -> list[tuple[int, int]]:
        """(block, count) of each WRITE."""
        parsed = [commands.Write10.parse(cdb) for code, cdb, _ in self.seen if code == 0x2A]
        return [(each.logical_block_address, each.transfer_length) for each in parsed]


def make(
    packets: int = 100, *, mrw: bool = False, cache_packets: int = 256, transfer: int = 1 << 20
) -> tuple[RewritableStore, FakeRewritable]:
    transport = FakeRewritable(packets, mrw=mrw, transfer=transfer)
    drive = Drive(transport, name="fake", sleep=lambda _: None)
    store = RewritableStore(drive, cache_packets=cache_packets)
    transport.forget()
    return store, transport


def on_disc(transport: FakeRewritable, block: int, count: int) -> bytes:
    return bytes(transport.disc[block * BLOCK : (block + count) * BLOCK])
