"""The beginning of a mount: from what was asked for to an open file system."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from udffs.cli.describing import Medium
from udffs.cli.opening import FULL, NewVolume, is_rewritable, open_filesystem, set_verify
from udffs.cli.request import Request
from udffs.control import Progress
from udffs.errors import (
    BlankDiscError,
    InvalidOperationError,
    ReadOnlyError,
    RecordingDisabledError,
)
from udffs.settings import DriveSettings

if TYPE_CHECKING:
    from media.store import BlockStore
    from udffs.filesystem import FileSystem


class DiscOpener:
    """Opens the disc that a request names. ``note`` gets what the user should know."""

    def __init__(
        self,
        request: Request,
        settings: DriveSettings,
        settings_path: Path,
        progress: Progress,
        note: Callable[[str], None],
    ) -> None:
        self._request = request
        self._settings = settings
        self._settings_path = settings_path
        self._progress = progress
        self._note = note

    def open_store(self) -> BlockStore:
        """The disc, loaded and formatted where that was asked for."""
        from media.errors import RecordingRefused
        from udffs.cli import reaching

        name = self._request.drive
        recording = self._settings.recording
        if not recording and (self._request.read_only is False or self._request.format):
            raise RecordingDisabledError(drive=name, path=self._settings_path)
        if not recording and not self._request.read_only:
            self._note(str(RecordingDisabledError(drive=name, path=self._settings_path)))
        if self._request.load or self._settings.load_before:
            self._progress.phase("Loading the disc")
            with contextlib.closing(reaching.open_drive(name, writable=False)) as drive:
                drive.load(self._progress)
        writable = recording and not self._request.read_only and self._request.at is None
        speed = self._request.speed or self._settings.speed or None
        try:
            if self._request.format is not None and writable:
                return self._formatted(name, speed)
            return reaching.open_block_store(name, writable=writable, speed=speed)
        except RecordingRefused as error:
            if self._request.read_only is False or self._request.format:
                raise
            store = reaching.open_block_store(name, writable=False, speed=speed)
            self._note(str(error))
            return store

    def _formatted(self, name: str, speed: int | None) -> BlockStore:
        """The disc, formatted if there is nothing on it."""
        from media.errors import NotADiscImageError
        from udffs.cli import reaching
        from udffs.cli.preparing import prepare_blank, wish

        try:
            drive = reaching.open_drive(name, speed=speed)
        except NotADiscImageError:
            return reaching.open_block_store(name)
        try:
            self._progress.phase("Formatting")
            volume = NewVolume(**(self._request.format or {}))
            volume = volume._replace(bridge=wish(volume.bridge, self._settings))
            return prepare_blank(drive, volume, self._progress)
        except BaseException:
            drive.close()
            raise

    def open_filesystem(self, store: BlockStore, medium: Medium) -> FileSystem:
        """The volume on it, for writing if the request and the disc allow that."""
        verify = self._settings.verify if self._request.verify is None else self._request.verify
        if not set_verify(store, verify) and self._request.verify:
            self._note("verify is for rewritable discs in packets; nothing is verified here.")
        try:
            filesystem = open_filesystem(
                store,
                self._settings,
                at=self._request.at,
                read_only=bool(self._request.read_only) or not self._settings.recording,
            )
        except BlankDiscError as error:
            raise BlankDiscError(drive=self._request.drive) from error
        if self._request.at is not None and filesystem.volume.vat is None:
            raise InvalidOperationError(what="this disc keeps no old states (--at)")
        for note in filesystem.notes:
            self._note(note)
        self._note_if_full(store, medium, filesystem)
        if filesystem.read_only and self._request.read_only is False:
            raise ReadOnlyError(why=filesystem.read_only)
        return filesystem

    def _note_if_full(self, store: BlockStore, medium: Medium, filesystem: FileSystem) -> None:
        """What to do with a rewritable disc that takes no more, as it was written."""
        if medium.erasable and not is_rewritable(store):
            closed = not getattr(store, "appendable", True)
            burnt = filesystem.volume.vat is None  # in one go: it may well have room
            if closed or (not burnt and filesystem.statfs().available == 0):
                self._note(FULL.format(drive=self._request.drive))
