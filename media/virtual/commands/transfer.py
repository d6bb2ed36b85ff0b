"""Reading and writing data, and what READ CAPACITY calls the end of it.

READ(10) and WRITE(10) come here only when something special is the matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from media.mmc import commands as c
from media.mmc import replies
from media.virtual.commands.table import command
from media.virtual.storage import BLOCK, Buffer

if TYPE_CHECKING:
    from media.virtual.burner import Burner


@command(c.Read10)
def read_10(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    return burner.recorder.read(cdb.logical_block_address, cdb.transfer_length)


@command(c.Read12)
def read_12(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    return burner.recorder.read(cdb.logical_block_address, cdb.transfer_length)


@command(c.Write10, records=True)
def write_10(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    burner.write(cdb.logical_block_address, cdb.transfer_length, data)
    return b""


@command(c.Write12, records=True)
def write_12(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    burner.write(cdb.logical_block_address, cdb.transfer_length, data)
    return b""


@command(c.ReadCapacity)
def read_capacity(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    """MMC-6 6.24: exact to the last block of an open session, for Linux's sr."""
    last = burner.recorder.recorded_end - 1
    fields = {"logical_block_address": max(0, last), "block_length_in_bytes": BLOCK}
    built: bytes = replies.Capacity.build(fields)
    return built


@command(c.ReadBufferCapacity)
def read_buffer_capacity(burner: Burner, cdb: Any, data: Buffer) -> bytes:
    size = burner.clock.buffer_blocks
    free = size - burner.clock.buffered
    unit = 1 if cdb.block else BLOCK
    built: bytes = replies.BufferCapacity.build(
        {
            "block": cdb.block,
            "length_of_the_buffer": size * unit,
            "available_length_of_the_buffer": free * unit,
        }
    )
    return built
