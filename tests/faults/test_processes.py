"""An evaluation shared by several processes ends whole when one of them is stopped or killed, and goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from counterfoil.run import ranks
from counterfoil.run.searching import Searching
from tests.bench import ROOT, Bench
from tests.faults import act
from tests.faults.conftest import Fault
from tests.faults.fault import share
from tests.forked import Forked
from tests.run.test_ranks import Forking

GIVEN = ("n=40", "batch_size=1")
"""Eighty files."""
PATIENCE = 120.0


def slowed() -> None:
    """Each file takes so long that a signal comes in between."""
    store = Searching.store

    def slow(*given: Any) -> None:
        time.sleep(0.1)
        store(*given)

    Searching.store = slow  # type: ignore[method-assign]


def slowed_and_forked() -> None:
    """The helper, too, has imported all: the real one takes seconds to start."""
    slowed()
    ranks.multiprocessing = Forking  # type: ignore[assignment]


class Shared:
    """`evaluate.py devices=2` at work; `process` has one helper, `forked` or as users' commands start it."""

    def __init__(self, bench: Bench, folder: Path, environment: dict[str, str], forked: bool = False) -> None:
        given = [*bench.models, f"store={bench.store}", *act.EXPLAINED, *GIVEN, f"run_dir={folder}"]
        command = [str(ROOT / "evaluate.py"), "logger=none", "devices=2", *given]
        self.process = Forked(command, ROOT, environment, slowed_and_forked if forked else slowed)
        until(lambda: len(list(folder.rglob("batch-*"))) > 3 and bool(self.helpers()), self.process)
        (self.helper,) = self.helpers()

    def helpers(self) -> list[int]:
        """The processes that it has started to help."""
        pid = self.process.pid
        started = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        called = {int(one): Path(f"/proc/{one}/cmdline").read_text() for one in started}
        return [one for one, words in called.items() if words and "resource_tracker" not in words]

    def end(self) -> tuple[int, list[str]]:
        """Exit code and the lines on standard error, once it and its helper are gone."""
        done = self.process.end(PATIENCE)
        until(lambda: not alive(self.helper))
        return done.returncode, done.stderr.strip().splitlines()


def until(condition: Callable[[], bool], process: Forked | None = None) -> None:
    """Wait for a condition, no longer than a process lives."""
    since = time.monotonic()
    while not condition():
        assert process is None or process.poll() is None, "it has ended too early"
        assert time.monotonic() - since < PATIENCE
        time.sleep(0.005)


def alive(process: int) -> bool:
    """Whether there is such a process that has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def whole(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the evaluation gives that nobody disturbs."""
    return act.Evaluate(bench.store, tmp_path_factory.mktemp("whole") / "run", GIVEN)()


@pytest.mark.parametrize("number", share([signal.SIGTERM, signal.SIGINT], quick=1))
def test_a_signal_ends_all_processes_and_the_same_command_goes_on(
    number: signal.Signals,
    bench: Bench,
    whole: Any,
    fault: Fault,
    tmp_path: Path,
    environment: dict[str, str],
) -> None:
    run = Shared(bench, tmp_path / "run", environment, forked=True)
    os.kill(run.process.pid, number)
    code, lines = run.end()
    assert code == 128 + number
    assert lines[-1] == f"stopped by {number.name}; the same command goes on from here"
    assert "Traceback" not in "".join(lines)
    again = act.Evaluate(bench.store, tmp_path / "run", GIVEN)
    assert fault("stop of several processes", again, whole) == "survived"


@pytest.mark.parametrize("which", share(["helper", "leader"], quick=1))
def test_a_killed_process_ends_the_others_and_the_same_command_goes_on(
    which: str, bench: Bench, whole: Any, fault: Fault, tmp_path: Path, environment: dict[str, str]
) -> None:
    run = Shared(bench, tmp_path / "run", environment)
    os.kill(run.helper if which == "helper" else run.process.pid, signal.SIGKILL)
    code, lines = run.end()
    if which == "leader":
        assert code == -signal.SIGKILL
    else:
        assert code == 1
        (line,) = (line for line in lines if line.startswith("error: "))
        assert f"rank 1 of 2 (process {run.helper}) was ended by SIGKILL; what is written stays" in line
    assert "Traceback" not in "".join(lines)
    again = act.Evaluate(bench.store, tmp_path / "run", GIVEN)
    assert fault("kill of one of several", again, whole) == "survived"
