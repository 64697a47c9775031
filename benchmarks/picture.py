"""The README's picture: the same queries answered by each method of a run.

python benchmarks/picture.py RUN [--queries 12] [--out docs/methods.png]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from counterfoil.core.counterfactuals import Counterfactuals

ROOT = Path(__file__).resolve().parents[1]


def read(run: Path) -> dict[str, Counterfactuals]:
    """The answers of each method, in the order of metrics.json."""
    methods = json.loads((run / "metrics.json").read_text())["methods"]
    files = {name: sorted((run / "counterfactuals" / name).glob("*.safetensors")) for name in methods}
    return {name: Counterfactuals.cat([Counterfactuals.load(file) for file in found]) for name, found in files.items()}


def draw(answers: dict[str, Counterfactuals], names: list[str], columns: int) -> Any:
    """Factuals on top, a row of answers a method below; a dashed frame where the classifier is not convinced."""
    from matplotlib.figure import Figure

    first = next(iter(answers.values()))
    columns = min(columns, len(first))
    figure = Figure(figsize=(1.5 + 0.82 * columns, 0.45 + 0.82 * (len(answers) + 1)), facecolor="white")
    axes = figure.subplots(len(answers) + 1, columns, squeeze=False, gridspec_kw={"wspace": 0.06, "hspace": 0.06})
    figure.subplots_adjust(left=1.45 / figure.get_figwidth(), right=0.995, top=1 - 0.4 / figure.get_figheight(), bottom=0.01)
    for j in range(columns):
        change = f"{names[int(first.source[j])]} → {names[int(first.target[j])]}"
        axes[0][j].set_title(change if len(change) < 9 else f"→\n{names[int(first.target[j])]}", fontsize=10 if len(change) < 9 else 8)
        _show(axes[0][j], first.factual[j], True)
        for i, cf in enumerate(answers.values(), start=1):
            _show(axes[i][j], cf.counterfactual[j], bool(cf.valid[j]))
    for row, label in zip(axes, ["factual", *answers], strict=True):
        row[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=10, labelpad=8)
    return figure


def _show(axis: Any, image: torch.Tensor, valid: bool) -> None:
    pixels = image.permute(1, 2, 0).numpy()
    axis.imshow(pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set(visible=not valid, color="#c0392b", linewidth=2, linestyle=(0, (3, 2)))


def main() -> None:
    """Read a run and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of evaluate.py")
    parser.add_argument("--queries", type=int, default=12)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "methods.png")
    args = parser.parse_args()
    about = json.loads((args.run / "metrics.json").read_text())["queries"]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    draw(read(args.run), about["class_names"], args.queries).savefig(args.out, dpi=110)
    print(args.out)


if __name__ == "__main__":
    main()
