"""What only root can install: the rules for udev, and mount(8)'s helper."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from udffs.desktop.entries import MARKER
from udffs.desktop.install import Report, is_ours
from udffs.errors import NotPermittedError

# Before 60-cdrom_id.rules, which opens the tray on DISK_EJECT_REQUEST. Only where a
# mount of ours is in the way: the button works as ever with all other discs.
_EJECT = f"""\
{MARKER}
# The tray of a drive with a disc mounted by udffs is not opened by udev.
ACTION!="change", GOTO="udffs_end"
SUBSYSTEM!="block", GOTO="udffs_end"
KERNEL!="sr[0-9]*", GOTO="udffs_end"
ENV{{DISK_EJECT_REQUEST}}!="?*", GOTO="udffs_end"
PROGRAM!="/bin/grep -q '^$devnode [^ ]* fuse.udffs ' /proc/self/mounts", GOTO="udffs_end"
ENV{{UDFFS_EJECT_REQUEST}}="$env{{DISK_EJECT_REQUEST}}"
ENV{{DISK_EJECT_REQUEST}}=""
LABEL="udffs_end"
"""

# After 60-cdrom_id.rules, which finds out what disc it is.
_AUTOMOUNT = f"""\
{MARKER}
# Discs that udffs can write to are not mounted by udisks on its own.
SUBSYSTEM=="block", KERNEL=="sr[0-9]*", ENV{{ID_CDROM_MEDIA_CD_R}}=="1", ENV{{UDISKS_AUTO}}="0"
SUBSYSTEM=="block", KERNEL=="sr[0-9]*", ENV{{ID_CDROM_MEDIA_CD_RW}}=="1", ENV{{UDISKS_AUTO}}="0"
"""

RULES = {"59-udffs-eject.rules": _EJECT, "61-udffs-automount.rules": _AUTOMOUNT}


class System:
    """The system below a directory: "/", or that of a package being made (DESTDIR)."""

    def __init__(self, helper: Path, destdir: str = "") -> None:
        self._real = destdir in ("", "/")
        root = Path(destdir or "/")
        self._rules = root / "etc/udev/rules.d"
        self._link = root / "sbin/mount.udffs"
        self._helper = helper

    def installed(self) -> Report:
        """What is there."""
        report = Report()
        for name in RULES:
            _tell(self._rules / name, is_ours(self._rules / name), report)
        _tell(self._link, self._is_our_link(), report)
        return report

    def install(self) -> Report:
        """Raises NotPermittedError where that takes root."""
        self._must_be_root("installs")
        before, report = self.installed(), Report()
        for name, text in RULES.items():
            path = self._rules / name
            if str(path) not in before.foreign:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
                report.done.append(str(path))
        if str(self._link) not in before.foreign:
            self._make_link()
            report.done.append(str(self._link))
        report.foreign = before.foreign
        self._reload()
        return report

    def remove(self) -> Report:
        """Raises NotPermittedError where that takes root."""
        self._must_be_root("removes")
        report = self.installed()
        for name in report.done:
            Path(name).unlink()
        self._reload()
        return report

    def unsafe_helper(self) -> str:
        """Why root should not run the helper, "" if there is nothing against it."""
        owner = self._helper.stat().st_uid if self._helper.exists() else 0
        if not self._real or owner == 0:
            return ""
        return (
            f"{self._helper} belongs to user {owner}, who can change what root runs when "
            "such a disc is mounted; install udffs as root to avoid that."
        )

    def _make_link(self) -> None:
        if not self._is_our_link():
            self._link.parent.mkdir(parents=True, exist_ok=True)
            self._link.symlink_to(self._helper)

    def _is_our_link(self) -> bool:
        return self._link.is_symlink() and self._link.readlink() == self._helper

    def _must_be_root(self, does: str) -> None:
        if self._real and os.geteuid() != 0:
            raise NotPermittedError(
                what=f"only root {does} rules for udev and {self._link} (sudo udffs desktop "
                "--system ...); without --system the entries of your own menus are meant."
            )

    def _reload(self) -> None:
        udevadm = shutil.which("udevadm", path="/usr/bin:/bin:/usr/sbin:/sbin")
        if self._real and udevadm:
            subprocess.run([udevadm, "control", "--reload"], check=False, capture_output=True)


def _tell(path: Path, ours: bool, report: Report) -> None:
    if ours:
        report.done.append(str(path))
    elif os.path.lexists(path):
        report.foreign.append(str(path))
