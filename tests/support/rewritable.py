"""CD-RW images that other programs make and write to."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import vm

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
    )
    assert result.status == 0, result.stderr.decode()
    return result.stdout
