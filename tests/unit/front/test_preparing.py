"""What format and erase decide before they do anything: on drives that only
answer what disc they hold."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from media import discovery, virtual
from media.errors import UnreadableBlockError, WrongMediumError
from udffs.cli import preparing
from udffs.cli.describing import describe_sparing
from udffs.cli.erase import check_erasable
from udffs.cli.format import announcement, surface
from udffs.cli.opening import NewVolume
from udffs.cli.output import duration
from udffs.cli.preparing import (
    MRW,
    PACKET,
    SEQUENTIAL,
    Held,
    Work,
    check_mode,
    default_mode,
    has_bridge,
    wish,
)
from udffs.errors import FormatModeError, LabelError, NotErasableError
from udffs.settings import DriveSettings
from udffs.volume import open_volume


def drive(*, mrw: bool = False, **disc: Any) -> Any:
    """A drive with a disc; a blank CD-RW if nothing else is said."""
    told = {"kind": "CD-RW", "erasable": True, "formatted": False, "mrw": False, **disc}
    return SimpleNamespace(
        name="disc.img",
        info=SimpleNamespace(writes_mrw=mrw),
        disc=lambda: SimpleNamespace(**told),
    )


CD_R = drive(kind="CD-R", erasable=False)


@pytest.mark.parametrize(
    ("found", "mode"),
    [
        (CD_R, SEQUENTIAL),
        (drive(), PACKET),
        (drive(mrw=True), MRW),
        (drive(mrw=True, formatted=True), PACKET),
        (drive(formatted=True), PACKET),
    ],
)
def test_the_mode_that_nobody_said(found: Any, mode: str) -> None:
    assert default_mode(found) == mode


def test_a_mt_rainier_disc_stays_one() -> None:
    found = drive(mrw=True)
    told = SimpleNamespace(kind="CD-RW", erasable=True, formatted=True, mrw=True)
    found.disc = lambda: told
    assert default_mode(found) == MRW


@pytest.mark.parametrize(
    ("found", "mode", "says"),
    [
        (CD_R, PACKET, "a CD-R is written once, so only sequential is possible"),
        (CD_R, MRW, "written once"),
        (drive(), MRW, "does not know Mt. Rainier"),
    ],
)
def test_modes_that_cannot_be(found: Any, mode: str, says: str) -> None:
    with pytest.raises(FormatModeError, match=says):
        check_mode(found, mode)


def test_modes_that_can_be() -> None:
    check_mode(CD_R, SEQUENTIAL)
    check_mode(drive(), SEQUENTIAL)
    check_mode(drive(), PACKET)
    check_mode(drive(mrw=True), MRW)


@pytest.mark.parametrize("mode", [PACKET, MRW])
def test_a_disc_in_packets_has_no_bridge(mode: str) -> None:
    """It is left out in silence, unless somebody insists on it."""
    assert not has_bridge(mode, None) and not has_bridge(mode, False)
    with pytest.raises(FormatModeError, match=r"--bridge.*--mode sequential makes a disc"):
        has_bridge(mode, True)


def test_a_disc_that_is_written_once_has_a_bridge_unless_it_shall_not() -> None:
    assert has_bridge(SEQUENTIAL, None) and has_bridge(SEQUENTIAL, True)
    assert not has_bridge(SEQUENTIAL, False)


@pytest.mark.parametrize(
    ("asked", "setting", "wished"),
    [
        (None, True, None),
        (None, False, False),
        (True, False, True),
        (True, True, True),
        (False, True, False),
    ],
)
def test_the_setting_speaks_where_the_command_does_not(
    asked: bool | None, setting: bool, wished: bool | None
) -> None:
    settings = DriveSettings(spool=Path("spool"), stash=Path("stash"), bridge=setting)
    assert wish(asked, settings) is wished


def test_there_is_no_full_format_of_a_cd_r() -> None:
    with pytest.raises(FormatModeError, match="no full format for a CD-R"):
        preparing.plan(CD_R, SEQUENTIAL, full=True)


def test_only_what_can_be_rewritten_is_erased() -> None:
    assert check_erasable(drive(), "disc.img") == "CD-RW"
    with pytest.raises(NotErasableError, match=r"it is a CD-R, .*format --force disc\.img"):
        check_erasable(CD_R, "disc.img")


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (
            Work(PACKET, True, 295_264, 2220.0, True),
            "in fixed packets of 32 blocks: it will hold 605 MB, and this takes about 37 minutes.",
        ),
        (
            Work(SEQUENTIAL, False, 359_849, None, True),
            "from its beginning to its end: it will hold 737 MB, and this takes a few seconds.",
        ),
    ],
)
def test_what_a_format_will_be_like(work: Work, says: str) -> None:
    text = announcement("CD-RW", "disc.img", work)
    assert text.startswith("Formatting the CD-RW in disc.img ") and text.endswith(says)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "less than a minute"),
        (60, "about a minute"),
        (100, "about 2 minutes"),
        (2220, "about 37 minutes"),
        (7500, "about 2 hours and 5 minutes"),
    ],
)
def test_times_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_what_the_check_of_the_surface_says() -> None:
    assert "all of it is good" in surface(())
    assert "1 packet of" in surface((64,)) and "2 packets of" in surface((64, 128))


def test_a_label_is_checked_before_the_disc_is_touched() -> None:
    with pytest.raises(LabelError):
        NewVolume(label="x" * 127).checked()
    assert NewVolume().checked().label


def test_what_is_in_the_way_is_named() -> None:
    assert '"Holiday"' in str(Held("Holiday", "a UDF volume").error)
    assert "music" in str(Held(None, "music").error)


# -- what is on a disc ---------------------------------------------------------------


@dataclass
class Blocks:
    """A rewritable disc with something at one block, or nothing anywhere."""

    marked: int | None = None
    bad: int | None = None
    kind: str = "rewritable"
    name: str = "disc.img"
    capacity: int = 4096
    last_block: int = 4095
    sessions: tuple[()] = ()

    def read(self, block: int, count: int) -> bytes:
        if self.bad is not None and block <= self.bad < block + count:
            raise UnreadableBlockError(block=self.bad)
        data = bytearray(count * 2048)
        if self.marked is not None and block <= self.marked < block + count:
            data[(self.marked - block) * 2048] = 1
        return bytes(data)

    def close(self) -> None: ...


def test_zeros_are_nothing() -> None:
    assert preparing.held(Blocks()) is None


@pytest.mark.parametrize("store", [Blocks(marked=16), Blocks(marked=256), Blocks(bad=0)])
def test_what_is_no_udf_is_something_all_the_same(store: Blocks) -> None:
    found = preparing.held(store)
    assert found is not None and found.label is None and found.what


def test_a_disc_that_cannot_be_opened_holds_something(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_drive: Any, *, writable: bool) -> Any:
        raise WrongMediumError(why="it holds music")

    monkeypatch.setattr("media.store.open_store", refuse)
    found = preparing.held_in(drive(), Path("spool"))
    assert found is not None and "music" in found.what


# -- on virtual discs ------------------------------------------------------------------


def test_bad_packets_are_spared_by_a_full_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    virtual.create(tmp_path / "disc.img", "cd-rw-74")
    monkeypatch.setattr("media.formatting.check_surface", lambda _store, _progress: [64, 64_000])
    phases: list[str] = []

    def phase(what: str) -> Any:
        phases.append(what)
        return lambda _fraction: None

    with contextlib.closing(discovery.open_drive(str(tmp_path / "disc.img"))) as burner:
        work = preparing.plan(burner, PACKET, full=True)
        quick = preparing.plan(burner, PACKET, full=False)
        assert work.seconds and quick.seconds and work.seconds > 2 * quick.seconds
        made = preparing.carry_out(burner, work, NewVolume("Worn"), phase)
        sparing = describe_sparing(open_volume(made.store))
    assert made.bad == (64, 64_000) and made.free > 260_000
    assert phases == ["Formatting the disc", "Checking the surface", "Writing the empty volume"]
    assert sparing is not None and sparing["packets"] - sparing["left"] == 1


@pytest.mark.parametrize(
    ("media", "kind"), [("cd-r-74", "vat"), ("cd-rw-74", "sparable"), ("mrw", "plain")]
)
def test_a_mount_formats_what_is_blank_and_nothing_else(
    tmp_path: Path, media: str, kind: str
) -> None:
    virtual.create(tmp_path / "disc.img", media)
    for label in ("First", "Second"):
        drive = discovery.open_drive(str(tmp_path / "disc.img"))
        store = preparing.prepare_blank(drive, NewVolume(label), lambda _fraction: None)
        volume = open_volume(store)
        assert (volume.label, volume.kind) == ("First", kind)
        store.close()
