"""What a contestant is, and how programs are started and timed."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchlib.workloads import Workload


@dataclass(frozen=True)
class Measured:
    """One run of one workload. Seconds are of the wall clock unless named otherwise."""

    write: float  # seconds, until everything is on the disc and it is let go
    read: float | None = None  # seconds to read everything back
    creates: float | None = None  # files a second, while they are written
    stats: float | None = None  # calls a second
    cpu: float | None = None  # seconds of processor time of the program itself
    memory: float | None = None  # MiB at its highest
    blocks: int | None = None  # of 2,048 bytes, beyond what the empty disc holds
    drive: float | None = None  # seconds that a real drive would have needed
    packets: int | None = None  # of 32 blocks, written to a rewritable disc, over and over
    shortened: int | None = None  # bytes of files, where the whole work does not fit


class Contestant(Protocol):
    """A program that puts files on a disc, or a file system that pretends to."""

    name: str
    kind: str  # "ours", "ceiling" or "peer"

    def why_not(self, workload: Workload) -> str | None:
        """Why it does not take part in this work, or None if it does."""

    def run(self, workload: Workload, scratch: Path) -> Measured:
        """Does the work once, in an empty directory of its own."""


class Failed(Exception):  # noqa: N818 -- reads as what happened
    """A contestant ended with an error; the message holds what it said."""


@dataclass(frozen=True)
class Ended:
    """A program that ran to its end."""

    output: str
    seconds: float
    cpu: float  # seconds


class Running:
    """A program, until it ends."""

    def __init__(self, command: Sequence[str | Path], stdin: Path | None = None) -> None:
        self._command = command
        self._begun = time.perf_counter()
        with (stdin or Path(os.devnull)).open("rb") as said:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                stdin=said,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )

    @property
    def ended(self) -> bool:
        # Not poll(): what the process used is told once, and wait() wants it.
        options = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self._process.pid, options) is not None

    def wait(self, *, allowed: Sequence[int] = (0,)) -> Ended:
        """Until it ends. Failed if its exit status is not one of ``allowed``."""
        assert self._process.stdout is not None
        output = self._process.stdout.read().decode(errors="replace")
        _, status, usage = os.wait4(self._process.pid, 0)
        seconds = time.perf_counter() - self._begun
        self._process.returncode = os.waitstatus_to_exitcode(status)
        if self._process.returncode not in allowed:
            raise Failed(
                f"{Path(self._command[0]).name} ended with status {self._process.returncode}: "
                + _last_words(output)
            )
        return Ended(output, seconds, usage.ru_utime + usage.ru_stime)

    def peak_memory(self) -> float:
        """MiB so far; 0 when it has ended. (What wait4 tells includes the memory
        that this process had when it started the program.)"""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0.0
        found = re.search(r"VmHWM:\s*(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0

    def terminate(self) -> None:
        self._process.terminate()


def _last_words(output: str) -> str:
    """The end of what a program said, in one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:120] if lines else "it said nothing"


def run(
    command: Sequence[str | Path], *, stdin: Path | None = None, allowed: Sequence[int] = (0,)
) -> Ended:
    """Runs a program to its end."""
    return Running(command, stdin).wait(allowed=allowed)
