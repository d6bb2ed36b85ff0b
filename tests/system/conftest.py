"""Discs that several of these tests look at, written once."""

from __future__ import annotations

import pytest
from support.discs import DISC_NAMES, Disc, make_named_disc


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Disc]:
    """Every disc of DISC_NAMES, by its name: written by us through the file
    system's operations, without a mount."""
    folder = tmp_path_factory.mktemp("discs")
    return {name: make_named_disc(folder, name) for name in DISC_NAMES}
