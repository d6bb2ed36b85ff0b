"""Debian's kernel: fetched with apt once, unpacked into a cache."""

from __future__ import annotations

import fcntl
import lzma
import os
import platform
import re
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vm.errors import VmUnavailable
from vm.programs import need

META_PACKAGE = "linux-image-amd64"


@dataclass(frozen=True)
class Kernel:
    """An unpacked kernel package."""

    root: Path
    release: str

    @property
    def image(self) -> Path:
        """What QEMU boots: the unpacked one where there is one, it starts sooner."""
        plain = self.root / "boot" / f"vmlinux-{self.release}"
        return plain if plain.exists() else self.root / "boot" / f"vmlinuz-{self.release}"

    @property
    def modules(self) -> Path:
        return self.root / "lib" / "modules" / self.release


def cache_directory() -> Path:
    """Where kernel and first root are kept; made when missing."""
    named = os.environ.get("UDFFS_VM_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    path = Path(named) if named else Path(base) / "udffs" / "vm"
    path.mkdir(parents=True, exist_ok=True)
    return path.resolve()


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """One process at a time fills the cache."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def get_kernel() -> Kernel:
    """The kernel of the cache, fetched now if it is not there yet."""
    if platform.machine() != "x86_64":
        raise VmUnavailable(f"the virtual machine is for x86_64 hosts, not {platform.machine()}")
    cache = cache_directory()
    root = cache / "kernel"
    with locked(cache):
        if not root.is_dir():
            work = Path(tempfile.mkdtemp(prefix="fetch.", dir=cache))
            try:
                _unpack(_download(work), work / "root").rename(root)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return Kernel(root, _release(root))


def _release(root: Path) -> str:
    return next(path.name for path in (root / "lib" / "modules").iterdir())


def _download(work: Path) -> Path:
    """Fetches the kernel package into ``work``; nothing is installed."""
    need("apt-get", "apt")
    package = _package_name()
    if package is None and os.getuid() == 0:
        subprocess.run(["apt-get", "-q", "update"], capture_output=True, check=False)
        package = _package_name()
    if package is None:
        raise VmUnavailable(f"apt knows no {META_PACKAGE} (Debian's kernel; apt-get update?)")
    return fetch_package(package, work)


def fetch_package(package: str, work: Path) -> Path:
    """Fetches one of Debian's packages into the empty directory ``work``."""
    fetch = [need("apt-get", "apt"), "-q", "-o", "APT::Sandbox::User=root", "download", package]
    fetched = subprocess.run(fetch, cwd=work, capture_output=True, check=False)
    if fetched.returncode != 0 and os.getuid() == 0:  # the lists may be old, or not there
        subprocess.run(["apt-get", "-q", "update"], capture_output=True, check=False)
        fetched = subprocess.run(fetch, cwd=work, capture_output=True, check=False)
    if fetched.returncode != 0:
        raise VmUnavailable(f"apt cannot fetch {package} (no network, or apt-get update?)")
    return next(work.glob("*.deb"))


def _package_name() -> str | None:
    listed = subprocess.run(
        ["apt-cache", "depends", META_PACKAGE], capture_output=True, text=True, check=False
    )
    found = re.search(r"Depends:\s*(linux-image-[0-9]\S*)", listed.stdout)
    return found[1] if found else None


def _unpack(package: Path, root: Path) -> Path:
    """The package's files, with the modules' index and an unpacked kernel."""
    try:
        subprocess.run([need("dpkg-deb", "dpkg"), "-x", package, root], check=True)
        if not (root / "lib" / "modules").exists():  # Debian 13 has it below usr
            (root / "lib").mkdir(exist_ok=True)
            (root / "lib" / "modules").symlink_to("../usr/lib/modules")
        release = _release(root)
        subprocess.run([need("depmod", "kmod"), "-b", root, release], check=True)
    except (subprocess.CalledProcessError, OSError, StopIteration) as error:
        raise VmUnavailable(f"the kernel package cannot be unpacked: {error}") from error
    elf = vmlinux_of((root / "boot" / f"vmlinuz-{release}").read_bytes())
    if elf is not None:
        (root / "boot" / f"vmlinux-{release}").write_bytes(elf)
    root.chmod(0o755)
    return root


def vmlinux_of(image: bytes) -> bytes | None:
    """The ELF file within a bzImage, or None if it is packed in another way than xz.

    QEMU boots it directly, without the slow unpacking inside the guest. The
    fields are those of the kernel's x86 boot protocol: setup_sects at 0x1F1,
    payload_offset and payload_length at 0x248.
    """
    setup_sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    payload = image[start : start + length]
    if not payload.startswith(b"\xfd7zXZ\0"):
        return None
    # Four bytes with the unpacked size follow the xz stream.
    elf = lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)
    return elf if elf.startswith(b"\x7fELF") else None
