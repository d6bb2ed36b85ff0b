"""Notes about an image: one sentence a kind, however many files it is about."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["Notes", "name_list"]

NAMED = 5
"""Files that a note names; the others are counted."""

ALL_NAMED = 200
"""Files that an error names."""


def name_list(names: Iterable[str], limit: int = ALL_NAMED) -> str:
    """The names, one after the other; beyond `limit` how many more there are."""
    known = list(names)
    listed = ", ".join(known[:limit])
    return listed if len(known) <= limit else f"{listed} and {len(known) - limit} more"


class Notes:
    """Collects what happened to which files."""

    def __init__(self) -> None:
        self._groups: dict[str, list[str]] = {}
        self._plain: list[str] = []

    def add(self, what: str, name: str) -> None:
        """Something that happened to one file; `what` follows on a count of files."""
        self._groups.setdefault(what, []).append(name)

    def group(self, what: str, names: Iterable[str]) -> None:
        """The same for many."""
        for name in names:
            self.add(what, name)

    def extend(self, sentences: Iterable[str]) -> None:
        """Sentences that are complete."""
        self._plain += sentences

    def sentences(self) -> list[str]:
        """All of it, one sentence a kind."""
        return self._plain + [
            f"{len(names)} {what}: {name_list(names, NAMED)}."
            for what, names in self._groups.items()
        ]
