"""How many cores there are for this process."""

from __future__ import annotations

import os

FEW = 8
"""Images at once below which the threads of torch wait for each other longer than they save."""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(jobs: int) -> int:
    """Threads of each of several jobs that run at once: at least one."""
    return max(1, cores() // max(1, jobs))


def threads_for(images: int) -> int | None:
    """Threads for work on so many images at once: 1 for few, else None, torch's own choice.

    Another number of threads may round otherwise in the last digits, so a run that is to be repeated names
    its own.
    """
    return 1 if images < FEW else None
