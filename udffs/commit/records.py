"""What the spool records: operations on inodes and directories.

An operation says what becomes true, at the level of inodes, so that replaying
a journal needs no path walk and gives the same result as the first time. The
operations of one transaction are applied together or not at all.

A record in the log: total length of the body (u32), CRC-32 of the body (u32),
then the body: for each operation a kind byte, its fixed fields (little-endian,
``layout``), then each byte string as a u16 length and its bytes.

Keys are inode keys (partition reference << 32 | logical block number of the
ICB); names are UTF-8; sizes and offsets are in bytes; times in nanoseconds since 1970, UTC.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, NamedTuple


class Begin(NamedTuple):
    """A segment begins; its operations build upon the VAT at ``vat_location``."""

    vat_location: int


class Intent(NamedTuple):
    """The VAT ICB of ``epoch`` is about to be written at ``vat_location``."""

    epoch: int
    vat_location: int


class New(NamedTuple):
    """An inode comes into being, with no name yet. ``content`` holds a
    symbolic link's path components."""

    key: int
    mode: int
    uid: int
    gid: int
    device: int
    unique_id: int
    time: int
    content: bytes


class Attributes(NamedTuple):
    """Mode, owner and times of an inode are set."""

    key: int
    mode: int
    uid: int
    gid: int
    atime: int
    mtime: int
    ctime: int


class Write(NamedTuple):
    """``length`` bytes at ``offset`` of the file come from the data file."""

    key: int
    offset: int
    length: int
    position: int
    checksum: int
    time: int


class Resize(NamedTuple):
    """The file's size becomes ``size``."""

    key: int
    size: int
    time: int


class Enter(NamedTuple):
    """``name`` in directory ``directory`` now names the inode ``key``."""

    directory: int
    key: int
    unique_id: int
    time: int
    name: bytes


class Leave(NamedTuple):
    """``name`` is no longer in the directory."""

    directory: int
    time: int
    name: bytes


Operation = Begin | Intent | New | Attributes | Write | Resize | Enter | Leave


class _Kind(NamedTuple):
    code: int
    type: Callable[..., Operation]
    fixed: struct.Struct
    has_bytes: bool


class Kinds:
    """One line for each operation: its code and the layout of its fixed fields."""

    ALL: ClassVar[dict[type, _Kind]] = {
        Begin: _Kind(1, Begin, struct.Struct("<q"), False),
        Intent: _Kind(2, Intent, struct.Struct("<qq"), False),
        New: _Kind(3, New, struct.Struct("<QIIIQQq"), True),
        Attributes: _Kind(4, Attributes, struct.Struct("<QIIIqqq"), False),
        Write: _Kind(5, Write, struct.Struct("<QQIQIq"), False),
        Resize: _Kind(6, Resize, struct.Struct("<QQq"), False),
        Enter: _Kind(7, Enter, struct.Struct("<QQQq"), True),
        Leave: _Kind(8, Leave, struct.Struct("<Qq"), True),
    }
    BY_CODE: ClassVar[dict[int, _Kind]] = {kind.code: kind for kind in ALL.values()}


_HEAD = struct.Struct("<II")
_LENGTH = struct.Struct("<H")


def encode(operations: Sequence[Operation]) -> bytes:
    """One record holding ``operations`` as one transaction."""
    parts: list[bytes] = []
    for operation in operations:
        kind = Kinds.ALL[type(operation)]
        if kind.has_bytes:
            text: bytes = operation[-1]  # type: ignore[assignment]
            parts.append(bytes((kind.code,)) + kind.fixed.pack(*operation[:-1]))
            parts.append(_LENGTH.pack(len(text)) + text)
        else:
            parts.append(bytes((kind.code,)) + kind.fixed.pack(*operation))
    body = b"".join(parts)
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def decode_all(log: bytes, holds: Callable[[Write], bool]) -> Iterator[list[Operation]]:
    """The transactions of a log, up to the first record that is torn.

    ``holds`` tells whether the data of a write is there; one that is not ends
    the log as well.
    """
    at = 0
    while at + _HEAD.size <= len(log):
        length, checksum = _HEAD.unpack_from(log, at)
        body = log[at + _HEAD.size : at + _HEAD.size + length]
        if len(body) != length or not length or zlib.crc32(body) != checksum:
            return
        operations = list(_decode(body))
        if not all(holds(o) for o in operations if isinstance(o, Write)):
            return
        yield operations
        at += _HEAD.size + length


def _decode(body: bytes) -> Iterator[Operation]:
    at = 0
    while at < len(body):
        kind = Kinds.BY_CODE[body[at]]
        fields = kind.fixed.unpack_from(body, at + 1)
        at += 1 + kind.fixed.size
        if kind.has_bytes:
            (length,) = _LENGTH.unpack_from(body, at)
            at += _LENGTH.size
            yield kind.type(*fields, body[at : at + length])
            at += length
        else:
            yield kind.type(*fields)
