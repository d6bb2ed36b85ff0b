"""The kernel's own iSCSI initiator: what starts it in the guest.

Debian's open-iscsi is fetched with apt once and unpacked into the cache, with
the libraries of it that this machine lacks. It is never installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from vm.errors import VmUnavailable
from vm.kernel import cache_directory, fetch_package, locked
from vm.programs import need

PACKAGE = "open-iscsi"
MODULES = ("iscsi_tcp", "sr_mod", "sg")
# This machine's 127.0.0.1, as QEMU's user-mode network shows it to the guest.
HOST_IN_GUEST = "10.0.2.2"
LIBRARIES = {  # the name a library begins with -> Debian's package of it
    "libopeniscsiusr.so": "libopeniscsiusr",
    "libisns.so": "libisns0",
    "libisns-nocrypto.so": "libisns0",
    "libkmod.so": "libkmod2",
    "libmount.so": "libmount1",
    "libcrypto.so": "libssl3",
}


@dataclass(frozen=True)
class Target:
    """Where a drive is served, as the guest has to say it."""

    address: str
    port: int
    name: str


def parse_target(url: str) -> Target:
    """The target that a URL of :func:`vm.iscsi.serve` names."""
    parts = urlsplit(url)
    name, _, unit = parts.path.strip("/").partition("/")
    if parts.scheme != "iscsi" or not parts.hostname or not name or unit not in ("", "0"):
        raise ValueError(f"not a URL of the form iscsi://HOST:PORT/NAME/0: {url}")
    local = parts.hostname in ("127.0.0.1", "localhost")
    return Target(HOST_IN_GUEST if local else parts.hostname, parts.port or 3260, name)


def get_initiator() -> Path:
    """The unpacked package of the cache, fetched now if it is not there yet."""
    cache = cache_directory()
    root = cache / PACKAGE
    with locked(cache):
        if not root.is_dir():
            work = Path(tempfile.mkdtemp(prefix="fetch.", dir=cache))
            try:
                _fill(work).rename(root)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return root


def starter(root: Path) -> Path:
    """The program that attaches one target and ends."""
    for folder in ("sbin", "usr/sbin"):
        if (root / folder / "iscsistart").exists():
            return root / folder / "iscsistart"
    raise VmUnavailable(f"Debian's {PACKAGE} holds no iscsistart")


def library_path(root: Path) -> str:
    """The folders with the unpacked libraries, for the dynamic loader."""
    return ":".join(sorted({str(path.parent) for path in root.glob("**/*.so.*")}))


def _fill(work: Path) -> Path:
    root = work / "root"
    _unpack(PACKAGE, work, root)
    # A library that was missing may itself need one that is.
    for _ in range(len(LIBRARIES)):
        packages = {_package_of(library) for library in _missing_libraries(root)}
        if not packages:
            break
        for package in sorted(packages):
            _unpack(package, work, root)
    root.chmod(0o755)
    return root


def _unpack(package: str, work: Path, root: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="deb.", dir=work))
    file = fetch_package(package, folder)
    call = [need("dpkg-deb", "dpkg"), "-x", str(file), str(root)]
    if subprocess.run(call, capture_output=True, check=False).returncode != 0:
        raise VmUnavailable(f"Debian's package {package} cannot be unpacked")


def _missing_libraries(root: Path) -> list[str]:
    listed = subprocess.run(
        ["ldd", starter(root)],
        env={"LD_LIBRARY_PATH": library_path(root), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return re.findall(r"(\S+) => not found", listed.stdout)


def _package_of(library: str) -> str:
    for beginning, package in LIBRARIES.items():
        if library.startswith(beginning):
            return package
    raise VmUnavailable(f"{PACKAGE} needs {library}, which this machine lacks")
