"""The tree of a volume, every block that it takes, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from support.volume_structures import BLOCK, PASSING, Complaints, Ground
from udffs.errors import StructureError
from udffs.ondisc import ecma167, hot, tags, text
from udffs.ondisc.basic import ExtentType, LongAd, ShortAd
from udffs.ondisc.derive import derive
from udffs.ondisc.ecma167 import FID_DELETED, FID_DIRECTORY, FID_PARENT
from udffs.ondisc.modes import FileType

FIRST_UNIQUE_ID = 16  # 1 to 15 are kept for others (UDF 3.2.1.1)
DEEPEST = 1000
DIRECTORIES = (FileType.DIRECTORY, FileType.STREAM_DIRECTORY)

_EXTENDED = derive(ecma167.ExtendedFileEntry)
_STREAMS = _EXTENDED.picker(
    "stream_directory_icb.extent_length_and_type",
    "stream_directory_icb.location.logical_block_number",
)
_LONG = derive(LongAd)
_SHORT = derive(ShortAd)


class Extent(NamedTuple):
    """What an allocation descriptor says; ``block`` counts within the partition."""

    kind: int
    block: int
    length: int  # bytes

    @property
    def blocks(self) -> int:
        return -(-self.length // BLOCK)


class Node(NamedTuple):
    """An ICB that was seen; ``path`` is the first that led to it."""

    path: str
    file_type: int
    links: int  # as it says itself
    in_tree: bool  # or a stream


class Walk:
    """Goes through everything from the file set on. Blocks are the partition's."""

    def __init__(self, ground: Ground, complaints: Complaints, *, exact: bool) -> None:
        self.ground = ground
        self.exact = exact
        self.say = complaints.say
        self.taken = bytearray(ground.length)  # 1 for each block that somebody has
        self.owners: list[tuple[int, int, str]] = []  # first block, blocks, whose
        self.nodes: dict[int, Node] = {}  # by the block of the ICB
        self.names: dict[int, int] = {}  # how many FIDs point at it
        self.streams: list[tuple[int, int, str]] = []  # block, its file's block, path
        self.unique_ids: dict[int, str] = {}
        self.highest_id = 0

    def everything(self) -> None:
        ground = self.ground
        self.take(*ground.bitmap_at, "the space bitmap")
        self.take(*ground.file_set_at, "the file set descriptor")
        self._tree(ground.root, ground.root, "/", in_tree=True)
        if ground.streams >= 0:
            self.streams.append((ground.streams, ground.streams, "(system streams)"))
        for block, main, path in self.streams:  # grows meanwhile
            self._tree(block, main, path, in_tree=False)
        for block, node in self.nodes.items():
            if node.in_tree and node.links != self.names.get(block, 0):
                self.say(
                    f"{node.path}: its link count is {node.links}, "
                    f"{self.names.get(block, 0)} names point at it"
                )

    # -- blocks ----------------------------------------------------------------

    def take(self, block: int, count: int, owner: str) -> bool:
        """These blocks belong to somebody. False if there are none such."""
        end = block + count
        if block < 0 or end > self.ground.length:
            self.say(f"{owner}: blocks {block} to {end - 1} are outside the partition")
            return False
        if self.taken.find(1, block, end) >= 0:
            others = sorted({who for at, n, who in self.owners if at < end and block < at + n})
            self.say(f"{owner}: blocks {block} to {end - 1} belong to {', '.join(others)}, too")
        self.taken[block:end] = b"\1" * count
        self.owners.append((block, count, owner))
        return True

    def _read(self, block: int, count: int, owner: str) -> bytes | None:
        try:
            return self.ground.read(block, count)
        except PASSING as error:
            self.say(f"{owner}: {error}")
            return None

    # -- extents ---------------------------------------------------------------

    def _extents(self, entry: hot.FileEntryFields, owner: str) -> list[Extent]:
        """All extents of a file, all its blocks taken."""
        found: list[Extent] = []
        data, followed = entry.allocation, set[int]()
        while data:
            following = b""
            for extent in self._descriptors(data, entry.allocation_type, owner):
                if extent.kind == ExtentType.CONTINUATION:
                    if extent.block in followed:
                        self.say(f"{owner}: its allocation extents go round in circles")
                    else:
                        followed.add(extent.block)
                        following = self._continuation(extent, owner)
                    break
                found.append(extent)
                if extent.kind == ExtentType.NOT_ALLOCATED:
                    if extent.block:
                        self.say(f"{owner}: a hole that has block {extent.block}")
                else:
                    self.take(extent.block, extent.blocks, owner)
            data = following
        return found

    def _continuation(self, extent: Extent, owner: str) -> bytes:
        if extent.length > BLOCK:
            self.say(f"{owner}: an allocation extent of {extent.length} bytes")
        if not self.take(extent.block, 1, f"{owner} (allocation extent)"):
            return b""
        data = self._read(extent.block, 1, owner)
        if data is None:
            return b""
        try:
            return hot.parse_allocation_extent(data, extent.block)
        except StructureError as error:
            self.say(f"{owner}: its allocation extent at {extent.block}: {error}")
            return b""

    def _descriptors(self, data: bytes, kind: int, owner: str) -> Iterator[Extent]:
        codec = _SHORT if kind == hot.ALLOCATION_SHORT else _LONG
        if left := len(data) % codec.size:
            self.say(f"{owner}: its allocation descriptors are cut off")
            data = data[:-left]
        for raw, block, *more in codec.iter_unpack(data):
            if raw & 0x3FFFFFFF == 0:
                return
            if more and more[0]:
                self.say(f"{owner}: an extent in partition {more[0]}")
            yield Extent(raw >> 30, block, raw & 0x3FFFFFFF)

    def _content(self, entry: hot.FileEntryFields, owner: str) -> list[Extent]:
        """Take a file's blocks and compare the lengths."""
        kind = entry.allocation_type
        extents: list[Extent] = []
        if kind == hot.ALLOCATION_EMBEDDED:
            if len(entry.allocation) != entry.size:
                held = len(entry.allocation)
                self.say(f"{owner}: {held} bytes are in its ICB, its length is {entry.size}")
        elif kind in (hot.ALLOCATION_SHORT, hot.ALLOCATION_LONG):
            extents = self._extents(entry, owner)
            self._check_lengths(entry.size, extents, owner)
        else:
            self.say(f"{owner}: allocation descriptors of type {kind}")
        recorded = sum(extent.blocks for extent in extents if not extent.kind)
        if entry.blocks_recorded != recorded:
            self.say(f"{owner}: {recorded} blocks are recorded, it says {entry.blocks_recorded}")
        return extents

    def _check_lengths(self, size: int, extents: list[Extent], owner: str) -> None:
        """The extents of the body are as long as the file; what follows is
        not recorded (4/12.1)."""
        at = 0
        for extent in extents:
            if at >= size and extent.kind != ExtentType.ALLOCATED:
                self.say(f"{owner}: an extent of type {extent.kind} behind its end")
            if at + extent.length < size and extent.length % BLOCK:
                self.say(f"{owner}: an extent of {extent.length} bytes in its middle")
            too_much = 1 if self.exact else BLOCK
            if at < size <= at + extent.length - too_much and not extent.kind:
                self.say(f"{owner}: {at + extent.length} bytes recorded, its length is {size}")
            at += extent.length
        if at < size:
            self.say(f"{owner}: its extents have {at} bytes, its length is {size}")

    # -- the tree --------------------------------------------------------------

    def _tree(self, root: int, above: int, path: str, *, in_tree: bool) -> None:
        """A directory and all below it, breadth first; its parent is ``above``."""
        entry = self._icb(root, path, in_tree)
        if entry is None:
            return
        waiting = [(above, root, entry, path)]
        for parent, block, folder, where in waiting:
            if where.count("/") > DEEPEST:
                self.say(f"{where[:50]}...: too deep")
                continue
            waiting += self._directory(parent, block, folder, where, in_tree)

    def _icb(self, block: int, path: str, in_tree: bool) -> hot.FileEntryFields | None:
        """Take and look at an ICB that was not seen before."""
        self.nodes[block] = Node(path, 0, self.names.get(block, 0), False)
        if not self.take(block, 1, f"{path} (its ICB)"):
            return None
        data = self._read(block, 1, path)
        if data is None:
            return None
        try:
            entry = hot.parse_file_entry(data, block)
        except StructureError as error:
            self.say(f"{path}: its ICB at {block}: {error}")
            return None
        self.nodes[block] = Node(path, entry.file_type, entry.link_count, in_tree)
        version = tags.check(data).descriptor_version
        if version != self.ground.version:
            self.say(f"{path}: its ICB has descriptor version {version}")
        if entry.strategy_type != 4:
            self.say(f"{path}: an ICB of strategy {entry.strategy_type}")
        if any(entry.extended_attribute_icb):
            self.say(f"{path}: extended attributes in an ICB of their own")
        if in_tree:
            self._unique_id(entry.unique_id, block, path)
        if entry.extended:
            length, at = _STREAMS(_EXTENDED.unpack_from(data))
            if length:
                self.streams.append((at, block, f"{path} (streams)"))
        return entry

    def _unique_id(self, number: int, block: int, path: str) -> None:
        self.highest_id = max(self.highest_id, number)
        if block == self.ground.root:
            if number:
                self.say(f"the root has unique id {number}")
        elif number < FIRST_UNIQUE_ID:
            self.say(f"{path}: unique id {number}")
        elif number in self.unique_ids:
            self.say(f"{path} has the unique id of {self.unique_ids[number]}, {number}")
        self.unique_ids.setdefault(number, path)

    def _directory(
        self, parent: int, block: int, entry: hot.FileEntryFields, path: str, in_tree: bool
    ) -> Iterator[tuple[int, int, hot.FileEntryFields, str]]:
        """Goes through a directory. Yields the directories in it."""
        extents = self._content(entry, path)
        if entry.file_type not in DIRECTORIES:
            self.say(f"{path}: a directory of file type {entry.file_type}")
        data, homes = self._directory_bytes(entry, extents, block, path)
        seen: set[bytes] = set()
        parents = 0
        try:
            for fid in hot.iter_fids(data):
                if fid.tag_location != homes[fid.offset // BLOCK]:
                    self.say(
                        f"{path}: the entry at {fid.offset} is in block "
                        f"{homes[fid.offset // BLOCK]}, its tag says {fid.tag_location}"
                    )
                if fid.characteristics & FID_PARENT:
                    parents += 1
                    # A stream directory does not count as a name of its file.
                    counts = entry.file_type != FileType.STREAM_DIRECTORY
                    self._parent(fid, parent, path, counts)
                    continue
                if fid.characteristics & FID_DELETED:
                    continue
                if fid.name in seen or not fid.name:
                    self.say(f"{path}: two entries {fid.name!r}")
                seen.add(fid.name)
                inner = f"{path.rstrip('/')}/{_shown(fid.name)}"
                found = self._entry(fid, inner, in_tree)
                if found is not None:
                    yield block, fid.icb_block, found, inner
        except StructureError as error:
            self.say(f"{path}: {error}")
        if parents != 1:
            self.say(f"{path}: {parents} entries for its parent")

    def _directory_bytes(
        self, entry: hot.FileEntryFields, extents: list[Extent], block: int, path: str
    ) -> tuple[bytes, list[int]]:
        """A directory's content, and the block in which each 2,048 bytes of it lie."""
        if entry.allocation_type == hot.ALLOCATION_EMBEDDED:
            return entry.allocation, [block]
        parts: list[bytes] = []
        homes: list[int] = []
        for extent in extents:
            if extent.kind:
                if sum(map(len, parts)) < entry.size:
                    self.say(f"{path}: a directory with an extent of type {extent.kind}")
                break
            data = self._read(extent.block, extent.blocks, path)
            parts.append((data or bytes(extent.length))[: extent.length])
            homes += range(extent.block, extent.block + extent.blocks)
        return b"".join(parts)[: entry.size], homes

    def _parent(self, fid: hot.FidFields, parent: int, path: str, counts: bool) -> None:
        self.names[fid.icb_block] = self.names.get(fid.icb_block, 0) + counts
        if fid.offset or fid.icb_block != parent or not fid.characteristics & FID_DIRECTORY:
            self.say(
                f"{path}: the entry for its parent, at {fid.offset}, points at block "
                f"{fid.icb_block}, its parent is at {parent}"
            )

    def _entry(self, fid: hot.FidFields, path: str, in_tree: bool) -> hot.FileEntryFields | None:
        """A name. Returns what it is if it is a directory that was not seen before."""
        self.names[fid.icb_block] = self.names.get(fid.icb_block, 0) + 1
        self.highest_id = max(self.highest_id, fid.unique_id)
        if fid.icb_partition:
            self.say(f"{path}: its ICB is in partition {fid.icb_partition}")
        known = self.nodes.get(fid.icb_block)
        directory = bool(fid.characteristics & FID_DIRECTORY)
        if known is not None:
            if directory or known.file_type in DIRECTORIES:
                self.say(f"{path}: the directory {known.path} has a second name")
            return None
        entry = self._icb(fid.icb_block, path, in_tree)
        if entry is None:
            return None
        if directory != (entry.file_type in DIRECTORIES):
            self.say(f"{path}: file type {entry.file_type}, its entry says otherwise")
        if directory:
            return entry
        self._content(entry, path)
        return None


def _shown(name: bytes) -> str:
    try:
        return text.decode_name(name)
    except StructureError:
        return repr(name)
