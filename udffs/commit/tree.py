"""The inodes that are in memory.

Everything here happens under the file system's lock. What is not in memory
is not read here, because reading a disc can take seconds: :class:`Missing`
asks the caller to fetch it without the lock and to try again.
"""

from __future__ import annotations

from udffs.commit.nodes import Directory, Node

NODES_KEPT = 20_000


class Missing(Exception):  # noqa: N818 - a request to the caller, not an error
    """The inode ``key`` (or with ``names``, its directory entries) must be
    fetched from the disc first."""

    def __init__(self, key: int, *, names: bool = False) -> None:
        super().__init__(key)
        self.key = key
        self.names = names


class Tree:
    """Inodes by key; the ones longest unused are let go."""

    def __init__(self, root_key: int) -> None:
        self.root_key = root_key
        self.nodes: dict[int, Node] = {}
        self.orphans: dict[int, Node] = {}

    def node(self, key: int) -> Node:
        """The inode ``key``. Raises Missing."""
        try:
            return self.nodes[key]
        except KeyError:
            raise Missing(key) from None

    def directory(self, node: Node) -> Directory:
        """The entries of a directory. Raises Missing."""
        if node.directory is None:
            raise Missing(node.key, names=True)
        return node.directory

    def add(self, node: Node) -> None:
        """An inode was fetched from the disc."""
        self.nodes.setdefault(node.key, node)
        self.trim()

    def trim(self) -> None:
        """Let go of inodes that nobody uses, if there are many."""
        if len(self.nodes) <= NODES_KEPT:
            return
        for key in list(self.nodes)[: len(self.nodes) - NODES_KEPT * 9 // 10]:
            node = self.nodes.pop(key)
            if self._in_use(node):
                self.nodes[key] = node  # again, as the youngest

    def _in_use(self, node: Node) -> bool:
        return bool(node.handles) or node.key == self.root_key or node.key in self.orphans

    def release(self, node: Node) -> None:
        """A handle of the inode was closed."""
        node.handles -= 1
