"""File types, permissions, device numbers and symbolic links between POSIX and UDF."""

from __future__ import annotations

import stat
from typing import Any

from construct import ConstructError, GreedyRange

from udffs.errors import InvalidNameError, NameTooLongError, StructureError
from udffs.ondisc import tags
from udffs.ondisc.basic import EntityId
from udffs.ondisc.ecma167_4 import (
    ATTRIBUTE_DEVICE_SPECIFICATION,
    COMPONENT_CURRENT,
    COMPONENT_NAME,
    COMPONENT_PARENT,
    COMPONENT_ROOT,
    COMPONENT_VOLUME_ROOT,
    DeviceSpecificationExtendedAttribute,
    ExtendedAttribute,
    ExtendedAttributeHeaderDescriptor,
    PathComponent,
)
from udffs.ondisc.osta import implementation_id
from udffs.ondisc.text import decode_name, encode_name

__all__ = [
    "FileType",
    "build_device",
    "build_path",
    "file_type_from_mode",
    "mode_from_file_type",
    "mode_from_permissions",
    "parse_device",
    "parse_path",
    "permissions_from_mode",
]


class FileType:
    """File types of an ICB tag (4/14.6.6, UDF 2.3.5.2)."""

    VAT_150 = 0
    UNALLOCATED_SPACE = 1
    DIRECTORY = 4
    REGULAR = 5
    BLOCK_DEVICE = 6
    CHARACTER_DEVICE = 7
    FIFO = 9
    SOCKET = 10
    SYMLINK = 12
    STREAM_DIRECTORY = 13
    VAT_200 = 248
    REALTIME = 249
    METADATA = 250
    METADATA_MIRROR = 251
    METADATA_BITMAP = 252


_FROM_MODE = {
    stat.S_IFREG: FileType.REGULAR,
    stat.S_IFDIR: FileType.DIRECTORY,
    stat.S_IFLNK: FileType.SYMLINK,
    stat.S_IFIFO: FileType.FIFO,
    stat.S_IFSOCK: FileType.SOCKET,
    stat.S_IFCHR: FileType.CHARACTER_DEVICE,
    stat.S_IFBLK: FileType.BLOCK_DEVICE,
}
_TO_MODE = {kind: form for form, kind in _FROM_MODE.items()} | {
    FileType.REALTIME: stat.S_IFREG,
    FileType.VAT_150: stat.S_IFREG,
}


def file_type_from_mode(mode: int) -> int:
    """The file type for a POSIX mode; a mode without a type means a regular file."""
    return _FROM_MODE.get(stat.S_IFMT(mode), FileType.REGULAR)


def mode_from_file_type(file_type: int) -> int | None:
    """The S_IFMT bits of a file type; None for one that no directory should name."""
    return _TO_MODE.get(file_type)


# -- permissions (4/14.9.5, UDF 2.3.6.4 and 3.3.3.3) ---------------------------

_CHANGE_ATTRIBUTES = 0x08
_DELETE = 0x10
_OWNER_SHIFT = 10
_GROUP_SHIFT = 5

_SET_UID = 0x40
_SET_GID = 0x80
_STICKY = 0x100
"""Flags of an ICB tag (4/14.6.8)."""

ICB_ALLOCATION_MASK = 0x07
"""The bits of the ICB tag's flags that say what the allocation descriptors are."""


def _class_permissions(bits: int) -> int:
    """rwx of one class of users; who may write may delete (UDF 3.3.3.3, note 2)."""
    return bits | (_DELETE if bits & 0o2 else 0)


def permissions_from_mode(mode: int) -> tuple[int, int]:
    """(permissions, ICB flags) for a POSIX mode."""
    permissions = (
        _class_permissions(mode & 7)
        | _class_permissions(mode >> 3 & 7) << _GROUP_SHIFT
        | (_class_permissions(mode >> 6 & 7) | _CHANGE_ATTRIBUTES) << _OWNER_SHIFT
    )
    flags = (
        (_SET_UID if mode & stat.S_ISUID else 0)
        | (_SET_GID if mode & stat.S_ISGID else 0)
        | (_STICKY if mode & stat.S_ISVTX else 0)
    )
    return permissions, flags


def mode_from_permissions(permissions: int, icb_flags: int) -> int:
    """The twelve POSIX bits of permissions and ICB flags."""
    return (
        permissions & 7
        | (permissions >> _GROUP_SHIFT & 7) << 3
        | (permissions >> _OWNER_SHIFT & 7) << 6
        | (stat.S_ISUID if icb_flags & _SET_UID else 0)
        | (stat.S_ISGID if icb_flags & _SET_GID else 0)
        | (stat.S_ISVTX if icb_flags & _STICKY else 0)
    )


# -- devices (4/14.10.7, UDF 3.3.4.4) ------------------------------------------

_ATTRIBUTE_HEAD = 12


def build_device(major: int, minor: int, *, location: int, version: int) -> bytes:
    """The extended attributes of a device node, header included.

    `location` is the block number in the file entry's own tag. The length is a
    multiple of four.
    """
    data = DeviceSpecificationExtendedAttribute.build(
        {
            "implementation_use_length": EntityId.sizeof(),
            "major_device_identification": major,
            "minor_device_identification": minor,
            "implementation_use": EntityId.build(implementation_id()),
        }
    )
    attribute = ExtendedAttribute.build(
        {
            "attribute_type": ATTRIBUTE_DEVICE_SPECIFICATION,
            "attribute_length": _ATTRIBUTE_HEAD + len(data),
            "attribute_data": data,
        }
    )
    end = ExtendedAttributeHeaderDescriptor.sizeof() + len(attribute)
    header = tags.seal(
        ExtendedAttributeHeaderDescriptor,
        {"implementation_attributes_location": end, "application_attributes_location": end},
        location=location,
        version=version,
    )
    return header + attribute


def find_attribute(attributes: bytes, attribute_type: int) -> bytes | None:
    """The data of the first attribute of a type, None without one.

    Raises StructureError for a header that is not valid or a length that
    leads out of the attributes (4/14.10).
    """
    if not attributes:
        return None
    tags.unseal(ExtendedAttributeHeaderDescriptor, attributes, location=None)
    rest = attributes[ExtendedAttributeHeaderDescriptor.sizeof() :]
    while len(rest) >= _ATTRIBUTE_HEAD:
        attribute = _first_attribute(rest)
        if attribute.attribute_type == attribute_type:
            return bytes(attribute.attribute_data)
        rest = rest[attribute.attribute_length :]
    return None


def _first_attribute(data: bytes) -> Any:
    try:
        return ExtendedAttribute.parse(data)
    except ConstructError as error:
        raise StructureError(what="an extended attribute is longer than all of them") from error


def parse_device(attributes: bytes) -> tuple[int, int] | None:
    """(major, minor) out of the extended attributes of a device node, None without.

    Raises StructureError for attributes that are not valid.
    """
    data = find_attribute(attributes, ATTRIBUTE_DEVICE_SPECIFICATION)
    if data is None:
        return None
    try:
        device = DeviceSpecificationExtendedAttribute.parse(data)
    except ConstructError as error:
        raise StructureError(what="a device number is cut off") from error
    return device.major_device_identification, device.minor_device_identification


# -- symbolic links (4/8.7, 4/14.16.1, UDF 2.3.12) -----------------------------

_SPECIAL = {".": COMPONENT_CURRENT, "..": COMPONENT_PARENT}


def _component(part: str) -> bytes:
    kind = _SPECIAL.get(part)
    if kind is not None:
        return bytes(PathComponent.build({"component_type": kind}))
    name = encode_name(part)
    fields = {
        "component_type": COMPONENT_NAME,
        "length_of_component_identifier": len(name),
        "component_identifier": name,
    }
    return bytes(PathComponent.build(fields))


def build_path(target: str) -> bytes:
    """The content of a symbolic link.

    The standard knows steps, not text: slashes that say nothing (doubled) are
    dropped, and one at the end becomes a ".". Raises NameTooLongError and
    InvalidNameError as encode_name does.
    """
    if not target:
        raise InvalidNameError(name="''")
    parts = [part for part in target.split("/") if part]
    data = b"".join(_component(part) for part in parts)
    if target.startswith("/"):
        data = PathComponent.build({"component_type": COMPONENT_ROOT}) + data
    if parts and target.endswith("/"):
        data += _component(".")
    if len(data) > MAX_PATH_BYTES:
        raise NameTooLongError(name=target)
    return data


MAX_PATH_BYTES = 8 * 2048
"""Bytes of a symbolic link that we make or follow; 4,095 characters always fit."""

_PATH: Any = GreedyRange(PathComponent)


def parse_path(data: bytes) -> str:
    """The target of a symbolic link from its content.

    Raises StructureError for a component that leads out of the content or is
    of an unknown type.
    """
    if len(data) > MAX_PATH_BYTES:
        raise StructureError(what="a symbolic link is too long")
    components = _PATH.parse(data)
    if len(_PATH.build(components)) != len(data):
        raise StructureError(what="a step of a symbolic link is longer than the link")
    steps = [_step(component) for component in components]
    if not steps:
        raise StructureError(what="a symbolic link is empty")
    target = "/".join(steps)
    return "/" if target == "" else target


def _step(component: Any) -> str:
    kind = component.component_type
    if kind in (COMPONENT_ROOT, COMPONENT_VOLUME_ROOT):
        return ""
    if kind == COMPONENT_PARENT:
        return ".."
    if kind == COMPONENT_CURRENT:
        return "."
    if kind == COMPONENT_NAME and component.component_identifier:
        return decode_name(component.component_identifier)
    raise StructureError(what=f"a symbolic link has a step of unknown type {kind}")
