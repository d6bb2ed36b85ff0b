"""The menus of file managers: what is installed, run and removed."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from udffs.cli import desktop as cli
from udffs.cli.app import run as udffs
from udffs.desktop import run
from udffs.desktop.entries import MARKER, exec_line
from udffs.desktop.install import OURS, User
from udffs.desktop.system import RULES, System
from udffs.errors import InvalidOperationError, MissingDependencyError, NotPermittedError

ODD = ["a b", "it's", 'say "so"', "line\nend", "$HOME `id` $(id)", "100%F", "-rf", "*", "\\", "é"]
USERS = b"""<?xml version="1.0" encoding="UTF-8"?>
<!-- mine -->
<actions>
<action><name>Terminal</name><unique-id>1-1</unique-id><command>xterm &amp; %f</command></action>
  <action><name>udffs-send</name></action>

</actions>
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_CONFIG_DIRS", str(tmp_path / "etc"))
    return home


@pytest.fixture
def stub(tmp_path: Path) -> Path:
    """A program, with an awkward name, that keeps its arguments."""
    path = tmp_path / 'a $stub\'s 100% "program"'
    path.write_text(f'#!/bin/sh\nprintf "%s\\0" "$@" > {shlex.quote(str(tmp_path / "args"))}\n')
    path.chmod(0o755)
    return path


def arguments(tmp_path: Path) -> list[str]:
    return (tmp_path / "args").read_text().split("\0")[:-1]


def tree(top: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(top)): (
            path.lstat().st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in top.rglob("*")
    }


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_removal_leaves_no_trace(home: Path) -> None:
    write(home / "data/applications/other.desktop", b"[Desktop Entry]\n")
    (home / "data/nemo").mkdir()
    write(home / "config/Thunar/uca.xml", USERS).chmod(0o600)
    before = tree(home)
    User(cli.PROGRAM).install()
    once = tree(home)
    User(cli.PROGRAM).install()
    assert tree(home) == once != before
    assert (home / "config/Thunar/uca.xml").stat().st_mode & 0o777 == 0o600
    User(cli.PROGRAM).remove()
    assert tree(home) == before


def test_removal_from_an_empty_home(home: Path) -> None:
    done = User(cli.PROGRAM).install().done
    assert all(Path(path).is_file() for path in done)
    assert User(cli.PROGRAM).installed().done == done
    User(cli.PROGRAM).remove()
    assert tree(home) == {}
    assert User(cli.PROGRAM).installed().done == []


def test_files_of_others_are_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = write(home / "data/nautilus/scripts/Erase disc", b"#!/bin/sh\n")
    (home / "data/applications").mkdir()
    link = home / "data/applications/udffs.desktop"
    link.symlink_to("elsewhere")
    before = tree(home)
    for option in ("--install", "--remove"):
        assert udffs(["desktop", option]) == 0
        told = capsys.readouterr().err
        assert f"{foreign} is not of udffs" in told and f"{link} is not of udffs" in told
        assert foreign.read_bytes() == b"#!/bin/sh\n" and str(link.readlink()) == "elsewhere"
    assert tree(home) == before


def test_the_command(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert udffs(["desktop"]) == 0
    assert capsys.readouterr().out == "Nothing is installed.\n"
    assert udffs(["desktop", "--install", "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert udffs(["desktop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == files


def test_other_programs_accept_the_files(home: Path, stub: Path) -> None:
    User([str(stub)]).install()
    for script in (home / "data/nautilus/scripts").iterdir():
        subprocess.run(["sh", "-n", script], check=True)
        assert os.access(script, os.X_OK)
    assert os.access(home / "data/kio/servicemenus/udffs.desktop", os.X_OK)
    validate = shutil.which("desktop-file-validate")
    if validate is None:
        pytest.skip("desktop-file-validate is not installed (apt-get install desktop-file-utils)")
    for name in ("applications/udffs.desktop", "Thunar/sendto/udffs.desktop"):
        subprocess.run([validate, home / "data" / name], check=True)


def test_odd_names_reach_the_program_from_nautilus(home: Path, stub: Path, tmp_path: Path) -> None:
    User([str(stub)]).install()
    script = home / "data/nautilus/scripts/Send to disc"
    paths = [str(tmp_path / name) for name in ODD]
    uris = "".join(f"file://{quoted(path)}\n" for path in paths)
    subprocess.run([script], env=os.environ | {"NAUTILUS_SCRIPT_SELECTED_URIS": uris}, check=True)
    given = arguments(tmp_path)
    assert given[:4] == ["desktop", "run", "send", "--"]
    assert [run.path_of(word) for word in given[4:]] == paths


def test_nautilus_with_paths_only(home: Path, stub: Path, tmp_path: Path) -> None:
    User([str(stub)]).install()
    paths = [str(tmp_path / name) for name in ODD if "\n" not in name]
    chosen = {"NAUTILUS_SCRIPT_SELECTED_FILE_PATHS": "".join(f"{path}\n" for path in paths)}
    script = home / "data/nautilus/scripts/Send to disc"
    subprocess.run([script], env=os.environ | chosen, check=True)
    assert arguments(tmp_path)[4:] == paths


def quoted(path: str) -> str:
    """As GLib does it: some signs of the shell stay."""
    from urllib.parse import quote

    return quote(path, safe="/!$&'()*+,;=:@~")


def test_odd_names_reach_the_staging_list(stub: Path, tmp_path: Path) -> None:
    words = [f"file://{quoted(str(tmp_path / name))}" for name in ODD]
    assert run.send([str(stub)], words) == 0
    assert arguments(tmp_path) == ["stage", "add", "--", *[str(tmp_path / n) for n in ODD]]


def test_addresses_of_other_computers_are_refused() -> None:
    for word in ("sftp://host/file", "file://host/file"):
        with pytest.raises(InvalidOperationError, match="not a file on this computer"):
            run.path_of(word)
    assert run.path_of("/a%20b") == "/a%20b"


def test_exec_quoting() -> None:
    assert exec_line(["/usr/bin/python3", "-P"], "%U") == "/usr/bin/python3 -P %U"
    assert exec_line(["/a b/100%"]) == '"/a b/100%%"'
    assert exec_line(['a"$`\\']) == r'"a\\"\\$\\`\\\\"'


def test_nemo_action_as_glib_parses_it(home: Path, stub: Path) -> None:
    User([str(stub)]).install()
    text = (home / "data/nemo/actions/udffs-send.nemo_action").read_text()
    line = next(line[5:] for line in text.splitlines() if line.startswith("Exec="))
    words = shlex.split(line.replace("\\\\", "\\"))
    assert words == [str(stub), "desktop", "run", "send", "--", "%U"]


def test_thunar_keeps_the_users_actions(home: Path, stub: Path) -> None:
    path = write(home / "config/Thunar/uca.xml", USERS)
    User([str(stub)]).install()
    actions = ElementTree.parse(path).getroot().findall("action")
    assert [each.findtext("unique-id") for each in actions] == ["1-1", None, *OURS]
    command = (actions[2].findtext("command") or "").replace("%%", "%")
    assert shlex.split(command) == [str(stub), "desktop", "run", "send", "--", "%F"]
    assert USERS.partition(b"\n</actions>")[0] in path.read_bytes()


def test_thunar_keeps_its_defaults(home: Path, tmp_path: Path) -> None:
    write(tmp_path / "etc/Thunar/uca.xml", USERS)
    User(cli.PROGRAM).install()
    path = home / "config/Thunar/uca.xml"
    assert b"xterm &amp; %f" in path.read_bytes()
    User(cli.PROGRAM).remove()
    assert not path.parent.exists()


@pytest.mark.parametrize("content", [b"<actions>", b"<other/>", b""])
def test_thunar_file_that_is_no_list_is_kept(home: Path, content: bytes) -> None:
    path = write(home / "config/Thunar/uca.xml", content)
    report = User(cli.PROGRAM).install()
    assert "is left as it is" in report.notes[0] and str(path) not in report.done
    assert path.read_bytes() == content


def test_thunar_list_in_one_tag(home: Path) -> None:
    path = write(home / "config/Thunar/uca.xml", b"<actions/>\n")
    User(cli.PROGRAM).install()
    assert len(ElementTree.parse(path).getroot()) == len(OURS)
    User(cli.PROGRAM).remove()
    assert len(ElementTree.parse(path).getroot()) == 0


# -- the system ------------------------------------------------------------------


def test_system_files(tmp_path: Path) -> None:
    place = System(Path("/opt/udffs/bin/mount.udffs"), str(tmp_path))
    (tmp_path / "etc/udev/rules.d").mkdir(parents=True)
    (tmp_path / "sbin").mkdir()
    before = tree(tmp_path)
    done = place.install().done
    assert place.install().done == done == place.installed().done and len(done) == 3
    assert (tmp_path / "sbin/mount.udffs").readlink() == Path("/opt/udffs/bin/mount.udffs")
    place.remove()
    assert tree(tmp_path) == before


def test_system_files_of_others_are_kept(tmp_path: Path) -> None:
    link = write(tmp_path / "sbin/mount.udffs", b"theirs")
    rule = write(tmp_path / "etc/udev/rules.d/59-udffs-eject.rules", b"theirs\n")
    place = System(Path("/opt/mount.udffs"), str(tmp_path))
    assert place.install().foreign == [str(rule), str(link)]
    assert place.remove().foreign == [str(rule), str(link)]
    assert link.read_bytes() == b"theirs" and rule.read_bytes() == b"theirs\n"


def test_rules_stand_around_the_one_that_ejects() -> None:
    assert sorted([*RULES, "60-cdrom_id.rules", "80-udisks2.rules"])[1] == "60-cdrom_id.rules"
    assert all(MARKER in text.splitlines() for text in RULES.values())


def test_system_takes_root(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.delenv("DESTDIR", raising=False)
    for option in ("--install", "--remove"):
        assert udffs(["desktop", option, "--system"]) == 2
        assert "only root" in capsys.readouterr().err
    with pytest.raises(NotPermittedError):
        System(Path(sys.executable)).install()


# -- what needs a terminal -------------------------------------------------------


def test_a_terminal_is_opened_once(
    stub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = tmp_path / "bin" / "xterm"
    terminal.parent.mkdir()
    terminal.write_text('#!/bin/sh\nshift\nexec "$@"\n')
    terminal.chmod(0o755)
    monkeypatch.setenv("PATH", str(terminal.parent))
    monkeypatch.setattr(run, "TERMINALS", (("not-there", "--"), ("xterm", "-e")))
    assert run.in_terminal([str(stub)], "burn") == 0
    assert arguments(tmp_path) == ["desktop", "run", "--here", "burn"]
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(MissingDependencyError, match="terminal"):
        run.in_terminal([str(stub)], "burn")


def test_the_chosen_drive_is_acted_on(tmp_path: Path) -> None:
    program = tmp_path / "program"
    told = json.dumps({"drives": [{"drive": "/a b.img", "text": "blank"}]})
    program.write_text(
        f"#!/bin/sh\n[ $1 = drives ] && echo {shlex.quote(told)} && exit\n"
        f'printf "%s\\0" "$@" > {shlex.quote(str(tmp_path / "args"))}\nexit 7\n'
    )
    program.chmod(0o755)
    assert run.act([str(program)], "close", lambda known: known[0][0]) == 7
    assert arguments(tmp_path) == ["close", "/a b.img"]
