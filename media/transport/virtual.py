"""The shortest way: a virtual burner in the same process."""

from __future__ import annotations

from typing import Protocol

from media.transport import Buffer


class Executor(Protocol):
    """What there is to know of a burner: it carries out commands."""

    def execute(self, cdb: bytes, data_out: Buffer = b"") -> tuple[int, bytes, bytes]: ...

    def close(self) -> None: ...

    @property
    def seconds(self) -> float: ...

    @property
    def most_rewritten(self) -> int: ...


class VirtualTransport:
    """Commands go straight into a burner; data is passed on, never copied."""

    max_transfer = 1 << 20

    def __init__(self, burner: Executor) -> None:
        self.burner = burner

    def execute(
        self,
        cdb: bytes,
        data_out: Buffer = b"",
        *,
        read_length: int = 0,
        timeout: float = 30.0,
    ) -> tuple[int, bytes, bytes]:
        return self.burner.execute(cdb, data_out)

    @property
    def seconds(self) -> float:
        """What a real drive would have needed so far."""
        return self.burner.seconds

    @property
    def most_rewritten(self) -> int:
        """How often the most rewritten packet of the disc was rewritten."""
        return self.burner.most_rewritten

    def close(self) -> None:
        self.burner.close()
