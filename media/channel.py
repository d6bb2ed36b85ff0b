"""One command at a time to a drive, and what helps when one fails.

The table of :mod:`media.reactions` says what to do; waiting is done here, the
other remedies by whoever owns the channel, for they are commands themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock

from media import errors
from media.mmc import commands
from media.mmc.sense import NO_SENSE, NOT_READY, RECOVERED_ERROR, Sense, decode, words
from media.reactions import Purpose, Reaction, Remedy, react
from media.transport import BUSY, GOOD, Buffer, Transport

Log = Callable[[str], None]

#: Seconds a command may take before its answer is given up
TIMEOUT = 30.0


class Channel:
    """Sends commands through a transport, whichever thread they come from.

    ``sleep`` waits so many seconds, ``log`` is told of what went wrong and was
    mended, ``remedy`` carries out a remedy. ``doubts`` counts the moments at
    which the drive may have dropped what was in its buffer.
    """

    def __init__(
        self,
        transport: Transport,
        name: str,
        sleep: Callable[[float], None],
        log: Log,
        remedy: Callable[[Remedy], None],
    ) -> None:
        self.name = name
        self.doubts = 0
        self.sleep = sleep
        self.log = log
        self._transport = transport
        self._remedy = remedy
        self._lock = RLock()
        self._mending = False

    @property
    def seconds(self) -> float | None:
        """The clock of a transport that has one of its own; else None."""
        seconds = getattr(self._transport, "seconds", None)
        return None if seconds is None else float(seconds)

    @property
    def most_rewritten(self) -> int | None:
        """Rewrites of the most rewritten packet, where the drive counts them (virtual ones do)."""
        found = getattr(self._transport, "most_rewritten", None)
        return None if found is None else int(found)

    def once(
        self, cdb: bytes, data_out: Buffer = b"", read_length: int = 0, timeout: float = TIMEOUT
    ) -> tuple[bytes, Sense | None]:
        """One command, once -> (data, None), or the sense of its failure."""
        with self._lock:
            status, data, raw = self._transport.execute(
                cdb, data_out, read_length=read_length, timeout=timeout
            )
        if status == GOOD:
            return data, None
        if status == BUSY:
            return data, Sense(NOT_READY, 0x04, 0x07)
        found = decode(raw)
        if found.key in (NO_SENSE, RECOVERED_ERROR) and not found.deferred:
            self.log(f"{commands.name_of(cdb)}: the drive warns {found}")
            return data, None
        return data, found

    def command(
        self,
        cdb: bytes,
        data_out: Buffer = b"",
        *,
        read_length: int = 0,
        purpose: Purpose = Purpose.OTHER,
        timeout: float = TIMEOUT,
    ) -> bytes:
        """One command, with all the remedies there are for its failure.

        ``read_length`` in bytes, ``timeout`` in seconds. Raises the MediaError
        that the table of reactions names.
        """
        with self._lock:
            data, found = self.once(cdb, data_out, read_length, timeout)
            tries: dict[Reaction, int] = {}
            while found is not None:
                self._react(found, purpose, cdb, tries)
                data, found = self.once(cdb, data_out, read_length, timeout)
            return data

    def _react(
        self, found: Sense, purpose: Purpose, cdb: bytes, tries: dict[Reaction, int]
    ) -> None:
        """Carry out the remedy; raises where there is none, or not any more."""
        reaction = self._choose(found, purpose)
        tries[reaction] = tries.get(reaction, 0) + 1
        if reaction.remedy is not Remedy.WAIT:
            self.log(f"{commands.name_of(cdb)}: the drive answers {found}")
        if reaction.remedy in (Remedy.SET_UP_AGAIN, Remedy.DOUBT):
            self.doubts += 1
        self._mend(reaction.remedy)
        if tries[reaction] > reaction.limit:
            raise self.error(reaction.error, found, cdb)
        if reaction.delay:
            self.sleep(reaction.delay)

    def _choose(self, found: Sense, purpose: Purpose) -> Reaction:
        """As the table says; of an earlier write's failure other commands only take note."""
        if found.deferred:
            self.doubts += 1
            if purpose not in Purpose.RECORDING:
                return Reaction(Remedy.WAIT, 0.0, 5, errors.DriveFailedError)
        return react(found, purpose)

    def _mend(self, remedy: Remedy) -> None:
        """Not within another remedy: its commands fail as they do."""
        if remedy in (Remedy.NONE, Remedy.WAIT, Remedy.DOUBT) or self._mending:
            return
        self._mending = True
        try:
            self._remedy(remedy)
        finally:
            self._mending = False

    def attention(self, found: Sense) -> None:
        """Take note of a unit attention that somebody was waiting for."""
        self.doubts += 1
        if found.asc in (0x29, 0x2A):
            self._mend(Remedy.SET_UP_AGAIN)

    def error(self, kind: type[errors.MediaError], found: Sense, cdb: bytes) -> errors.MediaError:
        """The error in words. Which block or address it is about, the caller adds."""
        return kind(
            sense=found.code,
            name=self.name,
            why=words(*found.code),
            command=commands.name_of(cdb),
            seconds=600,
            block=-1 if found.information is None else found.information,
            next_writable=-1,
        )

    def close(self) -> None:
        with self._lock:
            self._transport.close()
