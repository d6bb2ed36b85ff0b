"""How the process of a mount tells the command that started it."""

from __future__ import annotations

import contextlib
import json
import os
import threading

from udffs.control import Event, Tell
from udffs.errors import InternalError, UdffsError


def told(error: BaseException) -> BaseException:
    """An error that the user can be told of; what nobody expected is a mistake of ours."""
    expected = isinstance(error, UdffsError | OSError | KeyboardInterrupt)
    if expected or type(error).__module__.startswith("media."):
        return error
    return InternalError(what=f"{type(error).__name__}: {error}")


def process_exit_code(error: BaseException) -> int:
    """What the process of a mount ends with."""
    from udffs.cli.exitcodes import exit_code

    return exit_code(error)


def reporter(descriptor: int) -> Tell:
    """Lines of JSON to the command that started us, as long as it listens."""

    pipe = os.fdopen(descriptor, "wb", buffering=0)
    lock = threading.Lock()

    def report(event: Event) -> None:
        with lock, contextlib.suppress(OSError):
            if not pipe.closed:
                pipe.write(json.dumps(event).encode() + b"\n")
                if event["event"] in ("ready", "error"):
                    pipe.close()

    return report
