"""Contestants that are mounted: the ceilings, and ourselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchlib import disc
from benchlib.contestant import Ended, Failed, Measured, Running
from benchlib.workloads import Workload, read_tree, stat_tree, write_tree

MOUNT_SECONDS = 30.0


class Mount:
    """A file system served by a program that stays in the foreground."""

    def __init__(self, command: list[str | Path], where: Path) -> None:
        self.where = where
        self.memory = 0.0  # MiB at its highest; known after end()
        where.mkdir(exist_ok=True)
        self._server = Running(command)
        give_up = time.monotonic() + MOUNT_SECONDS
        while not os.path.ismount(where):
            if self._server.ended:
                self._server.wait(allowed=())
            if time.monotonic() > give_up:
                self._server.terminate()
                raise Failed(f"{where} was not mounted within {MOUNT_SECONDS:g} s")
            time.sleep(0.005)

    def end(self, unmount: Callable[[Path], object]) -> Ended:
        """Unmounts and waits until the server has finished, too."""
        watch = threading.Thread(target=self._watch_memory)
        watch.start()
        unmount(self.where)
        ended = self._server.wait()
        watch.join()
        return ended

    def _watch_memory(self) -> None:
        while memory := self._server.peak_memory():
            self.memory = memory
            time.sleep(0.02)


def _fusermount(where: Path) -> None:
    subprocess.run(["fusermount", "-u", where], check=True)


class Ceiling:
    """A file system that does as little as it can (see ceilings.py)."""

    kind = "ceiling"

    def __init__(self, what: str) -> None:
        self._what = what
        self.name = {"passthrough": "passthrough to tmpfs"}.get(what, f"{what} file system")

    def why_not(self, workload: Workload) -> str | None:
        if self._what == "memory" and workload.size() > 700 << 20:
            return "too much for memory"
        return None

    def run(self, workload: Workload, scratch: Path) -> Measured:
        backing = scratch / "backing"
        backing.mkdir()
        server: list[str | Path] = [sys.executable, "-m", "benchlib.ceilings", self._what]
        mount = Mount([*server, scratch / "at", backing], scratch / "at")
        begun = time.perf_counter()
        writing = write_tree(workload, mount.where)
        # Nothing survives an unmount here: what is read is read before it.
        before_rest = time.perf_counter()
        stats = stat_tree(workload, mount.where) if workload.stat else None
        read = read_tree(workload, mount.where) if workload.read_back else None
        rest = time.perf_counter() - before_rest
        ended = mount.end(_fusermount)
        return Measured(
            write=time.perf_counter() - begun - rest,
            read=read,
            creates=len(workload.files()) / writing,
            stats=stats,
            cpu=ended.cpu,
            memory=mount.memory,
        )


class Ours:
    """udffs on a virtual CD-R, through its command line alone."""

    kind = "ours"
    name = "udffs"

    def why_not(self, workload: Workload) -> str | None:
        return None if shutil.which(disc.UDFFS) else "the udffs command is not installed"

    def run(self, workload: Workload, scratch: Path) -> Measured:
        image = scratch / "disc.img"
        disc.make(image)
        before = disc.used_blocks(image)
        command: list[str | Path] = [disc.UDFFS, "mount", "-f", image, scratch / "at"]
        mount = Mount(command, scratch / "at")
        begun = time.perf_counter()
        writing = write_tree(workload, mount.where)
        before_stats = time.perf_counter()
        stats = stat_tree(workload, mount.where) if workload.stat else None
        rest = time.perf_counter() - before_stats
        ended = mount.end(disc.unmount)
        written = time.perf_counter() - begun - rest
        blocks = disc.used_blocks(image) - before
        drive = disc.drive_seconds(image, after=before)
        read = None
        if workload.read_back:
            again = Mount(command, scratch / "at")
            read = read_tree(workload, again.where)
            again.end(disc.unmount)
        return Measured(
            write=written,
            read=read,
            creates=len(workload.files()) / writing,
            stats=stats,
            cpu=ended.cpu,
            memory=mount.memory,
            blocks=blocks,
            drive=drive,
        )
