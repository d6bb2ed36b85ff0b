"""Blanking and formatting rewritable discs (MMC-6 6.2, 6.4, 6.23)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from media.mmc import commands as c
from media.mmc import replies as r
from media.virtual import refusal
from media.virtual.area import on_groove
from media.virtual.clock import MINIMAL_BLANK, MRW_BEGINNING
from media.virtual.commands.table import command
from media.virtual.kinds import FIXED_PACKET
from media.virtual.refusal import Refusal
from media.virtual.storage import BLOCK, Buffer

if TYPE_CHECKING:
    from media.virtual.burner import Burner

#: As many blocks as there are
_ALL = 0xFFFFFFFF


def _check_rewritable(burner: Burner) -> None:
    """CD-R drives do not know these commands, CD-R discs do not bear them."""
    if not burner.rewriter:
        raise Refusal(refusal.INVALID_COMMAND)
    if burner.loaded and not burner.medium.kind.erasable:
        raise Refusal(refusal.CANNOT_FORMAT_MEDIUM)


@command(c.Blank, records=True)
def blank(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    """Minimal takes a minute; full goes over the whole disc."""
    _check_rewritable(burner)
    if cdb.blanking_type not in (c.BLANK_DISC, c.BLANK_MINIMAL):
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    full = cdb.blanking_type == c.BLANK_DISC
    seconds = burner.clock.whole_disc(burner.medium.kind.lead_out) if full else MINIMAL_BLANK
    burner.spoil()
    burner.start(
        "blank_disc",
        full,
        seconds=seconds,
        immed=bool(cdb.immed),
        code=refusal.OPERATION_IN_PROGRESS,
    )
    return b""


# -- READ FORMAT CAPACITIES ------------------------------------------------------------


@command(c.ReadFormatCapacities, medium=False)
def read_format_capacities(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    """The current or maximum capacity, then what FORMAT UNIT can make of the disc."""
    if not burner.rewriter:
        raise Refusal(refusal.INVALID_COMMAND)
    descriptors = [_current(burner)]
    if burner.loaded and burner.medium.kind.erasable:
        descriptors += [
            {"number_of_blocks": blocks, "format_type": kind, "type_dependent_parameter": value}
            for kind, blocks, value in _formats(burner)
        ]
    length = len(descriptors) * r.CapacityDescriptor.sizeof()
    built: bytes = r.CapacityList.build(
        {"header": {"capacity_list_length": length}, "descriptors": descriptors}
    )
    return built


def _current(burner: Burner) -> dict[str, int]:
    medium = burner.medium
    blocks, state = medium.kind.fixed_blocks, r.UNFORMATTED
    if not burner.loaded:
        state = r.NO_MEDIUM
    elif medium.area is not None:
        blocks, state = medium.area.blocks, r.FORMATTED
    elif not medium.kind.erasable:
        blocks, state = burner.recorder.recorded_end, r.FORMATTED
    return {
        "number_of_blocks": blocks,
        "descriptor_type": state,
        "type_dependent_parameter": BLOCK,
    }


def _formats(burner: Burner) -> list[tuple[int, int, int]]:
    """(format type, blocks, parameter) of all that the drive can make."""
    kind = burner.medium.kind
    formats = [(r.FORMAT_CD_RW, kind.fixed_blocks, FIXED_PACKET)]
    if burner.mrw:
        formats.append((r.FORMAT_MRW, kind.mrw_blocks, 0))
    return formats


# -- FORMAT UNIT -------------------------------------------------------------------------


@command(c.FormatUnit, records=True)
def format_unit(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    """Fixed packets of 32 blocks, or Mt. Rainier. More data than the list has is no
    error: some programs send it."""
    _check_rewritable(burner)
    formats = (c.FORMAT_BY_TYPE, c.FORMAT_CD_RW)
    if not cdb.format_data or cdb.complete_list or cdb.format_code not in formats:
        raise Refusal(refusal.INVALID_FIELD_IN_CDB)
    header, descriptor = _parameter_list(cdb.format_code, bytes(data))
    immed = bool(header.immed)
    if cdb.format_code == c.FORMAT_CD_RW:
        _format_fixed(burner, _legacy_blocks(burner, descriptor), immed)
    elif descriptor.format_type == r.FORMAT_CD_RW:
        if descriptor.type_dependent_parameter != FIXED_PACKET:
            raise Refusal(refusal.INVALID_FIELD_IN_PARAMETER_LIST)
        _format_fixed(burner, descriptor.number_of_blocks, immed)
    elif descriptor.format_type == r.FORMAT_MRW and burner.mrw:
        _format_mrw(burner, descriptor, immed)
    else:
        raise Refusal(refusal.INVALID_FIELD_IN_PARAMETER_LIST)
    return b""


def _parameter_list(code: int, data: bytes) -> tuple[Any, Any]:
    layout = r.FormatDescriptor if code == c.FORMAT_BY_TYPE else r.LegacyFormatDescriptor
    size = r.FormatListHeader.sizeof()
    if len(data) < size + layout.sizeof():
        raise Refusal(refusal.INVALID_FIELD_IN_PARAMETER_LIST)
    header = r.FormatListHeader.parse(data[:size])
    descriptor = layout.parse(data[size : size + layout.sizeof()])
    never = (header.stop_format, header.initialization_pattern, header.try_out)
    options = (header.disable_primary, header.disable_certification)
    if (
        header.format_descriptor_length != layout.sizeof()
        or any(never)
        or header.vendor_specific
        or (any(options) and not header.format_options_valid)
        or descriptor.get("format_subtype")
    ):
        raise Refusal(refusal.INVALID_FIELD_IN_PARAMETER_LIST)
    return header, descriptor


def _legacy_blocks(burner: Burner, descriptor: Any) -> int:
    if descriptor.grow:
        raise Refusal(refusal.INVALID_FIELD_IN_PARAMETER_LIST)
    return int(descriptor.format_size) or burner.medium.kind.fixed_blocks


def _format_fixed(burner: Burner, blocks: int, immed: bool) -> None:
    """All of the disc or, as the standard allows, less, in whole packets."""
    if not 0 < blocks <= burner.medium.kind.fixed_blocks or blocks % FIXED_PACKET:
        raise Refusal(refusal.INVALID_FIELD_IN_PARAMETER_LIST)
    burner.spoil()
    seconds = burner.clock.whole_disc(on_groove(blocks))
    burner.start(
        "format", blocks, False, seconds=seconds, immed=immed, code=refusal.FORMAT_IN_PROGRESS
    )


def _format_mrw(burner: Burner, descriptor: Any, immed: bool) -> None:
    blocks = burner.medium.kind.mrw_blocks
    options = descriptor.type_dependent_parameter
    known = r.MRW_RESTART | r.MRW_QUICK_START
    if descriptor.number_of_blocks not in (_ALL, blocks) or options & ~known:
        raise Refusal(refusal.INVALID_FIELD_IN_PARAMETER_LIST)
    if options & r.MRW_RESTART:
        if burner.recorder.background is None:
            raise Refusal(refusal.COMMAND_SEQUENCE_ERROR)
        burner.recorder.restart()
        return
    burner.spoil()
    burner.start(
        "format",
        blocks,
        True,
        seconds=MRW_BEGINNING,
        immed=immed,
        code=refusal.FORMAT_IN_PROGRESS,
    )
