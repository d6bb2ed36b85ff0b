"""Finding the programs that the machine is made of."""

from __future__ import annotations

import os
import shutil

from vm.errors import VmUnavailable

SEARCH_PATH = os.pathsep.join(
    [os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"]
)


def need(program: str, package: str) -> str:
    """Path of a program, or VmUnavailable naming the package that holds it."""
    path = shutil.which(program, path=SEARCH_PATH)
    if path is None:
        raise VmUnavailable(f"{program} is not installed (apt-get install {package})")
    return path
