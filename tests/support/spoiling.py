"""A copy of a disc that can be spoilt block by block, its tags made to fit again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from support.allocation import examine
from support.volume_structures import BLOCK, Blocks
from udffs.errors import StructureError
from udffs.ondisc import hot, tags
from udffs.ondisc.basic import DescriptorTag
from udffs.ondisc.derive import derive

_TAG = derive(DescriptorTag)


class Spoilt:
    """The blocks of a disc, absolute, some of them changed; ``ground`` is what
    the checker found before."""

    def __init__(self, blocks: Blocks) -> None:
        self._below = blocks
        self.patches: dict[int, bytes] = {}
        self.ground = examine(blocks)

    @property
    def last_block(self) -> int:
        return self._below.last_block

    def read(self, block: int, count: int) -> bytes:
        data = self._below.read(block, count)
        if not self.patches.keys() & set(range(block, block + count)):
            return data
        return b"".join(
            self.patches.get(block + index, data[index * BLOCK : (index + 1) * BLOCK])
            for index in range(count)
        )

    # -- spoiling ----------------------------------------------------------------

    def icb(self, path: str) -> int:
        """The absolute block of an ICB."""
        return self.ground.start + self.ground.icbs[path]

    def first(self, owner: str) -> int:
        """The first block of what somebody owns, absolute."""
        return self.ground.start + next(at for at, _, who in self.ground.owners if who == owner)

    def put(self, block: int, data: bytes) -> None:
        for at in range(0, max(len(data), 1), BLOCK):
            self.patches[block + at // BLOCK] = data[at : at + BLOCK].ljust(BLOCK, b"\0")

    def fields(self, declaration: Any, block: int, **changes: Any) -> None:
        """Change fields of a descriptor's fixed part; dots are double underscores.
        A value may be a function of the old one."""
        codec = derive(declaration)
        data = bytearray(self.read(block, 1))
        values = list(codec.unpack_from(data))
        for name, value in changes.items():
            at = codec.names.index(name.replace("__", "."))
            values[at] = value(values[at]) if callable(value) else value
        codec.pack_into(data, 0, *values)
        self.put(block, resealed(bytes(data)))

    def bytes_of(self, block: int, offset: int, data: bytes) -> None:
        old = self.read(block, 1)
        self.put(block, resealed(old[:offset] + data + old[offset + len(data) :]))

    def parsed(self, declaration: Any, block: int, change: Callable[[Any], None]) -> None:
        """Parse a descriptor whole, change it, and build it again."""
        found = declaration.parse(self.read(block, 1))
        change(found)
        self.put(block, resealed(declaration.build(found).ljust(BLOCK, b"\0")))

    def entries(self, path: str, change: Callable[[hot.FidFields, bytearray], None]) -> None:
        """Change the directory entries in the first block of a directory (or in
        its ICB); the function gets each entry and its bytes."""
        embedded = hot.parse_file_entry(self.read(self.icb(path), 1), None)
        if embedded.allocation_type == hot.ALLOCATION_EMBEDDED:
            block, data = self.icb(path), embedded.allocation
        else:
            block = self.first(path)
            data = self.read(block, 1)
        whole = bytearray(self.read(block, 1))
        start = whole.find(data)
        try:
            for fid in hot.iter_fids(data):
                at, end = start + fid.offset, start + fid.offset + fid.length
                one = whole[at:end]
                change(fid, one)
                whole[at:end] = resealed(bytes(one))
        except StructureError:
            pass  # an entry goes on in the next block
        is_icb = block == self.icb(path)
        self.put(block, resealed(bytes(whole)) if is_icb else bytes(whole))


def resealed(data: bytes) -> bytes:
    """The same descriptor with the checksum and the CRC that belong to it."""
    tag = tags.Tag._make(_TAG.unpack_from(data))
    new = bytearray(data)
    tags.sign(
        new,
        identifier=tag.tag_identifier,
        location=tag.tag_location,
        version=tag.descriptor_version,
        serial=tag.tag_serial_number,
        crc_length=min(tag.descriptor_crc_length, len(data) - tags.TAG_SIZE),
    )
    return bytes(new)
