"""Loading, locking, and hearing of discs (MMC-6 6.6, 6.13, 6.42)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from media.mmc import commands as c
from media.mmc import replies
from media.virtual import refusal
from media.virtual.commands.table import command
from media.virtual.refusal import Refusal
from media.virtual.storage import Buffer

if TYPE_CHECKING:
    from media.virtual.burner import Burner


@command(c.PreventAllowMediumRemoval, medium=False)
def prevent_allow_medium_removal(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    burner.prevented = bool(cdb.prevent)
    return b""


@command(c.StartStopUnit, medium=False)
def start_stop_unit(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    if cdb.power_conditions or not cdb.load_eject:
        return b""  # spinning up and down, or saving power: nothing to see
    if cdb.start:
        burner.load(immed=bool(cdb.immed))
    else:
        burner.eject(immed=bool(cdb.immed))
    return b""


@command(c.GetEventStatusNotification, medium=False, always=True)
def get_event_status_notification(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    """Polled only; of all classes the media events only."""
    if not cdb.polled:
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    supported = {"supported_event_classes": replies.MEDIA_CLASS_BIT}
    if not cdb.notification_class_request & replies.MEDIA_CLASS_BIT:
        nothing: bytes = replies.EventStatus.build({"no_event_available": 1} | supported)
        return nothing
    event = replies.MediaEvent.build(
        {
            "media_event_code": burner.event,
            "media_present": burner.loaded,
            "door_or_tray_open": burner.tray_open,
        }
    )
    # The length counts what is behind itself: the rest of the header, and the event.
    length = replies.EventStatus.sizeof() - 2 + len(event)
    fields = {"event_descriptor_length": length, "notification_class": replies.MEDIA_CLASS}
    header: bytes = replies.EventStatus.build(fields | supported)
    if cdb.allocation_length > len(header):
        burner.event = replies.NO_EVENT  # it was told
    return header + event
