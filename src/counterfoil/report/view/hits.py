"""How often the attribute that moves most is the one that a classifier uses most, over many classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from counterfoil.core.entry import Entry
from counterfoil.core.errors import UserError
from counterfoil.metric.bootstrap import wilson
from counterfoil.report.jobs import Job, by_option, select
from counterfoil.report.table import Table
from counterfoil.report.view.base import Shown, View

EFFECT = "true_effect"
SEEN = {"declared": "attribute_change", "judged": "judged_change"}
"""What tells the change of an attribute, and the metric that measures it."""
LEAST = 0.05


class Hits(View):
    """How often the first-ranked attribute is the one that moves the classifier most.

    Each job explains one classifier. The attributes that a method may move, all but those of its option
    `frozen`, are ranked by their mean change, as the method declares it or as the judge sees it. It is a hit
    where the first one has the greatest true effect among them. Counted are the classifiers that have learned
    what was planted: its true effect is the greatest, their own label's aside, and no less than `least`.
    Intervals are Wilson's over classifiers.

    Args:
        planted: option that names the planted attribute.
        own: option that names the attribute which the labels tell.
        strength: option that tells how often the two agree in training.
        beside: option whose values stand beside the method, such as where its generator comes from.
        labels: method or value -> the name it is shown under.
        means: metrics whose mean over the same classifiers stands beside the rates.
        least: true effect from which a planted attribute counts as learned.
        where: options that the jobs must have.
    """

    def __init__(
        self,
        planted: str,
        own: str = "attribute",
        strength: str = "strength",
        beside: str = "generator",
        labels: Mapping[str, str] | None = None,
        means: Sequence[str] = (),
        least: float = LEAST,
        where: Mapping[str, Any] | None = None,
    ) -> None:
        self.planted, self.own, self.strength, self.beside = planted, own, strength, beside
        self.labels, self.means, self.least = dict(labels or {}), list(means), least
        self.where = dict(where or {})

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        """The rates by method, and a row per planted pair with the true effects that decide what counts."""
        chosen = select(jobs, self.where)
        return Shown({name: self._rates(chosen), f"{name} classifiers": self._classifiers(chosen)})

    def _rates(self, jobs: Sequence[Job]) -> Table:
        rows = {}
        for value, part in by_option(jobs, self.beside).items():
            counted = [job for job in part if self._learned(job)]
            if not counted:
                raise UserError(
                    f"study: no classifier at {self.beside}={value} has learned what was planted: the least "
                    f"true effect that counts is {self.least}; plant it more strongly"
                )
            for method in counted[0].methods:
                shown = f"{self.labels.get(method, method)}, {self.labels.get(str(value), value)}"
                rows[shown] = _rates(counted, method) | {
                    metric: _mean(counted, method, metric) for metric in self.means
                }
        note = "Over the classifiers that learned what was planted. Intervals: Wilson's over classifiers."
        return Table(rows, note=note)

    def _classifiers(self, jobs: Sequence[Job]) -> Table:
        groups: dict[str, list[Job]] = {}
        for job in jobs:
            groups.setdefault(f"{job.option(self.own)}, {job.option(self.planted)}", []).append(job)
        return Table({row: self._classifier(part) for row, part in groups.items()}, corner="classifier")

    def _classifier(self, jobs: Sequence[Job]) -> dict[str, Entry]:
        """Of the trainings of one classifier; each is explained once per value of `beside`."""
        once = next(iter(by_option(jobs, self.beside).values()))
        own, planted = str(once[0].option(self.own)), str(once[0].option(self.planted))
        effects = [true_effects(job) for job in once]
        others = [max(v for name, v in found.items() if name not in (own, planted)) for found in effects]
        hits = [hit(job, method, "declared") for job in jobs for method in job.methods]
        counted = sum(self._learned(job) for job in once)
        return {
            "strength": Entry(float(once[0].option(self.strength))),
            "own": Entry(mean(found[own] for found in effects), label="True effect: label"),
            "planted": Entry(mean(found[planted] for found in effects), label="planted"),
            "others": Entry(mean(others), label="greatest other"),
            "counted": _share(counted, len(once), f"Counted of {len(once)}"),
            "hits": _share(sum(hits), len(hits), f"Hits of {len(hits)}, declared"),
        }

    def _learned(self, job: Job) -> bool:
        own, planted = job.option(self.own), job.option(self.planted)
        effects = {name: value for name, value in true_effects(job).items() if name != own}
        return max(effects, key=lambda name: effects[name]) == planted and effects[planted] >= self.least


def true_effects(job: Job) -> dict[str, float]:
    """The true effect of each attribute on the job's classifier; a metric of any of its methods."""
    found = _values(next(iter(job.methods.values())), EFFECT)
    if not found:
        raise UserError(f"study: {job.folder} has no true effects; add metric=true_effect")
    return found


def hit(job: Job, method: str, seen: str) -> bool:
    """Whether the movable attribute that changes most has the greatest true effect among the movable ones."""
    frozen = job.option(f"explainer.{method}.frozen") or []
    effects = {name: value for name, value in true_effects(job).items() if name not in frozen}
    changes = _values(job.methods[method], SEEN[seen])
    movable = [name for name in effects if name in changes]
    if not movable:
        raise UserError(f"study: {job.folder} has no {SEEN[seen]} of {method}; add the metric")
    return max(movable, key=lambda name: changes[name]) == max(movable, key=lambda name: effects[name])


def _rates(jobs: Sequence[Job], method: str) -> dict[str, Entry]:
    cells = {}
    for seen in SEEN:
        hits = [hit(job, method, seen) for job in jobs]
        rate = sum(hits) / len(hits)
        label = f"Hits of {len(hits)}, {seen}"
        cells[seen] = Entry(rate, *wilson(rate, len(hits)), len(hits), "%", True, 0.0, 1.0, label)
    return cells


def _share(count: int, n: int, label: str) -> Entry:
    return Entry(count / n, n=n, unit="%", minimum=0.0, maximum=1.0, label=label)


def _mean(jobs: Sequence[Job], method: str, metric: str) -> Entry:
    entries = [job.methods[method][metric] for job in jobs]
    values = [entry.value for entry in entries if entry.value is not None]
    return replace(entries[0], value=mean(values) if values else None, low=None, high=None, n=len(values))


def _values(cells: Mapping[str, Entry], metric: str) -> dict[str, float]:
    parts = {
        name.partition("/")[2]: entry.value for name, entry in cells.items() if name.startswith(f"{metric}/")
    }
    return {name: value for name, value in parts.items() if value is not None}
