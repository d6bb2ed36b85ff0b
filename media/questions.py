"""What a drive and its disc are asked: what they are, how far it is written, its blocks.

Addresses and counts are blocks of 2,048 bytes.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import replace

from media import errors
from media.channel import Channel, Log
from media.mmc import commands, features, pages, replies
from media.mmc.bits import parse
from media.mmc.sense import UNIT_ATTENTION
from media.reactions import Purpose, Remedy
from media.state import (
    CD_BLOCKS_PER_KILOBYTE,
    NO_DISC,
    Configuration,
    DiscState,
    DriveInfo,
    FormatCapacities,
    TocPoint,
    Track,
    configuration,
    disc_state,
    drive_info,
    format_capacities,
    media_event,
    toc_points,
    track,
)
from media.transport import Transport

BLOCK = 2048

_READ10 = 0x28
_pack_read10 = commands.READ10_FAST.pack


class DriveEvent(enum.Enum):
    """What a drive may have to tell (MMC-6 table 300)."""

    EJECT_REQUEST = replies.EJECT_REQUEST
    NEW_MEDIA = replies.NEW_MEDIA
    MEDIA_REMOVAL = replies.MEDIA_REMOVAL


class Questions:
    """A drive behind a transport, as far as nothing of it is changed.

    ``remedy`` carries out what may help before a command is sent again; the others
    are as in :class:`media.drive.Drive`.
    """

    def __init__(
        self,
        transport: Transport,
        name: str,
        sleep: Callable[[float], None],
        log: Log,
        remedy: Callable[[Remedy], None],
    ) -> None:
        self.name = name
        self.log: Log = log
        self._channel = Channel(transport, name, sleep, log, remedy)
        self._send = self._channel.command
        self._chunk = max(1, transport.max_transfer // BLOCK)
        self.info = self._probe()

    def _optional(self, cdb: bytes, read_length: int) -> bytes:
        """A question that a drive or a disc may not be made for: empty if refused."""
        try:
            return self._send(cdb, read_length=read_length)
        except (errors.CommandRefusedError, errors.WrongMediumError) as error:
            self.log(f"{commands.name_of(cdb)}: {error}")
            return b""

    @property
    def doubts(self) -> int:
        """How often the drive may have dropped its buffer; see :class:`Drive`."""
        return self._channel.doubts

    # -- the drive -------------------------------------------------------------

    def _probe(self) -> DriveInfo:
        self._swallow_attentions()
        size = replies.InquiryData.sizeof()
        inquiry = self._send(commands.Inquiry.build({"allocation_length": size}), read_length=size)
        return drive_info(inquiry, self.configuration(), self._page(pages.CAPABILITIES))

    def _swallow_attentions(self) -> None:
        """The first word of a drive may be that it was switched on or has a new disc."""
        for _ in range(5):
            _, found = self._channel.once(commands.TestUnitReady.build({}))
            if found is None or found.key != UNIT_ATTENTION:
                return

    def configuration(self) -> Configuration:
        """Features and the current profile; empty for a drive from before features."""
        length = 0xFFF8
        cdb = commands.GetConfiguration.build({"allocation_length": length})
        return configuration(self._optional(cdb, length))

    def _page(self, code: int, control: int = pages.CURRENT_VALUES) -> bytes:
        """A mode page without what stands before it; empty if the drive has none."""
        length = 0x100
        cdb = commands.ModeSense10.build(
            {
                "disable_block_descriptors": 1,
                "page_control": control,
                "page_code": code,
                "allocation_length": length,
            }
        )
        reply = self._optional(cdb, length)
        header = parse(pages.ModeHeader10, reply)
        page = reply[pages.ModeHeader10.sizeof() + header.block_descriptor_length :]
        length = parse(pages.PageHeader, page).page_length + pages.PageHeader.sizeof()
        return page[:length] if page and parse(pages.PageHeader, page).page_code == code else b""

    @property
    def seconds(self) -> float | None:
        """Of a virtual burner: what a real drive would have needed so far; else None."""
        return self._channel.seconds

    @property
    def most_rewritten(self) -> int | None:
        """Rewrites of the most rewritten packet; None where the drive does not count them."""
        return self._channel.most_rewritten

    @property
    def blocks_per_second(self) -> float | None:
        """Blocks that a CD at the set write speed takes in a second; None if unknown."""
        speed = self.info.write_speed or self.info.maximum_write_speed
        return speed * CD_BLOCKS_PER_KILOBYTE if speed else None

    @property
    def buffer_size(self) -> int:
        """Bytes of the drive's buffer, as far as it says so (READ BUFFER CAPACITY, page 2Ah)."""
        size = replies.BufferCapacity.sizeof()
        cdb = commands.ReadBufferCapacity.build({"allocation_length": size})
        total: int = parse(replies.BufferCapacity, self._optional(cdb, size)).length_of_the_buffer
        return total or self.info.buffer_size

    def events(self) -> list[DriveEvent]:
        """What happened to the disc since the last call; empty if nothing did."""
        size = replies.EventStatus.sizeof() + replies.MediaEvent.sizeof()
        cdb = commands.GetEventStatusNotification.build(
            {
                "polled": 1,
                "notification_class_request": replies.MEDIA_CLASS_BIT,
                "allocation_length": size,
            }
        )
        code = media_event(self._optional(cdb, size))
        return [event for event in DriveEvent if event.value == code]

    # -- the disc --------------------------------------------------------------

    def disc(self) -> DiscState:
        """What disc is in the drive; "none" as its status where there is none."""
        try:
            size = replies.DiscInformation.sizeof()
            cdb = commands.ReadDiscInformation.build({"allocation_length": size})
            reply = self._send(cdb, read_length=size)
        except errors.NoMediumError:
            return NO_DISC
        profile = self.configuration().profile
        is_cd = profile in (features.CD_R, features.CD_RW)
        disc = disc_state(reply, profile, self._toc(replies.ATIP_FORMAT) if is_cd else b"")
        if disc.profile != features.CD_RW or disc.mrw or disc.status == "blank":
            return disc
        try:
            return replace(disc, formatted=self.track(disc.first_track).rewritable)
        except (errors.CommandRefusedError, errors.WrongMediumError) as error:
            self.log(f"track {disc.first_track}: {error}")
            return disc

    def capacity(self) -> int:
        """Blocks from the first to the last that can be read (READ CAPACITY)."""
        size = replies.Capacity.sizeof()
        reply = self._send(commands.ReadCapacity.build({}), read_length=size)
        return int(parse(replies.Capacity, reply).logical_block_address) + 1

    def format_capacities(self) -> FormatCapacities:
        """How the disc is formatted, and how this drive could format it."""
        length = 0x100
        cdb = commands.ReadFormatCapacities.build({"allocation_length": length})
        return format_capacities(self._optional(cdb, length))

    def _toc(self, form: int) -> bytes:
        """READ TOC/PMA/ATIP as the drive answers; empty where the disc has none."""
        length = 0x1000
        cdb = commands.ReadTocPmaAtip.build({"format": form, "msf": 1, "allocation_length": length})
        return self._optional(cdb, length)

    def toc(self) -> list[TocPoint]:
        """The full table of contents: tracks and lead-outs (point A2h) of all closed sessions."""
        reply = self._toc(replies.FULL_TOC_FORMAT)
        return toc_points(reply) if len(reply) >= replies.FullTocHeader.sizeof() else []

    def track(self, number: int = replies.INVISIBLE_TRACK) -> Track:
        """One track; FFh is the one that the next write goes to."""
        size = replies.TrackInformation.sizeof()
        cdb = commands.ReadTrackInformation.build(
            {
                "address_number_type": 1,
                "logical_block_address_track_session_number": number,
                "allocation_length": size,
            }
        )
        return track(self._send(cdb, read_length=size))

    def tracks(self, disc: DiscState | None = None) -> list[Track]:
        """All tracks in order, the one still to be written included."""
        disc = disc or self.disc()
        if disc.status == "none":
            return []
        return [self.track(number) for number in range(disc.first_track, disc.last_track + 1)]

    # -- reading ---------------------------------------------------------------

    @property
    def transfer_limit(self) -> int:
        """Blocks that one command carries at most."""
        return self._chunk

    def read(self, block: int, count: int) -> bytes:
        """``count`` blocks. Raises UnreadableBlockError with the first bad block."""
        if count <= self._chunk:
            return self._read(block, count)
        parts = []
        for start in range(block, block + count, self._chunk):
            parts.append(self._read(start, min(self._chunk, block + count - start)))
        return b"".join(parts)

    def _read(self, block: int, count: int) -> bytes:
        size = count * BLOCK
        try:
            data = self._send(
                _pack_read10(_READ10, block, count), read_length=size, purpose=Purpose.READ
            )
        except errors.UnreadableBlockError as error:
            bad = self._first_bad(block, count, error)
            raise type(error)(block=bad, sense=error.sense) from None
        if len(data) != size:
            raise errors.DriveFailedError(
                name=self.name, why=f"it sent {len(data)} bytes for {count} blocks"
            )
        return data

    def _first_bad(self, block: int, count: int, error: errors.UnreadableBlockError) -> int:
        """The drive's word for it if that makes sense, else halving."""
        if block <= error.block < block + count:
            return error.block
        while count > 1:
            half = count // 2
            try:
                self._send(
                    _pack_read10(_READ10, block, half),
                    read_length=half * BLOCK,
                    purpose=Purpose.READ,
                )
                block, count = block + half, count - half
            except errors.UnreadableBlockError:
                count = half
        return block
