"""What the Linux kernel's isofs and udf see on discs, all in one boot."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import vm

from support.iso_views import SECOND, Seen, View, seen, with_same

# For each mount: its status, then three lists whose records end with a zero
# byte, in files of their own; together they go out as one archive.
SCRIPT = """
set -u
mkdir -p /run/disc /run/out
look() {
    out=/run/out/$1
    mkdir $out
    if ! mount -t $2 -o $3 $4 /run/disc 2>$out/error; then
        dmesg | tail -5 >>$out/error
        return
    fi
    cd /run/disc
    find . -mindepth 1 -print0 |
        xargs -0r stat --printf '%n\\0%f %u %g %h %s %t %T %.9Y %i\\0' >$out/stat 2>>$out/error
    find . -type l -printf '%p\\0%l\\0' >$out/links 2>>$out/error
    find . -type f -print0 | xargs -0r sha256sum -z >$out/sums 2>>$out/error
    cd /run
    umount /run/disc
}
"""


class Mount(NamedTuple):
    """A file system, its options, and the device in the guest."""

    device: str  # vda, sr0 ...
    filesystem: str  # iso9660 or udf
    options: str = ""


#: The three ways to read ISO 9660: Rock Ridge, Joliet, neither.
ISO_WAYS = {"rr": "", "joliet": "norock,utf8", "plain": "norock,nojoliet,map=off"}


def kernel_views(
    kernel_vm: Callable[..., vm.Result],
    mounts: Sequence[Mount],
    work: Path,
    *,
    disks: Sequence[Path] = (),
    burners: Sequence[str] = (),
) -> list[View | str]:
    """For each mount what is seen, or why it could not be read."""
    lines = [SCRIPT]
    for number, mount in enumerate(mounts):
        options = ",".join(filter(None, ["ro", mount.options]))
        lines.append(f"look {number} {mount.filesystem} {options} /dev/{mount.device}")
    lines.append("tar -C /run/out -cf - .")
    result = kernel_vm(
        ["sh", "-c", "\n".join(lines)],
        disks=[vm.Disk(disk) for disk in disks],
        burners=burners,
        modules=["udf", "isofs"],
        seconds=900,
    )
    assert result.status == 0, result.stderr.decode()
    archive = work / "views.tar"
    archive.write_bytes(result.stdout)
    with tarfile.open(archive) as tar:
        return [_view(tar, number, mount) for number, mount in enumerate(mounts)]


def _view(tar: tarfile.TarFile, number: int, mount: Mount) -> View | str:
    def text(name: str) -> str:
        try:
            member = tar.extractfile(f"./{number}/{name}")
        except KeyError:
            return ""
        return member.read().decode("utf-8", "surrogateescape") if member else ""

    if error := text("error"):
        return error
    sums = dict(record.partition("  ")[::2][::-1] for record in text("sums").split("\0")[:-1])
    links = _pairs(text("links"))
    posix = "norock" not in mount.options
    found = _pairs(text("stat"))
    view = {
        name[2:]: _seen(told, sums.get(name, ""), links.get(name, ""), posix)
        for name, told in found.items()
    }
    if mount.filesystem == "iso9660":  # where every name is an inode of its own
        return view
    return with_same(view, {name[2:]: told.split()[-1] for name, told in found.items()})


def _pairs(text: str) -> dict[str, str]:
    records = text.split("\0")[:-1]
    return dict(zip(records[::2], records[1::2], strict=True))


def _seen(told: str, content: str, target: str, posix: bool) -> Seen:
    mode, uid, gid, links, size, major, minor, mtime, _ = told.split()
    seconds, _, fraction = mtime.partition(".")
    sign = -1 if seconds.startswith("-") else 1
    one = seen(
        int(mode, 16),
        uid=int(uid),
        gid=int(gid),
        links=int(links),
        size=int(size),
        mtime=int(seconds) * SECOND + sign * int(fraction),
        content=content,
        target=target,
        device=(int(major, 16), int(minor, 16)),
    )
    if posix:
        return one
    return Seen(one.kind, one.size, one.sha256, mtime=one.mtime)


def isofs_time(moment: int) -> int:
    """A time in ns as the kernel's isofs shows it: seconds in 32 bits (iso_date in
    fs/isofs/util.c)."""
    return ((moment // SECOND + 2**31) % 2**32 - 2**31) * SECOND


def isofs_name(path: str) -> str:
    """A path as the kernel's isofs shows it: at most 253 bytes of each name."""
    names = (name.encode()[:253].decode(errors="ignore") for name in path.split("/"))
    return "/".join(names)


def as_isofs(wanted: View) -> View:
    """The same tree as the kernel's isofs shows it."""
    return {
        isofs_name(path): one if one.mtime is None else one._replace(mtime=isofs_time(one.mtime))
        for path, one in wanted.items()
    }
