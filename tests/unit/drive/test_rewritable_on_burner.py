"""The rewritable store on the virtual burner: any misfortune, against a plain bytearray."""

from __future__ import annotations

import random
import threading
import time

import pytest

from media import errors, formatting
from media.drive import BLOCK, Drive
from media.mmc import replies
from media.rewritable import RewritableStore
from media.store import open_store
from media.transport.virtual import VirtualTransport
from media.virtual import Burner, memory_burner

from .discs import blocks

PACKET = 32
SIZE = PACKET * BLOCK
#: Packets of the small discs here, and of those how many are kept to spare others
PACKETS, SPARES = 48, 12


def drive_of(burner: Burner) -> Drive:
    return Drive(VirtualTransport(burner), name="disc.img", sleep=lambda _: None)


def attach(burner: Burner, cache_packets: int = 256) -> RewritableStore:
    return RewritableStore(drive_of(burner), cache_packets=cache_packets)


def small_disc(kind: str = "cd-rw-80") -> Burner:
    """(Mt. Rainier knows no small discs.)"""
    burner = memory_burner(kind)
    drive = drive_of(burner)
    if kind == "mrw":
        formatting.format_medium(drive, "mrw", full=False)
    else:
        drive.set_up_fixed_packets()
        drive.format_unit(replies.FORMAT_CD_RW, PACKETS * PACKET, PACKET)
    return burner


def pull_the_plug(burner: Burner) -> None:
    """A power cut from within a hook, which runs under the burner's lock."""
    burner.recorder.tear()
    burner._power_on()


@pytest.fixture
def burner() -> Burner:
    return small_disc()


@pytest.mark.parametrize("kind", ["cd-rw-74", "cd-rw-80", "mrw"])
def test_whole_discs(kind: str) -> None:
    burner = memory_burner(kind)
    mode = "mrw" if kind == "mrw" else "packet"
    formatting.format_medium(drive_of(burner), mode, full=False)
    store = open_store(drive_of(burner))
    assert isinstance(store, RewritableStore)
    last = store.capacity - 3
    store.write(last, blocks(3))
    store.write(5, blocks(70, seed=2))
    store.flush()
    again = attach(burner)
    assert again.read(last, 3) == blocks(3)
    assert again.read(5, 70) == blocks(70, seed=2)
    with pytest.raises(errors.MediaBug):
        store.write(last, blocks(4))


def test_each_packet_is_rewritten_once(burner: Burner) -> None:
    store = attach(burner)
    before = list(burner.medium.wear)
    for number in range(100):
        store.write(number * 7 % 600, blocks(9, seed=number))
    store.flush()
    worn = [now - was for now, was in zip(burner.medium.wear, before, strict=True)]
    assert set(worn) == {0, 1} and sum(worn) == store.packets_written


@pytest.mark.parametrize("told", ["write", "sync"])
@pytest.mark.parametrize("empties", [False, True])
def test_bad_packets(burner: Burner, told: str, empties: bool) -> None:
    store = attach(burner)
    burner.faults.bad_packets = {96, 320, 352}
    burner.faults.defects_told = told  # type: ignore[assignment]
    burner.faults.error_empties_buffer = empties
    store.write(0, blocks(512))
    spared = {}
    while True:
        try:
            store.flush()
            break
        except errors.DefectivePacketError as error:
            spared[error.block] = 1024 + 32 * len(spared)
            store.relocate(error.block, spared[error.block])
    assert set(spared) == burner.faults.bad_packets
    again = attach(burner)
    for first in range(0, 512, 32):
        home = spared.get(first, first)
        assert again.read(home, 32) == blocks(512)[first * BLOCK : first * BLOCK + SIZE]


def test_worn_out(burner: Burner) -> None:
    store = attach(burner)
    burner.faults.wear_limit = max(burner.medium.wear) + 3
    with pytest.raises(errors.DefectivePacketError) as caught:
        for number in range(10):
            store.write(64, blocks(32, seed=number))
            store.flush()
    assert caught.value.block == 64


def test_silent_loss_is_seen_by_verify(burner: Burner) -> None:
    store = attach(burner)
    store.verify = True
    burner.faults.lost_buffers = {burner.recorder.packets + 2}
    store.write(0, blocks(96))
    with pytest.raises(errors.DefectivePacketError) as caught:
        store.flush()
    assert caught.value.block == 32


def test_torn_packet_can_be_written_again(burner: Burner) -> None:
    store = attach(burner)
    store.write(0, blocks(320))
    store.flush()
    burner.faults.torn = "unreadable"
    store.write(0, blocks(320, seed=2))

    def once(cdb: bytes) -> None:
        if cdb[0] == 0x35:
            burner.faults.hook = None
            pull_the_plug(burner)

    burner.faults.hook = once
    store.flush()
    assert attach(burner).read(0, 320) == blocks(320, seed=2)


@pytest.mark.parametrize("number", range(1, 14))
def test_power_cut_under_our_feet(number: int) -> None:
    """At the n-th command of a flush; the store writes all of it again."""
    burner = small_disc()
    store = attach(burner)
    left = number

    def cut(_cdb: bytes) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            pull_the_plug(burner)

    for first in range(0, 640, 64):
        store.write(first, blocks(32, seed=first))
    store.write(1000, blocks(3))
    burner.faults.hook = cut
    store.flush()
    burner.faults.hook = None
    again = attach(burner)
    for first in range(0, 640, 64):
        assert again.read(first, 32) == blocks(32, seed=first)
    assert again.read(999, 5) == bytes(BLOCK) + blocks(3) + bytes(BLOCK)


def test_removal(burner: Burner) -> None:
    store = attach(burner)
    store.write(0, blocks(32))
    burner.remove()
    with pytest.raises(errors.DiscFault):
        store.flush()
    burner.insert()
    for _ in range(2):
        with pytest.raises(errors.DiscFault):
            store.flush()
    with pytest.raises(errors.DiscFault):
        store.read(0, 1)


class Machine:
    """A store, and what it should hold."""

    def __init__(self, seed: int, kind: str) -> None:
        self.chance = random.Random(seed)
        self.burner = small_disc(kind)
        self.burner.faults.seed = seed
        self.burner.faults.error_empties_buffer = self.chance.random() < 0.5
        self.burner.faults.defects_told = self.chance.choice(["write", "sync"])
        self.burner.faults.torn = self.chance.choice([None, "unreadable", "mixed", "half"])
        self.length = (PACKETS - SPARES) * PACKET
        self.now = bytearray(self.length * BLOCK)
        self.moved: dict[int, int] = {}
        self.spares = list(range(self.length, PACKETS * PACKET, PACKET))
        self.touched: set[int] = set()
        self.open()

    def open(self) -> None:
        self.store = attach(self.burner, self.chance.choice([2, 5, 16, 256]))
        self.store.verify = self.chance.random() < 0.3

    def actual(self, block: int) -> int:
        first = block // PACKET * PACKET
        return self.moved.get(first, first) + block % PACKET

    def insist(self, action: object) -> None:
        """Spare what cannot be written."""
        for _ in range(SPARES + 1):
            try:
                action()  # type: ignore[operator]
            except errors.DefectivePacketError as error:
                assert error.block in self.bad, f"{error.block} is not bad"
                homes = {actual: home for home, actual in self.moved.items()}
                home = homes.get(error.block, error.block)
                self.moved[home] = self.spares.pop()
                self.store.relocate(error.block, self.moved[home])
            else:
                return
            action = self.store.flush
        raise AssertionError("no end of defects")

    @property
    def bad(self) -> set[int]:
        return self.burner.faults.bad_packets

    def write(self) -> None:
        block = self.chance.randrange(self.length)
        count = min(self.chance.choice([1, 3, 32, 70, 200]), self.length - block)
        if self.chance.random() < 0.4:
            block -= block % PACKET
        data = self.chance.randbytes(count * BLOCK)
        done = 0
        while done < count:
            number = min(PACKET - (block + done) % PACKET, count - done)
            piece = data[done * BLOCK : (done + number) * BLOCK]
            at = block + done
            self.touched.add(at // PACKET * PACKET)
            self.now[at * BLOCK : (at + number) * BLOCK] = piece
            where = self.actual(at)
            self.insist(lambda where=where, piece=piece: self.store.write(where, piece))
            done += number

    def flush(self) -> None:
        self.insist(self.store.flush)
        assert not self.store.gathered_packets
        self.touched.clear()

    def check(self, packets: list[int]) -> None:
        for first in packets:
            found = self.store.read(self.actual(first), PACKET)
            assert found == self.now[first * BLOCK : first * BLOCK + SIZE], f"packet {first}"

    def read(self) -> None:
        self.check([self.chance.randrange(self.length // PACKET) * PACKET])
        block = self.chance.randrange(self.length)
        assert self.store.read(self.actual(block), 1) == self.now[block * BLOCK :][:BLOCK]

    def break_off(self) -> None:
        """The program and the power go in the middle of a flush."""
        left = self.chance.randrange(12)
        untouched = [first for first in self.homes() if first not in self.touched]

        def stop(_cdb: bytes) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise InterruptedError

        self.burner.faults.hook = stop
        try:
            self.flush()
        except InterruptedError:
            pass
        finally:
            self.burner.faults.hook = None
        self.burner.power_cut()
        self.open()
        self.check(untouched)
        for first in set(self.homes()) - set(untouched):
            # Some of it may have been lost with the program: it is written anew, whole.
            self.now[first * BLOCK : first * BLOCK + SIZE] = data = self.chance.randbytes(SIZE)
            where = self.actual(first)
            self.insist(lambda where=where, data=data: self.store.write(where, data))
        self.flush()

    def homes(self) -> list[int]:
        return list(range(0, self.length, PACKET))

    def plague(self) -> None:
        kind = self.chance.randrange(6)
        faults = self.burner.faults
        if kind == 0 and len(self.spares) > 2 and len(self.bad) < SPARES - 2:
            self.bad.add(self.chance.randrange(PACKETS) * PACKET)
            self.spares = [spare for spare in self.spares if spare not in self.bad]
        elif kind == 1:
            faults.fail(
                self.chance.choice([(6, 0x29, 0), (6, 0x2A, 1), (0xB, 0, 0), (2, 4, 8)]),
                operation=self.chance.choice([0x28, 0x2A, 0x35]),
                after=self.chance.randrange(3),
                carried_out=self.chance.random() < 0.5,
            )
        elif kind == 2:
            self.burner.power_cut()
        elif kind == 3:
            self.burner.reset()
        elif kind == 4:
            left = self.chance.randrange(8)

            def cut(_cdb: bytes) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    faults.hook = None
                    pull_the_plug(self.burner)

            faults.hook = cut
        else:
            faults.read_buffered = self.chance.random() < 0.5


@pytest.mark.parametrize("seed", range(80))
def test_any_misfortune(seed: int) -> None:
    machine = Machine(seed, "mrw" if seed % 4 == 3 else "cd-rw-80")
    for _ in range(60):
        what = machine.chance.random()
        if what < 0.5:
            machine.write()
        elif what < 0.65:
            machine.flush()
        elif what < 0.8:
            machine.read()
        elif what < 0.95:
            machine.plague()
        else:
            machine.break_off()
    machine.flush()
    machine.check(machine.homes())
    machine.open()
    machine.check(machine.homes())


def test_a_reader_waits_for_one_command_at_most(burner: Burner) -> None:
    """While a long flush runs, with commands that take their time."""
    burner.faults.pace = lambda seconds: time.sleep(0.01)
    store = attach(burner)
    for first in range(0, 1536, 64):
        store.write(first, blocks(32, seed=first))
    waits: list[float] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            begun = time.monotonic()
            store.read(32 + 64 * (len(waits) % 24), 1)
            waits.append(time.monotonic() - begun)

    reader = threading.Thread(target=read)
    reader.start()
    begun = time.monotonic()
    store.flush()
    whole = time.monotonic() - begun
    done.set()
    reader.join()
    assert len(waits) > 10
    assert sorted(waits)[len(waits) * 9 // 10] < whole / 4
    for first in range(0, 1536, 64):
        assert store.read(first, 32) == blocks(32, seed=first)


def test_many_readers_of_a_disc_that_is_written(burner: Burner) -> None:
    store = attach(burner, cache_packets=6)
    burner.faults.read_buffered = False
    store.write(0, blocks(PACKETS * PACKET))
    store.flush()
    stop, wrong = threading.Event(), []
    whole = blocks(PACKETS * PACKET)

    def read(seed: int) -> None:
        chance = random.Random(seed)
        try:
            while not stop.is_set():
                block, count = chance.randrange(1400), chance.randint(1, 100)
                if store.read(block, count) != whole[block * BLOCK : (block + count) * BLOCK]:
                    wrong.append(f"{count} blocks from {block}")
        except errors.MediaError as error:
            wrong.append(str(error))

    readers = [threading.Thread(target=read, args=(seed,)) for seed in range(3)]
    for reader in readers:
        reader.start()
    chance = random.Random(7)
    for _ in range(150):
        block, count = chance.randrange(1400), chance.randint(1, 64)
        store.write(block, whole[block * BLOCK : (block + count) * BLOCK])
        if chance.random() < 0.1:
            store.flush()
        if chance.random() < 0.05:
            burner.power_cut()
    stop.set()
    for reader in readers:
        reader.join()
    assert wrong == []
