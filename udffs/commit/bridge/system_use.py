"""The system use field of a directory record, and what does not fit there.

Entries go on in continuation areas (SUSP 5.1). Those of many records share blocks, and the
blocks lie together, behind the directories whose records need them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from udffs.commit.bridge.names import rock_ridge_name
from udffs.commit.bridge.tree import Item
from udffs.ondisc.basic import BLOCK_SIZE
from udffs.ondisc.iso9660 import (
    MAX_DIRECTORY_RECORD,
    SELF,
    directory_record_size,
    record_time,
)
from udffs.ondisc.rockridge import (
    CE_SIZE,
    COMPONENT_CURRENT,
    COMPONENT_PARENT,
    COMPONENT_ROOT,
    CONTINUE,
    EXTENSION_RECORD,
    MAX_ENTRY,
    NM_SIZE,
    PX_SIZE,
    SL_SIZE,
    SP,
    TF_SIZE,
    build_ce,
    build_component,
    build_nm,
    build_pn,
    build_px,
    build_sl,
    build_tf,
)

__all__ = [
    "LINUX_NAME",
    "LONGEST_TARGET",
    "Area",
    "AreaBlocks",
    "RockRidge",
    "SystemUse",
    "serial_numbers",
]

MOST_BLOCKS = 16
"""Blocks of continuation areas that are kept together."""

LINUX_NAME = 253
"""Linux' isofs takes no NM entry by which a name would get longer; what the entries before
it hold is the name it shows."""

LONGEST_TARGET = 1023
"""Bytes of a symbolic link's target. With a longer one libisofs gives up the whole
image, and isoinfo crashes a little later."""

_MAX_NUMBER = 0xFFFFFFFF

_SMALLEST = 128  # bytes of a block's end that an area is begun in
_PIECE = 16  # bytes of a name or a component that are worth an entry of their own


@dataclass(slots=True)
class Area:
    """A continuation area: `offset` bytes from the start of block `block` of the extent
    number `extent`. The CE to the next one is not in `data` yet."""

    extent: int
    block: int
    offset: int
    data: bytes


@dataclass(slots=True, eq=False)
class SystemUse:
    """A system use field: `head` in the record, the rest in `areas`."""

    head: bytes
    areas: tuple[Area, ...] = ()

    @property
    def size(self) -> int:
        """Bytes in the record."""
        return len(self.head) + (CE_SIZE if self.areas else 0)

    def render(self, addresses: list[int]) -> bytes:
        """The bytes in the record; `addresses` are those of the extents of areas."""
        return self.head + _link(addresses, self.areas, 0)

    def render_areas(self, addresses: list[int]) -> Iterator[tuple[Area, bytes]]:
        """The bytes of each area."""
        for number, area in enumerate(self.areas):
            yield area, area.data + _link(addresses, self.areas, number + 1)


def _link(addresses: list[int], areas: tuple[Area, ...], number: int) -> bytes:
    """The CE that leads to an area, or nothing behind the last one."""
    if number >= len(areas):
        return b""
    area = areas[number]
    size = len(area.data) + (CE_SIZE if number + 1 < len(areas) else 0)
    return build_ce(addresses[area.extent] + area.block, area.offset, size)


class AreaBlocks:
    """Where the next continuation area can be; `extents` are the sizes in blocks of the
    extents that were begun."""

    def __init__(self) -> None:
        self.extents: list[int] = []
        self._used = BLOCK_SIZE  # bytes of the last block

    def begin(self, smallest: int) -> tuple[Area, int]:
        """An area, and its room in bytes: the rest of a block, `smallest` at least."""
        if BLOCK_SIZE - self._used < smallest:
            self._next_block()
        area = Area(len(self.extents) - 1, self.extents[-1] - 1, self._used, b"")
        return area, BLOCK_SIZE - self._used

    def end(self, size: int) -> None:
        """So many bytes were used of the area that was begun."""
        self._used += size

    def _next_block(self) -> None:
        if not self.extents or self.extents[-1] == MOST_BLOCKS:
            self.extents.append(0)
        self.extents[-1] += 1
        self._used = 0


class _Writer:
    """Entries one behind the other, each where there is room for it."""

    def __init__(self, room: int, blocks: AreaBlocks) -> None:
        self.room = room - CE_SIZE
        """Bytes left where the next entry goes; a CE fits behind them."""
        self._blocks = blocks
        self._data = bytearray()
        self._head: bytes | None = None
        self._areas: list[Area] = []

    def add(self, entry: bytes) -> None:
        if len(entry) > self.room:
            self.turn(len(entry))
        self._data += entry
        self.room -= len(entry)

    def turn(self, smallest: int = _SMALLEST) -> None:
        """Go on in a new area."""
        self._finish(CE_SIZE)
        area, room = self._blocks.begin(max(smallest, _SMALLEST) + CE_SIZE)
        self._areas.append(area)
        self.room = room - CE_SIZE

    def done(self) -> SystemUse:
        self._finish(0)
        return SystemUse(self._head or b"", tuple(self._areas))

    def _finish(self, link: int) -> None:
        data = bytes(self._data)
        self._data.clear()
        if self._head is None:
            self._head = data
        else:
            self._areas[-1].data = data
            self._blocks.end(len(data) + link)


# -- what belongs to an item ---------------------------------------------------


class RockRidge:
    """The system use of a tree's records. ``serials`` are the serial numbers of items
    where those of the items do not fit (see :func:`serial_numbers`)."""

    def __init__(self, serials: Mapping[int, int]) -> None:
        self.blocks = AreaBlocks()
        self._serials = serials
        self._parent: tuple[Item | None, SystemUse] = (None, SystemUse(b""))

    def afresh(self) -> RockRidge:
        """The same, with no continuation area begun."""
        return RockRidge(self._serials)

    def of_root(self, item: Item) -> SystemUse:
        """Of the root directory's first record: SP and ER besides (SUSP 5.3, 5.5)."""
        writer = _Writer(MAX_DIRECTORY_RECORD - directory_record_size(SELF), self.blocks)
        writer.add(SP)
        writer.add(self._attributes(item))
        writer.add(EXTENSION_RECORD)
        return writer.done()

    def of_directory(self, item: Item) -> SystemUse:
        """Of the records "." and ".." that mean this directory."""
        return SystemUse(self._attributes(item))

    def of_parent(self, item: Item) -> SystemUse:
        """The same for "..", which many directories one after another ask for."""
        if self._parent[0] is not item:
            self._parent = (item, self.of_directory(item))
        return self._parent[1]

    def measure(self, item: Item, room: int) -> int:
        """Bytes in the record that :meth:`of_name` makes; its areas are taken, too."""
        if not stat.S_ISLNK(item.mode) and not _is_device(item.mode):
            name = len(item.name.encode())
            size = PX_SIZE + TF_SIZE + NM_SIZE + name
            if name <= LINUX_NAME and size <= room:
                return size
        return self.of_name(item, room).size

    def of_name(self, item: Item, room: int) -> SystemUse:
        """Of a name: NM, and SL of a symbolic link; `room` bytes are in the record."""
        fixed = self._attributes(item)
        name = rock_ridge_name(item.name).encode()
        link = list(_components(item.target)) if stat.S_ISLNK(item.mode) else []
        if len(fixed) + NM_SIZE + len(name) <= room and len(name) <= LINUX_NAME:
            whole = fixed + build_nm(name) + _one_link(link)
            if len(whole) <= room:
                return SystemUse(whole)
        writer = _Writer(room, self.blocks)
        writer.add(fixed)
        _write_name(writer, name)
        _write_link(writer, link)
        return writer.done()

    def _attributes(self, item: Item) -> bytes:
        """PX and TF, and PN of a device. A directory has as many links as there are
        names of it on other file systems: its own, "." and ".." of each below."""
        links = item.links
        if item.is_directory:
            links = 2 + sum(child.is_directory for child in item.children)
        px = build_px(
            mode=item.mode,
            links=links,
            uid=item.uid & _MAX_NUMBER,
            gid=item.gid & _MAX_NUMBER,
            serial=self._serials.get(item.serial, item.serial),
        )
        tf = build_tf(
            modify=record_time(item.mtime),
            access=record_time(item.atime),
            attributes=record_time(item.ctime),
        )
        if _is_device(item.mode):
            return px + tf + build_pn(*_device(item.device))
        return px + tf


def serial_numbers(root: Item) -> dict[int, int]:
    """Serial numbers of 32 bits for all items, in their order, if any has one that is
    longer; else there are none to be changed."""
    if all(0 <= item.serial <= _MAX_NUMBER for item in root.walk()):
        return {}
    numbers: dict[int, int] = {}
    for item in root.walk():
        numbers.setdefault(item.serial, len(numbers) + 1)
    return numbers


def _is_device(mode: int) -> bool:
    return stat.S_ISCHR(mode) or stat.S_ISBLK(mode)


def _device(device: int) -> tuple[int, int]:
    """RRIP 4.1.2 wants the upper and the lower 32 bits. So do libisofs and libarchive;
    Linux, by mkisofs' example, takes major and minor number, unless the lower half
    alone holds both in 16 bits and more: that is how all can read most devices."""
    major, minor = os.major(device), os.minor(device)
    if device >> 32 == 0 and minor < 256 and major < 4096:
        return 0, device
    return major, minor


def _one_link(link: list[tuple[int, bytes]]) -> bytes:
    """The target of a symbolic link as one SL: too long for any record if it takes more."""
    if not link:
        return b""
    if sum(len(text) for _, text in link) > MAX_DIRECTORY_RECORD:
        return bytes(MAX_ENTRY)
    area = b"".join(build_component(text, flags) for flags, text in link)
    return build_sl(area) if len(area) <= MAX_ENTRY - SL_SIZE else bytes(MAX_ENTRY)


def _write_name(writer: _Writer, name: bytes) -> None:
    first = _characters(name, LINUX_NAME)
    for content, last in ((name[:first], first == len(name)), (name[first:], True)):
        while content:
            room = min(writer.room, MAX_ENTRY) - NM_SIZE
            if room < min(len(content), _PIECE):
                writer.turn()
                continue
            piece, content = content[:room], content[room:]
            writer.add(build_nm(piece, goes_on=bool(content) or not last))


def _characters(name: bytes, most: int) -> int:
    """As many bytes of UTF-8 as are whole characters."""
    if len(name) <= most:
        return len(name)
    while name[most] & 0xC0 == 0x80:
        most -= 1
    return most


def _components(target: str) -> Iterator[tuple[int, bytes]]:
    """(flags, text) of each component of a path (RRIP 4.1.3.1). One between two slashes
    or behind the last one is empty."""
    path = target.encode()
    if path.startswith(b"/"):
        yield COMPONENT_ROOT, b""
        path = path[1:]
        if not path:
            return
    for part in path.split(b"/"):
        if part == b".":
            yield COMPONENT_CURRENT, b""
        elif part == b"..":
            yield COMPONENT_PARENT, b""
        else:
            yield 0, part


def _write_link(writer: _Writer, link: list[tuple[int, bytes]]) -> None:
    waiting = link[::-1]
    while waiting:
        room = min(writer.room, MAX_ENTRY) - SL_SIZE
        area = bytearray()
        while waiting:
            flags, text = waiting[-1]
            whole = build_component(b"", flags)
            left = room - len(area) - len(whole)
            if len(text) <= left:
                waiting.pop()
                area += build_component(text, flags)
                continue
            if left >= _PIECE:
                area += build_component(text[:left], flags | CONTINUE)
                waiting[-1] = (flags, text[left:])
            break
        if not area:
            writer.turn()
            continue
        writer.add(build_sl(bytes(area), goes_on=bool(waiting)))
