"""What can go wrong with the virtual machine."""

from __future__ import annotations


class VmUnavailable(Exception):  # noqa: N818 -- no fault: this machine has none
    """No virtual machine can be had here; the message says why, in one line."""


class VmFailed(Exception):  # noqa: N818 -- reads as what happened
    """The machine itself (not the command in it) failed."""
