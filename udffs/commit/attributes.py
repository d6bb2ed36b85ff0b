"""What stat(2) tells of an inode."""

from __future__ import annotations

import stat
from typing import NamedTuple

from udffs.commit.nodes import Node, State
from udffs.commit.prepare import ReadBlocks, read_content
from udffs.ondisc import modes
from udffs.volume.model import BLOCK

SECTORS = BLOCK // 512  # st_blocks counts units of 512 bytes


class Attributes(NamedTuple):
    """What stat(2) tells; ``blocks`` in units of 512 bytes, times in ns."""

    inode: int
    mode: int
    links: int
    uid: int
    gid: int
    device: int
    size: int
    blocks: int
    atime: int
    mtime: int
    ctime: int


def inode_number(key: int) -> int:
    """The number that programs see: 0 and 1 mean something else to some."""
    return (key & 0xFFFFFFFF) + 2


def attributes_of(node: Node, read: ReadBlocks) -> Attributes:
    """The attributes of an inode; ``read`` reads the disc, which is needed
    for the length of a symbolic link too long for its ICB only."""
    state = node.state
    return Attributes(
        inode_number(node.key),
        state.mode,
        state.links + 1 if state.is_directory else max(state.links, 0),
        state.uid,
        state.gid,
        state.device,
        _target_length(state, read) if stat.S_ISLNK(state.mode) else state.size,
        _allocated(state) * SECTORS,
        state.atime,
        state.mtime,
        state.ctime,
    )


def _target_length(state: State, read: ReadBlocks) -> int:
    """A link's size is that of its target; on the disc are path components."""
    return len(modes.parse_path(read_content(state, 0, state.size, read)).encode())


def _allocated(state: State) -> int:
    """Blocks that an inode takes on the disc, its ICB included."""
    blocks = 1
    for run in state.runs:
        if run.block >= 0:
            blocks += -(-run.length // BLOCK)
    if state.overlay is not None:  # most of it will replace what is there
        blocks = min(blocks + state.overlay.blocks, 1 + -(-state.size // BLOCK))
    return blocks
