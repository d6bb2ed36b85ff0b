"""A mastered image is the same tree in all its views: ours of UDF, pycdlib's of the others."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from support.iso_strangers import pycdlib_view
from support.iso_views import (
    View,
    compare,
    compare_mapped,
    expected,
    joliet_holds,
    without_posix,
)
from support.trees import LABEL, NOW, awkward, mastered

from media.store import ImageStore
from udffs.mastering.image import make_image
from udffs.mastering.sources import SourceTree
from udffs.volume import open_volume

MICROSECOND = 1000


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return awkward(tmp_path_factory.mktemp("host") / "tree")


@pytest.fixture(scope="module")
def image(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mastered(tree, tmp_path_factory.mktemp("image") / "tree.iso")


@pytest.fixture(scope="module")
def wanted(tree: Path) -> View:
    return expected(tree)


def test_udf_has_everything(image: Path, wanted: View) -> None:
    volume = open_volume(ImageStore(image))
    assert volume.label == LABEL
    assert volume.notes == []
    compare(expected(volume), wanted, "our reader", tick=MICROSECOND)


def test_rock_ridge_has_everything(image: Path, wanted: View) -> None:
    compare(pycdlib_view(image, "rr"), wanted, "pycdlib, by Rock Ridge")


def test_joliet_has_all_files_and_directories(image: Path, wanted: View) -> None:
    plain = without_posix(wanted, links_as_files=False)
    plain = {path: one for path, one in plain.items() if one.kind in ("file", "directory")}
    compare_mapped(pycdlib_view(image, "joliet"), plain, "pycdlib, by Joliet", joliet_holds(plain))


def test_udf_directories_lead_up_to_their_parents(image: Path) -> None:
    volume = open_volume(ImageStore(image))
    waiting = [(volume.root_key, volume.root_key)]
    seen = 0
    while waiting:
        key, above = waiting.pop()
        inode = volume.inode(key)
        assert volume.parent_key(inode) == above
        assert (inode.unique_id == 0) == (key == volume.root_key)
        seen += 1
        waiting += [(e.key, key) for e in volume.entries(inode) if e.is_directory]
    assert seen == 48


def test_udf_counts_files_once_and_all_directories(image: Path, wanted: View) -> None:
    volume = open_volume(ImageStore(image))
    files = {one.same for one in wanted.values() if one.kind != "directory"}
    assert volume.files == len(files)
    assert volume.directories == 1 + sum(one.kind == "directory" for one in wanted.values())


def test_content_lies_on_the_image_once(tree: Path) -> None:
    made = SourceTree(now=NOW)
    made.add(tree, name="")
    image = make_image(made.finish(), label=LABEL, now=NOW)
    files = [path.lstat() for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    sizes = {found.st_ino: found.st_size for found in files}
    blocks = sum(-(-size // 2048) for size in sizes.values())
    assert sum(-(-extent.source.size // 2048) for extent in image.content) == blocks


def test_the_same_tree_at_the_same_time_is_the_same_image(tree: Path) -> None:
    images = []
    for zone in ("UTC0", "PST8PDT"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TZ", zone)
            time.tzset()
            made = SourceTree(now=NOW)
            made.add(tree, name="")
            image = make_image(made.finish(), label=LABEL, now=NOW)
            images.append(b"".join(image.chunks()))
    time.tzset()
    assert images[0] == images[1]
