"""The rules of the house that a program can hold (DESIGN: "The house")."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import machine

ROOT = Path(__file__).resolve().parents[2]

BELOW_FILESYSTEM = ["udffs.errors", "udffs.ondisc", "udffs.volume", "udffs.commit"]
UP_TO_FILESYSTEM = [*BELOW_FILESYSTEM, "udffs.mounted", "udffs.filesystem"]
MEETING_POINT = ["media.store", "media.drive", "media.errors"]
MIDDLE = ["udffs.control", "udffs.mastering", "udffs.care", "udffs.frontends"]
DRIVES = ["media.discovery", "media.formatting", "media.virtual"]
TOP = [*UP_TO_FILESYSTEM, *MEETING_POINT, *MIDDLE, "udffs.settings"]

# Part -> what it may import of ours, besides itself. The longest prefix counts.
MAY_IMPORT = {
    "media": ["media"],
    "media.mmc": [],
    "udffs": ["udffs.errors"],
    "udffs.errors": [],
    "udffs.settings": ["udffs.errors"],
    "udffs.ondisc": ["udffs.errors"],
    "udffs.volume": ["udffs.errors", "udffs.ondisc", *MEETING_POINT],
    "udffs.commit": ["udffs.errors", "udffs.ondisc", "udffs.volume", *MEETING_POINT],
    "udffs.mounted": [*BELOW_FILESYSTEM, *MEETING_POINT],
    "udffs.filesystem": [*BELOW_FILESYSTEM, "udffs.mounted", *MEETING_POINT],
    **{part: [*UP_TO_FILESYSTEM, *MEETING_POINT, "udffs.settings"] for part in MIDDLE},
    # A track or session at once is written past the stores, which know packets.
    "udffs.mastering": [
        *UP_TO_FILESYSTEM,
        *MEETING_POINT,
        "media.burning",
        "udffs.settings",
    ],
    "udffs.cli": [*TOP, "udffs.desktop", *DRIVES],
    "udffs.desktop": [*TOP, *DRIVES],
}

TOP_LEVEL = {
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "media",
    "pyproject.toml",
    "tests",
    "tools",
    "udffs",
}


def modules() -> list[Path]:
    return sorted(path for top in ("udffs", "media") for path in (ROOT / top).rglob("*.py"))


def dotted(path: Path) -> str:
    """udffs/volume/vat.py is udffs.volume.vat, a package is its directory's name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def within(module: str, part: str) -> bool:
    return module == part or module.startswith(part + ".")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, module) of each import of ours, wherever in the file it stands."""
    package = dotted(path) if path.stem == "__init__" else dotted(path).rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, node.module or ""]).strip(".") if node.level else node.module
            for alias in node.names:
                # `from udffs import volume` imports a part, not a name of udffs.
                whole = f"{base}.{alias.name}"
                yield node.lineno, whole if is_module(whole) else str(base)


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def rule_for(module: str) -> tuple[str, list[str]]:
    part = max((part for part in MAY_IMPORT if within(module, part)), key=len)
    return part, MAY_IMPORT[part]


def test_imports_run_one_way() -> None:
    wrong = []
    for path in modules():
        part, allowed = rule_for(dotted(path))
        # The bare package holds the version and the like, no part of the house.
        for line, name in imports(path):
            if name.split(".")[0] not in ("udffs", "media") or name in ("udffs", "media"):
                continue
            if not any(within(name, other) for other in [part, *allowed] if other != "udffs"):
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_rule_sees_a_wrong_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "media/mmc/sense.py": "from media import store\n",
        "media/store.py": "def f():\n    import udffs.volume\n",
        "udffs/volume/vat.py": "from ..commit import plan\n",
        "udffs/commit/plan.py": "from media.virtual import burner\n",
        "media/virtual/burner.py": "import media.mmc.sense\n",
        "udffs/ondisc/tags.py": "from udffs.errors import StructureError\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    with pytest.raises(AssertionError) as caught:
        test_imports_run_one_way()
    named = set(re.findall(r"\w+(?:/\w+)+\.py:\d+ imports [\w.]+", str(caught.value)))
    assert named == {
        "media/mmc/sense.py:1 imports media.store",
        "media/store.py:2 imports udffs.volume",
        "udffs/commit/plan.py:1 imports media.virtual.burner",
        "udffs/volume/vat.py:1 imports udffs.commit.plan",
    }


def test_errors_live_in_the_two_trees() -> None:
    """An error reaches another process as the name of its class: one that is
    defined elsewhere would end there as a mistake in udffs itself."""
    elsewhere = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in modules()
        if path.name != "errors.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and any(ast.unparse(base).endswith(("Error", "Fault")) for base in node.bases)
    ]
    assert elsewhere == []


def tracked() -> list[str]:
    """Paths that belong to the project."""
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout: which files belong to the project is not known")
    return listed.stdout.splitlines()


def test_top_level() -> None:
    assert {name.split("/")[0] for name in tracked()} <= TOP_LEVEL


def test_long_files_have_a_reason() -> None:
    """A file over 500 lines says near its top, with the words "500 lines", why."""
    long = []
    for name in tracked():
        path = ROOT / name
        if name.endswith((".md", "LICENSE")) or not path.is_file():
            continue
        lines = path.read_text().splitlines()
        if len(lines) > 500 and "500 lines" not in "\n".join(lines[:40]):
            long.append(f"{name}: {len(lines)} lines and no reason")
    assert not long, "\n".join(long)


def test_setup_installs_what_the_tests_call() -> None:
    setup = (ROOT / "tools" / "setup").read_text()
    installed = dict(re.findall(r'^ +echo "(\S+) (\S+)"$', setup, re.MULTILINE))
    assert installed == machine.PACKAGES


def test_tests_call_only_what_setup_installs() -> None:
    unknown = []
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else ""
            first = node.args[0]
            asked = first.value if isinstance(first, ast.Constant) else None
            if called in ("program", "find_program") and asked and asked not in machine.PACKAGES:
                unknown.append(f"{path.relative_to(ROOT)}:{node.lineno} {asked}")
    assert not unknown, "\n".join(unknown)
