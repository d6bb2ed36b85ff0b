"""A virtual allocation table of more blocks than fit behind the last anchor."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest

from udffs.commit.sequential import Deferred
from udffs.commit.vat import Counts
from udffs.ondisc import tags
from udffs.ondisc.ecma167 import AnchorVolumeDescriptorPointer
from udffs.volume import open_volume

from .rig import BORN, formatted, mount, store_of

ENTRIES = 140_000  # 274 blocks
COUNTS = Counts(ENTRIES - 2, 1, 2 * ENTRIES)
BLOCK = 2048


class NoJournal:
    def must_yield(self) -> bool:
        return False

    def defer(self, deferred: Deferred) -> None:
        assert not deferred

    def intend(self, location: int, *, complete: bool = True) -> None:
        assert location > 0


@pytest.mark.parametrize("scattered", [False, True], ids=["in one piece", "scattered"])
@pytest.mark.parametrize("revision", [0x0150, 0x0201], ids=hex)
def test_a_disc_with_a_long_table_is_closed(revision: int, scattered: bool, tmp_path: Path) -> None:
    """N-256 is an anchor and N-1 and N are the VAT ICB, whatever the state of
    the table: even where a commit would now write it anew in one piece."""
    burner = formatted(revision)
    fs = mount(burner, tmp_path / "spool")
    assert fs._writing is not None
    committer, table = fs._writing.committer, fs._writing.table
    plain = array("I", table.entries)
    plain.extend(range(1000, 1000 + ENTRIES - len(plain)))
    changes = dict(enumerate(plain))
    committer._write_vat(changes, COUNTS, now=BORN, journal=NoJournal())
    if scattered:
        changes = {number: 500 + number for number in range(600, ENTRIES, 1024)}
        for number, where in changes.items():
            plain[number] = where
        committer._write_vat(changes, COUNTS, now=BORN, journal=NoJournal())
        assert table.extra_spent > 0
        table.extra_spent = 10_000
    committer.close(COUNTS, now=BORN, final=True, journal=NoJournal())
    fs.shutdown()

    store = store_of(burner)
    last = store.last_block
    anchor = store.read(last - 256, 1)
    tags.unseal(AnchorVolumeDescriptorPointer, anchor, location=last - 256)
    volume = open_volume(store)
    assert volume.notes == []
    assert volume.vat is not None
    assert volume.vat.location == last
    assert volume.vat.entries == plain
    # The other copy says the same.
    other = open_volume(store, vat_location=last - 1)
    assert other.vat is not None and other.vat.entries == plain
