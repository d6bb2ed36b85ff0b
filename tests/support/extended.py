"""What another system would have recorded on a rewritable disc: extended file
entries and named streams, put there by hand, from the declarations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from media.store import RewritableStore
from support.spoiling import Spoilt
from udffs.ondisc import hot, osta, tags
from udffs.ondisc.basic import BLOCK_SIZE, LongAd
from udffs.ondisc.derive import derive
from udffs.ondisc.ecma167 import (
    FID_DELETED,
    FID_PARENT,
    ExtendedFileEntry,
    FileEntry,
    FileIdentifierDescriptor,
    LogicalVolumeIntegrityDescriptor,
)
from udffs.ondisc.modes import FileType

CREATED = {
    "type_and_time_zone": 0x1000 | 60,  # an hour east
    "year": 2003,
    "month": 4,
    "day": 5,
    "hour": 6,
    "minute": 7,
    "second": 8,
    "centiseconds": 9,
    "hundreds_of_microseconds": 10,
    "microseconds": 11,
}
CHECKPOINT = 3
_FID = derive(FileIdentifierDescriptor)


class Entry(NamedTuple):
    """What an extended file entry has to keep."""

    created: dict[str, int]
    streams: tuple[int, int]  # length in bytes and block
    checkpoint: int
    streams_size: int
    identity: int


def long_ad(block: int) -> dict[str, Any]:
    return {"extent_length": BLOCK_SIZE, "location": {"logical_block_number": block}}


class Hand:
    """Changes a disc that nobody has mounted."""

    def __init__(self, store: RewritableStore) -> None:
        self._store = store
        self.disc = Spoilt(store)
        assert not self.disc.ground.complaints, self.disc.ground.complaints

    def burn(self) -> None:
        """Write what was changed."""
        for block, data in self.disc.patches.items():
            self._store.write(block, data)
        self._store.flush()

    # -- extended file entries -----------------------------------------------------

    def extend(self, path: str, streams: str = "", streams_size: int = 0) -> None:
        """Make a file entry an extended one; ``streams`` is its stream directory."""
        at = self.disc.icb(path)
        entry = tags.unseal(FileEntry, self.disc.read(at, 1), location=None)
        fields = {name: value for name, value in entry.items() if name != "tag"}
        fields |= {
            "object_size": entry.information_length + streams_size,
            "creation_time": CREATED,
            "checkpoint": CHECKPOINT,
        }
        if streams:
            fields["stream_directory_icb"] = long_ad(self.disc.ground.icbs[streams])
        location, version = entry.tag.tag_location, entry.tag.descriptor_version
        self.disc.put(at, tags.seal(ExtendedFileEntry, fields, location=location, version=version))

    def give_streams(self, path: str, folder: str, names: Sequence[str]) -> None:
        """The files ``names`` in ``folder`` become the streams of ``path``, which has
        an extended file entry from now on; ``folder`` is in the root."""
        disc, icbs = self.disc, self.disc.ground.icbs
        paths = [f"{folder}/{name}" for name in names]
        total = sum(hot.parse_file_entry(disc.read(disc.icb(p), 1), None).size for p in paths)
        self.extend(path, folder, total)
        disc.fields(FileEntry, disc.icb(folder), icb_tag__file_type=FileType.STREAM_DIRECTORY)
        self.fids(folder, "", icb__location__logical_block_number=icbs[path])
        self.fids("/", folder.lstrip("/"), file_characteristics=FID_DELETED)
        root = hot.parse_file_entry(disc.read(disc.icb("/"), 1), None)
        declaration = ExtendedFileEntry if root.extended else FileEntry
        disc.fields(declaration, disc.icb("/"), file_link_count=lambda old: old - 1)
        self._count(len(paths))

    def fids(self, folder: str, name: str, **changes: Any) -> None:
        """Change fields of the entry ``name`` of a directory, "" for its parent."""

        def change(fid: hot.FidFields, data: bytearray) -> None:
            parent = bool(fid.characteristics & FID_PARENT)
            if parent if not name else fid.name == b"\x08" + name.encode():
                values = list(_FID.unpack_from(data))
                for field, value in changes.items():
                    values[_FID.names.index(field.replace("__", "."))] = value
                _FID.pack_into(data, 0, *values)

        self.disc.entries(folder, change)

    def _count(self, files: int) -> None:
        """There are a directory and so many files less in the tree."""

        def change(found: Any) -> None:
            layout = osta.LogicalVolumeIntegrityImplementationUse
            use = layout.parse(found.implementation_use)
            use.number_of_files -= files
            use.number_of_directories -= 1
            rest = bytes(found.implementation_use)[layout.sizeof() :]
            found.implementation_use = layout.build(use) + rest

        at = self.disc.ground.integrity_at
        self.disc.parsed(LogicalVolumeIntegrityDescriptor, at, change)


def entry_at(store: RewritableStore, block: int) -> Entry | None:
    """What an ICB keeps; None for a plain file entry. ``block`` is absolute."""
    identifier, entry = tags.unseal_any(store.read(block, 1), location=None)
    if identifier != 266:
        assert identifier == 261
        return None
    streams = entry.stream_directory_icb
    assert LongAd.build(dict(streams))
    return Entry(
        {name: entry.creation_time[name] for name in CREATED},
        (streams.extent_length, streams.location.logical_block_number),
        entry.checkpoint,
        entry.object_size - entry.information_length,
        entry.unique_id,
    )
