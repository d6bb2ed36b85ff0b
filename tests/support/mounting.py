"""A virtual disc of a test, and the udffs commands on it.

Everything of one test is in one folder: the disc, the spool, the settings,
the registry of mounts. Nothing stays mounted and no process stays behind,
whatever the test did: :meth:`Disc.clean_up`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import mounts

UDFFS = [sys.executable, "-m", "udffs.cli"]
MOUNT_UDFFS = [sys.executable, "-c", "from udffs.cli.mount_helper import main; main()"]

Completed = subprocess.CompletedProcess[str]


class Disc:
    """A CD-R in a file, and a place to mount it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.image = self.folder / "disc.img"
        self.where = self.folder / "at"
        self.home = self.folder / "home"
        self.settings = self.folder / "settings.toml"
        self.spool = self.folder / "spool"
        self.runtime = self.folder / "run"
        for path in (self.where, self.home):
            path.mkdir()
        self.set()

    # -- commands --------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("XDG_")}
        return {
            **kept,
            "HOME": str(self.home),
            "UDFFS_SETTINGS": str(self.settings),
            "UDFFS_RUNTIME_DIR": str(self.runtime),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def set(self, text: str = "") -> None:
        """Writes the settings: the spool here, and what the test wants."""
        self.settings.write_text(f'spool = "{self.spool}"\n{text}\n')

    def run(self, command: list[Any], *, check: bool = True, **options: Any) -> Completed:
        """A command with this disc's settings; the test fails if it does."""
        options.setdefault("cwd", self.folder)
        done = subprocess.run(
            [str(word) for word in command],
            env={**self.environment, **options.pop("env", {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            check=False,
            **options,
        )
        if check and done.returncode:
            words = " ".join(str(word) for word in command)
            raise AssertionError(
                f"{words}: {done.returncode}\n{done.stdout}{done.stderr}{self.log}"
            )
        return done

    def udffs(self, *words: Any, check: bool = True, **options: Any) -> Completed:
        return self.run([*UDFFS, *words], check=check, **options)

    def json(self, *words: Any) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.udffs(*words, "--json").stdout)
        return told

    def shell(self, script: str, **options: Any) -> str:
        """A shell script in the mounted directory; its standard output."""
        options.setdefault("cwd", self.where)
        return self.run(["sh", "-euc", script], **options).stdout

    def new(self, media: str = "cd-r-80") -> None:
        self.udffs("new", self.image, "--media", media)

    def format(self, *words: Any) -> None:
        self.new()
        self.udffs("format", self.image, "--label", "Test", *words)

    def mount(self, *words: Any) -> None:
        self.udffs("mount", self.image, self.where, *words)

    def unmount(self, *words: Any) -> None:
        self.udffs("unmount", self.where, *(words or ["--leave-open"]))

    def unmount_when_asked(self, answer: str) -> tuple[str, str]:
        """On a terminal, with that answer to the question what shall happen to the disc:
        the command's output, and what the terminal showed besides."""
        import pty

        leader, follower = pty.openpty()
        try:
            process = subprocess.Popen(
                [*UDFFS, "unmount", self.where],
                env=self.environment,
                stdin=follower,
                stdout=subprocess.PIPE,
                stderr=follower,
                text=True,
            )
            os.write(leader, f"{answer}\n".encode())
            assert process.stdout is not None
            said = process.stdout.read()
            assert process.wait(20) == 0
            return said, os.read(leader, 65536).decode()
        finally:
            os.close(leader)
            os.close(follower)

    def remount(self) -> None:
        self.unmount()
        self.mount()

    # -- the process behind a mount ------------------------------------------------

    @property
    def log(self) -> str:
        paths = sorted(self.home.rglob("*.log"))
        return "".join(path.read_text(errors="replace") for path in paths)

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted(self.runtime.glob("*.json"))]

    @property
    def pid(self) -> int:
        """Of the process that serves the mount."""
        return int(self.entries()[0]["pid"])

    @property
    def mounted(self) -> bool:
        return mounts.is_mounted(self.where)

    def clean_up(self) -> None:
        """Nothing stays mounted and no process stays, whatever happened."""
        for entry in self.entries():
            with_process(int(entry["pid"]), signal.SIGKILL)
        for path in [self.where, *(self.home / "Discs").glob("*")]:
            while mounts.is_mounted(path):
                assert mounts.let_go(path) or mounts.is_mounted(path), path


@contextlib.contextmanager
def mounted_disc(folder: Path) -> Iterator[Disc]:
    """A formatted disc, mounted; nothing of it is left mounted afterwards."""
    disc = Disc(folder)
    try:
        disc.format()
        disc.mount()
        yield disc
    finally:
        disc.clean_up()


def with_process(pid: int, number: signal.Signals) -> None:
    """Sends a signal to a process of ours that may be gone already."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"udffs" in command:
            os.kill(pid, number)
    except (ProcessLookupError, FileNotFoundError):
        return
    wait_until(lambda: not is_running(pid), f"process {pid} ends")


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Returns once something holds; fails the test if it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds} s in vain until {what}"
        time.sleep(0.02)


# -- comparing ---------------------------------------------------------------------


def kept(disc: Disc) -> None:
    """Everything is after a remount as it was before."""
    before = tree(disc.where)
    disc.remount()
    assert tree(disc.where) == before


def listing(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class Seen(NamedTuple):
    """One name in a tree. Times are in microseconds, as UDF keeps them."""

    mode: int
    uid: int
    gid: int
    links: int
    size: int
    mtime: int
    device: int
    content: str


def tree(top: Path) -> dict[str, Seen]:
    """All names below a directory with everything that must survive."""
    return {str(path.relative_to(top)): see(path) for path in sorted(_walk(top))}


def see(path: Path) -> Seen:
    found = path.lstat()
    directory = stat.S_ISDIR(found.st_mode)
    return Seen(
        found.st_mode,
        found.st_uid,
        found.st_gid,
        0 if directory else found.st_nlink,
        0 if directory else found.st_size,
        found.st_mtime_ns // 1000,
        found.st_rdev,
        _content(path, found.st_mode),
    )


def _walk(top: Path) -> Iterator[Path]:
    for directory, inner, names in os.walk(top):
        yield from (Path(directory) / name for name in inner + names)


def _content(path: Path, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return str(path.readlink())
    if stat.S_ISREG(mode):
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return ""
