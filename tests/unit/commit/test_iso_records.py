"""The records of files: their sections, and the system use with what does not fit there."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from support.iso_image import BLOCK, Tree, bushy, descriptors, in_block, records

from udffs.commit.bridge.plan import IsoPlan
from udffs.commit.bridge.tree import Item
from udffs.errors import InternalError
from udffs.ondisc import iso9660, rockridge

LIMIT = iso9660.MAX_SECTION

# -- sections ------------------------------------------------------------------


def file(*sections: tuple[int, int], size: int | None = None) -> Item:
    total = sum(length for _, length in sections) if size is None else size
    return Item("name", stat.S_IFREG | 0o644, size=total, sections=sections)


def sections_of(item: Item) -> list[tuple[int, int, int]]:
    """(block, bytes, flags) of each record of the only file of an image."""
    tree = Tree()
    tree.root.children.append(item)
    image = tree.image()
    views = []
    for one in descriptors(image):
        ((_, found),) = records(image, one.directory_record_for_root_directory)
        views.append([(r.location_of_extent, r.data_length, r.file_flags) for r in found[2:]])
        assert len({record.system_use for record in found[2:]}) == 1
        assert len({record.file_identifier for record in found[2:]}) == 1
    assert views[0] == views[1]
    return views[0]


@pytest.mark.parametrize(
    ("item", "seen"),
    [
        (file(), [(0, 0, 0)]),
        (file((700, 5)), [(700, 5, 0)]),
        (file((700, 4096), (900, 5)), [(700, 4096, 0x80), (900, 5, 0)]),
        (file((700, 4096), (702, 5)), [(700, 4101, 0)]),
        (file((700, 4096), (702, 2048), (500, 1)), [(700, 6144, 0x80), (500, 1, 0)]),
        (file((700, LIMIT)), [(700, LIMIT, 0)]),
        (
            file((700, LIMIT + 1)),
            [(700, LIMIT, 0x80), (700 + LIMIT // BLOCK, 1, 0)],
        ),
        (
            file((700, LIMIT), (700 + LIMIT // BLOCK, LIMIT), (5, 2048)),
            [(700, LIMIT, 0x80), (700 + LIMIT // BLOCK, LIMIT, 0x80), (5, 2048, 0)],
        ),
        (
            file((700, 2048), (701, LIMIT)),
            [(700, LIMIT, 0x80), (700 + LIMIT // BLOCK, 2048, 0)],
        ),
    ],
)
def test_records_of_a_file(item: Item, seen: list[tuple[int, int, int]]) -> None:
    assert sections_of(item) == seen


@pytest.mark.parametrize(
    ("item", "why"),
    [
        (file((700, 100), (900, 5)), "ends within a block"),
        (file((700, 2048), (900, 0)), "is empty"),
        (file((700, 2048), size=2000), "not as long as the file"),
        (file(size=1), "not as long as the file"),
    ],
)
def test_sections_that_cannot_be(item: Item, why: str) -> None:
    root = Item("", stat.S_IFDIR | 0o755, children=[item])
    with pytest.raises(InternalError, match=why):
        IsoPlan(root, label="", now=0)


def test_addresses_count_when_the_plan_is_rendered() -> None:
    item = file((0xE0000000, 2048), (0xE0000009, 2048))
    plan = IsoPlan(Item("", stat.S_IFDIR | 0o755, children=[item]), label="", now=0)
    item.sections = ((77, 2048), (78, 2048))
    directory = list(plan.render([100] * len(plan.extents)))[4]
    found = [record for record in in_block(directory) if record.data_length == 2048][-2:]
    assert [record.location_of_extent for record in found] == [77, 78]


def test_what_was_adjacent_may_not_be_moved_apart() -> None:
    item = file((10, 2048), (11, 2048))
    plan = IsoPlan(Item("", stat.S_IFDIR | 0o755, children=[item]), label="", now=0)
    item.sections = ((10, 2048), (12, 2048))
    with pytest.raises(InternalError, match="moved apart"):
        list(plan.render([100] * len(plan.extents)))


def test_a_directory_that_changed_is_our_mistake() -> None:
    tree = bushy()
    plan = IsoPlan(tree.root, label="", now=0)
    for number in range(40):
        tree.file(None, f"one more {number}")
    with pytest.raises(InternalError, match="as long as was planned"):
        list(plan.render([100] * len(plan.extents)))


def test_as_many_addresses_as_extents() -> None:
    plan = IsoPlan(Tree().root, label="", now=0)
    with pytest.raises(InternalError, match="addresses"):
        list(plan.render([1]))


# -- system use ----------------------------------------------------------------


def entries(image: bytes, use: bytes, areas: list[tuple[int, int, int]]) -> Iterator[Any]:
    """The entries of a system use field, its continuation areas included."""
    while len(use) >= 4:
        entry = rockridge.SystemUseEntry.parse(use)
        use = use[entry.length :]
        if entry.signature == b"CE":
            built = rockridge.SystemUseEntry.build(entry)
            ce = rockridge.ContinuationArea.parse(built)
            size = ce.length_of_continuation_area
            areas.append((ce.block_location, ce.offset, size))
            assert not any(use), "something lies behind a CE"
            start = ce.block_location * BLOCK + ce.offset
            use = image[start : start + size]
        else:
            yield entry


def test_continuation_areas_lie_within_a_block_and_apart() -> None:
    tree = Tree()
    for number in range(60):
        below = tree.directory(None, f"{number}" + "d" * 250)
        tree.symlink(below, "l" * 200, "component/" * 101)
        tree.symlink(below, "m", "x" * 10 * number)
        tree.file(below, "f" * 4 * number + "x", b"")
    image = tree.image()
    primary, _ = descriptors(image)
    areas: list[tuple[int, int, int]] = []
    signatures = set()
    for _, found in records(image, primary.directory_record_for_root_directory):
        for record in found:
            kinds = [entry.signature for entry in entries(image, record.system_use, areas)]
            assert kinds.count(b"PX") == kinds.count(b"TF") == 1
            signatures |= set(kinds)
    assert signatures == {b"SP", b"ER", b"PX", b"TF", b"NM", b"SL"}
    areas.sort()
    for block, offset, size in areas:
        assert 0 < size <= BLOCK - offset, (block, offset, size)
    for before, after in pairwise(areas):
        assert before[0] < after[0] or before[1] + before[2] <= after[1]
    # Not more than an eighth of their blocks is wasted.
    used = sum(size for _, _, size in areas)
    assert used > len({block for block, _, _ in areas}) * BLOCK * 7 // 8


def test_sp_and_er_are_in_the_first_record_only() -> None:
    image = bushy().image()
    primary, _ = descriptors(image)
    first = True
    for _, found in records(image, primary.directory_record_for_root_directory):
        for record in found:
            kinds = [entry.signature for entry in entries(image, record.system_use, [])]
            assert (kinds[0] == b"SP") == first
            assert (b"ER" in kinds) == first
            first = False


def test_linux_shows_253_bytes_of_a_longer_name() -> None:
    """It takes no NM entry that would make the name longer than that (fs/isofs/rock.c):
    the ones before must hold as much as there is room for, in whole characters."""
    tree = Tree()
    names = ["n" * 255, "中" * 85, "ü" * 127, "m" * 254]
    for name in names:
        tree.file(None, name, b"")
    image = tree.image()
    primary, _ = descriptors(image)
    ((_, found),) = records(image, primary.directory_record_for_root_directory)
    shown, whole = set(), set()
    for record in found[2:]:
        parts = [e for e in entries(image, record.system_use, []) if e.signature == b"NM"]
        texts = [entry.data[1:] for entry in parts]
        assert [entry.data[0] for entry in parts] == [1] * (len(parts) - 1) + [0]
        whole.add(b"".join(texts).decode())
        taken = b""
        for text in texts:
            if len(taken) + len(text) >= 254:
                break
            taken += text
        shown.add(taken.decode())
    assert whole == set(names)
    assert shown == {"n" * 253, "中" * 84, "ü" * 126, "m" * 253}


def test_serial_numbers_of_over_32_bits_are_counted_anew() -> None:
    tree = Tree()
    one = tree.file(None, "one", b"1")
    tree.link(None, "two", one)
    tree.file(None, "three", b"3")
    for item in tree.root.walk():
        item.serial += 1 << 40
    tree.content = {}
    image = tree.image()
    primary, _ = descriptors(image)
    ((_, found),) = records(image, primary.directory_record_for_root_directory)
    serials = [
        rockridge.PosixAttributes.parse(record.system_use[: rockridge.PX_SIZE]).serial_number
        for record in found[2:]
    ]
    first, third, second = serials  # ONE, THREE, TWO
    assert first == second != third


def test_users_without_a_number() -> None:
    """-1 is "not specified" (UDF 2.3.6)."""
    tree = Tree()
    tree.file(None, "one", b"").uid = -1
    image = tree.image()
    primary, _ = descriptors(image)
    ((_, found),) = records(image, primary.directory_record_for_root_directory)
    px = rockridge.PosixAttributes.parse(found[2].system_use)
    assert px.user_id == 0xFFFFFFFF
