"""The registry of mounts and the socket of each."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from media.errors import NoMediumError
from udffs import control
from udffs.control import Progress, Registry, Server, ask
from udffs.errors import (
    AlreadyMountedError,
    MountDiedError,
    NotPermittedError,
    RemoteError,
)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path)


# -- the registry ----------------------------------------------------------------


def test_found_by_drive_and_by_place(registry: Registry, tmp_path: Path) -> None:
    disc, where = tmp_path / "disc.img", tmp_path / "at"
    (tmp_path / "link").symlink_to(disc)
    claim = registry.claim(str(disc))
    claim.update(where=str(where), state=control.MOUNTED, label="L")
    for name in (disc, where, tmp_path / "link", tmp_path / "x" / ".." / "at"):
        found = registry.find(str(name))
        assert found == claim.entry and found.label == "L" and found.pid == os.getpid()
    assert registry.find(str(tmp_path / "other")) is None
    claim.release()
    assert registry.find(str(disc)) is None and registry.entries() == []


def test_one_process_a_drive(registry: Registry) -> None:
    claim = registry.claim("/a.img")
    other = registry.claim("/b.img")
    with pytest.raises(AlreadyMountedError) as caught:
        registry.claim("/a.img")
    assert caught.value.fields["entry"] == claim.entry
    claim.release()
    registry.claim("/a.img").release()
    other.release()


def test_who_died_is_forgotten(registry: Registry, tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from udffs.control import Registry\n"
        "registry = Registry(Path(sys.argv[1])); claim = registry.claim('/a.img')\n"
        "claim.socket_path.touch(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=False)
    assert registry.path("/a.img", ".json").exists()
    assert registry.entries() == []
    assert list(tmp_path.iterdir()) == []
    registry.claim("/a.img").release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_was_deleted_meanwhile_is_none(registry: Registry) -> None:
    """Who opened the file before it was deleted must not hold it beside the next."""
    claim = registry.claim("/a.img")
    old = os.open(registry.path("/a.img", ".lock"), os.O_RDWR)
    claim.release()
    fcntl.flock(old, fcntl.LOCK_EX)
    again = registry.claim("/a.img")
    with pytest.raises(AlreadyMountedError):
        registry.claim("/a.img")
    os.close(old)
    again.release()


def test_rubbish_in_the_directory_is_ignored(registry: Registry, tmp_path: Path) -> None:
    claim = registry.claim("/a.img")
    (tmp_path / "x.json").write_text("{")
    (tmp_path / "y.json").write_text("[1]")
    assert registry.entries() == [claim.entry]
    claim.release()


def test_a_failure_is_told_once(registry: Registry) -> None:
    registry.claim("/a.img").release(NoMediumError())
    told = registry.take_failure("/a.img")
    assert told is not None and told["kind"] == "NoMediumError"
    assert control.error_from(told).errno == NoMediumError.errno
    assert registry.take_failure("/a.img") is None
    registry.claim("/a.img").release(NoMediumError())
    registry.claim("/a.img").release()
    assert registry.take_failure("/a.img") is None, "a later mount went well"


def test_the_directory_must_be_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(control.ENVIRONMENT, str(tmp_path / "run"))
    assert control.runtime_directory().stat().st_mode & 0o777 == 0o700
    (tmp_path / "run").chmod(0o750)
    with pytest.raises(NotPermittedError):
        control.runtime_directory()
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv(control.ENVIRONMENT, str(tmp_path / "link"))
    with pytest.raises(NotPermittedError):
        control.runtime_directory()


# -- commands ------------------------------------------------------------------------


@pytest.fixture
def served(registry: Registry) -> Any:
    """A claim whose server knows a few commands."""

    def count(request: dict[str, Any], tell: control.Tell) -> dict[str, Any]:
        for number in range(request["to"]):
            tell({"event": "progress", "what": "counting", "fraction": number})
        return {"counted": request["to"]}

    def fail(request: dict[str, Any], tell: control.Tell) -> dict[str, Any]:
        raise NoMediumError(name="the drive")

    def crash(request: dict[str, Any], tell: control.Tell) -> dict[str, Any]:
        raise SystemExit(0)

    claim = registry.claim("/a.img")
    server = Server(claim.socket_path, {"count": count, "fail": fail, "crash": crash})
    server.start()
    yield claim, server
    claim.release()


def test_a_command_its_progress_and_its_result(registry: Registry, served: Any) -> None:
    claim, server = served
    heard: list[Any] = []
    assert ask(registry, claim.entry, "count", to=3, listen=heard.append) == {"counted": 3}
    assert [event["fraction"] for event in heard] == [0, 1, 2]
    assert claim.socket_path.stat().st_mode & 0o777 == 0o600
    server.drain(5)


def test_errors_come_across(registry: Registry, served: Any) -> None:
    claim, _server = served
    with pytest.raises(RemoteError, match="There is no disc in the drive") as caught:
        ask(registry, claim.entry, "fail")
    assert caught.value.kind == "NoMediumError" and caught.value.errno == NoMediumError.errno
    with pytest.raises(RemoteError) as caught:
        ask(registry, claim.entry, "crash")
    assert caught.value.kind == "SystemExit" and caught.value.errno == errno.EIO
    with pytest.raises(RemoteError, match="no such command: dance"):
        ask(registry, claim.entry, "dance")


def connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    with control._short(path) as name:
        connection.connect(name)
    return connection


@pytest.mark.parametrize("line", [b"rubbish\n", b"[]\n", b"\xff\n", b""])
def test_rubbish_gets_an_error(served: Any, line: bytes) -> None:
    claim, _server = served
    with connect(claim.socket_path) as connection:
        connection.sendall(line)
        connection.shutdown(socket.SHUT_WR)
        assert json.loads(connection.makefile().readline())["event"] == "error"


def test_who_does_not_listen_holds_nobody_up(
    registry: Registry, served: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "PATIENCE", 0.05)
    claim, server = served
    with connect(claim.socket_path) as deaf:
        deaf.sendall(b'{"command": "count", "to": 50000}\n')
        assert ask(registry, claim.entry, "count", to=1) == {"counted": 1}
        server.drain(10)
        assert server._answering == 0


def test_a_process_that_is_gone(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = registry.claim("/a.img", log="/the/log")
    real = control._connect
    monkeypatch.setattr(control, "_connect", lambda path: real(path, 0.0))
    with pytest.raises(MountDiedError, match="/the/log"):
        ask(registry, claim.entry, "sync")
    claim.release()


def test_a_process_that_dies_before_it_answers(registry: Registry) -> None:
    claim = registry.claim("/a.img")
    with socket.socket(socket.AF_UNIX) as listening:
        with control._short(claim.socket_path) as name:
            listening.bind(name)
        listening.listen()
        threading.Thread(target=lambda: listening.accept()[0].close()).start()
        with pytest.raises(MountDiedError):
            ask(registry, claim.entry, "sync")
    claim.release()


def test_a_long_name_of_the_directory(tmp_path: Path) -> None:
    """sun_path holds 107 bytes; directories may be longer."""
    directory = tmp_path / ("x" * 200)
    directory.mkdir()
    registry = Registry(directory)
    claim = registry.claim("/a.img")
    server = Server(claim.socket_path, {"hello": lambda _request, _tell: {"said": "hello"}})
    server.start()
    assert ask(registry, claim.entry, "hello") == {"said": "hello"}
    claim.release()


# -- progress ---------------------------------------------------------------------------


def test_progress_is_passed_on_ten_times_a_second() -> None:
    now = 0.0
    heard: list[Any] = []
    progress = Progress(clock=lambda: now)
    progress.listen(heard.append)
    progress.phase("Writing")
    for step in range(1000):
        now = step / 1000
        progress(step / 1000)
    progress(1.0)
    fractions = [event["fraction"] for event in heard]
    assert 9 <= len(fractions) <= 12 and fractions[0] == 0.0 and fractions[-1] == 1.0
    assert {event["what"] for event in heard} == {"Writing"}
    progress.phase("Closing")
    assert heard[-1] == {"event": "progress", "what": "Closing", "fraction": 0.0}


def test_errors_as_events() -> None:
    event = control.error_event(OSError(errno.ENOSPC, "No space"))
    assert event["kind"] == "OSError" and event["errno"] == errno.ENOSPC
    again = control.error_event(control.error_from(event))
    assert again == event
    assert control.error_event(SystemExit())["message"] == "SystemExit"
    with contextlib.suppress(RemoteError):
        raise control.error_from({"event": "error"})
