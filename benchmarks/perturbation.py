"""Flipping ratio and judge agreement at equal perturbation, of one run of evaluate.py or of several on the same queries.

python benchmarks/perturbation.py RUN ... [--methods aip gci aip_code aip_attributes] [--out docs/perturbation.svg]

A query counts at a budget once one of its counterfactuals, in any of the runs, is valid and moved no farther; for the judge's curve the judge
must see the target too. So a method that stops at the first flip, and one swept over its trade-off or over the confidence, are read by the
same rule. Perturbations: mean absolute change of pixels, from the query, and from its reconstruction where the counterfactual carries one; sum of
the absolute changes of the attributes; relative change of the code. A method that never moves in one of these has no curve there.
Intervals are Wilson's 95 % over queries. Prints a table at four budgets, and draws a picture a perturbation, for light
and for dark pages. For example:

python evaluate.py -m experiment=attributes_efficiency confidence=0.5,0.9,0.99 run_dir=runs/efficiency
python benchmarks/perturbation.py runs/efficiency/0 runs/efficiency/1 runs/efficiency/2
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, markdown
from picture import read

from counterfoil.core.errors import UserError
from counterfoil.metric.bootstrap import wilson
from counterfoil.report.plot import curves, save_svg
from counterfoil.util.record import write_json

KINDS = {
    "l1": "Pixel change from the query",
    "l1_reconstruction": "Pixel change from the reconstruction",
    "attribute_l1": "Sum of the changes of the attributes",
    "latent_perturbation": "Relative change of the code",
}
SUCCESSES = ("flipping_ratio", "judge_agreement")
POINTS = 25
STILL = 1e-6
"""A median perturbation below this is none."""


@dataclass(frozen=True)
class Explained:
    """What became of the counterfactuals of one method: the query's image (N,), success by kind and perturbation by kind, each (N,)."""

    query: np.ndarray
    success: dict[str, np.ndarray]
    moved: dict[str, np.ndarray]


def read_run(run: Path) -> dict[str, Explained]:
    """Every method of one run."""
    path = run / "queries.csv"
    if not path.is_file():
        raise UserError(f"{path} does not exist; expected the folder of a finished run of evaluate.py")
    with path.open() as file:
        table = list(csv.DictReader(file))
    stored = read(run)
    found = {}
    for method, cf in stored.items():
        rows = [row for row in table if row["method"] == method and row["source"] != row["target"]]
        asked = (cf.source != cf.target).numpy()
        valid = _column(rows, "valid") > 0
        success = {"flipping_ratio": valid, "judge_agreement": valid & (_column(rows, "judge_agreement") > 0)}
        moved = {kind: _column(rows, kind) for kind in KINDS if kind != "l1_reconstruction"}
        if "reconstruction" in cf.extra:
            change = (cf.counterfactual - cf.extra["reconstruction"]).abs().flatten(1).mean(1).numpy()
            moved["l1_reconstruction"] = change[asked]
        found[method] = Explained(
            np.array([f"{row['image']}, {row['target']}" for row in rows]), success, moved
        )
    return found


def _column(rows: Sequence[Mapping[str, str]], name: str) -> np.ndarray:
    return np.array([float(row.get(name) or "nan") for row in rows])


def pool(runs: Sequence[Mapping[str, Explained]]) -> dict[str, Explained]:
    """All counterfactuals of each method; the runs must have asked the same queries."""
    asked = {
        tuple(sorted(set(counterfactuals.query.tolist()))) for run in runs for counterfactuals in run.values()
    }
    if len(asked) > 1:
        raise UserError("the runs asked different queries; give runs of one data set, classifier, seed and n")
    pooled: dict[str, Explained] = {}
    for name in dict.fromkeys(name for run in runs for name in run):
        parts = [run[name] for run in runs if name in run]
        kinds = [kind for kind in KINDS if all(kind in part.moved for part in parts)]
        pooled[name] = Explained(
            np.concatenate([part.query for part in parts]),
            {key: np.concatenate([part.success[key] for part in parts]) for key in SUCCESSES},
            {kind: np.concatenate([part.moved[kind] for part in parts]) for kind in kinds},
        )
    return pooled


def nearest(counterfactuals: Explained, success: str, kind: str) -> np.ndarray:
    """The least perturbation (Q,) at which each query has succeeded, infinite where it has not."""
    queries, place = np.unique(counterfactuals.query, return_inverse=True)
    least = np.full(len(queries), math.inf)
    moved = np.where(
        counterfactuals.success[success] & np.isfinite(counterfactuals.moved[kind]),
        counterfactuals.moved[kind],
        math.inf,
    )
    np.minimum.at(least, place, moved)
    return least


def moves(counterfactuals: Explained, kind: str) -> bool:
    """Whether the method has this perturbation at all."""
    values = counterfactuals.moved.get(kind, np.array([]))
    values = values[np.isfinite(values)]
    return bool(len(values)) and float(np.median(values)) > STILL


def panels(
    methods: Mapping[str, Explained], kind: str
) -> tuple[list[float], dict[str, dict[str, list[Any]]]]:
    """Budgets, and success -> method -> an entry a budget."""
    shown = {
        name: counterfactuals for name, counterfactuals in methods.items() if moves(counterfactuals, kind)
    }
    least = {
        name: {key: nearest(counterfactuals, key, kind) for key in SUCCESSES}
        for name, counterfactuals in shown.items()
    }
    reached = [values[np.isfinite(values)] for parts in least.values() for values in parts.values()]
    first = 0.9 * min((float(values.min()) for values in reached if len(values)), default=0.0)
    last = max((float(np.quantile(values, 0.98)) for values in reached if len(values)), default=1.0)
    budgets = [float(b) for b in np.linspace(first, last, POINTS)]
    # A method without a curve keeps its place, so that each has its colour in all pictures.
    entries = {
        key: {
            name: [_share(least[name][key], b) if name in least else {} for b in budgets]
            for name in (methods if least else ())
        }
        for key in SUCCESSES
    }
    return budgets, entries


def _share(least: np.ndarray, budget: float) -> dict[str, float]:
    value = float((least <= budget).mean())
    low, high = wilson(value, len(least))
    return {"value": value, "low": low, "high": high, "n": len(least)}


def table(
    kind: str, budgets: Sequence[float], found: Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]
) -> str:
    """Both shares at four budgets, evenly spaced up to the largest."""
    places = [round(quarter * (len(budgets) - 1) / 4) for quarter in range(1, 5)]
    heads = [
        KINDS[kind],
        *(f"{share.replace('_', ' ')} % at {budgets[i]:.3g}" for share in SUCCESSES for i in places),
    ]
    names = next(iter(found.values()))
    return markdown(
        heads,
        [[name, *(_cell(found[share][name][i]) for share in SUCCESSES for i in places)] for name in names],
    )


def _cell(entry: Mapping[str, float]) -> str:
    return (
        f"{100 * entry['value']:.1f} [{100 * entry['low']:.1f}, {100 * entry['high']:.1f}]" if entry else "–"
    )


def main() -> None:
    """Read, print, draw and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", type=Path, help="run folders of evaluate.py")
    parser.add_argument(
        "--methods", nargs="+", help="which, in this order; default: all that move attributes or a code"
    )
    default = ROOT / "docs" / "perturbation.svg"
    parser.add_argument(
        "--out", type=Path, default=default, help="the kind of perturbation, and -dark, are put into its name"
    )
    args = parser.parse_args()
    methods = pool([read_run(run) for run in args.runs])
    chosen = args.methods or [
        name
        for name, found in methods.items()
        if moves(found, "attribute_l1") or moves(found, "latent_perturbation")
    ]
    unknown = [name for name in chosen if name not in methods]
    if unknown or not chosen:
        raise UserError(
            f"--methods: {', '.join(unknown) or 'none'} not in the runs; they hold {', '.join(methods)}"
        )
    record: dict[str, Any] = {}
    for kind, title in KINDS.items():
        budgets, found = panels({name: methods[name] for name in chosen}, kind)
        if not next(iter(found.values())):
            continue
        print(f"{table(kind, budgets, found)}\n")
        figure = curves(budgets, found, title)
        path = args.out.with_stem(f"{args.out.stem}-{kind.replace('_', '-')}")
        print(save_svg(figure, path), save_svg(figure, path.with_stem(f"{path.stem}-dark"), dark=True))
        record[kind] = {"budgets": budgets, **found}
    write_json(args.out.with_suffix(".json"), {"runs": [str(run) for run in args.runs], "curves": record})


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
