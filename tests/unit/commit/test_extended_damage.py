"""Named streams that are not as UDF wants them, and ICBs with no room left."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from support.extended import Hand

from media.virtual import Burner
from udffs.errors import DiscError, NotPermittedError
from udffs.ondisc import hot
from udffs.ondisc.ecma167 import ExtendedFileEntry, FileEntry
from udffs.ondisc.modes import FileType
from udffs.ondisc.times import pack_time

from . import extended_rig
from .extended_rig import FILES, NOISE, state_of, write
from .rig import content, save
from .rw_rig import formatted, judged, mount, store_of


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Burner:
    return extended_rig.ours(tmp_path_factory.mktemp("spool"))


# -- what is not as it should be -------------------------------------------------------


def _not_a_directory(hand: Hand, at: int, main: int) -> None:
    hand.disc.fields(FileEntry, at, icb_tag__file_type=FileType.REGULAR)


def _the_root(hand: Hand, at: int, main: int) -> None:
    root = hand.disc.ground.icbs["/"]
    name = "stream_directory_icb__location__logical_block_number"
    hand.disc.fields(ExtendedFileEntry, main, **{name: root})


def _itself(hand: Hand, at: int, main: int) -> None:
    name = "stream_directory_icb__location__logical_block_number"
    hand.disc.fields(ExtendedFileEntry, main, **{name: main - hand.disc.ground.start})


def _outside(hand: Hand, at: int, main: int) -> None:
    name = "stream_directory_icb__location__logical_block_number"
    hand.disc.fields(ExtendedFileEntry, main, **{name: 0xFFFFFFF0})


def _zeros(hand: Hand, at: int, main: int) -> None:
    hand.disc.put(at, b"")


def _anothers(hand: Hand, at: int, main: int) -> None:
    _stream(hand, "", hand.disc.ground.icbs["/plain"])


def _stream(hand: Hand, name: str, to: int) -> None:
    folder = "/large (streams)"
    hand.fids(folder, name, icb__location__logical_block_number=to)


def _the_file(hand: Hand, at: int, main: int) -> None:
    _stream(hand, "b", hand.disc.ground.icbs["/large"])


def _two_names(hand: Hand, at: int, main: int) -> None:
    _stream(hand, "b", hand.disc.ground.icbs["/large (streams)/a"])


def _a_folder(hand: Hand, at: int, main: int) -> None:
    _stream(hand, "b", hand.disc.ground.icbs["/folder"])


def _a_block_of_data(hand: Hand, at: int, main: int) -> None:
    _stream(hand, "b", 5)


SPOILT = [
    _not_a_directory,
    _the_root,
    _itself,
    _outside,
    _zeros,
    _anothers,
    _the_file,
    _two_names,
    _a_folder,
    _a_block_of_data,
]


@pytest.mark.parametrize("spoil", SPOILT)
def test_damaged_streams_are_left_alone(
    ours: Burner, spoil: Callable[[Hand, int, int], None], tmp_path: Path
) -> None:
    """The file goes and gives its own space back, no more; nobody else loses any."""
    burner = ours.branch()
    hand = Hand(store_of(burner))
    ground = hand.disc.ground
    own = sum(n for _, n, who in ground.owners if who in ("/large", "/large (its ICB)"))
    spoil(hand, hand.disc.icb("/large (streams)"), hand.disc.icb("/large"))
    hand.burn()
    told: list[str] = []
    fs = mount(burner, tmp_path / "spool", log=told.append)
    assert fs.read_only is None, fs.read_only
    free = fs.statfs().free
    fs.unlink("/large")
    fs.shutdown()
    assert any("keeps some of its space" in line for line in told), told
    fs = mount(burner, tmp_path / "spool")
    assert 0 < fs.statfs().free - free <= own
    for path, data in FILES.items():
        if path in ("/small", "/full", "/plain", "/folder/inside"):
            assert content(fs, path) == data
    fs.shutdown()


@pytest.mark.parametrize("seed", range(40))
def test_random_damage_to_streams(ours: Burner, seed: int, tmp_path: Path) -> None:
    """Anything may stand in the blocks of streams; it is never more than a note."""
    chance = random.Random(seed)
    burner = ours.branch()
    hand = Hand(store_of(burner))
    at = [hand.disc.icb(path) for path in streams_of_ground(hand)]
    for _ in range(chance.choice((1, 3, 10))):
        block = chance.choice([*at, hand.disc.icb("/large")])
        offset = chance.randrange(16, 400)
        hand.disc.bytes_of(block, offset, chance.randbytes(chance.choice((1, 4, 16))))
    hand.burn()
    fs = mount(burner, tmp_path / "spool")
    for path in ("/large", "/folder/inside"):
        with suppress(DiscError):
            fs.unlink(path)
    with suppress(DiscError):
        fs.rmdir("/folder")
    fs.sync()
    save(fs, "/after", NOISE)
    fs.shutdown()
    fs = mount(burner, tmp_path / "spool")
    assert content(fs, "/after") == NOISE
    fs.shutdown()


def streams_of_ground(hand: Hand) -> list[str]:
    return [path for path in hand.disc.ground.icbs if "(streams)" in path]


@pytest.mark.parametrize("extended", [False, True])
def test_no_room_beside_extended_attributes(extended: bool, tmp_path: Path) -> None:
    """Another system's attributes may fill an ICB so that not even one extent fits
    beside them: such a file can be read and deleted, not changed."""
    burner = formatted()
    fs = mount(burner, tmp_path / "spool")
    for name, left in (("/tight", 16), ("/too tight", 15)):
        save(fs, name, b"hello")
        state = state_of(fs, name)
        if extended:
            state.extension = hot.Extension(pack_time(0), bytes(16), 1, 0)
        state.attributes = bytes(state.room - left)
    fs.shutdown()
    fs = mount(burner, tmp_path / "spool")
    write(fs, "/tight", NOISE, 5)
    for change in (
        lambda: write(fs, "/too tight", NOISE, 5),
        lambda: fs.chmod("/too tight", 0o600),
        lambda: fs.rename("/too tight", "/moved"),
        lambda: fs.link("/too tight", "/second"),
    ):
        with pytest.raises(NotPermittedError):
            change()
    assert content(fs, "/too tight") == b"hello"
    fs.shutdown()
    judged(burner)
    fs = mount(burner, tmp_path / "spool")
    assert content(fs, "/tight") == b"hello" + NOISE
    fs.unlink("/too tight")
    fs.shutdown()
    assert "/too tight" not in judged(burner).icbs
