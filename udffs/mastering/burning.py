"""Burning in one go: what a disc can take, the image for it, writing and reading back.

A track at once is the default, because what goes wrong in the middle of it costs a
session: what there is can be closed, and a CD-R takes another one behind it. In a
session at once the table of contents is on the disc before the data, so a CD-R that
is not finished is lost. For that its last blocks can be read: behind a track at once
come two blocks that cannot, and drives and systems that read ahead stumble over
them. So 150 blocks more are put there, as other programs do. The first of them is the
ending (:mod:`udffs.mastering.ending`), which a session at once has too.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, NamedTuple

from media import burning as tracks
from media.burning import SHORTEST_TRACK, BurnMode, session_start
from media.burning import burn as burn_track
from media.errors import MediaError
from media.store import open_store
from udffs.commit.opening import why_never
from udffs.commit.write_once import FIRST_SESSION_GAP, LATER_SESSION_GAP
from udffs.errors import (
    AlreadyClosedError,
    AlreadyFormattedError,
    DiscError,
    NoSpaceError,
    NotBurnableError,
)
from udffs.mastering.ending import ending, without_broken
from udffs.mastering.image import make_image
from udffs.mastering.notes import Notes
from udffs.mastering.previous import previous_files
from udffs.mastering.session import make_session
from udffs.mastering.sources import Source, SourceTree, new_blocks
from udffs.mastering.staging import Placed
from udffs.mastering.streaming import StreamedImage
from udffs.mastering.verify import Digests, Verified, content_blocks, verify
from udffs.volume import open_volume

if TYPE_CHECKING:
    from media.drive import Drive

BLOCK = 2048
#: Blocks behind the image, the ending among them
PADDING = {BurnMode.TAO: 150, BurnMode.SAO: 1}
_PIECE = 512 * BLOCK

MODES = {"tao": BurnMode.TAO, "sao": BurnMode.SAO}

ERASE = "`udffs erase {drive}` makes it blank, and all that is on it is lost"
IN_PACKETS = "it is formatted for writing in packets; " + ERASE
STILL_OPEN = (
    "it is being written file by file, and its session is still open; `udffs close {drive}` "
    "closes it first, or mount it and save the files there"
)
PACKET_VOLUME = (
    'On this disc is a volume that is written file by file, "{label}". The new session would '
    "show its files and the new ones through ISO 9660; to systems that look for UDF the volume "
    "stays as it is, and nothing more can be written to it. --force burns all the same; "
    "`udffs mount {drive}` goes on with the volume."
)
WRITTEN_ANEW = (
    "What of earlier sessions has to be written once more, because ISO 9660 cannot show it where "
    "it is (--no-import leaves it out),"
)
CUT_OFF = (
    "a burn on it was cut off in the middle; --force closes what there is of it, which takes the "
    "room of a session, and burns behind it"
)


class Target(NamedTuple):
    """A disc that a session can be added to. ``start`` and ``free`` are blocks,
    ``sessions`` the number of those that are there; ``volume`` is the label of one
    that is written in packets."""

    kind: str
    start: int
    free: int
    sessions: int = 0
    volume: str | None = None

    @property
    def blank(self) -> bool:
        return self.sessions == 0

    def left(self, blocks: int) -> int:
        """Blocks for a later session, if one of so many is burnt now."""
        between = FIRST_SESSION_GAP if self.blank else LATER_SESSION_GAP
        return max(0, self.free - blocks - between)


def look(drive: Drive, *, force: bool = False) -> Target:
    """What the disc in a drive can take.

    Raises NotBurnableError, AlreadyClosedError, and AlreadyFormattedError for one
    with a packet volume, which ``force`` overrides. With it a session that was cut off
    must have been closed (:func:`close_cut_off`)."""
    _check_open(drive)
    disc = drive.disc()
    try:
        start = session_start(drive)
    except MediaError as error:
        raise NotBurnableError(drive=drive.name, why=str(error)) from error
    free = drive.track().free
    if disc.status == "blank":
        return Target(disc.kind, start, free)
    label = _packet_volume(drive)
    if label is not None and not force:
        raise AlreadyFormattedError(PACKET_VOLUME.format(label=label, drive=drive.name))
    return Target(disc.kind, start, free, disc.sessions - 1, label)


def close_cut_off(drive: Drive, progress: Callable[[float], None]) -> bool:
    """Closes the session of a burn that was cut off; whether there was one."""
    if not tracks.cut_off(drive):
        return False
    tracks.close_cut_off(drive, progress)
    return True


def _check_open(drive: Drive) -> None:
    disc, name = drive.disc(), drive.name
    if disc.formatted or disc.mrw:
        raise NotBurnableError(drive=name, why=IN_PACKETS.format(drive=name))
    if disc.status not in ("blank", "appendable"):
        if disc.erasable:
            why = "it is closed for good; " + ERASE.format(drive=name)
            raise NotBurnableError(drive=name, why=why)
        raise AlreadyClosedError(f"The disc in {name} is closed for good; nothing can be added.")
    if tracks.cut_off(drive):
        raise NotBurnableError(drive=name, why=CUT_OFF)
    if disc.last_session_state != "empty":
        raise NotBurnableError(drive=name, why=STILL_OPEN.format(drive=name))


def _packet_volume(drive: Drive) -> str | None:
    """The label of a volume that could be written on file by file, None if there is none."""
    try:
        store = open_store(drive, writable=False)
        volume = open_volume(store)
    except (DiscError, MediaError):
        return None
    return volume.label if why_never(store, volume) is None else None


# -- the image -------------------------------------------------------------------


class Selection(NamedTuple):
    """What is to be burnt: how many names are no directories, and the bytes of all
    files, each file once; ``blocks`` is what their content takes."""

    root: Source
    files: int
    size: int
    blocks: int
    notes: tuple[str, ...]


def select(placed: Sequence[Placed], now: int) -> Selection:
    """Files and directories of the host, each in its place on the disc.

    Raises NoSuchEntryError, EntryExistsError, UnreadableSourcesError."""
    tree = SourceTree(now=now)
    for each in placed:
        above, _, name = each.to.rpartition("/")
        tree.add(each.path, name=name, into=tree.directory(above))
    root = tree.finish()
    names = [source for _path, source in root.walk() if not source.is_directory]
    sizes = {source.serial: source.size for source in names if source.is_file}
    return Selection(root, len(names), sum(sizes.values()), new_blocks(root), tuple(tree.notes))


def master(
    selection: Selection, label: str, now: int, *, start: int = 0, old: Source | None = None
) -> StreamedImage:
    """The image for a blank disc or a file, or, from block ``start`` on, for a session
    that shows ``old`` files too."""
    if start == 0:
        return make_image(selection.root, label=label, now=now)
    return make_session(selection.root, old, start=start, label=label, now=now)


def earlier_files(drive: Drive, notes: Notes, target: Target) -> Source | None:
    """What the last session that is whole shows. What of it has to be written anew is
    read now: a disc cannot be read while it is written.

    Raises NotBurnableError for a session that cannot be read, and NoSpaceError where
    there is more to be written anew than the disc has room for."""
    try:
        store = open_store(drive, writable=False)
        old = previous_files(without_broken(drive, store), notes)
        if old is not None:
            check_fits(new_blocks(old), target, WRITTEN_ANEW)
            _fetch(old)
    except (DiscError, MediaError) as error:
        why = (
            f"its last session cannot be read ({error}); --no-import burns one that does not show "
            "what is there"
        )
        raise NotBurnableError(drive=drive.name, why=why) from error
    return old


def _fetch(old: Source) -> None:
    """Puts content that the disc has in no sections of its own into a file of the host
    without a name."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 (until the image has been read)
    fetched: dict[int, _Fetched] = {}
    for _path, source in old.walk():
        if not source.is_file or source.sections or not source.size:
            continue
        if source.serial not in fetched:
            fetched[source.serial] = _Fetched(file, file.tell())
            for offset in range(0, source.size, _PIECE):
                file.write(source.read(offset, min(_PIECE, source.size - offset)))
            source.close()
        source.content = fetched[source.serial]


class _Fetched:
    """Bytes of a file, from an offset on."""

    def __init__(self, file: IO[bytes], offset: int) -> None:
        self._file = file
        self._offset = offset

    def read(self, offset: int, count: int) -> bytes:
        self._file.seek(self._offset + offset)
        return self._file.read(count)

    def close(self) -> None:
        pass


def replaced(old: Source, new: Source) -> list[str]:
    """What of earlier sessions new files take the place of, or new directories (of two
    directories both are shown)."""
    kinds = {path: source.is_directory for path, source in old.walk()}
    return [
        path
        for path, source in new.walk()
        if path in kinds and not (source.is_directory and kinds[path])
    ]


def track_size(image: StreamedImage, mode: BurnMode) -> int:
    """Blocks of the track that an image becomes."""
    return max(image.blocks + PADDING[mode], SHORTEST_TRACK)


def check_fits(blocks: int, target: Target, what: str = "It") -> None:
    """Raises NoSpaceError, in MB."""
    if blocks > target.free:
        raise NoSpaceError(
            f"{what} does not fit on the disc: it needs {_megabytes(blocks)}, and "
            f"{_megabytes(target.free)} are left.",
            needed=blocks,
            free=target.free,
        )


def _megabytes(blocks: int) -> str:
    return f"{blocks * BLOCK / 1e6:.1f} MB" if blocks < 48_828 else f"{blocks * BLOCK / 1e6:.0f} MB"


# -- the disc --------------------------------------------------------------------


class Burnt(NamedTuple):
    """A session that is on the disc. ``start``: its first block."""

    start: int
    image: StreamedImage
    digests: Digests


def burn(
    drive: Drive,
    image: StreamedImage,
    *,
    mode: BurnMode,
    final: bool = False,
    test: bool = False,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Burnt:
    """Writes an image as one session. Raises what :func:`media.burning.burn` raises:
    a BurnFailedError says what became of the disc."""
    digests = Digests()
    blocks = track_size(image, mode)
    chunks = itertools.chain(digests.watch(image.chunks()), _behind(digests, blocks - image.blocks))
    start = burn_track(
        drive, chunks, blocks, mode=mode, final=final, test=test, progress=progress, stop=stop
    )
    return Burnt(start, image, digests)


def _behind(digests: Digests, blocks: int) -> Iterator[bytes]:
    """What follows the image; asked for when all of that has been streamed."""
    yield ending(digests).ljust(blocks * BLOCK, b"\0")


def read_back(
    drive: Drive,
    burnt: Burnt,
    *,
    all_of_it: bool,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Verified:
    """Compares the disc with what was streamed: descriptors and directories, or every
    block. The drive must have been opened after the burn."""
    files = [] if all_of_it else content_blocks(burnt.image.content)
    return verify(
        drive.read,
        burnt.digests,
        start=burnt.start,
        leave_out=files,
        progress=progress,
        stop=stop,
    )
