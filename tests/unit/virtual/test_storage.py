"""The two places for data agree with each other and with a plain mapping."""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from media.virtual.storage import BLOCK, FileStorage, MemoryStorage

from .hand import pattern

pieces = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 4)), min_size=1, max_size=8)
ranges = st.tuples(st.integers(0, 60), st.integers(0, 20))


def test_a_read_ends_where_the_data_ends() -> None:
    storage = MemoryStorage()
    storage.write(3, pattern(3, 2))
    assert storage.read(0, 10) == bytes(3 * BLOCK) + pattern(3, 2)
    assert storage.read(5, 1) == b""


@given(pieces, ranges, ranges)
@settings(max_examples=150, deadline=None)
def test_memory_is_as_good_as_a_file(
    gaps: list[tuple[int, int]], erased: tuple[int, int], wanted: tuple[int, int]
) -> None:
    memory = MemoryStorage()
    path = Path(f"/tmp/udffs-storage-{os.getpid()}")
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    path.unlink()
    file = FileStorage(fd)
    try:
        position = 0
        for gap, count in gaps:
            position += gap
            for storage in (memory, file):
                storage.write(position, pattern(position, count))
            position += count
        copy = memory.clone()
        block, count = erased
        count = max(0, min(count, position - block))
        for storage in (memory, file):
            storage.erase(block, count)
            storage.truncate(position // 2)
        block, count = wanted
        size = count * BLOCK
        assert memory.read(block, count).ljust(size, b"\0") == file.read(block, count).ljust(
            size, b"\0"
        )
        assert copy.read(position - 1, 1) == pattern(position - 1)
    finally:
        file.close()
