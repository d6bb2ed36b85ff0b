"""One writer at a time: an advisory lock on the image file.

On the image, for that file is never replaced by another. It ends with the
process, however that ends.
"""

from __future__ import annotations

import os
import sys

if sys.platform == "win32":
    import msvcrt

    #: Behind any data: the locked byte cannot be read or written by others.
    _PLACE = 1 << 62

    def lock(fd: int) -> bool:
        """Take the lock if it is free; says whether it was."""
        os.lseek(fd, _PLACE, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def lock(fd: int) -> bool:
        """Take the lock if it is free; says whether it was."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
