"""What the ISO 9660 view of a tree costs at most, as a sum over names and inodes.

A cost is a number that is added up: bytes of directory records and of data
written out once more, and apart from them the holes of files, which are all
mapped to one run of zeros (so many blocks are ``ZEROS`` each in a cost). It is a
pure function of names and of inodes as they are, so the total of a tree can be
kept up at O(1) an operation; :func:`blocks` tells how much of the disc it is.

An inode whose changes are not on the disc yet costs what it will at most when
they are, if the commit writes each range of it in one piece.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable

from udffs.commit.nodes import Extent, State
from udffs.commit.plan import Job, Placed, merge_runs
from udffs.ondisc.hot import MAX_EMBEDDED
from udffs.ondisc.iso9660 import MAX_SECTION as LONGEST_SECTION
from udffs.ondisc.osta import BRIDGE_RECORDS_UNIT, BRIDGE_ZEROS_UNIT, BridgeCost
from udffs.volume import Run
from udffs.volume.model import BLOCK

MOST_SECTIONS = 90  # of a file; with more of them it is written out in one piece
MOST_HOLES = 8192  # blocks of a file; with more of them it is left out

ZEROS = 1 << 48  # one block of the run of zeros
_MANY = 1 << 40  # of them; so many that nobody counts them any more

UNIT = BRIDGE_RECORDS_UNIT
ZEROS_UNIT = BRIDGE_ZEROS_UNIT
"""Every cost is a multiple of these: nothing is lost when it is remembered."""

_NAMES = 3 * 255  # bytes of a name; UDF's are not longer
_RECORD = 34  # of a directory record, with its padding (ECMA-119 9.1)
_ISO_IDENTIFIER = 33  # with its version
_JOLIET_IDENTIFIER = 132  # the same: 64 characters of two bytes, and two
_MAPPED = 10  # bytes that an identifier may be longer than the name it stands for
_ATTRIBUTES = 44 + 26  # PX, TF (RRIP 4.1.1, 4.1.6)
_NAME_ENTRY = 5  # NM (RRIP 4.1.4)
_CONTINUED = 28 + 2 * _NAME_ENTRY  # CE (SUSP 5.1), and a name in more than one piece
_FITS = 80  # bytes of a name that surely fits its record
_DEVICE = 20  # PN (RRIP 4.1.2)
_LONGEST_TARGET = 2048  # bytes of components; what is longer has no entries at all
_PATH_ENTRY = 8  # of a path table, without its identifier (ECMA-119 9.4)
_LONGEST_RECORD = 254

_FIXED = 12
"""Blocks of any view: path tables begun, the extensions record, the descriptors."""


def _units(size: int) -> int:
    return -(-size // UNIT) * UNIT


def _records(size: int) -> int:
    """Bytes of a directory that records of so many bytes take: none of them crosses a
    block's end, so all but 254 of a block's bytes are used."""
    return -(-size * BLOCK // (BLOCK - _LONGEST_RECORD + 2))


def _continuation(size: int) -> int:
    """The same for what does not fit a record."""
    return size * 4 // 3


def _name_cost(length: int) -> int:
    iso = _RECORD + min(_ISO_IDENTIFIER, length + _MAPPED) + _ATTRIBUTES
    joliet = _RECORD + min(_JOLIET_IDENTIFIER, 2 * (length + _MAPPED))
    if length <= _FITS:
        return _units(_records(iso + _NAME_ENTRY + length + joliet))
    # The piece in the record and the one behind may both be counted in full.
    return _units(_records(iso + joliet) + _continuation(_NAME_ENTRY + length + _CONTINUED))


_NAME_COSTS = tuple(map(_name_cost, range(_NAMES + 1)))

SECTION = _units(_records(_LONGEST_RECORD + _RECORD + _JOLIET_IDENTIFIER))
"""One more section of a file: a record in both views, for each of its names."""

DEVICE = _units(_records(_DEVICE))
"""The number of a device, for each of its names."""

DIRECTORY = _units(
    2 * BLOCK
    + _records(2 * (_RECORD + _ATTRIBUTES) + 2 * _RECORD)
    + 2 * (2 * _PATH_ENTRY + _ISO_IDENTIFIER + 1 + _JOLIET_IDENTIFIER)
)
"""Its last block of both views, which may be nearly empty, its records "." and ".." and its
entries in both path tables of both."""

EMPTY = DIRECTORY
"""The cost of a volume with nothing but its root directory."""


def blocks(cost: int) -> int:
    """Blocks that closing writes at most for a view of that cost."""
    zeros, size = divmod(cost, ZEROS)
    return -(-size // BLOCK) + min(zeros, MOST_HOLES) + _FIXED


def remembered(cost: int) -> BridgeCost:
    """A cost as a VAT ICB remembers it."""
    zeros, records = divmod(cost, ZEROS)
    return BridgeCost(records, zeros)


def recalled(remembered: BridgeCost) -> int:
    """The cost that was remembered. So many holes that they could not be are more than
    any changes can take away."""
    zeros = _MANY if remembered.zeros is None else remembered.zeros
    return zeros * ZEROS + remembered.records


def name_cost(name: bytes) -> int:
    """What a name in UTF-8 costs: a record in both views."""
    return _NAME_COSTS[len(name)]


def state_cost(state: State, *, names: int = 0) -> int:
    """What an inode costs besides its names; with so many ``names`` more than it has."""
    kind = stat.S_IFMT(state.mode)
    if kind == stat.S_IFREG:
        return _file_cost(state, max(1, state.links + names))
    if kind == stat.S_IFDIR:
        return DIRECTORY
    if kind == stat.S_IFLNK:
        return link_cost(state.size) * max(1, state.links + names)
    if kind in (stat.S_IFCHR, stat.S_IFBLK):
        return DEVICE * max(1, state.links + names)
    return 0


def new_cost(mode: int, size: int) -> int:
    """What an inode that is made costs; ``size`` is that of a symbolic link."""
    kind = stat.S_IFMT(mode)
    if kind == stat.S_IFREG:
        return 0
    if kind == stat.S_IFDIR:
        return DIRECTORY
    if kind == stat.S_IFLNK:
        return link_cost(size)
    return DEVICE if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0


def link_cost(size: int) -> int:
    """What the target of a symbolic link costs for each name of it; ``size`` is that of
    its path components on the disc, of which Latin letters take two bytes here."""
    size = min(2 * size, _LONGEST_TARGET)
    return _units(_continuation(size + size // 32 + 64))


# -- files -----------------------------------------------------------------------


NOTHING = Extent(0, 0, 0, 0, 0, 0)


def extent_of(runs: tuple[Run, ...]) -> Extent:
    """The sum of the runs of a file."""
    sections = count = recorded = holes = longest = end = 0
    behind = -1
    for run in runs:
        if run.block < 0:
            continue
        gap = (run.offset - end + BLOCK - 1) // BLOCK
        if gap > 0:
            sections += 1
            holes += gap
            longest = max(longest, gap)
        elif run.block == behind:
            sections -= 1  # goes on where the one before ends
        sections += 1
        count += 1
        length = -(-run.length // BLOCK)
        recorded += length
        behind = run.block + length
        end = run.offset + run.length
    return Extent(sections, count, recorded, holes, longest, end)


def _extent(state: State) -> Extent:
    """The same of a state, which remembers it."""
    runs, known = state.runs, state.extent
    if not runs:
        return NOTHING
    if known is None or known[0] is not runs:
        known = state.extent = (runs, extent_of(runs))
    return known[1]


def _file_cost(state: State, links: int) -> int:
    size = state.size
    if not size:
        return 0
    if size <= MAX_EMBEDDED and size <= state.room:
        return BLOCK
    sections = _plain_sections(state)
    if sections == 1 and size <= LONGEST_SECTION:
        return 0
    if sections:
        return placed_cost(size, links, sections)
    return _scattered_cost(state, links)


def write_cost(state: State, offset: int, end: int) -> int | None:
    """What a file costs when the bytes ``offset`` to ``end`` of it have been written, where
    that is easily told; None where it is not."""
    size = max(state.size, end)
    if size <= MAX_EMBEDDED and size <= state.room:
        return BLOCK
    if size > LONGEST_SECTION:
        return None
    overlay = state.overlay
    if not overlay:
        in_place = not state.runs and (not state.size or state.embedded)
        return 0 if in_place and offset <= state.size else None
    first, last = overlay.pieces[0], overlay.pieces[-1]
    sections = _plain_sections(state)
    if not sections or offset > last.end or offset < first.start:
        return None
    return placed_cost(size, max(1, state.links), sections)


def _plain_sections(state: State) -> int:
    """The sections of a file without holes whose changes are one range at its
    end, or none; 0 if it is not so simple."""
    overlay = state.overlay
    if not overlay:
        extent = _extent(state)
        return 0 if extent.holes or extent.end < state.size else extent.sections
    if overlay.ranges != 1 or -(-overlay.pieces[-1].end // BLOCK) * BLOCK < state.size:
        return 0
    first = overlay.pieces[0].start // BLOCK
    if not state.runs:
        return first <= (1 if state.embedded else 0)
    extent = _extent(state)
    follows = extent.end // BLOCK <= first <= -(-extent.end // BLOCK)
    return extent.sections + 1 if follows and not extent.holes else 0


def placed_cost(size: int, links: int, sections: int, holes: int = 0, longest: int = 0) -> int:
    """What a file of ``size`` bytes costs that lies in so many sections with its
    holes, which are so many blocks, the longest one that many."""
    if holes > MOST_HOLES:
        return 0
    more = size // LONGEST_SECTION
    if sections + more > MOST_SECTIONS:
        return -(-size // BLOCK) * BLOCK + more * links * SECTION
    return (sections - 1 + more) * links * SECTION + _zeros(longest)


def _zeros(count: int) -> int:
    return -(-count // ZEROS_UNIT) * ZEROS_UNIT * ZEROS


def runs_cost(size: int, links: int, runs: tuple[Run, ...]) -> int:
    """What a file of ``size`` bytes costs, more than fit its ICB, that lies there."""
    return _extent_cost(size, links, extent_of(runs))


def _extent_cost(size: int, links: int, extent: Extent) -> int:
    tail = (size - extent.end + BLOCK - 1) // BLOCK
    if tail <= 0:
        return placed_cost(size, links, extent.sections, extent.holes, extent.longest)
    longest = max(extent.longest, tail)
    return placed_cost(size, links, extent.sections + 1, extent.holes + tail, longest)


def _scattered_cost(state: State, links: int) -> int:
    size, overlay = state.size, state.overlay
    if not overlay and not state.embedded:
        return _extent_cost(size, links, _extent(state))
    pieces = 0 if overlay is None else len(overlay.pieces)
    if pieces + len(state.runs) > 2 * MOST_SECTIONS:
        return _most(state, links)
    ranges = [] if overlay is None else overlay.block_ranges()
    if state.embedded and (not ranges or ranges[0][0]):
        ranges.insert(0, (0, 1))
    fresh = [
        # Anywhere, but no two of them next to each other.
        Run(first * BLOCK, (1 + index) << 40, min(count * BLOCK, size - first * BLOCK))
        for index, (first, count) in enumerate(ranges)
    ]
    return runs_cost(size, links, merge_runs(state.runs, fresh))


def _most(state: State, links: int) -> int:
    """The cost of a file in many pieces, if the worst is made of them."""
    overlay = state.overlay
    assert overlay is not None
    extent, size = _extent(state), state.size
    every = -(-size // BLOCK)
    if every - overlay.blocks - extent.recorded - 1 > MOST_HOLES:
        return 0
    holes = min(MOST_HOLES, max(0, every - max(overlay.blocks, extent.recorded)))
    sections = 2 * (extent.runs + 2 * overlay.ranges + 1) + 1
    if sections <= MOST_SECTIONS:
        return placed_cost(size, links, sections, holes, holes)
    apart = placed_cost(size, links, MOST_SECTIONS, holes, holes)
    return apart + every * BLOCK


def correction(placed: Iterable[Placed]) -> int:
    """By how much a commit's inodes cost more than their states: a file may have been
    written in more pieces than it had to be, or not all of it."""
    return sum(_correction(place) for place in placed if _may_differ(place.job))


def _may_differ(job: Job) -> bool:
    in_pieces = len(job.ranges) > 1 or bool(job.ranges and job.runs)
    return (in_pieces or job.size != job.state.size) and stat.S_ISREG(job.state.mode)


def _correction(place: Placed) -> int:
    job, state = place.job, place.job.state
    if job.size <= state.room:
        return (BLOCK if job.size else 0) - state_cost(state)
    return runs_cost(job.size, max(1, state.links), place.runs) - state_cost(state)
