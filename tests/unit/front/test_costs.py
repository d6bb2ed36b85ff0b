"""What closing costs and leaves, in words, and what a copy needs: figures in,
sentences out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from udffs.cli import costs, info
from udffs.cli.close import _why_complete
from udffs.cli.fits import text
from udffs.cli.unmount import _who_reads
from udffs.commit.fitting import LAST_WRITE, Fit, Needs, fit
from udffs.commit.reserve import ClosingCost, Reserve, RewritableReserve

MB = 1_000_000 // 2048


def described(
    *, bridge: int = 500, gap: int = 11_400, free_after: int = 31 * MB, speed: float | None = 1200.0
) -> dict[str, Any]:
    cost = ClosingCost(1024, bridge, gap, free_after, free_after > 0)
    spans = (SimpleNamespace(start=0, end=None),)
    store: Any = SimpleNamespace(sessions=spans, blocks_per_second=speed)
    return costs.describe_closing(cost._asdict(), store)


@pytest.mark.parametrize(
    ("told", "says"),
    [
        (
            described(),
            "Closing takes 2.1 MB for the ISO 9660 view and the final tables, and 23.3 MB "
            "between this session and the next; 31.0 MB are left for another session.",
        ),
        (
            described(bridge=0),
            "Closing takes 2.1 MB for the final tables, and 23.3 MB between this session and "
            "the next; 31.0 MB are left for another session.",
        ),
        (
            {**described(free_after=0), "unsaved": True},
            "Closing takes 2.1 MB for what is not saved yet, the ISO 9660 view and the final "
            "tables; no further session fits.",
        ),
        (
            {**described(free_after=0, bridge=0), "unsaved": True},
            "Closing takes 2.1 MB for what is not saved yet and the final tables; no further "
            "session fits.",
        ),
        (
            described(free_after=0),
            "Closing takes 2.1 MB for the ISO 9660 view and the final tables; no further "
            "session fits.",
        ),
    ],
)
def test_what_closing_costs_and_leaves(told: dict[str, Any], says: str) -> None:
    assert costs.sentence(told) == says


def test_the_first_session_takes_longer_to_close() -> None:
    first = described()
    spans = (SimpleNamespace(start=0, end=99), SimpleNamespace(start=11_500, end=None))
    store: Any = SimpleNamespace(sessions=spans, blocks_per_second=1200.0)
    later = costs.describe_closing(ClosingCost(1024, 500, 6900, 1, True)._asdict(), store)
    assert first["seconds"] == (13_500 + 1024) / 1200
    assert later["seconds"] == (9_000 + 1024) / 1200


def test_a_speed_that_is_not_known_gives_no_false_time() -> None:
    told = described(speed=None)
    assert told["seconds"] is None and costs.time_of(told) == "a minute or two"


def test_each_choice_says_what_it_means_and_costs() -> None:
    lines = costs.choices(described(speed=75.0)).splitlines()
    starts = [n for n, line in enumerate(lines) if not line.startswith("   ")]
    leave, close, protect = (
        " ".join(" ".join(lines[start:end]).split())
        for start, end in zip(starts, [*starts[1:], None], strict=True)
    )
    assert "costs nothing" in leave and "/dev/sr0" in leave
    assert "any computer reads it" in close and "25.4 MB and about 3 minutes" in close
    assert "31.0 MB are left for more" in close
    assert "nothing can be added any more" in protect and "31.0 MB are given up" in protect
    assert max(map(len, costs.choices(described()).splitlines())) <= 100


def test_the_choices_without_a_bridge_or_a_next_session() -> None:
    told = costs.choices(described(bridge=0, free_after=0))
    assert "systems that know UDF read it" in told and "no further session fits" in told
    assert "any computer" not in told and "/dev/sr0" not in told and "given up" not in told


def test_many_notes_are_bounded() -> None:
    few, many = [f"note {n}" for n in range(8)], [f"note {n}" for n in range(50)]
    assert costs.bounded(few) == few
    assert costs.bounded(many) == [*many[:8], "And 42 more notes of this kind."]


@pytest.mark.parametrize(
    ("status", "is_open", "unsaved", "says"),
    [
        ("formatted", False, 0, "whenever it is unmounted"),
        ("closed", False, 0, "nothing can be added"),
        ("read-only", False, 0, "nothing can be added"),
        ("appendable", False, 0, "closed already"),
        ("appendable", True, 0, ""),
        ("appendable", False, 4096, ""),
    ],
)
def test_why_there_is_nothing_to_close(status: str, is_open: bool, unsaved: int, says: str) -> None:
    told = {"status": status, "session_open": is_open, "unsaved_bytes": unsaved}
    why = _why_complete(told)
    assert bool(why) == bool(says) and says in why


@pytest.mark.parametrize(
    ("bridge", "where"), [(True, "on Linux, in the drive"), (False, "here, and on systems")]
)
def test_a_disc_that_is_left_open_says_where_it_can_be_read(bridge: bool, where: str) -> None:
    said = _who_reads("disc.img", {"closable": True, "bridge": bridge})
    assert f"left open: it can be read {where}" in said and "\n" not in said
    assert "`udffs close disc.img` makes it readable everywhere" in said


# -- info --------------------------------------------------------------------------


def info_of(**changes: Any) -> str:
    """The report on a disc with a volume."""
    volume = {"label": "L", "udf": "2.01", "kind": "vat", "files": 1, "directories": 1}
    told = {
        "drive": "disc.img",
        "mounted": None,
        "disc": "CD-R",
        "blocks": 359_849,
        "status": "appendable",
        "format": "sequential",
        "rewritable": False,
        "session_open": True,
        "needs_repair": False,
        "sessions": [[0, None]],
        "volume": {**volume, "write_protected": None, "sparing": None},
        "space": {"free": 1000, "reserved": 2000},
        "bridge": True,
        "close_begun": False,
        "closing": described(),
        "staged": {"files": 0, "bytes": 0},
    }
    return info.text({**told, **changes})


def row(text: str, name: str) -> str:
    return next(
        (line[len(name) :].strip() for line in text.splitlines() if line.startswith(name)), ""
    )


def test_info_of_an_open_disc_with_a_bridge() -> None:
    told = info_of()
    assert row(told, "Readable") == (
        "on Linux, in the drive (/dev/sr0), with its UDF driver; everywhere once it is closed"
    )
    assert row(told, "Bridge").startswith("closing makes an ISO 9660 view")
    assert row(told, "Close ").startswith("takes 2.1 MB for the ISO 9660 view")
    assert row(told, "Reserved") == "4.1 MB (closing takes 2.1 MB of it at most)"
    assert row(told, "Staged") == row(told, "Image") == ""


def test_info_of_an_open_disc_without_a_bridge() -> None:
    told = info_of(bridge=False, closing=described(bridge=0))
    assert row(told, "Readable").startswith("here, and on systems whose UDF driver")
    assert "`udffs close --bridge` makes one" in row(told, "Bridge")


def test_info_of_a_closed_disc_with_a_bridge() -> None:
    told = info_of(session_open=False, sessions=[[0, 99]])
    assert row(told, "Readable") == "everywhere: ISO 9660 with Joliet and Rock Ridge, and UDF"
    assert row(told, "Close ") == ""


def test_info_of_a_close_that_was_broken_off() -> None:
    told = info_of(close_begun=True)
    assert "`udffs close disc.img`" in row(told, "Close ") and "completes it" in told
    assert "takes" not in row(told, "Close ")


def test_an_image_file_of_several_sessions_points_to_export(tmp_path: Any) -> None:
    image = tmp_path / "disc.img"
    image.touch()
    told = info_of(drive=str(image), sessions=[[0, 99], [11_500, None]])
    assert "first session" in row(told, "Image") and "`udffs export`" in row(told, "Image")
    assert row(info_of(drive=str(image)), "Image") == ""
    assert row(info_of(drive="/dev/null", sessions=[[0, 99], [11_500, None]]), "Image") == ""


def test_info_tells_of_staged_files_apart() -> None:
    told = info_of(staged={"files": 3, "bytes": 1_500_000})
    assert row(told, "Staged") == "3 files, 1.5 MB, not on a disc yet"


# -- fits --------------------------------------------------------------------------


def test_a_copy_that_fits_and_one_that_does_not() -> None:
    assert text(Fit(243 * MB, 210 * MB, 2 * MB, 31 * MB), blank=False) == (
        "This copy needs 212 MB, leaves 31.0 MB; closing stays possible."
    )
    missing = Fit(180 * MB, 210 * MB, 2 * MB, -32 * MB)
    assert not missing.fits
    told = text(missing, blank=True)
    assert told.startswith(
        "Once the disc is formatted, this copy needs 212 MB, and 180 MB are free"
    )
    assert told.endswith("32.1 MB are missing.")


def test_what_is_left_must_be_enough_for_the_last_write() -> None:
    assert Fit(1000, 900, 0, LAST_WRITE).fits
    assert not Fit(1000, 900, 0, LAST_WRITE - 1).fits
    assert Fit(1000, 900, 0, LAST_WRITE - 1).missing == 1


def test_the_bridge_of_a_copy_is_kept_twice_and_packets_cost_links() -> None:
    needs = Needs(files=100, data=9000, descriptors=100, directories=10, bridge=200 * 2048)
    plain = Reserve(free=50_000, link_blocks=7, packet_limit=512, opening=0)
    bridged = Reserve(free=50_000, link_blocks=7, packet_limit=512, opening=0, bridge=0)
    without, with_ = fit(plain, needs), fit(bridged, needs)
    assert with_.kept - without.kept == bridged.grown(needs.bridge) >= 400
    assert without.needed > needs.blocks + 2 * 2 * 7
    for found in (without, with_):
        assert found.left == found.free - found.needed - found.kept


def test_a_disc_whose_blocks_are_used_again_has_no_links_and_no_bridge() -> None:
    needs = Needs(files=100, data=9000, descriptors=100, directories=10, bridge=200 * 2048)
    room = RewritableReserve(lambda: 10_000, lambda: 10_000)
    found = fit(room, needs)
    assert (found.needed, found.kept) == (9110, 0)
    assert found.left == room.available - 9110
