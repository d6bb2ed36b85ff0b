"""What the reader makes of discs as we write them, whole and cut short."""

from __future__ import annotations

import stat

import pytest

from media.store import SessionSpan
from udffs.errors import BlankDiscError, DamagedError, NotUdfError, UnsupportedError
from udffs.ondisc import ecma167, hot, modes, osta
from udffs.volume import history, make_key, open_volume

from . import discs
from .discs import BLOCK, START, MemoryStore


@pytest.mark.parametrize("revision", [0x0150, 0x0201])
def test_a_disc_as_we_write_it(revision: int) -> None:
    said: list[str] = []
    volume = open_volume(discs.vat_disc(revision=revision), log=said.append)
    assert (volume.kind, volume.revision) == ("vat", revision)
    assert volume.label == ("Small disc" if revision == 0x0150 else "From the VAT")
    assert volume.identity == "0123456789abcdefSet"
    assert volume.created == discs.NOW
    assert (volume.partition_start, volume.partition_length) == (START, discs.LENGTH)
    assert (volume.physical_reference, volume.virtual_reference) == (0, 1)
    assert volume.write_protected is None
    assert not volume.damaged_tail
    assert volume.notes == said == []
    assert volume.next_unique_id == 100
    vat = volume.vat
    assert vat is not None
    assert vat.location == discs.AT_VAT + 1
    assert vat.embedded
    assert list(vat.entries) == discs.ENTRIES
    counts = (-1, -1) if revision == 0x0150 else (2, 1)
    assert (volume.files, volume.directories) == counts


def test_names_inodes_and_content() -> None:
    volume = open_volume(discs.vat_disc())
    root = volume.inode(volume.root_key)
    assert stat.S_ISDIR(root.mode)
    assert volume.parent_key(root) == volume.root_key
    entries = {entry.name: entry for entry in volume.entries(root)}
    assert list(entries) == ["hello", "big", "link"]
    hello = volume.inode(entries["hello"].key)
    assert (hello.mode, hello.uid, hello.gid, hello.links) == (0o100644, 1000, 100, 1)
    assert hello.mtime == hello.atime == hello.ctime == discs.NOW
    assert volume.read(hello, 0, 100) == b"hello, world\n"
    assert volume.read(hello, 7, 5) == b"world"
    assert volume.read(hello, 13, 5) == b""
    assert volume.readlink(volume.inode(entries["link"].key)) == "../hello"
    data = volume.directory_data(root)
    for entry in entries.values():
        (found,) = hot.iter_fids(data[entry.offset : entry.offset + entry.length])
        assert make_key(found.icb_partition, found.icb_block) == entry.key


def test_reading_across_extents() -> None:
    volume = open_volume(discs.vat_disc())
    big = volume.inode(make_key(discs.VIRTUAL, discs.BIG))
    assert [tuple(run) for run in big.runs] == [
        (0, discs.AT_DATA, 2 * BLOCK),
        (2 * BLOCK, discs.AT_DATA + 10, BLOCK + 77),
    ]
    content = discs.BIG_CONTENT
    assert volume.read(big, 0, 1 << 20) == content
    for start, length in ((0, 1), (2047, 2), (2048, 2048), (4095, 2), (6000, 500), (6220, 9)):
        assert volume.read(big, start, length) == content[start : start + length]


def test_deleted_and_parent_entries_are_left_out() -> None:
    store = discs.vat_disc()
    entries = [
        discs.fid("gone", (1, 2), characteristics=ecma167.FID_DELETED),
        discs.fid("dark", (1, 2), characteristics=ecma167.FID_HIDDEN),
    ]
    store.put(discs.AT_ROOT, discs.directory(discs.ROOT, (1, 1), entries))
    volume = open_volume(store)
    (only,) = volume.entries(volume.inode(volume.root_key))
    assert (only.name, only.hidden, only.is_directory) == ("dark", True, False)


def test_names_that_occur_twice_stay_reachable() -> None:
    store = discs.vat_disc()
    entries = [discs.fid("same", (1, number)) for number in (2, 3, 4)]
    entries.append(discs.fid("same#2", (1, 2)))
    store.put(discs.AT_ROOT, discs.directory(discs.ROOT, (1, 1), entries))
    volume = open_volume(store)
    names = [entry.name for entry in volume.entries(volume.inode(volume.root_key))]
    assert len(set(names)) == 4
    assert names[0] == "same"


def test_holes_read_as_zeros() -> None:
    store = discs.vat_disc()
    extents = [
        (BLOCK, 2, 0, 0),
        (BLOCK, 0, discs.AT_DATA - START, 0),
        (BLOCK, 1, 5, 0),
        (BLOCK, 2, 0, 0),
    ]
    allocation = hot.pack_long_ads(extents)
    store.put(
        discs.AT_BIG,
        discs.icb(discs.BIG, file_type=5, allocation=allocation, allocation_type=1, size=5 * BLOCK),
    )
    volume = open_volume(store)
    big = volume.inode(make_key(1, discs.BIG))
    assert [run.block for run in big.runs] == [-1, discs.AT_DATA, -1]
    expected = bytes(BLOCK) + discs.BIG_CONTENT[:BLOCK] + bytes(3 * BLOCK)
    assert volume.read(big, 0, 1 << 20) == expected


def test_allocation_extents() -> None:
    store = discs.vat_disc()
    ads = [(BLOCK, 0, discs.AT_DATA - START, 0), (BLOCK, 3, 340 - START, 0)]
    store.put(
        discs.AT_BIG,
        discs.icb(
            discs.BIG,
            file_type=5,
            allocation=hot.pack_long_ads(ads),
            allocation_type=1,
            size=2 * BLOCK,
        ),
    )
    second = hot.pack_long_ads([(BLOCK, 0, discs.AT_DATA + 10 - START, 0)])
    extent = hot.build_allocation_extent(location=340 - START, version=3, allocation=second)
    store.put(340, extent)
    store.put(341, discs.vat_icb(341, discs.vat_bytes(discs.ENTRIES)))
    volume = open_volume(store)
    big = volume.inode(make_key(1, discs.BIG))
    content = discs.BIG_CONTENT
    assert volume.read(big, 0, 2 * BLOCK) == content[:BLOCK] + content[2 * BLOCK : 3 * BLOCK]


def test_device_nodes() -> None:
    store = discs.vat_disc()
    attributes = modes.build_device(8, 3, location=discs.HELLO, version=3)
    store.put(discs.AT_HELLO, discs.icb(discs.HELLO, file_type=6, extended_attributes=attributes))
    inode = open_volume(store).inode(make_key(1, discs.HELLO))
    assert stat.S_ISBLK(inode.mode)
    assert inode.device == 8 << 8 | 3


# -- the VAT: where it lies, and what comes before it --------------------------


def scattered_vat(store: MemoryStore) -> None:
    """A table of 600 entries in two blocks, out of order, with the ICB behind them."""
    table = discs.vat_bytes(discs.ENTRIES + [discs.UNUSED] * 595)
    store.put(341, table[:BLOCK])
    store.put(340, table[BLOCK:])
    extents = [(BLOCK, 0, 341 - START), (len(table) - BLOCK, 0, 340 - START)]
    allocation = hot.pack_short_ads(extents)
    entry = discs.vat_icb(342, allocation, size=len(table), allocation_type=0)
    store.put(342, entry)


def test_a_scattered_vat() -> None:
    store = discs.vat_disc()
    scattered_vat(store)
    volume = open_volume(store)
    assert volume.vat is not None
    assert len(volume.vat.entries) == 600
    assert [tuple(run) for run in volume.vat.runs] == [(0, 341, BLOCK), (BLOCK, 340, 504)]
    assert not volume.vat.embedded
    assert {entry.name for entry in volume.entries(volume.inode(volume.root_key))} >= {"hello"}


def test_a_reserved_first_track() -> None:
    """Nothing before block 512 can be read, the only anchor is there (UDF 6.10)."""
    old = discs.vat_disc()
    store = MemoryStore({block: data for block, data in old.blocks.items() if block >= 257})
    for block in (*range(discs.MAIN, discs.MAIN + 16), discs.INTEGRITY):
        store.blocks[block] = old.blocks[block]
    fields = {
        "main_volume_descriptor_sequence_extent": {"length": 16 * BLOCK, "location": discs.MAIN},
        "reserve_volume_descriptor_sequence_extent": {"length": 0, "location": 0},
    }
    anchor = discs.sealed(ecma167.AnchorVolumeDescriptorPointer, fields, 512)
    store.put(512, anchor)
    store.put(520, discs.vat_icb(520, discs.vat_bytes(discs.ENTRIES)))
    volume = open_volume(store)
    assert volume.anchor == 512
    assert volume.notes == []


def test_link_blocks_behind_the_vat_are_no_damage() -> None:
    store = discs.vat_disc()
    store.last_block += 7
    volume = open_volume(store)
    assert not volume.damaged_tail


def test_a_torn_last_commit_falls_back() -> None:
    store = discs.vat_disc()
    store.put(400, b"half of a packet")
    volume = open_volume(store)
    assert volume.damaged_tail
    assert volume.vat is not None and volume.vat.location == discs.AT_VAT + 1
    assert volume.notes == ["the disc does not end with a valid VAT; using the one at 331"]


def test_an_unreadable_table_falls_back_to_the_vat_before() -> None:
    store = discs.vat_disc()
    scattered_vat(store)
    del store.blocks[340]
    volume = open_volume(store)
    assert volume.vat is not None and volume.vat.location == discs.AT_VAT + 1
    assert volume.damaged_tail
    assert volume.notes[0].startswith("the VAT at 342 cannot be used")
    assert volume.notes[1].endswith("using the one at 331")


def test_a_vat_whose_root_is_lost_falls_back() -> None:
    store = discs.vat_disc()
    moved = list(discs.ENTRIES)
    moved[discs.ROOT] = 900
    store.put(350, discs.vat_icb(350, discs.vat_bytes(moved)))
    volume = open_volume(store)
    assert volume.vat is not None and volume.vat.location == discs.AT_VAT + 1


def test_a_vat_far_from_the_end() -> None:
    store = discs.vat_disc()
    for block in range(340, 3000):
        store.blocks[block] = bytes(BLOCK)
    store.put(3000, b"streamed, and cut off")
    store.reads = 0
    volume = open_volume(store)
    assert volume.vat is not None and volume.vat.location == discs.AT_VAT + 1
    assert store.reads < 60


def test_no_vat_at_all() -> None:
    store = discs.vat_disc()
    del store.blocks[discs.AT_VAT], store.blocks[discs.AT_VAT + 1]
    with pytest.raises(DamagedError, match="no VAT can be found"):
        open_volume(store)


def test_the_gap_between_sessions_is_not_searched() -> None:
    """Lead-out and lead-in take some 11,000 blocks that cannot be read."""
    store = discs.vat_disc()
    spans = [SessionSpan(0, 331), SessionSpan(12_000, None)]
    two = MemoryStore(store.blocks, spans)
    two.put(12_000, b"a session that was begun and cut off")
    volume = open_volume(two)
    assert volume.vat is not None and volume.vat.location == discs.AT_VAT + 1
    assert volume.damaged_tail
    assert two.reads < 60


def test_history_and_old_states() -> None:
    store = discs.vat_disc()
    store.put(350, discs.directory(discs.ROOT, (1, 1), [discs.fid("new", (1, discs.HELLO))]))
    entries = list(discs.ENTRIES)
    entries[discs.ROOT] = 350 - START
    table = discs.vat_bytes(entries, previous=discs.AT_VAT + 1 - START)
    store.put(360, discs.vat_icb(360, table, mtime_ns=discs.NOW + 10**9))
    now = open_volume(store)
    assert [entry.name for entry in now.entries(now.inode(now.root_key))] == ["new"]
    commits = list(history(now))
    assert [commit.location for commit in commits] == [360, discs.AT_VAT + 1]
    assert commits[0].time - commits[1].time == 10**9
    then = open_volume(store, vat_location=commits[1].location)
    assert "hello" in [entry.name for entry in then.entries(then.inode(then.root_key))]


# -- other volumes, and none ---------------------------------------------------


def test_blank() -> None:
    with pytest.raises(BlankDiscError):
        open_volume(MemoryStore({}))


def test_zeros() -> None:
    with pytest.raises(NotUdfError):
        open_volume(MemoryStore({block: bytes(BLOCK) for block in range(600)}))


def test_an_iso_9660_disc_is_called_one() -> None:
    store = MemoryStore({block: bytes(BLOCK) for block in range(300)})
    store.put(16, b"\x01CD001\x01")
    with pytest.raises(NotUdfError, match="ISO 9660"):
        open_volume(store)


def test_the_reserve_descriptors_are_used() -> None:
    store = discs.vat_disc()
    for block in range(discs.MAIN, discs.MAIN + 16):
        store.blocks[block] = bytes(BLOCK)
    volume = open_volume(store)
    assert "using the reserve ones" in volume.notes[0]


def test_a_missing_recognition_sequence_is_said() -> None:
    store = discs.vat_disc()
    for block in range(16, 19):
        store.blocks[block] = bytes(BLOCK)
    assert "recognition sequence is missing" in open_volume(store).notes[0]


def test_a_last_session_without_udf_is_said() -> None:
    store = discs.vat_disc()
    store.blocks[16] = (b"\x01CD001\x01").ljust(BLOCK, b"\0")
    for block in range(17, 19):
        store.blocks[block] = bytes(BLOCK)
    assert "ISO 9660 alone" in open_volume(store).notes[0]


def test_sparing() -> None:
    volume = open_volume(discs.sparable_disc({64: discs.SPARE}))
    assert volume.kind == "sparable"
    (entry,) = volume.entries(volume.inode(volume.root_key))
    assert volume.view is not None and volume.store is volume.view
    assert volume.to_absolute(0, 64) == START + 64  # a home, also of a spared packet
    assert volume.view.actual(START + 64) == discs.SPARE
    assert volume.view.actual(START + 96) == START + 96
    assert volume.read(volume.inode(entry.key), 0, 99) == b"hello, spare\n"


def test_a_run_over_a_spared_packet() -> None:
    volume = open_volume(discs.sparable_disc({64: discs.SPARE}))
    assert volume.view is not None
    assert volume.view.pieces(START + 60, 100) == [
        (START + 60, 4),
        (discs.SPARE, 32),
        (START + 96, 64),
    ]


@pytest.mark.parametrize(
    ("flags", "why"), [(1, "write-protected for good"), (2, "write-protected")]
)
def test_write_protection(flags: int, why: str) -> None:
    store = discs.vat_disc()
    suffix = osta.DomainIdentifierSuffix.build({"udf_revision": 0x0201, "domain_flags": flags})
    store.poke(ecma167.LogicalVolumeDescriptor, discs.LVD, "domain_identifier.suffix", suffix)
    assert why in (open_volume(store).write_protected or "")


def test_no_integrity_descriptor_means_read_only() -> None:
    store = discs.vat_disc()
    store.blocks[discs.INTEGRITY] = bytes(BLOCK)
    assert "integrity" in (open_volume(store).write_protected or "")


def test_later_revisions() -> None:
    store = discs.vat_disc()
    suffix = osta.DomainIdentifierSuffix.build({"udf_revision": 0x0300})
    store.poke(ecma167.LogicalVolumeDescriptor, discs.LVD, "domain_identifier.suffix", suffix)
    with pytest.raises(UnsupportedError, match=r"UDF 3\.00"):
        open_volume(store)


def test_opening_a_disc_of_100_000_files_takes_few_reads() -> None:
    store = discs.vat_disc()
    table = discs.vat_bytes(discs.ENTRIES + [50] * 100_000)
    store.put(400, table)
    end = 400 + -(-len(table) // BLOCK)
    allocation = hot.pack_short_ads([(len(table), 0, 400 - START)])
    store.put(end, discs.vat_icb(end, allocation, size=len(table), allocation_type=0))
    store.reads = 0
    volume = open_volume(store)
    assert volume.vat is not None and len(volume.vat.entries) == 100_005
    assert store.reads < 20
