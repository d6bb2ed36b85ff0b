"""Volumes that mkudffs writes while the tests run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

BLOCK = 2048

# (name, options, blocks): every kind whose structures we declare.
KINDS = {
    "cdr-1.50": (("--media-type=cdr", "--udfrev=1.50"), 20_000),
    "cdr-2.01": (("--media-type=cdr", "--udfrev=2.01"), 20_000),
    "cdr-2.01-noefe": (("--media-type=cdr", "--udfrev=2.01", "--noefe"), 20_000),
    "cdr-2.01-closed": (("--media-type=cdr", "--udfrev=2.01", "--closed"), 2_000),
    "hd-1.50": (("--media-type=hd", "--udfrev=1.50", "--ad=short"), 2_000),
    "hd-2.01": (("--media-type=hd", "--udfrev=2.01", "--space=unalloctable"), 2_000),
    "cdrw-1.50": (("--media-type=cdrw", "--udfrev=1.50"), 20_000),
    "cdrw-2.01": (("--media-type=cdrw", "--udfrev=2.01"), 20_000),
}


@pytest.fixture(scope="session")
def made(
    program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """`made("cdr-2.01")` is an image of that kind, written by mkudffs."""
    folder = tmp_path_factory.mktemp("mkudffs")

    def make(kind: str) -> Path:
        path = folder / f"{kind}.img"
        if not path.exists():
            options, blocks = KINDS[kind]
            subprocess.run(
                [
                    str(program("mkudffs")),
                    "--new-file",
                    *options,
                    "--blocksize=2048",
                    "--label=A label",
                    str(path),
                    str(blocks),
                ],
                check=True,
                capture_output=True,
            )
        return path

    return make
