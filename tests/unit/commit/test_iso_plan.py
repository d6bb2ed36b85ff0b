"""What ECMA-119, Joliet and SUSP ask of descriptors, directories and path tables."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from support.iso_image import BLOCK, NOW, SECOND, Tree, bushy, descriptors, records

from udffs.commit.bridge import views
from udffs.commit.bridge.notes import Notes
from udffs.commit.bridge.plan import IsoPlan
from udffs.ondisc import iso9660

# -- descriptors ---------------------------------------------------------------


def test_volume_descriptors() -> None:
    tree = bushy()
    plan = IsoPlan(tree.root, label="Grüße from here", now=NOW, set_identifier="4b1d a set")
    addresses = list(range(1000, 1000 + 7 * len(plan.extents), 7))
    blocks = plan.descriptors(addresses, end=5300)
    assert [len(block) for block in blocks] == [BLOCK] * 3
    assert [block[:7] for block in blocks] == [b"\1CD001\1", b"\2CD001\1", b"\xffCD001\1"]
    primary, joliet = descriptors(bytes(16 * BLOCK) + b"".join(blocks))
    assert primary.volume_identifier == b"GR_SSE_FROM_HERE".ljust(32)
    assert joliet.volume_identifier.decode("utf-16-be") == "Grüße from here "
    assert primary.volume_set_identifier == b"4B1D_A_SET".ljust(128)
    assert joliet.volume_set_identifier.decode("utf-16-be").rstrip() == "4b1d a set"
    assert primary.application_identifier == primary.data_preparer_identifier
    assert primary.application_identifier == b"UDFFS".ljust(128)
    assert joliet.application_identifier.decode("utf-16-be") == "udffs".ljust(64)
    assert joliet.escape_sequences == b"%/E".ljust(32, b"\0")
    for number, one in enumerate((primary, joliet)):
        assert one.volume_space_size == 5300
        assert one.logical_block_size == BLOCK
        assert one.volume_set_size == one.volume_sequence_number == 1
        assert one.location_of_type_l_path_table == addresses[2 * number]
        assert one.location_of_type_m_path_table == addresses[2 * number + 1]
        assert one.volume_creation_date_and_time.digits == b"2023111422132012"
        assert one.volume_effective_date_and_time.digits == b"0" * 16
        assert one.file_structure_version == 1


@pytest.mark.parametrize("label", ["", "x" * 200, "中" * 40, "\U0001f600"])
def test_labels_of_any_kind_fit(label: str) -> None:
    tree = Tree()
    primary, joliet = descriptors(tree.image(label=label))
    assert set(primary.volume_identifier) <= set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ")
    assert len(joliet.volume_identifier.decode("utf-16-be")) == 16


def test_addresses_count_from_the_start_of_the_disc() -> None:
    tree = bushy()
    image = tree.image(first=7000)
    primary, joliet = descriptors(image)
    assert primary.volume_space_size == joliet.volume_space_size == 7000 + len(image) // BLOCK
    for one in (primary, joliet):
        found = list(records(image, one.directory_record_for_root_directory, 7000))
        assert len(found) == 1 + 3 + 120


# -- directories ---------------------------------------------------------------


def test_directories_are_sorted_and_begin_with_themselves() -> None:
    tree = bushy()
    image = tree.image()
    for number, one in enumerate(descriptors(image)):
        up = {}
        for block, found in records(image, one.directory_record_for_root_directory):
            assert [record.file_identifier for record in found[:2]] == [b"\0", b"\1"]
            assert found[0].location_of_extent == block
            assert found[1].location_of_extent == up.get(block, block)
            keys = [sort_key(record.file_identifier, joliet=number == 1) for record in found[2:]]
            assert keys == sorted(keys)
            for record in found[2:]:
                up[record.location_of_extent] = block


def sort_key(identifier: bytes, *, joliet: bool) -> Any:
    """ECMA-119 9.3: name and extension filled up with spaces; Joliet: by the character."""
    if joliet:
        return identifier.decode("utf-16-be").removesuffix(";1")
    name, _, extension = identifier.decode().removesuffix(";1").partition(".")
    return name.ljust(31), extension.ljust(31)


def test_names_that_sort_otherwise_by_their_bytes() -> None:
    tree = Tree()
    for name in ("A.1", "A", "A1", "A_", "B", "B.C", "BA"):
        tree.file(None, name, b"")
    primary, _ = descriptors(image := tree.image())
    ((_, found),) = records(image, primary.directory_record_for_root_directory)
    assert [record.file_identifier for record in found[2:]] == [
        b"A.;1",
        b"A.1;1",
        b"A1.;1",
        b"A_.;1",
        b"B.;1",
        b"B.C;1",
        b"BA.;1",
    ]


def test_no_name_is_too_long() -> None:
    tree = bushy()
    image = tree.image()
    primary, joliet = descriptors(image)
    for _, found in records(image, primary.directory_record_for_root_directory):
        for record in found[2:]:
            directory = record.file_flags & iso9660.FLAG_DIRECTORY
            assert len(record.file_identifier) <= (31 if directory else 33)
    for _, found in records(image, joliet.directory_record_for_root_directory):
        for record in found[2:]:
            directory = record.file_flags & iso9660.FLAG_DIRECTORY
            assert len(record.file_identifier) <= (128 if directory else 132)
            assert record.system_use == b""


# -- path tables ---------------------------------------------------------------


def path_table(image: bytes, one: Any, declaration: Any, at: int) -> list[tuple[bytes, int, int]]:
    data = image[at * BLOCK : at * BLOCK + one.path_table_size]
    found = []
    while data:
        record = declaration.parse(data)
        found.append(
            (
                record.directory_identifier,
                record.location_of_extent,
                record.parent_directory_number,
            )
        )
        data = data[len(declaration.build(record)) :]
    return found


def tables(image: bytes, one: Any) -> list[tuple[bytes, int, int]]:
    little = path_table(image, one, iso9660.PathTableRecordL, one.location_of_type_l_path_table)
    big = path_table(image, one, iso9660.PathTableRecordM, one.location_of_type_m_path_table)
    assert little == big
    return little


def test_path_tables_hold_every_directory_in_order() -> None:
    image = bushy().image()
    for one in descriptors(image):
        table = tables(image, one)
        assert table[0][0] == b"\0"
        assert table[0][2] == 1
        assert len(table) == 1 + 3 + 120
        # By level, then by the parent's number, then by identifier (6.9.1).
        assert [entry[2] for entry in table] == sorted(entry[2] for entry in table)
        for before, after in pairwise(table[1:]):
            assert before[2] < after[2] or before[0] < after[0]
        located = {entry[1]: number for number, entry in enumerate(table, 1)}
        for block, found in records(image, one.directory_record_for_root_directory):
            assert table[located[block] - 1][2] == located[found[1].location_of_extent]


def test_directories_without_a_number_are_left_out_of_the_path_tables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(views, "MOST_PARENTS", 2)
    tree = Tree()
    for name in "ab":
        tree.directory(tree.directory(tree.directory(None, name), name * 2), name * 3)
    notes = IsoPlan(tree.root, label="", now=0).notes
    assert notes == [
        f"Left out of the {view} path table, which has no numbers for them: "
        "a/aa/aaa/, b/bb/, b/bb/bbb/."
        for view in ("ISO 9660", "Joliet")
    ]
    image = tree.image()
    for one in descriptors(image):
        assert [entry[2] for entry in tables(image, one)] == [1, 1, 1, 2]
        assert len(list(records(image, one.directory_record_for_root_directory))) == 7


# -- notes ---------------------------------------------------------------------


def test_nothing_to_be_said_of_ordinary_names() -> None:
    tree = Tree()
    tree.file(tree.directory(None, "Some Directory"), "some file with a name.text", b"")
    assert IsoPlan(tree.root, label="x", now=0).notes == []


def test_notes() -> None:
    tree = Tree()
    below = tree.directory(None, "below")
    for number in range(7):
        tree.file(below, f"{number}: why?", b"")
    tree.symlink(below, "link", "1: why?")
    tree.symlink(None, "far", "x" * 1024)
    tree.file(None, "l" * 254, b"")
    tree.file(None, "c" * 400 + ".txt", b"")
    plan = IsoPlan(tree.root, label="x", now=0)
    cut, long = (letter * 197 + "..." for letter in "cl")
    assert sorted(plan.notes) == [
        "Left out of the ISO 9660 view, because readers cannot take links to over 1,023 bytes: "
        "far.",
        "Left out of the Joliet view, which has no symbolic links and special files: "
        "below/link, far.",
        "Renamed in the Joliet view: below/0: why? is 0_ why_, below/1: why? is 1_ why_, "
        "below/2: why? is 2_ why_, below/3: why? is 3_ why_, below/4: why? is 4_ why_ "
        "and 4 more.",
        f"With a name that Linux cuts off after 253 bytes in the ISO 9660 view: {long}.",
        f"With a shortened name in the ISO 9660 view: {cut}.",
    ]


def test_notes_of_many_names_keep_the_first_by_path() -> None:
    notes = Notes()
    for number in reversed(range(5000)):
        notes.add("Seen", f"{number:04}", "x" if number == 3 else "")
    assert notes.sentences() == ["Seen: 0000, 0001, 0002, 0003 is x, 0004 and 4,995 more."]


def test_a_target_that_is_too_long_for_readers_is_in_no_view() -> None:
    tree = Tree()
    tree.symlink(None, "far", "x" * 1024)
    tree.symlink(None, "near", "x" * 1023)
    image = tree.image()
    for one, count in zip(descriptors(image), (1, 0), strict=True):
        ((_, found),) = records(image, one.directory_record_for_root_directory)
        assert len(found) == 2 + count


def test_sub_seconds_are_cut_off_not_rounded() -> None:
    tree = Tree()
    tree.file(None, "a", b"").mtime = 5 * SECOND - 1
    image = tree.image()
    primary, _ = descriptors(image)
    ((_, found),) = records(image, primary.directory_record_for_root_directory)
    assert found[2].recording_date_and_time.second == 4
