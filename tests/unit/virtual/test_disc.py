"""Discs on the host: making, locking, and surviving a kill at any instant."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from media import errors
from media.mmc import commands as c
from media.virtual import KINDS, create, is_virtual_disc, memory_burner, open_burner
from media.virtual.state import LONG_HISTORY, state_path

from .hand import BLOCK, Hand, pattern, refusal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "disc.img"
    create(path, "cd-r-80", serial="test")
    return path


def opened(path: Path, **options: bool) -> Hand:
    return Hand(open_burner(path, **options)).ready()


# -- making and opening ---------------------------------------------------------------


def test_a_new_disc_is_empty_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "a.img"
    assert not is_virtual_disc(path)
    create(path, "cd-r-90")
    assert is_virtual_disc(path)
    assert path.stat().st_size == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.img", "a.img.state"]
    with pytest.raises(errors.DiscExistsError):
        create(path, "cd-r-80")
    path.unlink()
    with pytest.raises(errors.DiscExistsError, match="state"):
        create(path, "cd-r-80")
    with pytest.raises(errors.MediaUsageError, match="cd-r-74, cd-r-80, cd-r-90"):
        create(tmp_path / "b.img", "cd-r-81")
    with pytest.raises(errors.MediaUsageError) as caught:
        create(tmp_path / "nowhere" / "b.img", "cd-r-80")
    assert caught.value.errno == errno.ENOENT
    rewritable = {"cd-rw-74", "cd-rw-80", "mrw"}
    assert set(KINDS) == {"cd-r-74", "cd-r-80", "cd-r-90"} | rewritable


def test_what_is_no_virtual_disc(tmp_path: Path, path: Path) -> None:
    with pytest.raises(errors.NoSuchDriveError):
        open_burner(tmp_path / "none.img")
    plain = tmp_path / "plain.img"
    plain.write_bytes(bytes(BLOCK))
    with pytest.raises(errors.NotADiscImageError, match=r"plain\.img\.state is missing"):
        open_burner(plain)
    state_path(plain).write_bytes(b"something else\n")
    with pytest.raises(errors.DamagedStateError, match="does not begin as one"):
        open_burner(plain)


def test_the_image_is_the_data_and_ends_at_the_last_block(path: Path) -> None:
    hand = opened(path)
    hand.save(10)
    hand.save(5)
    hand.burner.close()
    hand.burner.close()
    assert path.read_bytes() == pattern(0, 10) + bytes(7 * BLOCK) + pattern(17, 5)
    hand = opened(path)
    hand.finish()
    start = hand.save(1)
    hand.burner.power_cut()
    hand.burner.close()
    assert path.stat().st_size == (start + 1) * BLOCK


def test_a_torn_packet_leaves_the_image(path: Path) -> None:
    for seed in range(10):
        hand = opened(path)
        hand.burner.faults.seed = seed
        hand.burner.faults.cut = "clean"
        block = hand.next
        hand.write(block, 3)
        hand.burner.power_cut()
        end = hand.burner.recorder.medium.end
        hand.burner.close()
        assert path.stat().st_size == end * BLOCK
        again = opened(path)
        assert again.burner.recorder.medium.packets() == hand.burner.recorder.medium.packets()
        again.burner.close()


def test_only_one_process_writes(path: Path) -> None:
    first = opened(path)
    with pytest.raises(errors.DriveBusyError, match=f"process {os.getpid()}") as caught:
        open_burner(path)
    assert caught.value.errno == errno.EBUSY
    first.save(5)
    reader = opened(path, writable=False)
    assert reader.read(0, 5) == pattern(0, 5)
    first.burner.close()
    opened(path).burner.close()


def test_another_process_is_named(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from media.virtual import open_burner\n"
        "burner = open_burner(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None and other.stdout.readline() == b"open\n"
        with pytest.raises(errors.DriveBusyError, match=f"process {other.pid}"):
            open_burner(path)
    opened(path).burner.close()


def test_read_only(path: Path) -> None:
    hand = opened(path)
    hand.save(5)
    hand.burner.close()
    before = state_path(path).read_bytes()
    hand = opened(path, writable=False)
    assert refusal(hand.write, 12) == (7, 0x27, 0)
    for command in (c.CloseTrackSession, c.ReserveTrack, c.SendOpcInformation, c.RepairTrack):
        assert refusal(hand.send, command) == (7, 0x27, 0)
    hand.sync()
    assert hand.read(0, 5) == pattern(0, 5)
    hand.burner.close()
    assert state_path(path).read_bytes() == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write to anything")
def test_no_permission(path: Path) -> None:
    path.chmod(0o444)
    with pytest.raises(errors.RecordingRefused):
        open_burner(path)


def test_a_closed_burner_fails_in_words(path: Path) -> None:
    hand = opened(path)
    hand.save(5)
    hand.burner.close()
    with pytest.raises(errors.DriveFailedError, match="Bad file descriptor"):
        hand.read(0)


def test_an_image_cut_short_never_reads_as_zeros(path: Path) -> None:
    hand = opened(path)
    hand.save(10)
    hand.burner.close()
    os.truncate(path, 4 * BLOCK)
    hand = opened(path)
    assert hand.read(0, 4) == pattern(0, 4)
    assert refusal(hand.read, 2, 8) == (3, 0x11, 5)


def test_a_host_without_room_fails_in_words(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = opened(path)
    hand.save(5)

    def full(*arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("media.virtual.storage._pwrite", full)
        with pytest.raises(errors.DriveFailedError, match="No space left"):
            hand.write(12, 3)
    hand.write(12, 3)
    hand.sync()
    assert hand.read(12, 3) == pattern(12, 3)
    assert path.stat().st_size == 15 * BLOCK


def test_sync_reaches_both_files(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(
        os, "fdatasync", lambda fd: synced.append(str(Path(f"/proc/self/fd/{fd}").readlink()))
    )
    hand = opened(path)
    hand.write(0, 5)
    assert synced == []
    hand.sync()
    assert synced == [str(path), str(state_path(path))]
    hand.sync()
    assert len(synced) == 2


def test_only_memory_branches(path: Path) -> None:
    with pytest.raises(errors.MediaUsageError):
        opened(path).burner.branch()


# -- crashes ----------------------------------------------------------------------------


def record_session(path: Path) -> list[tuple[int, int]]:
    """A session of all kinds of events; returns the blocks that were made durable."""
    hand = opened(path)
    hand.send(c.SendOpcInformation, do_opc=1)
    hand.send(c.ReserveTrack, reservation_size=300)
    saved = []
    for count in (5, 1, 30):
        saved.append((hand.save(count), count))
    hand.write(0, 100)
    hand.write(100, 150)
    hand.sync()
    saved.append((0, 250))
    hand.write(257, 43)
    hand.sync()
    saved.append((257, 43))
    hand.write(hand.next, 20)
    hand.burner.power_cut()
    hand.ready()
    hand.send(c.RepairTrack, logical_track_number=2)
    hand.close_track(2)
    saved.append((hand.save(9), 9))
    hand.finish()
    saved.append((hand.save(4), 4))
    hand.burner.close()
    return saved


def test_the_state_survives_being_cut_at_every_byte(path: Path, tmp_path: Path) -> None:
    saved = record_session(path)
    state = state_path(path).read_bytes()
    header = state.index(b"\n") + 1
    copy = tmp_path / "copy.img"
    shutil.copy(path, copy)
    assert known_by(path, state.count(b"\n"), saved) == saved
    for end in range(header, len(state) + 1):
        state_path(copy).write_bytes(state[:end])
        hand = opened(copy, writable=False)
        whole = state[header:end].count(b"\n")
        for block, count in known_by(path, whole, saved):
            assert hand.read(block, count) == pattern(block, count), end
        hand.burner.close()
    for end in range(header):
        state_path(copy).write_bytes(state[:end])
        with pytest.raises(errors.DamagedStateError):
            open_burner(copy)


def known_by(path: Path, lines: int, saved: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What must be readable with so many events: the packets they record."""
    text = state_path(path).read_text().splitlines()[1 : 1 + lines]
    return [(b, n) for b, n in saved if any(f'"s":{b},"n":{n}' in line for line in text)]


def test_a_cut_state_can_be_written_on(path: Path, tmp_path: Path) -> None:
    saved = record_session(path)
    state = state_path(path).read_bytes()
    image = path.read_bytes()
    for end in range(state.index(b"\n") + 1, len(state) + 1, 13):
        copy = tmp_path / f"{end}.img"
        copy.write_bytes(image)
        state_path(copy).write_bytes(state[:end])
        known = known_by(path, state[:end].count(b"\n") - 1, saved)
        hand = opened(copy)
        if hand.track().next_writable_address_valid:
            known.append((hand.save(3), 3))
        hand.burner.close()
        hand = opened(copy)
        for block, count in known:
            assert hand.read(block, count) == pattern(block, count)
        hand.burner.close()


def test_a_broken_middle_is_kept_beside(path: Path) -> None:
    record_session(path)
    state = bytearray(state_path(path).read_bytes())
    middle = state.index(b"\n", len(state) // 2)
    state[middle + 3] ^= 1
    state_path(path).write_bytes(state)
    opened(path).burner.close()
    damaged = path.with_name("disc.img.state.damaged")
    assert damaged.read_bytes() == state[middle + 1 :]


def test_events_of_a_later_version_are_not_guessed_at(path: Path) -> None:
    from media.virtual.state import _line

    with state_path(path).open("ab") as file:
        file.write(_line({"e": "polish"}))
    with pytest.raises(errors.DamagedStateError, match="event 1 is not one"):
        open_burner(path)


def test_a_process_that_ends_in_a_packet_has_written_it(path: Path) -> None:
    hand = opened(path)
    hand.save(5)
    hand.write(12, 3)
    data, state = path.read_bytes(), state_path(path).read_bytes()
    hand.burner.close()
    # As if close() had never been: the process is simply gone.
    path.write_bytes(data + b"half a block")
    state_path(path).write_bytes(state)
    hand = opened(path)
    assert hand.read(12, 3) == pattern(12, 3)
    assert hand.next == 15 + 7
    assert path.stat().st_size == 15 * BLOCK


def test_an_unfinished_packet_in_a_reserved_track(path: Path) -> None:
    hand = opened(path)
    hand.send(c.ReserveTrack, reservation_size=300)
    data = hand.save(5)
    hand.write(0, 20)
    hand.write(20, 10)
    state = state_path(path).read_bytes()
    hand.burner.close()
    state_path(path).write_bytes(state)
    hand = opened(path)
    assert hand.track(1).next_writable_address == 37
    assert hand.read(0, 30) == pattern(0, 30)
    assert hand.read(data, 5) == pattern(data, 5)


SAVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from virtual.hand import Hand
from media.virtual import open_burner
hand = Hand(open_burner(Path(sys.argv[1]))).ready()
while True:
    block = hand.next
    hand.write(block, 3)
    hand.write(block + 3, 30)
    hand.sync()
    print(block, flush=True)
"""


def test_sigkill_in_the_middle_of_writing(path: Path) -> None:
    chance = random.Random(1)
    saved: list[int] = []
    unit = str(Path(__file__).parent.parent)
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", SAVER, str(path), unit], stdout=subprocess.PIPE
        ) as writer:
            assert writer.stdout is not None
            saved += [int(writer.stdout.readline()) for _ in range(chance.randrange(1, 60))]
            writer.send_signal(signal.SIGKILL)
            saved += [int(line) for line in writer.stdout.read().split()]
        assert writer.returncode == -signal.SIGKILL
    hand = opened(path)
    assert len(saved) >= 4
    for block in saved:
        assert hand.read(block, 33) == pattern(block, 33)
    block = hand.save(2)
    assert block > max(saved)
    assert hand.read(block, 2) == pattern(block, 2)


def test_a_long_history_is_shortened(path: Path) -> None:
    hand = opened(path)
    for _ in range(LONG_HISTORY):
        hand.burner.recorder.write(hand.burner.recorder.medium.tracks[-1].next, 1, pattern(0))
        hand.burner.recorder.end_packet()
    packets = hand.burner.recorder.medium.packets()
    hand.finish()
    hand.save(2)
    hand.burner.close()
    size = state_path(path).stat().st_size
    hand = opened(path)
    assert state_path(path).stat().st_size < size / 2
    medium = hand.burner.recorder.medium
    assert medium.packets()[:-1] == packets
    hand.save(2)
    hand.burner.close()
    hand = opened(path)
    assert hand.disc().number_of_sessions_lsb == 2
    assert hand.burner.recorder.medium.snapshot()["tracks"] == medium.snapshot()["tracks"]


def test_random_sessions_keep_what_was_synced() -> None:
    for seed in range(40):
        chance = random.Random(seed)
        hand = Hand(memory_burner("cd-r-74")).ready()
        hand.burner.faults.seed = seed
        durable: list[tuple[int, int]] = []
        for _ in range(25):
            step = chance.choice(("save", "save", "write", "cut", "close", "reset"))
            if step == "save":
                count = chance.randint(1, 40)
                durable.append((hand.save(count), count))
            elif step == "write":
                hand.write(hand.next, chance.randint(1, 40))
            elif step == "cut":
                hand.burner.faults.cut = chance.choice(("repair", "clean"))
                hand.burner.power_cut()
                hand.ready()
                if hand.track().damage:
                    hand.send(c.RepairTrack, logical_track_number=0xFF)
                    hand.close_track()
            elif step == "close" and not hand.track().blank:
                hand.close_track()
                hand.close_session()
            elif step == "reset":
                hand.burner.reset()
                hand.ready()
        for block, count in durable:
            assert hand.read(block, count) == pattern(block, count), seed
