"""The fewest disc blocks of 2,048 bytes that a workload can take on write-once
media in UDF 2.01, without an ISO 9660 view of it: what no layout can beat."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

from benchlib.workloads import Workload

BLOCK = 2048
LINK_BLOCKS = 7  # lost at each packet
EMBEDDED = 1872  # bytes that fit into a File Entry
VAT_HEADER = 152
VAT_ENTRY = 4
FID_HEADER = 38


def lower_bound(workload: Workload) -> int:
    """Blocks beyond those of the format."""
    return _saves(workload) if workload.durable else _one_packet(workload.tree)


def _one_packet(tree: Path) -> int:
    """Everything in one packet: data, ICBs, directories, one VAT."""
    blocks, nodes = LINK_BLOCKS, 1  # the file set has an entry in the VAT, too
    for where, inner, names in os.walk(tree):
        directory, members = Path(where), [*inner, *names]
        blocks += 1 + _outside(directory_size(members))
        blocks += sum(1 + _outside((directory / name).stat().st_size) for name in names)
        nodes += 1 + len(names)
    return blocks + 1 + _outside(VAT_HEADER + VAT_ENTRY * nodes)


def _outside(size: int) -> int:
    """Blocks that content of so many bytes takes beside its ICB."""
    return 0 if size <= EMBEDDED else math.ceil(size / BLOCK)


def directory_size(names: Iterable[str]) -> int:
    """Bytes of the File Identifier Descriptors, the parent's included."""
    return sum(fid_size(len(name) + 1) for name in names) + fid_size(0)


def fid_size(identifier: int) -> int:
    """Bytes of one, for an identifier of so many bytes (its compression id included)."""
    return 4 * math.ceil((FID_HEADER + identifier) / 4)


def _saves(workload: Workload) -> int:
    """One packet a save, and of the directory only the blocks that changed."""
    files = workload.files()
    blocks, before = 0, directory_size([])
    for number, path in enumerate(files, 1):
        after = before + fid_size(len(path.name) + 1)
        vat = VAT_HEADER + VAT_ENTRY * (number + 2)
        blocks += LINK_BLOCKS + 1 + _outside(path.stat().st_size)
        blocks += 1 + _changed(before, after) + 1 + _changed(vat - VAT_ENTRY, vat)
        before = after
    return blocks


def _changed(before: int, after: int) -> int:
    """Blocks that must be written anew when something grows at its end."""
    if after <= EMBEDDED:
        return 0
    kept = 0 if before <= EMBEDDED else before // BLOCK
    return math.ceil(after / BLOCK) - kept
