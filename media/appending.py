"""Packets, one behind the other, at the next writable address of a disc.

Locks: a packet belongs to the store from its first :meth:`PacketAppender.write`
to :meth:`PacketAppender.flush`, and reading meanwhile would end it in the
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
from media.drive import BLOCK, Drive
from media.first_track import readable
from media.layout import FirstTrack, Layout, SessionSpan, link_blocks, packet_limit
from media.mmc import replies
from media.state import DiscState
from media.survey import survey
from media.transport import Buffer
from media.turns import Turns

#: How often something is tried that the drive breaks off by a reset
ATTEMPTS = 5
#: Looks at a next writable address that the drive has not brought up to date,
#: and the seconds between two of them
_STALE_LOOKS = 5
_STALE_PAUSE = 0.1


class PacketAppender:
    """A disc in a drive, read, and written packet by packet at its next writable address.

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
        #: Numbers of torn first tracks that the drive could only close
        self._mended: set[int] = set()
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
    def first_track(self) -> FirstTrack | None:
        """First track of the open session, if another follows it; :meth:`reserve_track`."""
        return self._layout.first

    @property
    def readers_waiting(self) -> int:
        """Threads that wait for the end of a packet to read."""
        return self._turns.waiting

    def _look(self, disc: DiscState | None = None) -> Layout:
        """Ask the drive for everything."""
        return survey(self.drive, self.link_blocks, disc, self._mended)

    def _readable(self, block: int) -> bool:
        return readable(self.drive, block)

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
        view = whole_blocks(data)
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

    # -- repair --------------------------------------------------------------

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
        for left in reversed(range(ATTEMPTS)):
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

    def close(self) -> None:
        """Flush what is open and let go of the drive."""
        try:
            if self._gone is None:
                self.flush()
        finally:
            self.drive.close()


def whole_blocks(data: Buffer) -> memoryview:
    view = memoryview(data)
    if view.nbytes % BLOCK or not view.nbytes:
        raise errors.MediaBug(what=f"a write of {view.nbytes} bytes")
    return view
