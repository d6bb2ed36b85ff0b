"""What a copy of files of the host needs: counted from the files alone, and held
against what the disc says once they are on it."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from udffs.cli.needs import Measuring
from udffs.commit.bridge.cost import DIRECTORY, SECTION, name_cost
from udffs.commit.fitting import Needs
from udffs.errors import NoSuchEntryError

EMBEDDED = 1872  # bytes that fit into a File Entry


def measured(*paths: Path) -> Needs:
    return Measuring().measure(paths)


def test_what_is_small_lies_in_its_descriptor(tmp_path: Path) -> None:
    for name, size in (("empty", 0), ("small", 1), ("full", EMBEDDED), ("over", EMBEDDED + 1)):
        (tmp_path / name).write_bytes(bytes([1]) * size)
    found = measured(*(tmp_path / name for name in ("empty", "small", "full")))
    assert (found.files, found.data, found.descriptors, found.directories) == (3, 0, 3, 1)
    assert measured(tmp_path / "over").data == 1
    # An ISO 9660 view cannot see into descriptors: there it is a block more.
    names = [name_cost(name) for name in (b"empty", b"small", b"full")]
    assert found.bridge == sum(names) + 2 * 2048


def test_names_of_one_file_count_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 10_000)
    alone = measured(tmp_path)
    os.link(tmp_path / "one", tmp_path / "two")
    found = measured(tmp_path)
    assert (found.files, found.data, found.descriptors) == (1, 5, alone.descriptors)
    assert found.bridge == alone.bridge + name_cost(b"two")


def test_holes_take_nothing_on_the_disc(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.write(b"x" * 4096)
        file.seek(10_000_000)
        file.write(b"y" * 4096)
    if (tmp_path / "sparse").stat().st_blocks * 512 >= 10_000_000:
        pytest.skip("the file system here knows no holes")
    found = measured(tmp_path / "sparse")
    assert 4 <= found.data <= 8
    # Two pieces and the hole between them are three sections, and zeros to be written.
    assert found.bridge > name_cost(b"sparse") + 2 * SECTION


def test_a_hole_at_the_end_takes_nothing_either(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10_000_000)
    if (tmp_path / "sparse").stat().st_blocks:
        pytest.skip("the file system here knows no holes")
    assert measured(tmp_path / "sparse").data == 0


def test_directories_count_with_all_that_is_in_them(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    for number in range(100):
        (inner / f"file {number:03}").touch()
    found = measured(tmp_path / "a")
    assert (found.files, found.folders, found.descriptors) == (100, 2, 102)
    # 100 names of 8 letters: 48 bytes each; and the block of the directory above.
    assert found.directories == -(-(40 + 100 * 48) // 2048) + 1
    assert found.deepest == 3
    assert found.bridge == (
        2 * DIRECTORY + name_cost(b"a") + name_cost(b"b") + 100 * name_cost(b"file 000")
    )


def test_links_and_special_files(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/somewhere/else")
    os.mkfifo(tmp_path / "pipe")
    found = measured(tmp_path / "link", tmp_path / "pipe")
    assert (found.files, found.data, found.descriptors) == (2, 0, 2)


def test_what_cannot_be_looked_at_is_named(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("x")
    (tmp_path / os.fsdecode(b"\xff\xfe")).mkdir()  # no UTF-8
    walk = Measuring()
    assert walk.measure([tmp_path]).files == 1
    (note,) = walk.notes
    assert note.startswith("Not counted: ") and "no disc can hold this name" in note


def test_what_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NoSuchEntryError, match="nothing"):
        measured(tmp_path / "nothing")


def test_a_walk_tells_how_far_it_is(tmp_path: Path) -> None:
    for number in range(600):
        (tmp_path / str(number)).touch()
    told: list[int] = []
    Measuring(told.append).measure([tmp_path])
    assert told == [256, 512]


@pytest.mark.parametrize("seed", range(3))
def test_the_same_tree_is_counted_however_it_is_given(tmp_path: Path, seed: int) -> None:
    print(f"seed {seed}")
    chance = random.Random(seed)
    for number in range(40):
        folder = tmp_path / f"{chance.randrange(4)}" / f"{chance.randrange(3)}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}").write_bytes(chance.randbytes(chance.randrange(6000)))
    whole = measured(tmp_path)
    parts = measured(*tmp_path.iterdir())
    assert whole.files == parts.files == 40
    assert whole.folders == parts.folders + 1  # the directory itself
    assert (whole.data, whole.bridge) == (
        parts.data,
        parts.bridge + DIRECTORY + name_cost(tmp_path.name.encode()),
    )
