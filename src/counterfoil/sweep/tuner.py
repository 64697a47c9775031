"""Asks Optuna for options, has them evaluated, and tells it what came of them."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler, GridSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import StudyDirection, StudySummary
from optuna.trial import FrozenTrial, TrialState

from counterfoil.core.entry import Entry
from counterfoil.core.errors import CounterfoilWarning, UserError, first_line
from counterfoil.report.jobs import Job
from counterfoil.sweep.plan import Plan
from counterfoil.sweep.space import contains, grid_of

LOG = logging.getLogger(__name__)
DEFAULT, TEST, STORAGE = "default", "test-", "sweep.db"
RETRY = "retry_of"
"""What a trial notes that has the options of one that failed: the number of that one."""
ERRORS = "standard_errors"
"""What a trial notes of its objectives."""
ENDS = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Task:
    """An evaluation to run: its folder below the sweep's, the options' values, and further overrides."""

    folder: str
    values: Mapping[str, Any]
    further: Sequence[str] = field(default_factory=list)


Launch = Callable[[Sequence[Task]], Sequence[Job | str]]
"""Runs tasks, those that are finished excepted; the job of each, of one that failed its error."""


class Tuner:
    """One sweep: trials on validation queries up to a total, then the winner and the default on test queries.

    Every trial is kept in an SQLite file the moment it begins. One that a kill left open is taken up again
    with its number and its folder, so that none is lost or counted twice. One that failed, perhaps as the
    disk was full, is tried again by the next command.

    Args:
        plan: what is varied, and how.
        folder: of the sweep.
        launch: runs evaluations.
        defaults: the value that each option has without the sweep.
        settled: everything else that decides a trial's figures; a storage serves one such value alone.
    """

    def __init__(
        self, plan: Plan, folder: Path, launch: Launch, defaults: Mapping[str, Any], settled: Any
    ) -> None:
        self.plan, self.folder, self.launch, self.defaults = plan, folder, launch, dict(defaults)
        self.identity = plan.identity(settled)
        self.space = dict(plan.space)

    def run(self) -> optuna.Study:
        """Run what is left of the sweep; returns all of it."""
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._refuse_other()
        default = self._default()
        study = self._study(default)
        while batch := self._next(study):
            self._settle(study, batch)
        self._conclude(study, default)
        return study

    def _default(self) -> Job:
        """The method as it is, on validation queries: the floor of the sweep; declares the directions."""
        (job,) = self.launch([Task(DEFAULT, {})])
        if isinstance(job, str):
            raise UserError(f"sweep: the evaluation of the default options failed: {job}")
        self._directions(job)
        for name, entry in measured(job, self.plan.objectives).items():
            if entry.doubt:
                warnings.warn(
                    f"sweep.objectives: {name} is not to be ranked ({entry.doubt}), and nor are the trials; "
                    "mend that first, or choose other objectives",
                    CounterfoilWarning,
                    stacklevel=2,
                )
        return job

    def _directions(self, job: Job) -> list[StudyDirection]:
        found = measured(job, [*self.plan.objectives, *self.plan.constraints])
        for name, entry in found.items():
            if entry.higher_is_better is None:
                raise UserError(f"sweep: {name} has no better direction; choose another objective")
        return [
            StudyDirection.MAXIMIZE if found[name].higher_is_better else StudyDirection.MINIMIZE
            for name in self.plan.objectives
        ]

    def _refuse_other(self) -> None:
        """Refuse the storage of another sweep, before anything is run or replaced beside it."""
        path = self.folder / STORAGE
        if not path.exists():
            return
        try:
            found = optuna.get_all_study_summaries(f"sqlite:///{path}", include_best_trial=False)
        except Exception as error:
            raise UserError(
                f"{path} is no storage of a sweep ({first_line(error)}); move it, or choose another run_dir="
            ) from error
        if not all(self._is_own(held) for held in found):
            raise UserError(
                f"{path} holds the trials of another sweep (space, objectives, data or models differ); "
                "choose another run_dir="
            )

    def _is_own(self, held: StudySummary) -> bool:
        """Whether a study in the storage is this sweep's; a kill may come before its identity is noted."""
        begun = held.study_name == self.plan.name and held.n_trials == 0
        known = held.user_attrs.get("identity")
        return begun if known is None else known == self.identity

    def _study(self, default: Job) -> optuna.Study:
        self.folder.mkdir(parents=True, exist_ok=True)
        study = optuna.create_study(
            storage=f"sqlite:///{self.folder / STORAGE}",
            study_name=self.plan.name,
            directions=self._directions(default),
            load_if_exists=True,
        )
        study.set_user_attr("identity", self.identity)
        study.set_user_attr("objectives", list(self.plan.objectives))
        known = all(entry.value is not None for entry in measured(default, self.plan.objectives).values())
        inside = all(contains(self.space[name], value) for name, value in self.defaults.items())
        if known and inside and not study.trials:
            study.add_trial(self._known(default))
        study.sampler = self._sampler(study)
        again = _retried(study)
        for trial in study.trials:
            if trial.state == TrialState.FAIL and trial.number not in again:
                study.enqueue_trial(trial.params, user_attrs={RETRY: trial.number})
        return study

    def _known(self, default: Job) -> FrozenTrial:
        entries = measured(default, self.plan.objectives)
        trial = optuna.trial.create_trial(
            params=self.defaults,
            distributions=self.space,
            values=[float(entry.value) for entry in entries.values() if entry.value is not None],
            user_attrs={"folder": DEFAULT, ERRORS: [_error(entry) for entry in entries.values()]},
        )
        for name, violation in self._violations(default).items():
            trial.set_constraint(name, violation)
        return trial

    def _sampler(self, study: optuna.Study) -> BaseSampler:
        """The sampler; a seed that repeats would repeat the trials of the command before.

        Points of a grid are known by their place in its shuffled order, so that order is always the same.
        """
        seed = self.plan.seed + len(study.get_trials(deepcopy=False))
        match self.plan.sampler:
            case "tpe":
                return TPESampler(seed=seed, n_startup_trials=min(10, self.plan.trials // 2))
            case "nsga2":
                return NSGAIISampler(seed=seed)
            case "grid":
                return _Grid(grid_of(self.space, self.plan.points), seed=0)
        return RandomSampler(seed=seed)

    def _next(self, study: optuna.Study) -> list[optuna.Trial]:
        """Trials that an earlier command left open, then new ones, up to the total."""
        trials = study.get_trials(deepcopy=False)
        opened = [trial for trial in trials if trial.state == TrialState.RUNNING]
        again = _retried(study)
        room = self.plan.trials - sum(trial.state in ENDS and trial.number not in again for trial in trials)
        size = max(0, min(self.plan.parallel or 1, room))
        batch = [self._reopened(study, trial) for trial in opened[:size]]
        while len(batch) < size and _points_left(study):
            batch.append(study.ask(self.space))
        return batch

    def _reopened(self, study: optuna.Study, trial: FrozenTrial) -> optuna.Trial:
        """A trial that was left open, with a value for every option: a kill may come between two of them."""
        taken = optuna.Trial(study, trial._trial_id)
        for option, distribution in self.space.items():
            taken._suggest(option, distribution)
        return taken

    def _settle(self, study: optuna.Study, batch: Sequence[optuna.Trial]) -> None:
        """Evaluate trials and tell what came of them: pruned on a slice, complete, or failed."""
        left = self._after_slice(study, batch) if self.plan.first else list(batch)
        jobs = self.launch([Task(str(trial.number), trial.params) for trial in left])
        for trial, job in zip(left, jobs, strict=True):
            if isinstance(job, str):
                study.tell(trial.number, state=TrialState.FAIL)
                LOG.info("trial %d failed: %s", trial.number, job)
                continue
            entries = measured(job, self.plan.objectives)
            values = [entry.value for entry in entries.values()]
            if None in values:
                study.tell(trial.number, state=TrialState.PRUNED)  # it would have none if tried again
                LOG.info("trial %d has no figures: %s", trial.number, told(entries))
                continue
            trial.set_user_attr("folder", str(trial.number))
            trial.set_user_attr(ERRORS, [_error(entry) for entry in entries.values()])
            for name, violation in self._violations(job).items():
                trial.set_constraint(name, violation)
            study.tell(trial.number, [float(value) for value in values if value is not None])
            ended = sum(other.state in ENDS for other in study.get_trials(deepcopy=False))
            LOG.info("trial %d (%d of %d): %s", trial.number, ended, self.plan.trials, told(entries))

    def _after_slice(self, study: optuna.Study, batch: Sequence[optuna.Trial]) -> list[optuna.Trial]:
        """The trials that the first queries leave in the race."""
        few = [f"n={self.plan.first}"]
        jobs = self.launch([Task(f"first/{trial.number}", trial.params, few) for trial in batch])
        kept = []
        for trial, job in zip(batch, jobs, strict=True):
            if isinstance(job, str):
                study.tell(trial.number, state=TrialState.FAIL)
                LOG.info("trial %d failed: %s", trial.number, job)
            elif self._hopeless(study, trial, job):
                study.tell(trial.number, state=TrialState.PRUNED)
                LOG.info("trial %d is left after %d queries", trial.number, self.plan.first)
            else:
                kept.append(trial)
        return kept

    def _hopeless(self, study: optuna.Study, trial: optuna.Trial, job: Job) -> bool:
        """Whether a slice breaks a constraint, or is worse than a trial's slice in all objectives, surely."""
        entries = measured(job, self.plan.objectives)
        trial.set_user_attr("slice", {name: _bounds(entry) for name, entry in entries.items()})
        limits = measured(job, self.plan.constraints)
        if any(_surely_breaks(entry, self.plan.constraints[name]) for name, entry in limits.items()):
            return True
        done = [other for other in study.trials if other.state == TrialState.COMPLETE]
        others = [other.user_attrs.get("slice") for other in done]
        return any(
            all(_surely_worse(entry, other[name]) for name, entry in entries.items())
            for other in others
            if other
        )

    def _violations(self, job: Job) -> dict[str, float]:
        entries = measured(job, self.plan.constraints)
        return {name: _violation(entry, self.plan.constraints[name]) for name, entry in entries.items()}

    def _conclude(self, study: optuna.Study, default: Job) -> None:
        """The winner and the default, once, on test queries."""
        winner = choose(study, [measured(default, [name])[name].value for name in self.plan.objectives])
        if winner is None:
            LOG.info("no trial keeps the constraints; there is no winner")
            return
        study.set_user_attr("winner", winner.number)
        tests: dict[str, Mapping[str, Any]] = {DEFAULT: {}}
        if winner.user_attrs["folder"] == DEFAULT:
            LOG.info("no trial came out better than the default options")
        else:  # another winner has another folder
            tests[str(winner.number)] = winner.params
        self.launch([Task(TEST + name, values, ["split=test"]) for name, values in tests.items()])


class _Grid(GridSampler):
    """A grid that says nothing when its last point is told: the tuner asks whether one is left."""

    def after_trial(self, *_: Any, **__: Any) -> None:
        return

    def left(self, study: optuna.Study) -> bool:
        """Whether a point was not begun yet; one that runs would be drawn a second time after these."""
        begun = {
            trial.system_attrs["grid_id"]
            for trial in study.get_trials(deepcopy=False)
            if self._same_search_space(trial.system_attrs.get("search_space", {}))
        }
        return len(begun) < self._n_min_trials


def _points_left(study: optuna.Study) -> bool:
    waiting = study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
    return not isinstance(study.sampler, _Grid) or bool(waiting) or study.sampler.left(study)


def _retried(study: optuna.Study) -> set[int]:
    """The numbers of trials that failed and have their options tried again."""
    trials = study.get_trials(deepcopy=False)
    return {trial.user_attrs[RETRY] for trial in trials if RETRY in trial.user_attrs}


def measured(job: Job, metrics: Sequence[str] | Mapping[str, Any]) -> dict[str, Entry]:
    """The entries of a job's one method.

    Raises:
        UserError: several methods, or a metric that was not measured.
    """
    if len(job.methods) != 1:
        raise UserError(
            f"sweep: {len(job.methods)} methods run ({', '.join(job.methods)}); tune one at a time, "
            "explainer=NAME"
        )
    (row,) = job.methods.values()
    for name in metrics:
        if name not in row:
            raise UserError(f"sweep: {name} is not measured; add its metric to metric=[...], or choose of: "
                            f"{', '.join(row)}")  # fmt: skip
    return {name: row[name] for name in metrics}


def feasible(trial: FrozenTrial) -> bool:
    """Whether a trial is complete and keeps all constraints."""
    return trial.state == TrialState.COMPLETE and all(value <= 0 for value in trial.constraints.values())


def choose(study: optuna.Study, default: Sequence[float | None]) -> FrozenTrial | None:
    """The trial that goes to the test, of those that keep the constraints; None where none does.

    Of the trials that are as good as the default in the objectives after the first (of all, where there is
    none) it takes the best in the first objective. Those within a standard error of that one are not told
    from it: of these it takes the best in the second objective. So one query more or less does not decide.

    Source: the one-standard-error rule of "Classification and Regression Trees" (Breiman et al., 1984).
    """
    signs = [-1 if direction == StudyDirection.MAXIMIZE else 1 for direction in study.directions]
    kept = [trial for trial in study.trials if feasible(trial)]
    if not kept:
        return None
    costs = {
        trial.number: [sign * value for sign, value in zip(signs, trial.values, strict=True)]
        for trial in kept
    }
    floor = [math.inf if value is None else sign * value for sign, value in zip(signs, default, strict=True)]
    level = [
        number
        for number, own in costs.items()
        if all(cost <= most for cost, most in zip(own[1:], floor[1:], strict=True))
    ]
    best = min(level or costs, key=lambda number: costs[number])
    error = study.trials[best].user_attrs.get(ERRORS, [0.0])[0]
    near = [number for number in level or costs if costs[number][0] <= costs[best][0] + error]
    return study.trials[min(near, key=lambda number: (costs[number][1:], costs[number][0]))]


def told(entries: Mapping[str, Entry]) -> str:
    """Figures on one line."""
    return ", ".join(
        f"{name} unknown"
        if entry.value is None
        else f"{name} {entry.value * entry.scale:.4g}{' %' if entry.unit == '%' else ''}"
        for name, entry in entries.items()
    )


def _error(entry: Entry) -> float:
    """The standard error that an interval of 95 % tells; 0 where there is none."""
    known = entry.low is not None and entry.high is not None
    return (entry.high - entry.low) / (2 * 1.96) if known else 0.0  # type: ignore[operator]


def _violation(entry: Entry, limit: float) -> float:
    """How far a figure is on the wrong side of its limit; not measured is wholly wrong."""
    if entry.value is None:
        return 1.0
    return limit - entry.value if entry.higher_is_better else entry.value - limit


def _surely_breaks(entry: Entry, limit: float) -> bool:
    best = entry.high if entry.higher_is_better else entry.low
    return best is not None and (best < limit if entry.higher_is_better else best > limit)


def _bounds(entry: Entry) -> list[float | None]:
    return [entry.low, entry.high]


def _surely_worse(entry: Entry, other: Sequence[float | None]) -> bool:
    low, high = other
    if entry.low is None or entry.high is None or low is None or high is None:
        return False
    return entry.high < low if entry.higher_is_better else entry.low > high
