"""Other people's burning programs on the virtual burner, as /dev/sr0 of a real kernel:
what they write is on the disc, and what we burn in one go is what they find."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
import vm
from vm.iscsi import serve

from media.burning import BurnMode, burn
from media.drive import BLOCK, Drive
from media.mmc.commands import SendCueSheet
from media.transport.virtual import VirtualTransport
from media.virtual import Burner, memory_burner

pytestmark = [pytest.mark.vm, pytest.mark.strangers]

KernelVm = Callable[..., vm.Result]
COUNT = 1_000


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("burning") / "image"
    path.write_bytes(random.Random(1).randbytes(COUNT * BLOCK))
    return path


def run(kernel_vm: KernelVm, burners: list[Burner], lines: list[str]) -> str:
    """What the commands print, with the burners as /dev/sr0 and so on; each must succeed."""
    script = "set -e\nexec 2>&1\n" + "\n".join(lines)
    with ExitStack() as stack:
        urls = [stack.enter_context(serve(burner.execute)) for burner in burners]
        result = kernel_vm(["sh", "-c", script], burners=urls)
    text = result.stdout.decode(errors="replace")
    assert result.status == 0, text
    return text


def check(burner: Burner, image: Path, starts: list[int]) -> None:
    """Sessions of one track, each with the image in one run and nothing else."""
    assert burner.medium.packets() == [(start, COUNT) for start in starts]
    for start in starts:
        assert burner.recorder.storage.read(start, COUNT) == image.read_bytes()
    assert all(track.at_once for track in burner.medium.tracks if track.written)


def watched(burner: Burner) -> list[int]:
    """The operation codes of all commands from now on."""
    seen: list[int] = []
    burner.faults.hook = lambda cdb: seen.append(cdb[0])
    return seen


def test_wodim(kernel_vm: KernelVm, program: Callable[[str], Path], image: Path) -> None:
    wodim = f"{program('wodim')} dev=/dev/sr0 gracetime=2 -data"
    burner = memory_burner("cd-r-80")
    lines = [
        f"{wodim} -dummy -sao {image}",
        f"{wodim} -dummy -tao {image}",
        f"{wodim} -sao -multi {image}",
        f"{wodim} -sao -multi {image}",
        f"{wodim} -tao {image}",
        f"{program('wodim')} dev=/dev/sr0 -toc",
    ]
    text = run(kernel_vm, [burner], lines)
    starts = [0, 12_400, 20_300]
    check(burner, image, starts)
    for start in starts:
        assert f"lba: {start:9}" in text, text
    assert burner.medium.final


def test_xorriso(kernel_vm: KernelVm, program: Callable[[str], Path], image: Path) -> None:
    """libburn records a session at once on blank discs only."""
    xorriso = f"{program('xorriso')} -as cdrecord dev=/dev/sr0 padsize=0"
    burner = memory_burner("cd-rw-80")
    seen = watched(burner)
    lines = [
        f"{xorriso} -dummy -sao {image}",
        f"{xorriso} -sao -multi {image}",
        f"{xorriso} -tao {image}",
    ]
    run(kernel_vm, [burner], lines)
    check(burner, image, [0, 12_400])
    cue_sheet = SendCueSheet.parse(SendCueSheet.build({})).operation_code
    assert seen.count(cue_sheet) == 2
    assert burner.medium.final


def test_what_we_burn(kernel_vm: KernelVm, program: Callable[[str], Path], image: Path) -> None:
    """The kernel reads ahead, over the run-out behind a track at once: with blocks of no
    use behind it, all of the image comes out."""
    burners, lines, expected = [], [], []
    for number, mode in enumerate(BurnMode):
        burners.append(memory_burner("cd-r-80"))
        drive = Drive(VirtualTransport(burners[-1]), name="disc.img", sleep=lambda seconds: None)
        data = [image.read_bytes(), bytes(150 * BLOCK)]
        starts = [burn(drive, data, COUNT + 150, mode=mode, final=n == 1) for n in range(2)]
        device = f"/dev/sr{number}"
        lines.append(f"{program('wodim')} dev={device} -toc")
        for start in starts:
            part = f"if={device} bs={BLOCK} skip={start} count={COUNT}"
            lines.append(f"dd {part} | cmp - {image}")
            expected.append(f"lba: {start:9}")
        lines.append(f"{program('xorriso')} -indev {device} -toc")
        expected += ["is written , is closed", "2 sessions"]
    text = run(kernel_vm, burners, lines)
    assert [part for part in expected if part not in text] == [], text
