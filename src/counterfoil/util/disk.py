"""What a disk will not do, in one line that names the file that is meant."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from counterfoil.core.errors import UserError
from counterfoil.core.whole import is_full

ELSEWHERE = "choose another run_dir= or store="
WORDS = {
    errno.EROFS: f"is on a read-only file system; {ELSEWHERE}",
    errno.EACCES: "may not be read or written by this user; change its permissions, or name another folder",
    errno.EPERM: "may not be changed by this user; change its permissions, or name another folder",
    errno.EISDIR: f"is a folder, expected a file; remove it, or {ELSEWHERE}",
    errno.EIO: "cannot be read or written, the disk reports an error; name a folder on another disk",
    errno.ESTALE: "is gone from the network file system; start the command again",
    errno.EMFILE: "cannot be opened, too many files are open; raise the limit with ulimit -n 4096",
    errno.ELOOP: "is a link that leads to itself; remove it, or name another folder",
}
"""What each error number means for the file, and what to do."""


def explain(error: OSError) -> str | None:
    """One line about an error of the file system; None for one that is not the user's to mend."""
    if is_full(error):
        file = error.filename or "the run folder or the store"
        return f"no space left on the disk for {file}; free some, or {ELSEWHERE}"
    path = None if error.filename is None else Path(os.fsdecode(error.filename))
    if path is None:
        return None
    if error.errno == errno.ENAMETOOLONG:
        return f"{_short(path)}: the name is too long, at most 255 bytes for a name; {ELSEWHERE}"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{_in_the_way(path)} is a file, expected a folder; remove it, or {ELSEWHERE}"
    words = WORDS.get(error.errno or 0)
    return f"{path} {words}" if words else None


def refuse_full(folder: Path, size: int, what: str) -> None:
    """Refuse what certainly does not fit, before the work is done.

    Args:
        folder: that is written to; there already.
        size: bytes that are needed at least.
        what: is written.

    Raises:
        UserError: fewer bytes are free.
    """
    free = size
    with suppress(OSError):
        free = shutil.disk_usage(folder).free
    if free < size:
        raise UserError(
            f"no space left on the disk for {folder}: {free / 1e6:.3g} MB are free, {what} need at least "
            f"{size / 1e6:.3g} MB; free some, or {ELSEWHERE}"
        )


def _short(path: Path) -> str:
    longest = max(path.parts, key=len)
    return str(path).replace(longest, f"{longest[:40]}...") if len(longest) > 60 else str(path)


def _in_the_way(path: Path) -> Path:
    """The first part of a path that is there and no folder."""
    with suppress(OSError):
        return next((part for part in (*reversed(path.parents), path) if part.is_file()), path)
    return path
