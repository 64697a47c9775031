"""What files hold, as one digest each: every file is read once, and then known by its size and times."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from counterfoil.core.errors import UserError
from counterfoil.data.cache import cache_root, progress
from counterfoil.util.cores import cores
from counterfoil.util.record import write_text

NAME = ".counterfoil-content.json"
"""The file beside the data that keeps their digests; where it cannot be written, the cache does."""
SETTLED = 2.0
"""A file changed less than so many seconds ago may change again within the same time stamp."""
_CHUNK = 256
_DIGITS = 32
_BAR_FROM = 20_000

Reader = Callable[[Path], bytes]


def file_digests(
    files: Sequence[str | Path],
    root: Path,
    cache_dir: str | Path | None = None,
    read: Reader = Path.read_bytes,
) -> list[str]:
    """A digest of the content of each file, 32 hex digits; where they lie tells nothing.

    Those of files whose size and times are known are taken from `NAME` in `root`, or, where that cannot be
    written, from the cache.

    Args:
        files: to be read, most of them below `root`.
        root: folder of the data.
        cache_dir: see `cache_root`.
        read: the content of a file.

    Raises:
        UserError: a file that is missing or cannot be read.
    """
    began = time.time()
    places = (root / NAME, cache_root(cache_dir) / "content" / f"{_hash(os.fsencode(root))}.json")
    known = _known(places)
    prefix = f"{root}{os.sep}"
    names = [str(path).removeprefix(prefix) for path in files]
    stamps = _stamps(files)
    entries = list(map(known.get, names, [""] * len(names)))
    new = [i for i, stamp in enumerate(stamps) if not entries[i].startswith(stamp)]
    if new:
        for i, found in zip(new, _read([Path(files[i]) for i in new], read), strict=True):
            entries[i] = stamps[i] + found
        settled = [i for i in new if _changed(stamps[i]) < began - SETTLED]
        if settled:
            _keep(places, {**known, **{names[i]: entries[i] for i in settled}})
    return [entry[-_DIGITS:] for entry in entries]


def _stamps(files: Sequence[str | Path]) -> list[str]:
    """Size and times of each file as text.

    The second time is that of the inode, which no program sets: it tells a file that took another's place
    and its time of change.
    """
    stamps = []
    for path in files:
        try:
            status = os.stat(path)
        except OSError as error:
            raise UserError(f"{path} is missing; put it there or take it off the list") from error
        stamps.append(f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} ")
    return stamps


def _changed(stamp: str) -> float:
    """The later one of the times of a stamp, in seconds."""
    return max(map(int, stamp.split()[1:])) / 1e9


def _read(files: Sequence[Path], read: Reader) -> list[str]:
    def some(paths: Sequence[Path]) -> list[str]:
        return [_hash(_content(path, read)) for path in paths]

    chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
    pool = ThreadPoolExecutor(cores())  # reading and hashing free Python's lock
    try:
        found = pool.map(some, chunks)
        if len(files) < _BAR_FROM:
            return [digest for part in found for digest in part]
        digests: list[str] = []
        with progress() as bar:
            task = bar.add_task("Reading files", total=len(files))
            for part in found:
                digests += part
                bar.advance(task, len(part))
        return digests
    finally:
        pool.shutdown(cancel_futures=True)


def _content(path: Path, read: Reader) -> bytes:
    try:
        return read(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror or error}); check its permissions, or get it again"
        ) from error


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def _known(places: Sequence[Path]) -> dict[str, str]:
    """Entries "size times digest" by the name of their file; a damaged list knows none."""
    known: dict[str, str] = {}
    for place in places:
        with suppress(OSError, ValueError):
            check, _, text = place.read_text(encoding="utf-8").partition("\n")
            if check == _hash(text.encode()):
                known |= json.loads(text)
    return known


def _keep(places: Sequence[Path], entries: Mapping[str, str]) -> None:
    """Write to the first place that can be written; without one, every run reads all files."""
    text = json.dumps(entries)
    for place in places:
        with suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            write_text(place, f"{_hash(text.encode())}\n{text}")
            return
