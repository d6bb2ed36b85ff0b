"""The one settings file: per user, in TOML, and each setting also per drive.

The file is found with platformdirs (Linux: ``~/.config/udffs/settings.toml``)
or named by the environment variable ``UDFFS_SETTINGS``. A file that is not
there means the defaults; paths in it start at its own directory. Every key
may stand at the top, for all drives, and in a table of one drive::

    close = "ask"                  # at unmount: ask | leave | close | protect
    recording = true               # false: nothing is ever written
    speed = 16                     # as many times 150 kB/s; 0 = as fast as it goes
    eject_after = false            # eject when unmounting
    load_before = false            # pull the tray in before mounting
    verify = false                 # read back what was written (rewritable discs)
    bridge = true                  # new discs get an ISO 9660 view when they are closed
    transport = "auto"             # auto | sg | sr | spti | virtual; as udffs --transport
    spool = "~/.local/state/udffs/spool"
    spool_size = "1 GiB"           # 0: what the drive writes in 30 seconds
    stash = "~/.local/state/udffs/stash"
    stash_size = "1 GiB"           # of copies; 0: as much as there is room for
    burn_mode = "tao"              # tao (track at once) | sao (session at once)
    burn_verify = "all"            # read back after a burn: none | metadata | all
    commit_idle = 10               # seconds without writing
    commit_max = 60                # seconds at most
    commit_bytes = "16 MiB"        # of small files
    virtual_drives = ["~/disc.img"]

    [drive."/dev/sr0"]
    recording = false
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from udffs.errors import SettingsError

ENVIRONMENT = "UDFFS_SETTINGS"
#: What ``udffs --transport`` says, stronger than the file
TRANSPORT_ENVIRONMENT = "UDFFS_TRANSPORT"
CLOSE_POLICIES = ("ask", "leave", "close", "protect")
BURN_MODES = ("tao", "sao")
BURN_VERIFY = ("none", "metadata", "all")
TRANSPORTS = ("auto", "sg", "sr", "spti", "virtual")

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]i?)?B?\s*", re.IGNORECASE)
_POWERS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}


@dataclass(frozen=True, slots=True)
class DriveSettings:
    """What is set for one drive. Sizes are bytes, times seconds."""

    spool: Path
    stash: Path
    recording: bool = True
    close: str = "ask"
    speed: int = 0
    eject_after: bool = False
    load_before: bool = False
    verify: bool = False
    bridge: bool = True
    transport: str = "auto"
    spool_size: int = 0
    stash_size: int = 1 << 30
    burn_mode: str = "tao"
    burn_verify: str = "all"
    commit_idle: float = 10.0
    commit_max: float = 60.0
    commit_bytes: int = 16 << 20


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings file as a whole."""

    path: Path
    default: DriveSettings
    drives: Mapping[str, DriveSettings]
    virtual_drives: tuple[str, ...] = ()

    def for_drive(self, name: str) -> DriveSettings:
        """The settings of one drive (a device, or the path of a virtual disc)."""
        found = self.drives.get(drive_key(name), self.default)
        transport = os.environ.get(TRANSPORT_ENVIRONMENT)
        return replace(found, transport=transport) if transport in TRANSPORTS else found


def drive_key(name: str) -> str:
    """One spelling for a drive: its real path."""
    return os.path.realpath(Path(name).expanduser())


def settings_path() -> Path:
    """Where the settings file is, or would be."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return platformdirs.user_config_path("udffs") / "settings.toml"


def load(path: Path | None = None) -> Settings:
    """Reads the settings file. Raises SettingsError, naming the key."""
    where = settings_path() if path is None else path
    try:
        text = where.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(path=where, why=str(error)) from error
    try:
        return parse(text, where)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(path=where, why=str(error)) from error


def parse(text: str, path: Path) -> Settings:
    """The settings that a file's text gives. Raises SettingsError."""
    tables = tomllib.loads(text)
    drives = tables.pop("drive", {})
    if not isinstance(drives, dict) or not all(isinstance(v, dict) for v in drives.values()):
        raise SettingsError(path=path, why='drives are tables: [drive."/dev/sr0"]')
    virtual = _strings(path, "virtual_drives", tables.pop("virtual_drives", []))
    default = _merged(_defaults(), tables, path, "")
    return Settings(
        path=path,
        default=default,
        drives={
            drive_key(k): _merged(default, v, path, f" of drive {k}") for k, v in drives.items()
        },
        virtual_drives=tuple(str(path.parent / Path(name).expanduser()) for name in virtual),
    )


def parse_size(value: object) -> int:
    """Bytes from a number or from a text such as "16 MiB" (powers of 1024).

    Raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('a size such as "16 MiB"')
    unit = (match[2] or "").upper().removesuffix("I")
    return int(float(match[1]) * 1024 ** _POWERS[unit])


def _defaults() -> DriveSettings:
    import platformdirs

    # The spool and the stash may be the only copy of somebody's work: they belong
    # to the state of the user, not into a cache that cleaners may empty.
    return DriveSettings(
        spool=platformdirs.user_state_path("udffs") / "spool",
        stash=platformdirs.user_state_path("udffs") / "stash",
    )


def _merged(base: DriveSettings, table: Mapping[str, Any], path: Path, where: str) -> DriveSettings:
    changes: dict[str, Any] = {}
    for key, value in table.items():
        reader = _READERS.get(key)
        if reader is None:
            known = ", ".join(sorted(_READERS))
            raise SettingsError(path=path, why=f"{key}{where} is not a setting; there are {known}")
        try:
            changes[key] = reader(value)
            if reader is _place:
                changes[key] = path.parent / changes[key]
        except ValueError as error:
            raise SettingsError(
                path=path, why=f"{key}{where} must be {error}, not {value!r}"
            ) from error
    return replace(base, **changes)


def _strings(path: Path, key: str, value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SettingsError(path=path, why=f"{key} must be a list of paths, not {value!r}")
    return value


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a whole number, 0 or more")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e9:
        raise ValueError("a number of seconds")
    return float(value)


def _place(value: object) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError("a path")
    return Path(value).expanduser()


def _choice(choices: tuple[str, ...]) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in choices:
            raise ValueError("one of " + ", ".join(choices))
        return str(value)

    return read


_READERS: dict[str, Callable[[object], Any]] = {
    "spool": _place,
    "stash": _place,
    "recording": _boolean,
    "close": _choice(CLOSE_POLICIES),
    "speed": _whole,
    "eject_after": _boolean,
    "load_before": _boolean,
    "verify": _boolean,
    "bridge": _boolean,
    "transport": _choice(TRANSPORTS),
    "spool_size": parse_size,
    "stash_size": parse_size,
    "burn_mode": _choice(BURN_MODES),
    "burn_verify": _choice(BURN_VERIFY),
    "commit_idle": _seconds,
    "commit_max": _seconds,
    "commit_bytes": parse_size,
}
assert set(_READERS) == {field.name for field in fields(DriveSettings)}
