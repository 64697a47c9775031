"""How many cores there are for this process."""

from __future__ import annotations

import os


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(jobs: int) -> int:
    """Threads of each of several jobs that run at once: at least one."""
    return max(1, cores() // max(1, jobs))
