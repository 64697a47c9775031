"""The methods that no other beats in two metrics at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from counterfoil.core.entry import Entry
from counterfoil.report.jobs import Job, select
from counterfoil.report.plot import save_both, scatter
from counterfoil.report.table import Table
from counterfoil.report.view.base import Shown, View
from counterfoil.report.view.leaderboard import joined


class Pareto(View):
    """The front of two metrics: methods that no other equals or beats in both and beats in one.

    Args:
        x, y: metrics with a direction.
        methods: those compared; None: all.
        where: options that the jobs must have.
    """

    def __init__(
        self, x: str, y: str, methods: Sequence[str] | None = None, where: Mapping[str, Any] | None = None
    ) -> None:
        self.x, self.y, self.methods, self.where = x, y, methods, dict(where or {})

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        """The front's rows, and all methods as points."""
        found = joined(select(jobs, self.where))
        kept = {n: found[n] for n in (self.methods or found) if {self.x, self.y} <= found[n].keys()}
        best = front({n: (row[self.x], row[self.y]) for n, row in kept.items()})
        table = Table(
            {n: kept[n] for n in best}, [self.x, self.y], note="The methods that no other beats in both."
        )
        return Shown({name: table}, save_both(scatter(kept, self.x, self.y), folder / f"{name}.svg"))


def front(points: Mapping[str, tuple[Entry, Entry]]) -> list[str]:
    """The names that no other dominates, best in the first metric first; values that are not known lose."""
    costs = {name: tuple(map(_cost, pair)) for name, pair in points.items()}
    kept = [n for n, own in costs.items() if not any(_beats(other, own) for other in costs.values())]
    return sorted(kept, key=lambda name: costs[name])


def _beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and one != other


def _cost(entry: Entry) -> float:
    if entry.value is None:
        return float("inf")
    return -entry.value if entry.higher_is_better else entry.value
