"""Recording in one go: a track at once, or a session at once from its cue sheet.

There are no packets and no links. The state of the medium says what was begun
before any data is stored, so that a kill in the middle is known afterwards:
the track is torn then, and a session at once is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from media.mmc.address import PREGAP
from media.mmc.cue_sheet import CueSheetEntry
from media.virtual import refusal
from media.virtual.clock import LEAD_IN_BLOCKS
from media.virtual.cue_sheet import Cue, read_cue_sheet
from media.virtual.medium import LAST_TRACK_NUMBER, RUN_OUT_BLOCKS, Track
from media.virtual.refusal import Refusal
from media.virtual.storage import BLOCK, Buffer

if TYPE_CHECKING:
    from media.virtual.recorder import Recorder

#: Bytes: lead-in, lead-out, and each track with its pre-gap
LONGEST_CUE_SHEET = CueSheetEntry.sizeof() * (2 * LAST_TRACK_NUMBER + 2)


@dataclass(slots=True)
class Recording:
    """What is being recorded: data from ``start`` on, of at most up to ``limit``;
    ``end`` is the next block. ``cue`` is None for a track at once; ``test``:
    everything is taken and nothing is recorded."""

    number: int
    start: int
    end: int
    limit: int
    xa: bool
    test: bool
    cue: Cue | None


class AtOnce:
    """What a recorder can besides packets."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._recording: Recording | None = None
        self._cue: Cue | None = None

    # -- questions ----------------------------------------------------------------

    @property
    def records(self) -> bool:
        """Whether something is being recorded, and not only tried."""
        return self._recording is not None and not self._recording.test

    @property
    def end(self) -> int:
        """The block behind what is being recorded."""
        return 0 if self._recording is None else max(self._recording.start, self._recording.end)

    def next_writable(self, track: Track) -> int | None:
        """Of the invisible track, with page 05h set for this; a session at once
        begins with the pre-gap."""
        if self._recording is not None:
            return self._recording.end
        if not track.writable:
            return None
        session = self._recorder.settings.session_at_once and not track.written
        return track.start - PREGAP if session else track.next

    def just_closed(self, track: Track) -> bool:
        """Whether closing this (invisible) track is about the track at once before it,
        which SYNCHRONIZE CACHE has closed already."""
        tracks = self._recorder.medium.tracks
        if track is not tracks[-1] or track.written or len(tracks) < 2:
            return False
        return tracks[-2].at_once and tracks[-2].session == track.session

    def check_idle(self) -> None:
        """Refuse while something is being recorded."""
        if self._recording is not None:
            raise Refusal(refusal.COMMAND_SEQUENCE_ERROR)

    def check_complete(self) -> None:
        """Refuse to end a session at once that has less data than its cue sheet says."""
        recording = self._recording
        if recording is not None and recording.cue and recording.end < recording.limit:
            raise Refusal(refusal.COMMAND_SEQUENCE_ERROR)

    # -- writing --------------------------------------------------------------------

    def take_cue_sheet(self, data: bytes) -> None:
        """SEND CUE SHEET: what the next session will be."""
        recorder = self._recorder
        recorder.end_packet()
        self._cue = None
        if not recorder.settings.session_at_once:
            raise Refusal(refusal.COMMAND_SEQUENCE_ERROR)
        track = self._empty_track()
        if track is not recorder.medium.session_tracks(track.session)[0]:
            raise Refusal(refusal.COMMAND_SEQUENCE_ERROR)
        limit = recorder.medium.kind.lead_out
        self._cue = read_cue_sheet(data, track.number, track.start, limit)

    def _empty_track(self) -> Track:
        """The invisible track, which must have nothing in it."""
        medium = self._recorder.medium
        if medium.area is not None:
            raise Refusal(refusal.INCOMPATIBLE_FORMAT)
        if medium.spoiled:
            raise Refusal(refusal.MEDIUM_FORMAT_CORRUPTED)
        track = medium.invisible
        if track is None:
            raise Refusal(refusal.WRITE_PROTECTED)
        if not track.writable:
            raise Refusal(refusal.INVALID_ADDRESS_FOR_WRITE)
        if track.written:
            raise Refusal(refusal.ILLEGAL_MODE_FOR_TRACK)
        return track

    def write(self, block: int, count: int, data: Buffer) -> None:
        """Take ``count`` blocks. Addresses before block 0, in the pre-gap, come as
        the two's complement that they are."""
        if block >= 1 << 31:
            block -= 1 << 32
        recording = self._recording or self._begin(block)
        if block != recording.end:
            raise Refusal(refusal.INVALID_ADDRESS_FOR_WRITE)
        if recording.end == recording.limit:
            raise Refusal(refusal.END_OF_USER_AREA)
        if block + count > recording.limit:
            raise Refusal(refusal.PACKET_DOES_NOT_FIT)
        if self._recording is None:
            self._start(recording)
        self._store(recording, count, data)
        recording.end += count
        self._recorder.clock.burn(count)
        self._fail_as_asked(recording, count)

    def _begin(self, block: int) -> Recording:
        recorder = self._recorder
        track = self._empty_track()
        settings, cue = recorder.settings, self._cue
        if settings.session_at_once and cue is None:
            raise Refusal(refusal.COMMAND_SEQUENCE_ERROR)
        start, limit = (cue.tracks[0], cue.end) if cue else (track.start, track.limit)
        if block >= recorder.medium.kind.lead_out:
            raise Refusal(refusal.ADDRESS_OUT_OF_RANGE)
        return Recording(
            number=recorder.packets + 1,
            start=start,
            end=start - PREGAP if cue else start,
            limit=limit,
            xa=settings.xa and cue is None,
            test=settings.test,
            cue=cue,
        )

    def _start(self, recording: Recording) -> None:
        recorder = self._recorder
        recorder.end_packet()
        self._recording = recording
        recorder.packets += 1
        recorder.clock.begin_packet(max(0, recording.end))
        cue = recording.cue
        if cue is not None:
            recorder.clock.burn_lead(LEAD_IN_BLOCKS)
        if recording.test:
            return
        if cue is None:
            recorder.record({"e": "begin-track", "s": recording.start, "xa": recording.xa})
        else:
            final = not recorder.settings.another_session
            event = {"e": "begin-session", "tracks": list(cue.tracks), "end": cue.end}
            recorder.record(event | {"final": final})

    def _store(self, recording: Recording, count: int, data: Buffer) -> None:
        """To the image, but for the pre-gap, which cannot be read."""
        skip = min(count, max(0, recording.start - recording.end))
        if recording.test or skip == count:
            return
        try:
            rest = memoryview(data)[skip * BLOCK :] if skip else data
            self._recorder.storage.write(recording.end + skip, rest)
        except OSError:
            self._forget(recording, recording.end)
            raise

    def _forget(self, recording: Recording, start: int) -> None:
        """Take what never reached the disc off the image again."""
        if not recording.test:
            end = self._recorder.medium.end
            self._recorder.storage.truncate(start if start > recording.start else end)

    # -- the end ----------------------------------------------------------------------

    def finish(self) -> None:
        """Burn what the buffer holds, and what ends the track or the session. A session
        that is not complete is lost."""
        recording, self._cue = self._recording, None
        if recording is None:
            return
        recorder = self._recorder
        if recorder.faults.write_errors.get(recording.number) == "sync":
            self._break(recording, max(recording.start, recording.end - 1))
        self._recording = None
        if recording.cue is None:
            recorder.clock.end_packet(RUN_OUT_BLOCKS)
            recorder.clock.note_track()
            if not recording.test:
                recorder.record({"e": "track", "n": recording.end - recording.start})
        elif recording.end < recording.limit:
            self._lose_session(recording)
        else:
            recorder.clock.burn_lead_out(len(recorder.medium.sessions) == 1)
            if not recording.test:
                recorder.record({"e": "session"})

    def _lose_session(self, recording: Recording) -> None:
        if not recording.test:
            self._recorder.record({"e": "lose-session"})
            self._forget(recording, recording.start)

    def _torn(self, recording: Recording, end: int, *, lost: int = 0) -> None:
        """The recording ends at a block, for good."""
        self._recording = self._cue = None
        if recording.test:
            return
        if recording.cue is not None:
            self._lose_session(recording)
            return
        self._forget(recording, end)
        count = end - recording.start
        self._recorder.record({"e": "track", "n": count, "lost": lost, "torn": True})

    def _break(self, recording: Recording, bad: int) -> None:
        """The laser failed at a block."""
        self._torn(recording, bad, lost=1)
        raise Refusal(refusal.WRITE_ERROR, block=bad)

    def _fail_as_asked(self, recording: Recording, count: int) -> None:
        faults = self._recorder.faults
        if faults.write_errors.get(recording.number) == "write":
            chance = faults.chance(("write error", recording.start, recording.end))
            self._break(recording, recording.end - count + chance.randrange(count))

    def break_off(self) -> None:
        """Nobody feeds the drive any more: an underrun, unless a session is complete."""
        recording = self._recording
        if recording is None:
            return
        if recording.cue is not None and recording.end == recording.limit:
            self.finish()
        else:
            self._torn(recording, recording.end)

    def tear(self) -> None:
        """The power goes: what is in the buffer is lost."""
        recording = self._recording
        if recording is None:
            self._cue = None
            return
        first = max(recording.start, recording.end - self._recorder.clock.buffer_blocks)
        chance = self._recorder.faults.chance(("cut", recording.start, recording.end))
        self._torn(recording, chance.randint(min(first, recording.end), recording.end))

    def recover(self, blocks: int) -> None:
        """After a kill: what the state says was begun, with so many blocks in the image."""
        recorder = self._recorder
        begun = recorder.medium.recording
        if begun is None:
            return
        if begun["e"] == "begin-track":
            limit = recorder.medium.tracks[-1].limit
            count = max(0, min(blocks, limit) - begun["s"])
            recorder.record({"e": "track", "n": count, "torn": True})
        else:
            recorder.record({"e": "session" if blocks >= begun["end"] else "lose-session"})

    def copy(self, other: AtOnce) -> None:
        """Be as another one is."""
        self._cue = other._cue
        self._recording = other._recording and replace(other._recording)
