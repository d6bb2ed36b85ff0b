"""From a frozen picture of the tree to jobs for the plan of a commit.

Here is decided what is embedded in its ICB and which blocks of a file or a
directory must be written. What a commit needs from the disc itself (the rest
of partly overwritten blocks, directories changed for the first time) is read
here, before the packet is begun.
"""

from __future__ import annotations

from collections.abc import Callable

from udffs.commit.namespace import Frozen
from udffs.commit.nodes import Node, State, cut_runs
from udffs.commit.overlay import Overlay
from udffs.commit.plan import Job
from udffs.commit.stream import DirectoryStream
from udffs.commit.streaming import in_chunks, is_large
from udffs.volume import Run
from udffs.volume.model import BLOCK

ReadBlocks = Callable[[int, int], bytes]
LoadStream = Callable[[Node], DirectoryStream]


class Prepared:
    """The jobs of a commit: files, then directories; and whose they are."""

    def __init__(self) -> None:
        self.files: list[Job] = []
        self.directories: list[Job] = []
        self.nodes: list[tuple[Node, State]] = []
        self.streams: list[DirectoryStream] = []


def prepare(frozen: Frozen, read: ReadBlocks, load_stream: LoadStream) -> Prepared:
    """The jobs for everything in ``frozen``.

    ``read(block, count)`` reads the disc; ``load_stream`` gives a directory's
    stream on the disc.
    """
    prepared = Prepared()
    directories: list[tuple[Node, State]] = []
    for node, state in frozen.states:
        if state.is_directory:
            directories.append((node, state))
            continue
        job = _file_job(node, state, read)
        prepared.files.append(in_chunks(job) if is_large(job) else job)
        prepared.nodes.append((node, state))
    for node, state in directories:
        job, stream = directory_job(node, state, frozen.epoch, load_stream)
        prepared.directories.append(job)
        prepared.nodes.append((node, state))
        prepared.streams.append(stream)
    return prepared


def read_below(state: State, offset: int, length: int, read: ReadBlocks) -> bytes:
    """What lies under the overlay: embedded, in runs on the disc, or zeros.
    ``length`` bytes from ``offset`` on."""
    if state.embedded is not None:
        return state.embedded[offset : offset + length].ljust(length, b"\0")
    end = offset + length
    parts: list[bytes] = []
    at = offset
    for run in runs_within(state.runs, offset, end):
        low, high = max(run.offset, at), min(run.offset + run.length, end)
        if run.block < 0 or high <= low:
            continue
        parts.append(bytes(low - at))
        skip = low - run.offset
        first = run.block + skip // BLOCK
        inside = skip % BLOCK
        count = -(-(inside + high - low) // BLOCK)
        data = read(first, count)
        parts.append(
            data if not inside and len(data) == high - low else data[inside : inside + high - low]
        )
        at = high
    if at < end:
        parts.append(bytes(end - at))
    return b"".join(parts) if len(parts) != 2 or parts[0] else parts[1]


def runs_within(runs: tuple[Run, ...], start: int, end: int) -> tuple[Run, ...]:
    """The runs that touch the bytes ``start`` to ``end``."""
    if len(runs) < 8:
        return runs
    low, high = 0, len(runs)
    while low < high:
        middle = (low + high) // 2
        if runs[middle].offset + runs[middle].length <= start:
            low = middle + 1
        else:
            high = middle
    after = low
    while after < len(runs) and runs[after].offset < end:
        after += 1
    return runs[low:after]


def read_content(state: State, offset: int, length: int, read: ReadBlocks) -> bytes:
    """``length`` bytes of a file from ``offset`` on, through all layers."""
    overlay = state.overlay
    if overlay is None:
        return read_below(state, offset, length, read)
    end = offset + length
    parts: list[bytes] = []
    at = offset
    for piece in overlay.slices(offset, end):
        if piece.start > at:
            parts.append(read_below(state, at, piece.start - at, read))
        size = piece.end - piece.start
        if piece.segment is None:
            parts.append(bytes(size))
        else:
            parts.append(piece.segment.read(piece.position, size))
        at = piece.end
    if at < end:
        parts.append(read_below(state, at, end - at, read))
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _file_job(node: Node, state: State, read: ReadBlocks) -> Job:
    virtual = node.key & 0xFFFFFFFF
    if state.size <= state.room:
        content = read_content(state, 0, state.size, read)
        return Job(virtual, state, state.size, content, (), None, ())
    overlay = state.overlay
    if overlay is None and state.embedded is None:
        return Job(virtual, state, state.size, None, (), None, state.runs)
    overlay = Overlay() if overlay is None else overlay
    ranges = overlay.block_ranges()
    if state.embedded:  # what was in the ICB must move out of it
        ranges = _with_head(ranges, -(-len(state.embedded) // BLOCK))
    source = FileSource(state, overlay, _base_blocks(state, overlay, ranges, read))
    return Job(virtual, state, state.size, None, ranges, source, state.runs)


def _with_head(ranges: list[tuple[int, int]], blocks: int) -> list[tuple[int, int]]:
    """``ranges`` with the first ``blocks`` blocks among them."""
    end = blocks
    rest: list[tuple[int, int]] = []
    for first, count in ranges:
        if first <= end:
            end = max(end, first + count)
        else:
            rest.append((first, count))
    return [(0, end), *rest]


def _base_blocks(
    state: State, overlay: Overlay, ranges: list[tuple[int, int]], read: ReadBlocks
) -> dict[int, bytes]:
    """What lies under the blocks that the overlay covers only in part."""
    base: dict[int, bytes] = {}
    for first, count in ranges:
        at, end = first * BLOCK, min((first + count) * BLOCK, state.size)
        gaps: list[tuple[int, int]] = []
        for piece in overlay.slices(at, end):
            if piece.start > at:
                gaps.append((at, piece.start))
            at = piece.end
        if at < end:
            gaps.append((at, end))
        for low, high in gaps:
            for block in range(low // BLOCK, (high - 1) // BLOCK + 1):
                if block not in base:
                    base[block] = read_below(state, block * BLOCK, BLOCK, read)
    return base


class FileSource:
    """The bytes of a frozen file's changed blocks."""

    def __init__(self, state: State, overlay: Overlay, base: dict[int, bytes]) -> None:
        self._size = state.size
        self._overlay = overlay
        self._base = base

    def __call__(self, first: int, count: int, _logical: int) -> bytes:
        """``count`` blocks from block ``first`` of the file on; what lies
        behind the end of the file is zeros."""
        start = first * BLOCK
        end = min(start + count * BLOCK, self._size)
        pieces = list(self._overlay.slices(start, end))
        if len(pieces) == 1 and pieces[0].start == start and pieces[0].end == end:
            segment = pieces[0].segment
            if segment is not None:
                data = segment.read(pieces[0].position, end - start)
                return data if end - start == count * BLOCK else data.ljust(count * BLOCK, b"\0")
        buffer = bytearray(count * BLOCK)
        view = memoryview(buffer)
        for block in range(first, first + count) if self._base else ():
            below = self._base.get(block)
            if below is not None:
                view[(block - first) * BLOCK : (block - first + 1) * BLOCK] = below
        for piece in pieces:
            target = view[piece.start - start : piece.end - start]
            if piece.segment is None:
                target[:] = bytes(len(target))
            else:
                piece.segment.read_into(target, piece.position)
        return bytes(buffer)


def directory_job(
    node: Node, state: State, epoch: int, load_stream: LoadStream
) -> tuple[Job, DirectoryStream]:
    """The job for a directory with its changes up to ``epoch``, and its stream."""
    virtual = node.key & 0xFFFFFFFF
    directory = node.directory
    if directory is None:  # only its attributes changed
        directory_stream = load_stream(node)
    else:
        if directory.stream is None:
            directory.stream = load_stream(node)
        directory_stream = directory.stream
        while directory.changes and directory.changes[0].epoch <= epoch:
            change = directory.changes.popleft()
            if change.entry is None:
                directory_stream.leave(change.name)
            else:
                directory_stream.enter(
                    change.name,
                    change.entry.key,
                    is_directory=change.entry.is_directory,
                    unique_id=change.entry.unique_id,
                )
    if state.parent is not None:
        directory_stream.set_parent(*state.parent)
    if directory_stream.tidy(state.room):
        content = directory_stream.embedded(virtual)
        return Job(virtual, state, len(content), content, (), None, ()), directory_stream
    if not state.runs:
        directory_stream.touch_all()
    ranges = directory_stream.dirty_ranges()
    size = directory_stream.size
    runs = cut_runs(state.runs, size)  # it may have been written anew, and shorter
    job = Job(virtual, state, size, None, ranges, directory_stream.blocks, runs)
    return job, directory_stream
