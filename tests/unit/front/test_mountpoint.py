"""Mount options and mount points, as far as nothing has to be mounted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from udffs.cli import mount_options
from udffs.errors import CallerError, MountPointError
from udffs.frontends import mountpoint

INFO = (
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "40 22 0:39 / /mnt/a\\040b\\054c rw,nosuid shared:2 - fuse.udffs /d\\040e.img rw,user_id=0\n"
    "41 22 0:40 / /mnt/a\\040b\\054c rw - tmpfs tmpfs rw\n"
)


def test_mountinfo() -> None:
    assert mountpoint.mounts(INFO) == [
        ("/", "ext4", "/dev/vda"),
        ("/mnt/a b,c", "fuse.udffs", "/d e.img"),
        ("/mnt/a b,c", "tmpfs", "tmpfs"),
    ]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("Holiday 2026", "Holiday 2026"),
        ("a/b\x00c\n", "a_b_c_"),
        ("", "Disc"),
        ("  ", "Disc"),
        ("..", "Disc"),
        ("概要", "概要"),
    ],
)
def test_the_default_place(tmp_path: Path, label: str, name: str) -> None:
    place = mountpoint.default_place(label, tmp_path)
    assert place == str(tmp_path / "Discs" / name)
    assert Path(place).is_dir()
    assert mountpoint.default_place(label, tmp_path) == place, "an empty one is used again"
    (Path(place) / "something").touch()
    assert mountpoint.default_place(label, tmp_path) == place + "-2"
    (tmp_path / "Discs" / f"{name}-2").rmdir()
    (tmp_path / "Discs" / f"{name}-2").touch()
    assert mountpoint.default_place(label, tmp_path) == place + "-3"


def test_a_home_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "Discs").touch()
    with pytest.raises(MountPointError):
        mountpoint.default_place("x", tmp_path)


def test_unmounting_what_is_not_mounted_is_no_error(tmp_path: Path) -> None:
    mountpoint.unmount(str(tmp_path))
    assert not mountpoint.is_dead(str(tmp_path))


def test_users_of_a_place(tmp_path: Path) -> None:
    assert mountpoint.users(str(tmp_path)) == ""
    assert not mountpoint._uses(Path("/proc/self"), str(tmp_path))
    descriptor = os.open(tmp_path, os.O_DIRECTORY)
    assert mountpoint._uses(Path("/proc/self"), str(tmp_path))
    os.close(descriptor)


def test_options() -> None:
    found = mount_options.parse(
        ["ro,nosuid,noatime,at=77", "speed=8,load,format,label=L,user,_netdev"]
    )
    assert (found.read_only, found.at, found.speed) == (True, 77, 8)
    assert found.load and found.format and found.label == "L"
    assert found.fuse == {"nosuid": True, "noatime": True}
    assert mount_options.parse([]) == mount_options.parse(["defaults", "x-a=b,comment=c,"])
    assert mount_options.parse(["ro,rw"]).read_only is False
    assert mount_options.parse(["uid=0,gid=root,umask=022"]).fuse == {
        "uid": "0",
        "gid": "0",
        "umask": "022",
    }


@pytest.mark.parametrize(
    "text",
    ["wrong", "at=", "at=x", "speed=-1", "label=", "ro=1", "remount", "uid=no such user", "x"],
)
def test_options_that_are_wrong(text: str) -> None:
    with pytest.raises(CallerError):
        mount_options.parse([text])


def test_unknown_options_can_be_tolerated() -> None:
    assert mount_options.parse(["wrong,ro,alien=1"], sloppy=True).read_only is True
