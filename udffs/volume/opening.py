"""Opening a volume: quick, a handful of reads, no walk over the tree."""

from __future__ import annotations

import stat
from array import array
from collections.abc import Callable, Iterator
from typing import Any

from media.errors import UnreadableBlockError
from media.store import BlockStore
from udffs.errors import (
    BlankDiscError,
    DamagedError,
    DiscError,
    StructureError,
    UnsupportedError,
)
from udffs.ondisc import hot, osta, tags
from udffs.ondisc.basic import LongAd
from udffs.ondisc.ecma167 import ACCESS_READ_ONLY, FileSetDescriptor, TagIdentifier
from udffs.ondisc.intentlog import KEEPS_OTHERS_OFF, integrity_extension
from udffs.volume import intentlog
from udffs.volume.anchors import Descriptors, find_descriptors, recognition_note, reserve_use
from udffs.volume.bitmap import space_extent
from udffs.volume.extents import file_runs, space_of
from udffs.volume.inodes import make_key
from udffs.volume.model import BLOCK, HistoryEntry, Vat
from udffs.volume.partitions import (
    AddressSpace,
    FilePartition,
    PhysicalPartition,
    VirtualPartition,
    locate,
)
from udffs.volume.source import Source
from udffs.volume.tables import (
    Map,
    partition_maps,
    physical_partition,
    read_integrity,
    read_sparing,
    spared_packets,
)
from udffs.volume.vat import candidates, read_vat
from udffs.volume.view import RewritableView
from udffs.volume.volume import Volume

__all__ = ["history", "is_marked", "open_volume"]

MAX_VATS_TRIED = 64
"""VATs that are tried before a disc is given up."""

HIGHEST_READ = 0x0260
HIGHEST_WRITE = 0x0201
"""Revisions of UDF that we read and write."""

Log = Callable[[str], None]


def open_volume(
    store: BlockStore, *, log: Log | None = None, vat_location: int | None = None
) -> Volume:
    """Open the volume on a store.

    `log` hears each of the volume's notes. With `vat_location`, the absolute
    block of a VAT ICB, the volume is seen as it was at that commit. Raises
    BlankDiscError, NotUdfError, DamagedError or UnsupportedError.
    """
    source = Source(store)
    if source.end <= 0:
        raise BlankDiscError(drive=store.name)
    notes: list[str] = []
    found = find_descriptors(source, notes)
    missing = recognition_note(source)
    if missing is not None:
        notes.append(missing)
    _check_block_size(found)
    volume = Volume(store, source, found)
    volume.notes = notes
    _check_revision(volume.revision)
    maps = partition_maps(found.single[TagIdentifier.LOGICAL_VOLUME])
    view = _view(volume, source, found, maps)
    if view is not None:
        source = volume.look_through(view)
    virtual = _make_spaces(volume, source, found, maps)
    volume.integrity = read_integrity(source, found)
    volume.integrity_extent = _integrity_extent(found)
    if view is not None:
        reserve_use(source, found, osta.LOG_PLACE)
        volume.intent_log = intentlog.load(view, volume, found)
    if virtual is None:
        _load_root(volume, source, found)
    elif vat_location is not None:
        try:
            vat = read_vat(source, volume.physical, vat_location)
        except StructureError as error:
            raise DamagedError(what=f"there is no VAT at block {vat_location} ({error})") from error
        _use_vat(volume, source, found, vat)
    else:
        _find_vat(volume, source, found)
    volume.write_protected = _why_protected(volume, source)
    for note in volume.notes:
        if log is not None:
            log(note)
    return volume


def history(volume: Volume) -> Iterator[HistoryEntry]:
    """The commits of a VAT volume, the last one first; nothing on others."""
    return volume.history()


def _integrity_extent(found: Descriptors) -> tuple[int, int]:
    """The first extent of the integrity sequence: (absolute block, blocks)."""
    extent = found.single[TagIdentifier.LOGICAL_VOLUME].integrity_sequence_extent
    return extent.location, extent.length // BLOCK


def _check_block_size(found: Descriptors) -> None:
    size = found.single[TagIdentifier.LOGICAL_VOLUME].logical_block_size
    if size != BLOCK:
        raise UnsupportedError(what=f"logical blocks of {size} bytes (only 2,048 are supported)")


def _check_revision(revision: int) -> None:
    if revision > HIGHEST_READ:
        raise UnsupportedError(what=f"UDF {revision >> 8:x}.{revision & 0xFF:02x}")


# -- partitions ----------------------------------------------------------------


def _view(
    volume: Volume, source: Source, found: Descriptors, maps: list[Map]
) -> RewritableView | None:
    """What the blocks of a volume are read through if it could be rewritten; None with a VAT."""
    sparable = [one for one in maps if one.kind == "sparable"]
    virtual = any(one.kind == "virtual" for one in maps)
    if len(sparable) + virtual > 1:
        raise UnsupportedError(what="a sparable partition beside another one")
    if virtual:
        return None
    partition = physical_partition(found, (sparable or maps)[0].partition_number)
    view = RewritableView(volume.store, start=partition.start, length=partition.length)
    if sparable:
        volume.sparing = read_sparing(source, sparable[0].fields, volume.notes)
        view.packet = volume.sparing.packet
        view.spared = spared_packets(volume.sparing, partition)
    return view


def _make_spaces(
    volume: Volume, source: Source, found: Descriptors, maps: list[Map]
) -> VirtualPartition | None:
    """Fill in the volume's address spaces; returns the one that still needs its VAT."""
    virtual: VirtualPartition | None = None
    for reference, one in enumerate(maps):
        physical = physical_partition(found, one.partition_number)
        space: AddressSpace = physical
        if one.kind == "virtual":
            if virtual is not None:
                raise UnsupportedError(what="two virtual partitions")
            space = virtual = VirtualPartition(array("I"), physical)
            volume.kind, volume.virtual_reference = "vat", reference
        elif one.kind == "sparable":
            volume.kind = "sparable"
        elif one.kind == "metadata":
            space = _metadata_partition(source, maps, volume, one.fields)
        volume.spaces.append(space)
    _choose_physical(volume, maps, found)
    return virtual


def _choose_physical(volume: Volume, maps: list[Map], found: Descriptors) -> None:
    """The partition that data lies in: with a VAT, the one of the same number."""
    wanted = maps[volume.virtual_reference or 0].partition_number
    for reference, one in enumerate(maps):
        if one.kind in ("physical", "sparable") and one.partition_number == wanted:
            volume.physical_reference = reference
            break
    else:
        raise DamagedError(what=f"no map of partition {wanted} itself")
    physical = volume.spaces[volume.physical_reference]
    assert isinstance(physical, PhysicalPartition)
    volume.physical = physical
    volume.partition_number = wanted
    volume.partition_start, volume.partition_length = physical.start, physical.length
    volume.access_type = found.partitions[wanted].access_type
    volume.space_extent = space_extent(found.partitions[wanted])


def _metadata_partition(
    source: Source, maps: list[Map], volume: Volume, fields: Any
) -> FilePartition:
    """The metadata partition of UDF 2.50, through its file or the file's mirror."""
    below = [
        space
        for one, space in zip(maps, volume.spaces, strict=False)
        if one.kind in ("physical", "sparable") and one.partition_number == fields.partition_number
    ]
    if not below:
        raise DamagedError(what="the partition below the metadata partition is missing")
    last: Exception | None = None
    for location in (fields.metadata_file_location, fields.metadata_mirror_file_location):
        try:
            icb = hot.parse_file_entry(source.block(locate(below[0], location)), location)
            return FilePartition(
                file_runs(source, below * 64, icb.allocation, icb.allocation_type, 0, icb.size)
            )
        except (DiscError, UnreadableBlockError) as error:
            last = error
            volume.notes.append(f"the metadata file at block {location} cannot be read")
    raise DamagedError(what="both copies of its metadata file cannot be read") from last


# -- the VAT and the root ------------------------------------------------------


def _load_root(volume: Volume, source: Source, found: Descriptors) -> None:
    """Find the root directory through the file set descriptor (4/14.1, UDF 2.3.2)."""
    use = found.single[TagIdentifier.LOGICAL_VOLUME].logical_volume_contents_use
    file_set = LongAd.parse(use)
    volume.file_set_key = make_key(
        file_set.location.partition_reference_number,
        file_set.location.logical_block_number,
    )
    icb = _root_icb(volume, source, file_set)
    key = make_key(
        icb.location.partition_reference_number,
        icb.location.logical_block_number,
    )
    if not stat.S_ISDIR(volume.inode(key).mode):
        raise DamagedError(what="its root is no directory")
    volume.root_key = key


def _root_icb(volume: Volume, source: Source, address: Any) -> Any:
    reference = address.location.partition_reference_number
    block = address.location.logical_block_number
    data = source.block(locate(space_of(volume.spaces, reference), block))
    return tags.unseal(FileSetDescriptor, data, location=block).root_directory_icb


def _use_vat(volume: Volume, source: Source, found: Descriptors, vat: Vat) -> None:
    """See the volume through a VAT; raises if its root cannot be reached."""
    assert volume.virtual_reference is not None
    volume.spaces[volume.virtual_reference] = VirtualPartition(vat.entries, volume.physical)
    _load_root(volume, source, found)
    volume.vat = vat
    volume.label = vat.label or volume.label


def _find_vat(volume: Volume, source: Source, found: Descriptors) -> None:
    """Use the last VAT that leads to a root directory, and say what was given up."""
    failures: list[str] = []
    for location, sound in candidates(source, volume.physical):
        try:
            _use_vat(volume, source, found, read_vat(source, volume.physical, location))
        except (DiscError, UnreadableBlockError) as error:
            failures.append(f"the VAT at {location} cannot be used ({error})")
            if len(failures) == MAX_VATS_TRIED:
                break
            continue
        volume.damaged_tail = bool(failures) or not sound
        volume.notes += failures
        if volume.damaged_tail:
            volume.notes.append(
                f"the disc does not end with a valid VAT; using the one at {location}"
            )
        return
    volume.notes += failures
    raise DamagedError(what=failures[0] if failures else "no VAT can be found on it")


# -- may it be written to ------------------------------------------------------


def _why_protected(volume: Volume, source: Source) -> str | None:
    """Why nothing should be written to the volume, None if something may."""
    if volume.domain != osta.DOMAIN:
        return "it does not declare the domain of UDF"
    if volume.domain_flags & osta.HARD_WRITE_PROTECT:
        return "it is write-protected for good"
    if volume.domain_flags & osta.SOFT_WRITE_PROTECT:
        return "it is write-protected"
    if volume.access_type == ACCESS_READ_ONLY:
        return "its partition is read-only"
    if any(isinstance(space, FilePartition) for space in volume.spaces):
        return "it has a metadata partition"
    if volume.integrity is None:
        return "its integrity descriptor is missing"
    if volume.sparing is not None and not volume.sparing.readable:
        return "its sparing tables cannot be read"
    if volume.vat is None and volume.space_extent.why_none:
        return volume.space_extent.why_none
    if volume.intent_log is None and is_marked(volume):
        return "its log cannot be found"
    needed = _write_revision(volume)
    if needed > HIGHEST_WRITE:
        return f"writing to it needs UDF {needed >> 8:x}.{needed & 0xFF:02x}"
    return None


def is_marked(volume: Volume) -> bool:
    """True if the minimum write revision is what we put there to keep other systems
    from writing while the intent log holds what is not at its place yet."""
    integrity = volume.integrity
    return (
        volume.vat is None
        and integrity is not None
        and integrity.is_open
        and integrity.implementation == osta.IMPLEMENTATION
        and integrity.minimum_write_revision > HIGHEST_WRITE
    )


def _was_marked(volume: Volume) -> bool:
    """True if that is still there although another system wrote: those that do not
    heed it keep it, and what we have behind it."""
    integrity = volume.integrity
    return (
        volume.vat is None
        and integrity is not None
        and integrity.minimum_write_revision == KEEPS_OTHERS_OFF
        and integrity_extension(integrity.block) is not None
    )


def _write_revision(volume: Volume) -> int:
    revisions = [volume.revision]
    marked = is_marked(volume) or _was_marked(volume)
    if volume.integrity is not None and not marked:
        revisions.append(volume.integrity.minimum_write_revision)
    if volume.vat is not None:
        revisions.append(volume.vat.minimum_write_revision)
    return max(revisions)
