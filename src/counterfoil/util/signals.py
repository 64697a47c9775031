"""Signals that ask a script to end: the exit code tells which, and what is there can be gone on with."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(SystemExit):
    """A signal told the script to end; the exit code is 128 and its number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name = signal.Signals(number).name


class _State:
    listening = False
    patient = False
    requested: int | None = None


def listen() -> None:
    """End at SIGINT and SIGTERM by `Stopped`, under Slurm at SIGUSR1 too; ignored signals stay ignored."""
    if threading.current_thread() is not threading.main_thread():
        return
    more = [signal.SIGUSR1] if os.environ.get("SLURM_JOB_ID") else []
    for number in (signal.SIGINT, signal.SIGTERM, *more):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _handle)
    _State.listening = True


def listen_again() -> None:
    """Where a script listens, take the signals back from a library that took them over."""
    if _State.listening:
        listen()


@contextmanager
def patient() -> Iterator[None]:
    """Within, the first signal waits until `requested` is looked at; the second ends at once."""
    _State.patient, _State.requested = True, None
    try:
        yield
    finally:
        _State.patient = False
    if _State.requested is not None:
        raise Stopped(_State.requested)


def requested() -> int | None:
    """The signal that waits, or None."""
    return _State.requested


def _handle(number: int, _frame: FrameType | None) -> None:
    if _State.patient and _State.requested is None:
        _State.requested = number
        return
    _State.patient = False
    raise Stopped(number)
