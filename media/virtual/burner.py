"""The virtual burner: an MMC drive that is driven by commands alone.

:meth:`Burner.execute` is the drive's only door for programs. The other methods
are the hands that a test or a person has on a drive: its plug, its button, the
disc in its tray.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import construct

from media.errors import DriveFailedError, MediaUsageError
from media.mmc import replies
from media.mmc.commands import READ10_FAST, WRITE10_FAST, Read10, Write10
from media.virtual import refusal
from media.virtual.clock import COMMAND, EJECT, LOAD, Clock
from media.virtual.commands import TABLE, Command
from media.virtual.faults import Faults
from media.virtual.medium import Medium
from media.virtual.modes import SPEED_UNIT, ModePages
from media.virtual.overwriter import suited
from media.virtual.recorder import Recorder
from media.virtual.refusal import Refusal
from media.virtual.storage import BLOCK, Buffer, MemoryStorage, PagedMemory

VENDOR, PRODUCT, REVISION = "UDFFS", "VIRTUAL BURNER", "0.1"
#: The usual size of a CD drive's buffer
BUFFER_BYTES = 2 * 1024 * 1024
READ_SPEED = 40.0

GOOD, CHECK_CONDITION = 0, 2
_WRITE_10, _WRITE_10_SIZE = Write10.parse(Write10.build({})).operation_code, Write10.sizeof()
_READ_10, _READ_10_SIZE = Read10.parse(Read10.build({})).operation_code, Read10.sizeof()

Answer = tuple[int, bytes, bytes]


@dataclass(slots=True)
class Operation:
    """An immediate operation: what the recorder will have done when it is over, how
    long that takes, how many polls of how many are left, and what they get."""

    action: str
    arguments: tuple[Any, ...]
    seconds: float
    code: refusal.SenseCode
    polls: int
    left: int


class Burner:
    """A drive with a disc in it. Made by :mod:`media.virtual.disc`."""

    def __init__(
        self,
        recorder: Recorder,
        *,
        serial: str,
        speed: float,
        writable: bool = True,
        name: str = "the virtual burner",
        on_close: Callable[[], None] | None = None,
    ) -> None:
        self.recorder = recorder
        self.faults: Faults = recorder.faults
        self.clock: Clock = recorder.clock
        self.serial = serial
        self.speed = speed
        self.writable = writable
        self.name = name
        kind = recorder.medium.kind
        #: What the drive can do besides CD-R: CD-RW, and Mt. Rainier
        self.rewriter, self.mrw = kind.erasable, kind.mrw
        self.modes = ModePages(speed, READ_SPEED, BUFFER_BYTES, self.rewriter, self.mrw)
        self.present = True  # a disc lies in the tray
        self.tray_open = False
        self.loaded = True  # both: the drive can use it
        self.prevented = False
        self.event = replies.NO_EVENT
        self._attention: list[refusal.SenseCode] = [refusal.POWER_ON_OR_RESET]
        self._operation: Operation | None = None
        self._on_close = on_close
        self._lock = threading.Lock()

    @property
    def medium(self) -> Medium:
        """The state of the disc; ``wear`` counts the rewrites of each fixed packet."""
        return self.recorder.medium

    @property
    def seconds(self) -> float:
        """The drive's own clock: what a drive of this speed would have needed so far."""
        return self.clock.seconds

    @property
    def most_rewritten(self) -> int:
        """How often the most rewritten packet of the disc was rewritten."""
        return self.medium.most_worn

    # -- commands ----------------------------------------------------------------------

    def execute(self, cdb: bytes, data_out: Buffer = b"") -> Answer:
        """Carry out one command: (status 0 or 2, data, sense of 18 bytes or none).

        The data is cut to the command's allocation length. Raises DriveFailedError
        where the host under the virtual disc fails (its disk is full, say), which
        no sense code can tell.
        """
        with self._lock:
            faults = self.faults
            if faults.hook is not None:
                faults.hook(bytes(cdb))
            began = self.clock.seconds
            try:
                # The hot path: reading and writing while nothing special is the matter.
                if not (self._attention or faults.failures or self._operation) and self.loaded:
                    if cdb[0] == _WRITE_10 and len(cdb) == _WRITE_10_SIZE:
                        _, block, count = WRITE10_FAST.unpack(cdb)
                        self.write(block, count, data_out)
                        return GOOD, b"", b""
                    if cdb[0] == _READ_10 and len(cdb) == _READ_10_SIZE:
                        _, block, count = READ10_FAST.unpack(cdb)
                        return GOOD, self.recorder.read(block, count), b""
                return GOOD, self._execute(bytes(cdb), data_out), b""
            except Refusal as refused:
                return CHECK_CONDITION, refused.data, refused.sense
            except OSError as error:
                why = error.strerror or str(error)
                raise DriveFailedError(name=self.name, why=why) from error
            finally:
                if faults.slow or faults.pace is not None:
                    self._pace(cdb[0], began)

    def _execute(self, cdb: bytes, data_out: Buffer) -> bytes:
        failure = self.faults.failure(cdb[0]) if self.faults.failures else None
        if failure is not None and not failure.carried_out:
            raise Refusal(failure.sense)
        command = TABLE.get(cdb[0])
        if command is None:
            raise Refusal(refusal.INVALID_COMMAND)
        fields = _parse(command, cdb)
        if not command.always:
            self._check_ready(command)
        self.clock.spend(COMMAND)
        data = command.handler(self, fields, data_out)
        if failure is not None:
            raise Refusal(failure.sense)
        return data[: fields.get("allocation_length", len(data))]

    def _check_ready(self, command: Command) -> None:
        if self._attention:
            raise Refusal(self._attention.pop(0))
        self.poll()
        if command.medium and not self.loaded:
            raise Refusal(self.no_medium)
        if command.records and not self.writable:
            raise Refusal(refusal.WRITE_PROTECTED)

    def _pace(self, operation: int, began: float) -> None:
        self.clock.spend(self.faults.slow.get(operation, 0.0))
        if self.faults.pace is not None:
            self.faults.pace(self.clock.seconds - began)

    @property
    def no_medium(self) -> refusal.SenseCode:
        return refusal.NO_MEDIUM_TRAY_OPEN if self.tray_open else refusal.NO_MEDIUM_TRAY_CLOSED

    def write(self, block: int, count: int, data: Buffer) -> None:
        """WRITE of either length, behind all checks of the drive's state."""
        if not self.writable:
            raise Refusal(refusal.WRITE_PROTECTED)
        size = count * BLOCK
        if len(data) != size:
            if len(data) < size:
                raise Refusal(refusal.INVALID_FIELD_IN_CDB)
            data = memoryview(data)[:size]
        if count:
            self.recorder.write(block, count, data)

    # -- operations that take their time ---------------------------------------------------

    def start(
        self,
        action: str,
        *arguments: Any,
        seconds: float,
        immed: bool,
        code: refusal.SenseCode = refusal.LONG_WRITE_IN_PROGRESS,
    ) -> None:
        """Let the recorder do something: now, or (``immed``) while the host polls. A
        power cut before the last poll means that it was not done."""
        polls = self.faults.polls if immed else 0
        self._operation = Operation(action, arguments, seconds, code, polls, polls)
        if polls == 0:
            self._finish_operation()

    def poll(self) -> None:
        """One look at the operation that is running: refuse while it is."""
        operation = self._operation
        if operation is None:
            return
        if operation.left == 0:
            self._finish_operation()
            return
        progress = 1 - operation.left / operation.polls
        operation.left -= 1
        self.clock.spend(operation.seconds / operation.polls)
        raise Refusal(operation.code, progress=progress)

    def _finish_operation(self) -> None:
        operation, self._operation = self._operation, None
        if operation is not None:
            if operation.polls == 0:
                self.clock.spend(operation.seconds)
            if operation.action:
                getattr(self.recorder, operation.action)(*operation.arguments)
                self.recorder = suited(self.recorder)

    def spoil(self) -> None:
        """Blanking or formatting begins: what was on the disc is gone."""
        self.recorder.spoil()
        self.recorder = suited(self.recorder)

    def pending_sense(self) -> bytes:
        """What REQUEST SENSE answers: an attention, a progress, or nothing."""
        if self._attention:
            return Refusal(self._attention.pop(0)).sense
        try:
            self.poll()
        except Refusal as running:
            return running.sense
        self.recorder.work_in_background()
        background = self.recorder.background
        if self.loaded and background is not None and background[0]:
            _, asc, ascq = refusal.FORMAT_IN_PROGRESS
            return refusal.encode(0, asc, ascq, background[1])
        return refusal.encode(0, 0, 0)

    # -- tray ------------------------------------------------------------------------------

    def eject(self, immed: bool = False) -> None:
        """Flush and open the tray. Refused while removal is prevented."""
        if self.prevented and self.loaded:
            raise Refusal(refusal.REMOVAL_PREVENTED)
        if self.tray_open:
            return
        if self.loaded:
            self.recorder.synchronize()
            self.recorder.suspend()
        self._open_tray()
        self._wait_for_tray(EJECT, immed, refusal.OPERATION_IN_PROGRESS)

    def _open_tray(self) -> None:
        if self.loaded:
            self.event = replies.MEDIA_REMOVAL
        self.loaded, self.tray_open = False, True

    def load(self, immed: bool = False) -> None:
        """Close the tray; a disc that lies in it is loaded."""
        self.tray_open = False
        if self.present and not self.loaded:
            self._take_in()
            self._wait_for_tray(LOAD, immed, refusal.BECOMING_READY)

    def _take_in(self) -> None:
        self.loaded = True
        self.event = replies.NEW_MEDIA
        self.clock.head = 0
        self.recorder.settings = self.modes.write_settings
        self._attention.append(refusal.MEDIUM_MAY_HAVE_CHANGED)

    def _wait_for_tray(self, seconds: float, immed: bool, code: refusal.SenseCode) -> None:
        polls = self.faults.tray_polls if immed else 0
        if polls:
            self._operation = Operation("", (), seconds, code, polls, polls)
        else:
            self.clock.spend(seconds)

    # -- hands on the drive ------------------------------------------------------------------

    def press_eject(self) -> None:
        """The button: opens or closes the tray, or asks the host where removal is
        prevented."""
        with self._lock:
            if self.prevented and self.loaded:
                self.event = replies.EJECT_REQUEST
            elif self.tray_open:
                self.load()
            else:
                self.eject()

    def remove(self) -> None:
        """Take the disc out by force, in whatever it is doing."""
        with self._lock:
            self._operation = None
            self.recorder.tear()
            self._open_tray()
            self.present = self.prevented = False

    def insert(self, disc: Recorder | None = None) -> None:
        """Put the disc (or another one, of another burner) into the drive."""
        with self._lock:
            if disc is not None:
                disc.clock, disc.faults = self.clock, self.faults
                self.recorder = disc
            self.present, self.tray_open = True, False
            self._take_in()

    def reset(self) -> None:
        """A bus reset: the packet is finished, the mode pages and the lock are lost."""
        with self._lock:
            if self.loaded:
                self.recorder.break_off()
            self._power_on()

    def power_cut(self) -> None:
        """The plug is pulled and put back: the buffer is lost, the open packet torn
        (see ``faults.cut``), an immediate operation not done."""
        with self._lock:
            if self.loaded:
                self.recorder.tear()
                self.clock.spend(LOAD)
            self._power_on()

    def _power_on(self) -> None:
        self._operation = None
        self.prevented = False
        self.event = replies.NO_EVENT
        self.modes.reset()
        self.recorder.settings = self.modes.write_settings
        self._attention = [refusal.POWER_ON_OR_RESET]
        self.set_speed(self.speed)

    def set_speed(self, speed: float) -> None:
        """Write at a multiple of 1x, at most the drive's own."""
        self.clock.speed = max(1.0, min(speed, self.speed))
        self.modes.set_speed(self.clock.speed)

    def set_read_speed(self, kilobytes: int) -> None:
        """Read at so many kB/s, at most what the drive can."""
        self.clock.read_speed = max(1.0, min(kilobytes / SPEED_UNIT, READ_SPEED))

    # -- life ----------------------------------------------------------------------------------

    def branch(self) -> Burner:
        """An independent copy of drive and disc, in memory; data is shared until it
        changes. Only for a disc in memory."""
        storage = self.recorder.storage
        if not isinstance(storage, MemoryStorage | PagedMemory):
            raise MediaUsageError("Only a disc in memory can be copied as it is.")
        with self._lock:
            recorder = self.recorder.clone(storage.clone(), self.faults.clone())
            other = Burner(
                recorder,
                serial=self.serial,
                speed=self.speed,
                writable=self.writable,
                name=self.name,
            )
            other.modes = self.modes.clone()
            for name in (
                *("present", "tray_open", "loaded", "prevented", "event"),
                *("rewriter", "mrw"),
            ):
                setattr(other, name, getattr(self, name))
            other._attention = self._attention.copy()
            other._operation = self._operation and replace(self._operation)
            return other

    def close(self) -> None:
        """Let go of the disc. An open packet ends as by an underrun; nothing is made
        durable that was not. Idempotent."""
        with self._lock:
            on_close, self._on_close = self._on_close, None
            try:
                self.recorder.break_off()
            except Refusal:
                pass  # a fault that was asked for: nobody is left to tell
            finally:
                if on_close is not None:
                    on_close()


def _parse(command: Command, cdb: bytes) -> construct.Container[Any]:
    try:
        fields: construct.Container[Any] = command.layout.parse(cdb)
        return fields
    except construct.ConstructError as error:
        raise Refusal(refusal.INVALID_FIELD_IN_CDB) from error
