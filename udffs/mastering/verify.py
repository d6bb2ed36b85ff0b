"""Reading a burnt disc back: is every block what was sent to it?

While an image is streamed a digest of each of its blocks is kept (8 bytes a block,
3 MB for a whole CD). Then the blocks are read from the disc and compared: so what
is checked is what the sources held when they were read, whatever became of them
since.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from media.errors import UnreadableBlockError
from udffs.mastering.notes import name_list
from udffs.mastering.streaming import Extent

BLOCK = 2048
_STEP = 512
_DIGEST = 8
#: Bad blocks after which nothing more is read: real drives take seconds for each
_ENOUGH = 100

Read = Callable[[int, int], bytes]


class Digests:
    """What was streamed, by block."""

    def __init__(self) -> None:
        self._digests = bytearray()

    @property
    def all(self) -> bytes:
        """One behind the other."""
        return bytes(self._digests)

    @property
    def blocks(self) -> int:
        return len(self._digests) // _DIGEST

    def watch(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """The same chunks (of whole blocks), remembered as they pass."""
        for chunk in chunks:
            self._digests += b"".join(_digests(chunk))
            yield chunk

    def differing(self, block: int, data: bytes) -> list[int]:
        """Blocks of these that are not what was streamed; ``block`` is the first."""
        start = block * _DIGEST
        found = b"".join(_digests(data))
        if found == self._digests[start : start + len(found)]:
            return []
        return [
            block + number
            for number in range(len(data) // BLOCK)
            if self._digest(found, number) != self._digest(self._digests, block + number)
        ]

    def _digest(self, digests: bytes | bytearray, number: int) -> bytes:
        return bytes(digests[number * _DIGEST : (number + 1) * _DIGEST])


def _digests(data: bytes) -> Iterator[bytes]:
    view = memoryview(data)
    for offset in range(0, len(view), BLOCK):
        yield blake2b(view[offset : offset + BLOCK], digest_size=_DIGEST).digest()


class Verified(NamedTuple):
    """What reading back found: how many blocks were read, and which of them are not
    what was streamed, or cannot be read. ``complete``: all that was to be read was."""

    blocks: int
    bad: tuple[int, ...] = ()
    complete: bool = True


def verify(
    read: Read,
    digests: Digests,
    *,
    start: int,
    leave_out: Sequence[range] = (),
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Verified:
    """Compares a track that begins at block ``start`` with what was streamed.

    ``leave_out`` are absolute blocks. Ends early after 100 bad blocks, or when
    ``stop`` says so. Raises what the drive raises, but for bad blocks."""
    spans = list(_pieces(_between(start, start + digests.blocks, leave_out)))
    total = sum(map(len, spans))
    done = 0
    bad: list[int] = []
    for span in spans:
        if stop() or len(bad) >= _ENOUGH:
            return Verified(done, tuple(bad), complete=False)
        bad += _compare(read, digests, span, start)
        done += len(span)
        if progress is not None:
            progress(done / total)
    return Verified(done, tuple(bad))


def _compare(read: Read, digests: Digests, span: range, start: int) -> list[int]:
    """The bad blocks of a span."""
    bad: list[int] = []
    block = span.start
    while block < span.stop and len(bad) < _ENOUGH:
        end = span.stop
        try:
            data = read(block, end - block)
        except UnreadableBlockError as error:
            end = error.block if block <= error.block < end else block
            data = read(block, end - block) if end > block else b""
            bad.append(end)
        bad += [start + each for each in digests.differing(block - start, data)]
        block = end + 1 if end < span.stop else end
    return sorted(bad)


def content_blocks(content: Iterable[Extent]) -> list[range]:
    """Absolute blocks that hold nothing but what is in files."""
    return [range(each.block, each.block + _blocks(each)) for each in content]


def names_at(content: Sequence[Extent], bad: Iterable[int]) -> list[str]:
    """The files that blocks belong to, each once; other blocks are no file's."""
    ordered = sorted(content, key=lambda each: each.block)
    starts = [each.block for each in ordered]
    names: dict[str, None] = {}
    for block in bad:
        index = bisect.bisect_right(starts, block) - 1
        if index >= 0 and block < starts[index] + _blocks(ordered[index]):
            names[ordered[index].path] = None
    return list(names)


def in_words(found: Verified, content: Sequence[Extent]) -> str:
    """What is bad, for people."""
    count = "1 block" if len(found.bad) == 1 else f"{len(found.bad)} blocks"
    where = f"{count} from block {found.bad[0]} on"
    if not found.complete:
        where = f"at least {where}, where reading was given up"
    names = names_at(content, found.bad)
    return f"{where}, in {name_list(names, 5)}" if names else f"{where}, none of them a file's"


def _blocks(extent: Extent) -> int:
    return -(-extent.source.size // BLOCK)


def _between(start: int, end: int, leave_out: Sequence[range]) -> Iterator[range]:
    """What of start .. end is not left out."""
    for span in sorted(leave_out, key=lambda each: each.start):
        if span.start > start:
            yield range(start, min(span.start, end))
        start = max(start, span.stop)
    if start < end:
        yield range(start, end)


def _pieces(spans: Iterable[range]) -> Iterator[range]:
    for span in spans:
        for block in range(span.start, span.stop, _STEP):
            yield range(block, min(block + _STEP, span.stop))
