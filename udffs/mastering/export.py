"""The newest state of a disc, or an old one, as a tree of sources."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from media.store import BlockStore
from udffs.errors import NotUdfError
from udffs.mastering.notes import Notes
from udffs.mastering.previous import Previous, read_iso_session
from udffs.mastering.sources import Source, SourceTree
from udffs.mastering.volumes import VolumeTree
from udffs.volume import Volume, open_volume

__all__ = ["Exported", "exported_disc", "exported_mount", "without"]


class Exported(NamedTuple):
    """What a disc holds. ``identity`` is that of a UDF volume, else empty;
    ``unreadable`` names what could not be read, with the reason."""

    root: Source
    label: str
    identity: str
    notes: list[str]
    unreadable: list[str]


def exported_disc(store: BlockStore, *, at: int | None = None) -> Exported:
    """The files of a disc that nobody writes to; ``at`` is the block of the VAT's ICB
    of an old state.

    Reads directories and ICBs, no content. Where the last session is ISO 9660 only,
    that is the newest state, whatever volume lies before it. Raises BlankDiscError,
    NotUdfError, DamagedError and what the store raises."""
    heard = Notes()
    try:
        volume = open_volume(store, vat_location=at)
    except NotUdfError:
        session = read_iso_session(store, heard)
        if session is None:
            raise
        return _of_iso(session, heard)
    if at is None and _outlived(store, volume):
        session = read_iso_session(store, heard)
        if session is not None:
            return _of_iso(session, heard)
    heard.extend(volume.notes)
    tree = VolumeTree(volume)
    root = tree.run()
    notes = [*heard.sentences(), *tree.notes.sentences()]
    return Exported(root, volume.label, volume.identity, notes, tree.unreadable)


def _outlived(store: BlockStore, volume: Volume) -> bool:
    """Whether a session was written behind the one that a volume is in."""
    newest = volume.anchor if volume.vat is None else volume.vat.location
    return any(span.end is not None and span.start > newest for span in store.sessions)


def _of_iso(session: Previous, heard: Notes) -> Exported:
    return Exported(session.root, session.label, "", heard.sentences(), session.unreadable)


def exported_mount(where: Path, label: str) -> Exported:
    """The files of a mounted disc as programs see them, unsaved ones included."""
    tree = SourceTree(skip_unreadable=True)
    found = where.stat()
    tree.root.mode, tree.root.uid, tree.root.gid = found.st_mode, found.st_uid, found.st_gid
    tree.root.atime, tree.root.mtime = found.st_atime_ns, found.st_mtime_ns
    tree.root.ctime = found.st_ctime_ns
    tree.add(where, name="")
    unreadable = list(tree.unreadable)
    tree.unreadable.clear()
    return Exported(tree.finish(), label, "", tree.notes, unreadable)


def without(root: Source, bad: Sequence[Source]) -> None:
    """Take files out of a tree, under all their names."""
    serials = {source.serial for source in bad}
    for _, source in list(root.walk()):
        source.children = [
            child
            for child in source.children
            if stat.S_ISDIR(child.mode) or child.serial not in serials
        ]
