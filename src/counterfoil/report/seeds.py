"""Several runs of one evaluation, one per seed: means with intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from scipy.special import expit
from scipy.stats import t as student

from counterfoil.core.entry import Entry
from counterfoil.report.table import Rows

LEVEL = 0.95
HOW = (
    "Each figure is the mean over the seeds, each with models and queries of its own; in brackets the 95 % "
    "interval of that mean: Student's over the seeds, on the logit for shares and on the logarithm for what "
    "is positive and unbounded, or the interval that the queries of all runs give, where that is wider. "
    "Bold: the best, and what its paired difference over common queries and seeds, of logarithms where the "
    "interval is on them, cannot tell from the best."
)
"""What stands below a table of several seeds."""


def over_seeds(runs: Sequence[Rows]) -> dict[str, dict[str, Entry]]:
    """Mean over S runs of each metric of each row.

    value = mean_s v_s
    low = min(g^-1(g(value) - t_{S-1} * sd(g(v)) / sqrt(S)),  value - sqrt(sum_s (v_s - low_s)^2) / S)
    high alike, with + and max

    g is the logit for what lies in [0, 1], with v counted as (n v + 1/2) / (n + 1) where a run reaches an
    end, so that 0 and 1 have one; the logarithm for what is positive and unbounded; else the identity, cut at
    the declared ends. The first bound is Student's over runs with models and queries of their own; the second
    is what the runs' own intervals over queries give for their mean, each side apart: runs that agree by
    chance, or all at 100 %, do not look more certain than their queries allow. The interval always holds the
    value and stays in the declared range. One run keeps its own.

    Returns:
        row -> metric -> entry; n is the sum over runs, `seeds` their number; runs without a value are
            left out.
    """
    names = dict.fromkeys(name for run in runs for name in run)
    return {name: _metrics([run[name] for run in runs if name in run]) for name in names}


def pool(entries: Sequence[Entry]) -> Entry:
    """The mean of one metric over runs, see `over_seeds`; at least one entry."""
    kept = [entry for entry in entries if entry.value is not None]
    doubt = next((entry.doubt for entry in entries if entry.doubt), "")
    if len(kept) < 2:
        nothing = replace(entries[0], value=None, low=None, high=None, n=0, seeds=0)
        return replace(kept[0] if kept else nothing, doubt=doubt)
    value = sum(entry.value for entry in kept if entry.value is not None) / len(kept)
    forward, back = _scale(kept)
    centre = forward(value, sum(entry.n for entry in kept))
    half = _between(kept, forward)
    below, above = _within(kept)
    low = min(back(centre - half) if half else value, value - below)
    high = max(back(centre + half) if half else value, value + above)
    count, seeds = sum(entry.n for entry in kept), sum(entry.seeds for entry in kept)
    return replace(kept[0], value=value, low=low, high=high, n=count, seeds=seeds, doubt=doubt)


def half_width(values: Sequence[float]) -> float:
    """Half-width of Student's 95 % interval of the mean of S >= 2 numbers."""
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return float(student.ppf((1 + LEVEL) / 2, len(values) - 1)) * math.sqrt(variance / len(values))


def _metrics(rows: Sequence[Mapping[str, Entry]]) -> dict[str, Entry]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: pool([row[name] for row in rows if name in row]) for name in names}


def _scale(entries: Sequence[Entry]) -> tuple[Callable[[float, int], float], Callable[[float], float]]:
    """g, given a value and its count, and its inverse."""
    first = entries[0]
    if (first.minimum, first.maximum) == (0, 1):
        return (_counted_logit if _at_an_end(entries) else _logit), lambda x: float(expit(x))
    if first.minimum == 0 and first.maximum is None and all((entry.value or 0.0) > 0 for entry in entries):
        return (lambda value, _n: math.log(max(value, 1e-300))), lambda x: math.exp(min(x, 700.0))
    return (lambda value, _n: value), lambda x: x


def _at_an_end(entries: Sequence[Entry]) -> bool:
    return any(number in (0, 1) for entry in entries for number in (entry.value, entry.low, entry.high))


def _logit(share: float, _n: int) -> float:
    return math.log(share / (1 - share))


def _counted_logit(share: float, n: int) -> float:
    return _logit((n * share + 0.5) / (n + 1), n)


def _between(entries: Sequence[Entry], forward: Callable[[float, int], float]) -> float:
    return half_width([forward(entry.value, entry.n) for entry in entries if entry.value is not None])


def _within(entries: Sequence[Entry]) -> tuple[float, float]:
    """How far the mean may lie below and above by the runs' own intervals; 0 where one of them has none."""
    sides = [
        (entry.value - entry.low, entry.high - entry.value)
        for entry in entries
        if entry.value is not None and entry.low is not None and entry.high is not None
    ]
    if len(sides) < len(entries):
        return 0.0, 0.0
    below, above = (math.hypot(*side) / len(entries) for side in zip(*sides, strict=True))
    return below, above
