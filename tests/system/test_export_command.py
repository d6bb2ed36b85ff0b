"""`udffs export`: what it makes, what it refuses, and what it leaves behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.discs import BLOCK, Author, make_disc
from support.iso_views import compare, expected
from support.machine import why_no_fuse
from support.mounting import mounted_disc

from media import virtual
from media.errors import UnreadableBlockError
from media.store import ImageStore
from udffs.cli.app import run
from udffs.errors import NoHostSpaceError
from udffs.volume import history, open_volume
from udffs.volume.volume import Volume

Udffs = Callable[..., int]


def first(author: Author) -> None:
    author.directory("letters")
    author.file("letters/one", b"first version")
    author.file("goes", b"x" * 5000)
    author.link("letters/one", "again")
    author.commit()
    author.delete("goes")
    author.delete("again")
    author.delete("letters/one")
    author.file("letters/one", b"second version, longer")
    author.link("letters/one", "again")
    author.file("large", b"large" * 20_000)


@pytest.fixture(scope="module")
def disc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Open, with two states."""
    folder = tmp_path_factory.mktemp("export")
    return make_disc(folder, "two", [first], revision=0x201, closed=False).image


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "settings.toml").write_text('spool = "spool"\n')
    monkeypatch.setenv("UDFFS_SETTINGS", str(tmp_path / "settings.toml"))
    monkeypatch.setenv("UDFFS_RUNTIME_DIR", str(tmp_path / "run"))


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {"settings.toml", "run", "spool"}


def test_the_newest_state_and_an_old_one(
    disc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = open_volume(ImageStore(disc))
    new, old = tmp_path / "new.iso", tmp_path / "old.iso"
    assert run(["export", str(disc), str(new), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["image"] == str(new)
    assert (told["label"], told["files"], told["directories"]) == (volume.label, 2, 2)
    assert told["blocks"] * BLOCK == new.stat().st_size
    assert told["unreadable"] == []
    compare(expected(open_volume(ImageStore(new))), expected(volume), "the image", tick=1000)
    states = [state for state in history(volume) if state.files == 2]
    before = open_volume(ImageStore(disc), vat_location=states[-1].location)
    assert "goes" in expected(before)
    assert run(["export", str(disc), str(old), "--at", str(states[-1].location)]) == 0
    compare(expected(open_volume(ImageStore(old))), expected(before), "the old one", tick=1000)
    assert left(tmp_path) == {"new.iso", "old.iso"}


def test_it_replaces_nothing_unless_it_is_told_to(disc: Path, tmp_path: Path) -> None:
    file = tmp_path / "there.iso"
    file.write_bytes(b"there already")
    assert run(["export", str(disc), str(file)]) == 6
    assert file.read_bytes() == b"there already"
    assert run(["export", str(disc), str(file), "--force", "--label", "Other"]) == 0
    assert open_volume(ImageStore(file)).label == "Other"
    assert left(tmp_path) == {"there.iso"}


@pytest.mark.parametrize("suffix", ["", ".state"])
def test_it_never_replaces_the_disc_itself(
    disc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    before = disc.read_bytes()
    linked = tmp_path / "elsewhere.iso"
    linked.symlink_to(f"{disc}{suffix}")
    for file in (f"{disc}{suffix}", str(linked)):
        assert run(["export", str(disc), file, "--force"]) == 2
    assert disc.read_bytes() == before


def test_discs_that_hold_nothing(tmp_path: Path) -> None:
    blank, other = tmp_path / "blank.img", tmp_path / "other.img"
    virtual.create(blank, "cd-r-80")
    other.write_bytes(bytes(600 * BLOCK))
    assert run(["export", str(blank), str(tmp_path / "a.iso")]) == 5
    assert run(["export", str(other), str(tmp_path / "a.iso")]) == 4
    assert run(["export", str(tmp_path / "none.img"), str(tmp_path / "a.iso")]) == 3
    assert run(["export", str(other), str(tmp_path / "no" / "a.iso")]) == 4
    assert not [name for name in left(tmp_path) if "iso" in name]


def test_without_room_on_the_host_nothing_is_begun(
    disc: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = type("Usage", (), {"free": 100_000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    assert run(["export", str(disc), str(tmp_path / "a.iso"), "--json"]) == 15
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == NoHostSpaceError.__name__
    assert left(tmp_path) == set()


@pytest.fixture
def spoilt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The content of two files cannot be read."""
    real: Any = Volume.read

    def read(self: Volume, inode: Any, offset: int, length: int) -> bytes:
        if inode.size in (len(b"second version, longer"), 100_000) and inode.mode & 0o100000:
            raise UnreadableBlockError(block=4321)
        return bytes(real(self, inode, offset, length))

    monkeypatch.setattr(Volume, "read", read)


@pytest.mark.usefixtures("spoilt")
def test_what_cannot_be_read_is_named_and_there_is_no_image(
    disc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["export", str(disc), str(tmp_path / "a.iso")]) == 11
    said = capsys.readouterr().err
    assert "large (Block 4321" in said
    assert "again (Block 4321" in said
    assert "letters/one (Block 4321" in said
    assert left(tmp_path) == set()


@pytest.mark.usefixtures("spoilt")
def test_the_rest_is_written_if_it_is_wanted(
    disc: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.iso"
    assert run(["export", str(disc), str(file), "--skip-unreadable", "--json"]) == 11
    told = json.loads(capsys.readouterr().out)
    assert len(told["unreadable"]) == 3
    assert told["files"] == 0
    assert list(expected(open_volume(ImageStore(file)))) == ["letters"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_cancel_leaves_nothing(disc: Path, tmp_path: Path, number: signal.Signals) -> None:
    slow = (
        "import signal, sys, time\n"
        # A shell in the background has us ignore it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from udffs.mastering import streaming\n"
        "real = streaming.StreamedImage.chunks\n"
        "def chunks(self):\n"
        "    for chunk in real(self):\n"
        "        yield chunk\n"
        "        print('begun', flush=True)\n"
        "        time.sleep(20)\n"
        "streaming.StreamedImage.chunks = chunks\n"
        "from udffs.cli.app import run\n"
        "sys.exit(run(sys.argv[1:]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow, "export", str(disc), str(tmp_path / "a.iso")],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    assert left(tmp_path) == {"a.iso.part"}
    process.send_signal(number)
    assert process.wait(timeout=15) == 130
    assert left(tmp_path) == set()


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Any]:
    if (why := why_no_fuse()) is not None:
        pytest.skip(why)
    (tmp_path / "mount").mkdir()
    with mounted_disc(tmp_path / "mount") as disc:
        yield disc


@pytest.mark.fuse
def test_a_mounted_disc_with_what_is_not_yet_on_it(mounted: Any, tmp_path: Path) -> None:
    top = mounted.where
    (top / "folder").mkdir()
    (top / "folder" / "unsaved").write_bytes(b"only in the spool yet")
    (top / "twin").hardlink_to(top / "folder" / "unsaved")
    (top / "link").symlink_to("folder")
    file = tmp_path / "mounted.iso"
    told = mounted.json("export", mounted.image, file)
    assert told["files"] == 2
    wanted = expected(top)
    volume = open_volume(ImageStore(file))
    compare(expected(volume), wanted, "the image", tick=1000)
    assert volume.label == told["label"] != ""
    assert mounted.udffs("export", top, tmp_path / "b.iso").returncode == 0
    again = mounted.udffs("export", mounted.image, tmp_path / "c.iso", "--at", "5", check=False)
    assert again.returncode == 2
    assert "unmount" in again.stderr
    inside = mounted.udffs("export", mounted.image, top / "d.iso", check=False)
    assert inside.returncode == 2
    assert sorted(path.name for path in top.iterdir()) == ["folder", "link", "twin"]
