"""The gain of one method over another at equal pixel change."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from counterfoil.core.entry import Entry
from counterfoil.core.errors import UserError
from counterfoil.metric.bootstrap import percentiles, query_weights
from counterfoil.report.jobs import Job, by_option, select
from counterfoil.report.plot import save_both, trails
from counterfoil.report.seeds import over_seeds
from counterfoil.report.table import Table
from counterfoil.report.view.base import Shown, View
from counterfoil.report.view.leaderboard import joined

RESAMPLES = 1000
STEPS = 21
"""Places in the overlap of two curves whose mean difference is taken."""
MEAN = "mean over the shared range"


class Matched(View):
    """Difference of two methods' `metric` at equal `distance`, by their curves over the values of an option.

    The runs of one seed explain the same queries under several values of `over`, so each method draws a
    curve: mean metric over mean distance, straight between its runs. Two methods are compared where both have
    a value. The difference at a distance, and its mean over the shared range, is resampled over queries,
    which both methods and all runs share; over seeds it is pooled as in `over_seeds`. A gain whose interval
    holds 0 is none.

    Args:
        pairs: (one, other); the difference is the other minus the one.
        over: the option that moves a method along its curve.
        metric, distance: by name; both with a value per counterfactual.
        at: distances at which to compare besides the mean, left out where a seed's curves do not reach.
        also: further metrics with a value per counterfactual, whose mean difference has a column each.
        where: options that the jobs must have.
    """

    def __init__(
        self,
        pairs: Sequence[Sequence[str]],
        over: str = "confidence",
        metric: str = "judge_agreement",
        distance: str = "l1",
        at: Sequence[float] = (),
        where: Mapping[str, Any] | None = None,
        also: Sequence[str] = (),
    ) -> None:
        self.pairs = [(one, other) for one, other in pairs]
        self.over, self.metric, self.distance = over, metric, distance
        self.at, self.where, self.also = tuple(at), dict(where or {}), tuple(also)

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        """One row per pair, and the curves of all methods with both intervals."""
        chosen = select(jobs, self.where)
        parts = list(by_option(chosen, "seed").values())
        rows = self._rows(parts, self.metric)
        for metric in self.also:
            for row, further in zip(rows, self._rows(parts, metric), strict=True):
                for pair, cells in further.items():
                    row[pair][metric] = cells[MEAN]
        names = dict.fromkeys(name for pair in self.pairs for name in pair)
        points = {n: [joined(part)[n] for part in by_option(chosen, self.over).values()] for n in names}
        note = "Shares in points; intervals as in tables over seeds. Where one holds 0 nothing differs."
        table = Table(
            over_seeds(rows), corner=f"{self.metric.replace('_', ' ')} at equal {self.distance}", note=note
        )
        return Shown(
            {name: table}, save_both(trails(points, self.distance, self.metric), folder / f"{name}.svg")
        )

    def _rows(self, parts: Sequence[Sequence[Job]], metric: str) -> list[dict[str, dict[str, Entry]]]:
        """Pair -> column -> difference in a metric, for each seed's jobs."""
        facts = next(iter(parts[0][0].methods.values()))[metric]
        seeds = [self._curves(jobs, metric) for jobs in parts]
        return [
            {
                f"{other} - {one}": self._compared(curves, one, other, metric, facts, seeds)
                for one, other in self.pairs
            }
            for curves in seeds
        ]

    def _curves(self, jobs: Sequence[Job], metric: str) -> dict[str, np.ndarray]:
        """Method -> (R, N, 2): distance and metric of N queries in R runs, in the option's order."""
        runs = [job for part in by_option(jobs, self.over).values() for job in part]
        names = list(dict.fromkeys(n for pair in self.pairs for n in pair))
        lacking = [n for n in names if not all(n in run.methods for run in runs)]
        if lacking:
            raise UserError(f"study: {lacking[0]} is not in every job, so it has no curve over {self.over}")
        return {n: np.stack([points_of(run, n, self.distance, metric) for run in runs]) for n in names}

    def _compared(
        self,
        curves: Mapping[str, np.ndarray],
        one: str,
        other: str,
        metric: str,
        facts: Entry,
        seeds: Sequence[Mapping[str, np.ndarray]],
    ) -> dict[str, Entry]:
        shared = [overlap(seed[one], seed[other]) for seed in seeds]
        inside = [place for place in self.at if all(part[0] <= place <= part[-1] for part in shared)]
        a, b = curves[one], curves[other]
        values = {MEAN: differences(a, b, overlap(a, b)).mean(1)}
        values |= {f"at {place:g}": differences(a, b, np.array([place]))[:, 0] for place in inside}
        label = "" if metric == self.metric else facts.label
        return {
            name: replace(
                entry_of(drawn, a.shape[1], facts.unit), higher_is_better=facts.higher_is_better, label=label
            )
            for name, drawn in values.items()
        }


def points_of(job: Job, method: str, distance: str, metric: str) -> np.ndarray:
    """Distance and metric (N, 2) of each query of a run, in the order of the images' names."""
    rows = job.rows[method]
    found = {line["image"]: (float(line[distance]), float(line[metric])) for line in rows}
    if len(found) != len(rows):
        raise UserError(
            f"{job.folder} holds several counterfactuals per image; compare runs with count=1, one target"
        )
    return np.array([found[image] for image in sorted(found)])


def differences(one: np.ndarray, other: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The other's metric minus the one's at distances (P,), in data and resamples: (1 + RESAMPLES, P)."""
    count = one.shape[1]
    if other.shape[1] != count:
        raise UserError("study: the two methods explained different queries; give jobs of one n and seed")
    curves = means(one), means(other)
    return np.stack([at(b, places) - at(a, places) for a, b in zip(*curves, strict=True)])


def means(values: np.ndarray) -> np.ndarray:
    """Points (1 + RESAMPLES, R, K) of a curve: means of values (R, N, K) over queries, and over resamples.

    The same queries are drawn for every method of a run.
    """
    count = values.shape[1]
    drawn = [torch.ones(1, count, dtype=torch.float64), *query_weights(torch.arange(count), RESAMPLES, 0)]
    found: np.ndarray = np.einsum("wn,rnk->wrk", torch.cat(drawn).numpy() / count, values)
    return found


def at(curve: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Metric (P,) at each distance, straight between the points (R, 2) of a curve, level beyond its ends."""
    order = curve[:, 0].argsort()
    found: np.ndarray = np.interp(places, curve[order, 0], curve[order, 1])
    return found


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Evenly spaced distances (STEPS,) at which both methods have a value."""
    means = [values[..., 0].mean(1) for values in (one, other)]
    low, high = max(float(m.min()) for m in means), min(float(m.max()) for m in means)
    if low >= high:
        raise UserError(
            f"study: the two methods share no distance: one starts at {low:.3f} where the other ends at "
            f"{high:.3f}; vary the option more"
        )
    return np.linspace(low, high, STEPS)


def entry_of(values: np.ndarray, n: int, unit: str, higher_is_better: bool = True) -> Entry:
    """A value and its resamples (1 + RESAMPLES,) as an entry."""
    low, high = percentiles(torch.from_numpy(values[1:]))
    return Entry(float(values[0]), low, high if math.isfinite(high) else None, n, unit, higher_is_better)
