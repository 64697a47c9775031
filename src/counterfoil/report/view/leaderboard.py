"""Methods against metrics, joined over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from counterfoil.core.entry import Entry
from counterfoil.metric.ties import Keyed, best_of, keyed, over_runs, paired_interval, ranked, standing
from counterfoil.report.jobs import Job, by_option, select
from counterfoil.report.seeds import HOW, over_seeds
from counterfoil.report.table import Rows, Table
from counterfoil.report.view.base import Shown, View

VALID = "_valid"


class Leaderboard(View):
    """One row per method (or value of an option), one column per metric, means over seeds in the cells.

    Args:
        metrics: columns, in order; None: every metric that was measured.
        methods: rows, in order; None: all.
        where: options that the jobs must have, such as {confidence: 0.95}.
        rows: an option whose values are the rows instead of the methods, such as `corruption`; then one
            table per method.
        columns: an option whose values are the columns, of one metric; then one table per metric.
        labels: row or column -> the name it is shown under.
        split: metrics named `kind/part` as rows of kinds and columns of parts; then one table per method.
    """

    def __init__(
        self,
        metrics: Sequence[str] | None = None,
        methods: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        rows: str | None = None,
        columns: str | None = None,
        labels: Mapping[str, str] | None = None,
        split: bool = False,
    ) -> None:
        self.metrics, self.methods, self.where = metrics, methods, dict(where or {})
        self.rows, self.columns, self.labels, self.split = rows, columns, dict(labels or {}), split

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        """One table, or one per method or per metric."""
        chosen = select(jobs, self.where)
        if self.columns is not None:
            return Shown(self._by_columns(chosen, self.columns))
        if self.rows is not None:
            return Shown(self._by_rows(chosen, self.rows))
        if self.split:
            return Shown(self._by_parts(chosen))
        return Shown({name: self._table(chosen)})

    def _table(self, jobs: Sequence[Job]) -> Table:
        found = self._kept(joined(jobs))
        names = self.metrics or list(dict.fromkeys(metric for row in found.values() for metric in row))
        marked = {
            metric: marks(jobs, {n: r[metric] for n, r in found.items() if metric in r}, metric)
            for metric in names
        }
        return Table(self._named(found), list(names), self._named_marks(marked), note=self._note(jobs))

    def _by_rows(self, jobs: Sequence[Job], option: str) -> dict[str, Table]:
        groups = {str(value): self._kept(joined(part)) for value, part in by_option(jobs, option).items()}
        methods = dict.fromkeys(method for rows in groups.values() for method in rows)
        return {
            method: Table(
                self._named({value: rows[method] for value, rows in groups.items() if method in rows}),
                self.metrics, corner=option, note=self._note(jobs),
            )
            for method in methods
        }  # fmt: skip

    def _by_columns(self, jobs: Sequence[Job], option: str) -> dict[str, Table]:
        groups = {str(value): self._kept(joined(part)) for value, part in by_option(jobs, option).items()}
        methods = dict.fromkeys(method for rows in groups.values() for method in rows)
        tables = {}
        for metric in self.metrics or ():
            rows = {
                method: {
                    self.labels.get(v, v): _headless(group[method][metric])
                    for v, group in groups.items()
                    if metric in group.get(method, {})
                }
                for method in methods
            }
            tables[metric] = Table(self._named(rows), note=self._note(jobs))
        return tables

    def _by_parts(self, jobs: Sequence[Job]) -> dict[str, Table]:
        tables = {}
        for method, cells in self._kept(joined(jobs)).items():
            rows: dict[str, dict[str, Entry]] = {}
            for metric in self.metrics or cells:
                kind, slash, part = metric.partition("/")
                if slash and metric in cells:
                    rows.setdefault(kind, {})[part] = replace(cells[metric], label=part)
            tables[method] = Table(self._named(rows), corner="metric", note=self._note(jobs))
        return tables

    def _kept(self, rows: Rows) -> dict[str, Mapping[str, Entry]]:
        return {name: rows[name] for name in (self.methods or rows) if name in rows}

    def _named(self, rows: Rows) -> dict[str, Mapping[str, Entry]]:
        return {self.labels.get(name, name): cells for name, cells in rows.items()}

    def _named_marks(self, marked: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, str]]:
        return {
            metric: {self.labels.get(n, n): mark for n, mark in row.items()} for metric, row in marked.items()
        }

    def _note(self, jobs: Sequence[Job]) -> str:
        return HOW if len({job.seed for job in jobs}) > 1 else ""


def joined(jobs: Sequence[Job]) -> dict[str, dict[str, Entry]]:
    """The methods of several jobs; each method's runs are averaged over seeds."""
    return over_seeds([job.methods for job in jobs])


def marks(jobs: Sequence[Job], row: Mapping[str, Entry], metric: str) -> dict[str, str]:
    """The best in a metric and those tied with it, by paired differences over common queries per seed."""
    best = best_of(row)
    if best is None:
        return {}
    found = {(name, best): _apart(jobs, name, best, metric) for name in ranked(row) if name != best}
    return standing(row, found)


def _apart(jobs: Sequence[Job], one: str, other: str, metric: str) -> tuple[float, float] | None:
    """What decides a tie: `difference`; over seeds that of logarithms for what is positive and unbounded."""
    rows = [
        (job.methods[one][metric], job.methods[other][metric])
        for job in jobs
        if all(metric in job.methods.get(name, {}) for name in (one, other))
    ]
    ratios = [
        math.log(a.value / b.value)
        for a, b in rows
        if a.value and b.value and (a.minimum, a.maximum) == (0, None)
    ]
    whole = len(ratios) == len(rows) > 1
    return over_runs(ratios) if whole else difference(jobs, one, other, metric)


def difference(jobs: Sequence[Job], one: str, other: str, metric: str) -> tuple[float, float] | None:
    """The 95 % interval of `one` minus `other`: paired by query, else by seed."""
    seeds = by_option(jobs, "seed")
    parts = [(_find(part, one), _find(part, other)) for part in seeds.values()]
    shared = [(a, b) for a, b in parts if a is not None and b is not None]
    pairs = [(_values(a, one, metric), _values(b, other, metric)) for a, b in shared]
    if shared and all(x and y for x, y in pairs):
        return paired_interval([(x, y) for x, y in pairs if x and y])
    gaps = [_gap(a.methods[one].get(metric), b.methods[other].get(metric)) for a, b in shared]
    known = [gap for gap in gaps if gap is not None]
    return over_runs(known) if len(known) > 1 else None


def _find(jobs: Sequence[Job], method: str) -> Job | None:
    return next((job for job in jobs if method in job.methods), None)


def _gap(one: Entry | None, other: Entry | None) -> float | None:
    if one is None or other is None or one.value is None or other.value is None:
        return None
    return one.value - other.value


def _values(job: Job, method: str, metric: str) -> Keyed | None:
    """Value by (image, target); None for a metric without a value per counterfactual."""
    column, lines = metric.removesuffix(VALID), job.rows.get(method, [])
    if not lines or column not in lines[0]:
        return None
    only_valid = metric != column
    return keyed(
        ((line["image"], line["target"]), float(line[column]))
        for line in lines
        if not only_valid or line["valid"] == "1"
    )


def _headless(entry: Entry) -> Entry:
    """An entry whose column is named by an option's value, so not by its metric."""
    return replace(entry, label="")
