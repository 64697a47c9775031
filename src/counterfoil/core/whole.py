"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ENDING = ".partial"
"""Of every temporary file and folder; what a killed process leaves behind."""


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place at the end; it is removed where writing fails.

    Its name is its own, whichever process on whichever machine writes the same file at the same time, and
    short. It is on the disk before it is renamed: a full disk is noticed, and a power cut leaves it whole.

    Raises:
        OSError: ENOSPC with the name of `path`, however the writer said that the disk is full.
    """
    partial = path.with_name(f".{os.getpid()}-{secrets.token_hex(4)}{ENDING}")
    try:
        yield partial
        _to_disk(partial)
        partial.replace(path)
    except Exception as error:
        if is_full(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        raise
    finally:
        with suppress(OSError):
            partial.unlink()


def is_full(error: BaseException) -> bool:
    """Whether an error says that a disk or a quota is full; libraries put it in words of their own."""
    full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    return full or os.strerror(errno.ENOSPC) in str(error)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
