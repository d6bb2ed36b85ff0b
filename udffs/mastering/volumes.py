"""The files of a volume that our reader has open, as sources."""

from __future__ import annotations

import stat

from media.errors import MediaError
from udffs.commit.bridge.cost import MOST_SECTIONS
from udffs.commit.bridge.tree import Section
from udffs.commit.rewritable.opening import own_keys
from udffs.errors import DiscError, UnreadableFilesError
from udffs.mastering.notes import Notes, name_list
from udffs.mastering.sources import LEFT_OUT, Source, count_links
from udffs.volume import Inode, Volume
from udffs.volume.model import BLOCK, HOLE

__all__ = ["VolumeTree", "from_volume"]


class VolumeContent:
    """A file of a volume that our reader has open."""

    def __init__(self, volume: Volume, inode: Inode) -> None:
        self._volume = volume
        self._inode = inode

    def read(self, offset: int, count: int) -> bytes:
        return self._volume.read(self._inode, offset, count)

    def close(self) -> None:
        pass


class VolumeTree:
    """A walk over a volume, each inode read once and no directory entered twice."""

    def __init__(self, volume: Volume, *, on_disc: bool = False) -> None:
        self.volume = volume
        self._on_disc = on_disc
        self.notes = Notes()
        self.unreadable: list[str] = []
        self._seen: dict[int, Source] = {}
        self._own = own_keys(volume)

    def run(self) -> Source:
        """The root. What cannot be read is in `unreadable`, with the reason."""
        root = self._source("", self.volume.inode(self.volume.root_key))
        self._seen[self.volume.root_key] = root
        waiting = [("", root, self.volume.root_key)]
        while waiting:
            path, directory, key = waiting.pop()
            for name, child_key in self._entries(path, key):
                inner = f"{path}/{name}" if path else name
                child = self._child(inner, name, child_key)
                if child is None:
                    continue
                directory.children.append(child)
                if child.is_directory:
                    waiting.append((inner, child, child_key))
        count_links(root)
        return root

    def _entries(self, path: str, key: int) -> list[tuple[str, int]]:
        try:
            entries = self.volume.entries(self.volume.inode(key))
        except (DiscError, MediaError) as error:
            self.unreadable.append(f"{path or '/'} ({error})")
            return []
        return [(entry.name, entry.key) for entry in entries if entry.key not in self._own]

    def _child(self, path: str, name: str, key: int) -> Source | None:
        first = self._seen.get(key)
        if first is not None:
            return self._another_name(path, name, first)
        try:
            source = self._source(name, self.volume.inode(key))
        except (DiscError, MediaError) as error:
            self.unreadable.append(f"{path} ({error})")
            return None
        if stat.S_IFMT(source.mode) in (stat.S_IFSOCK, stat.S_IFBLK, stat.S_IFCHR):
            self.notes.add(LEFT_OUT, path)
            return None
        self._seen[key] = source
        return source

    def _another_name(self, path: str, name: str, first: Source) -> Source | None:
        if first.is_directory:
            self.notes.add("left out (second names of directories)", path)
            return None
        return Source(
            name,
            first.mode,
            first.uid,
            first.gid,
            serial=first.serial,
            atime=first.atime,
            mtime=first.mtime,
            ctime=first.ctime,
            size=first.size,
            target=first.target,
            content=first.content,
            sections=first.sections,
        )

    def _source(self, name: str, inode: Inode) -> Source:
        source = Source(
            name,
            inode.mode,
            inode.uid,
            inode.gid,
            serial=len(self._seen) + 1,
            atime=inode.atime,
            mtime=inode.mtime,
            ctime=inode.ctime,
        )
        if source.is_file:
            source.size = inode.size
            source.content = VolumeContent(self.volume, inode)
            if self._on_disc:
                source.sections = _sections(inode)
        elif stat.S_ISLNK(inode.mode):
            source.target = self.volume.readlink(inode)
        return source


def _sections(inode: Inode) -> tuple[Section, ...]:
    """Where a file lies on the disc; nothing if an ISO 9660 view cannot tell it."""
    sections: list[Section] = []
    for run in inode.runs:
        if run.block == HOLE:
            return ()
        block, length = sections[-1] if sections else (-1, 0)
        if sections and block + length // BLOCK == run.block and length % BLOCK == 0:
            sections[-1] = (block, length + run.length)
        else:
            sections.append((run.block, run.length))
    complete = sum(length for _, length in sections) == inode.size
    return tuple(sections) if complete and len(sections) <= MOST_SECTIONS else ()


def from_volume(
    volume: Volume,
    *,
    skip_unreadable: bool = False,
    notes: Notes | None = None,
    on_disc: bool = False,
) -> Source:
    """The tree of a volume that our reader has open, whatever wrote it.

    Reads all directories and ICBs, no content. With `on_disc` files have their
    sections, where they lie in whole blocks. Raises UnreadableFilesError
    that names all that cannot be read, unless it is to be skipped.
    """
    walk = VolumeTree(volume, on_disc=on_disc)
    root = walk.run()
    if walk.unreadable and not skip_unreadable:
        raise UnreadableFilesError(names=name_list(walk.unreadable))
    walk.notes.group("left out because they cannot be read", walk.unreadable)
    if notes is not None:
        notes.extend(walk.notes.sentences())
    return root
