"""The first packet of a session holds what makes it readable; it may be lost."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from media.drive import Drive
from media.store import SequentialStore, open_store
from media.transport.virtual import VirtualTransport
from media.virtual import Burner, memory_burner
from udffs.commit.format import FormatOptions, format_volume
from udffs.filesystem import open_file_system

SYNCHRONIZE_CACHE = 0x35


class PowerOffError(Exception):
    """The power is off: no command is answered."""


class NextPacket(dict[int, Any]):
    """A write error in the next packet, whatever its number, and in no other."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self._when = when
        self._hit: int | None = None

    def get(self, number: int, default: Any = None) -> Any:
        if self._hit is None:
            self._hit = number
        return self._when if number == self._hit else default


def store_of(burner: Burner) -> SequentialStore:
    store = open_store(Drive(VirtualTransport(burner), name="test", sleep=lambda _s: None))
    assert isinstance(store, SequentialStore)
    return store


def format_disc(burner: Burner) -> None:
    options = FormatOptions("first")
    format_volume(store_of(burner), options, now=0, random=random.Random(1).randbytes)


def save(burner: Burner, spool: Path, name: str) -> None:
    fs = open_file_system(store_of(burner), spool=spool)
    handle = fs.create(f"/{name}", 0o644, os.O_RDWR, 0, 0)
    fs.write(handle, name.encode(), 0)
    fs.shutdown()


def names(burner: Burner, spool: Path) -> list[str]:
    fs = open_file_system(store_of(burner), spool=spool)
    found = sorted(name for name, _, _ in fs.readdir("/"))
    fs.shutdown()
    return found


@pytest.mark.parametrize("when", ["write", "sync"])
def test_formatting_goes_on_in_the_next_session(tmp_path: Path, when: str) -> None:
    burner = memory_burner("cd-r-80")
    burner.faults.write_errors = NextPacket(when)
    format_disc(burner)
    save(burner, tmp_path, "a")
    assert names(burner, tmp_path) == ["a"]


@pytest.mark.parametrize("when", ["write", "sync"])
def test_a_new_session_is_begun_again(tmp_path: Path, when: str) -> None:
    burner = memory_burner("cd-r-80")
    format_disc(burner)
    save(burner, tmp_path, "a")
    fs = open_file_system(store_of(burner), spool=tmp_path)
    fs.close_disc(final=False)
    fs.shutdown()
    burner.faults.write_errors = NextPacket(when)
    save(burner, tmp_path, "b")
    assert names(burner, tmp_path) == ["a", "b"]


@pytest.mark.parametrize("cut", ["repair", "clean"])
def test_a_cut_in_the_first_packet_of_a_session(tmp_path: Path, cut: str) -> None:
    burner = memory_burner("cd-r-80")
    format_disc(burner)
    save(burner, tmp_path, "a")
    fs = open_file_system(store_of(burner), spool=tmp_path)
    fs.close_disc(final=False)
    fs.shutdown()
    fs = open_file_system(store_of(burner), spool=tmp_path / "lost")
    burner.faults.cut = cut  # type: ignore[assignment]

    def cut_off(command: bytes) -> None:
        if command[0] == SYNCHRONIZE_CACHE or cut_already:
            cut_already.append(command)
            raise PowerOffError

    cut_already: list[bytes] = []
    burner.faults.hook = cut_off
    fs.create("/lost", 0o644, os.O_RDWR, 0, 0)
    with pytest.raises(PowerOffError):
        fs.shutdown()
    burner.faults.hook = None
    burner.power_cut()
    assert names(burner, tmp_path / "empty") == ["a"]
    save(burner, tmp_path / "empty", "b")
    assert names(burner, tmp_path / "empty") == ["a", "b"]
