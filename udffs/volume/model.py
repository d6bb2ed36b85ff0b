"""What reading a volume yields: plain values, no I/O."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from udffs.ondisc.basic import BLOCK_SIZE
from udffs.ondisc.hot import Extension
from udffs.ondisc.osta import BridgeCost

BLOCK = BLOCK_SIZE
"""Bytes of a block."""


def blocks_of(size: int) -> int:
    """Blocks that so many bytes take."""
    return -(-size // BLOCK)


HOLE = -1
"""The block of a run that is not recorded and reads as zeros."""


class Run(NamedTuple):
    """A piece of a file that lies in one piece on the disc."""

    offset: int
    """Bytes from the start of the file, a multiple of 2,048."""
    block: int
    """Absolute block of the disc, HOLE for zeros."""
    length: int
    """Bytes; a multiple of 2,048 but for the file's last."""


@dataclass(frozen=True, slots=True)
class Inode:
    """A file, directory or other object, as its ICB says (ECMA-167 4/14.9)."""

    key: int
    """partition reference << 32 | logical block of its ICB."""
    file_type: int
    mode: int
    """POSIX, with the S_IFMT bits."""
    uid: int
    gid: int
    links: int
    """The file link count as it stands on the disc."""
    size: int
    atime: int
    mtime: int
    ctime: int
    unique_id: int
    device: int
    """As os.makedev, 0 for what is no device."""
    data: bytes | None
    """The content, if it is embedded in the ICB."""
    runs: tuple[Run, ...]
    extended_attributes: bytes
    blocks_recorded: int
    extension: Extension | None = None
    """What an extended file entry says beyond a file entry (4/14.17)."""


class DirectoryEntry(NamedTuple):
    """A name in a directory; offset and length in bytes of the directory's data."""

    name: str
    key: int
    is_directory: bool
    hidden: bool
    unique_id: int
    offset: int
    length: int


@dataclass(slots=True)
class Vat:
    """A virtual allocation table (UDF 2.2.11)."""

    entries: array[int]
    """Block of the physical partition for each virtual block, 0xFFFFFFFF unused."""
    location: int
    """Absolute block of its ICB."""
    previous: int
    """Block of the physical partition of the VAT ICB before, 0xFFFFFFFF for none."""
    files: int
    """-1 if it does not say (UDF 1.50)."""
    directories: int
    """-1 if it does not say (UDF 1.50)."""
    layout: int
    """150 or 200."""
    label: str
    """"" if it does not say (UDF 1.50)."""
    runs: tuple[Run, ...]
    """Where the table lies; empty while it is embedded in its ICB."""
    size: int
    """Bytes of the table, header or tail among them."""
    header_size: int
    """Bytes before the first entry."""
    time: int
    """Epoch nanoseconds of its ICB's modification."""
    next_unique_id: int
    minimum_read_revision: int = 0
    minimum_write_revision: int = 0
    maximum_write_revision: int = 0
    bridge: BridgeCost | None = None
    """What the ISO 9660 view of this tree costs; None if the ICB is not ours or does not say."""

    @property
    def embedded(self) -> bool:
        """True if the table is in its ICB."""
        return not self.runs


class HistoryEntry(NamedTuple):
    """A commit of the past: a VAT that was once the last one."""

    location: int
    """Absolute block of its ICB: give it to open_volume as `vat_location`."""
    time: int
    """Epoch nanoseconds."""
    files: int
    """-1 if not known."""
    directories: int
    """-1 if not known."""


@dataclass(slots=True)
class Integrity:
    """What the logical volume integrity descriptor says (ECMA-167 3/10.10)."""

    location: int
    """Absolute block."""
    is_open: bool
    next_unique_id: int
    files: int
    directories: int
    minimum_read_revision: int
    minimum_write_revision: int
    maximum_write_revision: int
    free_blocks: tuple[int, ...] = field(default=())
    """For each partition, 0xFFFFFFFF if not known."""
    implementation: bytes = b""
    """Identifier of who wrote it last, without the zeros behind."""
    block: bytes = field(default=b"", repr=False)
    """Its bytes, one block."""


@dataclass(slots=True)
class Sparing:
    """The sparing tables of a partition (UDF 2.2.9, 2.2.12), and what is needed to write them."""

    locations: tuple[int, ...]
    """Absolute block of each copy."""
    size: int
    """Bytes that each copy may have."""
    packet: int
    """Blocks of a packet."""
    version: int
    """Descriptor version of the tables' tags."""
    identifier: dict[str, Any] = field(default_factory=dict)
    """The fields of the sparing identifier, as an EntityId."""
    sequence: int = 0
    """Sequence number of the newest valid copy."""
    entries: tuple[tuple[int, int], ...] = ()
    """(original location, a block of the partition; mapped location, an absolute
    block), of the newest valid copy; originals from 0xFFFFFFF0 on mark spare packets."""
    outdated: tuple[int, ...] = ()
    """Locations of copies that are not valid or differ from the newest one."""

    @property
    def readable(self) -> bool:
        """True if there is a valid copy: without one nothing may be written."""
        return len(self.outdated) < len(self.locations)
