"""What a mount is asked for, on its way from the command to the process that
serves it; and whether that process is still at work after its mount is gone."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from udffs import control
from udffs.control import Entry


@dataclass(frozen=True, slots=True)
class Request:
    """What to mount, where and how. ``read_only`` None: as the disc allows;
    False: only if it can be written to. ``at``: block of the VAT's ICB of an
    old state; ``verify`` None: as the settings say."""

    drive: str
    where: str | None = None
    read_only: bool | None = None
    at: int | None = None
    format: dict[str, Any] | None = None
    load: bool = False
    speed: int | None = None
    verify: bool | None = None
    options: dict[str, str | bool] = field(default_factory=dict)
    log: str = ""

    def dumps(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Request:
        return cls(**json.loads(text))


def is_finishing(entry: Entry) -> bool:
    """Whether a mount is over, and its process still writes to the disc."""
    from udffs.frontends.mountpoint import mounted_at

    gone = entry.state == control.MOUNTED and mounted_at(entry.where) is None
    return gone or entry.state == control.FINISHING
