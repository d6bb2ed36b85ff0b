"""Formatting a rewritable disc: the layout, bad packets, what strangers say of it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from support.memory_disc import PACKET, MemoryDisc

from udffs.commit.format import FormatOptions
from udffs.commit.rewritable import structures
from udffs.commit.rewritable.format import format_rewritable
from udffs.commit.rewritable.structures import Layout, lay_out
from udffs.errors import LabelError, ReadOnlyError, UnusableDiscError
from udffs.ondisc import osta
from udffs.volume import Volume, open_volume

CAPACITY = 16_384
NOW = 1_700_000_000_000_000_000
FindProgram = Callable[[str], Path]


def formatted(
    disc: MemoryDisc, *, revision: int = 0x0201, bad: tuple[int, ...] = (), seed: int = 1
) -> Volume:
    options = FormatOptions("A rewritable disc", revision, 1000, 100, 0o750)
    format_rewritable(disc.store, options, now=NOW, random=Random(seed).randbytes, bad_packets=bad)
    assert not disc.gathered
    return open_volume(disc)


def layout_of(bad: frozenset[int] = frozenset(), *, sparable: bool = True) -> Layout:
    return lay_out(CAPACITY, sparable=sparable, bad=bad, log_packets=64, spare_packets=64)


@pytest.mark.parametrize("revision", [0x0150, 0x0201])
@pytest.mark.parametrize("drive_spares", [False, True])
def test_an_empty_volume(revision: int, drive_spares: bool) -> None:
    disc = MemoryDisc(CAPACITY, spares_by_itself=drive_spares)
    volume = formatted(disc, revision=revision)
    assert volume.notes == [] and volume.write_protected is None
    assert volume.kind == ("plain" if drive_spares else "sparable")
    assert (volume.label, volume.revision) == ("A rewritable disc", revision)
    assert volume.partition_start % PACKET == volume.partition_length % PACKET == 0
    assert (volume.files, volume.directories, volume.next_unique_id) == (1, 1, 17)
    root = volume.inode(volume.root_key)
    assert (root.uid, root.gid, root.mode & 0o7777) == (1000, 100, 0o750)
    (entry,) = volume.entries(root)
    assert (entry.name, entry.hidden) == (structures.LOG_FILE, True)
    log = volume.inode(entry.key)
    assert (log.uid, log.mode & 0o7777, log.blocks_recorded) == (0, 0, 0)


@pytest.mark.parametrize("drive_spares", [False, True])
def test_every_block_is_free_or_somebody_s(drive_spares: bool) -> None:
    volume = formatted(MemoryDisc(CAPACITY, spares_by_itself=drive_spares))
    space = volume.space()
    (log,) = volume.entries(volume.inode(volume.root_key))
    taken = {space.location + block for block in range(space.blocks)}
    taken |= {volume.partition_start, volume.partition_start + 1}
    taken |= {volume.to_absolute(0, key & 0xFFFFFFFF) for key in (volume.root_key, log.key)}
    for first, count in volume.allocated(log.key):
        assert taken.isdisjoint(range(first, first + count))
        taken |= set(range(first, first + count))
    start = volume.partition_start
    for block in range(start, start + volume.partition_length):
        assert space.is_free(block) == (block not in taken)
    assert volume.integrity is not None and volume.integrity.free_blocks == (space.free,)
    assert volume.intent_log is not None and len(volume.intent_log.slots) == 64
    for slot in volume.intent_log.slots:
        assert slot % PACKET == 0 and taken.issuperset(range(slot, slot + PACKET))


def test_what_is_rewritten_alone_lies_alone() -> None:
    layout = layout_of()
    alone = [layout.main, layout.reserve, layout.integrity, *layout.tables, *layout.spares]
    alone += [structures.packet_of(block) for block in layout.anchors]
    alone += [structures.RECOGNITION_PACKET, layout.bitmap, layout.icbs]
    alone += [first + i * PACKET for first, packets in layout.log for i in range(packets)]
    assert len(alone) == len(set(alone)) and not any(packet % PACKET for packet in alone)
    assert layout.anchors == (256, CAPACITY - 257, CAPACITY - 1)
    assert len(layout.spares) == 64
    # Nothing outside the partition is wasted.
    outside = set(range(0, layout.start, PACKET))
    outside |= set(range(layout.start + layout.length, CAPACITY, PACKET))
    assert outside <= set(alone)


def test_formatting_again_writes_little_and_gives_another_volume() -> None:
    disc = MemoryDisc(CAPACITY)
    first = formatted(disc).identity
    disc.order.clear()
    assert formatted(disc, seed=2).identity != first
    assert len(disc.order) < 20


# -- bad packets -----------------------------------------------------------------


def test_bad_packets_of_the_partition_are_spared() -> None:
    start = layout_of().start
    bad = (start + 10 * PACKET, start + 12 * PACKET, CAPACITY - 4096)
    disc = MemoryDisc(CAPACITY)
    disc.worn |= set(bad)
    volume = formatted(disc, bad=bad)
    assert volume.view is not None and volume.sparing is not None
    assert sorted(volume.view.spared) == sorted(bad)
    available = [e for e in volume.sparing.entries if e[0] == osta.SPARING_AVAILABLE]
    assert len(available) == 64
    assert list(volume.sparing.entries) == sorted(volume.sparing.entries)
    assert volume.notes == []


@pytest.mark.parametrize("drive_spares", [False, True])
def test_packets_that_turn_out_bad_meanwhile(drive_spares: bool) -> None:
    """Each packet that formatting writes, bad one after the other."""
    clean = MemoryDisc(CAPACITY, spares_by_itself=drive_spares)
    formatted(clean)
    for packet in clean.order:
        disc = MemoryDisc(CAPACITY, spares_by_itself=drive_spares)
        disc.worn.add(packet)
        if packet == 0:
            with pytest.raises(UnusableDiscError):
                formatted(disc)
            continue
        volume = formatted(disc)
        assert volume.notes == [] and volume.write_protected is None
        assert len(volume.entries(volume.inode(volume.root_key))) == 1


def test_the_drive_s_bad_packets_belong_to_nobody() -> None:
    start = layout_of(sparable=False).start
    bad = frozenset({start + 3 * PACKET, start + 40 * PACKET, CAPACITY - 1024})
    disc = MemoryDisc(CAPACITY, spares_by_itself=True)
    volume = formatted(disc, bad=tuple(bad))
    space = volume.space()
    assert volume.intent_log is not None
    assert bad.isdisjoint(volume.intent_log.slots) and len(volume.intent_log.slots) == 64
    assert not any(space.is_free(packet) for packet in bad)


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (frozenset({0}), "first packet"),
        (frozenset({256, 2 * CAPACITY - 32}), "anchors"),
        (frozenset(range(32, 256, 32)), "descriptors"),
        (frozenset(range(16_384, 16_384 + 250 * 32, 32)), "250 of its packets"),
    ],
)
def test_too_bad_to_be_formatted(bad: frozenset[int], why: str) -> None:
    with pytest.raises(UnusableDiscError, match=why):
        lay_out(2 * CAPACITY, sparable=True, bad=bad, log_packets=64, spare_packets=64)


@pytest.mark.parametrize("capacity", [0, 100, 600, 3000])
def test_too_small(capacity: int) -> None:
    with pytest.raises(UnusableDiscError):
        lay_out(capacity, sparable=True, log_packets=64, spare_packets=64)


@pytest.mark.parametrize("rest", [1, 17, 31])
def test_a_disc_that_ends_within_a_packet(rest: int) -> None:
    layout = lay_out(CAPACITY + rest, sparable=False, log_packets=64, spare_packets=64)
    assert layout.anchors == (256, CAPACITY + rest - 257)
    assert layout.reserve + PACKET <= CAPACITY


def test_what_cannot_be_formatted() -> None:
    disc = MemoryDisc(CAPACITY)
    with pytest.raises(LabelError):
        format_rewritable(disc.store, FormatOptions("x" * 300), now=NOW, random=Random(1).randbytes)
    disc.writable = False
    with pytest.raises(ReadOnlyError):
        format_rewritable(disc.store, FormatOptions("x"), now=NOW, random=Random(1).randbytes)
    assert not disc.order


# -- strangers -------------------------------------------------------------------


@pytest.mark.strangers
@pytest.mark.parametrize("revision", [0x0150, 0x0201])
@pytest.mark.parametrize("drive_spares", [False, True])
def test_strangers(program: FindProgram, tmp_path: Path, revision: int, drive_spares: bool) -> None:
    disc = MemoryDisc(CAPACITY, spares_by_itself=drive_spares)
    volume = formatted(disc, revision=revision, bad=() if drive_spares else (8192,))
    image = str(disc.save(tmp_path / "disc.img"))
    told = subprocess.run([program("udfinfo"), image], capture_output=True, text=True, check=True)
    assert told.stderr == ""
    assert "integrity=closed" in told.stdout and "numfiles=1" in told.stdout
    assert f"freeblocks={volume.space().free}" in told.stdout
    assert f"udfrev={revision >> 8}.{revision & 0xFF:02x}" in told.stdout
    dump = subprocess.run(
        [program("udfdump"), "-b", "2048", image], capture_output=True, text=True, check=True
    )
    wrong = [
        line for line in dump.stdout.splitlines() if re.search(r"(?i)error|invalid|bad ", line)
    ]
    assert wrong == []
