"""A write-once disc in a drive, written packet by packet.

Locks: a packet belongs to the store from its first :meth:`SequentialStore.write`
to :meth:`SequentialStore.flush`, and reading meanwhile would end it in the
drive. So reads take turns with packets, in the order of asking; whoever writes
long packets looks at ``readers_waiting`` and flushes now and then. Without the
turns a read would tear a packet and every address planned behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import get_ident
from typing import NoReturn

from media import errors
from media.drive import BLOCK, Drive, Progress
from media.layout import Layout, SessionSpan, layout, link_blocks, packet_limit
from media.mmc import pages, replies
from media.state import DiscState
from media.transport import Buffer
from media.turns import Turns

#: How often something is tried that the drive breaks off by a reset
_ATTEMPTS = 5
#: Looks at a next writable address that the drive has not brought up to date,
#: and the seconds between two of them
_STALE_LOOKS = 5
_STALE_PAUSE = 0.1
#: Blocks without data that may stand behind the last data block of a track, or between
#: two packets when one of them went wrong
_RUN_OUT = 16


class SequentialStore:
    """A disc in a drive, written packet by packet at its next writable address.

    Sizes and addresses count blocks. ``packet_limit`` is what surely fits the
    drive's buffer as one packet: only inside such a packet are addresses
    certain. ``link_blocks`` are lost behind every packet.
    """

    kind = "sequential"

    def __init__(
        self, drive: Drive, *, writable: bool = True, disc: DiscState | None = None
    ) -> None:
        self.drive = drive
        self.name = drive.name
        self.writable = writable
        self.link_blocks = link_blocks(drive.info.link_sizes)
        self.packet_limit = packet_limit(drive.buffer_size)
        self.blocks_per_second = drive.blocks_per_second
        self._turns = Turns()
        self._packet_start = -1
        self._position = -1
        self._writer = 0
        self._doubts = 0
        self._gone: errors.MediaError | None = None
        self._refusal: errors.MediaError | None = None
        self._layout = self._look(disc)
        if writable and self._layout.appendable:
            drive.prevent_removal()
            drive.set_up_writing()

    # -- where the disc stands ---------------------------------------------------

    @property
    def sessions(self) -> tuple[SessionSpan, ...]:
        return self._layout.sessions

    @property
    def capacity(self) -> int:
        return self._layout.capacity

    @property
    def last_block(self) -> int:
        return self._layout.last_block

    @property
    def blank(self) -> bool:
        return self._layout.blank

    @property
    def appendable(self) -> bool:
        """More can be written: to the open session, or to a new one."""
        return self._layout.appendable and self._refusal is None

    @property
    def session_open(self) -> bool:
        """The last session is open and holds data."""
        return self._layout.session_open

    @property
    def session_start(self) -> int:
        """First block of the open session, or of the one that the next write begins."""
        return self._layout.session_start

    @property
    def next_writable(self) -> int:
        """Where the next packet begins; -1 where none can (or not before a repair)."""
        return self._layout.next_writable

    @property
    def free_blocks(self) -> int:
        """Blocks from next_writable to the last possible start of the lead-out."""
        return self._layout.free_blocks

    @property
    def needs_repair(self) -> bool:
        """A packet was cut off; :meth:`repair` comes before the next write."""
        return self._layout.needs_repair

    @property
    def readers_waiting(self) -> int:
        """Threads that wait for the end of a packet to read."""
        return self._turns.waiting

    def _look(self, disc: DiscState | None = None) -> Layout:
        """Ask the drive for everything."""
        disc = disc or self.drive.disc()
        if disc.status == "none":
            raise errors.NoMediumError(name=self.name)
        tracks = self.drive.tracks(disc)
        found = layout(disc, tracks, self.link_blocks)
        if found.needs_repair:
            return replace(found, last_block=self._search_end(found))
        if not found.last_certain:
            return replace(found, last_block=self._step_back(found.last_block))
        return found

    def _readable(self, block: int) -> bool:
        try:
            self.drive.read(block, 1)
        except errors.UnreadableBlockError:
            return False
        return True

    def _step_back(self, block: int) -> int:
        """From the end of a track to its last data block: past run-out and links."""
        for candidate in range(block, max(block - _RUN_OUT, -1), -1):
            if self._readable(candidate):
                return candidate
        return block

    def _search_end(self, found: Layout) -> int:
        """The last readable block of a cut-off track, whose end nobody knows.

        Halves the track: where not one of a few neighbouring blocks, more than
        links ever take, can be read, nothing was written.
        """
        low, high = found.track_start, found.last_block + 1
        last = -1
        while low < high:
            middle = (low + high) // 2
            window = range(min(middle + _RUN_OUT, high - 1), middle - 1, -1)
            readable = next((block for block in window if self._readable(block)), None)
            if readable is None:
                high = middle
            else:
                last, low = readable, readable + 1
        if last < 0 < found.track_start:
            return self._step_back(found.track_start - 1)
        return last

    def _refresh(self) -> int | None:
        """Ask for the next writable address alone; None if the drive has none."""
        track = self.drive.track()
        known = track.next_writable is not None and not track.damaged
        if not known or track.next_writable is None:
            self._layout = replace(
                self._layout, next_writable=-1, free_blocks=0, needs_repair=True, session_open=True
            )
            return None
        begun = track.next_writable > track.start
        last = track.next_writable - self.link_blocks - 1 if begun else self._layout.last_block
        session_open = self._layout.session_open or begun
        sessions = self._layout.sessions
        if session_open and (not sessions or sessions[-1].end is not None):
            sessions += (SessionSpan(self._layout.session_start, None),)
        self._layout = replace(
            self._layout,
            sessions=sessions,
            next_writable=track.next_writable,
            free_blocks=track.free,
            last_block=last,
            session_open=session_open,
            blank=self._layout.blank and not begun,
            needs_repair=False,
            track_start=track.start,
        )
        return track.next_writable

    # -- reading -------------------------------------------------------------------

    def read(self, block: int, count: int) -> bytes:
        """``count`` blocks; waits while a packet is open.

        Raises UnreadableBlockError with the first bad block. The thread that
        writes a packet must not read before it has flushed.
        """
        self._check_present()
        if self._packet_start >= 0:
            self._check_no_packet("a read")
        self._turns.take()
        try:
            self._check_present()
            return self.drive.read(block, count)
        except (errors.NoMediumError, errors.MediumChangedError) as error:
            self._gone = error
            raise
        finally:
            self._turns.give()

    def _check_no_packet(self, what: str) -> None:
        """It would wait for ever for the end of its own packet."""
        if self._packet_start >= 0 and self._writer == get_ident():
            raise errors.MediaBug(what=f"{what} by the thread that has a packet open")

    def _check_present(self) -> None:
        """Once the disc was taken out, nothing works on whatever is in the drive now."""
        if self._gone is not None:
            raise type(self._gone)(name=self.name, sense=self._gone.sense)

    # -- writing -------------------------------------------------------------------

    def write(self, block: int, data: Buffer) -> None:
        """Write whole blocks at ``block``; not on the disc before :meth:`flush`.

        The first call opens a packet and must be at next_writable, later ones
        continue it. After any error the packet is over and next_writable is read
        anew. AddressMovedError: all calls before this one in the packet are on
        the disc, this one is not. Any other error: nothing since the last flush
        may be counted on; after PacketLostError writing can go on.
        """
        view = memoryview(data)
        if view.nbytes % BLOCK or not view.nbytes:
            raise errors.MediaBug(what=f"a write of {view.nbytes} bytes")
        if self._packet_start < 0:
            self._begin(block)
        elif block != self._position:
            raise errors.MediaBug(what=f"a write at {block} in a packet at {self._position}")
        self._writer = get_ident()
        try:
            self._write(block, view)
        except BaseException:
            self._end()
            raise
        self._position = block + view.nbytes // BLOCK

    def _begin(self, block: int) -> None:
        """Take the turn for a packet that begins at ``block``."""
        self._turns.take()
        try:
            self._check_writable()
            if self._layout.needs_repair:
                self._repair()
            if block != self._layout.next_writable:
                raise errors.AddressMovedError(next_writable=self._layout.next_writable)
        except BaseException:
            self._turns.give()
            raise
        self._packet_start = self._position = block
        self._doubts = self.drive.doubts

    def _end(self) -> None:
        """The packet is over, one way or the other."""
        self._packet_start = self._position = -1
        self._writer = 0
        self._turns.give()

    def _check_writable(self) -> None:
        self._check_present()
        if self._refusal is not None:
            raise type(self._refusal)(sense=self._refusal.sense)
        if not self.writable:
            raise errors.ReadOnlyMediumError(why="it was opened for reading only")
        if not self._layout.appendable:
            raise errors.ReadOnlyMediumError(why="the disc is closed")

    def _write(self, block: int, view: memoryview) -> None:
        try:
            self.drive.write(block, view)
        except errors.AddressMovedError as error:
            self._moved(block, view, error)
        except errors.DriveResetError as error:
            self._reset(block, view, error)
        except errors.PacketLostError as error:
            self._lost(error)
        except errors.MediaError as error:
            self._note(error)
            self._settle()
            raise

    def _note(self, error: errors.MediaError) -> None:
        """Keep in mind what holds from now on."""
        if isinstance(error, errors.NoMediumError | errors.MediumChangedError):
            self._gone = error
        elif isinstance(error, errors.CalibrationError | errors.ReadOnlyMediumError):
            self._refusal = error

    def _settle(self) -> None:
        """After an error: end the packet in the drive and ask where to go on.

        What goes wrong here is noted only: the first error is the one to tell.
        """
        try:
            self.drive.synchronize()
        except errors.MediaError as error:
            self._note(error)
        if self._gone is None:
            try:
                self._refresh()
            except errors.MediaError as error:
                self._note(error)

    def _moved(self, block: int, view: memoryview, error: errors.AddressMovedError) -> None:
        """5/21/02: the drive has ended the packet by itself, or its table lags behind,
        or the track is damaged. Returns where the write was carried out after all."""
        self._settle()
        if self._gone is not None:
            self._check_present()
        if block > self._packet_start and self.drive.doubts != self._doubts:
            self._lost(error)
        if not self._layout.needs_repair and self._await_move(block) == block:
            if self._write_again(block, view):
                return
            self._layout = replace(self._layout, needs_repair=True)
        if block > self._packet_start and not self._readable(block - 1):
            self._lost(error)
        if self._layout.needs_repair:
            self._repair()
        raise errors.AddressMovedError(
            next_writable=self._layout.next_writable, sense=error.sense
        ) from None

    def _await_move(self, block: int) -> int:
        """Look again while the drive still names an address that it has refused."""
        for _ in range(_STALE_LOOKS):
            if self._layout.next_writable != block:
                break
            self.drive.pause(_STALE_PAUSE)
            self._refresh()
        return self._layout.next_writable

    def _write_again(self, block: int, view: memoryview) -> bool:
        """Whether the drive takes it now."""
        try:
            self.drive.write(block, view)
        except errors.AddressMovedError:
            self._settle()
            return False
        except (errors.PacketLostError, errors.DriveResetError) as error:
            self._lost(error)
        return True

    def _reset(self, block: int, view: memoryview, error: errors.DriveResetError) -> None:
        """The drive was reset. Nothing is lost if the packet had not begun."""
        self._refresh()
        if block == self._packet_start == self._layout.next_writable:
            self._doubts = self.drive.doubts
            if self._write_again(block, view):
                return
        self._lost(error)

    def _lost(self, error: errors.MediaError) -> NoReturn:
        """What was written since the last flush cannot be counted on."""
        self._settle()
        self._check_present()
        if self._layout.needs_repair:
            self._repair()
        raise errors.PacketLostError(
            next_writable=self._layout.next_writable, sense=error.sense
        ) from error

    def flush(self) -> int:
        """End the packet and make it durable (SYNCHRONIZE CACHE); the new next_writable.

        Without an open packet there is nothing to do. Raises PacketLostError
        where what was written is not on the disc.
        """
        if self._packet_start < 0:
            return self._layout.next_writable
        try:
            self._flush()
        finally:
            self._end()
        return self._layout.next_writable

    def _flush(self) -> None:
        try:
            self.drive.synchronize()
        except (errors.PacketLostError, errors.DriveResetError) as error:
            self._lost(error)
        except errors.MediaError as error:
            self._note(error)
            self._settle()
            raise
        if self.drive.doubts != self._doubts:
            self._lost(errors.DriveResetError(name=self.name))
        self._confirm()

    def _confirm(self) -> None:
        """Is the packet on the disc? The drive's next writable address says so."""
        end = self._position
        reported = self._refresh()
        for _ in range(_STALE_LOOKS):
            if reported is None or reported >= end:
                break
            self.drive.pause(_STALE_PAUSE)
            reported = self._refresh()
        expected = end + self.link_blocks
        if reported == expected:
            return
        if reported is None or reported < end or not self._readable(end - 1):
            self._lost(errors.PacketLostError(next_writable=-1))

    # -- repair and close --------------------------------------------------------------

    def repair(self) -> None:
        """Mend the track that a power cut has torn; writing goes on in the next one.

        Does nothing where nothing is to be mended.
        """
        self._check_no_packet("a repair")
        with self._turns:
            self._check_writable()
            if self._layout.needs_repair:
                self._repair()

    def _repair(self) -> None:
        self._insist(self._repair_once, lambda: not self._layout.needs_repair)
        if self._layout.needs_repair:
            raise errors.DriveFailedError(name=self.name, why="it could not mend a torn packet")

    def _repair_once(self) -> None:
        number = self.drive.track().number
        try:
            self.drive.repair_track(number)
        except (errors.CommandRefusedError, errors.WrongMediumError) as error:
            self.drive.log(f"repair of track {number}: {error}")
        self.drive.close_track(replies.INVISIBLE_TRACK)

    def _insist(self, action: Callable[[], None], done: Callable[[], bool]) -> None:
        """Do something that a reset may break off, again as long as it is not done."""
        for left in reversed(range(_ATTEMPTS)):
            try:
                action()
            except errors.DriveResetError:
                if left == 0:
                    raise
                self._layout = self._look()
                if done():
                    return
            else:
                self._layout = self._look()
                return

    def close_session(
        self, *, final: bool, progress: Callable[[float], None] | None = None
    ) -> None:
        """Close the open session, with ``final`` so that nothing can follow it.

        ``progress`` is told from 0 to 1. Raises MediaUsageError where no session
        is open.
        """
        self.flush()
        with self._turns:
            self._check_writable()
            if not self._layout.session_open:
                raise errors.MediaUsageError("There is no open session on this disc to be closed.")
            if self._layout.needs_repair:
                self._repair()
            mode = pages.FINAL if final else pages.APPENDABLE
            self._insist(
                lambda: self._close_session(mode, progress),
                lambda: not self._layout.session_open,
            )
            if self._layout.appendable and not final:
                self.drive.set_up_writing()

    def _close_session(self, multi_session: int, progress: Progress | None) -> None:
        """Track, then session."""
        self.drive.set_up_writing(multi_session=multi_session)
        track = self.drive.track()
        # The address may lag behind, the Blank bit may be missing: either will do.
        if not track.blank or (track.next_writable or 0) > track.start:
            self.drive.close_track(replies.INVISIBLE_TRACK)
        self.drive.close_session(progress)
        if progress is not None:
            progress(1.0)

    def close(self) -> None:
        """Flush what is open and let go of the drive."""
        try:
            if self._gone is None:
                self.flush()
        finally:
            self.drive.close()
