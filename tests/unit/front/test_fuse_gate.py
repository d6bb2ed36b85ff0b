"""The one gate out of Python: whatever is raised leaves a callback as an errno.

Each operation that libfuse is offered is called with each kind of error.
"""

from __future__ import annotations

import ctypes
import errno
import inspect
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from media import errors as media_errors
from udffs import errors
from udffs.errors import MissingDependencyError

from .fake_filesystem import FakeFileSystem

try:
    from udffs.frontends import fuse as front
except MissingDependencyError as missing:
    pytest.skip(str(missing), allow_module_level=True)

import fuse


class NotEvenAnError(BaseException):
    """Neither an Exception nor anything that Python knows."""


def every_class(root: type[BaseException]) -> Iterator[type[BaseException]]:
    yield root
    for derived in root.__subclasses__():
        yield from every_class(derived)


class Fields(dict[str, Any]):
    """Any field that a message may want."""

    def __missing__(self, key: str) -> str:
        return "x"


def made(kind: type[BaseException]) -> BaseException:
    wanted = {
        name: 7
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is parameter.KEYWORD_ONLY
    }
    if "kind" in wanted:
        wanted |= {"kind": "x", "message": "x"}
        return kind(**wanted)
    return kind("message", **wanted)


OURS = [*every_class(errors.UdffsError), *every_class(media_errors.MediaError)]
CASES: list[tuple[BaseException, int]] = [
    *((made(kind), made(kind).errno) for kind in OURS),
    (OSError(errno.EDQUOT, "with an errno"), errno.EDQUOT),
    (FileNotFoundError(errno.ENOENT, "x"), errno.ENOENT),
    (OSError("without an errno"), errno.EIO),
    (OSError(0, "zero"), errno.EIO),
    (OSError(-5, "negative"), errno.EIO),
    (OSError(10**6, "beyond all numbers"), errno.EIO),
    (ValueError("a mistake of ours"), errno.EIO),
    (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), errno.EINVAL),
    (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "x"), errno.EINVAL),
    (MemoryError(), errno.ENOMEM),
    (RecursionError(), errno.EIO),
    (AssertionError(), errno.EIO),
    (SystemExit(0), errno.EIO),
    (SystemExit("text"), errno.EIO),
    (KeyboardInterrupt(), errno.EIO),
    (GeneratorExit(), errno.EIO),
    (NotEvenAnError(), errno.EIO),
]

# Every operation with arguments as libfuse calls it, and what it asks of the
# file system.
FI = ctypes.pointer(fuse.fuse_file_info())
BUFFER = ctypes.cast(ctypes.create_string_buffer(4096), ctypes.POINTER(ctypes.c_byte))
STAT = ctypes.pointer(fuse.c_stat())
TIMES = ctypes.pointer(fuse.c_utimbuf())


def no_filler(*_arguments: object) -> int:
    return 0


OPERATIONS: dict[str, tuple[tuple[Any, ...], str]] = {
    "getattr": ((b"/a", STAT), "getattr"),
    "fgetattr": ((None, STAT, FI), "getattr"),
    "readlink": ((b"/a", BUFFER, 4096), "readlink"),
    "mknod": ((b"/n", 0o100644, 0), "mknod"),
    "mkdir": ((b"/n", 0o755), "mkdir"),
    "unlink": ((b"/a",), "unlink"),
    "rmdir": ((b"/a",), "rmdir"),
    "symlink": ((b"target", b"/n"), "symlink"),
    "rename": ((b"/a", b"/b"), "rename"),
    "link": ((b"/a", b"/n"), "link"),
    "chmod": ((b"/a", 0o600), "chmod"),
    "chown": ((b"/a", 1, 2), "chown"),
    "truncate": ((b"/a", 0), "truncate"),
    "ftruncate": ((None, 0, FI), "truncate"),
    "open": ((b"/a", FI), "open"),
    "read": ((None, BUFFER, 10, 0, FI), "read"),
    "write": ((None, BUFFER, 10, 0, FI), "write"),
    "statfs": ((b"/", ctypes.pointer(fuse.c_statvfs())), "statfs"),
    "flush": ((None, FI), "flush"),
    "release": ((None, FI), "release"),
    "fsync": ((None, 0, FI), "fsync"),
    "readdir": ((b"/", None, no_filler, 0, FI), "readdir"),
    "fsyncdir": ((b"/", 0, FI), "fsyncdir"),
    "create": ((b"/n", 0o644, FI), "create"),
    "utimens": ((b"/a", TIMES), "utimens"),
}
NOT_OFFERED = {
    "getdir", "utime", "bmap", "lock", "ioctl", "access", "opendir", "releasedir", "destroy",
    "getxattr", "setxattr", "listxattr", "removexattr",
}  # fmt: skip


@pytest.fixture
def filesystem() -> FakeFileSystem:
    filesystem = FakeFileSystem()
    filesystem.create("/a", 0o644, 0, 0, 0)
    filesystem.symlink("/link", "target", 0, 0)
    filesystem.mkdir("/d", 0o755, 0, 0)
    return filesystem


def session_on(filesystem: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A session that is not mounted: libfuse is not asked for anything."""
    monkeypatch.setattr(fuse, "fuse_get_context", lambda: (0, 0, 0))
    session = object.__new__(front.Session)
    session.operations = front.Operations(filesystem, lambda: None)
    session.encoding, session.use_ns, session.raw_fi = "utf-8", True, True
    return session


def test_every_operation_of_libfuse_is_accounted_for() -> None:
    names = {name for name, *_ in fuse.fuse_operations._fields_ if not name.startswith("flag_")}
    assert names == OPERATIONS.keys() | NOT_OFFERED | {"init"}
    for name in NOT_OFFERED:
        assert not hasattr(front.Operations, name), name


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_error_leaves_every_operation_as_its_errno(
    name: str, filesystem: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    session = session_on(filesystem, monkeypatch)
    arguments, asked = OPERATIONS[name]
    operation = getattr(session, name)
    for error, expected in CASES:
        filesystem.fail = {asked: error}
        assert front.Session._wrapper(operation, *arguments) == -expected, (name, error)


@pytest.mark.parametrize("name", [name for name, (a, _) in OPERATIONS.items() if a[0] is not None])
def test_names_that_are_no_utf8(
    name: str, filesystem: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_on(filesystem, monkeypatch)
    arguments = [b"/\xff\xfe" if isinstance(a, bytes) else a for a in OPERATIONS[name][0]]
    if name == "statfs":
        return
    if name == "fsyncdir":
        arguments[2] = FI
    assert front.Session._wrapper(getattr(session, name), *arguments) == -errno.EINVAL


def test_success_is_zero_or_a_length(filesystem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = session_on(filesystem, monkeypatch)
    gate = front.Session._wrapper
    fi = ctypes.pointer(fuse.fuse_file_info())
    assert gate(session.open, b"/a", fi) == 0
    assert fi.contents.fh and fi.contents.keep_cache and not fi.contents.direct_io
    assert gate(session.write, None, BUFFER, 100, 0, fi) == 100
    assert gate(session.read, None, BUFFER, 4096, 40, fi) == 60
    assert gate(session.getattr, b"/a", STAT) == 0
    assert STAT.contents.st_size == 100 and STAT.contents.st_blocks == 4
    assert gate(session.release, None, fi) == 0


def test_only_an_open_file_is_hidden(filesystem: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = session_on(filesystem, monkeypatch)
    gate = front.Session._wrapper
    name = b"/d/.fuse_hidden0000000a00000001"
    assert gate(session.rename, b"/a", name) == 0
    assert [entry[0] for entry in filesystem.readdir("/d")] == [name[3:].decode()]
    fi = ctypes.pointer(fuse.fuse_file_info())
    assert gate(session.open, name, fi) == 0
    other = b"/d/.fuse_hidden0000000a00000002"
    assert gate(session.rename, name, other) == 0
    assert filesystem.readdir("/d") == []
    assert gate(session.getattr, other, STAT) == 0
    # Its directory is called something else by now: it is found all the same.
    assert gate(session.getattr, other.replace(b"/d/", b"/e/"), STAT) == 0
    assert gate(session.release, None, fi) == 0
    assert gate(session.unlink, other) == 0
    assert gate(session.getattr, other, STAT) == -errno.ENOENT


def test_unexpected_errors_are_logged_with_their_traceback(
    filesystem: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    session = session_on(filesystem, monkeypatch)
    for error, lines in (
        (errors.NoSuchEntryError(name="x"), 0),
        (ValueError("ours"), 1),
        (media_errors.UnreadableBlockError(block=5), 1),
    ):
        caplog.clear()
        filesystem.fail = {"getattr": error}
        front.Session._wrapper(session.getattr, b"/a", STAT)
        assert len(caplog.records) == lines
    assert caplog.records[0].exc_info in (None, False)
