"""Wall time and memory of a piece of work, whatever ran before it in the process."""

from __future__ import annotations

import ctypes
import math
import time
from pathlib import Path

import torch

_PROCESS = Path("/proc/self")


class Meter:
    """Wall seconds, and how far memory rose above where it stood at the start, in MiB.

    On CUDA memory is what tensors hold. On the CPU it is the resident memory of the process, whose peak can
    be reset on Linux; elsewhere it is not known. Memory freed before is returned to the system first, so that
    it counts when it is allocated again.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._held = self._start()
        self._started = time.perf_counter()

    def read(self) -> tuple[float, float]:
        """Seconds and MiB since the start; NaN for memory that is not known."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        seconds = time.perf_counter() - self._started
        return seconds, max(self._peak() - self._held, 0.0) if math.isfinite(self._held) else math.nan

    def _start(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            return torch.cuda.memory_allocated(self.device) / 2**20
        return _resident("VmRSS") if _reset_peak() else math.nan

    def _peak(self) -> float:
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 2**20
        return _resident("VmHWM")


def _reset_peak() -> bool:
    """Give freed memory back and let the peak start from here; False where the system cannot."""
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):  # another C library
        return False
    try:
        (_PROCESS / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _resident(field: str) -> float:
    """A field of /proc/self/status in MiB."""
    status = (_PROCESS / "status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1024
