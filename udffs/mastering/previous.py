"""The files that are on a disc already, and where: for a session that shows them again."""

from __future__ import annotations

import io
import os
import stat
import struct
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from pycdlib import PyCdlib
from pycdlib.pycdlibexception import PyCdlibException

from media.errors import UnreadableBlockError
from media.store import BlockStore
from udffs.commit.bridge.cost import MOST_SECTIONS
from udffs.commit.bridge.tree import Section
from udffs.errors import BlankDiscError, DamagedError
from udffs.mastering.notes import Notes
from udffs.mastering.sources import Source, count_links
from udffs.mastering.volumes import from_volume
from udffs.ondisc.iso9660 import (
    DESCRIPTOR_PRIMARY,
    DESCRIPTOR_SUPPLEMENTARY,
    DESCRIPTOR_TERMINATOR,
)
from udffs.volume import open_volume, unique_name

__all__ = ["Previous", "previous_files", "read_iso_session"]

BLOCK = 2048
DESCRIPTORS = range(16, 32)
"""Where volume descriptors are looked for, from the start of a session."""

_STANDARD = b"CD001"
_ANY_STANDARD = (_STANDARD, b"CDW02", b"BEA01", b"BOOT2", b"NSR02", b"NSR03", b"TEA01")
"""Standard identifiers (ECMA-119 8.1.2, ECMA-167 2/9.1.2)."""
_MOST_READ = 128 << 20
"""Bytes of directories that are read: more than those of a CD full of the smallest files.
Directories that overlap could be without end."""

_FAR = 1 << 44
"""Bytes that a disc is said to have: pycdlib would cut files off at its real end, unasked."""

_KEPT = (DESCRIPTOR_PRIMARY, DESCRIPTOR_SUPPLEMENTARY, DESCRIPTOR_TERMINATOR)

_NS = 1_000_000_000
_BROKEN = (PyCdlibException, struct.error, ValueError, IndexError, KeyError, TypeError)


class Previous(NamedTuple):
    """The ISO 9660 view of a session. ``unreadable`` names the files that are not in
    the tree because they do not lie on the disc."""

    label: str
    root: Source
    unreadable: list[str]


def previous_files(store: BlockStore, notes: Notes | None = None) -> Source | None:
    """The tree of the last session that is complete, each file with its sections.

    The ISO 9660 view if there is one (names of Rock Ridge, else of Joliet), else
    the UDF volume: what is embedded there or has holes comes without sections,
    as content to be written anew. None if there is no session. Raises
    DamagedError, NotUdfError and what the store raises.
    """
    if _last_session(store) is None:
        return None
    heard = Notes() if notes is None else notes
    session = read_iso_session(store, heard)
    if session is not None:
        heard.group("left out because they cannot be read", session.unreadable)
        return session.root
    try:
        return from_volume(open_volume(store), notes=heard, on_disc=True)
    except BlankDiscError:
        return None


def read_iso_session(store: BlockStore, notes: Notes) -> Previous | None:
    """The ISO 9660 view of the last session that is complete, None if it has none.

    Files have their sections, and can be read. Raises DamagedError and what the
    store raises."""
    start = _last_session(store)
    if start is None:
        return None
    view = SessionView(store, start)
    return _read_iso(view, store, notes) if view.has_iso else None


def _last_session(store: BlockStore) -> int | None:
    complete = [span.start for span in store.sessions if span.end is not None]
    return complete[-1] if complete and store.last_block >= 0 else None


class SectionContent:
    """The bytes of a file that is on the disc in sections."""

    def __init__(self, store: BlockStore, sections: tuple[Section, ...]) -> None:
        self._store = store
        self._sections = sections

    def read(self, offset: int, count: int) -> bytes:
        pieces = []
        for block, length in self._sections:
            start, end = max(offset, 0), min(offset + count, length)
            if start < end:
                first, ahead = divmod(start, BLOCK)
                data = self._store.read(block + first, -(-end // BLOCK) - first)
                pieces.append(data[ahead : ahead + end - start])
            offset -= length
        return b"".join(pieces)

    def close(self) -> None:
        pass


class SessionView(io.RawIOBase):
    """A disc as a file in which the descriptors of one session are at block 16.

    All else has its own address. Descriptors of other standards and boot
    records are left out: what they lead to may be another session's.
    """

    def __init__(self, store: BlockStore, start: int) -> None:
        super().__init__()
        self._store = store
        self._end = (store.last_block + 1) * BLOCK
        self._at = 0
        self._left = _MOST_READ
        kept = list(self._kept(start))
        self.has_iso = any(data[0] == DESCRIPTOR_PRIMARY for data in kept)
        # Behind them directories of the first session may begin.
        kept += [self._other(block) for block in DESCRIPTORS[len(kept) :]]
        self._head = (bytes(DESCRIPTORS.start * BLOCK) + b"".join(kept))[: self._end]

    def _kept(self, start: int) -> Iterator[bytes]:
        for block in DESCRIPTORS:
            if start + block > self._store.last_block:
                return
            data = self._store.read(start + block, 1)
            if data[1:6] != _STANDARD:
                return
            if data[0] in _KEPT:
                yield data
            if data[0] == DESCRIPTOR_TERMINATOR:
                return

    def _other(self, block: int) -> bytes:
        """A block that is none of the session's descriptors; nothing if it is another's."""
        try:
            data = self._store.read(block, 1) if block <= self._store.last_block else b""
        except UnreadableBlockError:
            data = b""
        return bytes(BLOCK) if data[1:6] in _ANY_STANDARD else data.ljust(BLOCK, b"\0")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (0, self._at, _FAR)[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._end if size < 0 else min(self._at + size, self._end)
        self._left -= max(0, end - self._at)
        if self._left < 0:
            raise ValueError("they are longer than those of any disc")
        data = self._between(self._at, end) if end > self._at else b""
        self._at += len(data)
        return data

    def _between(self, start: int, end: int) -> bytes:
        if start < len(self._head):
            head = self._head[start:end]
            rest = self._between(len(self._head), end) if end > len(self._head) else b""
            return head + rest
        first, ahead = divmod(start, BLOCK)
        data = self._store.read(first, -(-end // BLOCK) - first)
        return data[ahead : ahead + end - start]


def _read_iso(view: SessionView, store: BlockStore, notes: Notes) -> Previous:
    iso = PyCdlib()
    try:
        iso.open_fp(view)
    except _BROKEN as error:
        raise DamagedError(what=f"its ISO 9660 directories cannot be read ({error})") from error
    rock_ridge = iso.has_rock_ridge()
    use_joliet = not rock_ridge and iso.has_joliet()
    descriptor = iso.joliet_vd if use_joliet else iso.pvd
    reader = _IsoReader(store, "utf-16-be" if use_joliet else "ascii", rock_ridge, notes)
    label = _label(iso.joliet_vd if iso.has_joliet() else iso.pvd)
    try:
        root = reader.tree(descriptor.root_directory_record())
        return Previous(label, root, reader.unreadable)
    except _BROKEN as error:
        raise DamagedError(what=f"its ISO 9660 directories are damaged ({error})") from error
    finally:
        iso.close()


def _label(descriptor: Any) -> str:
    identifier: bytes = descriptor.volume_identifier
    return identifier.decode(descriptor.encoding, "replace").rstrip(" \0")


class _IsoReader:
    """A tree of sources out of pycdlib's records."""

    def __init__(self, store: BlockStore, encoding: str, rock_ridge: bool, notes: Notes) -> None:
        self._store = store
        self._encoding = encoding
        self._rock_ridge = rock_ridge
        self._notes = notes
        self._serials: dict[tuple[Any, ...], int] = {}
        self.unreadable: list[str] = []

    def tree(self, record: Any) -> Source:
        root = self._source("", record.children[0] if self._rock_ridge else record, True)
        waiting = [("", root, record)]
        entered = {record.extent_location()}
        while waiting:
            path, directory, record = waiting.pop()
            for name, child, content in self._children(record):
                inner = f"{path}/{name}" if path else name
                if content.is_dir():
                    if content.extent_location() in entered:  # by a link to where it was moved
                        self._notes.add("left out (second names of directories)", inner)
                        continue
                    entered.add(content.extent_location())
                source = self._child(inner, name, child, content)
                if source is None:
                    continue
                directory.children.append(source)
                if source.is_directory:
                    waiting.append((inner, source, content))
        count_links(root)
        return root

    def _children(self, record: Any) -> Iterator[tuple[str, Any, Any]]:
        """(name, record, record of the directory's content) of what is in a directory."""
        seen: dict[str, int] = {}
        continued: set[int] = set()
        for child in record.children:
            if child.is_dot() or child.is_dotdot():
                continue
            if child.data_continuation is not None:
                continued.add(id(child.data_continuation))
            if id(child) in continued or child.is_associated_file():
                continue
            extra = child.rock_ridge if self._rock_ridge else None
            if extra is not None and extra.relocated_record():
                continue  # it is where its child link is
            content = child
            if extra is not None and extra.child_link_record_exists():
                content = extra.cl_to_moved_dr
            elif record.is_root and child.is_dir() and _holds_relocated(child, self._rock_ridge):
                continue
            yield unique_name(_usable(self._name(child)), seen), child, content

    def _name(self, record: Any) -> str:
        if self._rock_ridge and record.rock_ridge is not None and record.rock_ridge.name():
            return str(record.rock_ridge.name().decode("utf-8", "replace"))
        name = record.file_identifier().decode(self._encoding, "replace")
        if not record.is_dir():
            name = name.partition(";")[0]
            if self._encoding == "ascii":
                name = name.rstrip(".")
        return str(name)

    def _child(self, path: str, name: str, record: Any, content: Any) -> Source | None:
        if record.file_unit_size or record.interleave_gap_size:
            self._notes.add("left out (interleaved files of the session before)", path)
            return None
        source = self._source(name, content if content.is_dir() else record, content.is_dir())
        extra = record.rock_ridge if self._rock_ridge else None
        if extra is not None and extra.is_symlink():
            source.target = extra.symlink_path().decode("utf-8", "replace")
        elif source.is_file and not self._place(source, record):
            self.unreadable.append(f"{path} (it reaches beyond the end of the disc)")
            return None
        if not source.is_directory:
            self._number(source, record)
        return source

    def _place(self, source: Source, record: Any) -> bool:
        """Where a file's content is; False if that is nowhere on the disc."""
        sections = []
        piece = record
        while piece is not None:
            length = piece.get_data_length()
            if length:
                sections.append((piece.extent_location(), length))
            piece = piece.data_continuation
        end = self._store.last_block + 1
        if any(length > (end - block) * BLOCK for block, length in sections):
            return False
        source.content = SectionContent(self._store, tuple(sections))
        source.size = sum(length for _, length in sections)
        whole = all(length % BLOCK == 0 for _, length in sections[:-1])
        if whole and len(sections) <= MOST_SECTIONS:  # else it has to be written anew
            source.sections = tuple(sections)
        return True

    def _number(self, source: Source, record: Any) -> None:
        """The same serial number for names of one file."""
        px = self._entry(record, "px_record")
        several = px is not None and px.posix_file_links > 1 and px.posix_serial_number
        if source.sections or several:
            # Programs that store equal files once make no names of one file of them.
            number = 0 if source.sections else px.posix_serial_number
            alike = (number, source.sections, source.mode, source.uid, source.gid, source.mtime)
            source.serial = self._serials.setdefault(alike, len(self._serials) + 1)

    def _source(self, name: str, record: Any, is_directory: bool) -> Source:
        moment = _nanoseconds(record.date)
        kind = stat.S_IFDIR | 0o755 if is_directory else stat.S_IFREG | 0o644
        source = Source(name, kind, atime=moment, mtime=moment, ctime=moment)
        px, tf = self._entry(record, "px_record"), self._entry(record, "tf_record")
        if px is not None and (stat.S_ISDIR(px.posix_file_mode) or not is_directory):
            source.mode = px.posix_file_mode
            source.uid, source.gid = px.posix_user_id, px.posix_group_id
        if tf is not None:
            # pycdlib calls the modification's time the access's (see records.py).
            source.atime = _nanoseconds(tf.modification_time, source.atime)
            source.mtime = _nanoseconds(tf.access_time, source.mtime)
            source.ctime = _nanoseconds(tf.attribute_change_time, source.ctime)
        return source

    def _entry(self, record: Any, name: str) -> Any:
        if not self._rock_ridge or record.rock_ridge is None:
            return None
        for entries in (record.rock_ridge.dr_entries, record.rock_ridge.ce_entries):
            found = None if entries is None else getattr(entries, name)
            if found is not None:
                return found
        return None


def _holds_relocated(record: Any, rock_ridge: bool) -> bool:
    """Whether a directory of the root is there only for those that were moved."""
    inner = [child for child in record.children if not (child.is_dot() or child.is_dotdot())]
    return (
        rock_ridge
        and bool(inner)
        and all(
            child.rock_ridge is not None and child.rock_ridge.relocated_record() for child in inner
        )
    )


def _usable(name: str) -> str:
    cleaned = name.replace("/", "_").replace("\0", "_")
    return cleaned if cleaned not in ("", ".", "..") else f"_{cleaned}"


def _nanoseconds(date: Any, default: int = 0) -> int:
    """A date of pycdlib's, epoch nanoseconds; `default` for none and for what is no date."""
    try:
        year = date.year if hasattr(date, "year") else date.years_since_1900 + 1900
        day = date.dayofmonth if hasattr(date, "dayofmonth") else date.day_of_month
        zone = timezone(timedelta(minutes=15 * date.gmtoffset))
        moment = datetime(year, date.month, day, date.hour, date.minute, date.second, tzinfo=zone)
    except (AttributeError, ValueError):
        return default
    return int(moment.timestamp()) * _NS
