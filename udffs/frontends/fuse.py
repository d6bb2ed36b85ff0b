"""Linux: libfuse's callbacks, each one thin step onto the file system.

No rule of the file system lives here, only what libfuse 2.9, fusepy 3.0.1 and
the kernel's FUSE driver need to be told:

- Only a negative errno leaves a callback as an error; whatever else an
  exception meant would become a success. :meth:`Session._wrapper` is the one
  gate, and maps BaseException too.
- ``attr_timeout=0``, because a write through one hard link changes the size
  that the others show; ``entry_timeout``, because names change through this
  mount only; ``use_ino``; ``big_writes``, else requests are of 4 KiB.
- Files with several links are opened with ``direct_io``: each name has a page
  cache of its own. What that costs: such a file cannot be mapped shared and
  writable. All others keep their page cache from one open to the next.
- libfuse hides the name of a file that is deleted while it is open under
  ``.fuse_hidden`` and 16 digits. Such a file is taken out of its directory
  (FileSystem.orphan), so that nothing of it is listed or committed.
- Operations left out are answered by libfuse or the kernel: no getxattr, or
  the kernel would ask for it at each write; no lock and flock, which the
  kernel does by itself; no access, since ``default_permissions`` checks.
"""

from __future__ import annotations

import ctypes
import errno
import logging
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from udffs.errors import CallerError, MissingDependencyError, MountPointError, UdffsError
from udffs.frontends.packages import install_hint

try:
    import fuse
except ImportError as error:
    raise MissingDependencyError(
        what="The Python package fusepy", how="pip install fusepy"
    ) from error
except (OSError, AttributeError) as error:
    raise MissingDependencyError(what="libfuse 2", how=install_hint()) from error

if TYPE_CHECKING:
    from udffs.filesystem import Attributes, FileSystem

log = logging.getLogger("udffs.fuse")

UTIME_NOW = (1 << 30) - 1
UTIME_OMIT = (1 << 30) - 2
BILLION = 10**9

#: Bytes a request carries at most with big_writes; also what programs are
#: told to use as the size of their buffers.
REQUEST = 128 * 1024

HIDDEN = re.compile(r"\.fuse_hidden[0-9a-f]{16}\Z")

OPTIONS: Mapping[str, str | bool] = {
    "subtype": "udffs",
    "big_writes": True,
    "use_ino": True,
    "default_permissions": True,
    "attr_timeout": "0",
    "entry_timeout": "30",
}


def errno_of(error: BaseException) -> int:
    """The errno that a program gets for an exception; EIO if it has none."""
    code = getattr(error, "errno", None)
    if isinstance(code, int) and not isinstance(code, bool) and 0 < code < 4096:
        return code
    if isinstance(error, UnicodeError):
        return errno.EINVAL  # a name that is no UTF-8
    if isinstance(error, MemoryError):
        return errno.ENOMEM
    return errno.EIO


def tell(operation: str, error: BaseException) -> None:
    """Puts an error that nobody expects into the log, with all that is known."""
    if isinstance(error, CallerError | UnicodeError):
        return
    known = isinstance(error, UdffsError) or type(error).__module__.startswith("media.")
    if isinstance(error, OSError) and errno_of(error) != errno.EIO:
        known = True
    log.error("%s: %s", operation, error or type(error).__name__, exc_info=not known)


class Operations:
    """What fusepy finds here is what libfuse is told that we can do.

    Paths are str, ``path`` is None where libfuse knows none any more; ``fi``
    is fusepy's ``fuse_file_info`` (raw_fi). Raises whatever the file system
    raises.
    """

    use_ns = True
    flag_nullpath_ok = 1
    flag_utime_omit_ok = 1

    def __init__(
        self,
        filesystem: FileSystem,
        on_init: Callable[[], None],
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self.filesystem = filesystem
        self.on_init = on_init
        self.clock = clock
        self._aliases: set[str] = set()
        self._open: set[int] = set()
        self._linked: set[int] = set()
        self._lock = threading.Lock()

    def __call__(self, operation: str, *args: Any) -> Any:
        return getattr(self, operation)(*args)

    def init(self, _root: str) -> None:
        self.on_init()

    # -- names ---------------------------------------------------------------

    def _known(self, path: str) -> str:
        """The path that the file system knows a node by: of a hidden file the
        alias, wherever libfuse thinks that its directory is by now."""
        if "/.fuse_hidden" in path:
            name = path.rpartition("/")[2]
            if name in self._aliases:
                return "/" + name
        return path

    def getattr(self, path: str | None, fi: Any = None) -> Attributes:
        if fi is not None:
            return self.filesystem.getattr("", fi.fh)
        return self.filesystem.getattr(self._known(path or "/"))

    def readlink(self, path: str) -> str:
        return self.filesystem.readlink(self._known(path))

    def mknod(self, path: str, mode: int, device: int) -> None:
        uid, gid, _pid = fuse.fuse_get_context()
        self.filesystem.mknod(path, mode, device, uid, gid)

    def mkdir(self, path: str, mode: int) -> None:
        uid, gid, _pid = fuse.fuse_get_context()
        self.filesystem.mkdir(path, stat.S_IMODE(mode), uid, gid)

    def symlink(self, path: str, target: str) -> None:
        uid, gid, _pid = fuse.fuse_get_context()
        self.filesystem.symlink(path, target, uid, gid)

    def link(self, new: str, existing: str) -> None:
        existing = self._known(existing)
        with self._lock:
            self._linked.add(self.filesystem.getattr(existing).inode)
        self.filesystem.link(existing, new)

    def unlink(self, path: str) -> None:
        known = self._known(path)
        self.filesystem.unlink(known)
        if known != path or known[1:] in self._aliases:
            with self._lock:
                self._aliases.discard(known[1:])

    def rmdir(self, path: str) -> None:
        self.filesystem.rmdir(path)

    def rename(self, old: str, new: str) -> None:
        name = new.rpartition("/")[2]
        if HIDDEN.match(name) and self._hide(old, name):
            return
        self.filesystem.rename(self._known(old), new)

    def _hide(self, old: str, name: str) -> bool:
        # libfuse hides open files only, and holds its lock on this path: who
        # renames another one to such a name means it.
        inode = self.filesystem.getattr(self._known(old)).inode
        if all(self.filesystem.getattr("", handle).inode != inode for handle in list(self._open)):
            return False
        self.filesystem.orphan(old, "/" + name)
        with self._lock:
            self._aliases.add(name)
        return True

    # -- attributes ----------------------------------------------------------

    def chmod(self, path: str, mode: int) -> None:
        self.filesystem.chmod(self._known(path), stat.S_IMODE(mode))

    def chown(self, path: str, uid: int, gid: int) -> None:
        self.filesystem.chown(self._known(path), uid, gid)

    def utimens(self, path: str, atime_ns: int | None, mtime_ns: int | None) -> None:
        self.filesystem.utimens(self._known(path), atime_ns, mtime_ns)

    def truncate(self, path: str | None, size: int, fi: Any = None) -> None:
        if fi is not None:
            self.filesystem.truncate("", size, fi.fh)
        else:
            self.filesystem.truncate(self._known(path or "/"), size)

    # -- files ---------------------------------------------------------------

    def open(self, path: str, fi: Any) -> None:
        fi.fh = self.filesystem.open(self._known(path), fi.flags)
        attributes = self.filesystem.getattr("", fi.fh)
        self._open.add(fi.fh)
        if attributes.links > 1:
            with self._lock:
                self._linked.add(attributes.inode)
            fi.direct_io = 1
        elif attributes.inode not in self._linked:
            fi.keep_cache = 1

    def create(self, path: str, mode: int, fi: Any) -> None:
        uid, gid, _pid = fuse.fuse_get_context()
        fi.fh = self.filesystem.create(path, stat.S_IMODE(mode), fi.flags, uid, gid)
        self._open.add(fi.fh)

    def read(self, handle: int, size: int, offset: int) -> bytes:
        return self.filesystem.read(handle, size, offset)

    def write(self, path: str | None, data: bytes, offset: int, fi: Any) -> int:
        if fi.writepage and path is not None:
            return self._write_page(path, data, offset)
        return self.filesystem.write(fi.fh, data, offset)

    def _write_page(self, path: str, data: bytes, offset: int) -> int:
        # A mapped page goes where it belongs, though the kernel may choose a
        # handle with O_APPEND for it.
        handle = self.filesystem.open(self._known(path), os.O_WRONLY)
        try:
            return self.filesystem.write(handle, data, offset)
        finally:
            self.filesystem.release(handle)

    def flush(self, _path: str | None, fi: Any) -> None:
        self.filesystem.flush(fi.fh)

    def fsync(self, _path: str | None, datasync: int, fi: Any) -> None:
        self.filesystem.fsync(fi.fh, bool(datasync))

    def release(self, _path: str | None, fi: Any) -> None:
        self._open.discard(fi.fh)
        self.filesystem.release(fi.fh)

    # -- directories and the volume -------------------------------------------

    def readdir(self, path: str) -> list[tuple[str, int, int]]:
        return self.filesystem.readdir(path)

    def fsyncdir(self, path: str | None, _datasync: int, _fh: int) -> None:
        self.filesystem.fsyncdir(path or "/")

    def statfs(self, _path: str) -> dict[str, int]:
        space = self.filesystem.statfs()
        return {
            "f_bsize": space.block_size,
            "f_frsize": space.block_size,
            "f_blocks": space.blocks,
            "f_bfree": space.free,
            "f_bavail": space.available,
            "f_files": space.files + space.available,  # each takes a block at least
            "f_ffree": space.available,
            "f_favail": space.available,
            "f_namemax": space.name_max,
        }


class Session(fuse.FUSE):  # type: ignore[misc]  # fusepy has no types
    """One mount, from libfuse's start to its end.

    fusepy's own methods serve the rare operations; the frequent ones, and
    those that fusepy gets wrong, are here.
    """

    @staticmethod
    def _wrapper(func: Callable[..., Any], *args: Any) -> Any:
        """The one gate out of Python: a result, or minus an errno."""
        try:
            return func(*args) or 0
        except BaseException as error:  # SystemExit would otherwise be a success
            code = errno_of(error)
            if code == errno.EIO or not isinstance(error, UdffsError):
                tell(func.__name__, error)
            return -code

    def getattr(self, path: bytes, buf: Any) -> int:
        return self.fgetattr(path, buf, None)

    def fgetattr(self, path: bytes | None, buf: Any, fip: Any) -> int:
        known = None if path is None else path.decode()
        attributes = self.operations.getattr(known, fip.contents if fip else None)
        st = buf.contents
        st.st_ino = attributes.inode
        st.st_mode = attributes.mode
        st.st_nlink = attributes.links
        st.st_uid = attributes.uid
        st.st_gid = attributes.gid
        st.st_rdev = attributes.device
        st.st_size = attributes.size
        st.st_blocks = attributes.blocks
        st.st_blksize = REQUEST
        times = st.st_atimespec, st.st_mtimespec, st.st_ctimespec
        stamps = attributes.atime, attributes.mtime, attributes.ctime
        for field, nanoseconds in zip(times, stamps, strict=True):
            field.tv_sec, field.tv_nsec = divmod(nanoseconds, BILLION)
        return 0

    def utimens(self, path: bytes, buf: Any) -> None:
        # fusepy adds seconds and nanoseconds up, and so makes NOW and OMIT
        # moments in the year 1970.
        stamps: list[int | None] = [None, None]
        now = self.operations.clock()
        for index, stamp in enumerate((buf.contents.actime, buf.contents.modtime)):
            if stamp.tv_nsec == UTIME_NOW:
                stamps[index] = now
            elif stamp.tv_nsec != UTIME_OMIT:
                stamps[index] = stamp.tv_sec * BILLION + stamp.tv_nsec
        self.operations.utimens(path.decode(), *stamps)

    def read(self, path: bytes | None, buf: Any, size: int, offset: int, fip: Any) -> int:
        data = self.operations.read(fip.contents.fh, size, offset)
        length = min(len(data), size)
        ctypes.memmove(buf, data, length)
        return length

    def write(self, path: bytes | None, buf: Any, size: int, offset: int, fip: Any) -> int:
        data = ctypes.string_at(buf, size)
        known = None if path is None else path.decode()
        written: int = self.operations.write(known, data, offset, fip.contents)
        return written

    def readdir(self, path: bytes | None, buf: Any, filler: Any, offset: int, fip: Any) -> int:
        entries = [] if path is None else self.operations.readdir(path.decode())
        st = fuse.c_stat()
        st.st_mode = stat.S_IFDIR
        for name in (b".", b".."):
            filler(buf, name, None, 0)
        for name, inode, mode in entries:
            st.st_ino = inode
            st.st_mode = mode
            if filler(buf, name.encode(), st, 0):
                return -errno.ENOMEM
        return 0


def serve(
    filesystem: FileSystem,
    where: str,
    *,
    fsname: str,
    options: Mapping[str, str | bool] | None = None,
    on_init: Callable[[], None],
) -> None:
    """Mounts, serves until the volume is unmounted, and returns.

    ``on_init`` is called once the mount is there, in a thread of libfuse's;
    threads may be started from then on. Raises MountPointError if libfuse
    cannot mount, with its own words.
    """
    started = threading.Event()

    def init() -> None:
        started.set()
        words.release()
        on_init()

    chosen = {"fsname": fsname, **OPTIONS, **(options or {})}
    words = _Words()
    try:
        Session(
            Operations(filesystem, init),
            where,
            raw_fi=True,
            foreground=True,
            **{key: _escaped(value) for key, value in chosen.items()},
        )
    except RuntimeError as error:
        if started.is_set():
            raise
        raise _failure(words.release()) from error
    except UnicodeError as error:
        raise MountPointError(why="its name, or the drive's, is no UTF-8") from error
    finally:
        words.release()


def _escaped(value: str | bool) -> str | bool:
    """A value as libfuse's options want it: commas would end it."""
    if isinstance(value, bool):
        return value
    return value.replace("\\", "\\\\").replace(",", "\\,")


def _failure(words: str) -> UdffsError:
    """What libfuse said on standard error, as one of our errors."""
    said = "; ".join(
        line.split(":", 1)[-1].strip() if line.startswith("fuse") else line.strip()
        for line in words.splitlines()
        if line.strip()
    )
    if "exec fusermount" in said:
        return MissingDependencyError(what="The program fusermount", how=install_hint())
    if "device not found" in said or "/dev/fuse" in said:
        return MissingDependencyError(
            what="The device /dev/fuse", how=f"{said} (modprobe fuse, as root, may help)"
        )
    return MountPointError(why=said or "libfuse gave no reason")


class _Words:
    """What is written to standard error from here until release().

    libfuse explains a failed mount only there.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._file = os.memfd_create("udffs-stderr")
        self._saved = os.dup(2)
        self._text: str | None = None
        os.dup2(self._file, 2)

    def release(self) -> str:
        """Gives standard error back; what was said in the meantime goes there
        too. Returns it."""
        with self._lock:
            if self._text is None:
                os.dup2(self._saved, 2)
                size = os.lseek(self._file, 0, os.SEEK_CUR)
                data = os.pread(self._file, size, 0)
                os.close(self._file)
                os.close(self._saved)
                self._text = data.decode(errors="replace")
            return self._text
