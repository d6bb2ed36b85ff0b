"""``python fake_mount.py PLACE FILE [OPERATION ERROR]...``: mounts a file system in
memory whose operations raise these errors; FILE gets the operations that were
called, when it is unmounted."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "unit")]
fakes: Any = importlib.import_module("front.fake_filesystem")
fuse: Any = importlib.import_module("udffs.frontends.fuse")

ERRORS: dict[str, BaseException] = {
    "OSError": OSError("text, but no errno"),
    "SystemExit": SystemExit(0),
    "KeyboardInterrupt": KeyboardInterrupt(),
    "ValueError": ValueError("a mistake of ours"),
}

if __name__ == "__main__":
    filesystem = fakes.FakeFileSystem(uid=os.getuid(), gid=os.getgid())
    names, errors = sys.argv[3::2], sys.argv[4::2]
    filesystem.fail = {name: ERRORS[error] for name, error in zip(names, errors, strict=True)}

    def ready() -> None:
        print("ready", flush=True)

    fuse.serve(filesystem, sys.argv[1], fsname="fake", on_init=ready)
    Path(sys.argv[2]).write_text(json.dumps(filesystem.calls))
