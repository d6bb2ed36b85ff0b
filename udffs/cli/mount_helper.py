"""``mount.udffs``: what mount(8) runs for ``mount -t udffs`` and for fstab.

mount(8) looks for it in /sbin only: a symbolic link there makes it found.
Ends with mount(8)'s exit codes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from udffs.cli.exitcodes import USAGE, exit_code, mount_exit_code
from udffs.cli.output import Output

USAGE_FAILURE = 1


@click.command(name="mount.udffs", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source")
@click.argument("where")
@click.option("-o", "options", multiple=True, metavar="OPTIONS", help="Options as in mount(8).")
@click.option("-f", "fake", is_flag=True, help="Check everything, but do not mount.")
@click.option("-n", "no_mtab", is_flag=True, help="Nothing to do: there is no mtab any more.")
@click.option("-s", "sloppy", is_flag=True, help="Tolerate unknown options.")
@click.option("-v", "verbose", is_flag=True, help="Say what is mounted.")
@click.option("-t", "kind", metavar="TYPE", help="udffs, or nothing.")
@click.option("-N", "namespace", metavar="NS", help="Not supported.", hidden=True)
def command(
    source: str,
    where: str,
    options: tuple[str, ...],
    fake: bool,
    no_mtab: bool,
    sloppy: bool,
    verbose: bool,
    kind: str | None,
    namespace: str | None,
) -> None:
    """Mount the disc in SOURCE at WHERE, for mount(8).

    \b
    Example of a line in /etc/fstab:
      /home/ann/disc.img  /mnt/disc  udffs  noauto,user  0  0
    """
    from udffs.cli import mount_options, starting
    from udffs.cli.mount import build_request
    from udffs.cli.mounts import tell_earlier_failure

    if kind not in (None, "udffs", "fuse.udffs"):
        raise click.UsageError(f"mount.udffs does not mount the type {kind}.")
    if namespace is not None:
        raise click.UsageError("mount.udffs does not enter other namespaces.")
    asked = mount_options.parse(options, sloppy=sloppy)
    if asked.read_only is False:
        asked.read_only = None  # mount(8) always says rw: it insists on nothing
    request = build_request(source, where, asked)
    if fake:
        return
    out = Output()
    tell_earlier_failure(out, source)
    event = starting.start(out, starting.with_log(request))
    if event.get("read_only") and not asked.read_only:
        out.note(f"{source} can only be read: {event['read_only']}")
    if verbose:
        out.say(starting.ready_text(event))


def run(arguments: Sequence[str]) -> int:
    """Runs a command line; returns one of mount(8)'s exit codes."""
    try:
        return int(command.main(list(arguments), standalone_mode=False) or 0)
    except click.Abort:
        return mount_exit_code(exit_code(KeyboardInterrupt()))
    except click.ClickException as error:
        error.show()
        return mount_exit_code(USAGE)
    except (Exception, KeyboardInterrupt) as error:
        click.echo(f"mount.udffs: {error or type(error).__name__}", err=True)
        return mount_exit_code(exit_code(error))


def main() -> None:
    """The program ``mount.udffs``."""
    raise SystemExit(run(sys.argv[1:]))
