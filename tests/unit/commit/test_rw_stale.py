"""Another system wrote while a log was pending: its state is the truth, nothing
is replayed, and what the log holds is saved on the host.

The stranger here writes as the Linux kernel does: the integrity descriptor in
place (open, then closed, its own name and time in it), file entries and data in
place. The disc it meets is the one of the last checkpoint.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from support.spoiling import resealed

from media.store import RewritableStore
from media.virtual import Burner
from udffs.commit.rewritable import opening
from udffs.errors import UdffsError
from udffs.ondisc import hot, osta, tags
from udffs.ondisc.ecma167 import LogicalVolumeIntegrityDescriptor
from udffs.volume import open_volume
from udffs.volume.intentlog import CLEAN, PENDING, STALE

from .rig import MIB, Clock, content, kill, picture, save
from .rw_rig import cut, cuts, formatted, judged, mount, store_of

BLOCK = 2048
NOISE = random.Random(1).randbytes(3 * MIB)


def stranger(
    burner: Burner,
    change: Callable[[RewritableStore], None] = lambda _store: None,
    *,
    second: int = 1,
) -> None:
    """Another system mounts the disc, does something to its blocks and unmounts."""
    store = store_of(burner)
    place = open_volume(store_of(burner.branch(), writable=False)).integrity_extent[0]
    found = tags.unseal(LogicalVolumeIntegrityDescriptor, store.read(place, 1), location=place)
    layout = osta.LogicalVolumeIntegrityImplementationUse
    use = bytearray(found.implementation_use)
    name = layout.parse(bytes(use[: layout.sizeof()]))
    name.implementation_id.identifier = b"*Linux UDFFS".ljust(23, b"\0")
    use[: layout.sizeof()] = layout.build(name)
    stamp = {**found.recording_date_and_time, "second": second}
    for kind in (0, 1):
        fields = {
            **found,
            "integrity_type": kind,
            "recording_date_and_time": stamp,
            "implementation_use": bytes(use),
        }
        store.write(
            place,
            tags.seal(LogicalVolumeIntegrityDescriptor, fields, location=place, version=3).ljust(
                BLOCK, b"\0"
            ),
        )
        store.flush()
        if kind == 0:
            change(store)
            store.flush()


def state_of(burner: Burner) -> str:
    log = open_volume(store_of(burner.branch(), writable=False)).intent_log
    assert log is not None
    return log.state


class Left:
    """A disc whose log is pending, and what was there."""

    def __init__(self, spool: Path) -> None:
        self.burner = formatted()
        fs = mount(self.burner, spool / "ours")
        save(fs, "/old", b"old" * 1000)
        save(fs, "/kept", NOISE[:50_000])
        fs.shutdown()
        fs = mount(self.burner, spool / "ours")
        fs.mkdir("/folder", 0o755, 0, 0)
        save(fs, "/folder/letter", b"dear all " * 500)
        save(fs, "/large", NOISE)
        fs.sync()
        save(fs, "/old", b"new" * 1200)
        save(fs, "/tiny", b"tiny")
        fs.symlink("/link", "old", 0, 0)
        fs.unlink("/folder/letter")
        save(fs, "/folder/letter", b"second thoughts " * 200)
        fs.sync()
        self.spool = kill(spool / "ours")
        assert state_of(self.burner) == PENDING


@pytest.fixture
def left(tmp_path: Path) -> Left:
    return Left(tmp_path)


def salvaged(spool: Path) -> dict[str, bytes]:
    (folder,) = [path for path in spool.iterdir() if ".salvaged-" in path.name]
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_nothing_is_replayed_and_all_is_saved(left: Left, tmp_path: Path) -> None:
    stranger(left.burner)
    assert state_of(left.burner) == STALE
    fs = mount(left.burner, tmp_path / "host")
    assert fs.read_only is None, fs.read_only
    assert sorted(name for name, _, _ in fs.readdir("/")) == ["kept", "old"]
    assert content(fs, "/old") == b"old" * 1000
    saved = salvaged(tmp_path / "host")
    assert saved["large"] == NOISE
    assert saved["old"] == b"new" * 1200
    assert saved["tiny"] == b"tiny"
    assert saved["letter"] == b"second thoughts " * 200
    assert any("salvaged" in note for note in fs.notes), fs.notes
    assert any("another system" in note for note in fs.notes), fs.notes
    save(fs, "/more", b"more" * 5000)
    fs.shutdown()
    judged(left.burner)
    again = mount(left.burner, tmp_path / "host")
    assert again.notes == []
    assert content(again, "/more") == b"more" * 5000
    assert content(again, "/kept") == NOISE[:50_000]
    assert len(list((tmp_path / "host").glob("*.salvaged-*"))) == 1


def test_the_spool_is_set_aside(left: Left) -> None:
    """That of the killed process: it builds upon commits that are no more."""
    stranger(left.burner)
    fs = mount(left.burner, left.spool)
    assert sorted(name for name, _, _ in fs.readdir("/")) == ["kept", "old"]
    assert salvaged(left.spool)["tiny"] == b"tiny"
    fs.shutdown()
    judged(left.burner)


def test_a_reading_mount_changes_nothing(left: Left, tmp_path: Path) -> None:
    stranger(left.burner)
    before = list(left.burner.recorder.medium.wear)
    fs = mount(left.burner, tmp_path / "host", writable=False)
    assert sorted(name for name, _, _ in fs.readdir("/")) == ["kept", "old"]
    assert any("another system" in note for note in fs.notes), fs.notes
    fs.shutdown()
    assert list(left.burner.recorder.medium.wear) == before
    assert not (tmp_path / "host").exists() or not list((tmp_path / "host").iterdir())
    assert state_of(left.burner) == STALE


def test_twice(left: Left, tmp_path: Path) -> None:
    """Strangers come and go; each time something else was in the log."""
    stranger(left.burner)
    fs = mount(left.burner, tmp_path / "host")
    save(fs, "/second", b"second")
    fs.sync()
    stranger(left.burner, second=2)
    again = mount(left.burner, tmp_path / "host 2")
    assert sorted(name for name, _, _ in again.readdir("/")) == ["kept", "old"]
    assert salvaged(tmp_path / "host 2")["second"] == b"second"
    again.shutdown()
    judged(left.burner)


def test_mounted_twice_without_a_change(left: Left, tmp_path: Path) -> None:
    """The files are saved once, and there is a word of it each time until then."""
    stranger(left.burner)
    mount(left.burner, tmp_path / "host").shutdown()
    first = salvaged(tmp_path / "host")
    mount(left.burner, tmp_path / "host").shutdown()
    assert salvaged(tmp_path / "host") == first


def test_a_salvage_that_was_interrupted(left: Left, tmp_path: Path) -> None:
    stranger(left.burner)
    host = tmp_path / "host"
    mount(left.burner.branch(), host)
    (folder,) = host.glob("*.salvaged-*")
    other = tmp_path / "other"
    shutil.copytree(folder, other / f"{folder.name}.new")
    (other / f"{folder.name}.new" / "tiny").write_bytes(b"t")
    fs = mount(left.burner, other)
    assert fs.read_only is None
    assert salvaged(other).keys() == {"large", "old", "tiny", "letter"}  # none that was deleted
    assert salvaged(other)["tiny"] == b"tiny"


def test_no_room_on_the_host(left: Left, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in the log stays there, and the disc is mounted for reading."""
    stranger(left.burner)

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(opening, "salvage", full)
        fs = mount(left.burner, tmp_path / "host")
        assert fs.read_only is not None and "No space left" in fs.read_only, fs.read_only
        assert content(fs, "/old") == b"old" * 1000
        fs.shutdown()
    assert state_of(left.burner) == STALE
    assert mount(left.burner, tmp_path / "host").read_only is None
    assert salvaged(tmp_path / "host")["large"] == NOISE


def test_its_data_was_overwritten(left: Left, tmp_path: Path) -> None:
    """Blocks that the last checkpoint calls free are the stranger's to use."""
    volume = open_volume(store_of(left.burner.branch(), writable=False))
    log = volume.intent_log
    assert log is not None
    store = store_of(left.burner.branch(), writable=False)
    at = next(
        block for block in range(0, store.capacity, 32) if store.read(block, 1) == NOISE[:BLOCK]
    )

    def overwrite(store: RewritableStore) -> None:
        store.write(at + 64, b"\xaa" * BLOCK * 32)

    stranger(left.burner, overwrite)
    fs = mount(left.burner, tmp_path / "host")
    saved = salvaged(tmp_path / "host")
    assert b"\xaa" * 100 not in saved["large"]
    assert len(saved["large"]) == len(NOISE)
    assert any("lost" in note for note in fs.notes), fs.notes
    assert saved["tiny"] == b"tiny"
    fs.shutdown()
    judged(left.burner)


def test_after_a_clean_unmount_there_is_nothing_to_save(tmp_path: Path) -> None:
    burner = formatted()
    fs = mount(burner, tmp_path / "ours")
    save(fs, "/a", b"a" * 5000)
    fs.sync()
    fs.shutdown()
    for second in range(3):
        stranger(burner, second=second)
        assert state_of(burner) == CLEAN
        fs = mount(burner, tmp_path / "host")
        assert fs.read_only is None and fs.notes == []
        save(fs, f"/{second}", b"more")
        fs.shutdown()
        judged(burner)
    assert not list((tmp_path / "host").iterdir())


def test_a_spool_of_before_two_strangers(tmp_path: Path) -> None:
    """Nothing was committed between them: still it is another disc each time."""
    burner = formatted()
    fs = mount(burner, tmp_path / "ours")
    save(fs, "/a", b"a", sync=True)
    fs.shutdown()
    stranger(burner, second=1)
    fs = mount(burner, tmp_path / "ours")
    save(fs, "/b", b"in the spool only")
    spool = kill(tmp_path / "ours")
    stranger(burner, second=2)
    fs = mount(burner, spool)
    assert [name for name, _, _ in fs.readdir("/")] == ["a"]
    assert any("kept" in note for note in fs.notes), fs.notes
    fs.shutdown()
    judged(burner)


def test_a_torn_integrity_descriptor_is_no_stranger(tmp_path: Path) -> None:
    """Cut while it is opened and while it is closed: our own log is replayed."""
    burner, clock = formatted(), Clock()
    states: list[tuple[Burner, int]] = []
    saved = [0]

    def watch(operation: int) -> None:
        for how in cuts(1):
            states.append((cut(burner, how), saved[0]))

    fs = mount(burner, tmp_path / "spool", clock, watch=watch)
    save(fs, "/a", b"a", sync=True)
    saved[0] = 1
    fs.shutdown()
    assert len(states) > 20
    for disc, durable in states[::3]:
        again = mount(disc, tmp_path / "empty", clock)
        assert again.read_only is None and not any("system" in n for n in again.notes), again.notes
        assert not durable or content(again, "/a") == b"a"
        again.shutdown()
        judged(disc)


# -- the hidden file ------------------------------------------------------------------


def hidden_file(burner: Burner) -> int:
    report = judged(burner.branch(), may_be_open=True)
    return report.start + next(
        block for path, block in report.icbs.items() if "Non-Allocatable" in path
    )


@pytest.mark.parametrize("pending", [False, True])
def test_the_hidden_file_is_gone(pending: bool, tmp_path: Path) -> None:
    """A stranger deleted it and gave its packets back: the next mount for
    writing must not use them as a log, for they may hold files by now."""
    left = Left(tmp_path)
    burner = left.burner
    if not pending:
        mount(burner, left.spool).shutdown()
    volume = open_volume(store_of(burner.branch(), writable=False))
    log = volume.intent_log
    assert log is not None
    slots = log.slots
    view = volume.view
    assert view is not None
    view.pending.clear()
    table = volume.space()
    for slot in slots:
        table.mark(slot, 32, free=True)
    root = volume.root_key & 0xFFFFFFFF

    def delete(store: RewritableStore) -> None:
        for index in range(table.blocks):
            store.write(table.location + index, table.block(index))
        at = volume.partition_start + root
        data = bytearray(store.read(at, 1))
        entry = hot.parse_file_entry(bytes(data), root)
        start = bytes(data).find(entry.allocation)
        for fid in hot.iter_fids(entry.allocation):
            if b"Non-Allo" in fid.name or "Non-Allo".encode("utf-16-be") in fid.name:
                data[start + fid.offset + 18] |= 4
                break
        else:
            raise AssertionError("no name")
        piece = bytes(data[start + fid.offset : start + fid.offset + fid.length])
        data[start + fid.offset : start + fid.offset + fid.length] = resealed(piece)
        store.write(at, resealed(bytes(data)))
        store.write(slots[-1], b"\x55" * 32 * BLOCK)  # somebody's file, though lost

    stranger(burner, delete)
    fs = mount(burner, tmp_path / "host")
    assert fs.read_only is None, fs.read_only
    seen = picture(fs)
    assert "/old" in seen
    if pending:
        assert salvaged(tmp_path / "host")["tiny"] == b"tiny"
    save(fs, "/more", b"more" * 5000, sync=True)
    fs.shutdown()
    again = open_volume(store_of(burner.branch(), writable=False)).intent_log
    assert again is not None and again.state == CLEAN
    fs = mount(burner, tmp_path / "host 2")
    assert content(fs, "/more") == b"more" * 5000


def test_its_packets_are_free_in_the_bitmap(tmp_path: Path) -> None:
    """The file is there, but a stranger's check gave its space back: nothing of
    ours goes to the packets of the log."""
    burner = formatted(blocks=12_000)
    volume = open_volume(store_of(burner.branch(), writable=False, blocks=12_000))
    log = volume.intent_log
    assert log is not None
    table = volume.space()
    for slot in log.slots:
        table.mark(slot, 32, free=True)

    def free(store: RewritableStore) -> None:
        for index in range(table.blocks):
            store.write(table.location + index, table.block(index))

    stranger(burner, free)
    fs = mount(burner, tmp_path / "host", blocks=12_000)
    assert fs.read_only is None, fs.read_only
    number = 0
    try:
        while True:
            handle = fs.create(f"/{number}", 0o644, os.O_RDWR, 0, 0)
            fs.write(handle, NOISE[:MIB], 0)
            fs.release(handle)
            fs.sync()
            number += 1
    except UdffsError as error:
        assert error.errno == 28
    fs.shutdown()
    fs = mount(burner, tmp_path / "host", blocks=12_000)
    for file in range(number):
        assert content(fs, f"/{file}") == NOISE[:MIB]
    fs.shutdown()
    judged(burner, blocks=12_000)
