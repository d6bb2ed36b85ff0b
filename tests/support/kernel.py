"""What the Linux kernel's own driver sees on a disc, many discs in one boot."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import vm

from support.discs import Disc, Expected

# For each disk: the mount's status, then three lists whose records end with
# a zero byte, in files of their own; together they go out as one archive.
SCRIPT = """
set -u
cd /run
cat >/run/then <<'END OF SCRIPT'
{then}
END OF SCRIPT
number=0
for letter in {letters}; do
    out=/run/out/$number
    mkdir -p $out /run/disc
    number=$((number + 1))
    if ! mount -t udf -o {options} /dev/vd$letter /run/disc 2>$out/error; then
        dmesg | tail -5 >>$out/error
        continue
    fi
    cd /run/disc
    find . -mindepth 1 -print0 |
        xargs -0r stat --printf '%n\\0%f %u %g %h %s %t %T %.9Y\\0' >$out/stat 2>>$out/error
    find . -type l -printf '%p\\0%l\\0' >$out/links 2>>$out/error
    find . -type f -print0 | xargs -0r sha256sum -z >$out/sums 2>>$out/error
    sh -eu /run/then >$out/said 2>&1 || echo "the script: $?, $(cat $out/said)" >>$out/error
    cd /run
    umount /run/disc
done
tar -C /run/out -cf - .
"""


def kernel_views(
    kernel_vm: Callable[..., vm.Result],
    discs: Sequence[Disc],
    work: Path,
    options: str = "ro",
    then: str = "",
) -> dict[str, dict[str, Expected] | str]:
    """For each disc by its name: everything on it, or why it could not be read.

    ``then`` is a shell script that is run in it afterwards; with "rw" among the
    ``options`` it may write."""
    letters = " ".join("abcdefghijklmnopqrstuvwxyz"[: len(discs)])
    script = SCRIPT.format(letters=letters, options=options, then=then)
    writable = "rw" in options.split(",")
    result = kernel_vm(
        ["sh", "-c", script],
        disks=[vm.Disk(disc.image, writable, 2048 if writable else None) for disc in discs],
        modules=["udf"],
        seconds=480,
    )
    assert result.status == 0, result.stderr.decode()
    archive = work / "kernel.tar"
    archive.write_bytes(result.stdout)
    return {disc.name: _view(archive, number) for number, disc in enumerate(discs)}


def _view(archive: Path, number: int) -> dict[str, Expected] | str:
    with tarfile.open(archive) as tar:

        def records(name: str) -> list[str]:
            try:
                member = tar.extractfile(f"./{number}/{name}")
            except KeyError:
                return []
            text = member.read().decode() if member else ""
            return text.split("\0")[:-1] if name != "error" else [text]

        errors = "".join(records("error"))
        if errors:
            return errors
        sums = dict(record.partition("  ")[::2][::-1] for record in records("sums"))
        links = _pairs(records("links"))
        return {
            name[2:]: _expected(told, sums.get(name, ""), links.get(name, ""))
            for name, told in _pairs(records("stat")).items()
        }


def _pairs(records: list[str]) -> dict[str, str]:
    return dict(zip(records[::2], records[1::2], strict=True))


def _expected(told: str, content: str, target: str) -> Expected:
    mode, uid, gid, links, size, major, minor, mtime = told.split()
    seconds, _, fraction = mtime.partition(".")
    sign = -1 if seconds.startswith("-") else 1
    return Expected(
        mode=int(mode, 16),
        uid=int(uid),
        gid=int(gid),
        links=int(links),
        size=int(size),
        mtime=int(seconds) * 10**9 + sign * int(fraction),
        content=content,
        target=target,
        device=(int(major, 16), int(minor, 16)),
    )
