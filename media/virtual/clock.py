"""The drive's own clock: what a drive of that speed would have needed.

No real time is measured and nothing waits. The host is taken to be infinitely
fast: time passes only for what the drive does, so the figure is the same on
any machine. The model, with the constants below: data crosses the bus into a
buffer from which the laser burns at constant linear velocity; the host waits
only for room in the buffer, and at SYNCHRONIZE CACHE for the laser. media/README.md
has the reasons for the figures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: Blocks a second at 1x
BLOCKS_PER_SECOND = 75.0
#: Seconds a block of 2,048 bytes takes on the bus (25 MB/s, USB 2.0)
BUS = 2048 / 25e6
#: Seconds of any command on the bus and in the drive's firmware
COMMAND = 0.0002
#: A seek: settling, and a full stroke's part that grows with the root of the way
SETTLE, STROKE = 0.025, 0.110
#: Finding the end of the last packet and linking to it, beyond the seek and the
#: blocks of the link themselves
LINK = 0.150
#: Spinning a disc up and reading what is on it
LOAD = 6.0
EJECT = 2.0
#: One optimum power calibration
CALIBRATION = 3.0
#: Reserving, closing or repairing a track: an entry in the program memory area
PMA_UPDATE = 1.5
#: Blocks that closing the first and a later session burns besides: lead-out, lead-in
LEAD_IN_BLOCKS = 4_500
FIRST_LEAD_OUT_BLOCKS, LATER_LEAD_OUT_BLOCKS = 6_750, 2_250
#: Blanking what says where everything is: about a minute at any speed
MINIMAL_BLANK = 60.0
#: Until a Mt. Rainier format has gone so far that the disc can be used
MRW_BEGINNING = 40.0
#: Geometry of a CD, in millimetres (Red Book): where block 0 lies, the pitch of
#: the groove, the way of one block along it
FIRST_RADIUS, TRACK_PITCH, BLOCK_LENGTH = 25.0, 0.0016, 1300 / 75
DISC_BLOCKS = 360_000


@dataclass(slots=True)
class Clock:
    """``seconds`` so far; ``speed`` (for writing) and ``read_speed`` in multiples
    of 1x; the buffer in blocks."""

    speed: float
    read_speed: float
    buffer_blocks: int
    seconds: float = 0.0
    #: When the laser will have burnt all that it was given
    laser: float = 0.0
    #: Where the pick-up is
    head: int = 0

    def rotation(self, block: int) -> float:
        """Seconds of one turn of the disc at a block, at constant linear velocity."""
        area = max(0, block) * BLOCK_LENGTH * TRACK_PITCH
        radius = math.sqrt(FIRST_RADIUS**2 + area / math.pi)
        return 2 * math.pi * radius / (BLOCK_LENGTH * BLOCKS_PER_SECOND * self.speed)

    def seek(self, block: int) -> float:
        """Seconds to get to a block from where the pick-up is."""
        way = abs(block - self.head)
        if way == 0:
            return 0.0
        stroke = STROKE * math.sqrt(min(1.0, way / DISC_BLOCKS))
        return SETTLE + stroke + self.rotation(block) / 2

    def spend(self, seconds: float) -> None:
        self.seconds += seconds

    def begin_packet(self, block: int) -> None:
        """Link to the packet before; the host need not wait for it."""
        ready = self.seconds if self.seconds > self.laser else self.laser
        self.laser = ready + self.seek(block) + LINK
        self.head = block

    def burn(self, count: int) -> None:
        """Take blocks into the buffer; wait where it is full."""
        now = self.seconds + COMMAND + count * BUS
        rate = BLOCKS_PER_SECOND * self.speed
        laser = self.laser if self.laser > now else now
        self.laser = laser + count / rate
        full = self.laser - self.buffer_blocks / rate
        self.seconds = full if full > now else now
        self.head += count

    def end_packet(self, link_blocks: int) -> None:
        self.laser = max(self.laser, self.seconds)
        self.laser += link_blocks / (BLOCKS_PER_SECOND * self.speed)
        self.head += link_blocks

    def burn_lead(self, blocks: int) -> None:
        """A lead-in or lead-out, which the drive makes up by itself."""
        self.laser = max(self.laser, self.seconds) + blocks / (BLOCKS_PER_SECOND * self.speed)

    def note_track(self) -> None:
        """An entry in the program memory area, behind what is in the buffer."""
        self.laser = max(self.laser, self.seconds) + PMA_UPDATE

    def burn_lead_out(self, first: bool) -> None:
        """The end of a session at once: lead-out, and the program memory area."""
        self.burn_lead(FIRST_LEAD_OUT_BLOCKS if first else LATER_LEAD_OUT_BLOCKS)
        self.note_track()

    def rewrite(self, block: int, span: int, bus_blocks: int, *, again: bool = False) -> None:
        """Write ``span`` blocks of the groove over (link blocks included), for which the
        host sent ``bus_blocks``. What follows the last packet while the laser is still
        at it goes on without a seek; ``again``: the drive reads it first, a turn before."""
        now = self.seconds + COMMAND + bus_blocks * BUS
        rate = BLOCKS_PER_SECOND * self.speed
        laser = self.laser
        if block != self.head or laser < now or again:
            start = laser if laser > now else now
            way = self.seek(block) or SETTLE + self.rotation(block) / 2
            laser = start + way
        if again:
            laser += span / rate + self.rotation(block)
        self.laser = laser + span / rate
        self.head = block + span
        full = self.laser - self.buffer_blocks / rate
        self.seconds = full if full > now else now

    def wait_for_laser(self) -> None:
        """Reading has to wait for what is being burnt."""
        if self.laser > self.seconds:
            self.seconds = self.laser

    def drain(self) -> None:
        """Wait until the buffer is empty."""
        self.seconds = max(self.seconds + COMMAND, self.laser)

    def lose_buffer(self) -> None:
        self.laser = self.seconds

    @property
    def buffered(self) -> int:
        """Blocks in the buffer that are not burnt yet."""
        left = (self.laser - self.seconds) * BLOCKS_PER_SECOND * self.speed
        return max(0, min(self.buffer_blocks, math.ceil(left)))

    def read(self, block: int, count: int) -> None:
        self.seconds += (
            COMMAND + self.seek(block) + count * max(BUS, 1 / (BLOCKS_PER_SECOND * self.read_speed))
        )
        self.head = block + count

    def whole_disc(self, blocks: int) -> float:
        """Seconds of recording so many blocks of the groove, and lead-in and lead-out;
        they are not spent by this."""
        total = LEAD_IN_BLOCKS + blocks + FIRST_LEAD_OUT_BLOCKS
        return PMA_UPDATE + total / (BLOCKS_PER_SECOND * self.speed)

    def close_session(self, first: bool) -> float:
        """Seconds of closing a session; they are not spent by this."""
        lead_out = FIRST_LEAD_OUT_BLOCKS if first else LATER_LEAD_OUT_BLOCKS
        return PMA_UPDATE + (LEAD_IN_BLOCKS + lead_out) / (BLOCKS_PER_SECOND * self.speed)
