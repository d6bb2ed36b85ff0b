"""What an entry of a menu does: ``udffs desktop run ACTION -- FILES``.

There is nobody to read a sentence where a file manager starts a program: files are
collected with a notification, all else happens in a terminal of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from urllib.parse import unquote_to_bytes

from udffs.errors import InvalidOperationError, MissingDependencyError

#: Programs that open a window, with what goes before the command to run in it.
TERMINALS = (
    ("xdg-terminal-exec",),
    ("gnome-terminal", "--"),
    ("ptyxis", "--"),
    ("kgx", "--"),
    ("konsole", "-e"),
    ("xfce4-terminal", "-x"),
    ("x-terminal-emulator", "-e"),
    ("xterm", "-e"),
)


def path_of(word: str) -> str:
    """The path of a file, also where its address is given. Raises InvalidOperationError
    for what is not on this computer."""
    scheme, colon, rest = word.partition("://")
    if not (colon and scheme.isalnum()):
        return word
    host, slash, path = rest.partition("/")
    if scheme != "file" or host not in ("", "localhost"):
        raise InvalidOperationError(f"{word} is not a file on this computer; copy it here first.")
    return os.fsdecode(unquote_to_bytes(slash + path))


def send(command: Sequence[str], files: Sequence[str]) -> int:
    """Stages the files, and says how that went."""
    try:
        paths = _paths(files)
    except InvalidOperationError as error:
        notify("Send to disc", str(error))
        raise
    words = [*command, "stage", "add", "--", *paths]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    text = (done.stdout if done.returncode == 0 else done.stderr).strip()
    notify("Send to disc", text)
    return done.returncode


def _paths(files: Sequence[str]) -> list[str]:
    if not files:
        raise InvalidOperationError("No files were chosen.")
    return [os.path.abspath(path_of(word)) for word in files]  # noqa: PTH100


def notify(title: str, text: str) -> None:
    """Shows a sentence on the desktop, and on standard output for all others."""
    print(text.encode("utf-8", "replace").decode())
    program = shutil.which("notify-send")
    if program:
        words = [program, "--app-name=udffs", "--", title, text]
        subprocess.run(words, check=False, capture_output=True)


def in_terminal(command: Sequence[str], action: str) -> int:
    """Starts the same action again in a terminal. Raises MissingDependencyError."""
    for program, *before in TERMINALS:
        found = shutil.which(program)
        if found:
            words = [found, *before, *command, "desktop", "run", "--here", action]
            return subprocess.run(words, check=False).returncode
    notify("udffs", "No terminal was found to ask in; xterm is one.")
    raise MissingDependencyError(what="A terminal to ask in", how="install xterm, for example.")


def drives(command: Sequence[str]) -> list[tuple[str, str]]:
    """(name, description) of each drive."""
    words = [*command, "drives", "--json"]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True)
    return [(row["drive"], row["text"]) for row in json.loads(done.stdout)["drives"]]


def act(
    command: Sequence[str],
    action: str,
    choose: Callable[[Sequence[tuple[str, str]]], str],
) -> int:
    """Runs the command of an action with the drive that was chosen."""
    known = drives(command)
    if not known:
        raise InvalidOperationError("There is no drive; `udffs new` makes a virtual one.")
    return subprocess.run([*command, action, choose(known)], check=False).returncode
