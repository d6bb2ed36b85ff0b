"""Commands to a real drive on Linux, by the ioctl SG_IO of /dev/srN or /dev/sgN.

The header of the ioctl is the kernel's own C structure, with pointers and the
machine's alignment, so it is declared in ctypes and not in construct. Data goes
from and to the caller's memory; nothing is copied here.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from typing import Any

from media import errors
from media.mmc.sense import ABORTED_COMMAND, NO_SENSE, RECOVERED_ERROR, decode, encode
from media.transport import BUSY, CHECK_CONDITION, GOOD, Buffer

#: ``<scsi/sg.h>``
SG_IO = 0x2285
SG_DXFER_NONE, SG_DXFER_TO_DEV, SG_DXFER_FROM_DEV = -1, -2, -3
SENSE_BYTES = 252

#: Host status bytes (the kernel's ``enum scsi_host_status``)
DID_OK, DID_NO_CONNECT, DID_BUS_BUSY, DID_TIME_OUT = 0x00, 0x01, 0x02, 0x03
DID_BAD_TARGET, DID_IMM_RETRY, DID_REQUEUE = 0x04, 0x0C, 0x0D
#: Driver status bytes, in the low four bits
DRIVER_TIMEOUT, DRIVER_SENSE = 0x06, 0x08

#: What of a status byte is the status (SAM-5 5.3.1)
_STATUS_BITS = 0x3E
_TASK_SET_FULL = 0x28

_GONE = frozenset({errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN})
_FORBIDDEN = frozenset({errno.EPERM, errno.EACCES})

#: The command was lost on the way, and the drive answered nothing (SPC-4 annex D)
_NO_ANSWER, _TIMED_OUT = (0x08, 0x00), (0x08, 0x01)


class SgIoHeader(ctypes.Structure):
    """``struct sg_io_hdr``: lengths in bytes, ``timeout`` in milliseconds."""

    _fields_ = [
        ("interface_id", ctypes.c_int),
        ("dxfer_direction", ctypes.c_int),
        ("cmd_len", ctypes.c_ubyte),
        ("mx_sb_len", ctypes.c_ubyte),
        ("iovec_count", ctypes.c_ushort),
        ("dxfer_len", ctypes.c_uint),
        ("dxferp", ctypes.c_void_p),
        ("cmdp", ctypes.c_void_p),
        ("sbp", ctypes.c_void_p),
        ("timeout", ctypes.c_uint),
        ("flags", ctypes.c_uint),
        ("pack_id", ctypes.c_int),
        ("usr_ptr", ctypes.c_void_p),
        ("status", ctypes.c_ubyte),
        ("masked_status", ctypes.c_ubyte),
        ("msg_status", ctypes.c_ubyte),
        ("sb_len_wr", ctypes.c_ubyte),
        ("host_status", ctypes.c_ushort),
        ("driver_status", ctypes.c_ushort),
        ("resid", ctypes.c_int),
        ("duration", ctypes.c_uint),
        ("info", ctypes.c_uint),
    ]


class _PyBuffer(ctypes.Structure):
    """CPython's ``Py_buffer``: where the bytes of any object lie."""

    _fields_ = [
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    ]


_PyBUF_SIMPLE = 0
_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = [ctypes.py_object, ctypes.POINTER(_PyBuffer), ctypes.c_int]
_get_buffer.restype = ctypes.c_int
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = [ctypes.POINTER(_PyBuffer)]
_release_buffer.restype = None


@contextlib.contextmanager
def _address(data: Buffer) -> Iterator[int]:
    """Where the bytes of ``data`` lie, which stay there meanwhile."""
    view = _PyBuffer()
    _get_buffer(data, ctypes.byref(view), _PyBUF_SIMPLE)
    try:
        yield view.buf or 0
    finally:
        _release_buffer(ctypes.byref(view))


class SgioTransport:
    """One open device. ``close`` lets go of it, and of what was held for it.

    ``descriptors`` are open files; the first is the one that commands go to.
    ``max_transfer`` counts bytes. ``ioctl`` is the system's, or a test's.
    """

    def __init__(
        self,
        name: str,
        descriptors: tuple[int, ...],
        max_transfer: int,
        ioctl: Callable[[int, int, Any], object] = fcntl.ioctl,
    ) -> None:
        self.name = name
        self.max_transfer = max_transfer
        self._descriptors = descriptors
        self._ioctl = ioctl

    def execute(
        self,
        cdb: bytes,
        data_out: Buffer = b"",
        *,
        read_length: int = 0,
        timeout: float = 30.0,
    ) -> tuple[int, bytes, bytes]:
        """As :meth:`media.transport.Transport.execute` says. A command that got lost on
        its way answers as one that the drive broke off: B/08/00, or B/08/01 in time.

        Raises DriveGoneError and DriveForbiddenError.
        """
        # A fresh object of zeros that nobody else has seen yet: the drive fills it in
        # place. (Up to one byte, Python shares such objects.)
        received = bytes(max(read_length, 2)) if read_length else b""
        sense = ctypes.create_string_buffer(SENSE_BYTES)
        header = SgIoHeader(
            interface_id=ord("S"),
            dxfer_direction=_direction(data_out, read_length),
            cmd_len=len(cdb),
            mx_sb_len=SENSE_BYTES,
            dxfer_len=read_length or len(data_out),
            sbp=ctypes.addressof(sense),
            timeout=min(int(timeout * 1000), 0x7FFFFFFF),
        )
        with _address(cdb) as command, _address(received or data_out) as data:
            header.cmdp = command
            header.dxferp = data if header.dxfer_len else None
            self._submit(header)
        status, told = self._answer(header, sense.raw[: header.sb_len_wr])
        count = read_length - min(max(header.resid, 0), read_length)
        return status, received if count == len(received) else received[:count], told

    def _submit(self, header: SgIoHeader) -> None:
        if not self._descriptors:
            raise errors.DriveGoneError(name=self.name)
        try:
            self._ioctl(self._descriptors[0], SG_IO, header)
        except OSError as error:
            if error.errno in _GONE:
                raise errors.DriveGoneError(name=self.name) from error
            if error.errno in _FORBIDDEN:
                raise errors.DriveForbiddenError(
                    name=self.name, hint="the system lets only root send this command to it"
                ) from error
            why = f"the system could not send it a command: {error.strerror}"
            raise errors.DriveFailedError(name=self.name, why=why) from error

    def _answer(self, header: SgIoHeader, sense: bytes) -> tuple[int, bytes]:
        """What the drive said, or in its place what happened to the command."""
        host, driver = header.host_status, header.driver_status & 0x0F
        status = header.status & _STATUS_BITS
        if host in (DID_NO_CONNECT, DID_BAD_TARGET):
            raise errors.DriveGoneError(name=self.name)
        if host == DID_TIME_OUT or driver == DRIVER_TIMEOUT:
            return CHECK_CONDITION, encode(ABORTED_COMMAND, *_TIMED_OUT)
        if host in (DID_BUS_BUSY, DID_IMM_RETRY, DID_REQUEUE):
            return BUSY, b""
        if sense and (status == CHECK_CONDITION or driver == DRIVER_SENSE):
            found = decode(sense)
            # Some host adapters report a failure of theirs beside old sense data.
            if host == DID_OK or found.key not in (NO_SENSE, RECOVERED_ERROR):
                return CHECK_CONDITION, sense
        if host != DID_OK:
            return CHECK_CONDITION, encode(ABORTED_COMMAND, *_NO_ANSWER)
        if status == _TASK_SET_FULL:
            return BUSY, b""
        return status or GOOD, sense

    def close(self) -> None:
        descriptors, self._descriptors = self._descriptors, ()
        for descriptor in descriptors:
            os.close(descriptor)


def _direction(data_out: Buffer, read_length: int) -> int:
    if read_length:
        return SG_DXFER_FROM_DEV
    return SG_DXFER_TO_DEV if len(data_out) else SG_DXFER_NONE
