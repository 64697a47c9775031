"""How memory is kept and looked through: freed blocks stay in the process, collections can wait."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # glibc's malloc.h


def keep_memory() -> bool:
    """Let glibc's allocator keep large blocks instead of returning them; False where there is no glibc.

    Activations of many megabytes are allocated and freed at every step. By default each comes fresh from the
    system, which clears it page by page: up to half of the time on a CPU. Numbers stay the same. Settings in
    the environment (MALLOC_...) win.
    """
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all([mallopt(_MMAP_MAX, 0), mallopt(_TRIM_THRESHOLD, 2**31 - 1), mallopt(_TOP_PAD, 2**26)])


def give_back() -> bool:
    """Return freed blocks to the system, whose sizes the next stage of a run may not need; as `keep_memory`.

    Worth a call between stages: what a search has freed in pieces would else stay below all that follows.
    """
    gc.collect()
    if not sys.platform.startswith("linux"):
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (OSError, AttributeError):  # another C library
        return False


@contextmanager
def uncollected() -> Iterator[None]:
    """Make hundreds of thousands of small objects without a search for garbage.

    Each search goes through all that torch has made as well, which takes longer than the objects do.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
