"""Sentences about names: the first of a kind by path, and how many more there are."""

from __future__ import annotations

import heapq

__all__ = ["Notes"]

SHOWN = 5
"""Names in a sentence."""

LONGEST_SHOWN = 200
"""Characters of one of them."""

_KEPT = 1000  # before all but the first are forgotten


class Notes:
    """Names by what is to be said of them; any number of them takes little memory."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, list[tuple[str, str]]] = {}

    def add(self, what: str, path: str, to: str = "") -> None:
        """One more name of which to say `what`, and what it is instead."""
        self._counts[what] = self._counts.get(what, 0) + 1
        kept = self._first.setdefault(what, [])
        kept.append((path, to))
        if len(kept) > _KEPT:
            self._first[what] = heapq.nsmallest(SHOWN, kept)

    def sentences(self) -> list[str]:
        """One of each kind."""
        return [self._sentence(what, count) for what, count in self._counts.items()]

    def _sentence(self, what: str, count: int) -> str:
        first = heapq.nsmallest(SHOWN, self._first[what])
        names = ", ".join(_short(path) + (f" is {to}" if to else "") for path, to in first)
        more = f" and {count - len(first):,} more" if count > len(first) else ""
        return f"{what}: {names}{more}."


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else text[: LONGEST_SHOWN - 3] + "..."
