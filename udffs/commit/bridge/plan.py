"""The ISO 9660, Joliet and Rock Ridge view of a tree, as blocks."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Sequence

from udffs.commit.bridge.descriptors import (
    Root,
    Texts,
    joliet_descriptor,
    primary_descriptor,
    terminator,
)
from udffs.commit.bridge.names import iso_names, joliet_names, rock_ridge_name
from udffs.commit.bridge.notes import Notes
from udffs.commit.bridge.sections import Pieces
from udffs.commit.bridge.system_use import LINUX_NAME, LONGEST_TARGET, RockRidge, serial_numbers
from udffs.commit.bridge.tree import Item
from udffs.commit.bridge.views import Directory, Row, View
from udffs.errors import InternalError
from udffs.ondisc.basic import BLOCK_SIZE

__all__ = ["IsoPlan"]

_VERSION = ";1"
_JOLIET_VERSION = _VERSION.encode("utf-16-be")

_MAPPED = "Renamed in the Joliet view"
_SPECIAL = "Left out of the Joliet view, which has no symbolic links and special files"
_LONG_TARGET = (
    f"Left out of the ISO 9660 view, because readers cannot take links to over {LONGEST_TARGET:,} "
    "bytes"
)
_CUT = "With a shortened name in the ISO 9660 view"
_LONG = f"With a name that Linux cuts off after {LINUX_NAME} bytes in the ISO 9660 view"
_UNLISTED = tuple(
    f"Left out of the {view} path table, which has no numbers for them"
    for view in ("ISO 9660", "Joliet")
)
"""What there is to be said of names."""

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
        self._notes = Notes()
        self._noting = True
        pieces = Pieces()
        rock_ridge = RockRidge(serial_numbers(root))
        self._primary = View(root, self._primary_names, pieces, rock_ridge)
        self._joliet = View(root, self._joliet_names, pieces)
        tables = [-(-view.path_table_size // BLOCK_SIZE) for view in self._views for _ in "LM"]
        self.extents: list[int] = [*tables, *self._primary.extents, *self._joliet.extents]
        self.blocks = sum(self.extents)
        self._note_unlisted()
        self._noting = False
        self.notes = self._notes.sentences()

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

    def descriptors(self, addresses: Sequence[int], *, end: int) -> list[bytes]:
        """The primary and the Joliet volume descriptor and the terminator, a block each;
        ``end`` is the absolute block behind the last one of the session.

        The volume begins with the disc, not with a later session: all addresses count from
        there, and Linux takes a continuation area behind the volume's end for damage."""
        roots = [
            Root(view.root_record(at), addresses[table], addresses[table + 1], view.path_table_size)
            for view, at, table in zip(self._views, self._addresses(addresses), (0, 2), strict=True)
        ]
        return [
            primary_descriptor(self._texts, roots[0], end),
            joliet_descriptor(self._texts, roots[1], end),
            terminator(),
        ]

    # -- names -------------------------------------------------------------------

    def _primary_names(self, directory: Directory) -> Iterable[Row]:
        items = [item for item in directory.item.children if _in_rock_ridge(item)]
        kinds = [item.is_directory for item in items]
        names = iso_names([item.name for item in items], kinds)
        if self._noting:
            self._note_primary(directory)
        for item, name in zip(items, names, strict=True):
            version = "" if item.is_directory else _VERSION
            yield name.encode("ascii"), (name + version).encode("ascii"), item

    def _joliet_names(self, directory: Directory) -> Iterable[Row]:
        """Files and directories: Joliet has nothing else."""
        items = [item for item in directory.item.children if _in_joliet(item)]
        kinds = [item.is_directory for item in items]
        names = joliet_names([item.name for item in items], kinds)
        if self._noting:
            self._note_joliet(directory, items, names)
        for item, name in zip(items, names, strict=True):
            encoded = name.encode("utf-16-be")
            yield encoded, encoded if item.is_directory else encoded + _JOLIET_VERSION, item

    # -- notes -------------------------------------------------------------------

    def _note_primary(self, directory: Directory) -> None:
        for item in directory.item.children:
            if not _in_rock_ridge(item):
                self._notes.add(_LONG_TARGET, directory.path() + item.name)
            elif len(item.name) * 4 > LINUX_NAME and len(item.name.encode()) > LINUX_NAME:
                cut = rock_ridge_name(item.name) != item.name
                self._notes.add(_CUT if cut else _LONG, directory.path() + item.name)

    def _note_joliet(
        self, directory: Directory, items: Sequence[Item], names: Sequence[str]
    ) -> None:
        for item, name in zip(items, names, strict=True):
            if item.name != name:
                self._notes.add(_MAPPED, directory.path() + item.name, name)
        if len(items) < len(directory.item.children):
            for item in directory.item.children:
                if not _in_joliet(item):
                    self._notes.add(_SPECIAL, directory.path() + item.name)

    def _note_unlisted(self) -> None:
        for view, what in zip(self._views, _UNLISTED, strict=True):
            for directory in view.directories[len(view.listed) :]:
                self._notes.add(what, directory.path())


def _in_joliet(item: Item) -> bool:
    return item.is_directory or stat.S_ISREG(item.mode)


def _in_rock_ridge(item: Item) -> bool:
    return not stat.S_ISLNK(item.mode) or len(item.target.encode()) <= LONGEST_TARGET
