"""A disc in a drive that is rewritten in packets: CD-RW in fixed packets, Mt. Rainier.

Locks, outermost first: ``_writing`` belongs to whoever brings packets to the disc
or moves them about; ``_turns`` to whoever talks to the drive, for one command at a
time, so that a reader never waits for a whole flush; ``_lock`` guards the packets
in memory and is never held during a command. Without the turns a read would come
between two WRITEs unsynchronized; without ``_writing`` two flushes would send the
same packet.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

from media import errors
from media.drive import BLOCK, Drive
from media.layout import SessionSpan
from media.packets import (
    PACKET,
    SIZE,
    WHOLE,
    Packet,
    PacketCache,
    contents,
    groups,
    pieces,
    runs,
    start_of,
)
from media.state import DiscState
from media.transport import Buffer
from media.turns import Turns

#: Packets kept in memory: 16 MiB
CACHE_PACKETS = 256
#: How often packets are sent again that a reset has swallowed
_ATTEMPTS = 5
#: Blocks that pass under the laser for each 32 of data: the links of a packet are hidden
_PHYSICAL = 39


class RewritableStore:
    """A disc in a drive that is written anywhere, in whole packets of 32 blocks.

    Sizes and addresses count blocks. What :meth:`write` takes is gathered in at most
    ``cache_packets`` packets of memory and is on the disc after :meth:`flush`; a
    read sees it at once. With ``verify`` it is read back after each flush.
    ``spares_by_itself``: a Mt. Rainier drive moves bad packets out of the way.
    ``packets_written`` counts what was sent to the drive.
    """

    kind = "rewritable"
    packet_length = PACKET

    def __init__(
        self,
        drive: Drive,
        *,
        writable: bool = True,
        disc: DiscState | None = None,
        cache_packets: int = CACHE_PACKETS,
    ) -> None:
        disc = disc or drive.disc()
        self.drive = drive
        self.name = drive.name
        self.writable = writable
        self.spares_by_itself = disc.mrw
        if disc.mrw:
            drive.select_defect_managed_area()
        self.capacity = _capacity(drive, disc)
        self.last_block = self.capacity - 1
        self.sessions = (SessionSpan(0, self.last_block),)
        speed = drive.blocks_per_second
        self.blocks_per_second = None if speed is None else speed * PACKET / _PHYSICAL
        self.verify = False
        self.packets_written = 0
        self._most = max(drive.transfer_limit // PACKET, 1)
        self._cache = PacketCache(cache_packets)
        self._lock = Lock()
        self._writing = Lock()
        self._turns = Turns()
        self._unsynced = False
        self._doubts = 0
        self._failure: errors.MediaError | None = None
        self._gone: errors.MediaError | None = None
        self._refusal: errors.MediaError | None = None
        self._rough: set[int] = set()
        if writable:
            self._set_up(disc)

    def _set_up(self, disc: DiscState) -> None:
        if not self.drive.info.writes_cd_rw:
            raise errors.RecordingRefused(name=self.name, why="it does not write CD-RW")
        self.drive.prevent_removal()
        if not self.spares_by_itself:
            self.drive.set_up_fixed_packets(PACKET)
        elif disc.background_format_suspended:
            self.drive.restart_background_format()

    @property
    def gathered_packets(self) -> int:
        """Packets that wait for a flush."""
        return len(self._cache.gathered)

    # -- what does not hold any more -----------------------------------------------

    def _check_present(self) -> None:
        """Once the disc was taken out, nothing works on whatever is in the drive now."""
        if self._gone is not None:
            raise type(self._gone)(name=self.name, sense=self._gone.sense)

    def _check_writable(self) -> None:
        self._check_present()
        if self._refusal is not None:
            raise type(self._refusal)(sense=self._refusal.sense)
        if not self.writable:
            raise errors.ReadOnlyMediumError(why="it was opened for reading only")

    def _note(self, error: errors.MediaError) -> None:
        """Keep in mind what holds from now on."""
        if isinstance(error, errors.NoMediumError | errors.MediumChangedError):
            self._gone = error
        elif isinstance(error, errors.CalibrationError | errors.ReadOnlyMediumError):
            self._refusal = error

    # -- reading -------------------------------------------------------------------

    def read(self, block: int, count: int) -> bytes:
        """``count`` blocks, as the last :meth:`write` has them; at any time, from any
        thread. Raises UnreadableBlockError with the first bad block."""
        self._check_present()
        if block < 0 or count < 0 or block + count > self.capacity:
            bad = block if block < 0 or block >= self.capacity else self.capacity
            raise errors.UnreadableBlockError(block=bad)
        with self._lock:
            found = self._cache.find(block, count)
        parts = [
            self._from_disc(at, number) if data is None else data for at, number, data in found
        ]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _from_disc(self, block: int, count: int) -> bytes:
        """Blocks that memory has not. A piece of one packet brings all of it along."""
        first = start_of(block)
        end = first + PACKET
        if block + count > end or first in self._rough or end > self.capacity:
            return self._fetch(block, count)
        with self._lock:
            ticket = self._cache.expect(first)
        if ticket is None:
            return self._fetch(block, count)
        try:
            content = self._fetch(first, PACKET)
        except errors.UnreadableBlockError:
            with self._lock:
                self._cache.lost(first, ticket)
                self._rough.add(first)
            return self._fetch(block, count)
        with self._lock:
            self._cache.keep(first, content, ticket)
        return content[(block - first) * BLOCK : (block - first + count) * BLOCK]

    def _fetch(self, block: int, count: int) -> bytes:
        """From the disc, a turn for each command."""
        step = self.drive.transfer_limit
        parts = [
            self._fetch_once(at, min(step, block + count - at))
            for at in range(block, block + count, step)
        ]
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _fetch_once(self, block: int, count: int) -> bytes:
        with self._turns:
            self._check_present()
            if self._unsynced:
                self._synchronize_quietly()
            try:
                return self.drive.read(block, count)
            except (errors.PacketLostError, errors.DriveResetError) as error:
                # The drive wanted to be synchronized first, and that went wrong.
                self._failure = error
                return self.drive.read(block, count)
            except errors.MediaError as error:
                self._note(error)
                raise

    def _synchronize_quietly(self) -> None:
        """Before a read: what goes wrong with earlier writes is for the writer to hear."""
        self._unsynced = False
        try:
            self.drive.synchronize()
        except errors.MediaError as error:
            self._note(error)
            self._failure = error
        self._check_present()

    # -- gathering -----------------------------------------------------------------

    def write(self, block: int, data: Buffer) -> None:
        """Gather whole blocks; on the disc after :meth:`flush`.

        Where too much is gathered, the oldest packets go to the disc at once, and
        what goes wrong then is raised here as :meth:`flush` has it. The data of
        this call is gathered in any case.
        """
        view = memoryview(data).cast("B")
        if view.nbytes % BLOCK or not view.nbytes:
            raise errors.MediaBug(what=f"a write of {view.nbytes} bytes")
        if block < 0 or block + view.nbytes // BLOCK > self.capacity:
            raise errors.MediaBug(what=f"a write at {block}, beyond the end of the disc")
        self._check_writable()
        failed: errors.MediaError | None = None
        for at, piece in pieces(block, view):
            with self._lock:
                self._cache.gather(at, piece)
                full = self._cache.full
            if full and failed is None:
                failed = self._spill()
        if failed is not None:
            raise failed

    def _spill(self) -> errors.MediaError | None:
        """Make room: three quarters of what is gathered, the oldest. What went wrong."""
        with self._writing:
            with self._lock:
                firsts = self._cache.oldest(self._cache.limit * 3 // 4 or 1)
                full = self._cache.full
            try:
                if full:
                    self._write_out(sorted(firsts))
            except errors.MediaError as error:
                return error
        return None

    def relocate(self, old: int, new: int) -> None:
        """What is gathered for the packet at ``old`` will go to the one at ``new``."""
        if old % PACKET or new % PACKET:
            raise errors.MediaBug(what=f"a move from {old} to {new}, which are no packets")
        with self._writing:
            if old not in self._cache.gathered or old == new:
                return
            self._complete([old])
            with self._lock:
                self._cache.move(old, new)

    def discard(self) -> None:
        """Forget what was gathered and not yet flushed."""
        with self._writing, self._lock:
            self._cache.discard()

    def forget(self, packet: int) -> None:
        """The same for the packet at one block."""
        with self._writing, self._lock:
            self._cache.gathered.pop(packet, None)

    # -- bringing packets to the disc --------------------------------------------------

    def flush(self) -> None:
        """Bring all that is gathered to the disc for good, in ascending order.

        Raises DefectivePacketError for a packet that cannot be written, and
        UnreadableBlockError where a partly given packet cannot be completed;
        after any error all that is not surely on the disc is still gathered.
        """
        with self._writing:
            with self._lock:
                firsts = sorted(self._cache.gathered)
            if firsts:
                self._check_writable()
                self._write_out(firsts)

    def _write_out(self, firsts: list[int]) -> None:
        """Packets in ascending order, until the drive says that they are on the disc."""
        try:
            self._complete(firsts)
            for _ in range(_ATTEMPTS):
                if self._attempt(self._waiting(firsts)):
                    return
        except errors.MediaError as error:
            self._note(error)
            raise
        finally:
            with self._lock:
                self._cache.doubt()
        raise errors.DriveResetError(name=self.name)

    def _waiting(self, firsts: Iterable[int]) -> list[Packet]:
        """Those of these packets that are not on the disc."""
        with self._lock:
            known = self._cache.gathered
            return [known[first] for first in firsts if first in known]

    def _attempt(self, packets: list[Packet]) -> bool:
        """Whether all of them are on the disc now; if not, it is worth another try."""
        try:
            self._send(packets)
        except errors.PacketLostError as error:
            self._sort_out(packets, error)
            return False
        except errors.DriveResetError as error:
            self.drive.log(f"{error}; what was not safe is written again")
            with self._lock:
                self._cache.doubt()
            return False
        if self.verify:
            self._verify(packets)
        else:
            with self._lock:
                self._cache.written(packets)
        return True

    def _send(self, packets: list[Packet]) -> None:
        """WRITE them, SYNCHRONIZE CACHE. Raises PacketLostError or DriveResetError."""
        with self._turns:
            self._failure = None
            self._doubts = self.drive.doubts
        with self._lock:
            planned = list(groups(packets, self._most))
        for group in planned:
            self._send_one(group)
        with self._turns:
            self._check_told()
            self._unsynced = False
            self.drive.synchronize()
            self._check_told()

    def _send_one(self, group: list[Packet]) -> None:
        """One WRITE. From now on a change of these packets copies them."""
        with self._lock:
            for packet in group:
                packet.sent = True
            data = contents(group)
        with self._turns:
            self._check_told()
            self._unsynced = True
            try:
                self.drive.write(group[0].first, data)
            except errors.AddressMovedError as error:
                raise errors.DriveFailedError(
                    name=self.name, why="it refuses to write there", sense=error.sense
                ) from error
            self.packets_written += len(group)

    def _check_told(self) -> None:
        """Raise what a reader's command has told of earlier writes."""
        self._check_present()
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if self.drive.doubts != self._doubts:
            raise errors.DriveResetError(name=self.name)

    def _complete(self, firsts: list[int]) -> None:
        """Read what is missing of partly given packets."""
        with self._lock:
            known = self._cache.gathered
            partial = [first for first in firsts if known[first].given != WHOLE]
        for run in runs(partial, self._most):
            try:
                content = memoryview(self._fetch(run[0], len(run) * PACKET))
            except errors.UnreadableBlockError:
                for first in run:
                    self._complete_hard(first)
                continue
            with self._lock:
                for number, first in enumerate(run):
                    known[first].fill(0, content[number * SIZE : (number + 1) * SIZE])

    def _complete_hard(self, first: int) -> None:
        """Only what was not given has to be readable."""
        with self._lock:
            missing = [
                (at, count) for at, count, data in self._cache.find(first, PACKET) if data is None
            ]
        for at, count in missing:
            data = self._fetch(at, count)
            with self._lock:
                self._cache.gathered[first].fill(at - first, memoryview(data))

    # -- packets that went wrong -------------------------------------------------------

    def _sort_out(self, packets: list[Packet], error: errors.PacketLostError) -> None:
        """After a medium error: which of those that were sent are on the disc?

        Raises DefectivePacketError for the one that is to blame. Returns where none
        is, so that the rest can be sent again.
        """
        with self._turns:
            self._synchronize_quietly()
            self._failure = None
        sent = [packet for packet in packets if packet.sent]
        bad = [packet for packet in sent if not self._as_sent(packet)]
        with self._lock:
            self._cache.written(set(sent) - set(bad))
            self._cache.doubt()
        named = error.fields.get("block", -1)
        for packet in bad:
            if len(bad) == 1 or packet.first <= named < packet.first + PACKET:
                raise errors.DefectivePacketError(block=packet.first, sense=error.sense)
        for packet in bad:
            self._send_alone(packet)
        self.drive.log(f"{error}; no packet of {len(sent)} is to blame")

    def _as_sent(self, packet: Packet) -> bool:
        """Does the disc hold what was sent?"""
        try:
            content = memoryview(self._fetch(packet.first, PACKET))
        except errors.UnreadableBlockError:
            return False
        return self._same(packet, content)

    def _same(self, packet: Packet, content: memoryview) -> bool:
        """Of a packet that was changed after it was sent nothing can be said."""
        with self._lock:
            return not packet.sent or content == packet.data

    def _send_alone(self, packet: Packet) -> None:
        """One packet by itself: if that fails, there is no doubt which one it is."""
        try:
            self._send([packet])
        except errors.PacketLostError as error:
            raise errors.DefectivePacketError(block=packet.first, sense=error.sense) from error
        with self._lock:
            self._cache.written([packet])

    def _verify(self, packets: list[Packet]) -> None:
        """Read back what was written; the first one that differs is defective."""
        sent = {packet.first: packet for packet in packets}
        good: set[Packet] = set()
        for run in runs(sent, self._most):
            good.update(self._alike([sent[first] for first in run]))
        with self._lock:
            self._cache.written(good)
        for packet in packets:
            if packet not in good:
                raise errors.DefectivePacketError(block=packet.first)

    def _alike(self, run: list[Packet]) -> list[Packet]:
        """Those of neighbouring packets that the disc holds as they were sent."""
        try:
            content = memoryview(self._fetch(run[0].first, len(run) * PACKET))
        except errors.UnreadableBlockError:
            return [packet for packet in run if self._as_sent(packet)]
        return [
            packet
            for number, packet in enumerate(run)
            if self._same(packet, content[number * SIZE : (number + 1) * SIZE])
        ]

    # -- the end -----------------------------------------------------------------------

    def close(self) -> None:
        """Flush what is gathered and let go of the drive."""
        try:
            if self._gone is None and self.writable:
                self.flush()
        finally:
            self.drive.close()


def _capacity(drive: Drive, disc: DiscState) -> int:
    """Blocks in whole packets."""
    if disc.mrw:
        return start_of(drive.capacity())
    track = drive.track(disc.first_track)
    if track.packet_size != PACKET:
        raise errors.WrongMediumError(
            why=f"it is written in packets of {track.packet_size} blocks instead of {PACKET}"
        )
    return start_of(track.start + track.size)
