"""How much each method changes for how much agreement: curves over an option, read at matched values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from counterfoil.core.entry import Entry
from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job, by_option, select
from counterfoil.report.plot import save_both, trails
from counterfoil.report.seeds import over_seeds
from counterfoil.report.table import Table
from counterfoil.report.view.base import Shown, View
from counterfoil.report.view.leaderboard import joined
from counterfoil.report.view.matched import at, entry_of, means, points_of


class Frontier(View):
    """Each method's `metric` at equal `distance`, and its distance at equal metric, along its curve.

    The runs of one seed explain the same queries under several values of `over`; a method's curve is straight
    between its runs. A cell outside a curve is empty: the method was not seen there. Intervals resample
    queries, the same for all methods, and are pooled over seeds.

    Args:
        over: the option that moves a method along its curve.
        metric, distance: by name; both with a value per counterfactual.
        distances, levels: where the curves are read, in the units of distance and metric.
        methods: those drawn; None: all that every job has. One that is named may be in some runs alone, under
            the same values of `over` in each seed.
        points: methods without a curve, such as `unchanged`: drawn as a point, not in the tables.
        where: options that the jobs must have.
    """

    def __init__(
        self,
        over: str = "confidence",
        metric: str = "judge_agreement",
        distance: str = "l1",
        distances: Sequence[float] = (),
        levels: Sequence[float] = (),
        methods: Sequence[str] | None = None,
        points: Sequence[str] = (),
        where: Mapping[str, Any] | None = None,
    ) -> None:
        self.over, self.metric, self.distance = over, metric, distance
        self.distances, self.levels = list(distances), list(levels)
        self.methods, self.points, self.where = methods, list(points), dict(where or {})

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        """Two tables, a row per method, and the curves of all methods with both intervals."""
        chosen = select(jobs, self.where)
        found = self._methods(chosen)
        groups = list(by_option(chosen, "seed").values())
        tables = {}
        for on, read, places in (
            (self.distance, self.metric, self.distances),
            (self.metric, self.distance, self.levels),
        ):
            if places:
                runs = [{n: self._read(part, n, on, read, places) for n in found} for part in groups]
                title = f"{name}: {read.replace('_', ' ')} at {on.replace('_', ' ')}"
                tables[title] = Table(over_seeds(runs), corner="", note=NOTE)
        drawn = {n: [joined(part)[n] for part in _along(chosen, self.over, n)] for n in found}
        drawn |= {n: [joined(chosen)[n]] for n in self.points}
        figure = trails(drawn, self.distance, self.metric)
        points = {n: [self._told(row) for row in rows] for n, rows in drawn.items()}
        return Shown(tables, save_both(figure, folder / f"{name}.svg"), {"curves": points})

    def _told(self, row: Mapping[str, Entry]) -> dict[str, Any]:
        """A point of a curve, for the JSON."""
        return {metric: row[metric].as_dict() for metric in (self.distance, self.metric)}

    def _methods(self, jobs: Sequence[Job]) -> list[str]:
        everywhere = [n for n in jobs[0].methods if all(n in job.methods for job in jobs)]
        found = [n for n in self.methods or everywhere if n not in self.points]
        short = [n for n in found if len(_along(jobs, self.over, n)) < 2]
        lacking = [*short, *(n for n in self.points if n not in everywhere)]
        if lacking:
            raise UserError(f"study: {lacking[0]} is not in enough jobs, so it has no curve over {self.over}")
        return found

    def _read(
        self, jobs: Sequence[Job], method: str, on: str, read: str, places: Sequence[float]
    ) -> dict[str, Entry]:
        """What a method's curve has of `read` at places `on` the other axis, in one seed."""
        runs = [job for part in _along(jobs, self.over, method) for job in part]
        values = np.stack([points_of(run, method, on, read) for run in runs])
        curves, facts = means(values), runs[0].methods[method]
        low, high = curves[0, :, 0].min(), curves[0, :, 0].max()
        found = {}
        for place in places:
            column = f"at {100 * place:g} %" if facts[on].unit == "%" else f"at {place:g}"
            if low <= place <= high:
                drawn = np.stack([at(curve, np.array([place])) for curve in curves])[:, 0]
                found[column] = entry_of(drawn, values.shape[1], facts[read].unit, read == self.metric)
            else:
                found[column] = Entry(None, unit=facts[read].unit, higher_is_better=read == self.metric)
        return found


def _along(jobs: Sequence[Job], over: str, method: str) -> list[list[Job]]:
    """The jobs that have a method, by the value of an option."""
    return list(by_option([job for job in jobs if method in job.methods], over).values())


NOTE = (
    "Empty where the method's curve does not reach. Intervals: bootstrap over queries, pooled over seeds as "
    "in tables over seeds."
)
