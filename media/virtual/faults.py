"""What the virtual burner can be told to do wrong.

Set the fields of ``burner.faults`` at any time; nothing is wrong by default.
Packets are counted from 1, from when the burner was opened. All choices that
a real drive leaves to chance come from ``seed``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from media.mmc.address import PREGAP

SenseCode = tuple[int, int, int]
#: A torn packet: nothing of it can be read; the first blocks are new, some after
#: them unreadable, the rest old; the first new, the rest old, and all is readable.
TornHow = Literal["unreadable", "mixed", "half"]


@dataclass(frozen=True, slots=True)
class FixedCut:
    """Exactly what a power cut does to the fixed packets in the drive's buffer.

    ``burnt`` are the first blocks of those that were burnt before it, ``torn`` is
    that of the one under the laser (None: none was), of which ``at`` blocks are new
    (how "mixed" and "half"; ``unreadable`` blocks behind them are lost in "mixed").
    All others are as they were. Blocks of packets that are not in the buffer are
    ignored.
    """

    burnt: frozenset[int] = frozenset()
    torn: int | None = None
    how: TornHow = "half"
    at: int = 16
    unreadable: int = 1


@dataclass(slots=True)
class Failure:
    """Commands that fail: with which sense, which operation code (None: any), how
    many of them to let through first, how often (None: for ever), and whether the
    command is carried out all the same, so that only its answer is lost."""

    sense: SenseCode
    operation: int | None = None
    after: int = 0
    times: int | None = 1
    carried_out: bool = False

    def strikes(self, operation: int) -> bool:
        """Whether this command fails; counts it."""
        if self.operation not in (None, operation) or self.times == 0:
            return False
        if self.after:
            self.after -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


@dataclass(slots=True)
class Faults:
    """The list; every field may be changed while the burner runs."""

    seed: int = 0
    #: After a power cut in a packet: the track needs REPAIR TRACK, or the drive
    #: finds the end by itself.
    cut: Literal["repair", "clean"] = "repair"
    #: After REPAIR TRACK the track can be written again, which is what the command is
    #: for (MMC-6 6.30); or it can only be closed.
    repaired: Literal["writable", "closable"] = "writable"
    #: A track that needs REPAIR TRACK is reported as damaged; or only as one without a
    #: next writable address.
    damage_told: bool = True
    #: A medium error 3/0C while this packet is written, told at the WRITE or at
    #: the SYNCHRONIZE CACHE.
    write_errors: dict[int, Literal["write", "sync"]] = field(default_factory=dict)
    #: What a power cut does to fixed packets in the buffer: this, or chance.
    fixed_cut: FixedCut | None = None
    #: How chance tears the packet under the laser (None: chance decides that too).
    torn: TornHow | None = None
    #: Fixed packets (their first blocks) that cannot be written any more.
    bad_packets: set[int] = field(default_factory=set)
    #: So large a share of all fixed packets (0 to 1) is bad from the start.
    bad_share: float = 0.0
    #: So many rewrites a fixed packet bears.
    wear_limit: int | None = None
    #: When the drive tells of a bad or worn packet.
    defects_told: Literal["write", "sync"] = "sync"
    #: When a fixed packet fails, those that were taken after it are lost too.
    error_empties_buffer: bool = False
    #: Fixed packets that wait in the buffer can be read; or that fails (5/2C/00).
    read_buffered: bool = False
    #: So many fixed packets may wait in the buffer (None: as many as it holds).
    buffer_packets: int | None = None
    #: After so many looks (TEST UNIT READY, READ DISC INFORMATION, REQUEST SENSE) a
    #: Mt. Rainier format in the background is complete.
    background_polls: int = 12
    #: The unsynced buffer of this packet vanishes, and SYNCHRONIZE CACHE says GOOD.
    lost_buffers: set[int] = field(default_factory=set)
    #: The drive ends this packet by itself, after so many blocks or more.
    early_ends: dict[int, int] = field(default_factory=dict)
    #: ... and every packet after so many.
    end_packets_after: int | None = None
    #: So many answers to READ TRACK INFORMATION still have the last address.
    stale_next_writable: int = 0
    #: Blocks that have become unreadable (3/11/05).
    unreadable: set[int] = field(default_factory=set)
    #: Reading while a packet is open ends it; or it fails (5/2C/00).
    read_ends_packet: bool = True
    #: Some drives report an empty reserved track with Packet = 0.
    empty_reservation_is_packet: bool = True
    #: Some drives forget that a track was reserved when something is in it.
    reservation_remembered: bool = True
    #: A reserved track that is full is closed by the drive itself; or it has to be told.
    full_reservation_closes: bool = True
    #: Blocks between a reserved track's run-out and the track behind it.
    reservation_gap: int = PREGAP
    #: Some drives know the last recorded address of an open track too.
    last_recorded_of_open_track: bool = False
    #: So many polls until an immediate operation is over (0: at once).
    polls: int = 3
    #: After an immediate eject or load: so many commands get 2/04/07 or 2/04/01.
    tray_polls: int = 0
    #: Seconds on the drive's clock that a command takes longer, by operation code.
    slow: dict[int, float] = field(default_factory=dict)
    #: Called with each command before it is looked at; may raise.
    hook: Callable[[bytes], None] | None = None
    #: Called after each command with the seconds it took on the drive's clock: a
    #: function that sleeps makes the burner as slow as a real one.
    pace: Callable[[float], None] | None = None
    failures: list[Failure] = field(default_factory=list)

    def fail(
        self,
        sense: SenseCode,
        *,
        operation: int | None = None,
        after: int = 0,
        times: int | None = 1,
        carried_out: bool = False,
    ) -> None:
        """Let commands fail with (key, code, qualifier); see :class:`Failure`."""
        self.failures.append(Failure(sense, operation, after, times, carried_out))

    def failure(self, operation: int) -> Failure | None:
        """The failure that this command meets, if any."""
        for failure in self.failures:
            if failure.strikes(operation):
                return failure
        return None

    def chance(self, what: object) -> random.Random:
        """Randomness for one occasion: the same for the same seed and occasion."""
        return random.Random(f"{self.seed} {what}")

    def clone(self) -> Faults:
        """An independent copy."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        for name in (
            "write_errors",
            "lost_buffers",
            "early_ends",
            "unreadable",
            "slow",
            "bad_packets",
        ):
            values[name] = values[name].copy()
        values["failures"] = [
            Failure(f.sense, f.operation, f.after, f.times, f.carried_out) for f in self.failures
        ]
        return Faults(**values)
