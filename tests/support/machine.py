"""What this machine can do, and one sentence for what it cannot.

A test asks through a marker or a fixture of ``tests/conftest.py``. Where the
answer is no, the test is left out and the sentence is printed at the end of
the run: nothing is left out in silence.
"""

from __future__ import annotations

import ctypes.util
import functools
import os
import shutil
from pathlib import Path

# Program -> Debian package. `tools/setup` installs the same ones; a test in
# tests/unit/test_house.py holds the two lists together.
PACKAGES = {
    "7zz": "7zip",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "dpkg-deb": "dpkg",
    "find": "findutils",
    "fusermount": "fuse3",
    "genisoimage": "genisoimage",
    "git": "git",
    "isoinfo": "genisoimage",
    "mkudffs": "udftools",
    "osirrox": "xorriso",
    "qemu-system-x86_64": "qemu-system-x86",
    "rsync": "rsync",
    "setpriv": "util-linux",
    "sqlite3": "sqlite3",
    "tar": "tar",
    "taskset": "util-linux",
    "udevadm": "udev",
    "udfclient": "udfclient",
    "udfdump": "udfclient",
    "udfinfo": "udftools",
    "umount": "mount",
    "wodim": "wodim",
    "xorriso": "xorriso",
}

SEARCH_PATH = os.pathsep.join(
    [os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"]
)


def find_program(name: str) -> Path | None:
    """Where the program is; administrators' directories are looked at too."""
    found = shutil.which(name, path=SEARCH_PATH)
    return Path(found) if found else None


def why_no_program(name: str) -> str:
    """The sentence for a program that is not there."""
    return f"{name} is not installed (apt-get install {PACKAGES.get(name, name)})"


@functools.cache
def why_no_fuse() -> str | None:
    """Why nothing can be mounted here, or None if it can."""
    if not Path("/dev/fuse").exists():
        return "there is no /dev/fuse on this machine"
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "/dev/fuse is not usable by this user (as root: chmod 0666 /dev/fuse)"
    if ctypes.util.find_library("fuse") is None:
        return "libfuse 2 is not installed (apt-get install libfuse2, or libfuse2t64)"
    if os.getuid() != 0 and find_program("fusermount") is None:
        return why_no_program("fusermount")
    return None


def why_not_root() -> str | None:
    """Why what only root may do cannot be tried, or None if it can."""
    return None if os.getuid() == 0 else "this user is not root"


def shared_images() -> Path | None:
    """The folder of discs written by other programs, which is no part of the
    project: ``$UDFFS_IMAGES``, or ``../shared/images`` beside the checkout."""
    named = os.environ.get("UDFFS_IMAGES")
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "images"
    folder = Path(named) if named else beside
    return folder if folder.is_dir() else None
