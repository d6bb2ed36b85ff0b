"""A whole session on /dev/sr0: the commands go through a Linux kernel to the virtual
burner, and that kernel's own drivers read the disc."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import vm
from vm.iscsi import serve

from media.virtual import Burner, memory_burner

#: An emulated processor is slow, and slower while others work
SECONDS = 900.0

pytestmark = [
    pytest.mark.vm,
    pytest.mark.fuse,
    pytest.mark.strangers,
    pytest.mark.timeout(SECONDS + 120),
]

KernelVm = Callable[..., vm.Result]
ROOT = Path(__file__).resolve().parents[2]
#: Some files of the project, as they are; the machine sees the host's file system
TREE = ROOT / "media" / "mmc"

SCRIPT = f"""
set -e
exec 2>&1
export HOME=/root PYTHONDONTWRITEBYTECODE=1
udffs="{sys.executable} -m udffs.cli"
mkdir -p /tmp/disc /tmp/kernel /tmp/tree
cp {TREE}/*.py /tmp/tree/
"""

FIRST_SESSION = f"""{SCRIPT}
$udffs drives
$udffs mount /dev/sr0 /tmp/disc --format --label Kernel
cp -r /tmp/tree /tmp/disc/
if mount -t udf /dev/sr0 /tmp/kernel 2>/dev/null; then echo "WRONG: mounted over us"; exit 1; fi
n=0
while [ $n -lt 300 ] && grep -q ' /tmp/disc ' /proc/mounts; do sleep 1; n=$((n + 1)); done
$udffs load /dev/sr0
mount -t udf -o ro /dev/sr0 /tmp/kernel
diff -r /tmp/tree /tmp/kernel/tree && echo "open: the same"
umount /tmp/kernel
$udffs --transport sg close /dev/sr0
$udffs eject /dev/sr0
$udffs load /dev/sr0
mount -t udf -o ro /dev/sr0 /tmp/kernel
diff -r /tmp/tree /tmp/kernel/tree && echo "closed, udf: the same"
if $udffs format /dev/sr0; then echo "WRONG: nobody held it"; exit 1; fi
umount /tmp/kernel
mount -t iso9660 -o ro /dev/sr0 /tmp/kernel
diff -r /tmp/tree /tmp/kernel/tree && echo "closed, iso9660: the same"
"""


def press_when_asked(burner: Burner, stop: threading.Event) -> None:
    """A finger on the button, once something of the tree is on the disc."""
    while not stop.wait(0.5):
        if burner.prevented and len(burner.medium.packets()) > 1:
            time.sleep(1.0)
            burner.press_eject()
            return


def test_first_session_with_the_eject_button(kernel_vm: KernelVm) -> None:
    burner = memory_burner("cd-r-80")
    stop = threading.Event()
    finger = threading.Thread(target=press_when_asked, args=(burner, stop))
    finger.start()
    try:
        with serve(burner.execute) as url:
            result = kernel_vm(
                ["sh", "-c", FIRST_SESSION],
                burners=[url],
                modules=["fuse", "udf", "isofs"],
                seconds=SECONDS,
                cwd=ROOT,
            )
    finally:
        stop.set()
        finger.join()
    text = result.stdout.decode(errors="replace")
    assert result.status == 0, text
    for part in (
        "UDFFS VIRTUAL BURNER",
        "open: the same",
        "closed, udf: the same",
        "closed, iso9660: the same",
        "in use by the system, which has mounted its disc at /tmp/kernel",
    ):
        assert part in text, text
