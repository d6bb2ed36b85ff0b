"""Commits on write-once media: plans carried out, packet by packet.

A commit is one packet where it fits the drive's buffer. A larger one streams
data, ICBs and directories as one long packet, and the VAT follows in a packet
of its own, because only inside one packet that fits the buffer are addresses
certain. When the drive ends a packet by itself or loses one to a bad spot,
the rest is planned again for the new address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from media.errors import AddressMovedError, PacketLostError, UnreadableBlockError
from media.store import SequentialStore
from udffs.commit.bridge.cost import correction
from udffs.commit.bridge.walk import View
from udffs.commit.closing import Closing
from udffs.commit.plan import Body, Geometry, Job, Placed, buffers, plan_body
from udffs.commit.prepare import Prepared
from udffs.commit.session import OpenSession, begin_session, write_session
from udffs.commit.streaming import Stream, in_turns, is_large
from udffs.commit.structures import VolumeDescription
from udffs.commit.vat import UNUSED, Counts, VatPlan, VatTable
from udffs.volume.model import BLOCK

TRIES = 5


Deferred = dict[int, list[tuple[int, int]]]
"""By virtual number: ranges of blocks of a file, (first, number)."""


class Committed(NamedTuple):
    """A commit that is on the disc."""

    placed: list[Placed]
    deferred: Deferred  # what was not written
    location: int  # absolute block of the last VAT ICB
    blocks: int  # of the disc that it took, link blocks included


class Journal(Protocol):
    """What outlives this process, if it is killed during a commit."""

    def must_yield(self) -> bool:
        """Whether data of large files is to be left for the next commit."""
        ...

    def defer(self, deferred: Deferred) -> None:
        """What the commit will leave out; called before it is on the disc."""
        ...

    def intend(self, location: int, *, complete: bool = True) -> None:
        """The VAT ICB is about to go to the block ``location``; not
        ``complete`` if nothing of the commit is in it. Before each try."""
        ...


Log = Callable[[str], None]


class SequentialCommitter:
    """Writes commits of one volume to one store. One thread at a time."""

    def __init__(
        self,
        store: SequentialStore,
        volume: VolumeDescription,
        table: VatTable,
        *,
        counts: Counts,
        physical_reference: int,
        session: OpenSession | None,
        bridge: bool,
        log: Log,
    ) -> None:
        """``counts`` are those of the VAT on the disc. ``session`` is the open
        one; None where no session is open, or one that a cut left without
        an anchor. ``bridge``: new sessions keep a place for an ISO 9660 view."""
        self._store = store
        self._volume = volume
        self._table = table
        self._counts = counts
        self._geometry = Geometry(volume.partition_start, physical_reference, volume.version)
        self._session = session
        self.bridge = bridge
        self._log = log
        self.progress: Callable[[int], None] = lambda _blocks: None

    # -- commits -----------------------------------------------------------

    def commit(
        self,
        prepared: Prepared,
        gone: set[int],
        counts: Counts,
        *,
        now: int,
        journal: Journal,
    ) -> Committed:
        """Put everything in ``prepared`` on the disc. When this returns it is
        durable, but for data of large files that was deferred because the
        ``journal`` said so. ``gone`` are virtual block numbers no longer in
        use. Raises what the store raises when it gives up."""
        before = self._store.next_writable
        with self._no_packet_left_open():
            self._make_ready(now, journal)
            placed, deferred = self._write_body(prepared, gone, counts, now, journal)
        blocks = self._store.next_writable - before
        return Committed(placed, deferred, self._table.location, blocks)

    @contextmanager
    def _no_packet_left_open(self) -> Iterator[None]:
        """Whatever goes wrong, the packet ends: readers wait for that."""
        try:
            yield
        except BaseException:
            self._store.flush()
            raise

    def _make_ready(self, now: int, journal: Journal) -> None:
        store = self._store
        if store.needs_repair:
            self._log("the last packet was cut short; the track is being repaired")
            store.repair()
        if not (store.session_open and self._session is not None):
            self.open_session(now, journal)

    def _changes(self, placed: dict[int, Placed], gone: set[int]) -> dict[int, int]:
        """The VAT entries of a commit: virtual number to logical block."""
        start = self._geometry.partition_start
        made = {number: place.icb - start for number, place in placed.items()}
        return {**dict.fromkeys(gone, UNUSED), **made}

    def _write_body(
        self,
        prepared: Prepared,
        gone: set[int],
        counts: Counts,
        now: int,
        journal: Journal,
    ) -> tuple[list[Placed], Deferred]:
        """Write data, ICBs and directories, and the VAT: in the same packet
        where all of it fits into one, else in a packet of its own. A long
        body ends its packet now and then if somebody waits to read."""
        store = self._store
        large = [job for job in prepared.files if is_large(job)]
        stream = Stream(store, self._geometry, large, journal.must_yield, self.progress)
        safe: dict[int, Placed] = {}
        attempt, turn = 0, stream.turn
        while True:
            bodies: list[Body] = []  # in the packet that is open
            try:
                address = stream.run()
                groups, deferred = _without_deferred(prepared, stream)
                journal.defer(deferred)
                placed = dict(safe)
                parts = in_turns(groups, turn, safe)
                for part in parts[:-1]:
                    address = self._write_part(part, address, stream, placed, bodies)
                    if store.readers_waiting:
                        address = stream.packet_start = store.flush()
                        stream.sealed()
                        bodies.clear()
                        safe.update((n, p) for n, p in placed.items() if not is_large(p.job))
                body = plan_body(parts[-1], address, self._geometry, stream.written)
                bodies.append(body)
                placed.update((p.job.virtual, p) for p in body.placed)
                changes = self._changes(placed, gone)
                told = _as_placed(counts, placed.values())
                vat = self._vat_behind(stream.packet_start, body.end, changes, told, now)
                if vat is not None:
                    journal.intend(vat.location)
                self._write_pieces(body)
                if vat is not None:
                    store.write(vat.address, vat.data)
                if vat is not None or body.end > stream.packet_start:
                    store.flush()
            except (AddressMovedError, PacketLostError) as error:
                self._count_failure(attempt, error)
                # Some drives end every packet sooner than we do: what counts
                # are failures in a row that brought nothing to the disc.
                arrived = self._salvage(bodies, error, safe)
                if stream.failed(error) or arrived:
                    attempt = 0
                else:
                    attempt, turn = attempt + 1, max(1, turn // 2)
                continue
            stream.sealed()
            if vat is not None:
                self._table.adopt(vat)
            else:
                self._write_vat(changes, told, now=now, journal=journal)
            self._counts = told
            return [placed[job.virtual] for group in groups for job in group], deferred

    def _write_part(
        self,
        part: list[list[Job]],
        address: int,
        stream: Stream,
        placed: dict[int, Placed],
        bodies: list[Body],
    ) -> int:
        """Write some of the jobs into the open packet; returns the address behind."""
        body = plan_body(part, address, self._geometry, stream.written)
        bodies.append(body)
        self._write_pieces(body)
        placed.update((p.job.virtual, p) for p in body.placed)
        return body.end

    def _salvage(
        self,
        bodies: list[Body],
        error: AddressMovedError | PacketLostError,
        safe: dict[int, Placed],
    ) -> bool:
        """Whether some of a packet that broke off did get to the disc: it is
        read back, and what is there whole is ``safe``."""
        arrived = False
        for body in bodies if isinstance(error, AddressMovedError) else ():
            if body.start == body.end or not self._reads_back(body):
                break
            safe.update((p.job.virtual, p) for p in body.placed if not is_large(p.job))
            arrived = True
        return arrived

    def _reads_back(self, body: Body) -> bool:
        if body.end > self._store.next_writable:
            return False
        try:
            return all(
                self._store.read(address, len(data) // BLOCK) == data
                for address, data in buffers(body.pieces)
            )
        except UnreadableBlockError:
            return False

    def _write_pieces(self, body: Body) -> None:
        for at, data in buffers(body.pieces):
            self._store.write(at, data)
            self.progress(len(data) // BLOCK)

    def _vat_behind(
        self, start: int, end: int, changes: dict[int, int], counts: Counts, now: int
    ) -> VatPlan | None:
        """The VAT as the end of the packet that is written from ``start`` to
        ``end``, if all of it fits the drive's buffer."""
        if end - start > self._store.packet_limit:
            return None
        vat = self._plan_vat(changes, counts, end, now)
        return vat if end - start + vat.size <= self._store.packet_limit else None

    def _plan_vat(
        self,
        changes: dict[int, int],
        counts: Counts,
        address: int,
        now: int,
        whole: bool | None = None,
    ) -> VatPlan:
        return self._table.plan(
            changes,
            counts,
            address=address,
            partition_start=self._volume.partition_start,
            now=now,
            whole=whole,
        )

    def _count_failure(self, attempt: int, error: Exception) -> None:
        self._log(f"a packet has to be written again: {error}")
        if attempt + 1 == TRIES:
            raise error

    def _write_vat(
        self, changes: dict[int, int], counts: Counts, *, now: int, journal: Journal
    ) -> None:
        """Write the VAT as a packet of its own."""
        store = self._store
        for attempt in range(TRIES):
            vat = self._plan_vat(changes, counts, store.next_writable, now)
            journal.intend(vat.location)
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

    def open_session(self, now: int, journal: Journal) -> None:
        """Begin a new session: volume structures at its start, and a VAT ICB
        so that the disc reads as before from the first packet on."""
        store = self._store
        for attempt in range(TRIES):
            layout = begin_session(store, bridge=self.bridge, log=self._log)

            def vat_at(address: int) -> VatPlan:
                return self._plan_vat({}, self._counts, address, now)

            vat = vat_at(layout.end)
            journal.intend(vat.location, complete=False)
            try:
                write_session(store, self._volume, layout, lambda at: vat_at(at).data)
            except (AddressMovedError, PacketLostError) as error:
                self._count_failure(attempt, error)
                continue
            self._table.adopt(vat)
            self._session = layout.session
            return

    def close(
        self,
        counts: Counts,
        *,
        now: int,
        final: bool,
        journal: Journal,
        view: Callable[[], View] | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> list[str]:
        """Write the end of the session (:mod:`udffs.commit.closing`), with the ISO 9660
        ``view`` where a track is reserved for it, and close it; the disc too if
        ``final``. Returns what there is to say about the view."""
        with self._no_packet_left_open():
            self._make_ready(now, journal)
            session = self._session
            assert session is not None
            closing = self._closing(session, counts, now, journal)
            seen = view() if session.bridged and view is not None else None
            self._table.adopt(closing.write_last_packet(seen, now))
            if session.bridged:
                closing.fill_reserved_track()
        self._store.close_session(final=final, progress=progress)
        self._session = None
        return closing.notes

    def _closing(self, session: OpenSession, counts: Counts, now: int, journal: Journal) -> Closing:
        def plan_vat(address: int, whole: bool) -> VatPlan:
            return self._plan_vat({}, counts, address, now, whole=whole)

        return Closing(
            self._store,
            self._volume,
            session,
            plan_vat=plan_vat,
            intend=lambda location: journal.intend(location, complete=False),
            log=self._log,
        )


def _as_placed(counts: Counts, placed: Iterable[Placed]) -> Counts:
    """The counts of a commit of which it is known where everything lies."""
    if counts.bridge is None:
        return counts
    return counts._replace(bridge=counts.bridge + correction(placed))


def _without_deferred(prepared: Prepared, stream: Stream) -> tuple[list[list[Job]], Deferred]:
    """The jobs as far as their data is written or still goes with the body,
    and what is left for the next commit."""
    files: list[Job] = []
    deferred: Deferred = {}
    for job in prepared.files:
        if is_large(job):
            job, left = stream.reduced(job)
            if left:
                deferred[job.virtual] = left
        files.append(job)
    return [files, prepared.directories], deferred
