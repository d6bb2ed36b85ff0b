"""We read what strangers wrote: mkudffs and genisoimage now, other programs once."""

from __future__ import annotations

import lzma
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from media.store import BlockStore, ImageStore, SessionSpan
from udffs.errors import NotUdfError
from udffs.ondisc.text import decode_name
from udffs.volume import Inode, Volume, open_volume

from . import discs

Make = Callable[..., Path]


def walk(volume: Volume, key: int, path: str = "") -> Iterator[tuple[str, Inode]]:
    """Every (path, inode) below a directory."""
    inode = volume.inode(key)
    yield path, inode
    if stat.S_ISDIR(inode.mode):
        for entry in volume.entries(inode):
            assert entry.is_directory == stat.S_ISDIR(volume.inode(entry.key).mode)
            yield from walk(volume, entry.key, f"{path}/{entry.name}")


def contents(volume: Volume) -> dict[str, bytes | None]:
    """Path to content, None for directories."""
    return {
        path: volume.read(inode, 0, inode.size) if stat.S_ISREG(inode.mode) else None
        for path, inode in walk(volume, volume.root_key)
    }


# -- mkudffs -------------------------------------------------------------------


@pytest.mark.strangers
@pytest.mark.parametrize("revision", ["1.50", "2.01"])
@pytest.mark.parametrize("efe", [(), ("--noefe",)])
def test_mkudffs_vat(mkudffs: Make, revision: str, efe: tuple[str, ...]) -> None:
    path = mkudffs("--media-type=cdr", f"--udfrev={revision}", *efe)
    volume = open_volume(ImageStore(path))
    assert volume.kind == "vat"
    assert volume.revision == (0x0150 if revision == "1.50" else 0x0201)
    assert volume.label == "A label"
    assert volume.write_protected is None
    assert volume.notes == []
    assert volume.vat is not None
    assert volume.vat.layout == (150 if revision == "1.50" else 200)
    assert (volume.files, volume.directories) == (0, 1)
    assert contents(volume) == {"": None}
    assert len(list(volume.history())) == 1


@pytest.mark.strangers
def test_mkudffs_vat_with_an_unreadable_beginning(mkudffs: Make) -> None:
    """The recognition sequence cannot be read: the anchors alone must do."""
    path = mkudffs("--media-type=cdr", "--udfrev=2.01")
    store = discs.image_store(path)
    for block in range(16, 32):
        del store.blocks[block]
    assert contents(open_volume(store)) == {"": None}


@pytest.mark.strangers
@pytest.mark.parametrize("revision", ["1.02", "1.50", "2.00", "2.01"])
@pytest.mark.parametrize("kind", ["hd", "dvdram", "dvd"])
def test_mkudffs_plain(mkudffs: Make, revision: str, kind: str) -> None:
    volume = open_volume(ImageStore(mkudffs(f"--media-type={kind}", f"--udfrev={revision}")))
    assert volume.kind == "plain"
    assert volume.label == "A label"
    assert volume.vat is None
    assert set(contents(volume)) <= {"", "/Non-Allocatable Space"}


@pytest.mark.strangers
@pytest.mark.parametrize("ad", ["short", "long", "inicb"])
def test_mkudffs_allocation_descriptors(mkudffs: Make, ad: str) -> None:
    path = mkudffs("--media-type=hd", "--udfrev=1.50", f"--ad={ad}")
    assert contents(open_volume(ImageStore(path))) == {"": None}


@pytest.mark.strangers
@pytest.mark.parametrize("revision", ["1.50", "2.01"])
@pytest.mark.parametrize("kind", ["cdrw", "dvdrw"])
def test_mkudffs_sparable(mkudffs: Make, revision: str, kind: str) -> None:
    path = mkudffs(f"--media-type={kind}", f"--udfrev={revision}", blocks=20_000)
    volume = open_volume(ImageStore(path))
    assert volume.kind == "sparable"
    assert set(contents(volume)) <= {"", "/Non-Allocatable Space"}


@pytest.mark.strangers
def test_mkudffs_of_other_block_sizes_is_refused(
    program: Callable[[str], Path], tmp_path: Path
) -> None:
    import subprocess

    path = tmp_path / "512.img"
    command = [str(program("mkudffs")), "--new-file", "--blocksize=512", str(path), "20000"]
    subprocess.run(command, check=True, capture_output=True)
    with pytest.raises(NotUdfError):
        open_volume(ImageStore(path))


# -- genisoimage ---------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tree with empty, small, block-sized and large files, and many names."""
    root = tmp_path / "tree"
    deep = root / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (root / "empty").write_bytes(b"")
    (root / "small.txt").write_text("hello\n")
    (deep / "exact").write_bytes(bytes(range(256)) * 8)
    (deep / "one more").write_bytes(bytes(range(256)) * 8 + b"!")
    (root / "large.bin").write_bytes(b"".join(i.to_bytes(4, "big") for i in range(100_000)))
    for number in range(300):
        (root / "a" / f"a file with a longer name, number {number}.txt").write_text(str(number))
    return root


@pytest.mark.strangers
def test_genisoimage(genisoimage: Make, folder: Path) -> None:
    volume = open_volume(ImageStore(genisoimage(folder)))
    expected: dict[str, bytes | None] = {"": None}
    for path in folder.rglob("*"):
        name = "/" + path.relative_to(folder).as_posix()
        expected[name] = None if path.is_dir() else path.read_bytes()
    assert contents(volume) == expected
    assert volume.kind == "plain"
    assert volume.write_protected is not None
    assert volume.files == 305


@pytest.mark.strangers
def test_genisoimage_parts_of_a_file(genisoimage: Make, folder: Path) -> None:
    volume = open_volume(ImageStore(genisoimage(folder)))
    whole = (folder / "large.bin").read_bytes()
    inode = next(one for path, one in walk(volume, volume.root_key) if path == "/large.bin")
    for offset, length in ((0, 7), (2040, 20), (399_990, 100), (4096, 131_072)):
        assert volume.read(inode, offset, length) == whole[offset : offset + length]


@pytest.mark.strangers
def test_genisoimage_parents(genisoimage: Make, folder: Path) -> None:
    volume = open_volume(ImageStore(genisoimage(folder)))
    parents = {"": volume.root_key}
    for path, inode in walk(volume, volume.root_key):
        if stat.S_ISDIR(inode.mode):
            parents[path] = inode.key
            above = path.rpartition("/")[0]
            assert volume.parent_key(inode) == parents[above]


# -- discs that other programs wrote -------------------------------------------

# name -> (label, paths); sessions where the disc had several
KNOWN: dict[str, tuple[str, set[str]]] = {
    "udf.img": ("test-udf", {""}),
    "udf-cd-mkudfiso-20100208.img": ("Volume Label", {""}),
    "udf-cd-nero-6.img": ("UDF Label", {"", "/test.txt"}),
    "udf-hdd-mkudffs-1.3-2.img": ("Label", {""}),
    "udf-hdd-mkudffs-1.3-3.img": ("Ã¿", {""}),
}
MULTI = "udf-multi-0-320-640-mkudffs.img"
MULTI_SESSIONS = [SessionSpan(0, 319), SessionSpan(320, 639), SessionSpan(640, 959)]
OTHER_BLOCK_SIZE = {"udf-hdd-mkudffs-1.3-6.img"}


def unpacked(folder: Path, name: str, into: Path) -> Path:
    path = into / name
    path.write_bytes(lzma.decompress((folder / f"{name}.xz").read_bytes()))
    return path


def test_every_shared_image_is_known(shared_images: Path) -> None:
    names = {path.name.removesuffix(".xz") for path in shared_images.glob("*.img.xz")}
    assert names <= set(KNOWN) | {MULTI} | OTHER_BLOCK_SIZE


@pytest.mark.parametrize("name", KNOWN)
def test_shared_image(shared_images: Path, tmp_path: Path, name: str) -> None:
    volume = open_volume(ImageStore(unpacked(shared_images, name, tmp_path)))
    label, paths = KNOWN[name]
    assert volume.label == label
    found = contents(volume)
    assert set(found) == paths
    assert volume.notes == []
    if "/test.txt" in found:
        assert found["/test.txt"] == b"test\n"


@pytest.mark.parametrize("sessions", [1, 2, 3])
def test_shared_image_of_several_sessions(
    shared_images: Path, tmp_path: Path, sessions: int
) -> None:
    """Each session as it was when it was the last one."""
    path = unpacked(shared_images, MULTI, tmp_path)
    spans = MULTI_SESSIONS[:sessions]
    store: BlockStore = discs.image_store(path, spans)
    assert isinstance(store, discs.MemoryStore)
    store.last_block = spans[-1].end or 0
    volume = open_volume(store)
    assert volume.label == ("first session", "second session", "third session")[sessions - 1]
    assert volume.notes == []
    assert set(contents(volume)) == {""}


def test_shared_image_of_several_sessions_without_their_table(
    shared_images: Path, tmp_path: Path
) -> None:
    """A plain file does not say where sessions begin: the first one is found."""
    volume = open_volume(ImageStore(unpacked(shared_images, MULTI, tmp_path)))
    assert volume.kind == "vat"
    assert set(contents(volume)) == {""}


@pytest.mark.parametrize("name", sorted(OTHER_BLOCK_SIZE))
def test_shared_image_of_another_block_size(shared_images: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(NotUdfError):
        open_volume(ImageStore(unpacked(shared_images, name, tmp_path)))


def test_names_are_read_as_others_write_them() -> None:
    assert decode_name(b"\x10\x00a\x00b") == "ab"
