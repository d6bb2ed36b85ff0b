"""The virtual machine itself: what a command in it sees and gives back."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
import vm
from vm.cpio import Archive
from vm.initramfs import module_files
from vm.iscsi import serve

from media.virtual import memory_burner


@pytest.mark.vm
def test_a_command_in_the_guest(kernel_vm: Callable[..., vm.Result], tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(b"on the disk".ljust(1 << 20, b"\0"))
    kept = tmp_path / "kept"
    kept.write_text("as it was")
    script = (
        f"head -c 11 /dev/vda; blockdev --getss /dev/vda; id -u; echo gone >{kept};"
        "echo aside >&2; exit 3"
    )
    result = kernel_vm(["sh", "-c", script], disks=[vm.Disk(image, sector=2048)])
    assert result == vm.Result(3, b"on the disk2048\n0\n", b"aside\n")
    assert kept.read_text() == "as it was"


# INQUIRY with room for 512 bytes through SG_IO; prints how many did not come.
RESIDUAL = """
import ctypes, fcntl, os, struct
data, sense = ctypes.create_string_buffer(512), ctypes.create_string_buffer(64)
command = ctypes.create_string_buffer(bytes([0x12, 0, 0, 2, 0, 0]), 6)
header = bytearray(struct.pack(
    "iiBBHIQQQIIiQBBBBHHiII", ord("S"), -3, 6, 64, 0, 512, ctypes.addressof(data),
    ctypes.addressof(command), ctypes.addressof(sense), 60000, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0))
header += bytes(88 - len(header))
fcntl.ioctl(os.open("/dev/sg0", os.O_RDWR), 0x2285, header)
print(header[64], struct.unpack_from("i", header, 72)[0], data.raw[4] + 5)
"""


@pytest.mark.vm
def test_a_drive_that_the_kernel_attaches(kernel_vm: Callable[..., vm.Result]) -> None:
    script = (
        "[ -b /dev/sr0 ] && [ -c /dev/sg0 ] && echo drive;"
        f"/usr/bin/python3 -c {shlex.quote(RESIDUAL)};"
        "udevadm info --query=property --name=/dev/sr0"
    )
    with serve(memory_burner("cd-r-80").execute) as url:
        try:
            result = kernel_vm(["sh", "-c", script], attach=[url], udev=True)
        except vm.VmUnavailable as why:
            pytest.skip(f"no drive attached by a kernel: {why}")
    lines = result.stdout.decode().splitlines()
    assert lines[:2] == ["drive", "0 416 96"], result
    assert "ID_CDROM_CD_R=1" in lines, result


@pytest.mark.vm
def test_a_share_is_writable(kernel_vm: Callable[..., vm.Result], tmp_path: Path) -> None:
    result = kernel_vm(["sh", "-c", f"echo from the guest >{tmp_path}/new"], shares=[tmp_path])
    assert result == vm.Result(0, b"", b"")
    assert (tmp_path / "new").read_text() == "from the guest\n"


def test_modules_come_after_what_they_need(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(
        "kernel/udf.ko: kernel/b.ko kernel/crc-itu-t.ko\n"
        "kernel/b.ko: kernel/crc-itu-t.ko\n"
        "kernel/crc-itu-t.ko:\n"
    )
    (tmp_path / "modules.builtin").write_text("kernel/ext4.ko\n")
    found = module_files(tmp_path, ["udf", "crc_itu_t", "ext4"])
    assert found == ["kernel/crc-itu-t.ko", "kernel/b.ko", "kernel/udf.ko"]
    with pytest.raises(vm.VmFailed, match="no module nothing"):
        module_files(tmp_path, ["nothing"])


def test_an_archive_makes_its_directories_once() -> None:
    archive = Archive()
    archive.file("a/b/one", b"1")
    archive.file("a/b/two", b"22")
    built = archive.build()
    assert len(built) % 512 == 0
    assert built.count(b"070701") == 5  # a, a/b, one, two, the trailer
    assert built.count(b"a/b\0") == 1
