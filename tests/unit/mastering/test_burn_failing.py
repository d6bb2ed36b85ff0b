"""Burns that are stopped, fail, or are killed: what is staged stays as it was, and
it is said what became of the disc."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from media import discovery, errors
from media.drive import Drive
from udffs.cli import burning as steps
from udffs.mastering import burning
from udffs.mastering.sources import HostContent
from udffs.mastering.staging import Area

from .burn_bench import Bench

BLANK = ("blank", "empty", 1)
MORE = ("appendable", "empty", 2)

STAYS = "Note: What was staged is still staged."


@pytest.fixture
def staged(bench: Bench) -> Callable[[], object]:
    """Something staged in each way, and a look at it."""
    tree = bench.tree(size=3_000_000)
    bench.blank()
    bench.ok("stage", "add", tree)
    bench.ok("stage", "add", tree / "one", "--to", "copied", "--copy")
    (bench.area.folder / "saved").write_bytes(b"saved")

    def look() -> object:
        area = bench.area
        folder = {path: path.read_bytes() for path in area.folder.rglob("*") if path.is_file()}
        return area.staged(), area.entries(), folder

    return look


def after(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, calls: int, do: Any) -> None:
    """``do()`` instead of the call of that number, and of all later ones."""
    real, count = getattr(owner, name), 0

    def called(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        count += 1
        if count >= calls:
            do()
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, called)


def raising(error: BaseException) -> Callable[[], None]:
    def do() -> None:
        raise error

    return do


@pytest.mark.parametrize("mode", ["tao", "sao"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops(
    bench: Bench, staged: Any, monkeypatch: pytest.MonkeyPatch, mode: str, number: int
) -> None:
    before, handler = staged(), signal.getsignal(number)
    after(monkeypatch, HostContent, "read", 5, lambda: os.kill(os.getpid(), number))
    assert bench.udffs("burn", bench.disc, f"--{mode}") == 130
    assert "Stopping." in bench.err and STAYS in bench.err
    assert "Burning was stopped. What had been written is on the disc as a session" in bench.err
    assert staged() == before and signal.getsignal(number) is handler
    assert bench.status() == MORE


def test_stopped_before_the_disc_was_touched(
    bench: Bench, staged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = staged()
    after(monkeypatch, burning, "burn_track", 1, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert bench.udffs("burn", bench.disc) == 130
    assert "The disc is as it was." in bench.err
    assert staged() == before and bench.status() == BLANK


def test_stopped_while_reading_back(
    bench: Bench, staged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = staged()
    after(monkeypatch, burning, "read_back", 1, lambda: os.kill(os.getpid(), signal.SIGINT))
    assert bench.udffs("burn", bench.disc) == 130
    assert "The disc is complete, but whether it is good is not known." in bench.err
    assert STAYS in bench.err and staged() == before and bench.status() == MORE


def test_losing_the_terminal_spoils_nothing(
    bench: Bench, staged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    after(monkeypatch, HostContent, "read", 5, lambda: os.kill(os.getpid(), signal.SIGHUP))
    assert bench.udffs("burn", bench.disc) == 0
    assert bench.staged() == []


def test_a_file_that_changes_its_size(
    bench: Bench, staged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = staged()
    tree = bench.folder / "tree"
    data = (tree / "sub" / "two").read_bytes()
    when = (tree / "sub" / "two").stat()
    after(monkeypatch, HostContent, "_open", 3, lambda: os.truncate(tree / "sub" / "two", 1000))
    assert bench.udffs("burn", bench.disc) == 11
    assert "was changed while it was being read" in bench.err and STAYS in bench.err
    assert "more can be written behind it" in bench.err
    (tree / "sub" / "two").write_bytes(data)
    os.utime(tree / "sub" / "two", ns=(when.st_atime_ns, when.st_mtime_ns))
    assert staged() == before


@pytest.mark.parametrize(
    ("what", "calls", "code"),
    [
        ("set_up", 1, 11),
        ("write", 1, 11),
        ("write", 4, 11),
        ("finish_recording", 1, 11),
        ("close_session", 1, 11),
        ("read", 8, 11),
        ("disc", 1, 11),
        ("disc", 3, 11),
        ("track", 1, 11),
    ],
)
def test_whatever_fails_in_the_drive(
    bench: Bench,
    staged: Any,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    calls: int,
    code: int,
) -> None:
    before = staged()
    after(monkeypatch, Drive, what, calls, raising(errors.PacketLostError(next_writable=-1)))
    assert bench.udffs("burn", bench.disc) in (code, 7)
    assert staged() == before


def test_a_full_host_disc_at_the_end_loses_nothing(
    bench: Bench, staged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = staged()
    after(monkeypatch, Area, "_write", 1, raising(OSError(28, "No space left on device")))
    assert bench.udffs("burn", bench.disc) == 15
    assert staged() == before and bench.status() == MORE


@pytest.mark.parametrize(("verify", "where"), [("all", "one"), ("metadata", ""), ("all", "")])
def test_a_disc_that_reads_back_wrong(
    bench: Bench, staged: Any, monkeypatch: pytest.MonkeyPatch, verify: str, where: str
) -> None:
    before = staged()
    damage(bench, monkeypatch, where)
    assert bench.udffs("burn", bench.disc, "--verify", verify) == 11
    assert "does not read back as it was written: 1 block from block" in bench.err
    assert ("/one" if where else "none of them a file's") in bench.err
    assert STAYS in bench.err and staged() == before


def test_metadata_does_not_look_at_files(
    bench: Bench, staged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(bench, monkeypatch, "one")
    told = bench.json("burn", bench.disc, "--verify", "metadata")
    assert told["verified"] == "metadata" and told["blocks_read_back"] < 500
    assert bench.staged() == []


def damage(bench: Bench, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """One byte of the disc, between burning and reading back: of a file, or of the
    primary volume descriptor."""
    read_back = burning.read_back

    def damaged(drive: Drive, burnt: burning.Burnt, **options: Any) -> Any:
        blocks = {each.path.rpartition("/")[2]: each.block for each in burnt.image.content}
        block = blocks[where] + 7 if where else 16
        with bench.disc.open("r+b") as file:
            file.seek(block * 2048 + 99)
            byte = file.read(1)[0]
            file.seek(block * 2048 + 99)
            file.write(bytes([byte ^ 1]))
        return read_back(drive, burnt, **options)

    monkeypatch.setattr(burning, "read_back", damaged)


@pytest.mark.parametrize("call", ["HostContent.read", "Drive.close_session", "Area.burnt"])
def test_killed(bench: Bench, staged: Any, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """At the first, the third ... call, in a process of its own."""
    owner, name = call.split(".")
    before = staged()
    if os.fork() == 0:
        kinds: dict[str, Any] = {"HostContent": HostContent, "Drive": Drive, "Area": Area}
        calls = 5 if owner == "HostContent" else 1
        after(monkeypatch, kinds[owner], name, calls, lambda: os._exit(9))
        bench.udffs("burn", bench.disc)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 9
    assert staged() == before
    bench.status()
    # The disc may need its session closed; another one can be burnt at once.
    bench.disc.with_name("disc.img").rename(bench.folder / "broken.img")
    bench.disc.with_name("disc.img.state").unlink()
    bench.blank()
    bench.ok("burn", bench.disc)
    assert bench.staged() == []


def test_two_discs_with_the_same_files_at_once(
    bench: Bench, staged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = staged()
    with bench.area.burning():
        bench.ok("burn", bench.disc)
    assert "Another disc is being burnt with the same files." in bench.err
    assert staged() == before


def test_a_drive_that_is_mounted_or_in_use_is_left_alone(bench: Bench, staged: Any) -> None:
    before = staged()
    drive = discovery.open_drive(str(bench.disc))
    try:
        assert bench.udffs("burn", bench.disc) == 9
    finally:
        drive.close()
    assert staged() == before and bench.status() == BLANK


# -- what is said and asked --------------------------------------------------------


def test_on_a_terminal_it_is_asked(bench: Bench, staged: Any, monkeypatch: Any) -> None:
    before = staged()
    asked: list[str] = []
    answers = iter(["Named", False])

    def answer(text: str, **_: object) -> Any:
        asked.append(text)
        return next(answers)

    monkeypatch.setattr(steps, "_somebody", lambda _out: True)
    monkeypatch.setattr("click.prompt", answer)
    monkeypatch.setattr("click.confirm", answer)
    assert bench.udffs("burn", bench.disc) == 16
    assert asked == ["Volume name", "Burn it?"] and "Nothing was burnt." in bench.err
    assert 'as "Named"' in bench.out
    assert staged() == before and bench.status() == BLANK
    bench.ok("burn", bench.disc, "--yes")
    assert len(asked) == 2


def test_only_copies_are_deleted_after_a_question(bench: Bench, staged: Any) -> None:
    before = staged()
    assert bench.udffs("stage", "clear") == 16
    assert "the only copy of saved; --yes deletes it" in bench.err and staged() == before
    bench.ok("stage", "remove", "copied", "tree")
    assert bench.staged() == ["saved"]
    bench.ok("stage", "clear", "--yes")
    assert bench.staged() == []


def test_the_place_is_told(bench: Bench) -> None:
    told = bench.json("stage", "list")
    assert Path(told["folder"]).is_dir() and told["files"] == 0 and told["limit"] == 1 << 30
    assert str(told["folder"]) in bench.ok("stage", "list")
