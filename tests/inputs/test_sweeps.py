"""Odd sweeps and launchers: each one line with what to install or set."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins

from counterfoil.core.errors import UserError
from counterfoil.run import ray_jobs
from counterfoil.sweep.plan import Plan
from counterfoil.sweep.tuner import STORAGE, Tuner
from tests.inputs.case import At, Case, cases, tells


def command(*overrides: str, without: str = "") -> Callable[[At], Any]:
    """An act: evaluate.py, perhaps as where a package or a plugin of Hydra is not installed."""

    def act(at: At) -> Any:
        patch = at.request.getfixturevalue("monkeypatch")
        Plugins.instance()  # which fill the store
        if without in ConfigStore.instance().repo["hydra"]["launcher"]:
            patch.delitem(ConfigStore.instance().repo["hydra"]["launcher"], without)
        elif without:
            found = importlib.util.find_spec
            patch.setattr(importlib.util, "find_spec", lambda name: None if name == without else found(name))
        code, _, error = at.script("evaluate", *overrides, "logger=none")
        lines = [line for line in error.splitlines() if line.startswith("error: ")]
        assert (code, len(lines)) == (1, 1), error
        assert "Traceback" not in error
        raise UserError(lines[0])

    return act


def shared(*overrides: str) -> Callable[[At], Any]:
    """An act: an evaluation by several processes."""
    return lambda at: at.bench.evaluate(at.folder / "run", "explainer=[nearest]", *overrides)


def space(text: str) -> Callable[[At], Any]:
    """An act: a sweep over a space of one's own."""
    return command("sweeper=optuna", f"+sweep.space={{{text}}}")


def answered(wait: float, probe: str) -> Callable[[At], Any]:
    """An act: an address of Ray, asked by a script in place of Ray's own."""

    def act(at: At) -> Any:
        at.request.getfixturevalue("monkeypatch").setattr(ray_jobs, "PROBE", probe)
        ray_jobs.answers("head:6379", wait)
        return "joined"

    return act


def stored(prepare: Callable[[Path], Any]) -> Callable[[At], Any]:
    """An act: a sweep in a folder that holds something in place of its storage."""

    def act(at: At) -> Any:
        prepare(at.folder / STORAGE)
        plan = Plan.of({"name": "toy", "space": {"a": [1, 2]}})
        Tuner(plan, at.folder, lambda tasks: pytest.fail("a job was run"), {"a": 1}, "settled").run()

    return act


def other_study(path: Path) -> None:
    study = optuna.create_study(storage=f"sqlite:///{path}", study_name="other")
    study.set_user_attr("identity", "another")


def other_tool(path: Path) -> None:
    optuna.create_study(storage=f"sqlite:///{path}", study_name="of somebody else's script")


@cases(
    Case("an option that is not there", space("explainer.revise.lrr: [1]"), says=("lrr", "steps, lr")),
    Case("an empty list", space("confidence: []"), says=("sweep.space.confidence=[]", "at least one value")),
    Case("no end", space("confidence: {low: 0.5}"), says=("sweep.space.confidence", "{low: A, high: B")),
    Case("ends turned round", space("confidence: {low: 0.9, high: 0.5}"), says=("low=0.9", "low below high")),
    Case("ends alike", space("confidence: {low: 0.9, high: 0.9}"), says=("low=0.9", "low below high")),
    Case("a text as an end", space("confidence: {low: a, high: 1}"), says=("low=a", "expected numbers")),
    Case("a logarithm of 0", space("confidence: {low: 0, high: 1, log: true}"), says=("no logarithm",)),
    Case("a step of 0", space("n: {low: 1, high: 9, step: 0}"), says=("step=0", "above 0")),
    Case("a step of text", space("n: {low: 1, high: 9, step: a}"), says=("step=a", "above 0")),
    Case("a step and a logarithm", space("n: {low: 1, high: 9, step: 2, log: true}"), says=("step=2", "log")),
    Case("no space", command("sweeper=optuna"), says=("sweep.space", "sweep=METHOD")),
    Case("no trials", command("sweep=revise", "sweep.trials=0"), says=("sweep.trials=0", "at least 1")),
    Case("half a trial", command("sweep=revise", "sweep.trials=1.5"), says=("sweep.trials=1.5", "whole")),
    Case("no such key", command("sweep=revise", "+sweep.trial=3"), says=("sweep.trial", "trials")),
    Case("no such sampler", command("sweep=revise", "sweep.sampler=cma"), says=("cma", "tpe, nsga2")),
    Case("no such space", command("sweep=progresive"), says=("sweep=progresive", "choose one of", "revise")),
    Case("no such sweeper", command("sweeper=optun"), says=("sweeper=optun", "did you mean optuna?")),
    Case("no such launcher", command("launcher=jobli"), says=("launcher=jobli", "joblib", "ray", "slurm")),
    Case(
        "a sweep without optuna",
        command("sweep=revise", without="optuna"),
        says=("needs the package optuna", "pip install 'counterfoil[sweep]'"),
    ),
    Case(
        "Ray without its package",
        command("-m", "launcher=ray", without="ray"),
        says=("launcher=ray needs the package ray", "pip install 'counterfoil[ray]'"),
    ),
    Case(
        "joblib without its package",
        command("-m", "launcher=joblib", without="joblib.yaml"),
        says=("hydra-joblib-launcher", "pip install 'counterfoil[launch]'"),
    ),
    Case(
        "submitit without its package",
        command("-m", "launcher=slurm", without="submitit_slurm.yaml"),
        says=("hydra-submitit-launcher", "pip install 'counterfoil[launch]'"),
    ),
    Case(
        "more processes than queries",
        shared("devices=3", "device=cpu", "batch_size=1", "n=2"),
        says=("devices=3", "there are 2 batches", "start 2 or fewer"),
    ),
    Case(
        "more processes than batches",
        shared("devices=2", "device=cpu", "batch_size=2", "n=2"),
        says=("devices=2", "there is 1 batch of at most 2 queries", "lower batch_size="),
    ),
    Case("no jobs at once", command("-m", "launcher=joblib", "jobs=0"), says=("jobs=0", "at least 1")),
    Case("jobs by name", command("-m", "launcher=joblib", "jobs=all"), says=("jobs=all", "at least 1")),
)
def test_commands(case: Case, at: At) -> None:
    case.settle(at)


@cases(
    Case("another sweep's", stored(other_study), says=(STORAGE, "another sweep", "run_dir=")),
    Case("another tool's", stored(other_tool), says=(STORAGE, "another sweep", "run_dir=")),
    Case("no SQLite file", stored(lambda path: path.write_text("trials")), says=("no storage", "run_dir=")),
    Case("a folder", stored(lambda path: path.mkdir()), says=(STORAGE, "no storage of a sweep", "run_dir=")),
    Case("half a file", stored(lambda path: halved(path)), says=(STORAGE, "no storage", "run_dir=")),
)
def test_storages(case: Case, at: At) -> None:
    case.settle(at)


def halved(path: Path) -> None:
    other_study(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


RAY = {"address": None, "jobs": 2, "threads": 1, "gpus": 0, "wait": 20}


def options(**given: Any) -> Callable[[At], Any]:
    """An act: the options of launcher=ray."""
    return lambda at: ray_jobs.options_of(RAY | given).address


@cases(
    Case(
        "an address that does not answer",
        answered(0.3, "import time; time.sleep(60)"),
        says=("hydra.launcher.address=head:6379", "within 0.3 seconds", "`ray start --head`"),
    ),
    Case(
        "an address of something else",
        answered(60, "raise SystemExit('no such cluster')"),
        says=("hydra.launcher.address=head:6379", "(no such cluster)", "leave the address out"),
    ),
    Case("an address that answers", answered(60, ""), right="joined"),
    Case("an address of Ray's client", options(address="ray://head:10001"), says=("ray://", "HOST:PORT")),
    Case("no wait", options(wait=0), says=("hydra.launcher.wait=0", "above 0")),
    Case("no jobs", options(jobs=0), says=("hydra.launcher.jobs=0", "at least 1")),
    Case("fewer than no GPUs", options(gpus=-1), says=("hydra.launcher.gpus=-1", "at least 0")),
    Case("one and a half GPUs", options(gpus=1.5), says=("hydra.launcher.gpus=1.5", "whole")),
    Case("no address", options(), right=None),
    Case("an address", options(address="head:6379"), right="head:6379"),
)
def test_ray(case: Case, at: At) -> None:
    case.settle(at)


def test_a_line_is_one(at: At) -> None:
    with pytest.raises(UserError) as refusal:
        options(address="ray://head:10001")(at)
    tells(str(refusal.value), ["given on a machine of the cluster"])
