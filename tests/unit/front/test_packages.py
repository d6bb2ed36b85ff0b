"""The package to install where libfuse is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from udffs.frontends.packages import install_hint, read_os_release


@pytest.mark.parametrize(
    ("release", "command"),
    [
        ({"ID": "debian", "VERSION_ID": "12"}, "apt install libfuse2 fuse3"),
        ({"ID": "debian", "VERSION_ID": "13"}, "apt install libfuse2t64 fuse3"),
        ({"ID": "debian"}, "apt install libfuse2t64 fuse3"),
        ({"ID": "ubuntu", "VERSION_ID": "22.04"}, "apt install libfuse2 fuse3"),
        ({"ID": "ubuntu", "VERSION_ID": "24.04"}, "apt install libfuse2t64 fuse3"),
        ({"ID": "ubuntu", "VERSION_ID": "nonsense"}, "apt install libfuse2t64 fuse3"),
        ({"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}, "(on older releases: sudo apt install"),
        ({"ID": "fedora", "VERSION_ID": "41"}, "dnf install fuse-libs fuse"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "dnf install fuse-libs fuse"),
        ({"ID": "opensuse-leap", "ID_LIKE": "suse opensuse"}, "zypper install libfuse2"),
        ({"ID": "arch"}, "pacman -S fuse2"),
        ({"ID": "unheard-of"}, "libfuse.so.2"),
        ({}, "libfuse.so.2"),
    ],
)
def test_by_distribution(release: dict[str, str], command: str) -> None:
    hint = install_hint(release)
    assert command in hint
    # Never apt's `fuse`: it takes fuse3 and the desktop away.
    assert "apt install fuse " not in hint + " " and not hint.endswith("apt install fuse")


def test_reading_os_release(tmp_path: Path) -> None:
    path = tmp_path / "os-release"
    path.write_text(
        '# comment\nID=ubuntu\nVERSION_ID="24.04"\nID_LIKE=\'debian\'\nBAD="\nrubbish\n'
    )
    assert read_os_release(path) == {
        "ID": "ubuntu",
        "VERSION_ID": "24.04",
        "ID_LIKE": "debian",
        "BAD": "",
    }
    assert read_os_release(tmp_path / "missing") == {}
