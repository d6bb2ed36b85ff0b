"""The third part of the session: collected files, written in one go."""

from __future__ import annotations

import shutil
from pathlib import Path

import pycdlib

from demolib.shell import SEARCH_PATH, Shell, StepFailed, say

LABEL = "Collected"

TELLING = ("Volume id", "Volume size", "Joliet", "Rock Ridge", "udfrev=", "integrity=")


class Mastering:
    """One CD-R: a folder tree is staged, and burnt as one track."""

    def __init__(self, shell: Shell, folder: Path) -> None:
        self._shell = shell
        self.disc = folder / "burnt.img"

    def play(self, source: Path) -> None:
        shell = self._shell
        shell.step("Collect files, and write them to another CD-R in one go.")
        shell.run("udffs", "new", self.disc, "--media", "cd-r-80")
        shell.run("udffs", "stage", "add", source)
        shell.run("udffs", "burn", self.disc, "--label", LABEL)
        compare_iso(self.disc, source, f"/{source.name}")


def strangers(shell: Shell, disc: Path) -> None:
    """What a program says of a disc that reads nothing but ISO 9660."""
    if shutil.which("isoinfo", path=SEARCH_PATH) is not None:
        shell.run("isoinfo", "-d", "-i", disc, only=TELLING)


def compare_iso(disc: Path, wanted: Path, inside: str) -> None:
    """Hold the ISO 9660 view of a disc, as pycdlib reads it, against a folder."""
    image = pycdlib.PyCdlib()
    image.open(str(disc))
    try:
        found = {
            f"{folder}/{name}" for folder, _, names in image.walk(rr_path=inside) for name in names
        }
    finally:
        image.close()
    prefix = inside.rstrip("/")
    files = {
        f"{prefix}/{path.relative_to(wanted)}"
        for path in wanted.rglob("*")
        if path.is_symlink() or path.is_file()
    }
    if not files <= {name.replace("//", "/") for name in found}:
        raise StepFailed("the ISO 9660 view lacks files that were saved")
    say(f"   pycdlib, which reads ISO 9660, finds all {len(files)} files by their names.")
