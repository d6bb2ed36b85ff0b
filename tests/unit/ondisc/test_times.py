"""Timestamps: microseconds, time zones, and no bytes that could raise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from udffs.ondisc import times
from udffs.ondisc.basic import Timestamp

MOMENTS = st.integers(times.MIN_NS + 86_400 * 10**9, times.MAX_NS - 86_400 * 10**9)
OFFSETS = st.one_of(st.none(), st.integers(-1440, 1440))


@given(MOMENTS, OFFSETS)
def test_times_come_back(ns: int, offset: int | None) -> None:
    data = times.pack_time(ns, offset)
    assert len(data) == 12
    assert times.parse_time(data) == ns // 1000 * 1000


@given(MOMENTS, st.integers(-1439, 1439))
def test_fields_are_those_of_the_calendar(ns: int, offset: int) -> None:
    fields = times.timestamp(ns, offset)
    there = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ns // 1000)
    local = there.astimezone(timezone(timedelta(minutes=offset)))
    micro = fields["centiseconds"] * 10_000 + fields["hundreds_of_microseconds"] * 100
    assert (
        fields["year"],
        fields["month"],
        fields["day"],
        fields["hour"],
        fields["minute"],
        fields["second"],
        micro + fields["microseconds"],
    ) == (*local.timetuple()[:6], local.microsecond)


@given(st.binary(min_size=12, max_size=12))
def test_any_bytes_are_some_time(data: bytes) -> None:
    assert times.MIN_NS <= times.parse_time(data) <= times.MAX_NS


@given(st.integers())
def test_any_number_can_be_packed(ns: int) -> None:
    packed = times.pack_time(ns)
    assert times.parse_time(packed) == max(times.MIN_NS, min(ns, times.MAX_NS)) // 1000 * 1000


@given(MOMENTS, OFFSETS)
def test_packed_and_declared_agree(ns: int, offset: int | None) -> None:
    data = times.pack_time(ns, offset)
    assert Timestamp.build(times.timestamp(ns, offset)) == data
    assert times.timestamp_ns(Timestamp.parse(data)) == times.parse_time(data)


def test_known_bytes() -> None:
    # 2023-11-14 22:13:20.123456 UTC, written in CET
    data = times.pack_time(1_700_000_000_123_456_789, 60)
    assert data == bytes((0x3C, 0x10, 0xE7, 0x07, 11, 14, 23, 13, 20, 12, 34, 56))


def test_unspecified_offset_is_utc() -> None:
    data = times.pack_time(0, None)
    assert Timestamp.parse(data).type_and_time_zone == 0x1000 | (-2047 & 0xFFF)
    assert times.parse_time(data) == 0
