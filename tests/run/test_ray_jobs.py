"""Jobs as tasks of Ray: what is done around them, with a stand-in for Ray; its own runtime once."""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import OmegaConf

from counterfoil.core.errors import UserError
from counterfoil.run import ray_jobs
from counterfoil.run.ray_jobs import Multirun, Options, connect, execute, launch
from counterfoil.util.cli import explain_error
from hydra_plugins.counterfoil_launcher import RayLauncher

INSTALLED = pytest.mark.skipif(find_spec("ray") is None, reason="needs pip install 'counterfoil[ray]'")


class Lost(Exception):
    """As Ray's errors: of a process that is gone, or with the cause in another one."""


class Stub(ModuleType):
    """Stands for Ray: tasks begin when they are asked for, and end last come first."""

    exceptions = SimpleNamespace(RayError=Lost)

    def __init__(self, outcomes: list[Any]) -> None:
        super().__init__("ray")
        self.outcomes, self.most, self.reserved, self.started = outcomes, 0, {}, []

    def is_initialized(self) -> bool:
        return True

    def put(self, value: Any) -> Any:
        return value

    def remote(self, **reserved: Any) -> Any:
        self.reserved = reserved
        return lambda _: SimpleNamespace(remote=self.start)

    def start(self, number: int, overrides: list[str], _shared: Any) -> int:
        self.started.append((number, overrides))
        return len(self.started) - 1

    def wait(self, running: list[int], num_returns: int) -> tuple[list[int], list[int]]:
        assert num_returns == 1
        self.most = max(self.most, len(running))
        return running[-1:], running[:-1]

    def get(self, reference: int) -> Any:
        found = self.outcomes[reference]
        if isinstance(found, Exception):
            raise found
        return found


def launched(monkeypatch: pytest.MonkeyPatch, outcomes: list[Any], **options: Any) -> tuple[list[Any], Stub]:
    stub = Stub(outcomes)
    monkeypatch.setitem(sys.modules, "ray", stub)
    multirun = Multirun(None, None, None)  # type: ignore[arg-type]
    batch = [[f"seed={place}"] for place in range(len(outcomes))]
    return launch(multirun, Options(**options), batch, 7), stub


def done(value: int) -> JobReturn:
    found = JobReturn(status=JobStatus.COMPLETED)
    found.return_value = value
    return found


@pytest.mark.parametrize("began", [False, True])
def test_a_refused_launch_leaves_nothing_behind(
    began: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise UserError("no Ray cluster has answered")

    monkeypatch.setitem(sys.modules, "ray", Stub([]))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: True)
    monkeypatch.setattr(ray_jobs, "launch", refused)
    run = tmp_path / "run"
    run.mkdir()
    (run / "multirun.yaml").touch()
    if began:  # by an earlier command
        (run / "0").mkdir()
    launcher = RayLauncher()
    config = OmegaConf.create({"hydra": {"sweep": {"dir": str(run)}}})
    launcher.setup(hydra_context=None, task_function=None, config=config)  # type: ignore[arg-type]
    launcher.task = lambda _: None
    with pytest.raises(UserError, match="no Ray cluster"):
        launcher.launch([["seed=0"]], 0)
    assert run.exists() == (run / "multirun.yaml").exists() == began


def test_jobs_keep_their_order_and_no_more_run_at_once_than_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found, stub = launched(monkeypatch, [done(place) for place in range(5)], jobs=2)
    assert [job.return_value for job in found] == [0, 1, 2, 3, 4]
    assert stub.most == 2
    assert stub.started[0] == (7, ["seed=0"])
    assert stub.reserved == {"num_cpus": 1, "num_gpus": 0}


def test_a_cluster_reserves_what_a_job_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    _, stub = launched(monkeypatch, [done(0)], address="head:6379", threads=8, gpus=0.5)
    assert stub.reserved == {"num_cpus": 8, "num_gpus": 0.5}


def test_a_job_that_is_lost_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = type("WorkerCrashedError", (Lost,), {})("The worker died.\nMore")
    refused = Lost("a traceback of many lines")
    refused.cause = UserError("no folder")  # type: ignore[attr-defined]
    found, _ = launched(monkeypatch, [gone, done(1), refused])
    assert found[1].return_value == 1
    with pytest.raises(Lost) as raised:
        _ = found[0].return_value
    assert "a job's process has ended (The worker died.)" in str(explain_error(raised.value))
    with pytest.raises(UserError, match=r"^no folder$"):
        _ = found[2].return_value


def test_a_machine_without_the_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no folder .*; the machines of a cluster need one file system"):
        execute(0, [], [None, None, str(tmp_path / "away"), None])


def test_an_address_is_asked_before_it_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    stub, asked = Stub([]), []
    monkeypatch.setitem(sys.modules, "ray", stub)
    monkeypatch.setattr(Stub, "is_initialized", lambda self: False)
    monkeypatch.setattr(stub, "init", lambda address, **_: asked.append(address), raising=False)
    monkeypatch.setattr(ray_jobs, "answers", lambda address, wait: asked.append(wait))
    connect(Options("head:6379", wait=3))
    assert asked == [3, "head:6379"]
    connect(Options())
    assert asked[2:] == ["local"]


@INSTALLED
@pytest.mark.slow
def test_a_runtime_of_this_machine_sends_nothing() -> None:
    import ray

    handler = signal.getsignal(signal.SIGTERM)
    try:
        connect(Options(jobs=1))
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
        assert ray.cluster_resources()["CPU"] == 1
    finally:
        ray.shutdown()
        signal.signal(signal.SIGTERM, handler)
