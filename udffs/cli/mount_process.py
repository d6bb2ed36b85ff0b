"""The process that serves one mounted disc, from opening the drive to the
moment when the disc is safe.

Started afresh by ``udffs mount`` (``python -m udffs.cli.mount_process``) with a
request as JSON on its standard input; on its standard output it reports lines
of JSON: any ``note`` and ``progress``, then one ``ready`` or ``error``. After
that it speaks through its socket (:mod:`udffs.control`) and its log, which is
its standard error.

Order of things at the end, whoever asks for it: the mount point goes (so that
nothing new comes in, and what is mapped is written back), then the last commit,
then the close if it is wanted, then the drive is let go, then the entry in the
registry; then whoever waits is told, and the process ends.

SIGTERM, SIGINT and SIGHUP are blocked in every thread and taken by one that
waits for them: commit, then unmount, as a command would. SIGPIPE is blocked as
well, because libfuse resets it to its deadly default before the last commit.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from udffs import control
from udffs.cli.close import CLOSED, COMPLETE
from udffs.cli.describing import describe_mounted, medium_of
from udffs.cli.mount_opening import DiscOpener
from udffs.cli.opening import is_closed_already, is_rewritable, refuse_to_close, saved
from udffs.cli.request import Request, is_finishing
from udffs.cli.telling import process_exit_code, reporter, told
from udffs.commit.fitting import Needs
from udffs.control import Claim, Event, Progress, Registry, Server, Tell
from udffs.errors import (
    AlreadyMountedError,
    RemoteError,
    UdffsError,
)
from udffs.settings import DriveSettings, Settings, drive_key, load

if TYPE_CHECKING:
    from media.store import BlockStore
    from udffs.filesystem import FileSystem

log = logging.getLogger("udffs.mount")

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

#: Seconds that programs which still use the volume have to leave it after a
#: signal; then they are cut off.
GRACE = 5.0
#: Seconds for the last answers to those who wait for them.
LAST_WORDS = 5.0

LEAVE, CLOSE, PROTECT = "leave", "close", "protect"


class Interrupted(KeyboardInterrupt):
    """A signal came before there was anything to unmount."""


class MountProcess:
    """Serves one disc. ``report`` gets the notes and the ready line;
    ``progress`` what goes on before that and at the end."""

    def __init__(
        self, request: Request, settings: Settings, registry: Registry, report: Tell
    ) -> None:
        self.request = request
        self.settings: DriveSettings = settings.for_drive(request.drive)
        self.settings_path = settings.path
        self.registry = registry
        self.report = report
        self.progress = Progress()
        self.progress.listen(report)
        self.where = ""
        self.failure: BaseException | None = None
        # What a plain umount amounts to; a command says it anew.
        policy = self.settings.close
        self._ending = policy if policy in (CLOSE, PROTECT) else LEAVE
        self._closing_notes: list[str] = []
        self._eject = self.settings.eject_after
        self._made_place = False
        self._done: Event = {}
        self._ready = threading.Event()
        self._unmounted = threading.Event()
        self._finished = threading.Event()
        self._finish_lock = threading.Lock()
        self._claim: Claim
        self._server: Server
        self._filesystem: FileSystem
        self._store: BlockStore

    # -- the beginning ---------------------------------------------------------

    def run(self) -> BaseException | None:
        """Mounts, serves and finishes. Returns what went wrong at the end;
        raises what went wrong before it was mounted."""
        self._claim = self._claim_drive()
        try:
            opener = DiscOpener(
                self.request, self.settings, self.settings_path, self.progress, self._note
            )
            self._store = opener.open_store()
            try:
                if is_rewritable(self._store):
                    self._ending = LEAVE  # there is nothing to close
                # Asked now, because no command may come between two packets later.
                self._medium = medium_of(self._store)
                self._filesystem = opener.open_filesystem(self._store, self._medium)
                self.where = self._choose_place()
            except BaseException:
                self._store.close()
                raise
        except BaseException:
            self._claim.release()
            raise
        try:
            self._serve()
        finally:
            self._finish()
        if not self._ready.is_set() and self.failure is not None:
            raise self.failure
        return self.failure

    def _claim_drive(self) -> Claim:
        """The drive, once a process that still finishes with it has done so."""
        while True:
            try:
                return self.registry.claim(self.request.drive, self.request.log)
            except AlreadyMountedError as error:
                entry = error.fields.get("entry")
                if entry is None or not is_finishing(entry):
                    raise
                self._wait_for(entry)

    def _wait_for(self, entry: control.Entry) -> None:
        self.progress.phase("Waiting until the drive has finished with its last mount")
        with contextlib.suppress(UdffsError):  # it will tell by itself
            control.ask(self.registry, entry, "wait", listen=self.report, until_gone=True)
        if signal.sigpending() & set(STOP_SIGNALS):
            raise Interrupted
        time.sleep(0.05)

    def _choose_place(self) -> str:
        from udffs.frontends import mountpoint

        where = self.request.where
        if where is None:
            where = mountpoint.default_place(self._filesystem.label, Path.home())
            self._made_place = True
        else:
            where = drive_key(where)
        for note in mountpoint.prepare(where, nonempty=bool(self.request.options.get("nonempty"))):
            self._note(note)
        self._claim.update(where=where)
        return where

    def _note(self, text: str) -> None:
        log.info("%s", text)
        self.report({"event": "note", "message": text})

    # -- serving ---------------------------------------------------------------

    def _serve(self) -> None:
        from udffs.frontends import fuse

        options = dict(self.request.options)
        if self._filesystem.read_only:
            options["ro"] = True
        if os.geteuid() == 0:
            # What root mounts, others are to see; the permissions on the disc
            # decide what they may do.
            options.setdefault("allow_other", True)
        try:
            fuse.serve(
                self._filesystem,
                self.where,
                fsname=self.request.drive,
                options=options,
                on_init=self._begin,
            )
        except BaseException as error:
            self._fail(error)
        self._unmounted.set()

    def _begin(self) -> None:
        """The mount is there: only now may threads start."""
        try:
            self._filesystem.start()
            self._server = Server(self._claim.socket_path, self._handlers())
            self._server.start()
            threading.Thread(target=self._take_signals, name="udffs-signals", daemon=True).start()
            self._heed_button()
            self._claim.update(
                state=control.MOUNTED,
                label=self._filesystem.label,
                read_only=self._filesystem.read_only,
            )
            self._ready.set()
            self.report({"event": "ready", **asdict(self._claim.entry)})
        except BaseException as error:
            self._fail(error)
            threading.Thread(target=self._leave, name="udffs-leave", daemon=True).start()

    def _heed_button(self) -> None:
        """The eject button of a real drive (nobody presses a virtual one's)."""
        from media.discovery import is_system_drive
        from udffs.cli import eject_button

        drive = getattr(self._store, "drive", None)
        if drive is not None and is_system_drive(self.request.drive):
            eject_button.start(drive, self._button_pressed, self._unmounted)

    def _button_pressed(self) -> None:
        """As a plain unmount, and the tray opens; not while programs use the disc."""
        from udffs.frontends import mountpoint

        log.info("the eject button was pressed")
        before, self._eject = self._eject, True
        try:
            mountpoint.unmount(self.where)
        except UdffsError as error:
            self._eject = before
            log.warning("the disc stays in the drive: %s", error)

    def _take_signals(self) -> None:
        number = signal.sigwait(STOP_SIGNALS)
        log.info("%s: commit, then unmount", signal.Signals(number).name)
        self._ending, self._eject = LEAVE, False  # closing takes minutes; a shutdown has none
        try:
            self._filesystem.sync()
        except BaseException as error:  # the last commit will tell it again
            log.error("commit before unmounting: %s", error)
        self._leave()
        while True:
            number = signal.sigwait(STOP_SIGNALS)
            log.info("%s: still writing; the disc is not safe yet", signal.Signals(number).name)

    def _leave(self) -> None:
        """Unmounts, whoever uses the volume."""
        from udffs.frontends import mountpoint

        try:
            mountpoint.unmount(self.where)
        except UdffsError as error:
            log.warning("%s", error)
            with contextlib.suppress(UdffsError):
                mountpoint.unmount(self.where, lazy=True)
        if self._unmounted.wait(GRACE):
            return
        # Whoever has files open still keeps libfuse's loop going. What they
        # wrote until now is committed; the end of the process cuts them off.
        self._finish()
        os._exit(0 if self.failure is None else process_exit_code(self.failure))

    # -- the end -----------------------------------------------------------------

    def _finish(self) -> None:
        """The last commit, and everything after it; once."""
        with self._finish_lock:
            if self._finished.is_set():
                return
            served = self._ready.is_set()
            self._claim.update(state=control.FINISHING)
            if not served:
                self._ending, self._eject = LEAVE, False
            for step in (
                self._last_commit,
                self._look_back,
                self._store.close,
                self._eject_disc,
                self._tidy,
            ):
                self._attempt(step)
            told = served and self.failure is not None
            self._claim.release(self.failure if told else None)
            self._finished.set()
            if served:
                self._server.drain(LAST_WORDS)

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:
            self._fail(error)

    def _last_commit(self) -> None:
        try:
            self._close_and_commit()
        except BaseException as error:
            spool = self._filesystem.status().get("spool")
            if spool is None:
                raise
            raise RemoteError(
                kind=type(error).__name__,
                message=f"{str(error).rstrip('.')}. What is not on the disc is kept in {spool}; "
                "the next mount of this disc puts it there.",
                code=getattr(error, "errno", None) or errno.EIO,
            ) from error

    def _close_and_commit(self) -> None:
        self.progress.phase("Writing to the disc")
        try:
            if self._filesystem.read_only:
                self._ending = LEAVE
            elif self._ending == PROTECT or (self._ending == CLOSE and not self._is_closed()):
                self.progress.phase("Closing the disc")
                self._closing_notes = self._filesystem.close_disc(
                    final=self._ending == PROTECT, progress=self.progress
                )
                for note in self._closing_notes:
                    log.info("%s", note)
        finally:
            self._filesystem.shutdown(saved(self._filesystem, self.progress))

    def _is_closed(self) -> bool:
        """Closing it once more would cost a session, for nothing."""
        return is_closed_already(self._store, self._filesystem)

    def _look_back(self) -> None:
        """What the drive did for this mount, while it can still be asked."""
        self._done = {
            "drive_seconds": self._drive_seconds(),
            "packets_written": getattr(self._store, "packets_written", None),
            "session_open": getattr(self._store, "session_open", False),
            "appendable": getattr(self._store, "appendable", False),
            "bridge": bool((self._filesystem.status().get("closing") or {}).get("bridge")),
        }

    def _eject_disc(self) -> None:
        if self._eject:
            from udffs.cli import reaching

            with contextlib.closing(
                reaching.open_drive(self.request.drive, writable=False)
            ) as drive:
                drive.eject()

    def _tidy(self) -> None:
        if self._made_place:
            with contextlib.suppress(OSError):
                Path(self.where).rmdir()

    def _fail(self, error: BaseException) -> None:
        expected = isinstance(error, UdffsError) or type(error).__module__.startswith("media.")
        log.error("%s", error or type(error).__name__, exc_info=None if expected else error)
        if self.failure is None:
            self.failure = error

    # -- commands ------------------------------------------------------------------

    def _handlers(self) -> Mapping[str, control.Handler]:
        return {
            "status": self._status,
            "sync": self._sync,
            "close": self._close,
            "fits": self._fits,
            "unmount": self._unmount,
            "wait": self._wait,
        }

    def _status(self, _request: Event, _tell: Tell) -> Event:
        """What ``udffs info`` tells of a mounted disc."""
        entry = self._claim.entry
        return {
            **describe_mounted(self._store, self._medium, self._filesystem),
            "state": entry.state,
            "pid": entry.pid,
            "log": entry.log,
            "drive_seconds": self._drive_seconds(),
        }

    def _drive_seconds(self) -> float | None:
        """Of a virtual burner: what a real drive would have needed so far."""
        drive = getattr(self._store, "drive", None)
        return None if drive is None else drive.seconds

    def _sync(self, _request: Event, tell: Tell) -> Event:
        progress = Progress()
        progress.listen(tell)
        progress.phase("Writing to the disc")
        self._filesystem.sync(saved(self._filesystem, progress))
        return {"where": self.where}

    def _close(self, request: Event, tell: Tell) -> Event:
        final, bridge = bool(request.get("final")), bool(request.get("bridge"))
        if is_rewritable(self._store):
            refuse_to_close(self._store, protect=final, bridge=bridge)
            return {"where": self.where, "closed": False, "why": COMPLETE}
        if not final and is_closed_already(self._store, self._filesystem, bridge=bridge):
            return {"where": self.where, "closed": False, "why": CLOSED}
        progress = Progress()
        progress.listen(tell)
        progress.phase("Closing the disc")
        notes = self._filesystem.close_disc(final=final, bridge=bridge, progress=progress)
        self._claim.update(read_only=self._filesystem.read_only)
        return {"where": self.where, "protected": final, "closed": True, "about": notes}

    def _fits(self, request: Event, _tell: Tell) -> Event:
        """``needs``: the fields of Needs; answers with those of a Fit."""
        return self._filesystem.fits(Needs(**request["needs"]))._asdict()

    def _unmount(self, request: Event, tell: Tell) -> Event:
        """``ending``: leave, close or protect, or if not ``firm`` what comes next to it
        on this disc; ``eject``: as well."""
        from udffs.frontends import mountpoint

        if not self._unmounted.is_set():
            before = self._ending, self._eject
            firm = bool(request.get("firm", True))
            self._ending = self._possible(str(request.get("ending", LEAVE)), firm=firm)
            self._eject = bool(request.get("eject"))
            try:
                mountpoint.unmount(self.where)
            except UdffsError:
                self._ending, self._eject = before
                raise
        return self._wait(request, tell)

    def _possible(self, ending: str, *, firm: bool) -> str:
        """What there is to do with this disc at the end."""
        refuse_to_close(self._store, protect=firm and ending == PROTECT)
        return LEAVE if is_rewritable(self._store) else ending

    def _wait(self, _request: Event, tell: Tell) -> Event:
        """Until the disc is safe; with the failure of the last commit."""
        self.progress.listen(tell)
        self._finished.wait()
        if self.failure is not None:
            raise self.failure
        return {
            "where": self.where,
            "ending": self._ending,
            "ejected": self._eject,
            "closable": not is_rewritable(self._store),
            "about": self._closing_notes,
            "volume": self._filesystem.volume.kind,
            "udf": f"{self._filesystem.volume.revision >> 8:x}."
            f"{self._filesystem.volume.revision & 0xFF:02x}",
            **self._done,
        }


def main() -> int:
    """The process as ``udffs mount`` starts it."""
    report = reporter(os.dup(1))
    os.dup2(2, 1)
    prepare_process()
    try:
        request = Request.loads(sys.stdin.read())
        process = MountProcess(request, load(), Registry(), report)
        failure = process.run()
    except BaseException as error:
        failure = error
        log.error("%s", error or type(error).__name__, exc_info=told(error) is not error)
        report(control.error_event(told(error)))
    return 0 if failure is None else process_exit_code(failure)


def prepare_process() -> None:
    """Signals, log and the interpreter's own settings, before any thread."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {*STOP_SIGNALS, signal.SIGPIPE})
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    faulthandler.enable()
    # One thread that computes would make every program wait 5 ms for its turn.
    sys.setswitchinterval(0.0002)


if __name__ == "__main__":
    sys.exit(main())
