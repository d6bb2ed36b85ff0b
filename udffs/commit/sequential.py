"""Commits on write-once media: plans carried out, packet by packet.

A commit is one packet where it fits the drive's buffer. A larger one streams
data, ICBs and directories as one long packet, and the VAT follows in a packet
of its own, because only inside one packet that fits the buffer are addresses
certain. When the drive ends a packet by itself or loses one to a bad spot,
the rest is planned again for the new address.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from media.errors import AddressMovedError, PacketLostError, UnreadableBlockError
from media.store import SequentialStore
from udffs.commit import structures
from udffs.commit.plan import Body, Geometry, Placed, buffers, plan_body
from udffs.commit.prepare import Prepared
from udffs.commit.structures import SESSION_BLOCKS, VolumeDescription
from udffs.commit.vat import UNUSED, Counts, VatPlan, VatTable

BLOCK = 2048
TRIES = 5
VAT_ICBS = 2


class Committed(NamedTuple):
    """A commit that is on the disc."""

    placed: list[Placed]
    location: int  # absolute block of the last VAT ICB
    blocks: int  # of the disc that it took, link blocks included


Intend = Callable[[int], None]
Log = Callable[[str], None]


class SequentialCommitter:
    """Writes commits of one volume to one store. One thread at a time."""

    def __init__(
        self,
        store: SequentialStore,
        volume: VolumeDescription,
        table: VatTable,
        *,
        physical_reference: int,
        sequences: structures.Sequences | None,
        log: Log,
    ) -> None:
        """``sequences`` are the extents of the volume descriptor sequences
        that the open session's anchor names, None where no session is open."""
        self._store = store
        self._volume = volume
        self._table = table
        self._geometry = Geometry(volume.partition_start, physical_reference, volume.version)
        self._sequences = sequences if store.session_open else None
        self._log = log
        self.progress: Callable[[int], None] = lambda _blocks: None

    # -- commits -----------------------------------------------------------

    def commit(
        self, prepared: Prepared, gone: set[int], counts: Counts, *, now: int, intend: Intend
    ) -> Committed:
        """Put everything in ``prepared`` on the disc. When this returns it is
        durable. ``intend(location)`` is called before each try to write the
        VAT; ``gone`` are virtual block numbers no longer in use. Raises what
        the store raises when it gives up."""
        before = self._store.next_writable
        self._make_ready(counts, now)
        body, single = self._write_body(prepared, gone, counts, now, intend)
        if not single:
            changes = self._changes(body, gone)
            self._write_vat(changes, counts, now=now, intend=intend)
        return Committed(body.placed, self._table.location, self._store.next_writable - before)

    def _make_ready(self, counts: Counts, now: int) -> None:
        store = self._store
        if store.needs_repair:
            self._log("the last packet was cut short; the track is being repaired")
            store.repair()
        if not store.session_open:
            self.open_session(counts, now)

    def _changes(self, body: Body, gone: set[int]) -> dict[int, int]:
        return {**dict.fromkeys(gone, UNUSED), **body.changes(self._geometry)}

    def _write_body(
        self, prepared: Prepared, gone: set[int], counts: Counts, now: int, intend: Intend
    ) -> tuple[Body, bool]:
        """Write data, ICBs and directories, with the VAT behind them where
        all of it fits into one packet (then the second value is true)."""
        store = self._store
        written: dict[tuple[int, int], int] = {}
        for attempt in range(TRIES):
            body = plan_body(prepared.groups, store.next_writable, self._geometry, written)
            vat = self._vat_behind(body, gone, counts, now)
            if body.start == body.end and vat is None:
                return body, False
            try:
                if vat is not None:
                    intend(vat.location)
                self._stream(body)
                if vat is not None:
                    store.write(vat.address, vat.data)
                store.flush()
            except (AddressMovedError, PacketLostError) as error:
                self._count_failure(attempt, error)
                if isinstance(error, AddressMovedError):
                    written.update(self._verified(body))
                continue
            if vat is not None:
                self._table.adopt(vat)
            return body, vat is not None
        raise AssertionError("unreachable: the last failure is raised")

    def _vat_behind(
        self, body: Body, gone: set[int], counts: Counts, now: int
    ) -> VatPlan | None:
        """The VAT as the end of the body's packet, if both fit together."""
        if body.end - body.start > self._store.packet_limit:
            return None
        vat = self._plan_vat(self._changes(body, gone), counts, body.end, now)
        fits = body.end - body.start + vat.size <= self._store.packet_limit
        return vat if fits else None

    def _plan_vat(
        self, changes: dict[int, int], counts: Counts, address: int, now: int, whole: bool = False
    ) -> VatPlan:
        return self._table.plan(
            changes,
            counts,
            address=address,
            partition_start=self._volume.partition_start,
            now=now,
            whole=whole,
        )

    def _stream(self, body: Body) -> None:
        for address, data in buffers(body.pieces):
            self._store.write(address, data)
            self.progress(len(data) // BLOCK)

    def _verified(self, body: Body) -> dict[tuple[int, int], int]:
        """The data of a broken-off body that did reach the disc: read back
        and compared, so that it need not be written again."""
        found: dict[tuple[int, int], int] = {}
        pieces = {piece.address: piece for piece in body.pieces}
        for placed in body.placed:
            for run in placed.job.ranges:
                where = self._address_of(placed, run[0])
                piece = pieces.get(where)
                if piece is not None and self._reads_back(piece.address, piece.size, piece.render):
                    found[placed.job.virtual, run[0]] = where
        return found

    def _address_of(self, placed: Placed, first: int) -> int:
        for run in placed.runs:
            if run.offset <= first * BLOCK < run.offset + run.length:
                return run.block + first - run.offset // BLOCK
        return -1

    def _reads_back(self, address: int, count: int, render: Callable[[int, int], bytes]) -> bool:
        if address + count > self._store.next_writable:
            return False
        step = self._store.packet_limit
        for skip in range(0, count, step):
            number = min(step, count - skip)
            try:
                data = self._store.read(address + skip, number)
            except UnreadableBlockError:
                return False
            if data != render(skip, number):
                return False
        return True

    def _count_failure(self, attempt: int, error: Exception) -> None:
        self._log(f"a packet has to be written again: {error}")
        if attempt + 1 == TRIES:
            raise error

    def _write_vat(
        self, changes: dict[int, int], counts: Counts, *, now: int, intend: Intend
    ) -> None:
        """Write the VAT as a packet of its own."""
        store = self._store
        for attempt in range(TRIES):
            vat = self._plan_vat(changes, counts, store.next_writable, now)
            intend(vat.location)
            try:
                self._write_vat_packet(vat)
            except (AddressMovedError, PacketLostError) as error:
                self._count_failure(attempt, error)
                continue
            self._table.adopt(vat)
            return

    def _write_vat_packet(self, vat: VatPlan) -> None:
        # A table larger than the buffer streams first; its ICBs must still be
        # the last blocks of one packet, at the addresses they tell.
        step = self._store.packet_limit
        data = memoryview(vat.data)
        for first in range(0, vat.size, step):
            self._store.write(vat.address + first, data[first * BLOCK : (first + step) * BLOCK])
        self._store.flush()

    # -- sessions ----------------------------------------------------------

    def open_session(self, counts: Counts, now: int) -> None:
        """Begin a new session: volume structures at its start, and a VAT ICB
        so that the disc reads as before from the first packet on."""
        store = self._store
        for attempt in range(TRIES):
            start = store.session_start
            packet = structures.session_structures(self._volume, start)
            vat = self._plan_vat({}, counts, start + SESSION_BLOCKS, now)
            try:
                store.write(start, packet + vat.data)
                store.flush()
            except (AddressMovedError, PacketLostError) as error:
                self._count_failure(attempt, error)
                continue
            self._table.adopt(vat)
            return

    def close(
        self,
        counts: Counts,
        *,
        now: int,
        final: bool,
        intend: Intend,
        progress: Callable[[float], None] | None = None,
    ) -> None:
        """Write the last packet, which spans N-256 to N: the second anchor at
        N-256, the VAT in one piece, its ICB at N-1 and N (UDF 6.10.1); then
        close the session, the disc too if ``final``."""
        store = self._store
        self._make_ready(counts, now)
        for attempt in range(TRIES):
            packet, vat = self._closing_packet(counts, now)
            intend(vat.location)
            try:
                start = store.next_writable
                view = memoryview(packet)
                for first in range(0, len(packet) // BLOCK, store.packet_limit):
                    part = view[first * BLOCK : (first + store.packet_limit) * BLOCK]
                    store.write(start + first, part)
                store.flush()
            except (AddressMovedError, PacketLostError) as error:
                self._count_failure(attempt, error)
                continue
            self._table.adopt(vat)
            break
        store.close_session(final=final, progress=progress)

    def _closing_packet(self, counts: Counts, now: int) -> tuple[bytes, VatPlan]:
        start = self._store.next_writable
        count = self._plan_vat({}, counts, start, now, whole=True).size
        # N-256 holds the anchor, N the last VAT ICB; a table that is longer
        # than the 255 blocks between them begins before the anchor.
        filler = max(0, structures.ANCHOR_AT - count)
        if count <= structures.ANCHOR_AT:
            anchor_at = start
            vat = self._plan_vat({}, counts, start + 1 + filler, now, whole=True)
            anchor = self._anchor(anchor_at)
            return anchor + bytes(filler * BLOCK) + vat.data, vat
        # A long table is written as it is now, shared blocks and all, unless
        # even what changed is long.
        vat = self._plan_vat({}, counts, start + 1, now)
        filler = structures.ANCHOR_AT - vat.size
        if filler >= 0:
            vat = self._plan_vat({}, counts, start + 1 + filler, now)
            return self._anchor(start) + bytes(filler * BLOCK) + vat.data, vat
        raise AssertionError("a VAT whose unchanged blocks are shared is short")

    def _anchor(self, location: int) -> bytes:
        extents = self._sequences or structures.sequences(self._store.session_start)
        return structures.anchor(self._volume, extents, location).ljust(BLOCK, b"\0")
