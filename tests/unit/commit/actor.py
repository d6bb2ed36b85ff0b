"""Does random things to a volume and the same things to the model.

All of it follows from a seed, so every run can be repeated.
"""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable

from udffs.filesystem import FileSystem

from .model import BLOCK, Inode, Model
from .rig import Clock, empty_root, picture

NAMES = (
    "a",
    "b",
    "Café",
    "Ω mega",
    "\U0001f4bf",
    ".hidden",
    "con:*?.txt",
    "trailing. ",
    "back\\slash",
    "n" * 254,
    "ж" * 127,
    "x.tar.gz",
)
TARGETS = ("a", "../b", "/etc/passwd", "./Café", "Ω mega/../x", "t" * 250 + "/" + "u" * 200)
SIZES = (0, 1, 100, 1800, 1871, 1872, 1873, 2047, 2048, 2049, 4096, 5000, 20_000)
PERMISSIONS = (0o644, 0o600, 0o755, 0o4755, 0o2711, 0o1777, 0o000, 0o070)
OWNERS = (0, 1, 1000, 65_534, 0xFFFF_FFFE)
DEEPEST = 3
MOST_HANDLES = 4


class Actor:
    """Keeps a volume and a model in step."""

    def __init__(
        self,
        fs: FileSystem,
        clock: Clock,
        seed: int,
        *,
        largest: int = 20_000,
        model: Model | None = None,
    ) -> None:
        self.fs = fs
        self.clock = clock
        self.random = random.Random(seed)
        self.largest = largest
        self.model = model or Model(empty_root())
        self.handles: list[tuple[int, Inode]] = []
        self.done: list[str] = []

    def adopt(self, fs: FileSystem) -> None:
        """Go on with a new mount of the same disc; handles are gone."""
        self.fs = fs
        self.handles.clear()

    # -- one step ------------------------------------------------------------

    def step(self) -> None:
        """One random operation, on both; they must agree on errors too."""
        names = [name for name, weight in _WEIGHTS.items() for _ in range(weight)]
        self.model.now = self.clock.tick()
        getattr(self, "_" + self.random.choice(names))()

    def _both(self, what: str, real: Callable[[], object], ideal: Callable[[], object]) -> bool:
        """Whether both did it; if one fails the other must, the same way."""
        self.done.append(what)
        wanted = _errno(ideal)
        found = _errno(real)
        assert found == wanted, f"{what}: errno {found}, not {wanted}"
        return not wanted

    # -- choices ---------------------------------------------------------------

    def _folder(self) -> str:
        folders = [p for p, n in self.model.walk() if n.is_directory and p.count("/") < DEEPEST]
        return self.random.choice(["", "", *folders])

    def _new(self) -> str:
        return f"{self._folder()}/{self.random.choice(NAMES)}"

    def _any(self) -> str:
        """A path that is there, mostly."""
        paths = [path for path, _ in self.model.walk()]
        if not paths or self.random.random() < 0.05:
            return self._new()
        return self.random.choice(paths)

    def _file(self) -> tuple[str, Inode] | None:
        files = [(p, n) for p, n in self.model.walk() if stat.S_ISREG(n.mode)]
        return self.random.choice(files) if files else None

    def _size(self) -> int:
        size = self.random.choice((*SIZES, self.random.randrange(self.largest)))
        return min(size, self.largest)

    def _ids(self) -> tuple[int, int]:
        return self.random.choice(OWNERS), self.random.choice(OWNERS)

    def _bytes(self, count: int) -> bytes:
        return self.random.randbytes(count)

    # -- operations --------------------------------------------------------------

    def _create(self) -> None:
        path, mode, ids = self._new(), self.random.choice(PERMISSIONS), self._ids()
        made: list[tuple[int, Inode]] = []

        def real() -> None:
            handle = self.fs.create(path, mode, os.O_RDWR, *ids)
            made.append((handle, self.model.find(path)))

        if self._both(
            f"create {path}",
            real,
            lambda: self.model.make(path, stat.S_IFREG | mode, *ids),
        ):
            self.handles += made
            if self.random.random() < 0.8:
                self._put(*made[0], 0, self._bytes(self._size()))
            while len(self.handles) > MOST_HANDLES:
                self._release()

    def _put(self, handle: int, node: Inode, offset: int, data: bytes) -> None:
        if data:
            self._both(
                f"write {len(data)} at {offset}",
                lambda: self.fs.write(handle, data, offset),
                lambda: self.model.write(node, offset, data),
            )

    def _open(self) -> None:
        found = self._file()
        if found is not None and len(self.handles) < MOST_HANDLES:
            path, node = found
            self.done.append(f"open {path}")
            self.handles.append((self.fs.open(path, os.O_RDWR), node))

    def _release(self) -> None:
        if self.handles:
            handle, _ = self.handles.pop(self.random.randrange(len(self.handles)))
            self.done.append("release")
            self.fs.release(handle)

    def _write(self) -> None:
        if self.handles:
            handle, node = self.random.choice(self.handles)
            end = len(node.data)
            offset = self.random.choice((0, end, self.random.randrange(end + 3 * BLOCK)))
            self._put(handle, node, min(offset, 2 * self.largest), self._bytes(self._size()))

    def _append(self) -> None:
        found = self._file()
        if found is not None:
            path, node = found
            handle = self.fs.open(path, os.O_WRONLY | os.O_APPEND)
            data = self._bytes(self.random.randrange(1, 3000))
            if len(node.data) < 2 * self.largest:
                self._both(
                    f"append {len(data)} to {path}",
                    lambda: self.fs.write(handle, data, 0),
                    lambda: self.model.write(node, len(node.data), data),
                )
            self.fs.release(handle)

    def _rewrite(self) -> None:
        """As editors save: the whole file through a temporary name."""
        path, temporary = self._new(), f"{self._folder()}/.tmp~"
        data, size = self._bytes(self._size()), self.random.choice(SIZES)

        def real() -> None:
            handle = self.fs.create(temporary, 0o600, os.O_RDWR, 1, 1)
            if data:
                self.fs.write(handle, data, 0)
            self.fs.truncate(temporary, size, handle)
            self.fs.release(handle)

        def ideal() -> None:
            node = self.model.make(temporary, stat.S_IFREG | 0o600, 1, 1)
            if data:
                self.model.write(node, 0, data)
            self.model.truncate(node, size)

        if self._both(f"save {temporary}", real, ideal):
            self._both(
                f"rename {temporary} {path}",
                lambda: self.fs.rename(temporary, path),
                lambda: self.model.rename(temporary, path),
            )
        if self.model.place(temporary)[1] in self.model.place(temporary)[0].entries:
            self._both(
                f"unlink {temporary}",
                lambda: self.fs.unlink(temporary),
                lambda: self.model.unlink(temporary),
            )

    def _truncate(self) -> None:
        path, size = self._any(), self._size()
        self._both(
            f"truncate {path} {size}",
            lambda: self.fs.truncate(path, size),
            lambda: self.model.truncate(self.model.find(path), size),
        )

    def _truncate_open(self) -> None:
        if self.handles:
            handle, node = self.random.choice(self.handles)
            size = self._size()
            self._both(
                f"ftruncate {size}",
                lambda: self.fs.truncate("/nowhere", size, handle),
                lambda: self.model.truncate(node, size),
            )

    def _mkdir(self) -> None:
        path, mode, ids = self._new(), self.random.choice(PERMISSIONS), self._ids()
        self._both(
            f"mkdir {path}",
            lambda: self.fs.mkdir(path, mode, *ids),
            lambda: self.model.make(path, stat.S_IFDIR | mode, *ids),
        )

    def _mknod(self) -> None:
        path, ids = self._new(), self._ids()
        kind = self.random.choice((stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK))
        device = os.makedev(self.random.randrange(300), self.random.randrange(70_000))
        device = device if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0
        self._both(
            f"mknod {path}",
            lambda: self.fs.mknod(path, kind | 0o640, device, *ids),
            lambda: self.model.make(path, kind | 0o640, *ids, device=device),
        )

    def _symlink(self) -> None:
        path, target, ids = self._new(), self.random.choice(TARGETS), self._ids()
        self._both(
            f"symlink {path}",
            lambda: self.fs.symlink(path, target, *ids),
            lambda: self.model.make(path, stat.S_IFLNK | 0o777, *ids, target=target),
        )

    def _link(self) -> None:
        old, new = self._any(), self._new()
        self._both(
            f"link {old} {new}",
            lambda: self.fs.link(old, new),
            lambda: self.model.link(old, new),
        )

    def _unlink(self) -> None:
        path = self._any()
        self._both(f"unlink {path}", lambda: self.fs.unlink(path), lambda: self.model.unlink(path))

    def _rmdir(self) -> None:
        path = self._any()
        self._both(f"rmdir {path}", lambda: self.fs.rmdir(path), lambda: self.model.rmdir(path))

    def _rename(self) -> None:
        old = self._any()
        new = self.random.choice((self._any, self._new))()
        self._both(
            f"rename {old} {new}",
            lambda: self.fs.rename(old, new),
            lambda: self.model.rename(old, new),
        )

    def _chmod(self) -> None:
        path, mode = self._any(), self.random.choice(PERMISSIONS)
        self._both(
            f"chmod {path} {mode:o}",
            lambda: self.fs.chmod(path, mode),
            lambda: self.model.chmod(path, mode),
        )

    def _chown(self) -> None:
        path, (uid, gid) = self._any(), self.random.choice((self._ids(), (-1, 5), (7, -1)))
        self._both(
            f"chown {path} {uid} {gid}",
            lambda: self.fs.chown(path, uid, gid),
            lambda: self.model.chown(path, uid, gid),
        )

    def _utimens(self) -> None:
        path = self._any()
        times = (None, 0, -1_000_000, 2_000_000_000_123_456_000, 951_782_400_000_001_000)
        atime, mtime = self.random.choice(times), self.random.choice(times)
        self._both(
            f"utimens {path} {atime} {mtime}",
            lambda: self.fs.utimens(path, atime, mtime),
            lambda: self.model.utimens(path, atime, mtime),
        )

    # -- comparing ---------------------------------------------------------------

    def check_open_files(self) -> None:
        """What open files hold, those without a name too."""
        for handle, node in self.handles:
            size = len(node.data)
            assert self.fs.getattr("/nowhere", handle).size == size
            assert self.fs.read(handle, size + 1, 0) == bytes(node.data)

    def check_holes(self) -> None:
        """Files take no more room than what was ever written to them."""
        for path, node in self.model.walk():
            if stat.S_ISREG(node.mode):
                blocks = self.fs.getattr(path).blocks * 512 // BLOCK
                assert blocks <= len(node.touched) + 1, f"{path} takes {blocks} blocks"

    def picture(self) -> object:
        return picture(self.fs)


_WEIGHTS = {
    "create": 6,
    "rewrite": 3,
    "open": 3,
    "release": 2,
    "write": 6,
    "append": 3,
    "truncate": 2,
    "truncate_open": 2,
    "mkdir": 3,
    "mknod": 1,
    "symlink": 1,
    "link": 2,
    "unlink": 4,
    "rmdir": 2,
    "rename": 5,
    "chmod": 1,
    "chown": 1,
    "utimens": 1,
}


def _errno(operation: Callable[[], object]) -> int:
    try:
        operation()
    except Exception as error:
        code = getattr(error, "errno", None)
        if code is None or not isinstance(code, int):
            raise
        return code
    return 0
