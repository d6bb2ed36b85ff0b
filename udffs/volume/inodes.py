"""ICBs to inodes (ECMA-167 4/14.6, 4/14.9, 4/14.17, UDF 2.3.5, 2.3.6)."""

from __future__ import annotations

import os
import stat

from udffs.errors import DamagedError, StructureError, UnsupportedError
from udffs.ondisc import hot, modes
from udffs.volume.extents import Spaces, allocated_extents, file_runs, space_of
from udffs.volume.model import Inode, Run
from udffs.volume.partitions import locate
from udffs.volume.source import Source

__all__ = ["make_key", "read_allocated", "read_file_entry", "read_inode_at", "split_key"]

_DIRECT_STRATEGY = 4


def make_key(reference: int, block: int) -> int:
    """The key of an inode: partition reference << 32 | logical block."""
    return reference << 32 | block


def split_key(key: int) -> tuple[int, int]:
    """(partition reference, logical block) of a key."""
    return key >> 32, key & 0xFFFFFFFF


def read_inode_at(source: Source, spaces: Spaces, key: int) -> Inode:
    """The inode of a key: one block read, more only for allocation extents.

    Raises DamagedError, UnsupportedError or UnreadableBlockError.
    """
    reference, _block = split_key(key)
    icb = read_file_entry(source, spaces, key)
    if icb.strategy_type != _DIRECT_STRATEGY:
        raise UnsupportedError(what=f"an ICB of strategy {icb.strategy_type}")
    kind = modes.mode_from_file_type(icb.file_type)
    if kind is None:
        raise DamagedError(what=f"a file of type {icb.file_type} is linked in a directory")
    embedded = icb.allocation_type == hot.ALLOCATION_EMBEDDED
    if embedded and len(icb.allocation) != icb.size:
        raise StructureError(
            what=f"{len(icb.allocation)} bytes are embedded in a file of {icb.size}"
        )
    return Inode(
        key=key,
        file_type=icb.file_type,
        mode=kind | modes.mode_from_permissions(icb.permissions, icb.icb_flags),
        uid=icb.uid,
        gid=icb.gid,
        links=icb.link_count,
        size=icb.size,
        atime=icb.atime_ns,
        mtime=icb.mtime_ns,
        ctime=icb.ctime_ns,
        unique_id=icb.unique_id,
        device=_device(kind, icb.extended_attributes),
        data=icb.allocation if embedded else None,
        runs=() if embedded else _runs(source, spaces, icb, reference),
        extended_attributes=icb.extended_attributes,
        blocks_recorded=icb.blocks_recorded,
        extension=icb.extension,
    )


def read_file_entry(source: Source, spaces: Spaces, key: int) -> hot.FileEntryFields:
    """The ICB of a key as it is; raises as `read_inode_at`."""
    reference, block = split_key(key)
    return hot.parse_file_entry(source.block(locate(space_of(spaces, reference), block)), block)


def read_allocated(
    source: Source, spaces: Spaces, key: int, icb: hot.FileEntryFields
) -> list[tuple[int, int]]:
    """(home block, count) of all that the inode `key` takes besides its `icb` (extents.py).

    Raises as `read_inode_at`.
    """
    if icb.allocation_type == hot.ALLOCATION_EMBEDDED:
        return []
    reference, _block = split_key(key)
    return allocated_extents(source, spaces, icb.allocation, icb.allocation_type, reference)


def _runs(
    source: Source, spaces: Spaces, icb: hot.FileEntryFields, reference: int
) -> tuple[Run, ...]:
    return file_runs(source, spaces, icb.allocation, icb.allocation_type, reference, icb.size)


def _device(kind: int, attributes: bytes) -> int:
    """The device number of a device node; 0 if it has none that this system could have."""
    if kind not in (stat.S_IFBLK, stat.S_IFCHR) or not hasattr(os, "makedev"):
        return 0
    try:
        numbers = modes.parse_device(attributes)
        return 0 if numbers is None else os.makedev(*numbers)
    except (StructureError, OverflowError):
        return 0
