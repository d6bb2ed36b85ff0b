"""A disc in a drive that takes its time: the virtual burner waits as long as a
real one would, only so many times shorter. Without a mount, because what is
asked is how long the drive keeps a program waiting."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from media import virtual
from media.drive import Drive
from media.store import SequentialStore, open_store
from media.transport.virtual import VirtualTransport
from udffs.commit.format import FormatOptions, format_volume
from udffs.filesystem import FileSystem, open_file_system

FASTER = 20  # than a real drive
SPEED = 16
CHUNK = 1 << 17  # bytes; what a request of FUSE carries
PAUSE = 0.1  # seconds between two saves


def longest_save_beside_a_copy(scratch: Path, mebibytes: int) -> tuple[int, float]:
    """How many durable saves of 20 KiB were made while a file of so many MiB was
    copied, and the longest of them in seconds of the drive."""
    image = scratch / "paced.img"
    virtual.create(image, "cd-r-80")
    burner = virtual.open_burner(image, speed=SPEED)
    drive = Drive(VirtualTransport(burner), name=str(image), sleep=_sleep)
    store = open_store(drive)
    assert isinstance(store, SequentialStore)
    try:
        options = FormatOptions(label="Paced")
        format_volume(store, options, now=time.time_ns(), random=os.urandom)
        burner.faults.pace = _sleep
        filesystem = open_file_system(store, spool=scratch / "spool", timer=_timer)
        filesystem.start()
        times = _saves(filesystem, mebibytes, lambda: burner.seconds)
        burner.faults.pace = None
        filesystem.shutdown()
    finally:
        store.close()
    return len(times), max(times)


def _sleep(seconds: float) -> None:
    time.sleep(seconds / FASTER)


def _timer() -> float:
    return time.monotonic() * FASTER


def _saves(filesystem: FileSystem, mebibytes: int, clock: Callable[[], float]) -> list[float]:
    copy = threading.Thread(target=_copy, args=(filesystem, mebibytes))
    copy.start()
    times: list[float] = []
    data = os.urandom(20 * 1024)
    while copy.is_alive():
        begun = clock()
        handle = filesystem.create(f"/save{len(times)}", 0o100644, os.O_WRONLY, 0, 0)
        filesystem.write(handle, data, 0)
        filesystem.fsync(handle)
        filesystem.release(handle)
        times.append(clock() - begun)
        time.sleep(PAUSE)
    copy.join()
    return times


def _copy(filesystem: FileSystem, mebibytes: int) -> None:
    handle = filesystem.create("/large", 0o100644, os.O_WRONLY, 0, 0)
    data = os.urandom(CHUNK)
    for offset in range(0, mebibytes << 20, CHUNK):
        filesystem.write(handle, data, offset)
    filesystem.release(handle)
