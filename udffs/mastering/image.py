"""Images that are mastered in one go, and streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

__all__ = ["Image"]


class Image(Protocol):
    """What can be written to a disc or a file from its first block to its last."""

    @property
    def blocks(self) -> int:
        """Its size; known before anything is read."""
        ...

    @property
    def notes(self) -> list[str]:
        """Sentences about names that were changed and files that were left out."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """All of it, in order, in whole blocks; sources are read as it goes.

        Raises SourceChangedError for one that has another size by now,
        UnreadableFilesError or UnreadableSourcesError for what cannot be read.
        """
        ...
