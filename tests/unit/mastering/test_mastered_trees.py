"""Trees that hypothesis makes come back out of images and sessions as they went in."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.iso_strangers import pycdlib_view
from support.iso_views import View, compare, compare_mapped, expected, joliet_holds, seen, with_same
from support.trees import NOW, NS, Made, appended, file, files_only, folder, link, written

from media.store import ImageStore, SessionSpan
from udffs.mastering.image import make_image
from udffs.mastering.previous import previous_files
from udffs.mastering.session import make_session, merged
from udffs.mastering.sources import Source, count_links
from udffs.volume import open_volume

SETTINGS = settings(
    max_examples=int(os.environ.get("UDFFS_EXAMPLES", "60")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # shrinking such trees takes minutes
)

LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="/\0\x7f")
NAMES = st.one_of(
    st.text(LETTERS, min_size=1, max_size=12),
    st.text(st.sampled_from("aA.é字 ~1"), min_size=1, max_size=10),
    st.text(st.sampled_from("aB"), min_size=60, max_size=120),
    st.text(st.sampled_from("字é"), min_size=60, max_size=80),
).filter(lambda name: name not in (".", "..") and len(name.encode()) <= 255)
TIMES = st.integers(0, 2**31 * 2).map(lambda seconds: seconds * NS)
IDS = st.sampled_from([0, 1, 1000, 65_534, 2**32 - 2])
MODES = st.integers(0, 0o7777)
STEPS = st.one_of(st.sampled_from(["..", "."]), st.text(LETTERS, min_size=1, max_size=40))
TARGETS = st.builds(
    lambda root, steps: ("/" if root else "") + "/".join(steps),
    st.booleans(),
    st.lists(STEPS, min_size=1, max_size=8),
)
CONTENT = st.one_of(
    st.just(b""), st.binary(max_size=50), st.integers(1, 9000).map(lambda n: b"x" * n)
)


def stats() -> st.SearchStrategy[dict[str, int]]:
    return st.fixed_dictionaries(
        {"uid": IDS, "gid": IDS, "atime": TIMES, "mtime": TIMES, "ctime": TIMES}
    )


def named(children: list[Source]) -> list[Source]:
    """Those with different names."""
    return list({child.name: child for child in children}.values())


FILES = st.builds(
    lambda name, data, mode, fields: file(name, data, mode, **fields),
    NAMES,
    CONTENT,
    MODES,
    stats(),
)
LINKS = st.builds(
    lambda name, target, fields: link(name, target, **fields), NAMES, TARGETS, stats()
)


def folders(inside: st.SearchStrategy[Source]) -> st.SearchStrategy[Source]:
    return st.builds(
        lambda name, children, mode, fields: folder(name, *named(children), mode=mode, **fields),
        NAMES,
        st.lists(inside, max_size=6),
        MODES,
        stats(),
    )


ENTRIES = st.recursive(st.one_of(FILES, LINKS), folders, max_leaves=20)


@st.composite
def trees(draw: st.DrawFn) -> Source:
    """With some files under several names."""
    root = folder("", *named(draw(st.lists(ENTRIES, max_size=8))))
    everything = [source for _, source in root.walk()]
    places = [source for source in everything if source.is_directory]
    originals = [source for source in everything if not source.is_directory]
    for number, source in enumerate(originals[:3], 1):
        if draw(st.booleans()):
            source.serial = number
            place, name = draw(st.sampled_from(places)), draw(NAMES)
            if name not in {child.name for child in place.children}:
                place.children.append(another(source, name))
    return root


def another(source: Source, name: str) -> Source:
    twin = Source(name, source.mode, source.uid, source.gid, serial=source.serial)
    twin.atime, twin.mtime, twin.ctime = source.atime, source.mtime, source.ctime
    twin.size, twin.target, twin.content = source.size, source.target, source.content
    return twin


def view_of(root: Source) -> View:
    view, serials = {}, {}
    for path, source in root.walk():
        if not path:
            continue
        content = source.content
        view[path] = seen(
            source.mode,
            uid=source.uid,
            gid=source.gid,
            mtime=source.mtime,
            links=source.links,
            content=content.data if isinstance(content, Made) else source.read(0, source.size),
            target=source.target,
        )
        serials[path] = source.serial
    return with_same(view, serials)


@SETTINGS
@given(trees())
def test_image(root: Source) -> None:
    with tempfile.TemporaryDirectory() as place:
        image = written(make_image(root, label="hypothesis", now=NOW), Path(place) / "a.iso")
        wanted = view_of(root)
        compare(expected(open_volume(ImageStore(image))), wanted, "our reader")
        compare(pycdlib_view(image, "rr"), wanted, "pycdlib, by Rock Ridge")
        plain = files_only(wanted)
        compare_mapped(pycdlib_view(image, "joliet"), plain, "by Joliet", joliet_holds(plain))


class TwoSessions(ImageStore):
    """An image of two sessions."""

    def __init__(self, path: Path, start: int) -> None:
        super().__init__(path)
        self.sessions = (SessionSpan(0, start - 1), SessionSpan(start, self.last_block))


@SETTINGS
@given(trees(), trees(), st.integers(0, 300))
def test_session(first: Source, second: Source, gap: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        before = make_image(first, label="one", now=NOW)
        image = written(before, Path(place) / "two.img")
        old = previous_files(ImageStore(image))
        assert old is not None
        compare(view_of(old), view_of(first), "what is there already")
        start = before.blocks + gap
        session = make_session(second, old, start=start, label="two", now=NOW)
        count_links(second)
        new = {source.serial: source.size for _, source in second.walk() if source.is_file}
        assert sum(extent.source.size for extent in session.content) == sum(new.values())
        appended(session, image, start)
        both = merged(first, second)
        count_links(both)
        wanted = view_of(both)
        compare(pycdlib_view(image, "rr", start=start), wanted, "pycdlib, by Rock Ridge")
        again = previous_files(TwoSessions(image, start))
        assert again is not None
        compare(view_of(again), wanted, "our view of both")
