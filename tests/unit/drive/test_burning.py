"""Burning in one go, on the virtual burner."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from media import errors
from media.burning import BurnMode, burn, session_start
from media.drive import BLOCK, Drive
from media.mmc import features as f
from media.mmc.pages import SESSION_AT_ONCE
from media.store import open_store
from media.transport import Buffer
from media.transport.virtual import VirtualTransport
from media.virtual import Burner, memory_burner
from media.write_parameters import WriteSetUp

from .discs import attach, blocks, put

KINDS, MODES = ["cd-r-80", "cd-rw-80"], list(BurnMode)
RUN_OUT = {BurnMode.TAO: 2, BurnMode.SAO: 0}


@pytest.fixture(params=KINDS)
def burner(request: pytest.FixtureRequest) -> Burner:
    return memory_burner(request.param)


@pytest.fixture(params=MODES, ids=lambda mode: mode.name)
def mode(request: pytest.FixtureRequest) -> BurnMode:
    found: BurnMode = request.param
    return found


def drive_of(burner: Burner) -> Drive:
    return Drive(VirtualTransport(burner), name="disc.img", sleep=lambda seconds: None)


@pytest.fixture
def drive(burner: Burner) -> Drive:
    return drive_of(burner)


def cut(data: bytes, *sizes: int) -> Iterator[bytes]:
    """The data in pieces of so many blocks, and the rest."""
    for size in sizes:
        yield data[: size * BLOCK]
        data = data[size * BLOCK :]
    yield data


def test_a_blank_disc(burner: Burner, drive: Drive, mode: BurnMode) -> None:
    data = blocks(2_000)
    told: list[float] = []
    assert session_start(drive) == 0
    start = burn(drive, [data], 2_000, mode=mode, final=True, progress=told.append)
    assert start == 0
    assert drive.read(0, 2_000) == data
    disc = drive.disc()
    assert (disc.status, disc.last_session_state, disc.sessions) == ("complete", "complete", 1)
    (track,) = drive.tracks()
    assert (track.start, track.size) == (0, 2_000 + RUN_OUT[mode])
    assert (track.packets, track.damaged, track.data_mode) == (False, False, 1)
    points = [(entry.point, entry.start) for entry in drive.toc()]
    assert sorted(points) == [(1, 0), (0xA2, 2_000 + RUN_OUT[mode])]
    assert told == sorted(told) and told[-1] == 1.0 and len(told) > 5
    assert not burner.prevented
    assert burner.medium.packets() == [(0, 2_000)]  # one run, no links


def test_one_session_behind_the_other(drive: Drive) -> None:
    written: list[tuple[int, bytes]] = []
    for seed, mode in enumerate([BurnMode.TAO, BurnMode.SAO, BurnMode.SAO, BurnMode.TAO]):
        data = blocks(400, seed)
        expected = session_start(drive)
        start = burn(drive, [data], 400, mode=mode, final=seed == 3)
        assert start == expected
        written.append((start, data))
    for start, data in written:
        assert drive.read(start, 400) == data
    assert drive.disc().sessions == 4
    assert [start for start, _ in written] == [0, 11_802, 19_102, 26_402]


def test_behind_packets_and_packets_behind_it(burner: Burner, mode: BurnMode) -> None:
    store = attach(burner)
    first = blocks(20, 1)
    put(store, first)
    store.close_session(final=False)
    store.close()
    drive = drive_of(burner)
    second = blocks(500, 2)
    start = burn(drive, [second], 500, mode=mode, final=False)
    store = attach(burner)
    assert [span.start for span in store.sessions] == [0, start]
    assert store.sessions[-1].end is not None
    third = blocks(10, 3)
    behind = put(store, third)
    assert behind == start + 500 + RUN_OUT[mode] + 6_900
    assert store.read(0, 20) == first
    assert store.read(start, 500) == second
    assert store.read(behind, 10) == third
    store.close()


def test_a_store_finds_the_end(burner: Burner, mode: BurnMode) -> None:
    drive = drive_of(burner)
    burn(drive, [blocks(700)], 700, mode=mode, final=True)
    store = open_store(drive, writable=False)
    assert store.last_block == 699
    assert store.read(699, 1) == blocks(700)[-BLOCK:]


@pytest.mark.parametrize(
    "sizes", [(), (1,), (1, 2, 3), (512,), (511, 2), (513, 1), (0, 1_000), (1_024, 1)]
)
def test_pieces_of_any_size(drive: Drive, mode: BurnMode, sizes: tuple[int, ...]) -> None:
    data = blocks(1_500)
    burn(drive, cut(data, *sizes), 1_500, mode=mode, final=False)
    assert drive.read(0, 1_500) == data


@pytest.mark.parametrize("wrap", [bytes, bytearray, memoryview])
def test_any_buffer(drive: Drive, mode: BurnMode, wrap: type[Buffer]) -> None:
    data = blocks(700)
    burn(drive, map(wrap, cut(data, 300, 50)), 700, mode=mode, final=False)
    assert drive.read(0, 700) == data


def test_a_small_transfer_limit(burner: Burner, mode: BurnMode) -> None:
    transport = VirtualTransport(burner)
    transport.max_transfer = 31 * BLOCK
    drive = Drive(transport, name="disc.img", sleep=lambda seconds: None)
    longest = 0

    def look(cdb: bytes) -> None:
        nonlocal longest
        if cdb[0] == 0x2A:
            longest = max(longest, int.from_bytes(cdb[7:9]))

    burner.faults.hook = look
    data = blocks(700)
    burn(drive, [data], 700, mode=mode, final=False)
    assert drive.read(0, 700) == data
    assert longest == 31


def test_a_short_track_is_filled_up(drive: Drive, mode: BurnMode) -> None:
    """A track has four seconds at least."""
    burn(drive, [blocks(7)], 7, mode=mode, final=False)
    assert drive.read(0, 300) == blocks(7) + bytes(293 * BLOCK)
    assert drive.track(1).size == 300 + RUN_OUT[mode]


def test_trying_leaves_the_disc_blank(burner: Burner, drive: Drive, mode: BurnMode) -> None:
    before = burner.medium.snapshot()
    seconds = burner.seconds
    told: list[float] = []
    arguments = {"mode": mode, "final": True, "test": True, "progress": told.append}
    assert burn(drive, [blocks(2_000)], 2_000, **arguments) == 0
    assert burner.medium.snapshot() == before
    assert drive.disc().status == "blank"
    assert told[-1] == 1.0
    assert burner.seconds - seconds > 2_000 / (75 * 16)
    data = blocks(2_000, 2)
    burn(drive, [data], 2_000, mode=mode, final=True)
    assert drive.read(0, 2_000) == data


def test_as_much_as_there_is_room_for(burner: Burner, drive: Drive, mode: BurnMode) -> None:
    burner.medium.tracks[-1].limit = 1_000
    with pytest.raises(errors.MediumFullError, match="no room for 1001 more blocks"):
        burn(drive, [blocks(1_001)], 1_001, mode=mode, final=True)
    assert drive.disc().status == "blank"
    burn(drive, [blocks(1_000)], 1_000, mode=mode, final=True)
    assert drive.read(0, 1_000) == blocks(1_000)


def test_page_05h_is_for_packets_afterwards(drive: Drive, mode: BurnMode) -> None:
    """Or the drive would go on calling a pre-gap writable."""
    burn(drive, [blocks(400)], 400, mode=mode, final=False)
    track = drive.track()
    assert track.next_writable == track.start


def test_a_drive_that_is_busy_is_waited_for(burner: Burner, mode: BurnMode) -> None:
    waits: list[float] = []
    drive = Drive(VirtualTransport(burner), name="disc.img", sleep=waits.append)
    burner.faults.fail((2, 0x04, 0x08), operation=0x2A, after=1, times=5)
    burn(drive, [blocks(2_000)], 2_000, mode=mode, final=False)
    assert drive.read(0, 2_000) == blocks(2_000)
    assert waits.count(0.05) == 5


@pytest.mark.parametrize("sense", [(5, 0x72, 0x03), (5, 0x2C, 0x00)])
def test_a_drive_that_refuses_to_close_the_track(
    burner: Burner, drive: Drive, sense: tuple[int, int, int]
) -> None:
    """Most have done so when the cache was flushed."""
    burner.faults.fail(sense, operation=0x5B, times=1)
    real = drive.track
    looks = 0

    def as_if_open(number: int = 0xFF):  # type: ignore[no-untyped-def]
        nonlocal looks
        looks += 1
        return real(1 if looks == 2 else number)

    drive.track = as_if_open  # type: ignore[method-assign]
    burn(drive, [blocks(400)], 400, mode=BurnMode.TAO, final=False)
    assert not burner.faults.failures[0].times
    assert drive.read(0, 400) == blocks(400)


@pytest.mark.parametrize("count", [0, 1], ids=["blank", "appended"])
def test_a_drive_that_is_left_set_for_a_session_at_once(burner: Burner, count: int) -> None:
    """As wodim leaves it: the drive calls the pre-gap writable then."""
    drive = drive_of(burner)
    if count:
        burn(drive, [blocks(400)], 400, mode=BurnMode.TAO, final=False)
    start = session_start(drive)
    drive.set_up(WriteSetUp(write_type=SESSION_AT_ONCE))
    assert burner.recorder.next_writable(burner.medium.tracks[-1]) == start - 150
    drive = drive_of(burner)
    assert session_start(drive) == start
    store = attach(burner)
    assert (store.next_writable, store.session_start) == (start, start)
    assert not store.needs_repair and not store.session_open
    assert put(store, blocks(10)) == start


# -- what is refused before anything is touched --------------------------------------------


def refused(drive: Drive, kind: type[errors.MediaError], mode: BurnMode, **fields: bool) -> str:
    def chunks() -> Iterator[bytes]:
        raise AssertionError("nothing must be read")
        yield b""

    with pytest.raises(kind) as caught:
        burn(drive, chunks(), 400, mode=mode, final=False, **fields)
    assert not isinstance(caught.value, errors.BurnFailedError)
    return str(caught.value)


def test_discs_that_take_no_session(burner: Burner, drive: Drive, mode: BurnMode) -> None:
    store = attach(burner)
    put(store, blocks(5))
    assert "still open" in refused(drive, errors.MediaUsageError, mode)
    with pytest.raises(errors.MediaUsageError):
        session_start(drive)
    store.close_session(final=True)
    assert "closed" in refused(drive, errors.ReadOnlyMediumError, mode)
    burner.remove()
    with pytest.raises((errors.NoMediumError, errors.MediumChangedError)):
        burn(drive, [], 400, mode=mode, final=False)


def test_a_reserved_track_is_an_open_session(burner: Burner, drive: Drive, mode: BurnMode) -> None:
    burner.recorder.reserve(330)
    assert "still open" in refused(drive, errors.MediaUsageError, mode)


def test_a_formatted_disc(mode: BurnMode) -> None:
    burner = memory_burner("cd-rw-80")
    burner.recorder.format(3_200, False)
    burner.spoil()
    burner.recorder.format(3_200, False)
    burner.reset()
    assert "erased first" in refused(drive_of(burner), errors.WrongMediumError, mode)


def test_nothing_to_burn(drive: Drive, mode: BurnMode) -> None:
    with pytest.raises(errors.MediaUsageError, match="nothing to burn"):
        burn(drive, [], 0, mode=mode, final=False)


class Without(VirtualTransport):
    """A drive that lacks a feature, or a bit of it (the first data byte's mask)."""

    def __init__(self, burner: Burner, code: int, mask: int | None) -> None:
        super().__init__(burner)
        self.code, self.mask = code, mask

    def execute(self, cdb: bytes, data_out: Buffer = b"", **rest: object):  # type: ignore
        status, data, sense = super().execute(cdb, data_out)
        if cdb[0] == 0x46 and not status:
            data = self._less(data)
        return status, data, sense

    def _less(self, reply: bytes) -> bytes:
        kept, rest = reply[:8], reply[8:]
        while rest:
            each, rest = rest[: 4 + rest[3]], rest[4 + rest[3] :]
            if int.from_bytes(each[:2]) != self.code:
                kept += each
            elif self.mask is not None:
                kept += each[:4] + bytes([each[4] & ~self.mask]) + each[5:]
        return kept


FEATURE = {BurnMode.TAO: f.CD_TRACK_AT_ONCE, BurnMode.SAO: f.CD_MASTERING}


def test_a_drive_that_lacks_it(burner: Burner, mode: BurnMode) -> None:
    transport = Without(burner, FEATURE[mode], None)
    drive = Drive(transport, name="disc.img", sleep=lambda seconds: None)
    assert f"cannot record a {mode.value}" in refused(drive, errors.RecordingRefused, mode)
    (other,) = set(BurnMode) - {mode}
    burn(drive, [blocks(400)], 400, mode=other, final=False)


def test_a_drive_that_cannot_try(burner: Burner, mode: BurnMode) -> None:
    transport = Without(burner, FEATURE[mode], 0x04)
    drive = Drive(transport, name="disc.img", sleep=lambda seconds: None)
    assert "only try" in refused(drive, errors.RecordingRefused, mode, test=True)
    burn(drive, [blocks(400)], 400, mode=mode, final=False)


def test_mastering_without_sessions_at_once(burner: Burner) -> None:
    transport = Without(burner, f.CD_MASTERING, 0x20)
    drive = Drive(transport, name="disc.img", sleep=lambda seconds: None)
    assert "session at once" in refused(drive, errors.RecordingRefused, BurnMode.SAO)
