"""What the tests of burning share: a user with settings, files, and virtual drives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.iso_strangers import pycdlib_view
from support.iso_views import View

from media import discovery, virtual
from udffs import settings
from udffs.cli.app import run
from udffs.mastering import staging
from udffs.mastering.staging import Area


def view(image: Path, start: int = 0) -> View:
    """The session that begins at a block, by ISO 9660 and Rock Ridge."""
    return pycdlib_view(image, "rr", start=start)


def below(top: str, whole: View) -> View:
    """Of a view what is in one directory; nothing else may be there."""
    assert {name.split("/")[0] for name in whole} == {top}
    inside = {name.removeprefix(f"{top}/"): each for name, each in whole.items() if name != top}
    return {
        name: each._replace(same=each.same and each.same.removeprefix(f"{top}/"))
        for name, each in inside.items()
    }


class Bench:
    """Commands, and what they leave behind, in one directory of a test."""

    def __init__(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.folder = folder
        self._capsys = capsys
        self.disc = folder / "disc.img"
        self.out = self.err = ""
        (folder / "settings.toml").write_text('stash = "stash"\nspool = "spool"\n')
        monkeypatch.setenv("UDFFS_SETTINGS", str(folder / "settings.toml"))
        monkeypatch.setenv("UDFFS_RUNTIME_DIR", str(folder / "run"))
        monkeypatch.setenv("XDG_STATE_HOME", str(folder / "state"))

    def blank(self, kind: str = "cd-r-80") -> Path:
        virtual.create(self.disc, kind)
        return self.disc

    def tree(self, name: str = "tree", size: int = 100_000) -> Path:
        root = self.folder / name
        (root / "sub" / "deeper").mkdir(parents=True)
        (root / ".hidden").write_bytes(b"hidden")
        (root / "one").write_bytes(bytes(range(256)) * (size // 256))
        (root / "sub" / "two").write_bytes(b"2" * size)
        (root / "sub" / "again").hardlink_to(root / "sub" / "two")
        (root / "sub" / "deeper" / "link").symlink_to("../two")
        return root

    def udffs(self, *words: object) -> int:
        """The exit code; what it said is in ``out`` and ``err``."""
        code = run([str(word) for word in words])
        self.out, self.err = self._capsys.readouterr()
        return code

    def ok(self, *words: object) -> str:
        code = self.udffs(*words)
        assert code == 0, (code, self.out, self.err)
        return self.out

    def json(self, *words: object) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.ok(*words, "--json"))
        return told

    @property
    def area(self) -> Area:
        return staging.area(settings.load())

    def staged(self) -> list[str]:
        return [each.name for each in self.area.staged()]

    def status(self) -> tuple[str, str, int]:
        """Of the disc, of its last session, and how many sessions there are."""
        drive = discovery.open_drive(str(self.disc), writable=False)
        try:
            found = drive.disc()
            return found.status, found.last_session_state, found.sessions
        finally:
            drive.close()
