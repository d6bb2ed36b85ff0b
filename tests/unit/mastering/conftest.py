"""Fixtures of the tests of staging and burning."""

from __future__ import annotations

from pathlib import Path

import pytest

from .burn_bench import Bench


@pytest.fixture
def bench(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Bench:
    return Bench(tmp_path, capsys, monkeypatch)
