"""The table of exit codes: complete, without doubles, and stable."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from media import errors as media_errors
from udffs import errors
from udffs.cli import exitcodes
from udffs.cli.exitcodes import TABLE, exit_code, mount_exit_code


def every_class(root: type[BaseException]) -> Iterator[type[BaseException]]:
    yield root
    for derived in root.__subclasses__():
        yield from every_class(derived)


def test_no_code_and_no_class_stands_twice() -> None:
    codes = [row.code for row in TABLE]
    classes = [known for row in TABLE for known in row.classes]
    assert len(set(codes)) == len(codes) and codes == sorted(codes)
    assert len(set(classes)) == len(classes)


@pytest.mark.parametrize("root", [errors.UdffsError, media_errors.MediaError])
def test_only_our_own_mistakes_end_in_one(root: type[BaseException]) -> None:
    mistakes = {
        kind.__name__
        for kind in every_class(root)
        if exitcodes._code_of(kind) == exitcodes.INTERNAL
    }
    assert mistakes <= {
        "UdffsError",
        "InternalError",
        "MountDiedError",
        "RemoteError",
        "MediaError",
        "MediaBug",
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.LabelError(why="x"), 2),
        (errors.StagingDamagedError(where="x", why="y"), 2),
        (errors.SettingsError(path="x", why="y"), 2),
        (media_errors.NoSuchDriveError(name="x"), 3),
        (errors.NotMountedError(name="x"), 3),
        (media_errors.NotADiscImageError(name="x", why="y"), 4),
        (errors.NotUdfError(why="x"), 4),
        (errors.NotStagedError(name="x"), 3),
        (errors.StagedMissingError(names="x"), 3),
        (errors.StructureError(what="x"), 4),
        (errors.BlankDiscError(drive="x"), 5),
        (errors.AlreadyFormattedError(label=""), 6),
        (errors.StagedTwiceError(name="x", origin=""), 6),
        (errors.AlreadyClosedError(), 7),
        (errors.NotBurnableError(drive="x", why="y"), 7),
        (errors.RecordingDisabledError(drive="x", path="y"), 7),
        (media_errors.ReadOnlyMediumError(), 7),
        (errors.NoSpaceError(needed=1, free=0), 8),
        (media_errors.DriveBusyError(), 9),
        (errors.PlaceTakenError(where="x"), 9),
        (errors.SpoolBusyError(where="x"), 9),
        (errors.StagingBusyError(where="x"), 9),
        (media_errors.NoMediumError(), 10),
        (media_errors.UnreadableBlockError(block=1), 11),
        (errors.NotVerifiedError(drive="x", what="y"), 11),
        (media_errors.PacketLostError(next_writable=1), 11),
        (media_errors.DriveFailedError(why="x"), 12),
        (errors.MountPointError(why="x"), 13),
        (errors.MissingDependencyError(what="x", how="y"), 14),
        (PermissionError(13, "x"), 15),
        (errors.SpoolFullError(where="x", why="y"), 15),
        (errors.StashFullError(where="x", why="y"), 15),
        (media_errors.HostFileError(what="make", name="x", why="y"), 15),
        (media_errors.BurnFailedError(why="x"), 11),
        (media_errors.BurnStoppedError(), 130),
        (KeyboardInterrupt(), 130),
        (ValueError("x"), 1),
        (errors.InternalError(what="x"), 1),
    ],
)
def test_codes_are_for_ever(error: BaseException, code: int) -> None:
    assert exit_code(error) == code
    # The same when it comes from the process that serves a mount.
    remote = errors.RemoteError(kind=type(error).__name__, message="x")
    assert exit_code(remote) == code


def test_codes_of_mount() -> None:
    assert [mount_exit_code(code) for code in (0, 1, 2, 14, 130)] == [0, 4, 1, 2, 8]
    assert all(mount_exit_code(row.code) == 32 for row in TABLE if 3 <= row.code <= 13)
