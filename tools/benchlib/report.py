"""The results as tables: on the terminal, in Markdown, in JSON."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchlib.bound import lower_bound
from benchlib.contestant import Measured
from benchlib.workloads import Workload


@dataclass
class Entry:
    """One contestant in one workload, over all runs."""

    contestant: str
    kind: str
    runs: list[Measured] = field(default_factory=list)
    why_not: str | None = None

    @property
    def row(self) -> str:
        """What its row is called; says so if it did less than the others."""
        less = self.median("shortened")
        return self.contestant if less is None else f"{self.contestant} ({int(less) >> 20} MiB)"

    def values(self, name: str) -> list[float]:
        found = (getattr(run, name) for run in self.runs)
        return [float(value) for value in found if value is not None]

    def median(self, name: str) -> float | None:
        values = self.values(name)
        return statistics.median(values) if values else None


@dataclass(frozen=True)
class Section:
    """All contestants in one workload."""

    workload: Workload
    entries: list[Entry]

    def entry(self, name: str) -> Entry | None:
        return next((e for e in self.entries if e.contestant == name and e.runs), None)


@dataclass(frozen=True)
class Column:
    """What is shown of a measured value, if anybody has it."""

    title: str
    value: str
    show: Callable[[float], str]
    spread: bool = False


COLUMNS = [
    Column("write s", "write", "{:.2f}".format, spread=True),
    Column("read s", "read", "{:.2f}".format, spread=True),
    Column("creates/s", "creates", "{:,.0f}".format, spread=True),
    Column("stat/s", "stats", "{:,.0f}".format, spread=True),
    Column("CPU s", "cpu", "{:.2f}".format),
    Column("MiB", "memory", "{:.0f}".format),
    Column("blocks", "blocks", "{:,.0f}".format),
    Column("packets", "packets", "{:,.0f}".format),
    Column("drive s", "drive", "{:,.1f}".format),
]


def rows(section: Section) -> Iterator[list[str]]:
    """The table of one workload, its heading first."""
    columns = [c for c in COLUMNS if any(e.values(c.value) for e in section.entries)]
    if not section.workload.stat:
        columns = [c for c in columns if c.value not in ("creates", "stats")]
    if section.workload.durable:
        columns = [
            Column("ms a save", "write", str),
            *columns,
            Column("drive s a save", "drive", str),
        ]
    bound = lower_bound(section.workload)
    yield ["", *(column.title for column in columns), "over bound"]
    for entry in section.entries:
        if entry.why_not:
            continue
        cells = [_cell(entry, column, section.workload) for column in columns]
        blocks = entry.median("blocks")
        yield [entry.row, *cells, f"{blocks / bound - 1:+.2%}" if blocks else ""]
    yield ["lower bound", *(f"{bound:,}" if c.value == "blocks" else "" for c in columns), ""]


def _cell(entry: Entry, column: Column, workload: Workload) -> str:
    median = entry.median(column.value)
    if median is None:
        return ""
    if column.title == "ms a save":
        return f"{1000 * median / len(workload.files()):.1f}"
    if column.title == "drive s a save":
        return f"{median / len(workload.files()):.2f}"
    values = entry.values(column.value)
    if not column.spread or len(values) < 2:
        return column.show(median)
    return f"{column.show(median)} ({column.show(min(values))}-{column.show(max(values))})"


# -- the targets of DESIGN, "Numbers to reach" -------------------------------


@dataclass(frozen=True)
class Verdict:
    """One number to reach, and what was measured."""

    what: str
    measured: float
    target: float
    at_most: bool = False
    percent: bool = False

    @property
    def reached(self) -> bool:
        return self.measured <= self.target if self.at_most else self.measured >= self.target

    def __str__(self) -> str:
        show = "{:.2%}".format if self.percent else "{:,.2f}".format
        limit = "at most" if self.at_most else "at least"
        word = "reached" if self.reached else "NOT reached"
        return f"{self.what}: {show(self.measured)} ({limit} {show(self.target)}) {word}"


# workload, value, against whom, ours at least so many times as good
RATIOS = [
    ("W1", "write", "passthrough to tmpfs", 0.5),
    ("W1", "write", "udfclient", 3.0),
    ("W1", "read", "passthrough to tmpfs", 0.7),
    ("W3", "read", "passthrough to tmpfs", 0.7),
    ("W2", "creates", "null file system", 0.5),
    ("W2", "stats", "null file system", 0.7),
]
OVER_BOUND = {"W1": 0.003, "W2": 0.005, "W3": 0.005}
BLOCKS_A_SAVE = 22
MEMORY_W1 = 80  # MiB


def verdicts(sections: Sequence[Section]) -> Iterator[Verdict]:
    """What was reached of the numbers that these workloads can show."""
    by_key = {section.workload.key: section for section in sections}
    for key, value, other, target in RATIOS:
        ratio = _ratio(by_key.get(key), value, other)
        if ratio is not None:
            yield Verdict(f"{key} {value} against {other}", ratio, target)
    for section in sections:
        ours = section.entry("udffs")
        blocks = ours.median("blocks") if ours else None
        if blocks is not None:
            yield from _blocks(section.workload, blocks)
    ours = by_key["W1"].entry("udffs") if "W1" in by_key else None
    memory = ours.median("memory") if ours else None
    if memory is not None:
        yield Verdict("W1 memory in MiB", memory, MEMORY_W1, at_most=True)


def _ratio(section: Section | None, value: str, other: str) -> float | None:
    if section is None:
        return None
    ours, theirs = section.entry("udffs"), section.entry(other)
    mine = ours.median(value) if ours else None
    peers = theirs.median(value) if theirs else None
    if mine is None or peers is None:
        return None
    # Of seconds fewer are better, of rates more.
    return peers / mine if value in ("write", "read") else mine / peers


def _blocks(workload: Workload, blocks: float) -> Iterator[Verdict]:
    if workload.durable:
        a_save = blocks / len(workload.files())
        what = f"{workload.key} blocks a save"
        yield Verdict(what, a_save, BLOCKS_A_SAVE, at_most=True)
    elif workload.key in OVER_BOUND:
        over = blocks / lower_bound(workload) - 1
        what = f"{workload.key} blocks over the lower bound"
        yield Verdict(what, over, OVER_BOUND[workload.key], at_most=True, percent=True)


# -- forms -------------------------------------------------------------------


def as_text(sections: Sequence[Section], reached: Sequence[Verdict]) -> str:
    """For the terminal."""
    lines: list[str] = []
    for section in sections:
        table = list(rows(section))
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines += ["", f"{section.workload.key}: {section.workload.title}"]
        for row in table:
            first, *others = zip(row, widths, strict=True)
            cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
            lines.append("  ".join(cells).rstrip())
        lines += [f"  {line}" for line in left_out(section)]
    return "\n".join([*lines, "", *map(str, reached)])


def left_out(section: Section) -> list[str]:
    """One line for each contestant that took no part, and why."""
    return [f"left out: {e.contestant}: {e.why_not}" for e in section.entries if e.why_not]


def as_markdown(sections: Sequence[Section], reached: Sequence[Verdict]) -> str:
    """For a README."""
    lines: list[str] = []
    for section in sections:
        heading, *body = rows(section)
        lines += [f"**{section.workload.key}**: {section.workload.title}", ""]
        lines += [_markdown(heading), _markdown(["---", *["---:"] * (len(heading) - 1)])]
        lines += [*map(_markdown, body), ""]
        lines += [line for text in left_out(section) for line in (text, "")]
    return "\n".join([*lines, *(f"- {verdict}" for verdict in reached)])


def _markdown(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def as_json(
    sections: Sequence[Section], reached: Sequence[Verdict], conditions: dict[str, Any]
) -> dict[str, Any]:
    """Everything that was measured."""
    return {
        "conditions": conditions,
        "workloads": [
            {
                "key": section.workload.key,
                "title": section.workload.title,
                "lower_bound_blocks": lower_bound(section.workload),
                "contestants": [asdict(entry) for entry in section.entries],
            }
            for section in sections
        ],
        "targets": [asdict(verdict) | {"reached": verdict.reached} for verdict in reached],
    }
