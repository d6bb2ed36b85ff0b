"""Other people's programs read what we write: udfinfo and udfdump of
udftools and udfclient, udfclient itself."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest
from support.discs import BLOCK, DISC_NAMES, Disc

pytestmark = [pytest.mark.strangers]

# What udfinfo warns of on closed discs, and why it must be so.
KNOWN_WARNINGS = {
    # The second anchor lies inside the partition, which must reach to the last
    # possible lead-out, so that addresses stay the same in all sessions.
    "Partition Space overlaps with other blocks",
    # Of several sessions the first and the last have volume descriptors of
    # their own; in a plain image it takes the whole for one session.
    "First and second Anchor Volume Descriptor Pointer contain different location of Main "
    "Volume Descriptor Sequence, maybe wrong --startblock or --lastblock?",
}
COMPLAINT = re.compile(r"error|warn|bad|crc|mismatch|invalid|fail|can't|illegal", re.IGNORECASE)


@pytest.fixture(params=DISC_NAMES)
def disc(request: pytest.FixtureRequest, written: dict[str, Disc]) -> Disc:
    return written[request.param]


def run(*words: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        list(map(str, words)),
        input=stdin,
        capture_output=True,
        text=True,
        errors="replace",
        # udfclient writes names in the C locale's letters wherever it runs.
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        check=False,
    )


def test_udfinfo(program: Callable[[str], Path], disc: Disc) -> None:
    result = run(program("udfinfo"), disc.image)
    assert result.returncode == 0, result.stderr
    told = dict(line.split("=", 1) for line in result.stdout.splitlines() if line[0] != "s")
    assert told["label"] == told["lvid"] == f"Disc {disc.name}"
    assert told["blocksize"] == str(BLOCK)
    assert told["udfrev"] == told["udfwriterev"] == ("1.50" if disc.revision == 0x150 else "2.01")
    assert told["accesstype"] == "writeonce"
    assert told["integrity"] == "closed"
    # The last block of the image is the VAT's ICB.
    assert int(told["vatblock"]) == disc.image.stat().st_size // BLOCK - 1
    if disc.revision == 0x201:  # in 1.50 nothing but the open LVID holds these
        assert int(told["numfiles"]) == expected_files(disc)
        assert int(told["numdirs"]) == len(disc.directories) + 1


def expected_files(disc: Disc) -> int:
    """Everything but directories; names of one file count once (UDF 2.2.6.4)."""
    others = [e for e in disc.expected.values() if not stat.S_ISDIR(e.mode)]
    return round(sum(1 / entry.links for entry in others))


def test_udfinfo_warns_of_nothing_but_what_is_known(
    program: Callable[[str], Path], disc: Disc
) -> None:
    warnings = run(program("udfinfo"), disc.image).stderr.splitlines()
    assert {line.removeprefix("udfinfo: Warning: ") for line in warnings} <= KNOWN_WARNINGS


def test_udfdump(program: Callable[[str], Path], disc: Disc) -> None:
    result = run(program("udfdump"), "-b", str(BLOCK), disc.image)
    assert result.returncode == 0, result.stderr
    complaints = [
        line for line in (result.stdout + result.stderr).splitlines() if COMPLAINT.search(line)
    ]
    assert complaints == []
    assert f"Logical volume  `Disc {disc.name}`" in result.stdout.replace("\t", "") or (
        f"contains logical volume  `Disc {disc.name}`" in result.stdout
    )
    if disc.closed or disc.name.startswith("sessions"):
        return
    assert "virtual partition recording metadata" in result.stdout


def test_udfclient_copies_everything_out(
    program: Callable[[str], Path], disc: Disc, tmp_path: Path
) -> None:
    client = program("udfclient")
    listing = run(client, "-b", str(BLOCK), disc.image, stdin="quit\n").stdout
    volume = re.search(r"^drwx.*\d  (\S+:Disc .*)$", listing, re.MULTILINE)
    assert volume, listing
    commands = f'lcd {tmp_path}\nget "/{volume[1]}" tree\nquit\n'
    said = run(client, "-b", str(BLOCK), disc.image, stdin=commands)
    assert by_directory(found_files(tmp_path / "tree")) == by_directory(expected_contents(disc)), (
        said.stdout[-2000:]
    )


def found_files(tree: Path) -> dict[str, str]:
    """SHA-256 of each file, by its name; udfclient makes files of links and devices, too."""
    return {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tree.rglob("*")
        if path.is_file()
    }


def expected_contents(disc: Disc) -> dict[str, str]:
    return {name: entry.content for name, entry in disc.files.items()}


def by_directory(files: dict[str, str]) -> dict[str, Counter[str]]:
    """Contents of each directory. Names that are not ASCII come out of
    udfclient as it transliterates them, so that only the others are compared."""
    found: dict[str, Counter[str]] = {}
    for name, content in files.items():
        path = PurePosixPath(name)
        if str(path.parent) == "kinds" and path.name not in ("one", "two"):
            continue
        shown = path.name if path.name.isascii() and "_" not in path.name else "?"
        found.setdefault(str(path.parent), Counter())[f"{shown} {content}"] += 1
    return found
