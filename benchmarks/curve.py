"""Several runs of evaluate.py as one: means over seeds, and how they move with the confidence requested.

python benchmarks/curve.py RUN ...            the leaderboard at each confidence, in Markdown, and docs/confidence[-dark].svg
python benchmarks/curve.py --table RUN ...    the leaderboard alone

Make the runs with, for example:  python evaluate.py -m experiment=mnist seed=0,1,2 confidence=0.5,0.7,0.9,0.95,0.99
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from counterfoil.core.errors import UserError
from counterfoil.report import format as fmt
from counterfoil.report.leaderboard import to_markdown
from counterfoil.report.plot import curves, save_svg
from counterfoil.report.seeds import by_confidence, read_runs

ROOT = Path(__file__).resolve().parents[1]
METRICS = ("judge_agreement", "validity", "l1_valid")
HOW = (
    "Each figure is the mean over the seeds, each with models and queries of its own; in brackets the 95 % interval of that mean: "
    "Student's over the seeds, or the one that the queries of all runs give, where that is wider. Bold: it overlaps the best one's."
)


def tables(levels: Mapping[float, fmt.Methods], metrics: list[str] | None) -> str:
    """A leaderboard for each confidence, and how its figures came about."""
    parts = []
    for confidence, methods in levels.items():
        seeds = max((entry["seeds"] for row in methods.values() for entry in row.values()), default=0)
        parts.append(
            f"Confidence {confidence:g}, {seeds} seed(s)\n\n{to_markdown({'methods': methods}, metrics)}"
        )
    return "\n".join([*parts, HOW])


def draw(levels: Mapping[float, fmt.Methods], metrics: list[str], path: Path) -> list[Path]:
    """The metrics against the confidence, for a light and for a dark page."""
    names = list(dict.fromkeys(name for methods in levels.values() for name in methods))
    panels: dict[str, dict[str, list[Any]]] = {
        metric: {
            name: [methods.get(name, {}).get(metric, {}) for methods in levels.values()] for name in names
        }
        for metric in metrics
    }
    figure = curves(list(levels), panels, "Confidence requested")
    return [save_svg(figure, path), save_svg(figure, path.with_stem(f"{path.stem}-dark"), dark=True)]


def main() -> None:
    """Read, print and draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="RUN", type=Path, help="run folders of evaluate.py")
    parser.add_argument("--table", action="store_true", help="print the leaderboard alone")
    parser.add_argument("--metrics", nargs="+", help="columns of the table; default: the main ones")
    default = ROOT / "docs" / "confidence.svg"
    parser.add_argument(
        "--out", type=Path, default=default, help="the light picture; <name>-dark.svg lies beside it"
    )
    args = parser.parse_args()
    levels = by_confidence(read_runs(args.runs))
    print(tables(levels, args.metrics))
    if not args.table:
        print("\n".join(str(path) for path in draw(levels, list(METRICS), args.out)))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"error: {error}")
