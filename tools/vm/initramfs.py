"""The guest's first root: busybox, the modules needed to reach the host's root."""

from __future__ import annotations

import hashlib
import lzma
import os
import re
from collections.abc import Iterable
from pathlib import Path

from vm.cpio import Archive
from vm.errors import VmFailed, VmUnavailable
from vm.kernel import Kernel, cache_directory
from vm.programs import need

HERE = Path(__file__).parent
BOOT_MODULES = ["virtio_pci", "virtio_console", "9p", "9pnet_virtio", "overlay"]


def get_initramfs(kernel: Kernel) -> Path:
    """The archive that every run shares, made now if it is not in the cache."""
    scripts = {name: (HERE / name).read_bytes() for name in ("init.sh", "stage2.sh")}
    version = hashlib.sha256(b"".join(scripts.values()) + b"2").hexdigest()[:12]
    path = cache_directory() / f"initramfs-{kernel.release}-{version}"
    if not path.exists():
        unfinished = path.with_name(f"{path.name}.{os.getpid()}")
        unfinished.write_bytes(_build(kernel, scripts))
        unfinished.rename(path)
    return path


def _build(kernel: Kernel, scripts: dict[str, bytes]) -> bytes:
    archive = Archive()
    for name in ("proc", "sys", "dev"):
        archive.directory(name)
    archive.character_device("dev/console", 5, 1)
    archive.file("bin/busybox", _busybox(), mode=0o755)
    archive.file("init", scripts["init.sh"], mode=0o755)
    archive.file("stage2", scripts["stage2.sh"], mode=0o755)
    order = []
    for module in module_files(kernel.modules, BOOT_MODULES):
        data = (kernel.modules / module).read_bytes()
        name = Path(module).name
        if name.endswith(".xz"):
            data, name = lzma.decompress(data), name.removesuffix(".xz")
        archive.file(f"mods/{name}", data)
        order.append(name)
    archive.file("mods/order", "\n".join(order).encode())
    return archive.build()


def _busybox() -> bytes:
    data = Path(need("busybox", "busybox-static")).read_bytes()
    if b"/lib64/ld-linux-x86-64.so.2" in data:
        raise VmUnavailable("busybox needs libraries (apt-get install busybox-static)")
    return data


def module_files(directory: Path, names: Iterable[str]) -> list[str]:
    """Files of the modules and of all that they need, in the order to load them.

    Paths relative to ``directory``; what is built into the kernel is left out.
    """
    needs: dict[str, list[str]] = {}
    for line in (directory / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        # modules.dep names what a module needs in the order to unload it.
        needs[_module_name(path)] = [*reversed(rest.split()), path]
    built_in = set(map(_module_name, (directory / "modules.builtin").read_text().split()))
    order: dict[str, None] = {}
    for name in map(_module_name, names):
        if name not in built_in:
            if name not in needs:
                raise VmFailed(f"the kernel has no module {name}")
            order.update(dict.fromkeys(needs[name]))
    return list(order)


def _module_name(path: str) -> str:
    return re.sub(r"\.ko(\.\w+)?$", "", path.rpartition("/")[2]).replace("-", "_")
