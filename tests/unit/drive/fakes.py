"""A drive that answers from a script: for errors that no burner should have to act."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from media.mmc import commands, features, pages, replies, sense
from media.transport import Buffer

Answer = bytes | tuple[int, int, int] | Callable[[bytes, bytes], Any]
GOOD, CHECK = 0, 2


class FakeTransport:
    """Answers each operation code with what is queued for it, else with a default.

    ``seen`` lists the commands as (operation code, CDB, data). A queued answer is
    data, a sense code, or a function of both that returns one of these.
    """

    def __init__(self, max_transfer: int = 1 << 20) -> None:
        self.max_transfer = max_transfer
        self.seen: list[tuple[int, bytes, bytes]] = []
        self.queued: dict[int, deque[Answer]] = {}
        self.defaults: dict[int, Answer] = {
            0x12: replies.InquiryData.build(
                {
                    "vendor_identification": b"FAKE    ",
                    "product_identification": b"DRIVE" + b" " * 11,
                }
            ),
            0x46: features.FeatureHeader.build({"current_profile": features.CD_R}),
            0x5A: self._mode_sense,
            0x5C: replies.BufferCapacity.build({"length_of_the_buffer": 2 << 20}),
        }
        self.closed = False

    def queue(self, code: int, *answers: Answer) -> None:
        self.queued.setdefault(code, deque()).extend(answers)

    def forget(self) -> None:
        self.seen.clear()

    def count(self, code: int) -> int:
        return sum(1 for seen, _, _ in self.seen if seen == code)

    def execute(
        self, cdb: bytes, data_out: Buffer = b"", *, read_length: int = 0, timeout: float = 30.0
    ) -> tuple[int, bytes, bytes]:
        code, data = cdb[0], bytes(data_out)
        self.seen.append((code, bytes(cdb), data))
        waiting = self.queued.get(code)
        answer: Any = waiting.popleft() if waiting else self.defaults.get(code, b"")
        if callable(answer):
            answer = answer(cdb, data)
        if isinstance(answer, tuple):
            return CHECK, b"", sense.encode(*answer)
        return GOOD, answer[:read_length], b""

    def close(self) -> None:
        self.closed = True

    @staticmethod
    def _mode_sense(cdb: bytes, data: bytes) -> Answer:
        code = commands.ModeSense10.parse(cdb).page_code
        known = {
            pages.WRITE_PARAMETERS: pages.WriteParameters.build({}),
            pages.CAPABILITIES: pages.Capabilities.build(
                {
                    "cd_r_write": 1,
                    "cd_rw_write": 1,
                    "buffer_size_supported": 2048,
                    "current_write_speed_selected": 2822,
                }
            ),
        }
        if code not in known:
            return (5, 0x24, 0x00)
        header: bytes = pages.ModeHeader10.build({"mode_data_length": 6 + len(known[code])})
        return header + known[code]
