"""The arithmetic of tools/bench: lower bounds and verdicts."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchlib import bound, report
from benchlib.contestant import Measured
from benchlib.workloads import Workload, shortened


def tree(folder: Path, files: dict[str, int]) -> Path:
    """Files of these sizes, without content."""
    for name, size in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as file:
            file.truncate(size)
    return folder


@pytest.mark.parametrize(
    ("files", "blocks"),
    [
        ({}, 9),  # the root's ICB, the VAT's, 7 of the packet
        ({"a": 0}, 10),
        ({"a": 1872}, 10),  # in its ICB
        ({"a": 1873}, 11),
        ({"a": 2049}, 12),
        ({"large.bin": 600 << 20}, 307_210),
        # The root outgrows its ICB: 40 bytes and 48 of each name.
        ({f"f{number:06}": 0 for number in range(39)}, 9 + 39 + 1),
        # The VAT does: 152 bytes, the file set, the root, 429 files.
        ({f"d/{number:03}": 0 for number in range(429)}, 9 + 429 + 1 + 10 + 1),
    ],
)
def test_the_lower_bound(files: dict[str, int], blocks: int, tmp_path: Path) -> None:
    assert bound.lower_bound(Workload("W", "", tree(tmp_path, files))) == blocks


def test_the_lower_bound_of_durable_saves(tmp_path: Path) -> None:
    files = {f"save-{number:04}.dat": 20 * 1024 for number in range(200)}
    work = Workload("W4", "", tree(tmp_path, files), durable=True)
    assert bound.lower_bound(work) == 4169


def test_a_ratio_is_ours_to_theirs_whatever_the_unit(tmp_path: Path) -> None:
    work = Workload("W1", "", tree(tmp_path, {"a": 1}))
    section = report.Section(
        work,
        [
            report.Entry("udffs", "ours", [Measured(write=4, read=2, memory=81)] * 3),
            report.Entry("passthrough to tmpfs", "ceiling", [Measured(write=2, read=1)]),
        ],
    )
    told = {verdict.what: verdict for verdict in report.verdicts([section])}
    assert told["W1 write against passthrough to tmpfs"].measured == 0.5
    assert told["W1 write against passthrough to tmpfs"].reached
    assert not told["W1 read against passthrough to tmpfs"].reached
    assert not told["W1 memory in MiB"].reached


def test_tables_name_who_was_left_out(tmp_path: Path) -> None:
    work = Workload("W1", "one file", tree(tmp_path, {"a": 1}))
    entries = [
        report.Entry("udffs", "ours", [Measured(write=1, blocks=11), Measured(write=3, blocks=11)]),
        report.Entry("other", "peer", why_not="other is not installed"),
    ]
    sections = [report.Section(work, entries)]
    text = report.as_text(sections, list(report.verdicts(sections)))
    assert "udffs        2.00 (1.00-3.00)      11     +10.00%" in text
    assert "left out: other: other is not installed" in text
    markdown = report.as_markdown(sections, [])
    assert "| udffs | 2.00 (1.00-3.00) | 11 | +10.00% |" in markdown


def test_work_that_does_not_fit_is_shortened_and_its_row_says_so(tmp_path: Path) -> None:
    work = Workload("W1", "one file", tree(tmp_path / "whole", {"large": 3 << 20}))
    less = shortened(work, tmp_path, 2 << 20)
    assert less.size() == 2 << 20 and work.size() == 3 << 20
    assert shortened(work, tmp_path, 3 << 20) is work
    many = Workload("W2", "files", tree(tmp_path / "many", {"a": 2 << 20, "b": 2 << 20}))
    assert shortened(many, tmp_path, 2 << 20) is many
    entry = report.Entry("udffs, CD-RW", "ours", [Measured(write=1, shortened=less.size())])
    assert entry.row == "udffs, CD-RW (2 MiB)"


def test_what_a_save_costs_a_rewriting_drive(tmp_path: Path) -> None:
    work = Workload("W4", "", tree(tmp_path, {"a": 1, "b": 1}), durable=True)
    runs = [Measured(write=1, packets=7, drive=1.5)]
    section = report.Section(work, [report.Entry("udffs, CD-RW", "ours", runs)])
    heading, row, _bound = report.rows(section)
    told = dict(zip(heading, row, strict=True))
    assert (told["packets"], told["drive s"], told["drive s a save"]) == ("7", "1.5", "0.75")
