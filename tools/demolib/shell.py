"""Shows commands as one would type them, and runs them."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

BIN = Path(sys.executable).parent
SEARCH_PATH = f"{BIN}:{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"


class Stopped(Exception):  # noqa: N818 -- no fault: the user asked for it
    """Ctrl-C, or a signal to end."""


class StepFailed(Exception):  # noqa: N818 -- reads as what happened
    """A command ended with an error, or something was not as it should be."""


class Shell:
    """Runs one command after the other in one folder.

    A Ctrl-C is answered between two commands, never in the midst of one: what
    a command has begun, such as a mount, is then known and can be undone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stop = False
        self._steps = 0
        self._environment = {
            **os.environ,
            "PATH": SEARCH_PATH,
            "UDFFS_SETTINGS": str(folder / "settings.toml"),
        }
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._stop = True

    def go_on(self) -> None:
        """Raises Stopped if the user wants no more."""
        if self._stop:
            raise Stopped

    def step(self, text: str) -> None:
        """Announces what comes next."""
        self.go_on()
        self._steps += 1
        say(f"\n{self._steps}. {text}")

    def run(self, *words: str | Path, only: Sequence[str] = ("",)) -> None:
        """Runs a command and shows what it says; with ``only`` the lines that
        begin like that."""
        say(f"   $ {shlex.join(self._short(word) for word in words)}")
        for line in self._said(words).splitlines():
            if line.startswith(tuple(only)):
                say(f"     {line.replace(f'{self._folder}/', '')}")

    def _said(self, words: Sequence[str | Path]) -> str:
        """What the command says; StepFailed, with that, if it fails."""
        self.go_on()
        ended = self._start(words)
        if ended.returncode != 0:
            raise StepFailed(
                f"{words[0]} {words[1]} ended with status {ended.returncode}\n{ended.stdout}"
            )
        return ended.stdout

    def regardless(self, *words: str | Path) -> bool:
        """Runs a command while cleaning up; whether it succeeded."""
        return self._start(words).returncode == 0

    def _start(self, words: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            list(map(str, words)),
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            check=False,
        )

    def _short(self, word: str | Path) -> str:
        """As one would type it inside the folder."""
        path = Path(word)
        return (
            str(path.relative_to(self._folder)) if path.is_relative_to(self._folder) else str(word)
        )


def say(text: str) -> None:
    print(text, flush=True)
