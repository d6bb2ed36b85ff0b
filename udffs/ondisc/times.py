"""Timestamps (1/7.3, UDF 2.1.4): epoch nanoseconds on our side, 12 bytes on disc.

The disc knows microseconds and the years 1 to 9999. Nothing here raises:
what does not fit is brought to the nearest that does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from udffs.ondisc.basic import Timestamp
from udffs.ondisc.derive import derive

__all__ = [
    "MAX_NS",
    "MIN_NS",
    "TIME_SIZE",
    "UNSPECIFIED_OFFSET",
    "pack_time",
    "parse_time",
    "timestamp",
    "timestamp_ns",
]

LOCAL_TIME = 1
"""Type of a timestamp that carries its offset to UTC (1/7.3.1)."""

UNSPECIFIED_OFFSET = -2047
"""Minutes, for "no offset given" (1/7.3.1)."""

_MAX_OFFSET = 1440
_SECOND = 1_000_000_000
_DAY = 86_400

_CODEC = derive(Timestamp)
TIME_SIZE = _CODEC.size
"""Bytes of a timestamp: 12."""


def _days_from_civil(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - 719_468


def _civil_from_days(days: int) -> tuple[int, int, int]:
    """(year, month, day) of a day since 1970-01-01."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (
        day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096
    ) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + (3 if shifted < 10 else -9)
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    return year_of_era + era * 400 + (month <= 2), month, day


_FIRST = _days_from_civil(1, 1, 1) * _DAY
_LAST = (_days_from_civil(9999, 12, 31) + 1) * _DAY - 1

MIN_NS = _FIRST * _SECOND
MAX_NS = _LAST * _SECOND + 999_999_000
"""The earliest and the latest time a disc can hold, in epoch nanoseconds."""


def _clamp(value: int, low: int, high: int) -> int:
    return low if value < low else high if value > high else value


@lru_cache(maxsize=4096)
def _second_fields(seconds: int, offset_minutes: int) -> tuple[int, ...]:
    """The first seven fields of a timestamp."""
    local = seconds
    if offset_minutes != UNSPECIFIED_OFFSET:
        local += offset_minutes * 60
    days, rest = divmod(_clamp(local, _FIRST, _LAST), _DAY)
    year, month, day = _civil_from_days(days)
    zone = LOCAL_TIME << 12 | offset_minutes & 0xFFF
    return zone, year, month, day, rest // 3600, rest // 60 % 60, rest % 60


def pack_time(ns: int, offset_minutes: int | None = 0) -> bytes:
    """The 12 bytes of a time in epoch nanoseconds, down to the microsecond.

    `offset_minutes` is that of the time zone to write it in, None for
    "unspecified" (the time is then UTC).
    """
    seconds, rest = divmod(_clamp(ns, MIN_NS, MAX_NS), _SECOND)
    if offset_minutes is None:
        offset_minutes = UNSPECIFIED_OFFSET
    micro = rest // 1000
    return _CODEC.pack(
        *_second_fields(seconds, offset_minutes), micro // 10_000, micro // 100 % 100, micro % 100
    )


def timestamp(ns: int, offset_minutes: int | None = 0) -> dict[str, int]:
    """The same as `pack_time`, as fields for basic.Timestamp."""
    return dict(zip(_CODEC.names, _CODEC.unpack(pack_time(ns, offset_minutes)), strict=True))


@lru_cache(maxsize=4096)
def _epoch_seconds(
    zone: int, year: int, month: int, day: int, hour: int, minute: int, second: int
) -> int:
    days = _days_from_civil(_clamp(year, 1, 9999), _clamp(month, 1, 12), _clamp(day, 1, 31))
    seconds: int = days * _DAY + min(hour, 23) * 3600 + min(minute, 59) * 60 + min(second, 59)
    offset = (zone & 0xFFF ^ 0x800) - 0x800
    if zone >> 12 == LOCAL_TIME and -_MAX_OFFSET <= offset <= _MAX_OFFSET:
        seconds -= offset * 60
    return _clamp(seconds, _FIRST, _LAST)


def parse_time(data: bytes) -> int:
    """Epoch nanoseconds of 12 bytes from a disc; fields out of range are clamped."""
    zone, year, month, day, hour, minute, second, centi, hundreds, micro = _CODEC.unpack(data)
    fraction: int = min(centi, 99) * 10_000 + min(hundreds, 99) * 100 + min(micro, 99)
    return _epoch_seconds(zone, year, month, day, hour, minute, second) * _SECOND + fraction * 1000


def timestamp_ns(fields: Mapping[str, int]) -> int:
    """Epoch nanoseconds of a parsed basic.Timestamp."""
    return parse_time(_CODEC.pack(*(fields[name] for name in _CODEC.names)))
