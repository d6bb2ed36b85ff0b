"""The entries of the file managers: which file holds what, as data.

Every entry runs ``udffs desktop run ACTION -- FILES``. Files are handed over as
addresses (file:///...) wherever the file manager would not quote paths safely.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

#: The line by which a file is known as ours. One without it is never touched.
MARKER = "# Installed by `udffs desktop --install`; `udffs desktop --remove` removes it."

_SPECIAL_TO_EXEC = " \t\n\"'\\><~|&;$*?#()`%"


class Action(NamedTuple):
    """Something to choose in a menu."""

    key: str
    name: str
    about: str
    icon: str
    takes_files: bool = False


ACTIONS = (
    Action("send", "Send to disc", "Collect these for a disc", "document-send", True),
    Action("burn", "Write staged files", "Write what was collected to a disc", "media-record"),
    Action("close", "Close disc", "Make a disc readable everywhere", "media-optical"),
    Action("erase", "Erase disc", "Make a rewritable disc blank again", "edit-clear"),
)


class Entry(NamedTuple):
    """A file to install."""

    path: Path
    content: bytes
    executable: bool = False


def data_home(environ: Mapping[str, str]) -> Path:
    """Where the user's data is."""
    return _base(environ, "XDG_DATA_HOME", ".local/share")


def config_home(environ: Mapping[str, str]) -> Path:
    """Where the user's settings are."""
    return _base(environ, "XDG_CONFIG_HOME", ".config")


def _base(environ: Mapping[str, str], name: str, default: str) -> Path:
    given = environ.get(name, "")
    # A relative path is to be ignored, says the XDG Base Directory Specification.
    return Path(given) if given.startswith("/") else Path.home() / default


def entries(data: Path, command: Sequence[str]) -> list[Entry]:
    """All files below the data home; command is the program with its first arguments."""
    send = ACTIONS[0]
    return [
        _entry(data / "applications/udffs.desktop", _application(command)),
        *[_script(data, action, command) for action in ACTIONS],
        *[_nemo(data, action, command) for action in ACTIONS],
        _entry(data / "kio/servicemenus/udffs.desktop", _service_menu(command), executable=True),
        _entry(data / "Thunar/sendto/udffs.desktop", _send_to(send, command)),
    ]


def _entry(path: Path, lines: Sequence[str], *, executable: bool = False) -> Entry:
    return Entry(
        path, "".join(f"{line}\n" for line in lines).encode(errors="surrogateescape"), executable
    )


def _words(action: Action, command: Sequence[str]) -> list[str]:
    return [*command, "desktop", "run", action.key, "--"]


# -- desktop entries -----------------------------------------------------------


def exec_line(words: Sequence[str], code: str = "") -> str:
    """The value of Exec: arguments quoted, then backslashes as in any value of the file."""
    quoted = " ".join([*map(_exec_word, words), *filter(None, [code])])
    return quoted.replace("\\", "\\\\")


def _exec_word(word: str) -> str:
    text = word.replace("%", "%%")
    if word and not set(word) & set(_SPECIAL_TO_EXEC):
        return text
    for special in '\\"`$':
        text = text.replace(special, "\\" + special)
    return f'"{text}"'


def _application(command: Sequence[str]) -> list[str]:
    """In the menu of applications, where no files are chosen. It has no MimeType: it would
    become what opens files and directories that no other program is set for."""
    burn, *others = ACTIONS[1:]
    return [
        MARKER,
        "[Desktop Entry]",
        "Type=Application",
        "Version=1.1",
        f"Name={burn.name}",
        f"Comment={burn.about}",
        f"Icon={burn.icon}",
        f"Exec={exec_line(_words(burn, command))}",
        "Terminal=false",
        "Categories=AudioVideo;DiscBurning;",
        f"Actions={''.join(f'{action.key};' for action in others)}",
        *[line for action in others for line in _group(action, command)],
    ]


def _group(action: Action, command: Sequence[str], files: str = "") -> list[str]:
    return [
        "",
        f"[Desktop Action {action.key}]",
        f"Name={action.name}",
        f"Icon={action.icon}",
        f"Exec={exec_line(_words(action, command), files)}",
    ]


def _service_menu(command: Sequence[str]) -> list[str]:
    """Of Dolphin, which wants it executable."""
    return [
        MARKER,
        "[Desktop Entry]",
        "Type=Service",
        "Name=Disc",
        "X-KDE-ServiceTypes=KonqPopupMenu/Plugin",
        "MimeType=application/octet-stream;inode/directory;",
        "X-KDE-Submenu=Disc",
        f"Actions={''.join(f'{action.key};' for action in ACTIONS)}",
        *[line for action in ACTIONS for line in _group(action, command, "%U")],
    ]


def _send_to(action: Action, command: Sequence[str]) -> list[str]:
    return [
        MARKER,
        "[Desktop Entry]",
        "Type=Application",
        "Version=1.0",
        f"Name={action.name}",
        f"Comment={action.about}",
        f"Icon={action.icon}",
        f"Exec={exec_line(_words(action, command), '%U')}",
        "Terminal=false",
    ]


# -- Nautilus and Nemo ---------------------------------------------------------


def _script(data: Path, action: Action, command: Sequence[str]) -> Entry:
    """The list of addresses is exact; that of paths cannot tell a line end in a name."""
    lines = [
        "#!/bin/sh",
        MARKER,
        "set -f",
        "IFS='",
        "'",
        "set -- ${NAUTILUS_SCRIPT_SELECTED_URIS:-$NAUTILUS_SCRIPT_SELECTED_FILE_PATHS}",
        f'exec {shlex.join(_words(action, command))} "$@"',
    ]
    return _entry(data / "nautilus/scripts" / action.name, lines, executable=True)


def _nemo(data: Path, action: Action, command: Sequence[str]) -> Entry:
    """Addresses in double quotes: no quote, backslash or space is left in them."""
    line = shlex.join(_words(action, command)).replace("\\", "\\\\")
    lines = [
        MARKER,
        "[Nemo Action]",
        "Active=true",
        f"Name={action.name}",
        f"Comment={action.about}",
        f"Icon-Name={action.icon}",
        f"Exec={line} %U",
        f"Selection={'notnone' if action.takes_files else 'any'}",
        "Extensions=any;",
        "Quote=double",
    ]
    return _entry(data / f"nemo/actions/udffs-{action.key}.nemo_action", lines)


# -- Thunar --------------------------------------------------------------------


def unique_id(action: Action) -> str:
    """By which a custom action of Thunar is known as ours."""
    return f"udffs-{action.key}"


def thunar_action(action: Action, command: Sequence[str]) -> str:
    """One element of uca.xml, with its line end."""
    line = shlex.join(_words(action, command)).replace("%", "%%")
    kinds = (
        "directories",
        "audio-files",
        "image-files",
        "other-files",
        "text-files",
        "video-files",
    )
    parts = {
        "icon": action.icon,
        "name": action.name,
        "unique-id": unique_id(action),
        "command": f"{line} %F",
        "description": action.about,
        "patterns": "*",
    }
    inner = "".join(f"\t<{name}>{escape(text)}</{name}>\n" for name, text in parts.items())
    return f"<action>\n{inner}{''.join(f'	<{kind}/>' for kind in kinds)}\n</action>\n"
