"""Discs that several of these tests look at, written once; and one for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support import mounting
from support.discs import DISC_NAMES, Disc, make_named_disc


@pytest.fixture
def disc(tmp_path: Path) -> Iterator[mounting.Disc]:
    """A disc of its own for the commands of a test; nothing of it stays mounted."""
    disc = mounting.Disc(tmp_path)
    try:
        yield disc
    finally:
        disc.clean_up()


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Disc]:
    """Every disc of DISC_NAMES, by its name: written by us through the file
    system's operations, without a mount."""
    folder = tmp_path_factory.mktemp("discs")
    return {name: make_named_disc(folder, name) for name in DISC_NAMES}
