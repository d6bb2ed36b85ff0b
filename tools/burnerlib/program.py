"""The command line of tools/burner."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

from vm.iscsi import NAME, serve

from burnerlib import hands
from media.errors import MediaError
from media.virtual.disc import open_burner
from udffs.errors import UdffsError

ATTACH = f"""\
In QEMU:        -device virtio-scsi-pci -drive if=none,id=cd,format=raw,file={{url}} \\
                -device scsi-generic,drive=cd
In this kernel: iscsistart -i iqn.2026-01.test:guest -t {NAME} -g 1 -a 127.0.0.1 -p {{port}}
Ctrl-C ends it."""


def _times(text: str) -> float:
    return float(text.removesuffix("x"))


def main() -> int:
    parser = argparse.ArgumentParser(description="A virtual burner over iSCSI, and hands on it.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("serve")
    run.add_argument("disc", type=Path)
    run.add_argument("--port", type=int, default=0)
    run.add_argument("--realtime", type=_times, metavar="16x")
    run.add_argument("--speed", type=_times)
    run.add_argument("--fault", action="append", default=[], metavar="NAME=VALUE")
    for hand in hands.HANDS:
        sub = commands.add_parser(hand)
        sub.add_argument("disc", type=Path)
        sub.add_argument("values", nargs="*" if hand != "fault" else "+", metavar="NAME=VALUE")
    options = parser.parse_args()
    try:
        return _serve(options) if options.command == "serve" else _hand(options)
    except (MediaError, UdffsError, OSError, ValueError) as error:
        print(f"burner: {error}", file=sys.stderr)
        return 1


def _hand(options: argparse.Namespace) -> int:
    if not options.disc.is_file():
        print(f"burner: There is no disc {options.disc}.", file=sys.stderr)
        return 2
    try:
        code, text = hands.send(options.disc, options.command, options.values)
    except (FileNotFoundError, ConnectionRefusedError):
        print(f"burner: {options.disc} is not being served.", file=sys.stderr)
        return 1
    if text:
        print(text, file=sys.stderr if code else sys.stdout)
    return code


def _serve(options: argparse.Namespace) -> int:
    stops = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    burner = open_burner(options.disc, speed=options.realtime or options.speed)
    try:
        for fault in options.fault:
            hands.set_fault(burner, fault)
        if options.realtime:
            burner.faults.pace = time.sleep
        path = hands.socket_path(options.disc)
        with hands.listen(burner, path), serve(burner.execute, options.port) as url:
            port = url.split(":")[2].partition("/")[0]
            print(url, ATTACH.format(url=url, port=port), sep="\n", flush=True)
            signal.sigwait(stops)
        path.unlink(missing_ok=True)
    finally:
        burner.close()
    return 0
