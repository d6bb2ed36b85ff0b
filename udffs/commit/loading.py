"""Inodes and directories from the disc into the live tree."""

from __future__ import annotations

from udffs.commit.nodes import Directory, Entry, Node, State
from udffs.commit.stream import DirectoryStream
from udffs.errors import StructureError
from udffs.volume import Inode, Volume


def load_node(volume: Volume, key: int) -> Node:
    """An inode from the disc."""
    return Node(key, state_of(volume.inode(key)))


def state_of(inode: Inode) -> State:
    """The state of an inode that is as it is on the disc."""
    state = State(
        epoch=-1, mode=inode.mode, uid=inode.uid, gid=inode.gid, unique_id=inode.unique_id
    )
    state.links = inode.links
    state.device = inode.device
    state.atime, state.mtime, state.ctime = inode.atime, inode.mtime, inode.ctime
    state.size = state.floor = inode.size
    state.attributes = inode.extended_attributes
    state.extension = inode.extension
    if inode.data is not None and not state.is_directory:
        state.embedded = inode.data
    state.runs = inode.runs
    return state


def load_directory(volume: Volume, key: int) -> Directory:
    """The names in a directory on the disc."""
    entries = volume.entries(volume.inode(key))
    return Directory({e.name: Entry(e.key, e.is_directory, e.unique_id) for e in entries})


def load_stream(volume: Volume, key: int, version: int) -> DirectoryStream:
    """A directory's bytes on the disc; what is damaged in it is left out."""
    inode = volume.inode(key)
    try:
        return DirectoryStream.from_disc(volume.directory_data(inode), version=version)
    except StructureError:
        parent = volume.parent_key(inode)
        stream = DirectoryStream(version=version, parent=parent, parent_unique_id=0)
        for entry in volume.entries(inode):
            stream.enter(
                entry.name, entry.key, is_directory=entry.is_directory, unique_id=entry.unique_id
            )
        stream.touch_all()
        return stream
