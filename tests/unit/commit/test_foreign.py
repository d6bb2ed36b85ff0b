"""Writing on to volumes that others made, and what is odd about them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from media.virtual import Burner, memory_burner
from udffs.commit.stream import DirectoryStream
from udffs.errors import NoSpaceError
from udffs.filesystem import FileSystem
from udffs.ondisc import hot
from udffs.ondisc.text import encode_name

from .rig import MIB, content, formatted, mount, save, store_of

BLOCK = 2048
REVISIONS = ["1.50", "2.01"]


@pytest.fixture
def burnt(program: Callable[[str], Path], tmp_path: Path) -> Callable[[str, int], Burner]:
    """``burnt("2.01", 2000)`` is a CD-R of a VAT volume by mkudffs, whose
    partition ends at block 2,000 of the disc."""

    def burn(revision: str, blocks: int) -> Burner:
        path = tmp_path / "mkudffs.img"
        command = [str(program("mkudffs")), "--new-file", "--media-type=cdr", "--blocksize=2048"]
        command += [f"--udfrev={revision}", "--label=Made elsewhere", str(path), str(blocks)]
        subprocess.run(command, check=True, capture_output=True)
        burner = memory_burner("cd-r-80")
        store = store_of(burner)
        store.write(0, path.read_bytes())
        store.flush()
        return burner

    return burn


@pytest.mark.strangers
@pytest.mark.parametrize("revision", REVISIONS)
def test_a_disc_of_mkudffs_is_written_on(
    burnt: Callable[[str, int], Burner], revision: str, tmp_path: Path
) -> None:
    """In its session, which is then closed, in a second and in a third one."""
    burner = burnt(revision, 100_000)
    expected: dict[str, bytes] = {}
    for session in range(3):
        fs = mount(burner, tmp_path / "spool")
        assert (fs.read_only, fs.notes, fs.label) == (None, [], "Made elsewhere")
        assert f"{fs.volume.revision >> 8}.{fs.volume.revision & 0xFF:02x}" == revision
        assert _files(fs) == expected
        fs.mkdir(f"/directory {session}", 0o755, 0, 0)
        for name, size in (("small", 100), ("large", 300_000)):
            data = bytes([session]) * size
            save(fs, f"/directory {session}/{name}", data)
            expected[f"/directory {session}/{name}"] = data
        if session == 2:
            fs.unlink("/directory 0/small")
            del expected["/directory 0/small"]
        fs.close_disc(final=session == 2)
        fs.shutdown()
    fs = mount(burner, tmp_path / "spool")
    assert fs.read_only
    assert _files(fs) == expected
    fs.shutdown()


@pytest.mark.strangers
def test_nothing_is_written_behind_the_end_of_a_partition(
    burnt: Callable[[str, int], Burner], tmp_path: Path
) -> None:
    """The disc has more room than its volume: that is full where its
    partition ends, and all of it can still be read, and be closed."""
    burner = burnt("2.01", 8000)
    fs = mount(burner, tmp_path / "spool")
    assert 0 < fs.statfs().available < 8000
    number = 0
    with pytest.raises(NoSpaceError):
        while True:
            save(fs, f"/{number}", bytes([number]) * MIB, sync=True)
            number += 1
    assert number > 3
    fs.unlink(f"/{number}")
    fs.close_disc(final=True)
    fs.shutdown()
    assert store_of(burner).last_block < 8000
    fs = mount(burner, tmp_path / "spool")
    assert _files(fs) == {f"/{n}": bytes([n]) * MIB for n in range(number)}
    fs.shutdown()


def test_the_room_of_a_disc_of_ours_is_that_of_the_drive(tmp_path: Path) -> None:
    burner = formatted()
    store = store_of(burner)
    fs = mount(burner, tmp_path / "spool")
    volume = fs.volume
    assert volume.partition_start + volume.partition_length == store.capacity
    fs.shutdown()


def test_two_entries_of_one_name_are_two_entries() -> None:
    """The second is shown under another name; each can be deleted, and the
    directory written anew, without the other."""
    entries = [("twin", 5), ("twin", 6), ("twin#2", 7)]
    data = b"".join(
        hot.build_fid(
            location=0,
            version=3,
            characteristics=0x08 if name is None else 0,
            icb=(BLOCK, number, 1),
            unique_id=number,
            name=b"" if name is None else encode_name(name),
        )
        for name, number in [(None, 1), *entries]
    )
    for gone, left in (
        ("twin", [("twin", 6), ("twin#2", 7)]),
        ("twin#2", [("twin", 5), ("twin#2", 7)]),
        ("twin#2#2", [("twin", 5), ("twin", 6)]),
    ):
        stream = DirectoryStream.from_disc(data, version=3)
        assert len(stream) == 3
        stream.leave(gone)
        assert _numbers(stream) == left
        stream.rebuild()
        assert _numbers(stream) == left


def _numbers(stream: DirectoryStream) -> list[tuple[str, int]]:
    return [
        (fid.name[1:].decode("latin-1"), fid.icb_block)
        for fid in hot.iter_fids(bytes(stream.data))
        if not fid.characteristics & (0x04 | 0x08)
    ]


def _files(fs: FileSystem, folder: str = "") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for name, _, mode in fs.readdir(folder or "/"):
        path = f"{folder}/{name}"
        found.update(_files(fs, path) if mode & 0o040000 else {path: content(fs, path)})
    return found
