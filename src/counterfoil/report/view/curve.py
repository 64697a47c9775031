"""How metrics move with an option, one line per method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from counterfoil.core.entry import Entry
from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job, by_option, select
from counterfoil.report.plot import curves, save_both
from counterfoil.report.seeds import HOW
from counterfoil.report.table import Table
from counterfoil.report.view.base import Shown, View
from counterfoil.report.view.leaderboard import joined


class Curve(View):
    """Metrics against the values of an option, joined over seeds at each value.

    Args:
        over: the option, a number, by its dotted path.
        metrics: one panel each.
        methods: one line each; None: all that have every value.
        where: options that the jobs must have.
        label: of the x axis; None: the option's name.
    """

    def __init__(
        self,
        over: str,
        metrics: Sequence[str],
        methods: Sequence[str] | None = None,
        where: Mapping[str, Any] | None = None,
        label: str | None = None,
    ) -> None:
        self.over, self.metrics, self.methods = over, list(metrics), methods
        self.where, self.label = dict(where or {}), label

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        """One table per method, its rows the option's values; and the figure for light and dark pages."""
        groups = {
            value: joined(part) for value, part in by_option(select(jobs, self.where), self.over).items()
        }
        everywhere = [m for m in next(iter(groups.values())) if all(m in rows for rows in groups.values())]
        methods = [m for m in (self.methods or everywhere) if m in everywhere]
        if not methods:
            raise UserError(
                f"study: no method was run at every value of {self.over}: {', '.join(map(str, groups))}"
            )
        tables = {self._title(name, method, methods): self._table(groups, method) for method in methods}
        panels = {
            m: {n: [rows[n].get(m, Entry(None)) for rows in groups.values()] for n in methods}
            for m in self.metrics
        }
        axis = self.label or self.over.replace("_", " ").capitalize()
        return Shown(
            tables, save_both(curves([float(v) for v in groups], panels, axis), folder / f"{name}.svg")
        )

    def _title(self, name: str, method: str, methods: Sequence[str]) -> str:
        return name if len(methods) == 1 else f"{name} {method}"

    def _table(self, groups: Mapping[Any, Mapping[str, Mapping[str, Entry]]], method: str) -> Table:
        rows = {
            f"{value:g}" if isinstance(value, float) else str(value): rows[method]
            for value, rows in groups.items()
        }
        corner = self.label or self.over.replace("_", " ")
        note = HOW if any(entry.seeds > 1 for row in rows.values() for entry in row.values()) else ""
        return Table(rows, self.metrics, corner=corner, note=note)
