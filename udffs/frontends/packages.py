"""Which package to install when libfuse is missing, by distribution.

Never apt's package ``fuse``: on Ubuntu it removes fuse3, and with it the
desktop.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

_APT_NEW = "sudo apt install libfuse2t64 fuse3"
_APT_OLD = "sudo apt install libfuse2 fuse3"
_BY_ID = {
    "fedora": "sudo dnf install fuse-libs fuse",
    "rhel": "sudo dnf install fuse-libs fuse",
    "centos": "sudo dnf install fuse-libs fuse",
    "opensuse": "sudo zypper install libfuse2 fuse",
    "suse": "sudo zypper install libfuse2 fuse",
    "arch": "sudo pacman -S fuse2",
    "alpine": "sudo apk add fuse",
}
# The first releases whose package carries the 64-bit time_t suffix.
_T64 = {"debian": (13,), "ubuntu": (24, 4)}


def install_hint(os_release: Mapping[str, str] | None = None) -> str:
    """The command that installs libfuse 2 and fusermount here."""
    release = read_os_release() if os_release is None else os_release
    family = [release.get("ID", ""), *release.get("ID_LIKE", "").split()]
    for name in family:
        if name in _T64:
            return "install it with: " + _apt(name, release)
        for known, command in _BY_ID.items():
            if name == known or name.startswith(known + "-"):
                return "install it with: " + command
    return "install libfuse 2 (libfuse.so.2) and fusermount with your package manager"


def read_os_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """The fields of os-release(5); empty where there is none."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {key.strip(): "".join(_words(value)) for key, value in pairs}


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        return []


def _apt(family: str, release: Mapping[str, str]) -> str:
    try:
        version = tuple(int(part) for part in release.get("VERSION_ID", "").split("."))
    except ValueError:
        version = ()
    if release.get("ID") != family:
        # A relative with a numbering of its own (Mint, Raspberry Pi OS ...).
        return f"{_APT_NEW} (on older releases: {_APT_OLD})"
    # No number at all means testing or unstable.
    return _APT_NEW if not version or version >= _T64[family] else _APT_OLD
