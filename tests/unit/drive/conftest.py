"""A blank disc of 80 minutes, and its store."""

from __future__ import annotations

import pytest

from media.store import SequentialStore
from media.virtual import Burner, memory_burner

from .discs import attach


@pytest.fixture
def burner() -> Burner:
    return memory_burner("cd-r-80")


@pytest.fixture
def store(burner: Burner) -> SequentialStore:
    return attach(burner)
