"""Commands through SG_IO, with a kernel of the test's own that hands them to a virtual
burner: what reaches the drive and what comes back are the same bytes."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

import pytest

from media import errors
from media.channel import Channel
from media.drive import BLOCK, Drive
from media.mmc import commands
from media.mmc.sense import DescriptorSense, Sense, decode, encode
from media.reactions import Purpose
from media.store import SequentialStore
from media.transport import BUSY, CHECK_CONDITION, GOOD
from media.transport.sgio import (
    DID_BAD_TARGET,
    DID_NO_CONNECT,
    DID_REQUEUE,
    DID_TIME_OUT,
    SG_DXFER_FROM_DEV,
    SG_DXFER_NONE,
    SG_DXFER_TO_DEV,
    SG_IO,
    SgIoHeader,
    SgioTransport,
)
from media.virtual import Burner, memory_burner

DID_ERROR, DID_RESET = 0x07, 0x08
READ_10 = commands.Read10.build({"transfer_length": 1})


class FakeKernel:
    """The ioctl: takes headers apart as the kernel does. ``host``, ``driver`` and ``status``
    are put into the next answers; ``error`` is raised in place of one."""

    def __init__(self, burner: Burner) -> None:
        self.burner = burner
        self.host = self.driver = 0
        self.status: int | None = None
        self.error = 0
        self.seen: list[tuple[int, int, int]] = []
        self.addresses: list[int] = []

    def __call__(self, descriptor: int, request: int, header: Any) -> int:
        assert request == SG_IO
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        assert header.interface_id == ord("S")
        cdb = ctypes.string_at(header.cmdp, header.cmd_len)
        self.seen.append((header.dxfer_direction, header.dxfer_len, header.timeout))
        self.addresses.append(header.dxferp or 0)
        out = b""
        if header.dxfer_direction == SG_DXFER_TO_DEV:
            out = ctypes.string_at(header.dxferp, header.dxfer_len)
        status, data, sense = self.burner.execute(cdb, out)
        if header.dxfer_direction == SG_DXFER_FROM_DEV:
            data = data[: header.dxfer_len]
            ctypes.memmove(header.dxferp, data, len(data))
            header.resid = header.dxfer_len - len(data)
        header.status = status if self.status is None else self.status
        header.host_status, header.driver_status = self.host, self.driver
        header.sb_len_wr = len(sense)
        ctypes.memmove(header.sbp, sense, len(sense))
        return 0


@pytest.fixture
def burner() -> Burner:
    burner = memory_burner("cd-r-80")
    burner.execute(commands.TestUnitReady.build({}))  # takes the first attention
    return burner


def transport_of(kernel: FakeKernel) -> SgioTransport:
    return SgioTransport("/dev/sr0", (os.open(os.devnull, os.O_RDONLY),), 65536, kernel)


def test_header_is_the_kernels() -> None:
    """sizeof and offsets as a C compiler gives them on 64-bit Linux."""
    assert ctypes.sizeof(ctypes.c_void_p) != 8 or ctypes.sizeof(SgIoHeader) == 88
    assert SgIoHeader.dxferp.offset == 16
    assert SgIoHeader.timeout.offset == 40
    assert SgIoHeader.status.offset == 64
    assert SgIoHeader.resid.offset == 72


def test_whole_disc_through_the_ioctl(burner: Burner) -> None:
    """Write, flush, read back: slices of one buffer, in commands of the transport's size."""
    kernel = FakeKernel(burner)
    drive = Drive(transport_of(kernel), name="/dev/sr0", sleep=lambda _: None)
    store = SequentialStore(drive, writable=True)
    data = os.urandom(100 * BLOCK)
    store.write(store.next_writable, memoryview(data))
    store.flush()
    assert store.read(0, 100) == data
    sizes = [size for way, size, _ in kernel.seen if way == SG_DXFER_TO_DEV]
    assert max(sizes) == 65536
    store.close()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_data_goes_from_the_callers_memory(burner: Burner, kind: Any) -> None:
    kernel = FakeKernel(burner)
    transport = transport_of(kernel)
    whole = bytearray(3 * BLOCK)
    where = ctypes.addressof((ctypes.c_char * len(whole)).from_buffer(whole))
    data = memoryview(whole)[BLOCK:] if kind is memoryview else kind(whole)
    transport.execute(commands.TestUnitReady.build({}), data)
    if kind is memoryview:
        assert kernel.addresses == [where + BLOCK]
    assert kernel.seen[0][:2] == (SG_DXFER_TO_DEV, len(data))


def test_short_answer_is_cut_to_what_came(burner: Burner) -> None:
    transport = transport_of(FakeKernel(burner))
    inquiry = commands.Inquiry.build({"allocation_length": 512})
    status, data, _ = transport.execute(inquiry, read_length=512)
    assert (status, len(data)) == (GOOD, 96)
    for size in (1, 2, 36):
        cdb = commands.Inquiry.build({"allocation_length": size})
        assert transport.execute(cdb, read_length=size)[1] == data[:size]


def test_answers_do_not_share_memory(burner: Burner) -> None:
    transport = transport_of(FakeKernel(burner))
    before = bytes(2), bytes(36)
    for size in (2, 36):
        cdb = commands.Inquiry.build({"allocation_length": size})
        transport.execute(cdb, read_length=size)
    assert before == (bytes(2), bytes(36)) == (b"\0\0", b"\0" * 36)


def test_no_data_is_no_transfer(burner: Burner) -> None:
    kernel = FakeKernel(burner)
    transport_of(kernel).execute(commands.TestUnitReady.build({}), timeout=7.5)
    assert kernel.seen == [(SG_DXFER_NONE, 0, 7500)]


def test_sense_arrives(burner: Burner) -> None:
    status, _, sense = transport_of(FakeKernel(burner)).execute(READ_10, read_length=BLOCK)
    assert status == CHECK_CONDITION
    assert decode(sense).key in (3, 5)


def test_descriptor_sense_arrives(burner: Burner, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {"sense_key": 3, "additional_sense_code": 0x11}
    told = DescriptorSense.build(fields)
    kernel = FakeKernel(burner)
    monkeypatch.setattr(burner, "execute", lambda cdb, data: (CHECK_CONDITION, b"", told))
    status, _, sense = transport_of(kernel).execute(READ_10, read_length=BLOCK)
    assert (status, decode(sense)) == (CHECK_CONDITION, Sense(3, 0x11, 0))


@pytest.mark.parametrize(
    ("host", "driver", "expected"),
    [
        (DID_TIME_OUT, 0, (0xB, 0x08, 0x01)),
        (0, 0x06, (0xB, 0x08, 0x01)),
        (DID_ERROR, 0, (0xB, 0x08, 0x00)),
        (DID_RESET, 0, (0xB, 0x08, 0x00)),
    ],
)
def test_lost_command_is_one_that_was_broken_off(
    burner: Burner, host: int, driver: int, expected: tuple[int, int, int]
) -> None:
    kernel = FakeKernel(burner)
    kernel.host, kernel.driver = host, driver
    status, _, sense = transport_of(kernel).execute(commands.TestUnitReady.build({}))
    assert (status, decode(sense).code) == (CHECK_CONDITION, expected)


def test_busy_in_all_its_ways(burner: Burner) -> None:
    kernel = FakeKernel(burner)
    transport = transport_of(kernel)
    for host, answer in ((DID_REQUEUE, None), (0, 0x28), (0, BUSY)):
        kernel.host, kernel.status = host, answer
        assert transport.execute(commands.TestUnitReady.build({}))[0] == BUSY


def test_timeout_of_a_read_is_not_waited_for_again(burner: Burner) -> None:
    kernel = FakeKernel(burner)
    kernel.host = DID_TIME_OUT
    channel = Channel(transport_of(kernel), "/dev/sr0", lambda _: None, print, lambda _: None)
    with pytest.raises(errors.DriveSilentError, match="in time"):
        channel.command(READ_10, read_length=BLOCK, purpose=Purpose.READ)
    assert len(kernel.seen) == 1
    assert channel.doubts == 1


def test_timeout_of_a_write_is_a_lost_buffer(burner: Burner) -> None:
    kernel = FakeKernel(burner)
    kernel.host = DID_TIME_OUT
    channel = Channel(transport_of(kernel), "/dev/sr0", lambda _: None, print, lambda _: None)
    cdb = commands.SynchronizeCache.build({})
    with pytest.raises(errors.DriveResetError):
        channel.command(cdb, purpose=Purpose.FLUSH)
    assert channel.doubts == 1


@pytest.mark.parametrize("host", [DID_NO_CONNECT, DID_BAD_TARGET])
def test_unplugged_by_the_host_status(burner: Burner, host: int) -> None:
    kernel = FakeKernel(burner)
    kernel.host = host
    with pytest.raises(errors.DriveGoneError, match="unplugged"):
        transport_of(kernel).execute(commands.TestUnitReady.build({}))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENODEV, errors.DriveGoneError),
        (errno.ENXIO, errors.DriveGoneError),
        (errno.EPERM, errors.DriveForbiddenError),
        (errno.EINVAL, errors.DriveFailedError),
    ],
)
def test_refused_by_the_kernel(
    burner: Burner, code: int, expected: type[errors.MediaError]
) -> None:
    kernel = FakeKernel(burner)
    kernel.error = code
    with pytest.raises(expected):
        transport_of(kernel).execute(commands.TestUnitReady.build({}))


def test_closed_twice_and_used_afterwards(burner: Burner) -> None:
    transport = transport_of(FakeKernel(burner))
    transport.close()
    transport.close()
    with pytest.raises(errors.DriveGoneError):
        transport.execute(commands.TestUnitReady.build({}))


def test_old_sense_beside_a_failure_of_the_controller(
    burner: Burner, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = FakeKernel(burner)
    kernel.host = DID_ERROR
    stale = encode(0, 0, 0)
    monkeypatch.setattr(burner, "execute", lambda cdb, data: (CHECK_CONDITION, b"", stale))
    status, _, sense = transport_of(kernel).execute(commands.TestUnitReady.build({}))
    assert (status, decode(sense).code) == (CHECK_CONDITION, (0xB, 0x08, 0x00))
