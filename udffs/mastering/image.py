"""Images that are mastered in one go, and streamed: pycdlib lays them out."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from typing import Any, Protocol

from udffs.errors import CallerError, TooManyDirectoriesError
from udffs.mastering import records
from udffs.mastering.naming import Names, names_of
from udffs.mastering.notes import Notes
from udffs.mastering.sources import Source, check_size, count_links
from udffs.mastering.streaming import Extent, Sink, StreamedImage
from udffs.ondisc.modes import build_path, parse_path

__all__ = ["Image", "make_image"]

MAX_DIRECTORIES = 0xFFFF
"""What a path table can number (ECMA-119 9.4.4)."""


class Image(Protocol):
    """What can be written to a disc or a file from its first block to its last."""

    @property
    def blocks(self) -> int:
        """Its size; known before anything is read."""
        ...

    @property
    def notes(self) -> list[str]:
        """Sentences about names that were changed and files that were left out."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """All of it, in order, in whole blocks; sources are read as it goes.

        Raises SourceChangedError for one that has another size by now,
        UnreadableFilesError or UnreadableSourcesError for what cannot be read.
        """
        ...


def make_image(root: Source, *, label: str, now: int) -> StreamedImage:
    """An image of a tree: ISO 9660 level 3, Joliet, Rock Ridge and UDF over the same data.

    `now` is its date, epoch nanoseconds. No content is read. Raises
    TooManyDirectoriesError and ImageTooLargeError.
    """
    return _Layout(root, label, now).image()


class _Layout:
    """One image in the making."""

    def __init__(self, root: Source, label: str, now: int) -> None:
        self._root = root
        self._iso = records.new_image(label, now)
        self._notes = Notes()
        self._first: dict[int, tuple[Any, str, Source]] = {}
        self._links: dict[int, Any] = {}
        self._files = 0
        self._directories = 1

    def image(self) -> StreamedImage:
        count_links(self._root)
        check_size(self._root)
        directories = sum(source.is_directory for _, source in self._root.walk())
        if directories > MAX_DIRECTORIES:
            raise TooManyDirectoriesError(count=directories)
        self._add_all()
        for inode, _, source in self._first.values():
            records.stamp_linked(inode, source)
        iso = self._iso
        iso.force_consistency()
        records.finish_volume(iso, self._files, self._directories)
        content = [
            Extent(inode.extent_location(), path, source)
            for inode, path, source in self._first.values()
            if source.size
        ]
        iso.inodes = [inode for inode in iso.inodes if not records.is_content(inode)]
        sink = Sink()
        iso.write_fp(sink)
        blocks = iso.pvd.space_size
        structures = records.structures(iso, sink.writes)
        records.release(iso)
        return StreamedImage(blocks, structures, content, self._notes.sentences())

    def _add_all(self) -> None:
        """Directory by directory, in the order of their names: in any other pycdlib
        needs quadratic time."""
        records.stamp_directory(self._iso, self._root, self._root, ("/", "/", "/"))
        waiting = [(self._root, "", Names("", "", "", "", ""))]
        while waiting:
            directory, path, at = waiting.pop()
            names = names_of(directory.children)
            for child in sorted(directory.children, key=lambda one: names[id(one)].iso):
                own = names[id(child)]
                inner = f"{path}/{child.name}" if path else child.name
                self._note_names(inner, child.name, own)
                below = Names(*(f"{up}/{name}" for up, name in zip(at, own, strict=True)))
                self._add(child, directory, inner, below, own.rock_ridge)
                if own.udf != own.added:
                    records.rename_in_udf(self._iso, at.added or "/", own.added, own.udf)
                if child.is_directory:
                    waiting.append((child, inner, below))

    def _note_names(self, path: str, name: str, own: Names) -> None:
        if own.joliet != name:
            self._notes.add("with another name in Joliet", path)
        if own.udf != name:
            self._notes.add("with another name in UDF", path)
        if own.rock_ridge != name:
            self._notes.add("with a shorter name in Rock Ridge", path)

    def _add(self, source: Source, above: Source, path: str, at: Names, name: str) -> None:
        if source.is_directory:
            self._add_directory(source, above, at, name)
        elif stat.S_ISLNK(source.mode):
            self._add_symlink(source, path, at, name)
        elif source.is_file or stat.S_ISFIFO(source.mode):
            self._add_file(source, path, at, name)
        else:
            self._notes.add("left out (sockets and device nodes)", path)

    def _add_directory(self, source: Source, above: Source, at: Names, name: str) -> None:
        with records.without_relocation(self._iso):
            self._iso.add_directory(
                iso_path=at.iso,
                rr_name=name,
                joliet_path=at.joliet,
                file_mode=source.mode,
                udf_path=at.added,
            )
        records.stamp_directory(self._iso, source, above, (at.iso, at.joliet, at.added))
        self._directories += 1

    def _add_symlink(self, source: Source, path: str, at: Names, name: str) -> None:
        target = source.target
        in_udf: dict[str, str] = {}
        try:
            # UDF knows steps, not text: doubled slashes say nothing.
            target = parse_path(build_path(target))
            in_udf = {"udf_symlink_path": at.added, "udf_target": target}
        except CallerError:
            self._notes.add("not in the UDF view (symbolic links that it cannot hold)", path)
        first = self._links.get(source.serial)
        own = {} if first is not None else in_udf
        self._iso.add_symlink(symlink_path=at.iso, rr_symlink_name=name, rr_path=target, **own)
        records.stamp_symlink(self._iso, at.iso, source)
        if first is None:
            self._files += 1
            if in_udf:
                self._links[source.serial] = self._iso.inodes[-1]
                records.stamp_linked(self._iso.inodes[-1], source)
        elif in_udf:
            records.add_udf_name(self._iso, first, at.added)
            records.stamp_linked(first, source)

    def _add_file(self, source: Source, path: str, at: Names, name: str) -> None:
        # Joliet has files and directories only.
        joliet = at.joliet if source.is_file else None
        first = self._first.get(source.serial)
        if first is not None:
            records.add_another_name(
                self._iso, first[0], source.size, at.iso, name, joliet, at.added
            )
            return
        self._iso.add_fp(_Unread(), source.size, at.iso, name, joliet, source.mode, at.added)
        self._first[source.serial] = (self._iso.inodes[-1], path, source)
        self._files += 1


class _Unread(io.RawIOBase):
    """Stands for a file's content, which pycdlib never gets."""
