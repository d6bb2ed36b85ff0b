"""``udffs stage``: collecting files for a disc."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from udffs.cli import output
from udffs.cli.output import Output, local_progress, reports

if TYPE_CHECKING:
    from udffs.mastering.entries import Staged
    from udffs.mastering.listing import Difference
    from udffs.mastering.staging import Area, Removal

HOW = {
    "reference": "stays in {source}",
    "copy": "copied from {source}",
    "saved": "saved in the staging folder",
}
#: Names that a line gives before it only counts
_NAMED = 3


@click.group(name="stage")
def command() -> None:
    """Collect files for a disc, to be written in one go by `udffs burn`.

    Nothing is written to a disc before that. Files are staged by reference (they
    stay where they are, and must be there when they are burnt) or as copies. Any
    program may also save into the staging folder, which `udffs stage list` names.
    Each command reports in JSON with --json.

    \b
    Example:
      udffs stage add ~/Pictures/2026 --to Pictures
      udffs stage list
      udffs burn disc.img
    """


def _for_drive(wanted: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command --drive."""
    return click.option(
        "--drive", metavar="DRIVE", help="What is meant for this drive alone.  [default: for any]"
    )(wanted)


def _area(drive: str | None) -> Area:
    from udffs import settings
    from udffs.mastering import staging

    return staging.area(settings.load(), drive)


@command.command(name="add")
@click.argument(
    "paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(path_type=Path)
)
@click.option("--to", default="", metavar="FOLDER", help="Folder on the disc.  [default: its root]")
@click.option(
    "--copy/--reference",
    "copy",
    default=False,
    help="Copy the files now, or take them from where they are.  [default: reference]",
)
@_for_drive
@reports
def add(out: Output, paths: tuple[Path, ...], to: str, copy: bool, drive: str | None) -> None:
    """Stage files and directories, hidden ones included.

    Files that stay where they are take no room, but must not change until they are
    burnt: what has changed, or is missing, is told before a burn begins. With
    --copy they are copied into the stash (stash and stash_size in the settings),
    and may be changed or deleted afterwards. Adding the same path again renews it.

    \b
    Example:
      udffs stage add report.pdf data/ --to "Case 17" --copy
    """
    area = _area(drive)
    added = []
    with out.progress() as show:
        for path in paths:
            progress = local_progress(show, f"Copying {path.name}")
            added.append(area.add(path, to=to, copy=copy, progress=progress))
            out.say(f'"{shown(added[-1].to)}" is staged{" as a copy" if copy else ""}.')
    files, size = area.waiting()
    told = {"added": [entry.to for entry in added], "copied": copy}
    out.result({**told, **_sums(area, files, size)}, total_text(files, size))


@command.command(name="list")
@_for_drive
@reports
def show_list(out: Output, drive: str | None) -> None:
    """What is staged, and not on a disc yet.

    Of each line: how much it is, where it comes from, and what has changed or is
    missing since it was staged.

    \b
    Example:
      udffs stage list
    """
    area = _area(drive)
    area.make()
    lines = area.staged()
    files, size = area.waiting()
    if drive is None:
        _note_others(out)
    told = _sums(area, files, size) | {"staged": [_told(each) for each in lines]}
    end = f"{total_text(files, size)}\nWhat programs save in {area.folder} is staged too."
    out.result(told, "\n".join([*_rows(lines), end]))


@command.command(name="remove")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@_for_drive
@click.option("--yes", is_flag=True, help="Do not ask before the only copy of a file is deleted.")
@reports
def remove(out: Output, names: tuple[str, ...], drive: str | None, yes: bool) -> None:
    """Take files off the list.

    They are named as on the disc, or by where they came from.
    What is staged by reference is not touched. Copies are deleted; where a copy is
    the only one there is, that has to be confirmed.

    \b
    Example:
      udffs stage remove Pictures/2026
    """
    area = _area(drive)
    _take_off(out, area, area.removal(names), yes)


@command.command(name="clear")
@_for_drive
@click.option("--yes", is_flag=True, help="Do not ask before the only copy of a file is deleted.")
@reports
def clear(out: Output, drive: str | None, yes: bool) -> None:
    """Take everything off the list. What is staged by reference is not touched.

    \b
    Example:
      udffs stage clear
    """
    area = _area(drive)
    _take_off(out, area, area.removal(), yes)


def _take_off(out: Output, area: Area, removal: Removal, yes: bool) -> None:
    if removal.only_here and not yes:
        _confirm(out, removal.only_here)
    area.remove(removal)
    files, size = area.waiting()
    told = {"removed": [entry.to for entry in removal.entries], "deleted": list(removal.files)}
    out.result({**told, **_sums(area, files, size)}, total_text(files, size))


def _confirm(out: Output, names: Sequence[str]) -> None:
    """Raises NotConfirmedError."""
    from udffs.errors import NotConfirmedError

    which = named(names)
    if out.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise NotConfirmedError(
            f"Nothing was taken off: the staging folder has the only copy of {which}; "
            "--yes deletes it."
        )
    click.echo(f"The staging folder has the only copy of {which}.", err=True)
    if not click.confirm("Delete it for ever?", default=False, err=True):
        raise NotConfirmedError("Nothing was taken off.")


def _note_others(out: Output) -> None:
    from udffs import settings
    from udffs.mastering import staging

    for other in staging.areas_of_drives(settings.load()):
        files, _size = other.waiting()
        out.note(
            f"{_files(files)} for {other.drive} alone (`udffs stage list --drive {other.drive}`)."
        )


# -- in words -------------------------------------------------------------------


def total_text(files: int, size: int) -> str:
    """How much is staged."""
    from udffs.mastering.stash import megabytes

    if not files:
        return "Nothing is staged."
    return f"{_files(files)}, {megabytes(size)}, and not on a disc yet (`udffs burn DRIVE`)."


def _files(count: int) -> str:
    return "1 file is staged" if count == 1 else f"{count} files are staged"


def _sums(area: Area, files: int, size: int) -> dict[str, Any]:
    return {
        "drive": area.drive,
        "folder": str(area.folder),
        "limit": area.limit,
        "files": files,
        "bytes": size,
    }


def _told(line: Staged) -> dict[str, Any]:
    return {
        "name": line.name,
        "how": line.how,
        "source": line.source,
        "files": line.files,
        "bytes": line.size,
        **{key: list(names) for key, names in line.since._asdict().items()},
    }


def _rows(lines: Sequence[Staged]) -> list[str]:
    from udffs.mastering.stash import megabytes

    cells = [
        (
            shown(line.name),
            output.counted(line.files, "file", "files"),
            megabytes(line.size),
            shown("; ".join([HOW[line.how].format(source=line.source), *changes(line.since)])),
        )
        for line in lines
    ]
    widths = [max((len(row[column]) for row in cells), default=0) for column in range(3)]
    return [
        f"{name:<{widths[0]}}  {count:>{widths[1]}}  {size:>{widths[2]}}  {words}"
        for name, count, size, words in cells
    ]


def shown(text: str) -> str:
    """A name of the host in one line."""
    return output.shown(text).replace("\n", "\ufffd")


def changes(since: Difference) -> list[str]:
    """What became of something since it was staged."""
    if since.missing == ("",):
        return ["MISSING since"]
    words = (("MISSING since", since.missing), ("changed since", since.changed))
    told = [f"{what}: {named(names)}" if names != ("",) else what for what, names in words if names]
    return [*told, f"new since: {named(since.added)}"] if since.added else told


def named(names: Sequence[str]) -> str:
    """A few names, and how many more there are."""
    listed = ", ".join(names[:_NAMED])
    more = len(names) - _NAMED
    return listed if more <= 0 else f"{listed} and {more} more"
