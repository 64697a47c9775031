"""What does one method gain over another at equal pixel change?

python benchmarks/matched.py RUN ... [--pairs lso_inr:disc lso_dip:disc_dip] [--at 0.05 0.06 0.07] [--out docs/matched.svg]

The runs of one seed ask the same queries under several confidences, so each method draws a curve: mean judge agreement over mean
L1, straight between its runs. Two methods are compared where both have a value. The difference at an L1, and its mean
over the whole overlap, is resampled over queries, which both methods and all runs share; over seeds it is pooled as in
`counterfoil.report.seeds.over_seeds`. A gain whose interval holds 0 is none. Make the runs with

python evaluate.py -m experiment=disc_mnist explainer=[disc] classifier=duq data.root=FOLDER confidence=0.6,0.85,0.95 seed=0,1,2 \\
    run_dir=runs/matched
python benchmarks/matched.py runs/matched/*
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import ROOT, markdown, record

from counterfoil.core.errors import UserError
from counterfoil.metric.bootstrap import percentiles, query_weights
from counterfoil.report.plot import save_svg, trails
from counterfoil.report.seeds import over_seeds, read_runs

RESAMPLES = 1000
STEPS = 21
"""Places in the overlap of two curves whose mean difference is taken."""


def read(run: Path) -> dict[str, np.ndarray]:
    """L1 and judge agreement (N, 2) of the counterfactuals of each method, a row an image asked about."""
    with (run / "queries.csv").open() as file:
        table = list(csv.DictReader(file))
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for row in table:
        if row["image"] in found.setdefault(row["method"], {}):
            raise UserError(
                f"{run} holds several counterfactuals an image; give runs with count=1 and one target"
            )
        found[row["method"]][row["image"]] = (float(row["l1"]), float(row["judge_agreement"]))
    return {name: np.array([rows[image] for image in sorted(rows)]) for name, rows in found.items()}


def images(run: Path) -> set[str]:
    """The test images that a run asked about."""
    with (run / "queries.csv").open() as file:
        return {row["image"] for row in csv.DictReader(file)}


def by_seed(runs: Sequence[Path]) -> dict[int, dict[str, np.ndarray]]:
    """Seed -> method -> (R, N, 2), the runs in the order of their confidence."""
    folders: dict[int, list[Path]] = {}
    contents = zip(runs, (content["queries"] for content in read_runs(runs)), strict=True)
    for run, asked in sorted(contents, key=lambda pair: (int(pair[1]["seed"]), float(pair[1]["confidence"]))):
        folders.setdefault(int(asked["seed"]), []).append(run)
    found = {}
    for seed, parts in folders.items():
        if any(images(part) != images(parts[0]) for part in parts):
            raise UserError(
                f"the runs of seed {seed} asked about different images; give runs of one n and seed"
            )
        rows = [read(part) for part in parts]
        shared = [name for name in rows[0] if all(name in row for row in rows)]
        found[seed] = {name: np.stack([row[name] for row in rows]) for name in shared}
    return found


def differences(one: np.ndarray, other: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Judge agreement of the other minus the one at each L1 (P,), in the data and in each resample: (1 + RESAMPLES, P)."""
    count = one.shape[1]
    weights = (
        torch.cat(
            [torch.ones(1, count, dtype=torch.float64), *query_weights(torch.arange(count), RESAMPLES, 0)]
        ).numpy()
        / count
    )
    curves = [np.einsum("wn,rnk->wrk", weights, values) for values in (one, other)]
    return np.stack([at(b, places) - at(a, places) for a, b in zip(*curves, strict=True)])


def at(curve: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Judge agreement (P,) at each L1, straight between the points (R, 2) of a curve, level beyond its ends."""
    order = curve[:, 0].argsort()
    return np.interp(places, curve[order, 0], curve[order, 1])


def overlap(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Evenly spaced L1 (STEPS,) at which both methods have a value."""
    means = [values[..., 0].mean(1) for values in (one, other)]
    low, high = max(float(m.min()) for m in means), min(float(m.max()) for m in means)
    if low >= high:
        raise UserError(
            f"the two methods share no L1: one starts at {low:.3f} where the other ends at {high:.3f}; vary the confidence"
        )
    return np.linspace(low, high, STEPS)


def compared(
    seeds: Sequence[dict[str, np.ndarray]], pair: tuple[str, str], places: Sequence[float]
) -> list[dict[str, dict[str, Any]]]:
    """For each seed the difference over the overlap, and at the places that lie within the overlap of every seed."""
    curves = [(methods[pair[0]], methods[pair[1]]) for methods in seeds]
    shared = [overlap(one, other) for one, other in curves]
    inside = [place for place in places if all(part[0] <= place <= part[-1] for part in shared)]
    found = []
    for (one, other), part in zip(curves, shared, strict=True):
        values = {"mean over the overlap": differences(one, other, part).mean(1)}
        values |= {f"at {place:g}": differences(one, other, np.array([place]))[:, 0] for place in inside}
        found.append({name: _entry(drawn, one.shape[1]) for name, drawn in values.items()})
    return found


def _entry(values: np.ndarray, n: int) -> dict[str, Any]:
    low, high = percentiles(torch.from_numpy(values[1:]))
    return {"value": float(values[0]), "low": low, "high": high, "n": n}


def drawn(seeds: dict[int, dict[str, np.ndarray]], names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """For each method a row a run: both means over the seeds, with intervals."""
    found: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        runs = min(len(methods[name]) for methods in seeds.values())
        found[name] = [
            over_seeds([{name: _means(methods[name][place])} for methods in seeds.values()])[name]
            for place in range(runs)
        ]
    return found


def _means(rows: np.ndarray) -> dict[str, dict[str, Any]]:
    half = 1.96 * rows.std(0) / len(rows) ** 0.5
    return {
        key: {"value": m, "low": m - h, "high": m + h, "n": len(rows)}
        for key, m, h in zip(("l1", "judge_agreement"), rows.mean(0).tolist(), half.tolist(), strict=True)
    }


def cell(entry: dict[str, Any] | None) -> str:
    """Percentage points and their interval."""
    return (
        f"{100 * entry['value']:+.1f} [{100 * entry['low']:+.1f}, {100 * entry['high']:+.1f}]"
        if entry
        else "–"
    )


def main() -> None:
    """Read, print, draw and record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", type=Path, help="run folders of evaluate.py")
    parser.add_argument(
        "--pairs",
        nargs="+",
        default=["lso_inr:disc", "lso_dip:disc_dip"],
        help="ONE:OTHER, the other minus the one",
    )
    parser.add_argument(
        "--at", nargs="+", type=float, default=[0.05, 0.06, 0.07, 0.08], help="L1 at which to compare"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "matched.svg")
    args = parser.parse_args()
    seeds = by_seed(args.runs)
    pairs = [tuple(pair.split(":")) for pair in args.pairs]
    known = set.intersection(*(set(methods) for methods in seeds.values()))
    unknown = [name for pair in pairs for name in pair if name not in known]
    if unknown or any(len(pair) != 2 for pair in pairs):
        raise UserError(
            f"--pairs: expected ONE:OTHER of {', '.join(sorted(known))}, which every seed has; found {' '.join(args.pairs)}"
        )
    parts = {f"{b} - {a}": compared(list(seeds.values()), (a, b), args.at) for a, b in pairs}
    gains = over_seeds([{name: rows[place] for name, rows in parts.items()} for place in range(len(seeds))])
    columns = list(dict.fromkeys(key for row in gains.values() for key in row))
    print(f"seeds {', '.join(map(str, seeds))}; difference of judge agreement in points at equal L1\n")
    print(
        markdown(
            ["", *columns], [[name, *(cell(row.get(key)) for key in columns)] for name, row in gains.items()]
        )
    )
    figure = trails(
        drawn(seeds, list(dict.fromkeys(name for pair in pairs for name in pair))), "l1", "judge_agreement"
    )
    print(
        save_svg(figure, args.out), save_svg(figure, args.out.with_stem(f"{args.out.stem}-dark"), dark=True)
    )
    print(record("matched", {"runs": [str(run) for run in args.runs], "gains": gains}))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
