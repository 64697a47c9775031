"""One method minus another, paired by query and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from counterfoil.core.entry import Entry
from counterfoil.report.jobs import Job, by_option, select
from counterfoil.report.table import Table
from counterfoil.report.view.base import Shown, View
from counterfoil.report.view.leaderboard import difference, joined

NOTE = "Paired by query, over several seeds by seed; a difference whose interval holds 0 is none."


class Difference(View):
    """Paired differences of metrics between methods, or of one method between two values of an option.

    Args:
        metrics: columns.
        pairs: (one, other); the difference is the other minus the one.
        over: an option; then pairs are of its values, and each method has a row per pair.
        where: options that the jobs must have.
        rows: another option, whose values are the rows, with a column per pair; then one table per metric.
        labels: row -> the name it is shown under.
    """

    def __init__(
        self,
        metrics: Sequence[str],
        pairs: Sequence[Sequence[Any]],
        over: str | None = None,
        where: Mapping[str, Any] | None = None,
        rows: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self.metrics, self.pairs, self.over = list(metrics), [(a, b) for a, b in pairs], over
        self.where, self.rows, self.labels = dict(where or {}), rows, dict(labels or {})

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        """One row per pair, or per value of `rows`."""
        chosen = select(jobs, self.where)
        if self.rows is not None:
            return Shown(self._by_rows(chosen, self.rows))
        return Shown({name: Table(self._pairs(chosen), self.metrics, corner="difference", note=NOTE)})

    def _by_rows(self, jobs: Sequence[Job], option: str) -> dict[str, Table]:
        groups = {str(value): self._pairs(part) for value, part in by_option(jobs, option).items()}
        return {
            metric: Table(
                {
                    self.labels.get(value, value): {
                        pair: replace(cells[metric], label=pair)
                        for pair, cells in pairs.items()
                        if metric in cells
                    }
                    for value, pairs in groups.items()
                },
                corner=f"difference in {metric.replace('_', ' ')}",
                note=NOTE,
            )
            for metric in self.metrics
        }

    def _pairs(self, jobs: Sequence[Job]) -> dict[str, dict[str, Entry]]:
        return self._between_values(jobs) if self.over else self._between_methods(jobs)

    def _between_methods(self, jobs: Sequence[Job]) -> dict[str, dict[str, Entry]]:
        found = joined(jobs)
        return {
            f"{other} - {one}": {
                metric: _gap(found[one][metric], found[other][metric], difference(jobs, other, one, metric))
                for metric in self.metrics
                if metric in found[one] and metric in found[other]
            }
            for one, other in self.pairs
        }

    def _between_values(self, jobs: Sequence[Job]) -> dict[str, dict[str, Entry]]:
        groups = by_option(jobs, str(self.over))
        rows = {}
        for one, other in self.pairs:
            before, after = joined(groups[one]), joined(groups[other])
            for method in [name for name in after if name in before]:
                renamed = [_renamed(job, method, "one") for job in groups[one]]
                renamed += [_renamed(job, method, "other") for job in groups[other]]
                metrics = [metric for metric in self.metrics if metric in before[method]]
                rows[f"{method}: {other} - {one}"] = _gaps(before[method], after[method], renamed, metrics)
        return rows


def between(one: Job, other: Job, metrics: Sequence[str]) -> dict[str, Entry]:
    """Metrics of the one method of a job minus those of the same method in another, paired by query."""
    (method,) = one.methods
    renamed = [_renamed(one, method, "one"), _renamed(other, method, "other")]
    return _gaps(one.methods[method], other.methods[method], renamed, metrics)


def _gaps(
    one: Mapping[str, Entry], other: Mapping[str, Entry], renamed: Sequence[Job], metrics: Sequence[str]
) -> dict[str, Entry]:
    return {
        metric: _gap(one[metric], other[metric], difference(renamed, "other", "one", metric))
        for metric in metrics
    }


def _renamed(job: Job, method: str, name: str) -> Job:
    """The job with one of its methods under another name."""
    found = Job(job.folder, job.summary)
    found.__dict__["methods"] = {name: job.methods[method]}
    found.__dict__["rows"] = {name: job.rows[method]}
    return found


def _gap(one: Entry, other: Entry, bounds: tuple[float, float] | None) -> Entry:
    low, high = bounds or (None, None)
    value = None if one.value is None or other.value is None else other.value - one.value
    return replace(other, value=value, low=low, high=high, minimum=None, maximum=None)
