"""Reading a file that a user names: a regular one, never more bytes than its kind may have."""

import errno
import os
import stat
from pathlib import Path

__all__ = ["read_bytes"]


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a regular file of at most ``limit`` bytes.

    A pipe or a device, which might never end, is refused before it is read.

    Raises
    ------
    OSError
        If it cannot be read, is no regular file, or is larger.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"Larger than {limit:,} bytes", str(path))
    return data
