"""The volume descriptors of a bridge: primary, Joliet, terminator (ECMA-119 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from udffs.commit.bridge.names import d_characters, joliet_characters
from udffs.ondisc.iso9660 import (
    DESCRIPTOR_PRIMARY,
    DESCRIPTOR_SUPPLEMENTARY,
    DESCRIPTOR_TERMINATOR,
    JOLIET_LEVEL_3,
    PrimaryVolumeDescriptor,
    SupplementaryVolumeDescriptor,
    VolumeDescriptorSetTerminator,
    volume_time,
)

__all__ = ["Root", "Texts", "joliet_descriptor", "primary_descriptor", "terminator"]

_APPLICATION = "udffs"

_SIZES = {
    "system_identifier": 32,
    "volume_identifier": 32,
    "volume_set_identifier": 128,
    "publisher_identifier": 128,
    "data_preparer_identifier": 128,
    "application_identifier": 128,
    "copyright_file_identifier": 37,
    "abstract_file_identifier": 37,
    "bibliographic_file_identifier": 37,
}
"""Bytes of the texts of a descriptor (8.4)."""


@dataclass(frozen=True, slots=True)
class Texts:
    """What both descriptors tell: names, `now` in epoch nanoseconds."""

    label: str
    set_identifier: str
    now: int


@dataclass(frozen=True, slots=True)
class Root:
    """Where a view begins: the root's record, and its path tables (blocks, bytes)."""

    record: bytes
    path_table_l: int
    path_table_m: int
    path_table_size: int


def primary_descriptor(texts: Texts, root: Root, blocks: int) -> bytes:
    """The primary volume descriptor of a volume of so many blocks (8.4)."""
    told = {
        "volume_identifier": d_characters(texts.label),
        "volume_set_identifier": d_characters(texts.set_identifier),
        "data_preparer_identifier": _APPLICATION.upper(),
        "application_identifier": _APPLICATION.upper(),
    }
    fields = {name: _padded(told.get(name, ""), size) for name, size in _SIZES.items()}
    fields |= _common(texts, root, blocks)
    built: bytes = PrimaryVolumeDescriptor.build(
        {"volume_descriptor_type": DESCRIPTOR_PRIMARY, **fields}
    )
    return built


def joliet_descriptor(texts: Texts, root: Root, blocks: int) -> bytes:
    """The supplementary volume descriptor of the Joliet view (8.5)."""
    told = {
        "volume_identifier": texts.label,
        "volume_set_identifier": texts.set_identifier,
        "data_preparer_identifier": _APPLICATION,
        "application_identifier": _APPLICATION,
    }
    fields = {name: _padded_ucs2(told.get(name, ""), size) for name, size in _SIZES.items()}
    fields |= _common(texts, root, blocks)
    built: bytes = SupplementaryVolumeDescriptor.build(
        {
            "volume_descriptor_type": DESCRIPTOR_SUPPLEMENTARY,
            "escape_sequences": JOLIET_LEVEL_3.ljust(32, b"\0"),
            **fields,
        }
    )
    return built


def terminator() -> bytes:
    """The volume descriptor set terminator (8.3)."""
    built: bytes = VolumeDescriptorSetTerminator.build(
        {"volume_descriptor_type": DESCRIPTOR_TERMINATOR}
    )
    return built


def _common(texts: Texts, root: Root, blocks: int) -> Mapping[str, Any]:
    now = volume_time(texts.now)
    return {
        "volume_space_size": blocks,
        "path_table_size": root.path_table_size,
        "location_of_type_l_path_table": root.path_table_l,
        "location_of_type_m_path_table": root.path_table_m,
        "directory_record_for_root_directory": root.record,
        "volume_creation_date_and_time": now,
        "volume_modification_date_and_time": now,
    }


def _padded(text: str, size: int) -> bytes:
    return text.encode("ascii")[:size].ljust(size, b" ")


def _padded_ucs2(text: str, size: int) -> bytes:
    """In whole UCS-2 characters; a byte that is left over is zero."""
    room = size // 2
    return joliet_characters(text)[:room].ljust(room).encode("utf-16-be").ljust(size, b"\0")
