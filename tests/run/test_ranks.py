"""Several processes make each file once, survive each other, and end together."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import re
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.run import ranks as module
from counterfoil.run.folder import Held, claim
from counterfoil.run.ranks import Helpers, Job, Ranks, device_of, divide, quiet, take_part, threads
from counterfoil.run.searching import Searching
from counterfoil.util.launched import ARRAY, Rank
from counterfoil.util.lock import locked
from tests.bench import Bench
from tests.run.test_evaluate import MEASURED, comparable


def jobs_in(folder: Path, number: int, seconds: float = 0.0, made: list[int] | None = None) -> list[Job]:
    def make(i: int) -> None:
        time.sleep(seconds)
        if made is not None:
            made.append(i)
        (folder / f"{i}.file").write_text("done")

    files = [folder / f"{i}.file" for i in range(number)]
    return [Job(file, file.is_file, partial(make, i)) for i, file in enumerate(files)]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_every_job_is_done_once_whoever_is_at_it(tmp_path: Path, size: int) -> None:
    made: list[int] = []
    ticks: list[list[int]] = [[] for _ in range(size)]

    def work(number: int) -> None:
        jobs = jobs_in(tmp_path, 12, 0.002, made)
        Ranks(Rank(number, size), leads=number == 0).share(jobs, ticks[number].append)

    others = [threading.Thread(target=work, args=(i,)) for i in range(size)]
    for thread in others:
        thread.start()
    for thread in others:
        thread.join(60)
    assert sorted(made) == list(range(12))
    assert sorted(ticks[0]) == list(range(12)), "the one that leads has seen all"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{i}.file" for i in range(12))


def test_each_begins_with_its_own_share(tmp_path: Path) -> None:
    made: list[int] = []
    Ranks(Rank(1, 3)).share(jobs_in(tmp_path, 7, made=made), lambda _: None)
    assert made == [1, 4, 0, 2, 3, 5, 6]


def test_a_helper_leaves_what_others_are_at_and_the_leader_takes_it_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "counterfoil")
    jobs = jobs_in(tmp_path, 2)
    with locked(tmp_path / ".0.lock"):
        Ranks(Rank(1, 2), leads=False).share(jobs, lambda _: None)
        assert [job.file.is_file() for job in jobs] == [False, True]
        leader = threading.Thread(target=lambda: Ranks(Rank(0, 2)).share(jobs, lambda _: None))
        leader.start()
        time.sleep(0.2)
        assert leader.is_alive()
    leader.join(60)
    assert jobs[0].file.is_file()
    assert any("0.file: the process that was at it is gone" in line for line in caplog.messages)


def test_a_leader_that_waits_looks_after_its_helpers(tmp_path: Path) -> None:
    asked: list[int] = []

    def check() -> None:
        asked.append(1)
        if len(asked) > 3:
            raise UserError("rank 1 is gone")

    with locked(tmp_path / ".0.lock"), pytest.raises(UserError, match="rank 1 is gone"):
        Ranks(Rank(0, 2), check=check).share(jobs_in(tmp_path, 1), lambda _: None)


def waits(file: Path) -> None:
    file.touch()
    time.sleep(60)


def fails(message: str) -> None:
    raise UserError(message)


def breaks() -> None:
    raise ZeroDivisionError("by hand")


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def returns() -> None:
    with quiet():
        logging.getLogger("counterfoil").info("nobody hears this")


@pytest.mark.parametrize(
    ("work", "says"),
    [
        (partial(fails, "n=0: expected more"), "has failed: n=0: expected more; what is written stays"),
        (breaks, "has failed: ZeroDivisionError: by hand; what is"),
        (dies, "was ended by SIGKILL; what is written stays, the same command goes on"),
    ],
)
def test_a_helper_that_is_gone_ends_all_in_one_line(
    tmp_path: Path, work: Callable[[], None], says: str, forked: None
) -> None:
    begun = time.monotonic()
    other = tmp_path / "other"
    with (
        pytest.raises(UserError, match=r"rank 2 of 3 \(process \d+\) " + says),
        Helpers({1: partial(waits, other), 2: work}, 3) as helpers,
    ):
        helpers.wait()
    assert time.monotonic() - begun < 30
    assert not multiprocessing.active_children()


def test_helpers_that_are_done_are_not_missed(forked: None) -> None:
    with Helpers({1: returns, 2: returns}, 3) as helpers:
        helpers.wait()
        helpers.check()


def starts_helper(file: Path) -> None:
    module.multiprocessing = Forking  # type: ignore[assignment]
    with Helpers({1: partial(notes_pid, file)}, 2):
        time.sleep(60)


def notes_pid(file: Path) -> None:
    file.with_suffix(".new").write_text(str(os.getpid()))
    file.with_suffix(".new").rename(file)
    time.sleep(60)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_helper_ends_with_the_process_that_started_it(tmp_path: Path, number: int) -> None:
    file = tmp_path / "pid"
    parent = multiprocessing.get_context("fork").Process(target=starts_helper, args=(file,))
    parent.start()
    until = time.monotonic() + 60
    while not file.is_file() and time.monotonic() < until:
        time.sleep(0.01)
    helper = int(file.read_text())
    os.kill(parent.pid or 0, number)
    parent.join(30)
    while alive(helper) and time.monotonic() < until:
        time.sleep(0.01)
    assert not alive(helper)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Forking:
    """Processes that have imported all: the real ones take seconds to start."""

    parent_process = staticmethod(multiprocessing.parent_process)

    @staticmethod
    def get_context(_: str) -> Any:
        return multiprocessing.get_context("fork")


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "multiprocessing", Forking)


def test_the_first_leads_and_a_late_one_of_the_same_start_finds_it_done(tmp_path: Path) -> None:
    first = Rank(1, 2, 0, ARRAY, "array 7")
    assert take_part(first, tmp_path, "a", lambda: {"led": 1}, lambda: None) == {"led": 1}
    with claim(tmp_path, "a", False) as claimed:
        claimed.open("array 7")
        (tmp_path / "metrics.json").write_text('{"methods": 1}')
    late = Rank(0, 2, 0, ARRAY, "array 7")
    assert take_part(late, tmp_path, "a", lambda: {"led": 2}, lambda: None) == {}
    anew = Rank(0, 2, 0, ARRAY, "array 8")
    assert take_part(anew, tmp_path, "a", lambda: {"led": 3}, lambda: None) == {"led": 3}


def held() -> dict[str, Any]:
    raise Held("in use")


def test_a_rank_helps_and_leads_only_where_the_leader_is_gone(tmp_path: Path) -> None:
    """What it helped at may be done, be the leader's to end, or be left to it."""
    rank, helped = Rank(1, 2, 1, "torchrun"), []
    with claim(tmp_path, "a", False) as claimed:
        claimed.open("")
        assert take_part(rank, tmp_path, "a", held, lambda: helped.append(1)) == {}
        assert take_part(rank, tmp_path, "a", lambda: {"led": 1}, lambda: helped.append(2)) == {"led": 1}
    assert helped == [1, 2]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.2)


def test_a_rank_does_not_wait_for_ever(tmp_path: Path, impatient: None) -> None:
    rank = Rank(1, 2, 1, "torchrun")
    with pytest.raises(UserError, match=r"rank 1 of 2: no process has begun in .* see what became of"):
        take_part(rank, tmp_path, "a", held, lambda: None)
    with claim(tmp_path, "a", False):
        (tmp_path / "metrics.json").write_text('{"methods": 1}')
    assert take_part(rank, tmp_path, "a", held, lambda: None) == {}


TORCHRUN = {"RANK": "1", "WORLD_SIZE": "3", "LOCAL_RANK": "1"}


def test_what_devices_means_beside_a_launcher() -> None:
    assert divide({}, 1, "cpu", stamped=True) == [Rank()]
    assert divide({}, 2, "cpu", stamped=True) == Rank().local_ranks(2)
    for devices in (1, 3):
        assert divide(TORCHRUN, devices, "cpu", stamped=False) == [Rank(1, 3, 1, "torchrun")]
    with pytest.raises(UserError, match="devices=2: torchrun has started 3 processes already"):
        divide(TORCHRUN, 2, "cpu", stamped=False)
    with pytest.raises(UserError, match="the 3 processes of torchrun need one folder; set run_dir="):
        divide(TORCHRUN, 1, "cpu", stamped=True)


def test_each_rank_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [device_of(rank, "auto", 2) for rank in Rank().local_ranks(2)] == ["cuda:0", "cuda:1"]
    assert device_of(Rank(), "auto") == "auto"
    assert device_of(Rank(1, 2, 1), "cpu") == "cpu"
    with pytest.raises(UserError, match=r"devices=3: this machine has 2 CUDA device\(s\); start 2 process"):
        divide({}, 3, "cuda", stamped=False)
    with pytest.raises(UserError, match="local rank 2 of torchrun: this machine has 2 CUDA"):
        device_of(Rank(2, 3, 2, "torchrun"), "auto")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert device_of(Rank(2, 3, 2, "srun"), "cuda") == "cuda:0", "srun shows each task its own"


def test_the_threads_are_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    with threads(None, 1) as each:
        assert each == torch.get_num_threads() == 1
    with threads(4, 3) as each:
        assert each == torch.get_num_threads() == 1
    with threads(4, 2) as each:
        assert each == torch.get_num_threads() == 2
    assert torch.get_num_threads() == 1


class Sending(Forking):
    """As `Forking`; what a helper is told is sent as to the real ones."""

    @staticmethod
    def get_context(_: str) -> Any:
        context = multiprocessing.get_context("fork")

        class Context:
            Pipe = staticmethod(context.Pipe)

            @staticmethod
            def Process(target: Any, args: Any, name: str) -> Any:
                work, told = args
                return context.Process(
                    target=target, args=(pickle.loads(pickle.dumps(work)), told), name=name
                )

        return Context


def explained(folder: Path) -> dict[str, bytes]:
    """What the batch files of a run hold, but cost."""
    found = {}
    for file in sorted((folder / "counterfactuals").glob("*/*")):
        cf = Counterfactuals.load(file)
        kept = (cf.factual, cf.counterfactual, cf.target, cf.query, cf.steps, cf.counterfactual_logits)
        found[f"{file.parent.name}/{file.name}"] = b"".join(part.numpy().tobytes() for part in kept)
    return found


def standing(summary: dict[str, Any]) -> dict[str, Any]:
    """Who leads in each metric but time and memory."""
    return {name: ranks for name, ranks in summary["standing"].items() if not name.startswith(MEASURED)}


@pytest.mark.parametrize("devices", [2, 3])
def test_several_processes_give_what_one_gives(
    devices: int,
    bench: Bench,
    finished: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "multiprocessing", Sending)
    found = bench.evaluate(tmp_path / "run", f"devices={devices}")
    assert explained(tmp_path / "run") == explained(finished[0])
    assert comparable(found) == comparable(finished[1])
    assert standing(found) == standing(finished[1])
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted(
        path.name for path in finished[0].iterdir()
    )


def test_one_process_goes_on_with_what_several_began_and_the_reverse(
    bench: Bench, finished: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "multiprocessing", Sending)
    for first, second in ((3, 1), (1, 2)):
        run = tmp_path / f"{first}"
        bench.evaluate(run, f"devices={first}")
        (run / "metrics.json").unlink()
        kept = run / "counterfactuals" / "wachter" / "batch-00001.safetensors"
        (run / "counterfactuals" / "wachter" / "batch-00000.safetensors").unlink()
        written = kept.stat().st_mtime_ns
        found = bench.evaluate(run, f"devices={second}")
        assert kept.stat().st_mtime_ns == written, "made anew, although it was there"
        assert comparable(found) == comparable(finished[1])


def test_ranks_of_a_launcher_meet_in_the_run_folder(
    bench: Bench, finished: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes while the first leads; a third, once all is done."""
    run = tmp_path / "run"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "7")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "0")
    others, own = [], []

    def first_batch(search: Any, file: Path, rows: Any) -> None:
        own.append(file)
        if not others:
            monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
            others.append(multiprocessing.get_context("fork").Process(target=bench.evaluate, args=(run,)))
            others[0].start()
            others[0].join(60)
        stored(search, file, rows)

    stored = Searching.store
    monkeypatch.setattr(Searching, "store", first_batch)
    found = bench.evaluate(run)
    assert others[0].exitcode == 0
    assert len(own) == 1, "the other made the rest meanwhile"
    assert comparable(found) == comparable(finished[1])
    assert bench.evaluate(run) == {}


@pytest.mark.parametrize(
    ("devices", "says"),
    [
        (3, "devices=3: there are 2 batches of at most 6 queries; start 2 or fewer, or lower batch_size="),
        (0, "devices=0: expected a whole number of at least 1"),
        ("two", "devices='two': expected a whole number"),
    ],
)
def test_a_number_of_processes_that_makes_no_sense(
    devices: Any, says: str, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused before any is started."""
    monkeypatch.setattr(module.Helpers, "__enter__", lambda _: pytest.fail("started"))
    with pytest.raises(UserError, match=re.escape(says)):
        bench.evaluate(tmp_path / "run", f"devices={devices}", "batch_size=6", "explainer=[nearest]")
    assert not (tmp_path / "run" / "run.json").exists()
