"""What an ISO 9660 view is made of: names, attributes, and where the data lies."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field

Section = tuple[int, int]
"""A part of a file: (absolute block, bytes); whole blocks in all but a file's last."""


@dataclass(slots=True)
class Item:
    """One name: a file, a directory, a symbolic link or a special file.

    Times are nanoseconds since 1970, UTC; ``mode`` is as in stat(2).
    ``serial`` is the same for all names of a file and for no other;
    ``links`` is how many names it has. ``sections`` are in the order of the
    file, their bytes add up to ``size``. ``target`` is that of a symbolic link,
    ``device`` as os.makedev makes it. ``children`` is empty but for directories.
    """

    name: str
    mode: int
    uid: int = 0
    gid: int = 0
    links: int = 1
    serial: int = 0
    atime: int = 0
    mtime: int = 0
    ctime: int = 0
    size: int = 0
    sections: tuple[Section, ...] = ()
    target: str = ""
    device: int = 0
    children: list[Item] = field(default_factory=list)

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)

    def walk(self) -> Iterator[Item]:
        """This item and all below it, each directory before what is in it."""
        waiting = [self]
        while waiting:
            item = waiting.pop()
            yield item
            waiting.extend(reversed(item.children))
