"""Counterfactuals scored and compared in Python, with the intervals and ties of a run's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.core.entry import Entry
from counterfoil.core.errors import UserError
from counterfoil.metric.base import AnyMetric
from counterfoil.metric.cost import ClassifierCalls, Steps
from counterfoil.metric.evaluation import evaluate_metrics
from counterfoil.metric.proximity import L1, LInf, Sparsity
from counterfoil.metric.ties import rank
from counterfoil.metric.validity import TargetProbability, Validity
from counterfoil.report.notebook import frame
from counterfoil.report.table import Table, cell, number

PLAIN = (Validity, TargetProbability, L1, LInf, Sparsity, Steps, ClassifierCalls)
"""Metrics that need nothing but the counterfactuals."""


@dataclass(frozen=True, repr=False)
class Comparison:
    """Figures of several sets of counterfactuals.

    Attributes:
        rows: name -> metric -> figure with its 95 % interval.
        marked: metric -> name -> "best" or "tied", by paired differences over the common queries.
    """

    rows: Mapping[str, Mapping[str, Entry]]
    marked: Mapping[str, Mapping[str, str]]

    @property
    def table(self) -> Table:
        """As the tables of a run: `.markdown()`, `.latex()`, `.csv()`, `.save(stem)`."""
        return Table(self.rows, marked=self.marked)

    def __getitem__(self, name: str) -> Mapping[str, Entry]:
        return self.rows[name]

    def __repr__(self) -> str:
        return self.table.markdown().rstrip("\n")

    def _repr_html_(self) -> str:
        from html import escape

        table = self.table
        heads = "".join(f"<th>{escape(head)}</th>" for head in (table.corner, *map(table.head, table.names)))
        lines = []
        for name, row in self.rows.items():
            shown = [(escape(cell(row.get(column))), table.bold(name, column)) for column in table.names]
            cells = "".join(f"<td>{f'<b>{text}</b>' if bold else text}</td>" for text, bold in shown)
            lines.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"

    def to_dict(self) -> dict[str, list[Any]]:
        """A column of values for each metric, and the names."""
        names = self.table.names
        values = {m: [None if m not in row else row[m].value for row in self.rows.values()] for m in names}
        return {"name": list(self.rows), **values}

    def to_frame(self) -> Any:
        """The same as a pandas.DataFrame, which needs pandas."""
        return frame(self.to_dict())


class Scores(dict[str, Entry]):
    """Metric -> figure with its 95 % interval."""

    def __repr__(self) -> str:
        return ", ".join(
            f"{name} {number(entry.value, entry.unit)}{' %' * (entry.unit == '%')}"
            for name, entry in self.items()
        )


def evaluate(cf: Counterfactuals, metrics: Sequence[AnyMetric] | None = None) -> Scores:
    """Figures of counterfactuals, each with its interval over queries.

    Args:
        cf: graded counterfactuals.
        metrics: such as [Validity(), JudgeAgreement(judge=judge)]; None: those that need nothing else.
    """
    return Scores(evaluate_metrics(_named(metrics), cf).summary)


def compare(
    counterfactuals: Mapping[str, Counterfactuals] | Sequence[Counterfactuals],
    metrics: Sequence[AnyMetric] | None = None,
) -> Comparison:
    """Figures of several sets of counterfactuals, of the same queries where ties shall be told.

    Args:
        counterfactuals: by name, or in a list, called by their methods, or by numbers from 1 where two of
            them have the same.
        metrics: see `evaluate`.

    Raises:
        UserError: there are none.
    """
    if not isinstance(counterfactuals, Mapping):
        methods = [cf.method for cf in counterfactuals]
        known = all(methods) and len(set(methods)) == len(methods)
        names = methods if known else [str(i) for i in range(1, len(methods) + 1)]
        counterfactuals = dict(zip(names, counterfactuals, strict=True))
    if not counterfactuals:
        raise UserError("compare() needs counterfactuals, found none")
    chosen = _named(metrics)
    scored = {name: evaluate_metrics(chosen, cf) for name, cf in counterfactuals.items()}
    rows = {name: found.summary for name, found in scored.items()}
    return Comparison(rows, rank(scored, counterfactuals))


def _named(metrics: Sequence[AnyMetric] | None) -> dict[str, AnyMetric]:
    chosen = [metric() for metric in PLAIN] if metrics is None else list(metrics)
    return {metric.name: metric for metric in chosen}
