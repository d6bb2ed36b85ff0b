"""What pycdlib's own methods have no arguments for: owners, modes, times, links.

pycdlib stamps what it adds with the time of day and an owner nobody; here its
records get what the sources say. It is the one place that knows how pycdlib
keeps them. Some of what it writes is mended as well:

- The entry of a UDF directory for its parent leads to the root always
  (ECMA-167 4/8.6, 4/14.4.3: to the parent).
- The root's unique id must be 0 (UDF 3.2.1.1).
- Names of one file count as so many files (UDF 2.2.6.4: as one), and a file
  with several names has one link.
- The partition covers the last anchor.
- With Rock Ridge it moves each eighth level of directories to the root. Readers
  without Rock Ridge lose them there, and all that matter read deeper ones
  (xorriso leaves them where they are, too).
"""

from __future__ import annotations

import contextlib
import io
import stat
import zlib
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from pycdlib import PyCdlib, dates, dr, udf

from udffs.mastering.naming import raw_name
from udffs.mastering.sources import Source
from udffs.ondisc.iso9660 import PrimaryVolumeDescriptor, SupplementaryVolumeDescriptor
from udffs.ondisc.modes import file_type_from_mode, permissions_from_mode
from udffs.ondisc.text import encode_dstring
from udffs.ondisc.times import pack_time, timestamp

__all__ = [
    "add_another_name",
    "add_udf_name",
    "finish_volume",
    "new_image",
    "release",
    "rename_in_udf",
    "stamp_directory",
    "stamp_linked",
    "stamp_symlink",
    "structures",
    "without_relocation",
]

APPLICATION = "UDFFS"
LABEL_BYTES = 32
"""Of a volume identifier (ECMA-119 8.4.6, 8.5.6)."""
LARGEST_PIECE = 0xFFFFF800
"""Bytes of one directory record; pycdlib cuts larger files into pieces of it."""

_NS = 1_000_000_000
_FIRST_YEAR, _LAST_YEAR = 1900, 2155
"""What a directory record's date can hold (ECMA-119 9.1.5)."""

_MAX_LINKS = 0xFFFF


# -- the volume ----------------------------------------------------------------


class _Mastered(PyCdlib):  # type: ignore[misc]
    """pycdlib but for its limit of a Joliet name: 64 bytes of UTF-8, instead of
    64 characters (Joliet, "Allowed length"); 21 of Chinese."""

    def _joliet_name_and_parent_from_path(self, path: bytes) -> tuple[bytes, Any]:
        above, _, name = path.rpartition(b"/")
        return name.decode().encode("utf-16-be"), self._find_joliet_record(above or b"/")


def new_image(label: str, now: int) -> PyCdlib:
    """An empty image: ISO 9660 level 3, Joliet, Rock Ridge 1.12 and UDF (1.02, which
    is what pycdlib writes when it is asked for "2.60")."""
    iso = _Mastered()
    iso.new(
        interchange_level=3,
        app_ident_str=APPLICATION,
        joliet=3,
        rock_ridge="1.12",
        udf="2.60",
    )
    iso.pvd.volume_identifier = iso_label(label).encode().ljust(LABEL_BYTES)
    iso.joliet_vd.volume_identifier = _joliet_label(label)
    for descriptor in (iso.pvd, iso.joliet_vd):
        _stamp_descriptor(descriptor, now)
    unique = f"{now // _NS & 0xFFFFFFFF:08x}{zlib.crc32(f'{label}{now}'.encode()):08x}"
    for sequence in (iso.udf_main_descs, iso.udf_reserve_descs):
        _label_sequence(sequence, label, unique, now)
    iso.udf_file_set.log_vol_ident = encode_dstring(label, 128, truncate=True)
    iso.udf_file_set.file_set_ident = encode_dstring(label, 32, truncate=True)
    iso.udf_file_set.recording_date = _udf_time(now)
    iso.udf_logical_volume_integrity.recording_date = _udf_time(now)
    return iso


def structures(iso: PyCdlib, writes: list[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """What pycdlib wrote, (byte, data) each; the volume descriptors with the time of
    their creation as that of their modification (ECMA-119 8.4.27), which pycdlib takes
    from the clock."""
    layouts = {
        iso.pvd.extent_location() * 2048: PrimaryVolumeDescriptor,
        iso.joliet_vd.extent_location() * 2048: SupplementaryVolumeDescriptor,
    }
    return [(at, _own_time(layouts[at], data) if at in layouts else data) for at, data in writes]


def _own_time(layout: Any, data: bytes) -> bytes:
    fields = layout.parse(data)
    fields.volume_modification_date_and_time = fields.volume_creation_date_and_time
    return bytes(layout.build(fields))


def iso_label(label: str) -> str:
    """A label of d-characters, at most 32 (ECMA-119 8.4.6)."""
    return "".join(
        letter if letter.isascii() and letter.isalnum() else "_" for letter in label.upper()
    )[:LABEL_BYTES]


def _joliet_label(label: str) -> bytes:
    """As much of a label as 16 characters of UCS-2 hold."""
    while len(wide := label.encode("utf-16-be", "replace")) > LABEL_BYTES:
        label = label[:-1]
    return wide + b"\0 " * ((LABEL_BYTES - len(wide)) // 2)


def _stamp_descriptor(descriptor: Any, now: int) -> None:
    moment = _volume_date(now)
    descriptor.volume_creation_date = moment
    descriptor.volume_modification_date = moment
    descriptor.volume_effective_date = moment


def _label_sequence(sequence: Any, label: str, unique: str, now: int) -> None:
    long = encode_dstring(label, 128, truncate=True)
    for primary in sequence.pvds:
        primary.vol_ident = encode_dstring(label, 32, truncate=True)
        primary.vol_set_ident = encode_dstring(unique, 128)
        primary.recording_date = _udf_time(now)
    for use in sequence.impl_use:
        use.impl_use.log_vol_ident = long
    for volume in sequence.logical_volumes:
        volume.logical_vol_ident = long


def finish_volume(iso: PyCdlib, files: int, directories: int) -> None:
    """Mend what depends on where everything lies; pycdlib's places are final.

    `files` counts each file once, `directories` the root as well.
    """
    start = iso.udf_main_descs.partitions[0].part_start_location
    length = iso.udf_anchors[-1].extent_location() - start
    for sequence in (iso.udf_main_descs, iso.udf_reserve_descs):
        sequence.partitions[0].part_length = length
    integrity = iso.udf_logical_volume_integrity
    integrity.size_tables[0] = length
    integrity.logical_volume_impl_use.num_files = files
    integrity.logical_volume_impl_use.num_dirs = directories
    iso.udf_root.unique_id = 0
    waiting = [iso.udf_root]
    while waiting:
        entry = waiting.pop()
        above = entry.parent or entry
        for identifier in entry.fi_descs.values():
            if identifier.is_parent():
                _point_at(identifier, above, above is iso.udf_root)
            elif identifier.is_dir():
                waiting.append(identifier.file_entry)


def _point_at(identifier: Any, above: Any, is_root: bool) -> None:
    identifier.set_icb(above.extent_location(), above.desc_tag.tag_location)
    if is_root:
        identifier.icb.impl_use = bytes(6)


class _Deep:
    """Stands for an enhanced volume descriptor: with one pycdlib moves no directories."""

    @staticmethod
    def copy_sizes(_descriptor: Any) -> None:
        pass


@contextlib.contextmanager
def without_relocation(iso: PyCdlib) -> Iterator[None]:
    """Directories that are added meanwhile stay where they are, however deep."""
    iso.enhanced_vd = _Deep()
    try:
        yield
    finally:
        iso.enhanced_vd = None


# -- names ---------------------------------------------------------------------


def add_another_name(
    iso: PyCdlib,
    inode: Any,
    size: int,
    iso_path: str,
    rr_name: str,
    joliet: str | None,
    udf_path: str,
) -> None:
    """Another name of a file that is in the image, in all views.

    pycdlib's add_hard_link gives every view the length of the first piece of
    a file, so that of a file in several pieces is added piece by piece.
    """
    added = 0
    for offset in range(0, max(size, 1), LARGEST_PIECE):
        piece, block = min(size - offset, LARGEST_PIECE), offset // 2048
        views = [{"iso_new_path": iso_path, "rr_name": rr_name}]
        if joliet is not None:
            views.append({"joliet_new_path": joliet})
        for name in views:
            added += iso._add_hard_link_to_inode(inode, piece, 0, False, None, block, **name)
    iso._finish_add(0, added)
    add_udf_name(iso, inode, udf_path)


def add_udf_name(iso: PyCdlib, inode: Any, udf_path: str) -> None:
    """Another name of a file or a symbolic link in the UDF view."""
    size = inode.get_data_length()
    added = iso._add_hard_link_to_inode(inode, size, 0, False, None, udf_new_path=udf_path)
    iso._finish_add(0, added)


def rename_in_udf(iso: PyCdlib, above: str, added: str, name: str) -> None:
    """Give what was added as `added` in a directory of the UDF view its real name.

    pycdlib takes a Latin name for the same as a wide one of the same bytes, and one
    of 254 bytes for too long. It goes on finding the file as it was added.
    """
    directory = _udf_entry(iso, above)
    identifier = directory.fi_descs.get(raw_name(added))
    if identifier is None:  # left out of the view
        return
    directory.info_len -= identifier.length(len(identifier.fi))
    identifier.fi = raw_name(name)
    identifier.encoding = "latin-1" if len(identifier.fi) == len(name) else "utf-16_be"
    identifier.len_fi = len(identifier.fi) + 1
    directory.info_len += identifier.length(len(identifier.fi))
    directory.log_block_recorded = -(-directory.info_len // 2048)
    directory.alloc_descs[0].extent_length = directory.info_len


# -- attributes ----------------------------------------------------------------


def stamp_linked(inode: Any, source: Source) -> None:
    """The attributes of a file to all its records, in all views."""
    for record, _ in inode.linked_records:
        if isinstance(record, udf.UDFFileEntry):
            _stamp_entry(record, source)
        else:
            _stamp_record(record, source)


def stamp_symlink(iso: PyCdlib, iso_path: str, source: Source) -> None:
    """The attributes of a symbolic link to its record in the ISO 9660 view."""
    _stamp_record(_iso_record(iso, iso_path), source)


def stamp_directory(
    iso: PyCdlib, source: Source, above: Source, paths: tuple[str, str, str]
) -> None:
    """The attributes of a directory, whose paths in the views are given: ISO 9660,
    Joliet, UDF. `above` is its parent, the root's the root."""
    for record in (_iso_record(iso, paths[0]), _joliet_record(iso, paths[1])):
        _stamp_record(record, source, is_directory=True)
        _stamp_record(record.children[0], source, is_directory=True)
        _stamp_record(record.children[1], above, is_directory=True)
    _stamp_entry(_udf_entry(iso, paths[2]), source, is_directory=True)


# pycdlib's get_record lays the whole image out anew each time it is asked: that
# made a tree of directories a matter of quadratic time.


def _iso_record(iso: PyCdlib, path: str) -> Any:
    root = iso.pvd.root_directory_record()
    return root if path == "/" else iso._find_iso_record(path.encode())


def _joliet_record(iso: PyCdlib, path: str) -> Any:
    root = iso.joliet_vd.root_directory_record()
    return root if path == "/" else iso._find_joliet_record(path.encode())


def _udf_entry(iso: PyCdlib, path: str) -> Any:
    return iso.udf_root if path == "/" else iso._find_udf_record(path.encode())[1]


def release(iso: PyCdlib) -> None:
    """Let go of an image, which pycdlib's caches would keep in memory."""
    iso.close()
    for cached in ("_find_iso_record", "_find_joliet_record", "_find_udf_record"):
        getattr(PyCdlib, cached).cache_clear()


def _stamp_record(
    record: dr.DirectoryRecord, source: Source, *, is_directory: bool = False
) -> None:
    record.date = _record_date(source.mtime // _NS)
    if record.rock_ridge is None:
        return
    for entries in (record.rock_ridge.dr_entries, record.rock_ridge.ce_entries):
        if entries is None:
            continue
        if entries.px_record is not None:
            _stamp_px(entries.px_record, source, is_directory)
        if entries.tf_record is not None:
            _stamp_tf(entries.tf_record, source)


def _stamp_px(px: Any, source: Source, is_directory: bool) -> None:
    px.posix_file_mode = source.mode
    px.posix_user_id, px.posix_group_id = source.uid & 0xFFFFFFFF, source.gid & 0xFFFFFFFF
    px.posix_serial_number = source.serial & 0xFFFFFFFF
    if not is_directory:  # those of directories are what pycdlib counted
        px.posix_file_links = source.links


def _stamp_tf(tf: Any, source: Source) -> None:
    # pycdlib has the names of these two the wrong way round: bit 1 of the flags is
    # that of the modification, 2 of the access (RRIP 4.1.6).
    tf.access_time = _record_date(source.mtime // _NS)
    tf.modification_time = _record_date(source.atime // _NS)
    tf.attribute_change_time = _record_date(source.ctime // _NS)


def _stamp_entry(entry: Any, source: Source, *, is_directory: bool = False) -> None:
    entry.perms, flags = permissions_from_mode(source.mode)
    entry.icb_tag.flags |= flags
    entry.icb_tag.file_type = file_type_from_mode(source.mode)
    entry.uid, entry.gid = source.uid & 0xFFFFFFFF, source.gid & 0xFFFFFFFF
    entry.access_time = _udf_time(source.atime)
    entry.mod_time = _udf_time(source.mtime)
    entry.attr_time = _udf_time(source.ctime)
    if not is_directory:
        entry.file_link_count = min(source.links, _MAX_LINKS)


# -- times ---------------------------------------------------------------------


@lru_cache(maxsize=4096)
def _udf_time(ns: int) -> Any:
    moment = udf.UDFTimestamp()
    moment.parse(pack_time(ns))
    return moment


@lru_cache(maxsize=4096)
def _record_date(seconds: int) -> Any:
    """A date of a directory record, in UTC (ECMA-119 9.1.5)."""
    fields = timestamp(seconds * _NS)
    year = fields["year"]
    moment = dates.DirectoryRecordDate()
    if year < _FIRST_YEAR:
        moment.parse(bytes((0, 1, 1, 0, 0, 0, 0)))
    elif year > _LAST_YEAR:
        moment.parse(bytes((255, 12, 31, 23, 59, 59, 0)))
    else:
        parts = (fields[name] for name in ("month", "day", "hour", "minute", "second"))
        moment.parse(bytes((year - 1900, *parts, 0)))
    return moment


def _volume_date(ns: int) -> Any:
    """A date of a volume descriptor, in UTC (ECMA-119 8.4.26.1)."""
    fields = timestamp(ns)
    text = "{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}{centiseconds:02}".format(
        **fields
    )
    moment = dates.VolumeDescriptorDate()
    moment.parse(text.encode() + b"\0")
    return moment


def is_content(inode: Any) -> bool:
    """Whether an inode of pycdlib's is a file of ours, not a symbolic link's text."""
    return not isinstance(inode.data_fp, io.BytesIO)


def is_special(source: Source) -> bool:
    """Whether it is neither a file, a directory nor a symbolic link."""
    return stat.S_IFMT(source.mode) not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK)
