"""One run of the virtual machine."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vm.cpio import Archive
from vm.errors import VmFailed, VmUnavailable
from vm.initiator import MODULES, get_initiator, library_path, parse_target, starter
from vm.initramfs import get_initramfs
from vm.kernel import Kernel, get_kernel
from vm.programs import need

# Options that make a software-emulated boot quick: no mitigations, no waiting
# for devices that are not there, no second clock.
KERNEL_OPTIONS = (
    "console=ttyS0 panic=-1 reboot=t quiet loglevel=4 mitigations=off nokaslr audit=0 "
    "apparmor=0 selinux=0 random.trust_cpu=on tsc=reliable no_timer_check 8250.nr_uarts=1 "
    "rcupdate.rcu_expedited=1 cryptomgr.notests raid=noautodetect net.ifnames=0"
)
INITIATOR = "iqn.2026-01.test:guest"
PORTS = ("out", "err", "ctl")
# What is left for booting and ending, in seconds beyond the command's own time.
BOOT_SECONDS = 120.0


@dataclass(frozen=True)
class Disk:
    """An image as a disk of the guest (/dev/vda, /dev/vdb, ... in order)."""

    path: Path
    writable: bool = False
    sector: int | None = None  # bytes; None for QEMU's own choice, 512


@dataclass(frozen=True)
class Result:
    """What the command printed, and its exit status (137 if its time ran out)."""

    status: int
    stdout: bytes
    stderr: bytes


def run(
    command: Sequence[str],
    *,
    disks: Sequence[Disk] = (),
    burners: Sequence[str] = (),
    attach: Sequence[str] = (),
    shares: Sequence[Path] = (),
    modules: Sequence[str] = (),
    udev: bool = False,
    net: bool = False,
    seconds: float = 240.0,
    memory: int = 1024,
    cwd: Path | None = None,
) -> Result:
    """Boots, runs ``command`` as root, and ends.

    ``burners`` are URLs of :func:`vm.iscsi.serve`: /dev/sr0, /dev/sr1, ... in
    order, passed through by QEMU. ``attach`` are such URLs too, attached by the
    guest kernel's own initiator before the command runs, which is slower and
    more faithful (residuals, time-outs); it implies ``net``, the user-mode network in
    which this machine's 127.0.0.1 is 10.0.2.2. ``shares`` are directories of this
    machine, writable at the same path. With ``udev`` systemd-udevd runs, and drives
    are asked for media events. ``memory`` is in MiB, ``seconds`` bounds the command.

    Raises VmUnavailable where this machine has no QEMU or something cannot be
    fetched, and VmFailed if the machine ended without an exit status.
    """
    qemu = need("qemu-system-x86_64", "qemu-system-x86")
    kernel = get_kernel()
    base = get_initramfs(kernel)
    work = Path(tempfile.mkdtemp(prefix="udffs-vm."))
    try:
        net = net or bool(attach)
        loaded = _modules(disks, burners, modules, net=net, attach=bool(attach))
        job = _job(kernel, command, cwd or Path.cwd(), loaded, seconds)
        _add_services(job, udev=udev, net=net)
        _add_attached(job, attach, len(burners) + len(attach))
        share_options = _shares(job, shares)
        with (work / "initrd").open("wb") as initrd:
            initrd.write(base.read_bytes())
            initrd.write(job.build())
        call = [qemu, *_machine(kernel, work, memory), *_ports(work), *_disks(disks)]
        call += [*_burners(burners), *_network(net), *share_options]
        return _boot(call, work, seconds + BOOT_SECONDS)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _modules(
    disks: Sequence[Disk],
    burners: Sequence[str],
    modules: Iterable[str],
    *,
    net: bool,
    attach: bool,
) -> list[str]:
    drives = ["sr_mod", "sg", "virtio_scsi"] if burners else []
    network = [*(["virtio_net"] if net else []), *(MODULES if attach else ())]
    return [*(["virtio_blk"] if disks else []), *drives, *network, *modules]


def _add_services(job: Archive, *, udev: bool, net: bool) -> None:
    if udev:
        need("udevadm", "udev")
        job.file("job/udev", b"")
    if net:
        job.file("job/net", b"")


def _add_attached(job: Archive, urls: Sequence[str], drives: int) -> None:
    """The lines that attach drives in the guest, and how many drives it then has."""
    if not urls:
        return
    root = get_initiator()
    program = shlex.quote(str(starter(root)))
    libraries = shlex.quote(library_path(root))
    lines = [f"drives={drives}"]
    for target in map(parse_target, urls):
        options = f"-t {shlex.quote(target.name)} -g 1 -a {target.address} -p {target.port}"
        lines.append(
            f"LD_LIBRARY_PATH={libraries} {program} -i {INITIATOR} {options} -d 0 "
            f'>/dev/console 2>&1 || die "cannot attach port {target.port}"'
        )
    job.file("job/attach", ("\n".join(lines) + "\n").encode())


def _shares(job: Archive, shares: Sequence[Path]) -> list[str]:
    """QEMU's options for the shared directories, which the job is told of."""
    lines, arguments = [], []
    for number, path in enumerate(shares):
        if not path.is_dir():
            raise FileNotFoundError(path)
        tag, directory = f"share{number}", path.absolute()
        lines.append(f"{tag} {directory}\n")
        where = f"local,id={tag},path={_escaped(directory)}"
        arguments += ["-fsdev", f"{where},security_model=none,multidevs=remap"]
        arguments += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    job.file("job/shares", "".join(lines).encode())
    return arguments


def _network(net: bool) -> list[str]:
    if not net:
        return []
    return ["-netdev", "user,id=net0", "-device", "virtio-net-pci,netdev=net0,romfile="]


def _job(
    kernel: Kernel, command: Sequence[str], cwd: Path, modules: Iterable[str], seconds: float
) -> Archive:
    """What this run is about, as an archive that follows the shared one."""
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL") if name in os.environ}
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in kept.items())
    script = f"cd {shlex.quote(str(cwd))} || exit 125\n{exports}exec {shlex.join(command)}\n"
    job = Archive()
    job.file("job/run", script.encode())
    job.file("job/modules_directory", str((kernel.root / "lib" / "modules").resolve()).encode())
    job.file("job/modules", " ".join(modules).encode())
    job.file("job/seconds", b"%d" % max(1, round(seconds)))
    return job


def _machine(kernel: Kernel, work: Path, memory: int) -> list[str]:
    processors = min(2, os.cpu_count() or 1)
    return [
        *["-M", "pc,usb=off,vmport=off", "-accel", "tcg,thread=multi,tb-size=512"],
        *["-cpu", "max,la57=off", "-m", str(memory), "-smp", str(processors)],
        *["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
        *["-kernel", str(kernel.image), "-initrd", str(work / "initrd")],
        *["-append", KERNEL_OPTIONS, "-serial", f"file:{work / 'console'}"],
        "-fsdev",
        "local,id=root9p,path=/,security_model=none,readonly=on,multidevs=remap",
        *["-device", "virtio-9p-pci,fsdev=root9p,mount_tag=root9p"],
        *["-device", "virtio-serial-pci,max_ports=4"],
    ]


def _ports(work: Path) -> list[str]:
    arguments: list[str] = []
    for name in PORTS:
        arguments += ["-chardev", f"file,id={name},path={_escaped(work / name)}"]
        arguments += ["-device", f"virtserialport,chardev={name},name=vm.{name}"]
    return arguments


def _disks(disks: Sequence[Disk]) -> list[str]:
    arguments: list[str] = []
    for number, disk in enumerate(disks):
        if not disk.path.exists():
            raise FileNotFoundError(disk.path)
        read_only = "off" if disk.writable else "on"
        size = f",logical_block_size={disk.sector},physical_block_size={disk.sector}"
        arguments += [
            "-blockdev",
            f"driver=raw,node-name=disk{number},read-only={read_only},"
            f"file.driver=file,file.locking=off,file.filename={_escaped(disk.path.resolve())}",
            "-device",
            f"virtio-blk-pci,drive=disk{number}{size if disk.sector else ''}",
        ]
    return arguments


def _burners(urls: Sequence[str]) -> list[str]:
    """Drives that QEMU passes through; it needs its module for iSCSI for that."""
    if not urls:
        return []
    if not any(Path("/usr/lib").glob("**/qemu/block-iscsi.so")):
        raise VmUnavailable("QEMU has no iSCSI (apt-get install qemu-block-extra)")
    arguments = ["-device", "virtio-scsi-pci,id=scsi0"]
    for number, url in enumerate(urls):
        arguments += [
            *["-drive", f"if=none,id=burner{number},format=raw,file={url}"],
            "-device",
            f"scsi-generic,drive=burner{number},channel=0,scsi-id={number},lun=0,io_timeout=3600",
        ]
    return arguments


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")


def _boot(call: Sequence[str], work: Path, seconds: float) -> Result:
    try:
        qemu = subprocess.run(
            call, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False
        )
    except subprocess.TimeoutExpired:
        raise VmFailed(f"no end after {seconds:g} s\n{_console(work)}") from None
    exit_status = re.search(rb"exit (\d+)\n", _contents(work / "ctl"))
    if exit_status is None:
        said = qemu.stderr.decode(errors="replace").strip()
        raise VmFailed(
            f"the guest ended without an exit status (QEMU returned {qemu.returncode})\n"
            f"{said}\n{_console(work)}"
        )
    return Result(int(exit_status[1]), _contents(work / "out"), _contents(work / "err"))


def _contents(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _console(work: Path) -> str:
    lines = _contents(work / "console").decode(errors="replace").splitlines()
    return "\n".join(["--- the console's last lines:", *lines[-25:]])
