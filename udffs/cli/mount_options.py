"""Options as mount(8) and fstab have them: ``-o ro,noatime,at=12345``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from udffs.errors import InvalidOperationError, NoSuchEntryError

#: For mount(8), systemd or the kernel; nothing is left to do about them here.
_FOR_OTHERS = re.compile(
    "defaults|(no)?auto|(no)?user|users|owner|group|nofail|_netdev|async|silent|loud"
    "|(no)?(relatime|strictatime|diratime|lazytime|mand|iversion)"
    "|[xX]-.*|comment=.*|(|fs|def|root)context=.*"
)
#: libfuse passes them on to the kernel, or acts on them.
_FOR_FUSE = re.compile(
    "(no)?(suid|dev|exec|atime)|(dir)?sync|allow_other|allow_root|nonempty|debug"
)


@dataclass(slots=True)
class MountOptions:
    """What the options ask for. ``read_only`` is None where they do not say;
    ``at`` is the block of an old state, ``speed`` counts single speeds;
    ``verify`` and ``bridge`` None: as the settings say."""

    read_only: bool | None = None
    at: int | None = None
    speed: int | None = None
    load: bool = False
    format: bool = False
    verify: bool | None = None
    bridge: bool | None = None
    label: str | None = None
    fuse: dict[str, str | bool] = field(default_factory=dict)


def parse(texts: Iterable[str], *, sloppy: bool = False) -> MountOptions:
    """Options from the arguments of any number of ``-o``.

    Raises InvalidOperationError for one that nobody knows, unless ``sloppy``.
    """
    options = MountOptions()
    for text in ",".join(texts).split(","):
        word = text.strip()
        if word and not _apply(options, word) and not sloppy:
            raise InvalidOperationError(what=f"there is no mount option {word}")
    return options


def _apply(options: MountOptions, word: str) -> bool:
    name, _, value = word.partition("=")
    if word in ("ro", "rw"):
        options.read_only = word == "ro"
    elif word in ("load", "format"):
        setattr(options, word, True)
    elif word in ("verify", "noverify"):
        options.verify = word == "verify"
    elif word in ("bridge", "nobridge"):
        options.bridge = word == "bridge"
    elif name in ("at", "speed") and value:
        setattr(options, name, _number(name, value))
    elif name == "label" and value:
        options.label = value
    elif name in ("uid", "gid") and value:
        options.fuse[name] = str(_identity(name, value))
    elif name == "umask" and value:
        options.fuse[name] = value
    elif _FOR_FUSE.fullmatch(word):
        options.fuse[word] = True
    else:
        return _FOR_OTHERS.fullmatch(word) is not None
    return True


def _number(name: str, value: str) -> int:
    if not value.isdecimal():
        raise InvalidOperationError(what=f"{name}={value}: that is no number")
    return int(value)


def _identity(name: str, value: str) -> int:
    """A user or group as a number, from a number or a name."""
    if value.isdecimal():
        return int(value)
    import grp
    import pwd

    try:
        return pwd.getpwnam(value).pw_uid if name == "uid" else grp.getgrnam(value).gr_gid
    except KeyError as error:
        raise NoSuchEntryError(name=f"{name}={value}") from error
