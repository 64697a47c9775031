"""Acts in processes of their own, forked from one that has imported everything and has trained nothing."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from counterfoil.core.errors import UserError
from tests.forked import CONTEXT

CHANGING = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "shutil.rmtree")
PATIENCE = 240
Act = Callable[[], Any]


class Traceback(Exception):
    """What a script would have ended with in place of one line."""


@dataclass(frozen=True)
class Ended:
    """How a process ended.

    Attributes:
        code: exit code, negative for a signal.
        value: what its act gave.
        line: the one line that it ended with.
        events: how often it changed something on the disk.
    """

    code: int | None
    value: Any = None
    line: str = ""
    events: int = 0

    @property
    def right(self) -> Any:
        """The value; raises the one line, or `Traceback`."""
        if self.line:
            raise UserError(self.line)
        if self.code:
            raise Traceback(f"exit code {self.code}: {self.value}")
        return self.value


def run(act: Act, below: Path, **fault: Any) -> Ended:
    """Do an act in a process of its own; `fault` as in `start`."""
    return start(act, below, **fault)()


def start(
    act: Act,
    below: Path,
    *,
    kill_at: int = 0,
    full_at: int = 0,
    kill_after: float = 0.0,
    kill_on: str = "",
    number: int = signal.SIGKILL,
    gate: Any = None,
) -> Callable[[], Ended]:
    """Begin an act in a process of its own; what is returned waits for its end.

    Args:
        act: can be pickled.
        below: the folder in which changes count.
        kill_at: end the process before this change on the disk, the first being 1; 0: never.
        full_at: from this change on, nothing can be written; 0: never.
        kill_after: send `number` after so many seconds; 0: never.
        kill_on: send `number` once there is a file of this pattern in `below`; empty: never.
        number: of a signal.
        gate: a barrier at which several processes wait for each other.
    """
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_do, args=(act, below, kill_at, full_at, gate, theirs))
    process.start()
    theirs.close()

    def end() -> Ended:
        if kill_after or kill_on:
            with suppress(EOFError):
                assert ours.poll(PATIENCE)
                ours.recv()  # it has begun
            while kill_on and process.is_alive() and not list(below.rglob(kill_on)):
                time.sleep(0.005)
            time.sleep(kill_after)
            with suppress(ProcessLookupError):
                os.kill(process.pid or 0, number)
        found: dict[str, Any] = {}
        with suppress(EOFError):
            while ours.poll(PATIENCE):
                found = ours.recv() or found
        process.join(10)
        if process.is_alive():
            process.kill()
            raise AssertionError(f"a process did not end within {PATIENCE} s")
        return Ended(process.exitcode, **found)

    return end


def _do(act: Act, below: Path, kill_at: int, full_at: int, gate: Any, results: Any) -> None:
    import torch

    torch.set_num_threads(1)
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    if gate is not None:
        gate.wait(PATIENCE)
    results.send(None)
    count = [0]
    sys.addaudithook(partial(_watch, str(below), count, kill_at, full_at))
    try:
        found = {"value": act()}
    except SystemExit as end:
        sys.exit(end.code)
    except Exception as error:
        found = _told(error)
    results.send({**found, "events": count[0]})
    results.close()
    if "traceback" in str(found.get("value", ""))[:9]:
        sys.exit(1)


def _told(error: Exception) -> dict[str, Any]:
    import traceback

    from counterfoil.util.cli import explain_error

    line = explain_error(error)
    if line and "\n" not in line.strip():
        return {"line": line}
    return {"value": "traceback " + "".join(traceback.format_exception(error))[-1500:]}


def _watch(
    below: str, count: list[int], kill_at: int, full_at: int, event: str, given: tuple[Any, ...]
) -> None:
    """Counts what changes the disk; dies before one change, or lets none happen any more."""
    if not _changes(below, event, given):
        return
    count[0] += 1
    if count[0] == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
    if full_at and count[0] >= full_at and event in ("open", "os.mkdir", "os.rename"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fsdecode(given[0]))


def _changes(below: str, event: str, given: tuple[Any, ...]) -> bool:
    if event == "open":
        path, _mode, flags = given
        writes = bool(isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        return isinstance(path, str | bytes) and os.fsdecode(path).startswith(below) and writes
    return (
        event in CHANGING
        and isinstance(given[0], str | bytes | os.PathLike)
        and (os.fsdecode(given[0]).startswith(below))
    )
