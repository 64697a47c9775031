"""How figures are written and compared, the same in the terminal, in Markdown and on the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

Entry = Mapping[str, Any]
"""One figure of metrics.json: value, low, high, n, higher_is_better; any of them may be missing, None or NaN."""
Methods = Mapping[str, Mapping[str, Entry]]
"""The "methods" part of metrics.json: method -> metric -> entry."""

MISSING = "–"
MAIN = (
    "validity", "judge_agreement", "target_probability", "l1_valid", "l2_valid", "sparsity_valid", "im1", "fid_judge", "cout", "seconds",
)  # fmt: skip
"""The columns shown first, where they were measured."""

_LABELS = {
    "l1": "L1", "l2": "L2", "linf": "L∞", "im1": "IM1", "im2": "IM2", "cout": "COUT", "fid_judge": "FID (judge)",
    "kid_judge": "KID (judge)", "peak_memory_mb": "Peak memory",
}  # fmt: skip
_UNITS = {
    "validity": "%",
    "flipping_ratio": "%",
    "judge_agreement": "%",
    "sparsity": "%",
    "seconds": "s",
    "peak_memory_mb": "MB",
}
_SUFFIX = "_valid"


def label(metric: str) -> str:
    """A metric's name for people: `l1_valid` -> `L1, valid`."""
    base = metric.removesuffix(_SUFFIX)
    text = _LABELS.get(base) or base.replace("_", " ").strip().capitalize()
    return f"{text}, valid" if base != metric else text


def unit(metric: str) -> str:
    """The unit its figures are written in, "" where they have none."""
    return _UNITS.get(metric.removesuffix(_SUFFIX), "")


def number(value: float | None, metric: str = "") -> str:
    """A figure with two or three significant digits, shares in per cent; a dash for None, NaN and infinities."""
    if not finite(value):
        return MISSING
    scaled = float(value) * (100 if unit(metric) == "%" else 1)  # type: ignore[arg-type]
    if 0 < abs(scaled) < 0.00095 and unit(metric) != "%":
        return f"{scaled:.1e}".replace("e-0", "e-")
    return f"{scaled:,.{decimals(scaled, metric)}f}"


def probability(value: float | None) -> str:
    """Two digits; the ends are kept for values that are truly there."""
    if not finite(value):
        return MISSING
    return "<.01" if 0 < value < 0.005 else ">.99" if 0.995 <= value < 1 else f"{value:.2f}"  # type: ignore[operator]


def decimals(scaled: float, metric: str = "") -> int:
    """Digits after the point for a figure in its unit."""
    size = abs(scaled)
    if unit(metric) == "%":
        return 1 if size < 99.95 else 0
    return (
        0
        if size >= 99.5 or size == 0
        else next(n for n, least in ((1, 9.95), (2, 0.9995), (3, 0.0095), (4, 0)) if size >= least)
    )


def interval(entry: Entry | None, metric: str = "") -> str:
    """`[low, high]`, "" where the entry holds no interval."""
    bounds = entry and (entry.get("low"), entry.get("high"))
    return (
        f"[{number(bounds[0], metric)}, {number(bounds[1], metric)}]"
        if bounds and all(map(finite, bounds))
        else ""
    )


def arrow(higher_is_better: bool | None) -> str:
    """↑ where more is better, ↓ where less is, "" where neither is."""
    return "" if higher_is_better is None else "↑" if higher_is_better else "↓"


def finite(value: Any) -> bool:
    """Whether a value is a number that can be shown and compared."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def columns(methods: Methods, main_only: bool = False) -> list[str]:
    """The metrics that any method holds: those of MAIN in its order (over all counterfactuals where not over the valid ones), then the others."""
    present = list(dict.fromkeys(metric for row in methods.values() for metric in row))
    main = [name for metric in MAIN for name in (metric, metric.removesuffix(_SUFFIX)) if name in present]
    main = [name for name in dict.fromkeys(main) if f"{name}{_SUFFIX}" not in main]
    return main if main_only else main + [metric for metric in present if metric not in main]


def direction(methods: Methods, metric: str) -> bool | None:
    """The metric's `higher_is_better`, None where no method states it."""
    stated = (row[metric].get("higher_is_better") for row in methods.values() if row.get(metric))
    return next((bool(better) for better in stated if better is not None), None)


def standing(methods: Methods, metric: str) -> dict[str, str]:
    """Who is best, with regard to the intervals: {method: "best" | "tied"}, others left out.

    Best is the best value; tied is every method whose interval overlaps the best one's. Ranked are methods with at least half as many
    counterfactuals as the method with most, so that nobody wins a distance over valid counterfactuals by failing. Empty for fewer than two methods
    or a metric without direction.
    """
    better = direction(methods, metric)
    entries = {
        name: row[metric]
        for name, row in methods.items()
        if row.get(metric) and finite(row[metric].get("value"))
    }
    most = max((entry.get("n") or 0 for entry in entries.values()), default=0)
    entries = {name: entry for name, entry in entries.items() if 2 * (entry.get("n") or 0) >= most}
    if better is None or len(methods) < 2 or not entries:
        return {}
    best = (max if better else min)(entries.values(), key=lambda entry: entry["value"])
    low, high = _bounds(best)
    overlap = {
        name: _bounds(entry)[0] <= high and low <= _bounds(entry)[1] for name, entry in entries.items()
    }
    return {
        name: "best" if entry["value"] == best["value"] else "tied"
        for name, entry in entries.items()
        if overlap[name]
    }


def _bounds(entry: Entry) -> tuple[float, float]:
    low, high = entry.get("low"), entry.get("high")
    return (float(low), float(high)) if finite(low) and finite(high) else (entry["value"], entry["value"])  # type: ignore[arg-type]
