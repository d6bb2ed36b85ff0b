"""A disc that another system did not unmount cleanly."""

from __future__ import annotations

from pathlib import Path

from media.virtual import Burner
from udffs.ondisc import tags
from udffs.ondisc.ecma167 import INTEGRITY_OPEN, LogicalVolumeIntegrityDescriptor
from udffs.volume import open_volume
from udffs.volume.model import BLOCK

from .rig import content, save
from .rw_rig import formatted, judged, mount, store_of


def _left_open(burner: Burner) -> None:
    """As the Linux kernel leaves it when the power goes: the descriptor is open, and
    the bitmap knows nothing of what was written since."""
    store = store_of(burner)
    volume = open_volume(store)
    integrity, extent = volume.integrity, volume.space_extent
    assert integrity is not None
    fields = tags.unseal(
        LogicalVolumeIntegrityDescriptor, integrity.block, location=integrity.location
    )
    fields = {**fields, "integrity_type": INTEGRITY_OPEN}
    fields["implementation_use"] = b"\0*Linux UDFFS".ljust(46, b"\0")
    fields["length_of_implementation_use"] = 46
    data = tags.seal(
        LogicalVolumeIntegrityDescriptor, fields, location=integrity.location, version=3
    )
    store.write(integrity.location, data.ljust(BLOCK, b"\0"))
    table = volume.space()
    end = volume.partition_start + volume.partition_length
    table.mark(volume.partition_start + 3000, end - volume.partition_start - 3000, free=True)
    for index in range(extent.blocks):
        store.write(table.location + index, table.block(index))
    store.close()


def test_what_it_wrote_last_is_not_overwritten(tmp_path: Path) -> None:
    burner = formatted()
    fs = mount(burner, tmp_path / "spool")
    for number in range(200):
        save(fs, f"/{number}", bytes([number]) * 60_000)
    fs.shutdown()
    _left_open(burner)
    fs = mount(burner, tmp_path / "spool")
    assert fs.read_only is None
    assert any("not unmounted cleanly" in note for note in fs.notes)
    for number in range(100):
        save(fs, f"/new {number}", b"n" * 60_000)
    fs.sync()
    for number in range(200):
        assert content(fs, f"/{number}") == bytes([number]) * 60_000
    fs.shutdown()
    judged(burner)
    fs = mount(burner, tmp_path / "spool")
    assert not any("not unmounted cleanly" in note for note in fs.notes)
    fs.shutdown()
