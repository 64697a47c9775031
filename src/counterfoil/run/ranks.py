"""Several processes at one evaluation: one leads, all make the files that nobody has made yet.

They meet in the run folder alone, by locks that end with the process that holds them: a rank that is gone
loses nothing but the batch that it was at, and ranks need not start at the same time, nor see each other.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from counterfoil.core.errors import CounterfoilWarning, UserError, first_line
from counterfoil.run.folder import Held, finished, in_use, noted_start, opened
from counterfoil.util import signals
from counterfoil.util.cli import explain_error
from counterfoil.util.launched import Rank
from counterfoil.util.lock import InUse, locked
from counterfoil.util.memory import keep_memory

log = logging.getLogger("counterfoil")
POLL = 0.05
"""Seconds between two looks at what the others do."""
PATIENCE = 60.0
"""Seconds that a rank waits for another to lead."""
GRACE = 10.0
"""Seconds that a helper has to end."""


class Job(NamedTuple):
    """A file that one of the ranks makes.

    Attributes:
        file: whose lock is held meanwhile.
        done: whether it is there and right.
        make: makes it.
    """

    file: Path
    done: Callable[[], bool]
    make: Callable[[], None]


@dataclass(frozen=True)
class Ranks:
    """This process among those at one evaluation.

    Attributes:
        own: which of all it is.
        leads: whether it waits for all files.
        check: raises where a helper of this process is gone.
    """

    own: Rank
    leads: bool = True
    check: Callable[[], None] | None = None

    def share(self, jobs: Sequence[Job], tick: Callable[[int], None]) -> None:
        """Have every job done, each by one rank: its own share first, then whatever nobody is at.

        Args:
            jobs: the same for all ranks, in the same order.
            tick: told the number of a job that is done.
        """
        own = [i for i in range(len(jobs)) if i % self.own.size == self.own.number]
        left, again = own + [i for i in range(len(jobs)) if i not in set(own)], False
        while left:
            left = [i for i in left if not self._settled(jobs[i], i, again, tick)]
            if not self.leads:
                return
            again = True
            time.sleep(POLL if left else 0)

    def _settled(self, job: Job, number: int, again: bool, tick: Callable[[int], None]) -> bool:
        if self.check is not None:
            self.check()
        job.file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with locked(job.file.with_name(f".{job.file.stem}.lock")):
                if not job.done():
                    if again:
                        log.info(f"{job.file}: the process that was at it is gone; it is made here")
                    job.make()
        except InUse:
            return False
        tick(number)
        return True


def divide(environment: Mapping[str, str], devices: int, device: str, stamped: bool) -> list[Rank]:
    """This process among those of a launcher, and the helpers that it starts beside it.

    Args:
        environment: of this process.
        devices: how many are to be at it on this machine.
        device: of the run, by name.
        stamped: whether each process calls its run folder by its own time of day.

    Raises:
        UserError: another number of processes than the launcher's, more of them than GPUs, or a run folder
            that is not the same for all.
    """
    rank = Rank.of(environment)
    if rank.together and devices not in (1, rank.size):
        raise UserError(
            f"devices={devices}: {rank.launcher} has started {rank.size} processes already; leave "
            "devices= out"
        )
    if rank.together and stamped:
        raise UserError(
            f"run_dir: the {rank.size} processes of {rank.launcher} need one folder; set run_dir=FOLDER"
        )
    group = [rank] if rank.together else rank.local_ranks(devices)
    for one in group:
        device_of(one, device, len(group))
    return group


def device_of(rank: Rank, device: str, here: int = 1) -> str:
    """The device of a rank: on GPUs each has its own.

    Args:
        rank: the rank.
        device: of the run, by name.
        here: ranks that one process starts on this machine.

    Raises:
        UserError: more ranks than GPUs.
    """
    if device not in ("auto", "cuda") or rank.size == 1 or not torch.cuda.is_available():
        return device
    number = torch.cuda.device_count()
    if here > number or rank.local >= number > 1:
        what = f"devices={here}" if here > 1 else f"local rank {rank.local} of {rank.launcher}"
        raise UserError(
            f"{what}: this machine has {number} CUDA device(s); start {number} process(es), or set device=cpu"
        )
    return f"cuda:{rank.local if number > 1 else 0}"  # a launcher may show each rank its own GPU alone


@contextmanager
def threads(wanted: int | None, here: int) -> Iterator[int]:
    """Within, this process has its share of the threads of the CPU, which it tells.

    Args:
        wanted: by all ranks of this machine that one process starts; None: as many as torch has.
        here: how many these are.
    """
    before = torch.get_num_threads()
    if wanted is not None or here > 1:
        torch.set_num_threads(max(1, (wanted or before) // here))
    try:
        yield torch.get_num_threads()
    finally:
        if here > 1:
            torch.set_num_threads(before)


def take_part(
    rank: Rank, folder: Path, identity: str, lead: Callable[[], dict[str, Any]], help_: Callable[[], None]
) -> dict[str, Any]:
    """Lead, or help whoever leads; lead after all where the leader is gone and its work not done.

    Args:
        rank: this process.
        folder: the run folder.
        identity: of the run.
        lead, help_: what is done; `lead` raises `Held` where another process leads.

    Returns:
        what `lead` gives; {} where another process leads.

    Raises:
        UserError: nobody leads, or another run is in the folder.
    """
    helped, since = False, time.monotonic()
    while not _finished(rank, folder, identity, helped):
        if rank.may_lead or helped:
            with suppress(Held):
                return lead()
            if helped:
                return {}
        if opened(folder, identity):
            help_()
            helped = True
        elif in_use(folder):
            since = time.monotonic()
        elif time.monotonic() - since > PATIENCE:
            if finished(folder, identity):
                break
            raise UserError(
                f"rank {rank.number} of {rank.size}: no process has begun in run_dir={folder} for "
                f"{PATIENCE:.0f} s; see what became of rank 0"
            )
        time.sleep(POLL)
    return {}


def _finished(rank: Rank, folder: Path, identity: str, helped: bool) -> bool:
    """Whether this start has done its work."""
    if not helped and not (rank.start and noted_start(folder) == rank.start):
        return False
    return finished(folder, identity)


class Helpers:
    """Processes of this machine that work beside this one; they end with the `with` block, and with this one.

    Args:
        works: what each does, by rank; can be pickled.
        size: how many ranks there are.
        grace: seconds that each has to end in order.
    """

    def __init__(self, works: Mapping[int, Callable[[], None]], size: int, grace: float = GRACE) -> None:
        self.works, self.size, self.grace = works, size, grace
        self.started: list[tuple[int, Any, Any]] = []

    def __enter__(self) -> Helpers:
        context = multiprocessing.get_context("spawn")
        try:
            for rank, work in self.works.items():
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_begin, args=(work, theirs), name=f"rank {rank}")
                process.start()
                theirs.close()
                self.started.append((rank, process, ours))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        running = [process for _, process, _ in self.started]
        for process in running:
            process.terminate()
        for process in running:
            process.join(self.grace)
            process.kill()
            process.join()

    def check(self) -> None:
        """Raise a UserError where one of them is gone before its work was done."""
        for rank, process, told in self.started:
            if process.exitcode:
                line = ""
                with suppress(EOFError):
                    line = told.recv() if told.poll() else ""
                how = _how(process.exitcode, line)
                raise UserError(
                    f"rank {rank} of {self.size} (process {process.pid}) {how}; what is written stays, the "
                    "same command goes on from there"
                )

    def wait(self) -> None:
        """Return when all are done; raises as `check` does."""
        while any(process.is_alive() for _, process, _ in self.started):
            self.check()
            time.sleep(POLL)
        self.check()


def _how(code: int, line: str) -> str:
    number = -code if code < 0 else code - 128
    if line or number not in set(signal.Signals):
        return f"has failed: {line or f'exit code {code}'}"
    return f"was ended by {signal.Signals(number).name}"


def _begin(work: Callable[[], None], told: Any) -> None:
    """The whole of a helper: it ends with the process that started it, and at Ctrl-C with that one's word."""
    signals.listen()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow, args=(multiprocessing.parent_process(),), daemon=True).start()
    keep_memory()
    try:
        with quiet():
            work()
    except Exception as error:
        line = explain_error(error)
        if line is None:
            traceback.print_exc()
        told.send(line or f"{type(error).__name__}: {first_line(error)}")
        sys.exit(1)


def _follow(parent: Any) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)


@contextmanager
def quiet() -> Iterator[None]:
    """Within, our notes and warnings are not shown: the rank that leads shows them."""
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CounterfoilWarning)
            yield
    finally:
        log.setLevel(level)
