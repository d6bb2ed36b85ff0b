"""The second part of the session: a CD-RW, from which files can be deleted."""

from __future__ import annotations

import shutil
from pathlib import Path

from demolib.shell import SEARCH_PATH, Shell, StepFailed, say

LABEL = "Again"
SIZE = 24 << 20  # bytes of what is saved, deleted, and saved again

TELLING = ("label=", "blocks=", "usedblocks=", "udfrev=", "integrity=", "accesstype=")


class Rewriting:
    """One CD-RW: saved to, deleted from, saved to again."""

    def __init__(self, shell: Shell, folder: Path) -> None:
        self._shell = shell
        self.disc = folder / "rewritable.img"
        self.where = folder / "rewritable"

    def play(self) -> None:
        shell = self._shell
        shell.step("A CD-RW of 80 minutes: what is deleted from it gives its space back.")
        self.where.mkdir()
        shell.run("udffs", "new", self.disc, "--media", "cd-rw-80")
        shell.run("udffs", "format", self.disc, "--label", LABEL)
        shell.run("udffs", "mount", self.disc, self.where)
        shell.step("Save to it, delete, and save again.")
        self._save_twice()
        shell.step("Unmount it. There is nothing to close; other systems read it from now on.")
        shell.run("udffs", "unmount", self.where)
        shell.run("udffs", "info", self.disc)
        if shutil.which("udfinfo", path=SEARCH_PATH) is not None:
            shell.run("udfinfo", self.disc, only=TELLING)

    def _save_twice(self) -> None:
        target = self.where / "recording.raw"
        empty = self._free()
        target.write_bytes(b"first" * (SIZE // 5))
        full = self._sync("saved a recording")
        target.unlink()
        again = self._sync("deleted it")
        target.write_bytes(b"other" * (SIZE // 5))
        self._sync("saved another one")
        if not full < empty - SIZE < again:
            raise StepFailed(f"the space did not come back: {empty}, {full}, {again} bytes free")

    def _sync(self, what: str) -> int:
        """Makes durable what was done; says, and returns, how many bytes are free then."""
        self._shell.run("udffs", "sync", self.where)
        free = self._free()
        say(f"   - {what}: {free / 1e6:.1f} MB are free")
        return free

    def _free(self) -> int:
        return shutil.disk_usage(self.where).free
