"""The virtual discs that ``udffs new`` has made, so that ``udffs drives`` can
name them: a list of paths in the user's state directory."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

LIMIT = 100


def known_discs() -> list[str]:
    """Those that still exist, oldest first."""
    try:
        names = json.loads(_list_path().read_text())
    except (OSError, ValueError):
        return []
    return [name for name in names if isinstance(name, str) and Path(name).exists()]


def remember(path: Path) -> None:
    """Adds a disc. That the list cannot be written is no reason to fail."""
    names = list(dict.fromkeys([*known_discs(), str(path.absolute())]))[-LIMIT:]
    place = _list_path()
    with contextlib.suppress(OSError):
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = place.with_suffix(".new")
        draft.write_text(json.dumps(names))
        draft.replace(place)


def _list_path() -> Path:
    import platformdirs

    return platformdirs.user_state_path("udffs") / "virtual-discs.json"
