"""``udffs export``."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from udffs.cli.output import Output, counted, local_progress, reports, size

if TYPE_CHECKING:
    from udffs.control import Entry
    from udffs.mastering.export import Exported
    from udffs.mastering.streaming import StreamedImage

UNREADABLE = 11
"""The exit code of an image that some files are missing from."""

OLD_STATE = (
    "an old state can be exported while the disc is not mounted (`udffs unmount {where}` first)"
)


@click.command(name="export")
@click.argument("drive", metavar="DRIVE|PLACE")
@click.argument("file", metavar="FILE.iso", type=click.Path(path_type=Path))
@click.option("--at", type=click.IntRange(min=0), metavar="N", help="The state at block N.")
@click.option("--label", help="Name of the image.  [default: that of the disc]")
@click.option("--force", is_flag=True, help="Replace FILE.iso if it exists.")
@click.option(
    "--skip-unreadable", is_flag=True, help="Leave out what cannot be read; the exit code tells."
)
@reports
def command(
    out: Output,
    drive: str,
    file: Path,
    at: int | None,
    label: str | None,
    force: bool,
    skip_unreadable: bool,
) -> int:
    """Make an image of what is on a disc that any system can read.

    The disc may be open or closed, written by any system, mounted or not.
    FILE.iso holds its files as they are now, each once, as ISO 9660 with Joliet
    and Rock Ridge and as UDF: nothing of its history, and nothing that was
    deleted. If anything cannot be read, all of it is named and there is no image;
    with --skip-unreadable the rest is written, and the exit code is 11.

    \b
    Example:
      udffs export disc.img Holiday.iso
    """
    from udffs.cli.mounts import clear_dead, running
    from udffs.errors import EntryExistsError

    _check_target(drive, file)
    if not force and (file.exists() or file.is_symlink()):
        raise EntryExistsError(f"{file} exists already; --force replaces it.")
    entry = running(out, drive)
    if entry is None:
        clear_dead(drive)
    with _terminated_like_interrupted(), _opened(out, entry, drive, file, at) as found:
        for note in found.notes:
            out.note(note)
        missing = _write(out, found, file, label or found.label, force, skip_unreadable)
    return UNREADABLE if missing else 0


def _check_target(drive: str, file: Path) -> None:
    """Raises InvalidOperationError if the image would take the disc's own place."""
    from udffs.errors import InvalidOperationError

    for own in (Path(drive), Path(f"{drive}.state")):
        if file.exists() and own.exists() and file.samefile(own):
            raise InvalidOperationError(what=f"{file} is the disc itself")


@contextlib.contextmanager
def _terminated_like_interrupted() -> Iterator[None]:
    """SIGTERM leaves no half an image behind either."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _opened(
    out: Output, entry: Entry | None, drive: str, file: Path, at: int | None
) -> Iterator[Exported]:
    """What is on the disc, to be read until the block ends."""
    from udffs.cli import reaching
    from udffs.errors import InvalidOperationError
    from udffs.mastering.export import exported_disc, exported_mount

    if entry is not None:
        if at is not None:
            raise InvalidOperationError(what=OLD_STATE.format(where=entry.where))
        where = Path(entry.where)
        if file.absolute().resolve().is_relative_to(where.resolve()):
            raise InvalidOperationError(what=f"{file} would be on the disc that is exported")
        yield exported_mount(where, entry.label)
        return
    with contextlib.closing(reaching.open_block_store(drive, writable=False)) as store:
        found = exported_disc(store, at=at)
        if at is None:
            _note_unsaved(out, store.name, found.identity)
        yield found


def _note_unsaved(out: Output, drive: str, identity: str) -> None:
    from udffs import settings
    from udffs.commit.spool import unsaved

    folder = unsaved(settings.load().for_drive(drive).spool, identity) if identity else None
    if folder is not None:
        out.note(
            f"There is unsaved data for this disc in {folder}, which is not in the image; "
            "the disc's next mount saves it."
        )


def _write(
    out: Output, found: Exported, file: Path, label: str, force: bool, skip: bool
) -> list[str]:
    """Writes the image; the files that are missing from it.

    Raises UnreadableFilesError with all that cannot be read, unless that is to be
    skipped."""
    from udffs.errors import UnreadableFilesError, UnreadableSourcesError
    from udffs.mastering import imagefile
    from udffs.mastering.export import without
    from udffs.mastering.image import make_image
    from udffs.mastering.notes import name_list

    missing = list(found.unreadable)
    if missing and not skip:
        raise UnreadableFilesError(names=name_list(missing))
    now = time.time_ns()
    while True:
        image = make_image(found.root, label=label or "CDROM", now=now)
        try:
            with out.progress() as show:
                writing = local_progress(show, f"Writing {file.name}")
                imagefile.write(file, image, writing, replace=force)
            break
        except (UnreadableFilesError, UnreadableSourcesError):
            # Look at the others as well: whoever asked wants to know all of it.
            bad = image.unreadable()
            why = {source.serial: reason for _, source, reason in bad}
            names = [
                f"{path} ({why[source.serial]})"
                for path, source in found.root.walk()
                if source.serial in why
            ]
            if not skip or not bad:
                raise UnreadableFilesError(names=name_list([*missing, *names])) from None
            missing += names
            without(found.root, [source for _, source, _ in bad])
    for note in image.notes:
        out.note(note)
    told = _told(found, file, label, image, missing)
    out.result(told, _text(told))
    return missing


def _told(
    found: Exported, file: Path, label: str, image: StreamedImage, missing: list[str]
) -> dict[str, Any]:
    sources = [source for _, source in found.root.walk()]
    return {
        "image": str(file.absolute()),
        "label": label,
        "blocks": image.blocks,
        "files": len({source.serial for source in sources if not source.is_directory}),
        "directories": sum(source.is_directory for source in sources),
        "unreadable": missing,
    }


def _text(told: dict[str, Any]) -> str:
    files = counted(told["files"], "file", "files")
    directories = counted(told["directories"], "directory", "directories")
    lines = [
        f'{told["image"]} is an image of "{told["label"]}": {files} in {directories}, '
        f"{size(told['blocks'])}."
    ]
    if told["unreadable"]:
        lines.append(f"Missing, because they cannot be read ({len(told['unreadable'])}):")
        lines += [f"  {name}" for name in told["unreadable"]]
    return "\n".join(lines)
