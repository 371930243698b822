"""Files that are written whole or not at all."""

import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    import msvcrt

    fcntl = None

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PARTIAL = ".partial-"  # how the name of a file begins while it is being written


def write_atomically(path: str | Path, *parts: bytes | memoryview) -> Path:
    """Write a file so that a reader, or a kill at any moment, sees the old content or the new, never a part."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Drawn, as two machines that share a folder may have processes of the same number.
    partial = path.with_name(f"{PARTIAL}{secrets.token_hex(4)}-{path.name}")
    try:
        with open(partial, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return path


@contextmanager
def alone_in(folder: str | Path, taken: Callable[[], None]) -> Iterator[None]:
    """Let one process at a time work in `folder`; where another one does, call `taken`, which may raise, and wait.

    Windows locks no folder, so there it is the file `.lock` in it. Where nothing can be locked, as on some network file
    systems, it goes on without it.
    """
    handle = None
    try:
        with suppress(OSError):
            handle = os.open(folder, os.O_RDONLY) if fcntl else os.open(Path(folder) / ".lock", os.O_RDWR | os.O_CREAT)
        if handle is not None and _is_taken(handle):
            taken()
            while _is_taken(handle):
                time.sleep(0.2)
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _is_taken(handle: int) -> bool:
    """Lock an open file for this process, if no other one has; the system ends that with the process."""
    try:
        if fcntl:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        return error.errno in (errno.EACCES, errno.EAGAIN)
    return False
