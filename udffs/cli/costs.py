"""What closing a disc costs and leaves: for JSON, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from udffs.cli.output import duration, size

if TYPE_CHECKING:
    from media.store import BlockStore
    from udffs.volume import Volume

#: Blocks that a drive burns besides, for the time it takes: lead-in, lead-out and the
#: gaps of the first session and of each other (Orange Book), calibration included.
FIRST_SESSION = 13_500
NEXT_SESSION = 9_000

#: At most so many sentences about an ISO 9660 view are shown.
MOST_NOTES = 8

OPEN_BRIDGE = "on Linux, in the drive (/dev/sr0), with its UDF driver"
OPEN_PLAIN = (
    "here, and on systems whose UDF driver knows discs that are still being written (Linux)"
)


def describe_closing(
    cost: Mapping[str, Any], store: BlockStore, *, unsaved: bool = False
) -> dict[str, Any]:
    """The fields of a ClosingCost by names for people, and the seconds that closing takes
    (None if the drive's speed is not known). ``unsaved``: files that are not on the disc
    yet are counted in."""
    closed = sum(span.end is not None for span in store.sessions)
    speed = getattr(store, "blocks_per_second", None)
    burnt = int(cost["commit"]) + (NEXT_SESSION if closed else FIRST_SESSION)
    return {
        "blocks": cost["commit"],
        "bridge_blocks": cost["bridge"],
        "blocks_between_sessions": cost["session"],
        "free_after": cost["free_after"],
        "next_session": cost["next_possible"],
        "seconds": burnt / speed if speed else None,
        "unsaved": unsaved,
    }


def closing_of(store: BlockStore, volume: Volume) -> dict[str, Any] | None:
    """What closing a disc costs that is not mounted; None if there is nothing to close."""
    from media.store import SequentialStore
    from udffs.commit.write_once import reserve_of

    if not isinstance(store, SequentialStore) or volume.vat is None or not store.appendable:
        return None
    reserve = reserve_of(store, volume, len(volume.vat.entries))
    return describe_closing(reserve.closing_cost()._asdict(), store)


def closing_with_bridge(store: BlockStore, volume: Volume) -> dict[str, Any] | None:
    """The same where the ISO 9660 view that a disc has no place for is to be made in a
    session of its own. Walks through the volume."""
    from media.store import SequentialStore
    from udffs.commit import write_once
    from udffs.commit.bridge.measure import known_or_measured
    from udffs.commit.reserve import Reserve

    if not isinstance(store, SequentialStore) or volume.vat is None or not store.appendable:
        return None
    begun = write_once.opening_blocks(bridge=True)
    before = 0
    if store.session_open:
        plain = write_once.reserve_of(store, volume, len(volume.vat.entries)).closing_cost()
        before = plain.commit + plain.session
    reserve = Reserve(
        free=write_once.free_blocks(store, volume),
        link_blocks=store.link_blocks,
        packet_limit=store.packet_limit,
        opening=before + begun,
        bridge=known_or_measured(volume),
        session_gap=write_once.LATER_SESSION_GAP,
        next_opening=begun,
    )
    reserve.grow_table(len(volume.vat.entries))
    told = describe_closing(reserve.closing_cost()._asdict(), store)
    if before and told["seconds"]:
        told["seconds"] += NEXT_SESSION / (store.blocks_per_second or 1)
    return told


def sentence(closing: Mapping[str, Any]) -> str:
    """What closing takes and leaves."""
    view = (
        "the ISO 9660 view and the final tables" if closing["bridge_blocks"] else "the final tables"
    )
    if closing["unsaved"]:
        view = f"what is not saved yet{',' if closing['bridge_blocks'] else ' and'} {view}"
    takes = f"Closing takes {size(closing['blocks'])} for {view}"
    if not closing["next_session"]:
        return f"{takes}; no further session fits."
    if closing["blocks_between_sessions"]:
        gap = size(closing["blocks_between_sessions"])
        takes += f", and {gap} between this session and the next"
    return f"{takes}; {size(closing['free_after'])} are left for another session."


def time_of(closing: Mapping[str, Any]) -> str:
    """How long it takes, in words."""
    return duration(closing["seconds"]) if closing["seconds"] else "a minute or two"


def choices(closing: Mapping[str, Any]) -> str:
    """What can be done with a disc at the end, and what each choice means."""
    bridge = bool(closing["bridge_blocks"])
    now = OPEN_BRIDGE if bridge else OPEN_PLAIN
    then = "any computer reads it" if bridge else "systems that know UDF read it"
    left = "no further session fits then"
    lost = ""
    if closing["next_session"]:
        left = f"{size(closing['free_after'])} are left for more, in a new session"
        lost = f", and the {size(closing['free_after'])} are given up"
    costs = size(closing["blocks"] + closing["blocks_between_sessions"])
    return (
        f"  leave    leave it open: costs nothing, and saving can go on later; readable meanwhile\n"
        f"           {now}\n"
        f"  close    close it: {then}; costs {costs} and {time_of(closing)};\n"
        f"           {left}\n"
        f"  protect  close it for good: {then}; {time_of(closing)}; nothing can be added any\n"
        f"           more{lost}"
    )


def bounded(notes: list[str]) -> list[str]:
    """The first of many sentences, and how many more there are."""
    more = len(notes) - MOST_NOTES
    return notes if more <= 0 else [*notes[:MOST_NOTES], f"And {more} more notes of this kind."]
