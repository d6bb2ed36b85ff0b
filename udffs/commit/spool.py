"""The spool: the journal on the host that outlives everything but a power cut.

Every operation on a mounted volume is a record here before it returns; the
data of writes is here until it is on the disc. The spool is cut into
*segments*, one for each epoch (the time between two commits). A segment is
two files: ``NAME.log`` holds records, ``NAME.data`` the bytes of writes, so
that consecutive writes lie side by side and a commit reads them in one go.
When a commit is on the disc, the segments of its epoch and of earlier ones
are done with.

A record is one append: length, checksum, then the operations of one
transaction (:mod:`udffs.commit.records`). A torn tail loses only the last.

The spool is keyed by the disc: a folder of the volume's identity, and inside
each segment the location of the virtual allocation table (VAT) that its
operations build upon. Before the VAT of an epoch goes to the disc, the
location it will have is recorded (an *intent*); so the next mount can tell
whether that commit is on the disc or not, and replays just what is missing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from udffs.commit import records
from udffs.commit.records import Operation
from udffs.errors import SpoolBusyError, SpoolFullError

RECYCLED_FILES = 4
BALLAST_BYTES = 64 << 10


def _cannot_record(path: Path, error: OSError) -> SpoolFullError:
    failure = SpoolFullError(where=path.parent, why=error.strerror)
    failure.errno = error.errno or failure.errno
    return failure


class Segment:
    """The journal of one epoch: a log of operations and the data of writes."""

    __slots__ = (
        "_data",
        "_length",
        "_log",
        "data_path",
        "end",
        "epoch",
        "full",
        "log_path",
        "readers",
    )

    def __init__(self, folder: Path, epoch: int, recycled: Path | None = None) -> None:
        self.epoch = epoch
        self.full = False  # something did not get in
        self.readers = 0  # reads under way; counted under the file system's lock
        self.log_path = folder / f"{epoch:010d}.log"
        self.data_path = folder / f"{epoch:010d}.data"
        if recycled is not None:
            recycled.rename(self.data_path)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._log = os.open(self.log_path, flags | os.O_APPEND, 0o600)
        try:
            self._data = os.open(self.data_path, flags, 0o600)
        except OSError:
            os.close(self._log)
            raise
        self._length = os.fstat(self._log).st_size
        self.end = 0

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Let go of both files."""
        for name in ("_log", "_data"):
            if hasattr(self, name):
                os.close(getattr(self, name))
                delattr(self, name)

    def append(self, operations: Sequence[Operation]) -> None:
        """Record one transaction. When this returns, a kill cannot undo it.
        Raises SpoolFullError; then nothing was recorded."""
        record = records.encode(operations)
        try:
            if os.write(self._log, record) < len(record):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            # Half a record would hide all that come behind it.
            os.ftruncate(self._log, self._length)
            self.full = True
            raise _cannot_record(self.log_path, error) from error
        self._length += len(record)

    def append_data(self, data: bytes | memoryview) -> int:
        """Keep the bytes of a write; returns their position in the data file.
        Raises SpoolFullError."""
        position = self.end
        try:
            done = os.pwrite(self._data, data, position)
            while done < len(data):
                done += os.pwrite(self._data, memoryview(data)[done:], position + done)
        except OSError as error:
            # What did go in would take the room of the records that follow.
            with contextlib.suppress(OSError):
                os.ftruncate(self._data, position)
            self.full = True
            raise _cannot_record(self.data_path, error) from error
        self.end = position + len(data)
        return position

    def read(self, position: int, length: int) -> bytes:
        """``length`` bytes of the data file, from ``position`` on."""
        return os.pread(self._data, length, position)

    def read_into(self, target: memoryview, position: int) -> None:
        """Fill ``target`` from the data file, from ``position`` on."""
        os.preadv(self._data, [target], position)

    def replay(self) -> Iterator[list[Operation]]:
        """The transactions of this segment up to its first torn record."""
        size = os.fstat(self._log).st_size
        yield from records.decode_all(os.pread(self._log, size, 0), self._holds)

    def _holds(self, write: records.Write) -> bool:
        data = os.pread(self._data, write.length, write.position)
        if len(data) != write.length or zlib.crc32(data) != write.checksum:
            return False
        self.end = max(self.end, write.position + write.length)
        return True


class Leftover(NamedTuple):
    """What an earlier mount left: segments to replay, oldest first."""

    segments: list[Segment]
    moved_on: bool


class Spool:
    """All segments of one disc's spool.

    ``folder`` is made when needed. Not safe for several threads: the file
    system's lock guards it.
    """

    def __init__(self, folder: Path, *, base: int, copies: int = 2) -> None:
        """``base`` is where the last commit is on the disc; a commit may be
        found at any of so many neighbouring places (a VAT ICB is written twice)."""
        self.folder = folder
        self._copies = copies
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = self._take_lock()
        self._base = base
        self._segments = self._find()
        self._spare: list[Path] = sorted(folder.glob("spare-*.data"))
        self._last_epoch = self._find_last()
        self.current: Segment | None = None
        self._ballast = folder / "ballast"
        self._take_on_ballast()

    def _take_lock(self) -> int:
        lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise SpoolBusyError(where=self.folder) from None
        return lock

    def _find(self) -> list[Segment]:
        epochs = sorted(
            int(path.stem) for path in self.folder.glob("*.log") if path.stem.isdecimal()
        )
        return [Segment(self.folder, epoch) for epoch in epochs]

    def _find_last(self) -> int:
        """The highest number that any file of the folder has: a new segment
        must not take the name of one that was left or laid aside."""
        names = (path.stem.rpartition("-")[2] for path in self.folder.iterdir())
        return max((int(name) for name in names if name.isdecimal()), default=0)

    def _same(self, found: int, recorded: int) -> bool:
        return abs(found - recorded) < self._copies

    def leftover(self, location: int) -> Leftover:
        """What is to be replayed on a disc whose last commit is at
        ``location`` (of the VAT ICB, or its number).

        Segments whose commit turns out to be on the disc are removed. With
        ``moved_on`` set the disc was written by somebody else meanwhile and
        nothing may be replayed.
        """
        committed = -1
        bases: dict[int, int] = {}
        filled: set[int] = set()
        for segment in self._segments:
            for operation in (o for transaction in segment.replay() for o in transaction):
                if isinstance(operation, records.Intent):
                    if self._same(location, operation.vat_location):
                        committed = max(committed, operation.epoch)
                elif isinstance(operation, records.Begin):
                    bases[segment.epoch] = operation.vat_location
                else:
                    filled.add(segment.epoch)
        if committed >= 0:
            self.forget(committed)
        elif self._segments and filled:
            base = bases.get(self._segments[0].epoch)
            if base is None or not self._same(location, base):
                return Leftover([s for s in self._segments if s.epoch in filled], True)
        if not any(segment.epoch in filled for segment in self._segments):
            self.forget(max((s.epoch for s in self._segments), default=-1))
        return Leftover(list(self._segments), False)

    def begin(self) -> Segment:
        """Start the segment of a new epoch; operations go there from now on."""
        self._last_epoch += 1
        recycled = self._spare.pop() if self._spare else None
        segment = Segment(self.folder, self._last_epoch, recycled)
        self._append_surely(segment, records.Begin(self._base))
        self._segments.append(segment)
        self.current = segment
        return segment

    def intend(self, epoch: int | None, vat_location: int) -> None:
        """Record that the VAT of ``epoch`` is about to go to ``vat_location``;
        None for a VAT in which nothing of any segment is."""
        assert self.current is not None
        if epoch is None:
            epoch = self._segments[0].epoch - 1
        self._append_surely(self.current, records.Intent(epoch, vat_location))

    def committed(self, epoch: int, vat_location: int) -> None:
        """The commit of ``epoch`` is on the disc: forget what it holds."""
        self._base = vat_location
        self.forget(epoch)
        self._take_on_ballast()

    def _append_surely(self, segment: Segment, operation: Operation) -> None:
        """Record what a commit needs. A commit is what makes room in a spool
        that is full, so it must not fail for want of room."""
        try:
            segment.append([operation])
        except SpoolFullError:
            self._ballast.unlink(missing_ok=True)
            segment.append([operation])

    def _take_on_ballast(self) -> None:
        """Keep some room back for :meth:`_append_surely`, where there is any."""
        try:
            if not self._ballast.exists():
                self._ballast.write_bytes(bytes(BALLAST_BYTES))
        except OSError:  # later, when there is room
            self._ballast.unlink(missing_ok=True)

    def forget(self, epoch: int) -> None:
        """Drop the segments up to ``epoch``; their data files are used again."""
        if any(segment.full for segment in self._segments):
            self._drop_spares()
        for segment in [s for s in self._segments if s.epoch <= epoch]:
            segment.log_path.unlink(missing_ok=True)
            self._segments.remove(segment)
            self._retire(segment)

    def _retire(self, segment: Segment) -> None:
        # Overwriting a file's pages is many times cheaper than making new
        # ones. A reader may still be at work in the file: then it is only
        # unlinked, and closed when the reader lets go of the segment.
        if not segment.readers and not segment.full and len(self._spare) < RECYCLED_FILES:
            segment.close()
            spare = self.folder / f"spare-{segment.epoch:010d}.data"
            segment.data_path.rename(spare)
            self._spare.append(spare)
        else:
            segment.data_path.unlink(missing_ok=True)

    def _drop_spares(self) -> None:
        """Give the room of files that would be used again back to the host."""
        while self._spare:
            self._spare.pop().unlink(missing_ok=True)

    def set_aside(self) -> Path:
        """Keep everything under another name and start empty; returns where."""
        number = 1
        while (kept := self.folder.with_name(f"{self.folder.name}.kept-{number}")).exists():
            number += 1
        kept.mkdir(mode=0o700)
        for segment in self._segments:
            segment.log_path.rename(kept / segment.log_path.name)
            segment.data_path.rename(kept / segment.data_path.name)
        self._segments.clear()
        return kept

    def close(self, *, discard: bool) -> None:
        """Let go of the spool; with ``discard`` nothing is left behind."""
        if discard:
            self.forget(max((s.epoch for s in self._segments), default=-1))
            self._drop_spares()
            self._ballast.unlink(missing_ok=True)
            (self.folder / "lock").unlink(missing_ok=True)
        self._segments.clear()
        self.current = None
        os.close(self._lock)
        if discard:
            try:
                self.folder.rmdir()
            except OSError:
                return  # something else is in there: not ours to remove


def unsaved(spool: Path, identity: str) -> Path | None:
    """The folder in ``spool`` with what is not yet on the disc of a volume, if
    there is anything. For discs that are not mounted."""
    folder = spool / folder_name(identity)
    return folder if any(_has_changes(log) for log in folder.glob("*.log")) else None


def _has_changes(log: Path) -> bool:
    """Whether a journal holds more than notes about commits."""
    return any(
        not isinstance(operation, records.Begin | records.Intent)
        for transaction in records.decode_all(log.read_bytes(), lambda _write: True)
        for operation in transaction
    )


def folder_name(identity: str) -> str:
    """The spool folder of a volume: its identity, as a safe file name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", identity)[:100] or "volume"
