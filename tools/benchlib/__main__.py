"""``python -m benchlib``: runs the contestants in turn and prints the tables."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mounts

from benchlib import peers, workloads
from benchlib.contestant import Contestant, Failed
from benchlib.mounted import Ceiling, Ours, OursRewritable
from benchlib.report import Entry, Section, Verdict, as_json, as_markdown, as_text, verdicts
from benchlib.scenarios import SCENARIOS
from benchlib.workloads import Workload

ALL_WORK = [*workloads.MAKERS, *SCENARIOS]
NEEDED = 5 << 30  # bytes of tmpfs for a full run


def contestants() -> list[Contestant]:
    """In the order in which they take turns."""
    return [
        Ours(),
        OursRewritable(),
        Ceiling("null"),
        Ceiling("memory"),
        Ceiling("passthrough"),
        peers.UdfClient(),
        peers.Wrudf(),
        peers.Xorriso(),
        peers.GenIsoImage(),
    ]


def measure(workload: Workload, runs: int, scratch: Path, names: Sequence[str]) -> Section:
    """Every contestant ``runs`` times, one after the other, not one by one."""
    taking_part = [c for c in contestants() if not names or any(n in c.name for n in names)]
    entries = [Entry(c.name, c.kind, why_not=c.why_not(workload)) for c in taking_part]
    for number in range(1, runs + 1):
        for contestant, entry in zip(taking_part, entries, strict=True):
            if entry.why_not:
                continue
            say(f"{workload.key} run {number} of {runs}: {contestant.name}")
            try:
                with pinned(workload.pinned), scratch_directory(scratch) as place:
                    entry.runs.append(contestant.run(workload, place))
            except (Failed, OSError) as error:
                entry.why_not, entry.runs = str(error), []
                say(f"{workload.key}: {contestant.name} failed: {error}")
    return Section(workload, entries)


def play(key: str, scratch: Path, quick: bool) -> list[Verdict]:
    """One scenario, once; nothing if it failed."""
    say(f"{key}: udffs")
    try:
        with scratch_directory(scratch) as place:
            return SCENARIOS[key](place, quick)
    except (Failed, OSError) as error:
        say(f"{key}: udffs failed: {error}")
        return []


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def pinned(wanted: bool) -> Iterator[None]:
    """One processor for this process and all that it starts."""
    before = os.sched_getaffinity(0)
    if wanted:
        os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def scratch_directory(parent: Path) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="run.", dir=parent))
    try:
        yield path
    finally:
        # A mount that a failure left there is cleared before anything is removed.
        if mounts.let_go(path / "at"):
            shutil.rmtree(path, ignore_errors=True)


def tmpfs(named: str | None) -> Path:
    """A directory in memory; says so if there is none."""
    for candidate in [named] if named else ["/dev/shm", "/tmp"]:
        path = Path(str(candidate))
        if path.is_dir() and (named or _is_tmpfs(path)):
            free = os.statvfs(path).f_bavail * os.statvfs(path).f_frsize
            if free < NEEDED:
                say(f"{path} has {free >> 20} MiB free; a full run needs {NEEDED >> 20}")
            if not _is_tmpfs(path):
                say(f"{path} is no tmpfs: its disk is measured, too")
            return path
    say("no tmpfs here: the disk is measured, too")
    return Path(tempfile.gettempdir())


def _is_tmpfs(path: Path) -> bool:
    best = ("", "")
    for line in Path("/proc/mounts").read_text().splitlines():
        where, kind = line.split()[1:3]
        if path.resolve().is_relative_to(where) and len(where) >= len(best[0]):
            best = (where, kind)
    return best[1] == "tmpfs"


def prepare_environment(scratch: Path) -> None:
    """Settings and spool of our own, in memory like the discs."""
    settings = scratch / "settings.toml"
    settings.write_text(f'spool = "{scratch / "spool"}"\n')
    os.environ["UDFFS_SETTINGS"] = str(settings)


def conditions(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "runs": options.runs,
        "quick": options.quick,
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench",
        description="Measures udffs beside what a FUSE file system in Python can do at best "
        "and beside other programs. Example: tools/bench -n 3 --markdown table.md",
    )
    parser.add_argument(
        "work",
        nargs="*",
        metavar="WORK",
        help=f"{', '.join(ALL_WORK)}; all if not said",
    )
    parser.add_argument("-n", dest="runs", type=int, default=3, help="runs of each (3)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one run")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="contestants")
    parser.add_argument("--scratch", metavar="DIRECTORY", help="a tmpfs; /dev/shm if not said")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parsed = parser.parse_args()
    if parsed.quick:
        parsed.runs = 1
    unknown = set(parsed.work) - set(ALL_WORK)
    if unknown:
        parser.error(f"no such work: {', '.join(sorted(unknown))}")
    return parsed


def write(
    options: argparse.Namespace, sections: Sequence[Section], reached: Sequence[Verdict]
) -> None:
    """The tables, while the trees are still there to be counted."""
    print(as_text(sections, reached))
    if options.markdown:
        options.markdown.write_text(as_markdown(sections, reached) + "\n")
    if options.json:
        figures = as_json(sections, reached, conditions(options))
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


def main() -> int:
    options = arguments()
    work = options.work or ALL_WORK
    keys = [key for key in workloads.MAKERS if key in work]
    with scratch_directory(tmpfs(options.scratch)) as scratch:
        prepare_environment(scratch)
        sections = [
            measure(workload, options.runs, scratch, options.only)
            for workload in workloads.prepare(scratch, keys, quick=options.quick)
        ]
        reached = list(verdicts(sections))
        for key in SCENARIOS:
            if key in work:
                reached += play(key, scratch, options.quick)
        write(options, sections, reached)
    return 0


if __name__ == "__main__":
    sys.exit(main())
