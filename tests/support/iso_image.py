"""Whole small ISO 9660 images of trees made by hand: descriptors, directories, data."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from udffs.commit.bridge.plan import IsoPlan
from udffs.commit.bridge.tree import Item
from udffs.ondisc import iso9660
from udffs.ondisc.iso9660 import DirectoryRecord

BLOCK = 2048
NOW = 1_700_000_000_120_000_000
SECOND = 1_000_000_000


class Tree:
    """Items, and the bytes of their sections, which get an address when the image is made."""

    def __init__(self) -> None:
        self.serial = 0
        self.content: dict[int, tuple[bytes, ...]] = {}  # by serial number
        self.root = self._item("", stat.S_IFDIR | 0o755)

    def _item(self, name: str, mode: int, **fields: object) -> Item:
        self.serial += 1
        times = {
            "atime": (1_200_000_000 + self.serial) * SECOND,
            "mtime": (1_100_000_000 + self.serial) * SECOND + 999_999_999,
            "ctime": (1_300_000_000 + self.serial) * SECOND,
        }
        return Item(name, mode, uid=1000, gid=100, serial=self.serial, **{**times, **fields})  # type: ignore[arg-type]

    def add(self, parent: Item | None, name: str, mode: int, **fields: object) -> Item:
        item = self._item(name, mode, **fields)
        (parent or self.root).children.append(item)
        return item

    def directory(self, parent: Item | None, name: str) -> Item:
        return self.add(parent, name, stat.S_IFDIR | 0o750)

    def file(self, parent: Item | None, name: str, *parts: bytes, mode: int = 0o640) -> Item:
        """``parts`` are its sections, each in a place of its own."""
        item = self.add(parent, name, stat.S_IFREG | mode, size=sum(map(len, parts)))
        self.content[item.serial] = tuple(part for part in parts if part)
        item.sections = tuple((0xE0000000 - 0x1000 * n, len(p)) for n, p in enumerate(parts) if p)
        return item

    def link(self, parent: Item | None, name: str, to: Item) -> Item:
        """One more name of a file."""
        self.content[to.serial] = self.content.get(to.serial, ())
        item = Item(name, to.mode, to.uid, to.gid, 1, to.serial, to.atime, to.mtime, to.ctime)
        item.size, item.sections, item.target = to.size, to.sections, to.target
        (parent or self.root).children.append(item)
        names = [one for one in self.root.walk() if one.serial == to.serial]
        for one in names:
            one.links = len(names)
        return item

    def symlink(self, parent: Item | None, name: str, target: str) -> Item:
        size = len(target.encode())
        return self.add(parent, name, stat.S_IFLNK | 0o777, target=target, size=size)

    def bytes_of(self, item: Item) -> bytes:
        return b"".join(self.content.get(item.serial, ()))

    def image(self, *, label: str = "A label", first: int = 0) -> bytes:
        """Blocks 0 to 15 are empty, then come descriptors, directories, data. ``first`` is
        the absolute block of the image's start."""
        plan = IsoPlan(self.root, label=label, now=NOW)
        addresses = _in_a_row(plan.extents, first + 19)
        behind = first + 19 + plan.blocks
        data = self._place(behind)
        end = behind + len(data) // BLOCK
        descriptors = plan.descriptors(addresses, end=end)
        extents = list(plan.render(addresses))
        assert [len(extent) // BLOCK for extent in extents] == plan.extents
        assert plan.blocks == sum(plan.extents)
        return b"".join([bytes(16 * BLOCK), *descriptors, *extents, data])

    def _place(self, at: int) -> bytes:
        """All content from block `at` on, each section with an empty block ahead of it."""
        written = bytearray()
        places: dict[int, tuple[tuple[int, int], ...]] = {}
        for serial, parts in self.content.items():
            sections = []
            for part in parts:
                written += bytes(BLOCK)
                sections.append((at + len(written) // BLOCK, len(part)))
                written += part + bytes(-len(part) % BLOCK)
            places[serial] = tuple(sections)
        for item in self.root.walk():
            if item.serial in places:
                item.sections = places[item.serial]
        return bytes(written)


def _in_a_row(sizes: Iterable[int], at: int) -> list[int]:
    addresses = []
    for size in sizes:
        addresses.append(at)
        at += size
    return addresses


def write(tree: Tree, path: Path, **options: object) -> Path:
    """150 empty blocks behind it, as tracks have: readers read ahead."""
    path.write_bytes(tree.image(**options) + bytes(150 * BLOCK))  # type: ignore[arg-type]
    return path


# -- looking at one ---------------------------------------------------------------


def records(image: bytes, root: bytes, first: int = 0) -> Iterator[tuple[int, list[Any]]]:
    """(block, records) of each directory below a root directory's record."""
    waiting = [DirectoryRecord.parse(root)]
    while waiting:
        directory = waiting.pop()
        start = directory.location_of_extent - first
        found = []
        for block in range(start, start + directory.data_length // BLOCK):
            data = image[block * BLOCK : (block + 1) * BLOCK]
            while data and data[0]:
                assert data[0] <= len(data), "a record crosses a block"
                found.append(DirectoryRecord.parse(data[: data[0]]))
                data = data[data[0] :]
            assert not any(data)
        yield directory.location_of_extent, found
        waiting += [one for one in found[2:] if one.file_flags & iso9660.FLAG_DIRECTORY]


def descriptors(image: bytes) -> tuple[Any, Any]:
    primary = iso9660.PrimaryVolumeDescriptor.parse(image[16 * BLOCK : 17 * BLOCK])
    joliet = iso9660.SupplementaryVolumeDescriptor.parse(image[17 * BLOCK : 18 * BLOCK])
    return primary, joliet


def in_block(data: bytes) -> list[Any]:
    found = []
    while data and data[0]:
        found.append(DirectoryRecord.parse(data[: data[0]]))
        data = data[data[0] :]
    return found


# -- a tree of some size ------------------------------------------------------------


def bushy() -> Tree:
    """Several levels, more than a block in a directory, names of all lengths."""
    tree = Tree()
    for number in range(3):
        below = tree.directory(None, f"directory{number}")
        for inner in range(40):
            tree.directory(below, f"{'n' * inner}{inner}")
            tree.file(below, f"{'N' * 6 * inner}{inner}.ext", b"x")
            tree.file(below, f"many{inner}", b"x" * BLOCK, b"y" * BLOCK, b"z")
    return tree
