"""What ``udffs burn`` does, step by step."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from media.errors import BurnFailedError, BurnStoppedError
from udffs.cli.erase import must_not_be_mounted
from udffs.cli.output import Event, Output, counted, duration, local_progress, size
from udffs.cli.stage import changes, named
from udffs.errors import (
    NotConfirmedError,
    NotStagedError,
    NotVerifiedError,
    StagedMissingError,
    StagingBusyError,
)
from udffs.mastering import burning
from udffs.mastering.burning import Burnt, Selection, Target
from udffs.mastering.notes import Notes
from udffs.mastering.staging import Area, Collected, Placed, area, area_to_burn
from udffs.mastering.stash import megabytes
from udffs.settings import Settings

if TYPE_CHECKING:
    from media.drive import Drive
    from udffs.mastering.sources import Source
    from udffs.mastering.streaming import StreamedImage
    from udffs.mastering.verify import Verified

MODE_WORDS = {"tao": "track at once", "sao": "session at once"}
STILL_STAGED = "What was staged is still staged."
STOPPING = (
    "Stopping. What was begun on the disc is brought to an end first, which may take a minute "
    "or two."
)


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of the command; None: what the settings say."""

    drive: str
    paths: tuple[str, ...]
    label: str | None = None
    tao: bool | None = None
    speed: int | None = None
    load: bool | None = None
    eject: bool | None = None
    verify: str | None = None
    test_write: bool = False
    final: bool = False
    no_import: bool = False
    keep: bool = False
    image: Path | None = None
    dry_run: bool = False
    force: bool = False
    yes: bool = False


class Choice(NamedTuple):
    """What is to be burnt, and the staging area that it comes from, if it does."""

    selection: Selection
    area: Area | None = None
    collected: Collected | None = None


# -- what to burn ------------------------------------------------------------------


def choose(
    out: Output, wishes: Wishes, settings: Settings, now: int, held: contextlib.ExitStack
) -> Choice:
    """The PATHs, or what is staged, which stays as it is until ``held`` ends. Raises
    NotStagedError, StagedMissingError, StagingBusyError and what
    :func:`udffs.mastering.burning.select` raises."""
    if wishes.paths:
        return Choice(_selected(out, [_placed(path) for path in wishes.paths], now))
    staged = area_to_burn(settings, wishes.drive) if wishes.drive else area(settings)
    held.enter_context(staged.burning())
    collected = staged.collect()
    if not collected.placed:
        raise NotStagedError("Nothing is staged; `udffs stage add PATH` does that.")
    _look_at_changes(out, collected)
    if staged.drive is not None and not area(settings).empty():
        out.note(f"What is staged for {staged.drive} alone is burnt; the rest stays staged.")
    return Choice(_selected(out, list(collected.placed), now), staged, collected)


def _placed(path: str) -> Placed:
    """A PATH under its own name; of "." and "DIR/." what is in them."""
    name = "" if path.rstrip("/").endswith(("/.", "/..")) or path in (".", "..") else path
    found = Path(path)
    return Placed(Path(os.path.abspath(found)).name if name else "", found)  # noqa: PTH100


def _selected(out: Output, placed: list[Placed], now: int) -> Selection:
    selection = burning.select(placed, now)
    for note in selection.notes:
        out.note(note)
    return selection


def _look_at_changes(out: Output, collected: Collected) -> None:
    missing = [
        f"{line.name} ({'; '.join(changes(line.since))})"
        for line in collected.staged
        if line.since.missing
    ]
    if missing:
        raise StagedMissingError(names=", ".join(missing))
    for line in collected.staged:
        if told := changes(line.since):
            out.note(f"{line.name} is burnt as it is now: {'; '.join(told)}.")


# -- to a file ---------------------------------------------------------------------


def to_image(out: Output, wishes: Wishes, file: Path) -> None:
    """Writes an image file; what is staged stays staged."""
    with contextlib.ExitStack() as held:
        _to_image(out, wishes, file, held)


def _to_image(out: Output, wishes: Wishes, file: Path, held: contextlib.ExitStack) -> None:
    from udffs import settings
    from udffs.mastering import imagefile

    now = time.time_ns()
    choice = choose(out, wishes, settings.load(), now, held)
    image, label = _mastered(out, wishes, choice.selection, now)
    told = {
        "image": str(file),
        "label": label,
        "files": choice.selection.files,
        "blocks": image.blocks,
    }
    if wishes.dry_run:
        text = f"{file} would be an image of {size(image.blocks)}: "
        out.result(told, text + f"{contents(choice.selection)}.")
        return
    with out.progress() as show:
        imagefile.write(file, image, local_progress(show, f"Writing {file.name}"))
    kept = "" if choice.area is None else f" {STILL_STAGED}"
    out.result(told, f'{file} is the image of "{label}": {contents(choice.selection)}.{kept}')


def contents(selection: Selection) -> str:
    """How much it is, in words."""
    return f"{counted(selection.files, 'file', 'files')}, {megabytes(selection.size)}"


def _mastered(
    out: Output,
    wishes: Wishes,
    selection: Selection,
    now: int,
    start: int = 0,
    old: Source | None = None,
) -> tuple[StreamedImage, str]:
    label = _label(out, wishes)
    image = burning.master(selection, label, now, start=start, old=old)
    for note in image.notes:
        out.note(note)
    return image, label


def _label(out: Output, wishes: Wishes) -> str:
    """The volume name: as given, asked for on a terminal, else the date."""
    from udffs.cli.opening import NewVolume

    default = str(NewVolume(wishes.label).checked().label)
    if wishes.label is not None or wishes.yes or wishes.dry_run or not _somebody(out):
        return default
    typed: str = click.prompt("Volume name", default=default, err=True)
    return str(NewVolume(typed).checked().label)


def _somebody(out: Output) -> bool:
    """Whether there is anybody to ask."""
    return not out.json and sys.stdin.isatty() and sys.stderr.isatty()


# -- to a disc ---------------------------------------------------------------------


class Plan(NamedTuple):
    """What is going to be done to a disc. ``blocks``: the track; ``left``: what later
    sessions can have."""

    target: Target
    choice: Choice
    image: StreamedImage
    label: str
    mode: str
    blocks: int
    left: int
    verify: str

    def told(self, wishes: Wishes) -> dict[str, Any]:
        return {
            "drive": wishes.drive,
            "disc": self.target.kind,
            "label": self.label,
            "mode": self.mode,
            "session": self.target.sessions + 1,
            "start": self.target.start,
            "files": self.choice.selection.files,
            "bytes": self.choice.selection.size,
            "blocks": self.blocks,
            "left": self.left,
            "closed": wishes.final,
        }


def to_disc(out: Output, wishes: Wishes) -> None:
    """Burns, reads back, and takes what was staged off the list."""
    from udffs import settings

    must_not_be_mounted(out, wishes.drive)
    chosen = settings.load()
    of_drive = chosen.for_drive(wishes.drive)
    with contextlib.closing(_open(out, wishes, chosen)) as drive, contextlib.ExitStack() as held:
        plan = _plan(out, wishes, chosen, drive, held)
        out.say(announcement(plan, wishes, drive))
        if wishes.dry_run:
            out.result(plan.told(wishes), "Nothing was written (--dry-run).")
            return
        _confirm(out, wishes)
        with Stopper() as stop:
            verified = _carry_out(out, wishes, plan, drive, stop)
    if wishes.test_write:
        text = (
            f"The drive took all of it, with the laser off. {STILL_STAGED if _staged(plan) else ''}"
        )
        out.result({**plan.told(wishes), "test": True, "verified": None}, text.strip())
        return
    staged = _take_off(out, wishes, plan)
    if of_drive.eject_after if wishes.eject is None else wishes.eject:
        from udffs.cli.eject import open_tray

        open_tray(wishes.drive)
    _report(out, wishes, plan, verified, staged)


def _open(out: Output, wishes: Wishes, settings: Settings) -> Drive:
    """The drive, with its disc loaded. Raises RecordingDisabledError, NoMediumError."""
    from udffs.cli import reaching
    from udffs.cli.opening import check_recording
    from udffs.cli.preparing import writing_drive

    of_drive = settings.for_drive(wishes.drive)
    if of_drive.load_before if wishes.load is None else wishes.load:
        check_recording(settings, wishes.drive)
        with (
            contextlib.closing(reaching.open_drive(wishes.drive)) as drive,
            out.progress() as show,
        ):
            drive.load(local_progress(show, "Loading the disc"))
    return writing_drive(settings, wishes.drive, wishes.speed)


def _plan(
    out: Output, wishes: Wishes, settings: Settings, drive: Drive, held: contextlib.ExitStack
) -> Plan:
    of_drive = settings.for_drive(wishes.drive)
    if wishes.force and not wishes.dry_run:
        with out.progress() as show:
            closing = local_progress(show, "Closing a session that was cut off")
            if burning.close_cut_off(drive, closing):
                out.note("What a burn that was cut off had left on the disc is closed now.")
    target = burning.look(drive, force=wishes.force)
    now = time.time_ns()
    choice = choose(out, wishes, settings, now, held)
    burning.check_fits(choice.selection.blocks, target)  # before anything is asked
    mode = of_drive.burn_mode if wishes.tao is None else ("tao" if wishes.tao else "sao")
    old = (
        None if target.blank or wishes.no_import else _earlier(out, drive, choice.selection, target)
    )
    image, label = _mastered(out, wishes, choice.selection, now, target.start, old)
    blocks = burning.track_size(image, burning.MODES[mode])
    burning.check_fits(blocks, target)
    left = 0 if wishes.final else target.left(blocks)
    verify = "none" if wishes.test_write else wishes.verify or of_drive.burn_verify
    return Plan(target, choice, image, label, mode, blocks, left, verify)


def _earlier(out: Output, drive: Drive, selection: Selection, target: Target) -> Source | None:
    """What earlier sessions hold, to be shown in the new one."""
    notes = Notes()
    old = burning.earlier_files(drive, notes, target)
    for note in notes.sentences():
        out.note(note)
    if old is not None and (names := burning.replaced(old, selection.root)):
        out.note(f"Earlier files of the same name are not shown any more: {named(names)}.")
    return old


def announcement(plan: Plan, wishes: Wishes, drive: Drive) -> str:
    """What is going to be done, and what the disc is like then."""
    then = "nothing can be added then" if wishes.final else f"{size(plan.left)} will be left"
    where = f"the {plan.target.kind} in {wishes.drive}"
    if not plan.target.blank:
        where += f", as session {plan.target.sessions + 1}"
    test = ", with the laser off" if wishes.test_write else ""
    go = "goes" if plan.choice.selection.files == 1 else "go"
    return (
        f'{contents(plan.choice.selection)} {go} on {where}, as "{plan.label}" '
        f"({MODE_WORDS[plan.mode]}{test}); this takes {size(plan.blocks)}, and {then}."
        f"{_time(plan, drive)}"
    )


def _time(plan: Plan, drive: Drive) -> str:
    """Not of a virtual drive: its time is not ours."""
    if drive.seconds is not None or drive.blocks_per_second is None:
        return ""
    return f" It needs {duration(plan.blocks / drive.blocks_per_second)}."


def _confirm(out: Output, wishes: Wishes) -> None:
    if wishes.yes or not _somebody(out):
        return
    if not click.confirm("Burn it?", default=True, err=True):
        raise NotConfirmedError("Nothing was burnt.")


class Stopper:
    """Ctrl-C and SIGTERM become a wish that is looked at between two writes; losing
    the terminal is no reason to spoil a disc."""

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self.asked = False

    def __call__(self) -> bool:
        return self.asked

    def __enter__(self) -> Stopper:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._stop)
        self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _stop(self, *_: object) -> None:
        if not self.asked:
            self.asked = True
            with contextlib.suppress(OSError):
                click.echo(f"\n{STOPPING}", err=True)


def _carry_out(
    out: Output, wishes: Wishes, plan: Plan, drive: Drive, stop: Stopper
) -> Verified | None:
    """Burns and reads back; whatever goes wrong, what is staged stays."""
    try:
        with _progress(out) as show:
            burnt = burning.burn(
                drive,
                plan.image,
                mode=burning.MODES[plan.mode],
                final=wishes.final,
                test=wishes.test_write,
                progress=local_progress(show, "Burning"),
                stop=stop,
            )
        drive.close()  # what is read back comes from the disc, and through a new look at it
        return _read_back(out, wishes, plan, burnt, stop)
    except (BurnFailedError, NotVerifiedError):
        if _staged(plan):
            out.note(STILL_STAGED)
        raise


@contextlib.contextmanager
def _progress(out: Output) -> Iterator[Callable[[Event], None]]:
    """Where the terminal is gone, nobody is told, and the work goes on."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            show = stack.enter_context(out.progress())
        stack.push(lambda kind, _error, _trace: kind is not None and issubclass(kind, OSError))

        def tell(event: Event) -> None:
            with contextlib.suppress(OSError):
                show(event)

        yield tell


def _read_back(
    out: Output, wishes: Wishes, plan: Plan, burnt: Burnt, stop: Stopper
) -> Verified | None:
    from udffs.cli import reaching
    from udffs.mastering.verify import in_words

    if plan.verify == "none":
        return None
    with (
        contextlib.closing(reaching.open_drive(wishes.drive, writable=False)) as drive,
        _progress(out) as show,
    ):
        found = burning.read_back(
            drive,
            burnt,
            all_of_it=plan.verify == "all",
            progress=local_progress(show, "Reading back"),
            stop=stop,
        )
    if found.bad:
        raise NotVerifiedError(drive=wishes.drive, what=in_words(found, burnt.image.content))
    if not found.complete:
        raise BurnStoppedError(
            "Reading back was stopped. The disc is complete, but whether it is good is not known."
        )
    return found


def _staged(plan: Plan) -> bool:
    return plan.choice.area is not None


def _take_off(out: Output, wishes: Wishes, plan: Plan) -> bool:
    """Takes what was burnt off the list; whether anything of it is left there."""
    if plan.choice.area is None or plan.choice.collected is None:
        return False
    if wishes.keep:
        return True
    try:
        left = plan.choice.area.burnt(plan.choice.collected)
    except StagingBusyError:
        out.note(f"Another disc is being burnt with the same files. {STILL_STAGED}")
        return True
    for name in left:
        out.note(f"{name} changed while it was being burnt, and is still staged.")
    return bool(left)


def _report(
    out: Output, wishes: Wishes, plan: Plan, verified: Verified | None, staged: bool
) -> None:
    told = {**plan.told(wishes), "verified": None if verified is None else plan.verify}
    told |= {"blocks_read_back": 0 if verified is None else verified.blocks, "staged": staged}
    checked = {
        "none": "It was not read back.",
        "metadata": "Its directories were read back, and are right; its files were not.",
        "all": "All of it was read back, and is right.",
    }[plan.verify]
    kept = f" {STILL_STAGED}" if staged and wishes.keep else ""
    out.result(
        told,
        f'The {plan.target.kind} in {wishes.drive} now holds "{plan.label}", '
        f"{contents(plan.choice.selection)}. {checked}{kept}",
    )
