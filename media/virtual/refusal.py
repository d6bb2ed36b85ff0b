"""How a command ends that the drive does not carry out."""

from __future__ import annotations

from functools import lru_cache

from media.mmc import sense

SenseCode = tuple[int, int, int]

# SPC-4 annex D and MMC-6 annex F, in their words
BECOMING_READY: SenseCode = (2, 0x04, 0x01)
FORMAT_IN_PROGRESS: SenseCode = (2, 0x04, 0x04)
OPERATION_IN_PROGRESS: SenseCode = (2, 0x04, 0x07)
LONG_WRITE_IN_PROGRESS: SenseCode = (2, 0x04, 0x08)
NO_MEDIUM_TRAY_CLOSED: SenseCode = (2, 0x3A, 0x01)
NO_MEDIUM_TRAY_OPEN: SenseCode = (2, 0x3A, 0x02)
WRITE_ERROR: SenseCode = (3, 0x0C, 0x00)
WRITE_ERROR_LOSS_OF_STREAMING: SenseCode = (3, 0x0C, 0x09)
UNRECOVERED_READ_ERROR: SenseCode = (3, 0x11, 0x05)
MEDIUM_FORMAT_CORRUPTED: SenseCode = (3, 0x31, 0x00)
CALIBRATION_AREA_ALMOST_FULL: SenseCode = (1, 0x73, 0x01)
CALIBRATION_AREA_FULL: SenseCode = (3, 0x73, 0x02)
INVALID_COMMAND: SenseCode = (5, 0x20, 0x00)
ADDRESS_OUT_OF_RANGE: SenseCode = (5, 0x21, 0x00)
INVALID_ADDRESS_FOR_WRITE: SenseCode = (5, 0x21, 0x02)
INVALID_FIELD_IN_CDB: SenseCode = (5, 0x24, 0x00)
INVALID_FIELD_IN_PARAMETER_LIST: SenseCode = (5, 0x26, 0x00)
COMMAND_SEQUENCE_ERROR: SenseCode = (5, 0x2C, 0x00)
INCOMPATIBLE_FORMAT: SenseCode = (5, 0x30, 0x05)
CANNOT_FORMAT_MEDIUM: SenseCode = (5, 0x30, 0x06)
SAVING_PARAMETERS_NOT_SUPPORTED: SenseCode = (5, 0x39, 0x00)
REMOVAL_PREVENTED: SenseCode = (5, 0x53, 0x02)
END_OF_USER_AREA: SenseCode = (5, 0x63, 0x00)
PACKET_DOES_NOT_FIT: SenseCode = (5, 0x63, 0x01)
ILLEGAL_MODE_FOR_TRACK: SenseCode = (5, 0x64, 0x00)
INCOMPLETE_TRACK: SenseCode = (5, 0x72, 0x03)
UNFILLED_RESERVED_TRACK: SenseCode = (5, 0x72, 0x04)
NO_MORE_RESERVATIONS: SenseCode = (5, 0x72, 0x05)
MEDIUM_MAY_HAVE_CHANGED: SenseCode = (6, 0x28, 0x00)
POWER_ON_OR_RESET: SenseCode = (6, 0x29, 0x00)
WRITE_PROTECTED: SenseCode = (7, 0x27, 0x00)

encode = lru_cache(maxsize=256)(sense.encode)


class Refusal(Exception):  # noqa: N818
    """CHECK CONDITION: a sense code, for some also a progress (0 to 1) or the
    first block concerned, and the bytes that were transferred all the same."""

    def __init__(
        self,
        code: SenseCode,
        *,
        progress: float | None = None,
        block: int | None = None,
        data: bytes = b"",
    ) -> None:
        super().__init__(code)
        self.code = code
        self.progress = progress
        self.block = block
        self.data = data

    @property
    def sense(self) -> bytes:
        """The 18 bytes of fixed sense data (SPC-4 4.5.3)."""
        return encode(*self.code, self.progress, self.block)
