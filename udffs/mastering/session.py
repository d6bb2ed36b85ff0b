"""A session behind others: ISO 9660, Joliet and Rock Ridge, old files and new.

pycdlib cannot place an image behind another, and it need not read the old files
for it: where they are is known. So this is laid out by what also closes discs
that are written file by file (commit/bridge).
"""

from __future__ import annotations

from udffs.commit.bridge.plan import IsoPlan
from udffs.commit.bridge.tree import Item, Section
from udffs.mastering.notes import Notes
from udffs.mastering.sources import Source, check_size, count_links
from udffs.mastering.streaming import BLOCK, Extent, StreamedImage
from udffs.ondisc.iso9660 import MAX_SECTION

__all__ = ["make_session", "merged"]

DESCRIPTORS = 16
"""Where a session's volume descriptors begin (ECMA-119 6.2.1)."""

DESCRIPTOR_BLOCKS = 3
"""The primary and the Joliet volume descriptor, and the terminator."""


def make_session(
    root: Source, old: Source | None, *, start: int, label: str, now: int
) -> StreamedImage:
    """A session from block `start` on that shows the files of `old` and those of
    `root`; of two of one path that of `root`, directories are merged.

    `old` is what `previous_files` gives: what has sections is not written again.
    `now` is the session's date, epoch nanoseconds. No content is read. Raises
    ImageTooLargeError.
    """
    whole = root if old is None else merged(old, root)
    count_links(whole)
    check_size(whole)
    session = _Session(whole)
    plan = IsoPlan(session.items, label=label, now=now)
    first = start + DESCRIPTORS + DESCRIPTOR_BLOCKS
    addresses = []
    for blocks in plan.extents:
        addresses.append(first)
        first += blocks
    end = session.place(first)
    descriptors = plan.descriptors(addresses, end=end)
    structures = list(
        zip([address * BLOCK for address in addresses], plan.render(addresses), strict=True)
    )
    structures += [
        ((start + DESCRIPTORS + index) * BLOCK, data) for index, data in enumerate(descriptors)
    ]
    notes = [*session.notes.sentences(), *plan.notes]
    return StreamedImage(end - start, structures, session.extents, notes, first=start)


def merged(old: Source, new: Source) -> Source:
    """Both trees in one; neither is changed. A name that both have is the new one's,
    but directories are put together, with the attributes of the new one."""
    serials = {one.serial for _, one in new.walk()}
    apart = max(serials, default=0) + 1
    whole = _copy(new, 0)
    waiting = [(whole, old, new)]
    while waiting:
        into, before, after = waiting.pop()
        own = {child.name: child for child in after.children}
        names = dict.fromkeys([child.name for child in before.children] + list(own))
        known = {child.name: child for child in before.children}
        for name in names:
            former, newer = known.get(name), own.get(name)
            if newer is None:
                assert former is not None
                child = _copy(former, apart)
                waiting.append((child, former, _empty(former)))
            else:
                child = _copy(newer, 0)
                both = former is not None and former.is_directory and newer.is_directory
                waiting.append((child, former if both and former else _empty(newer), newer))
            into.children.append(child)
    return whole


def _empty(source: Source) -> Source:
    return Source(source.name, source.mode)


def _copy(source: Source, apart: int) -> Source:
    """The same without what is in it; serial numbers are moved up by `apart`."""
    return Source(
        source.name,
        source.mode,
        source.uid,
        source.gid,
        serial=source.serial + apart if source.serial else 0,
        atime=source.atime,
        mtime=source.mtime,
        ctime=source.ctime,
        size=source.size,
        target=source.target,
        device=source.device,
        content=source.content,
        sections=source.sections,
    )


class _Session:
    """The items of a session, and the content that has to be written for them."""

    def __init__(self, root: Source) -> None:
        self.notes = Notes()
        self.extents: list[Extent] = []
        self._placed: dict[int, tuple[Section, ...]] = {}
        self._new: list[tuple[str, Source, Item]] = []
        self.items = self._item(root)
        waiting = [("", root, self.items)]
        while waiting:
            path, directory, item = waiting.pop()
            for child in directory.children:
                inner = f"{path}/{child.name}" if path else child.name
                below = self._item(child)
                item.children.append(below)
                if child.is_directory:
                    waiting.append((inner, child, below))
                elif child.size and not child.sections:
                    self._new.append((inner, child, below))

    def place(self, first: int) -> int:
        """Give what is to be written its place, from block `first` on; the block behind it."""
        for path, source, item in self._new:
            placed = self._placed.get(source.serial)
            if placed is None:
                placed = tuple(_sections(source.size, first))
                self._placed[source.serial] = placed
                self.extents.append(Extent(first, path, source))
                first += -(-source.size // BLOCK)
            item.sections = placed
        return first

    def _item(self, source: Source) -> Item:
        sections = source.sections
        if source.size and not sections:
            sections = tuple(_sections(source.size, 0))
        return Item(
            source.name,
            source.mode,
            source.uid,
            source.gid,
            source.links,
            source.serial,
            source.atime,
            source.mtime,
            source.ctime,
            source.size,
            sections,
            source.target,
            source.device,
        )


def _sections(size: int, block: int) -> list[Section]:
    """Sections that lie one behind the other."""
    return [
        (block + offset // BLOCK, min(size - offset, MAX_SECTION))
        for offset in range(0, size, MAX_SECTION)
    ]
