"""Rewritable discs of ours, and what others make of them.

We format and write a disc; the Linux kernel's own driver mounts it for writing,
reads everything, writes and deletes; we mount it again, read that and write
more. The allocation checker looks at it after each, udfinfo and udfclient at
the end. All discs in one boot of a virtual machine.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import stat
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import vm
from support.allocation import Report, examine_image
from support.discs import Author, Clock, Disc, Expected, small
from support.kernel import kernel_views
from support.rewritable import copy_image, format_disc, mounted
from test_strangers_tools import by_directory, expected_contents, found_files, run

pytestmark = [pytest.mark.strangers]
SPARED = [32 * number for number in range(80, 9000, 7)]
KINDS = {
    "201": ("cd-rw-80", 0x0201, {}),
    "150": ("cd-rw-80", 0x0150, {}),
    "74": ("cd-rw-74", 0x0201, {}),
    "mrw": ("mrw", 0x0201, {}),
    # Every seventh packet from some place on is bad: spare ones are in use.
    "worn-201": ("cd-rw-80", 0x0201, {"bad_packets": set(SPARED)}),
    "worn-150": ("cd-rw-80", 0x0150, {"bad_packets": set(SPARED)}),
}
#: What the kernel does to each of them.
KERNEL_CHANGES = """
mkdir 'by the kernel' 'by the kernel/inner'
i=0
while [ $i -lt 100 ]; do echo "line $i" >"by the kernel/file $i"; i=$((i+1)); done
i=0
while [ $i -lt 100 ]; do rm "by the kernel/file $i"; i=$((i+2)); done
cat 'sizes/3000001' 'sizes/65536' >'by the kernel/large'
echo appended >>sizes/2047
printf overwritten | dd of=changed/patched bs=1 seek=70000 conv=notrunc 2>/dev/null
rm sizes/1871 'changed/old name' 2>/dev/null || rm 'new name'
mv sizes/1872 'by the kernel/inner/moved'
ln sizes/2048 'by the kernel/linked'
ln -s ../sizes/2048 'by the kernel/symbolic'
rm -r deep
truncate -s 100000 sizes/3000001
sync
"""


@dataclass
class Told:
    """A disc, and what the kernel and the checker said of it in the end."""

    disc: Disc
    ours: Report
    seen: dict[str, Expected] | str
    theirs: Report
    contents: dict[str, bytes]


def _changed(contents: dict[str, bytes]) -> dict[str, bytes]:
    """The files after KERNEL_CHANGES."""
    now = {name: data for name, data in contents.items() if not name.startswith("deep")}
    for number in range(1, 100, 2):
        now[f"by the kernel/file {number}"] = f"line {number}\n".encode()
    now["by the kernel/large"] = now["sizes/3000001"] + now["sizes/65536"]
    now["sizes/2047"] += b"appended\n"
    patched = now["changed/patched"]
    now["changed/patched"] = patched[:70_000] + b"overwritten" + patched[70_011:]
    del now["sizes/1871"], now["new name"]
    now["by the kernel/inner/moved"] = now.pop("sizes/1872")
    now["by the kernel/linked"] = now["sizes/2048"]
    now["sizes/3000001"] = now["sizes/3000001"][:100_000]
    return now


def _write(folder: Path, name: str) -> tuple[Disc, dict[str, bytes]]:
    kind, revision, faults = KINDS[name]
    image, clock = folder / f"{name}.img", Clock()
    format_disc(image, kind, revision)
    contents: dict[str, bytes] = {}
    with mounted(image, clock, contents, **faults) as author:
        small(author)
    with mounted(image, clock, contents, **faults) as author:
        author.file("later", b"in another mount")
        expected = author.account()
    return Disc(name, image, revision, True, expected), contents


@pytest.fixture(scope="module")
def told(
    kernel_vm: Callable[..., vm.Result], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Told]:
    folder = tmp_path_factory.mktemp("rewritable")
    made = {name: _write(folder, name) for name in KINDS}
    ours = {name: examine_image(disc.image, exact=True) for name, (disc, _) in made.items()}
    discs = [disc for disc, _ in made.values()]
    views = kernel_views(kernel_vm, discs, folder, options="rw", then=KERNEL_CHANGES)
    return {
        name: Told(disc, ours[name], views[name], examine_image(disc.image), _changed(contents))
        for name, (disc, contents) in made.items()
    }


@pytest.mark.vm
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.timeout(900, func_only=False)
def test_the_kernel_reads_and_writes_it(name: str, told: dict[str, Told]) -> None:
    one = told[name]
    assert one.ours.complaints == []
    if name.startswith("worn"):
        assert len(one.ours.spared) > 3
    assert not isinstance(one.seen, str), one.seen
    expected = one.disc.expected
    assert sorted(one.seen) == sorted(expected)
    different = {n: (expected[n], one.seen[n]) for n in expected if one.seen[n] != expected[n]}
    assert different == {}
    assert one.theirs.complaints == [], "after the kernel's own writing"
    assert one.theirs.spared == one.ours.spared


def _sums(author: Author) -> dict[str, str]:
    found = {}
    for name, entry in _all(author, "/"):
        if stat.S_ISREG(entry):
            handle = author.fs.open("/" + name, 0)
            data = author.fs.read(handle, 1 << 23, 0)
            author.fs.release(handle)
            found[name] = hashlib.sha256(data).hexdigest()
    return found


def _all(author: Author, path: str) -> list[tuple[str, int]]:
    found = []
    for name, _, _ in author.fs.readdir(path):
        inner = f"{path.rstrip('/')}/{name}"
        mode = author.fs.getattr(inner).mode
        found.append((inner[1:], mode))
        if stat.S_ISDIR(mode):
            found += _all(author, inner)
    return found


@pytest.mark.vm
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.timeout(900, func_only=False)
def test_we_read_and_write_what_the_kernel_left(
    name: str, told: dict[str, Told], program: Callable[[str], Path], tmp_path: Path
) -> None:
    one, faults = told[name], KINDS[name][2]
    image, contents = one.disc.image, dict(one.contents)
    with mounted(image, Clock(), contents, **faults) as author:
        sums = {path: hashlib.sha256(data).hexdigest() for path, data in contents.items()}
        assert _sums(author) == sums
        assert author.fs.readlink("/by the kernel/symbolic") == "../sizes/2048"
        assert author.fs.getattr("/by the kernel/linked").links == 2
        author.patch("by the kernel/large", 5000, b"patched by us" * 300)
        author.delete("by the kernel/file 1")
        author.file("by the kernel/ours", b"among theirs" * 1000)
        author.rename("by the kernel/inner/moved", "moved back")
        author.truncate("by the kernel/file 3", 3)
        expected = author.account()
    assert examine_image(image).complaints == []
    with mounted(image, Clock(), contents, **faults) as author:
        sums = {path: hashlib.sha256(data).hexdigest() for path, data in contents.items()}
        assert _sums(author) == sums
    disc = replace(one.disc, expected=expected)
    _udfinfo(program("udfinfo"), disc)
    _udfclient(program("udfclient"), disc, tmp_path)


def _udfinfo(tool: Path, disc: Disc) -> None:
    result = run(tool, disc.image)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    lines = [line for line in result.stdout.splitlines() if not line.startswith("start=")]
    said = dict(line.split("=", 1) for line in lines)
    assert said["integrity"] == "closed"
    assert said["label"] == said["lvid"] == f"Disc {disc.name}"
    assert said["accesstype"] in ("rewritable", "overwritable")
    assert said["udfrev"] == said["udfwriterev"]
    assert said["softwriteprotect"] == said["hardwriteprotect"] == "no"
    report = examine_image(disc.image)
    assert int(said["numfiles"]) == report.files
    assert int(said["numdirs"]) == report.directories == len(disc.directories) + 1
    assert int(said["freeblocks"]) == report.free


def _udfclient(tool: Path, disc: Disc, folder: Path) -> None:
    listing = run(tool, "-b", "2048", disc.image, stdin="quit\n").stdout
    volume = re.search(r"^drwx.*\d  (\S+:Disc .*)$", listing, re.MULTILINE)
    assert volume, listing
    commands = f'lcd {folder}\nget "/{volume[1]}" tree\nquit\n'
    said = run(tool, "-b", "2048", disc.image, stdin=commands)
    found = found_files(folder / "tree")
    assert by_directory(_without_odd(found)) == by_directory(
        _without_odd(expected_contents(disc))
    ), said.stdout[-2000:]


def _without_odd(files: dict[str, str]) -> dict[str, str]:
    """udfclient makes files of symbolic links, shows the log's hidden one, and
    takes a length from extents, which the kernel rounds up where it overwrites."""
    odd = ("Non-Allocatable Space", "symbolic", "patched")
    return {path: content for path, content in files.items() if not path.endswith(odd)}


# -- while something is in the log --------------------------------------------------


@pytest.fixture(scope="module")
def pending(tmp_path_factory: pytest.TempPathFactory) -> tuple[Disc, Path]:
    """A disc whose power was cut after a save, and the one before that save."""
    folder = tmp_path_factory.mktemp("pending")
    image, clock = folder / "pending.img", Clock()
    format_disc(image, "cd-rw-80", 0x0201)
    contents: dict[str, bytes] = {}
    with mounted(image, clock, contents) as author:
        author.file("kept", b"of the last checkpoint" * 500)
        author.file("deleted", b"of the last checkpoint, too" * 500)
        expected = author.account()
    cut = folder / "cut.img"
    with mounted(image, clock, contents) as author:
        author.patch("kept", 0, b"NEW")
        author.file("new", b"only in the log")
        author.delete("deleted")
        author.commit()
        copy_image(image, cut)
        shutil.copy(f"{image}.state", f"{cut}.state")
    return Disc("cut", cut, 0x0201, False, expected), cut


@pytest.mark.vm
@pytest.mark.timeout(900, func_only=False)
def test_a_pending_log_keeps_the_kernel_from_writing(
    kernel_vm: Callable[..., vm.Result], pending: tuple[Disc, Path], tmp_path: Path
) -> None:
    """It sees the last checkpoint and cannot change it; one mount of ours later
    it sees everything."""
    disc, image = pending
    copy = replace(disc, image=copy_image(image, tmp_path / "copy.img"))
    before = copy.image.stat().st_size, _digest(copy.image)
    views = kernel_views(kernel_vm, [copy], tmp_path, options="ro")
    view = views["cut"]
    assert not isinstance(view, str), view
    assert {n: e.content for n, e in view.items()} == {
        n: e.content for n, e in disc.expected.items()
    }
    script = (
        "mkdir /run/d; mount -t udf -o rw /dev/vda /run/d; grep /run/d /proc/mounts; touch /run/d/x"
    )
    said = kernel_vm(
        ["sh", "-c", script],
        disks=[vm.Disk(copy.image, writable=True, sector=2048)],
        modules=["udf"],
    )
    assert said.status != 0, said
    assert b" ro," in said.stdout or said.stdout == b"", said
    assert (copy.image.stat().st_size, _digest(copy.image)) == before
    assert examine_image(image).is_open


def _digest(image: Path) -> str:
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_one_mount_of_ours_mends_it(
    pending: tuple[Disc, Path], program: Callable[[str], Path]
) -> None:
    _, image = pending
    mended = image.with_name("mended.img")
    copy_image(image, mended)
    shutil.copy(f"{image}.state", f"{mended}.state")
    contents: dict[str, Any] = {}
    with mounted(mended, Clock(), contents) as author:
        assert sorted(name for name, _ in _all(author, "/")) == ["kept", "new"]
    report = examine_image(mended)
    assert report.complaints == []
    assert report.minimum_write_revision == 0x0201
    said = run(program("udfinfo"), mended).stdout
    assert "integrity=closed" in said
