"""The first track of a session where another one follows it: most of all a reserved one.

RESERVE TRACK (MMC-6 6.31) keeps the blocks at a session's start free for what is only
known when the session is closed. Packets go to the track behind it meanwhile. Here is
how such a track is filled, mended and closed; whose turn it is at the drive and what
the disc looks like afterwards is the store's business.
"""

from __future__ import annotations

from media import errors
from media.drive import BLOCK, Drive
from media.layout import FirstTrack, first_track

#: Looks at an address that the drive has not brought up to date, and the seconds
#: between two of them
_STALE_LOOKS = 5
_STALE_PAUSE = 0.1


def look(drive: Drive, number: int) -> FirstTrack:
    """Ask the drive anew."""
    return first_track(drive.track(number))


def fill(drive: Drive, first: FirstTrack, data: memoryview) -> None:
    """Write ``data`` at the next writable address as one packet, and see that it is there:
    by the next writable address or, as that is gone when the track is full, by its end.

    Raises as :meth:`media.drive.Drive.write` and ``synchronize`` do; PacketLostError
    also where the drive has dropped its buffer without a word.
    """
    doubts = drive.doubts
    drive.write(first.next_writable, data)
    drive.synchronize()
    if drive.doubts != doubts:
        raise errors.DriveResetError(name=drive.name)
    end = first.next_writable + len(data) // BLOCK
    found = _settled(drive, first, end)
    dropped = not found.complete and found.next_writable < end
    if dropped or not readable(drive, end - 1):
        raise errors.PacketLostError(next_writable=found.next_writable)


def _settled(drive: Drive, first: FirstTrack, end: int) -> FirstTrack:
    """The track, looked at again while the drive still names an address before ``end``."""
    found = look(drive, first.number)
    for _ in range(_STALE_LOOKS):
        if found.damaged or found.complete or found.next_writable >= end:
            break
        drive.pause(_STALE_PAUSE)
        found = look(drive, first.number)
    return found


def mend(drive: Drive, number: int) -> bool:
    """REPAIR TRACK. Some drives can write to the track again after that; where this one
    cannot, the track is closed (then True)."""
    try:
        drive.repair_track(number)
    except (errors.CommandRefusedError, errors.WrongMediumError) as error:
        drive.log(f"repair of track {number}: {error}")
    found = look(drive, number)
    if found.damaged or found.complete:
        close(drive, number)
        return True
    return False


def close(drive: Drive, number: int) -> None:
    """CLOSE TRACK by its number. Drives close a full one by themselves, and some refuse
    to do it again: whether the track is closed, CLOSE SESSION will say."""
    try:
        drive.close_track(number)
    except (errors.CommandRefusedError, errors.WrongMediumError) as error:
        drive.log(f"closing of track {number}: {error}")


def readable(drive: Drive, block: int) -> bool:
    """Whether a block can be read."""
    try:
        drive.read(block, 1)
    except errors.UnreadableBlockError:
        return False
    return True
