"""A drive of ours as a real one in the guest: a small iSCSI target (RFC 7143).

QEMU attaches to it and passes every command through, so that the guest has a
/dev/sr0 with whatever stands behind it here. One logical unit, error recovery
level 0, no digests, no authentication: it listens on 127.0.0.1 only.
"""

from __future__ import annotations

import queue
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Device = Callable[[bytes, bytes], tuple[int, bytes, bytes]]
"""(command, data out) -> (status, data in, sense), as a virtual burner's execute."""

NAME = "iqn.2026-01.test:burner"
SEGMENT = 1 << 18  # bytes that are taken in one message
BURST = 1 << 20  # bytes that are asked for at once

# Operation codes of the initiator's messages; an answer's is this + 0x20.
NOP, COMMAND, TASK, LOGIN, TEXT, DATA_OUT, LOGOUT = range(7)
DATA_IN, READY, REJECT = 0x25, 0x31, 0x3F
NOBODY = b"\xff" * 4  # as a task's tag

REPORT_LUNS, INQUIRY, READ_CAPACITY = 0xA0, 0x12, 0x25
CHECK_CONDITION = 2


def sense(key: int, code: int, qualifier: int) -> bytes:
    """Fixed-format sense data (SPC-4, 4.5.3)."""
    return struct.pack(">BBBIBIBBBBH", 0x70, 0, key, 0, 10, 0, code, qualifier, 0, 0, 0)


@contextmanager
def serve(device: Device, port: int = 0) -> Iterator[str]:
    """Serves a device while the context lasts; its URL for :func:`vm.run`."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        port = listener.getsockname()[1]
        lock = threading.Lock()

        def one_by_one(command: bytes, data: bytes) -> tuple[int, bytes, bytes]:
            with lock:
                return device(command, data)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # the context has ended
                    return
                session = _Session(connection, one_by_one)
                threading.Thread(target=session.serve, daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"iscsi://127.0.0.1:{port}/{NAME}/0"
        finally:
            listener.shutdown(socket.SHUT_RDWR)


class _Session:
    """One connection, from its login on."""

    def __init__(self, connection: socket.socket, device: Device) -> None:
        self._socket = connection
        self._device = device
        self._status_number = 1
        self._expected_command = 0
        self._peer_segment = 8192
        #: Task's tag -> (command's header, data so far, bytes expected)
        self._waiting: dict[bytes, tuple[bytes, bytearray, int]] = {}
        #: Commands to carry out, in their order; None ends the worker
        self._work: queue.Queue[tuple[bytes, bytes] | None] = queue.Queue()
        #: Tags of commands that have no answer yet and of those to be left without
        self._open: set[bytes] = set()
        self._aborted: set[bytes] = set()
        self._sending = threading.RLock()  # also guards the two sets
        #: QEMU does not start on a drive whose READ CAPACITY fails
        self._opening = True

    # -- messages ----------------------------------------------------------------

    def _receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def _message(self) -> tuple[bytes, bytes]:
        """The next message: its header of 48 bytes, its data."""
        header = self._receive(48)
        self._receive(header[4] * 4)  # additional headers
        length = int.from_bytes(header[5:8], "big")
        return header, self._receive(length + -length % 4)[:length]

    def _send(
        self,
        operation: int,
        tag: bytes,
        data: bytes = b"",
        *,
        flags: int = 0x80,
        byte3: int = 0,
        field8: bytes = bytes(8),
        field20: int = 0,
        tail: bytes = b"",
        counts: bool = True,
    ) -> None:
        """One message; it uses up a status number if it ``counts``."""
        with self._sending:
            head = struct.pack(">BBBBI", operation, flags, 0, byte3, len(data)) + field8 + tag
            expected = self._expected_command
            head += struct.pack(
                ">IIII", field20, self._status_number, expected, expected + 31 & 0xFFFFFFFF
            )
            if counts:
                self._status_number = self._status_number + 1 & 0xFFFFFFFF
            self._socket.sendall(head + tail.ljust(12, b"\0") + data + bytes(-len(data) % 4))

    # -- login -------------------------------------------------------------------

    def _login(self) -> None:
        while True:
            header, data = self._message()
            if header[0] & 0x3F != LOGIN:
                raise EOFError
            self._expected_command = struct.unpack_from(">I", header, 24)[0]
            stage, following, transit = header[1] >> 2 & 3, header[1] & 3, header[1] & 0x80
            answers = self._negotiate(data)
            if stage == 1:
                answers["MaxRecvDataSegmentLength"] = str(SEGMENT)
            answers["TargetPortalGroupTag"] = "1"
            text = b"".join(f"{key}={value}\0".encode() for key, value in answers.items())
            done = following == 3 and transit
            session = header[8:14] + (b"\0\1" if done else header[14:16])
            flags = transit | stage << 2 | (following if transit else 0)
            self._send(0x23, header[16:20], text, flags=flags, field8=session)
            if done:
                return

    def _negotiate(self, data: bytes) -> dict[str, str]:
        answers: dict[str, str] = {}
        for line in filter(None, data.decode("utf-8", "replace").split("\0")):
            key, _, value = line.partition("=")
            match key:
                case "MaxRecvDataSegmentLength":
                    self._peer_segment = int(value)
                case "AuthMethod" | "HeaderDigest" | "DataDigest":
                    answers[key] = "None"
                case "InitialR2T" | "ImmediateData" | "DataPDUInOrder" | "DataSequenceInOrder":
                    answers[key] = "Yes"
                case "MaxConnections" | "MaxOutstandingR2T":
                    answers[key] = "1"
                case "ErrorRecoveryLevel" | "DefaultTime2Retain":
                    answers[key] = "0"
                case "DefaultTime2Wait":
                    answers[key] = value
                case "MaxBurstLength":
                    answers[key] = str(min(int(value), BURST))
                case "FirstBurstLength":
                    answers[key] = str(min(int(value), SEGMENT))
                case "IFMarker" | "OFMarker":
                    answers[key] = "No"
                case "InitiatorName" | "InitiatorAlias" | "TargetName" | "SessionType":
                    pass
                case _:
                    answers[key] = "NotUnderstood"
        return answers

    # -- full feature phase --------------------------------------------------------

    def serve(self) -> None:
        """Answers until the other side ends it."""
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._login()
            threading.Thread(target=self._carry_out_all, daemon=True).start()
            while self._answer(*self._message()):
                pass
        except (EOFError, OSError):
            pass
        finally:
            self._work.put(None)
            self._socket.close()

    def _answer(self, header: bytes, data: bytes) -> bool:
        """Answers one message. False if it was the last."""
        operation, tag = header[0] & 0x3F, header[16:20]
        if operation != DATA_OUT and not header[0] & 0x40:  # 0x40: out of order
            number = struct.unpack_from(">I", header, 24)[0]
            self._expected_command = number + 1 & 0xFFFFFFFF
        if operation == COMMAND:
            self._command(header, data)
        elif operation == DATA_OUT:
            self._data_out(header, data)
        elif operation == NOP:
            if tag != NOBODY:
                self._send(0x20, tag, data, field8=header[8:16], field20=0xFFFFFFFF)
        elif operation == TASK:
            self._abort(header)
        elif operation == LOGOUT:
            self._send(0x26, tag)
            return False
        else:
            self._send(REJECT, NOBODY, header)
        return True

    def _command(self, header: bytes, data: bytes) -> None:
        expected = struct.unpack_from(">I", header, 20)[0]
        if header[1] & 0x20 and len(data) < expected:  # a write: ask for the rest
            self._waiting[header[16:20]] = (header, bytearray(data), expected)
            if header[1] & 0x80:
                self._ask(header[16:20])
        else:
            self._enqueue(header, data)

    def _ask(self, tag: bytes) -> None:
        _, data, expected = self._waiting[tag]
        count = min(expected - len(data), BURST)
        tail = struct.pack(">III", 0, len(data), count)
        self._send(READY, tag, field20=1, tail=tail, counts=False)

    def _data_out(self, header: bytes, data: bytes) -> None:
        tag = header[16:20]
        if tag not in self._waiting:
            return
        command, collected, expected = self._waiting[tag]
        at = struct.unpack_from(">I", header, 40)[0]
        collected[at : at + len(data)] = data
        if header[1] & 0x80:
            if len(collected) < expected:
                self._ask(tag)
            else:
                del self._waiting[tag]
                self._enqueue(command, bytes(collected))

    def _enqueue(self, header: bytes, data: bytes) -> None:
        with self._sending:
            self._open.add(header[16:20])
        self._work.put((header, data))

    def _abort(self, header: bytes) -> None:
        """TASK MANAGEMENT: ABORT TASK names one command, the others mean all."""
        with self._sending:
            if header[1] & 0x7F == 1:
                self._waiting.pop(header[20:24], None)
                self._aborted |= self._open & {header[20:24]}
            else:
                self._waiting.clear()
                self._aborted |= self._open
            self._send(0x22, header[16:20])

    def _carry_out_all(self) -> None:
        """The worker: a slow command does not keep the connection from answering."""
        try:
            while (task := self._work.get()) is not None:
                with self._sending:
                    begun = task[0][16:20] not in self._aborted
                if begun:
                    self._carry_out(*task)
                else:
                    self._forget(task[0][16:20])
        except OSError:  # the other side has gone
            pass

    def _forget(self, tag: bytes) -> bool:
        """A command is over. True if it is to be answered."""
        with self._sending:
            self._open.discard(tag)
            wanted = tag not in self._aborted
            self._aborted.discard(tag)
            return wanted

    def _carry_out(self, header: bytes, data: bytes) -> None:
        try:
            status, data_in, told = self._execute(header[8:16], header[32:48], data)
        except Exception as error:  # a broken drive rather than one that hangs
            print(f"device: {error!r} on {header[32:48].hex()}", file=sys.stderr)
            status, data_in, told = CHECK_CONDITION, b"", sense(4, 0x44, 0)
        with self._sending:
            if self._forget(header[16:20]):
                self._reply(header, status, data_in, told)

    def _reply(self, header: bytes, status: int, data_in: bytes, told: bytes) -> None:
        tag, expected = header[16:20], struct.unpack_from(">I", header, 20)[0]
        number = over = under = 0
        if header[1] & 0x40:  # a read
            over, under = max(0, len(data_in) - expected), max(0, expected - len(data_in))
            sent = data_in[:expected]
            for at in range(0, len(sent), self._peer_segment):
                part = sent[at : at + self._peer_segment]
                flags = 0x80 if at + len(part) == len(sent) else 0
                tail = struct.pack(">II", number, at)
                self._send(
                    DATA_IN, tag, part, flags=flags, field20=0xFFFFFFFF, tail=tail, counts=False
                )
                number += 1
        flags = 0x80 | (4 if over else 2 if under else 0)
        segment = struct.pack(">H", len(told)) + told if told else b""
        tail = struct.pack(">III", number, 0, over or under)
        self._send(0x21, tag, segment, flags=flags, byte3=status, tail=tail)

    def _execute(self, unit: bytes, command: bytes, data: bytes) -> tuple[int, bytes, bytes]:
        if command[0] == REPORT_LUNS:
            return 0, struct.pack(">II", 8, 0) + bytes(8), b""
        if unit[1] or unit[0] & 0x3F:
            if command[0] == INQUIRY:
                return 0, b"\x7f\0\5\2\x1f" + bytes(31), b""
            return CHECK_CONDITION, b"", sense(5, 0x25, 0)
        status, data_in, told = self._device(_whole(command), data)
        if self._opening and command[0] == READ_CAPACITY:
            self._opening = False
            if status:
                return 0, struct.pack(">II", 0, 2048), b""
        return status, data_in, told


def _whole(command: bytes) -> bytes:
    """The command in its own length, by its group (SPC-4, 4.2.5.1)."""
    return command[: {0: 6, 1: 10, 2: 10, 4: 16, 5: 12}.get(command[0] >> 5, 16)]
