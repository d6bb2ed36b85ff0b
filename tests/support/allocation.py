"""Is everything on a rewritable disc where it should be? In sentences, if not.

Looks at a volume with its own eyes: only the declarations of ``udffs.ondisc``
are used, so that a mistake of our reader or writer is not made here again.
``volume_structures.py`` looks at what a volume begins with, ``tree_walk.py``
at the tree; here the blocks that were found are compared with the space
bitmap, the counts with the integrity descriptor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from support.tree_walk import FIRST_UNIQUE_ID, Walk
from support.volume_structures import Blocks, Complaints, Ground, ImageBlocks, look_around
from udffs.ondisc.ecma167 import INTEGRITY_CLOSED
from udffs.ondisc.modes import FileType

SHOWN_RANGES = 5


@dataclass
class Report:
    """What was found; ``complaints`` is empty if all is well.

    Blocks are those of the partition, but packets (``spared``: home -> where it
    lies; ``spare_packets``: all of them, also those in use) absolute.
    """

    complaints: list[str]
    is_open: bool = False
    revision: int = 0
    minimum_write_revision: int = 0
    main_at: int = 0  # absolute
    integrity_at: int = 0  # absolute
    start: int = 0  # absolute
    length: int = 0
    used: int = 0
    free: int = 0
    files: int = 0
    directories: int = 0
    spared: dict[int, int] = field(default_factory=dict)
    spare_packets: list[int] = field(default_factory=list)
    icbs: dict[str, int] = field(default_factory=dict)  # path -> block of its ICB
    owners: list[tuple[int, int, str]] = field(default_factory=list)


def examine(blocks: Blocks, *, may_be_open: bool = False, exact: bool = False) -> Report:
    """Look at everything on a disc; ``may_be_open``: its last user was cut off;
    ``exact``: extents end with their file (the Linux kernel rounds them up)."""
    complaints = Complaints()
    ground = look_around(blocks, complaints)
    report = Report(complaints)
    if ground is None:
        return report
    walk = Walk(ground, complaints, exact=exact)
    walk.everything()
    _compare_bitmap(walk, ground, complaints)
    seen = [node.file_type for node in walk.nodes.values() if node.in_tree]
    report.directories = seen.count(FileType.DIRECTORY)
    report.files = len(seen) - report.directories
    report.used = walk.taken.count(1)
    report.free = ground.length - report.used
    report.spared, report.spare_packets = ground.spared, ground.spare_packets
    report.start, report.length, report.revision = ground.start, ground.length, ground.revision
    report.main_at, report.integrity_at = ground.main_at, ground.integrity_at
    report.icbs = {node.path: block for block, node in walk.nodes.items()}
    report.owners = walk.owners
    _compare_integrity(report, walk, ground, complaints, may_be_open=may_be_open)
    return report


def check(blocks: Blocks) -> list[str]:
    """What is wrong with a disc, in sentences."""
    return examine(blocks).complaints


def examine_image(path: Path, *, exact: bool = False) -> Report:
    """As `examine`, of an image file."""
    image = ImageBlocks(path)
    try:
        return examine(image, exact=exact)
    finally:
        image.close()


# -- comparing -------------------------------------------------------------------


def _compare_bitmap(walk: Walk, ground: Ground, complaints: Complaints) -> None:
    bits = int.from_bytes(ground.bitmap, "little")
    if bits >> ground.length:
        complaints.say("bits behind the end of the bitmap are set")
    free = f"{bits:0{ground.length}b}"[::-1][: ground.length].encode()
    taken = bytes(walk.taken).translate(_AS_DIGITS)
    if free.translate(_OPPOSITE) == taken:
        return
    lost = bytes(a == b == 48 for a, b in zip(free, taken, strict=True))
    wrong = bytes(a == b == 49 for a, b in zip(free, taken, strict=True))
    _say_ranges(lost, "lost: in use after the bitmap, but nobody has", walk, complaints)
    _say_ranges(wrong, "free after the bitmap, but in use:", walk, complaints)


_AS_DIGITS = bytes([48, 49]) + bytes(254)
_OPPOSITE = bytes(97 - digit if digit in (48, 49) else digit for digit in range(256))


def _say_ranges(marks: bytes, what: str, walk: Walk, complaints: Complaints) -> None:
    for number, (start, end) in enumerate(_ranges(marks)):
        if number == SHOWN_RANGES:
            complaints.say(f"{what} and more, {marks.count(1)} blocks in all")
            return
        whose = {who for at, n, who in walk.owners if at < end and start < at + n}
        shown = f" ({', '.join(sorted(whose)[:3])})" if whose else ""
        complaints.say(f"{what} blocks {start} to {end - 1}{shown}")


def _ranges(marks: bytes) -> Iterator[tuple[int, int]]:
    end = 0
    while (start := marks.find(1, end)) >= 0:
        end = marks.find(0, start)
        end = len(marks) if end < 0 else end
        yield start, end


def _compare_integrity(
    report: Report, walk: Walk, ground: Ground, complaints: Complaints, *, may_be_open: bool
) -> None:
    one, use = ground.integrity, ground.integrity_use
    report.is_open = one.integrity_type != INTEGRITY_CLOSED
    report.minimum_write_revision = use.minimum_udf_write_revision
    free = int.from_bytes(ground.bitmap, "little").bit_count()
    if len(one.free_space_table) != 1:
        complaints.say(f"the integrity descriptor is of {one.number_of_partitions} partitions")
    if report.is_open:  # then its counts are old (3/10.10.3)
        if not may_be_open:
            complaints.say("the integrity descriptor is open")
        return
    told = {
        "free blocks": (one.free_space_table[0], free),
        "blocks of the partition": (one.size_table[0], ground.length),
        "files": (use.number_of_files, report.files),
        "directories": (use.number_of_directories, report.directories),
    }
    for what, (says, found) in told.items():
        if says != found:
            complaints.say(f"the integrity descriptor tells of {says} {what}, there are {found}")
    next_id = one.logical_volume_contents_use.unique_id
    if next_id <= walk.highest_id or next_id < FIRST_UNIQUE_ID:
        complaints.say(f"the next unique id is {next_id}, {walk.highest_id} is in use")
    revisions = (
        use.minimum_udf_read_revision,
        use.minimum_udf_write_revision,
        use.maximum_udf_write_revision,
    )
    if revisions[0] > ground.revision or revisions[1] > 0x0201:
        complaints.say(
            "the revisions of the integrity descriptor are "
            + ", ".join(f"{revision:x}" for revision in revisions)
        )
