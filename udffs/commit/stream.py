"""A directory's bytes on the disc, changed in place.

A directory is a file of file identifier descriptors (FIDs; ECMA-167 4/8.6,
14.4). Adding or deleting a name changes the blocks its FID lies in and no
others, so only those are written again. The tag of a FID holds the address
of the block the FID begins in: when a block moves, the FIDs that begin in it
are tagged anew. While the directory is embedded in its ICB the tag location
is the ICB's own (UDF 2.3.4.2).
"""

from __future__ import annotations

from bisect import bisect_left

from udffs.ondisc import hot
from udffs.ondisc.ecma167 import FID_DELETED, FID_DIRECTORY, FID_HIDDEN, FID_PARENT
from udffs.ondisc.tags import TAG_SIZE, relocate
from udffs.ondisc.text import decode_name, encode_name
from udffs.volume import unique_name
from udffs.volume.model import BLOCK


class Fid:
    """Where a FID lies in the stream."""

    __slots__ = ("length", "offset")

    def __init__(self, offset: int, length: int) -> None:
        self.offset = offset
        self.length = length


class DirectoryStream:
    """The FIDs of one directory.

    ``version`` is the descriptor version (2 or 3), ``partition`` the
    partition reference number that ICBs of children lie in.
    """

    def __init__(self, *, version: int, parent: int, parent_unique_id: int) -> None:
        self._version = version
        self.data = bytearray()
        self.dirty: set[int] = set()
        self._fids: dict[str, Fid] = {}
        self._offsets: list[int] = []
        self._free: dict[int, list[int]] = {}
        self._free_bytes = 0
        self._meta: dict[str, tuple[int, int, int, bytes]] = {}
        self._parent = (parent, parent_unique_id)
        self._append_parent()

    @classmethod
    def from_disc(cls, data: bytes, *, version: int) -> DirectoryStream:
        """The stream that ``data`` holds. Raises StructureError."""
        stream = cls.__new__(cls)
        stream._version = version
        stream.data = bytearray(data)
        stream.dirty = set()
        stream._fids = {}
        stream._offsets = []
        stream._free = {}
        stream._free_bytes = 0
        stream._meta = {}
        stream._parent = (0, 0)
        seen: dict[str, int] = {}
        for fid in hot.iter_fids(data):
            stream._offsets.append(fid.offset)
            key = fid.icb_partition << 32 | fid.icb_block
            if fid.characteristics & FID_PARENT:
                stream._parent = (key, fid.unique_id)
            elif fid.characteristics & FID_DELETED:
                stream._set_free(fid.offset, fid.length)
            else:
                name = unique_name(decode_name(fid.name), seen)
                stream._fids[name] = Fid(fid.offset, fid.length)
                stream._meta[name] = (key, fid.characteristics, fid.unique_id, fid.name)
        return stream

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.data)

    @property
    def live_bytes(self) -> int:
        """Length in bytes without deleted FIDs."""
        return len(self.data) - self._free_bytes

    def __len__(self) -> int:
        return len(self._fids)

    def enter(
        self, name: str, key: int, *, is_directory: bool, unique_id: int, hidden: bool = False
    ) -> None:
        """Let ``name`` name the ICB ``key``."""
        if name in self._fids:
            self.leave(name)
        characteristics = (FID_DIRECTORY if is_directory else 0) | (FID_HIDDEN if hidden else 0)
        self._meta[name] = (key, characteristics, unique_id, encode_name(name))
        fid = self._build(name)
        places = self._free.get(len(fid))
        if places:
            offset = places.pop()
            self._free_bytes -= len(fid)
            self.data[offset : offset + len(fid)] = fid
        else:
            offset = len(self.data)
            self.data += fid
            self._offsets.append(offset)
        self._fids[name] = Fid(offset, len(fid))
        self._touch(offset, len(fid))

    def leave(self, name: str) -> None:
        """Mark the FID of ``name`` deleted; a later name may use its place."""
        place = self._fids.pop(name, None)
        if place is None:
            return
        _key, characteristics, _unique_id, raw = self._meta.pop(name)
        deleted = hot.build_fid(
            location=0,
            version=self._version,
            characteristics=characteristics | FID_DELETED,
            icb=(0, 0, 0),  # ECMA-167 4/14.4.5
            unique_id=0,
            name=raw,
        )
        if len(deleted) == place.length:
            self.data[place.offset : place.offset + place.length] = deleted
            self._set_free(place.offset, place.length)
            self._touch(place.offset, place.length)
        else:  # a FID of another system, with implementation use in it
            self.rebuild()

    def set_parent(self, key: int, unique_id: int) -> None:
        """Its parent FID is to point to the directory ``key``."""
        if self._parent != (key, unique_id):
            self._parent = (key, unique_id)
            self.rebuild()

    def tidy(self, embed_limit: int) -> bool:
        """Leave out deleted FIDs where that pays; whether the directory is to
        be embedded in its ICB (it fits ``embed_limit`` bytes)."""
        embeds = self.live_bytes <= embed_limit
        if self._free_bytes and (embeds or self._free_bytes * 2 > len(self.data)):
            self.rebuild()
        return embeds

    def rebuild(self) -> None:
        """Write the whole stream anew, without deleted FIDs."""
        self.data = bytearray()
        self._offsets = []
        self._free = {}
        self._free_bytes = 0
        self._append_parent()
        for name in self._fids:
            fid = self._build(name)
            self._fids[name] = Fid(len(self.data), len(fid))
            self._offsets.append(len(self.data))
            self.data += fid
        self.touch_all()

    def touch_all(self) -> None:
        """Every block has to be written again."""
        self.dirty = set(range(-(-len(self.data) // BLOCK)))

    def clean(self) -> None:
        """Everything is on the disc."""
        self.dirty = set()

    def embedded(self, location: int) -> bytes:
        """The whole stream as it goes into the ICB at ``location``
        (the ICB's logical block number)."""
        for offset in self._offsets:
            relocate(self.data, offset, location)
        return bytes(self.data)

    def dirty_ranges(self) -> list[tuple[int, int]]:
        """The blocks to write, as (first block, number of blocks), in order."""
        ranges: list[tuple[int, int]] = []
        for block in sorted(self.dirty):
            if ranges and ranges[-1][0] + ranges[-1][1] == block:
                ranges[-1] = (ranges[-1][0], ranges[-1][1] + 1)
            else:
                ranges.append((block, 1))
        return ranges

    def blocks(self, first: int, count: int, location: int) -> bytes:
        """``count`` blocks from block ``first`` on, tagged for a place at the
        logical block number ``location``; the last is padded with zeros."""
        start, end = first * BLOCK, (first + count) * BLOCK
        index = bisect_left(self._offsets, start)
        while index < len(self._offsets) and self._offsets[index] < end:
            offset = self._offsets[index]
            relocate(self.data, offset, location + offset // BLOCK - first)
            index += 1
        return bytes(self.data[start:end]).ljust(count * BLOCK, b"\0")

    def _build(self, name: str) -> bytes:
        key, characteristics, unique_id, raw = self._meta[name]
        return hot.build_fid(
            location=0,
            version=self._version,
            characteristics=characteristics,
            icb=(BLOCK, key & 0xFFFFFFFF, key >> 32),
            unique_id=unique_id,
            name=raw,
        )

    def _append_parent(self) -> None:
        key, unique_id = self._parent
        fid = hot.build_fid(
            location=0,
            version=self._version,
            characteristics=FID_DIRECTORY | FID_PARENT,
            icb=(BLOCK, key & 0xFFFFFFFF, key >> 32),
            unique_id=unique_id,
            name=b"",
        )
        self._offsets.append(len(self.data))
        self._touch(len(self.data), len(fid))
        self.data += fid

    def _set_free(self, offset: int, length: int) -> None:
        self._free.setdefault(length, []).append(offset)
        self._free_bytes += length

    def _touch(self, offset: int, length: int) -> None:
        first, last = offset // BLOCK, (offset + length - 1) // BLOCK
        self.dirty.update(range(first, last + 1))
        # A tag that reaches into the next block takes that block along
        # whenever its own block moves.
        for block in (first, last):
            self._touch_straddling_tag(block)

    def _touch_straddling_tag(self, block: int) -> None:
        while True:
            border = (block + 1) * BLOCK
            index = bisect_left(self._offsets, border) - 1
            if index < 0 or self._offsets[index] <= border - TAG_SIZE:
                return
            if self._offsets[index] // BLOCK != block or block + 1 in self.dirty:
                return
            block += 1
            self.dirty.add(block)
