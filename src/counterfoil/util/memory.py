"""Keeps freed memory in the process, as trainings and searches allocate it again at every step."""

from __future__ import annotations

import ctypes
import os
import sys

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
