"""Everything that can go wrong with a drive or a disc, in words.

One tree: the caller's fault, the disc's fault, the drive's fault, our bug.
Each class's docstring is its message, with ``{name}`` fields taken from the
keyword arguments (a class may give some of them a default). Every error
carries ``errno`` (POSIX) and ``sense``, the drive's answer behind it as (key,
additional code, qualifier) of SPC-4 4.5, or None where no drive was asked.
"""

from __future__ import annotations

import enum
import errno
import inspect
from typing import Any, ClassVar

#: Linux's "no medium found"; other systems have no such number.
ENOMEDIUM: int = getattr(errno, "ENOMEDIUM", errno.ENXIO)

SenseCode = tuple[int, int, int]


class MediaError(Exception):
    """Something went wrong with the drive."""

    errno: int = errno.EIO
    defaults: ClassVar[dict[str, Any]] = {}

    def __init__(self, message: str = "", *, sense: SenseCode | None = None, **fields: Any) -> None:
        self.sense = sense
        self.fields = {**self.defaults, **fields}
        text = message or inspect.cleandoc(type(self).__doc__ or "").format_map(self.fields)
        if sense is not None:
            text += " (sense {:X}/{:02X}/{:02X})".format(*sense)
        super().__init__(" ".join(text.split()))


class MediaUsageError(MediaError):
    """The drive cannot be used in this way."""

    errno = errno.EINVAL


class DiscFault(MediaError):  # noqa: N818
    """Something is wrong with the disc."""


class DriveFault(MediaError):  # noqa: N818
    """Something is wrong with the drive."""


class MediaBug(MediaError):  # noqa: N818
    """udffs made a mistake: {what}. Please report it."""


# -- the caller's fault ------------------------------------------------------


class NoSuchDriveError(MediaUsageError):
    """There is no such drive: {name}{hint}"""

    errno = errno.ENOENT
    defaults = {"hint": ""}


class NotADiscImageError(MediaUsageError):
    """{name} is not a disc image: {why}"""


class HostFileError(MediaUsageError):
    """Cannot {what} {name}: {why}"""


class DiscExistsError(MediaUsageError):
    """{name} exists already, and a new disc never overwrites anything."""

    errno = errno.EEXIST


class DriveForbiddenError(MediaUsageError):
    """{name} is not yours to use: {hint}"""

    errno = errno.EACCES
    defaults = {"name": "The drive", "hint": "the system forbids it"}


class DriveBusyError(MediaUsageError):
    """{name} is in use by {holder}."""

    errno = errno.EBUSY
    defaults = {"name": "The drive", "holder": "another program"}


class RecordingRefused(MediaUsageError):  # noqa: N818
    """Nothing can be recorded with {name}: {why}"""

    errno = errno.EROFS


# -- the disc's fault --------------------------------------------------------


class NoMediumError(DiscFault):
    """There is no disc in {name}."""

    errno = ENOMEDIUM
    defaults = {"name": "the drive"}


class MediumChangedError(DiscFault):
    """The disc in {name} was changed, or taken out and put in again."""

    errno = ENOMEDIUM
    defaults = {"name": "the drive"}


class WrongMediumError(DiscFault):
    """The drive cannot use this disc: {why}"""

    errno = errno.EMEDIUMTYPE if hasattr(errno, "EMEDIUMTYPE") else errno.EIO


class WriteOnceDiscError(WrongMediumError):
    """A {kind} can be written only once: it can be neither erased nor formatted."""

    defaults = {"kind": "disc of this kind"}


class NoMountRainierError(WrongMediumError):
    """{name} knows no Mt. Rainier (MRW): format the disc in packets instead."""

    defaults = {"name": "The drive"}


class FormatFailedError(DiscFault):
    """The disc could not be {what}: {why}"""

    defaults = {"what": "formatted"}


class ReadOnlyMediumError(DiscFault):
    """Nothing can be written to this disc: {why}"""

    errno = errno.EROFS
    defaults = {"why": "it is closed or write-protected"}


class MediumFullError(DiscFault):
    """The disc is full: there is no room for {blocks} more blocks."""

    errno = errno.ENOSPC
    defaults = {"blocks": "any"}


class UnreadableBlockError(DiscFault):
    """Block {block} of the disc cannot be read."""

    def __init__(self, message: str = "", *, block: int = -1, **fields: Any) -> None:
        self.block = block
        super().__init__(message, block=block, **fields)


class LinkBlockError(UnreadableBlockError):
    """Block {block} of the disc lies between packets and was never written."""


class AddressMovedError(DiscFault):
    """The drive wants the next block at {next_writable}: it has ended the
    packet, or written it already."""

    def __init__(self, message: str = "", *, next_writable: int, **fields: Any) -> None:
        self.next_writable = next_writable
        super().__init__(message, next_writable=next_writable, **fields)


class PacketLostError(DiscFault):
    """A packet could not be written to the disc; writing can go on at block
    {next_writable}."""

    def __init__(self, message: str = "", *, next_writable: int, **fields: Any) -> None:
        self.next_writable = next_writable
        super().__init__(message, next_writable=next_writable, **fields)


class DefectivePacketError(DiscFault):
    """The packet at block {block} of the disc cannot be written."""

    def __init__(self, message: str = "", *, block: int, **fields: Any) -> None:
        self.block = block
        super().__init__(message, block=block, **fields)


class Aftermath(enum.Enum):
    """What became of a disc that was not burned as it should have been, in words."""

    UNCHANGED = "The disc is as it was."
    CLOSED = (
        "What had been written is on the disc as a session of its own that is not complete; "
        "more can be written behind it."
    )
    UNUSABLE = "The disc cannot be written any more; a CD-RW can be erased."
    UNKNOWN = "What became of the disc is not known: look at it before it is used."


class BurnFailedError(DiscFault):
    """The disc was not burned: {why} {aftermath.value}"""

    def __init__(
        self, message: str = "", *, aftermath: Aftermath = Aftermath.UNKNOWN, **fields: Any
    ) -> None:
        self.aftermath = aftermath
        super().__init__(message, aftermath=aftermath, **fields)


class BurnStoppedError(BurnFailedError):
    """Burning was stopped. {aftermath.value}"""

    errno = errno.ECANCELED


class CalibrationError(DiscFault):
    """The drive cannot find the laser power for this disc; it can only be
    read from now on."""

    errno = errno.EROFS


class DamagedStateError(DiscFault):
    """The state of the virtual disc {name} is damaged: {why}"""

    defaults = {"name": ""}


# -- the drive's fault -------------------------------------------------------


class DriveFailedError(DriveFault):
    """{name} failed: {why}"""

    defaults = {"name": "The drive"}


class CommandRefusedError(DriveFailedError):
    """{name} refused the command {command}: {why}"""

    defaults = {"name": "The drive"}


class DriveTimeoutError(DriveFailedError):
    """{name} was not ready after {seconds} seconds: {why}"""

    errno = errno.ETIMEDOUT
    defaults = {"name": "The drive"}


class DriveSilentError(DriveTimeoutError):
    """{name} did not answer in time, and the command was given up: switch it off and on,
    or unplug it for a moment."""


class DriveGoneError(DriveFault):
    """{name} is not there any more: it was unplugged or switched off."""

    errno = errno.ENODEV
    defaults = {"name": "The drive"}


class DriveResetError(DriveFault):
    """{name} was reset, and what was in its buffer is lost."""

    defaults = {"name": "The drive"}
