"""Several runs of one evaluation, a seed each: means over seeds with intervals that tell how much another seed would move them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from counterfoil.core.errors import UserError
from counterfoil.report.format import Entry, Methods, finite, unit

LEVEL = 0.95
_ALIKE = ("data", "target", "classifier", "judge")
"""What runs must share to be averaged."""


def read_runs(folders: Sequence[Path | str]) -> list[dict[str, Any]]:
    """The content of metrics.json of each run folder.

    Raises:
        UserError: a folder without a readable metrics.json, runs of different questions, or the same seed twice at one confidence.
    """
    runs = [_read(Path(folder)) for folder in folders]
    if not runs:
        raise UserError("no run folders given; expected folders that evaluate.py has written")
    for key in _ALIKE:
        found = sorted({str(run["queries"].get(key)) for run in runs})
        if len(found) > 1:
            raise UserError(
                f"the runs differ in {key}: {', '.join(found)}; give runs that differ in seed and confidence alone"
            )
    seen: dict[tuple[Any, Any], Path | str] = {}
    for folder, run in zip(folders, runs, strict=True):
        key_of = (run["queries"].get("seed"), run["queries"].get("confidence"))
        if key_of in seen:
            raise UserError(
                f"{seen[key_of]} and {folder} both have seed={key_of[0]} confidence={key_of[1]}; give each run once"
            )
        seen[key_of] = folder
    return runs


def over_seeds(runs: Sequence[Methods]) -> dict[str, dict[str, dict[str, Any]]]:
    """Mean over runs of each metric of each method, in the form of metrics.json.

    value = mean_s v_s;  half-width = max(t_{S-1} * sd(v) / sqrt(S),  sqrt(sum_s h_s^2) / S)

    The first is Student's interval over the S runs, each with models and queries of its own seed. The second is what the runs' own
    half-widths h_s over queries give for their mean: runs that agree by chance, or all at 100 %, do not look more certain than
    their queries allow. One run keeps its own interval. Shares stay in [0, 1].

    Returns:
        {method: {metric: {"value", "low", "high", "n", "seeds", "higher_is_better"}}}; n is the sum over runs, and runs without a
        finite value are left out.
    """
    names = dict.fromkeys(method for run in runs for method in run)
    return {method: _metrics([run[method] for run in runs if method in run]) for method in names}


def by_confidence(runs: Sequence[Mapping[str, Any]]) -> dict[float, dict[str, dict[str, dict[str, Any]]]]:
    """`over_seeds` of the runs at each confidence, in rising order."""
    groups: dict[float, list[Methods]] = {}
    for run in runs:
        groups.setdefault(float(run["queries"]["confidence"]), []).append(run["methods"])
    return {confidence: over_seeds(groups[confidence]) for confidence in sorted(groups)}


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "metrics.json" if folder.is_dir() else folder
    try:
        run: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}); expected the folder of a finished run of evaluate.py"
        ) from error
    if not isinstance(run, dict) or not {"methods", "queries"} <= run.keys():
        raise UserError(f"{path} is not a metrics.json of evaluate.py: it has no methods and queries")
    return run


def _metrics(rows: Sequence[Mapping[str, Entry]]) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _pool([row[name] for row in rows if name in row], name) for name in names}


def _pool(entries: Sequence[Entry], metric: str) -> dict[str, Any]:
    kept = [entry for entry in entries if finite(entry.get("value"))]
    better = next(
        (entry["higher_is_better"] for entry in entries if entry.get("higher_is_better") is not None), None
    )
    count = sum(entry.get("n") or 0 for entry in kept)
    pooled: dict[str, Any] = {
        "value": None,
        "low": None,
        "high": None,
        "n": count,
        "seeds": len(kept),
        "higher_is_better": better,
    }
    if len(kept) == 1:
        return pooled | {key: kept[0].get(key) for key in ("value", "low", "high")}
    if kept:
        value = sum(entry["value"] for entry in kept) / len(kept)
        half = max(_between([entry["value"] for entry in kept]), _within(kept))
        pooled |= dict(zip(("value", "low", "high"), (value, *_bounds(value, half, metric)), strict=True))
    return pooled


def _between(values: Sequence[float]) -> float:
    """Half-width of Student's interval of the mean of S >= 2 numbers."""
    from scipy.stats import t

    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return float(t.ppf((1 + LEVEL) / 2, len(values) - 1)) * math.sqrt(variance / len(values))


def _within(entries: Sequence[Entry]) -> float:
    """Half-width of the mean from the runs' own intervals; 0 where one of them has none."""
    if not all(finite(entry.get("low")) and finite(entry.get("high")) for entry in entries):
        return 0.0
    return math.sqrt(sum(((entry["high"] - entry["low"]) / 2) ** 2 for entry in entries)) / len(entries)


def _bounds(value: float, half: float, metric: str) -> tuple[float, float]:
    low, high = value - half, value + half
    return (max(low, 0.0), min(high, 1.0)) if unit(metric) == "%" else (low, high)
