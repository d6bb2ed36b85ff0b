"""The virtual machine itself: what a command in it sees and gives back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import vm
from vm.cpio import Archive
from vm.initramfs import module_files


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
