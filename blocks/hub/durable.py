"""Calls to the file system after which a power cut loses nothing, and its locks."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

Stamp = tuple[int, int]
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EBADF, errno.EINVAL)
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux
_STEP = 1 << 26  # bytes of one write: a single call takes no more than 2 GiB


def write_file(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """A new file, on the disk when this returns."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        for part in parts:
            view, done = memoryview(part), 0
            while done < len(view):
                done += os.write(handle, view[done : done + _STEP])
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """Waits until the names in a folder are on the disk, where a system can."""
    if os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def stamp(path: Path) -> Stamp | None:
    """Bytes and time of a file, which tell whether it was changed; None if there is none."""
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return None
    return info.st_size, info.st_mtime_ns


def exchange(one: Path, other: Path) -> None:
    """Two folders take each other's place in one step; an OSError where that can't be had."""
    if sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    import ctypes

    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    call.argtypes = [ctypes.c_int, ctypes.c_char_p] * 2 + [ctypes.c_uint]
    if call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one))


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Whether the lock of a file or folder is held by us; the system ends it with the process.

    False where another process holds it and `wait` is false, and where there are no locks.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        yield _flock(fcntl, handle, wait)
    finally:
        os.close(handle)


def _flock(fcntl: object, handle: int, wait: bool) -> bool:
    flock, exclusive, at_once = (getattr(fcntl, n) for n in ("flock", "LOCK_EX", "LOCK_NB"))
    try:
        flock(handle, exclusive if wait else exclusive | at_once)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    return True
