"""How far a write-once disc is written: what the tables say, and a look at the disc
where they do not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from media import errors
from media.drive import Drive
from media.first_track import readable
from media.layout import FirstTrack, Layout, last_of, layout, track_end
from media.state import DiscState, Track

#: Blocks without data that may stand behind the last data block of a track, or between
#: two packets when one of them went wrong
RUN_OUT = 16


def survey(
    drive: Drive, links: int, disc: DiscState | None = None, mended: Collection[int] = ()
) -> Layout:
    """Ask the drive for everything. ``mended``: numbers of tracks for which nothing more
    can be done. Raises NoMediumError."""
    disc = disc or drive.disc()
    if disc.status == "none":
        raise errors.NoMediumError(name=drive.name)
    tracks = drive.tracks(disc)
    found = layout(disc, tracks, links)
    if found.first is not None:
        found = replace(found, first=_first(drive, found.first, mended))
    if found.last_certain:
        return found
    return replace(found, last_block=_last_block(drive, tracks, found, links))


def _first(drive: Drive, first: FirstTrack, mended: Collection[int]) -> FirstTrack:
    """A drive that never says "damaged" makes a torn track look like a closed one; but
    the end of that can be read."""
    if first.number in mended and first.next_writable < 0:
        return first._replace(damaged=False, complete=True)
    if first.complete and first.reserved and not first.full:
        end = first.start + first.blocks
        if not any(readable(drive, block) for block in range(end - 1, end - 1 - RUN_OUT, -1)):
            return first._replace(damaged=True, complete=False)
    return first


def _last_block(drive: Drive, tracks: Sequence[Track], found: Layout, links: int) -> int:
    """The last block of the last track with anything in it."""
    for track in reversed(tracks):
        torn = found.appendable and track.session == tracks[-1].session
        torn = torn and (track.damaged or (track is tracks[-1] and found.needs_repair))
        block, certain = last_of(track, links, torn=torn)
        if block >= 0 and not certain:
            block = _search_end(drive, track) if torn else _end_of_closed(drive, track)
        if block >= 0:
            return block
    return -1


def _end_of_closed(drive: Drive, track: Track) -> int:
    """Of a closed track: behind its last data block come run-out and links only, unless
    it was mended."""
    end = track_end(track)
    for candidate in range(end, max(end - RUN_OUT, track.start - 1), -1):
        if readable(drive, candidate):
            return candidate
    return _search_end(drive, track)


def _search_end(drive: Drive, track: Track) -> int:
    """The last readable block of a track whose end nobody knows; -1 if there is none.

    Halves the track: where not one of a few neighbouring blocks, more than
    links ever take, can be read, nothing was written.
    """
    low, high = track.start, track_end(track) + 1
    last = -1
    while low < high:
        middle = (low + high) // 2
        window = range(min(middle + RUN_OUT, high - 1), middle - 1, -1)
        found = next((block for block in window if readable(drive, block)), None)
        if found is None:
            high = middle
        else:
            last, low = found, found + 1
    return last
