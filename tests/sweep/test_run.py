"""A sweep by its command, on small models."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from omegaconf import OmegaConf

from counterfoil.core.errors import UserError
from counterfoil.run.config import RunConfig
from counterfoil.sweep.plan import Plan
from counterfoil.sweep.run import default_of, plan_of, settled
from counterfoil.sweep.space import contains, grid_of
from counterfoil.util.build import locate
from tests.bench import Bench
from tests.conftest import ROOT, Compose

Script = Callable[..., tuple[int, str, str]]
SWEEPS = sorted(path.stem for path in (ROOT / "conf" / "sweep").glob("*.yaml"))


@pytest.mark.parametrize("method", SWEEPS)
def test_every_space_names_options_of_its_method(method: str, compose: Compose) -> None:
    config, _ = compose("evaluate", f"sweep={method}")
    assert list(config.explainer) == [method]
    plan = Plan.of(OmegaConf.to_container(config.sweep, resolve=True))  # type: ignore[arg-type]
    assert plan.name == method
    RunConfig.of(config)
    signature = inspect.signature(locate(config.explainer[method]._target_, "explainer")).parameters
    for option, distribution in plan.space.items():
        default_of(config, option)
        assert option == "confidence" or option.rpartition(".")[2] in signature
        some = grid_of({option: distribution}, 3)[option]
        assert all(contains(distribution, value) for value in some)


def test_an_option_that_is_not_there_is_named_with_its_neighbours() -> None:
    config = OmegaConf.create({"explainer": {"toy": {"pull": 1.0, "rate": [1, 2]}}})
    assert default_of(config, "explainer.toy.rate") == [1, 2]
    with pytest.raises(UserError, match=r"there is no option explainer\.toy\.pul; beside it .*: pull, rate"):
        default_of(config, "explainer.toy.pul")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("queries=mine.csv", "queries=mine.csv: a sweep tries options on validation images"),
        ("counterfactuals=old", "counterfactuals=old: a sweep tries options on validation images"),
        ("split=test", "split=test: a sweep reads validation images; leave split= out"),
        ("overwrite=true", "overwrite=true: a sweep goes on with its trials; for a new one choose run_dir="),
    ],
)
def test_what_would_mix_trials_and_test_is_refused(given: str, says: str, script: Script) -> None:
    code, _, error = script("evaluate", "sweep=revise", given)
    assert code == 1
    assert f"error: {says}" in error


def test_a_sweep_without_its_package_says_what_to_install(
    script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, error = script("evaluate", "sweep=revise")
    assert code == 1
    assert "error: a sweep needs the package optuna: pip install 'counterfoil[sweep]'" in error


@pytest.mark.parametrize(
    ("given", "parallel", "first"),
    [
        ((), 1, 40),
        (("n=160",), 1, 40),
        (("n=159",), 1, 0),
        (("launcher=joblib", "jobs=4"), 4, 40),
        (("launcher=slurm",), 5, 40),
        (("launcher=slurm", "sweeper=grid"), 64, 0),
        (("launcher=joblib", "sweep.parallel=3"), 3, 40),
    ],
)
def test_the_launcher_tells_how_many_trials_run_at_once(
    given: tuple[str, ...], parallel: int, first: int, compose: Compose
) -> None:
    config, _ = compose("evaluate", "sweep=revise", *given)
    plan = plan_of(config)
    assert (plan.parallel, plan.first) == (parallel, first)


def test_a_space_of_ones_own_needs_no_name(compose: Compose) -> None:
    config, _ = compose("evaluate", "sweeper=optuna", "+sweep.space={confidence: [0.9, 0.95]}")
    assert (config.run_dir, config.study.name) == ("runs/sweep_options", "sweep_options")


def test_what_is_settled_leaves_out_the_options_varied(compose: Compose) -> None:
    config, _ = compose("evaluate", "sweep=revise", "sweep.trials=9")
    varied = {"explainer.revise.lr": 0.1, "confidence": 0.9}
    found = settled(config, varied)
    assert "lr" not in found["explainer"]["revise"]
    assert "confidence" not in found
    assert found["explainer"]["revise"]["steps"] == 200
    other, _ = compose("evaluate", "sweep=revise", "explainer.revise.steps=10")
    assert settled(other, varied) != found
    for same in ("explainer.revise.lr=0.7", "~again"):  # one varied, one that older storages do not know
        assert settled(compose("evaluate", "sweep=revise", same)[0], varied) == found


def test_one_command_sweeps_and_the_same_command_goes_on(script: Script, bench: Bench) -> None:
    given = (
        "sweep=revise",
        "sweep.first=0",
        "sweep.constraints.validity=0.0",
        "sweep.space={explainer.revise.lr: {low: 0.05, high: 0.5}}",
        "metric=[validity,judge_agreement,l1]",
        "explainer.revise.steps=3",
        "explainer.revise.rounds=1",
        "n=4",
        "logger=none",
        f"store={bench.store}",
        *bench.models,
    )
    code, _, error = script("evaluate", *given, "sweep.trials=2")
    assert code == 0, error
    run = Path("runs/sweep_revise")
    study = json.loads((run / "study.json").read_text())
    jobs = {job["job"] for job in study["jobs"]}
    assert {"1", "default", "test-default"} <= jobs <= {"1", "default", "test-default", "test-1"}
    tested = study["views"]["trials"]["tables"]["test"]["rows"]
    assert next(iter(tested)) == "default"
    assert len(tested) == (3 if "test-1" in jobs else 1)
    for job in jobs:
        split = json.loads((run / job / "metrics.json").read_text())["config"]["split"]
        assert split == ("test" if job.startswith("test-") else "val")
    page = (run / "report.html").read_text()
    assert 'href="1/report.html"' in page
    before = (run / "1" / "metrics.json").stat().st_mtime_ns
    code, out, error = script("evaluate", *given, "sweep.trials=3")
    assert code == 0, error
    kept = optuna.load_study(storage=f"sqlite:///{run / 'sweep.db'}", study_name="revise")
    assert len(kept.trials) == 3
    assert "job default is finished, skipped" in out
    assert (run / "1" / "metrics.json").stat().st_mtime_ns == before
    jobs = {job["job"] for job in json.loads((run / "study.json").read_text())["jobs"]}
    assert {"1", "2", "default", "test-default"} <= jobs
