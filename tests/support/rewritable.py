"""Rewritable discs in files: those that other programs make and write to, and ours."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import vm

from media import virtual
from media.drive import Drive
from media.formatting import format_medium
from media.store import RewritableStore, open_store
from media.transport.virtual import VirtualTransport
from support.discs import EPOCH, Author, Clock
from udffs.commit.format import FormatOptions
from udffs.commit.formatting import format_any
from udffs.filesystem import open_file_system

BLOCK = 2048

#: What the kernel is made to write: every kind of change, files of many extents.
KERNEL_FILES = """
mkdir one one/two one/two/three gone
i=0
while [ $i -lt 150 ]; do echo "content $i" >one/file$i; i=$((i+1)); done
head -c 5000 /dev/urandom >one/five
head -c 3000000 /dev/urandom >one/large
head -c 2457600 /dev/urandom >/run/noise
i=0
while [ $i -lt 300 ]; do
    dd if=/run/noise of=holes bs=2048 count=1 skip=$i seek=$((i*2)) conv=notrunc 2>/dev/null
    i=$((i+1))
done
ln one/five one/two/same
ln -s ../one/five one/link
mkfifo one/fifo
i=0
while [ $i -lt 150 ]; do rm one/file$i; i=$((i+3)); done
mv one/two/three one/moved
rmdir gone
truncate -s 12345 one/large
"""


def mkudffs(
    program: Path, image: Path, revision: str, blocks: int, *options: str, media: str = "cdrw"
) -> Path:
    """A new image of mkudffs, of that many blocks."""
    image.touch()
    os.truncate(image, blocks * BLOCK)
    command = [str(program), f"--media-type={media}", f"--udfrev={revision}", "-b", str(BLOCK)]
    subprocess.run([*command, *options, str(image)], check=True, capture_output=True)
    return image


def packets_of(image: Path, packet: int = 32) -> Iterator[tuple[int, bytes]]:
    """(first block, content) of each packet of an image that was ever written."""
    size = packet * BLOCK
    with image.open("rb") as file:
        at, end = 0, image.stat().st_size
        while at < end:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA) // size * size
            except OSError:  # nothing but a hole from here on
                return
            data = os.pread(file.fileno(), size, at).ljust(size, b"\0")
            if any(data):
                yield at // BLOCK, data
            at += size


def write_in_kernel(
    kernel_vm: Callable[..., vm.Result], images: Sequence[Path], script: str
) -> bytes:
    """Mount each image in the Linux kernel, run the script (sh) in it, unmount.
    All in one boot. Returns what the script printed."""
    lines = ["set -eu", "mkdir -p /run/disc"]
    for letter in "abcdefghijklmnopqrstuvwxyz"[: len(images)]:
        lines += [
            f"mount -t udf -o rw /dev/vd{letter} /run/disc",
            f"cd /run/disc\n{script}\ncd /run",
            "umount /run/disc",
        ]
    result = kernel_vm(
        ["sh", "-c", "\n".join(lines)],
        disks=[vm.Disk(image, writable=True, sector=BLOCK) for image in images],
        modules=["udf"],
        seconds=480,
    )
    assert result.status == 0, result.stderr.decode()
    return result.stdout


# -- discs of ours, in files --------------------------------------------------------


@contextmanager
def open_burner(image: Path, **faults: Any) -> Iterator[tuple[virtual.Burner, RewritableStore]]:
    """A drive with a formatted disc in it, with these faults."""
    burner = virtual.open_burner(image)
    for name, value in faults.items():
        setattr(burner.faults, name, value)
    drive = Drive(VirtualTransport(burner), name=str(image), sleep=lambda _seconds: None)
    store = open_store(drive)
    assert isinstance(store, RewritableStore)
    try:
        yield burner, store
    finally:
        store.close()


@contextmanager
def mounted(
    image: Path, clock: Clock, contents: dict[str, bytes], **faults: Any
) -> Iterator[Author]:
    """Our file system over such a disc, and who writes to it; unmounted at the end."""
    with open_burner(image, **faults) as (_, store):
        spool = image.with_suffix(".spool")
        filesystem = open_file_system(store, spool=spool, clock=clock)
        assert filesystem.read_only is None, filesystem.read_only
        filesystem.start()
        try:
            yield Author(filesystem, contents)
        finally:
            filesystem.shutdown()


def format_disc(image: Path, kind: str, revision: int) -> None:
    """A new disc in a file, with an empty volume on it."""
    virtual.create(image, kind)
    burner = virtual.open_burner(image)
    drive = Drive(VirtualTransport(burner), name=str(image), sleep=lambda _seconds: None)
    format_medium(drive, "mrw" if kind == "mrw" else "packet", full=False)
    burner.close()
    with open_burner(image) as (_, store):
        options = FormatOptions(f"Disc {image.stem}", revision)
        noise = random.Random(image.stem).randbytes
        format_any(store, options, now=EPOCH, random=noise)


def copy_image(image: Path, to: Path) -> Path:
    """The data of a disc as a plain file, holes kept."""
    subprocess.run(["cp", "--sparse=always", str(image), str(to)], check=True)
    return to
