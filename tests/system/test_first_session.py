"""What a new user does first: the README's session, and tools/demo."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mounting import Disc

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.fuse


@pytest.fixture
def disc(tmp_path: Path) -> Iterator[Disc]:
    disc = Disc(tmp_path)
    yield disc
    disc.clean_up()


def test_the_session_of_the_readme(disc: Disc) -> None:
    readme = (ROOT / "README.md").read_text()
    block = re.search(r"## A first session\n\n((?:    .*\n)+)", readme)
    assert block
    lines = [line.strip() for line in block[1].splitlines()]
    assert lines.pop(0) == "source .venv/bin/activate"
    pictures = disc.home / "Pictures" / "2026"
    pictures.mkdir(parents=True)
    (pictures / "one.jpg").write_bytes(b"picture" * 1000)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    said = disc.run(["bash", "-euc", "\n".join(lines)], cwd=disc.home, env={"PATH": path})
    assert "is unmounted and closed" in said.stdout
    image = disc.home / "my-disc.img"
    disc.udffs("mount", image, disc.where)
    assert (disc.where / "2026" / "one.jpg").read_bytes() == b"picture" * 1000
    disc.unmount()
    assert disc.json("info", image)["volume"]["label"] == "Holiday"


def start_demo(folder: Path, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools"), "TMPDIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-m", "demolib", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def nothing_left_mounted(folder: Path) -> bool:
    return str(folder) not in Path("/proc/self/mountinfo").read_text()


def test_the_demo(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, str(tmp_path / "kept"))
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 0, output
    assert "all as they were saved" in output
    assert "udffs unmount disc --close" in output
    assert "udffs new rewritable.img --media cd-rw-80" in output
    assert "- deleted it" in output and "integrity=closed" in output
    assert "What to type next" in output
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == [
        "demo.img",
        "demo.img.state",
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert nothing_left_mounted(tmp_path)


@pytest.mark.parametrize(
    "step", ["3. Mount", "- append", "5. Unmount", "6. Mount", "7. Close", "- deleted it"]
)
def test_the_demo_interrupted(step: str, tmp_path: Path) -> None:
    demo = start_demo(tmp_path)
    assert demo.stdout
    said = ""
    while step not in said:
        line = demo.stdout.readline()
        assert line, said
        said += line
    demo.send_signal(signal.SIGINT)
    rest, _ = demo.communicate(timeout=120)
    assert demo.returncode == 130, said + rest
    assert rest.endswith("Stopped; nothing is left mounted.\n")
    assert list(tmp_path.iterdir()) == []
    assert nothing_left_mounted(tmp_path)


def test_the_demo_when_the_disc_goes_wrong(tmp_path: Path) -> None:
    """Somebody takes the mount away amid the saves: a sentence, and nothing left."""
    demo = start_demo(tmp_path)
    assert demo.stdout
    while "append" not in demo.stdout.readline():
        pass
    (where,) = tmp_path.glob("udffs-demo.*/disc")
    subprocess.run(["fusermount", "-u", "-z", where], check=True)
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 1, output
    assert "This went wrong: " in output
    assert nothing_left_mounted(tmp_path)
