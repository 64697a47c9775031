"""Whether the audit of a run names the cause that was planted, and how far it moves the classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from counterfoil.audit.audit import read_audit
from counterfoil.core.entry import Entry
from counterfoil.core.errors import UserError
from counterfoil.report.jobs import Job, select
from counterfoil.report.table import Table
from counterfoil.report.view.base import Shown, View

INSIDE = 0.5
"""Least share of a region's change that must lie in the planted box."""
KEYS = ("box", "kind", "attribute")
"""How a planted cause is told from others."""


class Audited(View):
    """Whether the planted cause comes first, by case and method.

    Each job's option `planted` names its causes, each by one of: `box`, the pixels (top, left, bottom, right)
    that it lies in; `kind`, colour or brightness; `attribute`. A region is the planted one where half or more
    of its change lies in the box: sum of the method's mean |x' - x| over region and box, divided by that over
    the region. Parts are ranked as in audit.json, by the rise of the target's probability where a part of the
    change is put into the factual alone; attributes by the mean |change| of the judge's probability.

    Tables: `<name>`: 1 where the planted cause is ranked first, else 0, and the share of the methods that do
    so.
    `<name> sure`: the share of resamples of the queries in which it is first. `<name> moves`: the rise of the
    target's probability by the planted part (the change of the planted attribute's probability), with its
    interval over queries. `<name> turned`: the share of queries that the first-ranked part turns by itself.

    Args:
        planted: option that names the causes.
        labels: cause -> the name it is shown under.
        where: options that the jobs must have.
    """

    def __init__(
        self,
        planted: str = "planted",
        labels: Mapping[str, str] | None = None,
        where: Mapping[str, Any] | None = None,
    ) -> None:
        self.planted, self.labels, self.where = planted, dict(labels or {}), dict(where or {})

    def show(self, jobs: Sequence[Job], folder: Path, name: str) -> Shown:
        """Four tables with a row for each cause and a column for each method."""
        kinds: dict[str, dict[str, dict[str, Entry]]] = {"": {}, " sure": {}, " moves": {}, " turned": {}}
        for job in select(jobs, self.where):
            told, maps = read_audit(job.folder)
            causes = job.option(self.planted)
            if not isinstance(causes, Mapping) or not causes:
                raise UserError(f"study: {job.folder} has no option {self.planted} that names causes")
            for own, cause in causes.items():
                case = str(self.labels.get(own, own))
                found = {method: _read(job, told, maps, method, cause) for method in told["methods"]}
                for place, table in enumerate(kinds.values()):
                    table[case] = {method: cells[place] for method, cells in found.items() if cells}
                first = [cells[0].value or 0.0 for cells in found.values() if cells]
                kinds[""][case] |= {"by": _share_of(first)}
        return Shown({f"{name}{kind}": _table(rows) for kind, rows in kinds.items()})


def _read(
    job: Job, told: Mapping[str, Any], maps: Mapping[str, Tensor], method: str, cause: Mapping[str, Any]
) -> tuple[Entry, Entry, Entry, Entry] | None:
    """First or not, how sure, how far it moves, what the first part turns; None where nothing is known."""
    key = next(iter(cause), "")
    if len(cause) != 1 or key not in KEYS:
        raise UserError(
            f"study: {job.folder}: a planted cause has one of {', '.join(KEYS)}, found {dict(cause)}"
        )
    one = told["methods"][method]
    by_attribute = key == "attribute"
    judged = [part for part in one["attributes"] if part["moved"][0] is not None]
    ranked = judged if by_attribute else one["directions"]["all"]["ranked"]
    if not ranked:
        return None
    names = [part["attribute" if by_attribute else "part"] for part in ranked]
    right = [
        name == cause[key] if by_attribute else _is_planted(name, maps, method, key, cause[key])
        for name in names
    ]
    planted = [part for part, is_planted in zip(ranked, right, strict=True) if is_planted]
    unknown = (None, None, None)
    moves = planted[0]["moved"] if planted else unknown
    turned = unknown if by_attribute else ranked[0]["flipped"]
    n = int(one["used"])
    return (
        Entry(float(right[0]), n=n, minimum=0.0, maximum=1.0, label=method),
        Entry(sum(part["first"] for part in planted), None, None, n, "%", None, 0.0, 1.0, method),
        Entry(moves[0], moves[1], moves[2], n, "", None, -1.0, 1.0, method),
        Entry(turned[0], turned[1], turned[2], n, "%", None, 0.0, 1.0, method),
    )


def _table(rows: Mapping[str, Mapping[str, Entry]]) -> Table:
    """Methods side by side, and what is said of all of them last."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    return Table(rows, sorted(columns, key=lambda column: column == "by"), corner="planted")


def _share_of(hits: Sequence[float]) -> Entry:
    share = sum(hits) / len(hits) if hits else None
    return Entry(share, n=len(hits), unit="%", minimum=0.0, maximum=1.0, label="Methods that name it")


def _is_planted(part: str, maps: Mapping[str, Tensor], method: str, key: str, value: Any) -> bool:
    """Whether a part of the change is the planted one."""
    if key == "kind" or f"region/{part}" not in maps:
        return key == "kind" and part == value
    top, left, bottom, right = value
    change = maps[f"{method}/all/size"] * maps[f"region/{part}"]
    return float(change[top:bottom, left:right].sum()) >= INSIDE * float(change.sum()) > 0
