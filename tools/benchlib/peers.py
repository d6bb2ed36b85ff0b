"""Other people's programs, each given the work in the way it does it best.

None of them writes a VAT disc: udfclient and wrudf write rewritable images in
place, xorriso and genisoimage master a whole image in one go.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from benchlib.contestant import Ended, Failed, Measured, run
from benchlib.workloads import Workload

BLOCK = 2048
SEARCH_PATH = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"


class Peer:
    """What all of them share."""

    kind = "peer"
    name = ""
    programs: tuple[str, ...] = ()
    cannot: dict[str, str] = {}

    def why_not(self, workload: Workload) -> str | None:
        for name in self.programs:
            if shutil.which(name, path=SEARCH_PATH) is None:
                return f"{name} is not installed"
        return self.cannot.get(workload.key)

    def run(self, workload: Workload, scratch: Path) -> Measured:
        image = scratch / "peer.img"
        self.make(image, workload)
        empty = self.used(image)
        write = self.save_each if workload.durable else self.write_all
        ended = _timed(lambda: write(workload, image, scratch))
        blocks = self.used(image) - empty
        return Measured(
            write=ended.seconds,
            read=self.read_all(workload, image, scratch) if workload.read_back else None,
            creates=len(workload.files()) / ended.seconds,
            cpu=ended.cpu,
            blocks=blocks,
        )

    def make(self, image: Path, workload: Workload) -> None:
        """An empty disc, large enough."""

    def used(self, image: Path) -> int:
        """Blocks in use."""
        return image.stat().st_size // BLOCK if image.exists() else 0

    def write_all(self, workload: Workload, image: Path, scratch: Path) -> list[Ended]:
        raise NotImplementedError

    def save_each(self, workload: Workload, image: Path, scratch: Path) -> list[Ended]:
        raise NotImplementedError

    def read_all(self, workload: Workload, image: Path, scratch: Path) -> float | None:
        """Seconds to copy everything out, or None if it cannot."""
        return None


def _timed(work: Callable[[], list[Ended]]) -> Ended:
    begun = time.perf_counter()
    parts = work()
    seconds = time.perf_counter() - begun
    return Ended("", seconds, sum(part.cpu for part in parts))


def _script(path: Path, lines: list[str]) -> Path:
    path.write_text("".join(line + "\n" for line in lines))
    return path


class UdfClient(Peer):
    """Interactive; a rewritable UDF 2.01 image."""

    name = "udfclient"
    programs = ("udfclient", "newfs_udf")

    def make(self, image: Path, workload: Workload) -> None:
        # On an image of a CD's size it aborts above 400 files or loses some
        # silently: it gets a large, sparse one.
        run(["newfs_udf", "-L", "bench", "-b", str(BLOCK), "-s", "12000000", image])
        listed = run(["udfclient", "-b", str(BLOCK), image], allowed=range(256)).output
        found = re.search(r"(\S+:bench:fileset)", listed)
        if found is None:
            raise Failed(f"udfclient does not know its own disc:\n{listed[-1000:]}")
        self._root = "/" + found[1]

    def _session(self, image: Path, scratch: Path, lines: list[str], *write: str) -> Ended:
        script = _script(scratch / "commands", [f"cd {self._root}", *lines, "quit"])
        command: list[str | Path] = ["udfclient", *write, "-b", str(BLOCK), image]
        return run(command, stdin=script, allowed=range(256))

    def used(self, image: Path) -> int:
        told = self._session(image, image.parent, ["free"]).output
        numbers = [int(number) for number in re.findall(r"\((\d+) pages\)", told)[:2]]
        return numbers[0] - numbers[1]

    def write_all(self, workload: Workload, image: Path, scratch: Path) -> list[Ended]:
        lines = [f"lcd {workload.tree.parent}", f"put {workload.tree.name} tree"]
        return [self._session(image, scratch, lines, "-W")]

    def save_each(self, workload: Workload, image: Path, scratch: Path) -> list[Ended]:
        # One session: it waits for seconds at each start and end.
        lines = [f"lcd {workload.tree}"]
        for path in workload.files():
            lines += [f"put {path.name}", "sync"]
        return [self._session(image, scratch, lines, "-W")]

    def read_all(self, workload: Workload, image: Path, scratch: Path) -> float | None:
        target = scratch / "out"
        target.mkdir()
        ended = self._session(image, scratch, [f"lcd {target}", "get tree"])
        _same_size(workload, target)
        return ended.seconds


class Wrudf(Peer):
    """Interactive; a CD-RW image in UDF 1.50, in place. It cannot copy out."""

    name = "wrudf"
    programs = ("wrudf", "mkudffs", "udfinfo")
    cannot = {"W3": "it never ends"}

    def make(self, image: Path, workload: Workload) -> None:
        with image.open("wb") as file:
            file.truncate(358400 * BLOCK)
        run(["mkudffs", "-m", "cdrw", "-r", "1.50", "-b", str(BLOCK), image])

    def used(self, image: Path) -> int:
        found = re.search(r"usedblocks=(\d+)", run(["udfinfo", image]).output)
        return int(found[1]) if found else 0

    def _session(self, image: Path, scratch: Path, line: str) -> Ended:
        return run(["wrudf", image], stdin=_script(scratch / "commands", ["y", line, "quit"]))

    def write_all(self, workload: Workload, image: Path, scratch: Path) -> list[Ended]:
        return [self._session(image, scratch, f"cp -r {workload.tree} /")]

    def save_each(self, workload: Workload, image: Path, scratch: Path) -> list[Ended]:
        return [self._session(image, scratch, f"cp {path} /") for path in workload.files()]


class Xorriso(Peer):
    """ISO 9660 with Rock Ridge; a save is a session of its own."""

    name = "xorriso"
    programs = ("xorriso",)

    def write_all(self, workload: Workload, image: Path, scratch: Path) -> list[Ended]:
        return [run(["xorriso", "-outdev", f"stdio:{image}", "-map", workload.tree, "/"])]

    def save_each(self, workload: Workload, image: Path, scratch: Path) -> list[Ended]:
        return [
            run(["xorriso", "-dev", f"stdio:{image}", "-map", path, f"/{path.name}", "-commit"])
            for path in workload.files()
        ]

    def read_all(self, workload: Workload, image: Path, scratch: Path) -> float | None:
        target = scratch / "out"
        ended = run(
            ["xorriso", "-osirrox", "on", "-indev", f"stdio:{image}", "-extract", "/", target]
        )
        _same_size(workload, target)
        return ended.seconds


class GenIsoImage(Peer):
    """ISO 9660 with Rock Ridge, Joliet and UDF 1.02, mastered in one go."""

    name = "genisoimage -udf"
    programs = ("genisoimage",)
    cannot = {"W4": "it cannot add to a disc in a file"}

    def write_all(self, workload: Workload, image: Path, scratch: Path) -> list[Ended]:
        options = ["-quiet", "-R", "-J", "-joliet-long", "-udf"]
        return [run(["genisoimage", *options, "-o", image, workload.tree])]


def _same_size(workload: Workload, target: Path) -> None:
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    if size != workload.size():
        raise Failed(f"{size} bytes came back of {workload.size()}")
