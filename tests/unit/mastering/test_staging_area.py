"""The staging area: what is added, changed, taken off, and what is never lost."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from udffs import settings
from udffs.errors import (
    InvalidOperationError,
    NotStagedError,
    StagedTwiceError,
    StagingBusyError,
    StagingDamagedError,
    StashFullError,
)
from udffs.mastering import staging, stash
from udffs.mastering.entries import Staged
from udffs.mastering.listing import Difference
from udffs.mastering.staging import Area


@pytest.fixture
def area(tmp_path: Path) -> Area:
    return Area(tmp_path / "stash")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A tree with a hidden file, a hard link, a symbolic one and an empty directory."""
    root = tmp_path / "home" / "Photos"
    (root / "2026" / "empty").mkdir(parents=True)
    (root / "one.jpg").write_bytes(b"1" * 1000)
    (root / ".hidden").write_bytes(b"h" * 10)
    (root / "2026" / "two.jpg").write_bytes(b"2" * 2000)
    (root / "2026" / "again.jpg").hardlink_to(root / "2026" / "two.jpg")
    (root / "link").symlink_to("one.jpg")
    os.utime(root / "one.jpg", ns=(1, 1_600_000_000_123_456_789))
    return root


def names(area: Area) -> list[str]:
    return [each.name for each in area.staged()]


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# -- adding ---------------------------------------------------------------------


def test_by_reference_nothing_is_copied(area: Area, photos: Path) -> None:
    area.add(photos)
    area.add(photos / "one.jpg", to="/best/of/")
    assert area.staged() == [
        Staged("Photos", "reference", str(photos), 5, 5010),
        Staged("best/of/one.jpg", "reference", str(photos / "one.jpg"), 1, 1000),
    ]
    assert area.waiting() == (6, 6010)
    assert contents(area.folder) == {}
    assert [tuple(each) for each in area.collect().placed] == [
        ("Photos", photos),
        ("best/of/one.jpg", photos / "one.jpg"),
    ]


def test_a_copy_is_the_same_tree(area: Area, photos: Path) -> None:
    (photos / "2026").chmod(0o555)
    area.add(photos, to="Old", copy=True)
    copied = area.folder / "Old" / "Photos"
    assert contents(copied) == contents(photos)
    assert (copied / "link").readlink() == Path("one.jpg")
    assert (copied / "2026" / "empty").is_dir()
    assert stat.S_IMODE((copied / "2026").stat().st_mode) == 0o555
    assert (copied / "one.jpg").stat().st_mtime_ns == 1_600_000_000_123_456_789
    assert (copied / "2026" / "two.jpg").samefile(copied / "2026" / "again.jpg")
    [line] = area.staged()
    assert (line.name, line.how, line.files, line.since) == (
        "Old/Photos",
        "copy",
        5,
        Difference(),
    )
    assert [each.to for each in area.collect().placed] == ["Old"]
    assert list((area.place / "copying").iterdir()) == []
    area.remove(area.removal())
    assert list(area.folder.iterdir()) == [] and area.empty()


def test_what_a_program_saves_is_staged(area: Area) -> None:
    area.make()
    (area.folder / "backup").mkdir()
    (area.folder / "backup" / "full.tar").write_bytes(bytes(5000))
    (area.folder / ".rc").write_bytes(b"x")
    assert area.staged() == [
        Staged(".rc", "saved", None, 1, 1),
        Staged("backup", "saved", None, 1, 5000),
    ]
    assert area.waiting() == (2, 5001)


def test_adding_again_renews(area: Area, photos: Path) -> None:
    area.add(photos)
    (photos / "new").write_bytes(b"n")
    (photos / ".hidden").unlink()
    (photos / "one.jpg").write_bytes(b"changed")
    [line] = area.staged()
    assert line.since == Difference((".hidden",), ("one.jpg",), ("new",))
    area.add(photos)
    [line] = area.staged()
    assert line.since == Difference() and line.files == 5


def test_copying_again_replaces_the_copy(area: Area, photos: Path) -> None:
    area.add(photos, copy=True)
    (photos / "new").write_bytes(b"n")
    (photos / ".hidden").unlink()
    (photos / "one.jpg").write_bytes(b"changed")
    area.add(photos, copy=True)
    assert contents(area.folder / "Photos") == contents(photos)
    [line] = area.staged()
    assert line.since == Difference() and line.files == 5


def test_a_tree_that_is_gone_is_told(area: Area, photos: Path) -> None:
    area.add(photos / "one.jpg")
    area.add(photos / "2026")
    photos.rename(photos.with_name("moved"))
    one, year = area.staged()
    assert one.since.missing == ("",)
    assert year.since.missing == ("again.jpg", "empty/", "two.jpg")


@pytest.mark.parametrize("copy", [False, True])
def test_two_things_in_one_place_are_refused(area: Area, photos: Path, copy: bool) -> None:
    area.add(photos, copy=copy)
    other = photos.parent / "other"
    (other / "Photos").mkdir(parents=True)
    (other / "Photos" / "one.jpg").write_bytes(b"another")
    with pytest.raises(StagedTwiceError, match=r"Photos/one\.jpg already, from .*Photos;"):
        area.add(other / "Photos", copy=True)
    with pytest.raises(StagedTwiceError):
        area.add(other / "Photos")
    (other / "2026").write_bytes(b"a file where there is a directory")
    with pytest.raises(StagedTwiceError):
        area.add(other / "2026", to="Photos")
    (other / "below").write_bytes(b"below a file")
    with pytest.raises(StagedTwiceError):
        area.add(other / "below", to="Photos/one.jpg")
    # Directories share their names.
    (other / "Photos" / "one.jpg").rename(other / "Photos" / "three.jpg")
    area.add(other / "Photos", copy=copy)
    assert names(area) == ["Photos", "Photos"]


def test_what_a_program_saved_is_not_overwritten(area: Area, photos: Path) -> None:
    area.make()
    (area.folder / "one.jpg").write_bytes(b"saved")
    for copy in (False, True):
        with pytest.raises(StagedTwiceError, match=r"as one\.jpg already;"):
            area.add(photos / "one.jpg", copy=copy)
    assert contents(area.folder) == {"one.jpg": b"saved"}


@pytest.mark.parametrize("to", ["..", "a/../../b"])
def test_nothing_leads_out_of_the_disc(area: Area, photos: Path, to: str) -> None:
    with pytest.raises(InvalidOperationError):
        area.add(photos, to=to)


def test_places_that_cannot_be_staged(area: Area, photos: Path) -> None:
    with pytest.raises(FileNotFoundError):
        area.add(photos / "nothing")
    area.make()
    for path in (area.place.parent, area.place, area.folder):
        with pytest.raises(InvalidOperationError, match="within each other"):
            area.add(path)
    with pytest.raises(InvalidOperationError, match="has no name"):
        area.add(Path("/"), to="x")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_what_cannot_be_read_is_refused_at_once(area: Area, photos: Path) -> None:
    (photos / "one.jpg").chmod(0)
    with pytest.raises(PermissionError):
        area.add(photos)
    assert area.empty()


def test_names_of_any_bytes(area: Area, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9 \n.txt")
    path.write_bytes(b"x")
    area.add(path)
    area.add(path, to="copy", copy=True)
    assert names(area) == [path.name, f"copy/{path.name}"]
    area.remove(area.removal([f"copy/{path.name}"]))
    assert names(area) == [path.name] and area.staged()[0].since == Difference()


# -- room -----------------------------------------------------------------------


def test_the_limit_is_checked_before_anything_is_copied(tmp_path: Path, photos: Path) -> None:
    area = Area(tmp_path / "stash", 6000)
    area.make()
    (area.folder / "saved").write_bytes(bytes(1000))
    with pytest.raises(StashFullError, match="need 6 kB, and 5 kB of 6 kB are left"):
        area.add(photos, copy=True)
    assert names(area) == ["saved"] and list(area.place.glob("copying/*")) == []
    (photos / "2026" / "again.jpg").unlink()
    area.add(photos, copy=True)
    # The same again takes the place of what is there.
    area.add(photos, copy=True)
    area.add(photos, to="more")  # a reference needs none


def test_room_on_the_host_is_checked(
    area: Area, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        stash.shutil, "disk_usage", lambda _path: type("Usage", (), {"free": stash.MARGIN + 4000})
    )
    with pytest.raises(StashFullError, match=r"the host has 16\.8 MB left"):
        area.add(photos, copy=True)
    assert area.empty()


# -- taking off -----------------------------------------------------------------


def test_taking_off_a_reference_touches_nothing(area: Area, photos: Path) -> None:
    before = contents(photos)
    area.add(photos)
    area.add(photos / "one.jpg")
    area.remove(area.removal([str(photos)]))
    assert names(area) == ["one.jpg"]
    area.remove(area.removal(["one.jpg"]))
    assert area.empty() and contents(photos) == before


def test_parts_of_a_copy_can_be_taken_off_but_not_of_a_reference(area: Area, photos: Path) -> None:
    area.add(photos, copy=True)
    area.remove(area.removal(["Photos/2026"]))
    assert set(contents(area.folder)) == {"Photos/one.jpg", "Photos/.hidden"}
    [line] = area.staged()
    assert line.files == 3 and line.since == Difference()
    area.remove(area.removal(["Photos"]))
    area.add(photos)
    with pytest.raises(InvalidOperationError, match="staged as a whole"):
        area.removal(["Photos/2026"])
    with pytest.raises(NotStagedError):
        area.removal(["Photos", "nothing"])


def test_it_is_known_what_would_be_lost(area: Area, photos: Path) -> None:
    area.add(photos, copy=True)
    (area.folder / "saved").write_bytes(b"the only copy")
    assert area.removal(["Photos"]).only_here == ()
    (photos / "one.jpg").unlink()
    (photos / ".hidden").write_bytes(b"another")
    assert area.removal().only_here == ("Photos/.hidden", "Photos/one.jpg", "saved")


# -- the list -------------------------------------------------------------------


def test_a_damaged_list_is_told_and_left_alone(area: Area, photos: Path) -> None:
    area.add(photos)
    path = area.place / "staged.json"
    for text in ("", "[]", '{"version": 2}', '{"version": 1, "entries": [{"to": 1}]}'):
        path.write_text(text)
        with pytest.raises(StagingDamagedError):
            area.add(photos / "one.jpg")
        assert path.read_text() == text


def test_the_list_is_replaced_as_a_whole(
    area: Area, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    area.add(photos)
    before = (area.place / "staged.json").read_bytes()

    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", no_room)
    with pytest.raises(OSError, match="No space"):
        area.add(photos / "one.jpg")
    assert (area.place / "staged.json").read_bytes() == before


def test_many_at_once(area: Area, tmp_path: Path) -> None:
    paths = [tmp_path / f"file{number}" for number in range(16)]
    for path in paths:
        path.write_bytes(b"x" * 100)
    threads = [
        threading.Thread(target=area.add, args=(path,), kwargs={"copy": number % 2 == 1})
        for number, path in enumerate(paths)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names(area)) == sorted(path.name for path in paths)
    assert len(contents(area.folder)) == 8


# -- burning --------------------------------------------------------------------


def test_what_was_burnt_is_taken_off_and_nothing_else(area: Area, photos: Path) -> None:
    area.add(photos)
    area.add(photos, to="copy", copy=True)
    (area.folder / "saved").write_bytes(b"1")
    (area.folder / "edited").write_bytes(b"1")
    with area.burning():
        collected = area.collect()
        assert (collected.files, collected.size) == (12, 2 * 5010 + 2 + 2000 * 2 - 4000)
        (area.folder / "edited").write_bytes(b"22")
        (area.folder / "later").write_bytes(b"3")
        area.add(photos / "one.jpg")
    assert area.burnt(collected) == ["edited"]
    assert contents(area.folder) == {"edited": b"22", "later": b"3"}
    assert names(area) == ["one.jpg", "edited", "later"]
    assert len(contents(photos)) == 4


def test_what_changed_while_it_was_burnt_stays_staged(area: Area, photos: Path) -> None:
    area.add(photos / "one.jpg")
    area.add(photos / "2026")
    (photos / "one.jpg").write_bytes(b"before it was collected: that is burnt")
    collected = area.collect()
    (photos / "2026" / "two.jpg").write_bytes(b"after")
    assert area.burnt(collected) == ["2026"]
    assert names(area) == ["2026"]


def test_nothing_is_deleted_while_it_is_burnt(area: Area, photos: Path) -> None:
    area.add(photos)
    area.add(photos / "one.jpg", copy=True)
    with area.burning(), Area(area.place).burning():
        collected = area.collect()
        with pytest.raises(StagingBusyError):
            area.burnt(collected)
        with pytest.raises(StagingBusyError):
            area.remove(area.removal())
        with pytest.raises(StagingBusyError):
            area.add(photos / "one.jpg", copy=True)
        area.add(photos / "2026", copy=True)
        area.remove(area.removal([str(photos)]))
    assert names(area) == ["one.jpg", "2026"]


# -- areas ----------------------------------------------------------------------


def test_each_drive_may_have_its_own(tmp_path: Path, photos: Path) -> None:
    text = f'stash = "{tmp_path}/s"\nstash_size = 5\n[drive."{tmp_path}/b.img"]\nstash = "own"\n'
    chosen = settings.parse(text, tmp_path / "settings.toml")
    drive = str(tmp_path / "a.img")
    assert staging.area(chosen).folder == tmp_path / "s" / "files"
    own = staging.area(chosen, drive)
    assert own.place.parent == tmp_path / "s" / "drives" and own.place.name.startswith("a.img-")
    assert staging.area(chosen, str(tmp_path / "b.img")).place.is_relative_to(tmp_path / "own")
    staging.area(chosen).add(photos)
    assert staging.waiting(drive, chosen) == (5, 5010)
    own.add(photos / "one.jpg")
    assert staging.waiting(drive, chosen) == (1, 1000)
    assert [each.drive for each in staging.areas_of_drives(chosen)] == [drive]
    assert staging.waiting(str(tmp_path / "b.img"), chosen) == (5, 5010)


def test_looking_makes_nothing(tmp_path: Path) -> None:
    chosen = settings.parse(f'stash = "{tmp_path}/s"', tmp_path / "settings.toml")
    assert staging.waiting("x.img", chosen) == (0, 0)
    assert staging.area(chosen).staged() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("copy", [False, True])
def test_trees_that_are_deeper_than_python_recurses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy: bool
) -> None:
    place = tmp_path / "deep"
    place.mkdir()
    monkeypatch.chdir(place)
    for _ in range(1100):
        Path("d").mkdir()
        monkeypatch.chdir("d")
    Path("file").write_bytes(b"deep")
    monkeypatch.chdir(tmp_path)
    try:
        staged = Area(tmp_path / "area").add(place, copy=copy)
        assert list(staged.files) == ["d/" * 1100 + "file"]
    finally:  # neither can the one recurse that takes away what tests leave
        subprocess.run(["rm", "-rf", place, tmp_path / "area"], check=True)
