"""Burning behind what is there: sessions that show the earlier files, and those of
burns that were stopped, which are not shown."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from support.iso_views import compare, expected

from media import discovery
from udffs.commit.opening import why_read_only
from udffs.mastering.sources import HostContent
from udffs.volume import open_volume

from .burn_bench import Bench, view


def start_of_last(bench: Bench) -> int:
    """First block of the last session."""
    store = discovery.open_block_store(str(bench.disc), writable=False)
    try:
        return store.sessions[-1].start
    finally:
        store.close()


def contents(bench: Bench) -> dict[str, str | None]:
    """Of the files of the last session: name and SHA-256."""
    found = view(bench.disc, start_of_last(bench))
    return {name: each.sha256 for name, each in found.items() if each.kind == "file"}


def wanted(*folders: Path) -> dict[str, str | None]:
    return {
        name: each.sha256
        for folder in folders
        for name, each in expected(folder).items()
        if each.kind == "file"
    }


def folder(bench: Bench, name: str, size: int) -> Path:
    """A directory with one directory of one file in it."""
    path = bench.folder / name
    (path / name).mkdir(parents=True)
    (path / name / "file").write_bytes(name.encode() * (size // len(name)))
    return path


@pytest.mark.parametrize("modes", [["tao", "tao", "tao"], ["sao", "sao", "tao"]])
@pytest.mark.parametrize("kind", ["cd-r-80", "cd-rw-74"])
def test_each_session_shows_all_that_came_before(bench: Bench, modes: list[str], kind: str) -> None:
    bench.blank(kind)
    folders = []
    for number, mode in enumerate(modes, 1):
        folders.append(folder(bench, f"session{number}", 300_000 * number))
        told = bench.json("burn", bench.disc, f"{folders[-1]}/.", f"--{mode}")
        assert told["session"] == number and told["start"] == start_of_last(bench)
        assert told["verified"] == "all"
        assert contents(bench) == wanted(*folders)
    assert bench.status() == ("appendable", "empty", 4)


def test_old_files_keep_what_they_had(bench: Bench) -> None:
    tree = bench.tree()
    bench.blank()
    bench.ok("burn", bench.disc, f"{tree}/.")
    other = folder(bench, "other", 1000)
    bench.ok("burn", bench.disc, f"{other}/.")
    both = expected(tree) | expected(other)
    compare(view(bench.disc, start_of_last(bench)), both, "pycdlib")


def test_the_new_file_is_the_one_of_its_name(bench: Bench) -> None:
    first, second = folder(bench, "same", 4000), bench.folder / "second"
    bench.blank()
    bench.ok("burn", bench.disc, first / "same")
    (second / "same").mkdir(parents=True)
    (second / "same" / "file").write_bytes(b"new")
    bench.ok("burn", bench.disc, second / "same")
    assert "Earlier files of the same name are not shown any more: same/file." in bench.err
    assert contents(bench) == wanted(second)


def test_a_file_in_the_place_of_a_directory_is_told(bench: Bench) -> None:
    first, second = folder(bench, "same", 4000), bench.folder / "second"
    bench.blank()
    bench.ok("burn", bench.disc, first)
    second.mkdir()
    (second / "same").write_bytes(b"a file")
    bench.ok("burn", bench.disc, second / "same")
    assert "Earlier files of the same name are not shown any more: same." in bench.err


def test_holes_that_cannot_be_written_out_stop_it_at_once(bench: Bench) -> None:
    """Not before the host's disc is full of zeros."""
    from support.discs import Author, Clock, mounted

    bench.blank()
    bench.ok("format", bench.disc, "--label", "Packets", "--no-bridge")
    with mounted(bench.disc, bench.folder / "spool", Clock()) as filesystem:
        author = Author(filesystem, {})
        author.file("holes", b"x")
        filesystem.truncate("/holes", 30 << 30)
    bench.ok("close", bench.disc)
    new = folder(bench, "new", 4000)
    assert bench.udffs("burn", bench.disc, f"{new}/.", "--force") == 8
    assert "--no-import" in bench.err
    bench.ok("burn", bench.disc, f"{new}/.", "--force", "--no-import")


def test_without_import_only_the_new_files_are_shown(bench: Bench) -> None:
    first, second = folder(bench, "first", 4000), folder(bench, "second", 4000)
    bench.blank()
    bench.ok("burn", bench.disc, f"{first}/.")
    bench.ok("burn", bench.disc, f"{second}/.", "--no-import", "--close")
    assert contents(bench) == wanted(second)
    assert bench.status()[0] == "complete"


@pytest.mark.parametrize("mode", ["tao", "sao"])
@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("size", [1_200_000, 3_000_000])
def test_what_a_stopped_burn_left_is_not_shown(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, mode: str, earlier: bool, size: int
) -> None:
    bench.blank()
    before = [folder(bench, "before", 500_000)] if earlier else []
    for each in before:
        bench.ok("burn", bench.disc, f"{each}/.")
    stopped = folder(bench, "stopped", size)
    real = HostContent.read

    def read(self: HostContent, offset: int, count: int) -> bytes:
        os.kill(os.getpid(), signal.SIGINT)
        return real(self, offset, count)

    monkeypatch.setattr(HostContent, "read", read)
    assert bench.udffs("burn", bench.disc, f"{stopped}/.", f"--{mode}") == 130
    monkeypatch.setattr(HostContent, "read", real)
    after = folder(bench, "after", 500_000)
    bench.ok("burn", bench.disc, f"{after}/.")
    assert contents(bench) == wanted(*before, after)


@pytest.mark.parametrize("reads", [1, 2])
def test_behind_a_burn_that_was_killed(bench: Bench, reads: int) -> None:
    bench.blank()
    first, second = folder(bench, "first", 3_000_000), folder(bench, "second", 4000)
    if os.fork() == 0:
        left, real = reads, HostContent.read

        def read(self: HostContent, offset: int, count: int) -> bytes:
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(9)
            return real(self, offset, count)

        HostContent.read = read  # type: ignore[method-assign]
        bench.udffs("burn", bench.disc, first)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 9
    assert bench.udffs("burn", bench.disc, f"{second}/.") == 7
    assert "was cut off in the middle; --force closes what there is" in bench.err
    assert bench.udffs("burn", bench.disc, f"{second}/.", "--force", "--dry-run") == 7
    bench.ok("burn", bench.disc, f"{second}/.", "--force")
    assert contents(bench) == wanted(second)


def test_a_volume_in_packets_is_not_taken_over_unasked(bench: Bench, tmp_path: Path) -> None:
    """Its files, small ones embedded in their ICBs among them, are shown all the same."""
    packets(bench)
    new = folder(bench, "new", 4000)
    before = bench.disc.stat().st_size
    assert bench.udffs("burn", bench.disc, f"{new}/.") == 6
    assert '"Packets"' in bench.err and "nothing more can be written to it" in bench.err
    assert bench.disc.stat().st_size == before
    bench.ok("burn", bench.disc, f"{new}/.", "--force")
    assert contents(bench) == wanted(new, bench.folder / "packets")
    # A volume that went on behind the session would hide its files.
    store = discovery.open_block_store(str(bench.disc))
    why = why_read_only(store, open_volume(store))
    store.close()
    assert why is not None and "a session was burnt in one go" in why
    told = bench.json("info", bench.disc)
    assert told["space"]["free"] == told["space"]["reserved"] == 0  # for single files
    assert "`udffs burn` can add a session of up to" in bench.ok("info", bench.disc)
    bench.ok("burn", bench.disc, bench.tree())


def packets(bench: Bench) -> None:
    """A disc that was written file by file, and closed."""
    from support.discs import Author, Clock, mounted

    bench.blank()
    bench.ok("format", bench.disc, "--label", "Packets")
    source = bench.folder / "packets"
    source.mkdir()
    written: dict[str, Any] = {"small": b"embedded", "large": b"L" * 500_000}
    with mounted(bench.disc, bench.folder / "spool", Clock()) as filesystem:
        author = Author(filesystem, {})
        for name, content in written.items():
            author.file(name, content)
            (source / name).write_bytes(content)
    bench.ok("close", bench.disc)
