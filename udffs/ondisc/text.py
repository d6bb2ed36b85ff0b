"""OSTA Compressed Unicode, dstrings and names (1/7.2.12, UDF 2.1.1 - 2.1.3).

A compressed text is one byte that says how wide a character is (8 or 16 bits)
and the characters, the wide ones big-endian. Characters outside the Basic
Multilingual Plane are stored as surrogate pairs, which Linux and Windows read.
"""

from __future__ import annotations

from binascii import crc_hqx

from udffs.errors import InvalidNameError, LabelError, NameTooLongError

__all__ = [
    "LABEL_SIZE",
    "MAX_NAME_BYTES",
    "decode_cs0",
    "decode_dstring",
    "decode_name",
    "encode_cs0",
    "encode_dstring",
    "encode_label",
    "encode_name",
]

NARROW = 8
WIDE = 16
"""Compression ids (UDF 2.1.1)."""

DELETED_NARROW = 254
DELETED_WIDE = 255
"""Compression ids of deleted names that must stay unique (UDF 2.01, 2.1.1)."""

MAX_NAME_BYTES = 255
"""Bytes of a file identifier, the compression id among them (4/14.4.4)."""

LABEL_SIZE = 128
"""Bytes of the dstring that holds a volume's label (3/10.6.4)."""

_FORBIDDEN = str.maketrans({"/": "_", "\0": "_"})


def encode_cs0(text: str) -> bytes:
    """The compressed form, as short as it can be; b"" for no text.

    Raises UnicodeEncodeError for a surrogate that stands alone.
    """
    if not text:
        return b""
    try:
        return bytes((NARROW,)) + text.encode("latin-1")
    except UnicodeEncodeError:
        return bytes((WIDE,)) + text.encode("utf-16-be")


def decode_cs0(data: bytes) -> str:
    """The text of a compressed form; what cannot be read becomes U+FFFD. Never raises."""
    if not data:
        return ""
    body = data[1:]
    if data[0] in (NARROW, DELETED_NARROW):
        return body.decode("latin-1")
    if data[0] in (WIDE, DELETED_WIDE):
        return body[: len(body) & ~1].decode("utf-16-be", "replace")
    return "\ufffd"


def encode_name(text: str) -> bytes:
    """A file name as it stands in a directory (UDF 2.3.4.6).

    At most 255 bytes in all: 254 narrow or 127 wide characters. Raises
    NameTooLongError, and InvalidNameError for what no directory can hold
    (nothing, ".", "..", "/" or a zero in it, a lone surrogate).
    """
    if text in ("", ".", "..") or "/" in text or "\0" in text:
        raise InvalidNameError(name=ascii(text))
    try:
        data = encode_cs0(text)
    except UnicodeEncodeError as error:
        raise InvalidNameError(name=ascii(text)) from error
    if len(data) > MAX_NAME_BYTES:
        raise NameTooLongError(name=text)
    return data


def decode_name(data: bytes) -> str:
    """A file name from a disc, whatever its bytes. Never raises.

    All that `encode_name` makes comes back as it was. A name that could not be
    used here (or could not be read) is changed, with the CRC of its bytes
    behind it so that it stays different from its neighbours (as UDF 4.2.2.1).
    """
    text = decode_cs0(data)
    usable = text not in ("", ".", "..") and "/" not in text and "\0" not in text
    if usable and ("\ufffd" not in text or encode_cs0(text) == data):
        return text
    crc = f"#{crc_hqx(data[1:], 0):04X}"
    return text.translate(_FORBIDDEN)[: MAX_NAME_BYTES // 2 - len(crc)] + crc


def encode_dstring(text: str, size: int, *, truncate: bool = False) -> bytes:
    """A dstring of `size` bytes: the compressed text, zeros, its length last (1/7.2.12).

    Raises LabelError if it does not fit, unless it may be cut.
    """
    try:
        data = encode_cs0(text)
    except UnicodeEncodeError as error:
        raise LabelError(why="it is not valid text") from error
    while truncate and len(data) > size - 1:
        text = text[:-1]
        data = encode_cs0(text)
    if len(data) > size - 1:
        room = size - 2
        raise LabelError(
            why=f"there is room for {room} characters of Latin-1 or {room // 2} others"
        )
    return data.ljust(size - 1, b"\0") + bytes((len(data),))


def decode_dstring(data: bytes) -> str:
    """The text of a dstring from a disc. Never raises."""
    if not data:
        return ""
    length = min(data[-1], len(data) - 1)
    return decode_cs0(data[:length]).rstrip("\0")


def encode_label(text: str) -> bytes:
    """A volume's label as the 128-byte dstring of a logical volume (UDF 2.2.4.2).

    Raises LabelError if it does not fit or would not be seen.
    """
    if not text.strip():
        raise LabelError(why="it is empty")
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        raise LabelError(why="it holds control characters")
    return encode_dstring(text, LABEL_SIZE)
