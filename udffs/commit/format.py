"""Formatting a write-once disc: the first packet, and nothing but what the
standard needs. A CD-R is ready for use seconds later.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from media.errors import AddressMovedError, PacketLostError
from media.store import SequentialStore
from udffs.commit import structures
from udffs.commit.bridge.cost import EMPTY
from udffs.commit.session import SessionLayout, begin_session, write_session
from udffs.commit.stream import DirectoryStream
from udffs.commit.structures import FIRST_UNIQUE_ID, VolumeDescription
from udffs.commit.vat import Counts, VatTable
from udffs.errors import AlreadyFormattedError, InvalidOperationError, ReadOnlyError
from udffs.ondisc.text import encode_label
from udffs.volume.model import BLOCK

REVISIONS = (0x0150, 0x0201)
RANDOM_DIGITS = 8
TRIES = 3


@dataclass(frozen=True)
class FormatOptions:
    """How a disc is to be formatted. ``revision`` is 0x0150 or 0x0201; the
    root directory belongs to ``uid`` and ``gid``, with ``mode``. With ``bridge`` a
    write-once disc keeps a place for an ISO 9660 view, which the close makes."""

    label: str
    revision: int = 0x0201
    uid: int = 0
    gid: int = 0
    mode: int = 0o755
    bridge: bool = False


def format_volume(
    store: SequentialStore,
    options: FormatOptions,
    *,
    now: int,
    random: Callable[[int], bytes],
    force: bool = False,
    log: Callable[[str], None] = lambda _: None,
) -> VolumeDescription:
    """Put an empty volume on a blank disc, or with ``force`` in a new session
    behind what is there.

    ``now`` is in nanoseconds since 1970, UTC; ``random(n)`` gives n bytes.
    Raises LabelError, AlreadyFormattedError, ReadOnlyError, and what the
    store raises.
    """
    encode_label(options.label)
    if options.revision not in REVISIONS:
        raise InvalidOperationError(what=f"UDF {options.revision:#x} cannot be written to a CD-R")
    if not store.appendable:
        raise ReadOnlyError(why="the disc is closed for good")
    if not store.blank and not force:
        raise AlreadyFormattedError(label="")
    if not store.blank and store.session_open:
        # What is there ends here: a volume begins at the start of a session.
        store.close_session(final=False)
    for attempt in range(TRIES):
        layout = begin_session(store, bridge=options.bridge, log=log)
        volume = describe(options, layout, store.capacity, now, random)
        try:
            write_session(store, volume, layout, partial(empty_volume, volume, options))
        except (AddressMovedError, PacketLostError):
            if attempt + 1 == TRIES:
                raise
            continue
        return volume
    raise AssertionError("unreachable: the last failure is raised")


def describe(
    options: FormatOptions,
    layout: SessionLayout,
    capacity: int,
    now: int,
    random: Callable[[int], bytes],
) -> VolumeDescription:
    """The volume that formatting makes, in a session of that layout."""
    return VolumeDescription(
        label=options.label,
        set_identifier=unique_identifier(now, random),
        revision=options.revision,
        partition_start=layout.end,
        partition_length=capacity - layout.end,
        created=now,
    )


def unique_identifier(now: int, random: Callable[[int], bytes]) -> str:
    """A volume set identifier; its first 16 characters are unique (UDF 2.2.2.5)."""
    seconds = now // 1_000_000_000 & 0xFFFFFFFF
    return f"{seconds:08x}{random(RANDOM_DIGITS // 2).hex()}udffs"


def empty_volume(volume: VolumeDescription, options: FormatOptions, address: int) -> bytes:
    """All of an empty volume but its descriptors, from block ``address`` on, where its
    partition begins; the VAT ICB last and twice."""
    root = _root(volume, options)
    entries = array("I", [0, 1])
    table = VatTable(
        array("I"), revision=volume.revision, label=volume.label, location=-1, blocks=array("I")
    )
    plan = table.plan(
        dict(enumerate(entries)),
        Counts(0, 1, FIRST_UNIQUE_ID, EMPTY if options.bridge else None),
        address=address + 1 + len(root) // BLOCK,
        partition_start=volume.partition_start,
        now=volume.created,
    )
    return structures.file_set(volume) + root + plan.data


def _root(volume: VolumeDescription, options: FormatOptions) -> bytes:
    """The root directory. Beside a bridge its content has a block of its own: pycdlib,
    which reads the ISO 9660 view, looks at this first root directory of the volume
    as well, in the physical partition, and seeks embedded content in the wrong place."""
    key = structures.VIRTUAL_REFERENCE << 32 | structures.VIRTUAL_ROOT
    stream = DirectoryStream(version=volume.version, parent=key, parent_unique_id=0)
    block = structures.VIRTUAL_ROOT + 1 if options.bridge else None
    content = stream.embedded(structures.VIRTUAL_ROOT if block is None else block)
    icb = structures.root_directory(
        volume,
        structures.VIRTUAL_ROOT,
        content,
        uid=options.uid,
        gid=options.gid,
        mode=options.mode,
        block=block,
    )
    return icb if block is None else icb + content.ljust(BLOCK, b"\0")
