"""Volumes of other programs, written while the tests run."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

Make = Callable[..., Path]


@pytest.fixture(scope="session")
def mkudffs(program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Make:
    """`mkudffs("--media-type=cdr", blocks=2000)` is an image."""
    folder = tmp_path_factory.mktemp("mkudffs")

    def make(*options: str, blocks: int = 2000) -> Path:
        path = folder / ("".join(options).replace("/", "_") + f"{blocks}.img")
        if not path.exists():
            command = [str(program("mkudffs")), "--new-file", *options, "--blocksize=2048"]
            command += ["--label=A label", str(path), str(blocks)]
            subprocess.run(command, check=True, capture_output=True)
        return path

    return make


@pytest.fixture(scope="session")
def genisoimage(program: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Make:
    """`genisoimage(folder)` is an image of that folder, ISO 9660 and UDF."""
    place = tmp_path_factory.mktemp("genisoimage")

    def make(folder: Path, *options: str) -> Path:
        path = place / f"{folder.name}.iso"
        command = [str(program("genisoimage")), "-quiet", "-udf", "-J", "-R", *options]
        subprocess.run([*command, "-o", str(path), str(folder)], check=True, capture_output=True)
        return path

    return make
