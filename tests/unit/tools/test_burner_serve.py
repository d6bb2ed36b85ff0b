"""tools/burner, and the target that it serves with."""

from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from vm.iscsi import serve

from media.virtual.disc import create

BURNER = Path(__file__).resolve().parents[3] / "tools" / "burner"
INQUIRY, READY, PREVENT = b"\x12\0\0\0\x24\0", bytes(6), b"\x1e\0\0\0\1\0"


class Initiator:
    """As little of an iSCSI initiator as sends commands."""

    def __init__(self, url: str) -> None:
        port = int(url.split("/")[2].rpartition(":")[2])
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.send(0x43, 0x87, 0, bytes(8))
        assert self.receive()[0] == 0x23

    def send(self, operation: int, flags: int, tag: int, field8: bytes, rest: bytes = b"") -> None:
        head = bytes([operation, flags]) + bytes(6) + field8 + struct.pack(">I", tag)
        self.socket.sendall((head + rest).ljust(48, b"\0"))

    def command(self, cdb: bytes, tag: int = 1, expected: int = 0) -> None:
        rest = struct.pack(">III", expected, 0, 0) + cdb
        self.send(1, 0xC0 if expected else 0x80, tag, bytes(8), rest)

    def receive(self) -> tuple[int, int, int, bytes]:
        """(operation, tag, status, data)"""
        header = self._exactly(48)
        length = int.from_bytes(header[5:8], "big")
        data = self._exactly(length + -length % 4)[:length]
        return header[0], int.from_bytes(header[16:20], "big"), header[3], data

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            assert part
            data += part
        return data


def hand(disc: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BURNER), words[0], str(disc), *words[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    create(tmp_path / "disc", "cd-r-74")
    return tmp_path / "disc"


@pytest.fixture
def served(disc: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, str(BURNER), "serve", str(disc), "--realtime", "16x"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().split()[0]
        process.terminate()


def test_a_drive_and_hands_on_it(disc: Path, served: tuple[subprocess.Popen[str], str]) -> None:
    process, url = served
    drive = Initiator(url)
    drive.command(INQUIRY, expected=36)
    assert b"VIRTUAL BURNER" in drive.receive()[3]
    assert drive.receive()[0] == 0x21
    drive.command(READY)
    assert drive.receive()[2] == 2
    drive.command(PREVENT)
    assert drive.receive()[2] == 0
    assert hand(disc, "press").returncode == 0
    assert json.loads(hand(disc, "status").stdout)["tray"] == "closed"
    assert hand(disc, "eject").returncode == 1
    drive.command(b"\x1e" + bytes(5))
    drive.receive()
    began = time.monotonic()
    drive.command(b"\x1b\0\0\0\2\0")
    assert drive.receive()[2] == 0
    assert time.monotonic() - began >= 1.9
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert "not being served" in hand(disc, "status").stderr


def test_a_slow_command_keeps_nobody_waiting_and_an_aborted_one_is_not_answered() -> None:
    go = threading.Event()

    def device(command: bytes, data: bytes) -> tuple[int, bytes, bytes]:
        if command[0] == 0x1B:
            go.wait(10)
        return 0, b"", b""

    with serve(device) as url:
        drive = Initiator(url)
        drive.command(b"\x1b" + bytes(5), tag=7)
        drive.send(0x40, 0x80, 8, bytes(8), b"\xff" * 4)
        assert drive.receive()[:2] == (0x20, 8)
        drive.send(0x42, 0x81, 9, bytes(8), struct.pack(">I", 7))
        assert drive.receive()[:2] == (0x22, 9)
        go.set()
        drive.command(READY, tag=10)
        assert drive.receive()[:2] == (0x21, 10)


def test_a_disc_that_is_not_there(tmp_path: Path) -> None:
    assert hand(tmp_path / "none", "status").returncode == 2
