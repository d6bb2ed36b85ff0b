"""The parts of a commit that are pure, against the simplest thing that is right."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from udffs.commit.nodes import cut_runs
from udffs.commit.overlay import Overlay
from udffs.commit.plan import Geometry, allocation_of, merge_runs
from udffs.commit.spool import Segment
from udffs.commit.stream import DirectoryStream
from udffs.commit.vat import UNUSED, Counts, VatTable
from udffs.ondisc import hot
from udffs.ondisc.text import decode_name
from udffs.volume import Run

BLOCK = 2048
STEADY = settings(
    derandomize=True,
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
LENGTH = 6 * BLOCK


# -- overlays ---------------------------------------------------------------------

Step = tuple[str, int, int]


def _steps() -> st.SearchStrategy[list[Step]]:
    edge = st.sampled_from([0, 1, 100, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, LENGTH - 1])
    place = edge | st.integers(0, LENGTH - 1)
    kind = st.sampled_from(["write", "write", "write", "zero", "truncate", "epoch"])
    return st.lists(st.tuples(kind, place, place), max_size=25)


NOTHING, ZERO = -1, -2
EPOCH = 1 << 32  # a byte of the data file of epoch N at P is N * EPOCH + P
Bytes = array  # of 64-bit numbers, one for each byte of a file


@STEADY
@given(steps=_steps(), low=st.integers(0, LENGTH), high=st.integers(0, LENGTH))
def test_an_overlay_is_a_map_of_bytes(
    steps: list[Step], low: int, high: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    segment, end_of_data = Segment(folder, 1), 0
    overlay, plain = Overlay(), array("q", [NOTHING]) * LENGTH
    for kind, one, other in steps:
        start, end = min(one, other), max(one, other)
        before = overlay.blocks
        if kind == "epoch":
            segment, end_of_data = Segment(folder, segment.epoch + 1), 0
        elif kind == "truncate":
            overlay.truncate(start)
            plain[start:] = array("q", [NOTHING]) * (LENGTH - start)
        elif kind == "zero":
            grown = overlay.put(start, end, None, 0)
            plain[start:end] = array("q", [ZERO]) * (end - start)
            assert overlay.blocks - before == grown
        else:
            grown = overlay.put(start, end, segment, end_of_data)
            first = segment.epoch * EPOCH + end_of_data
            plain[start:end] = array("q", range(first, first + end - start))
            end_of_data += end - start
            assert overlay.blocks - before == grown
        _same(overlay, plain)
    _same_part(overlay, plain, min(low, high), max(low, high))
    overlay.drop_until(1)
    _same(overlay, array("q", (NOTHING if b // EPOCH == 1 else b for b in plain)))


def _same(overlay: Overlay, plain: Bytes[int]) -> None:
    assert _bytes(overlay, 0, LENGTH) == plain
    touched = _touched(plain, 0, LENGTH)
    assert overlay.blocks == len(touched)
    assert {b for first, n in overlay.block_ranges() for b in range(first, first + n)} == touched


def _touched(plain: Bytes[int], start: int, end: int) -> set[int]:
    nothing = array("q", [NOTHING]) * BLOCK
    blocks = range(start // BLOCK, -(-end // BLOCK))
    return {b for b in blocks if plain[b * BLOCK : (b + 1) * BLOCK] != nothing}


def _same_part(overlay: Overlay, plain: Bytes[int], low: int, high: int) -> None:
    expected = array("q", [NOTHING]) * LENGTH
    expected[low:high] = plain[low:high]
    assert _bytes(overlay.part(low, high), 0, LENGTH) == expected
    assert overlay.covered_blocks(low, high) == len(_touched(plain, low, high))


def _bytes(overlay: Overlay, start: int, end: int) -> Bytes[int]:
    found = array("q", [NOTHING]) * end
    for piece in overlay.slices(start, end):
        size = piece.end - piece.start
        if piece.segment is None:
            found[piece.start : piece.end] = array("q", [ZERO]) * size
        else:
            first = piece.segment.epoch * EPOCH + piece.position
            found[piece.start : piece.end] = array("q", range(first, first + size))
    return found


# -- runs and allocation descriptors ---------------------------------------------------


@STEADY
@given(st.data())
def test_runs_are_a_map_of_blocks(data: st.DataObject) -> None:
    """A file is overwritten in pieces, cut and grown; each of its blocks lies
    where it was written last, and the descriptors say the same."""
    where: dict[int, int] = {}
    runs: tuple[Run, ...] = ()
    size, address = 0, 1000
    for _ in range(data.draw(st.integers(1, 6))):
        if data.draw(st.booleans()):
            size = data.draw(st.integers(0, 30 * BLOCK))
            runs = cut_runs(runs, size)
            where = {block: at for block, at in where.items() if block * BLOCK < size}
        new: list[Run] = []
        first = 0
        for _ in range(data.draw(st.integers(0, 4))):
            first += data.draw(st.integers(0, 5))
            count = data.draw(st.integers(1, 4))
            size = max(size, first * BLOCK + data.draw(st.integers(1, count * BLOCK)))
            new.append(Run(first * BLOCK, address, count * BLOCK))
            where.update({first + n: address + n for n in range(count)})
            first += count
            address += count + data.draw(st.sampled_from([0, 0, 7]))
        new = [r._replace(length=min(r.length, size - r.offset)) for r in new]
        where = {block: at for block, at in where.items() if block * BLOCK < size}
        runs = merge_runs(runs, [r for r in new if r.length > 0])
        assert _blocks_of(runs) == where
        _descriptors_say(runs, size, where)


def _blocks_of(runs: tuple[Run, ...]) -> dict[int, int]:
    found: dict[int, int] = {}
    for run in runs:
        for number in range(-(-run.length // BLOCK)):
            assert run.offset // BLOCK + number not in found
            found[run.offset // BLOCK + number] = run.block + number
    return found


def _descriptors_say(runs: tuple[Run, ...], size: int, where: dict[int, int]) -> None:
    ads, recorded = allocation_of(runs, size, Geometry(257, 0, 3))
    assert recorded == len(where)
    assert sum(length for length, _, _, _ in ads) == size
    found: dict[int, int] = {}
    at = 0
    for length, kind, logical, _ in ads:
        assert at % BLOCK == 0, "only the last extent may end within a block"
        if kind == 0:
            blocks = -(-length // BLOCK)
            found.update({at // BLOCK + n: logical + 257 + n for n in range(blocks)})
        at += length
    assert found == where


# -- directories ------------------------------------------------------------------------

NAMES = [
    f"{prefix}{number}" for prefix in ("a", "name", "n" * 90, "Ω" * 100) for number in range(8)
]


@STEADY
@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 9)), max_size=60), st.booleans())
def test_a_directory_on_the_disc_is_what_was_entered(
    steps: list[tuple[str, int]], often: bool
) -> None:
    """Names come and go between commits; after each the blocks that were
    written, and the others as they lie from before, hold the names, and every
    tag says where it is."""
    stream = DirectoryStream(version=3, parent=1 << 32 | 7, parent_unique_id=5)
    names: dict[str, int] = {}
    disc: dict[int, bytes] = {}  # by block of the directory
    places: dict[int, int] = {}
    address = 100
    for index, (name, what) in enumerate(steps):
        if what < 3:
            stream.leave(name)
            names.pop(name, None)
        else:
            stream.enter(name, 1 << 32 | index, is_directory=what == 9, unique_id=index)
            names[name] = index
        if not (often or what == 5) and index + 1 < len(steps):
            continue
        if stream.tidy(200):
            _check_directory(stream.embedded(55), names, lambda _offset: 55)
            disc.clear()
            stream.touch_all()
        for first, count in stream.dirty_ranges():
            written = stream.blocks(first, count, address)
            for number in range(count):
                disc[first + number] = written[number * BLOCK : (number + 1) * BLOCK]
                places[first + number] = address + number
            address += count + 3
        stream.clean()
        whole = b"".join(disc[block] for block in range(-(-stream.size // BLOCK)))
        _check_directory(whole[: stream.size], names, lambda offset: places[offset // BLOCK])


def _check_directory(data: bytes, names: dict[str, int], place) -> None:  # type: ignore[no-untyped-def]
    found: dict[str, int] = {}
    for fid in hot.iter_fids(data):
        assert fid.tag_location == place(fid.offset)
        if fid.characteristics & 0x08:
            assert fid.offset == 0 and fid.icb_block == 7
        elif not fid.characteristics & 0x04:
            found[decode_name(fid.name)] = fid.unique_id
    assert found == names
    again = DirectoryStream.from_disc(data, version=3)
    assert len(again) == len(names)


# -- the virtual allocation table --------------------------------------------------------


class VatDisc:
    """What was written, and the reading of a VAT as another program does it."""

    START = 257

    def __init__(self) -> None:
        self.blocks: dict[int, bytes] = {}

    def write(self, address: int, data: bytes) -> None:
        for number in range(len(data) // BLOCK):
            assert address + number not in self.blocks, "a block is written twice"
            self.blocks[address + number] = data[number * BLOCK : (number + 1) * BLOCK]

    def read(self, location: int) -> bytes:
        icb = hot.parse_file_entry(self.blocks[location], location - self.START)
        if icb.allocation_type == 3:
            return icb.allocation
        content = b""
        allocation: bytes | None = icb.allocation
        while allocation is not None:
            following = None
            for length, kind, block in hot.unpack_short_ads(allocation):
                if kind == 3:
                    following = block
                    break
                blocks = range(block + self.START, block + self.START + -(-length // BLOCK))
                content += b"".join(self.blocks[b] for b in blocks)[:length]
            allocation = (
                None
                if following is None
                else hot.parse_allocation_extent(self.blocks[following + self.START], following)
            )
        assert len(content) == icb.size
        return content


@pytest.mark.parametrize("revision", [0x0150, 0x0201], ids=hex)
@pytest.mark.parametrize("size", [3, 420, 5000, 250_000])
def test_a_vat_grows_commit_by_commit(size: int, revision: int) -> None:
    """Scattered changes, more blocks than descriptors fit one ICB: the table
    on the disc is always the one in memory, and it costs what it must."""
    disc, table = VatDisc(), _table(revision)
    plain = array("I", range(1, size + 1))
    address = 300
    address = _commit(disc, table, dict(enumerate(plain)), plain, address)
    spent = 0
    for step in range(120):
        count = 1 if step % 10 else 30
        changes: dict[int, int] = {}
        for at in range(count):
            number = (step * 7919 + at * 104_729) % size
            changes[number] = UNUSED if (step + at) % 5 == 0 else address + at
        if step % 3 == 0:
            changes[len(plain)] = address
            plain.append(UNUSED)
        for number, where in changes.items():
            plain[number] = where
        before = len(disc.blocks)
        address = _commit(disc, table, changes, plain, address)
        spent += len(disc.blocks) - before
    blocks = -(-4 * len(plain) // BLOCK)
    least = 120 * 2 + 108 * min(2, blocks) + 12 * min(31, blocks)
    assert spent <= 2 * least + blocks


def _table(revision: int) -> VatTable:
    return VatTable(array("I"), revision=revision, label="x", location=-1, blocks=array("I"))


def _commit(
    disc: VatDisc, table: VatTable, changes: dict[int, int], plain: array[int], address: int
) -> int:
    old = table.location
    plan = table.plan(
        changes, Counts(5, 3, 77), address=address, partition_start=VatDisc.START, now=0
    )
    disc.write(plan.address, plan.data)
    table.adopt(plan)
    table.settled(n for n, where in changes.items() if where == UNUSED)
    for location in (plan.location, plan.location - 1):
        content = disc.read(location)
        head, tail = (0, 36) if table.revision < 0x0200 else (152, 0)
        entries = array("I")
        entries.frombytes(content[head : len(content) - tail])
        assert entries == plain
    previous = old - VatDisc.START if old >= 0 else UNUSED
    assert previous.to_bytes(4, "little") in (content[:152] if head else content[-36:])
    return plan.address + plan.size + 7


def test_numbers_are_given_once(tmp_path: Path) -> None:
    """A number is not given again before it is free on the disc."""
    disc, table = VatDisc(), _table(0x0201)
    plain = array("I", range(1, 11))
    address = _commit(disc, table, dict(enumerate(plain)), plain, 300)
    table.release(4)
    table.release(7)
    first = [table.allocate() for _ in range(3)]
    assert first == [10, 11, 12]
    plain[4] = plain[7] = UNUSED
    plain.extend(range(500, 503))
    changes = {4: UNUSED, 7: UNUSED, 10: 500, 11: 501, 12: 502}
    _commit(disc, table, changes, plain, address)
    assert [table.allocate() for _ in range(3)] == [4, 7, 13]
    table.release(13)
    table.release(4)
    assert [table.allocate() for _ in range(2)] == [4, 13]
