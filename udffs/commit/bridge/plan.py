"""The ISO 9660, Joliet and Rock Ridge view of a tree, as blocks."""

from __future__ import annotations

import heapq
import stat
from collections.abc import Iterable, Iterator, Sequence

from udffs.commit.bridge.descriptors import (
    Root,
    Texts,
    joliet_descriptor,
    primary_descriptor,
    terminator,
)
from udffs.commit.bridge.names import iso_names, joliet_names
from udffs.commit.bridge.system_use import LINUX_NAME, RockRidge, serial_numbers
from udffs.commit.bridge.tree import Item
from udffs.commit.bridge.views import Directory, View
from udffs.errors import InternalError
from udffs.ondisc.basic import BLOCK_SIZE

__all__ = ["IsoPlan"]

SHOWN = 5
"""Names in a note."""

_VERSION = ";1"
_TABLES = 4  # extents of path tables: L, M of the primary view, L, M of the Joliet view


class IsoPlan:
    """What lies where is the caller's choice: ``extents`` are sizes in blocks of what
    has to lie contiguous, ``blocks`` their sum. ``notes`` are sentences about names
    that are not as they were and what readers will not see.

    The number of an item's sections and their lengths are taken when the plan is
    made, where they are when it is rendered. Sections that were adjacent must stay so.
    """

    def __init__(self, root: Item, *, label: str, now: int, set_identifier: str = "") -> None:
        """`now` in epoch nanoseconds. Raises InternalError where an item's sections are
        not whole blocks or not as long as the item."""
        self._texts = Texts(label, set_identifier, now)
        self._mapped: list[tuple[Directory, str, str]] = []
        self._special = 0
        self._primary = View(root, _primary_names, RockRidge(serial_numbers(root)))
        self._joliet = View(root, self._joliet_names)
        tables = [-(-view.path_table_size // BLOCK_SIZE) for view in self._views for _ in "LM"]
        self.extents: list[int] = [*tables, *self._primary.extents, *self._joliet.extents]
        self.blocks = sum(self.extents)
        self.notes = list(self._write_notes())

    @property
    def _views(self) -> tuple[View, View]:
        return self._primary, self._joliet

    def _addresses(self, addresses: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
        """Those of each view's own extents."""
        if len(addresses) != len(self.extents):
            raise InternalError(what="the bridge has not as many addresses as extents")
        behind = _TABLES + len(self._primary.extents)
        return addresses[_TABLES:behind], addresses[behind:]

    def render(self, addresses: Sequence[int]) -> Iterator[bytes]:
        """The blocks of each extent, in the order of ``extents``; ``addresses`` are the
        absolute blocks where they will be."""
        each = list(zip(self._views, self._addresses(addresses), strict=True))
        for view, at in each:
            yield from view.path_tables(at)
        for view, at in each:
            yield from view.render(at)

    def descriptors(self, addresses: Sequence[int], *, session_start: int, end: int) -> list[bytes]:
        """The primary and the Joliet volume descriptor and the terminator, a block each;
        ``end`` is the absolute block behind the last one of the session."""
        blocks = end - session_start
        roots = [
            Root(view.root_record(at), addresses[table], addresses[table + 1], view.path_table_size)
            for view, at, table in zip(self._views, self._addresses(addresses), (0, 2), strict=True)
        ]
        return [
            primary_descriptor(self._texts, roots[0], blocks),
            joliet_descriptor(self._texts, roots[1], blocks),
            terminator(),
        ]

    # -- names -------------------------------------------------------------------

    def _joliet_names(self, directory: Directory) -> Iterable[tuple[bytes, bytes, Item]]:
        """Files and directories: Joliet has nothing else."""
        items = [item for item in directory.item.children if _in_joliet(item)]
        self._special += len(directory.item.children) - len(items)
        kinds = [item.is_directory for item in items]
        names = joliet_names([item.name for item in items], kinds)
        for item, name in zip(items, names, strict=True):
            if name != item.name:
                self._mapped.append((directory, item.name, name))
            encoded = name.encode("utf-16-be")
            version = "" if item.is_directory else _VERSION
            yield encoded, encoded + version.encode("utf-16-be"), item

    # -- notes -------------------------------------------------------------------

    def _write_notes(self) -> Iterator[str]:
        if self._mapped:
            renamed = ((directory.path() + name, to) for directory, name, to in self._mapped)
            shown = [f"{path} is {to}" for path, to in heapq.nsmallest(SHOWN, renamed)]
            yield _note(len(self._mapped), "cannot be in Joliet as they are", shown)
        if self._special:
            yield _note(
                self._special, "are symbolic links or special files, which Joliet does not have"
            )
        long = [
            directory.path() + entry.item.name
            for directory in self._primary.directories
            for entry in directory.entries
            if len(entry.item.name) * 4 > LINUX_NAME and len(entry.item.name.encode()) > LINUX_NAME
        ]
        if long:
            what = f"are longer than the {LINUX_NAME} bytes that Linux shows of an ISO 9660 name"
            yield _note(len(long), what, heapq.nsmallest(SHOWN, long))
        for view, name in zip(self._views, ("ISO 9660", "Joliet"), strict=True):
            left_out = [d.path() for d in view.directories[len(view.listed) :]]
            if left_out:
                what = f"are not in the {name} path table, which counts to 65,535"
                yield _note(len(left_out), what, heapq.nsmallest(SHOWN, left_out))
        self._mapped.clear()


def _primary_names(directory: Directory) -> Iterable[tuple[bytes, bytes, Item]]:
    items = directory.item.children
    kinds = [item.is_directory for item in items]
    for item, name in zip(items, iso_names([item.name for item in items], kinds), strict=True):
        version = "" if item.is_directory else _VERSION
        yield name.encode("ascii"), (name + version).encode("ascii"), item


def _in_joliet(item: Item) -> bool:
    return item.is_directory or stat.S_ISREG(item.mode)


def _note(count: int, what: str, shown: Sequence[str] = ()) -> str:
    """A sentence; as many as there are, a few of them by name."""
    names = ", ".join(shown)
    more = f", and {count - len(shown):,} more" if shown and count > len(shown) else ""
    return f"{count:,} {'name' if count == 1 else 'names'} {what}" + (
        f": {names}{more}." if shown else "."
    )
