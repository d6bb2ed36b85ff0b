"""A volume as it is read: open it, walk it, read it."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING

from media.store import BlockStore
from udffs.errors import DamagedError, DirectoryEntryError
from udffs.ondisc import hot, modes, osta
from udffs.ondisc.ecma167 import (
    FID_DELETED,
    FID_DIRECTORY,
    FID_HIDDEN,
    FID_PARENT,
    TagIdentifier,
)
from udffs.ondisc.text import decode_dstring, decode_name
from udffs.ondisc.times import timestamp_ns
from udffs.volume.anchors import Descriptors
from udffs.volume.bitmap import SpaceExtent, SpaceTable, read_space
from udffs.volume.content import read_inode
from udffs.volume.extents import space_of, union
from udffs.volume.inodes import make_key, read_allocated, read_file_entry, read_inode_at
from udffs.volume.model import BLOCK, DirectoryEntry, HistoryEntry, Inode, Integrity, Sparing, Vat
from udffs.volume.partitions import AddressSpace, PhysicalPartition, locate
from udffs.volume.source import Source
from udffs.volume.streams import read_streams_allocated
from udffs.volume.vat import read_history
from udffs.volume.view import RewritableView

if TYPE_CHECKING:
    from udffs.volume.intentlog import LogState

__all__ = ["Volume"]

MAX_DIRECTORY = 256 << 20
"""Bytes of a directory that are read."""


class Volume:
    """An open volume. Nothing is cached but the VAT; every inode is read anew.

    Addresses called "block" are absolute blocks of the disc, lengths of
    partitions are blocks. Errors: DamagedError and StructureError for what the
    disc says, UnsupportedError for what we do not know, UnreadableBlockError
    for what cannot be read.
    """

    def __init__(self, store: BlockStore, source: Source, found: Descriptors) -> None:
        self.store = store
        self.view: RewritableView | None = None
        self._source = source
        self.spaces: list[AddressSpace] = []
        self.notes: list[str] = []
        volume = found.single[TagIdentifier.LOGICAL_VOLUME]
        primary = found.single.get(TagIdentifier.PRIMARY_VOLUME)
        suffix = osta.DomainIdentifierSuffix.parse(volume.domain_identifier.suffix)
        self.domain: bytes = volume.domain_identifier.identifier.rstrip(b"\0")
        self.domain_flags: int = suffix.domain_flags
        self.revision: int = suffix.udf_revision
        self.label = decode_dstring(volume.logical_volume_identifier)
        self.identity = "" if primary is None else decode_dstring(primary.volume_set_identifier)
        self.created = 0 if primary is None else timestamp_ns(primary.recording_date_and_time)
        self.kind = "plain"
        self.anchor = found.anchor
        self.main_sequence = found.main
        self.reserve_sequence = found.reserve
        self.file_set_key = 0
        self.root_key = 0
        self.partition_start = 0
        self.partition_length = 0
        self.partition_number = 0
        self.access_type = 0
        self.virtual_reference: int | None = None
        self.physical_reference = 0
        self.physical = PhysicalPartition(0, 0)
        self.vat: Vat | None = None
        self.damaged_tail = False
        self.integrity: Integrity | None = None
        self.integrity_extent = (0, 0)
        self.sparing: Sparing | None = None
        self.space_extent = SpaceExtent(why_none="it has no bitmap of its free space")
        self.intent_log: LogState | None = None
        self.write_protected: str | None = None

    def look_through(self, view: RewritableView) -> Source:
        """From now on all blocks are read through a view, by their home addresses."""
        self.store = self.view = view
        self._source = Source(view)
        return self._source

    # -- what is known of the whole --------------------------------------------

    @property
    def files(self) -> int:
        """Files on the volume, -1 if it does not say."""
        if self.vat is not None:
            return self.vat.files
        return -1 if self.integrity is None else self.integrity.files

    @property
    def directories(self) -> int:
        """Directories on the volume, -1 if it does not say."""
        if self.vat is not None:
            return self.vat.directories
        return -1 if self.integrity is None else self.integrity.directories

    @property
    def next_unique_id(self) -> int:
        """The first unique id that is surely free."""
        ids = [16]
        if self.vat is not None:
            ids.append(self.vat.next_unique_id)
        if self.integrity is not None:
            ids.append(self.integrity.next_unique_id)
        return max(ids)

    @property
    def integrity_block(self) -> bytes | None:
        """The block of the integrity descriptor, None if there is none."""
        return None if self.integrity is None else self.integrity.block

    # -- reading ---------------------------------------------------------------

    def space(self) -> SpaceTable:
        """The bitmap of the free space, read anew.

        Raises UnsupportedError, with the reason, if there is none that we could keep up.
        """
        return read_space(self._source, self.space_extent, self.physical)

    def allocated(self, key: int, *, streams: bool = False) -> list[tuple[int, int]]:
        """(home block, count) of every block that an inode takes besides its ICB,
        ascending, none twice: also what is allocated beyond the file's size; with
        `streams`, what its named streams take as well."""
        icb = read_file_entry(self._source, self.spaces, key)
        own = read_allocated(self._source, self.spaces, key, icb)
        if not streams or icb.extension is None:
            return own
        return union([*own, *read_streams_allocated(self._source, self.spaces, key, icb)])

    def to_absolute(self, partition_reference: int, lbn: int) -> int:
        """The block of the disc behind a logical block of a partition."""
        return locate(space_of(self.spaces, partition_reference), lbn)

    def inode(self, key: int) -> Inode:
        """The inode of a key: reads one block, and allocation extents if there are any."""
        return read_inode_at(self._source, self.spaces, key)

    def read(self, inode: Inode, offset: int, length: int) -> bytes:
        """At most `length` bytes from `offset` on, fewer at the end of the file."""
        return read_inode(self._source, inode, offset, length)

    def readlink(self, inode: Inode) -> str:
        """The target of a symbolic link."""
        return modes.parse_path(self.read(inode, 0, modes.MAX_PATH_BYTES + 1))

    def directory_data(self, inode: Inode) -> bytes:
        """All bytes of a directory."""
        if not stat.S_ISDIR(inode.mode):
            raise DamagedError(what="something that is no directory is used as one")
        if inode.size > min(MAX_DIRECTORY, self._source.end * BLOCK):
            raise DamagedError(what=f"a directory claims {inode.size} bytes")
        return self.read(inode, 0, inode.size)

    def entries(self, inode: Inode) -> list[DirectoryEntry]:
        """The names in a directory, without deleted ones and without the parent.

        A name that occurs twice gets a number behind it the second time.
        """
        found: list[DirectoryEntry] = []
        seen: dict[str, int] = {}
        for fid in hot.iter_fids(self.directory_data(inode)):
            if fid.characteristics & (FID_DELETED | FID_PARENT):
                continue
            name = unique_name(decode_name(fid.name), seen)
            found.append(
                DirectoryEntry(
                    name,
                    make_key(fid.icb_partition, fid.icb_block),
                    bool(fid.characteristics & FID_DIRECTORY),
                    bool(fid.characteristics & FID_HIDDEN),
                    fid.unique_id,
                    fid.offset,
                    fid.length,
                )
            )
        return found

    def parent_key(self, inode: Inode) -> int:
        """The key of the directory that holds this directory."""
        try:
            head = self.read(inode, 0, min(inode.size, BLOCK))
            return _parent(head)
        except DamagedError:
            return _parent(self.directory_data(inode))

    def history(self) -> Iterator[HistoryEntry]:
        """The commits of a VAT volume, the last one first; nothing on others."""
        if self.vat is not None:
            yield from read_history(self._source, self.physical, self.vat)


def unique_name(name: str, seen: dict[str, int]) -> str:
    """The name under which an entry of a directory is shown: one that is not
    among `seen` yet, which counts how often each came. Pass the same `seen`
    for all entries of a directory, in their order."""
    candidate = name
    while candidate in seen:
        seen[name] += 1
        candidate = f"{name}#{seen[name]}"
    seen[candidate] = 1
    return candidate


def _parent(data: bytes) -> int:
    for fid in hot.iter_fids(data):
        if fid.characteristics & FID_PARENT:
            return make_key(fid.icb_partition, fid.icb_block)
    raise DirectoryEntryError(what="it does not say which is its parent", offset=0)
