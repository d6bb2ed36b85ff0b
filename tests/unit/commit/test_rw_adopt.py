"""The first writing to discs of other systems: where the log goes, and that no
cut on the way leaves less than there was."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.memory_disc import PACKET, MemoryDisc

from udffs.commit.rewritable.adopt import adopt, choose_log, is_held, why_not
from udffs.errors import UnsupportedError
from udffs.volume import Volume, open_volume
from udffs.volume.bitmap import new_space
from udffs.volume.model import BLOCK
from udffs.volume.partitions import PhysicalPartition

from .test_rw_format import CAPACITY, formatted

FindProgram = Callable[[str], Path]
Made = Callable[[str, str], MemoryDisc]


@pytest.fixture(scope="module")
def made(program: FindProgram, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """`made("cdrw", "2.01")` is a disc as mkudffs (and so cdrwtool) makes it."""
    folder = tmp_path_factory.mktemp("mkudffs")

    def make(media: str, revision: str) -> MemoryDisc:
        path = folder / f"{media}-{revision}.img"
        if not path.exists():
            command = [str(program("mkudffs")), "--new-file", f"--media-type={media}"]
            command += [f"--udfrev={revision}", "--blocksize=2048", str(path), str(CAPACITY)]
            subprocess.run(command, check=True, capture_output=True)
        disc = MemoryDisc(CAPACITY, spares_by_itself=media == "hd")
        disc.data[:] = path.read_bytes()
        return disc

    return make


KINDS = [("cdrw", "1.50"), ("cdrw", "2.01"), ("hd", "1.50"), ("hd", "2.01")]


def slots_of(volume: Volume) -> tuple[int, ...]:
    assert volume.intent_log is not None
    return volume.intent_log.slots


@pytest.mark.strangers
@pytest.mark.parametrize(("media", "revision"), KINDS)
def test_a_disc_of_mkudffs_gets_a_log(
    made: Made, program: FindProgram, tmp_path: Path, media: str, revision: str
) -> None:
    disc = made(media, revision)
    volume = open_volume(disc)
    assert volume.intent_log is None and volume.write_protected is None
    assert why_not(volume) is None
    space = volume.space()
    log = choose_log(space)
    adopt(disc.store, volume, log)
    assert not disc.gathered and len(disc.order) == 2
    again = open_volume(disc)
    assert again.notes == volume.notes and again.write_protected is None
    slots = slots_of(again)
    assert len(slots) == 64
    assert all(space.is_free(slot + at) for slot in slots for at in range(PACKET))
    assert not is_held(again, slots)  # before the first commit the packets are nobody's
    path = disc.save(tmp_path / "disc.img")
    told = subprocess.run([program("udfinfo"), path], capture_output=True, text=True, check=True)
    assert told.stderr == ""
    # Once more, elsewhere: the same descriptors, no second ones.
    adopt(disc.store, again, ((slots[-1] + PACKET, 16),))
    other = open_volume(disc)
    assert slots_of(other)[0] == slots[-1] + PACKET and len(slots_of(other)) == 16


@pytest.mark.strangers
@pytest.mark.parametrize(("media", "revision"), KINDS)
@pytest.mark.parametrize("after", range(3))
def test_a_cut_on_the_way(made: Made, media: str, revision: str, after: int) -> None:
    disc = made(media, revision)
    volume = open_volume(disc)
    disc.dies_after = after
    try:
        adopt(disc.store, volume, choose_log(volume.space()))
    except SystemExit:
        disc.gathered.clear()
    disc.dies_after = -1
    again = open_volume(disc)
    assert (again.intent_log is not None) == (after >= 1)
    assert again.identity == volume.identity and again.notes == volume.notes
    adopt(disc.store, again, choose_log(again.space()))
    assert len(slots_of(open_volume(disc))) == 64


def test_our_own_disc_has_and_holds_its_log() -> None:
    volume = formatted(MemoryDisc(CAPACITY))
    assert is_held(volume, slots_of(volume))
    assert not is_held(volume, (volume.partition_start + 200 * PACKET,))


# -- what is refused -----------------------------------------------------------


def test_both_copies_in_one_packet() -> None:
    disc = MemoryDisc(CAPACITY)
    volume = formatted(disc)
    volume.main_sequence = (32, 16 * BLOCK)
    volume.reserve_sequence = (48, 16 * BLOCK)
    disc.order.clear()
    with pytest.raises(UnsupportedError, match="one packet"):
        adopt(disc.store, volume, ((8192, 16),))
    assert not disc.order and not disc.gathered


@pytest.mark.strangers
def test_a_full_sequence(made: Made) -> None:
    disc = made("hd", "2.01")
    volume = open_volume(disc)
    start, _length = volume.reserve_sequence
    volume.reserve_sequence = (start, 6 * BLOCK)
    with pytest.raises(UnsupportedError, match="full"):
        adopt(disc.store, volume, ((8192, 16),))
    volume.reserve_sequence = (start, 5 * BLOCK)
    with pytest.raises(UnsupportedError, match="no end"):
        adopt(disc.store, volume, ((8192, 16),))
    disc.data[(start + 1) * BLOCK + 20] ^= 1
    with pytest.raises(UnsupportedError, match="damaged"):
        adopt(disc.store, open_volume(disc), ((8192, 16),))


@pytest.mark.parametrize("start", [0, 257, 288, 1312])
def test_the_log_takes_whole_free_packets(start: int) -> None:
    space = new_space(PhysicalPartition(start, 8000), start, 3)
    space.mark(start + 4000, 1, free=False)
    space.mark(start + 4800, 40, free=False)
    log = choose_log(space)
    assert sum(packets for _, packets in log) == 64
    for first, packets in log:
        assert first % PACKET == 0
        assert all(space.is_free(first + at) for at in range(packets * PACKET))


@pytest.mark.parametrize(("packets", "size"), [(128, 64), (127, 32), (64, 32), (63, 16), (32, 16)])
def test_a_small_disc_gets_a_small_log(packets: int, size: int) -> None:
    space = new_space(PhysicalPartition(288, packets * PACKET), 288, 3)
    assert sum(count for _, count in choose_log(space)) == size


def test_a_full_disc_gets_no_log() -> None:
    space = new_space(PhysicalPartition(288, 31 * PACKET), 288, 3)
    with pytest.raises(UnsupportedError, match="and there are 31"):
        choose_log(space)


def test_packets_that_are_not_the_drive_s() -> None:
    volume = formatted(MemoryDisc(CAPACITY))
    assert volume.sparing is not None and volume.view is not None
    assert why_not(volume) is None
    volume.view.spared = {volume.partition_start: 129}
    assert "spare packets" in (why_not(volume) or "")
    volume.partition_start += 1
    assert "does not begin with a packet" in (why_not(volume) or "")
    volume.sparing.packet = 16
    assert "16 blocks" in (why_not(volume) or "")
