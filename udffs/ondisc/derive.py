"""Fast codecs out of the declarations.

A construct declaration is the one place that says how bytes are laid out; its
interpreter costs some 80 microseconds a descriptor. `derive` walks the fixed
part of a declaration once and makes a `struct.Struct` of it, so that hot paths
hold no offset of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from operator import itemgetter
from typing import Any

from construct import Bytes, FormatField
from construct import Struct as Declaration

from udffs.errors import InternalError

__all__ = ["Codec", "derive"]


class Codec:
    """The fixed-size head of a declaration as one `struct.Struct`.

    `names` are the fields in order, nested ones joined by dots.
    """

    def __init__(self, formats: str, names: tuple[str, ...]) -> None:
        self._struct = struct.Struct(formats)
        self.names = names
        self.size = self._struct.size
        self.pack = self._struct.pack
        self.pack_into = self._struct.pack_into
        self.unpack = self._struct.unpack
        self.unpack_from = self._struct.unpack_from
        self.iter_unpack = self._struct.iter_unpack

    def picker(self, *names: str) -> itemgetter[Any]:
        """What picks these fields, in this order, out of an unpacked tuple."""
        return itemgetter(*(self.names.index(name) for name in names))

    def offset(self, name: str) -> int:
        """Bytes from the start of the structure to a field."""
        order, ahead = self._struct.format[0], self._struct.format[1:]
        parts = _split_format(ahead)[: self.names.index(name)]
        return struct.calcsize(order + "".join(parts))


def _split_format(text: str) -> list[str]:
    parts: list[str] = []
    digits = ""
    for character in text:
        if character.isdigit():
            digits += character
        else:
            parts.append(digits + character)
            digits = ""
    return parts


def _bare(declaration: Any) -> Any:
    """The declaration without names, defaults and adapters around it."""
    while not isinstance(declaration, Declaration | FormatField | Bytes):
        declaration = declaration.subcon
    return declaration


def _fields(declaration: Any, whole: tuple[Any, ...], prefix: str) -> Iterator[tuple[str, str]]:
    """(name, format) of each field up to the first whose size is not fixed."""
    for part in declaration.subcons:
        name = prefix + part.name
        bare = _bare(part)
        if isinstance(bare, FormatField):
            yield name, bare.fmtstr
        elif isinstance(bare, Bytes):
            if not isinstance(bare.length, int):
                return
            yield name, f"{bare.length}s"
        elif any(bare is _bare(one) for one in whole):
            yield name, f"{bare.sizeof()}s"
        else:
            yield from _fields(bare, whole, name + ".")


def derive(declaration: Any, *, whole: tuple[Any, ...] = ()) -> Codec:
    """A codec of the fixed-size head of `declaration`.

    Declarations in `whole` are kept as one run of bytes instead of being taken
    apart. Raises InternalError for numbers in both byte orders.
    """
    pairs = list(_fields(_bare(declaration), whole, ""))
    formats = "".join(form for _, form in pairs)
    orders = {_order(form) for _, form in pairs} - {""}
    if len(orders) > 1:
        raise InternalError(what="a declaration has numbers in both byte orders")
    bare = formats.replace("<", "").replace(">", "")
    return Codec((orders.pop() if orders else "<") + bare, tuple(name for name, _ in pairs))


def _order(form: str) -> str:
    """The byte order that a field asks for: none if it is of bytes."""
    return form[0] if form[0] in "<>" and form[1:] not in ("B", "b") else ""
