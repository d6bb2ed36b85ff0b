"""Source trees: what is taken from the host, what is named, and what stops an image."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

import pytest
from support.iso_strangers import pycdlib_view
from support.trees import LABEL, NOW, file, folder, link, written

from media.errors import UnreadableBlockError
from media.store import ImageStore
from udffs.errors import (
    EntryExistsError,
    NoSuchEntryError,
    SourceChangedError,
    TooManyDirectoriesError,
    UnreadableFilesError,
    UnreadableSourcesError,
)
from udffs.mastering.image import make_image
from udffs.mastering.notes import Notes
from udffs.mastering.sources import HostContent, Source, from_paths
from udffs.mastering.streaming import CHUNK
from udffs.volume import open_volume

BLOCK = 2048


def image_of(*children: Source) -> bytes:
    return b"".join(make_image(folder("", *children), label=LABEL, now=NOW).chunks())


# -- from the host -----------------------------------------------------------------


def test_hidden_files_links_and_modes_come_along(tmp_path: Path) -> None:
    (tmp_path / ".dir").mkdir()
    (tmp_path / ".dir" / ".file").write_bytes(b"1")
    (tmp_path / "again").hardlink_to(tmp_path / ".dir" / ".file")
    (tmp_path / "link").symlink_to("./.dir/")
    root = from_paths([tmp_path / ".dir", tmp_path / "again", tmp_path / "link"])
    seen = dict(root.walk())
    assert list(seen) == ["", ".dir", ".dir/.file", "again", "link"]
    assert seen["again"].serial == seen[".dir/.file"].serial
    assert [seen[path].links for path in ("again", ".dir/.file", "link")] == [2, 2, 1]
    assert seen["link"].target == "./.dir/"


def test_links_count_the_names_in_the_image(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"1")
    (tmp_path / "other").hardlink_to(tmp_path / "one")
    root = from_paths([tmp_path / "one"])
    assert root.children[0].links == 1


def test_sockets_and_names_that_are_no_text_are_told_of(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        (tmp_path / os.fsdecode(b"caf\xe9")).write_bytes(b"")
        (tmp_path / "link").symlink_to(os.fsdecode(b"caf\xe9"))
        notes = Notes()
        root = from_paths([tmp_path], notes=notes)
    names = [child.name for child in root.children[0].children]
    assert names == ["caf%E9", "link"]
    assert root.children[0].children[1].target == "caf%E9"
    said = "\n".join(notes.sentences())
    assert "socket" in said
    assert "caf%E9" in said
    image_of(*root.children)


def test_what_is_missing_or_there_twice(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "same").write_bytes(b"1")
    (tmp_path / "same").write_bytes(b"2")
    with pytest.raises(NoSuchEntryError):
        from_paths([tmp_path / "not there"])
    with pytest.raises(EntryExistsError):
        from_paths([tmp_path / "same", tmp_path / "a" / "same"])


def test_all_that_is_unreadable_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two", "three"):
        (tmp_path / name).write_bytes(b"x")
    refuse(monkeypatch, {"one", "three"})
    with pytest.raises(UnreadableSourcesError) as error:
        from_paths([tmp_path])
    assert "/one (" in str(error.value)
    assert "/three (" in str(error.value)
    notes = Notes()
    root = from_paths([tmp_path], skip_unreadable=True, notes=notes)
    assert [child.name for child in root.children[0].children] == ["two"]
    assert "/one (" in notes.sentences()[0]


def refuse(monkeypatch: pytest.MonkeyPatch, names: set[str]) -> None:
    real = os.open

    def refusing(path: str, *words: int, **options: int) -> int:
        if Path(path).name in names:
            raise PermissionError(13, "Permission denied")
        return real(path, *words, **options)

    monkeypatch.setattr(os, "open", refusing)


# -- while it is read --------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 4999, 5001, 9000])
def test_a_file_of_another_size_stops_the_image(tmp_path: Path, size: int) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"x" * 5000)
    image = make_image(from_paths([path]), label=LABEL, now=NOW)
    path.write_bytes(b"y" * size)
    with pytest.raises(SourceChangedError, match=f"5000 bytes and has {size} now"):
        list(image.chunks())


def test_a_file_that_grows_between_two_reads_stops_the_image(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"x" * 5000)
    content = HostContent(path, 5000)
    content.read(0, 2000)
    with path.open("ab") as more:
        more.write(b"y")
    with pytest.raises(SourceChangedError):
        content.read(2000, 3000)
    content.close()


def test_a_file_that_became_something_else_stops_the_image(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    image = make_image(from_paths([path]), label=LABEL, now=NOW)
    path.unlink()
    with pytest.raises(SourceChangedError, match="gone"):
        list(image.chunks())
    os.mkfifo(path)
    with pytest.raises(SourceChangedError, match="another kind"):
        list(image.chunks())


def test_content_is_read_once_in_order_and_not_before(tmp_path: Path) -> None:
    files = [file(f"{number}", b"%d" % number * CHUNK) for number in range(3)]
    image = make_image(folder("", *files), label=LABEL, now=NOW)
    assert all(one.content.reads == [] for one in files)  # type: ignore[attr-defined]
    chunks = image.chunks()
    while not files[0].content.reads:  # type: ignore[attr-defined]
        next(chunks)
    assert files[2].content.reads == []  # type: ignore[attr-defined]
    list(chunks)
    for one in files:
        reads = one.content.reads  # type: ignore[attr-defined]
        assert reads == [(at, CHUNK) for at in range(0, one.size, CHUNK)]
        assert not one.content.open  # type: ignore[attr-defined]


class Spoilt:
    """Content that a disc does not give."""

    def read(self, offset: int, count: int) -> bytes:
        raise UnreadableBlockError(block=77)

    def close(self) -> None:
        pass


def test_all_unreadable_content_can_be_asked_for() -> None:
    files = [file("good", b"1"), file("bad", b"22"), file("worse", b"333")]
    files[1].content = files[2].content = Spoilt()
    image = make_image(folder("", *files), label=LABEL, now=NOW)
    with pytest.raises(UnreadableFilesError, match=r"bad .*Block 77"):
        list(image.chunks())
    assert [path for path, _, _ in image.unreadable()] == ["bad", "worse"]


# -- what an image can hold ----------------------------------------------------------


def test_a_file_over_4_gib_is_one_file(tmp_path: Path) -> None:
    size = 2**32 + 5 * BLOCK + 7
    large = Source("large", stat.S_IFREG | 0o644, size=size, serial=1, content=Ends(size))
    twin = Source("twin", stat.S_IFREG | 0o644, size=size, serial=1, content=large.content)
    image = make_image(folder("", large, twin, file("small", b"s")), label=LABEL, now=NOW)
    path = tmp_path / "large.iso"
    with path.open("wb") as target:
        for chunk in image.chunks():
            if chunk.count(0) == len(chunk):
                target.seek(len(chunk), os.SEEK_CUR)
            else:
                target.write(chunk)
        target.truncate(image.blocks * BLOCK)
    volume = open_volume(ImageStore(path))
    entries = {e.name: volume.inode(e.key) for e in volume.entries(volume.inode(volume.root_key))}
    assert entries["large"] == entries["twin"]
    assert entries["large"].size == size
    assert entries["large"].links == 2
    assert volume.read(entries["large"], size - 3, 9) == b"end"
    assert volume.read(entries["large"], 0, 3) == b"new"
    from udffs.mastering.previous import previous_files

    root = previous_files(ImageStore(path))
    assert root is not None
    for name in ("large", "twin"):
        source = root.find(name)
        assert source is not None
        assert source.size == size
        assert len(source.sections) == 2
        assert source.read(size - 3, 3) == b"end"


class Ends:
    """Zeros between a beginning and an end."""

    def __init__(self, size: int) -> None:
        self.size = size

    def read(self, offset: int, count: int) -> bytes:
        if offset == 0:
            return b"new".ljust(count, b"\0")
        return (b"end" if offset + count == self.size else b"").rjust(count, b"\0")

    def close(self) -> None:
        pass


def test_more_directories_than_a_path_table_can_number() -> None:
    many = folder("", *(folder(f"{number}") for number in range(65_535)))
    with pytest.raises(TooManyDirectoriesError, match="65536"):
        make_image(many, label=LABEL, now=NOW)


def test_an_empty_image(tmp_path: Path) -> None:
    image = written(make_image(folder(""), label="", now=NOW), tmp_path / "empty.iso")
    assert pycdlib_view(image, "rr") == {}
    volume = open_volume(ImageStore(image))
    assert volume.entries(volume.inode(volume.root_key)) == []
    assert volume.label == ""


@pytest.mark.parametrize("label", ["x" * 200, "語" * 100, "🎶" * 20, "a/b;c", "ß"])
def test_labels_of_all_kinds(label: str, tmp_path: Path) -> None:
    image = written(make_image(folder(""), label=label, now=NOW), tmp_path / "label.iso")
    found = open_volume(ImageStore(image)).label
    assert label.startswith(found)
    assert len(found) >= min(len(label), 20)


def test_a_link_that_udf_cannot_hold_is_in_rock_ridge(tmp_path: Path) -> None:
    root = folder("", link("bad", "s" * 300), link("good", "a//b/"), link("root", "/"))
    made = make_image(root, label=LABEL, now=NOW)
    image = written(made, tmp_path / "links.iso")
    assert any("UDF view" in note and "bad" in note for note in made.notes)
    view = pycdlib_view(image, "rr")
    assert view["bad"].target == "s" * 300
    assert view["good"].target == "a/b/."
    volume = open_volume(ImageStore(image))
    entries = {e.name: volume.inode(e.key) for e in volume.entries(volume.inode(volume.root_key))}
    assert {name: volume.readlink(inode) for name, inode in entries.items()} == {
        "good": "a/b/.",
        "root": "/",
    }
