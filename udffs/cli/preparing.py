"""Making a disc ready for a volume: the format it gets, how long that takes, and
what is on it that would be lost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from udffs.cli.opening import NO_STATE, NewVolume, check_recording, format_store, free_blocks
from udffs.errors import AlreadyFormattedError, DiscError, FormatModeError
from udffs.settings import DriveSettings, Settings

if TYPE_CHECKING:
    from media.drive import Drive
    from media.store import BlockStore

log = logging.getLogger("udffs.disc")

PACKET, SEQUENTIAL, MRW = "packet", "sequential", "mrw"
MODES = (PACKET, SEQUENTIAL, MRW)

#: What each is, in words that follow "formatted".
IN_WORDS = {
    PACKET: "in fixed packets of 32 blocks",
    SEQUENTIAL: "for writing from its beginning to its end",
    MRW: "as a Mt. Rainier disc",
}

#: Writing all of a disc once more and reading it, in parts of the time that formatting takes.
CHECKING = 1.25

#: Blocks in which a disc has something if anybody put anything on it: where file
#: systems begin, and around the anchor of UDF (ECMA-167 3/8.4.2.1).
LOOKED_AT = (range(64), range(256, 288))


class Held(NamedTuple):
    """What a disc holds. ``label`` None: it is no UDF volume, but ``what`` says."""

    label: str | None
    what: str
    unsaved: Path | None = None

    @property
    def error(self) -> AlreadyFormattedError:
        """Why it is not formatted without --force."""
        if self.label is not None:
            return AlreadyFormattedError(
                f'There is a volume on this disc already, "{self.label}"; --force formats the '
                "disc again, and all that is on it is lost."
            )
        return AlreadyFormattedError(
            f"There is something on this disc already ({self.what}); --force formats it all "
            "the same, and that is lost."
        )


def writing_drive(settings: Settings, drive: str, speed: int | None = None) -> Drive:
    """A drive whose disc is to be formatted, erased or burnt, with nothing mounted.

    Raises RecordingDisabledError, NoMediumError and what the drive raises."""
    from media import errors
    from udffs.cli import reaching

    check_recording(settings, drive)
    try:
        chosen = speed or settings.for_drive(drive).speed or None
        burner = reaching.open_drive(drive, speed=chosen)
    except errors.NotADiscImageError:
        reaching.open_block_store(drive, writable=False).close()
        raise errors.ReadOnlyMediumError(why=NO_STATE.format(drive=drive)) from None
    try:
        if burner.disc().status == "none":
            raise errors.NoMediumError(name=drive)
    except BaseException:
        burner.close()
        raise
    return burner


def default_mode(drive: Drive) -> str:
    """The format that a disc gets if nobody says: the one it has; else what the
    disc and the drive can do best."""
    disc = drive.disc()
    if not disc.erasable:
        return SEQUENTIAL
    if disc.formatted:
        return MRW if disc.mrw else PACKET
    return MRW if drive.info.writes_mrw else PACKET


def check_mode(drive: Drive, mode: str) -> None:
    """Raises FormatModeError for a mode that this disc or this drive cannot do."""
    disc = drive.disc()
    if not disc.erasable and mode != SEQUENTIAL:
        raise FormatModeError(
            why=f"a {disc.kind} is written once, so only {SEQUENTIAL} is possible; {mode} is "
            "for CD-RW"
        )
    if mode == MRW and not drive.info.writes_mrw:
        raise FormatModeError(why="this drive does not know Mt. Rainier; packet is possible")


def wish(asked: bool | None, settings: DriveSettings) -> bool | None:
    """Whether a new volume is to have the place of an ISO 9660 view: as the command
    says, else as the settings say. None: if the disc can have one."""
    if asked is None:
        return None if settings.bridge else False
    return asked


def has_bridge(mode: str, wish: bool | None) -> bool:
    """Whether a new volume gets that place. Raises FormatModeError if it must have
    one and cannot."""
    if mode == SEQUENTIAL:
        return wish is not False
    if wish:
        raise FormatModeError(
            why=f"a disc formatted {IN_WORDS[mode]} has no ISO 9660 view (--bridge): its files "
            f"may move at any time; --mode {SEQUENTIAL} makes a disc that can have one"
        )
    return False


def held(store: BlockStore, spool: Path | None = None) -> Held | None:
    """What would be lost with a disc; None if there is nothing on it. ``spool``:
    where to look for unsaved data of it."""
    from media.errors import MediaError
    from udffs.commit.spool import unsaved
    from udffs.errors import BlankDiscError
    from udffs.volume import open_volume

    if getattr(store, "blank", False):
        return None
    try:
        volume = open_volume(store)
    except BlankDiscError:
        return None
    except MediaError as error:
        return Held(None, str(error))
    except DiscError as error:
        return Held(None, str(error)) if store.kind != "rewritable" or _marked(store) else None
    left = None if spool is None else unsaved(spool, volume.identity)
    return Held(volume.label, "a UDF volume", left)


def held_in(drive: Drive, spool: Path) -> Held | None:
    """The same of the disc in a drive."""
    from media.errors import MediaError
    from media.store import open_store

    try:
        store = open_store(drive, writable=False)
    except MediaError as error:
        return Held(None, str(error))
    return held(store, spool)


def _marked(store: BlockStore) -> bool:
    """Whether there is anything where file systems begin. What cannot be read counts."""
    from media.errors import MediaError

    for blocks in LOOKED_AT:
        try:
            if any(store.read(blocks.start, len(blocks))):
                return True
        except MediaError:
            return True
    return False


class Work(NamedTuple):
    """A format that is going to be made. ``blocks`` the disc will have then,
    ``seconds`` it takes (None: not worth telling); ``erases``: what was there is
    lost."""

    mode: str
    full: bool
    blocks: int
    seconds: float | None
    erases: bool


def plan(drive: Drive, mode: str, *, full: bool) -> Work:
    """What formatting will give and take. Raises FormatModeError."""
    disc = drive.disc()
    check_mode(drive, mode)
    if not disc.erasable:
        if full:
            raise FormatModeError(why=f"there is no full format for a {disc.kind}; it needs none")
        return Work(mode, full, disc.last_possible_lead_out or 0, None, False)
    from media import formatting

    blocks = formatting.formatted_capacity(drive, mode)
    seconds = formatting.expected_seconds(drive, mode, full=full)
    if full and mode == PACKET and seconds is not None:
        seconds *= 1 + CHECKING
    return Work(mode, full, blocks, seconds, True)


class Made(NamedTuple):
    """A disc that was formatted, open. ``free`` blocks for files; ``bad``: first
    blocks of the packets that cannot be used, None if nobody looked."""

    store: BlockStore
    label: str
    free: int
    bad: tuple[int, ...] | None = None


def carry_out(
    drive: Drive,
    work: Work,
    volume: NewVolume,
    phase: Callable[[str], Callable[[float], None]],
) -> Made:
    """Formats a disc, and puts an empty volume on it.

    ``phase`` is told what begins, and returns who hears how far it is."""
    from media.store import RewritableStore, open_store

    # Before the time that formatting takes.
    volume = volume.checked()._replace(bridge=has_bridge(work.mode, volume.bridge))
    if work.erases:
        from media import formatting

        formatting.format_medium(
            drive, work.mode, full=work.full, progress=phase("Formatting the disc")
        )
        volume = volume._replace(force=True)
    store = open_store(drive)
    bad: tuple[int, ...] | None = None
    if work.full and isinstance(store, RewritableStore) and not store.spares_by_itself:
        from media import formatting

        bad = tuple(formatting.check_surface(store, phase("Checking the surface")))
        log.info("%s: %d bad packets", drive.name, len(bad))
    begun = phase("Writing the empty volume")
    label = format_store(store, volume._replace(bad=bad or ()), begun)
    return Made(store, label, free_blocks(store), bad)


def prepare_blank(drive: Drive, volume: NewVolume, progress: Callable[[float], None]) -> BlockStore:
    """For a mount that formats blank discs: a disc that holds nothing gets the
    default format. Returns the store of the disc, whatever it holds."""
    from media.store import open_store

    store = open_store(drive)
    if held(store) is not None:
        return store
    work = plan(drive, default_mode(drive), full=False)
    return carry_out(drive, work, volume, lambda _what: progress).store
