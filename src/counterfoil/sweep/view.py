"""What a sweep has found: its front, the test of its winner, and what each option matters."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna

from counterfoil.core.entry import Entry, label
from counterfoil.report.jobs import Job
from counterfoil.report.plot import inline_svg, save_both
from counterfoil.report.sweep_plot import Point, importances, parallel, trials
from counterfoil.report.table import Table
from counterfoil.report.view.base import Shown, View
from counterfoil.report.view.difference import between
from counterfoil.sweep.space import contains, overrides, read_space
from counterfoil.sweep.tuner import DEFAULT, TEST, measured
from counterfoil.util.command import split

GAP = "winner - default"
OF_SWEEP = ("sweep", "sweeper", "jobs", "run_dir", "split", "study")


class Trials(View):
    """The trials of a sweep on validation queries, and its winner beside the default on test queries.

    Args:
        space: the search space, as the config has it.
        objectives: metrics with a direction.
        constraints: metric -> the least value (the largest, where less is better).
    """

    def __init__(
        self,
        space: Mapping[str, Any],
        objectives: Sequence[str],
        constraints: Mapping[str, float] | None = None,
    ) -> None:
        self.space, self.objectives, self.constraints = dict(space), list(objectives), dict(constraints or {})

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        """Tables of front and test; plots of trials, options and importances."""
        tried = [job for job in jobs if not job.folder.name.startswith(TEST)]
        points = self._points(tried)
        front = [point for point in points if point.front]
        tables = {"front": self._front(front)}
        named = {job.folder.name.removeprefix(TEST): job for job in jobs if job not in tried}
        if DEFAULT in named:
            tables["test"] = self._test(named)
        x, y = (self.objectives[1:] or self.objectives)[0], self.objectives[0]
        shown = {DEFAULT: DEFAULT} | {point.name: point.name for point in front}
        shown |= {trial: f"{trial} (winner)" for trial in named if trial != DEFAULT}
        figure = trials(points, x, y, shown)
        files = save_both(figure, folder / f"{name}.svg")
        inline = {name: inline_svg(figure, name)}
        files |= save_both(
            parallel(points, list(self.space), self.objectives), folder / f"{name}-options.svg"
        )
        shares = self._importances(points)
        if shares:
            files |= save_both(importances(shares), folder / f"{name}-importances.svg")
        return Shown(tables, files, {"importances": shares}, inline)

    def _points(self, jobs: Sequence[Job]) -> list[Point]:
        found = {job.folder.name: measured(job, [*self.objectives, *self.constraints]) for job in jobs}
        kept = [name for name, row in found.items() if self._keeps(row)]
        costs = {name: [_cost(found[name][metric]) for metric in self.objectives] for name in kept}
        best = [n for n, own in costs.items() if not any(_beats(other, own) for other in costs.values())]
        return [
            Point(
                job.folder.name,
                {option: job.option(option) for option in self.space},
                found[job.folder.name],
                f"{job.folder.name}/report.html",
                job.folder.name in best,
            )
            for job in jobs
        ]

    def _keeps(self, row: Mapping[str, Entry]) -> bool:
        return all(
            row[name].value is not None and _cost(row[name]) <= _cost(row[name], limit)
            for name, limit in self.constraints.items()
        )

    def _front(self, front: Sequence[Point]) -> Table:
        ordered = sorted(front, key=lambda point: [_cost(point.figures[name]) for name in self.objectives])
        named = {f"{point.name}: {_told(point.values)}": point for point in ordered}
        rows = {name: point.figures for name, point in named.items()}
        links = {name: point.link for name, point in named.items()}
        limits = ", ".join(f"{name} {limit:g}" for name, limit in self.constraints.items())
        note = "On validation queries: the trials that no other beats in all objectives" + (
            f", among those that keep {limits}." if limits else "."
        )
        if not front:
            note += " No trial keeps them, so there is no winner to test."
        return Table(rows, [*self.objectives, *self.constraints], corner="trial", note=note, links=links)

    def _test(self, jobs: Mapping[str, Job]) -> Table:
        """The default, and the winner where it is another."""
        metrics = [*self.objectives, *self.constraints]
        default = jobs[DEFAULT]
        rows: dict[str, Mapping[str, Entry]] = {DEFAULT: measured(default, metrics)}
        for trial, winner in jobs.items():
            if trial != DEFAULT:
                rows[f"winner (trial {trial})"] = measured(winner, metrics)
                rows[GAP] = between(default, winner, self.objectives)
        note = "On test queries, which the sweep has not read; the difference is paired by query."
        if len(jobs) == 1:
            note += " No trial came out better than the default options on validation queries."
        for trial, winner in jobs.items():
            if trial != DEFAULT:
                values = {option: winner.option(option) for option in self.space}
                note += f" {verdict(rows[GAP])} The winner again, values rounded: {again(winner, values)}"
        return Table(rows, [*self.objectives, *self.constraints], corner="options", note=note)

    def _importances(self, points: Sequence[Point]) -> dict[str, dict[str, float]]:
        """Optuna's PED-ANOVA for each objective; nothing where there are too few trials for it."""
        space = read_space(self.space)
        known = [
            point
            for point in points
            if all(contains(space[option], value) for option, value in point.values.items())
            and all(point.figures[metric].known for metric in self.objectives)
        ]
        if len(known) < 4:
            return {}
        shares = {}
        for metric in self.objectives:
            study = optuna.create_study()
            for point in known:
                study.add_trial(
                    optuna.trial.create_trial(
                        params=dict(point.values), distributions=space, value=_cost(point.figures[metric])
                    )
                )
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # it is experimental, and says so where trials are alike
                try:
                    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
                    shares[metric] = dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
                except (ValueError, RuntimeError):  # all trials alike, or too few apart
                    continue
        return shares


def again(winner: Job, values: Mapping[str, Any]) -> str:
    """The command that evaluates the winner's options on test queries; floats with four digits.

    Args:
        winner: its test.
        values: of the options varied.
    """
    words, given = split(winner.summary["queries"].get("command", "python evaluate.py"))
    methods = [f"explainer=[{','.join(winner.methods)}]"]
    kept = [part for part in given if not _of_sweep(part, {*values, "explainer"})]
    short = {
        option: float(f"{value:.4g}") if isinstance(value, float) else value
        for option, value in values.items()
    }
    return shlex.join([*words, *methods, *kept, *overrides(short)])


def _of_sweep(word: str, varied: Container[str]) -> bool:
    """Whether a word of the sweep's command has no place in that of one evaluation."""
    name = word.lstrip("+~").split("=")[0]
    group = name.split(".")[0]
    return name in varied or word in ("-m", "--multirun") or group in OF_SWEEP or "launcher" in name


def verdict(gaps: Mapping[str, Entry]) -> str:
    """Whether the winner beats the default: better in an objective, and worse in none, by their intervals."""
    found: dict[str, list[str]] = {"better": [], "worse": [], "not told apart": []}
    for name, gap in gaps.items():
        lower = gap.high is not None and gap.high < 0
        higher = gap.low is not None and gap.low > 0
        better, worse = (higher, lower) if gap.higher_is_better else (lower, higher)
        found["better" if better else "worse" if worse else "not told apart"].append(gap.label or label(name))
    beats = found["better"] and not found["worse"]
    told = "; ".join(f"{word} in {' and '.join(names)}" for word, names in found.items() if names)
    return f"The winner {'beats' if beats else 'does not beat'} the default: {told}."


def _cost(entry: Entry, value: float | None = None) -> float:
    found = entry.value if value is None else value
    if found is None:
        return float("inf")
    return -found if entry.higher_is_better else found


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and list(one) != list(other)


def _told(values: Mapping[str, Any]) -> str:
    parts = ((option.rpartition(".")[2], value) for option, value in values.items())
    return ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}" for name, value in parts
    )
