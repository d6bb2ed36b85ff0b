"""Extended file entries of other systems stay what they are, and named streams stay with them.

On rewritable discs: one formatted by us and one by mkudffs, on which somebody made
extended entries and streams (``support/extended.py``). On write-once ones: entries in
a VAT.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.allocation import Report
from support.extended import CHECKPOINT, CREATED, Entry, entry_at
from support.rewritable import mkudffs, packets_of

from media.virtual import Burner
from udffs.filesystem import FileSystem
from udffs.ondisc import hot
from udffs.ondisc.times import pack_time

from . import extended_rig, rig
from .extended_rig import FILES, MOST, NOISE, STREAMS, by_hand, fill, state_of, write
from .rig import Clock, content, kill, save
from .rw_rig import blank, judged, mount, store_of

BLOCK = 2048
EXTENDED = ("/small", "/large", "/full", "/folder")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Burner:
    return extended_rig.ours(tmp_path_factory.mktemp("spool"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], Path]) -> Burner:
    folder = tmp_path_factory.mktemp("theirs")
    image = mkudffs(program("mkudffs"), folder / "image", "2.01", 295_264)
    burner = blank("cd-rw-80")
    store = store_of(burner)
    for block, data in packets_of(image):
        store.write(block, data)
    store.flush()
    fs = mount(burner, folder / "spool")
    assert fs.read_only is None, fs.read_only
    fill(fs)
    fs.shutdown()
    return by_hand(burner)


@pytest.fixture(params=["ours", pytest.param("theirs", marks=pytest.mark.strangers)])
def burner(request: pytest.FixtureRequest) -> Burner:
    """A disc with extended entries and streams."""
    template: Burner = request.getfixturevalue(request.param)
    return template.branch()


def kept(burner: Burner, report: Report, path: str) -> Entry | None:
    return entry_at(store_of(burner, writable=False), report.start + report.icbs[path])


def streams_of(report: Report) -> dict[str, int]:
    """Where the ICBs of streams and their directories are."""
    return {path: block for path, block in report.icbs.items() if "(streams)" in path}


def blocks_of(burner: Burner, report: Report) -> dict[int, bytes]:
    """All that belongs to streams, as it is on the disc."""
    store = store_of(burner, writable=False)
    return {
        at: store.read(report.start + at, count)
        for at, count, who in report.owners
        if "(streams)" in who
    }


# -- what stays ------------------------------------------------------------------------


def test_the_discs_are_as_they_should_be(burner: Burner, tmp_path: Path) -> None:
    report = judged(burner)
    assert len(streams_of(report)) == 6
    large = kept(burner, report, "/large")
    assert large is not None
    assert (large.created, large.checkpoint, large.streams_size) == (CREATED, CHECKPOINT, STREAMS)
    assert kept(burner, report, "/plain") is None
    fs = mount(burner, tmp_path / "spool")
    assert fs.read_only is None, fs.read_only
    assert {name for name, _, _ in fs.readdir("/")} >= {"small", "large", "folder"}
    assert not {name for name, _, _ in fs.readdir("/")} & {"streams", "more"}
    fs.shutdown()


CHANGES: dict[str, Callable[[FileSystem, str], None]] = {
    "chmod": lambda fs, path: fs.chmod(path, 0o600),
    "chown": lambda fs, path: fs.chown(path, 5, 6),
    "utimens": lambda fs, path: fs.utimens(path, 10**18, 10**18),
    "rename": lambda fs, path: fs.rename(path, f"{path}.moved"),
    "rename into": lambda fs, path: fs.rename(path, f"/other{path}"),
    "write": lambda fs, path: write(fs, path, b"new", 7),
    "append": lambda fs, path: write(fs, path, NOISE, fs.getattr(path).size),
    "overwrite": lambda fs, path: save(fs, path, NOISE[5:200]),
    "shorten": lambda fs, path: fs.truncate(path, 10),
    "empty": lambda fs, path: fs.truncate(path, 0),
    "lengthen": lambda fs, path: fs.truncate(path, 1 << 20),
    "link": lambda fs, path: fs.link(path, f"{path}.link"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed(burner: Burner, change: str, tmp_path: Path) -> None:
    """Whatever is done to a file or a folder: what we do not know of it stays."""
    before = judged(burner)
    store = store_of(burner, writable=False)
    blocks = {path: before.icbs[path] for path in EXTENDED}
    was = {path: entry_at(store, before.start + block) for path, block in blocks.items()}
    streams = blocks_of(burner, before)
    fs = mount(burner, tmp_path / "spool")
    fs.mkdir("/other", 0o755, 0, 0)
    for path in EXTENDED:
        if path != "/folder" or change.startswith(("ch", "ut", "rename")):
            CHANGES[change](fs, path)
            fs.sync()
    fs.shutdown()
    after = judged(burner)
    store = store_of(burner, writable=False)
    assert {p: entry_at(store, after.start + b) for p, b in blocks.items()} == was
    assert blocks_of(burner, after) == streams


def test_content_and_room(burner: Burner, tmp_path: Path) -> None:
    """1,832 bytes are embedded, one more is not, and back; so with a folder."""
    spool = tmp_path / "spool"

    def embedded(path: str) -> bool:
        report = judged(burner)
        assert kept(burner, report, path) is not None
        data = store_of(burner, writable=False).read(report.start + report.icbs[path], 1)
        return hot.parse_file_entry(data, None).allocation_type == hot.ALLOCATION_EMBEDDED

    def change(what: Callable[[FileSystem], None]) -> None:
        fs = mount(burner, spool)
        what(fs)
        fs.shutdown()
        fs = mount(burner, spool)
        assert content(fs, "/full") == expected
        fs.shutdown()

    expected = FILES["/full"]
    assert embedded("/full")
    change(lambda fs: fs.chmod("/full", 0o640))
    assert embedded("/full")
    expected += b"!"
    change(lambda fs: write(fs, "/full", b"!", MOST))
    assert not embedded("/full")
    expected = expected[:MOST]
    change(lambda fs: fs.truncate("/full", MOST))
    assert embedded("/full")
    names = [f"/folder/{number:040}" for number in range(24)]  # 80 bytes each
    for path in names:
        change(lambda fs, path=path: save(fs, path, b""))  # type: ignore[misc]
        assert kept(burner, judged(burner), "/folder") is not None
    assert not embedded("/folder")
    for path in names[:12]:
        change(lambda fs, path=path: fs.unlink(path))  # type: ignore[misc]
    assert embedded("/folder")


def test_many_extents(burner: Burner, tmp_path: Path) -> None:
    """The allocation descriptors go on in allocation extents."""
    was = kept(burner, judged(burner), "/large")
    fs = mount(burner, tmp_path / "spool")
    fs.truncate("/large", 0)
    for number in range(400):
        write(fs, "/large", b"%4d" % number, number * 2 * BLOCK)
    fs.shutdown()
    report = judged(burner)
    assert any("/large (allocation extent)" in who for _, _, who in report.owners)
    assert kept(burner, report, "/large") == was
    fs = mount(burner, tmp_path / "spool")
    data = content(fs, "/large")
    assert [data[n * 2 * BLOCK :][:4] for n in range(400)] == [b"%4d" % n for n in range(400)]
    fs.unlink("/large")
    fs.shutdown()
    judged(burner)


def test_new_files_are_plain(burner: Burner, tmp_path: Path) -> None:
    fs = mount(burner, tmp_path / "spool")
    fs.unlink("/small")
    save(fs, "/small", b"again")
    save(fs, "/folder/new", NOISE)
    fs.shutdown()
    report = judged(burner)
    assert kept(burner, report, "/small") is None
    assert kept(burner, report, "/folder/new") is None
    assert kept(burner, report, "/folder") is not None


def test_what_a_killed_process_leaves(burner: Burner, tmp_path: Path) -> None:
    """The spool knows nothing of it: the inode is fetched from the disc."""
    before = judged(burner)
    was = kept(burner, before, "/large")
    streams = blocks_of(burner, before)
    fs = mount(burner, tmp_path / "spool")
    fs.chmod("/large", 0o600)
    write(fs, "/large", b"unsaved", 3)
    left = kill(tmp_path / "spool")
    fs = mount(burner.branch(), left)
    again = burner.branch()
    fs = mount(again, kill(left))
    fs.shutdown()
    report = judged(again)
    assert kept(again, report, "/large") == was
    assert blocks_of(again, report) == streams
    fs = mount(again, tmp_path / "last")
    assert content(fs, "/large")[:10] == NOISE[:3] + b"unsaved"
    fs.shutdown()


# -- what goes -------------------------------------------------------------------------


def test_deleted(burner: Burner, tmp_path: Path) -> None:
    """Streams go with the last name of their file, not before."""
    before = judged(burner)
    taken = sum(n for _, n, who in before.owners if who.startswith(("/large", "/folder")))
    assert taken > 15 + 25 + 8
    fs = mount(burner, tmp_path / "spool")
    fs.link("/large", "/second")
    fs.unlink("/large")
    fs.shutdown()
    assert len(streams_of(judged(burner))) == 6
    fs = mount(burner, tmp_path / "spool")
    fs.unlink("/second")
    fs.unlink("/folder/inside")
    fs.rmdir("/folder")
    fs.shutdown()
    after = judged(burner)
    assert not streams_of(after)
    assert after.used <= before.used - taken


def test_replaced(burner: Burner, tmp_path: Path) -> None:
    fs = mount(burner, tmp_path / "spool")
    save(fs, "/new", b"new")
    fs.rename("/new", "/large")
    fs.shutdown()
    report = judged(burner)
    assert kept(burner, report, "/large") is None
    assert len(streams_of(report)) == 2


def test_deleted_while_it_is_open(burner: Burner, tmp_path: Path) -> None:
    """The streams' blocks are not given to others before the file is closed."""
    fs = mount(burner, tmp_path / "spool")
    handle = fs.open("/large", os.O_RDONLY)
    fs.unlink("/large")
    fs.sync()
    save(fs, "/other", NOISE)
    fs.sync()
    assert fs.read(handle, 100_000, 0) == FILES["/large"]
    fs.release(handle)
    fs.shutdown()
    assert len(streams_of(judged(burner))) == 2


# -- other programs --------------------------------------------------------------------


@pytest.mark.strangers
def test_udfinfo_and_udfdump(tmp_path: Path, program: Callable[[str], Path]) -> None:
    """Other people's programs find nothing wrong after changes."""
    blocks = 20_000
    burner = extended_rig.ours(tmp_path / "empty", blocks)
    fs = mount(burner, tmp_path / "spool", blocks=blocks)
    write(fs, "/large", NOISE, 1234)
    write(fs, "/full", b"!", MOST)
    fs.chmod("/small", 0o600)
    fs.shutdown()
    judged(burner, blocks=blocks)
    image = tmp_path / "image"
    image.write_bytes(store_of(burner, blocks=blocks, writable=False).read(0, blocks))
    info = subprocess.run(
        [program("udfinfo"), image], capture_output=True, text=True, check=True, timeout=60
    )
    assert "integrity=closed" in info.stdout
    assert not [line for line in info.stderr.splitlines() if "error" in line.lower()], info.stderr
    dump = subprocess.run(
        [program("udfdump"), "-b", str(BLOCK), "-t", image],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        errors="replace",
    )
    assert dump.returncode == 0, dump.stderr
    assert "large" in dump.stdout


# -- write-once discs ------------------------------------------------------------------


def fill_folder(fs: FileSystem, folder: str) -> None:
    for number in range(30):
        save(fs, f"{folder}/{number:040}", b"")


def test_in_a_virtual_partition(tmp_path: Path) -> None:
    """As another system would have made them: their streams' ICBs are found by the VAT."""
    burner, spool = rig.formatted(), tmp_path / "spool"
    fs = rig.mount(burner, spool, Clock())
    fill(fs)
    given = hot.Extension(pack_time(10**18), bytes(range(16)), 7, 12_345)
    for path in EXTENDED:
        state_of(fs, path).extension = given
    fs.shutdown()
    steps: list[Callable[[FileSystem], None]] = [
        lambda fs: fs.chmod("/small", 0o600),
        lambda fs: write(fs, "/full", b"!", MOST),
        lambda fs: fs.truncate("/full", MOST),
        lambda fs: write(fs, "/large", NOISE, 1234),
        lambda fs: fs.rename("/folder", "/moved"),
        lambda fs: fill_folder(fs, "/moved"),
        lambda fs: fs.unlink("/moved/inside"),
        lambda fs: fs.rename("/moved", "/folder"),
    ]
    for step in steps:
        fs = rig.mount(burner, spool, Clock())
        step(fs)
        fs.sync()
        save(fs, "/plain", NOISE[: len(steps)])
        fs.shutdown()
    fs = rig.mount(burner, spool, Clock())
    assert [state_of(fs, path).extension for path in EXTENDED] == [given] * len(EXTENDED)
    assert state_of(fs, "/plain").extension is None
    assert content(fs, "/full") == FILES["/full"]
    assert state_of(fs, "/full").embedded == FILES["/full"]
    assert content(fs, "/large") == (FILES["/large"][:1234] + NOISE)[: 1234 + len(NOISE)]
    fs.shutdown()
