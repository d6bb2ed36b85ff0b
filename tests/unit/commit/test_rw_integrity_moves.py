"""The packet of the integrity descriptor lies outside the partition: when it cannot
be written, the descriptor moves to a spare packet, and the volume descriptors lead there.

As with any packet, a power cut at every moment of it must leave all that was
durable, whatever the packet that went bad holds afterwards.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.allocation import examine
from support.rewritable import mkudffs

from media.errors import DefectivePacketError
from media.virtual import Burner
from udffs.errors import SpareTableFullError
from udffs.ondisc import osta, tags
from udffs.ondisc.ecma167 import INTEGRITY_CLOSED, LogicalVolumeIntegrityDescriptor
from udffs.ondisc.intentlog import Kind, Record
from udffs.ondisc.times import timestamp
from udffs.volume import open_volume
from udffs.volume.anchors import find_descriptors
from udffs.volume.intentlog import _Bounds
from udffs.volume.model import BLOCK
from udffs.volume.source import Source

from .rig import SYNC, Clock, content, save
from .rw_rig import (
    PACKET,
    Cut,
    cut,
    cuts,
    formatted,
    judged,
    mount,
    reset_faults,
    store_of,
    unsynced,
)
from .test_rw_foreign import CAPACITY, burnt

DATA = bytes(range(256)) * 300
NEW = b"new" * 500


def packet_of(burner: Burner) -> int:
    """The packet of the integrity descriptor."""
    at = judged(burner, may_be_open=True).integrity_at
    return at - at % PACKET


def wear_out(burner: Burner, *packets: int, **faults: Any) -> None:
    reset_faults(burner, bad_packets=burner.faults.bad_packets | set(packets), **faults)


def prepared(folder: Path, **options: Any) -> Burner:
    """A disc with a file on it, unmounted."""
    burner = formatted(**options)
    fs = mount(burner, folder / "spool")
    save(fs, "/file", DATA, sync=True)
    fs.shutdown()
    return burner


def moved(burner: Burner, old: int) -> int:
    """The disc is in order, closed, and the descriptor elsewhere, in what was a spare
    packet: the sparing tables have the bad one in its stead. Returns where."""
    report = judged(burner)
    new = report.integrity_at
    assert new != old and new % PACKET == 0 and new not in report.spare_packets
    sparing = open_volume(store_of(burner.branch(), writable=False)).sparing
    assert sparing is not None and not sparing.outdated
    assert (osta.SPARING_DEFECTIVE, old) in sparing.entries
    return new


# -- it moves --------------------------------------------------------------------


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("told", ["sync", "write"])
@pytest.mark.parametrize("at", ["open", "close"])
def test_the_integrity_descriptor_moves(at: str, told: str, verify: bool, tmp_path: Path) -> None:
    burner = prepared(tmp_path)
    old = packet_of(burner)
    said: list[str] = []
    if at == "open":
        wear_out(burner, old, defects_told=told)
    fs = mount(burner, tmp_path / "two", log=said.append)
    fs.volume.store.store.verify = verify
    save(fs, "/new", NEW, sync=True)
    wear_out(burner, old, defects_told=told)
    fs.shutdown()
    new = moved(burner, old)
    assert any(str(old) in text and str(new) in text for text in said)
    # From now on it is rewritten where it is.
    for number in range(3):
        fs = mount(burner, tmp_path / f"later {number}", log=said.append)
        assert fs.volume.notes == [] and fs.read_only is None
        assert content(fs, "/file") == DATA and content(fs, "/new") == NEW
        save(fs, f"/later {number}", NEW, sync=True)
        fs.shutdown()
        assert moved(burner, old) == new


def test_again_and_again(tmp_path: Path) -> None:
    """A place after the other wears out, some spare packets are bad from the start."""
    burner = prepared(tmp_path)
    places = [packet_of(burner)]
    for number in range(6):
        spares = [at for at in judged(burner).spare_packets if at not in places]
        wear_out(burner, places[-1], *(spares[number : number + 2] if number % 2 else ()))
        fs = mount(burner, tmp_path / f"spool {number}")
        save(fs, f"/file {number}", NEW, sync=True)
        fs.shutdown()
        places.append(packet_of(burner))
        moved(burner, places[-2])
    assert len(set(places)) == 7


def test_worn_out_by_many_mounts(tmp_path: Path) -> None:
    """Nothing is told beforehand: the packets bear so many rewrites, and the most
    rewritten one is the first to go."""
    burner = prepared(tmp_path)
    reset_faults(burner, wear_limit=24)
    old = packet_of(burner)
    for number in range(16):
        fs = mount(burner, tmp_path / f"spool {number}")
        save(fs, "/file", DATA[number:], sync=True)
        fs.shutdown()
        judged(burner)
    assert packet_of(burner) != old


@pytest.mark.strangers
@pytest.mark.parametrize("whose", ["ours", "mkudffs"])
def test_others_find_it(whose: str, program: Callable[[str], Path], tmp_path: Path) -> None:
    """udfinfo on ours; and on a volume of mkudffs it moves in the same way."""
    burner = formatted()
    if whose == "mkudffs":
        made = mkudffs(program("mkudffs"), tmp_path / "made", "2.01", CAPACITY["cd-rw-80"])
        burner = burnt(made, "cd-rw-80")
    old = packet_of(burner)
    wear_out(burner, old)
    fs = mount(burner, tmp_path / "spool")
    save(fs, "/file", DATA, sync=True)
    fs.shutdown()
    new = moved(burner, old)
    image = dumped(burner, tmp_path / "image", without=old)
    said = subprocess.run([program("udfinfo"), image], capture_output=True, text=True, check=True)
    assert "integrity=closed" in said.stdout and said.stderr == ""
    assert f"start={new}, blocks=1, type=LVID" in said.stdout


def dumped(burner: Burner, image: Path, *, without: int) -> Path:
    """The disc as a file, one packet left out."""
    store = store_of(burner.branch(), writable=False)
    with image.open("wb") as file:
        file.truncate(store.capacity * BLOCK)
        for at in range(0, store.capacity, PACKET):
            data = b"" if at == without else store.read(at, PACKET)
            if any(data):
                file.seek(at * BLOCK)
                file.write(data)
    return image


# -- where it cannot move ----------------------------------------------------------


def test_a_drive_that_spares(tmp_path: Path) -> None:
    """Then there are no sparing tables: nothing more is written, in words."""
    burner = formatted(kind="mrw")
    at = packet_of(burner)
    area = burner.recorder.medium.area
    assert area is not None
    area.worn_spares = area.spares
    wear_out(burner, at)
    fs = mount(burner, tmp_path / "spool")
    for path in ("/file", "/another"):
        with pytest.raises(DefectivePacketError, match=f"packet at block {at}"):
            save(fs, path, NEW, sync=True)


def test_no_spare_packet_is_left(tmp_path: Path) -> None:
    burner = prepared(tmp_path)
    report = judged(burner)
    wear_out(burner, report.integrity_at, *report.spare_packets)
    fs = mount(burner, tmp_path / "two")
    with pytest.raises((DefectivePacketError, SpareTableFullError), match="packet at block"):
        save(fs, "/new", NEW, sync=True)
    fs = mount(burner, tmp_path / "three")
    assert fs.read_only is not None and "packet" in fs.read_only
    assert content(fs, "/file") == DATA


# -- cuts ----------------------------------------------------------------------------


class Watch:
    """Copies of a disc, cut at every packet that is written while it moves."""

    def __init__(self, burner: Burner, old: int, every: int = 1) -> None:
        self.burner, self.old, self.every = burner, old, every
        self.files: dict[str, bytes] = {}
        self.number = 0
        self.begin()

    def begin(self) -> None:
        """The packet that will be bad has its old content now."""
        self.before = self.after = self._content()
        self.is_written = False
        self.found: list[tuple[str, Burner]] = []
        self.durable: list[dict[str, bytes]] = []
        self.written: list[bool] = []

    def _content(self) -> bytes:
        return self.burner.recorder.storage.read(self.old, PACKET)

    def __call__(self, operation: int) -> None:
        if operation != SYNC:
            return
        if self.old in unsynced(self.burner):
            self.after = self._content()
            self.is_written = True
        waiting = len(unsynced(self.burner))
        for how in cuts(min(waiting, 4), orders=(0, 7)):
            self.number += 1
            if self.number % self.every == 0:
                self._keep(how)

    def _keep(self, how: Cut) -> None:
        self.found.append((f"cut {self.number}, {how}", cut(self.burner, how)))
        self.durable.append(dict(self.files))
        self.written.append(self.is_written)


def move_with(burner: Burner, folder: Path, at: str, watch: Watch) -> None:
    """A session in which the descriptor moves, at one end or the other."""
    fs = mount(burner, folder, watch=watch if at == "open" else None)
    watch.files["/file"] = DATA
    save(fs, "/new", NEW, sync=True)
    watch.files["/new"] = NEW
    wear_out(burner, watch.old)
    fs.shutdown()


def variants(disc: Burner, watch: Watch) -> Iterator[tuple[str, Burner]]:
    """The bad packet may be as it was, or as it should be, or what the cut made of it."""
    yield "as it is", disc
    for what, data in (("old", watch.before), ("new", watch.after)):
        other = disc.branch()
        reset_faults(other)
        store = store_of(other)
        store.write(watch.old, data)
        store.flush()
        reset_faults(other, bad_packets=disc.faults.bad_packets)
        yield what, other


def check_cut(disc: Burner, watch: Watch, durable: dict[str, bytes], folder: Path) -> None:
    """For reading, for writing; afterwards it has moved."""
    for writable in (False, True):
        fs = mount(disc, folder / f"{writable}", writable=writable)
        for path, data in durable.items():
            assert content(fs, path) == data
        assert writable == (fs.read_only is None), fs.read_only
    judged(disc, may_be_open=True)
    save(fs, "/after", NEW, sync=True)
    fs.shutdown()
    moved(disc, watch.old)
    fs = mount(disc, folder / "again")
    assert fs.volume.notes == [] and content(fs, "/after") == NEW
    for path, data in durable.items():
        assert content(fs, path) == data


@pytest.mark.parametrize(("at", "every"), [("open", 3), ("close", 3)])
def test_cuts_while_it_moves(at: str, every: int, tmp_path: Path) -> None:
    _cuts(at, every, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("at", ["open", "close"])
def test_all_cuts_while_it_moves(at: str, tmp_path: Path) -> None:
    _cuts(at, 1, tmp_path)


def _cuts(at: str, every: int, folder: Path) -> None:
    burner = prepared(folder)
    old = packet_of(burner)
    watch = Watch(burner, old, every)
    if at == "open":
        wear_out(burner, old)
        move_with(burner, folder / "two", at, watch)
    else:
        fs = mount(burner, folder / "two", watch=lambda op: watch(op) if watch.files else None)
        save(fs, "/new", NEW, sync=True)
        watch.files.update({"/file": DATA, "/new": NEW})
        watch.begin()
        wear_out(burner, old)
        fs.shutdown()
    moved(burner, old)
    assert len(watch.found) * every > 80
    for index, (name, disc) in enumerate(watch.found):
        states = list(variants(disc, watch))[: 3 if watch.written[index] else 1]
        for what, other in states if every == 1 else [states[index % len(states)]]:
            try:
                check_cut(other, watch, watch.durable[index], folder / f"{index} {what}")
            except BaseException as error:
                error.add_note(f"at {at}: {name}, the bad packet {what}")
                raise


@pytest.mark.parametrize("worse", [False, True])
def test_cuts_while_a_cut_move_is_finished(worse: bool, tmp_path: Path) -> None:
    """A second cut, in the mount after the first; the new place may be bad, too."""
    burner = prepared(tmp_path)
    old = packet_of(burner)
    watch = Watch(burner, old, every=13)
    wear_out(burner, old)
    move_with(burner, tmp_path / "two", "open", watch)
    new = moved(burner, old)
    for index, (name, disc) in enumerate(watch.found):
        if worse:
            wear_out(disc, new)
        second = Watch(disc, old, every=17)
        second.number = index
        second.files = watch.durable[index]
        mount(disc, tmp_path / f"first {index}", watch=second)
        for number, (then, other) in enumerate(second.found):
            try:
                check_cut(other, watch, second.files, tmp_path / f"{index} {number}")
            except BaseException as error:
                error.add_note(f"{name}; then {then}")
                raise


# -- others ------------------------------------------------------------------------------


def write_as_another(disc: Burner) -> None:
    """Another system mounts and unmounts, at the place that the descriptors name."""
    reset_faults(disc)
    store = store_of(disc)
    report = examine(store, may_be_open=True)
    at = report.integrity_at
    data = store.read(at, 1)
    found = tags.unseal(LogicalVolumeIntegrityDescriptor, data, location=at)
    use = dict(osta.LogicalVolumeIntegrityImplementationUse.parse(found.implementation_use))
    use["implementation_id"] = osta.implementation_id(b"*Somebody else")
    use["number_of_files"], use["number_of_directories"] = report.files, report.directories
    use["minimum_udf_write_revision"] = use["minimum_udf_read_revision"]
    fields = {
        **found,
        "integrity_type": INTEGRITY_CLOSED,
        "free_space_table": [report.free],
        "logical_volume_contents_use": {"unique_id": 1000},
        "recording_date_and_time": timestamp(1_700_000_777 * 10**9),
        "implementation_use": osta.LogicalVolumeIntegrityImplementationUse.build(use)
        + found.implementation_use[46:],
    }
    version = tags.check(data).descriptor_version
    sealed = tags.seal(LogicalVolumeIntegrityDescriptor, fields, location=at, version=version)
    store.write(at, sealed.ljust(BLOCK, b"\0"))
    store.flush()


@pytest.mark.parametrize("at", ["open", "close"])
def test_another_system_wrote_meanwhile(at: str, tmp_path: Path) -> None:
    """After each step of the move, where it can find a descriptor at all."""
    burner = prepared(tmp_path)
    old = packet_of(burner)
    watch = Watch(burner, old)
    fs = mount(burner, tmp_path / "two", clock := Clock(), watch=watch)
    if at == "open":
        wear_out(burner, old)
    save(fs, "/new", NEW, sync=True)
    found = list(watch.found)
    if at == "close":
        watch.begin()
        wear_out(burner, old)
        fs.shutdown()
        found = [one for one, written in zip(watch.found, watch.written, strict=True) if written]
    recognised = 0
    for index, (name, disc) in enumerate(found):
        if "torn" in name:
            continue
        for what, other in list(variants(disc, watch))[1:]:
            write_as_another(other)
            fs = mount(other, tmp_path / f"{index} {what}", clock)
            state = fs.volume.intent_log
            assert state is not None and fs.read_only is None
            assert content(fs, "/file") == DATA
            recognised += any("another system" in note for note in fs.notes)
            save(fs, "/after", NEW, sync=True)
            fs.shutdown()
            judged(other)
    assert recognised > 3 or at == "close"


def test_a_log_cannot_send_it_anywhere(tmp_path: Path) -> None:
    """Whatever a record says, it is not written over anything that is known."""
    burner = prepared(tmp_path)
    old = packet_of(burner)
    watch = Watch(burner, old)
    wear_out(burner, old)
    move_with(burner, tmp_path / "two", "open", watch)
    new = moved(burner, old)
    volumes = (open_volume(store_of(disc, writable=False)) for _, disc in watch.found)
    volume = next(one for one in volumes if one.intent_log and one.intent_log.left)
    state, view, sparing = volume.intent_log, volume.view, volume.sparing
    assert state is not None and view is not None and sparing is not None
    assert (state.left, state.integrity_block) == (old, new)
    bounds = _Bounds.of(view, volume, state, find_descriptors(Source(view), []))
    known = [0, 256, view.last_block, volume.main_sequence[0], volume.reserve_sequence[0]]
    known += [*sparing.locations, *(at for _, at in sparing.entries if at != old)]
    known += [volume.partition_start, state.slots[0], view.capacity]
    for at in known:
        record = Record(Kind.OPEN, 0, 0, 1, 1, 16, at, 0, 0, images={at: b"", old: b""})
        assert not bounds.allow(record), at
    for at, other, allowed in ((new, old, True), (old, old, True), (new, 32, False)):
        record = Record(Kind.OPEN, 0, 0, 1, 1, 16, at, 0, 0, images={at: b"", other: b""})
        assert bounds.allow(record) == allowed
        assert bounds.images(record).keys() == {at}
