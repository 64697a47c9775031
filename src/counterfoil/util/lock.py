"""One at a time: a lock of the operating system on a file, which ends with the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import platform
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from counterfoil.core.errors import CounterfoilWarning

log = logging.getLogger("counterfoil")
LACKING = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""What a file system without locks answers."""


class InUse(Exception):
    """Another process holds the lock; its text names the process."""


@contextmanager
def locked(path: Path, wait_for: str = "") -> Iterator[None]:
    """Hold the lock on a file, which is there as long as it is held.

    The system frees the lock when its holder ends, however that comes about, so a file that a killed process
    left behind locks nothing. Between machines it holds where the shared file system passes flock on, as NFS
    version 4, Lustre (mounted with flock), GPFS and BeeGFS do; where there are no locks, a warning says so.

    Args:
        path: the file.
        wait_for: what the other process is doing, for the line that says that this one waits; empty: it does
            not wait.

    Raises:
        InUse: another process holds it, and this one is not to wait.
    """
    handle = _taken(path, wait_for)
    try:
        yield
    finally:
        try:
            with suppress(OSError):
                path.unlink()  # before the lock is freed: who waited sees that this file is no longer the one
        finally:
            handle.close()


def named(process: int) -> str:
    """A process of this machine as locks name it."""
    return f"process {process} on {platform.node()}"


def holder(path: Path) -> str:
    """The process whose lock is or was on the file, "" where there is none."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _taken(path: Path, wait_for: str) -> IO[str]:
    while True:
        handle = path.open("a+")
        try:
            _take(handle, path, wait_for)
        except BaseException:
            handle.close()
            raise
        if _is_still(path, handle):
            handle.seek(0)
            handle.truncate()
            handle.write(named(os.getpid()))
            handle.flush()
            return handle
        handle.close()


def _take(handle: IO[str], path: Path, wait_for: str) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        other = handle.read().strip() or "another process"
        if not wait_for:
            raise InUse(other) from None
        log.info(f"waiting for {other}, which {wait_for}")
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:
        if error.errno not in LACKING:
            raise
        warnings.warn(
            f"{path.parent}: this file system has no locks; start no second run there before this one ends",
            CounterfoilWarning,
            stacklevel=2,
        )


def _is_still(path: Path, handle: IO[str]) -> bool:
    """Whether the locked file is the one under that name; its holder before may have removed it."""
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False
