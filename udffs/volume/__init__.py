"""Reading a volume, whoever wrote it and whatever its bytes."""

from __future__ import annotations

from udffs.volume.model import DirectoryEntry, HistoryEntry, Inode, Integrity, Run, Vat

__all__ = ["DirectoryEntry", "HistoryEntry", "Inode", "Integrity", "Run", "Vat"]
