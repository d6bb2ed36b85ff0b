"""Writing on to volumes that others made, and what is odd about them."""

from __future__ import annotations

import os
import subprocess
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from media.virtual import Burner, memory_burner
from udffs.commit.opening import why_read_only
from udffs.commit.stream import DirectoryStream
from udffs.commit.vat import Counts, VatTable
from udffs.errors import NoSpaceError, NotPermittedError
from udffs.filesystem import FileSystem
from udffs.ondisc import hot, modes
from udffs.ondisc.text import encode_name
from udffs.volume import open_volume

from .rig import BORN, MIB, content, formatted, mount, save, store_of

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


def _with_a_fixed_file() -> Burner:
    """A disc whose root names the virtual /ours and, beside it, /fixed: an
    inode of the physical partition, as no VAT can move it."""
    image = store_of(formatted()).read(0, 258)
    start, root = 257, 1 << 32 | 1
    version, fixed, ours = 3, 2, 3  # logical blocks
    stream = DirectoryStream(version=version, parent=root, parent_unique_id=0)
    stream.enter("fixed", fixed, is_directory=False, unique_id=16)
    stream.enter("ours", 1 << 32 | 2, is_directory=False, unique_id=17)
    for location, file_type, data in (
        (1, 4, stream.embedded(1)),
        (fixed, 5, b"recorded for good"),
        (2, 5, b"to be changed"),
    ):
        image += hot.build_file_entry(
            location=location,
            version=version,
            file_type=file_type,
            icb_flags=0,
            uid=0,
            gid=0,
            permissions=modes.permissions_from_mode(0o755)[0],
            link_count=1,
            size=len(data),
            blocks_recorded=0,
            atime_ns=BORN,
            mtime_ns=BORN,
            ctime_ns=BORN,
            unique_id=location,
            allocation=data,
            allocation_type=3,
        )
    table = VatTable(array("I"), revision=0x0201, label="x", location=-1, blocks=array("I"))
    vat = table.plan(
        {0: 0, 1: 1, 2: ours},
        Counts(2, 1, 20),
        address=start + 4,
        partition_start=start,
        now=BORN,
    )
    burner = memory_burner("cd-r-80")
    store = store_of(burner)
    store.write(0, image + vat.data)
    store.flush()
    return burner


def test_what_no_vat_can_move_stays_as_it_is(tmp_path: Path) -> None:
    """An ICB outside the virtual partition: its number there is another's."""
    burner = _with_a_fixed_file()
    fs = mount(burner, tmp_path / "spool")
    for change in (
        lambda: fs.unlink("/fixed"),
        lambda: fs.rename("/fixed", "/moved"),
        lambda: fs.rename("/ours", "/fixed"),
        lambda: fs.link("/fixed", "/again"),
        lambda: fs.chmod("/fixed", 0o600),
        lambda: fs.truncate("/fixed", 0),
        lambda: fs.write(fs.open("/fixed", os.O_RDWR), b"x", 0),
    ):
        with pytest.raises(NotPermittedError):
            change()
    save(fs, "/ours", b"changed")
    save(fs, "/new", b"new")
    fs.shutdown()
    fs = mount(burner, tmp_path / "spool")
    assert _files(fs) == {"/fixed": b"recorded for good", "/ours": b"changed", "/new": b"new"}
    fs.shutdown()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("physical_reference", 1),
        ("virtual_reference", 0),
        ("partition_number", 7),
        ("file_set_key", 1 << 32 | 5),
        ("file_set_key", 0),
        ("root_key", 1),
    ],
)
def test_a_layout_that_a_new_session_could_not_repeat_is_only_read(field: str, value: int) -> None:
    store = store_of(formatted())
    volume = open_volume(store)
    assert why_read_only(store, volume) is None
    setattr(volume, field, value)
    assert "cannot repeat" in (why_read_only(store, volume) or "")


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
