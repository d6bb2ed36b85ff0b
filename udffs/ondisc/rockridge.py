"""POSIX attributes in the system use field of ISO 9660's directory records.

SUSP is the System Use Sharing Protocol, version 1.12 (IEEE P1281), RRIP the Rock
Ridge Interchange Protocol, version 1.12 (IEEE P1282). Every entry begins with a
signature, its length in bytes and its version.
"""

from __future__ import annotations

from typing import Any

from construct import Bytes, Const, GreedyRange, Int8ul, Struct, this

from udffs.errors import InternalError
from udffs.ondisc.basic import number
from udffs.ondisc.derive import derive
from udffs.ondisc.iso9660 import Both32, RecordTime, both32

__all__ = [
    "CE_SIZE",
    "COMPONENT_CURRENT",
    "COMPONENT_PARENT",
    "COMPONENT_ROOT",
    "CONTINUE",
    "EXTENSION_RECORD",
    "MAX_ENTRY",
    "NM_SIZE",
    "PX_SIZE",
    "SL_SIZE",
    "SP",
    "TF_SIZE",
    "AlternateName",
    "ContinuationArea",
    "DeviceNumber",
    "ExtensionsReference",
    "PosixAttributes",
    "SharingProtocolIndicator",
    "SymbolicLink",
    "SymbolicLinkComponent",
    "SystemUseEntry",
    "TimeStamps",
    "build_ce",
    "build_component",
    "build_nm",
    "build_pn",
    "build_px",
    "build_sl",
    "build_tf",
]

MAX_ENTRY = 255
"""Bytes of an entry: its length fits a byte (SUSP 4.1)."""

CONTINUE = 0x01
"""The next NM or SL entry, or the next component, goes on with this one (RRIP 4.1.3, 4.1.4)."""

COMPONENT_CURRENT = 0x02
COMPONENT_PARENT = 0x04
COMPONENT_ROOT = 0x08
"""Flags of a component of a symbolic link that has no text of its own (RRIP 4.1.3.1)."""

TF_MODIFY = 0x02
TF_ACCESS = 0x04
TF_ATTRIBUTES = 0x08
"""Which times a TF holds, in the order of these bits (RRIP 4.1.6)."""


def _head(signature: bytes) -> tuple[Any, ...]:
    return (
        "signature" / Const(signature, Bytes(2)),
        "length" / Int8ul,
        "version" / number(Int8ul, 1),
    )


_HEAD_SIZE = 4

SystemUseEntry = Struct(
    "signature" / Bytes(2),
    "length" / Int8ul,
    "version" / number(Int8ul, 1),
    "data" / Bytes(this.length - _HEAD_SIZE),
)
"""Any entry (SUSP 4.1)."""

SharingProtocolIndicator = Struct(
    *_head(b"SP"),
    "check_bytes" / Const(b"\xbe\xef", Bytes(2)),
    "len_skp" / number(Int8ul),
)
"""7 bytes, the first entry of the root directory's first record: SUSP is in use, and how
many bytes come before the entries of other records (SUSP 5.3)."""

ContinuationArea = Struct(
    *_head(b"CE"),
    "block_location" / Both32,
    "offset" / Both32,
    "length_of_continuation_area" / Both32,
)
"""28 bytes: where the entries go on; block, bytes from its start, bytes (SUSP 5.1)."""

ExtensionsReference = Struct(
    *_head(b"ER"),
    "len_id" / Int8ul,
    "len_des" / Int8ul,
    "len_src" / Int8ul,
    "ext_ver" / number(Int8ul, 1),
    "ext_id" / Bytes(this.len_id),
    "ext_des" / Bytes(this.len_des),
    "ext_src" / Bytes(this.len_src),
)
"""Which extension the entries belong to, in the root directory's first record (SUSP 5.5)."""

PosixAttributes = Struct(
    *_head(b"PX"),
    "file_mode" / Both32,
    "links" / Both32,
    "user_id" / Both32,
    "group_id" / Both32,
    "serial_number" / Both32,
)
"""44 bytes, as in stat(2) (RRIP 4.1.1)."""

DeviceNumber = Struct(
    *_head(b"PN"),
    "dev_t_high" / Both32,
    "dev_t_low" / Both32,
)
"""20 bytes, the device that a special file stands for (RRIP 4.1.2)."""

SymbolicLinkComponent = Struct(
    "flags" / Int8ul,
    "length" / Int8ul,
    "content" / Bytes(this.length),
)
"""A part of the target between slashes (RRIP 4.1.3.1)."""

SymbolicLink = Struct(
    *_head(b"SL"),
    "flags" / Int8ul,
    "component_area" / Bytes(this.length - _HEAD_SIZE - 1),
)
"""The target of a symbolic link, or a part of it (RRIP 4.1.3)."""

SymbolicLinkComponents = GreedyRange(SymbolicLinkComponent)
"""What a component area holds."""

AlternateName = Struct(
    *_head(b"NM"),
    "flags" / Int8ul,
    "name_content" / Bytes(this.length - _HEAD_SIZE - 1),
)
"""The real name, or a part of it (RRIP 4.1.4)."""

TimeStamps = Struct(
    *_head(b"TF"),
    "flags" / Int8ul,
    "modify" / RecordTime,
    "access" / RecordTime,
    "attributes" / RecordTime,
)
"""26 bytes: the times we write, in the short form (RRIP 4.1.6)."""

# -- building ------------------------------------------------------------------

_CE = derive(ContinuationArea, whole=(Both32,))
_PX = derive(PosixAttributes, whole=(Both32,))
_PN = derive(DeviceNumber, whole=(Both32,))
_TF = derive(TimeStamps, whole=(RecordTime,))
_NM = derive(AlternateName)
_SL = derive(SymbolicLink)
_COMPONENT = derive(SymbolicLinkComponent)

CE_SIZE = _CE.size
NM_SIZE = _NM.size
PX_SIZE = _PX.size
SL_SIZE = _SL.size
TF_SIZE = _TF.size
"""Bytes of these entries; of an NM and an SL without what they hold."""

SP = SharingProtocolIndicator.build({"length": SharingProtocolIndicator.sizeof()})

_EXTENSION = {
    "ext_id": b"IEEE_P1282",
    "ext_des": b"THE IEEE P1282 PROTOCOL PROVIDES SUPPORT FOR POSIX FILE SYSTEM SEMANTICS",
    "ext_src": b"PLEASE CONTACT THE IEEE STANDARDS DEPARTMENT, PISCATAWAY, NJ, USA FOR THE "
    b"P1282 SPECIFICATION.",
}


def _extension_record() -> bytes:
    lengths = [len(text) for text in _EXTENSION.values()]
    names = ("len_id", "len_des", "len_src")
    fields = {**_EXTENSION, **dict(zip(names, lengths, strict=True))}
    size = len(ExtensionsReference.build({**fields, "length": 0}))
    built: bytes = ExtensionsReference.build({**fields, "length": size})
    return built


EXTENSION_RECORD = _extension_record()
"""The ER of RRIP 1.12 (RRIP 4.3)."""


def build_ce(block: int, offset: int, size: int) -> bytes:
    """A CE: absolute block, bytes from its start, bytes."""
    return _CE.pack(b"CE", _CE.size, 1, both32(block), both32(offset), both32(size))


def build_px(*, mode: int, links: int, uid: int, gid: int, serial: int) -> bytes:
    """A PX of 44 bytes."""
    numbers = (both32(number) for number in (mode, links, uid, gid, serial))
    return _PX.pack(b"PX", _PX.size, 1, *numbers)


def build_tf(*, modify: bytes, access: bytes, attributes: bytes) -> bytes:
    """A TF of times as iso9660.record_time makes them."""
    flags = TF_MODIFY | TF_ACCESS | TF_ATTRIBUTES
    return _TF.pack(b"TF", _TF.size, 1, flags, modify, access, attributes)


def build_pn(high: int, low: int) -> bytes:
    """A PN of the two halves of a device number."""
    return _PN.pack(b"PN", _PN.size, 1, both32(high), both32(low))


def build_nm(content: bytes, *, goes_on: bool = False) -> bytes:
    """An NM with a name, or a part of it, in UTF-8."""
    return _with_content(_NM.pack, b"NM", NM_SIZE, content, goes_on)


def build_sl(components: bytes, *, goes_on: bool = False) -> bytes:
    """An SL with components, one behind the other."""
    return _with_content(_SL.pack, b"SL", SL_SIZE, components, goes_on)


def _with_content(pack: Any, signature: bytes, head: int, content: bytes, goes_on: bool) -> bytes:
    length = head + len(content)
    if length > MAX_ENTRY:
        raise InternalError(what=f"a system use entry of {length} bytes")
    built: bytes = pack(signature, length, 1, CONTINUE if goes_on else 0) + content
    return built


def build_component(content: bytes, flags: int = 0) -> bytes:
    """A component of a symbolic link's target."""
    return _COMPONENT.pack(flags, len(content)) + content
