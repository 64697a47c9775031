"""Looks into zip archives (torch files, npz) before anything in them is unpacked."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

MOST = 100
"""An archive may unpack to this many times its size,"""
ALWAYS = 1 << 30
"""and to this many bytes whatever its size."""


@contextmanager
def open_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """The archive, once its table of contents is found harmless.

    Raises:
        ValueError: two entries of one name, of which each reader may take another; more bytes than the
            machine, or an archive of this size, can hold in earnest; an encrypted entry.
        zipfile.BadZipFile: no zip archive.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        names = [entry.filename for entry in entries]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise ValueError(f"two entries are called {twice}")
        if any(entry.flag_bits & 1 for entry in entries):
            raise ValueError("its entries are encrypted")
        unpacked, packed = sum(entry.file_size for entry in entries), path.stat().st_size
        if unpacked > memory() or unpacked > max(ALWAYS, MOST * packed):
            raise ValueError(f"it would unpack {packed:,} bytes to {unpacked:,}")
        yield archive


def memory() -> int:
    """Bytes of memory that this machine has."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def read_arrays(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """Those of the named arrays that an npz file holds; nothing is unpickled.

    Raises:
        ValueError: an array that is damaged, holds objects, or whose header promises other than its bytes.
        zipfile.BadZipFile: no npz file.
    """
    with open_zip(path) as archive:
        wanted = {name: f"{name}.npy" for name in names if f"{name}.npy" in archive.namelist()}
        return {name: _array(archive, entry) for name, entry in wanted.items()}


def _array(archive: zipfile.ZipFile, entry: str) -> np.ndarray:
    with archive.open(entry) as file:
        shape, dtype = _header(file)
        promised, there = dtype.itemsize, archive.getinfo(entry).file_size - file.tell()
    for length in shape:
        promised *= length
    if promised != there:
        raise ValueError(f"{entry} has {there:,} bytes, its header promises {promised:,}")
    with archive.open(entry) as file:
        read: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
        return read


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    known = np.lib.format
    early = known.read_magic(file) == (1, 0)
    shape, _, dtype = (known.read_array_header_1_0 if early else known.read_array_header_2_0)(file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never unpickled")
    return shape, dtype
