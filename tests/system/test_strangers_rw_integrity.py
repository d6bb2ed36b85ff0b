"""The integrity descriptor of a worn disc has moved: the Linux kernel finds it there,
mounts the disc for writing, and the next mount of ours finds what it wrote."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import vm
from support.allocation import examine_image
from support.discs import Clock
from support.rewritable import format_disc, mounted, write_in_kernel

pytestmark = [pytest.mark.vm, pytest.mark.strangers]


@pytest.mark.timeout(900)
def test_the_kernel_follows_the_integrity_descriptor(
    kernel_vm: Callable[..., vm.Result], tmp_path: Path
) -> None:
    image, clock = tmp_path / "disc.img", Clock()
    contents: dict[str, bytes] = {}
    format_disc(image, "cd-rw-80", 0x0201)
    bad = examine_image(image).integrity_at
    with mounted(image, clock, contents, bad_packets={bad}) as author:
        author.file("ours", b"written while it moved")
    before = examine_image(image, exact=True)
    assert before.complaints == [] and before.integrity_at != bad
    said = write_in_kernel(kernel_vm, [image], "cat ours\necho theirs >theirs\n")
    assert said == contents["ours"]
    after = examine_image(image)
    assert after.complaints == [] and after.files == before.files + 1
    assert after.integrity_at == before.integrity_at
    with mounted(image, clock, contents, bad_packets={bad}) as author:
        handle = author.fs.open("/theirs", 0)
        assert author.fs.read(handle, 100, 0) == b"theirs\n"
        author.fs.release(handle)
        author.file("again", b"ours")
    assert examine_image(image, exact=True).complaints == []
