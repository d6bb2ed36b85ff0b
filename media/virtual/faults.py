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

SenseCode = tuple[int, int, int]


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
    #: A medium error 3/0C while this packet is written, told at the WRITE or at
    #: the SYNCHRONIZE CACHE.
    write_errors: dict[int, Literal["write", "sync"]] = field(default_factory=dict)
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
        for name in ("write_errors", "lost_buffers", "early_ends", "unreadable", "slow"):
            values[name] = values[name].copy()
        values["failures"] = [
            Failure(f.sense, f.operation, f.after, f.times, f.carried_out) for f in self.failures
        ]
        return Faults(**values)
