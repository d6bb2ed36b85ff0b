"""Readers that know ISO 9660 and a little UDF are not put off by the UDF of a closed disc."""

from __future__ import annotations

import random
from pathlib import Path

import pycdlib
import pytest

from media.virtual import memory_burner
from udffs.commit.format import FormatOptions, format_volume

from .rig import BORN, mount, save, store_of


@pytest.mark.parametrize("revision", [0x0150, 0x0201])
def test_pycdlib_opens_a_closed_disc_as_it_is(revision: int, tmp_path: Path) -> None:
    """It knows no VAT: its UDF shows the empty volume that formatting made."""
    burner = memory_burner("cd-r-80")
    options = FormatOptions("Opens", revision, bridge=True)
    noise = random.Random(revision).randbytes
    format_volume(store_of(burner), options, now=BORN, random=noise)
    fs = mount(burner, tmp_path / "spool")
    save(fs, "/embedded", b"in its ICB")
    save(fs, "/in blocks", noise(5000))
    fs.close_disc(final=False)
    fs.shutdown()
    image = tmp_path / "image"
    image.write_bytes(burner.recorder.storage.read(0, burner.recorder.medium.end))

    disc = pycdlib.PyCdlib()
    disc.open(str(image))
    try:
        found = {name for _, _, names in disc.walk(rr_path="/") for name in names}
        assert found == {"embedded", "in blocks"}
        assert disc.has_udf()
        assert [child for child in disc.list_children(udf_path="/") if child is not None][1:] == []
    finally:
        disc.close()
