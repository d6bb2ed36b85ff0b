"""Everything that can go wrong above the drive, in words.

One tree: the caller's fault, the disc's fault, our bug. (What goes wrong
with a drive is a :class:`media.errors.MediaError`.) Each class's docstring is
its message, with ``{name}`` fields taken from the keyword arguments; those
with a POSIX meaning carry their ``errno``. The command line picks its exit
code by class.
"""

from __future__ import annotations

import errno
import inspect
from typing import Any


class UdffsError(Exception):
    """Something went wrong."""

    errno: int = errno.EIO

    def __init__(self, message: str = "", **fields: Any) -> None:
        self.fields = fields
        text = message or inspect.cleandoc(type(self).__doc__ or "").format(**fields)
        super().__init__(" ".join(text.split()))


class CallerError(UdffsError):
    """The request cannot be carried out as it was made."""

    errno = errno.EINVAL


class DiscError(UdffsError):
    """The disc does not hold what it should."""


class InternalError(UdffsError):
    """udffs made a mistake: {what}. Please report it."""


# -- the caller's fault ------------------------------------------------------


class NoSuchEntryError(CallerError):
    """No such file or directory: {name}"""

    errno = errno.ENOENT


class EntryExistsError(CallerError):
    """It exists already: {name}"""

    errno = errno.EEXIST


class NotDirectoryError(CallerError):
    """Not a directory: {name}"""

    errno = errno.ENOTDIR


class IsDirectoryError(CallerError):
    """It is a directory: {name}"""

    errno = errno.EISDIR


class DirectoryNotEmptyError(CallerError):
    """The directory is not empty: {name}"""

    errno = errno.ENOTEMPTY


class NameTooLongError(CallerError):
    """The name does not fit into the 254 bytes that UDF has for it: {name}"""

    errno = errno.ENAMETOOLONG


class InvalidNameError(CallerError):
    """Not a possible file name: {name}"""

    errno = errno.EINVAL


class InvalidOperationError(CallerError):
    """The operation makes no sense here: {what}"""

    errno = errno.EINVAL


class NotPermittedError(CallerError):
    """Not permitted: {what}"""

    errno = errno.EPERM


class TooManyLinksError(CallerError):
    """UDF counts at most 65,535 links: {name}"""

    errno = errno.EMLINK


class FileTooLargeError(CallerError):
    """The file would be larger than the disc: {name}"""

    errno = errno.EFBIG


class BadHandleError(CallerError):
    """No such open file: {handle}"""

    errno = errno.EBADF


class ReadOnlyError(CallerError):
    """The volume is read-only: {why}"""

    errno = errno.EROFS


class NoSpaceError(CallerError):
    """The disc is full: {needed} blocks are needed and {free} are free
    (room for closing the disc is always kept back)."""

    errno = errno.ENOSPC


class LabelError(CallerError):
    """The label does not fit: {why}"""


class AlreadyFormattedError(CallerError):
    """There is a volume on this disc already{label}; --force formats it
    again, and what is on it will no longer be seen."""

    errno = errno.EEXIST


class FormatModeError(CallerError):
    """The disc cannot be formatted like that: {why}."""


class NotErasableError(CallerError):
    """The disc in {drive} cannot be erased: {why}."""


class NotConfirmedError(CallerError):
    """Nothing was erased: {why}"""

    errno = errno.EPERM


class AlreadyClosedError(CallerError):
    """The disc is closed for good; nothing can be added to it."""

    errno = errno.EROFS


class MountPointError(CallerError):
    """Cannot mount there: {why}"""


class PlaceTakenError(CallerError):
    """Something else is mounted at {where} already."""

    errno = errno.EBUSY


class UnmountError(MountPointError):
    """{where} cannot be unmounted: {why}"""


class NotMountedError(CallerError):
    """{name} is not mounted."""


class DeadMountError(NotMountedError):
    """The process that served {where} was killed; the dead mount was cleared.
    What was not on the disc yet is kept: mount the disc again to save it."""


class AlreadyMountedError(CallerError):
    """{drive} is mounted at {where} already."""

    errno = errno.EBUSY


class MountBusyError(CallerError):
    """{where} is still in use{by}; nothing was unmounted."""

    errno = errno.EBUSY


class MountDiedError(InternalError):
    """The process that served {drive} ended without a word{how}; what was
    saved is on the disc or in the spool, and the next mount goes on from
    there. Its log is {log}."""


class RemoteError(UdffsError):
    """{message}"""

    def __init__(self, *, kind: str, message: str, code: int = errno.EIO) -> None:
        #: name of the error's class in the process that serves the mount
        self.kind = kind
        self.errno = code
        super().__init__(message)


class SettingsError(CallerError):
    """The settings file {path} cannot be used: {why}"""


class RecordingDisabledError(CallerError):
    """Recording on {drive} is switched off in the settings ({path})."""

    errno = errno.EROFS


class SpoolBusyError(CallerError):
    """Another mount of a disc with the same identity is using the spool
    {where}; a copy of a disc cannot be mounted beside it."""

    errno = errno.EBUSY


class SpoolFullError(CallerError):
    """The change cannot be recorded in the spool {where}: {why}"""

    errno = errno.ENOSPC


class StagedTwiceError(CallerError):
    """There is something else staged as {name} already{origin}; `udffs stage
    remove` takes it off the list, and --to puts this into another folder."""

    errno = errno.EEXIST


class NotStagedError(CallerError):
    """Nothing is staged under this name: {name}"""

    errno = errno.ENOENT


class StagedMissingError(CallerError):
    """What was staged is not there any more: {names}. Nothing was begun; `udffs
    stage add` of the same path stages it as it is now, `udffs stage remove` takes it
    off the list."""

    errno = errno.ENOENT


class StashFullError(CallerError):
    """The files cannot be copied into the stash {where}: {why}"""

    errno = errno.ENOSPC


class StagingBusyError(CallerError):
    """What is staged in {where} is being written to a disc; try again when that
    is done."""

    errno = errno.EBUSY


class StagingDamagedError(CallerError):
    """The list of what is staged, {where}, cannot be used: {why}"""


class NotBurnableError(CallerError):
    """The disc in {drive} cannot be burnt: {why}"""

    errno = errno.EROFS


class MissingDependencyError(CallerError):
    """{what} is missing: {how}"""


class UnreadableSourcesError(CallerError):
    """These cannot be read, so nothing was begun: {names}"""

    errno = errno.EACCES


class SourceChangedError(CallerError):
    """{name} was changed while it was being read ({why}); begin again."""

    errno = errno.EAGAIN


class NoHostSpaceError(CallerError):
    """There is no room in {where}: {needed} are needed and {free} are free."""

    errno = errno.ENOSPC


class TooManyDirectoriesError(CallerError):
    """ISO 9660 knows at most 65,535 directories, and there are {count}."""


class ImageTooLargeError(CallerError):
    """An image can hold at most {most} TB, and the files are larger."""

    errno = errno.EFBIG


# -- the disc's fault --------------------------------------------------------


class BlankDiscError(DiscError):
    """The disc is blank; `udffs format {drive}` prepares it."""


class NotUdfError(DiscError):
    """No UDF volume was found on this disc: {why}"""


class DamagedError(DiscError):
    """The disc is damaged: {what}"""


class StructureError(DamagedError):
    """A structure on the disc is not valid: {what}"""


class UnsupportedError(DiscError):
    """The disc uses something udffs does not know: {what}"""


class UnreadableFilesError(DiscError):
    """These cannot be read from the disc: {names}"""


class UnusableDiscError(DiscError):
    """The disc cannot be formatted: {why}."""


class SpareTableFullError(DiscError):
    """The disc is worn: the packet at block {block} cannot be written, and no
    spare one is left for it. What is on the disc can still be read."""

    errno = errno.EROFS


class NotSalvagedError(DiscError):
    """Another system has written to the disc, and the files that are in its log only
    could not be saved in {where} ({why}). They are still in the log."""


class NeighbourLostError(DiscError):
    """Block {block} of the disc cannot be read, and its packet must be written
    anew for the sake of its neighbours: it would be lost for good. Nothing was
    changed there; what was saved lately is safe in the disc's log."""


class SpoolMovedOnError(DiscError):
    """There is unsaved data for this disc in {where}, but the disc has been
    written to since; nothing was replayed and the data is kept there."""


class NotVerifiedError(DiscError):
    """The disc in {drive} does not read back as it was written: {what}."""


class DirectoryEntryError(StructureError):
    """A directory is damaged at byte {offset}: {what}"""

    @property
    def offset(self) -> int:
        """Bytes from the start of the directory's data."""
        return int(self.fields["offset"])
