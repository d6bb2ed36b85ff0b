"""``python -m demolib [FOLDER]``: the session itself."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mounts

from demolib import saving
from demolib.mastering import Mastering, compare_iso, strangers
from demolib.rewriting import Rewriting
from demolib.shell import SEARCH_PATH, Shell, StepFailed, Stopped, say

PROJECT = Path(__file__).resolve().parents[2]
LABEL = "Demo"

SAVES: list[tuple[str, Callable[[Path], None]]] = [
    ("edit a file in place", saving.edit_in_place),
    ("save a text three times through a temporary name, fsync and a rename",
     saving.save_through_rename),
    ("append 300 lines to a log, opening it anew for each", saving.append_to_log),
    ("delete a file and a folder", saving.delete),
    ("rename a folder and a file", saving.rename),
]  # fmt: skip


# Of all that udfinfo says.
TELLING = (
    *("label=", "blocksize=", "blocks=", "usedblocks=", "numfiles=", "numdirs="),
    *("udfrev=", "vatblock=", "integrity=", "accesstype="),
)


class Session:
    """A CD-R from blank to closed, a CD-RW, and a CD-R in one go. ``mirror`` is a plain
    folder that gets the same saves, and says how the disc must look."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shell = Shell(folder)
        self.disc = folder / "demo.img"
        self.where = folder / "disc"
        self.mirror = folder / "mirror"
        self.source = folder / "source"
        self.rewriting = Rewriting(self.shell, folder)
        self.mastering = Mastering(self.shell, folder)

    def play(self) -> None:
        shell = self.shell
        self._prepare()
        shell.step("Make a blank CD-R of 80 minutes, in a file.")
        shell.run("udffs", "new", self.disc, "--media", "cd-r-80")
        shell.step("Format it. On a real CD-R this takes seconds, too.")
        shell.run("udffs", "format", self.disc, "--label", LABEL)
        shell.step("Mount it: from here on it is a drive like any other.")
        self._mount()
        shell.step("Save to it as programs do.")
        self._save()
        shell.run("df", "-h", self.where)
        shell.step("Unmount it. What was not yet on the disc is written now.")
        shell.run("udffs", "unmount", self.where, "--leave-open")
        shell.step("Mount it again, and compare every name and every byte.")
        self._mount()
        self._compare()
        shell.step("Close it, so that other systems can read it; more could be added later.")
        shell.run("udffs", "unmount", self.where, "--close")
        shell.run("udffs", "info", self.disc)
        self._strangers()
        shell.step("The closed image is an .iso at the same time, for readers of ISO 9660.")
        strangers(shell, self.disc)
        compare_iso(self.disc, self.mirror, "/")
        self.rewriting.play()
        self.mastering.play(self.source)

    def _prepare(self) -> None:
        """A folder tree to copy: this project's own source."""
        keep_out = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*")
        self.source.mkdir()
        for name in ("udffs", "media"):
            shutil.copytree(PROJECT / name, self.source / name, ignore=keep_out)
        for name in ("README.md", "LICENSE", "pyproject.toml"):
            shutil.copy2(PROJECT / name, self.source / name)
        (self.source / "licence of the project").symlink_to("LICENSE")
        self.where.mkdir()
        self.mirror.mkdir()
        spool = self.folder / "spool"
        stash = self.folder / "stash"
        settings = f'spool = "{spool}"\nstash = "{stash}"\n'
        (self.folder / "settings.toml").write_text(settings)

    def _mount(self) -> None:
        self.shell.run("udffs", "mount", self.disc, self.where)

    def _save(self) -> None:
        count = sum(1 for path in self.source.rglob("*"))
        say(f"   - copy a folder tree ({count} names)")
        saving.copy_tree(self.source, self.where)
        saving.copy_tree(self.source, self.mirror)
        for text, save in SAVES:
            self.shell.go_on()
            say(f"   - {text}")
            save(self.where)
            save(self.mirror)

    def _compare(self) -> None:
        expected = saving.inventory(self.mirror)
        wrong = saving.differences(expected, saving.inventory(self.where))
        if wrong:
            raise StepFailed("the disc is not what was saved:\n" + "\n".join(wrong))
        files = sum(1 for entry in expected.values() if entry.kind == "file")
        say(f"   {len(expected)} names and the contents of {files} files: all as they were saved.")

    def _strangers(self) -> None:
        if shutil.which("udfinfo", path=SEARCH_PATH) is None:
            say("\n(udfinfo of udftools is not installed: what a stranger sees is not shown.)")
            return
        self.shell.step("What a program that is not ours sees on it (udfinfo of udftools):")
        self.shell.run("udfinfo", self.disc, only=TELLING)

    def clean_up(self) -> None:
        """Nothing stays mounted or behind, whatever happened."""
        places = (self.where, self.rewriting.where)
        for place in filter(mounts.is_mounted, places):
            self.shell.regardless("udffs", "unmount", place, "--leave-open")
        held = [place for place in places if not mounts.let_go(place)]
        if held:
            say(f"Still mounted: {', '.join(map(str, held))}")
        else:
            shutil.rmtree(self.folder, ignore_errors=True)


def closing_words(session: Session, seconds: float, kept: bool) -> str:
    done = (
        f"\nDone in {seconds:.1f} seconds: a blank CD-R was formatted, mounted, saved to,\n"
        "mounted again, compared and closed; a CD-RW was written twice; collected files\n"
        "were burnt in one go. Nothing is mounted any more."
    )
    disc = f"\nThe disc is in {session.disc}." if kept else ""
    return (
        f"{done}{disc}\n\n"
        "What to type next, for a disc of your own:\n"
        "   .venv/bin/udffs new my-disc.img --media cd-r-80      (or cd-rw-80)\n"
        "   .venv/bin/udffs mount my-disc.img --format\n"
        "   .venv/bin/udffs unmount my-disc.img"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools/demo", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="keep the disc there")
    options = parser.parse_args()
    begun = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="udffs-demo.")).resolve()
    session = Session(folder)
    try:
        session.play()
        if options.folder:
            keep(session, options.folder.resolve())
    except (StepFailed, OSError, subprocess.CalledProcessError) as error:
        say(f"\nThis went wrong: {error}")
        return 1
    except Stopped:
        say("\nStopped; nothing is left mounted.")
        return 130
    finally:
        session.clean_up()
    say(closing_words(session, time.monotonic() - begun, bool(options.folder)))
    return 0


def keep(session: Session, folder: Path) -> None:
    """Moves the disc, in both its files, to where the user wants it."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(session.disc.parent.glob(session.disc.name + "*")):
        if (folder / path.name).exists():
            raise StepFailed(f"{folder / path.name} is there already; the disc was not kept")
        shutil.move(path, folder)
    session.disc = folder / session.disc.name


if __name__ == "__main__":
    sys.exit(main())
