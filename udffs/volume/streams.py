"""Named streams: files that belong to a file and are in no directory (ECMA-167 4/9.2, UDF 3.3.5).

They are not shown. What they take is known here, so that it can be given back
with the file.
"""

from __future__ import annotations

from udffs.errors import DamagedError
from udffs.ondisc import hot
from udffs.ondisc.basic import ExtentType
from udffs.ondisc.ecma167 import FID_DELETED, FID_DIRECTORY, FID_PARENT
from udffs.ondisc.modes import FileType
from udffs.volume.content import read_runs
from udffs.volume.extents import Spaces, file_runs, space_of, union
from udffs.volume.inodes import make_key, read_allocated, read_file_entry, split_key
from udffs.volume.model import BLOCK
from udffs.volume.partitions import locate
from udffs.volume.source import Source

__all__ = ["read_streams_allocated"]

MAX_STREAM_DIRECTORY = 1 << 20
"""Bytes of a stream directory that are read."""


def read_streams_allocated(
    source: Source, spaces: Spaces, key: int, icb: hot.FileEntryFields
) -> list[tuple[int, int]]:
    """(home block, count) of all that the named streams of the inode `key` take, ascending,
    none twice: the ICB and the blocks of their directory, and of each of them.

    A stream has no streams, one name, and is no directory; whatever is otherwise
    raises DamagedError, since it may be somebody else's. Further errors as of
    `read_inode_at`.
    """
    place = _place(icb)
    if place is None:
        return []
    directory = read_file_entry(source, spaces, place)
    if directory.file_type != FileType.STREAM_DIRECTORY:
        raise DamagedError(what=f"a stream directory is of file type {directory.file_type}")
    taken = _Taken(source, spaces, key)
    taken.add(place, directory)
    for fid in hot.iter_fids(_content(source, spaces, place, directory)):
        stream = make_key(fid.icb_partition, fid.icb_block)
        if fid.characteristics & FID_PARENT:
            if stream not in (key, place):
                raise DamagedError(what="a stream directory is another file's")
        elif not fid.characteristics & FID_DELETED:
            found = read_file_entry(source, spaces, stream)
            if fid.characteristics & FID_DIRECTORY or found.file_type in _DIRECTORIES:
                raise DamagedError(what="there is a directory among named streams")
            taken.add(stream, found)
    return taken.blocks()


_DIRECTORIES = (FileType.DIRECTORY, FileType.STREAM_DIRECTORY)


class _Taken:
    """What the streams of one inode take. No more is followed than the disc can hold."""

    def __init__(self, source: Source, spaces: Spaces, key: int) -> None:
        self._source = source
        self._spaces = spaces
        self._home = self._locate(key)
        self._icbs = {key}
        self._found: list[tuple[int, int]] = []
        self._count = 0

    def _locate(self, key: int) -> int:
        reference, block = split_key(key)
        return locate(space_of(self._spaces, reference), block)

    def add(self, key: int, icb: hot.FileEntryFields) -> None:
        """An ICB and its blocks."""
        if key in self._icbs:
            raise DamagedError(what="a named stream has two names")
        self._icbs.add(key)
        pieces = [(self._locate(key), 1), *read_allocated(self._source, self._spaces, key, icb)]
        self._found += pieces
        self._count += sum(count for _block, count in pieces)
        if self._count > self._source.end:
            raise DamagedError(what="named streams have more blocks than the disc")

    def blocks(self) -> list[tuple[int, int]]:
        """All of them; none is the file's own ICB."""
        found = union(self._found)
        if any(start <= self._home < start + count for start, count in found):
            raise DamagedError(what="the ICB of a file lies in its streams")
        return found


def _place(icb: hot.FileEntryFields) -> int | None:
    """The key of the stream directory, None if there is none."""
    if icb.extension is None:
        return None
    [(length, form, block, partition)] = hot.unpack_long_ads(icb.extension.streams)
    return make_key(partition, block) if length and form == ExtentType.RECORDED else None


def _content(source: Source, spaces: Spaces, key: int, icb: hot.FileEntryFields) -> bytes:
    """The bytes of a stream directory."""
    if icb.allocation_type == hot.ALLOCATION_EMBEDDED:
        return icb.allocation
    size = icb.size
    if size > min(MAX_STREAM_DIRECTORY, source.end * BLOCK):
        raise DamagedError(what=f"a stream directory claims {size} bytes")
    reference, _block = split_key(key)
    runs = file_runs(source, spaces, icb.allocation, icb.allocation_type, reference, size)
    return read_runs(source, runs, 0, size)
