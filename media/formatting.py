"""Formatting and erasing rewritable discs, and looking for bad packets afterwards.

A CD-RW is used in one of three modes: "packet", fixed packets of 32 blocks that
can be written again anywhere; "mrw", Mt. Rainier, where the drive puts bad packets
out of the way by itself; "sequential", as if it were a CD-R, blanked when it is
full. All sizes count blocks of 2,048 bytes.
"""

from __future__ import annotations

from media import errors
from media.drive import ALL_BLOCKS, BLOCK, Drive, Progress
from media.mmc import replies
from media.mmc.address import PREGAP
from media.packets import PACKET
from media.rewritable import RewritableStore
from media.state import DiscState

__all__ = [
    "MODES",
    "MRW",
    "PACKET_MODE",
    "SEQUENTIAL",
    "check_surface",
    "erase_medium",
    "expected_seconds",
    "format_medium",
    "formatted_capacity",
    "modes",
]

PACKET_MODE, SEQUENTIAL, MRW = "packet", "sequential", "mrw"
MODES = (PACKET_MODE, SEQUENTIAL, MRW)

#: Blocks of the groove that a fixed packet takes with its links
_PACKET_SPAN = 39
#: Of the packets of a Mt. Rainier disc so many of so many are for data
_MRW_DATA, _MRW_ALL = 136, 144
#: Blocks of lead-in and lead-out, which are recorded too, and seconds for the tables
_LEADS, _TABLES = 4_500 + 6_750, 1.5
#: Seconds: blanking the tables alone; the beginning of a Mt. Rainier format
_QUICK_BLANK, _MRW_BEGINNING = 60.0, 40.0
#: Blocks before the lead-out in which nothing can be recorded
_RUN_OUT = 2
#: Packets that are written and read back at a time
_STRETCH = 128


def modes(drive: Drive) -> tuple[str, ...]:
    """What the disc in this drive can be formatted as: none if it cannot be erased."""
    if not drive.disc().erasable or not drive.info.writes_cd_rw:
        return ()
    return MODES if drive.info.writes_mrw else (PACKET_MODE, SEQUENTIAL)


# -- before ------------------------------------------------------------------------


def formatted_capacity(drive: Drive, mode: str) -> int:
    """Blocks that the disc will have. Raises what :func:`format_medium` raises first."""
    disc = _check(drive, mode)
    if mode == SEQUENTIAL:
        return _sequential_capacity(drive, disc)
    capacities = drive.format_capacities()
    if mode == MRW:
        found = capacities.find(replies.FORMAT_MRW)
        whole = _packets(disc) * _MRW_DATA // _MRW_ALL
    else:
        found = capacities.find(replies.FORMAT_CD_RW, PACKET)
        whole = _packets(disc)
    if found is not None and 0 < found.blocks < ALL_BLOCKS:
        return found.blocks // PACKET * PACKET
    return whole * PACKET


def _sequential_capacity(drive: Drive, disc: DiscState) -> int:
    if disc.status == "blank":
        return drive.track().free
    return max((disc.last_possible_lead_out or 0) - _RUN_OUT, 0)


def _packets(disc: DiscState) -> int:
    """Fixed packets on the whole disc: floor((L - 152 + 7) / 39), L the last possible
    lead-out in frames from the beginning of the first pre-gap."""
    frames = (disc.last_possible_lead_out or 0) + PREGAP
    return max((frames - PREGAP - 2 + _PACKET_SPAN - PACKET) // _PACKET_SPAN, 0)


def expected_seconds(drive: Drive, mode: str, *, full: bool) -> float | None:
    """How long formatting will take; None where the drive does not tell its speed.

    Fixed packets are recorded all over the disc, there is no quicker way. A Mt.
    Rainier disc can be used after a minute; the rest goes on in the background.
    """
    disc = _check(drive, mode)
    if not full and _is_formatted(disc, mode):
        return 0.0
    if mode == MRW:
        return _MRW_BEGINNING
    if mode == SEQUENTIAL and not full:
        return _QUICK_BLANK
    speed = drive.blocks_per_second
    if not speed:
        return None
    if mode == SEQUENTIAL:
        blocks = disc.last_possible_lead_out or 0
    else:
        blocks = formatted_capacity(drive, mode) // PACKET * _PACKET_SPAN
    return _TABLES + (_LEADS + blocks) / speed


# -- doing it ------------------------------------------------------------------------


def format_medium(drive: Drive, mode: str, *, full: bool, progress: Progress | None = None) -> None:
    """Make the disc ready for ``mode``: only what is needed, or with ``full`` anew.

    Raises WriteOnceDiscError, NoMountRainierError, RecordingRefused or NoMediumError
    before anything is lost, and FormatFailedError.
    """
    disc = _check(drive, mode)
    if not full and _is_formatted(disc, mode):
        if disc.background_format_suspended:
            drive.restart_background_format()
        return
    if mode == SEQUENTIAL:
        _blank(drive, disc, full, progress)
        return
    _stop_background(drive, disc)
    capacity = formatted_capacity(drive, mode)
    drive.forget_write_parameters()
    try:
        _format(drive, mode, capacity, progress)
    except (errors.CommandRefusedError, errors.WrongMediumError) as error:
        if disc.status == "blank":
            raise
        drive.log(f"{error}; blanking the disc first")
        drive.blank(full=False)
        _format(drive, mode, capacity, progress)
    if not _is_formatted(drive.disc(), mode):
        raise errors.FormatFailedError(why="the drive does not find the format on it")


def _format(drive: Drive, mode: str, capacity: int, progress: Progress | None) -> None:
    if mode == MRW:
        drive.format_unit(replies.FORMAT_MRW, ALL_BLOCKS, 0, progress=progress)
    else:
        drive.set_up_fixed_packets(PACKET)
        drive.format_unit(replies.FORMAT_CD_RW, capacity, PACKET, progress=progress)


def erase_medium(drive: Drive, *, full: bool, progress: Progress | None = None) -> None:
    """Blank the disc: so that it counts as blank, or with ``full`` every block of it.
    Raises what :func:`format_medium` raises."""
    _blank(drive, _check(drive, SEQUENTIAL), full, progress)


def _blank(drive: Drive, disc: DiscState, full: bool, progress: Progress | None) -> None:
    _stop_background(drive, disc)
    drive.forget_write_parameters()
    drive.blank(full=full, progress=progress)
    if drive.disc().status != "blank":
        raise errors.FormatFailedError(what="erased", why="the drive still finds data on it")


def _stop_background(drive: Drive, disc: DiscState) -> None:
    if disc.background_format_running:
        drive.stop_background_format()


def _check(drive: Drive, mode: str) -> DiscState:
    """The disc, once it is clear that this can be done with it."""
    if mode not in MODES:
        raise errors.MediaBug(what=f"a format {mode!r}")
    disc = drive.disc()
    if disc.status == "none":
        raise errors.NoMediumError(name=drive.name)
    if not disc.erasable:
        raise errors.WriteOnceDiscError(kind=disc.kind)
    if not drive.info.writes_cd_rw:
        raise errors.RecordingRefused(name=drive.name, why="it does not write CD-RW")
    if mode == MRW and not drive.info.writes_mrw:
        raise errors.NoMountRainierError(name=drive.name)
    return disc


def _is_formatted(disc: DiscState, mode: str) -> bool:
    if mode == SEQUENTIAL:
        return disc.status == "blank"
    return disc.formatted and disc.mrw == (mode == MRW)


# -- afterwards ------------------------------------------------------------------------


def check_surface(store: RewritableStore, progress: Progress | None = None) -> list[int]:
    """Write every packet and read it back; the first blocks of those that fail.

    Only for a disc that holds nothing yet: what was on it is lost. Raises what
    RewritableStore.flush raises, except DefectivePacketError.
    """
    bad: list[int] = []
    before, store.verify = store.verify, True
    try:
        for start in range(0, store.capacity, _STRETCH * PACKET):
            end = min(start + _STRETCH * PACKET, store.capacity)
            bad += _check_stretch(store, start, end)
            if progress is not None:
                progress(end / store.capacity)
    finally:
        store.verify = before
        store.discard()
    return bad


def _check_stretch(store: RewritableStore, start: int, end: int) -> list[int]:
    bad: list[int] = []
    store.write(start, _pattern(start, end - start))
    while True:
        try:
            store.flush()
        except errors.DefectivePacketError as error:
            bad.append(error.block)
            store.forget(error.block)
        else:
            return sorted(bad)


def _pattern(block: int, count: int) -> bytes:
    """Each block holds its own number, so that one in the wrong place is noticed."""
    return b"".join(number.to_bytes(4) * (BLOCK // 4) for number in range(block, block + count))
