"""Everything again as an ordinary user, who mounts through fusermount.

Run as root: the other tests of mounts are run once more, as nobody.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.machine import find_program, why_no_program, why_not_root

pytestmark = [
    pytest.mark.fuse,
    pytest.mark.skipif(
        why_not_root() is not None,
        reason="the tests of mounts run as an ordinary user here anyway",
    ),
]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NOBODY = "65534"
DEVICE = Path("/dev/fuse")
FOR_ALL = 0o666


@pytest.fixture(scope="session")
def device_for_all(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """/dev/fuse as every distribution has it, open to all; the way it was
    before once no test of this run needs it any more."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    with (
        (shared / "device.users").open("a") as users,
        (shared / "device.mode").open("a+") as before,
    ):
        fcntl.flock(before, fcntl.LOCK_EX)
        fcntl.flock(users, fcntl.LOCK_SH)
        if not before.tell():
            before.write(f"{stat.S_IMODE(DEVICE.stat().st_mode)}\n")
        DEVICE.chmod(FOR_ALL)
        fcntl.flock(before, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(before, fcntl.LOCK_EX)
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # who comes last puts it back
            else:
                before.seek(0)
                DEVICE.chmod(int(before.readline()))
                before.truncate(0)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory of nobody's that he can reach."""
    made = Path(tempfile.mkdtemp(prefix="udffs-user."))
    os.chown(made, int(NOBODY), int(NOBODY))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def as_nobody(*command: str) -> list[str]:
    setpriv = find_program("setpriv")
    if setpriv is None:
        pytest.skip(why_no_program("setpriv"))
    return [str(setpriv), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]


@dataclass(frozen=True)
class Reachable:
    """A project and packages that nobody can read."""

    root: Path
    packages: tuple[str, ...]


def readable(path: Path) -> bool:
    """Whether nobody can read what is at ``path``."""
    command = as_nobody("test", "-r", str(path))
    return subprocess.run(command, cwd="/", check=False).returncode == 0


@pytest.fixture(scope="session")
def reachable() -> Iterator[Reachable]:
    """The project where it is; a copy, where it lies in a home that is closed
    to others."""
    packages = tuple(dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib")))
    if readable(ROOT / "pyproject.toml") and all(readable(Path(p, "pytest")) for p in packages):
        yield Reachable(ROOT, packages)
        return
    copy = Path(tempfile.mkdtemp(prefix="udffs-copy."))
    try:
        copy.chmod(0o755)
        for part in ("udffs", "media", "tests", "tools", "pyproject.toml"):
            source = ROOT / part
            (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / part)
        copies = []
        for number, package in enumerate(packages):
            shutil.copytree(package, copy / f"packages-{number}", symlinks=True)
            copies.append(str(copy / f"packages-{number}"))
        yield Reachable(copy, tuple(copies))
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def python_for_all() -> str:
    """A Python that nobody may run: this one, or else the system's, if it is
    of the same version (it gets this one's packages)."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/{version}"):
        # One step away from root, who can enter every directory.
        test = as_nobody("sh", "-c", f"{candidate} -c 'import tomllib'")
        if subprocess.run(test, capture_output=True, cwd="/", check=False).returncode == 0:
            return candidate
    pytest.skip(f"an ordinary user may not run {sys.executable}, nor is there a {version} for him")


@pytest.mark.usefixtures("device_for_all")
@pytest.mark.parametrize(
    "name",
    sorted(
        path.name
        for pattern in ("test_fuse_*.py", "test_cli_*.py")
        for path in HERE.glob(pattern)
        if path != Path(__file__)
    ),
)
def test_as_an_ordinary_user(name: str, folder: Path, reachable: Reachable) -> None:
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={folder}/t"]
    root = reachable.root
    tests = root / HERE.relative_to(ROOT)
    done = subprocess.run(
        as_nobody(python_for_all(), "-m", "pytest", str(tests / name), *options),
        cwd=root,
        env={
            **os.environ,
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "PYTHONPATH": os.pathsep.join([str(root), *reachable.packages]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"as an ordinary user:\n{done.stdout}{done.stderr}", pytrace=False)
    assert " passed" in done.stdout
