"""Who uses a folder of the cache: a shared lock of the operating system, and the time of the last use.

A killed process holds no lock. Where the system has no shared locks, or the folder is read-only, nothing is held.
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)
LOCKS = ".locks"
"""The folder in which locks lie, beside what they are about."""
PROBE = ".lock"
"""The file by which it is found out whether locks work."""
UNAVAILABLE = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
USED = ".used"
"""The file that is locked; its time is that of the last use."""


class Use:
    """Keeps `mimo-eval cache gc` from a folder for as long as the object lives.

    :param folder: an existing folder of the cache.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle: int | None = None
        with suppress(OSError):
            self._handle = os.open(folder / USED, os.O_RDONLY | os.O_CREAT, 0o666)  # another user's may only be read
            if fcntl is not None:
                fcntl.flock(self._handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            os.utime(folder / USED)

    def __reduce__(self) -> tuple[type[Use], tuple[Path]]:
        """Another process that is sent this uses the folder itself."""
        return Use, (self._folder,)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:  # which is gone already where Python itself ends
        if self._handle is not None:
            close(self._handle)


def work(folder: Path) -> bool:
    """Say whether files of a folder can be locked; on NFS without its lock service and on some FUSE systems they cannot.

    :param folder: an existing folder, in which an empty file is made.
    :raises OSError: if it cannot be made.
    """
    handle = os.open(folder / PROBE, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return True
    except OSError as error:
        return error.errno not in UNAVAILABLE
    finally:
        os.close(handle)


def own(path: Path) -> int | None:
    """Open a file for this process alone: a new one, or what a killed process left, emptied.

    :param path: the file; while it is open under this name, no other process is given it.
    :return: a handle for reading and writing; None where another process has it, or the system does not say.
    """
    if fcntl is None:
        return None
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno != errno.EWOULDBLOCK:  # there are no locks here, so nobody can own it
            path.unlink(missing_ok=True)
        return None
    with suppress(OSError):  # who had it may have given it its last name meanwhile: this one is gone, or another's
        if os.path.samestat(os.fstat(handle), path.stat()):
            os.truncate(handle, 0)
            return handle
    os.close(handle)
    return None


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Let one process at a time make a folder; where locks do not work several may, and it is for them to agree.

    :param folder: that is to be made; its parent exists.
    :raises OSError: if no lock can be made.
    """
    from filelock import FileLock, Timeout

    locks = folder.parent / LOCKS
    locks.mkdir(exist_ok=True)
    lock = FileLock(locks / folder.name)
    if work(locks):
        try:
            lock.acquire(timeout=1)
        except Timeout:
            logger.warning("%s: another process is making it; waiting for it", folder)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def touch(folder: Path) -> None:
    """Note that a folder is used now, where that can be noted."""
    with suppress(OSError):
        (folder / USED).touch()


@contextmanager
def unused(folder: Path) -> Iterator[bool]:
    """Say whether no process holds a folder. One that begins to use it in the `with` block is not stopped, and holds nothing.

    :param folder: a folder of the cache.
    """
    try:
        handle = os.open(folder / USED, os.O_RDWR)
    except OSError:
        yield True
        return
    try:
        try:
            if fcntl is not None:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except OSError:
            free = False
        yield free
    finally:
        os.close(handle)
