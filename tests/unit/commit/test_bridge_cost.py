"""The cost of a bridge is an upper bound of what it takes, and not far above."""

from __future__ import annotations

import random
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from udffs.commit import write_once
from udffs.commit.bridge import cost, walk
from udffs.commit.bridge.plan import IsoPlan
from udffs.commit.bridge.tree import Item
from udffs.commit.bridge.views import _blocks_of
from udffs.commit.bridge.walk import View
from udffs.commit.nodes import State
from udffs.ondisc.modes import build_path
from udffs.volume import Run, open_volume
from udffs.volume.model import BLOCK

from .actor import Actor
from .rig import BORN, Clock, formatted, mount, store_of

STEADY = settings(derandomize=True, max_examples=60, deadline=None)
MOST_ABOVE, AND_BLOCKS = 1.6, 60
DESCRIPTORS = 3

FILE, FOLDER, LINK, DEVICE, PIPE = (
    stat.S_IFREG | 0o644,
    stat.S_IFDIR | 0o755,
    stat.S_IFLNK | 0o777,
    stat.S_IFCHR | 0o600,
    stat.S_IFIFO | 0o600,
)


# -- records -------------------------------------------------------------------

LETTERS = st.sampled_from(
    ["abcdefghijklmnop", "ABC.", "x", "éèüß", "жШщ", "日本語", "\U0001f4bf", "a.b.c~ ", "0"]
)
NAMES = st.builds(
    lambda seed, letters, length: "".join(random.Random(seed).choices(letters, k=length)),
    st.integers(0, 1000),
    LETTERS,
    st.one_of(st.integers(1, 20), st.sampled_from([60, 64, 65, 80, 81, 89, 90, 91, 113, 120, 126])),
).filter(lambda name: name not in (".", "..") and len(name.encode("utf-16-be")) < 254)
LONG = st.integers(1, 300).map(lambda n: f"{n:0254}")
TARGETS = st.one_of(
    st.sampled_from(["a", "/", "..", "../../lib/libc.so", "/" + "é/" * 90, "a/" * 1000 + "b"]),
    st.lists(st.one_of(NAMES, LONG), min_size=1, max_size=12).map("/".join),
)


@st.composite
def items(draw: st.DrawFn, name: str, depth: int) -> Item:
    """One item; sections are nowhere near each other."""
    kind = draw(st.sampled_from([FILE, FILE, FILE, FOLDER, FOLDER, LINK, DEVICE, PIPE]))
    item = Item(name, kind, serial=draw(st.integers(1, 1 << 30)), mtime=BORN)
    if kind == FOLDER:
        item.children = draw(children(depth - 1)) if depth else []
    elif kind == LINK:
        item.target = draw(TARGETS)
    elif kind == FILE:
        count = draw(st.sampled_from([0, 1, 1, 2, 5, 90]))
        item.sections = tuple((1000 + 3 * number, BLOCK) for number in range(count))
        item.size = count * BLOCK
    return item


@st.composite
def children(draw: st.DrawFn, depth: int) -> list[Item]:
    names = draw(st.lists(st.one_of(NAMES, NAMES, LONG), max_size=25, unique=True))
    return [draw(items(name, depth)) for name in names]


def records_cost(root: Item) -> int:
    """The cost of a tree without what is written out once more."""
    total = cost.DIRECTORY
    for item in root.walk():
        if item is root:
            continue
        state = State(epoch=0, mode=item.mode, uid=0, gid=0, unique_id=0)
        state.size = len(build_path(item.target)) if item.mode == LINK else item.size
        state.runs = tuple(
            Run(number * BLOCK, block, length)
            for number, (block, length) in enumerate(item.sections)
        )
        state.attributes = bytes(BLOCK)  # nothing is embedded
        total += cost.name_cost(item.name.encode()) + cost.state_cost(state)
    return total


def check(root: Item, most_above: float = MOST_ABOVE) -> None:
    bound, real = cost.blocks(records_cost(root)), IsoPlan(root, label="x", now=BORN).blocks
    assert real + DESCRIPTORS <= bound <= most_above * real + AND_BLOCKS


@settings(STEADY, max_examples=300)
@given(st.lists(st.integers(17, 127).map(lambda half: 2 * half), max_size=200))
def test_records_that_cross_no_block(sizes: list[int]) -> None:
    """Also in the worst order: a long one where the rest of a block is a little too short."""
    orders = [sizes, [*sizes, *[254] * 100], *([size] * 2000 for size in sizes[:5])]
    for order in orders:
        assert _blocks_of(order) <= -(-cost._records(sum(order)) // BLOCK) + bool(order)


@STEADY
@given(children(2))
def test_the_bound_of_records_holds(inside: list[Item]) -> None:
    check(Item("", FOLDER, children=inside))


def many(count: int, kind: int, form: str, **fields: object) -> Item:
    named = [Item(form.format(number), kind, **fields) for number in range(count)]  # type: ignore[arg-type]
    return Item("", FOLDER, children=named)


SCATTERED = {"size": 90 * BLOCK, "sections": tuple((3 * n, BLOCK) for n in range(90))}


@pytest.mark.parametrize(
    "root",
    [
        many(3000, FILE, "{}"),
        many(3000, FILE, "IMG_{:05}.JPG"),
        *(many(3000, FILE, f"{{:0{length}}}") for length in (80, 81, 112, 113, 127, 250)),
        many(3000, FILE, "{:04}" + "ж" * 123),
        many(1000, FOLDER, "{}"),
        many(1000, FOLDER, "{:0254}"),
        many(300, LINK, "{:0100}", target="/".join(["ß" * 100] * 5)),
        many(100, FILE, "{:0254}", **SCATTERED),
    ],
    ids=lambda root: f"{root.children[0].mode:o}-{len(root.children[0].name)}",
)
def test_the_bound_of_records_holds_for_large_directories(root: Item) -> None:
    check(root)


@pytest.mark.parametrize(
    "root",
    [
        many(1000, LINK, "{}", target="../lib/library.so.1"),
        many(50, LINK, "{}", target="a/" * 500),
        many(1000, DEVICE, "{:090}", device=0x801),
        many(1000, DEVICE, "{:092}", device=0x801),
        many(100, FILE, "{}", **SCATTERED),
    ],
    ids=lambda root: f"{root.children[0].mode:o}-{len(root.children[0].name)}",
)
def test_the_bound_is_rough_where_names_and_targets_are_not_known(root: Item) -> None:
    """A target counts as if all of it were Latin letters beyond ASCII, a section as if its
    name were of the longest; and a name as if Joliet had it too."""
    check(root, most_above=5.5)


def test_the_bound_of_records_holds_for_deep_directories() -> None:
    root = at = Item("", FOLDER)
    for number in range(400):
        below = Item(f"d{number}", FOLDER)
        at.children.append(below)
        at = below
    check(root)


# -- whole volumes -------------------------------------------------------------


@pytest.fixture
def low_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files have too many sections or holes."""
    for module in (cost, walk):
        monkeypatch.setattr(module, "MOST_SECTIONS", 4)
        monkeypatch.setattr(module, "MOST_HOLES", 6)


def real_blocks(view: View) -> int:
    plan = IsoPlan(view.root, label="x", now=BORN)
    return plan.blocks + sum(copy.blocks for copy in view.copies) + DESCRIPTORS


@pytest.mark.parametrize("seed", range(100, 116))
def test_the_reserve_of_a_volume_holds(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """What was kept back is enough for what is really written out once more."""
    if seed % 2:
        request.getfixturevalue("low_limits")
    monkeypatch.setattr(write_once, "has_bridge", lambda _store, _volume: True)
    burner, clock = formatted(), Clock()
    actor = Actor(mount(burner, tmp_path / "spool", clock), clock, seed)
    for number in range(80):
        actor.step()
        if number % 20 == 19:
            actor.fs.sync()
            assert actor.fs._writing is not None
            kept = actor.fs._writing.reserve.bridge
            assert kept is not None
            real = real_blocks(View(open_volume(store_of(burner))))
            assert real <= cost.blocks(kept) <= MOST_ABOVE * real + AND_BLOCKS, f"seed {seed}"
