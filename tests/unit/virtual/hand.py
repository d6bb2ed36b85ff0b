"""A short hand for driving a burner through its commands, as a program would."""

from __future__ import annotations

from typing import Any

from media.mmc import commands as c
from media.mmc import pages as p
from media.mmc import replies as r
from media.mmc.sense import Sense, decode
from media.virtual import Burner, memory_burner

BLOCK = 2048


class Refused(Exception):  # noqa: N818
    """The drive said no."""

    def __init__(self, answer: Sense, data: bytes) -> None:
        super().__init__(str(answer))
        self.sense = answer
        self.code = answer.code
        self.data = data


def pattern(block: int, count: int = 1) -> bytes:
    """Data that tells which block it belongs to."""
    return b"".join(n.to_bytes(8) * (BLOCK // 8) for n in range(block, block + count))


class Hand:
    """Commands by name; a refusal is an exception."""

    def __init__(self, burner: Burner | None = None, kind: str = "cd-r-80") -> None:
        self.burner = burner or memory_burner(kind)

    def send(self, layout: Any, data: bytes | memoryview = b"", **fields: Any) -> bytes:
        status, answer, sense = self.burner.execute(layout.build(fields), data)
        if status:
            assert len(sense) == 18
            raise Refused(decode(sense), answer)
        assert sense == b""
        return answer

    def ready(self) -> Hand:
        """Past the power-on attention, with page 05h set for packets."""
        self.swallow()
        self.packets()
        return self

    def swallow(self) -> None:
        try:
            self.send(c.TestUnitReady)
        except Refused as refused:
            assert refused.sense.key == 6

    def packets(self, **changes: Any) -> None:
        fields = {"write_type": 0, "multi_session": 3, "track_mode": 5, "data_block_type": 8}
        self.select(p.WriteParameters.build(fields | changes))

    def fixed_packets(self, **changes: Any) -> None:
        fields = {"fixed_packet": 1, "packet_size": 32}
        self.packets(**(fields | changes))

    def select(self, page: bytes) -> None:
        data = p.ModeHeader10.build({}) + page
        self.send(c.ModeSelect10, data, parameter_list_length=len(data))

    def write(self, block: int, data: bytes | int = 1) -> None:
        data = pattern(block, data) if isinstance(data, int) else data
        self.send(c.Write10, data, logical_block_address=block, transfer_length=len(data) // BLOCK)

    def read(self, block: int, count: int = 1) -> bytes:
        return self.send(c.Read10, logical_block_address=block, transfer_length=count)

    def sync(self, **fields: Any) -> None:
        self.send(c.SynchronizeCache, **fields)

    def save(self, count: int = 1) -> int:
        """One durable packet at the next writable address; returns where it began."""
        block = self.next
        self.write(block, count)
        self.sync()
        return block

    def track(self, number: int = 0xFF, kind: int = 1) -> Any:
        reply = self.send(
            c.ReadTrackInformation,
            address_number_type=kind,
            logical_block_address_track_session_number=number,
            allocation_length=36,
        )
        return r.TrackInformation.parse(reply)

    @property
    def next(self) -> int:
        track = self.track()
        assert track.next_writable_address_valid
        address: int = track.next_writable_address
        return address

    def disc(self) -> Any:
        return r.DiscInformation.parse(self.send(c.ReadDiscInformation, allocation_length=34))

    def close_track(self, number: int = 0xFF, **fields: Any) -> None:
        self.send(c.CloseTrackSession, close_function=1, logical_track_number=number, **fields)

    def close_session(self, **fields: Any) -> None:
        self.send(c.CloseTrackSession, close_function=2, **fields)

    def finish(self, final: bool = False) -> None:
        """Close track and session."""
        self.packets(multi_session=0 if final else 3)
        self.close_track()
        self.close_session()

    def toc(self, kind: int, length: int = 1000, **fields: Any) -> bytes:
        return self.send(c.ReadTocPmaAtip, format=kind, allocation_length=length, **fields)

    # -- rewritable discs ----------------------------------------------------------

    def format(
        self, blocks: int | None = None, *, kind: int = 0x10, parameter: int = 32, immed: int = 0
    ) -> None:
        """FORMAT UNIT; all blocks that the drive offers unless said."""
        if blocks is None:
            offers = {d.format_type: d.number_of_blocks for d in self.capacities()[1:]}
            blocks = 0xFFFFFFFF if kind == r.FORMAT_MRW else offers[kind]
        header = {"format_options_valid": 1, "disable_certification": 1, "immed": immed}
        fields = {
            "number_of_blocks": blocks,
            "format_type": kind,
            "type_dependent_parameter": parameter,
        }
        data = r.FormatListHeader.build(header) + r.FormatDescriptor.build(fields)
        self.send(c.FormatUnit, data, format_data=1, format_code=1)

    def blank(self, kind: int = 1, **fields: Any) -> None:
        self.send(c.Blank, blanking_type=kind, **fields)

    def capacities(self) -> Any:
        reply = self.send(c.ReadFormatCapacities, allocation_length=252)
        return r.CapacityList.parse(reply).descriptors

    def wait(self) -> list[tuple[int, int, int]]:
        """Poll until the drive is ready; what it answered before."""
        codes = []
        while True:
            try:
                self.send(c.TestUnitReady)
            except Refused as refused:
                assert refused.sense.progress is not None
                codes.append(refused.code)
            else:
                return codes

    def last_block(self) -> int:
        last: int = r.Capacity.parse(self.send(c.ReadCapacity)).logical_block_address
        return last


def refusal(call: Any, *arguments: Any, **fields: Any) -> tuple[int, int, int]:
    """The sense code of a command that must be refused."""
    try:
        call(*arguments, **fields)
    except Refused as refused:
        return refused.code
    raise AssertionError("the drive carried it out")


def formatted(kind: str = "cd-rw-80", burner: Burner | None = None) -> Hand:
    """A hand at a disc in fixed packets (or Mt. Rainier), ready for writing."""
    hand = Hand(burner or memory_burner(kind)).ready()
    if kind == "mrw":
        hand.format(kind=r.FORMAT_MRW, parameter=0)
    else:
        hand.format()
        hand.fixed_packets()
    return hand
