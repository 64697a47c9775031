"""The picture on a method's page, out of a run's counterfactuals.

python evaluate.py experiment=mnist data.root=FOLDER store=weights n=10 run_dir=runs/pictures \\
    explainer=[nearest,wachter,...] metric=[validity] train_missing=true logger=none
    (experiment=attributes for gci, aip and random_attributes, pe_mnist_all target=runner_up for progressive,
    pe_mnist_0_1_own for cyclegan, text for hotflip)
python -m docsite.pictures runs/pictures      writes docs/methods/<method>.png of each
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from counterfoil import Counterfactuals
from counterfoil.core.errors import UserError
from counterfoil.report.grid import overview, save_png
from counterfoil.report.jobs import Job

FOLDER = Path(__file__).parents[1] / "docs" / "methods"
COLUMNS = 10
LINES, WIDEST = 8, 70
"""Texts in a picture, the first ones of so few letters."""
GONE, COME, INK = "#b84e14", "#1f5fbf", "#1b1e23"


def draw(runs: Iterable[Path], folder: Path = FOLDER) -> list[Path]:
    """Queries, counterfactuals and changes of each method of the runs, a PNG each; texts are written.

    Raises:
        UserError: a folder holds no counterfactuals.
    """
    written = []
    for run in runs:
        found = sorted((run / "counterfactuals").glob("*/"))
        if not found:
            raise UserError(
                f"{run} holds no counterfactuals; give the folder of a run, such as runs/pictures"
            )
        texts = Job(run, {}).texts
        for method in found:
            if method.name in texts:
                written.append(write(texts[method.name], folder / f"{method.name}.png"))
                continue
            files = sorted(method.glob("*.safetensors"))
            rows = Counterfactuals.cat([Counterfactuals.load(file) for file in files])
            written.append(save_png(folder / f"{method.name}.png", overview(rows, COLUMNS)))
    return written


def write(texts: Sequence[tuple[str, str]], path: Path) -> Path:
    """Pairs of texts, factual above counterfactual, with the words that go and come in colour."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [pair for pair in texts if len(pair[0]) < WIDEST][:LINES]
    figure = Figure(figsize=(8.5, 0.62 * len(shown)), facecolor="white")
    canvas = FigureCanvasAgg(figure)
    for place, (one, other) in enumerate(shown):
        top = 1 - (place + 0.35) / len(shown)
        first, second = one.split(), other.split()
        steps = SequenceMatcher(None, first, second, autojunk=False).get_opcodes()
        _line(canvas, top, [(first[i:j], kind != "equal", GONE) for kind, i, j, _, _ in steps])
        _line(
            canvas,
            top - 0.38 / len(shown),
            [(second[k:m], kind != "equal", COME) for kind, _, _, k, m in steps],
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    return path


def _line(canvas: Any, height: float, parts: Iterable[tuple[Sequence[str], bool, str]]) -> None:
    """Parts of a text one after another, those that differ bold and in a colour."""
    figure, left = canvas.figure, 0.02
    for words, differs, colour in parts:
        if not words:
            continue
        style = {"color": colour if differs else INK, "weight": "bold" if differs else "normal"}
        text = figure.text(left, height, " ".join(words), fontsize=10.5, parse_math=False, **style)
        left = text.get_window_extent(canvas.get_renderer()).x1 / figure.bbox.width + 0.008


if __name__ == "__main__":
    for path in draw(map(Path, sys.argv[1:])):
        print(path)
