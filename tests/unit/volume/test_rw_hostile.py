"""Hostile rewritable discs: structures of the log, the bitmap and the sparing
tables are spoilt, their checksums made to fit again. Whatever they say, the disc
is mounted and works, or is refused in words, soon; and nothing is written to
packets that are not the partition's, the integrity descriptor's or spare.

A run is named by its number: ``execute(N)`` repeats it. (Over 500 lines: every
structure has its way of being spoilt, and a disc that remembers who wrote where.)
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import stat
import struct
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

import pytest
from support.allocation import examine

from media.errors import MediaError, UnreadableBlockError
from media.store import RewritableStore, SessionSpan
from udffs.commit.format import FormatOptions
from udffs.commit.rewritable.format import format_rewritable
from udffs.errors import InternalError, StructureError, UdffsError
from udffs.filesystem import FileSystem, MountOptions, open_file_system
from udffs.ondisc import ecma167, intentlog, osta, tags
from udffs.ondisc.derive import derive
from udffs.ondisc.intentlog import PACKET, PAYLOAD, Record, Slot
from udffs.volume import Volume, open_volume
from udffs.volume.intentlog import PENDING

from . import discs

BLOCK = 2048
BLOCKS = 4096
LOG_PACKETS = 16
NOW = discs.NOW
QUIET = MountOptions(commit_idle=1e6, commit_max=1e6)
EXTREMES = (0, 1, 2, 31, 32, 255, 256, 257, 4095, 4096, 1 << 16, 1 << 31, (1 << 32) - 1)


class Disc(RewritableStore):
    """Blocks in memory, over those of another disc; remembers what was written."""

    def __init__(self, base: bytes | Disc, blocks: int = BLOCKS) -> None:
        self.base: bytes = base.base if isinstance(base, Disc) else base
        self.packets: dict[int, bytes] = dict(base.packets) if isinstance(base, Disc) else {}
        self.gathered: dict[int, bytearray] = {}
        self.written: set[int] = set()
        self.name, self.writable, self.verify = "memory", True, False
        self.spares_by_itself = False
        self.blocks_per_second = None
        self.capacity, self.last_block = blocks, blocks - 1
        self.sessions = (SessionSpan(0, blocks - 1),)

    def _packet(self, first: int) -> bytes | bytearray:
        held = self.gathered.get(first) or self.packets.get(first)
        return held or self.base[first * BLOCK : (first + PACKET) * BLOCK]

    def read(self, block: int, count: int) -> bytes:
        if block < 0 or count < 0 or block + count > self.capacity:
            raise UnreadableBlockError(block=block)
        first = block - block % PACKET
        data = b"".join(self._packet(at) for at in range(first, block + count, PACKET))
        return data[(block - first) * BLOCK : (block - first + count) * BLOCK]

    def write(self, block: int, data: Any) -> None:
        assert block >= 0 and block * BLOCK + len(data) <= self.capacity * BLOCK
        for start in range(0, len(data), BLOCK):
            at = block + start // BLOCK
            first = at - at % PACKET
            packet = self.gathered.setdefault(first, bytearray(self._packet(first)))
            packet[(at - first) * BLOCK : (at - first + 1) * BLOCK] = data[start : start + BLOCK]

    def flush(self) -> None:
        self.written |= self.gathered.keys()
        self.packets.update((first, bytes(data)) for first, data in self.gathered.items())
        self.gathered.clear()

    def discard(self) -> None:
        self.gathered.clear()

    def relocate(self, old: int, new: int) -> None:
        if old in self.gathered:
            self.gathered[new] = self.gathered.pop(old)

    def close(self) -> None:
        pass

    def put(self, block: int, data: bytes) -> None:
        """Spoil it."""
        self.write(block, data.ljust(-(-len(data) // BLOCK) * BLOCK, b"\0"))
        self.flush()
        self.written.clear()


@contextmanager
def mounted(disc: Disc, *, shutdown: bool = True) -> Iterator[FileSystem]:
    spool = Path(tempfile.mkdtemp())
    try:
        fs = open_file_system(disc, spool=spool, options=QUIET, clock=lambda: NOW)
        yield fs
        if shutdown:
            fs.shutdown()
    finally:
        shutil.rmtree(spool)


def save(fs: FileSystem, path: str, data: bytes) -> None:
    handle = fs.create(path, 0o644, os.O_RDWR, 0, 0)
    fs.write(handle, data, 0)
    fs.release(handle)


@cache
def good() -> Disc:
    """Some files, all at home."""
    disc = Disc(bytes(BLOCKS * BLOCK))
    format_rewritable(
        disc,
        FormatOptions("Hostile"),
        now=NOW,
        random=Random(1).randbytes,
        log_packets=LOG_PACKETS,
        spare_packets=8,
        bad_packets=(1280,),
    )
    with mounted(disc) as fs:
        fs.mkdir("/d", 0o755, 0, 0)
        for number in range(6):
            save(fs, f"/d/{number}", bytes([number]) * 5000 * number)
    return disc


@cache
def pending() -> Disc:
    """The same with some commits in the log."""
    disc = Disc(good())
    with mounted(disc, shutdown=False) as fs:
        for number in range(5):
            save(fs, f"/new {number}", b"n" * 3000 * (1 + number * 10))
            fs.unlink(f"/d/{number}")
            fs.sync()
    volume = open_volume(Disc(disc))
    assert volume.intent_log is not None and volume.intent_log.state == PENDING
    return disc


@cache
def sound() -> Volume:
    """The volume before anything was spoilt."""
    return open_volume(Disc(good()))


@cache
def ground() -> Any:
    return examine(good())


@cache
def allowed() -> set[int]:
    """Packets that may be written, whatever a disc says."""
    report = ground()
    found = {at - at % PACKET for at in range(report.start, report.start + report.length)}
    found |= {report.integrity_at - report.integrity_at % PACKET, *report.spare_packets}
    volume = sound()
    assert volume.sparing is not None
    found |= {at - at % PACKET for at in volume.sparing.locations}
    return found


@cache
def descriptors_of_volume() -> set[int]:
    """Packets of the volume descriptor sequences: a disc that says that it has no
    log gets one."""
    volume = sound()
    return {at - at % PACKET for at, _ in (volume.main_sequence, volume.reserve_sequence)}


# -- using it ------------------------------------------------------------------------


def use(disc: Disc) -> None:
    """All that a mount does; what is refused is refused in words."""
    began = time.monotonic()
    disc.written.clear()
    before = volume_descriptors(disc)
    try:
        with mounted(disc) as fs:
            work(fs)
    except InternalError:
        raise
    except (UdffsError, MediaError) as error:
        assert str(error)
    outside = disc.written - allowed() - {BLOCKS - PACKET, BLOCKS - 288}  # for tables
    assert all(disc.read(at, 1) == good().read(at, 1) for at in (256, BLOCKS - 257, BLOCKS - 1))
    assert not outside - descriptors_of_volume(), f"written: {sorted(outside)}"
    if outside:
        assert volume_descriptors(disc) == before
    assert time.monotonic() - began < 5


def volume_descriptors(disc: Disc) -> list[bytes]:
    """Those of the main sequence but for the log's place and the end."""
    main, _ = sound().main_sequence
    found = []
    for at in range(main, main + 16):
        data = disc.read(at, 1)
        if any(data) and data[:2] != b"\x08\0" and osta.LOG_PLACE not in data:
            found.append(data)
    return found


def work(fs: FileSystem) -> None:
    looked = 0
    todo = ["/"]
    while todo and looked < 30:
        path = todo.pop()
        looked += 1
        try:
            a = fs.getattr(path)
            if stat.S_ISDIR(a.mode):
                todo += [f"{path.rstrip('/')}/{name}" for name, _, _ in fs.readdir(path)]
            elif stat.S_ISREG(a.mode):
                handle = fs.open(path, os.O_RDONLY)
                fs.read(handle, 1 << 16, 0)
                fs.release(handle)
        except (UdffsError, MediaError) as error:
            assert str(error)
    if fs.read_only is not None:
        assert str(fs.read_only)
        return
    for number in range(3):
        try:
            save(fs, f"/mine {number}", b"mine" * 20_000)
            fs.sync()
        except UdffsError as error:
            if error.errno not in (errno.EEXIST, errno.EROFS, errno.ENOSPC, errno.EIO):
                raise


# -- spoiling it ---------------------------------------------------------------------


def slots(disc: Disc) -> list[tuple[int, Slot, bytes]]:
    """(home, head, payload) of all that are valid."""
    volume = sound()
    state = volume.intent_log
    assert state is not None
    found = []
    for home in state.slots:
        parsed = intentlog.parse_slot(disc.read(home, PACKET), state.identity)
        if parsed is not None:
            found.append((home, *parsed))
    return found


def identity() -> int:
    state = sound().intent_log
    assert state is not None
    return state.identity


def rebuilt(home: int, head: Slot, payload: bytes, disc: Disc) -> None:
    disc.put(home, intentlog.build_slot(head, identity(), payload))


def number(chance: Random, old: int, bits: int) -> int:
    top = (1 << bits) - 1
    ways = (
        lambda: chance.choice(EXTREMES) & top,
        lambda: top - chance.randrange(3),
        lambda: (old + chance.randrange(-3, 4)) & top,
        lambda: chance.getrandbits(bits),
        lambda: chance.randrange(BLOCKS),
    )
    return chance.choice(ways)() & top


def spoil_slot_head(disc: Disc, chance: Random) -> None:
    home, head, payload = chance.choice(slots(disc))
    name = chance.choice(Slot._fields)
    bits = 16 if name in ("part", "parts") else 64
    value = number(chance, getattr(head, name), bits)
    if name == "payload_length":
        value %= PAYLOAD + 1
        payload = payload.ljust(value, b"\0")[:value]
    rebuilt(home, head._replace(**{name: value}), payload, disc)


def spoil_sequence(disc: Disc, chance: Random) -> None:
    """A slot as if it were from the end of time, whole."""
    home, head, payload = chance.choice(slots(disc))
    value = chance.choice(((1 << 64) - 1, (1 << 63) - 1, 1 << 63, head.sequence + 1000))
    tail = chance.choice((head.tail, value, value - 1, 0, value + 1))
    head = Slot(value, value - head.part, head.part, head.parts, tail % (1 << 64), len(payload))
    rebuilt(home, head, payload, disc)


def _resealed(payload: bytes) -> bytes:
    return struct.pack("<I", crc32(payload[4:])) + payload[4:]


RECORD = derive(intentlog.RecordHead)


def spoil_record_head(disc: Disc, chance: Random) -> None:
    home, head, payload, _ = chance.choice(_records(disc))
    values = list(RECORD.unpack_from(payload))
    at = chance.choice([i for i, name in enumerate(RECORD.names) if "reserved" not in name])
    if isinstance(values[at], int):
        name = RECORD.names[at]
        bits = 8 if name == "kind" else 64 if name in ("commit", "previous") else 32
        values[at] = number(chance, values[at], bits)
    data = bytearray(payload)
    RECORD.pack_into(data, 0, *values)
    rebuilt(home, head, _resealed(bytes(data)), disc)


def _records(disc: Disc) -> list[tuple[int, Slot, bytes, Record]]:
    """All that are in one slot."""
    parsed = [(*one, intentlog.parse_record(one[2])) for one in slots(disc)]
    return [(home, head, data, record) for home, head, data, record in parsed if record]


def spoil_record(disc: Disc, chance: Random) -> None:
    """A record that says other things, and is right in itself."""
    home, head, _, record = chance.choice(_records(disc))
    images = dict(record.images)
    for _ in range(chance.randrange(1, 4)):
        old = chance.choice([*images, 0])
        image = images.pop(old, b"\xee" * BLOCK)
        images[_home(chance, old)] = image
    record.images = dict(list(images.items())[:28])
    for name in ("allocated", "freed"):
        if chance.random() < 0.4:
            extents = [*getattr(record, name)]
            extents += [
                (_home(chance, 100), number(chance, 32, 32)) for _ in range(chance.randrange(1, 4))
            ]
            setattr(record, name, extents)
    if chance.random() < 0.3:
        record.direct = [(_home(chance, 100), number(chance, 32, 32), 0)] * chance.randrange(1, 40)
    if chance.random() < 0.3:
        record.integrity_block = _home(chance, record.integrity_block)
    if chance.random() < 0.3:
        record.previous = number(chance, record.previous, 64)
    _put_record(disc, home, head, record)


def _put_record(disc: Disc, home: int, head: Slot, record: Record) -> None:
    data = intentlog.build_record(record)[:PAYLOAD]
    rebuilt(home, head._replace(payload_length=len(data)), data, disc)


def _home(chance: Random, old: int) -> int:
    report = ground()
    volume = sound()
    state = volume.intent_log
    assert state is not None
    places = (
        256,
        BLOCKS - 1,
        BLOCKS - 257,
        report.main_at,
        report.integrity_at,
        report.start - 1,
        report.start,
        report.start + report.length,
        16,
        chance.choice(state.slots),
        chance.choice(report.spare_packets),
        volume.space_extent.block + report.start,
    )
    return chance.choice((chance.choice(places), number(chance, old, 32)))


def spoil_integrity(disc: Disc, chance: Random) -> None:
    at = ground().integrity_at
    data = disc.read(at, 1)
    found = tags.unseal(ecma167.LogicalVolumeIntegrityDescriptor, data, location=at)
    use = bytearray(found.implementation_use)
    what = chance.randrange(6)
    if what == 0:
        offset = chance.randrange(len(use))
        use[offset : offset + 4] = chance.choice((b"\xff" * 4, b"\0" * 4, chance.randbytes(4)))
    elif what == 1:
        unique_id = number(chance, 100, 64)
        found = {**found, "logical_volume_contents_use": {"unique_id": unique_id}}
    elif what == 2:
        found = {**found, "free_space_table": [number(chance, 100, 32)]}
    elif what == 3:
        found = {**found, "integrity_type": chance.randrange(3)}
    elif what == 4:
        extent = {"length": number(chance, BLOCK, 32), "location": _home(chance, at)}
        found = {**found, "next_integrity_extent": extent}
    if what < 5:
        use = use[: len(found["implementation_use"])]
        found = {**found, "implementation_use": bytes(use)}
        extension = intentlog.IntegrityExtension(
            number(chance, 3, 16), number(chance, 3, 64), number(chance, 3, 64)
        )
        if chance.random() < 0.5:
            version = tags.check(data).descriptor_version
            new = intentlog.build_integrity(found, extension, location=at, version=version)
        else:
            new = tags.seal(ecma167.LogicalVolumeIntegrityDescriptor, found, location=at, version=3)
    else:
        offset = chance.randrange(16, 200)
        new = discs.resign(data[:offset] + chance.randbytes(4) + data[offset + 4 :])
    disc.put(at, new)


def spoil_place(disc: Disc, chance: Random) -> None:
    """The descriptors that say where the log is, both or one."""
    volume = sound()
    state = volume.intent_log
    assert state is not None
    ways: tuple[Callable[[], list[tuple[int, int]]], ...] = (
        lambda: [(_home(chance, 0) // 32 * 32, chance.randrange(1, 20))],
        lambda: [(_home(chance, 0), chance.randrange(300))],
        lambda: [(state.slots[0], len(state.slots) + 3)],
        lambda: [(state.slots[0], 1), (state.slots[0], 1)],
        lambda: [(state.slots[0] + 32, len(state.slots))],
    )
    extents = chance.choice(ways)()
    use = intentlog.build_log_use(extents)
    for start, _ in (volume.main_sequence, volume.reserve_sequence):
        for block in range(start, start + 16):
            data = disc.read(block, 1)
            if osta.LOG_PLACE in data:
                codec = derive(ecma167.ImplementationUseVolumeDescriptor)
                at = codec.offset("implementation_use")
                disc.put(block, discs.resign(data[:at] + use + data[at + len(use) :]))


def spoil_bitmap(disc: Disc, chance: Random) -> None:
    volume = sound()
    at = volume.space_extent.block + volume.partition_start
    data = bytearray(disc.read(at, 1))
    what = chance.randrange(4)
    if what == 0:  # lengths
        struct.pack_into("<II", data, 16, number(chance, 4096, 32), number(chance, 512, 32))
    elif what == 1:  # everything is free
        data[24:536] = b"\xff" * 512
    elif what == 2:  # nothing is
        data[24:536] = bytes(512)
    else:
        offset = chance.randrange(24, 536)
        data[offset : offset + 8] = chance.randbytes(8)
    disc.put(at, discs.resign(bytes(data)))


def spoil_sparing(disc: Disc, chance: Random) -> None:
    """Entries of the sparing tables, of all or one of them."""
    volume = sound()
    sparing = volume.sparing
    assert sparing is not None
    entries = list(sparing.entries)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(entries))
        original = chance.choice(
            (entries[at][0], osta.SPARING_AVAILABLE, chance.randrange(0, BLOCKS, 32), 0)
        )
        mapped = _home(chance, entries[at][1])
        mapped -= mapped % 32 if chance.random() < 0.8 else 0
        entries[at] = (original, mapped)
    sequence = sparing.sequence + chance.choice((0, 1, (1 << 32) - 1 - sparing.sequence))
    fields = osta.sparing_fields(sparing.identifier, sequence, entries)
    for location in sparing.locations[: chance.randrange(1, 3)]:
        table = tags.seal(osta.SparingTable, fields, location=location, version=3)
        disc.put(location, table)


def spoil_map(disc: Disc, chance: Random) -> None:
    """Where the sparing tables are, in the logical volume descriptor."""
    volume = sound()
    sparing = volume.sparing
    assert sparing is not None
    old = struct.pack("<I", chance.choice(sparing.locations))
    new = struct.pack("<I", _home(chance, 0))
    for start, _ in (volume.main_sequence, volume.reserve_sequence):
        for block in range(start, start + 16):
            data = disc.read(block, 1)
            if data[:2] == b"\x06\0" and old in data:
                where = data.rfind(old)
                disc.put(block, discs.resign(data[:where] + new + data[where + 4 :]))


def spoil_hidden_file(disc: Disc, chance: Random) -> None:
    """The file that holds the log's packets."""
    at = ground().start + ground().icbs["/Non-Allocatable Space"]
    data = disc.read(at, 1)
    offset = chance.randrange(16, 260)
    disc.put(at, discs.resign(data[:offset] + chance.randbytes(2) + data[offset + 2 :]))


SPOILERS = (
    spoil_slot_head,
    spoil_sequence,
    spoil_record_head,
    spoil_record,
    spoil_record,
    spoil_integrity,
    spoil_place,
    spoil_bitmap,
    spoil_sparing,
    spoil_map,
    spoil_hidden_file,
)


def execute(seed: int) -> None:
    """One run."""
    chance = random.Random(seed)
    disc = Disc(good() if seed % 4 == 0 else pending())
    told: list[str] = []
    for _ in range(1 + (chance.random() < 0.4)):
        spoiler = SPOILERS[(seed + len(told)) % len(SPOILERS)]
        if told:
            spoiler = chance.choice(SPOILERS)
        told.append(spoiler.__name__)
        with suppress(StructureError):  # the first one left nothing to spoil
            spoiler(disc, chance)
    try:
        use(disc)
    except BaseException as error:
        error.add_note(f"execute({seed}): {', '.join(told)}")
        raise


@pytest.mark.parametrize("first", range(0, 1600, 200))
def test_hostile_structures(first: int) -> None:
    for seed in range(first, first + 200):
        execute(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(2000, 12_000, 500))
def test_many_hostile_structures(first: int) -> None:
    for seed in range(first, first + 500):
        execute(seed)
