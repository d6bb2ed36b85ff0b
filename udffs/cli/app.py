"""``udffs`` itself: its list of commands, and how it ends.

Commands are imported when they are run: ``udffs --help`` reads this file and
nothing else of ours.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence

import click

#: Name: (module in udffs.cli, one line of help). In the order of use.
COMMANDS: dict[str, tuple[str, str]] = {
    "drives": ("drives", "What drives there are, and what disc is in them."),
    "new": ("new", "Make a blank virtual disc."),
    "info": ("info", "What is known about a disc."),
    "format": ("format", "Put an empty volume on a disc."),
    "erase": ("erase", "Make a rewritable disc blank again."),
    "mount": ("mount", "Make a disc a directory."),
    "unmount": ("unmount", "Finish with a disc; returns when it is safe."),
    "sync": ("sync", "Write to the disc what is not yet on it."),
    "eject": ("eject", "Unmount, and open the tray."),
    "load": ("load", "Pull the tray in."),
    "close": ("close", "Make a disc readable everywhere."),
    "stage": ("stage", "Collect files for a disc."),
    "burn": ("burn", "Write what was collected to a disc in one go."),
    "export": ("export", "Make an image of a disc."),
    "fits": ("fits", "Would these files fit on a disc?"),
    "desktop": ("desktop", "Put the commands into the menus of file managers."),
}

EPILOG = """\
\b
A first session, without a burner:
  udffs new disc.img --media cd-r-80
  udffs mount disc.img --format
  cp -r Documents ~/Discs/*/
  udffs unmount disc.img

A DRIVE is /dev/sr0, or the path of a virtual disc. `udffs COMMAND --help` has an example
of each command, `udffs --exit-codes` what the exit codes mean.
"""


class Commands(click.Group):
    """The commands, each imported only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"udffs.cli.{COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


def _show_exit_codes(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from udffs.cli.exitcodes import text

        click.echo(text())
        ctx.exit()


@click.group(
    cls=Commands,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="udffs", prog_name="udffs")
@click.option(
    "--exit-codes",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_exit_codes,
    help="Show what the exit codes mean.",
)
@click.option(
    "--transport",
    type=click.Choice(["auto", "sg", "sr"]),
    help="How commands reach a drive, if one way does not work with it.",
)
def udffs(transport: str | None) -> None:
    """Use a recordable disc like a drive: save to it from any program."""
    if transport is not None:
        import os

        from udffs.settings import TRANSPORT_ENVIRONMENT

        # The process of a mount has it from here as well.
        os.environ[TRANSPORT_ENVIRONMENT] = transport


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit code; errors become sentences."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return int(udffs.main(words, prog_name="udffs", standalone_mode=False) or 0)
    except click.Abort:
        return _failed(KeyboardInterrupt("interrupted"), words)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (Exception, KeyboardInterrupt) as error:
        return _failed(error, words)


def _failed(error: BaseException, words: Sequence[str]) -> int:
    from udffs.cli.exitcodes import INTERNAL, exit_code
    from udffs.cli.output import shown

    code = exit_code(error)
    text = str(error) or type(error).__name__
    if isinstance(error, KeyboardInterrupt):
        text = "Interrupted."
    elif code == INTERNAL:
        _explain(error)
    elif isinstance(error, OSError) and error.strerror:
        text = ": ".join([error.strerror, *filter(None, [error.filename])])
    if "--json" in words:
        kind = getattr(error, "kind", type(error).__name__)
        click.echo(json.dumps({"error": {"kind": kind, "message": text, "exit_code": code}}))
    click.echo(shown(f"udffs: {text}"), err=True)
    return code


def _explain(error: BaseException) -> None:
    """A mistake of ours: everything that helps to find it."""
    if error.__traceback__ is not None and not hasattr(error, "kind"):
        import traceback

        traceback.print_exception(error)
