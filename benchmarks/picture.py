"""The README's pictures: the same queries explained by each method of a run.

python benchmarks/picture.py RUN [--queries 12] [--methods iso disc] [--differences] [--out docs/methods.png]

With --differences each row of counterfactuals has its changes below it, red for brighter and blue for darker, on one scale for all methods.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from counterfoil.core.counterfactuals import Counterfactuals
from counterfoil.report.grid import Pixels, pixels, signed_difference, symmetric_scale

ROOT = Path(__file__).resolve().parents[1]


def read(run: Path) -> dict[str, Counterfactuals]:
    """The counterfactuals of each method, in the order of metrics.json."""
    methods = json.loads((run / "metrics.json").read_text())["methods"]
    files = {name: sorted((run / "counterfactuals" / name).glob("*.safetensors")) for name in methods}
    return {
        name: Counterfactuals.cat([Counterfactuals.load(file) for file in found])
        for name, found in files.items()
    }


def draw(
    counterfactuals: dict[str, Counterfactuals], names: list[str], columns: int, differences: bool = False
) -> Any:
    """Factuals on top, a row of counterfactuals a method below; a dashed frame where the classifier is not convinced."""
    from matplotlib.figure import Figure

    first = next(iter(counterfactuals.values()))
    columns, rows = min(columns, len(first)), 1 + len(counterfactuals) * (1 + differences)
    scale = symmetric_scale(torch.cat([cf.delta[:columns] for cf in counterfactuals.values()]))
    figure = Figure(figsize=(1.5 + 0.82 * columns, 0.45 + 0.82 * rows), facecolor="white")
    axes = iter(figure.subplots(rows, columns, squeeze=False, gridspec_kw={"wspace": 0.06, "hspace": 0.06}))
    figure.subplots_adjust(
        left=1.45 / figure.get_figwidth(), right=0.995, top=1 - 0.4 / figure.get_figheight(), bottom=0.01
    )
    top = next(axes)
    for j in range(columns):
        change = f"{names[int(first.source[j])]} → {names[int(first.target[j])]}"
        top[j].set_title(
            change if len(change) < 9 else f"→\n{names[int(first.target[j])]}",
            fontsize=10 if len(change) < 9 else 8,
        )
    _row(top, pixels(first.factual[:columns]), "factual")
    for name, cf in counterfactuals.items():
        _row(next(axes), pixels(cf.counterfactual[:columns]), name, cf.valid[:columns].tolist())
        if differences:
            _row(next(axes), signed_difference(cf.delta[:columns], scale), "")
    return figure


def _row(axes: Any, images: Pixels, label: str, valid: Sequence[bool] = ()) -> None:
    axes[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=10, labelpad=8)
    for axis, image, known in zip(axes, images, valid or [True] * len(images), strict=True):
        axis.imshow(image, interpolation="nearest")
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set(visible=not known, color="#c0392b", linewidth=2, linestyle=(0, (3, 2)))


def main() -> None:
    """Read a run and write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run folder of evaluate.py")
    parser.add_argument("--queries", type=int, default=12)
    parser.add_argument("--methods", nargs="+", help="which, in this order; default: all")
    parser.add_argument(
        "--differences", action="store_true", help="show the changes below the counterfactuals"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "methods.png")
    args = parser.parse_args()
    about = json.loads((args.run / "metrics.json").read_text())["queries"]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    counterfactuals = read(args.run)
    unknown = [name for name in args.methods or () if name not in counterfactuals]
    if unknown:
        sys.exit(
            f"error: --methods: {', '.join(unknown)} not in the run; it holds {', '.join(counterfactuals)}"
        )
    chosen = {name: counterfactuals[name] for name in args.methods or counterfactuals}
    draw(chosen, about["class_names"], args.queries, args.differences).savefig(args.out, dpi=110)
    print(args.out)


if __name__ == "__main__":
    main()
