"""What is written when a session is closed (UDF 6.10.1).

The last packet of the data track spans at least N-256 to N: the second anchor
at N-256, the VAT in one piece, its ICB at N-1 and N. The bridge, if there is one,
takes the blocks between them first, and what does not fit lies before the
anchor. A copy of the ISO 9660 descriptors is next to the anchor, so that a close
that was broken off can be completed without looking at a single file.

Then the reserved track is filled in one packet. From its first block on nothing
else may be written to the disc: what it says is already there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from operator import attrgetter
from tempfile import TemporaryFile
from typing import IO, NamedTuple, Protocol

from media.errors import (
    AddressMovedError,
    CommandRefusedError,
    MediumFullError,
    PacketLostError,
    UnreadableBlockError,
)
from media.store import SequentialStore
from udffs.commit import structures
from udffs.commit.bridge.plan import IsoPlan
from udffs.commit.bridge.walk import Copy, View
from udffs.commit.plan import CHUNK, Piece, buffers
from udffs.commit.reserve import links_of_bridge
from udffs.commit.session import ANCHOR_AT, OpenSession, reserved_track
from udffs.commit.structures import VolumeDescription
from udffs.commit.vat import VatPlan
from udffs.errors import NoSpaceError
from udffs.volume.anchors import ISO_9660
from udffs.volume.model import BLOCK

TRIES = 5
BRIDGE_TRIES = 3  # then the disc is closed without one
DESCRIPTORS = 3  # primary, supplementary, terminator
NO_ROOM = (
    "There is no room left for an ISO 9660 view; the disc is closed as UDF alone, "
    "which systems without a UDF driver cannot read."
)
NOT_WRITTEN = (
    "The drive could not write the ISO 9660 view; the disc is closed as UDF alone, which "
    "systems without a UDF driver cannot read."
)
DESCRIPTORS_LOST = (
    "The beginning of this session was lost while it was being closed, and with it the ISO 9660 "
    "view; other systems may not recognise the disc. Another session brings a new one."
)


class PlanVat(Protocol):
    """Plans the VAT, as it is, for a block."""

    def __call__(self, address: int, whole: bool) -> VatPlan: ...


class LastPacket(NamedTuple):
    """Where everything of it is, in absolute blocks; ``extents`` are those of the
    bridge, ``descriptors`` is -1 without one."""

    extents: list[int]
    descriptors: int
    anchor: int
    vat: int


def lay_out(start: int, extents: Sequence[int], vat: int, *, bridged: bool) -> LastPacket:
    """The last packet from block ``start`` on, with extents of so many blocks each and
    a VAT of ``vat`` blocks."""
    room = ANCHOR_AT - vat
    assert room >= 0, "what is written of a VAT is fewer than 256 blocks"
    behind = bridged and room >= DESCRIPTORS
    if behind:
        room -= DESCRIPTORS
    first_behind = len(extents)
    while first_behind and extents[first_behind - 1] <= room:
        first_behind -= 1
        room -= extents[first_behind]
    addresses, at = _in_a_row(extents[:first_behind], start)
    descriptors = -1
    if bridged and not behind:
        descriptors, at = at, at + DESCRIPTORS
    anchor = at
    if behind:
        descriptors, at = at + 1, at + DESCRIPTORS
    rest, _end = _in_a_row(extents[first_behind:], at + 1)
    return LastPacket(addresses + rest, descriptors, anchor, anchor + 1 + ANCHOR_AT - vat)


def _in_a_row(sizes: Sequence[int], at: int) -> tuple[list[int], int]:
    addresses = []
    for size in sizes:
        addresses.append(at)
        at += size
    return addresses, at


class Closing:
    """Writes the end of one session; the session itself is closed by the store."""

    def __init__(
        self,
        store: SequentialStore,
        volume: VolumeDescription,
        session: OpenSession,
        *,
        log: Callable[[str], None],
        plan_vat: PlanVat | None = None,
        intend: Callable[[int], None] = lambda _location: None,
    ) -> None:
        """``intend(block)`` is told before each try where the VAT ICB will be. Without
        ``plan_vat`` only the reserved track can be written."""
        self._store = store
        self._volume = volume
        self._session = session
        self._plan_vat = plan_vat
        self._intend = intend
        self._log = log
        self._descriptors: list[bytes] = []
        self.notes: list[str] = []

    # -- the data track ----------------------------------------------------------

    def write_last_packet(self, view: View | None, now: int) -> VatPlan:
        """Write what the data track gets; returns the VAT that is its end now.

        ``view`` None: without a bridge. Without one as well where there is no room for
        it, or the drive does not manage to write it. Raises what the store raises.
        """
        plan = None if view is None else self._prepare(view, now)
        for attempt in range(TRIES):
            if plan is not None and attempt == BRIDGE_TRIES:
                self._give_up(NOT_WRITTEN)
                plan = None
            if view is None or plan is None or not self._fits(view, plan):
                view = plan = None
            try:
                if attempt and plan is not None and plan.blocks > self._limit:
                    return self._write_apart(plan)
                return self._write(view, plan)
            except (AddressMovedError, PacketLostError) as error:
                self._count_failure(attempt, error)
        raise AssertionError("unreachable: the last failure is raised")

    def _prepare(self, view: View, now: int) -> IsoPlan | None:
        """The plan of the bridge, with copies that are too many for the last packet on
        the disc already. None if they do not get there."""
        plan = self._plan(view, now)
        if not self._fits(view, plan) or _blocks(view.copies) + plan.blocks <= self._limit:
            return plan
        try:
            self._write_ahead(view.copies)
        except (AddressMovedError, PacketLostError):
            self._give_up(NOT_WRITTEN)
            return None
        except NoSpaceError:
            self._give_up(NO_ROOM)
            return None
        view.place()
        view.copies = []
        return self._plan(view, now)

    def _give_up(self, why: str) -> None:
        self._log(why)
        self.notes = [why]

    @property
    def _limit(self) -> int:
        """Blocks of the bridge that go into the last packet with all the rest."""
        return self._store.packet_limit - ANCHOR_AT - 1 - DESCRIPTORS

    def _plan(self, view: View, now: int) -> IsoPlan:
        volume = self._volume
        plan = IsoPlan(view.root, label=volume.label, now=now, set_identifier=volume.set_identifier)
        self.notes = [*view.notes, *plan.notes]
        return plan

    def _fits(self, view: View, plan: IsoPlan) -> bool:
        """Whether there is room for it, and without it once more if it is lost. If not,
        that is noted, and there is no bridge."""
        try:
            self._check_room(_blocks(view.copies) + plan.blocks + DESCRIPTORS + self._last_packet)
        except NoSpaceError:
            self._give_up(NO_ROOM)
            return False
        return True

    def _check_room(self, blocks: int) -> None:
        """Raises NoSpaceError if the disc could not be closed any more after so many
        blocks of a bridge, whatever becomes of them."""
        store = self._store
        links = links_of_bridge(blocks, store.packet_limit, store.link_blocks)
        needed = blocks + links + self._last_packet
        if needed > store.free_blocks:
            raise NoSpaceError(needed=needed, free=store.free_blocks)

    @property
    def _last_packet(self) -> int:
        """Blocks of one without a bridge."""
        return ANCHOR_AT + 1 + self._store.link_blocks

    def _whole_or_not(self, address: int) -> VatPlan:
        """The VAT in one piece; one that is longer than the blocks behind the anchor
        stays where it is but for its header or tail. (Its size does not depend on
        the address: what is written lies next to no other block of it.)"""
        assert self._plan_vat is not None
        plan = self._plan_vat(address, whole=True)
        return plan if plan.size <= ANCHOR_AT else self._plan_vat(address, whole=False)

    def _write_ahead(self, copies: Sequence[Copy]) -> None:
        """Write copies into packets of their own, as many as surely fit into each."""
        group: list[Copy] = []
        for copy in copies:
            if group and _blocks(group) + copy.blocks > self._store.packet_limit:
                self._write_group(group)
                group = []
            group.append(copy)
        if group:
            self._write_group(group)

    def _write_group(self, copies: Sequence[Copy]) -> None:
        with _read_before(copies):
            if len(copies) == 1:
                self._write_long(copies[0])
                return
            for attempt in range(TRIES):
                self._check_room(_blocks(copies))
                addresses, _ = _in_a_row([c.blocks for c in copies], self._store.next_writable)
                try:
                    self._write_packet(list(map(_piece, addresses, copies)))
                except (AddressMovedError, PacketLostError) as error:
                    self._count_failure(attempt, error)
                    continue
                _place(copies, addresses)
                return

    def _write_long(self, copy: Copy) -> None:
        """A copy that may be longer than what the drive takes in one packet: where it ends
        one by itself, the rest goes into the next."""
        copy.places = []
        done = failures = 0
        while done < copy.blocks:
            self._check_room(copy.blocks - done)
            start = self._store.next_writable
            rest = Piece(start, copy.blocks - done, _behind(copy, done))
            try:
                self._write_packet([rest])
                arrived = rest.size
            except AddressMovedError as error:
                arrived = self._arrived(rest)
                failures = self._failed(failures, arrived, error)
            except PacketLostError as error:
                arrived = 0
                failures = self._failed(failures, arrived, error)
            if arrived:
                copy.places.append((start, arrived))
                done += arrived

    def _failed(self, failures: int, arrived: int, error: Exception) -> int:
        """Failures in a row that brought nothing to the disc."""
        if arrived:
            return 0
        self._count_failure(failures, error)
        return failures + 1

    def _arrived(self, piece: Piece) -> int:
        """Blocks of a packet that broke off which are on the disc, in whole buffers."""
        done = 0
        for at, data in buffers([piece]):
            count = len(data) // BLOCK
            try:
                if at + count > self._store.next_writable or self._store.read(at, count) != data:
                    break
            except UnreadableBlockError:
                break
            done += count
        return done

    def _write(self, view: View | None, plan: IsoPlan | None) -> VatPlan:
        """One packet with all of it."""
        copies = [] if view is None else view.copies
        with _read_before(copies):
            sizes = [copy.blocks for copy in copies] + list(() if plan is None else plan.extents)
            place, vat = self._place(sizes, bridged=plan is not None)
            pieces = list(map(_piece, place.extents, copies))
            if plan is not None and view is not None:
                _place(copies, place.extents[: len(copies)])
                view.place()
                addresses = place.extents[len(copies) :]
                pieces += map(_fixed, addresses, plan.render(addresses))
                self._describe(plan, addresses, vat)
            self._write_end(place, vat, pieces)
            return vat

    def _write_apart(self, plan: IsoPlan) -> VatPlan:
        """For drives that end a long packet by themselves: the ISO 9660 view in packets
        of what fits their buffer, whose addresses are foreseen; then the last packet."""
        store = self._store
        addresses: list[int] = []
        packets: list[list[int]] = [[]]
        start = at = store.next_writable
        for number, size in enumerate(plan.extents):
            if at > start and at + size - start > store.packet_limit:
                start = at = at + store.link_blocks
                packets.append([])
            addresses.append(at)
            packets[-1].append(number)
            at += size
        rendered = list(plan.render(addresses))
        for packet in packets:
            self._write_packet([_fixed(addresses[n], rendered[n]) for n in packet])
        place, vat = self._place((), bridged=True)
        self._describe(plan, addresses, vat)
        self._write_end(place, vat, [])
        return vat

    def _place(self, sizes: Sequence[int], *, bridged: bool) -> tuple[LastPacket, VatPlan]:
        start = self._store.next_writable
        place = lay_out(start, sizes, self._whole_or_not(start).size, bridged=bridged)
        return place, self._whole_or_not(place.vat)

    def _describe(self, plan: IsoPlan, addresses: Sequence[int], vat: VatPlan) -> None:
        """Keeps the descriptors that go to the reserved track later."""
        self._descriptors = plan.descriptors(addresses, end=vat.location + 1)

    def _write_end(self, place: LastPacket, vat: VatPlan, pieces: list[Piece]) -> None:
        """The packet of the ``pieces`` and what every close needs."""
        if place.descriptors >= 0:
            pieces.append(_fixed(place.descriptors, b"".join(self._descriptors)))
        pieces.append(_fixed(place.anchor, self._anchor(place.anchor)))
        pieces.append(_fixed(vat.address, vat.data))
        self._intend(vat.location)
        self._write_packet(_without_gaps(pieces))

    def _anchor(self, location: int) -> bytes:
        sealed = structures.anchor(self._volume, self._session.sequences, location)
        return sealed.ljust(BLOCK, b"\0")

    def _write_packet(self, pieces: Sequence[Piece]) -> None:
        for at, data in buffers(pieces):
            self._store.write(at, data)
        self._store.flush()

    def _count_failure(self, attempt: int, error: Exception) -> None:
        self._log(f"a packet has to be written again: {error}")
        if attempt + 1 == TRIES:
            raise error

    # -- the reserved track --------------------------------------------------------

    def fill_reserved_track(self) -> None:
        """Write what the reserved track gets, as far as it is not there yet."""
        for attempt in range(TRIES):
            track = self._store.first_track
            if track is None or track.complete:
                return
            data = reserved_track(
                self._volume,
                self._session,
                self._descriptors,
                skip=max(track.next_writable - track.start, 0),
                blocks=max(track.free, 1),  # a damaged one does not know
            )
            try:
                self._store.fill_first_track(data)
            except (MediumFullError, CommandRefusedError) as error:
                # It has less room than the drive said: the drive is to close it as it is.
                self._log(f"the reserved track cannot be filled: {error}")
                return
            except (AddressMovedError, PacketLostError) as error:
                self._count_failure(attempt, error)

    def find_descriptors(self, last: int) -> None:
        """For a close that was broken off: read the copy of the ISO 9660 descriptors,
        with the last VAT ICB at block ``last``."""
        anchor = last - ANCHOR_AT
        for at in (anchor + 1, anchor - DESCRIPTORS):
            try:
                data = self._store.read(at, DESCRIPTORS)
            except UnreadableBlockError:
                continue
            blocks = [data[n * BLOCK : (n + 1) * BLOCK] for n in range(DESCRIPTORS)]
            if all(block[1:6] == ISO_9660 for block in blocks):
                self._descriptors = blocks
                return


def _blocks(copies: Sequence[Copy]) -> int:
    return sum(copy.blocks for copy in copies)


@contextmanager
def _read_before(copies: Sequence[Copy]) -> Iterator[None]:
    """What of the copies has to be read from the disc is kept on the host meanwhile:
    while a packet is open, nothing can be read."""
    with ExitStack() as stack:
        for copy in copies:
            if copy.read:
                kept = stack.enter_context(TemporaryFile())
                for first in range(0, copy.blocks, CHUNK):
                    kept.write(copy.render(first, min(CHUNK, copy.blocks - first)))
                stack.callback(setattr, copy, "render", copy.render)
                copy.render = partial(_from_file, kept)
        yield


def _place(copies: Sequence[Copy], addresses: Sequence[int]) -> None:
    for copy, at in zip(copies, addresses, strict=True):
        copy.places = [(at, copy.blocks)]


def _behind(copy: Copy, done: int) -> Callable[[int, int], bytes]:
    render = copy.render
    return lambda first, count: render(done + first, count)


def _from_file(file: IO[bytes], first: int, count: int) -> bytes:
    file.seek(first * BLOCK)
    return file.read(count * BLOCK)


def _piece(address: int, copy: Copy) -> Piece:
    return Piece(address, copy.blocks, copy.render)


def _fixed(address: int, data: bytes) -> Piece:
    def render(first: int, count: int) -> bytes:
        return data[first * BLOCK : (first + count) * BLOCK]

    return Piece(address, len(data) // BLOCK, render)


def _zeros(_first: int, count: int) -> bytes:
    return bytes(count * BLOCK)


def _without_gaps(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces in the order of the disc, with zeros between them."""
    filled: list[Piece] = []
    for piece in sorted(pieces, key=attrgetter("address")):
        end = filled[-1].address + filled[-1].size if filled else piece.address
        if piece.address > end:
            filled.append(Piece(end, piece.address - end, _zeros))
        filled.append(piece)
    return filled
