"""Other people's programs, and what each of them sees on a disc.

Every function takes an image and returns a view (see iso_views). An image of
several sessions needs the block where the wanted one starts: most programs look
at the first.
"""

from __future__ import annotations

import calendar
import hashlib
import io
import os
import re
import stat
import subprocess
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pycdlib
from pycdlib.pycdlibexception import PyCdlibException

from support.iso_views import KINDS, SECOND, Seen, View, expected, seen, with_same

BLOCK = 2048
# The recognition sequence of UDF (ECMA-167 2/9.1), which starts at block 16.
RECOGNITION = (b"BEA01", b"NSR02", b"NSR03", b"TEA01")
MOST_DESCRIPTORS = 32


def run(*words: str | Path) -> bytes:
    """What a program prints. Fails with its complaints."""
    done = subprocess.run(
        list(map(str, words)),
        capture_output=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "TZ": "UTC0"},
        check=False,
    )
    assert done.returncode == 0, (words, done.stderr.decode(errors="replace")[-2000:])
    return done.stdout


# -- isoinfo ------------------------------------------------------------------------

_LINE = re.compile(
    rb"(?P<type>.)(?P<mode>[-rwxsStT]{9}|-{9}|\?-+) +(?P<links>\d+) +(?P<uid>\d+) +(?P<gid>\d+) +"
    rb"(?P<size>\d+) (?P<date>\w{3} +\d+ \d+) \[ *(?P<extent>\d+) "
    rb"(?:[0-9A-F]{2}\]  |FFFF )"  # the flags; those of a section, not the last, are cut off
    rb"(?P<name>.*)"
)
_TYPES = {
    ord("d"): "directory",
    ord("-"): "file",
    ord("l"): "link",
    ord("c"): "character device",
    ord("b"): "block device",
    ord("f"): "fifo",
    ord("p"): "fifo",
    ord("s"): "socket",
}


def isoinfo(
    image: Path, *, joliet: bool = False, read: Collection[str] = (), start: int = 0
) -> View:
    """By Rock Ridge, or by Joliet (names in Latin-1, "_" for what is not in it).

    A file of several sections comes as one of the sum of their sizes. Only the
    files in ``read`` are read, each by a call of its own; not those of several
    sections, whose first one is all that isoinfo reads.
    """
    words = ["-J", "-j", "iso8859-1"] if joliet else ["-R"]
    session = ["-T", str(start)] if start else []
    view: View = {}
    sections: dict[str, int] = {}
    prefix = ""
    for line in run("isoinfo", "-l", *words, *session, "-i", image).split(b"\n"):
        if line.startswith(b"Directory listing of /"):
            prefix = _text(line[len(b"Directory listing of /") :], joliet)
            continue
        found = _LINE.match(line)
        assert found or not line.strip(), line
        name, target = _name_and_target(found, joliet) if found else (".", "")
        if found is None or name in (".", ".."):
            continue
        path = prefix + name
        sections[path] = sections.get(path, 0) + 1
        before = view[path].size or 0 if path in view else 0
        view[path] = _of_line(found, target, before, joliet)
    for path in read:
        if sections.get(path) == 1 and view[path].kind == "file":
            words_of = [*words, *session, "-x", f"/{path}", "-i", str(image)]
            content = run("isoinfo", *words_of) if not joliet else b""
            view[path] = view[path]._replace(sha256=hashlib.sha256(content).hexdigest())
    return view


def _name_and_target(found: re.Match[bytes], joliet: bool) -> tuple[str, str]:
    name = _text(found["name"], joliet)
    if found["type"] == b"l":
        name, _, target = name.partition(" -> ")
        return name, target
    name = name[:-1]  # a blank follows
    return name.removesuffix(";1") if joliet else name, ""


def _text(name: bytes, joliet: bool) -> str:
    return name.decode("latin-1") if joliet else name.decode("utf-8", "surrogateescape")


def _of_line(found: re.Match[bytes], target: str, before: int, joliet: bool) -> Seen:
    if joliet:
        kind = "directory" if found["type"] == b"d" else "file"
    else:
        kind = _TYPES[found["type"][0]]
    size = before + int(found["size"]) if kind == "file" else None
    if joliet:
        return Seen(kind, size)
    return Seen(
        kind,
        size,
        mode=_mode(found["mode"]),
        uid=int(found["uid"], 8),
        gid=int(found["gid"], 8),
        links=None if kind == "directory" else int(found["links"]),
        target=target if kind == "link" else None,
    )


def _mode(text: bytes) -> int | None:
    """rwxr-xr-x, without what isoinfo does not show (set-id and sticky bits)."""
    return sum(0o400 >> at for at, letter in enumerate(text) if letter in b"rwxst")


def as_isoinfo(wanted: View) -> View:
    """The same tree as isoinfo shows it: no set-id and sticky bits, no numbers that are
    longer than their column, and nothing for the root as the target of a link."""
    view = {}
    for path, one in wanted.items():
        if one.mode is not None:
            one = one._replace(mode=one.mode & 0o777)
        if max(one.uid or 0, one.gid or 0) > 0o7777:
            one = one._replace(uid=None, gid=None)
        view[path] = one._replace(target="") if one.target == "/" else one
    return view


# -- xorriso --------------------------------------------------------------------------


def xorriso(image: Path, work: Path, *, start: int = 0) -> View:
    """What osirrox copies out by Rock Ridge, hard links and devices among it.

    As root; it sets no times of symbolic links."""
    out = work / "xorriso"
    load = ["-load", "sbsector", str(start)] if start else []
    words = ["-hardlinks", "on", *load, "-indev", f"stdio:{image}"]
    run("osirrox", *words, "-osirrox", "device_files", "-extract", "/", out)
    view = expected(out)
    run("chmod", "-R", "u+rwX", out)
    run("rm", "-rf", out)
    return {
        path: one._replace(mtime=None) if one.kind == "link" else one for path, one in view.items()
    }


def on_host(one: Seen) -> Seen:
    """As a file system here can hold it: no times before 1901."""
    return one if one.mtime is None else one._replace(mtime=max(one.mtime, -(2**31) * SECOND))


def as_xorriso(wanted: View) -> View:
    """The same tree as osirrox copies it out: no sockets, no "." in the middle of
    targets."""
    view = {}
    for path, one in wanted.items():
        if one.kind == "socket":
            continue
        one = on_host(one)
        if one.target is not None:
            parts = [part for n, part in enumerate(one.target.split("/")) if not n or part != "."]
            target = "/".join(parts)
            one = one._replace(target=target, size=len(target.encode()))
        view[path] = one
    return view


# -- 7-Zip ----------------------------------------------------------------------------


def seven_zip(image: Path, work: Path) -> View:
    """What 7zz takes out of it: by UDF if it can, by Joliet if there is any."""
    out = work / "7zz"
    run("7zz", "x", "-y", f"-o{out}", image)
    view = expected(out)
    run("rm", "-rf", out)
    return {
        path: Seen(one.kind, one.size, one.sha256, mtime=one.mtime) for path, one in view.items()
    }


def seven_zip_type(image: Path) -> str:
    """Which of the views on it 7zz takes."""
    found = re.search(r"^Type = (\w+)$", run("7zz", "l", image).decode(), re.MULTILINE)
    return found[1] if found else ""


# -- pycdlib --------------------------------------------------------------------------


class Window(io.RawIOBase):
    """An image for pycdlib, read only: from the block ``start`` on it is as it is, and
    below it what lies there; optionally without UDF.

    pycdlib knows no VAT, and gives up the whole disc if it meets one; as it looks
    for UDF only where the recognition sequence says so, that is hidden.
    """

    def __init__(self, image: Path, *, start: int = 0, hide_udf: bool = True) -> None:
        super().__init__()
        self._file: BinaryIO = image.open("rb")
        self._start = start
        self._at = 0
        self._size = image.stat().st_size
        self.mode = "rb"
        self._hidden: set[int] = set()
        if hide_udf:
            for block in range(16, 16 + MOST_DESCRIPTORS):
                self._file.seek((start + block) * BLOCK + 1)
                if self._file.read(5) in RECOGNITION:
                    self._hidden.add(block)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Descriptors come from the session, all the rest from where it is."""
        if size < 0:
            size = max(0, self._size - self._at)
        parts = []
        while size > 0:
            block, inside = divmod(self._at, BLOCK)
            shifted = 16 <= block < 16 + MOST_DESCRIPTORS
            count = min(size, BLOCK - inside if block < 16 + MOST_DESCRIPTORS else size)
            self._file.seek(self._at + (self._start * BLOCK if shifted else 0))
            data = self._file.read(count)
            parts.append(bytes(len(data)) if block in self._hidden else data)
            if len(data) < count:
                break
            self._at += count
            size -= count
        return b"".join(parts)

    def close(self) -> None:
        self._file.close()
        super().close()


def pycdlib_view(image: Path, how: str, *, start: int = 0, hide_udf: bool = True) -> View:
    """``how`` is "rr", "joliet", "iso" or "udf" (not where there is a VAT)."""
    disc = pycdlib.PyCdlib()
    window = Window(image, start=start, hide_udf=hide_udf and how != "udf")
    disc.open_fp(window)
    try:
        found = list(_pycdlib_entries(disc, how))
        view = {path: one for path, one, _ in found}
        if how != "rr":
            return view
        return with_same(view, {path: inode for path, _, inode in found})
    finally:
        disc.close()
        window.close()


def _pycdlib_entries(disc: Any, how: str) -> Iterator[tuple[str, Seen, object]]:
    """(path, what is there, the same for names of one file).

    Rock Ridge names are read off the records, which are looked up as those of plain ISO 9660: by
    a Rock Ridge name pycdlib finds a file's last section.
    """
    looked_up = {"rr": "iso"}.get(how, how)
    waiting = [("", "/")]
    while waiting:
        folder, place = waiting.pop()
        for own, record in _children(disc, looked_up, place):
            path, where = folder + _name_of(record, how, own), place + own
            yield path, _of_record(disc, how, looked_up, where, record), _serial(record, how, path)
            if record.is_dir():
                waiting.append((f"{path}/", f"{where}/"))


def _serial(record: Any, how: str, path: str) -> object:
    """Its file serial number (RRIP 4.1.1), or what no other has."""
    if how != "rr" or not (px := _posix_field(record, "px_record")).posix_serial_number:
        return path
    return px.posix_serial_number


def _posix_field(record: Any, name: str) -> Any:
    entries = [record.rock_ridge.dr_entries, record.rock_ridge.ce_entries]
    return next((getattr(e, name) for e in entries if e and getattr(e, name)), None)


def _children(disc: Any, how: str, place: str) -> Iterator[tuple[str, Any]]:
    """(name as pycdlib wants it in a path, record)."""
    continuations = set()
    for record in disc.list_children(**{f"{how}_path": place.rstrip("/") or "/"}):
        if record is None or (how == "udf" and record.file_ident is None):
            continue
        if how == "udf":
            if not record.file_ident.is_parent():
                yield record.file_identifier().decode(record.file_ident.encoding), record
        elif not (record.is_dot() or record.is_dotdot()):
            if record.data_continuation is not None:
                continuations.add(id(record.data_continuation))
            if id(record) not in continuations:
                encoding = "utf-16_be" if how == "joliet" else "latin-1"
                yield record.file_identifier().decode(encoding), record


def _name_of(record: Any, how: str, name: str) -> str:
    """As it is shown: by Joliet without the version."""
    if how == "rr":
        return str(record.rock_ridge.name().decode("utf-8", "surrogateescape"))
    return name.removesuffix(";1") if how == "joliet" and not record.is_dir() else name


def _of_record(disc: Any, how: str, looked_up: str, path: str, record: Any) -> Seen:
    if record.is_dir():
        one = Seen("directory")
    elif how == "rr" and record.is_symlink():
        target = record.rock_ridge.symlink_path() or b"/"  # which it shows as nothing
        one = Seen("link", len(target), target=target.decode("utf-8", "surrogateescape"))
    else:
        one = Seen("file")
    if how == "rr":
        one = _posix(record, one)
    elif how != "udf":
        one = one._replace(mtime=_moment(record.date))
    if one.kind == "file":
        content = _content(disc, looked_up, path, record)
        one = one._replace(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    return one


def _posix(record: Any, one: Seen) -> Seen:
    px, tf, pn = (_posix_field(record, f"{name}_record") for name in ("px", "tf", "pn"))
    kind = KINDS[stat.S_IFMT(px.posix_file_mode)]
    assert (kind == "directory") == (one.kind == "directory"), kind
    device = None
    if kind.endswith("device"):
        number = pn.dev_t_high << 32 | pn.dev_t_low if pn.dev_t_high else pn.dev_t_low
        device = (os.major(number), os.minor(number))
        if pn.dev_t_high:  # xorriso and the kernel: major and minor apart
            device = (pn.dev_t_high, pn.dev_t_low)
    return one._replace(
        kind=kind,
        mode=stat.S_IMODE(px.posix_file_mode),
        uid=px.posix_user_id,
        gid=px.posix_group_id,
        links=None if kind == "directory" else px.posix_file_links,
        # pycdlib has the names of these two the wrong way round (RRIP 4.1.6: bit 1 of
        # the flags is that of the modification, 2 of the access).
        mtime=_moment(tf.access_time),
        device=device,
    )


def _moment(date: Any) -> int:
    """A time of a directory record (ECMA-119 9.1.5) or of Rock Ridge, in ns."""
    if hasattr(date, "hundredthsofsecond"):
        year, part = date.year, date.hundredthsofsecond * (SECOND // 100)
        day = date.dayofmonth
    else:
        year, part, day = date.years_since_1900 + 1900, 0, date.day_of_month
    there = calendar.timegm((year, date.month, day, date.hour, date.minute, date.second))
    return (there - date.gmtoffset * 15 * 60) * SECOND + part


def _content(disc: Any, how: str, path: str, record: Any) -> bytes:
    out = io.BytesIO()
    try:
        disc.get_file_from_iso_fp(out, **{f"{how}_path": path})
    except PyCdlibException as error:
        if record.inode is not None:
            raise AssertionError(f"{path}: {error}") from error
    return out.getvalue()


__all__ = [
    "as_isoinfo",
    "as_xorriso",
    "isoinfo",
    "on_host",
    "pycdlib_view",
    "seen",
    "seven_zip",
    "seven_zip_type",
    "xorriso",
]
