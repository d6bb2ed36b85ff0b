"""An image that was laid out in memory, as a stream of blocks.

pycdlib writes an image by seeking about in a file. Here it does so into a sink
that keeps its structures and gets no file's content; then structures and
content are delivered in the order of their addresses, content straight from
where it comes from.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from media.errors import MediaError
from udffs.errors import (
    DiscError,
    InternalError,
    SourceChangedError,
    UnreadableFilesError,
    UnreadableSourcesError,
)
from udffs.mastering.notes import name_list
from udffs.mastering.sources import Source

__all__ = ["Extent", "Sink", "StreamedImage"]

BLOCK = 2048
CHUNK = 512 * BLOCK
"""Bytes of a chunk, and of one read of a source."""


class Sink:
    """A file that remembers what was written where, and nothing else."""

    def __init__(self) -> None:
        self.writes: list[tuple[int, bytes]] = []
        self._at = 0
        self._end = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._end)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def write(self, data: bytes) -> int:
        if data.strip(b"\0"):
            self.writes.append((self._at, bytes(data)))
        self._at += len(data)
        self._end = max(self._end, self._at)
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        self._end = self._at if size is None else size
        return self._end


class Extent(NamedTuple):
    """Content of a file in an image."""

    block: int
    path: str
    source: Source


class StreamedImage:
    """Structures and content by address; an `udffs.mastering.image.Image`."""

    def __init__(
        self,
        blocks: int,
        structures: Iterable[tuple[int, bytes]],
        content: Iterable[Extent],
        notes: list[str],
        *,
        first: int = 0,
    ) -> None:
        """`blocks` counts from block `first` on. `structures` are (bytes from the
        start of block 0, data), `content` has absolute blocks too."""
        self.blocks = blocks
        self.notes = notes
        self._first = first
        self._structures = sorted(structures, key=lambda write: write[0])
        self._content = sorted(content)

    def chunks(self) -> Iterator[bytes]:
        pending = bytearray()
        for piece in self._pieces():
            if not pending and len(piece) == CHUNK:
                yield piece
                continue
            pending += piece
            while len(pending) >= CHUNK:
                yield bytes(pending[:CHUNK])
                del pending[:CHUNK]
        if pending:
            yield bytes(pending)

    @property
    def content(self) -> list[Extent]:
        """Where content lies, by address."""
        return list(self._content)

    def unreadable(self) -> list[tuple[str, Source, str]]:
        """Reads all content there is; (path, source, why) of each that cannot be read."""
        found = []
        for extent in self._content:
            try:
                for _ in _content(extent):
                    pass
            except (UnreadableFilesError, UnreadableSourcesError) as error:
                found.append((extent.path, extent.source, str(error.__cause__)))
        return found

    def _pieces(self) -> Iterator[bytes]:
        """Everything from the first byte to the last, with zeros in between."""
        at = self._first * BLOCK
        for start, data, extent in self._by_address():
            if start < at:
                raise InternalError(what=f"two things lie at byte {start} of an image")
            yield from _zeros(start - at)
            if extent is None:
                yield data
                at = start + len(data)
            else:
                yield from _content(extent)
                at = start + extent.source.size
        end = (self._first + self.blocks) * BLOCK
        if at > end:
            raise InternalError(what=f"an image of {self.blocks} blocks reaches byte {at}")
        yield from _zeros(end - at)

    def _by_address(self) -> Iterator[tuple[int, bytes, Extent | None]]:
        content = iter(self._content)
        following = next(content, None)
        for start, data in self._structures:
            while following is not None and following.block * BLOCK < start:
                yield following.block * BLOCK, b"", following
                following = next(content, None)
            yield start, data, None
        while following is not None:
            yield following.block * BLOCK, b"", following
            following = next(content, None)


def _zeros(count: int) -> Iterator[bytes]:
    while count > 0:
        yield bytes(min(count, CHUNK))
        count -= CHUNK


def _content(extent: Extent) -> Iterator[bytes]:
    """All bytes of a file; exactly as many as it should have."""
    source, path = extent.source, extent.path
    try:
        for offset in range(0, source.size, CHUNK):
            count = min(CHUNK, source.size - offset)
            data = source.read(offset, count)
            if len(data) != count:
                raise SourceChangedError(name=path, why="it is shorter now")
            yield data
    except (DiscError, MediaError) as error:
        raise UnreadableFilesError(names=name_list([f"{path} ({error})"])) from error
    except OSError as error:
        raise UnreadableSourcesError(names=f"{path} ({error.strerror})") from error
    finally:
        source.close()
