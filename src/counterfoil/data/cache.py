"""Where decoded and drawn images are kept between runs, and how they get there."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.core.whole import whole
from counterfoil.util.digest import file_digest
from counterfoil.util.record import read_json, write_json

if TYPE_CHECKING:
    from rich.progress import Progress


def cache_root(option: str | Path | None) -> Path:
    """The cache folder: the option, else COUNTERFOIL_CACHE, else ~/.cache/counterfoil."""
    return Path(option or os.environ.get("COUNTERFOIL_CACHE") or "~/.cache/counterfoil").expanduser()


def progress() -> Progress:
    """A progress bar with a count and the time left, on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True))


def open_cached(path: Path, shape: tuple[int, ...]) -> Tensor | None:
    """A file of `write_cached` as a tensor on a private memory map.

    None where it is missing, and with a warning where it is not what was written.
    """
    if not path.is_file():
        return None
    if not _as_written(path):
        warnings.warn(f"{path} is damaged and made anew", CounterfoilWarning, stacklevel=2)
        return None
    try:
        images = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return torch.from_numpy(images) if images.dtype == np.uint8 and images.shape == shape else None


def _as_written(path: Path) -> bool:
    """By size and times, noted beside the file, else by its content; True where nothing is noted."""
    noted_at = _noted_at(path)
    if not noted_at.is_file():
        return True
    try:
        noted = read_json(noted_at, "hash of a cached file")
    except UserError:
        return False
    if noted.get("stamp") == _stamp(path):
        return True
    same: bool = noted.get("sha256") == file_digest(path)
    if same:
        _note(path, noted["sha256"])
    return same


def _note(path: Path, sha256: str) -> None:
    with suppress(OSError):  # a cache that may only be read is hashed each time
        write_json(_noted_at(path), {"sha256": sha256, "stamp": _stamp(path)})


def _noted_at(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns]


def write_cached(
    path: Path, shape: tuple[int, ...], chunks: Iterable[NDArray[np.uint8]], doing: str
) -> Tensor:
    """Write chunks of images one after another to an .npy file, with a progress bar, and open it.

    The file is written front to back, not through a memory map, where a full disk would be a bus error.

    Args:
        path: the file; whole or absent, also after an error.
        shape: (N, C, H, W) of all chunks together.
        chunks: uint8 (n, C, H, W) each; UserErrors raised while making them pass through.
        doing: what the progress bar says.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as partial, partial.open("wb") as file, progress() as bar:
            header = io.BytesIO()
            np.lib.format.write_array_header_2_0(
                header, {"descr": "|u1", "fortran_order": False, "shape": shape}
            )
            seen = hashlib.sha256(header.getvalue())
            file.write(header.getvalue())
            task = bar.add_task(doing, total=shape[0])
            for chunk in chunks:
                content = np.ascontiguousarray(chunk).data
                seen.update(content)
                file.write(content)
                bar.advance(task, len(chunk))
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error}); "
            "name another folder by data.cache_dir=FOLDER or COUNTERFOIL_CACHE"
        ) from error
    _note(path, seen.hexdigest())
    images = open_cached(path, shape)
    if images is None:
        raise UserError(
            f"{path} does not hold the images of shape {shape} just written; delete it and start again"
        )
    return images
