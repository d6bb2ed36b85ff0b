"""The one table of exit codes: what the commands end with, by kind of error.

mount.udffs answers mount(8) with mount(8)'s own codes instead, by the second
table.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from media import errors as media
from udffs import errors as udffs

OK, INTERNAL, USAGE, FULL, HOST, INTERRUPTED = 0, 1, 2, 8, 15, 130


class Row(NamedTuple):
    """An exit code, what it means, and the classes of errors (with those
    derived from them, unless another row names these) that end in it."""

    code: int
    meaning: str
    classes: tuple[type[BaseException], ...] = ()


TABLE: tuple[Row, ...] = (
    Row(OK, "done"),
    Row(
        INTERNAL,
        "a mistake in udffs itself",
        (udffs.UdffsError, udffs.InternalError, media.MediaError, media.MediaBug),
    ),
    Row(
        USAGE,
        "wrong command line, wrong settings file, a label that does not fit, or something "
        "that this kind of disc or drive cannot do",
        (udffs.CallerError, media.MediaUsageError),
    ),
    Row(
        3,
        "no such drive, disc, mount or file",
        (
            media.NoSuchDriveError,
            udffs.NoSuchEntryError,
            udffs.NotMountedError,
            udffs.NotStagedError,
            udffs.StagedMissingError,
            FileNotFoundError,
        ),
    ),
    Row(
        4,
        "nothing usable on the disc: not a disc image, no UDF, or damaged",
        (
            media.NotADiscImageError,
            media.WrongMediumError,
            media.DamagedStateError,
            udffs.DiscError,
        ),
    ),
    Row(5, "the disc is blank", (udffs.BlankDiscError,)),
    Row(
        6,
        "it exists already (a volume, a virtual disc, a file)",
        (
            udffs.AlreadyFormattedError,
            udffs.EntryExistsError,
            udffs.StagedTwiceError,
            media.DiscExistsError,
        ),
    ),
    Row(
        7,
        "nothing can be written: closed, write-protected, or recording switched off",
        (
            udffs.ReadOnlyError,
            udffs.AlreadyClosedError,
            udffs.RecordingDisabledError,
            udffs.NotBurnableError,
            media.RecordingRefused,
            media.ReadOnlyMediumError,
            media.CalibrationError,
        ),
    ),
    Row(
        FULL,
        "the disc is full, or what is to go on it (`udffs fits`) does not fit",
        (udffs.NoSpaceError, media.MediumFullError),
    ),
    Row(
        9,
        "in use: the drive, the disc or the mount point",
        (
            media.DriveBusyError,
            udffs.AlreadyMountedError,
            udffs.MountBusyError,
            udffs.PlaceTakenError,
            udffs.SpoolBusyError,
            udffs.StagingBusyError,
        ),
    ),
    Row(10, "no disc, or it was removed", (media.NoMediumError, media.MediumChangedError)),
    Row(
        11,
        "the disc cannot be read or written at some place",
        (media.DiscFault, udffs.NotVerifiedError, udffs.UnreadableFilesError),
    ),
    Row(12, "the drive failed", (media.DriveFault,)),
    Row(13, "the mount point cannot be used", (udffs.MountPointError,)),
    Row(14, "something has to be installed first", (udffs.MissingDependencyError,)),
    Row(
        HOST,
        "the host's own file system refused something",
        (
            OSError,
            udffs.SpoolFullError,
            udffs.StashFullError,
            udffs.UnreadableSourcesError,
            udffs.SourceChangedError,
            udffs.NoHostSpaceError,
            media.HostFileError,
        ),
    ),
    Row(16, "not confirmed, so nothing was erased or burnt", (udffs.NotConfirmedError,)),
    Row(INTERRUPTED, "interrupted (Ctrl-C)", (KeyboardInterrupt, media.BurnStoppedError)),
)

#: mount(8), "EXIT STATUS": 1 usage or permissions, 2 system error, 4 our bug,
#: 8 interrupted, 32 mount failure; everything else is a mount failure.
MOUNT_FAILURE = 32
MOUNT_CODES = {OK: 0, INTERNAL: 4, USAGE: 1, 14: 2, HOST: 2, INTERRUPTED: 8}


def exit_code(error: BaseException) -> int:
    """The exit code for an error, by the nearest class in the table."""
    if isinstance(error, udffs.RemoteError):
        return _code_of(_known().get(error.kind, udffs.UdffsError))
    return _code_of(type(error))


def mount_exit_code(code: int) -> int:
    """The code that mount(8) wants in place of one of ours."""
    return MOUNT_CODES.get(code, MOUNT_FAILURE)


def text() -> str:
    """The table, one line a code."""
    return "\n".join(f"{row.code:>3}  {row.meaning}" for row in TABLE)


def _code_of(kind: type[BaseException]) -> int:
    rows = {known: row.code for row in TABLE for known in row.classes}
    return next((rows[known] for known in kind.__mro__ if known in rows), INTERNAL)


def _known() -> dict[str, type[BaseException]]:
    """Our classes and those of Python, by name: an error of another process
    arrives as a name."""
    roots = (udffs.UdffsError, media.MediaError, OSError, KeyboardInterrupt)
    return {kind.__name__: kind for root in roots for kind in (root, *_derived(root))}


def _derived(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    for derived in kind.__subclasses__():
        yield derived
        yield from _derived(derived)
