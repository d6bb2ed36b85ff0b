"""Programs that people use, on a real mount; each result compared after a
remount, and with the same work done in an ordinary directory."""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.machine import find_program, why_no_program
from support.mounting import Disc, Seen, kept, mounted_disc, tree

pytestmark = pytest.mark.fuse


@pytest.fixture
def disc(tmp_path: Path) -> Iterator[Disc]:
    with mounted_disc(tmp_path) as disc:
        yield disc


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree with something of everything."""
    top = tmp_path / "source"
    (top / "deep" / "er" / "and deeper").mkdir(parents=True)
    (top / "empty directory").mkdir()
    (top / "empty").touch()
    for size in (1, 1000, 1700, 2048, 2049, 100_000, 3_000_001):
        (top / "deep" / f"{size}").write_bytes(os.urandom(size))
    for number in range(200):
        (top / "deep" / "er" / f"file {number}").write_text(f"content of {number}\n" * number)
    (top / "deep" / "er" / "Ünïcode – 概要 🎵").write_text("name")
    (top / "link").symlink_to("deep/er")
    (top / "dangling").symlink_to("/nowhere")
    (top / "hard").hardlink_to(top / "deep" / "1000")
    (top / "script").write_text("#!/bin/sh\n")
    (top / "script").chmod(0o751)
    os.mkfifo(top / "pipe")
    # Years ago: rsync takes equal seconds for equal times.
    for number, path in enumerate(sorted(top.rglob("*"), reverse=True)):
        stamp = 10**18 + number * 1_000_123_456_000
        os.utime(path, ns=(stamp, stamp), follow_symlinks=False)
    return top


def program(name: str) -> str:
    path = find_program(name)
    if path is None:
        pytest.skip(why_no_program(name))
    return str(path)


def same(one: dict[str, Seen], other: dict[str, Seen]) -> None:
    """Equal names, contents, modes, owners, times and numbers of links."""
    assert one.keys() == other.keys()
    assert {k: (v, other[k]) for k, v in one.items() if v != other[k]} == {}


def test_cp_a(disc: Disc, source: Path) -> None:
    disc.shell("cp -a ../source/. .")
    same(tree(disc.where), tree(source))
    disc.remount()
    same(tree(disc.where), tree(source))


def test_rsync(disc: Disc, source: Path) -> None:
    rsync = program("rsync")
    disc.shell(f"{rsync} -aH ../source/ copy/")
    same(tree(disc.where / "copy"), tree(source))
    (source / "deep" / "100000").write_bytes(os.urandom(100_001))
    (source / "deep" / "er" / "file 3").unlink()
    (source / "deep" / "er" / "new").write_text("new")
    # rsync leaves the times of directories alone that differ by less than a second.
    os.utime(source / "deep" / "er", (1_000_000_000, 1_000_000_000))
    disc.shell(f"{rsync} -aH --delete ../source/ copy/")
    disc.remount()
    same(tree(disc.where / "copy"), tree(source))
    assert disc.shell(f"{rsync} -aHni --delete ../source/ copy/") == ""
    disc.shell(f"{rsync} -aH --inplace --checksum ../source/ copy/")
    kept(disc)


def test_tar(disc: Disc, source: Path) -> None:
    tar = program("tar")
    disc.shell(f"{tar} -C ../source --format=posix -cf - . | {tar} -xpf -")
    same(tree(disc.where), tree(source))
    disc.remount()
    same(tree(disc.where), tree(source))
    disc.shell(f"mkdir ../out && {tar} --format=posix -cf - . | {tar} -xpf - -C ../out")
    same(tree(disc.home.with_name("out")), tree(source))


def test_git(disc: Disc, tmp_path: Path) -> None:
    git = program("git")
    origin = tmp_path / "origin"
    me = "-c user.name=A -c user.email=a@example.org -c commit.gpgsign=false"
    make = (
        f"{git} init -q . && for i in 1 2 3 4 5; do "
        f"seq $i 2000 > file$i; {git} add . ; {git} {me} commit -qm $i; done"
    )
    origin.mkdir()
    disc.shell(make, cwd=origin)
    disc.shell(f"{git} clone -q {origin} clone")
    disc.shell(f"{git} clone -q --no-hardlinks clone second && {git} clone -q clone third")
    disc.shell(
        f"cd clone && seq 5 3000 > file6 && {git} add . && {git} {me} commit -qm more "
        f"&& {git} mv file1 file7 && {git} {me} commit -qam moved && {git} gc -q --prune=now "
        f'&& {git} fsck --strict && test -z "$({git} status --porcelain)"'
    )
    kept(disc)
    for clone in ("clone", "second", "third"):
        assert disc.shell(f"cd {clone} && {git} fsck --strict && {git} status --porcelain") == ""
    assert (disc.where / "clone" / "file7").read_text() == (origin / "file1").read_text()


@pytest.mark.parametrize("journal", ["delete", "truncate", "persist", "wal"])
def test_sqlite(disc: Disc, journal: str) -> None:
    base = disc.where / "data.db"
    rows = [(number, f"row {number}" * 20) for number in range(2000)]
    with sqlite3.connect(base) as data:
        data.execute(f"pragma journal_mode={journal}")
        data.execute("create table t (n integer primary key, s text)")
        data.executemany("insert into t values (?, ?)", rows)
    data.close()
    disc.remount()
    data = sqlite3.connect(base)
    with data:
        data.execute("update t set s = 'changed' where n % 7 = 0")
        data.execute("delete from t where n % 11 = 0")
    data.execute("vacuum")
    expected = data.execute("select * from t order by n").fetchall()
    data.close()
    disc.remount()
    data = sqlite3.connect(base)
    assert data.execute("select * from t order by n").fetchall() == expected
    assert data.execute("pragma integrity_check").fetchall() == [("ok",)]
    data.close()
    kept(disc)


def test_an_editors_save(disc: Disc) -> None:
    """Backup, temporary file, fsync, rename: as vim, emacs and GNOME do."""
    text = disc.where / "text"
    text.write_text("version 0")
    text.chmod(0o640)
    for version in range(1, 6):
        draft = disc.where / ".text.swp"
        with draft.open("w") as file:
            file.write(f"version {version}")
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(text, draft)
        (disc.where / "text~").unlink(missing_ok=True)
        (disc.where / "text~").hardlink_to(text)
        draft.rename(text)
        directory = os.open(disc.where, os.O_DIRECTORY)
        os.fsync(directory)
        os.close(directory)
    assert sorted(tree(disc.where)) == ["text", "text~"]
    assert text.read_text() == "version 5" and (disc.where / "text~").read_text() == "version 4"
    kept(disc)


def test_dd(disc: Disc) -> None:
    disc.shell(
        "dd if=/dev/urandom of=one bs=100k count=30 conv=fsync status=none\n"
        "dd if=one of=two bs=4k conv=fdatasync status=none\n"
        "dd if=/dev/zero of=two bs=1k count=3 seek=1000 conv=notrunc oflag=sync status=none\n"
        "dd if=one of=two bs=1k skip=1000 seek=1000 count=3 conv=notrunc,fsync status=none\n"
        "cmp one two"
    )
    disc.remount()
    disc.shell("cmp one two")
    assert (disc.where / "one").stat().st_size == 3_072_000


def test_mv_find_du_df(disc: Disc, source: Path) -> None:
    disc.shell(
        "cp -a ../source/. .\n"
        "mv deep/er .\n"
        "mv er/'and deeper' deep\n"
        "mv script er/file\\ 5\n"
        "mv er renamed\n"
        "mv 'empty directory' deep/'and deeper'\n"
        "rm -r link dangling hard"
    )
    kept(disc)
    found = disc.shell("find . -type f -newermt 2001-09-09 -size +1k | sort").splitlines()
    assert "./deep/3000001" in found and "./renamed/file 199" in found
    assert int(disc.shell("find . | wc -l")) == len(tree(disc.where)) + 1
    assert int(disc.shell("du -sk . | cut -f1")) > 3000
    free = [int(line) for line in disc.shell("df -Pk . | awk 'NR==2 {print $4, $2}'").split()]
    assert 600_000 < free[0] < free[1] < 800_000


def test_a_log_that_is_rotated_and_appended_to(disc: Disc) -> None:
    with (disc.where / "log").open("a") as log:
        for number in range(300):
            log.write(f"line {number}\n")
            log.flush()
            if number == 150:
                (disc.where / "log").rename(disc.where / "log.1")
                (disc.where / "log").write_text("a new log\n")
    assert (disc.where / "log").read_text() == "a new log\n"
    assert (disc.where / "log.1").read_text().splitlines()[-1] == "line 299"
    kept(disc)


def test_pythons_own_tree(disc: Disc) -> None:
    """A few hundred real files, copied, compared, moved about and thinned out."""
    library = Path(os.__file__).parent / "asyncio"
    shutil.copytree(library, disc.where / "one", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(disc.where / "one", disc.where / "two", copy_function=shutil.copyfile)
    for path in sorted((disc.where / "two").glob("*.py"))[::2]:
        path.unlink()
    (disc.where / "two").rename(disc.where / "one" / "inner")
    kept(disc)
    code = "import sys; sys.path.insert(0, 'one'); import base_events; print('imported')"
    done = disc.run([sys.executable, "-c", code], cwd=disc.where, check=False)
    assert "imported" in done.stdout or "ImportError" in done.stderr
