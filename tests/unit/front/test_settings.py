"""The settings file."""

from __future__ import annotations

from pathlib import Path

import pytest

from udffs import settings
from udffs.errors import SettingsError
from udffs.settings import parse, parse_size

HERE = Path("/somewhere/settings.toml")


def test_no_file_means_the_defaults(tmp_path: Path) -> None:
    found = settings.load(tmp_path / "missing.toml")
    default = found.default
    assert default.recording and default.close == "ask" and default.transport == "auto"
    assert (default.commit_idle, default.commit_max, default.commit_bytes) == (10, 60, 16 << 20)
    # What may be the only copy of a file does not belong where cleaners look.
    for place in (default.spool, default.stash):
        assert place.is_absolute() and "cache" not in str(place)
    assert (default.burn_mode, default.burn_verify) == ("tao", "all")
    assert found.for_drive("/dev/sr0") == default and found.virtual_drives == ()


def test_the_example_in_the_documentation_holds() -> None:
    text = (settings.__doc__ or "").partition("::\n")[2]
    found = parse("\n".join(line[4:] for line in text.splitlines()), HERE)
    assert found.default.speed == 16 and found.default.spool_size == 1 << 30
    assert not found.for_drive("/dev/sr0").recording
    assert found.virtual_drives == (str(Path.home() / "disc.img"),)


def test_every_setting_holds_for_all_drives_or_for_one(tmp_path: Path) -> None:
    disc = tmp_path / "disc.img"
    (tmp_path / "link.img").symlink_to(disc)
    found = parse(f'close = "leave"\nspeed = 4\n[drive."{disc}"]\nclose = "close"\n', HERE)
    assert found.for_drive("/dev/sr1").close == "leave"
    assert found.for_drive(str(tmp_path / "link.img")).close == "close"
    assert found.for_drive(str(disc)).speed == 4


def test_paths_start_at_the_file() -> None:
    found = parse('spool = "s"\nstash = "/t"\nvirtual_drives = ["a.img", "~/b.img"]', HERE)
    assert (found.default.spool, found.default.stash) == (Path("/somewhere/s"), Path("/t"))
    assert found.virtual_drives == ("/somewhere/a.img", str(Path.home() / "b.img"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("closed = 1", "closed is not a setting"),
        ('close = "maybe"', "close must be one of ask, leave, close"),
        ("recording = 1", "recording must be true or false"),
        ("speed = -1", "speed must be a whole number"),
        ("speed = true", "speed must be a whole number"),
        ('commit_idle = "soon"', "commit_idle must be a number of seconds"),
        ("commit_idle = inf", "commit_idle must be a number of seconds"),
        ('commit_bytes = "16 parsecs"', "commit_bytes must be a size"),
        ("spool = 3", "spool must be a path"),
        ('burn_mode = "dao"', "burn_mode must be one of tao, sao"),
        ("burn_verify = true", "burn_verify must be one of none, metadata, all"),
        ('transport = "carrier pigeon"', "transport must be one of"),
        ('virtual_drives = "a"', "virtual_drives must be a list of paths"),
        ('[drive."x"]\nfoo = 1', "foo of drive x is not a setting"),
        ("drive = 3", "drives are tables"),
    ],
)
def test_what_is_wrong_is_named(text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text, HERE)
    assert says in str(caught.value) and str(HERE) in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    for content in (b"a = [", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(SettingsError, match=str(path)):
            settings.load(path)
    with pytest.raises(SettingsError):
        settings.load(tmp_path)


@pytest.mark.parametrize(
    ("value", "size"),
    [(0, 0), (5, 5), ("5", 5), ("16 MiB", 16 << 20), ("1.5G", 3 << 29), ("2 kB", 2048), ("7b", 7)],
)
def test_sizes(value: object, size: int) -> None:
    assert parse_size(value) == size
    for wrong in (-1, True, "x", "1 XB", None, "-5"):
        with pytest.raises(ValueError):
            parse_size(wrong)


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UDFFS_SETTINGS", "mine.toml")
    (tmp_path / "mine.toml").write_text("speed = 8")
    assert settings.load().default.speed == 8
    assert settings.settings_path() == tmp_path / "mine.toml"
