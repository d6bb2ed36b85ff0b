"""Sparing on the spot: the tables, cuts between their copies, spares that are bad."""

from __future__ import annotations

import pytest
from support.memory_disc import PACKET, MemoryDisc

from media.errors import DefectivePacketError
from udffs.commit.rewritable.sparing import SparingTables
from udffs.errors import DamagedError, SpareTableFullError
from udffs.ondisc import osta
from udffs.volume import Volume, open_volume
from udffs.volume.model import BLOCK

from .test_rw_format import CAPACITY, formatted


def tables_of(volume: Volume) -> SparingTables:
    assert volume.view is not None and volume.sparing is not None
    return SparingTables(volume.view, volume.sparing)


def content(seed: int) -> bytes:
    return bytes([seed]) * (PACKET * BLOCK)


def write(disc: MemoryDisc, volume: Volume, tables: SparingTables, home: int, data: bytes) -> None:
    """As whoever writes packets: what is bad is spared on the spot."""
    assert volume.view is not None
    disc.write(volume.view.actual(home), data)
    while True:
        try:
            disc.flush()
            return
        except DefectivePacketError as error:
            assert error.block == volume.view.actual(home)
            tables.spare(home)


def start_up() -> tuple[MemoryDisc, Volume, SparingTables, int]:
    disc = MemoryDisc(CAPACITY)
    volume = formatted(disc)
    return disc, volume, tables_of(volume), volume.partition_start + 80 * PACKET


def check_again(disc: MemoryDisc, home: int, data: bytes) -> Volume:
    """Opened anew it is all there."""
    assert not disc.gathered
    again = open_volume(disc)
    assert again.view is not None and again.view.read(home, PACKET) == data
    return again


def test_a_bad_packet_is_spared() -> None:
    disc, volume, tables, home = start_up()
    disc.worn.add(home)
    write(disc, volume, tables, home, content(1))
    again = check_again(disc, home, content(1))
    assert again.notes == [] and again.sparing is not None
    assert (tables.spares_left, tables.spared, tables.defective) == (63, 1, 0)
    assert list(again.sparing.entries) == sorted(again.sparing.entries)
    # The spare packet wears as well.
    assert again.view is not None
    disc.worn.add(again.view.actual(home))
    write(disc, volume, tables, home, content(2))
    check_again(disc, home, content(2))
    assert (tables.spares_left, tables.spared, tables.defective) == (62, 1, 1)


def test_spare_packets_that_are_bad() -> None:
    disc, volume, tables, home = start_up()
    assert volume.sparing is not None
    spares = [mapped for _original, mapped in volume.sparing.entries]
    disc.worn |= {home, *spares[:3]}
    write(disc, volume, tables, home, content(3))
    again = check_again(disc, home, content(3))
    assert again.view is not None and again.view.actual(home) == spares[3]
    assert tables.defective == 3
    assert again.sparing is not None
    marked = {mapped for original, mapped in again.sparing.entries if original == 0xFFFFFFF0}
    assert marked == set(spares[:3])


def test_another_packet_goes_bad_meanwhile() -> None:
    disc, volume, tables, home = start_up()
    other = home + 5 * PACKET
    disc.worn |= {home, other}
    disc.write(other, content(4))
    write(disc, volume, tables, home, content(5))
    check_again(disc, home, content(5))
    check_again(disc, other, content(4))
    assert tables.spared == 2


@pytest.mark.parametrize("copy", [0, 1])
def test_a_table_that_cannot_be_written_is_given_up(copy: int) -> None:
    disc, volume, tables, home = start_up()
    assert volume.sparing is not None
    disc.worn |= {home, volume.sparing.locations[copy]}
    write(disc, volume, tables, home, content(6))
    again = check_again(disc, home, content(6))
    assert again.sparing is not None
    assert again.sparing.outdated == (volume.sparing.locations[copy],)
    assert again.sparing.sequence == 2


def test_no_table_can_be_written() -> None:
    disc, volume, tables, home = start_up()
    assert volume.sparing is not None
    disc.worn |= {home, *volume.sparing.locations}
    with pytest.raises(DamagedError, match="none of its sparing tables"):
        write(disc, volume, tables, home, content(7))


def test_no_spare_packet_is_left() -> None:
    _disc, volume, tables, home = start_up()
    for number in range(64):
        tables.spare(home + number * PACKET)
    assert tables.spares_left == 0
    with pytest.raises(SpareTableFullError):
        tables.spare(home + 64 * PACKET)
    assert volume.view is not None and len(volume.view.spared) == 64


@pytest.mark.parametrize("after", range(4))
def test_a_cut_between_the_copies(after: int) -> None:
    disc, volume, tables, home = start_up()
    write(disc, volume, tables, home, content(8))
    disc.worn.add(home)
    disc.write(home, content(9))
    with pytest.raises(DefectivePacketError):
        disc.flush()
    disc.dies_after = after
    try:
        tables.spare(home)
    except SystemExit:
        disc.gathered.clear()
    disc.dies_after = -1
    again = open_volume(disc)
    assert again.view is not None and again.sparing is not None
    assert again.view.read(home, PACKET) == content(9 if after >= 2 else 8)
    tables_of(again).repair()
    repaired = open_volume(disc)
    assert repaired.sparing is not None and repaired.sparing.outdated == ()
    assert repaired.sparing.sequence == again.sparing.sequence
    assert repaired.notes == []


def test_what_a_hostile_table_offers_is_not_used() -> None:
    disc = MemoryDisc(CAPACITY)
    volume = formatted(disc)
    assert volume.sparing is not None and volume.view is not None
    free = osta.SPARING_AVAILABLE
    volume.sparing.entries = (
        (0, 128),
        (free, 128),
        (free, 129),
        (free, volume.sparing.locations[0]),
        (free, CAPACITY),
        (free, 0xFFFFFFE0),
        (free, 160),
        (free, 160),
    )
    tables = tables_of(volume)
    assert tables.spares_left == 1
    assert tables.spare(volume.partition_start + 640) == 160
