"""A closed disc is an ISO image at the same time: whatever other people's programs
read of it, by Rock Ridge, by Joliet, by neither or by UDF, is what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import vm
from support import machine
from support.bridge_discs import BridgeDisc, difficult, later, make_bridge_disc, many, nothing
from support.discs import Author
from support.iso_kernel import ISO_WAYS, Mount, as_isofs, kernel_views
from support.iso_strangers import (
    as_isoinfo,
    as_xorriso,
    isoinfo,
    on_host,
    pycdlib_view,
    seven_zip,
    seven_zip_type,
    xorriso,
)
from support.iso_views import (
    View,
    compare,
    compare_mapped,
    expected,
    joliet_holds,
    without_posix,
)
from vm.iscsi import serve

from media import virtual
from media.store import ImageStore
from udffs.volume import open_volume

pytestmark = [
    pytest.mark.strangers,
    pytest.mark.skipif(bool(machine.why_not_root()), reason="only root makes devices and owners"),
]

# name -> sessions, revision, whether the last one is for ever
DISCS: dict[str, tuple[list[Callable[..., None]], int, bool]] = {
    "difficult-150": ([difficult], 0x0150, False),
    "difficult-201": ([difficult], 0x0201, False),
    "protected": ([difficult], 0x0201, True),
    "many": ([many], 0x0201, False),
    "empty": ([nothing], 0x0201, False),
    "sessions-150": ([difficult, later], 0x0150, False),
    "sessions-201": ([difficult, later, nothing], 0x0201, True),
}
SINGLE = [name for name, (sessions, _, _) in DISCS.items() if len(sessions) == 1]
SEVERAL = [name for name in DISCS if name not in SINGLE]


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], BridgeDisc]:
    """Makes each of DISCS when it is first asked for."""
    folder = tmp_path_factory.mktemp("bridge")
    made: dict[str, BridgeDisc] = {}

    def get(name: str) -> BridgeDisc:
        if name not in made:
            sessions, revision, final = DISCS[name]
            made[name] = make_bridge_disc(folder, name, sessions, revision=revision, final=final)
        return made[name]

    return get


@pytest.fixture(params=DISCS)
def disc(request: pytest.FixtureRequest, discs: Callable[[str], BridgeDisc]) -> BridgeDisc:
    return discs(request.param)


@pytest.fixture(params=SINGLE)
def single(request: pytest.FixtureRequest, discs: Callable[[str], BridgeDisc]) -> BridgeDisc:
    return discs(request.param)


def joliet(shown: View) -> View:
    return without_posix(shown, links_as_files=False)


# -- without a virtual machine -----------------------------------------------------------


def test_we_ourselves(disc: BridgeDisc) -> None:
    store = ImageStore(disc.image)
    compare(expected(open_volume(store)), disc.tree, f"our reader, {disc.name}", tick=1000)


@pytest.mark.parametrize("session", [0, -1])
def test_isoinfo(disc: BridgeDisc, session: int) -> None:
    shown, start = disc.shown(session), disc.starts[session]
    files = [path for path, one in shown.items() if one.kind == "file"]
    view = isoinfo(disc.image, read=files[:: max(1, len(files) // 60)], start=start)
    compare(view, as_isoinfo(shown), f"isoinfo, session {session} of {disc.name}")


def test_isoinfo_joliet(single: BridgeDisc) -> None:
    def latin(name: str) -> str:
        return "".join(letter if ord(letter) < 256 else "_" for letter in name)

    def unlike(view: View) -> View:  # there names come out the same that are not
        return {path: one for path, one in view.items() if not path.startswith("mapped/")}

    view = unlike(isoinfo(single.image, joliet=True))
    wanted = unlike(joliet(single.shown()))
    compare_mapped(view, wanted, f"isoinfo -J of {single.name}", joliet_holds(wanted), fold=latin)


@pytest.mark.parametrize("session", [0, -1])
def test_xorriso(disc: BridgeDisc, session: int, tmp_path: Path) -> None:
    view = xorriso(disc.image, tmp_path, start=disc.starts[session])
    compare(view, as_xorriso(disc.shown(session)), f"osirrox, session {session} of {disc.name}")


def test_seven_zip(disc: BridgeDisc, tmp_path: Path) -> None:
    """It knows the first session only, and no UDF with a VAT."""
    assert seven_zip_type(disc.image) == "Iso"
    view = seven_zip(disc.image, tmp_path)
    wanted = {path: on_host(one) for path, one in joliet(disc.shown(0)).items()}
    compare_mapped(view, wanted, f"7zz of {disc.name}", joliet_holds(wanted))


@pytest.mark.parametrize("session", [0, -1])
def test_pycdlib(disc: BridgeDisc, session: int) -> None:
    shown, start = disc.shown(session), disc.starts[session]
    what = f"pycdlib, session {session} of {disc.name}"
    compare(pycdlib_view(disc.image, "rr", start=start), shown, f"{what}, Rock Ridge")
    view = pycdlib_view(disc.image, "joliet", start=start)
    compare_mapped(view, joliet(shown), f"{what}, Joliet", joliet_holds(shown))


def test_names_that_were_mapped_are_told(discs: Callable[[str], BridgeDisc]) -> None:
    said = "\n".join(discs("difficult-201").notes[0])
    assert "too large" in said
    assert "Joliet" in said


# -- in the Linux kernel -------------------------------------------------------------------


@pytest.fixture(scope="module")
def kernel(
    discs: Callable[[str], BridgeDisc],
    kernel_vm: Callable[..., vm.Result],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[tuple[str, str], View | str]]:
    """(disc, way) -> what is seen, all in one boot: each image as a disk, and each
    disc of several sessions, and one other, in a drive."""
    disks = [discs(name) for name in DISCS]
    drives = [discs(name) for name in (*SEVERAL, "difficult-201", "protected")]
    mounts: dict[tuple[str, str], Mount] = {}
    for letter, disc in zip("abcdefghijklm", disks, strict=False):
        for way, options in ISO_WAYS.items():
            mounts[disc.name, f"image {way}"] = Mount(f"vd{letter}", "iso9660", options)
            if len(disc.starts) > 1:
                last = f"{options},sbsector={disc.starts[-1]}".removeprefix(",")
                mounts[disc.name, f"image, last session {way}"] = Mount(
                    f"vd{letter}", "iso9660", last
                )
        mounts[disc.name, "image udf"] = Mount(f"vd{letter}", "udf")
    for number, disc in enumerate(drives):
        for way, options in ISO_WAYS.items():
            mounts[disc.name, f"drive {way}"] = Mount(f"sr{number}", "iso9660", options)
        mounts[disc.name, "drive udf"] = Mount(f"sr{number}", "udf")
    with ExitStack() as stack:
        burners = [virtual.open_burner(disc.image, writable=False) for disc in drives]
        for burner in burners:
            stack.callback(burner.close)
        urls = [stack.enter_context(serve(burner.execute)) for burner in burners]
        views = kernel_views(
            kernel_vm,
            list(mounts.values()),
            tmp_path_factory.mktemp("kernel"),
            disks=[disc.image for disc in disks],
            burners=urls,
        )
    yield dict(zip(mounts, views, strict=True))


def check_kernel(
    kernel: dict[tuple[str, str], View | str], disc: BridgeDisc, where: str, session: int
) -> None:
    """The three ways of isofs."""
    shown = as_isofs(disc.shown(session))
    views = {}
    for way in ISO_WAYS:
        view = kernel[disc.name, f"{where} {way}"]
        assert isinstance(view, dict), f"{disc.name}, {where} {way}: {view}"
        views[way] = view
    what = f"isofs, {disc.name}, {where}"
    compare(views["rr"], shown, f"{what}, Rock Ridge")
    compare_mapped(views["joliet"], joliet(shown), f"{what}, Joliet", joliet_holds(shown))
    plain = without_posix(shown, links_as_files=True)
    compare_mapped(views["plain"], plain, f"{what}, plain", lambda name: False)


@pytest.mark.vm
@pytest.mark.slow
@pytest.mark.timeout(1500, func_only=False)
class TestKernel:
    @pytest.mark.parametrize("name", SINGLE)
    def test_an_image(
        self,
        name: str,
        discs: Callable[[str], BridgeDisc],
        kernel: dict[tuple[str, str], View | str],
    ) -> None:
        check_kernel(kernel, discs(name), "image", -1)

    @pytest.mark.parametrize("name", SEVERAL)
    def test_an_image_of_several_sessions(
        self,
        name: str,
        discs: Callable[[str], BridgeDisc],
        kernel: dict[tuple[str, str], View | str],
    ) -> None:
        """It shows the first one, unless another is asked for."""
        check_kernel(kernel, discs(name), "image", 0)
        check_kernel(kernel, discs(name), "image, last session", -1)

    @pytest.mark.parametrize("name", [*SEVERAL, "difficult-201", "protected"])
    def test_a_drive(
        self,
        name: str,
        discs: Callable[[str], BridgeDisc],
        kernel: dict[tuple[str, str], View | str],
    ) -> None:
        check_kernel(kernel, discs(name), "drive", -1)

    @pytest.mark.parametrize("where", ["image", "drive"])
    @pytest.mark.parametrize("name", DISCS)
    def test_udf(
        self,
        name: str,
        where: str,
        discs: Callable[[str], BridgeDisc],
        kernel: dict[tuple[str, str], View | str],
    ) -> None:
        view = kernel.get((name, f"{where} udf"))
        if view is None:
            assert where == "drive"
            return
        assert isinstance(view, dict), view
        compare(view, discs(name).tree, f"udf, {name}, {where}", tick=1000)


def small(author: Author) -> None:
    author.directory("folder")
    author.file("folder/plain", b"plain" * 1000)
    author.file("embedded", b"embedded")


def small_too(author: Author) -> None:
    author.file("folder/new", b"new" * 1000)
    author.delete("embedded")


@pytest.mark.vm
def test_open_discs_in_a_drive(kernel_vm: Callable[..., vm.Result], tmp_path: Path) -> None:
    """The first blocks of an open session cannot be read; a disc is UDF all the same, and
    what its last closed session showed by ISO 9660 is still there."""
    sessions = {"one": [small], "two": [small, small_too]}
    one, two = (
        make_bridge_disc(tmp_path, name, made, leave_open=True) for name, made in sessions.items()
    )
    mounts = [Mount("sr0", "udf"), Mount("sr1", "udf"), Mount("sr1", "iso9660")]
    with ExitStack() as stack:
        burners = [virtual.open_burner(disc.image, writable=False) for disc in (one, two)]
        for burner in burners:
            stack.callback(burner.close)
        urls = [stack.enter_context(serve(burner.execute)) for burner in burners]
        first, second, before = kernel_views(kernel_vm, mounts, tmp_path, burners=urls)
    assert isinstance(first, dict), first
    compare(first, one.tree, "udf, an open disc", tick=1000)
    assert isinstance(second, dict), second
    compare(second, two.tree, "udf, an open second session", tick=1000)
    assert isinstance(before, dict), before
    compare(before, as_isofs(two.shown(0)), "isofs, the session before the open one")
