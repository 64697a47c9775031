"""Flips and judge agreement at equal perturbation."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from counterfoil.core.entry import Entry
from counterfoil.core.errors import UserError
from counterfoil.metric.bootstrap import wilson
from counterfoil.report.jobs import Job, by_option, select
from counterfoil.report.plot import curves, save_both
from counterfoil.report.seeds import HOW
from counterfoil.report.seeds import pool as over_seeds
from counterfoil.report.table import Table
from counterfoil.report.view.base import Shown, View

KINDS = {
    "l1": "Pixel change from the query",
    "token_edit": "Share of the tokens changed",
    "l1_reconstruction": "Pixel change from the reconstruction",
    "attribute_l1": "Sum of the changes of the attributes",
    "latent_perturbation": "Relative change of the code",
}
SUCCESSES = ("flipping_ratio", "judge_agreement")
POINTS = 25
STILL = 1e-6
"""A median perturbation below this is none."""


@dataclass(frozen=True)
class Moves:
    """A method's counterfactuals: the query of each, success by kind, perturbation by kind; each (N,)."""

    query: np.ndarray
    success: Mapping[str, np.ndarray]
    moved: Mapping[str, np.ndarray]


class Perturbation(View):
    """Share of queries explained within a budget of change, against the budget; the mean over seeds.

    A query counts at a budget once one of its counterfactuals, in any of the jobs of a seed, is valid and
    moved no farther; for the judge's curve the judge must see the target too. So a method that stops at the
    first flip, and one swept over an option, are read by the same rule. Intervals are Wilson's 95 % over
    queries, of several seeds those of `over_seeds`.

    Args:
        methods: lines, in order; None: all that move attributes or a code.
        kinds: of perturbation, by metric name; None: all that were measured. A method that never moves in one
            has no line there.
        budgets: of the tables; None: four, evenly spaced.
        where: options that the jobs must have.
    """

    def __init__(
        self,
        methods: Sequence[str] | None = None,
        kinds: Sequence[str] | None = None,
        budgets: Sequence[float] | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> None:
        self.methods, self.kinds, self.budgets = methods, list(kinds or KINDS), budgets
        self.where = dict(where or {})

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        """One table and one figure per kind of perturbation."""
        groups = by_option(select(jobs, self.where), "seed").values()
        seeds = [pool([read_moves(job) for job in group]) for group in groups]
        pooled = {n: [one[n] for one in seeds] for n in seeds[0] if all(n in one for one in seeds)}
        names = self.methods or [
            n for n, each in pooled.items() if any(moves(each, kind) for kind in KINDS if kind != "l1")
        ]
        tables: dict[str, Table] = {}
        files: dict[str, Path] = {}
        for kind in self.kinds:
            shown = {n: pooled[n] for n in names if n in pooled and moves(pooled[n], kind)}
            if not shown:
                continue
            title = f"{name} {kind}"
            places = spread(shown, kind)
            tables[title] = self._table(shown, kind, self.budgets or places[6::6])
            panels = {s: {n: shares(m, s, kind, places) for n, m in shown.items()} for s in SUCCESSES}
            files |= save_both(curves(places, panels, KINDS[kind]), folder / f"{title.replace(' ', '-')}.svg")
        return Shown(tables, files)

    def _table(self, shown: Mapping[str, Sequence[Moves]], kind: str, budgets: Sequence[float]) -> Table:
        rows = {
            name: {
                f"{success.replace('_', ' ')} at {budget:.3g}": entry
                for success in SUCCESSES
                for budget, entry in zip(budgets, shares(moved, success, kind, budgets), strict=True)
            }
            for name, moved in shown.items()
        }
        several = any(len(moved) > 1 for moved in shown.values())
        intervals = HOW.partition(" Bold")[0] if several else "Intervals: Wilson's over queries."
        return Table(rows, note=f"{KINDS[kind]} at most. {intervals}")


def read_moves(job: Job) -> dict[str, Moves]:
    """Every method of one job; queries that have the target already are left out."""
    found = {}
    for method, lines in job.rows.items():
        kept = [line for line in lines if line["source"] != line["target"]]
        column = {
            name: np.array([float(line.get(name) or "nan") for line in kept])
            for name in (*KINDS, "judge_agreement", "valid")
        }
        valid = column["valid"] > 0
        success = {"flipping_ratio": valid, "judge_agreement": valid & (column["judge_agreement"] > 0)}
        moved = {kind: column[kind] for kind in KINDS if np.isfinite(column[kind]).any()}
        query = np.array([f"{line['image']}, {line['target']}" for line in kept])
        found[method] = Moves(query, success, moved)
    return found


def pool(runs: Sequence[Mapping[str, Moves]]) -> dict[str, Moves]:
    """All counterfactuals of each method; the jobs must have explained the same queries."""
    queries = {tuple(sorted(set(moved.query.tolist()))) for run in runs for moved in run.values()}
    if len(queries) > 1:
        raise UserError(
            "study: jobs of one seed explained different queries; give jobs of one data set, classifier and n"
        )
    pooled: dict[str, Moves] = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        parts = [run[name] for run in runs if name in run]
        kinds = [kind for kind in KINDS if all(kind in part.moved for part in parts)]
        pooled[name] = Moves(
            np.concatenate([part.query for part in parts]),
            {key: np.concatenate([part.success[key] for part in parts]) for key in SUCCESSES},
            {kind: np.concatenate([part.moved[kind] for part in parts]) for kind in kinds},
        )
    return pooled


def nearest(moved: Moves, success: str, kind: str) -> np.ndarray:
    """The least perturbation (Q,) at which each query has succeeded, infinite where it has not."""
    queries, place = np.unique(moved.query, return_inverse=True)
    least = np.full(len(queries), math.inf)
    reached = moved.success[success] & np.isfinite(moved.moved[kind])
    np.minimum.at(least, place, np.where(reached, moved.moved[kind], math.inf))
    return least


def moves(seeds: Sequence[Moves], kind: str) -> bool:
    """Whether the method has this perturbation at all, in every seed."""
    values = [moved.moved.get(kind, np.array([])) for moved in seeds]
    finite = [each[np.isfinite(each)] for each in values]
    return all(len(each) and float(np.median(each)) > STILL for each in finite)


def shares(seeds: Sequence[Moves], success: str, kind: str, budgets: Sequence[float]) -> list[Entry]:
    """The share of queries that have succeeded within each budget, the mean over seeds."""
    least = [nearest(moved, success, kind) for moved in seeds]
    return [over_seeds([_share(values, budget) for values in least]) for budget in budgets]


def _share(least: np.ndarray, budget: float) -> Entry:
    value = float((least <= budget).mean())
    return Entry(value, *wilson(value, len(least)), len(least), "%", True, 0.0, 1.0)


def spread(shown: Mapping[str, Sequence[Moves]], kind: str) -> list[float]:
    """Evenly spaced budgets (POINTS) from below the least success to where nearly all have succeeded."""
    least = [nearest(moved, s, kind) for seeds in shown.values() for moved in seeds for s in SUCCESSES]
    reached = [values[np.isfinite(values)] for values in least]
    first = 0.9 * min((float(values.min()) for values in reached if len(values)), default=0.0)
    last = max((float(np.quantile(values, 0.98)) for values in reached if len(values)), default=1.0)
    return [float(budget) for budget in np.linspace(first, last, POINTS)]
