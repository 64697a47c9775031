"""Which figures stand where, and how probabilities are written, the same in the terminal and on the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from counterfoil.core.entry import Entry, label
from counterfoil.report.table import MISSING

Methods = Mapping[str, Mapping[str, Entry]]
"""Method -> metric -> entry, the "methods" part of metrics.json."""


def columns(methods: Methods, main_only: bool = False) -> list[str]:
    """The metrics that any method holds, those declared `main` first; each part in the order chosen."""
    present = dict.fromkeys(metric for row in methods.values() for metric in row)
    main = [metric for metric in present if fact(methods, metric).main]
    return main if main_only else main + [metric for metric in present if metric not in main]


def fact(methods: Methods, metric: str) -> Entry:
    """An entry of the metric, whose declared facts hold for all methods."""
    return next((row[metric] for row in methods.values() if metric in row), Entry(None))


def title(methods: Methods, metric: str) -> str:
    """The metric's name for people, as it declares it."""
    return fact(methods, metric).label or label(metric)


def probability(value: float | None) -> str:
    """Two digits; the ends are kept for values that are truly there."""
    if value is None or not finite(value):
        return MISSING
    return "<.01" if 0 < value < 0.005 else ">.99" if 0.995 <= value < 1 else f"{value:.2f}"


def called(names: Mapping[int, str | int], query: int) -> str:
    """What people read of a query's image: its file, or its place in the published order."""
    name = names.get(query)
    if name is None:
        return f"query {query}"
    return f"image {name}" if isinstance(name, int) else name


def finite(value: Any) -> bool:
    """Whether a value is a number that can be shown and compared."""
    return isinstance(value, (int, float)) and math.isfinite(value)
