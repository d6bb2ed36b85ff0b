"""A write-once disc in a drive: its packets, and its sessions.

A session may begin with a reserved track, which is empty while packets go to the
track behind it, and is filled before the session is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from media import errors
from media import first_track as first_tracks
from media.appending import ATTEMPTS, PacketAppender, whole_blocks
from media.drive import BLOCK, Progress
from media.layout import FirstTrack
from media.mmc import pages, replies
from media.transport import Buffer

#: What a drive answers that will not close a session: 5/72/03 and /04
_INCOMPLETE = (5, 0x72)


class SequentialStore(PacketAppender):
    """A disc in a drive, written packet by packet at its next writable address.

    Sizes and addresses count blocks. ``packet_limit`` is what surely fits the
    drive's buffer as one packet: only inside such a packet are addresses
    certain. ``link_blocks`` are lost behind every packet.
    """

    # -- the first track ---------------------------------------------------------------

    def reserve_track(self, blocks: int) -> None:
        """Keep the session's first blocks free, to be filled when it is closed; packets
        go behind them meanwhile, and next_writable says where.

        Only while nothing is written in the session (MediaUsageError). Raises
        MediumFullError, CommandRefusedError, ReadOnlyMediumError.
        """
        self._check_no_packet("a reservation")
        with self._turns:
            self._check_writable()
            if self.session_open or self.first_track is not None:
                raise errors.MediaUsageError(
                    "A track can be reserved only before anything else in its session."
                )
            self._insist(
                lambda: self.drive.reserve_track(blocks), lambda: self._layout.first is not None
            )
            if self._layout.first is None:
                raise errors.DriveFailedError(name=self.name, why="it has reserved no track")

    def fill_first_track(self, data: Buffer) -> None:
        """Write ``data``, as much as is free there, to the first track as one packet.

        A damaged track is mended first; one that the drive will not write to after
        that is closed: then nothing was written, and ``first_track`` is complete.
        Errors as of :meth:`write` and :meth:`flush`; after AddressMovedError and
        PacketLostError ``first_track`` says what can still be done.
        """
        view = whole_blocks(data)
        self._check_no_packet("filling the first track")
        with self._turns:
            self._check_writable()
            self._fill_first_track(view)

    def _fill_first_track(self, view: memoryview) -> None:
        first = self._layout.first
        if first is None or first.complete:
            raise errors.MediaUsageError("There is no first track that could be filled.")
        if first.damaged:
            first = self._mend_first_track(first)
            if first.complete:
                return
            if first.free * BLOCK != view.nbytes:
                raise errors.AddressMovedError(next_writable=first.next_writable)
        if first.free * BLOCK != view.nbytes:
            raise errors.MediaBug(what=f"{view.nbytes} bytes for {first.free} blocks")
        self._write_first_track(first, view)

    def _write_first_track(self, first: FirstTrack, view: memoryview) -> None:
        try:
            first_tracks.fill(self.drive, first, view)
        except errors.MediaError as error:
            self._first_track_failed(first, error)
        self._layout = self._look()

    def _mend_first_track(self, first: FirstTrack) -> FirstTrack:
        def mend() -> None:
            if first_tracks.mend(self.drive, first.number):
                self._mended.add(first.number)

        self._insist(mend, lambda: False)
        found = self._layout.first
        if found is None or found.damaged:
            raise errors.DriveFailedError(name=self.name, why="it could not mend a torn packet")
        return found

    def _first_track_failed(self, first: FirstTrack, error: errors.MediaError) -> NoReturn:
        """After an error: end the packet, ask how the track stands, and mend it."""
        self._note(error)
        self._settle()
        self._look_again()
        lost = isinstance(error, errors.PacketLostError | errors.DriveResetError)
        moved = isinstance(error, errors.AddressMovedError)
        if not (lost or moved):
            raise error
        self._check_present()
        found = self._layout.first or first
        # Refused at an address that the drive still names: it may be torn there.
        if found.damaged or (moved and found.next_writable == first.next_writable):
            found = self._mend_first_track(found)
        kind = errors.AddressMovedError if moved else errors.PacketLostError
        raise kind(next_writable=found.next_writable, sense=error.sense) from error

    def _look_again(self) -> None:
        """After an error, which is the one to tell: another one is noted only."""
        if self._gone is None:
            try:
                self._layout = self._look()
            except errors.MediaError as error:
                self._note(error)

    def _complete_first_track(self) -> None:
        """Zeros for what is free of it, before the session is closed.

        Where that fails again and again, let the drive see what it can do.
        """
        left = ATTEMPTS
        while left and (first := self._layout.first) is not None and not first.complete:
            try:
                if first.damaged:
                    self._mend_first_track(first)
                    continue
                count = min(first.free, self.packet_limit)
                self._write_first_track(first, memoryview(bytes(count * BLOCK)))
            except (
                errors.AddressMovedError,
                errors.PacketLostError,
                errors.MediumFullError,
                errors.DriveFailedError,
            ) as error:
                self.drive.log(f"filling track {first.number}: {error}")
                left -= 1

    # -- the end of a session -----------------------------------------------------------

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
            self._complete_first_track()
            mode = pages.FINAL if final else pages.APPENDABLE
            try:
                self._close_tracks_and_session(mode, progress)
            except errors.CommandRefusedError as error:
                first = self._layout.first
                if first is None or error.sense is None or error.sense[:2] != _INCOMPLETE:
                    raise
                # A drive that has not said how its first track stands
                self._mend_first_track(first)
                self._complete_first_track()
                self._close_tracks_and_session(mode, progress)
            if self._layout.appendable and not final:
                self.drive.set_up_writing()

    def _close_tracks_and_session(self, mode: int, progress: Progress | None) -> None:
        self._insist(
            lambda: self._close_session(mode, progress), lambda: not self._layout.session_open
        )

    def _close_session(self, multi_session: int, progress: Progress | None) -> None:
        """Track, then session."""
        self.drive.set_up_writing(multi_session=multi_session)
        first = self._layout.first
        if first is not None and (first.reserved or first.full):
            first_tracks.close(self.drive, first.number)
        track = self.drive.track()
        # The address may lag behind, the Blank bit may be missing: either will do.
        if not track.blank or (track.next_writable or 0) > track.start:
            self.drive.close_track(replies.INVISIBLE_TRACK)
        self.drive.close_session(progress)
        if progress is not None:
            progress(1.0)
