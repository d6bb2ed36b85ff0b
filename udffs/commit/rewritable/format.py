"""Formatting a rewritable disc: some twenty packets, whatever its size.

What was on it before is not overwritten: nothing of the new volume leads there,
and what its log held names another volume.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from media.errors import DefectivePacketError
from media.store import RewritableStore
from udffs.commit import structures as common
from udffs.commit.format import REVISIONS, FormatOptions, unique_identifier
from udffs.commit.rewritable import structures
from udffs.commit.rewritable.structures import Layout
from udffs.commit.structures import VolumeDescription
from udffs.errors import InvalidOperationError, ReadOnlyError
from udffs.ondisc.intentlog import PACKET, packet_of
from udffs.ondisc.text import encode_label
from udffs.volume.model import BLOCK

LOG_PACKETS = 64
SPARE_PACKETS = 64

Packets = dict[int, bytearray]
"""First block -> content."""


def format_rewritable(
    store: RewritableStore,
    options: FormatOptions,
    *,
    now: int,
    random: Callable[[int], bytes],
    bad_packets: Iterable[int] = (),
    progress: Callable[[float], None] | None = None,
    log_packets: int = LOG_PACKETS,
    spare_packets: int = SPARE_PACKETS,
) -> VolumeDescription:
    """Put an empty volume on a disc, whatever is there already.

    ``bad_packets`` are first blocks of packets that must not be used; those
    that turn out bad meanwhile are left out as well. ``now`` is in nanoseconds
    since 1970, UTC; ``random(n)`` gives n bytes; ``progress`` hears parts of 1.
    Raises LabelError, ReadOnlyError, UnusableDiscError, and what the store raises.
    """
    encode_label(options.label)
    if options.revision not in REVISIONS:
        raise InvalidOperationError(what=f"UDF {options.revision:#x} cannot be written to a CD-RW")
    if not store.writable:
        raise ReadOnlyError(why="the disc was opened for reading only")
    identifier = unique_identifier(now, random)
    bad = set(bad_packets)
    while True:
        layout = structures.lay_out(
            store.capacity,
            sparable=not store.spares_by_itself,
            bad=frozenset(bad),
            log_packets=log_packets,
            spare_packets=spare_packets,
        )
        volume = VolumeDescription(
            label=options.label,
            set_identifier=identifier,
            revision=options.revision,
            partition_start=layout.start,
            partition_length=layout.length,
            created=now,
        )
        try:
            _write(store, stages(volume, options, layout), progress)
        except DefectivePacketError as error:
            if error.block in bad:
                raise
            bad.add(error.block)
            store.discard()
            continue
        return volume


def _write(
    store: RewritableStore,
    every: list[Packets],
    progress: Callable[[float], None] | None,
) -> None:
    """One stage after the other, each on the disc before the next begins."""
    done, total = 0, sum(len(packets) for packets in every)
    for packets in every:
        for first, data in sorted(packets.items()):
            store.write(first, data)
        store.flush()
        done += len(packets)
        if progress is not None:
            progress(done / total)


def stages(volume: VolumeDescription, options: FormatOptions, layout: Layout) -> list[Packets]:
    """All that is written of an empty volume, in the order in which it is:
    what leads to the rest comes last. Addresses are where it lies."""
    content: Packets = {}
    table = structures.space(volume, layout)
    root = structures.root_directory(
        volume, layout, uid=options.uid, gid=options.gid, mode=options.mode
    )
    held = structures.not_for_files(layout)
    log_file = structures.log_file(volume, layout.log_file, held, structures.LOG_FILE_UNIQUE_ID)
    _place(content, layout.start, structures.file_set(volume, layout))
    _place(content, layout.bitmap, b"".join(table.block(i) for i in range(table.blocks)))
    _place(content, layout.icbs, root + log_file)
    content = {layout.spared.get(home, home): data for home, data in content.items()}
    end = common.terminator(volume, layout.integrity + 1)
    integrity = structures.integrity(volume, layout, table.free).ljust(BLOCK, b"\0")
    _place(content, layout.integrity, integrity + end)
    for location in layout.tables:
        _place(content, location, structures.sparing_table(volume, layout, location))
    return [
        content,
        _sequence(volume, layout, layout.reserve),
        _sequence(volume, layout, layout.main),
        _recognition(volume),
        _anchors(volume, layout),
    ]


def _place(packets: Packets, at: int, data: bytes) -> None:
    """Put bytes from block `at` on into the packets there, which begin as zeros."""
    for start in range(0, len(data), BLOCK):
        block = at + start // BLOCK
        first = packet_of(block)
        packet = packets.setdefault(first, bytearray(PACKET * BLOCK))
        piece = data[start : start + BLOCK]
        packet[(block - first) * BLOCK : (block - first) * BLOCK + len(piece)] = piece


def _sequence(volume: VolumeDescription, layout: Layout, at: int) -> Packets:
    packets: Packets = {}
    for index, block in enumerate(structures.descriptor_sequence(volume, layout, at)):
        _place(packets, at + index, block)
    return packets


def _recognition(volume: VolumeDescription) -> Packets:
    packets: Packets = {}
    for index, block in enumerate(common.recognition_sequence(volume)):
        _place(packets, common.VRS_AT + index, block)
    return packets


def _anchors(volume: VolumeDescription, layout: Layout) -> Packets:
    packets: Packets = {}
    for block in layout.anchors:
        _place(packets, block, common.anchor(volume, structures.sequences(layout), block))
    return packets
