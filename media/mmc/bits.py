"""What the declarations of this package are written with.

Every command, reply and mode page is one flat ``BitStruct``: the names are
those of the standard in snake_case, reserved bits have none (or are called
``reserved_N`` where somebody has to check them), and what is not given when
building is 0.
"""

from __future__ import annotations

import struct
from typing import Any

import construct as c


def field(name: str, bits: int, default: int = 0) -> Any:
    """An unsigned field of so many bits, most significant bit first."""
    return name / c.Default(c.BitsInteger(bits), default)


def signed(name: str, bits: int) -> Any:
    """A two's-complement field: addresses, which drives do report below 0."""
    return name / c.Default(c.BitsInteger(bits, signed=True), 0)


def octets(name: str, count: int, default: bytes | None = None) -> Any:
    """A field of so many whole bytes."""
    return name / c.Default(
        c.Bytewise(c.Bytes(count)), bytes(count) if default is None else default
    )


def reserved(bits: int) -> Any:
    """Bits without a meaning: 0 when built, ignored when parsed."""
    return c.Padding(bits)


def parse(layout: Any, data: bytes | memoryview) -> Any:
    """Parse a reply of fixed size that may be cut off or longer than we know.

    Drives and callers cut replies at their allocation length, and older drives
    know shorter forms: what is missing reads as 0.
    """
    size: int = layout.sizeof()
    return layout.parse(bytes(data[:size]).ljust(size, b"\0"))


_CODES = {8: "B", 16: "H", 32: "I", 64: "Q"}


def packer(layout: Any, *names: str) -> struct.Struct:
    """A fast twin of a declaration: a big-endian ``struct.Struct`` over the
    named fields alone, in the declaration's order; all else is skipped when
    unpacking and 0 when packing (which goes for a command's operation code
    too: name it).

    The fields must be whole, byte-aligned integers. Raises ValueError where
    they are not, so that a change of the declaration cannot go unnoticed.
    """
    codes, position, end, found = ">", 0, 0, []
    for sub in layout.subcon.subcons:
        width = sub.sizeof()
        if sub.name in names:
            if position % 8 or width not in _CODES:
                raise ValueError(f"{sub.name} is not a whole number of bytes")
            codes += f"{(position - end) // 8}x{_CODES[width]}"
            end = position + width
            found.append(sub.name)
        position += width
    if tuple(found) != names:
        raise ValueError(f"the declaration has {found}, not {names}")
    return struct.Struct(f"{codes}{(position - end) // 8}x")
