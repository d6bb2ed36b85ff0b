"""What commands say: sentences or JSON on standard output, progress and
warnings on standard error."""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click

Event = dict[str, Any]


class Output:
    """One command's voice. With ``json`` only its result goes to standard output."""

    def __init__(self, *, json: bool = False) -> None:
        self.json = json
        self.notes: list[str] = []

    def say(self, text: str) -> None:
        """A sentence for people."""
        if not self.json:
            click.echo(shown(text))

    def note(self, text: str) -> None:
        """Something to know, not an error; also among the result's notes."""
        self.notes.append(text)
        if not self.json:
            click.echo(shown(f"Note: {text}"), err=True)

    def result(self, data: Mapping[str, Any], text: str = "") -> None:
        """What the command has to report."""
        if self.json:
            notes = {"notes": self.notes} if self.notes else {}
            click.echo(json.dumps({**data, **notes}, indent=2, default=str))
        elif text:
            click.echo(shown(text))

    @contextlib.contextmanager
    def progress(self) -> Iterator[Callable[[Event], None]]:
        """Shows the events of :mod:`udffs.control` until the block ends: a bar
        with the time left on a terminal, nothing elsewhere."""
        if not sys.stderr.isatty():
            yield self._listen_only
            return
        with _Bar() as bar:
            yield functools.partial(self._show, bar)

    def _listen_only(self, event: Event) -> None:
        if event.get("event") == "note":
            self.note(str(event["message"]))

    def _show(self, bar: _Bar, event: Event) -> None:
        if event.get("event") == "progress":
            bar.show(str(event["what"]), float(event["fraction"]))
        else:
            self._listen_only(event)


class _Bar:
    """rich's progress bar; what takes less than half a second shows none."""

    DELAY = 0.5

    def __init__(self) -> None:
        self._what = ""
        self._since = 0.0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            with contextlib.suppress(Exception):  # after a Ctrl-C in the middle of drawing
                self._bar.stop()

    def show(self, what: str, fraction: float) -> None:
        import time

        if self._bar is None:
            self._since = self._since or time.monotonic()
            if time.monotonic() - self._since < self.DELAY:
                return
            self._start()
        if what != self._what:
            self._what = what
            self._bar.reset(self._task, description=what, total=1.0)
        self._bar.update(self._task, completed=fraction)

    def _start(self) -> None:
        from rich import progress
        from rich.console import Console

        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(),
            progress.TaskProgressColumn(),
            progress.TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("", total=1.0)
        self._bar.start()


def reports(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the option --json, and an Output as its first argument."""

    @click.option("--json", "as_json", is_flag=True, help="Report in JSON.")
    @functools.wraps(command)
    def run(*args: Any, as_json: bool, **kwargs: Any) -> Any:
        return command(Output(json=as_json), *args, **kwargs)

    return run


def local_progress(show: Callable[[Event], None], what: str) -> Callable[[float], None]:
    """A callback for work in this process, shown like that of a mount."""
    return lambda fraction: show({"event": "progress", "what": what, "fraction": fraction})


def shown(text: str) -> str:
    """Text with names of files in it as a terminal can show it: bytes that are no text,
    and what would move the cursor or change colours, are replaced."""
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in text)


def counted(number: int, one: str, several: str) -> str:
    """A number with its word: "1 file"."""
    return f"{number} {one if number == 1 else several}"


def size(blocks: int) -> str:
    """Blocks of 2,048 bytes in words: "12.3 MB" (1 MB is 1,000,000 bytes)."""
    amount = float(blocks * 2048)
    units = ["GB", "MB", "kB", "bytes"]
    while amount >= 1000 and len(units) > 1:
        amount /= 1000
        units.pop()
    return (
        f"{amount:.0f} {units[-1]}"
        if amount >= 100 or len(units) == 4
        else f"{amount:.1f} {units[-1]}"
    )


def duration(seconds: float) -> str:
    """A time in words, as exact as an estimate is: "about 37 minutes"."""
    if seconds < 90:
        return "about a minute" if seconds >= 45 else "less than a minute"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"about {minutes} minutes"
    return f"about {minutes // 60} hours and {minutes % 60} minutes"
