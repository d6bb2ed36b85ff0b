"""Putting an empty volume on a disc of whatever kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from media.errors import UnreadableBlockError
from media.store import BlockStore, RewritableStore, SequentialStore
from udffs.commit.format import FormatOptions, format_volume
from udffs.commit.rewritable.format import format_rewritable
from udffs.commit.structures import VolumeDescription
from udffs.errors import AlreadyFormattedError, DiscError, ReadOnlyError
from udffs.volume import open_volume
from udffs.volume.anchors import recognition
from udffs.volume.source import Source

__all__ = ["format_any"]


def format_any(
    store: BlockStore,
    options: FormatOptions,
    *,
    now: int,
    random: Callable[[int], bytes],
    force: bool = False,
    progress: Callable[[float], None] | None = None,
    bad_packets: Iterable[int] = (),
) -> VolumeDescription:
    """Put an empty volume on a disc: on a write-once disc in a new session, on a
    rewritable one in place of what is there.

    Raises AlreadyFormattedError if there is something and not ``force``, and
    what `format_volume` and `format_rewritable` raise.
    """
    if isinstance(store, SequentialStore):
        return format_volume(store, options, now=now, random=random, force=force)
    if not isinstance(store, RewritableStore):
        raise ReadOnlyError(why="it is an image without a drive's state beside it")
    if not force:
        _refuse_what_is_there(store)
    return format_rewritable(
        store, options, now=now, random=random, bad_packets=bad_packets, progress=progress
    )


def _refuse_what_is_there(store: BlockStore) -> None:
    """Raise AlreadyFormattedError if there is a volume, or what looks like one."""
    label = ""
    try:
        label = f', "{open_volume(store).label}"'
    except (DiscError, UnreadableBlockError):
        if not recognition(Source(store), 0):
            return
    raise AlreadyFormattedError(label=label)
