"""What a later session takes over from a disc, whoever wrote it and whatever its bytes."""

from __future__ import annotations

import io
import random
import struct
from pathlib import Path

import pytest
from pycdlib import PyCdlib
from support.discs import Author, make_disc
from support.iso_strangers import pycdlib_view
from support.iso_views import compare, expected
from support.trees import NOW, appended, file, folder, link, written

from media.errors import MediaError, UnreadableBlockError
from media.store import ImageStore, SessionSpan
from udffs.errors import DamagedError, DiscError, ImageTooLargeError, NotUdfError
from udffs.mastering.export import exported_disc
from udffs.mastering.image import make_image
from udffs.mastering.notes import Notes
from udffs.mastering.previous import previous_files, read_iso_session
from udffs.mastering.session import make_session, merged
from udffs.mastering.sources import Source
from udffs.ondisc.iso9660 import DirectoryRecord, PrimaryVolumeDescriptor
from udffs.volume import open_volume

BLOCK = 2048


class Sessions(ImageStore):
    """An image of several sessions, with blocks that cannot be read."""

    def __init__(self, path: Path, *starts: int, bad: frozenset[int] = frozenset()) -> None:
        super().__init__(path)
        ends = [start - 1 for start in starts[1:]] + [self.last_block]
        self.sessions = tuple(map(SessionSpan, starts, ends))
        self._bad = bad

    def read(self, block: int, count: int) -> bytes:
        for one in range(block, block + count):
            if one in self._bad:
                raise UnreadableBlockError(block=one)
        return super().read(block, count)


def small() -> Source:
    one = file("one", b"1" * 3000, serial=7)
    twin = file("two", b"1" * 3000, serial=7)
    twin.content = one.content
    below = folder("below", twin, file("empty"), link("link", "../one"), mtime=NOW)
    return folder("", one, below, file("long name, with spaces.txt", b"3"))


def write_some(author: Author) -> None:
    author.directory("folder")
    author.file("folder/embedded", b"embedded in its ICB")
    author.file("folder/large", b"large" * 4000)
    author.link("folder/large", "twin")
    author.file("holes", b"begin" + bytes(10))
    author.truncate("holes", 300_000)
    author.fs.symlink("/link", "folder/large", 0, 0)


def test_a_volume_without_iso_9660(tmp_path: Path) -> None:
    disc = make_disc(tmp_path, "disc", [write_some], revision=0x201, closed=True)
    store = ImageStore(disc.image)
    old = previous_files(store)
    assert old is not None
    placed = {path: bool(one.sections) for path, one in old.walk() if one.is_file}
    assert placed == {
        "folder/embedded": False,
        "folder/large": True,
        "twin": True,
        "holes": False,
    }
    start = store.capacity + 100
    session = make_session(folder("", file("new", b"n")), old, start=start, label="s", now=NOW)
    appended(session, disc.image, start)
    wanted = expected(open_volume(store))
    view = pycdlib_view(disc.image, "rr", start=start)
    assert view.pop("new").size == 1
    compare(view, wanted, "pycdlib, of both")


def test_the_newest_of_three_sessions_shows_all(tmp_path: Path) -> None:
    image = make_image(small(), label="one", now=NOW)
    path = written(image, tmp_path / "three.img")
    starts = [0, image.blocks + 3]
    for number, start in enumerate((starts[1], image.blocks + 2000)):
        if number:
            starts.append(start)
        old = previous_files(Sessions(path, *starts[: number + 1]))
        new = folder("", file("one", b"%d" % number), folder("below", file(f"new {number}", b"")))
        appended(make_session(new, old, start=start, label="n", now=NOW), path, start)
    view = pycdlib_view(path, "rr", start=starts[2])
    assert set(view) == {
        "below",
        "below/empty",
        "below/link",
        "below/new 0",
        "below/new 1",
        "below/two",
        "long name, with spaces.txt",
        "one",
    }
    assert (view["one"].size, view["below/two"].size, view["below/two"].links) == (1, 3000, 1)
    # That is also what is exported, although the first session has a UDF volume.
    exported = exported_disc(Sessions(path, *starts))
    again = written(make_image(exported.root, label="x", now=NOW), tmp_path / "again.iso")
    compare(expected(open_volume(ImageStore(again))), view, "the export of the newest")


def test_new_things_win_and_directories_are_merged() -> None:
    old = folder("", file("a", b"old"), folder("d", file("x", b"1"), mode=0o700), folder("e"))
    new = folder("", folder("a", file("y")), folder("d", file("z"), mode=0o755), file("e", b"2"))
    both = merged(old, new)
    assert [path for path, _ in both.walk()] == ["", "a", "a/y", "d", "d/x", "d/z", "e"]
    found = both.find("d")
    assert found is not None
    assert found.mode & 0o777 == 0o755
    assert [path for path, _ in old.walk()] == ["", "a", "d", "d/x", "e"]


def test_nothing_there_and_nothing_known(tmp_path: Path) -> None:
    path = tmp_path / "zeros.img"
    path.write_bytes(bytes(400 * BLOCK))
    with pytest.raises(NotUdfError):
        previous_files(ImageStore(path))
    store = ImageStore(path)
    store.sessions = (SessionSpan(0, None),)  # type: ignore[assignment]
    assert previous_files(store) is None


def test_directories_that_cannot_be_read_are_an_error(tmp_path: Path) -> None:
    image = make_image(small(), label="one", now=NOW)
    path = written(image, tmp_path / "bad.img")
    descriptor = PrimaryVolumeDescriptor.parse(ImageStore(path).read(16, 1))
    root = DirectoryRecord.parse(descriptor.directory_record_for_root_directory).location_of_extent
    with pytest.raises(UnreadableBlockError):
        previous_files(Sessions(path, 0, bad=frozenset({root})))


@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_bytes_are_it_ends_well(tmp_path: Path, seed: int) -> None:
    """Each of ours, or an error that is ours."""
    noise = random.Random(seed)
    path = written(make_image(small(), label="one", now=NOW), tmp_path / "noise.img")
    data = bytearray(path.read_bytes())
    for _ in range(noise.choice([1, 5, 40])):
        at = noise.choice([16, 17, 265, 270, 275]) * BLOCK + noise.randrange(4 * BLOCK)
        data[at : at + 2] = noise.randbytes(2)
    path.write_bytes(data)
    try:
        root = previous_files(ImageStore(path))
    except (DiscError, MediaError):
        return
    assert root is not None
    assert sum(1 for _ in root.walk()) < 1000


def records(data: bytearray) -> dict[bytes, int]:
    """Where the records of a root directory are, by identifier; of an image of one session."""
    volume = PrimaryVolumeDescriptor.parse(bytes(data[16 * BLOCK : 17 * BLOCK]))
    root = DirectoryRecord.parse(volume.directory_record_for_root_directory)
    at, found = root.location_of_extent * BLOCK, {}
    while data[at]:
        found[bytes(data[at + 33 : at + 33 + data[at + 32]])] = at
        at += data[at]
    return found


def both(number: int) -> bytes:
    """In both byte orders (ECMA-119 7.3.3)."""
    return struct.pack("<I", number) + struct.pack(">I", number)


@pytest.mark.parametrize(
    ("location", "length"), [(0xFFFFFFFF, 0xFFFFFFFF), (None, 0xFFFFFFFF), (0xFFFFFFF0, None)]
)
def test_files_beyond_the_end_are_told(
    tmp_path: Path, location: int | None, length: int | None
) -> None:
    image = make_image(folder("", file("bad", b"1" * 3000), file("good", b"2")), label="x", now=NOW)
    path = written(image, tmp_path / "bad.img")
    data = bytearray(path.read_bytes())
    at = records(data)[b"BAD.;1"]
    if location is not None:
        data[at + 2 : at + 10] = both(location)
    if length is not None:
        data[at + 10 : at + 18] = both(length)
    path.write_bytes(data)
    notes = Notes()
    old = previous_files(ImageStore(path), notes)
    assert old is not None
    assert [child.name for child in old.children] == ["good"]
    bad = "bad (it reaches beyond the end of the disc)"
    assert notes.sentences() == [f"1 left out because they cannot be read: {bad}."]
    b"".join(make_session(folder("", file("new")), old, start=9000, label="x", now=NOW).chunks())
    found = read_iso_session(ImageStore(path), Notes())
    assert found is not None
    assert found.unreadable == [bad]


def test_sections_that_end_within_a_block_are_written_anew(tmp_path: Path) -> None:
    tree = folder("", file("one", b"1" * 3000), file("two", b"2" * 5000))
    path = written(make_image(tree, label="x", now=NOW), tmp_path / "sections.img")
    data = bytearray(path.read_bytes())
    found = records(data)
    data[found[b"ONE.;1"] + 25] |= 0x80  # another section follows (ECMA-119 9.1.6)
    at = found[b"TWO.;1"] + 33
    data[at : at + 6] = b"ONE.;1"
    path.write_bytes(data)
    old = previous_files(ImageStore(path))
    assert old is not None
    (only,) = old.children
    assert (only.size, only.sections) == (8000, ())
    session = make_session(folder(""), old, start=9000, label="x", now=NOW)
    assert b"1" * 3000 + b"2" * 5000 in b"".join(session.chunks())


def test_a_directory_that_was_moved_into_itself(tmp_path: Path) -> None:
    """A child link (RRIP 4.1.5.1) that leads to a directory above it."""
    iso = PyCdlib()
    iso.new(rock_ridge="1.09", interchange_level=3)
    path = ""
    for number in range(1, 10):  # the eighth is moved
        path += f"/D{number}"
        iso.add_directory(path, rr_name=f"d{number}")
    written_to = io.BytesIO()
    iso.write_fp(written_to)
    data = bytearray(written_to.getvalue())
    at = data.index(b"CL\x0c\x01") + 4
    data[at : at + 8] = both(iso.get_record(iso_path="/D1").extent_location())
    image = tmp_path / "loop.img"
    image.write_bytes(data)
    notes = Notes()
    old = previous_files(ImageStore(image), notes)
    assert old is not None
    assert [path for path, _ in old.walk()][-1] == "d1/d2/d3/d4/d5/d6/d7"
    assert notes.sentences() == [
        "1 left out (second names of directories): d1/d2/d3/d4/d5/d6/d7/d8."
    ]


@pytest.mark.parametrize("size", [10**13, 10**17, 2**63])
def test_sizes_that_no_image_can_hold(size: int) -> None:
    tree = folder("", file("giant"))
    tree.children[0].size = size
    with pytest.raises(ImageTooLargeError):
        make_image(tree, label="x", now=NOW)
    with pytest.raises(ImageTooLargeError):
        make_session(tree, None, start=100, label="x", now=NOW)


def test_directories_that_overlap_are_not_read_for_ever(tmp_path: Path) -> None:
    """Each a block further on in a long row of the same records."""
    tree = folder("", *(folder(f"{number:03}") for number in range(300)))
    path = written(make_image(tree, label="x", now=NOW), tmp_path / "overlap.img")
    data = bytearray(path.read_bytes())
    for at in list(records(data).values())[2:]:
        data[at + 10 : at + 18] = both(300 * BLOCK)
    path.write_bytes(data + bytes(400 * BLOCK))
    with pytest.raises(DamagedError):
        previous_files(ImageStore(path))
