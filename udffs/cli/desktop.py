"""``udffs desktop``: the commands in the menus of file managers."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from udffs.cli.output import Output, counted, reports

if TYPE_CHECKING:
    from udffs.desktop.install import Report, User
    from udffs.desktop.system import System

#: The program, whatever the PATH of a file manager is.
PROGRAM = (sys.executable, "-P", "-m", "udffs.cli")


@click.group(name="desktop", invoke_without_command=True, subcommand_metavar="")
@click.option("--install", "wanted", flag_value="install", help="Add the entries.")
@click.option("--remove", "wanted", flag_value="remove", help="Remove what --install added.")
@click.option(
    "--system", is_flag=True, help="The rules for udev and mount.udffs instead; takes root."
)
@reports
def command(out: Output, wanted: str | None, system: bool) -> None:
    """Put the commands into the menus of file managers.

    "Send to disc", "Write staged files", "Close disc" and "Erase disc" appear in
    Nautilus (under Scripts), Nemo, Dolphin and Thunar, and in the menu of
    applications. Without an option the command says what is installed. Files of
    the same name that are not of udffs are left alone.

    With --system, and as root: the eject button does not open the tray over a mounted
    disc, CD-R and CD-RW are not mounted by udisks on their own, and `mount -t udffs`
    works.

    \b
    Example:
      udffs desktop --install
      sudo udffs desktop --install --system
    """
    if click.get_current_context().invoked_subcommand is not None:
        return
    place = _system() if system else _user()
    done = getattr(place, wanted or "installed")()
    _tell(out, done, wanted, system=system)


def _user() -> User:
    from udffs.desktop.install import User

    return User(PROGRAM)


def _system() -> System:
    from udffs.desktop.system import System

    helper = Path(sys.executable).parent / "mount.udffs"
    return System(helper, os.environ.get("DESTDIR", ""))


def _tell(out: Output, done: Report, wanted: str | None, *, system: bool) -> None:
    for note in done.notes:
        out.note(note)
    for path in done.foreign:
        out.note(f"{path} is not of udffs, and is left alone.")
    if system and wanted == "install":
        unsafe = _system().unsafe_helper()
        if unsafe:
            out.note(unsafe)
    state = {"install": "installed", "remove": "removed", None: "found"}[wanted]
    told = {"action": state, "system": system, "files": done.done, "foreign": done.foreign}
    out.result(told, _text(done.done, wanted))


def _text(paths: Sequence[str], wanted: str | None) -> str:
    if not paths:
        return "Nothing is installed." if wanted is None else "There was nothing to do."
    have = "no longer has" if wanted == "remove" else "has"
    many = "no longer have" if wanted == "remove" else "have"
    head = f"{counted(len(paths), f'file {have}', f'files {many}')} what udffs installs:"
    return "\n".join([head, *[f"  {path}" for path in paths]])


# -- what the entries run --------------------------------------------------------


@command.command(name="run", hidden=True)
@click.argument("action", type=click.Choice(["send", "burn", "close", "erase"]))
@click.argument("files", nargs=-1)
@click.option("--here", is_flag=True, help="Open no terminal; this is one.")
@click.pass_context
def run(ctx: click.Context, action: str, files: tuple[str, ...], here: bool) -> None:
    """Do what an entry of a menu says."""
    from udffs.desktop import run as running

    if action == "send":
        ctx.exit(running.send(PROGRAM, files))
    if not here and not (sys.stdin.isatty() and sys.stderr.isatty()):
        ctx.exit(running.in_terminal(PROGRAM, action))
    try:
        code = running.act(PROGRAM, action, lambda known: _choose(action, known))
    finally:
        click.pause("Press any key to close this window.", err=True)
    ctx.exit(code)


def _choose(action: str, known: Sequence[tuple[str, str]]) -> str:
    """Lets the user take a drive; also where there is one only, for it must be the right one."""
    click.echo(f"Which disc to {action}?")
    for number, (name, text) in enumerate(known, 1):
        click.echo(f"{number:>3}  {name}: {text}")
    chosen: int = click.prompt("Number", type=click.IntRange(1, len(known)))
    return known[chosen - 1][0]
