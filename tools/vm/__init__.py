"""A real Linux kernel to check against, in a few seconds.

``run(command, disks=[...])`` boots Debian's kernel under QEMU's software
emulation, with this machine's own root file system below a throw-away
overlay, runs the command there as root and gives back what it printed. Every
program and file of this machine is there; whatever the command writes
vanishes, except on disks that were passed as writable.

Nothing is installed: the kernel package is fetched with apt once and unpacked
into a cache (``$UDFFS_VM_CACHE``, else ``~/.cache/udffs/vm``).
"""

from __future__ import annotations

from vm.errors import VmFailed, VmUnavailable
from vm.machine import Disk, Result, run

__all__ = ["Disk", "Result", "VmFailed", "VmUnavailable", "run"]
