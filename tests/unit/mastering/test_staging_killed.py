"""A process that is killed while it stages, at each moment at which that shows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from udffs.mastering.staging import Area

#: What changes something that others can see, or makes it durable.
MOMENTS = ("fsync", "replace", "rename", "mkdir", "unlink", "rmdir", "chmod", "open")


def killed_at(number: int, work: Callable[[], object]) -> bool:
    """Does the work in a process of its own that is killed before the call of that
    number; whether it was."""
    child = os.fork()
    if child == 0:
        left = number

        def counted(call: Callable[..., object]) -> Callable[..., object]:
            def run(*args: object, **kwargs: object) -> object:
                nonlocal left
                left -= 1
                if left == 0:
                    os._exit(9)
                return call(*args, **kwargs)

            return run

        for name in MOMENTS:
            setattr(os, name, counted(getattr(os, name)))
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert status in (0, 9)
    return status == 9


def kills(work: Callable[[], object]) -> Iterator[int]:
    """After each kill: at its first moment, at its second ..., until it gets through."""
    number = 1
    while killed_at(number, work):
        yield number
        number += 1
    assert number > 5, "it was never killed"


@pytest.fixture
def area(tmp_path: Path) -> Area:
    area = Area(tmp_path / "stash")
    (tmp_path / "before").write_bytes(b"before")
    area.add(tmp_path / "before")
    area.make()
    (area.folder / "saved").write_bytes(b"saved")
    return area


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "one").write_bytes(b"1" * 3000)
    (tree / "sub" / "two").write_bytes(b"2" * 3000)
    return tree


def staged(area: Area) -> dict[str, str]:
    """Name and kind of all that is staged. What was staged before is still there."""
    found = {each.name: each.how for each in area.staged()}
    assert (found.pop("before"), found.pop("saved")) == ("reference", "saved")
    assert (area.folder / "saved").read_bytes() == b"saved"
    return found


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_killed_while_adding_a_reference(area: Area, tree: Path) -> None:
    for _number in kills(lambda: area.add(tree)):
        assert staged(area) in ({}, {"tree": "reference"})
        area.remove(area.removal(["before"]))
        area.add(tree.parent / "before")
    assert staged(area) == {"tree": "reference"}


def test_killed_while_adding_a_copy(area: Area, tree: Path) -> None:
    seen = set()
    before = contents(area.folder)
    there = {f"new/tree/{name}": content for name, content in contents(tree).items()}
    for _number in kills(lambda: area.add(tree, to="new", copy=True)):
        seen.update(staged(area).items())
        # It is there as a whole, or at most its place has been made.
        assert contents(area.folder) in ({**before, **there}, before)
    assert staged(area) == {"new/tree": "copy"}
    # Between its move and the list it is what a program saved: there all the same.
    assert seen == {("new", "saved"), ("new/tree", "copy")}
    area.add(tree, to="other", copy=True)  # the next one sweeps
    assert list((area.place / "copying").iterdir()) == []


def test_killed_while_copying_again(area: Area, tree: Path) -> None:
    area.add(tree, copy=True)
    old = contents(tree)
    (tree / "one").write_bytes(b"another")
    (tree / "sub" / "two").unlink()
    (tree / "three").write_bytes(b"3")
    new = contents(tree)
    for _number in kills(lambda: area.add(tree, copy=True)):
        assert staged(area).keys() == {"tree"} or staged(area).keys() == {"tree/three", "tree"}
        for name, content in contents(area.folder / "tree").items():
            assert content in (old.get(name), new.get(name))
        assert contents(area.folder / "tree").keys() >= old.keys() & new.keys()
    area.add(tree, copy=True)
    assert {name: contents(area.folder / "tree")[name] for name in new} == new


def test_killed_while_taking_off_what_was_burnt(area: Area, tree: Path) -> None:
    def work() -> None:
        area.burnt(area.collect())

    for _number in kills(work):
        # Whatever is left is still staged; what was not collected is never touched.
        left = set(contents(area.folder))
        assert left <= {"saved", "tree/one", "tree/sub/two"}
        names = {each.name for each in area.staged()}
        assert {name.split("/")[0] for name in left} <= names
        area.add(tree, to="again")
        area.remove(area.removal(["again"]))
        if not (area.folder / "tree").exists():
            area.add(tree, copy=True)
        (area.folder / "saved").write_bytes(b"saved")
    assert area.empty()
