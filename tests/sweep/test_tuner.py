"""A sweep reaches its total whatever happens to it, and tests its winner once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from counterfoil.core.errors import CounterfoilWarning, UserError
from counterfoil.report.jobs import Job
from counterfoil.sweep.plan import Plan
from counterfoil.sweep.tuner import ERRORS, Task, Tuner, choose
from tests.sweep.conftest import OPTIONS, Bench

Node = Callable[..., dict[str, Any]]
DEFAULTS = dict(zip(OPTIONS, (0.5, 0.5), strict=True))


def tuner(jobs: Bench, node: dict[str, Any], settled: Any = "as it was") -> Tuner:
    return Tuner(Plan.of(node), jobs.folder, jobs, DEFAULTS, settled)


def test_the_total_counts_the_default_and_ends_with_a_test(toy_jobs: Bench, node: Node) -> None:
    study = tuner(toy_jobs, node()).run()
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 8
    assert toy_jobs.ran == [
        "default",
        *map(str, range(1, 8)),
        "test-default",
        f"test-{study.user_attrs['winner']}",
    ]
    winner = study.trials[study.user_attrs["winner"]]
    judge, l1 = winner.values
    assert judge >= 0.5
    assert l1 <= 0.75
    assert winner.constraints == {"validity": pytest.approx(-0.01)}


@pytest.mark.parametrize("cut", ["1", "6"])
def test_a_killed_sweep_goes_on_to_its_total_with_no_trial_lost_or_doubled(
    cut: str, toy_jobs: Bench, node: Node
) -> None:
    toy_jobs.killed = {cut}
    with pytest.raises(KeyboardInterrupt):
        tuner(toy_jobs, node()).run()
    study = tuner(toy_jobs, node()).run()
    assert [trial.number for trial in study.trials if trial.state == TrialState.COMPLETE] == list(range(8))
    assert [ran for ran in toy_jobs.ran if ran.isdigit()] == list(map(str, range(1, 8)))
    assert len({str(trial.params) for trial in study.trials}) == 8
    more = tuner(toy_jobs, node(trials=10)).run()
    assert len(more.trials) == 10
    assert len({str(trial.params) for trial in more.trials}) == 10


def test_two_at_once(toy_jobs: Bench, node: Node) -> None:
    study = tuner(toy_jobs, node(parallel=2, sampler="nsga2")).run()
    assert len(study.trials) == 8


def test_a_grid_ends_with_its_last_point(toy_jobs: Bench, node: Node) -> None:
    study = tuner(toy_jobs, node(sampler="grid", points=2, trials=99)).run()
    tried = {tuple(trial.params.values()) for trial in study.trials if trial.number}
    assert tried == {(0.0, 0.001), (0.0, 1.0), (1.0, 0.001), (1.0, 1.0)}


@pytest.mark.parametrize("parallel", [3, 4, 6])
def test_a_grid_in_batches_takes_every_point_once(parallel: int, toy_jobs: Bench, node: Node) -> None:
    study = tuner(toy_jobs, node(sampler="grid", points=3, trials=99, parallel=parallel)).run()
    tried = [tuple(trial.params.values()) for trial in study.trials if trial.number]
    assert len(tried) == len(set(tried)) == 9


def test_a_grid_goes_on_with_the_points_that_are_left_under_another_seed(toy_jobs: Bench, node: Node) -> None:
    tuner(toy_jobs, node(sampler="grid", points=3, trials=5)).run()
    study = tuner(toy_jobs, node(sampler="grid", points=3, trials=99, seed=7)).run()
    tried = [tuple(trial.params.values()) for trial in study.trials if trial.number]
    assert len(tried) == len(set(tried)) == 9


def test_a_trial_left_open_between_two_options_gets_all_of_them(toy_jobs: Bench, node: Node) -> None:
    study = tuner(toy_jobs, node(trials=2)).run()
    half = study.ask()
    half._suggest(OPTIONS[0], tuner(toy_jobs, node()).space[OPTIONS[0]])
    study = tuner(toy_jobs, node(trials=4)).run()
    assert len(study.trials) == 4
    assert all(set(trial.params) == set(OPTIONS) for trial in study.trials)
    assert study.trials[half.number].params[OPTIONS[0]] == half.params[OPTIONS[0]]


def test_a_default_without_figures_is_no_trial_with_the_best_of_them(tmp_path: Path, node: Node) -> None:
    class Failing(Bench):
        def _one(self, task: Task) -> Job | str:
            job = super()._one(task)
            if isinstance(job, Job) and task.folder == "default":
                job.methods["toy"]["l1"] = replace(job.methods["toy"]["l1"], value=None)
            return job

    study = tuner(Failing(tmp_path), node(objectives=["l1"], constraints={}, trials=3)).run()
    assert [trial.user_attrs["folder"] for trial in study.trials] == ["0", "1", "2"]
    assert all(trial.values[0] > 0 for trial in study.trials)


def test_a_trial_without_figures_is_not_tried_again(tmp_path: Path, node: Node) -> None:
    class Empty(Bench):
        def _one(self, task: Task) -> Job | str:
            job = super()._one(task)
            if isinstance(job, Job) and task.folder == "2":
                job.methods["toy"]["l1"] = replace(job.methods["toy"]["l1"], value=None)
            return job

    study = tuner(Empty(tmp_path), node(trials=4)).run()
    assert [trial.number for trial in study.trials if trial.state == TrialState.PRUNED] == [2]
    assert len(tuner(Empty(tmp_path), node(trials=4)).run().trials) == 4


def test_an_objective_that_is_not_to_be_ranked_is_warned_of(tmp_path: Path, node: Node) -> None:
    class Doubted(Bench):
        def _one(self, task: Task) -> Job | str:
            job = super()._one(task)
            if isinstance(job, Job):
                row = job.methods["toy"]
                row["judge_agreement"] = replace(row["judge_agreement"], doubt="no better than chance")
            return job

    with pytest.warns(CounterfoilWarning, match=r"judge_agreement is not to be ranked \(no better than"):
        tuner(Doubted(tmp_path), node(trials=2)).run()


def test_another_sweep_is_refused_before_its_default_is_run(toy_jobs: Bench, node: Node) -> None:
    tuner(toy_jobs, node()).run()
    ran = list(toy_jobs.ran)
    with pytest.raises(UserError, match="holds the trials of another sweep"):
        tuner(toy_jobs, node(name="toy 2"), "another classifier").run()
    assert toy_jobs.ran == ran


def test_a_slice_that_breaks_a_constraint_ends_a_trial(toy_jobs: Bench, node: Node) -> None:
    low = node(first=3, trials=6, sampler="random")
    low["space"][OPTIONS[0]] = {"low": 0.0, "high": 0.05}
    study = tuner(toy_jobs, low).run()
    assert [trial.state for trial in study.trials] == [TrialState.PRUNED] * 6
    assert "winner" not in study.user_attrs
    assert [ran for ran in toy_jobs.ran if ran.isdigit()] == []


def test_a_slice_that_is_surely_worse_than_another_ends_a_trial(toy_jobs: Bench, node: Node) -> None:
    study = tuner(toy_jobs, node(first=3, trials=14, sampler="random")).run()
    ends = [trial.state for trial in study.trials]
    assert ends.count(TrialState.PRUNED) > 0
    done = [trial.values for trial in study.trials if trial.state == TrialState.COMPLETE]
    for trial in study.trials:
        if trial.state == TrialState.PRUNED and trial.params[OPTIONS[0]] > 0.1:
            pull, rate = (trial.params[option] for option in OPTIONS)
            assert any(pull < judge and pull**2 + rate > l1 for judge, l1 in done)


def test_a_trial_that_fails_counts_and_is_no_winner(toy_jobs: Bench, node: Node) -> None:
    toy_jobs.broken = {"3"}
    study = tuner(toy_jobs, node()).run()
    assert [trial.number for trial in study.trials if trial.state == TrialState.FAIL] == [3]
    assert len(study.trials) == 8


@pytest.mark.parametrize("options", [{}, {"sampler": "grid", "points": 3, "trials": 99}])
def test_what_failed_is_tried_again_by_the_next_command(
    options: dict[str, Any], toy_jobs: Bench, node: Node
) -> None:
    toy_jobs.broken = set(map(str, range(3, 99)))  # as if the disk had filled up
    before = tuner(toy_jobs, node(**options)).run()
    total = len(before.trials)
    failed = [trial.params for trial in before.trials if trial.state == TrialState.FAIL]
    assert len(failed) == total - 3
    toy_jobs.broken = set()
    after = tuner(toy_jobs, node(**options)).run()
    done = [trial for trial in after.trials if trial.state == TrialState.COMPLETE]
    assert len(done) == total
    assert [trial.params for trial in done[3:]] == failed
    assert len(tuner(toy_jobs, node(**options)).run().trials) == len(after.trials)


def test_a_storage_serves_one_sweep(toy_jobs: Bench, node: Node) -> None:
    tuner(toy_jobs, node()).run()
    with pytest.raises(UserError, match="holds the trials of another sweep"):
        tuner(toy_jobs, node(), "another classifier").run()


def test_a_file_that_is_no_storage_is_named(toy_jobs: Bench, node: Node, tmp_path: Path) -> None:
    (tmp_path / "sweep.db").write_text("not a database, but long enough to be taken for one" * 9)
    with pytest.raises(UserError, match=r"sweep\.db is no storage of a sweep"):
        tuner(toy_jobs, node()).run()


@pytest.mark.parametrize(
    ("options", "says"),
    [({"objectives": ["fid"]}, "fid is not measured"), ({"constraints": {"im1": 1}}, "im1 is not measured")],
)
def test_a_metric_that_is_not_measured_is_named(
    options: dict[str, Any], says: str, toy_jobs: Bench, node: Node
) -> None:
    with pytest.raises(UserError, match=says):
        tuner(toy_jobs, node(**options)).run()


@pytest.mark.parametrize(
    ("error", "wins"),
    [(0.0, 0), (0.004, 0), (0.013, 2), (0.2, 1)],
)
def test_of_trials_not_told_from_the_best_the_one_that_changes_least_wins(error: float, wins: int) -> None:
    """The last one is the best in the first objective, but is not as good as the default in the second."""
    study = optuna.create_study(directions=["maximize", "minimize"])
    for judge, l1 in ((0.99, 0.088), (0.9, 0.055), (0.98, 0.065), (0.985, 0.08), (1.0, 0.1)):
        study.add_trial(optuna.trial.create_trial(values=[judge, l1], user_attrs={ERRORS: [error, 0.0]}))
    found = choose(study, [0.99, 0.088])
    assert found is not None
    assert found.number == wins
