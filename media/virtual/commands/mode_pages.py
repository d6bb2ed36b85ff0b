"""MODE SENSE and MODE SELECT, in both lengths (SPC-4 6.9 to 6.12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from media.mmc import commands as c
from media.mmc import pages
from media.virtual import refusal
from media.virtual.commands.table import command
from media.virtual.refusal import Refusal
from media.virtual.storage import Buffer

if TYPE_CHECKING:
    from media.virtual.burner import Burner

#: Bytes of the mode data length itself, which it does not count
_LENGTH_6, _LENGTH_10 = 1, 2


def _sense(burner: Burner, cdb: Any, header: Any, length_bytes: int) -> bytes:
    if cdb.subpage_code not in (0, 0xFF):
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    body = burner.modes.sense(cdb.page_control, cdb.page_code)
    length = header.sizeof() + len(body) - length_bytes
    built: bytes = header.build({"mode_data_length": length}) + body
    return built


@command(c.ModeSense6, medium=False)
def mode_sense_6(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    return _sense(burner, cdb, pages.ModeHeader6, _LENGTH_6)


@command(c.ModeSense10, medium=False)
def mode_sense_10(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    return _sense(burner, cdb, pages.ModeHeader10, _LENGTH_10)


def _select(burner: Burner, cdb: Any, header: Any, data: Buffer) -> bytes:
    if not cdb.page_format or cdb.save_pages:
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    length = cdb.parameter_list_length
    if length == 0:
        return b""
    listed = bytes(data[:length])
    if len(listed) < length or length < header.sizeof():
        raise Refusal(refusal.INVALID_FIELD_IN_PARAMETER_LIST)
    fields = header.parse(listed)
    if fields.mode_data_length or fields.block_descriptor_length:
        raise Refusal(refusal.INVALID_FIELD_IN_PARAMETER_LIST)
    if burner.modes.select(listed[header.sizeof() :]):
        # A change of page 05h ends the packet (and so does setting it anew).
        burner.recorder.end_packet()
        burner.recorder.settings = burner.modes.write_settings
    return b""


@command(c.ModeSelect6, medium=False)
def mode_select_6(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    return _select(burner, cdb, pages.ModeHeader6, data)


@command(c.ModeSelect10, medium=False)
def mode_select_10(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    return _select(burner, cdb, pages.ModeHeader10, data)
