"""Where a session on a write-once disc has its volume structures (UDF 6.10.1).

Without a bridge they lie in one packet: volume recognition sequence at S+16,
main and reserve volume descriptor sequences and the integrity sequence behind
it, the anchor at S+256. With one the first track is reserved and stays empty
until the close; the descriptors lie in the data track behind it, and the only
anchor of the open session at S+512. S is the session's first block; all
addresses are absolute blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from media.errors import CommandRefusedError, MediumFullError, WrongMediumError
from media.store import SequentialStore
from udffs.commit import structures
from udffs.commit.structures import (
    INTEGRITY_BLOCKS,
    SEQUENCE_BLOCKS,
    VRS_AT,
    Sequences,
    VolumeDescription,
)
from udffs.volume.model import BLOCK

MAIN_SEQUENCE_AT = 32
RESERVE_SEQUENCE_AT = 48
INTEGRITY_AT = 64
ANCHOR_AT = 256
OPEN_ANCHOR_AT = 512
PLAIN_BLOCKS = ANCHOR_AT + 1

RESERVED_BLOCKS = 330
"""What is asked for as the reserved track: the descriptors end at S+256, and a
drive puts the next track some 152 blocks behind (run-out and pre-gap)."""

BRIDGED_BLOCKS = OPEN_ANCHOR_AT + 1 + 2 * SEQUENCE_BLOCKS + INTEGRITY_BLOCKS
"""What a session with a bridge takes before anything else, at most."""

Log = Callable[[str], None]


class OpenSession(NamedTuple):
    """A session that can be written to: its first block, its volume descriptor
    sequences, and whether its first track waits for an ISO 9660 view."""

    start: int
    sequences: Sequences
    bridged: bool


@dataclass(frozen=True)
class SessionLayout:
    """``start`` is the session's first block, ``first`` that of the packet that
    holds the structures, ``end`` the one behind them, where the partition of a new
    volume begins."""

    start: int
    first: int
    main: int
    reserve: int
    integrity: int
    anchor: int
    end: int
    bridged: bool = False

    @property
    def session(self) -> OpenSession:
        """What a session with these structures is."""
        length = SEQUENCE_BLOCKS * BLOCK
        return OpenSession(self.start, ((length, self.main), (length, self.reserve)), self.bridged)

    @property
    def in_reserved_track(self) -> bool:
        """Whether the structures go to the reserved track at once: there is one, and
        its data track is not where an anchor could be found."""
        return not self.bridged and self.end > self.start + PLAIN_BLOCKS


def plain_layout(start: int, data_start: int | None = None) -> SessionLayout:
    """Without a bridge; ``data_start`` is where what follows goes, if not right behind."""
    end = start + PLAIN_BLOCKS if data_start is None else data_start
    return SessionLayout(
        start,
        start,
        start + MAIN_SEQUENCE_AT,
        start + RESERVE_SEQUENCE_AT,
        start + INTEGRITY_AT,
        start + ANCHOR_AT,
        end,
    )


def bridged_layout(start: int, first: int) -> SessionLayout:
    """With a bridge, the packet beginning at ``first``, at or before S+512: what
    fits there lies before the anchor, the rest behind it."""
    anchor = start + OPEN_ANCHOR_AT
    before, behind = first, anchor + 1
    places: list[int] = []
    for blocks in (SEQUENCE_BLOCKS, INTEGRITY_BLOCKS, SEQUENCE_BLOCKS):
        if before + blocks <= anchor:
            places.append(before)
            before += blocks
        else:
            places.append(behind)
            behind += blocks
    main, integrity, reserve = places
    return SessionLayout(start, first, main, reserve, integrity, anchor, behind, bridged=True)


# -- beginning a session -----------------------------------------------------------


def begin_session(store: SequentialStore, *, bridge: bool, log: Log) -> SessionLayout:
    """Make ready a session that holds no volume yet, and say what goes where.

    A track that is torn is mended. Where a first packet was lost, and with it the
    place of the anchor, that session is closed, empty as it is, and the next one
    begun; with a reserved track its beginning can still take the structures.
    Raises what the store raises.
    """
    if store.needs_repair:
        store.repair()
    track = store.first_track
    if store.next_writable != store.session_start and (track is None or not track.empty):
        store.close_session(final=False)
        track = store.first_track
    if track is None and bridge:
        _reserve(store, log)
        track = store.first_track
    if track is None:
        return plain_layout(store.session_start)
    if bridge and store.next_writable <= store.session_start + OPEN_ANCHOR_AT:
        return bridged_layout(store.session_start, store.next_writable)
    return plain_layout(store.session_start, store.next_writable)


def _reserve(store: SequentialStore, log: Log) -> None:
    try:
        store.reserve_track(RESERVED_BLOCKS)
    except (CommandRefusedError, WrongMediumError, MediumFullError) as error:
        log(f"the drive reserves no track, so the disc will have no ISO 9660 view ({error})")


def write_session(
    store: SequentialStore,
    volume: VolumeDescription,
    layout: SessionLayout,
    rest: Callable[[int], bytes],
) -> None:
    """Write the structures of a session, and ``rest(address)`` behind them in the
    same packet. Raises what the store raises."""
    data = session_structures(volume, layout)
    if not layout.in_reserved_track:
        store.write(layout.first, data + rest(layout.end))
        store.flush()
        return
    track = store.first_track
    assert track is not None
    store.fill_first_track(data.ljust(track.free * BLOCK, b"\0"))
    store.write(layout.end, rest(layout.end))
    store.flush()


# -- the bytes ---------------------------------------------------------------------


def session_structures(volume: VolumeDescription, layout: SessionLayout) -> bytes:
    """All from ``layout.first`` to the last structure."""
    blocks = max(layout.anchor, layout.reserve + SEQUENCE_BLOCKS - 1) + 1 - layout.first
    packet = bytearray(blocks * BLOCK)

    def place(at: int, data: bytes) -> None:
        offset = (at - layout.first) * BLOCK
        packet[offset : offset + len(data)] = data

    if not layout.bridged:
        for index, descriptor in enumerate(structures.recognition_sequence(volume)):
            place(layout.start + VRS_AT + index, descriptor)
    extent = (INTEGRITY_BLOCKS * BLOCK, layout.integrity)
    descriptors = structures.vat_descriptors(volume, extent)
    for at in (layout.main, layout.reserve):
        sequence = structures.descriptor_sequence(volume, at, descriptors)
        for index, block in enumerate(sequence):
            place(at + index, block)
    place(layout.integrity, structures.vat_integrity(volume, layout.integrity))
    place(layout.integrity + 1, structures.terminator(volume, layout.integrity + 1))
    place(layout.anchor, structures.anchor(volume, layout.session.sequences, layout.anchor))
    return bytes(packet)


def reserved_track(
    volume: VolumeDescription,
    session: OpenSession,
    descriptors: Sequence[bytes],
    *,
    skip: int,
    blocks: int,
) -> bytes:
    """What the reserved track of a session gets at the close: ``descriptors`` of ISO
    9660, the recognition sequence, the anchor at S+256. ``skip`` blocks of it are
    written (or lost) already; ``blocks`` are left."""
    data = bytearray((skip + blocks) * BLOCK)
    for index, block in enumerate([*descriptors, *structures.recognition_sequence(volume)]):
        at = (VRS_AT + index) * BLOCK
        data[at : at + len(block)] = block
    anchor = structures.anchor(volume, session.sequences, session.start + ANCHOR_AT)
    data[ANCHOR_AT * BLOCK : ANCHOR_AT * BLOCK + len(anchor)] = anchor
    return bytes(data[skip * BLOCK : (skip + blocks) * BLOCK])
