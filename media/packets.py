"""Packets of a rewritable disc in memory: gathered ones, and read ones to be read again.

Not thread-safe: :class:`media.rewritable.RewritableStore` holds its lock around
each call. A packet is 32 blocks of 2,048 bytes, called by its first block.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

from media.drive import BLOCK
from media.transport import Buffer

#: Blocks and bytes of a packet
PACKET = 32
SIZE = PACKET * BLOCK
#: All blocks of a packet, as a mask: bit n is block n
WHOLE = (1 << PACKET) - 1
#: Bytes that packets of one write share at most instead of copying them: as long as
#: one of these packets is kept, so are they
_SHARED = 32 * SIZE
#: Packets that are sent as they lie in memory; fewer are copied together into one WRITE
_LONG = 4


class Packet:
    """One gathered packet.

    Its bytes are ``base[offset : offset + SIZE]``; ``base`` may be shared with
    other packets and is only changed where it is ``own``. ``given`` is the mask
    of the blocks that are known. ``sent``: it was given to the drive, which has
    not said yet that it is on the disc.
    """

    __slots__ = ("base", "first", "given", "offset", "own", "sent")

    def __init__(self, first: int, base: memoryview, offset: int, given: int, own: bool) -> None:
        self.first = first
        self.base = base
        self.offset = offset
        self.given = given
        self.own = own
        self.sent = False

    @property
    def data(self) -> memoryview:
        return self.base[self.offset : self.offset + SIZE]

    def put(self, index: int, piece: memoryview) -> None:
        """Set whole blocks from block ``index`` of the packet on."""
        if not self.own or self.sent:
            # Somebody else's bytes, or on their way to the drive
            self.base, self.offset, self.own = memoryview(bytearray(self.data)), 0, True
        self.sent = False
        start = self.offset + index * BLOCK
        self.base[start : start + piece.nbytes] = piece
        self.given |= _mask(index, piece.nbytes // BLOCK)

    def fill(self, index: int, content: memoryview) -> None:
        """Take blocks from the disc, from block ``index`` of the packet on, where none
        were given."""
        for number in range(content.nbytes // BLOCK):
            if not self.given >> (index + number) & 1:
                self.put(index + number, content[number * BLOCK : (number + 1) * BLOCK])


def _mask(index: int, count: int) -> int:
    return ((1 << count) - 1) << index


def start_of(block: int) -> int:
    """The first block of the packet that a block belongs to."""
    return block - block % PACKET


def pieces(block: int, view: memoryview) -> Iterator[tuple[int, memoryview]]:
    """What was given to a write at ``block``, in pieces that nobody will change any
    more: as it is where it cannot be changed and is not too long to be kept, else
    copied, cut between packets."""
    if isinstance(view.obj, bytes) and len(view.obj) <= _SHARED:
        yield block, view
        return
    start, size = 0, _SHARED - block % PACKET * BLOCK
    while start < view.nbytes:
        yield block, memoryview(bytes(view[start : start + size]))
        block += size // BLOCK
        start, size = start + size, _SHARED


class PacketCache:
    """At most ``limit`` packets, as long as no more are gathered; read ones go first.

    ``gathered`` holds what is not surely on the disc, oldest first.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.gathered: dict[int, Packet] = {}
        self._clean: OrderedDict[int, memoryview] = OrderedDict()
        self._fetching: dict[int, object] = {}

    def __len__(self) -> int:
        return len(self.gathered) + len(self._clean)

    @property
    def full(self) -> bool:
        """Too much is gathered: some of it has to be written."""
        return len(self.gathered) > self.limit

    # -- gathering -----------------------------------------------------------------

    def gather(self, block: int, piece: memoryview) -> None:
        """Take whole blocks that nobody will change."""
        done, end = 0, piece.nbytes
        while done < end:
            index = block % PACKET
            size = min(SIZE - index * BLOCK, end - done)
            first = block - index
            self._fetching.pop(first, None)
            if size == SIZE:
                self._clean.pop(first, None)
                self.gathered.pop(first, None)
                self.gathered[first] = Packet(first, piece, done, WHOLE, False)
            else:
                self._partly(first).put(index, piece[done : done + size])
            block += size // BLOCK
            done += size
        self._evict()

    def _partly(self, first: int) -> Packet:
        """The packet to put some blocks into; it becomes the newest."""
        packet = self.gathered.pop(first, None)
        if packet is None:
            known = self._clean.pop(first, None)
            if known is None:
                packet = Packet(first, memoryview(bytearray(SIZE)), 0, 0, True)
            else:
                packet = Packet(first, known, 0, WHOLE, False)
        self.gathered[first] = packet
        return packet

    def _evict(self) -> None:
        while self._clean and len(self) > self.limit:
            self._clean.popitem(last=False)

    def oldest(self, count: int) -> list[int]:
        """Gathered packets that should go first: whole ones before partly covered ones,
        which may be completed yet."""
        whole = [first for first, packet in self.gathered.items() if packet.given == WHOLE]
        if len(whole) < count:
            whole += [first for first, packet in self.gathered.items() if packet.given != WHOLE]
        return whole[:count]

    def written(self, packets: Iterable[Packet]) -> None:
        """These are on the disc, unless they were changed since they were sent."""
        for packet in packets:
            if packet.sent and self.gathered.get(packet.first) is packet:
                del self.gathered[packet.first]
                self._clean[packet.first] = packet.data
        self._evict()

    def doubt(self) -> None:
        """Whatever was sent may not be on the disc."""
        for packet in self.gathered.values():
            packet.sent = False

    def move(self, old: int, new: int) -> None:
        """What was gathered for one packet belongs to another."""
        packet = self.gathered.pop(old)
        for first in (old, new):
            self._clean.pop(first, None)
            self._fetching.pop(first, None)
        self.gathered.pop(new, None)
        packet.first = new
        packet.sent = False
        self.gathered[new] = packet

    def discard(self) -> None:
        self.gathered.clear()
        self._fetching.clear()

    # -- reading -------------------------------------------------------------------

    def find(self, block: int, count: int) -> list[tuple[int, int, bytes | None]]:
        """(block, count, bytes) of each stretch, None where the disc has to be asked."""
        found: list[tuple[int, int, bytes | None]] = []
        end = block + count
        while block < end:
            index = block % PACKET
            number = min(PACKET - index, end - block)
            for at, length, data in self._find(block - index, index, number):
                if data is None and found and found[-1][2] is None:
                    before = found.pop()
                    found.append((before[0], before[1] + length, None))
                else:
                    found.append((at, length, data))
            block += number
        return found

    def _find(self, first: int, index: int, number: int) -> Iterator[tuple[int, int, bytes | None]]:
        """The same for ``number`` blocks from block ``index`` of one packet on."""
        packet = self.gathered.get(first)
        if packet is None:
            known = self._touch(first)
            data = None if known is None else bytes(known[index * BLOCK : (index + number) * BLOCK])
            yield first + index, number, data
            return
        content, end = packet.data, index + number
        while index < end:
            start, here = index, packet.given >> index & 1
            while index < end and packet.given >> index & 1 == here:
                index += 1
            data = bytes(content[start * BLOCK : index * BLOCK]) if here else None
            yield first + start, index - start, data

    def _touch(self, first: int) -> memoryview | None:
        """A packet as it is on the disc; it will be forgotten last."""
        known = self._clean.get(first)
        if known is None:
            return None
        if known.nbytes != len(known.obj):  # type: ignore[arg-type]
            # It will outlive those that it shares its bytes with.
            known = self._clean[first] = memoryview(bytes(known))
        self._clean.move_to_end(first)
        return known

    def expect(self, first: int) -> object | None:
        """A packet is about to be read from the disc; the ticket for :meth:`keep`.
        None where it is gathered."""
        if first in self.gathered:
            return None
        ticket = self._fetching[first] = object()
        return ticket

    def keep(self, first: int, content: bytes, ticket: object) -> None:
        """A packet was read. Forgotten where something was written to it meanwhile."""
        if self._fetching.get(first) is ticket:
            del self._fetching[first]
            self._clean[first] = memoryview(content)
            self._evict()

    def lost(self, first: int, ticket: object) -> None:
        """The packet could not be read."""
        if self._fetching.get(first) is ticket:
            del self._fetching[first]


# -- what one command carries --------------------------------------------------------


def runs(firsts: Iterable[int], most: int) -> Iterator[list[int]]:
    """Neighbouring packets together, at most so many; ``firsts`` in ascending order."""
    run: list[int] = []
    for first in firsts:
        if run and (first != run[-1] + PACKET or len(run) == most):
            yield run
            run = []
        run.append(first)
    if run:
        yield run


def groups(packets: Iterable[Packet], most: int) -> Iterator[list[Packet]]:
    """What goes out in one WRITE each, at most ``most`` packets; in ascending order.

    Packets that lie side by side in memory are sent as they lie there, short
    stretches of them are put together.
    """
    loose: list[Packet] = []
    for stretch in _stretches(packets, most):
        follows = bool(loose) and loose[-1].first + PACKET == stretch[0].first
        long = len(stretch) >= _LONG
        if loose and (long or not follows or len(loose) + len(stretch) > most):
            yield loose
            loose = []
        if long:
            yield stretch
        else:
            loose = loose + stretch
    if loose:
        yield loose


def _stretches(packets: Iterable[Packet], most: int) -> Iterator[list[Packet]]:
    """Packets that are neighbours on the disc and in memory."""
    stretch: list[Packet] = []
    for packet in packets:
        if stretch and (len(stretch) == most or not _beside(stretch[-1], packet)):
            yield stretch
            stretch = []
        stretch.append(packet)
    if stretch:
        yield stretch


def _beside(one: Packet, other: Packet) -> bool:
    return (
        one.first + PACKET == other.first
        and one.base is other.base
        and one.offset + SIZE == other.offset
    )


def contents(group: list[Packet]) -> Buffer:
    """The bytes of neighbouring packets, copied only where they lie apart."""
    views = [
        stretch[0].base[stretch[0].offset : stretch[-1].offset + SIZE]
        for stretch in _stretches(group, len(group))
    ]
    return views[0] if len(views) == 1 else b"".join(views)
