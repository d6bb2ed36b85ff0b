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
from typing import Any

from benchlib import disc
from benchlib.contestant import Ended, Failed, Measured, Running
from benchlib.workloads import Workload, read_tree, shortened, stat_tree, write_tree

MOUNT_SECONDS = 30.0
REWRITABLE_BYTES = 512 << 20  # of files at most: a CD-RW of 80 minutes holds 577 MB


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
    media = "cd-r-80"
    options: tuple[str, ...] = ()

    def why_not(self, workload: Workload) -> str | None:
        return None if shutil.which(disc.UDFFS) else "the udffs command is not installed"

    def run(self, workload: Workload, scratch: Path) -> Measured:
        work = self.work(workload, scratch)
        image = scratch / "disc.img"
        disc.make(image, kind=self.media)
        before = disc.used_blocks(image)
        where = scratch / "at"
        command: list[str | Path] = [disc.UDFFS, "mount", "-f", *self.options, image, where]
        mount = Mount(command, where)
        begun = time.perf_counter()
        writing = write_tree(work, mount.where)
        before_stats = time.perf_counter()
        stats = stat_tree(work, mount.where) if work.stat else None
        rest = time.perf_counter() - before_stats
        told: dict[str, Any] = {}
        ended = mount.end(lambda where: told.update(disc.unmount(where)))
        written = time.perf_counter() - begun - rest
        cost = self.cost(image, before, told)
        read = None
        if work.read_back:
            again = Mount(command, where)
            read = read_tree(work, again.where)
            again.end(disc.unmount)
        return Measured(
            write=written,
            read=read,
            creates=len(work.files()) / writing,
            stats=stats,
            cpu=ended.cpu,
            memory=mount.memory,
            shortened=None if work is workload else work.size(),
            **cost,
        )

    def work(self, workload: Workload, scratch: Path) -> Workload:
        """As much of the work as fits on the disc."""
        return workload

    def cost(self, image: Path, before: int, told: dict[str, Any]) -> dict[str, Any]:
        """What the disc and the drive had to give: ``before`` blocks were in use
        before the mount, ``told`` is what the unmount said."""
        return {
            "blocks": disc.used_blocks(image) - before,
            "drive": disc.drive_seconds(image, after=before),
        }


class OursRewritable(Ours):
    """udffs on a virtual CD-RW in packets, in a drive of 10x. What the drive did
    counts from the mount to the end of the unmount."""

    name = "udffs, CD-RW"
    media = "cd-rw-80"
    options = ("-o", f"speed={disc.REWRITING_SPEED}")

    def work(self, workload: Workload, scratch: Path) -> Workload:
        return shortened(workload, scratch, REWRITABLE_BYTES)

    def cost(self, image: Path, before: int, told: dict[str, Any]) -> dict[str, Any]:
        return {"packets": told["packets_written"], "drive": told["drive_seconds"]}
