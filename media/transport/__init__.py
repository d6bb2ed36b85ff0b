"""How a command reaches a drive.

A transport carries one command at a time and understands none: straight into
the virtual burner here, through the operating system for real drives later.
"""

from __future__ import annotations

from typing import Protocol

Buffer = bytes | bytearray | memoryview

#: SCSI status bytes (SAM-5 5.3.1)
GOOD, CHECK_CONDITION, BUSY = 0x00, 0x02, 0x08


class Transport(Protocol):
    """``max_transfer`` is the most data of one command, in bytes."""

    max_transfer: int

    def execute(
        self,
        cdb: bytes,
        data_out: Buffer = b"",
        *,
        read_length: int = 0,
        timeout: float = 30.0,
    ) -> tuple[int, bytes, bytes]:
        """Carry out one command -> (status, data the drive sent, sense data).

        ``read_length`` is the most the drive may send, in bytes, and ``timeout``
        counts seconds. Raises a MediaError only where the command did not reach
        the drive or the answer was lost.
        """
        ...

    def close(self) -> None: ...
